//! What a key is made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::Content;
use crate::{
    model::{Action, Digest, FileKind, Task, TaskName, bytes},
    planted::{self, Fault},
};

/// Stands for an output that is an object, whose keys are parts of their own.
pub(super) const OBJECT: &[u8] = b"object";

/// The digest of some bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest(xxh3_128(bytes))
}

/// Everything the key of a task is made of (spec section 4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The small parts. Values are digests only: an environment may hold secrets (hazard D7).
    pub parts: BTreeMap<Part, Digest>,
    /// The matched files, sorted by path.
    pub files: Vec<FileRow>,
}

/// One small part of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// Script text before substitution, or the bytes of the command file.
    Exec,
    /// Who runs the script.
    Interpreter,
    /// The arguments after `--`.
    Arguments,
    /// The working directory, relative to the root.
    Cwd,
    /// The patterns of `execIfModified` and `outputs`, as written.
    Patterns,
    /// The names in `exports`.
    ExportList,
    /// One top-level key of `input`; `None`: that there is any input.
    Input(Option<String>),
    /// One variable of `[env]` or a dotenv file, as written.
    FileEnv(String),
    /// One variable of `env`, as written. Not the same as one of `[env]`: exports stand between the two.
    Env(String),
    /// One tracked variable of the surrounding environment.
    TrackedEnv(String),
    /// One top-level key of an upstream's output; `None`: that there is one, and all of it if it is no object.
    UpstreamOutput(TaskName, Option<String>),
    /// One export, of the upstream whose value wins.
    UpstreamExport(TaskName, String),
    /// The content of an upstream's declared outputs.
    UpstreamFiles(TaskName),
    /// What came of calling a task.
    Called(TaskName),
}

/// One matched file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Its path, relative to the root where it lies beneath it.
    #[serde(with = "bytes")]
    pub path: Vec<u8>,
    /// What it is, with its executable bit.
    pub kind: FileKind,
    /// Its content.
    pub digest: Digest,
}

/// What one upstream task hands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Handed<'a> {
    /// The upstream task.
    pub task: &'a TaskName,
    /// Its output JSON.
    pub output: Option<&'a Value>,
    /// Its exports.
    pub exports: &'a [(String, Vec<u8>)],
    /// The digest of its declared outputs, if there is an edge to it and it declares any.
    pub files: Option<Digest>,
}

/// One digest for what came of calling a task: all that it and those upstream of it handed on. `failure` is the exit
/// code, if it failed.
#[must_use]
pub fn digest_of_call(handed: &[Handed<'_>], failure: Option<i32>) -> Digest {
    let mut all = vec![failure.map(|code| code.to_string()).unwrap_or_default().into_bytes()];
    for Handed { task, output, exports, files } in handed {
        all.push(task.as_str().as_bytes().to_vec());
        all.push(output.map(ToString::to_string).unwrap_or_default().into_bytes());
        all.push(files.map(|files| files.0.to_le_bytes().to_vec()).unwrap_or_default());
        all.push((exports.len() as u64).to_le_bytes().to_vec());
        all.extend(exports.iter().flat_map(|(name, value)| [name.clone().into_bytes(), value.clone()]));
    }
    digest_of(&frames(all))
}

/// What the manifest of a task is made from.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The task.
    pub task: &'a Task,
    /// The bytes of the command file, for a task that is one.
    pub command: Option<Digest>,
    /// The arguments after `--`, if it is a root.
    pub arguments: &'a [Vec<u8>],
    /// Its working directory, relative to the root.
    pub cwd: &'a [u8],
    /// Its input with the command line's merged in, before substitution.
    pub input: Option<&'a Map<String, Value>>,
    /// The tracked variables that are set.
    pub tracked: &'a [(String, Vec<u8>)],
    /// Everything handed on from upstream, in the order exports are applied: later ones win.
    pub upstream: &'a [Handed<'a>],
}

impl Manifest {
    /// The manifest of a task.
    #[must_use]
    pub fn new(facts: &Facts<'_>, files: Vec<FileRow>) -> Self {
        let mut manifest = Self { parts: BTreeMap::new(), files };
        manifest.add_declared(facts);
        manifest.add_environment(facts);
        let upstream = if planted::is(Fault::UpstreamUnkeyed) { &[] } else { facts.upstream };
        for handed in upstream {
            manifest.add_upstream(handed);
        }
        manifest.add_exports(upstream);
        manifest
    }

    /// The key: equal exactly if every part and every file is.
    #[must_use]
    pub fn key(&self) -> Digest {
        self.key_with(Content::of(&self.files))
    }

    /// The key if [`Content::of`] the files is `files`: for who knows that without having a row for each.
    #[must_use]
    pub fn key_with(&self, files: Digest) -> Digest {
        let mut hash = Xxh3::new();
        for (part, digest) in &self.parts {
            hash.update(&part.tag());
            hash.update(&digest.0.to_le_bytes());
        }
        hash.update(&files.0.to_le_bytes());
        Digest(hash.digest128())
    }

    /// Replaces what came of the tasks it called.
    pub fn set_calls(&mut self, calls: impl IntoIterator<Item = (TaskName, Digest)>) {
        self.parts.retain(|part, _| !matches!(part, Part::Called(_)));
        self.parts.extend(calls.into_iter().map(|(task, digest)| (Part::Called(task), digest)));
    }

    /// Takes over what `earlier` recorded of upstream tasks whose results are not known (a dry run does not
    /// execute them, and assumes that they hand on the same).
    pub fn assume_upstream(&mut self, earlier: &Self, is_assumed: impl Fn(&TaskName) -> bool) {
        let of_task = |part: &Part| part.upstream().is_some_and(&is_assumed);
        self.parts.retain(|part, _| !of_task(part));
        let taken = earlier.parts.iter().filter(|(part, _)| of_task(part));
        self.parts.extend(taken.map(|(part, digest)| (part.clone(), *digest)));
    }

    fn add(&mut self, part: Part, bytes: &[u8]) {
        self.parts.insert(part, digest_of(bytes));
    }

    fn add_declared(&mut self, facts: &Facts<'_>) {
        let task = facts.task;
        match &task.action {
            Action::None => {}
            Action::Script(script) => self.add(Part::Exec, script.written.as_bytes()),
            Action::Command(_) => {
                let digest = facts.command.unwrap_or(Digest(0));
                self.parts.insert(Part::Exec, digest);
            }
            // What the server is made of are files of the task.
            Action::Served(server, _) => {
                let words = server.command.iter().map(|word| word.written.clone());
                let env = [&server.file_env, &server.env].into_iter().flatten();
                let env = env.map(|(name, value)| format!("{name}={}", value.written));
                // How many words there are tells them from what follows.
                let count = server.command.len().to_string();
                self.add(Part::Exec, &frames(std::iter::once(count).chain(words).chain(env)));
            }
        }
        let interpreter = [Some(&task.interpreter.package.written), task.interpreter.binary.as_ref()];
        self.add(Part::Interpreter, &frames(interpreter.into_iter().flatten()));
        self.add(Part::Arguments, &frames(facts.arguments));
        self.add(Part::Cwd, facts.cwd);
        let patterns = task.exec_if_modified.iter().map(|p| format!("in {}", p.written));
        let outputs = task.outputs.iter().map(|p| format!("out {}", p.written));
        self.add(Part::Patterns, &frames(patterns.chain(outputs)));
        self.add(Part::ExportList, &frames(&task.exports));
        if let Some(input) = facts.input {
            self.add(Part::Input(None), b"");
            for (key, value) in input {
                self.add(Part::Input(Some(key.clone())), value.to_string().as_bytes());
            }
        }
    }

    fn add_environment(&mut self, facts: &Facts<'_>) {
        for (name, value) in &facts.task.file_env {
            self.add(Part::FileEnv(name.clone()), value.written.as_bytes());
        }
        for (name, value) in &facts.task.env {
            self.add(Part::Env(name.clone()), value.written.as_bytes());
        }
        for (name, value) in facts.tracked {
            self.add(Part::TrackedEnv(name.clone()), value);
        }
    }

    fn add_upstream(&mut self, handed: &Handed<'_>) {
        let task = handed.task;
        match handed.output {
            Some(Value::Object(keys)) => {
                self.add(Part::UpstreamOutput(task.clone(), None), OBJECT);
                for (key, value) in keys {
                    let part = Part::UpstreamOutput(task.clone(), Some(key.clone()));
                    self.add(part, value.to_string().as_bytes());
                }
            }
            Some(value) => self.add(Part::UpstreamOutput(task.clone(), None), value.to_string().as_bytes()),
            None => {}
        }
        if let Some(files) = handed.files {
            self.parts.insert(Part::UpstreamFiles(task.clone()), files);
        }
    }
}

impl Manifest {
    /// Exports by who wins: which upstream's value is seen is part of the key, and a value nobody sees is not.
    fn add_exports(&mut self, upstream: &[Handed<'_>]) {
        let mut winners: BTreeMap<&str, (&TaskName, &[u8])> = BTreeMap::new();
        for handed in upstream {
            for (name, value) in handed.exports {
                winners.insert(name, (handed.task, value));
            }
        }
        for (name, (task, value)) in winners {
            self.add(Part::UpstreamExport(task.clone(), name.to_owned()), value);
        }
    }
}

impl Part {
    /// What stands for the part in a key: stays what it is whatever the names in this file become.
    fn tag(&self) -> Vec<u8> {
        let (letter, names): (u8, [Option<&str>; 2]) = match self {
            Self::Exec => (b'x', [None, None]),
            Self::Interpreter => (b'i', [None, None]),
            Self::Arguments => (b'a', [None, None]),
            Self::Cwd => (b'c', [None, None]),
            Self::Patterns => (b'p', [None, None]),
            Self::ExportList => (b'l', [None, None]),
            Self::Input(key) => (b'n', [key.as_deref(), None]),
            Self::FileEnv(name) => (b'f', [Some(name), None]),
            Self::Env(name) => (b'e', [Some(name), None]),
            Self::TrackedEnv(name) => (b't', [Some(name), None]),
            Self::UpstreamOutput(task, key) => (b'o', [Some(task.as_str()), key.as_deref()]),
            Self::UpstreamExport(task, name) => (b'v', [Some(task.as_str()), Some(name)]),
            Self::UpstreamFiles(task) => (b'u', [Some(task.as_str()), None]),
            Self::Called(task) => (b'd', [Some(task.as_str()), None]),
        };
        let mut tag = vec![letter];
        tag.extend(frames(names.into_iter().flatten()));
        tag.push(b';');
        tag
    }

    /// The upstream task the part belongs to, if it does to one.
    #[must_use]
    pub const fn upstream(&self) -> Option<&TaskName> {
        match self {
            Self::UpstreamOutput(task, _)
            | Self::UpstreamExport(task, _)
            | Self::UpstreamFiles(task)
            | Self::Called(task) => Some(task),
            _ => None,
        }
    }
}

/// Strings laid end to end so that no two lists give the same bytes.
fn frames<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for item in items {
        let item = item.as_ref();
        bytes.extend((item.len() as u64).to_le_bytes());
        bytes.extend(item);
    }
    bytes
}
