//! Everything the loader asks of the world goes through here and is noted, so that a later invocation can ask
//! the same again: while every answer is the same, so is what was loaded (see [`kept`](super::kept)).

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    ffi::OsString,
    fs, io,
    num::NonZero,
    path::{Path, PathBuf},
    rc::Rc,
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::{Observed, include};
use crate::{
    model::{Digest, StatIdentity},
    pattern::{PatternKind, PatternSet},
    scan::{
        FileSet, FileTable, NoMemory, ScanOptions, Scanner, TableOptions, identity_of_target, is_settled,
        read_regular_identified, system_now_ns,
    },
};

/// More bytes than this are no task file, whatever they are.
pub(super) const LIMIT: u64 = 64 << 20;

/// One question to the world, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Observation {
    /// Whether there is anything by this name, a link that leads nowhere included.
    Present(PathBuf, bool),
    /// Whether following this path leads to nothing.
    Missing(PathBuf, bool),
    /// The file system a directory lies on.
    Device(PathBuf, Option<u64>),
    /// The path without links, if it leads anywhere.
    Canonical(PathBuf, Option<PathBuf>),
    /// What a file holds. Its identity is part of the answer because nobody who packs a tree can know it: what
    /// was kept cannot be brought along by an archive and taken for our own.
    Text(PathBuf, Digest, StatIdentity),
    /// The directories beneath one that a glob of `include` means.
    Directories(PathBuf, String, Vec<PathBuf>),
    /// What a server is made of, by its patterns.
    Made(Of, Digest),
}

/// Asks, and notes questions and answers. Clones share their notes: also what led nowhere was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct World(Rc<RefCell<Notes>>);

#[derive(Debug)]
struct Notes {
    since_ns: i128,
    list: Vec<Observation>,
    known: HashSet<Observation>,
    canonical: HashMap<PathBuf, PathBuf>,
    devices: HashMap<PathBuf, Option<u64>>,
    /// Whether something was asked that is not to be kept.
    is_secret: bool,
}

impl Default for Notes {
    fn default() -> Self {
        Self {
            since_ns: system_now_ns(),
            list: Vec::new(),
            known: HashSet::new(),
            canonical: HashMap::new(),
            devices: HashMap::new(),
            is_secret: false,
        }
    }
}

impl World {
    fn note(&self, observation: Observation) {
        let mut notes = self.0.borrow_mut();
        if notes.known.insert(observation.clone()) {
            notes.list.push(observation);
        }
    }

    /// Goes on where another left off.
    pub(super) fn over(observed: &Observed) -> Self {
        let Observed { list, since_ns, may_be_kept } = observed.clone();
        let known = list.iter().cloned().collect();
        let notes = Notes { since_ns, list, known, is_secret: !may_be_kept, ..Notes::default() };
        Self(Rc::new(RefCell::new(notes)))
    }

    /// What is loaded must not rest on disk.
    pub(super) fn is_not_to_be_kept(&self) {
        self.0.borrow_mut().is_secret = true;
    }

    /// Everything that was asked.
    pub(super) fn observed(&self) -> Observed {
        let notes = self.0.borrow();
        Observed { list: notes.list.clone(), since_ns: notes.since_ns, may_be_kept: !notes.is_secret }
    }

    /// Whether there is anything by this name, a link that leads nowhere included.
    pub(super) fn is_present(&self, path: &Path) -> bool {
        let is_present = fs::symlink_metadata(path).is_ok();
        self.note(Observation::Present(path.to_owned(), is_present));
        is_present
    }

    /// Whether following this path leads to nothing.
    pub(super) fn is_missing(&self, path: &Path) -> bool {
        let is_missing = is_missing(path);
        self.note(Observation::Missing(path.to_owned(), is_missing));
        is_missing
    }

    /// The path without links, or as it is where the system cannot tell.
    pub(super) fn canonical(&self, path: &Path) -> PathBuf {
        if let Some(known) = self.0.borrow().canonical.get(path) {
            return known.clone();
        }
        let found = fs::canonicalize(path).ok();
        self.note(Observation::Canonical(path.to_owned(), found.clone()));
        let canonical = found.unwrap_or_else(|| path.to_owned());
        self.0.borrow_mut().canonical.insert(path.to_owned(), canonical.clone());
        canonical
    }

    /// The file system a directory lies on, if there is such a directory.
    pub(super) fn device(&self, dir: &Path) -> Option<u64> {
        if let Some(known) = self.0.borrow().devices.get(dir) {
            return *known;
        }
        let device = device(dir);
        self.note(Observation::Device(dir.to_owned(), device));
        self.0.borrow_mut().devices.insert(dir.to_owned(), device);
        device
    }

    /// What a regular file holds.
    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (bytes, identity) = read_regular_identified(path, LIMIT)?;
        self.note(Observation::Text(path.to_owned(), Digest(xxh3_128(&bytes)), identity));
        Ok(bytes)
    }

    /// What a file holds that may be secret: what is being loaded must not rest on disk.
    pub(super) fn read_secret(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.borrow_mut().is_secret = true;
        self.read(path)
    }

    /// What a server is made of.
    pub(super) fn files_of(&self, of: Of) -> FileSet {
        let files = of.files();
        self.note(Observation::Made(of, digest_of(&files)));
        files
    }

    /// The directories beneath `base` that a glob of `include` means, if `base` can be walked.
    pub(super) fn note_directories(&self, base: &Path, glob: &str, found: &[PathBuf]) {
        self.note(Observation::Directories(base.to_owned(), glob.to_owned(), found.to_owned()));
    }
}

/// What patterns match in a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Of {
    /// The root of the tree.
    pub(super) root: PathBuf,
    /// Where its state lives, which matches nothing.
    pub(super) state_dir: PathBuf,
    /// Sound patterns, absolute.
    pub(super) patterns: Vec<String>,
}

impl Of {
    /// The files, as they are now.
    pub(super) fn files(&self) -> FileSet {
        let Ok(set) = PatternSet::new(std::slice::from_ref(&self.root), &self.patterns, PatternKind::Inputs)
        else {
            return FileSet::default();
        };
        let scanner = Scanner::new(ScanOptions {
            root: self.root.clone(),
            state_dir: self.state_dir.clone(),
            threads: NonZero::<usize>::MIN,
            global_ignore: None,
        });
        let table = FileTable::new(&self.root, Box::new(NoMemory), TableOptions::default());
        table.digest_all(&scanner.walk(&[&set]), NonZero::<usize>::MIN).into_iter().next().unwrap_or_default()
    }

    fn digest(&self) -> Digest {
        digest_of(&self.files())
    }
}

/// One digest for files, names included. What cannot be read is like nothing else.
pub(super) fn digest_of(files: &FileSet) -> Digest {
    let mut text = Vec::new();
    for file in &files.entries {
        text.extend(file.path.as_os_str().as_encoded_bytes());
        text.extend(format!("\0{:?}\0", file.kind).into_bytes());
        text.extend(file.digest.0.to_le_bytes());
    }
    if !files.problems.is_empty() {
        text.extend(system_now_ns().to_le_bytes());
    }
    Digest(xxh3_128(&text))
}

fn is_missing(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
}

#[cfg(unix)]
fn device(dir: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(dir).ok().map(|m| m.dev())
}

#[cfg(not(unix))]
fn device(_: &Path) -> Option<u64> {
    None
}

/// Asks again.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// What stands at a path, links not followed: most questions are about the same few directories. By the text of
    /// the path, since to take it apart costs more than to ask.
    entries: HashMap<OsString, Option<Entry>>,
    /// The texts that were read on the way.
    pub(super) texts: HashMap<PathBuf, Vec<u8>>,
    /// Since when the answers are known, if a file whose stamps are older and have not moved need not be read.
    believes_stamps_since: Option<i128>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    is_link: bool,
    device: u64,
}

impl Replay {
    /// Does not read a file whose stamps are safely older than that and have not moved.
    pub(super) fn believing_stamps(since_ns: i128) -> Self {
        Self { believes_stamps_since: Some(since_ns), ..Self::default() }
    }

    /// Whether the world gives the same answer as then.
    pub(super) fn holds(&mut self, observation: &Observation) -> bool {
        match observation {
            Observation::Present(path, then) => self.entry(path).is_some() == *then,
            Observation::Missing(path, then) => is_missing(path) == *then,
            Observation::Device(dir, then) => self.device(dir) == *then,
            Observation::Canonical(path, then) => self.canonical(path, then.as_deref()),
            Observation::Text(path, digest, identity) => self.text(path, *digest, identity),
            Observation::Made(of, then) => of.digest() == *then,
            Observation::Directories(base, glob, then) => {
                include::directories_of(base, glob).is_some_and(|now| now == *then)
            }
        }
    }

    fn entry(&mut self, path: &Path) -> Option<Entry> {
        use std::os::unix::fs::MetadataExt;
        if let Some(known) = self.entries.get(path.as_os_str()) {
            return *known;
        }
        let found = fs::symlink_metadata(path).ok();
        let entry = found.map(|meta| Entry { is_link: meta.is_symlink(), device: meta.dev() });
        self.entries.insert(path.into(), entry);
        entry
    }

    fn device(&mut self, dir: &Path) -> Option<u64> {
        match self.entry(dir) {
            Some(entry) if !entry.is_link => Some(entry.device),
            _ => device(dir),
        }
    }

    /// A path is its own canonical form if none of the names in it is a link. Where a file system takes
    /// different spellings for one name that is not all there is to it.
    fn canonical(&mut self, path: &Path, then: Option<&Path>) -> bool {
        let is_own = then == Some(path) && cfg!(target_os = "linux");
        let is_real = |path: &Path| self.entry(path).is_some_and(|entry| !entry.is_link);
        (is_own && path.ancestors().all(is_real)) || fs::canonicalize(path).ok().as_deref() == then
    }

    fn text(&mut self, path: &Path, digest: Digest, identity: &StatIdentity) -> bool {
        if self.believes_stamps_since.is_some_and(|since_ns| is_settled(identity, since_ns)) {
            return identity_of_target(path).as_ref() == Some(identity);
        }
        let Ok((bytes, now)) = read_regular_identified(path, LIMIT) else { return false };
        let same = now == *identity && Digest(xxh3_128(&bytes)) == digest;
        self.texts.insert(path.to_owned(), bytes);
        same
    }
}
