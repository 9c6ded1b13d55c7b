//! One call of git.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    thread,
};

use rustix::fs::{Access, access};

/// Why git did not do what it was to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// It could not be started.
    #[error("cannot start git: {0}")]
    NotStarted(io::Error),
    /// It was lost sight of.
    #[error("cannot wait for git: {0}")]
    Lost(io::Error),
    /// It failed.
    #[error("`git {command}` failed: {said}")]
    Failed {
        /// Its first words.
        command: String,
        /// What it said.
        said: String,
    },
    /// It said something that makes no sense here.
    #[error("`git {command}` said something unexpected")]
    Unexpected {
        /// Its first words.
        command: String,
    },
    /// The path of the repository cannot be told apart in what git says.
    #[error("the path of the repository {} has a newline in it", .0.display())]
    Newline(PathBuf),
    /// Another devtask is at work in the checkout, and it is not to be waited for.
    #[error("another devtask is at work in {}", .0.display())]
    Held(PathBuf),
    /// Something that is not ours is in the place of the checkout.
    #[error("{} is no checkout of devtask's", .0.display())]
    Foreign(PathBuf),
    /// The repository has no work tree.
    #[error("the repository {} has no work tree", .0.display())]
    Bare(PathBuf),
    /// A file could not be read or written.
    #[error("cannot {what} {}: {error}", path.display())]
    File {
        /// What was to be done with it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl GitError {
    /// A file that could not be read or written.
    pub(super) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { what, path, error }
    }
}

/// What every call is given: nothing of the repository's own is to be started while somebody looks, and what is asked for
/// is not to be written down on the side.
const MANNERS: [&str; 14] = [
    "--no-pager",
    "--literal-pathspecs",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.quotePath=false",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
];

/// How git is called.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// All it sees of the environment.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Where it is started.
    pub(super) dir: PathBuf,
    /// What it holds for as long as it lives, also where we do not: its stdin, if it has nothing to read.
    pub(super) holds: Option<Arc<File>>,
}

impl Caller {
    /// The same with these variables.
    pub(super) fn with<V: Into<OsString>>(
        &self,
        variables: impl IntoIterator<Item = (&'static str, V)>,
    ) -> Self {
        let mut caller = self.clone();
        for (name, value) in variables {
            caller.environment.retain(|(known, _)| known != name);
            caller.environment.push((name.into(), value.into()));
        }
        caller
    }

    /// The git of `PATH`: never one of the directory it is called in (hazard E3).
    fn program(&self) -> Result<PathBuf, GitError> {
        let path = self.environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
        let dirs = path.iter().flat_map(|path| env::split_paths(path)).filter(|dir| dir.is_absolute());
        let found =
            dirs.map(|dir| dir.join("git")).find(|git| access(git, Access::EXEC_OK).is_ok() && git.is_file());
        found.ok_or_else(|| GitError::NotStarted(io::ErrorKind::NotFound.into()))
    }

    /// The same elsewhere.
    pub(super) fn at(&self, dir: &Path) -> Self {
        Self { dir: dir.to_owned(), ..self.clone() }
    }

    /// What it wrote to stdout.
    pub(super) fn read<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Vec<u8>, GitError> {
        self.read_with(arguments, Vec::new())
    }

    /// What it wrote to stdout, given this on stdin.
    pub(super) fn read_with<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: Vec<u8>,
    ) -> Result<Vec<u8>, GitError> {
        let output = self.call(arguments, input)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().strip_prefix("fatal: ").unwrap_or(said.trim()).to_owned();
        let said = if said.is_empty() { output.status.to_string() } else { said };
        Err(GitError::Failed { command: first_words(arguments), said })
    }

    /// One line of its stdout, if it did what it was asked.
    pub(super) fn ask<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Option<Vec<u8>> {
        self.read(arguments).ok().map(line)
    }

    /// What became of it.
    pub(super) fn call<A: AsRef<OsStr>>(&self, arguments: &[A], input: Vec<u8>) -> Result<Output, GitError> {
        let mut command = Command::new(self.program()?);
        command.args(MANNERS).args(arguments).current_dir(&self.dir).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.envs([("LC_ALL", "C"), ("GIT_OPTIONAL_LOCKS", "0"), ("GIT_TERMINAL_PROMPT", "0")]);
        command.stdin(match &self.holds {
            _ if !input.is_empty() => Stdio::piped(),
            Some(held) => Stdio::from(held.try_clone().map_err(GitError::NotStarted)?),
            None => Stdio::null(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(GitError::NotStarted)?;
        let stdin = child.stdin.take();
        // What it answers to the beginning may fill its pipe before it has read the end.
        let writer = stdin.map(|mut stdin| {
            thread::spawn(move || {
                // Who needs no more of it has closed its end, and says so itself.
                let _ = stdin.write_all(&input);
            })
        });
        let output = child.wait_with_output().map_err(GitError::Lost);
        if let Some(writer) = writer {
            // It does nothing that panics.
            let _ = writer.join();
        }
        output
    }
}

/// The words that tell what was asked, for people.
pub(super) fn first_words<A: AsRef<OsStr>>(arguments: &[A]) -> String {
    let words = arguments.iter().map(|word| word.as_ref().to_string_lossy());
    words.take(3).collect::<Vec<_>>().join(" ")
}

/// Without the end of the line.
pub(super) fn line(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}
