//! The handle by which a job is stopped from elsewhere.

use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc;

/// Stops a job from wherever it is held; works while [`Job::finish`](super::Job::finish) is awaited, and does nothing
/// once that is over.
#[derive(Clone, Debug)]
pub struct JobControl(mpsc::UnboundedSender<Order>);

/// What a job is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Stop { signal: Signal, grace: Duration },
    Kill,
    Pause,
    Resume,
}

impl JobControl {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (sender, orders) = mpsc::unbounded_channel();
        (Self(sender), orders)
    }

    /// SIGTERM, and SIGKILL to what is left after `grace`.
    pub fn terminate(&self, grace: Duration) {
        self.send(Order::Stop { signal: Signal::TERM, grace });
    }

    /// Like [`JobControl::terminate`] with another signal first (`shutdown.signal`); a number that is
    /// no signal of this system counts as SIGTERM. For long-running processes, which this version does not run
    /// yet.
    pub fn terminate_with(&self, signal: i32, grace: Duration) {
        let signal = Signal::from_named_raw(signal).unwrap_or(Signal::TERM);
        self.send(Order::Stop { signal, grace });
    }

    /// SIGKILL now. A second call also gives up output that a reader does not take.
    pub fn kill(&self) {
        self.send(Order::Kill);
    }

    /// Stops the job's group until [`JobControl::resume`]; its timers stand still. A foreground job
    /// is the terminal's to stop.
    pub fn pause(&self) {
        self.send(Order::Pause);
    }

    /// Lets a paused job run on.
    pub fn resume(&self) {
        self.send(Order::Resume);
    }

    fn send(&self, order: Order) {
        // Nobody takes it: the job is over, and there is nothing to stop.
        let _ = self.0.send(order);
    }
}
