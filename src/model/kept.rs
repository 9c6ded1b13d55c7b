//! What is kept of the files a task left (spec section 4.5).

use serde::{Deserialize, Serialize};

use super::{Digest, bytes};

/// One thing a task left at a declared output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// Its path relative to the root: never empty, without `.`, `..` and empty segments.
    #[serde(with = "bytes")]
    pub path: Vec<u8>,
    /// What it is.
    pub what: KeptKind,
}

/// What is kept of it. Modes are permission bits alone: `st_mode & 0o777`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeptKind {
    /// A regular file; its content lies in the cache under this digest.
    File {
        /// Of its content.
        digest: Digest,
        /// In bytes.
        size: u64,
        /// Its permissions.
        mode: u32,
    },
    /// A directory that a pattern names, or that lies beneath one it names. Those that files merely lie in are made as
    /// they are needed.
    Directory {
        /// Its permissions.
        mode: u32,
    },
    /// A symbolic link: its text.
    Link(#[serde(with = "bytes")] Vec<u8>),
}
