//! What is remembered and told of an execution (spec section 4.3).

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
};

use serde_json::Value;

use super::{
    execute::{Execution, Left},
    memory::Explanation,
    shared::now_ms,
};
use crate::{
    event::Finished,
    fingerprint::FileRow,
    model::{Action, Digest, Outcome, Reason},
    planted::{self, Fault},
    process::{Ended, Exit},
    store::{Batch, RecordState, Streak, Success, Table, TaskRecord},
};

impl Execution {
    /// The record of an execution, with what explains it; none if there is nothing new to remember.
    pub(super) fn record(
        &mut self,
        outcome: Outcome,
        left: Option<&Left>,
        not_fresh: Option<&Reason>,
        (outputs, foreign): (Vec<FileRow>, BTreeSet<Vec<u8>>),
        files: Option<Digest>,
    ) -> Option<(TaskRecord, Option<Explanation>)> {
        let state = match (outcome, not_fresh) {
            (Outcome::Succeeded, Some(Reason::ChangedWhileRunning { path })) => {
                RecordState::ChangedWhileRunning(path.clone())
            }
            (Outcome::Succeeded, None) => RecordState::Fresh,
            (Outcome::Failed, _) => RecordState::Failed,
            // Cancelled, or nothing is known of its inputs: it stays as begun, also when the journal is gone.
            _ if self.begun => RecordState::Begun,
            // It had not begun, or was cached by its status: nothing new.
            _ => return None,
        };
        let counts = self.task().can_be_fresh() && state != RecordState::Begun;
        let success = left.filter(|_| counts).map(|left| self.success(left, files));
        let snapshot = self.start.snapshot.take();
        let (outputs, foreign) = match outcome {
            // What it had made until then it has still made.
            Outcome::Failed => (self.earlier.outputs.clone(), self.earlier.foreign.clone()),
            _ => (outputs, foreign),
        };
        let explanation = snapshot.map(|s| Explanation { manifest: s.manifest, outputs, foreign });
        Some((self.in_state(state, success), explanation))
    }

    fn success(&self, left: &Left, outputs: Option<Digest>) -> Success {
        let earlier = self.start.record.as_ref().and_then(|r| r.success.clone());
        let kept = earlier.filter(|_| planted::is(Fault::OldOutputKept)).and_then(|s| s.output);
        Success {
            key: self.start.snapshot.as_ref().map_or(Digest(0), |s| s.manifest.key()),
            output: left.handed.output.as_ref().map(Value::to_string).or(kept),
            exports: left.handed.exports.clone(),
            messages: left.handed.messages.clone(),
            outputs,
            called: self.called.clone(),
            duration_ms: self.millis(),
            run: self.run.id.clone(),
            at_ms: now_ms(),
        }
    }

    fn millis(&self) -> u64 {
        self.duration.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    /// A record in a state.
    pub(super) fn in_state(&self, state: RecordState, success: Option<Success>) -> TaskRecord {
        let earlier = self.start.record.as_ref();
        let typical_ms = match &state {
            RecordState::Fresh | RecordState::ChangedWhileRunning(_) => Some(self.millis()),
            RecordState::Begun | RecordState::Failed => earlier.and_then(|r| r.typical_ms),
        };
        // A status decides for itself, so what its task last handed on outlives a failure (spec 1.2).
        let success = match self.task().status {
            Some(_) => success.or_else(|| earlier.and_then(|r| r.success.clone())),
            None => success,
        };
        let streak = match &state {
            RecordState::Fresh | RecordState::ChangedWhileRunning(_) => {
                Some(earlier.and_then(|r| r.streak).unwrap_or_else(Streak::another))
            }
            RecordState::Begun | RecordState::Failed => None,
        };
        TaskRecord { state, success, run: self.run.id.clone(), at_ms: now_ms(), typical_ms, streak }
    }

    /// A record as it is stored, with what explains it.
    pub(super) fn batch(&self, record: &TaskRecord, explanation: Option<&Explanation>) -> Batch {
        let name = self.task().name.as_str().as_bytes();
        let mut batch = Batch::new();
        let written = batch.put(Table::Tasks, name, record).and_then(|()| match explanation {
            Some(explanation) => batch.put(Table::Manifests, name, explanation),
            None => Ok(()),
        });
        if written.is_err() {
            // Without a stored form the record has to go: what is not known is run.
            batch.delete(Table::Tasks, name);
        }
        batch
    }

    /// The event that tells of its end.
    pub(super) fn finished(
        &mut self,
        status: Outcome,
        error: Option<String>,
        not_fresh: Option<Reason>,
    ) -> Finished {
        let ended = self.ended.take();
        let exit = ended.as_ref().map_or(Exit::default(), |e| e.exit);
        let tail = ended.as_ref().filter(|_| status == Outcome::Failed).map(|e| self.tail(e));
        let shared = &self.run.shared;
        let log = ended.as_ref().and_then(|e| e.log.as_deref()).map(|p| shared.display(p));
        let cwd = shared.display(&self.task().cwd);
        Finished {
            task: self.task().name.clone(),
            status,
            exit_code: exit.code,
            signal: exit.signal,
            duration_ms: self.duration.map(|d| d.as_secs_f64() * 1000.0),
            reasons: std::mem::take(&mut self.start.reasons),
            error,
            because: Vec::new(),
            command: first_line(&self.task().action, self.run.arguments_of(self.id)),
            cwd: Some(cwd).filter(|c| !c.is_empty() && c != "."),
            log,
            lines: ended.as_ref().map_or(0, |e| e.lines),
            tail: tail.unwrap_or_default(),
            not_fresh,
            leaky: ended.is_some_and(|e| e.leaky),
            soft: false,
            restored: None,
        }
    }

    fn tail(&self, ended: &Ended) -> Vec<String> {
        let skip = ended.tail.len().saturating_sub(self.run.request.tail);
        ended.tail.iter().skip(skip).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }
}

/// What people recognise a task's command by.
pub(super) fn first_line(action: &Action, arguments: &[OsString]) -> Option<String> {
    match action {
        Action::None => None,
        Action::Served(server, _) => Some(server.command_line()),
        Action::Command(path) => {
            let words = std::iter::once(path.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
            Some(words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" "))
        }
        Action::Script(text) => {
            let mut lines = text.value.lines().map(str::trim).filter(|l| !l.is_empty());
            let first = lines.next()?;
            Some(if lines.next().is_some() { format!("{first} …") } else { first.to_owned() })
        }
    }
}
