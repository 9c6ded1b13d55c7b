//! Why something is not kept, or does not come back.

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Why something is not kept, or does not come back. None of it is a failure of the task: it is executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// It is nothing that is kept: a FIFO, a link out of the tree, a file reached through a link.
    #[error("{} {why}", path.display())]
    Refused {
        /// Relative to the root.
        path: PathBuf,
        /// What is the matter with it.
        why: &'static str,
    },
    /// It is not as it was when the task ended.
    #[error("{} changed meanwhile", path.display())]
    Changed {
        /// Relative to the root.
        path: PathBuf,
    },
    /// Its content is not in the cache, or no longer what it was.
    #[error("what was kept of {} is {how}", path.display())]
    Lost {
        /// Relative to the root.
        path: PathBuf,
        /// Missing or damaged.
        how: &'static str,
    },
    /// Something that nobody kept stands where it belongs.
    #[error("{} is in the way", path.display())]
    InTheWay {
        /// Relative to the root.
        path: PathBuf,
    },
    /// The system did not let us.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what; relative to the root, if it is no file of the cache.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The caller wanted no more of it.
    #[error("it was stopped")]
    Stopped,
}

fn path_of(name: &[u8]) -> PathBuf {
    Path::new(OsStr::from_bytes(name)).to_owned()
}

pub(super) fn refused(path: &[u8], why: &'static str) -> CacheError {
    CacheError::Refused { path: path_of(path), why }
}

pub(super) fn changed(path: &[u8]) -> CacheError {
    CacheError::Changed { path: path_of(path) }
}

pub(super) fn lost(path: &[u8], how: &'static str) -> CacheError {
    CacheError::Lost { path: path_of(path), how }
}

pub(super) fn in_the_way(path: &[u8]) -> CacheError {
    CacheError::InTheWay { path: path_of(path) }
}

pub(super) fn io(action: &'static str, path: &[u8], source: io::Error) -> CacheError {
    CacheError::Io { action, path: path_of(path), source }
}
