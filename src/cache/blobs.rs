//! Contents, each in a file named by its digest.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs::File,
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, RawMode},
    io::Errno,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::model::Digest;

/// Where files are written until they are whole.
pub(super) const ASIDE: &str = "new";
/// How much is copied at once.
const BUFFER: usize = 256 * 1024;

/// The directory of contents.
#[derive(Debug)]
pub(super) struct Blobs {
    dir: OwnedFd,
    aside: OwnedFd,
    /// Whether files may share their blocks here, for all that is known.
    #[cfg(target_os = "linux")]
    shares: std::sync::atomic::AtomicBool,
    next: AtomicU64,
    /// The permissions that new files do not get here: the umask, or what stands in its place.
    masked: u32,
}

/// A file that is whole and waits for its place; removed when dropped, unless it was put there.
#[derive(Debug)]
pub(super) struct Aside<'a> {
    blobs: &'a Blobs,
    name: String,
    is_placed: bool,
}

/// What came of copying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

impl Blobs {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let dir = rustix::fs::open(dir, directory(), Mode::empty())?;
        match rustix::fs::mkdirat(&dir, ASIDE, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let aside = rustix::fs::openat(&dir, ASIDE, directory(), Mode::empty())?;
        let mut blobs = Self {
            dir,
            aside,
            #[cfg(target_os = "linux")]
            shares: true.into(),
            next: AtomicU64::new(0),
            masked: 0,
        };
        blobs.clear_aside()?;
        blobs.masked = blobs.find_masked()?;
        blobs.clear_layers()?;
        Ok(blobs)
    }

    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// What of the permissions is taken away from a new file, seen at one.
    fn find_masked(&self) -> io::Result<u32> {
        let (_aside, file) = self.new_file(0o777)?;
        Ok(!permissions(rustix::fs::fstat(&file)?.st_mode) & 0o777)
    }

    /// Removes what a process that is gone left half done.
    fn clear_aside(&self) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&self.aside)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                // What cannot be removed is in nobody's way: names that are taken are passed over.
                let _ = rustix::fs::unlinkat(&self.aside, entry.file_name(), AtFlags::empty());
            }
        }
        Ok(())
    }

    /// Removes what stands in the place of a directory of contents and is none: nothing is reached through a link.
    fn clear_layers(&self) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&self.dir)? {
            let entry = entry?;
            if is_layer(entry.file_name().to_bytes()) && entry.file_type() != FileType::Directory {
                // A directory of a file system that does not tell is not removed this way.
                let _ = rustix::fs::unlinkat(&self.dir, entry.file_name(), AtFlags::empty());
            }
        }
        Ok(())
    }

    /// Whether there is a content of this digest and size. What it holds is seen when it is needed.
    pub(super) fn has(&self, digest: Digest, size: u64) -> bool {
        let found = rustix::fs::statat(&self.dir, name_of(digest), AtFlags::SYMLINK_NOFOLLOW);
        let is_it = |stat: rustix::fs::Stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && u64::try_from(stat.st_size) == Ok(size)
        };
        found.is_ok_and(is_it)
    }

    /// Opens a content; else what is the matter with it.
    pub(super) fn get(&self, digest: Digest) -> io::Result<Result<File, &'static str>> {
        match open_regular(self.dir.as_fd(), name_of(digest).as_bytes()) {
            Ok(file) => Ok(Ok(file)),
            Err(Errno::NOENT) => Ok(Err("missing")),
            // A link, something else that is no file, or one that we may not read: none of it was put there by us.
            Err(Errno::LOOP | Errno::INVAL | Errno::ACCESS) => {
                self.discard(digest);
                Ok(Err("damaged"))
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes a content that is not what it should be.
    pub(super) fn discard(&self, digest: Digest) {
        // What cannot be removed is found wrong again.
        if rustix::fs::unlinkat(&self.dir, name_of(digest), AtFlags::empty()) == Err(Errno::ISDIR) {
            let _ = rustix::fs::unlinkat(&self.dir, name_of(digest), AtFlags::REMOVEDIR);
        }
    }

    /// Whether a new file gets just this mode, if it is asked for. Else it has to be set.
    pub(super) const fn makes(&self, mode: u32) -> bool {
        mode & self.masked == 0
    }

    /// Copies a file aside, into one that is asked to have this mode; `go_on` is asked now and then. None: it was stopped.
    pub(super) fn copy_aside(
        &self,
        from: &mut File,
        size: u64,
        mode: u32,
        go_on: &dyn Fn() -> bool,
    ) -> io::Result<Option<(Aside<'_>, File, Copied)>> {
        let (aside, mut to) = self.new_file(mode)?;
        if self.share(from, &to, size) {
            return Ok(hash(&mut to, size, go_on)?.map(|copied| (aside, to, copied)));
        }
        Ok(copy(from, &mut to, size, go_on)?.map(|copied| (aside, to, copied)))
    }

    /// An empty file aside.
    fn new_file(&self, mode: u32) -> io::Result<(Aside<'_>, File)> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
            match rustix::fs::openat(&self.aside, &name, flags, Mode::from_raw_mode(mode as RawMode)) {
                Ok(fd) => return Ok((Aside { blobs: self, name, is_placed: false }, File::from(fd))),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// A link aside.
    pub(super) fn link_aside(&self, text: &[u8]) -> io::Result<Aside<'_>> {
        loop {
            let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
            match rustix::fs::symlinkat(OsStr::from_bytes(text), &self.aside, &name) {
                Ok(()) => return Ok(Aside { blobs: self, name, is_placed: false }),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Makes `to` share the blocks of `from`, where the file system can do that.
    #[cfg(target_os = "linux")]
    fn share(&self, from: &File, to: &File, size: u64) -> bool {
        // An empty file shares nothing, and that would not say whether it could.
        if size == 0 || !self.shares.load(Ordering::Relaxed) {
            return false;
        }
        let shared = rustix::fs::ioctl_ficlone(to, from).is_ok();
        self.shares.store(shared, Ordering::Relaxed);
        shared
    }

    /// On other systems files that share blocks are made anew, and not worth the bother.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "elsewhere it is asked")]
    const fn share(&self, _from: &File, _to: &File, _size: u64) -> bool {
        false
    }
}

impl Aside<'_> {
    /// Puts it where contents of this digest are.
    pub(super) fn place_as(mut self, digest: Digest) -> io::Result<()> {
        let (blobs, to) = (self.blobs, name_of(digest));
        let place = || rustix::fs::renameat(&blobs.aside, &self.name, &blobs.dir, &to);
        let placed = match place() {
            Err(Errno::NOENT) => match rustix::fs::mkdirat(&blobs.dir, &to[..2], Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => place(),
                Err(errno) => Err(errno),
            },
            result => result,
        };
        placed?;
        self.is_placed = true;
        Ok(())
    }

    /// Puts it in its place in the tree. On another file system than the tree's it goes there as a copy first, under a
    /// name of its own.
    pub(super) fn place(mut self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        match rustix::fs::renameat(&self.blobs.aside, &self.name, dir, OsStr::from_bytes(name)) {
            Ok(()) => {}
            Err(Errno::XDEV) => return self.place_from_afar(dir, name),
            Err(errno) => return Err(errno),
        }
        self.is_placed = true;
        Ok(())
    }

    fn place_from_afar(&self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        let near = format!(".devtask-{}-{}", std::process::id(), self.name);
        let made = match rustix::fs::readlinkat(&self.blobs.aside, &self.name, Vec::new()) {
            Ok(text) => rustix::fs::symlinkat(text.as_c_str(), dir, &near),
            Err(_) => match self.copy_unseen(dir, &near) {
                // Not every file system can do that.
                Err(_) => self.copy_to(dir, &near),
                done => done,
            },
        };
        let placed = made.and_then(|()| rustix::fs::renameat(dir, &near, dir, OsStr::from_bytes(name)));
        if placed.is_err() {
            // It may not even have been made.
            let _ = rustix::fs::unlinkat(dir, &near, AtFlags::empty());
        }
        placed
    }

    /// Copies it into a file that has no name before it is whole: a kill in between leaves nothing.
    #[cfg(target_os = "linux")]
    fn copy_unseen(&self, dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
        use std::os::fd::AsRawFd as _;
        let mut from = open_regular(self.blobs.aside.as_fd(), self.name.as_bytes())?;
        let stat = rustix::fs::fstat(&from)?;
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let mut to = File::from(rustix::fs::openat(dir, ".", flags, Mode::RUSR | Mode::WUSR)?);
        io::copy(&mut from, &mut to).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o777))?;
        let open = format!("/proc/self/fd/{}", to.as_raw_fd());
        rustix::fs::linkat(rustix::fs::CWD, open, dir, name, AtFlags::SYMLINK_FOLLOW)
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "elsewhere it is asked")]
    const fn copy_unseen(&self, _dir: BorrowedFd<'_>, _name: &str) -> Result<(), Errno> {
        Err(Errno::NOTSUP)
    }

    fn copy_to(&self, dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
        let mut from = open_regular(self.blobs.aside.as_fd(), self.name.as_bytes())?;
        let stat = rustix::fs::fstat(&from)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut to = File::from(rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?);
        io::copy(&mut from, &mut to).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        rustix::fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o777))
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        if !self.is_placed {
            // Else the next process does it.
            let _ = rustix::fs::unlinkat(&self.blobs.aside, &self.name, AtFlags::empty());
        }
    }
}

const fn directory() -> OFlags {
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC)
}

/// Where contents of a digest are: two layers, so that no directory gets too large.
pub(super) fn name_of(digest: Digest) -> String {
    let mut name = String::with_capacity(33);
    // A string takes whatever is written.
    let _ = write!(name, "{digest}");
    name.insert(2, '/');
    name
}

/// Whether this is the name of a first layer.
fn is_layer(name: &[u8]) -> bool {
    name.len() == 2 && name.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Opens a regular file. A link in its place is an error, and the writer of a FIFO is not waited for.
pub(super) fn open_regular(dir: BorrowedFd<'_>, name: &[u8]) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, OsStr::from_bytes(name), flags, Mode::empty())?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(Errno::INVAL),
    }
}

/// Permission bits alone.
#[cfg_attr(target_os = "linux", expect(clippy::useless_conversion, reason = "elsewhere it is shorter"))]
pub(super) fn permissions(mode: RawMode) -> u32 {
    u32::from(mode) & 0o777
}

/// Copies all there is, and hashes it on the way. `size` is what is expected; of what turns out to be larger it is only
/// told that it is.
fn copy(from: &mut File, to: &mut File, size: u64, go_on: &dyn Fn() -> bool) -> io::Result<Option<Copied>> {
    each_piece(from, size, go_on, |piece| to.write_all(piece))
}

/// Hashes all there is, with the same exception.
fn hash(file: &mut File, size: u64, go_on: &dyn Fn() -> bool) -> io::Result<Option<Copied>> {
    file.rewind()?;
    each_piece(file, size, go_on, |_| Ok(()))
}

fn each_piece(
    from: &mut File,
    size: u64,
    go_on: &dyn Fn() -> bool,
    mut with: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<Copied>> {
    // One byte more shows the end of a small file without another read.
    let room = usize::try_from(size).unwrap_or(BUFFER).saturating_add(1).min(BUFFER);
    let (mut buffer, mut hasher, mut total) = (vec![0; room], None, 0);
    loop {
        let read = match from.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        with(&buffer[..read])?;
        total += read as u64;
        if total > size {
            return Ok(Some(Copied { digest: Digest::default(), size: total }));
        }
        if hasher.is_none() && read < buffer.len() {
            // A regular file gives less than was asked for at its end only.
            return Ok(Some(Copied { digest: Digest(xxh3_128(&buffer[..read])), size: total }));
        }
        let hasher = hasher.get_or_insert_with(Xxh3::new);
        hasher.update(&buffer[..read]);
        if read == 0 {
            return Ok(Some(Copied { digest: Digest(hasher.digest128()), size: total }));
        }
        if !go_on() {
            return Ok(None);
        }
    }
}
