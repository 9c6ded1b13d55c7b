//! The run log: every event of a run but its lines, one JSON object a line, beneath `runs/` in the state
//! directory. `why --last`, `logs` and reports are readers of it. Kept by count.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::event::{Event, What};

/// How many runs are kept.
const KEPT: usize = 50;

/// Writes the events of one run. Losing the log to a full disk does not fail the run.
#[derive(Debug)]
pub(crate) struct RunLog {
    file: Option<BufWriter<File>>,
}

impl RunLog {
    /// A log that goes nowhere, for dry runs.
    pub(crate) const fn none() -> Self {
        Self { file: None }
    }

    /// Creates the log of run `id` in `dir`; an earlier file of that name is an error.
    pub(crate) fn create(dir: &Path, id: &str) -> io::Result<Self> {
        let path = dir.join(format!("{id}.jsonl"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file: Some(BufWriter::new(file)) })
    }

    pub(crate) fn write(&mut self, event: &Event) {
        if matches!(event.what, What::Log { .. } | What::LogGap { .. }) {
            return;
        }
        let Some(file) = &mut self.file else { return };
        let written = serde_json::to_writer(&mut *file, event).map_err(io::Error::from);
        if written.and_then(|()| file.write_all(b"\n")).is_err() {
            self.file = None;
        }
    }

    pub(crate) fn finish(&mut self) {
        if let Some(mut file) = self.file.take() {
            // A log that could not be written in full is shorter; its readers cope with that.
            let _ = file.flush();
        }
    }
}

/// A run's id: sorts by time, and is short enough to be typed.
pub(crate) fn run_id(now: SystemTime) -> String {
    let millis = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
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

/// The ids of the runs whose log is in `dir` (`runs/` in the state directory), oldest first.
#[must_use]
pub fn known_runs(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut ids: Vec<String> =
        entries.filter_map(|e| e.file_name().to_str()?.strip_suffix(".jsonl").map(str::to_owned)).collect();
    ids.sort();
    ids
}

/// The events of a run. Lines that are damaged or cut off are left out.
///
/// # Errors
/// If the log cannot be opened.
pub fn read_run(runs_dir: &Path, id: &str) -> io::Result<Vec<Event>> {
    let file = File::open(runs_dir.join(format!("{id}.jsonl")))?;
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    Ok(lines.filter_map(|line| serde_json::from_str(&line).ok()).collect())
}

/// Removes the logs of all but the newest runs, with the output their tasks left.
pub(crate) fn prune(runs_dir: &Path, log_dir: &Path) {
    let runs = known_runs(runs_dir);
    for id in runs.iter().take(runs.len().saturating_sub(KEPT)) {
        // What cannot be removed now is tried again after the next run.
        let _ = fs::remove_dir_all(log_dir.join(id));
        let _ = fs::remove_file(runs_dir.join(format!("{id}.jsonl")));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn run_ids_sort_by_time() {
        let at = |secs| run_id(UNIX_EPOCH + Duration::from_secs(secs));
        assert!(at(1_800_000_000) < at(1_800_000_001));
        assert_eq!(at(1_800_000_000).len(), at(2_800_000_000).len());
        assert_eq!(run_id(UNIX_EPOCH), "r0");
    }
}
