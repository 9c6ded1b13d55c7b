//! Places in files that the output of compilers, linters and tests names.

use super::command::Level;
use crate::render::text::output_line;

/// Longer lines name no place.
const LINE: usize = 2000;
/// So many last lines are looked at.
const LINES: usize = 2000;

/// A place, and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) line: Option<u64>,
    pub(super) column: Option<u64>,
    pub(super) message: String,
}

/// What a task said of a place.
#[derive(Clone, Debug)]
pub(super) struct Remark {
    pub(super) level: Level,
    pub(super) found: Found,
}

/// The first places the output names whose files are here, by the path that `locate` gives them. What says of itself that it
/// is a warning or a note is passed over.
pub(super) fn found_in(lines: &[String], most: usize, locate: impl Fn(&str) -> Option<String>) -> Vec<Found> {
    let lines: Vec<String> = lines.iter().map(|line| output_line(line, false)).collect();
    let lines = &lines[lines.len().saturating_sub(LINES)..];
    let mut reading = Reading { locate, most, found: Vec::new(), headline: None, frame: None };
    for line in lines.iter().filter(|line| line.len() <= LINE) {
        reading.take(line);
    }
    reading.end_frames("");
    reading.found
}

struct Reading<L> {
    locate: L,
    most: usize,
    found: Vec<Found>,
    /// What stands above a place in a form without a message: rustc's `error[E0425]: …`.
    headline: Option<String>,
    /// The innermost frame of a Python traceback that is in a file of ours.
    frame: Option<Found>,
}

impl<L: Fn(&str) -> Option<String>> Reading<L> {
    fn take(&mut self, line: &str) {
        if let Some(mut frame) = python(line) {
            if let Some(path) = (self.locate)(&frame.path) {
                frame.path = path;
                self.frame = Some(frame);
            }
            return;
        }
        // What is not indented below the frames is the exception.
        if self.frame.is_some() && !line.is_empty() && !line.starts_with(char::is_whitespace) {
            self.end_frames(line);
        } else if let Some(place) = arrow(line) {
            let message = self.headline.take().unwrap_or_default();
            self.add(place, &message);
        } else if let Some((before, place)) = line.split_once(" panicked at ").filter(|_| self.has_room()) {
            let place = place.trim_end_matches(':');
            self.add(split(place).map_or((place, None, None), |(place, _)| place), before);
        } else if let Some((place, message)) = split(line.trim_start()) {
            self.add(place, message);
        } else if severity(line).is_some() {
            self.headline = Some(line.to_owned());
        }
    }

    fn has_room(&self) -> bool {
        self.found.len() < self.most
    }

    fn end_frames(&mut self, message: &str) {
        if let Some(frame) = self.frame.take() {
            self.push(Found { message: message.to_owned(), ..frame });
        }
    }

    fn add(&mut self, (path, line, column): Split<'_>, message: &str) {
        if !self.has_room() || line.is_none() || severity(message) == Some(Level::Warning) {
            return;
        }
        if let Some(path) = (self.locate)(path) {
            self.push(Found { path, line, column, message: message.trim().to_owned() });
        }
    }

    fn push(&mut self, found: Found) {
        let is_known = |known: &Found| (&known.path, known.line) == (&found.path, found.line);
        if self.has_room() && !self.found.iter().any(is_known) {
            self.found.push(found);
        }
    }
}

/// Path, line, column.
type Split<'a> = (&'a str, Option<u64>, Option<u64>);

/// `path:line:col: message`, `path:line: message`, and either without a message.
fn split(text: &str) -> Option<(Split<'_>, &str)> {
    let (at, _) = text.match_indices(':').find(|(at, _)| {
        let after = &text[at + 1..];
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        *at > 0 && digits > 0 && matches!(after.as_bytes().get(digits), None | Some(b':'))
    })?;
    let (path, rest) = (&text[..at], &text[at + 1..]);
    let (line, rest) = rest.split_once(':').unwrap_or((rest, ""));
    let line = line.parse().ok()?;
    let column = rest.split_once(':').unwrap_or((rest, ""));
    let (column, message) = match column.0.parse() {
        Ok(number) => (Some(number), column.1),
        Err(_) => (None, rest),
    };
    Some(((path, Some(line), column), message.trim()))
}

/// rustc's ` --> path:line:col`.
fn arrow(line: &str) -> Option<Split<'_>> {
    split(line.trim_start().strip_prefix("--> ")?).map(|(place, _)| place)
}

/// Python's `  File "path", line N, in name`.
fn python(line: &str) -> Option<Found> {
    let (path, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let line = rest[..digits].parse().ok()?;
    Some(Found { path: path.to_owned(), line: Some(line), column: None, message: String::new() })
}

/// How bad a message says it is, if it does.
fn severity(message: &str) -> Option<Level> {
    let word: String = message.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    match word.to_ascii_lowercase().as_str() {
        "error" | "fatal" => Some(Level::Error),
        "warning" | "note" | "info" | "help" | "remark" => Some(Level::Warning),
        _ => None,
    }
}
