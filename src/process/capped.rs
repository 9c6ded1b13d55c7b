//! A log file of one execution: raw bytes as they came, capped with head and tail kept (hazard C8).
//!
//! The first half of the cap goes straight into the file. What follows goes round and round in an
//! unlinked file beside it, as large as the other half, and is appended at the end. A log that
//! cannot be written is noted once and never disturbs the job.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::log::in_its_directory;

/// A log with head and tail being written.
#[derive(Debug)]
pub(super) struct Capped {
    path: PathBuf,
    /// Bytes kept.
    cap: u64,
    head: Option<File>,
    ring: Option<Ring>,
    /// Bytes in the head.
    written: u64,
    fault: Option<io::Error>,
}

impl Capped {
    pub(super) const fn new(path: PathBuf, cap: u64) -> Self {
        Self { path, cap, head: None, ring: None, written: 0, fault: None }
    }

    /// Takes bytes. After a fault it takes no more.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.fault.is_none() {
            self.fault = self.try_write(bytes).err();
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let half = self.cap / 2;
        let room = usize::try_from(half - self.written).unwrap_or(usize::MAX);
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        if self.head.is_none() {
            self.head = Some(create(&self.path)?);
        }
        if let Some(file) = self.head.as_mut().filter(|_| !head.is_empty()) {
            file.write_all(head)?;
            self.written += head.len() as u64;
        }
        if rest.is_empty() {
            return Ok(());
        }
        if self.ring.is_none() {
            self.ring = Some(Ring::beside(&self.path, self.cap - half)?);
        }
        self.ring.as_mut().map_or(Ok(()), |ring| ring.write(rest))
    }

    /// Completes the file: its path, if there is one, and what kept it from being complete.
    pub(super) fn close(mut self) -> (Option<PathBuf>, Option<io::Error>) {
        if let (Some(head), Some(ring), None) = (&mut self.head, &mut self.ring, &self.fault) {
            self.fault = ring.append_to(head).err();
        }
        (self.head.map(|_| self.path), self.fault)
    }
}

fn create(path: &Path) -> io::Result<File> {
    // A new file only: what lies there, or where a link there leads, is not ours to write into.
    in_its_directory(path, || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path))
}

/// The last bytes of a stream, in a file of fixed size.
#[derive(Debug)]
struct Ring {
    file: File,
    size: u64,
    /// Bytes ever taken.
    taken: u64,
}

impl Ring {
    fn beside(path: &Path, size: u64) -> io::Result<Self> {
        let file = tempfile::tempfile_in(path.parent().unwrap_or(Path::new("/")))?;
        Ok(Self { file, size, taken: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(64 * 1024) {
            let mut piece = piece;
            while !piece.is_empty() {
                let at = self.taken % self.size;
                let (now, later) = piece.split_at(piece.len().min((self.size - at) as usize));
                self.file.write_all_at(now, at)?;
                self.taken += now.len() as u64;
                piece = later;
            }
        }
        Ok(())
    }

    /// Appends what is kept, in order, behind a line that says how much is not.
    fn append_to(&mut self, file: &mut File) -> io::Result<()> {
        let left_out = self.taken.saturating_sub(self.size);
        if left_out == 0 {
            self.file.seek(SeekFrom::Start(0))?;
            return io::copy(&mut self.file, file).map(drop);
        }
        writeln!(file, "\n… {left_out} bytes left out …")?;
        let oldest = self.taken % self.size;
        self.file.seek(SeekFrom::Start(oldest))?;
        io::copy(&mut self.file, file)?;
        self.file.seek(SeekFrom::Start(0))?;
        io::copy(&mut (&mut self.file).take(oldest), file).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn logged(cap: u64, chunks: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/log");
        let mut log = Capped::new(path.clone(), cap);
        for chunk in chunks {
            log.write(chunk.as_bytes());
        }
        let (found, fault) = log.close();
        assert!(fault.is_none(), "{fault:?}");
        assert_eq!(found, Some(path.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn head_and_tail_are_kept() {
        let cases: [(u64, &[&str], &str); 8] = [
            (8, &["abc"], "abc"),
            (8, &["abcd", "efgh"], "abcdefgh"),
            (8, &["abcdefg"], "abcdefg"),
            (8, &["abcdefghi"], "abcd\n… 1 bytes left out …\nfghi"),
            (8, &["ab", "cdef", "ghijkl"], "abcd\n… 4 bytes left out …\nijkl"),
            (8, &["abcdefgh", "ijklmnopqrstuvwxyz"], "abcd\n… 18 bytes left out …\nwxyz"),
            (9, &["abcdefghijk"], "abcd\n… 2 bytes left out …\nghijk"),
            (2, &["a", "b", "c", "d"], "a\n… 2 bytes left out …\nd"),
        ];
        for (cap, chunks, expected) in cases {
            assert_eq!(logged(cap, chunks), expected, "{chunks:?} in {cap}");
        }
    }

    #[test]
    fn nothing_written_makes_no_file_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, secret) = (dir.path().join("log"), dir.path().join("secret"));
        let (found, fault) = Capped::new(path.clone(), 100).close();
        assert!(found.is_none() && fault.is_none() && !path.exists());

        fs::write(&secret, "kept").unwrap();
        symlink(&secret, &path).unwrap();
        let mut log = Capped::new(path, 100);
        log.write(b"one");
        log.write(b"two");
        let (found, fault) = log.close();
        assert!(found.is_none());
        assert_eq!(fault.unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(secret).unwrap(), "kept");
    }
}
