//! Session files: what a session that died silently leaves for the next one to find (hazard 0, point 5).
//!
//! A file's name is the session's marker; it exists from before the first child until all are gone.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, getpid};
use serde::{Deserialize, Serialize};

use super::{
    marker::Marker,
    proc,
    sweep::{self, Rest},
};

/// Who wrote a session file.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    pid: i32,
    /// Clock ticks after boot; 0 where it cannot be known.
    start: u64,
    boot: String,
}

impl Owner {
    fn ourselves() -> Self {
        let start = proc::look(getpid()).map_or(0, |p| p.start);
        Self { pid: getpid().as_raw_nonzero().get(), start, boot: proc::boot_id() }
    }

    fn lives(&self) -> bool {
        let process = Pid::from_raw(self.pid).and_then(proc::look);
        self.boot == proc::boot_id() && process.is_some_and(|p| p.start == self.start && !p.zombie)
    }
}

/// Writes our session file, durable against our own death (not the machine's: that ends every child).
pub(super) fn write(sessions: &Path, marker: &Marker) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(sessions)?;
    let path = sessions.join::<&OsStr>(marker.as_ref());
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    // On a full disk the file stays empty. That is enough: what it names is ended if its owner cannot be
    // shown to live.
    let _ = serde_json::to_writer(&file, &Owner::ourselves());
    Ok(path)
}

/// A session whose owner is dead, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadSession {
    /// The numbers of its processes that still run.
    pub running: Vec<u32>,
}

/// The sessions of a directory of session files whose owners are dead. Ends and removes nothing.
#[must_use]
pub fn dead_sessions(sessions: &Path) -> Vec<DeadSession> {
    let entries = fs::read_dir(sessions).into_iter().flatten().flatten();
    let dead = entries.filter_map(|entry| {
        let marker = Marker::named(&entry.file_name())?;
        let owner = owner_of(&entry.path());
        if owner.as_ref().is_some_and(Owner::lives) {
            return None;
        }
        let is_of_this_boot = owner.is_none_or(|owner| owner.boot == proc::boot_id());
        let strays = if is_of_this_boot { sweep::carrying(&marker) } else { Vec::new() };
        Some(DeadSession { running: Rest { groups: Vec::new(), strays }.numbers() })
    });
    dead.collect()
}

/// Who wrote a session file. What cannot be read was being written when its owner died.
fn owner_of(path: &Path) -> Option<Owner> {
    File::open(path).ok().and_then(|file| serde_json::from_reader(file).ok())
}

/// Kills what dead sessions left running, removes their files, and says how many there were.
pub(super) async fn end_all(sessions: &Path, own: &Marker) -> io::Result<usize> {
    let entries = match fs::read_dir(sessions) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut ended = 0;
    for entry in entries {
        let entry = entry?;
        let Some(marker) = Marker::named(&entry.file_name()).filter(|marker| marker != own) else { continue };
        ended += usize::from(end_one(&entry.path(), &marker).await?);
    }
    Ok(ended)
}

async fn end_one(path: &Path, marker: &Marker) -> io::Result<bool> {
    let owner = owner_of(path);
    if owner.as_ref().is_some_and(Owner::lives) {
        return Ok(false);
    }
    if owner.is_none_or(|owner| owner.boot == proc::boot_id()) {
        sweep::kill_carrying(marker);
        let look = || Rest { groups: Vec::new(), strays: sweep::carrying(marker) };
        let left = sweep::end(Duration::ZERO, look).await;
        if let Some(pid) = left.numbers().first() {
            return Err(io::Error::other(format!("process {pid} of a dead session cannot be ended")));
        }
    }
    match fs::remove_file(path) {
        // Its guardian was faster.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
        result => result.map(|()| true),
    }
}
