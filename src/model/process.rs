//! What is declared about a long-running process (spec section 6). Durations are seconds as written,
//! kept as [`Duration`].

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::Written;

/// The declaration of a process, beside the fields it shares with every task. Its `watch` is among these: it
/// is the process's [`Task::exec_if_modified`](super::Task::exec_if_modified).
///
/// Texts may hold references to ports, which [`with_ports`](super::with_ports) substitutes when it is started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Whether `up` without names starts it (`start.enable`).
    pub autostart: bool,
    /// How it is known to be ready; also asked for liveness afterwards.
    pub ready: Option<Probe>,
    /// When it is restarted.
    pub restart: Restart,
    /// How it is stopped.
    pub shutdown: Shutdown,
    /// Sockets opened for it (socket activation).
    pub listen: Vec<Listen>,
    /// The watchdog it has to feed.
    pub watchdog: Option<Watchdog>,
    /// Ports allocated for it, by name.
    pub ports: BTreeMap<String, Port>,
}

impl ProcessSpec {
    /// Whether there is a way to tell that it is ready: a probe, a TCP `listen` or a port (spec section 2).
    #[must_use]
    pub fn can_be_ready(&self) -> bool {
        self.ready.is_some()
            || !self.ports.is_empty()
            || self.listen.iter().any(|l| matches!(l.kind, ListenKind::Tcp { .. }))
    }
}

/// Started by `up`, ready once it runs, restarted after a failure.
impl Default for ProcessSpec {
    fn default() -> Self {
        Self {
            autostart: true,
            ready: None,
            restart: Restart::default(),
            shutdown: Shutdown::default(),
            listen: Vec::new(),
            watchdog: None,
            ports: BTreeMap::new(),
        }
    }
}

/// A readiness probe and its timing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub kind: ProbeKind,
    /// Time before the first probe.
    pub initial_delay: Duration,
    /// Time between probes until it is ready: shorter than `period` if nobody said how long that is.
    pub until_ready: Duration,
    /// Time between probes afterwards.
    pub period: Duration,
    /// Time one probe may take.
    pub probe_timeout: Duration,
    /// Time until it must have become ready; `None`: for ever.
    pub timeout: Option<Duration>,
    /// Successes in a row that make it ready.
    pub success_threshold: u32,
    /// Failures in a row that make it unhealthy.
    pub failure_threshold: u32,
}

impl Probe {
    /// One that asks this, with the usual timing: at once, every 0.1 s until it is ready and every 10 s afterwards, 1 s for
    /// an answer, one success, three failures.
    #[must_use]
    pub const fn new(kind: ProbeKind) -> Self {
        Self {
            kind,
            initial_delay: Duration::ZERO,
            until_ready: Duration::from_millis(100),
            period: Duration::from_secs(10),
            probe_timeout: Duration::from_secs(1),
            timeout: None,
            success_threshold: 1,
            failure_threshold: 3,
        }
    }
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ProbeKind {
    /// A shell command exits with 0.
    Exec(Written<String>),
    /// An HTTP GET answers with a status below 400.
    Http {
        /// Host to ask.
        host: String,
        /// Port to ask: a number from 1 to 65535, or one reference to a port.
        port: Written<String>,
        /// Path to ask for.
        path: String,
        /// `http` or `https`.
        scheme: String,
    },
    /// A TCP connection is accepted.
    Tcp {
        /// Host to connect to.
        host: String,
        /// Port to connect to: a number from 1 to 65535, or one reference to a port.
        port: Written<String>,
    },
    /// It says `READY=1` on its notify socket.
    Notify,
    /// A line of its output has this in it: a [`LinePattern`](super::LinePattern) once its references to ports
    /// are substituted, which are all that is substituted in it.
    Log(String),
}

/// When a process is restarted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// After which exits.
    pub on: RestartOn,
    /// How often at most (within `window`, if there is one); `None`: without limit.
    pub max: Option<u32>,
    /// The sliding window in which restarts are counted.
    pub window: Option<Duration>,
}

/// After a failure, five times at most.
impl Default for Restart {
    fn default() -> Self {
        Self { on: RestartOn::OnFailure, max: Some(5), window: None }
    }
}

/// After which exits a process is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartOn {
    /// After none.
    Never,
    /// After every exit.
    Always,
    /// After an exit other than 0.
    OnFailure,
}

/// How a process is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown {
    /// The signal number sent first.
    pub signal: i32,
    /// Time until SIGKILL.
    pub grace: Duration,
}

/// SIGTERM, and five seconds.
impl Default for Shutdown {
    fn default() -> Self {
        Self { signal: 15, grace: Duration::from_secs(5) }
    }
}

/// A socket opened for a process before it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// Its name in `LISTEN_FDNAMES`.
    pub name: String,
    /// What it is bound to.
    pub kind: ListenKind,
}

/// What a listening socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenKind {
    /// A TCP address.
    Tcp {
        /// `host:port`: the port a number from 1 to 65535 or one reference to a port, an IPv6 host in brackets.
        address: Written<String>,
    },
    /// A unix stream socket.
    UnixStream {
        /// Its path.
        path: PathBuf,
        /// Permission bits.
        mode: Option<u32>,
    },
}

/// A watchdog that the process has to feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// The longest silence.
    pub interval: Duration,
    /// Whether it is armed only once the process is ready.
    pub require_ready: bool,
}

/// A port allocated for a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The port tried first.
    pub allocate: u16,
}

/// Where a process stands (spec section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nobody has asked for it.
    NotStarted,
    /// It runs, or is about to, and is not ready yet.
    Starting,
    /// It is ready.
    Ready,
    /// It was ready, and its probe says that it is not well.
    Unhealthy,
    /// It has ended and is started again after a while.
    Waiting,
    /// It is being ended.
    Stopping,
    /// It was ended on request.
    Stopped,
    /// It ended by itself, and stays so.
    Exited,
    /// It ended too often.
    GaveUp,
}

impl Stage {
    /// Whether nothing of it runs or will by itself.
    #[must_use]
    pub const fn is_at_rest(self) -> bool {
        matches!(self, Self::NotStarted | Self::Stopped | Self::Exited | Self::GaveUp)
    }

    /// The words for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not started",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unhealthy => "unhealthy",
            Self::Waiting => "waiting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Exited => "exited",
            Self::GaveUp => "gave up",
        }
    }
}
