//! Workflow commands: how they are written, and how text is kept from being one.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
};

use crate::render::text::{self, is_ignorable};

/// The runner cuts messages of annotations to 4096 characters of UTF-16.
const MESSAGE: usize = 2000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
}

/// Something to be said of a file, or of the whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Annotation {
    pub(super) level: Level,
    pub(super) title: String,
    /// File, line, column.
    pub(super) place: Option<(String, Option<u64>, Option<u64>)>,
    pub(super) message: String,
}

impl Annotation {
    /// One without a place.
    pub(super) fn of(level: Level, title: &str, message: &str) -> Self {
        let lines: Vec<String> = message.lines().map(|line| text::output_line(line, false)).collect();
        let message = text::cut(&lines.join("\n"), MESSAGE);
        Self { level, title: title.to_owned(), place: None, message }
    }
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level {
            Level::Error => "::error ",
            Level::Warning => "::warning ",
        })?;
        if let Some((file, line, column)) = &self.place {
            write!(f, "file={},", property(file))?;
            // A column counts in a line only.
            if let Some(line) = line {
                write!(f, "line={line},")?;
                column.iter().try_for_each(|column| write!(f, "col={column},"))?;
            }
        }
        write!(f, "title={}::{}", property(&self.title), data(&self.message))
    }
}

/// The data of a command.
pub(super) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
pub(super) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A line, or several, none of which the runner takes for a command. It looks for `::` at the beginning of a line, and for
/// `##[` anywhere, and compares as people do: characters nobody sees are nothing to it.
pub(crate) fn broken(text: &str) -> String {
    let one = |line: &str| {
        let line = unmarked(line);
        let begin = line.len() - line.trim_start().len();
        let (blank, rest) = line.split_at(begin);
        let is_command = rest.chars().filter(|c| !is_ignorable(*c)).take(2).eq("::".chars());
        if is_command { format!("{blank}\\{rest}") } else { line }
    };
    text.split('\n').map(one).collect::<Vec<_>>().join("\n")
}

/// A line without what the page takes for a mark of its own, wherever it stands: `##[group]` becomes `##\[group]`.
pub(super) fn unmarked(line: &str) -> String {
    let line: String =
        if line.is_ascii() { line.to_owned() } else { line.chars().filter(|c| !is_ignorable(*c)).collect() };
    line.replace("##[", "##\\[")
}

/// Words nobody can guess.
#[derive(Debug)]
pub(super) struct Tokens {
    /// Keyed by the system.
    keys: [RandomState; 2],
    given: u64,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], given: 0 }
    }

    /// The next one: 128 bits.
    pub(super) fn next(&mut self) -> String {
        self.given += 1;
        let [a, b] = self.keys.each_ref().map(|key| key.hash_one(self.given));
        format!("devtask-{a:016x}{b:016x}")
    }
}
