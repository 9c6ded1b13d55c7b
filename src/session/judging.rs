//! A run as far as it gets without executing anything: on the calling thread, without a runtime.
//!
//! Most runs find everything fresh. They shall not pay for threads and a runtime that only tasks need.

use std::{fmt, sync::Arc};

use tokio::sync::mpsc;

use super::{
    drive::Driver,
    emit::Parcel,
    followed::Followed,
    run::{Run, RunControl, RunSummary},
};
use crate::event::Event;

/// A run whose tasks are being judged on the calling thread, until something has to be executed. Dropping it
/// ends the run; nothing was executed.
pub struct Judging {
    state: State,
    events: mpsc::UnboundedReceiver<Parcel>,
}

enum State {
    UnderWay(Box<Driver>),
    Over(Box<RunSummary>),
}

/// A run that cannot get on without a runtime: something has to be executed, or what was learnt to be saved.
/// Dropping it ends the run; nothing was executed.
pub struct Pending {
    driver: Box<Driver>,
    events: mpsc::UnboundedReceiver<Parcel>,
}

impl Judging {
    pub(super) fn new(driver: Driver, events: mpsc::UnboundedReceiver<Parcel>) -> Self {
        Self { state: State::UnderWay(Box::new(driver)), events }
    }

    /// A run that was over at once.
    pub(super) fn over(summary: RunSummary, events: mpsc::UnboundedReceiver<Parcel>) -> Self {
        Self { state: State::Over(Box::new(summary)), events }
    }

    /// The next event; judges for as long as there is none. None: the run is over, or [`Pending`].
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Ok((event, _)) = self.events.try_recv() {
                return Some(event);
            }
            if !self.advance() {
                return None;
            }
        }
    }

    /// What the run came to, once all is judged.
    ///
    /// # Errors
    /// The rest of the run, if it is not over, with the events that were not read.
    pub fn finish(mut self) -> Result<RunSummary, Pending> {
        while self.advance() {}
        let Self { state, events } = self;
        match state {
            State::Over(summary) => Ok(*summary),
            State::UnderWay(driver) => Err(Pending { driver, events }),
        }
    }

    fn advance(&mut self) -> bool {
        let State::UnderWay(driver) = &mut self.state else { return false };
        if driver.look() {
            return true;
        }
        match driver.end_here() {
            Some(summary) => {
                self.state = State::Over(Box::new(summary));
                true
            }
            None => false,
        }
    }
}

impl Pending {
    pub(super) fn new(driver: Driver, events: mpsc::UnboundedReceiver<Parcel>) -> Self {
        Self { driver: Box::new(driver), events }
    }

    /// Goes on. Must be called within a tokio runtime.
    #[must_use]
    pub fn go_on(self) -> Run {
        let (commands, heard) = mpsc::unbounded_channel();
        let only_waits = Arc::clone(&self.driver.run.only_waits);
        let driver = tokio::spawn(self.driver.drive(heard));
        Run { followed: Followed::new(self.events, driver), commands: RunControl(commands), only_waits }
    }
}

impl fmt::Debug for Judging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = match &self.state {
            State::Over(summary) => Some(summary),
            State::UnderWay(_) => None,
        };
        f.debug_struct("Judging").field("summary", &summary).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use crate::{Outcome, Request, Session, Task, TaskGraph};

    /// A session over one task with an input and an output.
    fn session(root: &Path) -> Session {
        let task = Task::shell("a:t", "cat in > out").exec_if_modified(["in"]).outputs(["out"]);
        let graph = TaskGraph::builder().task(task).build().unwrap();
        Session::builder(graph).root(root).environment(std::env::vars_os()).open_blocking().unwrap()
    }

    #[test]
    fn only_what_has_to_be_executed_needs_a_runtime() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("in"), "1").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = || {
            let session = session(root.path());
            let (summary, executed) = match session.judge(Request::run(["a:t"])).unwrap().finish() {
                Ok(summary) => (summary, false),
                Err(pending) => {
                    let summary = runtime.block_on(async { pending.go_on().finish().await });
                    (summary.unwrap(), true)
                }
            };
            runtime.block_on(session.close()).unwrap();
            (summary.outcomes[0].1, executed)
        };
        assert_eq!(run(), (Outcome::Succeeded, true));
        // What was learnt of files that were too new to be trusted may have to be saved once or twice.
        let mut later = (0..1000).map(|_| run());
        assert!(later.any(|ended| ended == (Outcome::Cached, false)));
    }

    #[test]
    fn events_come_in_order_and_none_is_lost_where_the_run_goes_on() {
        let root = tempfile::tempdir().unwrap();
        let session = session(root.path());
        let mut judging = session.judge(Request::run(["a:t"])).unwrap();
        let mut told = vec![judging.next_event().unwrap().what];
        let pending = judging.finish().unwrap_err();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = pending.go_on();
            while let Some(event) = run.next_event().await {
                told.push(event.what);
            }
        });
        let told: Vec<String> =
            told.iter().map(|what| serde_json::to_value(what).unwrap()["event"].to_string()).collect();
        let expected = ["run_started", "plan", "decision", "task_started", "task_finished", "run_finished"];
        assert_eq!(told, expected.map(|name| format!("\"{name}\"")));
        runtime.block_on(session.close()).unwrap();
    }
}
