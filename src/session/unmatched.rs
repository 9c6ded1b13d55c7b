//! Globs that match nothing are probably not what was meant: a warning says where they were looked for,
//! and what they would match from the root, where they are written as if `cwd` were the root.

use std::{path::PathBuf, slice};

use super::shared::Shared;
use crate::{
    model::{TaskId, Written},
    pattern::{PatternKind, PatternSet},
    scan::Sight,
};

/// A glob that matches nothing.
#[derive(Clone, Debug)]
pub(crate) struct Unmatched {
    /// As it was written.
    pub(crate) pattern: String,
    /// Where it was looked up from.
    base: PathBuf,
    /// A file it would match if it were looked up from the root.
    from_root: Option<PathBuf>,
}

impl Unmatched {
    /// The globs of a task that match nothing. A literal path may be missing, and what a glob matches may lie
    /// where nobody could look.
    pub(crate) fn of(shared: &Shared, id: TaskId, inputs: &Sight) -> Vec<Self> {
        if !inputs.problems().is_empty() || inputs.unmatched().is_empty() {
            return Vec::new();
        }
        let task = shared.graph.task(id);
        let patterns = shared.patterns(id);
        let is_glob =
            |at: &usize| patterns.inputs.globs().iter().any(|g| g.written() == *at && !g.is_literal());
        let base = task.pattern_bases.first().unwrap_or(&task.cwd);
        let globs = inputs.unmatched().iter().filter(|at| is_glob(at));
        globs
            .filter_map(|at| task.exec_if_modified.get(*at))
            .map(|pattern| Self {
                pattern: pattern.written.clone(),
                base: base.clone(),
                from_root: from_root(shared, pattern),
            })
            .collect()
    }

    /// The warning.
    pub(crate) fn message(&self, shared: &Shared) -> String {
        let base = shared.display(&self.base);
        let base = if base.is_empty() { "." } else { &base };
        let message = format!("`{}` matches nothing in {base}", self.pattern);
        match &self.from_root {
            Some(path) => {
                format!("{message}; it is relative to there, and would match {} in .", shared.display(path))
            }
            None => message,
        }
    }
}

/// Looks only beneath a fixed beginning: a warning is not worth a walk of the whole tree.
fn from_root(shared: &Shared, pattern: &Written<String>) -> Option<PathBuf> {
    if pattern.value.starts_with('/') {
        return None;
    }
    let root = slice::from_ref(&shared.root);
    let set = PatternSet::new(root, slice::from_ref(&pattern.value), PatternKind::Inputs).ok()?;
    if set.globs().iter().any(|glob| shared.root.starts_with(glob.prefix())) {
        return None;
    }
    shared.walk(&set).entries.first().map(|entry| entry.path.to_path_buf())
}
