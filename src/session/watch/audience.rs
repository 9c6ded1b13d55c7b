//! Who reads what a watch tells: whoever started it, and others who attached to it while it was under way.
//!
//! Nobody who attached holds the watch up: of one who is slow to read lines of tasks are left out, and one who
//! reads nothing is let go of. While nobody is attached nothing is done for them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use tokio::sync::{mpsc, oneshot};

use super::turns::Turns;
use crate::{
    event::{Event, VERSION, What},
    model::TaskName,
    session::emit::{Emitter, Parcel},
};

/// How many events may wait for one who attached, lines of tasks included. They are small, and bounded in a cycle by
/// the number of its tasks.
const EVENTS: usize = 1 << 14;
/// While so many wait, lines of tasks are left out.
const LINES: usize = 1 << 10;

/// What a watch that is under way tells: how things stand, and then everything that happens.
#[derive(Debug)]
pub struct Attachment {
    from: mpsc::Receiver<Event>,
    is_over: Arc<AtomicBool>,
}

impl Attachment {
    /// The next event; none once the watch is over, or has let go of us because we did not read. Can be dropped and
    /// called again.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.from.recv().await
    }

    /// Whether the watch has ended as it was told to.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

/// Why nobody can attach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// Some tasks are not watched.
    #[error("not every task is watched")]
    Unwatched {
        /// These are not.
        missing: Vec<TaskName>,
        /// What was asked for when the watch was started.
        watched: Vec<TaskName>,
    },
    /// The watch is over.
    #[error("the watch is over")]
    Over,
}

/// Where the answer to one who wants to attach goes.
pub(super) type Reply = oneshot::Sender<Result<Attachment, AttachError>>;

/// Everybody who reads.
pub(super) struct Audience {
    host: Emitter,
    seats: Vec<Seat>,
    /// How many lines of processes were left out for whoever started it, since that was told.
    left_out: BTreeMap<TaskName, u64>,
}

/// One who attached.
struct Seat {
    to: mpsc::Sender<Event>,
    is_over: Arc<AtomicBool>,
    /// How many lines were left out since that was told.
    left_out: BTreeMap<TaskName, u64>,
}

impl Audience {
    pub(super) const fn new(host: Emitter) -> Self {
        Self { host, seats: Vec::new(), left_out: BTreeMap::new() }
    }

    /// Tells what happened.
    pub(super) fn emit(&mut self, what: What) {
        self.forward((now(what), None));
    }

    /// Passes on what somebody else told.
    pub(super) fn forward(&mut self, parcel: Parcel) {
        self.seats.retain_mut(|seat| seat.tell(&parcel.0));
        self.host.forward(parcel);
    }

    /// Tells a line a process wrote, or how many were left out. Nobody holds up a process: what is not read in time
    /// is in its log.
    pub(super) fn line(&mut self, what: What) {
        let event = now(what);
        self.seats.retain_mut(|seat| seat.tell(&event));
        let (task, lines) = match &event.what {
            What::Log { task, .. } => (task.clone(), 1),
            What::LogGap { task, lines } => (task.clone(), *lines),
            _ => return,
        };
        let gap = self.left_out.get(&task).copied();
        let is_told = gap.is_none_or(|lines| {
            let told = self.host.offer_line(What::LogGap { task: task.clone(), lines });
            if told {
                self.left_out.remove(&task);
            }
            told
        });
        if !(is_told && self.host.offer_line(event.what)) {
            *self.left_out.entry(task).or_default() += lines;
        }
    }

    /// One more, who is told this first.
    fn admit(&mut self, present: Vec<What>) -> Attachment {
        let (to, from) = mpsc::channel(EVENTS);
        let is_over = Arc::new(AtomicBool::new(false));
        let mut seat = Seat { to, is_over: Arc::clone(&is_over), left_out: BTreeMap::new() };
        if present.into_iter().all(|what| seat.tell(&now(what))) {
            self.seats.push(seat);
        }
        Attachment { from, is_over }
    }

    /// Nothing more will be told.
    pub(super) fn end(&mut self) {
        for mut seat in self.seats.drain(..) {
            seat.tell_gaps(SystemTime::now());
            seat.is_over.store(true, Ordering::Release);
        }
    }
}

impl Seat {
    /// False: it is gone, or as good as gone.
    fn tell(&mut self, event: &Event) -> bool {
        if EVENTS - self.to.capacity() >= LINES {
            let left_out = match &event.what {
                What::Log { task, .. } => Some((task, 1)),
                What::LogGap { task, lines } => Some((task, *lines)),
                _ => None,
            };
            if let Some((task, lines)) = left_out {
                *self.left_out.entry(task.clone()).or_default() += lines;
                return !self.to.is_closed();
            }
        }
        self.tell_gaps(event.time);
        self.to.try_send(event.clone()).is_ok()
    }

    fn tell_gaps(&mut self, time: SystemTime) {
        for (task, lines) in std::mem::take(&mut self.left_out) {
            // If there is no room for it there is none for what follows, either.
            let _ = self.to.try_send(Event { v: VERSION, time, what: What::LogGap { task, lines } });
        }
    }
}

fn now(what: What) -> Event {
    Event { v: VERSION, time: SystemTime::now(), what }
}

impl Turns {
    /// Somebody wants to attach, to see these tasks kept true.
    pub(super) fn attach(&mut self, wanted: Vec<TaskName>, reply: Reply) {
        let (graph, scheduled) = (&self.session.shared.graph, self.plan.scheduled());
        let is_watched = |name: &TaskName| graph.id(name.as_str()).is_some_and(|id| scheduled.contains(id));
        let missing: Vec<TaskName> = wanted.into_iter().filter(|name| !is_watched(name)).collect();
        let attached = if missing.is_empty() {
            let present = self.present();
            Ok(self.audience.admit(present))
        } else {
            Err(AttachError::Unwatched { missing, watched: self.names(self.plan.roots().iter()) })
        };
        // Who has gone meanwhile is missed at the next event.
        let _ = reply.send(attached);
    }

    /// How things stand, for one who has heard nothing so far.
    fn present(&self) -> Vec<What> {
        let mut present = vec![self.watch_started()];
        if let Some(health) = &self.health {
            present.push(What::WatchHealth { degraded: Some(health.clone()) });
        }
        present.push(self.standings());
        let processes = self.session.shared.processes.statuses().into_iter();
        present.extend(processes.map(|status| What::ProcessState(Box::new(status))));
        if !self.is_busy() {
            present.push(self.waiting());
        }
        present
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::runlog::RunLog;

    fn task() -> TaskName {
        TaskName::new("a:t").unwrap()
    }

    fn line() -> What {
        What::Log { task: task(), stream: crate::event::Stream::Stdout, line: "x".to_owned() }
    }

    fn started() -> What {
        What::TaskStarted { task: task() }
    }

    fn drained(attachment: &mut Attachment) -> Vec<What> {
        std::iter::from_fn(|| attachment.from.try_recv().ok()).map(|event| event.what).collect()
    }

    #[test]
    fn who_does_not_read_loses_lines_and_is_told_how_many() {
        let (host, mut read) = Emitter::new(RunLog::none());
        let mut audience = Audience::new(host);
        let mut slow = audience.admit(vec![started()]);
        for _ in 0..LINES + 4 {
            audience.emit(line());
        }
        audience.emit(What::LogGap { task: task(), lines: 2 });
        let found = drained(&mut slow);
        assert_eq!(found.len(), LINES, "and the rest was left out");
        audience.emit(line());
        assert_eq!(drained(&mut slow), [What::LogGap { task: task(), lines: 7 }, line()]);
        // Whoever started the watch has everything.
        let all = std::iter::from_fn(|| read.try_recv().ok()).count();
        assert_eq!(all, LINES + 6);
    }

    #[test]
    fn who_reads_nothing_is_let_go_of_and_is_not_told_that_it_is_over() {
        let (host, _read) = Emitter::new(RunLog::none());
        let mut audience = Audience::new(host);
        let (mut slow, mut quick) = (audience.admit(Vec::new()), audience.admit(Vec::new()));
        for _ in 0..=EVENTS {
            audience.emit(started());
            assert_eq!(drained(&mut quick), [started()]);
        }
        assert_eq!(audience.seats.len(), 1);
        audience.emit(started());
        audience.end();
        assert_eq!(drained(&mut slow).len(), EVENTS);
        assert!(!slow.is_over());
        assert_eq!(drained(&mut quick), [started()]);
        assert!(quick.is_over());
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let (host, _read) = Emitter::new(RunLog::none());
        let mut audience = Audience::new(host);
        drop(audience.admit(Vec::new()));
        audience.emit(started());
        assert!(audience.seats.is_empty());
    }
}
