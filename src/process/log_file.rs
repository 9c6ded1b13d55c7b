//! One file of a rotated log, held open while it is read, and finding all of them while they may be renamed.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

use super::log::numbered;

/// How often a look at the files is repeated if they are renamed meanwhile.
const LOOKS: usize = 100;

/// A file and how far it has been read. As long as it is open no other file has its numbers.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    /// Device and inode.
    id: (u64, u64),
    at: u64,
}

/// What tells a file that nobody writes to any more from a later one, which may get its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    id: (u64, u64),
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl LogFile {
    /// Opens it; none: there is no such file.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        // A FIFO must not make us wait.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match File::options().read(true).custom_flags(flags).open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok(Some(Self { file, id: (found.dev(), found.ino()), at: 0 }))
    }

    pub(super) const fn id(&self) -> (u64, u64) {
        self.id
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        let found = self.file.metadata()?;
        Ok(Stamp { id: self.id, length: found.len(), modified: (found.mtime(), found.mtime_nsec()) })
    }

    pub(super) const fn skip_to(&mut self, at: u64) {
        self.at = at;
    }

    /// The next bytes, at most `most`. What has been truncated is read from its beginning.
    pub(super) fn read(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let length = self.length()?;
        if length < self.at {
            self.at = 0;
        }
        let bytes = self.look(self.at, length.min(self.at.saturating_add(most)))?;
        self.at += bytes.len() as u64;
        Ok(bytes)
    }

    /// The bytes from `start` to `end`; less if there are less.
    pub(super) fn look(&self, start: u64, end: u64) -> io::Result<Vec<u8>> {
        let wanted = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
        let mut bytes = vec![0; wanted];
        let mut filled = 0;
        while filled < wanted {
            match self.file.read_at(&mut bytes[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.raw_os_error() == Some(Errno::INTR.raw_os_error()) => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// All files of a log, the newest first; none if they are renamed faster than they can be looked at.
///
/// A file that moves up while we look upwards cannot be missed, but with two rotations between two looks a
/// newer one could be met behind an older. So it counts only if a second look finds the same.
pub(super) fn scan(path: &Path) -> io::Result<Option<Vec<LogFile>>> {
    scan_by(|number| LogFile::open(&numbered(path, number)))
}

fn scan_by(mut open: impl FnMut(u32) -> io::Result<Option<LogFile>>) -> io::Result<Option<Vec<LogFile>>> {
    let ids = |files: &[LogFile]| files.iter().map(LogFile::id).collect::<Vec<_>>();
    let mut before = look_around(&mut open)?;
    for _ in 0..LOOKS {
        let now = look_around(&mut open)?;
        if ids(&before) == ids(&now) {
            return Ok(Some(now));
        }
        before = now;
    }
    Ok(None)
}

fn look_around(open: &mut impl FnMut(u32) -> io::Result<Option<LogFile>>) -> io::Result<Vec<LogFile>> {
    let mut files: Vec<LogFile> = Vec::new();
    let mut missing = 0;
    for number in 0.. {
        match open(number)? {
            // Renamed since it was found.
            Some(file) if files.iter().any(|known| known.id == file.id) => missing = 0,
            Some(file) => {
                files.push(file);
                missing = 0;
            }
            None => missing += 1,
        }
        // While they are renamed one number after the other has no file, but never two.
        if missing == 2 {
            break;
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{super::rotated::Rotated, *};

    #[test]
    fn files_are_found_in_their_order_however_often_they_are_renamed_meanwhile() {
        // Rotations before each look at a number, and whether looking ever comes to an end.
        let cases: [(&[usize], bool); 7] = [
            (&[], true),
            (&[0, 1], true),
            (&[0, 2], true),
            (&[0, 0, 3], true),
            (&[0, 2, 0, 1, 1], true),
            (&[0, 2, 0, 1, 1, 0, 0, 0, 2, 1, 0, 4], true),
            (&[1; 20_000], false),
        ];
        for (rotations, ends) in cases {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let mut log = Rotated::new(path.clone(), 1, 5);
            let mut written = 'a'..='z';
            let mut rotate = || log.write(written.next().unwrap_or('z').to_string().as_bytes());
            (0..5).for_each(|_| rotate());
            let mut todo = rotations.iter();
            let found = scan_by(|number| {
                (0..todo.next().copied().unwrap_or(0)).for_each(|_| rotate());
                LogFile::open(&numbered(&path, number))
            });
            let found = found.unwrap();
            assert_eq!(found.is_some(), ends, "{rotations:?}");
            let letters = |file: &mut LogFile| file.read(9).unwrap();
            let found: Vec<u8> = found.unwrap_or_default().iter_mut().flat_map(letters).collect();
            let last = b'a' + 4 + u8::try_from(rotations.iter().sum::<usize>().min(20)).unwrap();
            let expected: Vec<u8> = (last - 4..=last).rev().collect();
            assert!(!ends || found == expected, "{rotations:?}: {}", String::from_utf8_lossy(&found));
        }
    }
}
