//! Runs and watches of our own session.

use devtask::{
    Session,
    event::Event,
    serve::Serving,
    session::{Run, RunControl, RunSummary, Watch, WatchControl, WatchSummary},
};

use super::{Conducted, PATIENCE, served};
use crate::{app::refuse, exit::Exit};

/// A run of our own session.
pub(crate) struct OwnRun<'a> {
    run: Run,
    control: RunControl,
    session: &'a Session,
    serving: Option<&'a Serving>,
}

impl<'a> OwnRun<'a> {
    pub(crate) fn new(run: Run, session: &'a Session, serving: Option<&'a Serving>) -> Self {
        Self { control: run.control(), run, session, serving }
    }
}

impl Conducted for OwnRun<'_> {
    type Summary = RunSummary;
    type Fault = Exit;

    async fn next_event(&mut self) -> Option<Event> {
        self.run.next_event().await
    }

    fn interrupt(&self) {
        self.control.interrupt();
    }

    fn kill(&self) {
        self.control.kill();
    }

    async fn pause(&self) {
        self.control.pause();
        stand_still(self.session, self.serving).await;
    }

    fn resume(&self) {
        self.control.resume();
        if let Some(serving) = self.serving {
            serving.pause(false);
        }
    }

    fn others(&self) -> Vec<String> {
        self.serving.map(served).unwrap_or_default()
    }

    async fn finish(self) -> Result<RunSummary, Exit> {
        self.run.finish().await.map_err(|error| refuse(&error))
    }
}

/// A watch of our own session.
pub(crate) struct OwnWatch<'a> {
    watch: Watch,
    control: WatchControl,
    serving: Option<&'a Serving>,
}

impl<'a> OwnWatch<'a> {
    pub(crate) fn new(watch: Watch, serving: Option<&'a Serving>) -> Self {
        Self { control: watch.control(), watch, serving }
    }
}

impl Conducted for OwnWatch<'_> {
    type Summary = WatchSummary;
    type Fault = Exit;

    async fn next_event(&mut self) -> Option<Event> {
        self.watch.next_event().await
    }

    fn interrupt(&self) {
        self.control.interrupt();
    }

    fn kill(&self) {
        self.control.kill();
    }

    async fn pause(&self) {
        self.control.pause();
        stand_still(&self.watch.session().get(), self.serving).await;
    }

    fn resume(&self) {
        self.control.resume();
        if let Some(serving) = self.serving {
            serving.pause(false);
        }
    }

    fn others(&self) -> Vec<String> {
        self.serving.map(served).unwrap_or_default()
    }

    async fn finish(self) -> Result<WatchSummary, Exit> {
        self.watch.finish().await.map_err(|error| refuse(&error))
    }
}

/// Waits until everything that runs, for guests, too, stands still.
pub(super) async fn stand_still(session: &Session, serving: Option<&Serving>) {
    if let Some(serving) = serving {
        serving.pause(true);
    }
    let still = async {
        while !session.is_still() {
            tokio::task::yield_now().await;
        }
    };
    // What cannot be stopped in that time is being ended.
    let _ = tokio::time::timeout(PATIENCE, still).await;
}
