//! What is known of a file without opening it, and what was learnt when it was opened.

use serde::{Deserialize, Serialize};

use super::Digest;

/// The stat identity of a file: while it stays equal, and the stamps are safely in the past, the
/// content is taken to be unchanged (spec section 4.2). Compared by equality only, never by order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StatIdentity {
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch (negative before it).
    pub mtime_ns: i128,
    /// Status change time, nanoseconds since the epoch.
    pub ctime_ns: i128,
    /// `st_mode`: file type and permission bits.
    pub mode: u32,
}

/// What a matched path is, as far as freshness cares (spec sections 4.1 and 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file, or a link to one.
    File {
        /// Whether the owner may execute it.
        executable: bool,
    },
    /// A directory: its presence counts, its stamps do not.
    Directory,
    /// A link that leads nowhere; its text is its content.
    BrokenLink,
    /// A FIFO, socket or device: never opened, only its presence and kind count.
    Special,
}

/// One file of the stat cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The file's name within its directory, as bytes.
    pub name: Vec<u8>,
    /// The identity it had when it was hashed.
    pub identity: StatIdentity,
    /// The digest of its content.
    pub digest: Digest,
    /// Whether its stamps were too close to the moment of hashing to be trusted: such a file is
    /// hashed again at the next look (the racy-timestamp rule of git's index, spec section 4.2).
    pub racy: bool,
}

/// The stat cache of one directory, sorted by name: one record a directory, so that reading the cache
/// of a tree costs a look-up a directory and not one a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirRecord {
    /// The files of this directory that were ever hashed.
    pub files: Vec<FileRecord>,
}

impl DirRecord {
    /// The record of the file called `name`.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&FileRecord> {
        let at = self.files.binary_search_by(|f| f.name.as_slice().cmp(name)).ok()?;
        self.files.get(at)
    }
}
