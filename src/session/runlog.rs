//! The run log: every event of a run but its lines, one JSON object a line, beneath `runs/` in the state
//! directory. `why --last`, `logs` and reports are readers of it. Kept by count.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::context::log_name;
use crate::{
    event::{Event, What},
    report::Log,
    scan::read_regular,
    store::StateDir,
};

/// How many runs are kept, and how many of those that left output of tasks.
const KEPT: usize = 50;
/// How many bytes of events may wait for the next that is written at once.
const ROOM: usize = 64 * 1024;
/// A longer log is not ours.
const LONGEST: u64 = 1 << 30;
/// Beneath the state directory: the logs of runs, and of their tasks.
const RUNS: &str = "runs";
const LOGS: &str = "log";

/// Writes the events of one run, up to the last thing that was done at once: what a killed run did is known.
/// Losing the log to a full disk does not fail the run.
#[derive(Debug)]
pub(crate) struct RunLog {
    file: Option<File>,
    /// Events of which nothing on disk depends: verdicts of tasks that need not run.
    waiting: Vec<u8>,
}

impl RunLog {
    /// A log that goes nowhere, for dry runs.
    pub(crate) const fn none() -> Self {
        Self { file: None, waiting: Vec::new() }
    }

    /// Creates the log of run `id` in `dir`; an earlier file of that name is an error.
    fn create(dir: &Path, id: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).mode(0o600).open(file(dir, id))?;
        Ok(Self { file: Some(file), waiting: Vec::new() })
    }

    pub(crate) fn write(&mut self, event: &Event) {
        let is_output = matches!(event.what, What::Log { .. } | What::LogGap { .. });
        if is_output || matches!(event.what, What::Progress { .. } | What::Diagnostic { .. }) {
            return;
        }
        if self.file.is_none() {
            return;
        }
        event.write_line(&mut self.waiting);
        let is_verdict = match &event.what {
            What::Decision { .. } | What::Plan { .. } => true,
            What::TaskFinished(finished) => finished.duration_ms.is_none(),
            _ => false,
        };
        if !is_verdict || self.waiting.len() > ROOM {
            self.flush();
        }
    }

    pub(crate) fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting);
        if self.file.as_mut().is_some_and(|file| file.write_all(&waiting).is_err()) {
            self.file = None;
        }
    }

    pub(crate) fn finish(&mut self) {
        self.flush();
        self.file = None;
    }
}

/// An id no other run has, with the log of that run. A run that cannot be logged runs all the same.
pub(crate) fn claim(state_dir: &Path, now: SystemTime) -> (String, RunLog) {
    let opened = StateDir::open(state_dir).ok().flatten();
    let claimed = opened.and_then(|dir| first_free(&dir.subdir(RUNS).ok()?, millis(now)));
    claimed.unwrap_or_else(|| (run_id(now), RunLog::none()))
}

/// Another run may have begun in the same millisecond: the file that can be made decides.
fn first_free(runs_dir: &Path, from: u128) -> Option<(String, RunLog)> {
    for millis in from.. {
        let id = id_of(millis);
        match RunLog::create(runs_dir, &id) {
            Ok(log) => return Some((id, log)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
    }
    None
}

/// A run's id: sorts by time, and is short enough to be typed.
pub(crate) fn run_id(now: SystemTime) -> String {
    id_of(millis(now))
}

fn millis(now: SystemTime) -> u128 {
    now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis())
}

fn id_of(millis: u128) -> String {
    let digits = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rest = millis;
    let mut text = Vec::new();
    while rest > 0 || text.is_empty() {
        text.push(digits[(rest % 36) as usize]);
        rest /= 36;
    }
    text.reverse();
    format!("r{}", String::from_utf8_lossy(&text))
}

/// Whether this is the form of our ids. Nothing else in our directories is ever read or removed.
fn is_run_id(text: &str) -> bool {
    let digits = text.strip_prefix('r').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}

fn file(runs_dir: &Path, id: &str) -> PathBuf {
    runs_dir.join(format!("{id}.jsonl"))
}

/// Where the logs of runs' tasks are: one directory a run.
pub(crate) fn log_dir(state_dir: &Path) -> PathBuf {
    state_dir.join(LOGS)
}

/// Where a task's output in a run is kept, if it wrote any.
#[must_use]
pub fn task_log(state_dir: &Path, run: &str, task: &str) -> PathBuf {
    log_dir(state_dir).join(run).join(log_name(task, "log"))
}

/// What a directory of ours holds. A link in its place leads to something that is not ours.
fn list(dir: &Path) -> impl Iterator<Item = fs::DirEntry> + use<> {
    let is_ours = fs::symlink_metadata(dir).is_ok_and(|meta| meta.is_dir());
    is_ours.then(|| fs::read_dir(dir).ok()).flatten().into_iter().flatten().flatten()
}

/// The ids of the runs that are known in a state directory, oldest first.
#[must_use]
pub fn known_runs(state_dir: &Path) -> Vec<String> {
    let entries = list(&state_dir.join(RUNS));
    let id = |name: &str| name.strip_suffix(".jsonl").filter(|id| is_run_id(id)).map(str::to_owned);
    let mut ids: Vec<String> = entries.filter_map(|e| id(e.file_name().to_str()?)).collect();
    ids.sort();
    ids
}

/// The ids of the runs of which output of tasks is kept, oldest first.
#[must_use]
pub fn logged_runs(state_dir: &Path) -> Vec<String> {
    let entries = list(&log_dir(state_dir));
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    let mut ids: Vec<String> = names.filter(|name| is_run_id(name)).collect();
    ids.sort();
    ids
}

/// The log of a run as it is: JSON lines, of which the last may be under way.
///
/// # Errors
/// If there is no log of that run, it cannot be read, or it is longer than any of ours.
pub fn run_log(state_dir: &Path, id: &str) -> io::Result<Vec<u8>> {
    if !is_run_id(id) {
        return Err(io::ErrorKind::NotFound.into());
    }
    read_regular(&file(&state_dir.join(RUNS), id), LONGEST)
}

/// The events of a run. Lines that are damaged or cut off are left out.
///
/// # Errors
/// As [`run_log`].
pub fn read_run(state_dir: &Path, id: &str) -> io::Result<Vec<Event>> {
    Ok(Log::parse(&run_log(state_dir, id)?).events)
}

/// Makes the directory of a run's task logs.
pub(crate) fn make_log_dir(state_dir: &Path, run: &str) {
    // Without it tasks run all the same, and say that their log could not be kept.
    let _ = StateDir::open(state_dir).ok().flatten().map(|dir| dir.subdir(Path::new(LOGS).join(run)));
}

/// Removes the logs of all but the newest runs, and what tasks wrote in all but the newest in which any did:
/// runs that found everything fresh do not push out what the last ones that executed left.
/// Only a run that `executed` something has added to these.
pub(crate) fn prune(state_dir: &Path, executed: bool) {
    // What cannot be removed now is tried again after the next run.
    for id in outdated(known_runs(state_dir)) {
        let _ = fs::remove_file(file(&state_dir.join(RUNS), &id));
    }
    if !executed {
        return;
    }
    for id in outdated(logged_runs(state_dir)) {
        let _ = fs::remove_dir_all(log_dir(state_dir).join(id));
    }
}

/// All but the newest of a sorted list.
fn outdated(mut ids: Vec<String>) -> Vec<String> {
    ids.truncate(ids.len().saturating_sub(KEPT));
    ids
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn state() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        StateDir::create(&path).unwrap();
        (root, path)
    }

    #[test]
    fn run_ids_sort_by_time() {
        let at = |secs| run_id(UNIX_EPOCH + Duration::from_secs(secs));
        assert!(at(1_800_000_000) < at(1_800_000_001));
        assert_eq!(at(1_800_000_000).len(), at(2_800_000_000).len());
        assert_eq!(run_id(UNIX_EPOCH), "r0");
    }

    #[test]
    fn runs_of_one_moment_have_ids_and_logs_of_their_own() {
        let (_root, state) = state();
        let ids: Vec<String> = (0..3).map(|_| claim(&state, UNIX_EPOCH).0).collect();
        assert_eq!(ids, ["r0", "r1", "r2"]);
        assert_eq!(known_runs(&state), ids);
    }

    #[test]
    fn an_event_is_in_the_file_before_the_next() {
        let (_root, state) = state();
        let (id, mut log) = claim(&state, UNIX_EPOCH);
        for n in 1..=2 {
            let what = What::Warning { task: None, message: n.to_string() };
            log.write(&Event { v: 1, time: UNIX_EPOCH, what });
            assert_eq!(read_run(&state, &id).unwrap().len(), n);
        }
    }

    #[test]
    fn nothing_is_listed_or_removed_through_a_link() {
        let (root, state) = state();
        for (name, suffix) in [(RUNS, ".jsonl"), (LOGS, "")] {
            let elsewhere = root.path().join(name);
            fs::create_dir(&elsewhere).unwrap();
            for n in 0..KEPT + 2 {
                let path = elsewhere.join(format!("r{n}{suffix}"));
                if name == LOGS { fs::create_dir(path) } else { fs::write(path, "") }.unwrap();
            }
            std::os::unix::fs::symlink(&elsewhere, state.join(name)).unwrap();
        }
        prune(&state, true);
        assert_eq!((known_runs(&state), logged_runs(&state)), (vec![], vec![]));
        for name in [RUNS, LOGS] {
            assert_eq!(fs::read_dir(root.path().join(name)).unwrap().count(), KEPT + 2, "{name}");
        }
    }

    #[test]
    fn pruning_removes_what_is_ours_and_nothing_else() {
        let (_root, state) = state();
        for n in 0..KEPT + 2 {
            let (id, _) = claim(&state, UNIX_EPOCH + Duration::from_millis(n as u64));
            make_log_dir(&state, &id);
        }
        let strange = ["", ".", "..", "r", "R0", "r-0", "0", "r0.old"];
        for name in strange {
            fs::write(state.join(RUNS).join(format!("{name}.jsonl")), "").unwrap();
        }
        fs::write(log_dir(&state).join("r"), "").unwrap();
        prune(&state, true);
        assert_eq!(known_runs(&state).len(), KEPT);
        assert_eq!(fs::read_dir(state.join(RUNS)).unwrap().count(), KEPT + strange.len());
        assert_eq!(fs::read_dir(log_dir(&state)).unwrap().count(), KEPT + 1);
        assert!(read_run(&state, "../runs/r2").is_err());
    }
}
