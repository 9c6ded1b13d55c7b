//! A process in a run (spec section 6): started if it is not up, used while it is needed, and given back.

mod prepare;

use std::{sync::Arc, time::Instant};

use tokio::sync::{mpsc, watch};

use super::{
    context::RunContext,
    execute::{Executed, Failure, Halt, Orders, Start},
    processes::{Came, Heard, Keeping, Need, Processes, Told, Use},
    request::LiveLines,
    watching::Looked,
};
use crate::{
    event::{Finished, What},
    fingerprint::digest_of,
    model::{Action, Digest, Outcome, Stage, Task, TaskId, TaskKind, Written},
    schedule::Observation,
};
use prepare::prepare;

/// A process being used by a run.
struct Using {
    run: Arc<RunContext>,
    id: TaskId,
    start: Start,
    orders: watch::Receiver<Orders>,
    heard: mpsc::UnboundedSender<Observation>,
    begun_at: Instant,
    /// What its sets held when it was begun.
    looked: Looked,
    /// Whether it was started for this run.
    started: bool,
}

/// Uses a process until it is at rest, or the run does not need it any more. `heard` hears when it has begun and when
/// it is ready.
pub(crate) async fn use_process(
    run: Arc<RunContext>,
    start: Start,
    orders: watch::Receiver<Orders>,
    heard: mpsc::UnboundedSender<Observation>,
) -> Executed {
    let id = start.question.id;
    let looked = Looked::default();
    let mut using = Using { run, id, start, orders, heard, begun_at: Instant::now(), looked, started: false };
    let result = using.go().await;
    using.conclude(result)
}

/// How a process came to rest, or was let go of.
enum End {
    /// The run does not need it any more.
    LetGo,
    Cancelled,
    AtRest,
}

impl Using {
    fn task(&self) -> &Task {
        self.run.shared.graph.task(self.id)
    }

    fn processes(&self) -> &Arc<Processes> {
        &self.run.shared.processes
    }

    async fn go(&mut self) -> Result<(End, Use), Failure> {
        if self.orders.borrow().halt != Halt::No {
            return Err(Failure::cancelled());
        }
        let mut news = Heard::of(self.processes(), self.run.lines_of(self.id) != LiveLines::Off);
        self.run.shared.end_predecessors().await?;
        let mut used = self.take_up()?;
        let task = self.task().name.clone();
        match self.started {
            true => {
                self.run.emitter.flush();
                self.run.emitter.emit(What::TaskStarted { task });
            }
            false => {
                let status = used.state.borrow().status.clone();
                self.run.emitter.emit(What::ProcessState(Box::new(status)));
            }
        }
        let end = self.follow(&mut used, &mut news).await;
        while let Some(told) = news.rest() {
            self.pass_on(told).await;
        }
        Ok((end, used))
    }

    /// Stands for everything it is started with, but for the surrounding environment: who asks for a process that
    /// is up gets that one.
    fn print(&self) -> Digest {
        let task = self.task();
        let written = |(name, value): (&String, &Written<String>)| format!("{name}={:?}", value.written);
        let env: Vec<String> = task.file_env.iter().chain(&task.env).map(written).collect();
        let action = match &task.action {
            Action::Script(text) => text.written.clone(),
            other => format!("{other:?}"),
        };
        let input = task.input.as_ref().map(|input| &input.written);
        let outputs = &self.start.outputs;
        let own = (action, &task.interpreter, &task.cwd, env, input, &task.kind);
        digest_of(format!("{own:?}{outputs:?}{:?}{:?}", self.start.exports, self.made()).as_bytes())
    }

    /// What the tasks upstream of it have made, as far as that is watched. Whoever starts it: a watch compares it with
    /// what it would start.
    fn made(&self) -> Vec<(TaskId, Digest)> {
        let shared = &self.run.shared;
        let Some(watching) = shared.watching.get() else { return Vec::new() };
        let live = watching.catch_up(shared);
        watching.look_at(shared, &live, self.id, &self.start.question.producers).upstream
    }

    /// Has it started, unless it is up.
    fn take_up(&mut self) -> Result<Use, Failure> {
        let (name, request) = (self.task().name.clone(), &self.run.request);
        let renews = request.by_watch;
        let keeping = match (request.keeps, request.by_watch) {
            (false, _) => Keeping::No,
            (true, true) => Keeping::UnlessStopped,
            (true, false) => Keeping::Yes,
        };
        let print = self.print();
        if let Some(watching) = self.run.shared.watching.get() {
            let live = watching.now();
            self.looked = watching.look_at(&self.run.shared, &live, self.id, &[]);
        }
        if let (true, TaskKind::Process(spec)) = (request.strict_ports, &self.task().kind)
            && self.processes().is_up(&name)
        {
            spec.ports.keys().try_for_each(|port| self.run.own_port(self.id, port).map(drop))?;
        }
        let processes = Arc::clone(self.processes());
        // Between the question and the answer it may have ended.
        if processes.need(&name, print, renews, self.start.question.force && renews) == Need::Nothing
            && let Some(used) = processes.adopt(&name, keeping)
        {
            // What its files were when it was begun still counts.
            let standing = self.run.shared.watching.get().and_then(|watching| watching.standing(self.id));
            if let Some(standing) = standing {
                self.looked = standing.looked;
            }
            return Ok(used);
        }
        let prepared = prepare(&self.run, self.id, &self.start)?;
        let how = (renews, self.start.question.force && renews);
        let (used, begun) = processes.begin(&self.run.shared.warden, &name, (prepared, print), how, keeping);
        if begun {
            self.started = true;
            self.run.starts(self.id);
        }
        Ok(used)
    }

    /// Until it is at rest, or nobody needs it.
    async fn follow(&mut self, used: &mut Use, news: &mut Heard) -> End {
        let (mut known, mut paused) = (Came::default(), false);
        loop {
            let came = used.came();
            // The driver outlives what it drives.
            if came.has_begun && !std::mem::replace(&mut known.has_begun, true) {
                let _ = self.heard.send(Observation::Began(self.id));
            }
            if came.is_ready && known.has_begun && !std::mem::replace(&mut known.is_ready, true) {
                let _ = self.heard.send(Observation::Ready(self.id));
            }
            if came.is_over {
                return End::AtRest;
            }
            let now = *self.orders.borrow_and_update();
            if std::mem::replace(&mut paused, now.paused) != now.paused {
                used.pause(now.paused);
            }
            if now.halt != Halt::No || now.is_let_go {
                if paused {
                    used.pause(false);
                }
                return self.give_back(used, news).await;
            }
            tokio::select! {
                () = used.changed() => {}
                changed = self.orders.changed() => if changed.is_err() {
                    return self.give_back(used, news).await;
                },
                told = news.next() => self.pass_on(told).await,
            }
        }
    }

    /// The run does not need it any more. If nobody does, its end is waited for.
    async fn give_back(&mut self, used: &mut Use, news: &mut Heard) -> End {
        if used.release() {
            self.see_off(used, news).await;
        }
        match self.orders.borrow().halt {
            Halt::No => End::LetGo,
            Halt::Terminate | Halt::Kill => End::Cancelled,
        }
    }

    /// Waits for its end, and has it killed if the run is.
    async fn see_off(&mut self, used: &mut Use, news: &mut Heard) {
        let mut orders = self.orders.clone();
        let mut killed = false;
        loop {
            if !killed && orders.borrow_and_update().halt == Halt::Kill {
                killed = true;
                used.kill();
            }
            tokio::select! {
                () = used.rest() => return,
                Ok(()) = orders.changed(), if !killed => {}
                told = news.next() => self.pass_on(told).await,
            }
        }
    }

    /// Passes on what is told of the process, if this run is to tell it.
    async fn pass_on(&self, told: Told) {
        let own = &self.task().name;
        let what = match told {
            Told::Missed(lines) => return self.emit(What::LogGap { task: own.clone(), lines }).await,
            Told::News(what) => what,
        };
        let is_ours = match &*what {
            What::ProcessState(status) => status.task == *own,
            What::Log { task, .. } | What::LogGap { task, .. } => task == own,
            What::Warning { task, .. } => task.as_ref() == Some(own),
            _ => false,
        };
        if is_ours {
            self.emit((*what).clone()).await;
        }
    }

    async fn emit(&self, what: What) {
        // A watch tells itself what becomes of processes, since they outlive its cycles.
        if self.run.request.by_watch {
            return;
        }
        match what {
            What::Log { .. } | What::LogGap { .. } => self.run.emitter.emit_line(what).await,
            what => self.run.emitter.emit(what),
        }
    }
}

impl Using {
    /// What it came to, for the run.
    fn conclude(self, result: Result<(End, Use), Failure>) -> Executed {
        let (outcome, error, used) = match result {
            Ok((End::LetGo, used)) => (Outcome::Succeeded, None, Some(used)),
            Ok((End::Cancelled, used)) => (Outcome::Cancelled, None, Some(used)),
            Ok((End::AtRest, used)) => {
                let (outcome, error) = at_rest(&used);
                (outcome, error, Some(used))
            }
            Err(failure) if failure.is_cancelled() => (Outcome::Cancelled, None, None),
            Err(failure) => (Outcome::Failed, failure.into_error(), None),
        };
        let handed = self.processes().handed(&self.task().name);
        let finished = self.finished(outcome, error, used.as_ref());
        Executed::of_process(self.id, finished, handed, self.looked)
    }

    fn finished(&self, status: Outcome, error: Option<String>, used: Option<&Use>) -> Finished {
        let (task, shared) = (self.task(), &self.run.shared);
        let state = used.map(|used| used.state.borrow());
        let failed = state.as_ref().filter(|_| status == Outcome::Failed);
        let tail = failed.map(|state| {
            let skip = state.tail.len().saturating_sub(self.run.request.tail);
            state.tail.iter().skip(skip).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
        });
        let cwd = shared.display(&task.cwd);
        Finished {
            exit_code: failed.and_then(|state| state.status.exit_code),
            signal: failed.and_then(|state| state.status.signal),
            duration_ms: self.started.then(|| self.begun_at.elapsed().as_secs_f64() * 1000.0),
            error,
            command: super::record::first_line(&task.action, self.run.arguments_of(self.id)),
            cwd: Some(cwd).filter(|cwd| !cwd.is_empty() && cwd != "."),
            log: state.as_ref().and_then(|state| state.status.log.clone()),
            tail: tail.unwrap_or_default(),
            ..Finished::without_execution(task.name.clone(), status)
        }
    }
}

/// What the rest a process came to means to who wanted it.
fn at_rest(used: &Use) -> (Outcome, Option<String>) {
    let state = used.state.borrow();
    let status = &state.status;
    let trouble = |before: String| match &status.trouble {
        Some(trouble) => format!("{before}: {trouble}"),
        None => before,
    };
    match status.stage {
        _ if state.fault.is_some() => (Outcome::Failed, state.fault.clone()),
        Stage::GaveUp => {
            let times = if status.restarts == 1 { "time" } else { "times" };
            (
                Outcome::Failed,
                Some(trouble(format!("given up after it was restarted {} {times}", status.restarts))),
            )
        }
        Stage::Exited if status.exit_code == Some(0) && status.trouble.is_none() => {
            (Outcome::Succeeded, None)
        }
        Stage::Exited => (Outcome::Failed, status.trouble.clone()),
        _ => (Outcome::Succeeded, None),
    }
}
