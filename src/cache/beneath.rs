//! Directories beneath the root, reached without following a link.

use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt, path::Path};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

use super::CacheError;

/// What a directory is opened with: a link in its place is an error.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The root, and the directory that was asked for last: mostly the next file is in the same.
pub(super) struct Beneath {
    root: OwnedFd,
    last: Option<(Vec<u8>, OwnedFd)>,
    /// A directory that was not there when it was asked for last.
    missing: Option<Vec<u8>>,
}

/// What stands where a directory was looked for.
#[derive(Debug)]
pub(super) enum Way {
    /// Nothing.
    Missing,
    /// A link, at this path.
    Link(Vec<u8>),
    /// Something else, at this path.
    Blocked(Vec<u8>),
    Failed(io::Error),
}

impl Beneath {
    pub(super) fn open(root: &Path) -> Result<Self, CacheError> {
        // The root itself may be reached through links: it is where the user said.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(root, flags, Mode::empty());
        let root = opened.map_err(|errno| CacheError::Io {
            action: "open",
            path: root.to_owned(),
            source: errno.into(),
        })?;
        Ok(Self { root, last: None, missing: None })
    }

    /// The directory `path`, relative to the root; empty for the root itself.
    pub(super) fn dir(&mut self, path: &[u8], make: bool) -> Result<BorrowedFd<'_>, Way> {
        if path.is_empty() {
            return Ok(self.root.as_fd());
        }
        if self.last.as_ref().is_none_or(|(known, _)| known != path) {
            if make {
                self.missing = None;
            } else if self.missing.as_deref() == Some(path) {
                return Err(Way::Missing);
            }
            match self.descend(path, make) {
                Ok(dir) => self.last = Some((path.to_owned(), dir)),
                Err(way) => {
                    self.missing = matches!(way, Way::Missing).then(|| path.to_owned());
                    return Err(way);
                }
            }
        }
        // It was put there above.
        Ok(self.last.as_ref().map_or(self.root.as_fd(), |(_, fd)| fd.as_fd()))
    }

    /// Forgets the last directory: it may be removed or replaced.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    fn descend(&self, path: &[u8], make: bool) -> Result<OwnedFd, Way> {
        let mut at: Option<OwnedFd> = None;
        let mut end = 0;
        for name in path.split(|byte| *byte == b'/') {
            end += name.len();
            let parent = at.as_ref().map_or(self.root.as_fd(), AsFd::as_fd);
            at = Some(enter(parent, name, make).map_err(|errno| met(parent, name, &path[..end], errno))?);
            end += 1;
        }
        at.ok_or(Way::Missing)
    }
}

fn enter(parent: BorrowedFd<'_>, name: &[u8], make: bool) -> Result<OwnedFd, Errno> {
    let name = OsStr::from_bytes(name);
    let open = || rustix::fs::openat(parent, name, DIRECTORY, Mode::empty());
    match open() {
        Err(Errno::NOENT) if make => match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(errno) => Err(errno),
        },
        result => result,
    }
}

/// What it was that could not be entered.
fn met(parent: BorrowedFd<'_>, name: &[u8], path: &[u8], errno: Errno) -> Way {
    if errno == Errno::NOENT {
        return Way::Missing;
    }
    let found = rustix::fs::statat(parent, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW);
    match found.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Symlink) => Way::Link(path.to_owned()),
        Ok(FileType::Directory) | Err(_) => Way::Failed(errno.into()),
        Ok(_) => Way::Blocked(path.to_owned()),
    }
}

/// The directory of a path, empty for the root, and the name in it. None for a path that names no place beneath the
/// root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_proper = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
    if !path.split(|byte| *byte == b'/').all(is_proper) {
        return None;
    }
    Some(match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    })
}

/// Whether a link of this text, at `path` beneath `root`, leads to a place beneath the root, as far as its text says.
pub(super) fn stays_beneath(root: &Path, path: &[u8], text: &[u8]) -> bool {
    let from_root = |rest: &[u8], mut depth: usize| {
        for name in rest.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." if depth == 0 => return false,
                b".." => depth -= 1,
                _ => depth += 1,
            }
        }
        true
    };
    if text.is_empty() || text.contains(&0) {
        return false;
    }
    if text[0] != b'/' {
        let depth = path.iter().filter(|byte| **byte == b'/').count();
        return from_root(text, depth);
    }
    let beneath = text.strip_prefix(root.as_os_str().as_bytes());
    beneath.is_some_and(|rest| (rest.is_empty() || rest[0] == b'/') && from_root(rest, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_beneath_the_root_have_a_place() {
        let split = |path: &'static str| split(path.as_bytes());
        assert_eq!(split("a"), Some((&b""[..], &b"a"[..])));
        assert_eq!(split("a/b/c"), Some((&b"a/b"[..], &b"c"[..])));
        for path in ["", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/./b", "../a", "a/..", "a/../b", "a\0"]
        {
            assert_eq!(split(path), None, "{path:?}");
        }
    }

    #[test]
    fn links_lead_out_of_the_tree_or_stay_in_it() {
        let root = Path::new("/r/t");
        for (path, text, stays) in [
            ("l", "a", true),
            ("l", ".", true),
            ("l", "..", false),
            ("d/l", "..", true),
            ("d/l", "../a/../b", true),
            ("d/l", "../..", false),
            ("d/l", "../../t", false),
            ("d/l", "a/../../../x", false),
            ("l", "", false),
            ("l", "a\0b", false),
            ("l", "/r/t", true),
            ("l", "/r/t/a", true),
            ("l", "/r/t/../x", false),
            ("l", "/r/tx", false),
            ("l", "/etc/passwd", false),
        ] {
            assert_eq!(stays_beneath(root, path.as_bytes(), text.as_bytes()), stays, "{path} -> {text}");
        }
    }
}
