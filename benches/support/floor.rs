//! The floors: a process that stats the same files and does nothing else, and one that reads and hashes
//! them.
//!
//! Each directory is opened once and its files are looked at relative to it, which spares the kernel the
//! walk along each path; two threads take directories from one queue. The names come from a flat file.

use std::{
    ffi::CStr,
    fs, iter,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustix::{
    fs::{AtFlags, CWD, Dir, DirEntry, Mode, OFlags, openat, statat},
    io::read,
};
use xxhash_rust::xxh3::Xxh3;

use super::{program::Program, workspace::Workspace};

/// The mode of the helper that stats.
pub(crate) const STAT: &str = "--helper-stat";

/// The mode of the helper that hashes.
pub(crate) const HASH: &str = "--helper-hash";

/// One directory: its path, and the names in it.
type Directory<'a> = (&'a CStr, Vec<&'a CStr>);

/// A process that stats the sources of this workspace.
pub(crate) fn stat(workspace: &Workspace) -> Program {
    process(workspace, STAT)
}

/// A process that reads and hashes the sources of this workspace.
pub(crate) fn hash(workspace: &Workspace) -> Program {
    process(workspace, HASH)
}

fn process(workspace: &Workspace, mode: &str) -> Program {
    fs::write(workspace.root.join(".git/list"), list(workspace)).expect("the list");
    Program::helper(&workspace.root, &[mode, ".git/list"])
}

/// The sources of this workspace: directories, each with the names in it, and an empty name.
pub(crate) fn list(workspace: &Workspace) -> Vec<u8> {
    let mut list = Vec::new();
    for (dir, names) in workspace.directories() {
        for name in iter::once(&dir).chain(&names) {
            list.extend_from_slice(name.as_bytes());
            list.push(0);
        }
        list.push(0);
    }
    list
}

/// The helper: does to what a list names what the mode says.
pub(crate) fn main(mode: &str, args: &[String]) -> ExitCode {
    let list = fs::read(&args[0]).expect("the list");
    match mode {
        STAT => stat_all(Path::new("."), &list),
        _ => hash_all(Path::new("."), &list),
    }
    ExitCode::SUCCESS
}

/// Stats everything in a list.
pub(crate) fn stat_all(root: &Path, list: &[u8]) {
    over(root, list, |dir, names| {
        let stat = |name: &&CStr| statat(dir, *name, AtFlags::SYMLINK_NOFOLLOW).expect("the file is there");
        names.iter().map(|name| u64::from(stat(name).st_size != 0)).sum()
    });
}

/// Lists the directories of a list and stats what is in them.
pub(crate) fn list_all(root: &Path, list: &[u8]) {
    over(root, list, |dir, _| {
        let listed = open(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY);
        let entries = Dir::read_from(listed).expect("it can be listed").flatten();
        let stat = |entry: DirEntry| {
            statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).expect("the file is there")
        };
        entries
            .filter(|entry| !entry.file_name().to_bytes().starts_with(b"."))
            .map(|entry| u64::from(stat(entry).st_size != 0))
            .sum()
    });
}

/// Reads and hashes everything in a list.
pub(crate) fn hash_all(root: &Path, list: &[u8]) {
    over(root, list, |dir, names| {
        let mut buffer = vec![0; 64 << 10];
        let mut hash = |name: &&CStr| {
            let file = open(dir, name, OFlags::RDONLY);
            let mut hasher = Xxh3::new();
            loop {
                match read(&file, &mut buffer).expect("it can be read") {
                    0 => return u64::from(hasher.digest128() != 0),
                    length => hasher.update(&buffer[..length]),
                }
            }
        };
        names.iter().map(&mut hash).sum()
    });
}

#[cfg(target_os = "linux")]
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
#[cfg(not(target_os = "linux"))]
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

fn open(dir: impl AsFd, name: &CStr, flags: OFlags) -> OwnedFd {
    openat(dir, name, flags | OFlags::CLOEXEC, Mode::empty()).expect("it is there")
}

/// Does this to each directory of a list, on two threads; it says how many files it found.
fn over(root: &Path, list: &[u8], each: impl Fn(BorrowedFd<'_>, &[&CStr]) -> u64 + Sync) {
    let directories = parse(list);
    let root = openat(CWD, root, DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("the root is there");
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = 0;
        while let Some((dir, names)) = directories.get(next.fetch_add(1, Ordering::Relaxed)) {
            found += each(open(&root, dir, DIRECTORY).as_fd(), names);
        }
        found
    };
    // A thread takes longer to start than a few hundred files to stat.
    let found: u64 = if list.len() < 8192 {
        work()
    } else {
        thread::scope(|scope| {
            let other = scope.spawn(work);
            work() + other.join().expect("it does not fail")
        })
    };
    let expected: usize = directories.iter().map(|(_, names)| names.len()).sum();
    assert_eq!(found, expected as u64, "every file is there");
}

fn parse(list: &[u8]) -> Vec<Directory<'_>> {
    let mut names = iter::successors(next_name(list), |(_, rest)| next_name(rest)).map(|(name, _)| name);
    let mut directories = Vec::new();
    while let Some(dir) = names.next() {
        directories.push((dir, names.by_ref().take_while(|name| !name.is_empty()).collect()));
    }
    directories
}

fn next_name(list: &[u8]) -> Option<(&CStr, &[u8])> {
    let name = CStr::from_bytes_until_nul(list).ok()?;
    Some((name, &list[name.to_bytes_with_nul().len()..]))
}
