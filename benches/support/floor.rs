//! The floor beneath a run with nothing to do: a process that stats the same files and does nothing else.
//!
//! Each directory is opened once and its files are stat'ed relative to it, which spares the kernel the
//! walk along each path; two threads take directories from one queue. The names come from a flat file.

use std::{
    ffi::CStr,
    fs, iter,
    num::NonZero,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};

use super::{program::Program, workspace::Workspace};

/// The mode of the helper.
pub(crate) const STAT: &str = "--helper-stat";

/// One directory: its path, and the names in it.
type Directory<'a> = (&'a CStr, Vec<&'a CStr>);

/// The floor as a command, for the sources of this workspace.
pub(crate) fn stat(workspace: &Workspace) -> Program {
    let mut list = Vec::new();
    for (dir, names) in workspace.directories() {
        for name in iter::once(&dir).chain(&names) {
            list.extend_from_slice(name.as_bytes());
            list.push(0);
        }
        list.push(0);
    }
    let path = workspace.root.join(".git/list");
    fs::write(&path, list).expect("the list");
    Program::helper(&workspace.root, &[STAT, ".git/list"])
}

/// Stats everything in a list.
pub(crate) fn stat_main(args: &[String]) -> ExitCode {
    let list = fs::read(PathBuf::from(&args[0])).expect("the list");
    let directories = parse(&list);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut size = 0;
        while let Some((dir, names)) = directories.get(next.fetch_add(1, Ordering::Relaxed)) {
            size += stat_directory(dir, names);
        }
        size
    };
    let helpers = thread::available_parallelism().map_or(1, NonZero::get).min(2) - 1;
    // A thread takes longer to start than a few hundred files to stat.
    let helpers = if list.len() < 8192 { 0 } else { helpers };
    let size: i64 = thread::scope(|scope| {
        let started: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        work() + started.into_iter().map(|thread| thread.join().expect("it cannot fail")).sum::<i64>()
    });
    if size > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

fn stat_directory(dir: &CStr, names: &[&CStr]) -> i64 {
    #[cfg(target_os = "linux")]
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(CWD, dir, flags, Mode::empty()).expect("the directory is there");
    let stat = |name: &&CStr| statat(&dir, *name, AtFlags::SYMLINK_NOFOLLOW).expect("the file is there");
    names.iter().map(|name| i64::from(stat(name).st_size != 0)).sum()
}
