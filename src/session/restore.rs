//! What an earlier success left comes back instead of an execution (spec section 4.5).
//!
//! Nothing here can make a task wrongly fresh: what comes back is recorded only once all contents were seen in their places,
//! and whatever else happens, the outputs are looked at again with the next verdict. So, unlike an execution, it need
//! not be announced in the store: a kill half-way leaves outputs that are nobody's result.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    execute::{Execution, Failure, Halt, Left},
    judge,
    keeper::Leaving,
    memory::Explanation,
    ownership,
    results::HandedOn,
    shared::Shared,
    telling::told_of,
    watching::Looked,
};
use crate::{
    cache::{self, CacheError},
    event::Finished,
    fingerprint::{FileRow, Manifest},
    model::{Digest, FileKind, KeptFile, KeptKind, TaskId},
    pattern::PatternKind,
    scan::relative_name,
    store::{Batch, Kept, KeptLog, RecordState, Success, Table, TaskRecord, now_ms},
};

/// An earlier success with the key of now.
#[derive(Clone, Debug)]
pub(crate) struct Restorable {
    pub(crate) kept: Arc<Kept>,
    /// What the key is made of.
    pub(crate) manifest: Manifest,
    /// What its sets held.
    pub(crate) looked: Looked,
}

/// A success that came back.
#[derive(Debug)]
pub(super) struct CameBack {
    success: Success,
    manifest: Manifest,
    /// What is at the declared outputs now.
    rows: Vec<FileRow>,
    /// The paths among these that the task has not made.
    foreign: BTreeSet<Vec<u8>>,
    /// Its log, and how many lines it has.
    log: Option<(PathBuf, u64)>,
}

/// What is to be put back, and where.
struct Order {
    id: TaskId,
    kept: Arc<Kept>,
    log: PathBuf,
}

impl Execution {
    /// Puts back what an earlier success left, if there is one. None: it has to be executed.
    pub(super) async fn restore(&mut self) -> Result<Option<Left>, Failure> {
        let Some(Restorable { kept, manifest, looked }) = self.start.restorable.take() else {
            return Ok(None);
        };
        if let Some(watching) = self.run.shared.watching.get() {
            watching.begin(self.id, &looked);
        }
        let order = Order { id: self.id, kept: Arc::clone(&kept), log: self.run.log_file(self.id, "log") };
        let halted = Arc::new(AtomicBool::new(false));
        let (shared, stop) = (Arc::clone(&self.run.shared), Arc::clone(&halted));
        let work = move || put_back(&shared, &order, &|| !stop.load(Ordering::Relaxed));
        let mut orders = self.orders.clone();
        let mut working = tokio::task::spawn_blocking(work);
        let is_to_halt = async move { orders.wait_for(|orders| orders.halt != Halt::No).await.is_ok() };
        let done = tokio::select! {
            done = &mut working => done,
            // Nobody else may touch the task before it has stopped.
            _ = is_to_halt => {
                halted.store(true, Ordering::Relaxed);
                working.await
            }
        };
        match done {
            Ok(Ok(PutBack { rows, content, log })) => {
                let mut success = kept.success.clone();
                success.outputs = content;
                let handed = HandedOn::from_record(&success);
                let looked = Looked { outputs: content, ..looked };
                let log = log.zip(kept.log.as_ref().map(|log| log.lines));
                let own = kept.files.iter().map(|file| &*file.path);
                let own: BTreeSet<&[u8]> = own.chain(kept.linked.iter().map(|row| &*row.path)).collect();
                let is_foreign = |row: &&FileRow| !own.contains(&*row.path);
                let foreign = rows.iter().filter(is_foreign).map(|row| row.path.clone()).collect();
                let came_back = Some(Box::new(CameBack { success, manifest, rows, foreign, log }));
                Ok(Some(Left { handed, was_done: true, looked: Some(looked), came_back, ..Left::default() }))
            }
            Ok(Err(CacheError::Stopped)) => Err(Failure::cancelled()),
            Ok(Err(error)) => {
                self.cannot_come_back(&kept, &error.to_string());
                self.check_orders().map(|()| None)
            }
            Err(error) => {
                self.cannot_come_back(&kept, &error.to_string());
                Ok(None)
            }
        }
    }

    fn cannot_come_back(&self, kept: &Kept, why: &str) {
        let run = &kept.success.run;
        self.run.warn(self.id, &format!("what run {run} left cannot come back, so it executes: {why}"));
    }

    /// The record of a success that came back, and what explains it.
    pub(super) fn record_of(&self, came_back: &CameBack) -> (TaskRecord, Option<Explanation>) {
        let earlier = self.start.record.as_ref();
        let record = TaskRecord {
            state: RecordState::Fresh,
            typical_ms: earlier.and_then(|r| r.typical_ms).or(Some(came_back.success.duration_ms)),
            streak: earlier.and_then(|r| r.streak),
            success: Some(came_back.success.clone()),
            run: self.run.id.clone(),
            at_ms: now_ms(),
        };
        let (manifest, outputs) = (came_back.manifest.clone(), came_back.rows.clone());
        let foreign = came_back.foreign.clone();
        (record, Some(Explanation { manifest, outputs, foreign }))
    }

    /// Has kept what a success left, if it may come back.
    pub(super) fn keep(
        &self,
        record: &TaskRecord,
        explanation: Option<&Explanation>,
        left_alone: &BTreeSet<Vec<u8>>,
        log: Option<(PathBuf, u64)>,
    ) {
        let (RecordState::Fresh, Some(success), Some(streak)) =
            (&record.state, &record.success, record.streak)
        else {
            return;
        };
        if self.task().is_kept() && self.executed {
            let all = explanation.map(|explanation| explanation.outputs.clone()).unwrap_or_default();
            // What it made when it had this key before, it makes of it.
            let find = || self.run.shared.keeper.find(&self.task().name, success.key);
            let before = if left_alone.is_empty() { None } else { find() };
            let before = before.filter(|kept| kept.streak == streak);
            let made: Vec<FileRow> = before.iter().flat_map(|kept| &kept.files).map(row_of_kept).collect();
            let is_own = |row: &FileRow| !left_alone.contains(&row.path) || made.contains(row);
            let (rows, others): (Vec<FileRow>, Vec<FileRow>) = all.into_iter().partition(is_own);
            self.run.shared.keeper.keep(Leaving {
                task: self.task().name.clone(),
                id: self.id,
                run: Arc::downgrade(&self.run),
                streak,
                success: success.clone(),
                rows,
                others,
                log,
            });
        }
    }

    /// Notes in a batch that what was kept has been of use.
    pub(super) fn note_use(&self, record: &TaskRecord, batch: &mut Batch) {
        if let Some(success) = &record.success {
            // One that cannot be noted only goes sooner.
            let _ = batch.put(Table::Uses, &Kept::key(&self.task().name, success.key), &now_ms());
        }
    }
}

impl CameBack {
    /// What is told of it.
    pub(super) fn tell(&self, shared: &Shared, finished: &mut Finished) {
        finished.restored = Some(told_of(&self.success));
        if let Some((log, lines)) = &self.log {
            (finished.log, finished.lines) = (Some(shared.display(log)), *lines);
        }
    }
}

/// What was put back.
struct PutBack {
    rows: Vec<FileRow>,
    /// Digest of the declared outputs, if there are any.
    content: Option<Digest>,
    log: Option<PathBuf>,
}

fn put_back(
    shared: &Shared,
    order: &Order,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<PutBack, CacheError> {
    let Order { id, kept, log } = order;
    let lost = |how| CacheError::Lost { path: shared.keeper.dir(), how };
    let cache = shared.keeper.cache().ok_or_else(|| lost("missing"))?;
    let (rows, content) = match shared.graph.task(*id).outputs.is_empty() {
        true => (Vec::new(), None),
        false => {
            let rows = put_files_back(shared, cache, *id, kept, go_on)?;
            let content = judge::digest_of_rows(&rows);
            (rows, Some(content))
        }
    };
    let log = kept.log.as_ref().filter(|kept| put_log_back(cache, kept, log)).map(|_| log.clone());
    Ok(PutBack { rows, content, log })
}

fn put_files_back(
    shared: &Shared,
    cache: &cache::Cache,
    id: TaskId,
    kept: &Kept,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<FileRow>, CacheError> {
    check(shared, id, &kept.files)?;
    let present = look(shared, id)?;
    if let Some(other) = kept.others.iter().find(|other| row_of(&other.path, &present) != Some(other)) {
        let why = "is not as it was then, and the task has not made it";
        return Err(CacheError::Refused { path: path_of(&other.path), why });
    }
    let difference = difference(shared, id, kept, &present);
    let base = relative_name(&shared.root, &shared.graph.task(id).cwd);
    let done = cache.restore(&kept.files, &difference, &base, go_on)?;
    let rows = if done.written + done.removed == 0 { present } else { look(shared, id)? };
    if let Some(file) = kept.files.iter().find(|file| !is_there(file, &rows)) {
        return Err(CacheError::Changed { path: path_of(&file.path) });
    }
    if let Some(other) = kept.linked.iter().find(|other| row_of(&other.path, &rows) != Some(other)) {
        let why = "is a link, or beyond one, that does not lead to what it led to then";
        return Err(CacheError::Refused { path: path_of(&other.path), why });
    }
    Ok(rows)
}

/// What has to be done. Where there is nothing that the wanted result does not have, nobody need know what earlier ones
/// left.
pub(super) fn difference(shared: &Shared, id: TaskId, kept: &Kept, present: &[FileRow]) -> cache::Difference {
    let wanted: BTreeSet<&[u8]> = kept.files.iter().map(|file| &*file.path).collect();
    let has_other = present.iter().any(|row| !wanted.contains(&*row.path));
    let changes_kind = |file: &KeptFile| {
        let is_directory = matches!(file.what, KeptKind::Directory { .. });
        row_of(&file.path, present).is_some_and(|row| (row.kind == FileKind::Directory) != is_directory)
    };
    if !has_other && !kept.files.iter().any(changes_kind) {
        return cache::difference(&kept.files, present, &[]);
    }
    let mut before: Vec<FileRow> = ownership::own(&shared.explanation(id)).cloned().collect();
    let others = shared.keeper.all_of(shared.graph.name(id));
    let all = || others.iter().flat_map(|kept| &kept.files);
    before.extend(all().map(row_of_kept));
    before.extend(others.iter().flat_map(|kept| &kept.linked).cloned());
    cache::difference(&kept.files, present, &before).with_links(&kept.files, all())
}

/// A kept file as a look would have found it. What is kept as a link was found as what it led to, which nobody knows.
pub(super) fn row_of_kept(file: &KeptFile) -> FileRow {
    let (kind, digest) = match file.what {
        KeptKind::File { digest, mode, .. } => (FileKind::File { executable: mode & 0o100 != 0 }, digest),
        KeptKind::Directory { .. } => (FileKind::Directory, Digest::default()),
        KeptKind::Link(_) => (FileKind::Special, Digest::default()),
    };
    FileRow { path: file.path.clone(), kind, digest }
}

/// Whatever a list says, only declared outputs are written (hazard E6).
fn check(shared: &Shared, id: TaskId, files: &[KeptFile]) -> Result<(), CacheError> {
    let patterns = shared.patterns(id);
    let is_declared = |file: &KeptFile| {
        matches!(file.what, KeptKind::Directory { .. })
            || patterns.of(PatternKind::Outputs).matches(&shared.absolute(&file.path))
    };
    match files.iter().find(|file| !is_declared(file)) {
        Some(file) => {
            Err(CacheError::Refused { path: path_of(&file.path), why: "is not among the declared outputs" })
        }
        None => Ok(()),
    }
}

fn look(shared: &Shared, id: TaskId) -> Result<Vec<FileRow>, CacheError> {
    let found = judge::outputs(shared, id);
    if let Some(problem) = found.problems.first() {
        let source = std::io::Error::other(problem.error.clone());
        return Err(CacheError::Io { action: "read", path: problem.path.clone(), source });
    }
    Ok(judge::rows(shared, &found))
}

/// Whether a file is among what was found, with its content. What a link leads to is seen to by itself.
fn is_there(file: &KeptFile, rows: &[FileRow]) -> bool {
    let found = row_of(&file.path, rows);
    match &file.what {
        KeptKind::File { digest, .. } => found.is_some_and(|row| row.digest == *digest),
        KeptKind::Directory { .. } => found.is_some_and(|row| row.kind == FileKind::Directory),
        KeptKind::Link(_) => true,
    }
}

/// Without its log a result is as good.
fn put_log_back(cache: &cache::Cache, kept: &KeptLog, to: &Path) -> bool {
    cache.restore_other(kept.digest, kept.size, to).is_ok()
}

/// The row of a path, among rows sorted by path.
pub(super) fn row_of<'a>(path: &[u8], rows: &'a [FileRow]) -> Option<&'a FileRow> {
    rows.binary_search_by(|row| (*row.path).cmp(path)).ok().map(|at| &rows[at])
}

pub(super) fn path_of(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(name))
}
