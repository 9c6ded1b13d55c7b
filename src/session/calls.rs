//! Nested runs: what a task rests on because it called it, while it executes and when it is judged again.
//!
//! A task that asks for a run of its own session waits for it. What it asked for becomes a part of its key: how that
//! ended, and all it could learn from it, as it was when the nested run was over. The next run schedules it first and
//! compares. What cannot be scheduled first (a task that is gone, that would have to wait for its caller, or that was
//! called with arguments of its own) makes the caller run.

use std::sync::Arc;

use super::{
    crew::Answer,
    drive::Driver,
    execute::Execution,
    judge::{self, Question},
    results::{HandedOn, Received, Results, TaskResult},
    shared::Shared,
};
use crate::{
    event::Finished,
    fingerprint::{Handed, digest_of_call},
    graph::TaskGraph,
    model::{Digest, Outcome, TaskId, TaskName, TaskSet},
    plan::{Mode, Plan},
    store::{Called, TaskRecord},
};

/// What stands for the failure of a task that has no exit code.
const NO_CODE: i32 = -1;

/// What comes of calling a task.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) task: TaskId,
    failure: Option<i32>,
    /// What it and those upstream of it hand on.
    received: Vec<Received>,
    /// Whose declared outputs count: its own or, where it has no command, those it passes on.
    pub(crate) producers: Vec<TaskId>,
}

impl Call {
    pub(crate) fn of(graph: &TaskGraph, results: &Results, task: TaskId) -> Self {
        let result = results.get(task);
        let mut received = results.received(task);
        received.push(Received { task, handed: Arc::clone(&result.handed) });
        let producers = match graph.task(task) {
            own if !own.has_command() => result.passes.to_vec(),
            own if own.outputs.is_empty() => Vec::new(),
            _ => vec![task],
        };
        Self { task, failure: result.failure, received, producers }
    }

    /// What stands for it in the key of its caller. `files` are the declared outputs of a task.
    pub(crate) fn digest(
        &self,
        graph: &TaskGraph,
        files: impl Fn(TaskId) -> Option<Digest>,
    ) -> (TaskName, Digest) {
        let made =
            |id: &TaskId| Handed { task: graph.name(*id), output: None, exports: &[], files: files(*id) };
        let received = self.received.iter().map(|received| received.as_handed(graph));
        let handed: Vec<Handed<'_>> = received.chain(self.producers.iter().map(made)).collect();
        (graph.name(self.task).clone(), digest_of_call(&handed, self.failure))
    }

    /// Whether one of these tasks has its part in it.
    pub(crate) fn rests_on(&self, tasks: &TaskSet) -> bool {
        self.received.iter().any(|received| tasks.contains(received.task))
    }
}

/// The exit code of a task that failed.
pub(crate) fn failure(finished: &Finished) -> Option<i32> {
    let code = finished.exit_code.or(finished.signal.map(|signal| 128 + signal));
    matches!(finished.status, Outcome::Failed | Outcome::DependencyFailed).then(|| code.unwrap_or(NO_CODE))
}

/// What a task called when it last ran.
pub(crate) fn called(record: Option<&TaskRecord>) -> &[Called] {
    record.and_then(|record| record.success.as_ref()).map_or(&[], |success| &success.called)
}

/// Fills in what these tasks, and those upstream of them, handed on when they last succeeded.
pub(crate) fn recall(shared: &Shared, results: &mut Results, tasks: impl IntoIterator<Item = TaskId>) {
    for &id in Plan::new(&shared.graph, tasks, Mode::Before).order() {
        let success = shared.record(id).and_then(|record| record.success);
        results.set(id, TaskResult { handed: HandedOn::of(success.as_ref()), ..TaskResult::default() });
    }
}

impl Question {
    /// Asks about the calls of the last run as well, by what they come to now; none: that cannot be found out before
    /// the caller runs.
    pub(crate) fn with_calls(
        &mut self,
        graph: &TaskGraph,
        last: Option<&TaskRecord>,
        mut call: impl FnMut(TaskId) -> Option<Call>,
    ) {
        for Called { task, as_it_is } in called(last) {
            let id = graph.id(task.as_str()).filter(|_| *as_it_is);
            match id.and_then(&mut call) {
                Some(call) => self.called.push(call),
                None => self.not_followed.push(task.clone()),
            }
        }
    }

    /// The same by what is remembered of them.
    pub(crate) fn with_remembered_calls(
        &mut self,
        shared: &Shared,
        last: Option<&TaskRecord>,
        is_followed: impl Fn(TaskId) -> bool,
    ) {
        let graph = &shared.graph;
        if called(last).is_empty() {
            return;
        }
        self.with_calls(graph, last, |id| {
            let mut results = Results::new(Arc::clone(graph));
            recall(shared, &mut results, [id]);
            is_followed(id).then(|| Call::of(graph, &results, id))
        });
    }
}

impl Driver {
    /// Asks about what a task called when it last ran.
    pub(super) fn ask_about_calls(&self, question: &mut Question, last: Option<&TaskRecord>) {
        let calls = called(last);
        if calls.is_empty() {
            return;
        }
        let graph = &self.run.shared.graph;
        let is_scheduled =
            |call: &Called| graph.id(call.task.as_str()).is_some_and(|id| self.is_scheduled(id));
        let caller = question.id;
        let is_followed = |id| !self.not_followed.contains(&(caller, id));
        if !calls.iter().any(is_scheduled) {
            // A mode that leaves out what is upstream.
            return question.with_remembered_calls(&self.run.shared, last, is_followed);
        }
        question.with_calls(graph, last, |id| {
            (is_followed(id) && self.is_scheduled(id)).then(|| Call::of(graph, self.results(), id))
        });
        let would_run =
            question.called.iter().map(|call| call.task).find(|id| self.results().get(*id).would_run);
        question.upstream_would_run = question.upstream_would_run.or(would_run);
    }

    /// Tells the task that asked for this run what came of it, and waits until that goes on.
    pub(super) async fn answer(&self) {
        if !self.run.member.is_nested() {
            return;
        }
        let mut answers = Vec::new();
        // An end from outside is no result.
        for id in self.run.member.asked_for().into_iter().filter(|id| self.is_over(*id)) {
            let call = Call::of(&self.run.shared.graph, self.results(), id);
            let (run, producers) = (Arc::clone(&self.run), call.producers.clone());
            let look = move || {
                let files = |id| (id, Arc::new(judge::outputs(&run.shared, id)));
                producers.into_iter().map(files).collect()
            };
            if let Ok(files) = tokio::task::spawn_blocking(look).await {
                answers.push((id, Answer { call, files }));
            }
        }
        self.run.member.answer(answers).await;
    }
}

impl Execution {
    /// Takes what this execution called into its key.
    pub(super) fn take_calls(&mut self) {
        let shared = Arc::clone(&self.run.shared);
        let Some(snapshot) = self.start.snapshot.as_mut() else { return };
        let mut digests: Vec<(TaskName, Digest)> = Vec::new();
        for (id, answer) in self.claim.calls() {
            let task = shared.graph.name(id).clone();
            self.called.push(Called { task, as_it_is: answer.is_some() });
            let Some(Answer { call, files }) = answer else { continue };
            let digest = |id| {
                let (_, files) = files.iter().find(|(made, _)| *made == id)?;
                Some(judge::digest_of_rows(&judge::rows(&shared, files)))
            };
            digests.push(call.digest(&shared.graph, digest));
            snapshot.upstream.extend(files);
        }
        snapshot.manifest.set_calls(digests);
    }
}
