//! The road of events from wherever they happen to the run's log and its reader.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::runlog::RunLog;
use crate::event::{Event, VERSION, What};

/// How many lines may be under way to a reader. Everything else an event says is small and bounded by the
/// number of tasks; lines are not, so a reader that does not read holds up whoever writes them.
const LINES_UNDER_WAY: usize = ALL_PLACES as usize;
const ALL_PLACES: u32 = 1024;

/// An event, and the place it takes until it is read.
pub(crate) type Parcel = (Event, Option<OwnedSemaphorePermit>);

/// Sends events.
#[derive(Debug)]
pub(crate) struct Emitter {
    to: mpsc::UnboundedSender<Parcel>,
    log: Mutex<Log>,
    lines: Arc<Semaphore>,
}

/// The run's log, and whether its last event was told.
#[derive(Debug)]
struct Log {
    file: RunLog,
    is_over: bool,
}

impl Emitter {
    pub(crate) fn new(log: RunLog) -> (Self, mpsc::UnboundedReceiver<Parcel>) {
        let (to, from) = mpsc::unbounded_channel();
        let lines = Arc::new(Semaphore::new(LINES_UNDER_WAY));
        (Self { to, log: Mutex::new(Log { file: log, is_over: false }), lines }, from)
    }

    /// Tells what happened.
    pub(crate) fn emit(&self, what: What) {
        self.emit_to(&mut self.log(), what);
    }

    /// Tells the last there is to tell, and completes the log.
    pub(crate) fn emit_last(&self, what: What) {
        let mut log = self.log();
        self.emit_to(&mut log, what);
        log.is_over = true;
        log.file.finish();
    }

    /// Tells what happened, unless the last was told; whether it was not.
    pub(crate) fn emit_in_time(&self, what: What) -> bool {
        let mut log = self.log();
        let is_in_time = !log.is_over;
        if is_in_time {
            self.emit_to(&mut log, what);
        }
        is_in_time
    }

    fn emit_to(&self, log: &mut Log, what: What) {
        let event = Event { v: VERSION, time: SystemTime::now(), what };
        log.file.write(&event);
        // Nobody may be listening any more; the log has it.
        let _ = self.to.send((event, None));
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what somebody else told.
    pub(crate) fn forward(&self, parcel: Parcel) {
        let _ = self.to.send(parcel);
    }

    /// Tells what must not rest on disk (spec section 8).
    pub(crate) fn emit_unlogged(&self, what: What) {
        let _ = self.to.send((Event { v: VERSION, time: SystemTime::now(), what }, None));
    }

    /// Passes a line on, once there is room.
    pub(crate) async fn emit_line(&self, what: What) {
        // The semaphore is never closed.
        let room = Arc::clone(&self.lines).acquire_owned().await.ok();
        let _ = self.to.send((Event { v: VERSION, time: SystemTime::now(), what }, room));
    }

    /// Passes a line on if there is room; whether there was.
    pub(crate) fn offer_line(&self, what: What) -> bool {
        let Ok(room) = Arc::clone(&self.lines).try_acquire_owned() else { return false };
        let _ = self.to.send((Event { v: VERSION, time: SystemTime::now(), what }, Some(room)));
        true
    }

    /// Tells what happened, and waits until the reader is done with it and with every line before it.
    pub(crate) async fn emit_and_wait(&self, what: What) {
        let event = Event { v: VERSION, time: SystemTime::now(), what };
        self.log().file.write(&event);
        // The semaphore is never closed.
        let room = Arc::clone(&self.lines).acquire_owned().await.ok();
        let _ = self.to.send((event, room));
        // All places are free once everything that took one has been read.
        let _ = self.lines.acquire_many(ALL_PLACES).await;
    }

    /// Puts into the log's file what waits: what follows may be the end of this process.
    pub(crate) fn flush(&self) {
        self.log().file.flush();
    }
}
