//! Why a program could not be started, said so that it can be mended.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{Command, activation::SHELL};

/// Why a program could not be started.
#[derive(Debug, Error)]
pub enum SpawnError {
    /// The working directory is not there, or is none.
    #[error("the working directory {} {what}", cwd.display())]
    Directory {
        /// The directory.
        cwd: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is no such program.
    #[error("there is no program {}", program.display())]
    MissingProgram {
        /// The program.
        program: PathBuf,
    },
    /// The program is there; what has to interpret or load it is not.
    #[error("cannot run {}: its interpreter {} does not exist", program.display(), name_of(interpreter.as_deref()))]
    MissingInterpreter {
        /// The program.
        program: PathBuf,
        /// Its `#!` line's program; none for a binary, whose loader is missing.
        interpreter: Option<PathBuf>,
    },
    /// The file cannot be executed: no permission, a directory, or no executable format.
    #[error("cannot execute {}: {source}", program.display())]
    NotExecutable {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// One variable or argument is longer than the system accepts (hazard C15).
    #[error("{what} is too large for a program's environment: {size} bytes, at most {limit} are possible")]
    ItemTooLarge {
        /// `variable NAME` or `argument N`.
        what: String,
        /// Its size in bytes, name and terminator included.
        size: usize,
        /// The system's limit in bytes.
        limit: usize,
    },
    /// Variables and arguments together are more than the system accepts (hazard C15).
    #[error(
        "environment and arguments are too large together: {total} bytes; the largest is {largest} with {size}"
    )]
    TooLarge {
        /// Bytes in all.
        total: usize,
        /// `variable NAME` or `argument N`.
        largest: String,
        /// Its size in bytes.
        size: usize,
    },
    /// The warden has ended everything, or is about to.
    #[error("nothing is started any more: the session is ending")]
    Ending,
    /// What has to be in place before the first child could not be put there.
    #[error("cannot {what}: {source}")]
    Safeguard {
        /// What failed.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Anything else the system says.
    #[error("cannot start {}: {source}", program.display())]
    Other {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn name_of(interpreter: Option<&Path>) -> String {
    interpreter.map_or_else(|| "(the loader it was linked for)".to_owned(), |path| path.display().to_string())
}

/// The longest single argument or `NAME=value` with its terminator: 32 pages on Linux.
const ITEM_LIMIT: usize = 128 * 1024;

impl SpawnError {
    /// Finds what can be known to fail before trying.
    pub(super) fn foresee(command: &Command) -> Result<(), Self> {
        let mut too_long = items(command).filter(|&(_, size)| cfg!(target_os = "linux") && size > ITEM_LIMIT);
        match too_long.find(|(item, _)| is_handed(command, *item)) {
            Some((item, size)) => Err(Self::ItemTooLarge { what: item.to_string(), size, limit: ITEM_LIMIT }),
            // Once the shell that brings the sockets is started, only its exit code would tell.
            None if !command.sockets.is_empty() => Self::foresee_program(command),
            None => Ok(()),
        }
    }

    fn foresee_program(command: &Command) -> Result<(), Self> {
        let program = &command.program;
        let fault = match fs::metadata(program) {
            Err(e) => Some(e.kind()),
            Ok(found) if !found.is_file() => Some(io::ErrorKind::PermissionDenied),
            Ok(_) if rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_err() => {
                Some(io::ErrorKind::PermissionDenied)
            }
            Ok(_) if interpreter_of(program).is_some_and(|interpreter| !interpreter.exists()) => {
                Some(io::ErrorKind::NotFound)
            }
            Ok(_) => None,
        };
        fault.map_or(Ok(()), |kind| Err(Self::explain(command, kind.into())))
    }

    /// Finds out what the system meant.
    pub(super) fn explain(command: &Command, source: io::Error) -> Self {
        let program = command.program.clone();
        if let Some(what) = fault_of_directory(&command.cwd) {
            return Self::Directory { cwd: command.cwd.clone(), what };
        }
        match source.kind() {
            io::ErrorKind::ArgumentListTooLong => too_large(command),
            io::ErrorKind::NotFound if !program.exists() => Self::MissingProgram { program },
            io::ErrorKind::NotFound if !command.sockets.is_empty() && !Path::new(SHELL).exists() => {
                Self::MissingProgram { program: SHELL.into() }
            }
            io::ErrorKind::NotFound => {
                Self::MissingInterpreter { interpreter: interpreter_of(&program), program }
            }
            io::ErrorKind::PermissionDenied => Self::NotExecutable { program, source },
            _ if source.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
                Self::NotExecutable { program, source }
            }
            _ => Self::Other { program, source },
        }
    }
}

/// Why nothing can be started in a directory, if nothing can: the rest of a sentence about it.
#[must_use]
pub fn fault_of_directory(cwd: &Path) -> Option<&'static str> {
    match fs::metadata(cwd) {
        Ok(found) if !found.is_dir() => Some("is no directory"),
        Ok(_) if rustix::fs::access(cwd, rustix::fs::Access::EXEC_OK).is_err() => Some("may not be entered"),
        Ok(_) => None,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Some("does not exist"),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Some("may not be looked at"),
        Err(_) => Some("cannot be reached"),
    }
}

fn interpreter_of(program: &Path) -> Option<PathBuf> {
    let mut head = Vec::new();
    File::open(program).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?.trim_ascii_start();
    let name = line.split(|b| matches!(b, b' ' | b'\t')).next()?;
    Some(PathBuf::from(OsString::from_vec(name.to_vec())))
}

/// An argument or a variable, for the sake of its name.
#[derive(Clone, Copy)]
enum Item<'a> {
    Argument(usize),
    Variable(&'a OsStr),
    /// One that counts unless the command has its own.
    Ambient(&'a OsStr),
}

impl std::fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Argument(number) => write!(f, "argument {number}"),
            Self::Variable(name) | Self::Ambient(name) => write!(f, "variable {}", name.display()),
        }
    }
}

fn items(command: &Command) -> impl Iterator<Item = (Item<'_>, usize)> {
    let args = command.args.iter().enumerate().map(|(at, arg)| (Item::Argument(at + 1), arg.len() + 1));
    let size = |name: &OsString, value: &OsString| name.len() + value.len() + "=\0".len();
    let env = command.env.iter().map(move |(name, value)| (Item::Variable(name), size(name, value)));
    let ambient = command.ambient.iter().map(move |(name, value)| (Item::Ambient(name), size(name, value)));
    args.chain(env).chain(ambient)
}

fn is_handed(command: &Command, item: Item<'_>) -> bool {
    match item {
        Item::Ambient(name) => command.env.iter().all(|(own, _)| own != name),
        Item::Argument(_) | Item::Variable(_) => true,
    }
}

fn too_large(command: &Command) -> SpawnError {
    let handed = || items(command).filter(|(item, _)| is_handed(command, *item));
    let total = handed().map(|(_, size)| size).sum();
    let largest = handed().max_by_key(|&(_, size)| size);
    let (largest, size) = largest.map_or_else(Default::default, |(item, size)| (item.to_string(), size));
    SpawnError::TooLarge { total, largest, size }
}
