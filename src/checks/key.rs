//! What a check is, with everything it rests on but the file it looks at.

use std::{
    ffi::OsString,
    num::NonZero,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

use crate::{
    graph::TaskGraph,
    model::{Action, Digest, Task, TaskId},
    pattern::{PatternKind, PatternSet},
    plan::{Mode, Plan},
    scan::{FileTable, NoMemory, ScanOptions, Scanner, TableOptions, relative_name},
    session::tracked,
};

/// Where checks are looked at.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The root of the tree.
    pub root: PathBuf,
    /// devtask's own directory there.
    pub state_dir: PathBuf,
    /// The user's global ignore file, if there is one.
    pub global_ignore: Option<PathBuf>,
    /// The surrounding environment, for `trackEnv`.
    pub environment: Vec<(OsString, OsString)>,
    /// How many threads may read.
    pub threads: NonZero<usize>,
}

impl Ground {
    /// What walks there.
    #[must_use]
    pub fn scanner(&self) -> Scanner {
        Scanner::new(ScanOptions {
            root: self.root.clone(),
            state_dir: self.state_dir.clone(),
            global_ignore: self.global_ignore.clone(),
            threads: self.threads,
        })
    }

    pub(super) fn table(&self) -> FileTable {
        FileTable::new(&self.root, Box::new(NoMemory), TableOptions::default())
    }
}

/// What a check is, and how what it rests on was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    digest: Digest,
    /// Of the stat identities of all files it rests on: what was there and came back was touched.
    identities: Digest,
}

impl Key {
    /// Stands for the check and all it rests on: the same contents have the same.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// The key of a check: a file that passed it passes it as long as neither changes. None where that cannot be known: what
/// it needs runs always, asks a `status` or a server, or stays up; or something could not be read.
///
/// What comes from upstream is taken to follow from what it is made of: the declarations and the contents of the files
/// they name, up to the last task.
#[must_use]
pub fn key(graph: &TaskGraph, check: TaskId, ground: &Ground) -> Option<Key> {
    let plan = Plan::new(graph, [check], Mode::Before);
    let (mut bytes, mut identities) = (Vec::new(), Vec::new());
    let mut sets = Vec::new();
    for &id in plan.order() {
        let task = graph.task(id);
        let inputs = match (&task.check, &task.action) {
            (Some(known), _) => &known.inputs,
            (None, Action::None) => continue,
            (None, _) if task.is_keyed() && !task.exec_if_modified.is_empty() => &task.exec_if_modified,
            (None, _) => return None,
        };
        let patterns: Vec<String> = inputs.iter().map(|pattern| pattern.value.clone()).collect();
        sets.push(PatternSet::new(&task.pattern_bases, &patterns, PatternKind::Inputs).ok()?);
        bytes.extend(declared(task, ground)?);
    }
    if sets.iter().any(|set| !set.globs().is_empty()) {
        let scanner = ground.scanner();
        let matched = scanner.walk(&sets.iter().collect::<Vec<_>>());
        for set in ground.table().digest_all(&matched, ground.threads) {
            if !set.problems.is_empty() {
                return None;
            }
            let rows = set
                .entries
                .iter()
                .map(|entry| (relative_name(&ground.root, &entry.path), entry.kind, entry.digest));
            bytes.extend(postcard::to_stdvec(&rows.collect::<Vec<_>>()).ok()?);
            let stats = set.entries.iter().map(|entry| entry.identity);
            identities.extend(postcard::to_stdvec(&stats.collect::<Vec<_>>()).ok()?);
        }
    }
    Some(Key { digest: Digest(xxh3_128(&bytes)), identities: Digest(xxh3_128(&identities)) })
}

/// What a task is, as it is written; none: that is known elsewhere only.
fn declared(task: &Task, ground: &Ground) -> Option<Vec<u8>> {
    let Action::Script(exec) = &task.action else { return None };
    let cwd = task.cwd.strip_prefix(&ground.root).unwrap_or(&task.cwd);
    let input = task.input.as_ref().map(|input| serde_json::to_string(&input.written)).transpose().ok()?;
    let written = |variables: &std::collections::BTreeMap<String, crate::model::Written<String>>| {
        variables.iter().map(|(name, value)| (name.clone(), value.written.clone())).collect::<Vec<_>>()
    };
    let parts = (
        (task.name.as_str(), &exec.written, &task.interpreter.package.written, &task.interpreter.binary),
        (path_bytes(cwd), input, &task.exports),
        (written(&task.env), written(&task.file_env)),
        tracked(&ground.environment, &task.track_env),
    );
    postcard::to_stdvec(&parts).ok()
}

fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
