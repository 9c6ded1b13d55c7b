//! Faults as data: what is wrong, where, and one hint.
//!
//! Floor 0, pure. Rendering them is the program's business; finding them is everybody's.

use std::{fmt, ops::Range, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// It runs, but probably not as meant.
    Warning,
}

/// A text that places refer to: a task file, or JSON from a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What people call it: a path, or `$DEVENV_TASKS`.
    pub name: String,
    /// The file it was read from, if it was.
    pub path: Option<PathBuf>,
    /// Its text.
    pub text: Arc<str>,
}

/// The number of a [`Source`] among the [`Sources`] of one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId(pub usize);

/// All texts of one load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// Adds a text.
    pub fn add(&mut self, source: Source) -> SourceId {
        self.list.push(source);
        SourceId(self.list.len() - 1)
    }

    /// The text with this number, if it is one of these.
    #[must_use]
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.list.get(id.0)
    }

    /// All texts, in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.list.iter()
    }
}

/// A byte range of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The text.
    pub source: SourceId,
    /// Bytes from and to.
    pub span: Range<usize>,
}

/// A place with what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// A few words; may be empty.
    pub text: String,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// A stable kebab-case word for the kind of fault (`unknown-task`), for tests and tools.
    pub code: &'static str,
    /// One sentence without a full stop.
    pub message: String,
    /// The places: the first is where the fault is, others explain it.
    pub labels: Vec<Label>,
    /// Further lines without a place.
    pub notes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error without a place yet.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            hint: None,
        }
    }

    /// A warning without a place yet.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds a place, if it is known.
    #[must_use]
    pub fn at(mut self, place: Option<&Place>, text: impl Into<String>) -> Self {
        if let Some(place) = place {
            self.labels.push(Label { place: place.clone(), text: text.into() });
        }
        self
    }

    /// Adds a line without a place.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether nothing may run because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Every fault of one thing, as an error for `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.0.iter().map(|d| d.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

impl std::error::Error for Diagnostics {}

/// The candidate nearest to `typed`, where one is near enough to be meant.
#[must_use]
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest(typed, candidates, 1).into_iter().next()
}

/// Up to `most` candidates near enough to `typed` to be meant, nearest first.
#[must_use]
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let typed = typed.to_lowercase();
    let length = typed.chars().count();
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.chars().count();
            let most = length.max(other) / 3;
            // The distance is at least the difference in length; a huge text is not even looked at.
            let near = length.abs_diff(other) <= most;
            near.then(|| (strsim::damerau_levenshtein(&typed, &candidate.to_lowercase()), candidate))
                .filter(|(distance, _)| *distance <= most)
        })
        .collect();
    scored.sort();
    scored.dedup();
    scored.truncate(most);
    scored.into_iter().map(|(_, c)| c).collect()
}
