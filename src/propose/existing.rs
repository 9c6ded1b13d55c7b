//! Task files that are there already: what is proposed beside them fits in.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;
use serde_json::Value;

use super::{draft::Projects, name::legal, paths, sources, tree::Tree};

/// The names a task file can have.
const NAMES: &[&str] = &["devtask.toml", "devtask.json"];

/// What a task file says that matters for others.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskFile {
    /// How it is called.
    file: &'static str,
    pub(super) name: Option<String>,
    /// Its tasks, by their local names.
    tasks: BTreeSet<String>,
    include: Vec<String>,
}

/// By the directories they are in.
#[derive(Debug, Default)]
pub(super) struct Existing(BTreeMap<String, TaskFile>);

impl Existing {
    /// Those of the projects, if the root has one: without that, they are none of its own.
    pub(super) fn of(tree: &Tree<'_>, projects: &Projects) -> Self {
        if tree.first_of("", NAMES).is_none() {
            return Self::default();
        }
        let read = |dir: &String| {
            let file = tree.first_of(dir, NAMES)?;
            let path = paths::join(dir, file);
            let value = if file == "devtask.toml" {
                tree.toml(&path).and_then(|table| serde_json::to_value(table).ok())
            } else {
                tree.json(&path)
            };
            Some((dir.clone(), TaskFile::of(file, &value.unwrap_or_default())))
        };
        Self(projects.keys().filter_map(read).collect())
    }

    /// The task file of a directory.
    pub(super) fn get(&self, dir: &str) -> Option<&TaskFile> {
        self.0.get(dir)
    }

    /// Says which of these directories no task file includes.
    pub(super) fn tell(&self, tree: &Tree<'_>, dirs: &[&String]) {
        let Some(root) = self.get("") else { return };
        let is_included = |dir: &str| {
            self.0.iter().any(|(above, file)| {
                paths::beneath(dir, above).is_some_and(|inner| !inner.is_empty() && file.includes(inner))
            })
        };
        let missing: Vec<String> = dirs
            .iter()
            .filter(|dir| !is_included(dir))
            .map(|dir| format!("{:?}", globset::escape(dir)))
            .collect();
        if missing.is_empty() {
            return;
        }
        let missing = missing.join(", ");
        let text = tree.text(root.file).unwrap_or_default();
        let line = text.lines().position(|line| line.trim_start().starts_with("include"));
        let told = match line {
            Some(line) => format!("line {}: `include` has to name {missing}, too", line + 1),
            None => format!("it has to say include = [{missing}]"),
        };
        tree.note(root.file, told);
    }
}

impl TaskFile {
    fn of(file: &'static str, value: &Value) -> Self {
        let tasks = value.get("tasks").and_then(Value::as_object);
        Self {
            file,
            name: value.get("name").and_then(Value::as_str).map(str::to_owned),
            tasks: tasks.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
            include: sources::json_strings(value.get("include")),
        }
    }

    /// The task that somebody gave the name one would have been given.
    pub(super) fn task(&self, wish: &str) -> Option<String> {
        Some(legal(wish)).filter(|name| self.tasks.contains(name))
    }

    fn includes(&self, dir: &str) -> bool {
        self.include.iter().any(|entry| {
            let bare = entry.trim_start_matches("./").trim_end_matches('/');
            let glob = GlobBuilder::new(bare).literal_separator(true).build();
            bare == dir || glob.is_ok_and(|glob| glob.compile_matcher().is_match(dir))
        })
    }
}

/// Whether a task file with this text, in TOML or JSON, includes the directory `dir`, seen from its own. One that
/// cannot be read includes nothing.
#[must_use]
pub fn includes(text: &str, dir: &str) -> bool {
    let toml = || serde_json::to_value(text.parse::<toml::Table>().ok()?).ok();
    let value = serde_json::from_str(text).ok().or_else(toml);
    value.is_some_and(|value| TaskFile::of("", &value).includes(dir))
}
