//! What the store cannot do.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why something of the state directory could not be used. Cloned to everyone who waits for one commit.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused an operation on a file.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The verb, for the message.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The state directory, or something in it, is not safe to use (hazard E4).
    #[error("{} {why}", path.display())]
    Refused {
        /// The directory.
        path: PathBuf,
        /// The rest of the sentence: `is a symbolic link`.
        why: &'static str,
    },
    /// The file system has no locks (hazard D8): work without the store and say so.
    #[error("{} lies on a file system without locks", path.display())]
    NoLocks {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Another process, or another handle of this one, has the store open.
    #[error("{} is open in another process", .0.display())]
    AlreadyOpen(PathBuf),
    /// Opened read-only, but it was not closed cleanly or is damaged: open it read-write under the lock.
    #[error("the state needs repair: {0}")]
    NeedsRepair(String),
    /// A batch could not be made durable, not even after reopening (hazard D3). Nothing of it counts.
    #[error("results not saved: {0}")]
    NotSaved(String),
    /// A sync failed: the system may show what the disk never got, so the file was removed (hazard D3).
    #[error("cannot sync {}", path.display())]
    NotSynced {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A commit on a store opened read-only.
    #[error("the state was opened read-only")]
    ReadOnly,
    /// The handle was closed, or replaced after a fault: take a new snapshot.
    #[error("the state was closed")]
    Closed,
    /// A value that has no stored form.
    #[error("cannot encode a record: {0}")]
    Encode(String),
}

impl StoreError {
    /// An operation on `path` that the system refused.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }
}
