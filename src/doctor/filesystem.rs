//! What the file system is, and what it can do: tried out in a directory of our own.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixListener},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::Finding;
use crate::{
    store::{Attempt, Lock, OwnerInfo, StateDir, now_ms},
    watch::{Source, SourceOptions, Watched, Why, without_events},
};

/// How long an event may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long stamps are looked at: the coarsest are of 2 s.
const STAMPS: Duration = Duration::from_millis(2300);
/// How many different stamps are enough to know how far apart they are.
const ENOUGH_STAMPS: usize = 4;
/// The longest path of a socket: `sun_path` without the end.
const SOCKET: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Numbers of `statfs`, and what people call these file systems, whose events can be relied on.
#[cfg(target_os = "linux")]
const LOCAL: &[(u32, &str)] = &[
    (0xef53, "ext4"),
    (0x5846_5342, "XFS"),
    (0x9123_683e, "Btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x794c_7630, "overlayfs"),
    (0x2fc1_2fc1, "ZFS"),
    (0xf2f5_2010, "F2FS"),
    (0xca45_1a4e, "bcachefs"),
    (0x4d44, "FAT"),
    (0x2011_bab0, "exFAT"),
    (0x5346_544e, "NTFS"),
    (0x7366_746e, "NTFS"),
    (0xf15f, "eCryptfs"),
    (0x8584_58f6, "ramfs"),
];

/// What kind of file system a directory is on (hazard B8).
pub(super) fn kind(about: &'static str, directory: &Path) -> Finding {
    if let Some(name) = without_events(directory) {
        let meaning =
            "it does not tell about all changes, so `devtask watch` polls; runs are as right as elsewhere";
        return Finding::note(about, name, meaning).mended_by("keep the tree on a local file system");
    }
    match local(directory) {
        Some(name @ ("FAT" | "exFAT")) => {
            Finding::note(about, name, "it has neither executable bits nor sockets, and coarse stamps")
        }
        Some("overlayfs") => Finding::ok(about, "overlayfs, a container's"),
        Some(name) => Finding::ok(about, name),
        None => Finding::ok(about, "of a kind that is not known here"),
    }
}

#[cfg(target_os = "linux")]
fn local(directory: &Path) -> Option<&'static str> {
    let magic = rustix::fs::statfs(directory).ok()?.f_type as u32;
    LOCAL.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

#[cfg(not(target_os = "linux"))]
fn local(_directory: &Path) -> Option<&'static str> {
    Some("a local one")
}

/// Tries out what devtask relies on, in this empty directory.
pub(super) fn try_out(dir: &Path, state_dir: &Path, granularity: Duration) -> Vec<Finding> {
    vec![
        letter_case(dir),
        events(dir),
        stamps(dir, granularity),
        rename(dir),
        locks(dir),
        sockets(dir, state_dir),
    ]
}

fn failed(about: &'static str, error: &io::Error) -> Finding {
    Finding::problem(about, format!("it cannot be tried out: {error}"), "the state cannot be written here")
}

fn letter_case(dir: &Path) -> Finding {
    const ABOUT: &str = "letter case";
    match fs::write(dir.join("Case"), "") {
        Err(error) => failed(ABOUT, &error),
        Ok(()) if dir.join("cASE").exists() => Finding::note(
            ABOUT,
            "`A` and `a` are one name",
            "two spellings of one file in patterns are two inputs; on other machines only one may exist",
        ),
        Ok(()) => Finding::ok(ABOUT, "`A` and `a` are two names"),
    }
}

/// Whether a change is told of (hazard B8), by what `devtask watch` uses.
fn events(dir: &Path) -> Finding {
    const ABOUT: &str = "events";
    let (cookies, watched, file) = (dir.join("cookies"), dir.join("watched"), dir.join("watched/file"));
    let made = fs::create_dir(&cookies).and_then(|()| fs::create_dir(&watched));
    if let Err(error) = made {
        return failed(ABOUT, &error);
    }
    let source = match Source::new(SourceOptions::new(&cookies), || {}) {
        Ok(source) => source,
        Err(error) => return Finding::problem(ABOUT, error.to_string(), "nothing can be watched"),
    };
    let how = source.watch(&watched);
    let before = Instant::now();
    if let Err(error) = fs::write(&file, "") {
        return failed(ABOUT, &error);
    }
    let _ = source.sync(PATIENCE);
    let changes = source.take();
    let is_told = changes.iter().any(|change| change.may_be_of(&file));
    let why = source.health().polled.into_iter().next().map(|polled| polled.why);
    match (how, why) {
        (Watched::Events, None) if is_told => {
            Finding::ok(ABOUT, format!("told after {:.1?}", before.elapsed()))
        }
        (_, Some(why @ (Why::WatchLimit(_) | Why::InstanceLimit(_)))) => {
            let text = why.to_string();
            let (found, remedy) = text.rsplit_once(": ").unwrap_or((&text, "raise it"));
            Finding::problem(ABOUT, found, "what cannot be watched is polled").mended_by(remedy)
        }
        (_, Some(why)) => {
            Finding::note(ABOUT, why.to_string(), "`devtask watch` polls, and sees changes late")
        }
        _ => Finding::problem(ABOUT, "a change was not told of", "`devtask watch` may miss changes")
            .mended_by("devtask watch --poll 2s"),
    }
}

/// How fine stamps of files are (hazard A1).
fn stamps(dir: &Path, granularity: Duration) -> Finding {
    const ABOUT: &str = "time stamps";
    match finest(&dir.join("stamps"), STAMPS) {
        Ok(step) => judge_stamps(step, granularity),
        Err(error) => failed(ABOUT, &error),
    }
}

/// `step`: how far apart the nearest two stamps were, if two were seen.
pub(super) fn judge_stamps(step: Option<Duration>, granularity: Duration) -> Finding {
    const ABOUT: &str = "time stamps";
    let found = match step {
        Some(step) => format!("as fine as {step:.1?}, taken to be {granularity:?}"),
        None => format!("coarser than {STAMPS:?}, taken to be {granularity:?}"),
    };
    if step.is_some_and(|step| step <= granularity) {
        return Finding::ok(ABOUT, found);
    }
    Finding::problem(ABOUT, found, "a file that is edited twice within that time may be taken for unchanged")
        .mended_by("leave `--granularity` and DEVTASK_GRANULARITY out")
}

/// Writes again and again until a few stamps were seen.
fn finest(path: &Path, patience: Duration) -> io::Result<Option<Duration>> {
    let mut file = File::create(path)?;
    let begin = Instant::now();
    let mut seen: Vec<Duration> = Vec::new();
    while seen.len() < ENOUGH_STAMPS && begin.elapsed() < patience {
        file.write_all(b".")?;
        let meta = file.metadata()?;
        // Before the epoch or after it: only how far apart they are counts.
        let stamp = Duration::new(meta.mtime().unsigned_abs(), u32::try_from(meta.mtime_nsec()).unwrap_or(0));
        if seen.last() != Some(&stamp) {
            seen.push(stamp);
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(seen.windows(2).map(|pair| pair[1].abs_diff(pair[0])).min())
}

fn rename(dir: &Path) -> Finding {
    const ABOUT: &str = "renaming";
    let (one, other) = (dir.join("one"), dir.join("other"));
    let replaced = || -> io::Result<bool> {
        fs::write(&one, "old")?;
        fs::write(&other, "new")?;
        fs::rename(&other, &one)?;
        Ok(fs::read(&one)? == b"new" && !other.exists())
    };
    match replaced() {
        Ok(true) => Finding::ok(ABOUT, "a file takes another's place at once"),
        Ok(false) => {
            Finding::problem(ABOUT, "a file did not take another's place", "the state may be damaged")
        }
        Err(error) => failed(ABOUT, &error),
    }
}

fn locks(dir: &Path) -> Finding {
    const ABOUT: &str = "locks";
    let lock = || -> Result<bool, crate::store::StoreError> {
        let dir = StateDir::create(&dir.join("locks"))?;
        let info = OwnerInfo::this_process("devtask doctor", now_ms());
        let first = Lock::try_acquire(&dir, &info)?;
        let second = Lock::try_acquire(&dir, &info)?;
        Ok(matches!((first, second), (Attempt::Acquired(_), Attempt::Held(_))))
    };
    let meaning = "nothing is remembered: everything runs every time";
    let finding = match lock() {
        Ok(true) => return Finding::ok(ABOUT, "one excludes the other"),
        Ok(false) => Finding::problem(ABOUT, "one does not exclude the other", meaning),
        Err(error) => Finding::problem(ABOUT, super::told(&error), meaning),
    };
    finding.mended_by("keep the state elsewhere: --state-dir, or DEVTASK_STATE_DIR")
}

fn sockets(dir: &Path, state_dir: &Path) -> Finding {
    const ABOUT: &str = "sockets";
    let length = state_dir.as_os_str().len() + "/socket".len();
    let elsewhere =
        "the socket by which runs share a session is made in the user's runtime directory instead";
    if length > SOCKET {
        let found = format!("the path would have {length} bytes, {SOCKET} are allowed");
        return Finding::note(ABOUT, found, elsewhere);
    }
    // The directory of our own may have the longer path.
    match UnixListener::bind(dir.join("s")) {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => {
            Finding::note(ABOUT, format!("none can be made here: {error}"), elsewhere)
        }
        _ => Finding::ok(ABOUT, format!("the path has {length} bytes, {SOCKET} are allowed")),
    }
}
