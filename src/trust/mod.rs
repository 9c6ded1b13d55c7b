//! What a user has allowed: a tree, and every text that says what is executed in it (spec section 8).
//!
//! Floor 3, pure. A [`Trust`] is made of the texts as they were loaded, so what is executed is what was digested
//! (hazard E1). The commands are kept with it for people only: what counts are the digests. Where it is kept, whose
//! files are good enough, and what needs it at all is the business of the program.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::model::{Action, Interpreter, ProbeKind, Task, TaskKind, TaskServer};

/// A SHA-256.
type Hash = [u8; 32];

/// Everything a user is asked about when a tree is to be allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The root of the tree, without links.
    root: OsString,
    /// The file that is the root's, or what its list is called.
    file: OsString,
    /// To whom the root belongs.
    owner: u32,
    /// Every text, by the name of its file.
    files: BTreeMap<OsString, Hash>,
    /// What is executed, by who executes it. For people only.
    commands: BTreeMap<String, String>,
    /// What is known of each variable: the digests of its values. For people only, and never a value.
    variables: BTreeMap<String, BTreeSet<Hash>>,
}

/// What has become of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is gone.
    Removed,
}

/// A command that is not what was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandChange {
    /// Whose it is.
    pub name: String,
    /// What was allowed.
    pub before: Option<String>,
    /// What it is now.
    pub now: Option<String>,
}

/// What is not as it was allowed. If nothing is, the tree is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether the root, its file or its owner is another.
    pub is_another: bool,
    /// The files.
    pub files: Vec<(PathBuf, Change)>,
    /// The commands, for people.
    pub commands: Vec<CommandChange>,
    /// The variables, for people: names, never values (hazard C20).
    pub variables: Vec<(String, Change)>,
}

impl Changes {
    /// Whether the tree is as it was allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.is_another && self.files.is_empty()
    }
}

impl Trust {
    /// Nothing yet of the tree with this root, which has no links in it, and this file.
    #[must_use]
    pub fn new(root: &Path, file: &OsStr, owner: u32) -> Self {
        let (root, file) = (root.as_os_str().to_owned(), file.to_owned());
        Self {
            root,
            file,
            owner,
            files: BTreeMap::new(),
            commands: BTreeMap::new(),
            variables: BTreeMap::new(),
        }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Path {
        Path::new(&self.root)
    }

    /// What stands for the tree, whatever is in it: the same for no other.
    #[must_use]
    pub fn id(root: &Path, file: &OsStr) -> String {
        let mut context = Context::new(&SHA256);
        for part in [root.as_os_str().as_bytes(), b"\0", file.as_bytes()] {
            context.update(part);
        }
        context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds a text: what was loaded, not what is read again. A file that was read twice and was not the same is like no
    /// other.
    pub fn add_file(&mut self, name: &OsStr, content: &[u8]) {
        let hash = hash(content);
        let known = self.files.entry(name.to_owned()).or_insert(hash);
        if *known != hash {
            *known = self::hash(&[*known, hash].concat());
        }
    }

    /// Adds the commands of a task.
    pub fn add_task(&mut self, task: &Task) {
        let text = commands_of(task).join("\n");
        if !text.is_empty() {
            self.commands.insert(task.name.to_string(), text);
        }
    }

    /// Adds the command of a task server.
    pub fn add_server(&mut self, server: &TaskServer) {
        let words: Vec<&str> = server.command.iter().map(|word| word.value.as_str()).collect();
        self.commands.insert(format!("server {}", server.full_name()), words.join(" "));
    }

    /// Adds a variable that is set for whoever this is: a project's tasks, or one task. It may have several values.
    pub fn add_variable(&mut self, whose: &str, name: &str, value: &[u8]) {
        self.variables.entry(format!("{name} of {whose}")).or_default().insert(hash(value));
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(Path::new)
    }

    /// How many have a command.
    #[must_use]
    pub fn commands(&self) -> usize {
        self.commands.len()
    }

    /// What is not as it was `allowed`.
    #[must_use]
    pub fn changes_since(&self, allowed: &Self) -> Changes {
        let place = |trust: &Self| (trust.root.clone(), trust.file.clone(), trust.owner);
        let files = differences(&allowed.files, &self.files).into_iter();
        let commands = differences(&allowed.commands, &self.commands).into_iter().map(|(name, _)| {
            let of = |trust: &Self| trust.commands.get(name).cloned();
            CommandChange { name: name.clone(), before: of(allowed), now: of(self) }
        });
        let variables = differences(&allowed.variables, &self.variables).into_iter();
        Changes {
            variables: variables.map(|(name, change)| (name.clone(), change)).collect(),
            is_another: place(self) != place(allowed),
            files: files.map(|(name, change)| (PathBuf::from(name), change)).collect(),
            commands: commands.collect(),
        }
    }
}

fn hash(content: &[u8]) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, content).as_ref());
    hash
}

/// The keys under which two maps differ, and how.
fn differences<'a, K: Ord, V: PartialEq>(
    before: &'a BTreeMap<K, V>,
    now: &'a BTreeMap<K, V>,
) -> Vec<(&'a K, Change)> {
    let removed = before.keys().filter(|key| !now.contains_key(key)).map(|key| (key, Change::Removed));
    let here = now.iter().filter_map(|(key, value)| match before.get(key) {
        None => Some((key, Change::Added)),
        Some(before) if before != value => Some((key, Change::Changed)),
        Some(_) => None,
    });
    let mut all: Vec<_> = removed.chain(here).collect();
    all.sort_by_key(|(key, _)| *key);
    all
}

/// Everything a task executes.
fn commands_of(task: &Task) -> Vec<String> {
    let usual = Interpreter::default();
    let by = match (&task.interpreter, &task.interpreter.binary) {
        (interpreter, _) if *interpreter == usual => String::new(),
        (interpreter, None) => format!("[{}] ", interpreter.package.value),
        (interpreter, Some(binary)) => format!("[{} {binary}] ", interpreter.package.value),
    };
    let text = |action: &Action| match action {
        Action::None => None,
        Action::Script(script) => Some(format!("{by}{}", script.value.trim_end())),
        Action::Command(path) => Some(path.display().to_string()),
        Action::Served(server, name) => Some(format!("server {} does {name}", server.full_name())),
    };
    let status = task.status.as_ref().and_then(text).map(|status| format!("status: {status}"));
    let probe = match &task.kind {
        TaskKind::Process(process) => process.ready.as_ref().and_then(|probe| match &probe.kind {
            ProbeKind::Exec(script) => Some(format!("ready: {}", script.value.trim_end())),
            _ => None,
        }),
        TaskKind::OneShot => None,
    };
    text(&task.action).into_iter().chain(status).chain(probe).collect()
}

#[cfg(test)]
mod tests;
