//! Removing what nothing refers to.

use std::{collections::HashSet, io, os::unix::ffi::OsStrExt};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, Dir, Mode, OFlags},
    io::Errno,
};

use super::Cache;
use crate::model::Digest;

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Contents that were removed.
    pub removed: usize,
    /// What they came to, in bytes.
    pub freed: u64,
    /// What is left, in bytes.
    pub left: u64,
}

impl Cache {
    /// Removes all contents but these. With `only_look` it is only told what would go.
    ///
    /// # Errors
    /// The system's; what was removed stays removed.
    pub fn sweep(&self, keep: &HashSet<Digest>, only_look: bool) -> io::Result<Swept> {
        let mut swept = Swept::default();
        for first in 0..=u8::MAX {
            let name = format!("{first:02x}");
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(dir) = rustix::fs::openat(self.blobs.dir(), &name, flags, Mode::empty()) else { continue };
            sweep_one(&dir, &name, keep, only_look, &mut swept)?;
        }
        Ok(swept)
    }
}

fn sweep_one(
    dir: &OwnedFd,
    first: &str,
    keep: &HashSet<Digest>,
    only_look: bool,
    swept: &mut Swept,
) -> io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let Some(digest) = digest_of_name(first, entry.file_name().to_bytes()) else { continue };
        let stat = match rustix::fs::statat(dir.as_fd(), entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            // Somebody has found it damaged meanwhile.
            Err(Errno::NOENT) => continue,
            stat => stat?,
        };
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        if keep.contains(&digest) {
            swept.left += size;
            continue;
        }
        if !only_look {
            match rustix::fs::unlinkat(dir, entry.file_name(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        swept.removed += 1;
        swept.freed += size;
    }
    Ok(())
}

/// The digest that two layers of names stand for. Nothing but what has such a name is ours.
fn digest_of_name(first: &str, rest: &[u8]) -> Option<Digest> {
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if rest.len() != 30 || !rest.iter().all(is_hex) {
        return None;
    }
    let name = format!("{first}{}", std::ffi::OsStr::from_bytes(rest).to_str()?);
    u128::from_str_radix(&name, 16).ok().map(Digest)
}
