//! A directory in which files are asked for by their names.

use std::{
    ffi::{CStr, OsStr},
    os::unix::ffi::OsStrExt,
};

use rustix::fd::OwnedFd;

use super::{
    system::{self, Status},
    trail::key_path,
};
use crate::model::StatIdentity;

/// Fewer files than this are asked for by their paths for what opening their directory costs.
const FEW: usize = 3;

/// Where the files of a directory are asked for.
pub(super) enum Place<'a> {
    /// In the open directory.
    Open(OwnedFd),
    /// From the open root, by the key of the directory.
    Beneath(&'a OwnedFd, &'a [u8]),
}

impl<'a> Place<'a> {
    /// The place from which these many names of a directory are best asked for, and the identity of the directory,
    /// which may be left out unless it is `wanted`. `None`: it cannot be opened.
    pub(super) fn of(
        root: &'a OwnedFd,
        key: &'a [u8],
        names: impl Iterator,
        wanted: bool,
    ) -> Option<(Self, Option<StatIdentity>)> {
        if names.take(FEW).count() == FEW {
            let (open, status) = system::open_to_stat(root, key_path(key)).ok()??;
            return Some((Self::Open(open), Some(status.identity)));
        }
        let status = wanted.then(|| system::target_at(root, key_path(key))).flatten();
        let identity = status.filter(Status::is_directory).map(|status| status.identity);
        Some((Self::Beneath(root, key), identity))
    }

    /// What a name leads to; `None`: nothing.
    pub(super) fn target(&self, name: &CStr) -> Option<Status> {
        match self {
            Self::Open(directory) => system::target_at(directory, name),
            Self::Beneath(root, key) => {
                system::target_at(root, key_path(key).join(OsStr::from_bytes(name.to_bytes())))
            }
        }
    }
}
