//! The few questions put to the system, in the words of this room.

use std::{ffi::OsStr, io, ops::Range, os::unix::ffi::OsStrExt, path::Path};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::model::{FileKind, Stamp, StatIdentity};

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
            mtime: Stamp { seconds: wide(stat.st_mtime) as i64, nanos: wide(stat.st_mtime_nsec) as u32 },
            ctime: Stamp { seconds: wide(stat.st_ctime) as i64, nanos: wide(stat.st_ctime_nsec) as u32 },
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

/// Stats what a name of a directory leads to, following links; `None`: nothing.
pub(super) fn target_at(directory: impl AsFd, name: impl rustix::path::Arg) -> Option<Status> {
    rustix::fs::statat(directory, name, AtFlags::empty()).ok().map(Status::from)
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
    open_with(rustix::fs::CWD, path, OFlags::RDONLY)
}

fn open_with(at: impl AsFd, path: &Path, how: OFlags) -> Result<Option<(OwnedFd, Status)>, Errno> {
    let flags = how | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat(at, path, flags, Mode::empty()) {
        Ok(fd) => rustix::fs::fstat(&fd).map(|stat| Some((fd, stat.into()))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Opens a directory only to stat it and in it. `None`: there is none.
#[cfg(target_os = "linux")]
pub(super) fn open_to_stat(at: impl AsFd, path: &Path) -> Result<Option<(OwnedFd, Status)>, Errno> {
    // What is only a place needs no permission to read it.
    open_with(at, path, OFlags::PATH)
}

/// Opens a directory only to stat it and in it. `None`: there is none.
#[cfg(not(target_os = "linux"))]
pub(super) fn open_to_stat(at: impl AsFd, path: &Path) -> Result<Option<(OwnedFd, Status)>, Errno> {
    open_with(at, path, OFlags::RDONLY)
}

/// Whether stamps of directories can be trusted there: on a local file system of a kind that keeps them.
/// On others (network, FUSE, Windows' disks) they may come late or never.
#[cfg(target_os = "linux")]
pub(super) fn keeps_stamps(directory: impl AsFd) -> bool {
    // Their width differs between machines.
    const EXT: i128 = 0xEF53;
    const XFS: i128 = 0x5846_5342;
    const BTRFS: i128 = 0x9123_683E;
    const TMPFS: i128 = 0x0102_1994;
    const OVERLAY: i128 = 0x794C_7630;
    const F2FS: i128 = 0xF2F5_2010;
    const ZFS: i128 = 0x2FC1_2FC1;
    const BCACHEFS: i128 = 0xCA45_1A4E;
    let known = [EXT, XFS, BTRFS, TMPFS, OVERLAY, F2FS, ZFS, BCACHEFS];
    rustix::fs::fstatfs(directory).is_ok_and(|found| known.contains(&wide(found.f_type)))
}

/// Whether stamps of directories can be trusted there: on a local disk.
#[cfg(target_vendor = "apple")]
pub(super) fn keeps_stamps(directory: impl AsFd) -> bool {
    const MNT_LOCAL: u32 = 0x1000;
    rustix::fs::fstatfs(directory).is_ok_and(|found| found.f_flags & MNT_LOCAL != 0)
}

/// Whether stamps of directories can be trusted there: nobody has found out yet.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(super) fn keeps_stamps(_directory: impl AsFd) -> bool {
    false
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
