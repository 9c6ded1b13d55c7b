//! Reading a file that is to have a certain size at most, whatever stands in its place.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::system::{self, Status};
use crate::model::{FileKind, StatIdentity};

/// The content of a regular file of at most `limit` bytes. Never waits for the writer of a FIFO, and never
/// reads a device that has no end.
///
/// # Errors
/// The system's; for anything but a regular file (a link to one counts as one), and for a larger one.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_regular_identified(path, limit).map(|(content, _)| content)
}

/// [`read_regular`], with the identity the file had when it was opened.
///
/// # Errors
/// As [`read_regular`].
pub fn read_regular_identified(path: &Path, limit: u64) -> io::Result<(Vec<u8>, StatIdentity)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    // A socket, or a device without a driver, cannot even be opened.
    let file = opened.map_err(|errno| if errno == Errno::NXIO { no_regular_file() } else { errno.into() })?;
    let status: Status = rustix::fs::fstat(&file)?.into();
    match status.kind {
        FileKind::File { .. } => {}
        FileKind::Directory => return Err(Errno::ISDIR.into()),
        FileKind::BrokenLink | FileKind::Special => return Err(no_regular_file()),
    }
    let mut content = Vec::with_capacity(status.identity.size.min(limit).try_into().unwrap_or(0));
    // One byte more tells whether there is more: the size may be 0 (in `/proc`) or grow.
    File::from(file).take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {} MiB", limit >> 20),
        ));
    }
    Ok((content, status.identity))
}

/// What tells a regular file from what it was at another time; none if there is none of this name.
#[must_use]
pub fn identity_of(path: &Path) -> Option<StatIdentity> {
    let status: Status = rustix::fs::lstat(path).ok()?.into();
    matches!(status.kind, FileKind::File { .. }).then_some(status.identity)
}

/// [`identity_of`] what a link leads to.
#[must_use]
pub fn identity_of_target(path: &Path) -> Option<StatIdentity> {
    let status: Status = rustix::fs::stat(path).ok()?.into();
    matches!(status.kind, FileKind::File { .. }).then_some(status.identity)
}

/// Whether stamps of files and directories can be trusted on the file system that `path` lies on: it is a local one,
/// of a kind that keeps them.
#[must_use]
pub fn keeps_stamps(path: &Path) -> bool {
    matches!(system::open_to_stat(rustix::fs::CWD, path), Ok(Some((open, _))) if system::keeps_stamps(&open))
}

fn no_regular_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener, path::PathBuf};

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let sized = |name: &str, size: u64| File::create(at(name)).unwrap().set_len(size).unwrap();
        sized("empty", 0);
        sized("full", MIB);
        sized("large", MIB + 1);
        assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("full"), at("link")).unwrap();
        fs::create_dir(at("directory")).unwrap();
        for (path, expected) in [
            (at("empty"), Ok(0)),
            (at("full"), Ok(MIB)),
            (at("link"), Ok(MIB)),
            (at("large"), Err("it is larger than 1 MiB")),
            (at("fifo"), Err("it is no regular file")),
            (at("socket"), Err("it is no regular file")),
            (PathBuf::from("/dev/zero"), Err("it is no regular file")),
            (at("directory"), Err("Is a directory (os error 21)")),
            (at("missing"), Err("No such file or directory (os error 2)")),
        ] {
            let read = read_regular(&path, MIB).map(|content| content.len() as u64);
            assert_eq!(read.map_err(|e| e.to_string()), expected.map_err(str::to_owned), "{path:?}");
        }
    }
}
