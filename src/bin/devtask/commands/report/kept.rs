//! What tasks wrote in a run, as far as it is kept.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use devtask::{model::TaskName, session::task_log};

/// How much of the end of a log is looked at for its last lines; as much as a run keeps in mind.
const END: u64 = 1024 * 1024;
/// The longest line that is passed on in one piece.
const LINE: u64 = 64 * 1024;

/// At most so many last lines of what a task wrote.
pub(crate) fn last_lines(state_dir: &Path, run: &str, task: &TaskName, most: usize) -> Vec<String> {
    let path = task_log(state_dir, run, task.as_str());
    let Ok(text) = end_of(&path) else { return Vec::new() };
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    if text.is_empty() {
        return Vec::new();
    }
    let mut lines: Vec<String> = text
        .rsplit(|byte| *byte == b'\n')
        .take(most)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    lines.reverse();
    lines
}

fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = regular(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
    let mut end = Vec::new();
    file.take(END).read_to_end(&mut end)?;
    Ok(end)
}

/// A log; nothing else is waited for.
fn regular(path: &Path) -> io::Result<File> {
    match path.symlink_metadata()?.is_file() {
        true => File::open(path),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Every line of what a task wrote, one after the other.
pub(crate) fn each_line(state_dir: &Path, run: &str, task: &TaskName, mut take: impl FnMut(String)) {
    let Ok(file) = regular(&task_log(state_dir, run, task.as_str())) else { return };
    let mut from = BufReader::new(file);
    // What cannot be read further ends there.
    while let Ok(Some(line)) = next_line(&mut from) {
        take(line);
    }
}

fn next_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if from.take(LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}
