//! Reading a rotated log, and reading along while it is written.
//!
//! Files move to higher numbers and never back, and what has got a number is never written to again. So the
//! follower reads the file it holds to its end, whatever its name is by now, and goes on with the next newer
//! one.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::log_file::{LogFile, Stamp, scan};

/// Bytes handed out or looked at in one piece.
const PIECE: u64 = 64 * 1024;

/// A reader of a log that may be written to and rotated meanwhile ([`Keep::Latest`](super::Keep::Latest)).
/// It takes memory for one piece, and holds the files open that it has still to read.
///
/// Nothing is lost or comes twice, except where nothing could be done: a file that was removed before it was
/// read (more rotations between two calls than there are files), and one that was truncated and has grown
/// beyond its old size again between two calls.
#[derive(Debug)]
pub struct LogFollower {
    path: PathBuf,
    /// What is being read.
    current: Option<LogFile>,
    /// What comes next, the oldest first. If there is any, `current` is complete.
    next: VecDeque<LogFile>,
    /// What lies there that is older than all these.
    older: Vec<Stamp>,
}

impl LogFollower {
    /// From the beginning of the oldest file there is. There need not be any yet.
    #[must_use]
    pub fn from_start(path: &Path) -> Self {
        Self { path: path.to_owned(), current: None, next: VecDeque::new(), older: Vec::new() }
    }

    /// From the beginning of the last `lines` lines on, a last one without an end included; with 0 only what
    /// is written from now on. There need not be any file yet.
    ///
    /// # Errors
    /// If a file cannot be read, or is not a regular one (no link is followed).
    pub fn from_last(path: &Path, lines: u64) -> io::Result<Self> {
        let mut follower = Self::from_start(path);
        let files =
            scan(path)?.ok_or_else(|| io::Error::other("it is rotated faster than it can be read"))?;
        let mut files = files.into_iter();
        let mut wanted = Wanted { lines, at_end: true };
        for mut file in files.by_ref() {
            let found = wanted.look_for(&mut file)?;
            follower.next.push_front(file);
            if found {
                break;
            }
        }
        follower.current = follower.next.pop_front();
        follower.older = files.map(|file| file.stamp()).collect::<io::Result<_>>()?;
        Ok(follower)
    }

    /// What was written since the last call, at most 64 KiB of it: empty if there is nothing more now.
    ///
    /// # Errors
    /// If a file cannot be read, or is not a regular one. It can be called again.
    pub fn more(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(current) = &mut self.current {
                let bytes = current.read(PIECE)?;
                if !bytes.is_empty() {
                    return Ok(bytes);
                }
            }
            if !self.advance()? {
                return Ok(Vec::new());
            }
        }
    }

    /// One step further at the end of what is being read; false: nothing comes after it. Once something does, it is
    /// read once more before that: it may have grown until it got its number.
    fn advance(&mut self) -> io::Result<bool> {
        if self.next.is_empty() {
            return Ok(!self.is_newest() && self.look_for_newer()?);
        }
        self.go_on()?;
        Ok(true)
    }

    /// Whether what is being read has the name of the newest.
    fn is_newest(&self) -> bool {
        let Some(current) = &self.current else { return false };
        fs::symlink_metadata(&self.path).is_ok_and(|found| current.id() == (found.dev(), found.ino()))
    }

    /// Finds what comes after what is being read; false: nothing.
    fn look_for_newer(&mut self) -> io::Result<bool> {
        let Some(mut found) = scan(&self.path)? else { return Ok(false) };
        let current = self.current.as_ref().map(LogFile::id);
        let older = match found.iter().position(|file| Some(file.id()) == current) {
            Some(at) => found.split_off(at).split_off(1),
            // It is gone, as is then what was older than it, unless somebody else removed it.
            None => {
                found.extract_if(.., |file| file.stamp().is_ok_and(|s| self.older.contains(&s))).collect()
            }
        };
        self.older = older.iter().map(LogFile::stamp).collect::<io::Result<_>>()?;
        self.next = found.into_iter().rev().collect();
        Ok(!self.next.is_empty())
    }

    fn go_on(&mut self) -> io::Result<()> {
        if let Some(finished) = &self.current {
            self.older.push(finished.stamp()?);
        }
        self.current = self.next.pop_front();
        Ok(())
    }
}

/// How many lines are still looked for, from the end on.
struct Wanted {
    lines: u64,
    /// Nothing has been seen yet.
    at_end: bool,
}

impl Wanted {
    /// Places a file where the wanted lines begin; false: at its beginning, and an older file may have more.
    fn look_for(&mut self, file: &mut LogFile) -> io::Result<bool> {
        let mut end = file.length()?;
        if self.lines == 0 {
            file.skip_to(end);
            return Ok(true);
        }
        while end > 0 {
            let start = end.saturating_sub(PIECE);
            let piece = file.look(start, end)?;
            if let Some(at) = self.begin_in(&piece) {
                file.skip_to(start + at as u64);
                return Ok(true);
            }
            end = start;
        }
        Ok(false)
    }

    /// Where in a piece the wanted lines begin, if it is there.
    fn begin_in(&mut self, piece: &[u8]) -> Option<usize> {
        let ends = piece.iter().enumerate().rev().filter(|&(_, byte)| *byte == b'\n');
        for (at, _) in ends {
            // The one at the very end ends the last line, the others what is before a line.
            if self.at_end && at + 1 == piece.len() {
                continue;
            }
            self.lines -= 1;
            if self.lines == 0 {
                return Some(at + 1);
            }
        }
        self.at_end &= piece.is_empty();
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, thread};

    use super::{
        super::{log::numbered, rotated::Rotated},
        *,
    };

    /// Writes files as they would lie there, the newest first.
    fn lay(path: &Path, contents: &[&str]) {
        for (number, content) in (0..).zip(contents) {
            fs::write(numbered(path, number), content).unwrap();
        }
    }

    fn rest(follower: &mut LogFollower) -> String {
        let mut bytes = Vec::new();
        loop {
            let more = follower.more().unwrap();
            assert!(more.len() as u64 <= PIECE);
            if more.is_empty() {
                return String::from_utf8(bytes).unwrap();
            }
            bytes.extend(more);
        }
    }

    #[test]
    fn the_last_lines_are_found_wherever_they_are() {
        let cases: [(&[&str], u64, &str); 20] = [
            (&[], 0, ""),
            (&[], 5, ""),
            (&[""], 5, ""),
            (&["a\nb\nc\n"], 0, ""),
            (&["a\nb\nc\n"], 1, "c\n"),
            (&["a\nb\nc\n"], 2, "b\nc\n"),
            (&["a\nb\nc\n"], 3, "a\nb\nc\n"),
            (&["a\nb\nc\n"], u64::MAX, "a\nb\nc\n"),
            (&["a\nb\nc"], 1, "c"),
            (&["a\nb\nc"], 2, "b\nc"),
            (&["a\n\n\n"], 2, "\n\n"),
            (&["\n"], 1, "\n"),
            (&["e\n", "c\nd\n", "a\nb\n"], 1, "e\n"),
            (&["e\n", "c\nd\n", "a\nb\n"], 2, "d\ne\n"),
            (&["e\n", "c\nd\n", "a\nb\n"], 4, "b\nc\nd\ne\n"),
            (&["e\n", "c\nd\n", "a\nb\n"], 9, "a\nb\nc\nd\ne\n"),
            (&["", "c\nd\n"], 1, "d\n"),
            // A line that is in several files.
            (&["3\nb", "2", "a\n1"], 1, "b"),
            (&["3\nb", "2", "a\n1"], 2, "123\nb"),
            (&["\nb", "a\n1"], 2, "1\nb"),
        ];
        for (contents, lines, expected) in cases {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            lay(&path, contents);
            let mut follower = LogFollower::from_last(&path, lines).unwrap();
            assert_eq!(rest(&mut follower), expected, "{lines} of {contents:?}");
            fs::write(&path, contents.first().copied().unwrap_or_default().to_owned() + "new\n").unwrap();
            assert_eq!(rest(&mut follower), "new\n", "after {lines} of {contents:?}");
        }
    }

    #[test]
    fn lines_that_are_longer_than_what_is_looked_at_at_once_are_found_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let piece = PIECE as usize;
        for lengths in [[piece; 4], [piece - 1; 4], [piece - 2, 1, piece, 3 * piece], [0, 2 * piece, 0, 1]] {
            let lines = lengths.map(|length| "x".repeat(length) + "\n");
            lay(&path, &[&lines[2..].concat(), &lines[..2].concat()]);
            for count in 0..=lines.len() {
                let mut follower = LogFollower::from_last(&path, count as u64).unwrap();
                assert!(
                    rest(&mut follower) == lines[lines.len() - count..].concat(),
                    "{count} of {lengths:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_written_is_read_once_whatever_the_files_are_called_by_then() {
        // Files of 4 bytes, three of them at most: what is written between two reads, and what is read.
        let cases: [&[(&str, &str)]; 8] = [
            &[("", ""), ("a\n", "a\n"), ("", ""), ("b\n", "b\n")],
            // One rotation, two, and three, of which one file is gone before it could be read.
            &[("a\nb\n", "a\nb\n"), ("c\n", "c\n"), ("d\ne\n", "d\ne\n")],
            &[("a\n", "a\n"), ("b\nc\n", "b\nc\n"), ("d\ne\nf\n", "d\ne\nf\n")],
            &[("1\n", "1\n"), ("2\n3\n4\n5\n6\n7\n", "2\n3\n4\n5\n6\n7\n")],
            &[("abc\n", "abc\n"), ("1\n2\n3\n4\n5\n6\n7\n8\n", "3\n4\n5\n6\n7\n8\n")],
            &[("", ""), ("1\n2\n3\n4\n5\n6\n7\n8\n", "3\n4\n5\n6\n7\n8\n"), ("9\n", "9\n")],
            // What was in the file when it got its number is not forgotten.
            &[("a", "a"), ("b", "b"), ("c\nd", "c\nd"), ("ef", "ef"), ("g\nh", "g\nh")],
            &[("abcdefgh", "abcdefgh"), ("ijkl", "ijkl"), ("m", "m")],
        ];
        for steps in cases {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let mut log = Rotated::new(path.clone(), 4, 3);
            let mut followers = [LogFollower::from_start(&path), LogFollower::from_last(&path, 0).unwrap()];
            for (written, expected) in steps {
                log.write(written.as_bytes());
                for follower in &mut followers {
                    assert_eq!(rest(follower), *expected, "{written:?} in {steps:?}");
                }
            }
            assert!(log.close().1.is_none());
        }
    }

    #[test]
    fn reading_may_be_in_the_middle_of_files_when_they_are_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text: String = (0..60_000).map(|number| format!("{number:06}\n")).collect();
        let mut log = Rotated::new(path.clone(), 100_000, 1000);
        let mut follower = LogFollower::from_start(&path);
        let mut read = Vec::new();
        for chunk in text.as_bytes().chunks(150_000) {
            log.write(chunk);
            // At most a piece, less than what is written.
            read.extend(follower.more().unwrap());
        }
        read.extend(rest(&mut follower).into_bytes());
        assert!(read == text.as_bytes());
    }

    #[test]
    fn what_is_written_between_a_look_at_the_file_and_one_at_its_name_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Rotated::new(path.clone(), 4, 3);
        let mut follower = LogFollower::from_start(&path);
        log.write(b"1\n");
        assert_eq!(rest(&mut follower), "1\n");
        log.write(b"2\n3\n");
        assert!(follower.advance().unwrap(), "it came to the end before that");
        assert_eq!(rest(&mut follower), "2\n3\n");
    }

    #[test]
    fn a_number_that_is_missing_while_files_are_renamed_hides_none_behind_it() {
        for gap in 0..3 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            let numbers = (0..4).filter(|number| *number != gap);
            for (number, content) in numbers.zip(["c\n", "b\n", "a\n"]) {
                fs::write(numbered(&path, number), content).unwrap();
            }
            assert_eq!(rest(&mut LogFollower::from_start(&path)), "a\nb\nc\n", "without {gap}");
        }
    }

    #[test]
    fn a_file_that_was_truncated_is_read_from_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "one\n").unwrap();
        let mut follower = LogFollower::from_start(&path);
        assert_eq!(rest(&mut follower), "one\n");
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert_eq!(rest(&mut follower), "");
        fs::write(&path, "2\n").unwrap();
        assert_eq!(rest(&mut follower), "2\n");
    }

    #[test]
    fn nothing_comes_twice_when_somebody_removes_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        lay(&path, &["c\n", "b\n", "a\n"]);
        for mut follower in [LogFollower::from_start(&path), LogFollower::from_last(&path, 1).unwrap()] {
            lay(&path, &["c\n"]);
            rest(&mut follower);
            fs::remove_file(&path).unwrap();
            assert_eq!(rest(&mut follower), "");
            fs::write(&path, "d\n").unwrap();
            assert_eq!(rest(&mut follower), "d\n");
        }
    }

    #[test]
    fn what_is_no_log_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(dir.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("secret", &path).unwrap();
        assert!(LogFollower::from_last(&path, 1).is_err() && LogFollower::from_start(&path).more().is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(LogFollower::from_last(&path, 1).is_err() && LogFollower::from_start(&path).more().is_err());
    }

    #[test]
    fn reading_along_loses_and_repeats_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let text: String = (0..3000).map(|number| format!("{number}\n")).collect();
        let mut follower = LogFollower::from_start(&path);
        let writer = {
            let (path, text) = (path.clone(), text.clone());
            thread::spawn(move || {
                // So many files that none is gone before it is read.
                let mut log = Rotated::new(path, 400, 1000);
                text.as_bytes().chunks(7).for_each(|chunk| log.write(chunk));
                assert!(log.close().1.is_none());
            })
        };
        let mut read = Vec::new();
        while !writer.is_finished() {
            read.extend(follower.more().unwrap());
        }
        writer.join().unwrap();
        read.extend(rest(&mut follower).into_bytes());
        assert!(String::from_utf8(read).unwrap() == text);
    }
}
