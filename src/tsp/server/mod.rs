//! For who writes a server in Rust: a registry of tasks, and a program around it.
//!
//! ```no_run
//! use devtask::tsp::server::{Failure, Run, Server, Task};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(default)]
//! struct Input {
//!     greeting: String,
//! }
//!
//! impl Default for Input {
//!     fn default() -> Self {
//!         Self { greeting: "Hello".to_owned() }
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Server::new("example")
//!         .task(
//!             Task::new("example:greet", |run: &Run, input: Input| -> Result<usize, Failure> {
//!                 run.log(&input.greeting);
//!                 std::fs::write(run.cwd().join("greeting.txt"), &input.greeting)?;
//!                 Ok(input.greeting.len())
//!             })
//!             .description("says hello")
//!             .outputs(["greeting.txt"]),
//!         )
//!         .main()
//! }
//! ```
//!
//! Everything blocks, and each run has a thread; there is no runtime. [`Server::main`] is the one place that reads
//! arguments and writes to stdout: by hand the program is a tool for the command line. What a task returns as an
//! error, and a panic, is a result of that task; only misuse of the protocol is an error of the protocol.
//!
//! | file | story |
//! |---|---|
//! | `task` | a task and what it is declared with |
//! | `input`, `failure` | what comes in typed, and why a task fails |
//! | `run` | what a task can say and ask while it runs |
//! | `child`, `lines` | commands of a task: their lines, their end |
//! | `connection` | requests in, answers out; what runs, and what waits for that |
//! | `hand` | the program as a tool for the command line |

mod child;
mod connection;
mod failure;
mod hand;
mod input;
mod lines;
mod run;
mod task;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    io::{self, Read as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    thread,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    low_level::pipe,
};

pub use super::Remark;
use crate::model::TaskName;
pub use failure::Failure;
pub use run::Run;
pub use task::Task;

/// A server: a name and tasks.
#[derive(Debug)]
pub struct Server {
    name: String,
    tasks: Vec<Arc<Task>>,
    max_concurrency: Option<u32>,
}

impl Server {
    /// A server without tasks. The name is for people.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), tasks: Vec::new(), max_concurrency: None }
    }

    /// Adds a task.
    #[must_use]
    pub fn task(mut self, task: Task) -> Self {
        self.tasks.push(Arc::new(task));
        self
    }

    /// How many runs there are at once, at least one; others wait for them. Without this: as many as are asked for.
    #[must_use]
    pub fn max_concurrency(mut self, most: u32) -> Self {
        self.max_concurrency = Some(most.max(1));
        self
    }

    /// What is wrong with the names of the tasks, a sentence each.
    ///
    /// # Errors
    /// These sentences, if there are any.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut names = HashSet::new();
        let mut faults = Vec::new();
        for name in self.tasks.iter().map(|task| task.name()) {
            if let Err(fault) = TaskName::check_characters(name) {
                faults.push(format!("the task name `{name}` is not legal: {fault}"));
            }
            if !names.insert(name) {
                faults.push(format!("there are two tasks `{name}`"));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// The program: with the path of a socket as its argument it serves one connection there, else it is a tool for
    /// the command line (`--help` says more). For `fn main` to return.
    ///
    /// SIGINT, SIGTERM and SIGHUP cancel what runs, so that no command of a task is left behind; the second of them
    /// ends the program at once.
    #[must_use]
    pub fn main(self) -> ExitCode {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        if let Err(faults) = self.check() {
            for fault in faults {
                hand::complain(&mut io::stderr(), &format!("{}: {fault}", self.name));
            }
            return ExitCode::from(2);
        }
        match &arguments[..] {
            // Devtask's is absolute. No verb has a slash.
            [path] if path.as_encoded_bytes().contains(&b'/') => self.at(path.as_ref()),
            _ => hand::main(&self, &arguments),
        }
    }

    fn at(self, path: &Path) -> ExitCode {
        let name = self.name.clone();
        let served = accept(path).and_then(|stream| {
            let ours = stream.try_clone()?;
            // What is read then is the end of the connection.
            on_signal(move || drop(ours.shutdown(std::net::Shutdown::Both)))?;
            self.serve(stream)
        });
        match served {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                hand::complain(&mut io::stderr(), &format!("{name}: {}: {error}", path.display()));
                ExitCode::FAILURE
            }
        }
    }

    /// Speaks over a connection until the other end closes it. What still runs is cancelled then, the commands of
    /// tasks are ended, and it is waited for that for some seconds. Runs that heed no cancellation keep their threads.
    ///
    /// # Errors
    /// What [`Server::check`] finds, as `InvalidInput`; a message that is longer than
    /// [`LIMIT`](super::LIMIT), as `InvalidData`; what the system says.
    pub fn serve(self, stream: UnixStream) -> io::Result<()> {
        self.check().map_err(|faults| io::Error::new(io::ErrorKind::InvalidInput, faults.join("; ")))?;
        connection::serve(self, stream)
    }

    fn find(&self, name: &str) -> Option<&Arc<Task>> {
        self.tasks.iter().find(|task| task.name() == name)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(|task| task.name())
    }
}

/// The one connection to a socket, whose file is removed then. Its directory says who may connect.
fn accept(path: &Path) -> io::Result<UnixStream> {
    let (stream, _) = UnixListener::bind(path)?.accept()?;
    // Nobody else is answered; if it stays, it goes with its directory.
    let _ = fs::remove_file(path);
    Ok(stream)
}

/// Does something at the first signal to end; with the second the system ends the program.
fn on_signal(act: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (mut from, to) = UnixStream::pair()?;
    let is_second = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_default(signal, Arc::clone(&is_second))?;
        flag::register(signal, Arc::clone(&is_second))?;
        pipe::register(signal, to.try_clone()?)?;
    }
    let wait = move || {
        if from.read_exact(&mut [0]).is_ok() {
            act();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}

/// What a thread that panicked held is as good as before: each change is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
