//! Hooks in the repository's configuration, which git knows from 2.54 on: a named one for each tree.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::{
    Call, Event, HookError,
    script::{self, Whose},
};
use crate::git::Repository;

/// What the configuration says, each value in the order in which git reads it.
pub(super) struct Entries(Vec<Entry>);

struct Entry {
    /// Whether it stands in the repository's own file.
    is_local: bool,
    key: String,
    /// None: the key stands alone, which means true.
    value: Option<OsString>,
}

/// The name of a tree's hook; that of an event is not allowed there.
pub(super) fn name(event: Event, tree: &Path) -> String {
    match tree.as_os_str().as_bytes() {
        b"" => format!("devtask-{}", event.name()),
        tree => format!("devtask-{}-{:016x}", event.name(), xxh3_64(tree)),
    }
}

impl Entries {
    /// All of it: to ask for one key alone would not tell a missing one from a broken file.
    pub(super) fn of(repository: &Repository) -> Result<Self, HookError> {
        let said = repository.read(&["config", "--null", "--show-scope", "--list"])?;
        let parts: Vec<&[u8]> = said.split(|byte| *byte == 0).collect();
        let entries = parts.chunks_exact(2).map(|pair| {
            let (key, value) = match pair[1].iter().position(|byte| *byte == b'\n') {
                Some(at) => (&pair[1][..at], Some(OsStr::from_bytes(&pair[1][at + 1..]).to_owned())),
                None => (pair[1], None),
            };
            let key = String::from_utf8_lossy(key).into_owned();
            Entry { is_local: pair[0] == b"local", key, value }
        });
        Ok(Self(entries.collect()))
    }

    /// The last value of a key in the repository's own file.
    fn local(&self, key: &str) -> Option<&OsStr> {
        self.0.iter().rfind(|entry| entry.is_local && entry.key == key)?.value.as_deref()
    }

    fn has_local(&self, key: &str) -> bool {
        self.0.iter().any(|entry| entry.is_local && entry.key == key)
    }

    /// Refuses a hook of ours that somebody has changed.
    pub(super) fn check(&self, event: Event, tree: &Path) -> Result<(), HookError> {
        let key = format!("hook.{}.command", name(event, tree));
        match self.local(&key).map(script::whose_config) {
            Some(Whose::Changed | Whose::Theirs) => Err(HookError::Changed { what: format!("`{key}`") }),
            Some(Whose::Ours) | None => Ok(()),
        }
    }

    /// The trees that have a hook of ours.
    pub(super) fn trees(&self, event: Event) -> Vec<PathBuf> {
        let own = format!("hook.devtask-{}", event.name());
        let one = |entry: &Entry| {
            let value = entry.value.as_deref().filter(|_| entry.is_local && entry.key.starts_with(&own))?;
            let tree = script::config_tree(event, value)?;
            let is_its = entry.key == format!("hook.{}.command", name(event, &tree));
            (is_its && script::whose_config(value) == Whose::Ours).then_some(tree)
        };
        self.0.iter().filter_map(one).collect()
    }

    /// The names of all hooks of an event.
    pub(super) fn named(&self, event: Event) -> Vec<&str> {
        let of = |entry: &&Entry| entry.value.as_deref().is_some_and(|value| value == event.name());
        let named = |entry: &'_ Entry| -> Option<(usize, usize)> {
            let end = entry.key.strip_suffix(".event")?.len();
            entry.key.starts_with("hook.").then_some((5, end))
        };
        let names = self.0.iter().filter(of).filter_map(|entry| {
            let (begin, end) = named(entry)?;
            entry.key.get(begin..end)
        });
        names.collect()
    }

    /// Whether git is told what to call for this tree.
    pub(super) fn has(&self, event: Event, tree: &Path) -> bool {
        let own = name(event, tree);
        self.named(event).contains(&own.as_str()) && self.local(&format!("hook.{own}.command")).is_some()
    }

    /// The key that keeps git from running it.
    pub(super) fn off(&self, event: Event, tree: &Path) -> Option<String> {
        let is_false = |key: &String| {
            let last =
                self.0.iter().rfind(|entry| entry.key == *key).and_then(|entry| entry.value.as_deref());
            let word = last.map(|value| value.to_string_lossy().to_lowercase());
            word.is_some_and(|word| ["false", "no", "off", "0", ""].contains(&word.as_str()))
        };
        let keys = [name(event, tree), event.name().to_owned()].map(|name| format!("hook.{name}.enabled"));
        keys.into_iter().find(is_false)
    }

    /// Puts a hook there; false if it is as it should be. If that fails, git runs what it did before.
    pub(super) fn add(&self, repository: &Repository, event: Event, call: &Call) -> Result<bool, HookError> {
        let own = name(event, &call.directory);
        let [command, of, enabled] = ["command", "event", "enabled"].map(|key| format!("hook.{own}.{key}"));
        let wanted = script::config(event, call);
        let is_off = self.has_local(&enabled);
        let is_for_event = self.local(&of).is_some_and(|value| value == event.name());
        if self.local(&command) == Some(&wanted) && is_for_event && !is_off {
            return Ok(false);
        }
        // In this order: git refuses to work where an event has no command.
        set(repository, &command, &wanted)?;
        set(repository, &of, OsStr::new(event.name()))?;
        if is_off {
            repository.read(&["config", "--local", "--unset-all", &enabled])?;
        }
        Ok(true)
    }

    /// Takes a tree's hook away, if it has one. Named elsewhere it is not for us to take away.
    pub(super) fn remove(
        &self,
        repository: &Repository,
        event: Event,
        tree: &Path,
    ) -> Result<bool, HookError> {
        let section = format!("hook.{}", name(event, tree));
        let is_there = ["command", "event"].iter().any(|key| self.has_local(&format!("{section}.{key}")));
        if is_there {
            repository.read(&["config", "--local", "--remove-section", &section])?;
        }
        Ok(is_there)
    }
}

fn set(repository: &Repository, key: &str, value: &OsStr) -> Result<(), HookError> {
    let words = [OsStr::new("config"), "--local".as_ref(), "--replace-all".as_ref(), key.as_ref(), value];
    Ok(repository.read(&words).map(|_| ())?)
}
