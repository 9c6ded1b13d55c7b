//! The log of a long-running process: appended to from start to start, rotated by size.
//!
//! The newest file has no number, the one before it 1, and so on. Nothing is held back in memory, since
//! others read along; who does relies on this order: the oldest is renamed first, a file that has got a
//! number is never written to again, and only then is a new one begun.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, process::geteuid};

use super::log::{in_its_directory, numbered};

/// A rotated log being written.
#[derive(Debug)]
pub(super) struct Rotated {
    path: PathBuf,
    size: u64,
    files: u32,
    newest: Option<Newest>,
    /// Whether anything was ever written.
    is_there: bool,
    /// The first one.
    fault: Option<io::Error>,
}

/// The file that is written to.
#[derive(Debug)]
struct Newest {
    file: File,
    /// Its size.
    written: u64,
    /// Whether it ends in the middle of a line.
    in_line: bool,
}

impl Rotated {
    pub(super) fn new(path: PathBuf, size: u64, files: u32) -> Self {
        Self { path, size: size.max(1), files: files.max(1), newest: None, is_there: false, fault: None }
    }

    /// Takes bytes. After a fault the next are tried again: a process may live long after a disk was full.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if let Err(e) = self.try_write(bytes) {
            // What it holds now is for the next look to tell.
            self.newest = None;
            self.fault.get_or_insert(e);
        }
    }

    fn try_write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.newest.is_none() {
                self.newest = Some(Newest::open(&self.path)?);
                self.is_there = true;
            }
            let Some(newest) = &mut self.newest else { return Ok(()) };
            let (now, later) = bytes.split_at(newest.takes(bytes, self.size));
            newest.append(now)?;
            bytes = later;
            if !bytes.is_empty() {
                self.rotate()?;
            }
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.newest = None;
        let name = |number| numbered(&self.path, number);
        // An interrupted rotation leaves a gap: what is behind it need not move.
        let is_free = |number: &u32| fs::symlink_metadata(name(*number)).is_err();
        let last = (1..self.files).find(is_free).unwrap_or(self.files - 1);
        if last == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (0..last).rev() {
            match fs::rename(name(number), name(number + 1)) {
                // Somebody removed it, or moved it away.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
        Ok(())
    }

    /// Its path, if there is anything, and the first fault.
    pub(super) fn close(self) -> (Option<PathBuf>, Option<io::Error>) {
        (self.is_there.then_some(self.path), self.fault)
    }
}

impl Newest {
    fn open(path: &Path) -> io::Result<Self> {
        // A FIFO must not make us wait.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(flags);
        let file = in_its_directory(path, || options.open(path))?;
        let found = file.metadata()?;
        if !found.is_file() || found.uid() != geteuid().as_raw() {
            return Err(io::Error::other("what is there is no regular file of this user's"));
        }
        if found.mode() & 0o7777 != 0o600 {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        let mut last = [b'\n'];
        if let Some(at) = found.len().checked_sub(1) {
            file.read_exact_at(&mut last, at)?;
        }
        Ok(Self { file, written: found.len(), in_line: last != [b'\n'] })
    }

    /// How many of the bytes it takes; if not all, it is full then. It ends with a line wherever there is a
    /// line's end to be had, even a little too late.
    fn takes(&self, bytes: &[u8], size: u64) -> usize {
        let room = usize::try_from(size.saturating_sub(self.written)).unwrap_or(usize::MAX);
        if bytes.len() <= room {
            return bytes.len();
        }
        let behind = |newline: usize| newline + 1;
        if let Some(last) = bytes[..room].iter().rposition(|&b| b == b'\n') {
            return behind(last);
        }
        if self.written > 0 && !self.in_line {
            return 0;
        }
        bytes.iter().position(|&b| b == b'\n').map_or(room, behind)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written += bytes.len() as u64;
        if let Some(last) = bytes.last() {
            self.in_line = *last != b'\n';
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What the files hold, the newest first.
    fn held(path: &Path) -> Vec<String> {
        let names = (0..).map(|number| numbered(path, number));
        names.map_while(|name| fs::read_to_string(name).ok()).collect()
    }

    fn write(path: &Path, size: u64, files: u32, chunks: &[&str]) -> Option<io::Error> {
        let mut log = Rotated::new(path.to_owned(), size, files);
        chunks.iter().for_each(|chunk| log.write(chunk.as_bytes()));
        let (found, fault) = log.close();
        assert_eq!(found.is_some(), fault.is_none());
        fault
    }

    #[test]
    fn a_full_file_is_put_aside_between_two_lines() {
        let cases: [(u64, u32, &[&str], &[&str]); 15] = [
            (8, 3, &["abc\n", "def\n"], &["abc\ndef\n"]),
            (8, 3, &["abc\n", "def\n", "g\n"], &["g\n", "abc\ndef\n"]),
            (8, 3, &["abc\nde\nfgh\ni"], &["fgh\ni", "abc\nde\n"]),
            (8, 3, &["abc\nde", "fgh\ni"], &["i", "abc\ndefgh\n"]),
            (8, 3, &["abcdef\n", "xyz\n"], &["xyz\n", "abcdef\n"]),
            // Without a line's end there is none to wait for.
            (4, 3, &["abcdefghij"], &["ij", "efgh", "abcd"]),
            (4, 3, &["ab", "cd", "ef"], &["ef", "abcd"]),
            // A line that does not fit anywhere.
            (4, 3, &["abcdefg\nh"], &["h", "abcdefg\n"]),
            (4, 3, &["ab\nabcdefg\nh\n"], &["h\n", "abcdefg\n", "ab\n"]),
            // The oldest goes.
            (2, 3, &["a\nb\nc\nd\ne\n"], &["e\n", "d\n", "c\n"]),
            (2, 1, &["a\nb\nc\n"], &["c\n"]),
            (2, 0, &["a\n", "b\n"], &["b\n"]),
            (0, 2, &["\n\n\n"], &["\n", "\n"]),
            (1, 4, &["a", "b", "\n"], &["b\n", "a"]),
            (1000, 3, &["", "a"], &["a"]),
        ];
        for (size, files, chunks, expected) in cases {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("deep/er/log");
            assert!(write(&path, size, files, chunks).is_none());
            assert_eq!(held(&path), expected, "{chunks:?} in {files} files of {size}");
            assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), expected.len());
        }
    }

    #[test]
    fn a_later_execution_goes_on_where_the_last_one_ended() {
        let cases: [(&[&str], &[&str], &[&str]); 5] = [
            (&["abc\n"], &["def\n", "g\n"], &["g\n", "abc\ndef\n"]),
            (&["abc"], &["defghi\nj"], &["j", "abcdefghi\n"]),
            (&["abcdef\n"], &["gh\n"], &["gh\n", "abcdef\n"]),
            (&["12345678901234\n"], &["a\n"], &["a\n", "12345678901234\n"]),
            (&["a\nb\n", "c\nd\n", "e\n"], &["f\ng\nh\n", "i\n"], &["i\n", "e\nf\ng\nh\n", "a\nb\nc\nd\n"]),
        ];
        for (before, after, expected) in cases {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            for chunks in [before, after] {
                assert!(write(&path, 8, 3, chunks).is_none());
            }
            assert_eq!(held(&path), expected, "{before:?}, {after:?}");
        }
    }

    #[test]
    fn every_byte_is_in_the_file_at_once_and_for_the_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "before\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut log = Rotated::new(path.clone(), 10, 2);
        for (chunk, expected) in [("a", "before\na"), ("b\n", "before\nab\n"), ("c", "c")] {
            log.write(chunk.as_bytes());
            assert_eq!(fs::read_to_string(&path).unwrap(), expected);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
    }

    #[test]
    fn a_rotation_that_was_interrupted_is_made_up_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "new\n").unwrap();
        fs::write(numbered(&path, 1), "old\n").unwrap();
        // Number 2 has been renamed, number 1 not yet.
        fs::write(numbered(&path, 3), "oldest\n").unwrap();
        assert!(write(&path, 4, 4, &["now\n"]).is_none());
        assert_eq!(held(&path), ["now\n", "new\n", "old\n", "oldest\n"]);
    }

    #[test]
    fn only_a_regular_file_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("secret"), "kept").unwrap();
        symlink(path("secret"), path("link")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for name in ["link", "dangling", "folder", "socket"] {
            assert!(write(&path(name), 100, 3, &["one", "two"]).is_some(), "{name}");
        }
        drop(socket);
        assert_eq!(fs::read_to_string(path("secret")).unwrap(), "kept");
        assert!(!path("nowhere").exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_fifo_is_neither_written_to_nor_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(write(&path, 100, 3, &["one"]).is_some());
    }

    #[test]
    fn after_a_fault_it_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::create_dir(&path).unwrap();
        let mut log = Rotated::new(path.clone(), 100, 2);
        log.write(b"lost\n");
        fs::remove_dir(&path).unwrap();
        log.write(b"kept\n");
        let (found, fault) = log.close();
        assert_eq!((found, fault.is_some()), (Some(path.clone()), true), "and told of");
        assert_eq!(held(&path), ["kept\n"]);
    }
}
