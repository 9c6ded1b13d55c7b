//! Judging freshness (spec section 4): many tasks at once, so that they share one walk of the tree.
//!
//! Synchronous; the driver calls it on the caller's thread before there is a runtime, and on a blocking one then. The order in which reasons are looked for is the
//! order in which they are told: what the user asked for, what became of the last run, what changed, what
//! happened to the outputs.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{
    calls::Call,
    environment::{self, Ambient, variable},
    foresee::{self, Foretold},
    memory::Explanation,
    restore::{self, Restorable},
    results::{HandedOn, Received},
    shared::Shared,
    unmatched::Unmatched,
    watching::Looked,
};
use crate::{
    fingerprint::{Content, Facts, FileRow, Handed, Manifest, compare, count, differing, digest_of},
    model::{Action, Compared, Digest, FileChange, Reason, Task, TaskId, TaskName, TaskSet, UpstreamChange},
    pattern::PatternKind,
    planted::{self, Fault},
    process::find_program,
    scan::{FileSet, Moment, Problem, Sight, relative_name},
    store::{Kept, RecordState, Success, TaskRecord},
};

/// What is asked about one task.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) id: TaskId,
    /// Execute even if it is fresh.
    pub(crate) force: bool,
    /// Arguments after `--`, if it is a root.
    pub(crate) arguments: Vec<Vec<u8>>,
    /// Its input with the command line's merged in, before substitution.
    pub(crate) input: Option<Map<String, Value>>,
    /// What it receives from upstream.
    pub(crate) received: Vec<Received>,
    /// The tasks whose declared outputs are part of its key.
    pub(crate) producers: Arc<Vec<TaskId>>,
    /// What came of the tasks it called when it last ran.
    pub(crate) called: Vec<Call>,
    /// Of those, the ones that cannot be looked at before it.
    pub(crate) not_followed: Vec<TaskName>,
    /// Upstream tasks that a dry run does not execute, assumed to hand on what they did before.
    pub(crate) assumed: Arc<TaskSet>,
    /// What would come back upstream of it in a dry run.
    pub(crate) foretold: Vec<Foretold>,
    /// An upstream task that would run in a dry run.
    pub(crate) upstream_would_run: Option<TaskId>,
    /// Whether to count what was compared, for `why`.
    pub(crate) explain: bool,
    /// What is remembered of its last execution.
    pub(crate) record: Option<TaskRecord>,
    /// How often it has been executed in this session.
    pub(crate) times: u64,
    /// The surrounding environment.
    pub(crate) ambient: Ambient,
}

/// The answer.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) id: TaskId,
    /// Why it must run; empty: it is fresh.
    pub(crate) reasons: Vec<Reason>,
    /// What the last success left, if it is fresh.
    pub(crate) fresh: Option<Success>,
    /// What was compared and found equal.
    pub(crate) compared: Option<Compared>,
    /// The record it was judged by.
    pub(crate) record: Option<TaskRecord>,
    /// How often it had been executed in this session: once it has been again, this verdict says nothing.
    pub(crate) times: u64,
    /// What may come back instead of its execution.
    pub(crate) restorable: Option<Restorable>,
    /// The inputs as they were, for a task that is to run at once.
    pub(crate) snapshot: Option<InputSnapshot>,
    /// Paths that changed, for `DEVTASK_CHANGED_FILES`.
    pub(crate) changed: Vec<PathBuf>,
    /// Globs that matched nothing.
    pub(crate) unmatched: Vec<Unmatched>,
    /// What its sets held.
    pub(crate) looked: Looked,
}

impl Judged {
    /// The verdict over a task that must run, or ask its status, whatever its files are.
    pub(crate) fn without_files(id: TaskId, reason: Reason, record: Option<TaskRecord>, times: u64) -> Self {
        Self {
            id,
            times,
            reasons: vec![reason],
            fresh: None,
            compared: None,
            record,
            restorable: None,
            snapshot: None,
            changed: Vec::new(),
            unmatched: Vec::new(),
            looked: Looked::default(),
        }
    }
}

/// The inputs of a task at one moment.
#[derive(Clone, Debug)]
pub(crate) struct InputSnapshot {
    pub(crate) manifest: Manifest,
    pub(crate) files: Arc<FileSet>,
    /// The declared outputs of upstream tasks.
    pub(crate) upstream: Vec<(TaskId, Arc<FileSet>)>,
    /// The file of a task that is one.
    pub(crate) command: Option<CommandFile>,
    /// When they were looked at, if the tree is watched.
    moment: Option<Moment>,
    /// What its sets held then.
    pub(crate) looked: Looked,
    /// What was at its declared outputs.
    pub(crate) outputs: Option<Arc<FileSet>>,
}

impl InputSnapshot {
    /// Of a manifest that has no files yet.
    fn of(shared: &Shared, id: TaskId, parts: Manifest, seen: &Seen, command: Option<CommandFile>) -> Self {
        let files = seen.inputs.as_ref().map(|sight| shared.files(id, PatternKind::Inputs, sight));
        let files = files.unwrap_or_default();
        let made = |(id, sight): &(TaskId, Sight)| (*id, shared.files(*id, PatternKind::Outputs, sight));
        Self {
            manifest: Manifest { files: rows(shared, &files), ..parts },
            files,
            upstream: seen.upstream.iter().map(made).collect(),
            command,
            moment: seen.moment,
            looked: seen.looked(),
            outputs: seen.outputs.as_ref().map(|sight| shared.files(id, PatternKind::Outputs, sight)),
        }
    }
}

/// Judges tasks that can be fresh.
pub(crate) fn judge(shared: &Shared, questions: Vec<Question>) -> Vec<Judged> {
    let looked = look(shared, &questions);
    questions.into_iter().zip(&looked).map(|(question, seen)| one(shared, question, seen)).collect()
}

/// The inputs of one task, now.
pub(crate) fn snapshot(shared: &Shared, question: &Question) -> InputSnapshot {
    let seen = look(shared, std::slice::from_ref(question)).pop().unwrap_or_default();
    let command = CommandFile::of(&question.ambient, shared.graph.task(question.id)).ok().flatten();
    let manifest = parts(shared, question, &seen, command.as_ref());
    InputSnapshot::of(shared, question.id, manifest, &seen, command)
}

/// The first thing in the key of a task that is not as it was when `before` was taken, other than a declared
/// output of its own: point 4 of the record protocol. Identities, not contents: content may have changed and
/// back.
pub(crate) fn changed_since(
    shared: &Shared,
    ambient: &Ambient,
    id: TaskId,
    before: &InputSnapshot,
) -> Option<PathBuf> {
    let own = shared.patterns(id);
    let changed = |id_of_set: TaskId, kind: PatternKind, files: &FileSet| {
        shared.changed_since((id_of_set, kind), files, before.moment, &own.outputs)
    };
    let upstream = || {
        let mut all = before.upstream.iter();
        all.find_map(|(producer, files)| changed(*producer, PatternKind::Outputs, files))
    };
    let command = || {
        let was = before.command.as_ref()?;
        let now = CommandFile::of(ambient, shared.graph.task(id)).ok().flatten();
        (now.as_ref() != Some(was)).then(|| was.path.clone())
    };
    changed(id, PatternKind::Inputs, &before.files).or_else(upstream).or_else(command)
}

/// The declared outputs of a task, now.
pub(crate) fn outputs(shared: &Shared, id: TaskId) -> FileSet {
    shared.files_now(id, PatternKind::Outputs)
}

/// What the disk shows of one task: of patterns it has.
#[derive(Debug, Default)]
struct Seen {
    inputs: Option<Sight>,
    outputs: Option<Sight>,
    /// The declared outputs of its producers.
    upstream: Vec<(TaskId, Sight)>,
    /// When, if the tree is watched.
    moment: Option<Moment>,
    /// Those of the tasks it called.
    called: Vec<(TaskId, Sight)>,
}

impl Seen {
    /// What could not be looked at among what the key is made of.
    fn problems(&self) -> impl Iterator<Item = &Problem> {
        let others = self.upstream.iter().chain(&self.called).map(|(_, sight)| sight);
        self.inputs.iter().chain(others).flat_map(Sight::problems)
    }

    /// What the sets hold, for who watches them.
    fn looked(&self) -> Looked {
        if self.moment.is_none() {
            return Looked::default();
        }
        Looked {
            inputs: self.inputs.as_ref().map(Sight::content),
            outputs: self.outputs.as_ref().map(Sight::content),
            upstream: self.upstream.iter().map(|(id, sight)| (*id, sight.content())).collect(),
        }
    }

    /// The digest of the inputs.
    fn content(&self) -> Digest {
        self.inputs.as_ref().map_or_else(|| Content::default().digest(), Sight::content)
    }
}

/// One look for all the tasks and their producers. Outputs of upstream tasks are looked at as they are now,
/// whatever their task left: somebody may have changed them since, and a task that failed may have written
/// them, too.
fn look(shared: &Shared, questions: &[Question]) -> Vec<Seen> {
    use PatternKind::{Inputs, Outputs};
    let of_others = |q: &Question| {
        let called = q.called.iter().flat_map(|call| call.producers.iter().copied());
        q.producers.iter().copied().chain(called).collect::<Vec<_>>()
    };
    let producers: BTreeSet<TaskId> = questions.iter().flat_map(of_others).collect();
    let task = |id: &TaskId| shared.graph.task(*id);
    let own = questions.iter().flat_map(|q| [(q.id, Inputs), (q.id, Outputs)]);
    let asked = own.chain(producers.into_iter().map(|id| (id, Outputs)));
    let asked: Vec<(TaskId, PatternKind)> = asked
        .filter(|(id, kind)| match kind {
            Inputs => !task(id).exec_if_modified.is_empty(),
            Outputs => !task(id).outputs.is_empty(),
        })
        .collect();
    let (sights, moment) = shared.look(&asked);
    let sights: HashMap<_, _> = asked.iter().copied().zip(sights).collect();
    let seen = |question: &Question| Seen {
        inputs: sights.get(&(question.id, Inputs)).cloned(),
        outputs: sights.get(&(question.id, Outputs)).cloned(),
        upstream: question
            .producers
            .iter()
            .filter_map(|id| Some((*id, sights.get(&(*id, Outputs))?.clone())))
            .collect(),
        moment,
        called: question
            .called
            .iter()
            .flat_map(|call| call.producers.iter())
            .filter_map(|id| Some((*id, sights.get(&(*id, Outputs))?.clone())))
            .collect(),
    };
    questions.iter().map(seen).collect()
}

fn one(shared: &Shared, mut question: Question, seen: &Seen) -> Judged {
    let task = shared.graph.task(question.id);
    let record = question.record.take();
    let command = CommandFile::of(&question.ambient, task);
    let mut now = parts(shared, &question, seen, command.as_ref().ok().and_then(Option::as_ref));
    let mut cause = Cause { shared, question: &question, explanation: None };
    if !question.assumed.is_empty() {
        let earlier = cause.explanation().manifest.clone();
        now.assume_upstream(&earlier, |name| {
            // Only of what it still sees: an edge may have gone since.
            let sees = |id: TaskId| question.received.iter().any(|received| received.task == id);
            let calls = |id: TaskId| {
                question.called.iter().any(|call| call.task == id && call.rests_on(&question.assumed))
            };
            let is_assumed = |id: TaskId| (question.assumed.contains(id) && sees(id)) || calls(id);
            shared.graph.id(name.as_str()).is_some_and(is_assumed)
        });
    }
    // What is to come back would match.
    let inputs = seen.inputs.as_ref().filter(|_| question.foretold.is_empty());
    let unmatched = inputs.map(|inputs| Unmatched::of(shared, question.id, inputs));
    let mut judged = Judged {
        id: question.id,
        reasons: Vec::new(),
        fresh: None,
        compared: None,
        record,
        times: question.times,
        restorable: None,
        snapshot: None,
        changed: Vec::new(),
        unmatched: unmatched.unwrap_or_default(),
        looked: seen.looked(),
    };
    let foreseen = (!question.foretold.is_empty() && seen.inputs.is_some()).then(|| {
        let found = seen.inputs.as_ref().map(|sight| shared.files(question.id, PatternKind::Inputs, sight));
        let rows = rows(shared, &found.unwrap_or_default());
        foresee::inputs(shared, question.id, rows, &question.foretold)
    });
    let content = foreseen.as_deref().map_or_else(|| seen.content(), digest_of_rows);
    let same = cause.is_same(judged.record.as_ref(), now.key_with(content), seen);
    if same && command.is_ok() && !question.explain {
        judged.fresh = judged.record.as_ref().and_then(|r| r.success.clone());
        return judged;
    }
    let problem = command.as_ref().err().map(|problem| cause.unreadable(problem));
    let mut snapshot = InputSnapshot::of(shared, question.id, now, seen, command.ok().flatten());
    if let Some(foreseen) = foreseen {
        snapshot.manifest.files = foreseen;
    }
    (judged.reasons, judged.changed) = cause.find(judged.record.as_ref(), &snapshot.manifest, seen);
    judged.reasons.extend(problem);
    judged.compared = question.explain.then(|| count(&cause.explanation().manifest, &snapshot.manifest));
    match judged.reasons.is_empty() {
        true => judged.fresh = judged.record.as_ref().and_then(|r| r.success.clone()),
        false => {
            judged.restorable = cause.restorable(judged.record.as_ref(), &snapshot.manifest, seen);
            judged.snapshot = Some(snapshot);
        }
    }
    judged
}

/// Looks for reasons; reads the explanation of the last run only if there is something to explain.
struct Cause<'a> {
    shared: &'a Shared,
    question: &'a Question,
    explanation: Option<Arc<Explanation>>,
}

impl Cause<'_> {
    fn explanation(&mut self) -> &Explanation {
        let (shared, id) = (self.shared, self.question.id);
        self.explanation.get_or_insert_with(|| shared.explanation(id))
    }

    /// Whether nothing speaks against the last success, with the key of `now`.
    fn is_same(&self, record: Option<&TaskRecord>, now: Digest, seen: &Seen) -> bool {
        let Some(TaskRecord { state: RecordState::Fresh, success: Some(success), .. }) = record else {
            return false;
        };
        let outputs = seen.outputs.as_ref().filter(|_| !planted::is(Fault::OutputsUnchecked));
        !self.question.force
            && self.question.not_followed.is_empty()
            && self.question.upstream_would_run.is_none()
            && seen.problems().next().is_none()
            && success.key == now
            && outputs.is_none_or(|o| o.problems().is_empty() && success.outputs == Some(o.content()))
    }

    fn find(
        &mut self,
        record: Option<&TaskRecord>,
        now: &Manifest,
        seen: &Seen,
    ) -> (Vec<Reason>, Vec<PathBuf>) {
        let mut reasons = Vec::new();
        let mut changed = Vec::new();
        if self.question.force {
            reasons.push(Reason::Forced);
        }
        reasons.extend(seen.problems().map(|p| self.unreadable(p)));
        match record {
            None => reasons.push(Reason::NeverRan),
            Some(record) => {
                reasons.extend(self.last_run(&record.state));
                let same = record.success.as_ref().is_some_and(|s| s.key == now.key());
                if !same {
                    let earlier = self.explanation().manifest.clone();
                    let is_told = |reason: &Reason| {
                        matches!(reason, Reason::Upstream { task, change: UpstreamChange::Disappeared }
                            if self.question.not_followed.contains(task))
                    };
                    reasons.extend(compare(&earlier, now).into_iter().filter(|reason| !is_told(reason)));
                    let files = differing(&earlier.files, &now.files);
                    changed.extend(files.into_iter().map(|(row, _)| self.shared.absolute(&row.path)));
                }
                let outputs = seen.outputs.as_ref().filter(|_| !planted::is(Fault::OutputsUnchecked));
                if let (Some(success), Some(outputs)) = (&record.success, outputs) {
                    reasons.extend(self.output_reasons(success.outputs, outputs));
                }
                if reasons.is_empty() && !same && self.question.not_followed.is_empty() {
                    // The record and its explanation are not of one run; believe neither.
                    reasons.push(Reason::RecordIncomplete);
                }
            }
        }
        let not_followed = self.question.not_followed.iter();
        reasons.extend(
            not_followed
                .map(|task| Reason::Upstream { task: task.clone(), change: UpstreamChange::NotFollowed }),
        );
        if let Some(upstream) = self.question.upstream_would_run {
            reasons.push(Reason::UpstreamWouldRun { task: self.shared.graph.name(upstream).clone() });
        }
        (reasons, changed)
    }

    /// An earlier success with the key of now, if nothing but the outputs, or what the key was in between, speaks
    /// against it (spec section 4.5).
    fn restorable(&self, record: Option<&TaskRecord>, now: &Manifest, seen: &Seen) -> Option<Restorable> {
        let (shared, question) = (self.shared, self.question);
        let streak = record?.streak;
        let outputs_read = seen.outputs.as_ref().is_none_or(|outputs| outputs.problems().is_empty());
        let may = shared.graph.task(question.id).is_kept()
            && !question.force
            && question.not_followed.is_empty()
            && question.upstream_would_run.is_none()
            && seen.problems().next().is_none()
            && outputs_read;
        let find = |manifest: Manifest, calls: &[Call]| {
            let kept = shared.keeper.find(shared.graph.name(question.id), manifest.key())?;
            if !self.others_stand(&kept, seen) {
                return None;
            }
            // Who only looks does not find out in trying.
            if question.explain && !shared.keeper.has_all_of(&kept) {
                return None;
            }
            // What it called then is what was asked about now.
            let same_calls = kept.success.called.iter().map(|called| shared.graph.id(called.task.as_str()));
            let is_unbroken = streak == Some(kept.streak) || planted::is(Fault::StreakForgotten);
            let is_it = is_unbroken && same_calls.eq(calls.iter().map(|call| Some(call.task)));
            is_it.then(|| Restorable { kept, manifest, looked: seen.looked() })
        };
        if !may {
            return None;
        }
        find(now.clone(), &question.called).or_else(|| {
            // It may not have called anything then.
            let mut alone = now.clone();
            alone.set_calls([]);
            (!question.called.is_empty()).then(|| find(alone, &[])).flatten()
        })
    }

    /// Whether what lay beside a result and is not the task's own is as it was then.
    fn others_stand(&self, kept: &Kept, seen: &Seen) -> bool {
        if kept.others.is_empty() {
            return true;
        }
        let found = seen
            .outputs
            .as_ref()
            .map(|sight| self.shared.files(self.question.id, PatternKind::Outputs, sight));
        let found = found.map(|files| rows(self.shared, &files)).unwrap_or_default();
        kept.others.iter().all(|other| restore::row_of(&other.path, &found) == Some(other))
    }

    fn last_run(&self, state: &RecordState) -> Option<Reason> {
        match state {
            RecordState::Fresh => None,
            RecordState::Begun => Some(Reason::LastRunInterrupted),
            RecordState::Failed => Some(Reason::LastRunFailed),
            RecordState::ChangedWhileRunning(path) => {
                Some(Reason::ChangedWhileRunning { path: path.clone() })
            }
        }
    }

    fn unreadable(&self, problem: &Problem) -> Reason {
        Reason::Unreadable { path: self.shared.display(&problem.path), error: problem.error.clone() }
    }

    /// Declared outputs must be as the last success left them (hazard A16).
    fn output_reasons(&mut self, recorded: Option<Digest>, now: &Sight) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = now.problems().iter().map(|p| self.unreadable(p)).collect();
        if recorded == Some(now.content()) {
            return reasons;
        }
        let rows = rows(self.shared, &self.shared.files(self.question.id, PatternKind::Outputs, now));
        let before = self.explanation().outputs.clone();
        let reason = |(row, change): (&FileRow, FileChange)| Reason::Output {
            path: String::from_utf8_lossy(&row.path).into_owned(),
            change,
        };
        reasons.extend(differing(&before, &rows).into_iter().map(reason));
        if reasons.is_empty() {
            reasons.push(Reason::RecordIncomplete);
        }
        reasons
    }
}

/// The manifest, without the rows of its files.
fn parts(shared: &Shared, question: &Question, seen: &Seen, command: Option<&CommandFile>) -> Manifest {
    let task = shared.graph.task(question.id);
    let mut upstream: Vec<Handed<'_>> =
        question.received.iter().map(|r| r.as_handed(&shared.graph)).collect();
    upstream.extend(seen.upstream.iter().map(|(id, sight)| Handed {
        task: shared.graph.name(*id),
        output: None,
        exports: &[],
        files: Some(foresee::outputs_of(&question.foretold, *id).unwrap_or_else(|| sight.content())),
    }));
    let facts = Facts {
        task,
        command: command.map(|c| c.digest),
        arguments: &question.arguments,
        cwd: &relative_name(&shared.root, &task.cwd),
        input: question.input.as_ref(),
        tracked: &environment::tracked(&question.ambient, &task.track_env),
        upstream: &upstream,
    };
    let mut manifest = Manifest::new(&facts, Vec::new());
    let content = |id| seen.called.iter().find(|(seen, _)| *seen == id).map(|(_, sight)| sight.content());
    manifest.set_calls(question.called.iter().map(|call| call.digest(&shared.graph, content)));
    manifest
}

/// The file of a task that is one (devenv's `command`): its bytes are part of the key (spec section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandFile {
    pub(crate) path: PathBuf,
    digest: Digest,
    /// Inode, modification and change time: what tells that it was another in between.
    identity: (u64, i64, i64, i64, i64),
}

impl CommandFile {
    /// Reads it; none for a task that is no file. A problem makes the task run, and say then what is wrong.
    pub(crate) fn of(ambient: &Ambient, task: &Task) -> Result<Option<Self>, Problem> {
        let Action::Command(command) = &task.action else { return Ok(None) };
        let Some(path) = Self::place(ambient, task) else {
            return Err(Problem { path: command.clone(), error: "there is no such program".to_owned() });
        };
        let read = |path: &Path| {
            let found = fs::metadata(path)?;
            let times = (found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec());
            let identity = (found.ino(), times.0, times.1, times.2, times.3);
            Ok((digest_of(&fs::read(path)?), identity))
        };
        match read(&path) {
            Ok((digest, identity)) => Ok(Some(Self { path, digest, identity })),
            Err(error) => Err(Problem { path, error: io::Error::to_string(&error) }),
        }
    }

    /// Where it is; none, too, if it is nowhere.
    pub(crate) fn place(ambient: &Ambient, task: &Task) -> Option<PathBuf> {
        let Action::Command(command) = &task.action else { return None };
        find_program(command.as_os_str(), variable(ambient, "PATH"), &task.cwd)
    }
}

/// The files of a set as they stand in a manifest.
pub(crate) fn rows(shared: &Shared, files: &FileSet) -> Vec<FileRow> {
    let row = |e: &crate::scan::FileEntry| FileRow {
        path: relative_name(&shared.root, &e.path),
        kind: e.kind,
        digest: if planted::is(Fault::TimesKeyed) {
            Digest(e.identity.mtime.ns().cast_unsigned())
        } else {
            e.digest
        },
    };
    let mut rows: Vec<FileRow> = files.entries.iter().map(row).collect();
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    rows
}

/// One digest for a list of files, names included.
pub(crate) fn digest_of_rows(rows: &[FileRow]) -> Digest {
    Content::of(rows)
}

impl HandedOn {
    /// What a fresh task hands on.
    pub(crate) fn of(fresh: Option<&Success>) -> Arc<Self> {
        Arc::new(fresh.map(Self::from_record).unwrap_or_default())
    }
}
