//! The few questions put to the system, in the words of this room.

use std::{ffi::OsStr, io, ops::Range, os::unix::ffi::OsStrExt, path::Path};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::model::{FileKind, StatIdentity};

/// Device and inode: which directory it really is, whatever it is called.
pub(super) type Inode = (u64, u64);

/// What a stat says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    pub(super) kind: FileKind,
    pub(super) identity: StatIdentity,
    pub(super) inode: Inode,
    /// Whether a link led there.
    pub(super) linked: bool,
}

impl Status {
    pub(super) fn is_directory(&self) -> bool {
        self.kind == FileKind::Directory
    }
}

/// The raw fields have other types on other systems, but all fit in here.
fn wide(field: impl Into<i128>) -> i128 {
    field.into()
}

impl From<Stat> for Status {
    fn from(stat: Stat) -> Self {
        let inode = wide(stat.st_ino) as u64;
        let mode = wide(stat.st_mode) as u32;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => FileKind::File { executable: mode & 0o100 != 0 },
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::BrokenLink,
            _ => FileKind::Special,
        };
        let identity = StatIdentity {
            inode,
            size: wide(stat.st_size) as u64,
            mtime_ns: wide(stat.st_mtime) * 1_000_000_000 + wide(stat.st_mtime_nsec),
            ctime_ns: wide(stat.st_ctime) * 1_000_000_000 + wide(stat.st_ctime_nsec),
            mode,
        };
        Self { kind, identity, inode: (wide(stat.st_dev) as u64, inode), linked: false }
    }
}

/// Stats `name` in `directory`; a link is followed, and a link that leads nowhere is itself. `None`: there
/// is nothing.
///
/// `is_link` tells what the listing said, if it said anything: one question less.
pub(super) fn status_at(
    directory: impl AsFd,
    name: &[u8],
    is_link: Option<bool>,
) -> Result<Option<Status>, Errno> {
    let directory = directory.as_fd();
    let name = OsStr::from_bytes(name);
    if is_link != Some(true) {
        match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink => {
                return Ok(Some(stat.into()));
            }
            Ok(_) => {}
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
    match rustix::fs::statat(directory, name, AtFlags::empty()) {
        Ok(stat) => Ok(Some(Status { linked: true, ..stat.into() })),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => broken_link(directory, name),
        Err(errno) => Err(errno),
    }
}

fn broken_link(directory: impl AsFd, name: &OsStr) -> Result<Option<Status>, Errno> {
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Stats an absolute path the same way.
pub(super) fn status(path: &Path) -> Result<Option<Status>, Errno> {
    status_at(rustix::fs::CWD, path.as_os_str().as_bytes(), None)
}

/// Whether anything of this name exists, a broken link included. What cannot be asked counts as existing.
pub(super) fn exists(path: &Path) -> bool {
    !matches!(rustix::fs::lstat(path), Err(Errno::NOENT | Errno::NOTDIR))
}

/// Opens a directory to list it and to stat in it. `None`: there is none.
pub(super) fn open_directory(path: &Path) -> Result<Option<(OwnedFd, Status)>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => rustix::fs::fstat(&fd).map(|stat| Some((fd, stat.into()))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The names of one directory, one after the other in one piece of memory that is used again.
#[derive(Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    places: Vec<(Range<usize>, FileType)>,
}

impl Names {
    fn push(&mut self, name: &[u8], kind: FileType) {
        if name != b"." && name != b".." {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(name);
            self.places.push((start..self.bytes.len(), kind));
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.places.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Puts the names in order: what is found in order need not be sorted later, with its whole path.
    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.places.sort_unstable_by(|(a, _), (b, _)| bytes[a.clone()].cmp(&bytes[b.clone()]));
    }

    /// The names in order, each with what the listing says it is.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], FileType)> {
        self.places.iter().map(|(place, kind)| (&self.bytes[place.clone()], *kind))
    }
}

/// Lists an open directory into `names`. A listing that fails midway has no names at all.
#[cfg(target_os = "linux")]
pub(super) fn list(directory: &OwnedFd, names: &mut Names, buffer: &mut Vec<u8>) -> Result<(), Errno> {
    names.clear();
    buffer.clear();
    buffer.reserve(32 * 1024);
    let mut raw = rustix::fs::RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = raw.next() {
        match entry {
            Ok(entry) => names.push(entry.file_name().to_bytes(), entry.file_type()),
            // A directory that was removed while it was read.
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(errno),
        }
    }
    names.sort();
    Ok(())
}

/// Lists an open directory into `names`. A listing that fails midway has no names at all.
#[cfg(not(target_os = "linux"))]
pub(super) fn list(directory: &OwnedFd, names: &mut Names, _buffer: &mut Vec<u8>) -> Result<(), Errno> {
    names.clear();
    for entry in rustix::fs::Dir::read_from(directory)? {
        match entry {
            Ok(entry) => names.push(entry.file_name().to_bytes(), entry.file_type()),
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(errno),
        }
    }
    names.sort();
    Ok(())
}

/// The system's own words.
pub(super) fn message(errno: Errno) -> String {
    io::Error::from(errno).to_string()
}
