//! A server from its start to its end.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::net::UnixStream as Pair,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fd::OwnedFd;
use serde_json::{Map, Value};
use tokio::{
    net::UnixStream,
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    model::TaskServer,
    process::{Command, Ended, Exit, JobControl, Launch, LineSink, LogTarget, Third, Warden, find_program},
    tsp::{Client, Fault, InitializeParams, InitializeResult, RpcError, VERSION, method},
};

/// What tells a server that it may speak on its descriptor 3.
const DESCRIPTOR: (&str, &str) = ("DEVTASK_TSP_FD", "3");
/// How long it is waited between two tries to connect, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));
/// How long a server may take to answer `shutdown`, and then to end by itself.
const FAREWELL: Duration = Duration::from_secs(1);
/// What it gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How many of its last lines are told with a fault.
const LAST_LINES: usize = 10;

/// How a server is started.
#[derive(Debug)]
pub struct Start<'a> {
    /// The server.
    pub server: &'a TaskServer,
    /// The root of the tree.
    pub root: &'a Path,
    /// What it sees of the surrounding environment.
    pub ambient: Arc<BTreeMap<OsString, OsString>>,
    /// Variables that nothing can override.
    pub reserved: Vec<(OsString, OsString)>,
    /// A path for its socket, in a directory that is the user's alone. There is nothing yet.
    pub socket: PathBuf,
    /// Where its output is kept.
    pub log: Option<LogTarget>,
    /// Where its lines go while it runs.
    pub lines: Option<LineSink>,
}

/// A server that runs and has told its tasks. Dropped without [`end`](Self::end) it finds the end of its connection,
/// and is ended with its warden at the latest.
#[derive(Debug)]
pub struct Host {
    client: Client,
    listed: InitializeResult,
    control: JobControl,
    ended: watch::Receiver<Option<Arc<Ended>>>,
}

/// What became of a server that should do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It could not be started.
    #[error("cannot be started: {0}")]
    NotStarted(String),
    /// It ended.
    #[error("{}", ended_how(.0))]
    Ended(Exit),
    /// It said nothing in time.
    #[error("{}", silent(*.within, *.connected))]
    Silent {
        /// How long it had.
        within: Duration,
        /// Whether it took the connection.
        connected: bool,
    },
    /// It would not tell its tasks.
    #[error("answers `initialize` with an error: {0}")]
    Refused(String),
    /// It speaks another version of the protocol.
    #[error("speaks version {0} of the protocol, and this is version {VERSION}")]
    Version(u64),
    /// It broke the protocol.
    #[error("speaks wrongly: {0}")]
    Spoke(Fault),
}

/// How a server ended, in words.
pub(super) fn ended_how(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("ended with exit {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn silent(within: Duration, connected: bool) -> String {
    let within = humantime::format_duration(within);
    match connected {
        true => format!("did not answer `initialize` within {within}"),
        false => format!("neither bound its socket nor spoke on its descriptor 3 within {within}"),
    }
}

/// Why a server could not be had, with the last it wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{trouble}")]
pub struct StartFault {
    /// What happened.
    pub trouble: Trouble,
    /// Its last lines.
    pub last: Vec<String>,
}

impl Trouble {
    /// What may be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Silent { .. } => Some("if it needs longer to start, say so by `startTimeout`"),
            Self::Ended(exit) if exit.is_success() => {
                Some("a server goes on until its connection ends: is its main loop called?")
            }
            Self::NotStarted(why) if why.ends_with("not executable") => Some("`chmod +x` makes it so"),
            _ => None,
        }
    }
}

impl Host {
    /// Starts a server and asks for its tasks. Within a tokio runtime.
    ///
    /// # Errors
    /// [`StartFault`]; nothing of the server is left then.
    pub async fn start(warden: &Warden, start: Start<'_>) -> Result<Self, StartFault> {
        let not_started = |why: String| StartFault { trouble: Trouble::NotStarted(why), last: Vec::new() };
        let within = start.server.start_timeout;
        let (ours, theirs) = Pair::pair().map_err(|error| not_started(error.to_string()))?;
        let (socket, params) = (start.socket.clone(), params(start.root));
        let launch = launch(start, theirs.into()).map_err(not_started)?;
        let job = warden.spawn(launch).map_err(|error| not_started(error.to_string()))?;
        let (control, (tell, ended)) = (job.control(), watch::channel(None));
        // Its output is read for as long as it runs.
        tokio::spawn(async move { tell.send_replace(Some(Arc::new(job.finish().await))) });
        let mut starting = Starting { control, ended, connected: false, is_host: false };
        let answer = starting.answer(ours, &socket, &params, within).await;
        // What the socket was for is over.
        let _ = std::fs::remove_file(&socket);
        match answer {
            Ok((client, listed)) => {
                starting.is_host = true;
                let (control, ended) = (starting.control.clone(), starting.ended.clone());
                Ok(Self { client, listed, control, ended })
            }
            Err(trouble) => Err(starting.give_up(trouble).await),
        }
    }

    /// The connection.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// What it told at its start.
    #[must_use]
    pub const fn listed(&self) -> &InitializeResult {
        &self.listed
    }

    /// For stopping it, or pausing it.
    #[must_use]
    pub const fn control(&self) -> &JobControl {
        &self.control
    }

    /// Whether it can still be asked something.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.client.fault().is_none() && self.ended.borrow().is_none()
    }

    /// Waits until it has ended.
    pub async fn ended(&self) -> Arc<Ended> {
        over(&mut self.ended.clone()).await
    }

    /// Why it does not go on, once it does not: how it ended, if it has, or what it said wrongly. A server that spoke
    /// wrongly is killed: what it does from then on is nobody's business any more.
    pub async fn trouble(&self) -> StartFault {
        let fault = self.client.fault();
        let is_end = matches!(fault, None | Some(Fault::Closed | Fault::System(_)));
        // One that closes its connection is about to end, and how says more.
        let ends = is_end && timeout(FAREWELL, self.ended()).await.is_ok();
        if !ends {
            self.control.kill();
        }
        let ended = self.ended().await;
        let trouble = fault.filter(|_| !ends).map_or(Trouble::Ended(ended.exit), Trouble::Spoke);
        StartFault { trouble, last: last_lines(&ended) }
    }

    /// Ends it: politely, by closing the connection, by SIGTERM to its group, by SIGKILL.
    pub async fn end(&self) {
        if self.is_well() {
            let nothing = Value::Object(Map::new());
            let farewell = self.client.ask::<Value>(method::SHUTDOWN, &nothing);
            // Whatever it answers, it is over.
            let _ = timeout(FAREWELL, farewell).await;
        }
        self.client.close();
        if timeout(FAREWELL, self.ended()).await.is_err() {
            self.control.terminate(GRACE);
            self.ended().await;
        }
    }
}

/// A server that has not told its tasks yet. Dropped before it has, it is ended: nobody would know of it.
struct Starting {
    control: JobControl,
    ended: watch::Receiver<Option<Arc<Ended>>>,
    connected: bool,
    is_host: bool,
}

impl Drop for Starting {
    fn drop(&mut self) {
        if !self.is_host {
            self.control.terminate(GRACE);
        }
    }
}

impl Starting {
    /// The connection on which it answers, and what it answers. The question is put on both: on its descriptor 3 at
    /// once, on its socket as soon as that can be connected to.
    async fn answer(
        &mut self,
        ours: Pair,
        socket: &Path,
        params: &InitializeParams,
        within: Duration,
    ) -> Result<(Client, InitializeResult), Trouble> {
        let not_started = |error: std::io::Error| Trouble::NotStarted(error.to_string());
        ours.set_nonblocking(true).map_err(not_started)?;
        let third = Client::over(UnixStream::from_std(ours).map_err(not_started)?);
        let by_third = async {
            match third.ask(method::INITIALIZE, params).await {
                // One that has no use for it may close it.
                Err(Fault::Closed | Fault::System(_)) => std::future::pending().await,
                answer => (third.clone(), answer),
            }
        };
        let by_socket = async {
            let client = Client::over(connected(socket).await);
            self.connected = true;
            let answer = client.ask(method::INITIALIZE, params).await;
            (client, answer)
        };
        let mut ended = self.ended.clone();
        let (client, answer) = tokio::select! {
            biased;
            answer = by_third => answer,
            answer = by_socket => answer,
            ended = over(&mut ended) => return Err(Trouble::Ended(ended.exit)),
            () = sleep(within) => return Err(Trouble::Silent { within, connected: self.connected }),
        };
        judged(answer).map(|listed| (client, listed))
    }

    /// Ends it, and says what it wrote last.
    async fn give_up(mut self, trouble: Trouble) -> StartFault {
        // One that closes its connection is about to end, and how says more.
        let ends = matches!(trouble, Trouble::Spoke(Fault::Closed | Fault::System(_)));
        if ends && timeout(FAREWELL, over(&mut self.ended)).await.is_ok() {
            let ended = over(&mut self.ended).await;
            return StartFault { trouble: Trouble::Ended(ended.exit), last: last_lines(&ended) };
        }
        self.control.terminate(GRACE);
        let ended = over(&mut self.ended).await;
        StartFault { trouble, last: last_lines(&ended) }
    }
}

fn judged(answer: Result<Result<InitializeResult, RpcError>, Fault>) -> Result<InitializeResult, Trouble> {
    let listed = answer.map_err(Trouble::Spoke)?.map_err(|error| Trouble::Refused(error.to_string()))?;
    match listed.protocol_version {
        Some(version) if version != VERSION => Err(Trouble::Version(version)),
        _ => Ok(listed),
    }
}

/// Tries until there is somebody at the socket.
pub(super) async fn connected(socket: &Path) -> UnixStream {
    let mut pause = PAUSES.0;
    loop {
        if let Ok(stream) = UnixStream::connect(socket).await {
            return stream;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Waits for its end.
pub(super) async fn over(ended: &mut watch::Receiver<Option<Arc<Ended>>>) -> Arc<Ended> {
    let found = ended.wait_for(Option::is_some).await.map(|ended| ended.clone());
    match found {
        Ok(Some(ended)) => ended,
        // Who would tell it is gone with the runtime, and so are we.
        _ => std::future::pending().await,
    }
}

/// The last of what it wrote.
pub(super) fn last_lines(ended: &Ended) -> Vec<String> {
    let skip = ended.tail.len().saturating_sub(LAST_LINES);
    ended.tail.iter().skip(skip).map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

fn params(root: &Path) -> InitializeParams {
    InitializeParams {
        protocol_version: Some(VERSION),
        client: Some(format!("devtask {}", env!("CARGO_PKG_VERSION"))),
        root: Some(root.to_string_lossy().into_owned()),
    }
}

/// How it is started, or why it cannot be.
pub(super) fn launch(start: Start<'_>, third: OwnedFd) -> Result<Launch, String> {
    let Start { server, ambient, reserved, socket, log, lines, .. } = start;
    let mut env: BTreeMap<OsString, OsString> = BTreeMap::new();
    for (name, value) in server.file_env.iter().chain(&server.env) {
        env.insert(name.into(), value.value.clone().into());
    }
    env.extend(reserved);
    env.insert(DESCRIPTOR.0.into(), DESCRIPTOR.1.into());
    let path = env.get(OsStr::new("PATH")).or_else(|| ambient.get(OsStr::new("PATH")));
    let (program, arguments) = server.command.split_first().ok_or("it has no command")?;
    let program = program.value.as_str();
    let found = find_program(OsStr::new(program), path.map(OsString::as_os_str), &server.dir);
    let found = found.ok_or_else(|| match program.contains('/') && server.dir.join(program).is_file() {
        true => format!("`{program}` is not executable"),
        false => format!("there is no program `{program}`"),
    })?;
    let mut args: Vec<OsString> = arguments.iter().map(|word| word.value.clone().into()).collect();
    args.push(socket.into());
    let command = Command {
        program: found,
        args,
        env: env.into_iter().collect(),
        ambient,
        cwd: server.dir.clone(),
        third: Some(Third::new(third)),
        ..Command::default()
    };
    Ok(Launch { command, log, lines, ..Launch::default() })
}
