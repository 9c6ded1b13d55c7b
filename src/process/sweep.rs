//! Finding and ending what is left: of one job, or of everything.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    marker::Marker,
    proc::{self, Proc},
};

/// How long killed processes may take to disappear (a hung disk can hold them).
pub(super) const KILLED_GRACE: Duration = Duration::from_secs(5);

/// What still lives of something that is to end.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Groups with a living member.
    pub(super) groups: Vec<Pid>,
    /// Processes in no such group.
    pub(super) strays: Vec<Proc>,
}

impl Rest {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.strays.is_empty()
    }

    /// With those of `known` that still live: their descent may not be seen any more.
    fn with_known(mut self, mut known: Vec<Proc>) -> Self {
        known.retain(|p| !self.strays.contains(p) && p.lives());
        self.strays.extend(known);
        self
    }

    /// SIGKILL to all of it. Who may not be signalled is found again by the next look.
    pub(super) fn kill(&self) {
        for &group in &self.groups {
            let _ = kill_process_group(group, Signal::KILL);
        }
        for stray in &self.strays {
            stray.signal(Signal::KILL);
        }
    }

    /// One number for each group and stray.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let pids = self.groups.iter().copied().chain(self.strays.iter().map(|p| p.pid));
        pids.map(|pid| pid.as_raw_nonzero().get().unsigned_abs()).collect()
    }
}

/// Who has been asked to terminate: a second SIGTERM would mean "at once" to many a program.
#[derive(Debug, Default)]
pub(super) struct Asked {
    groups: Vec<Pid>,
    strays: Vec<Proc>,
}

impl Asked {
    /// The groups of `rest` have been asked already.
    pub(super) fn groups(rest: &Rest) -> Self {
        Self { groups: rest.groups.clone(), strays: Vec::new() }
    }

    /// SIGTERM to all of `rest` that has not had it; SIGCONT, since what is stopped hears nothing.
    pub(super) fn terminate(&mut self, rest: &Rest) {
        for &group in rest.groups.iter().filter(|group| !self.groups.contains(group)) {
            let _ = kill_process_group(group, Signal::TERM);
            let _ = kill_process_group(group, Signal::CONT);
        }
        for stray in rest.strays.iter().filter(|stray| !self.strays.contains(stray)) {
            stray.signal(Signal::TERM);
            stray.signal(Signal::CONT);
        }
        self.groups.extend(&rest.groups);
        self.strays.extend(&rest.strays);
    }
}

/// Ends what `look` finds: SIGTERM, up to `grace`, SIGKILL, until it finds nothing twice in a row.
/// Returns what could not be ended.
pub(super) async fn end(grace: Duration, look: impl Fn() -> Rest) -> Rest {
    let begin = Instant::now();
    let (mut asked, mut pause, mut empty) = (Asked::default(), Duration::from_millis(1), 0);
    let mut rest = Rest::default();
    loop {
        rest = look().with_known(rest.strays);
        empty = if rest.is_empty() { empty + 1 } else { 0 };
        if empty == 2 || begin.elapsed() > grace.saturating_add(KILLED_GRACE) {
            return rest;
        }
        if begin.elapsed() >= grace {
            rest.kill();
        } else {
            asked.terminate(&rest);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// All that carries a marker and all that descends from it, ourselves and our ancestors excepted.
pub(super) fn carrying(marker: &Marker) -> Vec<Proc> {
    proc::family(|p| carries(p, marker))
}

/// SIGKILL to all of it. What is left afterwards is being ended by the system.
pub(super) fn kill_carrying(marker: &Marker) {
    let caught = proc::at_a_stand(|p| carries(p, marker), KILLED_GRACE);
    caught.iter().for_each(|process| process.signal(Signal::KILL));
}

fn carries(process: &Proc, marker: &Marker) -> bool {
    proc::session_chain(process.pid).is_some_and(|chain| marker.is_in(&chain))
}
