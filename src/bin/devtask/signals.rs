//! Signals as a stream of what the user wants.

use std::{fs, io};

use rustix::process::Signal;
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// End; the number of the signal.
    End(i32),
    /// Stop for a while (Ctrl-Z).
    Stop,
    /// Say what is running.
    Report,
}

/// The signals this program listens to.
pub(crate) struct Signals {
    interrupt: Listener,
    terminate: Listener,
    hangup: Listener,
    quit: Listener,
    stop: Listener,
    report: Listener,
}

type Listener = Option<tokio::signal::unix::Signal>;

impl Signals {
    /// Starts to listen. A signal that was ignored when the program started (`nohup`, background jobs of a
    /// script) stays ignored.
    pub(crate) fn new() -> io::Result<Self> {
        let ignored = ignored();
        let listen = |kind: Signal| -> io::Result<Listener> {
            let is_ignored = ignored & (1 << (kind.as_raw() - 1)) != 0;
            if is_ignored { Ok(None) } else { signal(SignalKind::from_raw(kind.as_raw())).map(Some) }
        };
        Ok(Self {
            interrupt: listen(Signal::INT)?,
            terminate: listen(Signal::TERM)?,
            hangup: listen(Signal::HUP)?,
            quit: listen(Signal::QUIT)?,
            stop: listen(Signal::TSTP)?,
            report: listen(Signal::USR1)?,
        })
    }

    /// The next wish.
    pub(crate) async fn next(&mut self) -> Wish {
        select! {
            () = heard(&mut self.interrupt) => Wish::End(Signal::INT.as_raw()),
            () = heard(&mut self.terminate) => Wish::End(Signal::TERM.as_raw()),
            () = heard(&mut self.hangup) => Wish::End(Signal::HUP.as_raw()),
            () = heard(&mut self.quit) => Wish::End(Signal::QUIT.as_raw()),
            () = heard(&mut self.stop) => Wish::Stop,
            () = heard(&mut self.report) => Wish::Report,
        }
    }
}

async fn heard(listener: &mut Listener) {
    match listener {
        // `None` would mean that the runtime is shutting down.
        Some(listener) => drop(listener.recv().await),
        None => std::future::pending().await,
    }
}

/// The mask of ignored signals, where the system tells.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Stops this process until it is continued.
pub(crate) fn stop_self() {
    // Stopping ourselves cannot be refused.
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
}
