//! Setting a file aside that cannot be used (hazard D4). It is kept for a while, for whoever wants to know.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// How many files are kept; older ones are removed.
const KEPT: usize = 2;
const MARK: &str = ".bad-";

/// A state file that was set aside. The store started empty in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now: `state.redb.bad-<seconds since the epoch>`.
    pub file: PathBuf,
    /// Why, in a few words.
    pub reason: String,
}

/// Renames `path`, whatever it is, and keeps only the newest of its kind.
pub(super) fn set_aside(path: &Path, reason: String) -> io::Result<SetAside> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let file = free_name(path, now);
    match fs::rename(path, &file) {
        // Gone by itself: there is nothing to keep, and nothing in the way.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    prune(path)?;
    Ok(SetAside { file, reason })
}

/// The first name of this second that is not taken. The caller holds the tree, so it stays free.
fn free_name(path: &Path, now: u64) -> PathBuf {
    let mut name = with_suffix(path, &format!("{MARK}{now}"));
    let mut more = 0;
    while fs::symlink_metadata(&name).is_ok() {
        more += 1;
        name = with_suffix(path, &format!("{MARK}{now}-{more}"));
    }
    name
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn prune(path: &Path) -> io::Result<()> {
    let (Some(dir), Some(file)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Ok(());
    };
    let prefix = format!("{file}{MARK}");
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if let Some(age) = name.to_str().and_then(|n| n.strip_prefix(&prefix)).and_then(age) {
            found.push((age, name));
        }
    }
    found.sort();
    found.iter().rev().skip(KEPT).for_each(|(_, name)| remove(&dir.join(name)));
    Ok(())
}

/// Second and number of `1700000000-2`.
fn age(suffix: &str) -> Option<(u64, u64)> {
    let (second, number) = suffix.split_once('-').unwrap_or((suffix, "0"));
    Some((second.parse().ok()?, number.parse().ok()?))
}

/// Removes a file, a link or an empty directory. A directory that someone put in the place of the state
/// file, with things in it, is not ours to delete.
fn remove(path: &Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_newest_two_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        for name in ["state.redb.bad-9", "state.redb.bad-10", "state.redb.bad-10-1", "state.redb.bad-x"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let mut aside = Vec::new();
        for text in ["a", "b", "c"] {
            fs::write(&path, text).unwrap();
            aside.push(set_aside(&path, "why".into()).unwrap().file);
        }
        let left = aside.iter().filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>();
        assert_eq!(left, ["b", "c"]);
        let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        let mut expected = vec![aside[1].clone(), aside[2].clone(), dir.path().join("state.redb.bad-x")];
        expected.sort();
        assert_eq!(names, expected, "what is no number is not ours");
    }

    #[test]
    fn a_full_directory_is_moved_but_never_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.redb");
        for _ in 0..4 {
            fs::create_dir(&path).unwrap();
            fs::write(path.join("letter"), "dear").unwrap();
            set_aside(&path, "why".into()).unwrap();
        }
        assert!(!path.exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    }
}
