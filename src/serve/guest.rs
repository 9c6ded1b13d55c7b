//! The side that is served: it connects, asks, and reads what becomes of it. Synchronous: most requests are answered
//! before a runtime could be started.

use std::{
    fs,
    io::{self, ErrorKind, Read as _, Write as _},
    net::Shutdown,
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    place,
    wire::{
        self, Answer, Ask, Attach, GREETING, Govern, Hello, Order, Raw, Refusal, Told, Wanted, Welcome,
        Whence,
    },
};
use crate::{
    event::{Event, ProcessStatus, What},
    loader::upward,
    session::{Request, RunSummary},
    store::STATE_DIR,
};

/// How long an owner may take to answer a hello: one that was stopped never does.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// For how long one who does not serve us may be just beginning or ending.
const SOON: Duration = Duration::from_millis(500);
/// How often it is looked whether it is.
const GLANCE: Duration = Duration::from_millis(10);
/// How much is read at once.
const PIECE: usize = 64 << 10;

/// Nothing more comes from the owner: it is gone, or sent us away. What was asked for is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("who held the tree is gone")]
pub struct Gone;

/// What the owner says.
#[derive(Debug)]
pub enum Said {
    /// Something happened.
    Event(Event),
    /// What was asked for cannot be done.
    Refused(Refusal),
    /// The run is over.
    Over(Box<RunSummary>),
    /// The watch has ended as it was told to.
    WatchOver,
    /// How processes stand, and whether that is what was wanted.
    Processes(Vec<ProcessStatus>, bool),
    /// Nothing in the time that [`Guest::patience`] allows.
    Nothing,
}

/// Tells one socket from those that were or will be in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMark((u64, i64, i64));

/// A connection to an owner that serves us.
#[derive(Debug)]
pub struct Guest {
    stream: UnixStream,
    received: Vec<u8>,
    /// How much of that was used.
    used: usize,
    /// The summary as far as it is known from what was told.
    known: RunSummary,
}

/// Looks for an owner that serves us where `start_dir`, which has no links in it, leads to: in the nearest directory upward
/// whose usual state directory has a socket that answers. The search stops where that for task files does; nothing is
/// loaded. `build` is asked only if there is a socket: mostly there is none, and that shall cost next to nothing.
pub fn call_nearby(
    build: impl FnOnce() -> Option<u64>,
    start_dir: &Path,
    home: Option<&Path>,
    granularity: Duration,
) -> Option<(Guest, Welcome)> {
    let mut sockets =
        start_dir.ancestors().filter_map(|dir| Some((dir, place::find(&dir.join(STATE_DIR))?))).peekable();
    sockets.peek()?;
    let reach = upward(start_dir, home);
    let mut within = sockets.take_while(|(dir, _)| reach.iter().any(|reached| reached == dir));
    let stream = within.find_map(|(_, address)| UnixStream::connect_addr(&address).ok())?;
    let raw = |path: &Path| Raw::of(path.as_os_str());
    let whence = Whence::Directory { dir: raw(start_dir), home: home.map(raw) };
    greet(stream, build()?, &Hello { whence, granularity, pid: std::process::id() }).ok()?
}

/// Looks for an owner that keeps processes up, whatever the task files say: of this state directory, or, without one,
/// where [`call_nearby`] looks. Says which state directory that is.
///
/// # Errors
/// The state directory of one who is there and does not serve us: another build of the program, or one that stands
/// still.
pub fn call_keeper(
    build: impl Fn() -> Option<u64>,
    state_dir: Option<&Path>,
    start_dir: &Path,
    home: Option<&Path>,
) -> Result<Option<(Guest, Welcome, PathBuf)>, PathBuf> {
    let dirs = match state_dir {
        Some(dir) => vec![dir.to_owned()],
        None => upward(start_dir, home).into_iter().map(|dir| dir.join(STATE_DIR)).collect(),
    };
    let whence = Whence::Keeper { dir: Raw::of(start_dir.as_os_str()) };
    let hello = Hello { whence, granularity: Duration::ZERO, pid: std::process::id() };
    let begin = Instant::now();
    loop {
        let called = dirs.iter().find_map(|dir| Some((connect(dir)?, dir)));
        let (Some((stream, dir)), Some(build)) = (called, build()) else { return Ok(None) };
        match greet(stream, build, &hello) {
            Ok(Some((guest, welcome))) => return Ok(Some((guest, welcome, dir.clone()))),
            // One that is just beginning, or ending, is soon another.
            _ if begin.elapsed() < SOON => thread::sleep(GLANCE),
            _ => return Err(dir.clone()),
        }
    }
}

/// Calls the owner of this state directory. None: there is none that serves us; the tree is ours, or has to be waited for.
#[must_use]
pub fn call(build: u64, state_dir: &Path, hello: &Hello) -> Option<(Guest, Welcome)> {
    greet(connect(state_dir)?, build, hello).ok()?
}

/// The socket of this state directory, if there is one. Perhaps nobody listens.
#[must_use]
pub fn socket(state_dir: &Path) -> Option<SocketMark> {
    let address = place::find(state_dir)?;
    let found = fs::symlink_metadata(address.as_pathname()?).ok()?;
    Some(SocketMark((found.ino(), found.ctime(), found.ctime_nsec())))
}

fn connect(state_dir: &Path) -> Option<UnixStream> {
    UnixStream::connect_addr(&place::find(state_dir)?).ok()
}

/// Says hello. None: we are not served.
fn greet(mut stream: UnixStream, build: u64, hello: &Hello) -> io::Result<Option<(Guest, Welcome)>> {
    let greeting = wire::greeting(build);
    let mut message = greeting.to_vec();
    wire::put(hello, &mut message).map_err(io::Error::other)?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.write_all(&message)?;
    let mut theirs = [0; GREETING];
    stream.read_exact(&mut theirs)?;
    if theirs != greeting {
        return Ok(None);
    }
    let known = RunSummary::new(String::new());
    let mut guest = Guest { stream, received: Vec::new(), used: 0, known };
    loop {
        match wire::take(&guest.received).map_err(io::Error::other)? {
            Some((Answer::Welcome(welcome), used)) => {
                guest.used = used;
                return Ok(Some((guest, welcome)));
            }
            Some((Answer::No, _)) => return Ok(None),
            None => guest.read()?,
        }
    }
}

impl Guest {
    /// Asks for this. `label`: what this process was started as. `everything`: also what is not shown is to be told.
    ///
    /// # Errors
    /// [`Gone`], also if it is more than can be asked for.
    pub fn ask(&mut self, request: &Request, label: String, everything: bool) -> Result<(), Gone> {
        self.say(&Wanted::Run(Box::new(Ask::new(request, label, everything))))
    }

    /// Attaches to the watch that holds the tree.
    ///
    /// # Errors
    /// [`Gone`], also if it is more than can be asked for.
    pub fn attach(&mut self, attach: Attach) -> Result<(), Gone> {
        self.say(&Wanted::Attach(attach))
    }

    /// Has something done with processes.
    ///
    /// # Errors
    /// [`Gone`], also if it is more than can be asked for.
    pub fn govern(&mut self, govern: Govern) -> Result<(), Gone> {
        self.say(&Wanted::Govern(govern))
    }

    fn say(&mut self, wanted: &Wanted) -> Result<(), Gone> {
        let mut message = Vec::new();
        wire::put(wanted, &mut message).map_err(|_| Gone)?;
        self.stream.write_all(&message).map_err(|_| Gone)
    }

    /// How long [`hear`](Self::hear) waits at most; none: for as long as it takes.
    ///
    /// # Errors
    /// [`Gone`] if the connection cannot be used any more.
    pub fn patience(&self, patience: Option<Duration>) -> Result<(), Gone> {
        self.stream.set_read_timeout(patience).map_err(|_| Gone)
    }

    /// The next thing the owner says.
    ///
    /// # Errors
    /// [`Gone`] if nothing more will come.
    pub fn hear(&mut self) -> Result<Said, Gone> {
        loop {
            let rest = self.received.get(self.used..).unwrap_or_default();
            if let Some((told, used)) = wire::take(rest).map_err(|_| Gone)? {
                self.used += used;
                if let Some(said) = self.understand(told)? {
                    return Ok(said);
                }
                continue;
            }
            match self.read() {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(Said::Nothing);
                }
                Err(_) => return Err(Gone),
            }
        }
    }

    /// Whether more was received than was heard.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.used < self.received.len()
    }

    /// A handle to give orders with.
    ///
    /// # Errors
    /// [`Gone`] if the connection cannot be used any more.
    pub fn orders(&self) -> Result<Orders, Gone> {
        self.stream.try_clone().map(|stream| Orders(Arc::new(stream))).map_err(|_| Gone)
    }

    fn understand(&mut self, told: Told) -> Result<Option<Said>, Gone> {
        let event = match told {
            Told::Passed { time, task, outcome } => wire::passed(time, task, outcome),
            Told::Event { json, tail } => wire::event(&json, tail).map_err(|_| Gone)?,
            Told::Refused(refusal) => return Ok(Some(Said::Refused(refusal))),
            Told::WatchOver => return Ok(Some(Said::WatchOver)),
            Told::Processes { json, is_well } => {
                let statuses = serde_json::from_slice(&json).map_err(|_| Gone)?;
                return Ok(Some(Said::Processes(statuses, is_well)));
            }
            Told::Output { task, json } => {
                let output = serde_json::from_slice(&json).map_err(|_| Gone)?;
                self.known.outputs.insert(task, output);
                return Ok(None);
            }
            Told::Export { name, value } => {
                self.known.exports.insert(name, value);
                return Ok(None);
            }
            Told::Over(summary) => {
                let known = std::mem::replace(&mut self.known, RunSummary::new(String::new()));
                let mut summary = summary.into_summary();
                (summary.outcomes, summary.outputs) = (known.outcomes, known.outputs);
                (summary.exports, summary.messages) = (known.exports, known.messages);
                return Ok(Some(Said::Over(Box::new(summary))));
            }
        };
        match &event.what {
            What::TaskFinished(finished) => {
                self.known.outcomes.push((finished.task.clone(), finished.status));
            }
            What::Message { task, text } => self.known.messages.push((task.clone(), text.clone())),
            _ => {}
        }
        Ok(Some(Said::Event(event)))
    }

    /// Reads some more. What was used goes away first.
    fn read(&mut self) -> io::Result<()> {
        self.received.drain(..self.used);
        self.used = 0;
        let begin = self.received.len();
        self.received.resize(begin + PIECE, 0);
        let read = loop {
            match self.stream.read(&mut self.received[begin..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.received.truncate(begin + read.as_ref().copied().unwrap_or(0));
        match read? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// What a guest orders while its request is under way.
#[derive(Clone, Debug)]
pub struct Orders(Arc<UnixStream>);

impl Orders {
    /// Orders it. An owner that is gone has ended it anyway.
    pub fn send(&self, order: Order) {
        let mut message = Vec::new();
        if wire::put(&order, &mut message).is_ok() {
            let _ = (&*self.0).write_all(&message);
        }
    }

    /// Hangs up: nothing more is heard either.
    pub fn leave(&self) {
        // A connection that is gone is what was wanted.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
