//! What tasks left at their declared outputs, kept by content and put back (spec section 4.5).
//!
//! Floor 6, synchronous. Contents lie in files of their own, named by digest; which of them make up a result is written
//! elsewhere. The room keeps these promises:
//!
//! * what comes back is what was kept: each content is hashed on its way in and on its way back, so one that was
//!   damaged, edited or cut short is an error, and is removed;
//! * a file of the tree is replaced as a whole or not at all, and none before all that is to be put back is at hand. One
//!   that is right as it is is not touched (hazard B13);
//! * nothing is read or written through a link, and nothing beside the root (hazard E6). Contents are copied, or share
//!   their blocks until one of them is written to, but never are they one file: who writes into an output in place
//!   does not write into the cache;
//! * whatever is lost of the cache, to a crash or by hand, costs executing and no more. So nothing here is synced.
//!
//! It knows no tasks, no keys and no records.

mod beneath;
mod blobs;
mod difference;
mod error;
mod keep;
mod restore;
mod stage;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::model::Digest;
use blobs::Blobs;
pub use difference::{Difference, difference};
pub use error::CacheError;
pub use keep::Kept;
pub use restore::Restored;
pub use sweep::Swept;

/// The contents in one directory, of files beneath one root.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    blobs: Blobs,
}

/// Whether the directory of a cache has a content of this digest and size, without opening either. What it holds is seen
/// when it is needed.
#[must_use]
pub fn has_content(dir: &Path, digest: Digest, size: u64) -> bool {
    let found = std::fs::symlink_metadata(dir.join(blobs::name_of(digest)));
    found.is_ok_and(|found| found.is_file() && found.len() == size)
}

impl Cache {
    /// The contents in `dir`, a private directory that exists, of files beneath `root`. No other process may use the
    /// directory: what one that is gone left half done is removed.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn open(dir: &Path, root: &Path) -> io::Result<Self> {
        Ok(Self { root: root.to_owned(), blobs: Blobs::open(dir)? })
    }
}
