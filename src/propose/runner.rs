//! Files of other task runners: justfile, Taskfile, Makefile. What they have is what a person wrote, so much of it has
//! effects or never ends.

use std::collections::BTreeMap;

use super::{
    draft::{Draft, key},
    nature::{self, Nature},
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
}

impl File<'_> {
    /// Their tasks. `command` runs one entry; the flag is whether what it needs was run before.
    pub(super) fn drafts(&self, command: impl Fn(&str, bool) -> String) -> Vec<Draft> {
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
        self.entries.iter().map(|entry| self.draft(entry, is_in, &command)).collect()
    }

    fn draft(
        &self,
        entry: &Entry,
        is_in: impl Fn(&str) -> bool,
        command: &impl Fn(&str, bool) -> String,
    ) -> Draft {
        let nature = nature::of(&entry.name);
        let all_needs = entry.needs.iter().all(|need| is_in(need));
        let only_stands = !entry.has_body && all_needs && !entry.needs.is_empty();
        let off = entry.off.clone().or(match nature {
            Nature::Endless => None,
            Nature::Effect(reason) => Some(reason.to_owned()),
            _ if is_in(&entry.name) => None,
            _ => Some("nobody can tell from outside what it does".to_owned()),
        });
        let is_process = nature == Nature::Endless;
        let can_be_fresh = off.is_none() && !only_stands && !is_process;
        let is_told = !entry.inputs.is_empty();
        let reads_all = can_be_fresh && !is_told && nature.is_work();
        // A pattern for everything passes over what is hidden.
        let hidden = (reads_all && self.name.starts_with('.')).then(|| self.name.to_owned());
        let needs = entry.needs.iter().filter(|need| is_in(need));
        Draft {
            key: key(self.dir, self.tool, &entry.name),
            tool: self.tool,
            wish: entry.name.clone(),
            is_process,
            origin: format!("{}, {}", self.name, entry.name),
            description: entry.description.clone(),
            after: needs.map(|need| key(self.dir, self.tool, need)).collect(),
            reads: reads_all.then(|| self.dir.to_owned()).into_iter().collect(),
            inputs: entry.inputs.iter().filter(|_| can_be_fresh).cloned().chain(hidden).collect(),
            outputs: if can_be_fresh { entry.outputs.clone() } else { Vec::new() },
            exec: (!only_stands).then(|| command(&entry.name, all_needs)),
            off,
            yields: true,
            ..Draft::default()
        }
    }
}
