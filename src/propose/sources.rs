//! Patterns for what tasks read.

use std::path::PathBuf;

use super::{paths, tree::Tree};
use crate::pattern::{PatternKind, PatternSet};

/// Every file of `dir` that git does not ignore, seen from `from`, but what is made there. `made` are directories, or
/// patterns that begin with `**/`.
pub(super) fn all(tree: &Tree<'_>, from: &str, dir: &str, made: &[&str]) -> Vec<String> {
    let place = paths::literal(from, dir);
    let mut patterns = vec![paths::join(&place, "**")];
    let kept = made.iter().filter(|name| !tree.ignores(dir, name.trim_start_matches("**/")));
    patterns.extend(kept.map(|name| format!("!{}/**", paths::join(&place, name))));
    patterns
}

/// Files of `dir` of these names that are there, seen from `from`. For those that globs do not match: hidden ones, and
/// those of another directory.
pub(super) fn there(tree: &Tree<'_>, from: &str, dir: &str, names: &[&str]) -> Vec<String> {
    let there = names.iter().map(|name| paths::join(dir, name)).filter(|path| tree.has(path));
    there.map(|path| paths::literal(from, &path)).collect()
}

/// The strings of a list in TOML.
pub(super) fn toml_strings(value: Option<&toml::Value>) -> Vec<String> {
    let list = value.and_then(toml::Value::as_array);
    list.into_iter().flatten().filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

/// The strings of a list in JSON or YAML; one string is a list of one.
pub(super) fn json_strings(value: Option<&serde_json::Value>) -> Vec<String> {
    match value {
        Some(serde_json::Value::String(one)) => vec![one.clone()],
        Some(serde_json::Value::Array(list)) => {
            list.iter().filter_map(|one| one.as_str()).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a text is a pattern for devtask.
pub(super) fn is_pattern(text: &str) -> bool {
    let patterns = [text.to_owned()];
    PatternSet::new(&[PathBuf::from("/")], &patterns, PatternKind::Inputs).is_ok()
}
