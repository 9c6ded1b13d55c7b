//! For how long what was written is there, synced or not: until the system is started anew or the medium is pulled out.
//!
//! A killed process takes back nothing it wrote, since the system has all of it. Only a power cut (or a medium that
//! goes) leaves pages that are torn, old, or lost.

#[cfg(target_os = "linux")]
use std::{fs, os::unix::fs::MetadataExt as _};
use std::{fs::File, path::Path};

#[cfg(target_os = "linux")]
use rustix::{
    fd::AsFd,
    fs::{AtFlags, CWD, StatxFlags, statx},
};
use serde::{Deserialize, Serialize};
#[cfg(target_os = "linux")]
use xxhash_rust::xxh3::xxh3_64;

/// Two equal ones, now and then: nothing that was written in between was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Epoch {
    boot: String,
    /// The mount, which ends with a medium that is pulled out; 0 where the system (Linux before 6.8) has no number for
    /// it that is never used again.
    mount: u64,
}

impl Epoch {
    /// That of `path`; none where it cannot be told.
    #[cfg(target_os = "linux")]
    pub(super) fn now(path: &Path) -> Option<Self> {
        Self::at(CWD, path, AtFlags::empty())
    }

    #[cfg(target_os = "linux")]
    fn at(dir: impl AsFd, path: &Path, flags: AtFlags) -> Option<Self> {
        // STATX_MNT_ID_UNIQUE: unlike the older number it is never given to a later mount.
        let unique = StatxFlags::from_bits_retain(0x4000);
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let found = statx(dir, path, flags, unique).ok()?;
        let mount = if found.stx_mask & unique.bits() == 0 { 0 } else { found.stx_mnt_id };
        (!boot.is_empty()).then_some(Self { boot, mount })
    }

    /// Other systems do not say which boot this is without unsafe code.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn now(_: &Path) -> Option<Self> {
        None
    }

    /// A number for this file and its epoch. A copy, which may be of several moments, has another. None as with
    /// [`now`](Self::now).
    #[cfg(target_os = "linux")]
    pub(super) fn mark(file: &File) -> Option<u64> {
        let Self { boot, mount } = Self::at(file, Path::new(""), AtFlags::EMPTY_PATH)?;
        let found = file.metadata().ok()?;
        Some(xxh3_64(format!("{boot} {mount} {} {}", found.dev(), found.ino()).as_bytes()))
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn mark(_: &File) -> Option<u64> {
        None
    }
}

#[cfg(test)]
impl Epoch {
    /// The same, but of another boot or mount.
    #[cfg(target_os = "linux")]
    pub(super) fn elsewhere(mut self, boot: bool) -> Self {
        if boot {
            self.boot.push('x');
        } else {
            self.mount += 1;
        }
        self
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_mark_under_any_name_and_a_copy_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let [file, moved, copy] = ["file", "moved", "copy"].map(|name| dir.path().join(name));
        fs::write(&file, "content").unwrap();
        fs::copy(&file, &copy).unwrap();
        let mark = |path| Epoch::mark(&File::open(path).unwrap()).unwrap();
        let before = mark(&file);
        fs::rename(&file, &moved).unwrap();
        fs::write(&moved, "other content").unwrap();
        assert_eq!(mark(&moved), before);
        assert_ne!(mark(&copy), before);
    }
}
