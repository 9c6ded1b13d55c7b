//! What both sides say, and how that becomes bytes.
//!
//! Each side begins with a greeting of fixed length: what this is, in which version, and which build of the program
//! speaks. Only the same build is understood: what follows has the form that very program gives it. Then come
//! messages, each with its length before it.

use std::{
    ffi::{OsStr, OsString},
    marker::PhantomData,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    config::Settings,
    event::{Event, Finished, RunStatus, VERSION as EVENT_VERSION, What},
    model::{Digest, Outcome, TaskName, bytes},
    plan::{Mode, SelectFault, Standpoint},
    session::{LiveLines, Request, RunSummary, SessionError},
};

/// The longest message: the longest output a task can have, and what belongs to it.
pub const LONGEST: usize = (16 << 20) + (64 << 10);
/// How many items a list of a message has at most.
const MOST_ITEMS: usize = 1 << 16;
/// How long a greeting is.
pub const GREETING: usize = MAGIC.len() + 4 + 8;
const MAGIC: &[u8; 16] = b"devtask session\n";
const VERSION: u32 = 1;
const PREFIX: usize = 4;

/// What is wrong with what the other side said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than [`LONGEST`].
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// Not what is expected.
    #[error("a message makes no sense: {0}")]
    Nonsense(String),
}

/// What a side of this build begins with.
#[must_use]
pub fn greeting(build: u64) -> [u8; GREETING] {
    let mut greeting = [0; GREETING];
    greeting[..16].copy_from_slice(MAGIC);
    greeting[16..20].copy_from_slice(&VERSION.to_le_bytes());
    greeting[20..].copy_from_slice(&build.to_le_bytes());
    greeting
}

/// Appends a message.
///
/// # Errors
/// [`WireError::TooLong`]; nothing is appended then.
pub fn put<T: Serialize>(message: &T, to: &mut Vec<u8>) -> Result<(), WireError> {
    let body = postcard::to_stdvec(message).map_err(|error| WireError::Nonsense(error.to_string()))?;
    let prefix = u32::try_from(body.len()).ok().filter(|_| body.len() <= LONGEST);
    to.extend(prefix.ok_or(WireError::TooLong(body.len()))?.to_le_bytes());
    to.extend(body);
    Ok(())
}

/// The first message of what was received so far and how many bytes it takes; none while it is not whole.
///
/// # Errors
/// What is wrong with it; nothing that follows can be understood then.
pub fn take<'a, T: Deserialize<'a>>(received: &'a [u8]) -> Result<Option<(T, usize)>, WireError> {
    let Some((prefix, rest)) = received.split_first_chunk::<PREFIX>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*prefix)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(WireError::TooLong(length));
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(Some((message, PREFIX + length))),
        Ok(_) => Err(WireError::Nonsense("something follows it".to_owned())),
        Err(error) => Err(WireError::Nonsense(error.to_string())),
    }
}

/// Text of the system's, which need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raw(#[serde(with = "bytes")] Vec<u8>);

impl Raw {
    /// Of this text.
    #[must_use]
    pub fn of(text: &OsStr) -> Self {
        Self(text.as_bytes().to_vec())
    }

    /// As a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    fn into_os(self) -> OsString {
        OsString::from_vec(self.0)
    }
}

fn raw(texts: &[OsString]) -> Vec<Raw> {
    texts.iter().map(|text| Raw::of(text)).collect()
}

/// The guest's first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// How the guest came here.
    pub whence: Whence,
    /// How coarse it takes the stamps of files to be.
    pub granularity: Duration,
    /// Its process id, for people only.
    pub pid: u32,
}

/// How a guest knows that this is the owner of its tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whence {
    /// It has loaded nothing; it was started in this directory, and the search for task files does not leave `home`.
    Directory {
        /// Absolute.
        dir: Raw,
        /// The user's home.
        home: Option<Raw>,
    },
    /// It has loaded the tree with this [digest](crate::loader::Loaded::digest).
    Loaded {
        /// The digest.
        digest: Digest,
        /// From where names are meant.
        standpoint: Standpoint,
    },
    /// It wants to see to processes that are up, whatever the task files say by now; nothing else is done for it.
    Keeper {
        /// Where it was started: absolute.
        dir: Raw,
    },
}

/// The owner's answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The guest is served.
    Welcome(Welcome),
    /// The guest has to wait for the tree, or belongs to another one.
    No,
}

/// What a guest has to know of the tree to ask for something and to show what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The root of the tree.
    pub root: Raw,
    /// The settings of the tree.
    pub settings: Settings,
    /// The tasks whose output is always shown.
    #[serde(deserialize_with = "few")]
    pub shown: Vec<TaskName>,
    /// The watch that holds the tree, if a watch does.
    pub watch: Option<WatchInfo>,
}

/// A watch that others can attach to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchInfo {
    /// What it was started as; text from elsewhere.
    pub label: String,
    /// Its process id, for people only.
    pub pid: u32,
    /// Whether it is there for processes (`devtask up`).
    pub is_up: bool,
}

/// What a guest wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// Have something run.
    Run(Box<Ask>),
    /// Attach to the watch that holds the tree.
    Attach(Attach),
    /// Have something done with processes.
    Govern(Govern),
}

/// What a guest wants done with processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Govern {
    /// What it was started as, for people only.
    pub label: String,
    /// The processes, by names as users type them; none: all that this can be meant for.
    #[serde(deserialize_with = "few")]
    pub names: Vec<String>,
    /// What is to become of them.
    pub what: Governed,
    /// How long they may take to become ready.
    pub within: Duration,
    /// Whether a port that is taken is a failure.
    pub strict_ports: bool,
    /// The environment to start them with.
    #[serde(deserialize_with = "few")]
    environment: Vec<(Raw, Raw)>,
}

/// What is to become of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Governed {
    /// Nothing: it wants to know how they stand.
    Listed,
    /// They are to be up, with all they need, and ready.
    Started,
    /// They are to be ended.
    Stopped,
    /// They are to begin anew, and be ready.
    Restarted,
    /// They are to be waited for until they are ready.
    Ready,
    /// All are to be ended, and whoever keeps them.
    Down,
}

impl Govern {
    /// To have this done.
    #[must_use]
    pub fn new(label: String, names: Vec<String>, what: Governed, within: Duration) -> Self {
        Self { label, names, what, within, strict_ports: false, environment: Vec::new() }
    }

    /// With this environment for what is to be started.
    #[must_use]
    pub fn with_environment(mut self, environment: &[(OsString, OsString)]) -> Self {
        self.environment = environment.iter().map(|(name, value)| (Raw::of(name), Raw::of(value))).collect();
        self
    }

    /// The environment for what is to be started.
    #[must_use]
    pub fn environment(&self) -> Vec<(OsString, OsString)> {
        self.environment
            .iter()
            .map(|(name, value)| (name.clone().into_os(), value.clone().into_os()))
            .collect()
    }
}

/// What a guest wants to see while it is attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// What it was started as, for people only.
    pub label: String,
    /// Whether it wants to be told everything, and not only what is shown of it.
    pub everything: bool,
    /// The tasks it wants to see kept true; none: whatever is.
    #[serde(deserialize_with = "few")]
    pub names: Vec<String>,
    /// And what belongs to them.
    pub mode: Mode,
}

/// What a guest asks to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What it was started as, for people only.
    pub label: String,
    /// Whether it wants to be told everything, and not only what is shown of it.
    pub everything: bool,
    #[serde(deserialize_with = "few")]
    names: Vec<String>,
    mode: Mode,
    /// As JSON.
    inputs: String,
    #[serde(deserialize_with = "few")]
    arguments: Vec<Raw>,
    #[serde(deserialize_with = "few")]
    given: Vec<(TaskName, Vec<Raw>)>,
    jobs: Option<u64>,
    fail_fast: bool,
    force: bool,
    refresh: bool,
    dry_run: bool,
    timeout: Option<Duration>,
    retries: Option<u32>,
    strict_ports: bool,
    lines: LiveLines,
    tail: u64,
    #[serde(deserialize_with = "few")]
    environment: Vec<(Raw, Raw)>,
}

impl Ask {
    /// To ask for this. From where names are meant, and who calls, the owner finds out itself.
    #[must_use]
    pub fn new(request: &Request, label: String, everything: bool) -> Self {
        let environment = request.environment.iter().flat_map(|variables| variables.iter());
        Self {
            label,
            everything,
            names: request.names.clone(),
            mode: request.mode,
            inputs: serde_json::Value::Object(request.inputs.clone()).to_string(),
            arguments: raw(&request.arguments),
            given: request.given.iter().map(|(task, given)| (task.clone(), raw(given))).collect(),
            jobs: request.jobs.map(|jobs| jobs as u64),
            fail_fast: request.fail_fast,
            force: request.force,
            refresh: request.refresh,
            dry_run: request.dry_run,
            timeout: request.timeout,
            retries: request.retries,
            strict_ports: request.strict_ports,
            lines: request.lines,
            tail: request.tail as u64,
            environment: environment.map(|(name, value)| (Raw::of(name), Raw::of(value))).collect(),
        }
    }

    /// The request; none if its inputs are no JSON object.
    #[must_use]
    pub fn into_request(self) -> Option<Request> {
        let as_usize = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let environment = self.environment.into_iter().map(|(name, value)| (name.into_os(), value.into_os()));
        let mut request = Request::run(self.names).mode(self.mode);
        request.inputs = serde_json::from_str(&self.inputs).ok()?;
        let os = |raw: Vec<Raw>| raw.into_iter().map(Raw::into_os).collect();
        request.arguments = os(self.arguments);
        request.given = self.given.into_iter().map(|(task, given)| (task, os(given))).collect();
        request.jobs = self.jobs.map(|jobs| as_usize(jobs).max(1));
        request.fail_fast = self.fail_fast;
        request.force = self.force;
        request.refresh = self.refresh;
        request.dry_run = self.dry_run;
        request.timeout = self.timeout;
        request.retries = self.retries;
        request.strict_ports = self.strict_ports;
        request.lines = self.lines;
        request.tail = as_usize(self.tail);
        request.environment = Some(Arc::new(environment.collect()));
        Some(request)
    }
}

/// What a guest says while its request is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// End the run: SIGTERM, grace, SIGKILL.
    Interrupt,
    /// End the run now: SIGKILL.
    Kill,
    /// Have the watch try again what failed.
    RerunFailed,
    /// Have the watch run everything again.
    RerunAll,
    /// Have the watch start nothing when files change, or go on.
    Hold(bool),
}

/// What the owner says while a request is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    /// A task ended without having been executed, and nothing else is to be said of it: the most frequent event,
    /// in short.
    Passed {
        /// When.
        time: SystemTime,
        /// The task.
        task: TaskName,
        /// How.
        outcome: Outcome,
    },
    /// Something happened.
    Event {
        /// The event, as JSON.
        #[serde(with = "bytes")]
        json: Vec<u8>,
        /// What its JSON form leaves out: the last lines of a task that failed.
        tail: Vec<String>,
    },
    /// The request cannot be met.
    Refused(Refusal),
    /// The output of a task, at the end of the run.
    Output {
        /// The task.
        task: String,
        /// Its output, as JSON.
        #[serde(with = "bytes")]
        json: Vec<u8>,
    },
    /// A variable that the run hands on, at its end.
    Export {
        /// Its name.
        name: String,
        /// Its value, which need not be UTF-8.
        #[serde(with = "bytes")]
        value: Vec<u8>,
    },
    /// The run is over.
    Over(Box<Summary>),
    /// The watch has ended as it was told to.
    WatchOver,
    /// How processes stand now, and whether that is what was wanted.
    Processes {
        /// As JSON, for what is optional.
        #[serde(with = "bytes")]
        json: Vec<u8>,
        /// Whether all is as it was wanted.
        is_well: bool,
    },
}

/// What a run came to, without what was told already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    run: String,
    status: RunStatus,
    would_run: Vec<TaskName>,
    would_restore: Vec<TaskName>,
    failed: bool,
    first_exit_code: Option<i32>,
    not_saved: Option<String>,
    internal_failure: bool,
    duration: Duration,
}

impl Summary {
    /// Of this summary.
    #[must_use]
    pub fn of(summary: &RunSummary) -> Self {
        Self {
            run: summary.run.clone(),
            status: summary.status,
            would_run: summary.would_run.clone(),
            would_restore: summary.would_restore.clone(),
            failed: summary.failed,
            first_exit_code: summary.first_exit_code,
            not_saved: summary.not_saved.clone(),
            internal_failure: summary.internal_failure,
            duration: summary.duration,
        }
    }

    /// A summary without outcomes, outputs, exports and messages.
    #[must_use]
    pub fn into_summary(self) -> RunSummary {
        let mut summary = RunSummary::new(self.run);
        summary.status = self.status;
        summary.would_run = self.would_run;
        summary.would_restore = self.would_restore;
        summary.failed = self.failed;
        summary.first_exit_code = self.first_exit_code;
        summary.not_saved = self.not_saved;
        summary.internal_failure = self.internal_failure;
        summary.duration = self.duration;
        summary
    }
}

impl Told {
    /// What is said of an event.
    #[must_use]
    pub fn of(event: Event) -> Self {
        match event.what {
            What::TaskFinished(finished) if event.v == EVENT_VERSION && is_plain(&finished) => {
                Self::Passed { time: event.time, outcome: finished.status, task: finished.task }
            }
            What::TaskFinished(mut finished) => {
                let tail = std::mem::take(&mut finished.tail);
                Self::json(&Event { what: What::TaskFinished(finished), ..event }, tail)
            }
            _ => Self::json(&event, Vec::new()),
        }
    }

    fn json(event: &Event, tail: Vec<String>) -> Self {
        let mut json = Vec::new();
        event.write_line(&mut json);
        Self::Event { json, tail }
    }
}

fn is_plain(finished: &Finished) -> bool {
    *finished == Finished::without_execution(finished.task.clone(), finished.status)
}

/// The event these stand for.
///
/// # Errors
/// If it is none.
pub fn event(json: &[u8], tail: Vec<String>) -> Result<Event, WireError> {
    let mut event: Event =
        serde_json::from_slice(json).map_err(|error| WireError::Nonsense(error.to_string()))?;
    if let What::TaskFinished(finished) = &mut event.what {
        finished.tail = tail;
    }
    Ok(event)
}

/// The end of a task that was not executed, as an event.
#[must_use]
pub fn passed(time: SystemTime, task: TaskName, outcome: Outcome) -> Event {
    let finished = Finished::without_execution(task, outcome);
    Event { v: EVENT_VERSION, time, what: What::TaskFinished(Box::new(finished)) }
}

/// Why a request is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The guest has to wait for the tree: this task wants a terminal of its own.
    Interactive(TaskName),
    /// These names select nothing.
    Unknown(#[serde(deserialize_with = "few")] Vec<SelectFault>),
    /// A task of the tree asks for tasks of its own tree.
    Nested,
    /// A task would wait for itself: the way from it back to it.
    NestedCycle(#[serde(deserialize_with = "few")] Vec<TaskName>),
    /// These tasks are not watched, but those: what the watch was asked for.
    Unwatched(
        #[serde(deserialize_with = "few")] Vec<TaskName>,
        #[serde(deserialize_with = "few")] Vec<TaskName>,
    ),
    /// Something else.
    Failed(String),
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Unknown(faults) => Self::Unknown(faults),
            SessionError::NestedCycle(way) => Self::NestedCycle(way),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Refusal {
    /// The error a session of the guest's own would have given, where there is such a one.
    ///
    /// # Errors
    /// The refusal itself.
    pub fn into_error(self) -> Result<SessionError, Self> {
        match self {
            Self::Unknown(faults) => Ok(SessionError::Unknown(faults)),
            Self::NestedCycle(way) => Ok(SessionError::NestedCycle(way)),
            other => Err(other),
        }
    }
}

/// A list that is not longer than anybody could mean.
fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Few<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Few<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "a list of at most {MOST_ITEMS}")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                if list.len() == MOST_ITEMS {
                    return Err(de::Error::invalid_length(MOST_ITEMS + 1, &self));
                }
                list.push(item);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Few(PhantomData))
}
