//! The private files of one task, and reading them back without being led astray (hazard C19).

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    sync::Mutex,
};

use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
    process::geteuid,
};
use tempfile::TempDir;
use thiserror::Error;

use super::children::lock;

/// What the names of runtime directories begin with.
const PREFIX: &str = "devtask-";

/// The largest file that is read back, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A short-lived directory (0700) for one session's private files. Removed when dropped, as far as
/// that is possible, even if a task made parts of it read-only.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
}

impl RuntimeDir {
    /// Creates one in the first of `bases` where that works; a base is created if it does not exist.
    ///
    /// # Errors
    /// That of the last base.
    pub fn create(bases: &[PathBuf]) -> io::Result<Self> {
        let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "no place for a runtime directory"));
        for base in bases {
            result = Self::create_in(base);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn create_in(base: &Path) -> io::Result<Self> {
        fs::create_dir_all(base)?;
        let dir = private_dir(base, PREFIX)?;
        Ok(Self { path: dir.keep() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the one at `path`, which its owner did not live to do. Anything that is not called like one is
    /// left alone.
    pub(super) fn remove(path: &Path) {
        if path.file_name().is_some_and(|name| name.as_bytes().starts_with(PREFIX.as_bytes())) {
            remove_tree(path);
        }
    }
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        remove_tree(&self.path);
    }
}

/// The private files of one task, in a directory (0700) of their own that is held open. Removed when
/// dropped, as far as that is possible.
#[derive(Debug)]
pub struct TaskFiles {
    path: PathBuf,
    dir: OwnedFd,
    /// The names of those that were made.
    made: Mutex<Vec<&'static str>>,
}

impl TaskFiles {
    /// The file a task writes its output to (`DEVENV_TASK_OUTPUT_FILE`).
    pub const OUTPUT: &'static str = "output";
    /// The file a task writes its exports to (`DEVENV_TASK_EXPORTS_FILE`).
    pub const EXPORTS: &'static str = "exports";

    /// Creates the directory, with an empty output and exports file (0600).
    ///
    /// # Errors
    /// If something cannot be created.
    pub fn create(runtime: &RuntimeDir) -> io::Result<Self> {
        let path = private_dir(runtime.path(), "t")?.keep();
        let dir =
            rustix::fs::open(&path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let files = Self { path, dir, made: Mutex::default() };
        files.write(Self::OUTPUT, b"")?;
        files.write(Self::EXPORTS, b"")?;
        Ok(files)
    }

    /// The path of a file in it, for the task's environment.
    #[must_use]
    pub fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a new file (0600) and returns its path.
    ///
    /// # Errors
    /// If it exists, or cannot be written.
    pub fn write(&self, name: &'static str, content: &[u8]) -> io::Result<PathBuf> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?;
        lock(&self.made).push(name);
        if !content.is_empty() {
            File::from(fd).write_all(content)?;
        }
        Ok(self.path_of(name))
    }

    /// Makes the output and exports file empty again, whatever has become of them: for another start of the same.
    ///
    /// # Errors
    /// If something cannot be removed or created.
    pub fn renew(&self) -> io::Result<()> {
        for name in [Self::OUTPUT, Self::EXPORTS] {
            match rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            lock(&self.made).retain(|made| *made != name);
            self.write(name, b"")?;
        }
        Ok(())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what the task left under that name; none if it removed the file.
    ///
    /// # Errors
    /// If it is no regular file of ours of at most 16 MiB. Never follows a link, never waits for a
    /// FIFO, and does not care what has become of the directory's path.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FileFault> {
        // The usual case: it is there, and nothing was written to it.
        let found = rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW);
        let is_ours = |found: &Stat| {
            FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
                && found.st_uid == geteuid().as_raw()
        };
        if found.is_ok_and(|found| found.st_size == 0 && is_ours(&found)) {
            return Ok(Some(Vec::new()));
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.dir, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(FileFault::Link),
            // What a socket answers.
            Err(Errno::NXIO) => return Err(FileFault::NotRegular),
            fd => fd.map_err(io::Error::from)?,
        };
        read_checked(File::from(fd)).map(Some)
    }
}

impl Drop for TaskFiles {
    /// Mostly there is nothing but what we made, and nobody has to look for more.
    fn drop(&mut self) {
        for name in lock(&self.made).iter() {
            let _ = rustix::fs::unlinkat(&self.dir, *name, AtFlags::empty());
        }
        if rustix::fs::rmdir(&self.path).is_err() {
            remove_tree(&self.path);
        }
    }
}

/// Why a task's file was not read.
#[derive(Debug, Error)]
pub enum FileFault {
    /// It is a symbolic link now.
    #[error("was replaced by a symbolic link")]
    Link,
    /// It is a directory, a FIFO or the like now.
    #[error("is no regular file")]
    NotRegular,
    /// It belongs to somebody else now.
    #[error("belongs to another user")]
    Foreign,
    /// It is larger than 16 MiB.
    #[error("is larger than 16 MiB")]
    TooLarge,
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

fn read_checked(file: File) -> Result<Vec<u8>, FileFault> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(FileFault::NotRegular);
    }
    if found.uid() != geteuid().as_raw() {
        return Err(FileFault::Foreign);
    }
    // The size is only a hint: something may still write.
    let mut content = Vec::new();
    if found.len() <= LARGEST {
        file.take(LARGEST + 1).read_to_end(&mut content)?;
    }
    if found.len().max(content.len() as u64) > LARGEST {
        return Err(FileFault::TooLarge);
    }
    Ok(content)
}

fn private_dir(base: &Path, prefix: &str) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(base)
}

/// Removes a directory, opening up read-only ones in it where that is what prevents it. Best effort:
/// what stays lies in a directory meant to be cleaned.
fn remove_tree(path: &Path) {
    if fs::remove_dir_all(path).is_err() {
        open_up(path);
        let _ = fs::remove_dir_all(path);
    }
}

fn open_up(root: &Path) {
    let mut todo = vec![root.to_path_buf()];
    while let Some(dir) = todo.pop() {
        if !fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) {
            continue;
        }
        let _ = fs::set_permissions(&dir, Permissions::from_mode(0o700));
        todo.extend(fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
}
