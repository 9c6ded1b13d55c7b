//! Taking in what a task left.

use std::{ffi::OsStr, fs::File, io, os::unix::ffi::OsStrExt, path::Path};

use rustix::{
    fd::BorrowedFd,
    fs::{AtFlags, FileType, Stat},
    io::Errno,
};

use super::{
    Cache, CacheError,
    beneath::{Beneath, Way, split, stays_beneath},
    blobs::{Copied, open_regular, permissions},
    error,
};
use crate::{
    fingerprint::FileRow,
    model::{Digest, FileKind, KeptFile, KeptKind},
};

/// The mode of contents: they are the user's alone.
const BLOB: u32 = 0o600;

/// What was taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The files, in the order of their paths.
    pub files: Vec<KeptFile>,
    /// What they come to, in bytes.
    pub size: u64,
    /// How much of that was new to the cache, in bytes.
    pub added: u64,
}

impl Cache {
    /// Takes in the files of `rows`, which are what was found of them when the task ended; `go_on` is asked now and
    /// then. A file reached through a link is not taken in: the link is.
    ///
    /// # Errors
    /// [`CacheError`]; then nothing refers to what was taken in, and the next [`sweep`](Self::sweep) removes it.
    pub fn keep(&self, rows: &[FileRow], go_on: &dyn Fn() -> bool) -> Result<Kept, CacheError> {
        let mut keeping =
            Keeping { cache: self, beneath: Beneath::open(&self.root)?, go_on, kept: Kept::default() };
        for row in rows {
            keeping.row(row)?;
        }
        keeping.kept.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(keeping.kept)
    }

    /// Takes in a file that lies elsewhere, whatever it holds: its digest and its size.
    ///
    /// # Errors
    /// The system's.
    pub fn keep_other(&self, path: &Path) -> io::Result<(Digest, u64)> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let copied = self.blobs.copy_aside(&mut file, size, BLOB, &|| true)?;
        let Some((aside, _, Copied { digest, size: all })) = copied else {
            return Err(io::ErrorKind::Interrupted.into());
        };
        if all > size {
            return Err(io::Error::other("it grows"));
        }
        let size = all;
        if !self.blobs.has(digest, size) {
            aside.place_as(digest)?;
        }
        Ok((digest, size))
    }
}

struct Keeping<'a> {
    cache: &'a Cache,
    beneath: Beneath,
    go_on: &'a dyn Fn() -> bool,
    kept: Kept,
}

impl Keeping<'_> {
    fn row(&mut self, row: &FileRow) -> Result<(), CacheError> {
        if !(self.go_on)() {
            return Err(CacheError::Stopped);
        }
        let Some((parent, name)) = split(&row.path) else {
            return Err(error::refused(&row.path, "does not lie beneath the root"));
        };
        let dir = match self.beneath.dir(parent, false) {
            Ok(dir) => dir,
            // What lies beyond it is kept under its own name, if it is an output.
            Err(Way::Link(at)) => return self.link_on_the_way(at),
            Err(Way::Missing | Way::Blocked(_)) => return Err(error::changed(&row.path)),
            Err(Way::Failed(source)) => return Err(error::io("look at", &row.path, source)),
        };
        let stat = match rustix::fs::statat(dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(error::changed(&row.path)),
            Err(errno) => return Err(error::io("look at", &row.path, errno.into())),
        };
        let what = match (FileType::from_raw_mode(stat.st_mode), row.kind) {
            (FileType::RegularFile, FileKind::File { .. }) => {
                let (what, added) = file(self.cache, dir, name, row, &stat, self.go_on)?;
                self.kept.added += added;
                what
            }
            (FileType::Directory, FileKind::Directory) => {
                KeptKind::Directory { mode: permissions(stat.st_mode) }
            }
            (FileType::Symlink, _) => link(self.cache, dir, name, &row.path)?,
            (FileType::RegularFile | FileType::Directory, _) => return Err(error::changed(&row.path)),
            _ => return Err(error::refused(&row.path, "is neither a file nor a directory nor a link")),
        };
        if let KeptKind::File { size, .. } = what {
            self.kept.size += size;
        }
        self.kept.files.push(KeptFile { path: row.path.clone(), what });
        Ok(())
    }

    /// Takes in a link to a directory, once.
    fn link_on_the_way(&mut self, path: Vec<u8>) -> Result<(), CacheError> {
        if self.kept.files.iter().any(|file| file.path == path) {
            return Ok(());
        }
        let row = FileRow { path, kind: FileKind::BrokenLink, digest: Digest::default() };
        self.row(&row)
    }
}

fn file(
    cache: &Cache,
    dir: BorrowedFd<'_>,
    name: &[u8],
    row: &FileRow,
    stat: &Stat,
    go_on: &dyn Fn() -> bool,
) -> Result<(KeptKind, u64), CacheError> {
    let mode = permissions(stat.st_mode);
    if row.kind != (FileKind::File { executable: mode & 0o100 != 0 }) {
        return Err(error::changed(&row.path));
    }
    if stat.st_mode & 0o7000 != 0 {
        return Err(error::refused(
            &row.path,
            "has a mode that others could misuse (setuid, setgid or sticky)",
        ));
    }
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    let kept = KeptKind::File { digest: row.digest, size, mode };
    if cache.blobs.has(row.digest, size) {
        return Ok((kept, 0));
    }
    let failed = |source| error::io("keep", &row.path, source);
    let mut source = open_regular(dir, name).map_err(|errno| failed(errno.into()))?;
    let copied = cache.blobs.copy_aside(&mut source, size, BLOB, go_on).map_err(failed)?;
    let Some((aside, _, copied)) = copied else { return Err(CacheError::Stopped) };
    if copied != (Copied { digest: row.digest, size }) {
        return Err(error::changed(&row.path));
    }
    aside.place_as(row.digest).map_err(failed)?;
    Ok((kept, size))
}

fn link(cache: &Cache, dir: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<KeptKind, CacheError> {
    let text = rustix::fs::readlinkat(dir, OsStr::from_bytes(name), Vec::new());
    let text = text.map_err(|errno| error::io("read the link", path, errno.into()))?.into_bytes();
    match stays_beneath(&cache.root, path, &text) {
        true => Ok(KeptKind::Link(text)),
        false => Err(error::refused(path, "is a link that leads out of the tree")),
    }
}
