//! Patterns for what tasks read.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{draft::Projects, paths, tree::Tree};
use crate::pattern::{PatternKind, PatternSet};

/// What tasks make and git does not ignore, as patterns, by the directories it is made in.
#[derive(Debug, Default)]
pub(super) struct Made(BTreeMap<String, BTreeSet<String>>);

impl Made {
    pub(super) fn of(tree: &Tree<'_>, projects: &Projects) -> Self {
        let name = |made: &str| made.trim_start_matches("**/").trim_end_matches("/**").to_owned();
        let shows = |dir: &str, made: &str| !tree.ignores(dir, &name(made));
        let of = |dir: &str, made: &BTreeSet<String>| {
            made.iter().filter(|made| shows(dir, made)).cloned().collect()
        };
        Self(projects.iter().map(|(dir, project)| (dir.clone(), of(dir, &project.made))).collect())
    }

    /// Every file of `dir` that git does not ignore, seen from `from`, but what is made there.
    pub(super) fn all_but(&self, from: &str, dir: &str) -> Vec<String> {
        let is_nested = |other: &&String| *other != dir && paths::beneath(other, dir).is_some();
        let beneath = self.0.iter().filter(|(other, _)| is_nested(other)).flat_map(|(_, made)| made);
        let anywhere: BTreeSet<String> =
            beneath.map(|made| format!("**/{}", made.trim_start_matches("**/"))).collect();
        // What is left out anywhere is left out here, too.
        let own = self.0.get(dir).into_iter().flatten();
        let own = own.filter(|made| !anywhere.contains(&format!("**/{made}")));
        let but: BTreeSet<&String> = own.chain(&anywhere).collect();
        let place = paths::literal(from, dir);
        // What it says of a task counts anyway.
        let own_file =
            if self.0.keys().any(|other| is_nested(&other)) { "**/devtask.toml" } else { "devtask.toml" };
        let but = but.into_iter().map(String::as_str).chain([own_file]);
        let but = but.map(|made| format!("!{}", paths::join(&place, made)));
        [paths::join(&place, "**")].into_iter().chain(but).collect()
    }
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
