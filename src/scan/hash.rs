//! Digests of contents.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::{
    system::{self, Status},
    table::split,
};
use crate::model::{Digest, FileKind, StatIdentity};

/// How much is read at once.
const BUFFER: usize = 128 * 1024;

/// How often a file that changes under our hands is read (hazard A12).
const TRIES: usize = 3;

/// Fewer files than this are hashed faster than a thread starts, unless they are large.
const FEW: usize = 64;

/// More bytes than this are worth a thread.
const MANY_BYTES: u64 = 8 * 1024 * 1024;

/// What reading one file came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Its content, with what a stat said both before and after, and the time before the first.
    Hashed { digest: Digest, status: FileStatus, before_ns: i128 },
    /// It is gone.
    Gone,
    /// It could not be read; the reason.
    Failed(String),
}

/// The part of a status that goes with a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStatus {
    pub(super) kind: FileKind,
    pub(super) identity: StatIdentity,
}

/// A file to be read, and about how large it is.
pub(super) struct Job<'a> {
    pub(super) path: &'a Path,
    pub(super) size: u64,
}

/// Reads all files, with up to `threads` threads where that pays. `now_ns` is the clock.
pub(super) fn read_all(jobs: &[Job<'_>], threads: usize, now_ns: &(dyn Fn() -> i128 + Sync)) -> Vec<Reading> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut reader = Reader { buffer: vec![0; BUFFER], manner: QUIETLY, directory: None, now_ns };
        let mut done = Vec::new();
        while let Some((at, job)) = take(jobs, &next) {
            done.push((at, reader.read(job.path)));
        }
        done
    };
    let bytes: u64 = jobs.iter().map(|job| job.size).sum();
    let helpers =
        if jobs.len() > FEW || bytes > MANY_BYTES { threads.min(jobs.len()).saturating_sub(1) } else { 0 };
    let mut done = std::thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for helper in helpers {
            // A panic of a helper is a bug and goes on as one.
            done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|&(at, _)| at);
    done.into_iter().map(|(_, reading)| reading).collect()
}

fn take<'a, 'b>(jobs: &'b [Job<'a>], next: &AtomicUsize) -> Option<(usize, &'b Job<'a>)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(at).map(|job| (at, job))
}

/// What leaves the time of the last access as it is: to write that down for each file costs a tenth of reading it. Only
/// who owns a file may say so.
#[cfg(target_os = "linux")]
const QUIETLY: OFlags = OFlags::NOATIME;
#[cfg(not(target_os = "linux"))]
const QUIETLY: OFlags = OFlags::empty();

/// Reads one file after the other.
struct Reader<'a> {
    buffer: Vec<u8>,
    /// What the next file is opened with, besides what all are.
    manner: OFlags,
    /// The directory of the last file: mostly the next is in the same.
    directory: Option<(&'a Path, OwnedFd)>,
    now_ns: &'a (dyn Fn() -> i128 + Sync),
}

impl<'a> Reader<'a> {
    fn read(&mut self, path: &'a Path) -> Reading {
        for _ in 0..TRIES {
            match self.read_once(path) {
                Ok(Some(reading)) => return reading,
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => return Reading::Gone,
                Err(error) => return Reading::Failed(error.to_string()),
            }
        }
        Reading::Failed("changed while it was read".to_owned())
    }

    /// Reads a file; `None` if it changed meanwhile or is no file any more. Never waits for a writer of
    /// something that turned out to be a FIFO (hazard A10).
    fn read_once(&mut self, path: &'a Path) -> io::Result<Option<Reading>> {
        let before_ns = (self.now_ns)();
        let mut file = File::from(self.open(path)?);
        let stable = read_stable(&mut file, &mut self.buffer)?;
        Ok(stable.map(|(digest, status)| Reading::Hashed { digest, status, before_ns }))
    }

    /// Opens a file by its name in its directory, which spares the way along its path; where that fails, by its path.
    fn open(&mut self, path: &'a Path) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let (parent, name) = split(path);
        if self.directory.as_ref().is_none_or(|(known, _)| known.as_os_str() != parent.as_os_str()) {
            let opened = system::open_to_stat(CWD, parent).ok().flatten();
            self.directory = opened.map(|(fd, _)| (parent, fd));
        }
        let here =
            |manner| self.directory.as_ref().map(|(_, fd)| openat(fd, name, flags | manner, Mode::empty()));
        let mut opened = here(self.manner);
        if let (Some(Err(Errno::PERM)), false) = (&opened, self.manner.is_empty()) {
            // Somebody else's, and the next ones probably as well.
            opened = here(OFlags::empty());
            self.manner = OFlags::empty();
        }
        match opened {
            Some(Ok(file)) => Ok(file),
            Some(Err(_)) | None => Ok(openat(CWD, path, flags, Mode::empty())?),
        }
    }
}

/// The digest of an open file, if it is one and its stat is the same before and after.
fn read_stable(file: &mut (impl Read + AsFd), buffer: &mut [u8]) -> io::Result<Option<(Digest, FileStatus)>> {
    let before = status_of(&*file)?;
    if !matches!(before.kind, FileKind::File { .. }) {
        return Ok(None);
    }
    let digest = digest_of(file, before.identity.size, buffer)?;
    Ok((status_of(&*file)? == before).then_some((digest, before)))
}

fn status_of(file: impl AsFd) -> io::Result<FileStatus> {
    let Status { kind, identity, .. } = rustix::fs::fstat(file)?.into();
    Ok(FileStatus { kind, identity })
}

/// The digest of the rest of `source`. It ends where `size` bytes were read: whether there are more, the
/// stat afterwards tells. Some files (in `/proc`) say 0 and have content, and are read to their end.
fn digest_of(source: &mut impl Read, size: u64, buffer: &mut [u8]) -> io::Result<Digest> {
    let mut hasher = None;
    let mut total = 0;
    loop {
        let read = match source.read(buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        total += read as u64;
        let last = read == 0 || size > 0 && total >= size;
        if last && hasher.is_none() {
            return Ok(Digest(xxh3_128(&buffer[..read])));
        }
        let hasher = hasher.get_or_insert_with(Xxh3::new);
        hasher.update(&buffer[..read]);
        if last {
            return Ok(Digest(hasher.digest128()));
        }
    }
}

/// The digest of what has no content: one for each kind.
pub(super) fn digest_of_kind(kind: FileKind) -> Digest {
    Digest(match kind {
        FileKind::Directory => xxh3_128(b"directory"),
        _ => xxh3_128(b"special"),
    })
}

/// The digest of a link's text.
pub(super) fn digest_of_link(path: &Path) -> io::Result<Digest> {
    let text = std::fs::read_link(path)?;
    Ok(Digest(xxh3_128(text.as_os_str().as_bytes())))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::fd::{AsFd, BorrowedFd},
    };

    use super::*;

    /// A file somebody writes to while it is read, as long as there are writes left.
    struct Meddled {
        file: File,
        writer: File,
        writes: usize,
    }

    impl Read for Meddled {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.file.read(buffer)?;
            if self.writes > 0 {
                self.writes -= 1;
                io::Write::write_all(&mut self.writer, b"more")?;
            }
            Ok(read)
        }
    }

    impl AsFd for Meddled {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.file.as_fd()
        }
    }

    #[test]
    fn a_file_that_is_written_while_it_is_read_has_no_digest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for (writes, stable) in [(1, false), (0, true)] {
            fs::write(&path, "text").unwrap();
            let writer = File::options().append(true).open(&path).unwrap();
            let mut file = Meddled { file: File::open(&path).unwrap(), writer, writes };
            assert_eq!(read_stable(&mut file, &mut [0; 64]).unwrap().is_some(), stable);
        }
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let text = b"several pieces of one text";
        for (buffer, size) in [(3, 26), (13, 26), (26, 26), (64, 26), (64, 0), (5, 0)] {
            let digest = digest_of(&mut text.as_slice(), size, &mut vec![0; buffer]).unwrap();
            assert_eq!(digest, Digest(xxh3_128(text)), "{buffer} {size}");
        }
    }

    #[test]
    fn what_has_no_size_is_read_to_its_end() {
        let path = Path::new("/proc/self/mounts");
        if path.exists() {
            let mut reader = Reader { buffer: vec![0; 64], manner: QUIETLY, directory: None, now_ns: &|| 0 };
            let reading = reader.read(path);
            assert!(matches!(reading, Reading::Hashed { digest, .. } if digest != Digest(xxh3_128(b""))));
        }
    }
}
