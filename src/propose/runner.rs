//! Files of other task runners: justfile, Taskfile, Makefile. What they have is what a person wrote, so much of it has
//! effects or never ends.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    draft::{Draft, key},
    name::legal,
    nature::{self, Nature},
};

/// More entries than these are nobody's.
const MOST: usize = 300;

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
    /// Whether it is for other entries only.
    pub(super) is_hidden: bool,
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
    /// Their tasks. `command` runs one entry; the flag is whether what it needs was run before. `taken` are the names
    /// that languages have given in the directory.
    pub(super) fn drafts(
        &self,
        taken: &BTreeSet<String>,
        command: impl Fn(&str, bool) -> String,
    ) -> Vec<Draft> {
        if self.entries.len() > MOST {
            // Nobody wrote them, and nobody would read what is made of them.
            return Vec::new();
        }
        let natures = self.natures();
        let part = self.part(taken, &natures);
        let entries = self.entries.iter().filter(|entry| !entry.is_hidden);
        let nature = |entry: &Entry| natures.get(entry.name.as_str()).copied().unwrap_or(Nature::Unknown);
        entries.map(|entry| self.draft(entry, nature(entry), &part, &command)).collect()
    }

    /// What each entry is for; one that needs another with effects has these, too.
    fn natures(&self) -> BTreeMap<&str, Nature> {
        let mut natures: BTreeMap<&str, Nature> =
            self.entries.iter().map(|entry| (entry.name.as_str(), nature::of(&entry.name))).collect();
        loop {
            let effect = |need: &String| natures.get(need.as_str())?.effect_on_callers();
            let calm = self
                .entries
                .iter()
                .filter(|e| !matches!(natures.get(e.name.as_str()), Some(Nature::Effect(_))));
            let new: Vec<(&str, &'static str)> = calm
                .filter_map(|entry| Some((entry.name.as_str(), entry.needs.iter().find_map(effect)?)))
                .collect();
            if new.is_empty() {
                return natures;
            }
            natures.extend(new.into_iter().map(|(name, reason)| (name, Nature::Effect(reason))));
        }
    }

    /// The entries that are part of a plain run, and those that others would be who are here already.
    fn part(&self, taken: &BTreeSet<String>, natures: &BTreeMap<&str, Nature>) -> BTreeSet<&str> {
        let by_name: BTreeMap<&str, &Entry> = self.entries.iter().map(|e| (e.name.as_str(), e)).collect();
        let is_work = |entry: &&Entry| {
            entry.off.is_none() && natures.get(entry.name.as_str()).is_some_and(|nature| nature.is_work())
        };
        let is_taken = |name: &str| taken.contains(&legal(name));
        let is_variant = |name: &str| {
            nature::base(name)
                .is_some_and(|base| taken.contains(base) || by_name.get(base).is_some_and(is_work))
        };
        let work = self.entries.iter().filter(is_work).map(|entry| entry.name.as_str());
        let mut part: BTreeSet<&str> = work.filter(|name| !is_variant(name)).collect();
        // What an entry of the plain run needs is run anyway, whatever it is called.
        let mut todo: Vec<&str> = part.iter().copied().filter(|name| !is_taken(name)).collect();
        while let Some(name) = todo.pop() {
            for need in by_name.get(name).iter().flat_map(|entry| &entry.needs) {
                let could = by_name.get(need.as_str()).is_some_and(|entry| entry.off.is_none());
                let is_free = natures.get(need.as_str()) == Some(&Nature::Unknown) || is_variant(need);
                if could && is_free && part.insert(need) {
                    todo.push(need);
                }
            }
        }
        part
    }

    fn draft(
        &self,
        entry: &Entry,
        nature: Nature,
        part: &BTreeSet<&str>,
        command: &impl Fn(&str, bool) -> String,
    ) -> Draft {
        let is_in = |name: &str| part.contains(name);
        let all_needs = entry.needs.iter().all(|need| is_in(need));
        let only_stands = !entry.has_body && all_needs && !entry.needs.is_empty();
        let off = entry.off.clone().or(match nature {
            Nature::Endless => None,
            Nature::Effect(reason) => Some(reason.to_owned()),
            _ if is_in(&entry.name) => None,
            nature => Some(nature::left_out(nature).to_owned()),
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
