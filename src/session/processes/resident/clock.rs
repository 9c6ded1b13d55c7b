//! The clock of a process: it stands still while the process does, so that no probe fails and no watchdog bites meanwhile.

use std::time::{Duration, Instant};

/// Time since it was first asked for, without that in which it was paused.
#[derive(Debug)]
pub(super) struct Clock {
    begun: Instant,
    paused: Duration,
    since: Option<Instant>,
}

impl Clock {
    /// From now on.
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), paused: Duration::ZERO, since: None }
    }

    /// Whether it stands still.
    pub(super) const fn is_paused(&self) -> bool {
        self.since.is_some()
    }

    pub(super) fn now(&self) -> Duration {
        let now = self.since.unwrap_or_else(Instant::now);
        now.duration_since(self.begun).saturating_sub(self.paused)
    }

    /// When that time will have come; never while it stands still.
    pub(super) fn instant(&self, at: Duration) -> Option<Instant> {
        let never = self.since.is_some();
        (!never).then(|| self.begun.checked_add(self.paused + at)).flatten()
    }

    pub(super) fn pause(&mut self) -> bool {
        let begins = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        begins
    }

    pub(super) fn resume(&mut self) -> bool {
        let since = self.since.take();
        self.paused += since.map(|since| since.elapsed()).unwrap_or_default();
        since.is_some()
    }
}
