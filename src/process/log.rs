//! Where a job's output is kept: a log of one execution, or one that goes on from start to start.
//!
//! A log that cannot be written is noted once and never disturbs the job.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{capped::Capped, rotated::Rotated};

/// The cap of a log file if nothing else is asked for, in bytes (spec section 3).
pub const DEFAULT_LOG_CAP: u64 = 64 * 1024 * 1024;
/// The size from which on the log of a long-running process is rotated, in bytes (spec section 6).
pub const PROCESS_LOG_SIZE: u64 = 16 * 1024 * 1024;
/// How many files the log of a long-running process has at most, the newest included (spec section 6).
pub const PROCESS_LOG_FILES: u32 = 4;

/// Where a job's output is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// The file; created (0600) at the first byte.
    pub path: PathBuf,
    /// What of the output is kept.
    pub keep: Keep,
}

impl LogTarget {
    /// The log of one execution, of [`DEFAULT_LOG_CAP`].
    #[must_use]
    pub const fn of_task(path: PathBuf) -> Self {
        Self { path, keep: Keep::HeadAndTail(DEFAULT_LOG_CAP) }
    }

    /// The log of a long-running process, of [`PROCESS_LOG_FILES`] files of [`PROCESS_LOG_SIZE`].
    #[must_use]
    pub const fn of_process(path: PathBuf) -> Self {
        Self { path, keep: Keep::Latest { size: PROCESS_LOG_SIZE, files: PROCESS_LOG_FILES } }
    }
}

/// What of an output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// That many bytes of one execution, half of them from the beginning and half from the end. The file
    /// must not exist before.
    HeadAndTail(u64),
    /// What was written last, over all executions: bytes are appended, and each is in the file as soon as it
    /// was read. When the file would become too large it is renamed to `path.1`, what was there to `path.2`
    /// and so on, between two lines where that is possible. No link is followed, and a file that exists
    /// already must be a regular one of the user's own.
    Latest {
        /// Bytes of one file; a line that does not fit may make it up to 64 KiB larger.
        size: u64,
        /// Files at most, the newest included; 0 counts as 1.
        files: u32,
    },
}

/// A log being written.
#[derive(Debug)]
pub(super) enum Log {
    Capped(Capped),
    Rotated(Rotated),
}

impl Log {
    pub(super) fn new(LogTarget { path, keep }: LogTarget) -> Self {
        match keep {
            Keep::HeadAndTail(cap) => Self::Capped(Capped::new(path, cap)),
            Keep::Latest { size, files } => Self::Rotated(Rotated::new(path, size, files)),
        }
    }

    /// Takes bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        match self {
            Self::Capped(log) => log.write(bytes),
            Self::Rotated(log) => log.write(bytes),
        }
    }

    /// Completes the log: its path, if there is one, and what kept it from being complete.
    pub(super) fn close(self) -> (Option<PathBuf>, Option<io::Error>) {
        match self {
            Self::Capped(log) => log.close(),
            Self::Rotated(log) => log.close(),
        }
    }
}

/// Opens a file, in a directory that is made if it is what is missing.
pub(super) fn in_its_directory<T>(path: &Path, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match (open(), path.parent()) {
        (Err(e), Some(parent)) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(parent)?;
            open()
        }
        (result, _) => result,
    }
}

/// The name an older file of a rotated log has: the higher the number, the older; 0 is the newest.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if number > 0 {
        name.push(format!(".{number}"));
    }
    name.into()
}
