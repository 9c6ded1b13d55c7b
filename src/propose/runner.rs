//! Files of other task runners: justfile, Taskfile, Makefile. What they have is what a person wrote, so much of it has
//! effects or never ends.

use std::collections::BTreeMap;

use super::{
    draft::{Draft, key},
    nature::{self, Nature},
    sources,
    tree::Tree,
};

/// One entry of such a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// Entries of the same file that are run before it.
    pub(super) needs: Vec<String>,
    /// Whether it does anything but needing others.
    pub(super) has_body: bool,
    /// Why it cannot be a task.
    pub(super) off: Option<String>,
    /// What it says it reads and makes.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
}

/// A file of entries.
pub(super) struct File<'a> {
    pub(super) dir: &'a str,
    /// Its name.
    pub(super) name: &'a str,
    pub(super) tool: &'static str,
    pub(super) entries: Vec<Entry>,
    /// What the entries make, as far as that is known.
    pub(super) made: Vec<String>,
    /// Whether only what an entry itself says decides what it reads.
    pub(super) is_told: bool,
}

impl File<'_> {
    /// Their tasks. `command` runs one entry; the flag is whether what it needs was run before.
    pub(super) fn drafts(&self, tree: &Tree<'_>, command: impl Fn(&str, bool) -> String) -> Vec<Draft> {
        let by_name: BTreeMap<&str, &Entry> = self.entries.iter().map(|e| (e.name.as_str(), e)).collect();
        let mut is_in: BTreeMap<&str, bool> = self
            .entries
            .iter()
            .map(|e| (e.name.as_str(), e.off.is_none() && nature::of(&e.name).is_work()))
            .collect();
        // What an entry of the plain run needs is run anyway, whatever it is called.
        let mut todo: Vec<&str> = is_in.iter().filter(|(_, is_in)| **is_in).map(|(name, _)| *name).collect();
        while let Some(name) = todo.pop() {
            for need in by_name.get(name).iter().flat_map(|entry| &entry.needs) {
                let could = by_name.get(need.as_str()).filter(|e| e.off.is_none());
                if could.is_some()
                    && nature::of(need) == Nature::Unknown
                    && is_in.insert(need, true) == Some(false)
                {
                    todo.push(need);
                }
            }
        }
        let is_in = |name: &str| is_in.get(name).copied().unwrap_or_default();
        self.entries.iter().map(|entry| self.draft(tree, entry, is_in, &command)).collect()
    }

    fn draft(
        &self,
        tree: &Tree<'_>,
        entry: &Entry,
        is_in: impl Fn(&str) -> bool,
        command: &impl Fn(&str, bool) -> String,
    ) -> Draft {
        let nature = nature::of(&entry.name);
        let all_needs = entry.needs.iter().all(|need| is_in(need));
        let only_stands = !entry.has_body && all_needs && !entry.needs.is_empty();
        let off = entry.off.clone().or(match nature {
            Nature::Endless => None,
            Nature::Effect(reason) => Some(format!("it {reason}")),
            _ if is_in(&entry.name) => None,
            _ => Some("nobody can tell from outside what it does".to_owned()),
        });
        let is_process = nature == Nature::Endless;
        let is_keyed = off.is_none() && nature.is_work() && !only_stands;
        let inputs = match () {
            () if !is_keyed && entry.inputs.is_empty() || only_stands || is_process => Vec::new(),
            () if !entry.inputs.is_empty() || self.is_told => entry.inputs.clone(),
            () => self.everything(tree),
        };
        let needs = entry.needs.iter().filter(|need| is_in(need));
        Draft {
            key: key(self.dir, self.tool, &entry.name),
            tool: self.tool,
            wish: entry.name.clone(),
            is_process,
            origin: format!("{}, {}", self.name, entry.name),
            description: entry.description.clone(),
            after: needs.map(|need| key(self.dir, self.tool, need)).collect(),
            inputs,
            outputs: if is_process || only_stands { Vec::new() } else { entry.outputs.clone() },
            exec: (!only_stands).then(|| command(&entry.name, all_needs)),
            off,
            yields: true,
            ..Draft::default()
        }
    }

    /// Every file, but what entries are known to make.
    fn everything(&self, tree: &Tree<'_>) -> Vec<String> {
        let made = ["target", "**/node_modules", "**/__pycache__", "vendor"];
        let there = |name: &&str| match *name {
            "target" => tree.first_of(self.dir, &["Cargo.toml"]).is_some(),
            "**/node_modules" => tree.first_of(self.dir, &["package.json"]).is_some(),
            "**/__pycache__" => {
                tree.first_of(self.dir, &["pyproject.toml", "setup.py", "requirements.txt"]).is_some()
            }
            _ => tree.first_of(self.dir, &["composer.json"]).is_some(),
        };
        let made: Vec<&str> = made.into_iter().filter(there).collect();
        let mut inputs = sources::all(tree, self.dir, self.dir, &made);
        inputs.extend(self.made.iter().map(|pattern| format!("!{pattern}")));
        if self.name.starts_with('.') {
            inputs.push(self.name.to_owned());
        }
        inputs
    }
}
