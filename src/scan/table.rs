//! Digests of files, read only when the stat cache cannot vouch for them (spec section 4.2).

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    fmt,
    io::ErrorKind,
    num::NonZero,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    hash::{self, Job, Reading},
    name::directory_key,
    quick::Quick,
    route::Contents,
    system,
    trail::Trail,
    walk::{Entry, Matched, Problem},
};
use crate::model::{Digest, DirRecord, FileKind, Files, Learnt, StatIdentity};

/// Where the stat cache of earlier runs is kept.
pub trait Memory: Send + Sync {
    /// What is remembered of the directory with this key: its path's bytes relative to the root if it lies
    /// beneath it, else absolute. Asked once a directory for as long as a table is not told to forget.
    fn recall(&self, directory: &[u8]) -> Option<DirRecord>;

    /// The trail of the set with this key, if one is remembered.
    fn trail(&self, _set: Digest) -> Option<Trail> {
        None
    }

    /// All trails, where somebody who looks for so many is better served with that.
    fn trails(&self, _wanted: usize) -> Option<Vec<(Digest, Trail)>> {
        None
    }

    /// The same memory as it is at one moment, where many questions to that cost less.
    fn moment(&self) -> Option<Box<dyn Memory + '_>> {
        None
    }
}

/// Remembers nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMemory;

impl Memory for NoMemory {
    fn recall(&self, _directory: &[u8]) -> Option<DirRecord> {
        None
    }
}

/// The clock: nanoseconds since the epoch.
pub type Clock = Box<dyn Fn() -> i128 + Send + Sync>;

/// How coarse stamps are at worst: those of FAT (hazard A1).
pub const GRANULARITY: Duration = Duration::from_secs(2);

/// How a [`FileTable`] works.
pub struct TableOptions {
    /// A file whose stamps are not at least this much older than the moment it was read is racy: it is
    /// read again at the next look (hazard A1).
    pub granularity: Duration,
    /// The clock stamps are compared with.
    pub now_ns: Clock,
}

impl Default for TableOptions {
    /// 2 s, the coarsest stamps in use, and the system's clock.
    fn default() -> Self {
        Self { granularity: GRANULARITY, now_ns: Box::new(system_now_ns) }
    }
}

/// One file, with the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its absolute path.
    pub path: Arc<Path>,
    /// What it is.
    pub kind: FileKind,
    /// The stat identity that goes with the digest.
    pub identity: StatIdentity,
    /// The digest of its content: of a broken link its text, of directories and special files a constant.
    pub digest: Digest,
}

/// What one pattern set matches, with digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSet {
    /// The files, in the order of their paths' bytes. One that vanished or cannot be read is not here.
    pub entries: Vec<FileEntry>,
    /// What could not be looked at or read: with any of these the set is never known to be unchanged.
    pub problems: Vec<Problem>,
    /// Positive patterns, by their position in the list, that matched nothing.
    pub unmatched: Vec<usize>,
}

/// Digests of files, remembered with the stat identities they belong to.
pub struct FileTable {
    pub(super) root: PathBuf,
    pub(super) memory: Box<dyn Memory>,
    pub(super) options: TableOptions,
    directories: Mutex<HashMap<Vec<u8>, Shared, Quick>>,
    /// Trails that were made or used, by the keys of their sets, and whether they are remembered yet.
    pub(super) trails: Mutex<HashMap<Digest, (Arc<Trail>, bool)>>,
    /// Every set that was looked at, and what it held; none if its trail did not lead there, or it did not hold the
    /// same twice.
    pub(super) looked: Mutex<BTreeMap<Digest, Option<Looked>>>,
    /// Whether a file was read since: what is known of it may be newer than what sets that have it held.
    pub(super) has_read: AtomicBool,
    /// What somebody saw just now who followed a route.
    pub(super) seen: Mutex<Contents>,
}

/// What a set held when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) content: Digest,
    /// Whether that was seen on a route: its trail may be a newer one than went into that.
    pub(super) on_route: bool,
}

/// One directory, for one thread at a time.
pub(super) type Shared = Arc<Mutex<Directory>>;

/// What is known of one directory.
#[derive(Default)]
pub(super) struct Directory {
    remembered: DirRecord,
    /// The same taken apart, and what was learnt since, once somebody had to.
    open: Option<Open>,
    /// Whether it differs from what is remembered.
    changed: bool,
}

/// What was learnt of files, by their names.
pub(super) enum Rows<'a> {
    Remembered(Files<'a>),
    Open(std::slice::Iter<'a, Known>),
}

impl<'a> Iterator for Rows<'a> {
    type Item = (&'a [u8], Learnt);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Remembered(files) => files.next(),
            Self::Open(files) => files.next().map(|file| (file.name.as_slice(), file.learnt)),
        }
    }
}

#[derive(Default)]
struct Open {
    /// Sorted by name.
    files: Vec<Known>,
    /// Where the last search ended: files are mostly asked for in order.
    last: usize,
}

pub(super) struct Known {
    name: Vec<u8>,
    learnt: Learnt,
    /// Whether it was there at some look of this table.
    seen: bool,
}

impl FileTable {
    /// A table for the tree at `root` (absolute) that asks `memory` for what earlier runs learnt.
    #[must_use]
    pub fn new(root: &Path, memory: Box<dyn Memory>, options: TableOptions) -> Self {
        Self {
            root: root.to_owned(),
            memory,
            options,
            directories: Mutex::default(),
            trails: Mutex::default(),
            looked: Mutex::default(),
            has_read: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }

    /// The digests of one set, on this thread.
    #[must_use]
    pub fn digest(&self, matched: &Matched) -> FileSet {
        self.digest_all(std::slice::from_ref(matched), NonZero::<usize>::MIN).pop().unwrap_or_default()
    }

    /// The digests of several sets; a file in more than one is read once. Up to `threads` threads read.
    #[must_use]
    pub fn digest_all(&self, matched: &[Matched], threads: NonZero<usize>) -> Vec<FileSet> {
        let mut readings = Readings::default();
        let drafts: Vec<Vec<Draft<'_>>> = {
            let moment = self.memory.moment();
            let memory = moment.as_deref().unwrap_or(&*self.memory);
            matched.iter().map(|m| self.draft(m, memory, &mut readings)).collect()
        };
        let results = self.read(&readings.jobs, threads);
        matched.iter().zip(drafts).map(|(m, drafts)| finish(m, drafts, &results)).collect()
    }

    /// What is known of each entry, and what has to be read.
    fn draft<'a>(
        &self,
        matched: &'a Matched,
        memory: &dyn Memory,
        readings: &mut Readings<'a>,
    ) -> Vec<Draft<'a>> {
        let mut drafts = Vec::with_capacity(matched.entries.len());
        // Neighbours mostly share a directory, which is then looked up once.
        for neighbours in matched.entries.chunk_by(|a, b| a.parent().as_os_str() == b.parent().as_os_str()) {
            let directory = self.directory(directory_key(&self.root, neighbours[0].parent()), memory);
            let mut directory = lock(&directory);
            drafts.extend(neighbours.iter().map(|entry| {
                let answer = match entry.kind {
                    FileKind::Directory | FileKind::Special => {
                        Answer::Known(hash::digest_of_kind(entry.kind))
                    }
                    FileKind::BrokenLink => Answer::Link,
                    FileKind::File { .. } => directory
                        .trusted(entry.name(), &entry.identity)
                        .map_or_else(|| Answer::Reading(readings.add(entry)), Answer::Known),
                };
                Draft { entry, answer }
            }));
        }
        drafts
    }

    /// What is known of a directory; remembered by `memory`, if nobody asked before.
    pub(super) fn directory(&self, key: &[u8], memory: &dyn Memory) -> Shared {
        if let Some(known) = lock(&self.directories).get(key) {
            return Arc::clone(known);
        }
        let directory = Arc::new(Mutex::new(Directory::recalled(key, memory)));
        Arc::clone(lock(&self.directories).entry(key.to_owned()).or_insert(directory))
    }

    /// Shows what is known of a directory, without keeping it: most are looked at once.
    pub(super) fn show<R>(&self, key: &[u8], memory: &dyn Memory, to: impl FnOnce(&Directory) -> R) -> R {
        let known = lock(&self.directories).get(key).map(Arc::clone);
        match known {
            Some(known) => to(&lock(&known)),
            None => to(&Directory::recalled(key, memory)),
        }
    }

    /// Reads files, and keeps what was read.
    pub(super) fn read(&self, jobs: &[Job<'_>], threads: NonZero<usize>) -> Vec<Reading> {
        let results = hash::read_all(jobs, threads.get(), &*self.options.now_ns);
        self.learn(jobs, &results);
        results
    }

    /// Keeps what was read.
    fn learn(&self, jobs: &[Job<'_>], readings: &[Reading]) {
        self.has_read.fetch_or(!jobs.is_empty(), Ordering::Relaxed);
        for (job, reading) in jobs.iter().zip(readings) {
            let (parent, name) = split(job.path);
            let directory = self.directory(directory_key(&self.root, parent), &*self.memory);
            let mut directory = lock(&directory);
            match reading {
                Reading::Hashed { digest, status, before_ns } => {
                    let identity = status.identity;
                    let racy = is_racy(&identity, *before_ns, self.options.granularity);
                    directory.insert(name, Learnt { identity, digest: *digest, racy });
                }
                Reading::Gone | Reading::Failed(_) => directory.remove(name),
            }
        }
    }

    /// Takes the records that differ from what is remembered, to be saved by the caller.
    ///
    /// Files that were not met by this table are looked for once more, so that records do not grow for
    /// ever: one that is gone is dropped. A directory without files has an empty record.
    #[must_use]
    pub fn take_changes(&self) -> Vec<(Vec<u8>, DirRecord)> {
        let mut changes = Vec::new();
        for (key, directory) in lock(&self.directories).iter() {
            let mut directory = lock(directory);
            if std::mem::take(&mut directory.changed) {
                let path = self.root.join(OsStr::from_bytes(key));
                let exists = |name: &[u8]| system::exists(&path.join(OsStr::from_bytes(name)));
                let files = &mut directory.open().files;
                files.retain(|f| f.seen || exists(&f.name));
                let rows = files.iter().map(|known| (known.name.as_slice(), &known.learnt));
                changes.push((key.clone(), DirRecord::new(rows)));
            }
        }
        changes.sort_by(|a, b| a.0.cmp(&b.0));
        changes
    }

    /// Makes the next look read this file again, or every known file beneath this directory, whatever
    /// its stat says: some writes leave no trace in it (hazard A5). For callers that watch the tree; a run
    /// of this version looks once and needs none of it.
    pub fn forget(&self, path: &Path) {
        let (parent, name) = split(path);
        let directory = self.directory(directory_key(&self.root, parent), &*self.memory);
        lock(&directory).distrust(|file| file == name);
        let key = directory_key(&self.root, path);
        for (_, directory) in lock(&self.directories).iter().filter(|(at, _)| lies_in(at, key)) {
            lock(directory).distrust(|_| true);
        }
    }

    /// Drops everything that is saved, so that the next look recalls it anew and asks the system, as the
    /// first one of a process does. What is not saved yet stays. For callers that keep a table for long, as
    /// no run of this version does.
    pub fn forget_everything(&self) {
        lock(&self.directories).retain(|_, directory| lock(directory).changed);
        lock(&self.trails).retain(|_, (_, remembered)| !*remembered);
    }
}

/// What a panic of another thread left is as good as before: every change is made at once.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for FileTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileTable").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Directory {
    fn recalled(key: &[u8], memory: &dyn Memory) -> Self {
        Self { remembered: memory.recall(key).unwrap_or_default(), ..Self::default() }
    }

    fn open(&mut self) -> &mut Open {
        let known = |(name, learnt): (&[u8], Learnt)| Known { name: name.to_owned(), learnt, seen: false };
        let open = || Open { files: self.remembered.files().map(known).collect(), last: 0 };
        self.open.get_or_insert_with(open)
    }

    /// What was learnt of the files, in the order of their names.
    pub(super) fn learnt(&self) -> Rows<'_> {
        match &self.open {
            None => Rows::Remembered(self.remembered.files()),
            Some(open) => Rows::Open(open.files.iter()),
        }
    }

    /// What was learnt of a file.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Learnt> {
        let open = self.open();
        open.find(name).ok().map(|at| open.files[at].learnt)
    }

    /// The digest of a file, if its record vouches for it.
    fn trusted(&mut self, name: &[u8], identity: &StatIdentity) -> Option<Digest> {
        let open = self.open();
        let known = open.find(name).ok().map(|at| &mut open.files[at])?;
        known.seen = true;
        known.learnt.vouches_for(identity).then_some(known.learnt.digest)
    }

    fn insert(&mut self, name: &[u8], learnt: Learnt) {
        let open = self.open();
        let known = Known { name: name.to_owned(), learnt, seen: true };
        let changed = match open.find(name) {
            Ok(at) => std::mem::replace(&mut open.files[at], known).learnt != learnt,
            Err(at) => {
                open.files.insert(at, known);
                true
            }
        };
        self.changed |= changed;
    }

    fn remove(&mut self, name: &[u8]) {
        let open = self.open();
        if let Ok(at) = open.find(name) {
            open.files.remove(at);
            self.changed = true;
        }
    }

    fn distrust(&mut self, which: impl Fn(&[u8]) -> bool) {
        let mut changed = false;
        for known in self.open().files.iter_mut().filter(|k| !k.learnt.racy && which(&k.name)) {
            known.learnt.racy = true;
            changed = true;
        }
        self.changed |= changed;
    }
}

impl Open {
    fn find(&mut self, name: &[u8]) -> Result<usize, usize> {
        if self.files.get(self.last).is_some_and(|known| known.name == name) {
            self.last += 1;
            return Ok(self.last - 1);
        }
        let found = self.files.binary_search_by(|known| known.name.as_slice().cmp(name));
        self.last = found.map_or_else(|at| at, |at| at + 1);
        found
    }
}

/// What has to be read, each file once.
#[derive(Default)]
struct Readings<'a> {
    jobs: Vec<Job<'a>>,
    places: HashMap<&'a OsStr, usize>,
}

impl<'a> Readings<'a> {
    fn add(&mut self, entry: &'a Entry) -> usize {
        *self.places.entry(entry.path.as_os_str()).or_insert_with(|| {
            self.jobs.push(Job { path: &entry.path, size: entry.identity.size });
            self.jobs.len() - 1
        })
    }
}

/// An entry whose digest is known or on its way.
struct Draft<'a> {
    entry: &'a Entry,
    answer: Answer,
}

enum Answer {
    Known(Digest),
    Link,
    /// The number of the reading.
    Reading(usize),
}

fn finish(matched: &Matched, drafts: Vec<Draft<'_>>, readings: &[Reading]) -> FileSet {
    let mut set = FileSet {
        entries: Vec::with_capacity(drafts.len()),
        problems: matched.problems.clone(),
        unmatched: matched.unmatched.clone(),
    };
    for draft in drafts {
        match draft.resolve(readings) {
            Ok(Some(entry)) => set.entries.push(entry),
            // As if the walk had come a moment later.
            Ok(None) => {}
            Err(error) => set.problems.push(Problem { path: draft.entry.path.to_path_buf(), error }),
        }
    }
    set
}

impl Entry {
    pub(super) fn parent(&self) -> &Path {
        split(&self.path).0
    }

    pub(super) fn name(&self) -> &[u8] {
        split(&self.path).1
    }
}

impl FileEntry {
    pub(super) fn parent(&self) -> &Path {
        split(&self.path).0
    }

    pub(super) fn name(&self) -> &[u8] {
        split(&self.path).1
    }
}

impl Draft<'_> {
    /// The entry with its digest; `None` if the file is gone.
    fn resolve(&self, readings: &[Reading]) -> Result<Option<FileEntry>, String> {
        let Entry { path, kind, identity } = self.entry;
        let (kind, identity, digest) = match self.answer {
            Answer::Known(digest) => (*kind, *identity, digest),
            Answer::Link => match hash::digest_of_link(path) {
                Ok(digest) => (*kind, *identity, digest),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.to_string()),
            },
            Answer::Reading(number) => match &readings[number] {
                Reading::Hashed { digest, status, .. } => (status.kind, status.identity, *digest),
                Reading::Gone => return Ok(None),
                Reading::Failed(error) => return Err(error.clone()),
            },
        };
        Ok(Some(FileEntry { path: path.clone(), kind, identity, digest }))
    }
}

/// Whether stamps are too near to the moment of reading for an equal stat to prove anything later; stamps
/// from the future are racy for ever (hazards A1 and A3).
pub(super) fn is_racy(identity: &StatIdentity, read_ns: i128, granularity: Duration) -> bool {
    let granularity_ns = i128::try_from(granularity.as_nanos()).unwrap_or(i128::MAX);
    identity.mtime.max(identity.ctime).ns() >= read_ns.saturating_sub(granularity_ns)
}

/// Whether a file read at that moment is the same while it has this identity, on any file system.
#[must_use]
pub fn is_settled(identity: &StatIdentity, read_ns: i128) -> bool {
    !is_racy(identity, read_ns, GRANULARITY)
}

/// The system's clock, nanoseconds since the epoch.
#[must_use]
pub fn system_now_ns() -> i128 {
    let since = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX);
    SystemTime::now().duration_since(UNIX_EPOCH).map_or_else(|e| -since(e.duration()), since)
}

/// The directory and the name of a file: absolute paths of walks have no `.` and no double slashes, so this
/// need not take them apart as the library does, which is slower than everything else a known file costs.
pub(super) fn split(path: &Path) -> (&Path, &[u8]) {
    let bytes = path.as_os_str().as_bytes();
    let slash = bytes.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
    let parent = &bytes[..slash.max(1).min(bytes.len())];
    (Path::new(OsStr::from_bytes(parent)), bytes.get(slash + 1..).unwrap_or_default())
}

/// Whether the directory with key `at` is the one with key `key` or lies beneath it.
fn lies_in(at: &[u8], key: &[u8]) -> bool {
    let beneath = |rest: &[u8]| rest.is_empty() || key.is_empty() || key == b"/" || rest.starts_with(b"/");
    if key.is_empty() { !at.starts_with(b"/") } else { at.strip_prefix(key).is_some_and(beneath) }
}
