//! The first process of a job: told when it exits or stops, reaped only when everything else is done.
//!
//! As long as it is not reaped its number, which is also its group's, belongs to nobody else (hazard
//! C13). So nobody waits for it in the ordinary way: SIGCHLD says that some child exited or stopped
//! (hazard C10), and a look that takes no status away says whether it was this one.

use std::{
    fs, io,
    os::unix::process::ExitStatusExt as _,
    process::{Child, ExitStatus},
    sync::LazyLock,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid},
};
use tokio::signal::unix::{self, SignalKind};

use super::children;

/// How often to look where SIGCHLD does not arrive.
const DEAF_PERIOD: Duration = Duration::from_millis(50);

/// What the first process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Runs,
    /// It was stopped because it wants the terminal, which is not its to use.
    WantsTerminal,
    Gone,
}

/// The first process of a job.
#[derive(Debug)]
pub(super) struct Leader {
    /// None once it has been reaped.
    child: Option<Child>,
    pid: Pid,
    /// Whether it leads a group of its own.
    grouped: bool,
    signals: unix::Signal,
}

impl Leader {
    /// Starts a process and notes it as ours. To be called with [`children::starting`] held.
    pub(super) fn start(command: &mut std::process::Command, grouped: bool) -> io::Result<Self> {
        // First the handler: where SIGCHLD is ignored by inheritance, the system would reap for us.
        let signals = unix::signal(SignalKind::child())?;
        Self::watch(command.spawn()?, signals, grouped)
    }

    /// Watches a process that was started before.
    pub(super) fn of(child: Child) -> io::Result<Self> {
        Self::watch(child, unix::signal(SignalKind::child())?, false)
    }

    fn watch(child: Child, signals: unix::Signal, grouped: bool) -> io::Result<Self> {
        let pid = children::pid_of(&child).ok_or(Errno::SRCH)?;
        children::register(pid);
        Ok(Self { child: Some(child), pid, grouped, signals })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// The process's ends of the pipes.
    pub(super) fn child(&mut self) -> Option<&mut Child> {
        self.child.as_mut()
    }

    /// Whether its status has been taken.
    pub(super) fn is_reaped(&self) -> bool {
        self.child.is_none()
    }

    /// Waits until [`Leader::doing`] may have something new to say. Can be dropped and called again.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            _ = self.signals.recv() => {}
            () = tokio::time::sleep(DEAF_PERIOD), if *DEAF => {}
        }
    }

    /// Waits until it is gone.
    pub(super) async fn gone(&mut self) {
        while self.doing() != Doing::Gone {
            self.changed().await;
        }
    }

    /// What it is doing now; takes no status away.
    pub(super) fn doing(&self) -> Doing {
        let options =
            WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), options) {
            Ok(None) | Err(Errno::INTR) => Doing::Runs,
            Ok(Some(status)) => match status.stopping_signal() {
                Some(by) if by == Signal::TTIN.as_raw() || by == Signal::TTOU.as_raw() => {
                    Doing::WantsTerminal
                }
                Some(_) => Doing::Runs,
                None => Doing::Gone,
            },
            // Somebody else took its status.
            Err(_) => Doing::Gone,
        }
    }

    /// Signals its group, or itself if it has none of its own. Nothing once it has been reaped.
    pub(super) fn signal(&self, signal: Signal) {
        if self.child.is_some() {
            // A failure means that nobody is left or nobody may be signalled: the next look tells.
            let _ = match self.grouped {
                true => kill_process_group(self.pid, signal),
                false => kill_process(self.pid, signal),
            };
        }
    }

    /// Takes its status. To be called when it is gone; none if somebody else took it.
    pub(super) fn reap(&mut self) -> Option<ExitStatus> {
        let status = self.child.take()?.wait().ok();
        children::forget(self.pid);
        status
    }

    /// Kills its group and hands it over to who will reap it; none if it has been reaped.
    pub(super) fn give_up(&mut self) -> Option<Child> {
        self.signal(Signal::KILL);
        self.child.take()
    }
}

/// Exit code and signal of a status.
pub(super) fn code_and_signal(status: Option<ExitStatus>) -> (Option<i32>, Option<i32>) {
    status.map_or((None, None), |s| (s.code(), s.signal()))
}

/// Whether SIGCHLD cannot reach us: a mask set by a careless ancestor is inherited, and opening it
/// takes unsafe code.
static DEAF: LazyLock<bool> = LazyLock::new(|| {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
    let mask = blocked.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (Signal::CHILD.as_raw() - 1)) != 0
});
