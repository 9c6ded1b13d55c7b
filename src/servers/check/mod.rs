//! Whether a server keeps to the protocol: a suite of checks for servers in any language.
//!
//! The checks speak over a connection of their own and not over [`tsp::Client`](crate::tsp::Client), for they say
//! things that are broken, too. Most rows share one server; a row that fails leaves it behind, so that the next ones
//! are not judged by what happened to it. Everything that was started is ended before [`check`] returns.
//!
//! | file | story |
//! |---|---|
//! | `bench` | servers as devtask starts them, with nothing said yet |
//! | `talk` | a connection; all that comes is held against the protocol |
//! | `lab` | what the rows share |
//! | `opening` | rows about the start and the list |
//! | `runs` | rows about runs |
//! | `misuse` | rows about what nobody should send |
//! | `ending` | rows about the end |
//! | `by_hand` | speaking to a server, for who wants to |
//! | `faults`, `times` | faults in bounded memory, times (pure) |

mod bench;
mod by_hand;
mod ending;
mod faults;
mod lab;
mod misuse;
mod opening;
mod runs;
mod talk;
mod times;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ffi::OsStr, io, path::Path, sync::Arc, time::Duration};

use self::{bench::Bench, lab::Lab};
use super::{
    Surroundings,
    ask::{Workshop, apart},
};
use crate::{
    model::{TaskServer, Written},
    process::{find_program, inherited},
};
pub use by_hand::talk;

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From its start until it can be spoken to.
    pub start: Duration,
    /// For each answer, that to `run` included.
    pub answer: Duration,
    /// To end a run that is cancelled, and to end itself once the connection is closed.
    pub grace: Duration,
}

impl Default for Limits {
    /// 5 s each.
    fn default() -> Self {
        Self::all(Duration::from_secs(5))
    }
}

impl Limits {
    /// The same for all.
    #[must_use]
    pub const fn all(limit: Duration) -> Self {
        Self { start: limit, answer: limit, grace: limit }
    }
}

/// Which tasks are run, by their names in the server's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The one that is run again and again; by default the first that depends on nothing, else the first.
    pub task: Option<String>,
    /// One that runs until it is cancelled.
    pub slow: Option<String>,
}

/// What the checks came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The checks, in their order.
    pub rows: Vec<Row>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name, for programs: words with hyphens.
    pub name: &'static str,
    /// What is checked.
    pub what: &'static str,
    /// What it came to.
    pub outcome: Outcome,
    /// What else is to be known: no faults of the server. Like the faults it may hold text of the server.
    pub notes: Vec<String>,
}

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server does as it should.
    Passed,
    /// It does not; all that is wrong.
    Failed(String),
    /// It was not checked, and why.
    Skipped(String),
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckFault {
    /// The command is empty.
    #[error("there is no command to check")]
    NoCommand,
    /// There is no such program.
    #[error("there is no program `{0}`")]
    NoProgram(String),
    /// The system refused.
    #[error("cannot check: {0}")]
    System(#[from] io::Error),
    /// It does not do what it was started for.
    #[error("{0}")]
    Server(String),
    /// A fault of devtask.
    #[error("cannot check: internal failure")]
    Internal,
}

/// Checks the server that a command starts, in that directory. Blocks, on a thread of its own: it may be called from
/// anywhere. The command gets a socket's path as its last argument.
///
/// # Errors
/// [`CheckFault`], where nothing could be started at all.
pub fn check(
    command: &[String],
    cwd: &Path,
    surroundings: &Surroundings,
    limits: &Limits,
    choice: &Choice,
) -> Result<Report, CheckFault> {
    in_a_lab(command, cwd, surroundings, limits, async |bench: Bench<'_>| Report {
        rows: rows(Lab::new(bench, *limits, choice)).await,
    })
}

/// Does something with servers of that command. Whatever was started is ended afterwards.
fn in_a_lab<T: Send>(
    command: &[String],
    cwd: &Path,
    surroundings: &Surroundings,
    limits: &Limits,
    what: impl AsyncFnOnce(Bench<'_>) -> T + Send,
) -> Result<T, CheckFault> {
    let ambient = inherited(&surroundings.environment);
    let program = command.first().ok_or(CheckFault::NoCommand)?;
    let path = ambient.get(OsStr::new("PATH")).map(|path| path.as_os_str());
    if find_program(OsStr::new(program), path, cwd).is_none() {
        return Err(CheckFault::NoProgram(program.clone()));
    }
    let server = Arc::new(server(command, cwd, limits));
    let done = apart(surroundings, async |workshop: Workshop<'_>| {
        let Workshop { warden, private, ambient } = workshop;
        let reserved = surroundings.reserved.clone();
        let root = &server.dir;
        what(Bench { warden, server: Arc::clone(&server), root, ambient, reserved, private }).await
    });
    done.ok_or(CheckFault::Internal)?.map_err(CheckFault::System)
}

fn server(command: &[String], cwd: &Path, limits: &Limits) -> TaskServer {
    TaskServer {
        name: "checked".to_owned(),
        project: "check".into(),
        command: command.iter().cloned().map(Written::plain).collect(),
        dir: cwd.to_owned(),
        env: BTreeMap::new(),
        file_env: BTreeMap::new(),
        watch: Vec::new(),
        start_timeout: limits.start,
    }
}

async fn rows(mut lab: Lab<'_>) -> Vec<Row> {
    let lab = &mut lab;
    let mut rows = vec![
        lab.row("starts", "can be spoken to in time, whatever the path of its socket", opening::starts).await,
        lab.row("initialize", "answers `initialize`, with params and without", opening::initialize).await,
        lab.row("listing", "lists tasks that can be read, each name once", opening::listing).await,
        lab.row("not-initialized", "refuses a `run` before `initialize`", opening::not_initialized).await,
    ];
    let run = lab.row("run", "runs a task, and says nothing of it after its result", runs::run).await;
    lab.runs = run.outcome == Outcome::Passed;
    rows.extend([
        run,
        lab.row("parallel", "answers eight runs at once, each once", runs::parallel).await,
        lab.row("big", "takes messages of 1 MiB", runs::big).await,
        lab.row("pieces", "takes messages together and in pieces", runs::pieces).await,
        lab.row("failure", "answers wrong requests with the right errors", misuse::failure).await,
        lab.row("broken", "answers what is no request, and goes on", misuse::broken).await,
        lab.row("cancel", "ends a run that is cancelled", runs::cancel).await,
        lab.row("times", "gives its log lines times that can be read", runs::times).await,
        lab.row("half-line", "ends when the connection breaks within a message", ending::half_line).await,
        lab.row("end-of-file", "ends when the connection is closed", ending::end_of_file).await,
        lab.row("shutdown", "answers `shutdown`, and then ends with exit 0", ending::shutdown).await,
    ]);
    rows
}
