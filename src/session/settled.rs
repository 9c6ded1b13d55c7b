//! What a run that found everything fresh leaves for the next one that is asked the same: the route it went, and
//! what it told. While the store is the one it read, and every place on the route is as it was, the answer is
//! the same, and nobody has to look up a record, a trail or what was learnt of a file (spec section 4.2).
//!
//! Nothing here decides freshness. It repeats what [`judge`](super::judge) decided, as long as all that was asked
//! for it would be answered in the same way: the tree and the request are part of the key, records lie in the
//! store, and everything else is a place on the route.

use std::{borrow::Cow, collections::BTreeMap, fs, os::unix::ffi::OsStrExt as _, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    context::RunContext, environment::tracked, request::Request, results::HandedOn, run::RunSummary,
    shared::Shared, telling::Telling,
};
use crate::{
    event::{Decided, Finished, LastSuccess},
    model::{Action, Digest, Outcome, StatIdentity, TaskId},
    plan::Plan,
    planted::{self, Fault},
    scan::{Contents, NoRoute, Route, identity_of, keeps_stamps, system_now_ns},
    store::{self, StateDir, prune_private, read_private, write_private},
};

/// Beneath the state directory.
const DIR: &str = "settled";
/// How many of these files there are at most: one for each request.
const MOST: usize = 16;
/// A longer file is not ours.
const LIMIT: u64 = 1 << 30;
/// How the file begins; then the checksum of the rest, and the rest.
const MAGIC: &[u8; 16] = b"devtask settled\n";

/// What the store was like: equal ones, and nothing was written in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoreStamp {
    /// Of the file, and of how long what is written there stays.
    mark: u64,
    identity: StatIdentity,
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    key: Digest,
    store: StoreStamp,
    #[serde(borrow)]
    route: &'a [u8],
    tasks: Cow<'a, [Settled]>,
    /// What the run handed on.
    exports: Cow<'a, Exports>,
}

/// Variables by their names.
type Exports = BTreeMap<String, Vec<u8>>;

/// What is told of a whole run.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    tasks: Vec<Settled>,
    exports: Exports,
}

/// What is told of a task that need not run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Settled {
    id: TaskId,
    last: Option<LastSuccess>,
    /// Its output, as text.
    output: Option<String>,
    messages: Vec<String>,
}

/// A request that may have been answered before.
pub(crate) struct Settling {
    key: Digest,
    path: PathBuf,
    store: StoreStamp,
    /// What is kept for it, if anything is.
    file: Option<Vec<u8>>,
    /// Whether its route leads through nothing that has changed.
    route_holds: bool,
    /// What was told of tasks, in this order.
    tasks: Vec<Settled>,
}

impl Settling {
    /// None for a request, or a tree, whose runs are never settled.
    pub(crate) fn of(shared: &Shared, request: &Request, plan: &Plan) -> Option<Self> {
        let is_plain = request.given.is_empty()
            && !(request.force || request.refresh || request.dry_run || shared.read_only);
        // What was kept is compared with the store as it was when it was opened.
        let is_plain = is_plain && shared.memory.is_only_looked_at();
        let tasks = || plan.order().iter().map(|id| shared.graph.task(*id));
        // What a task that is a file holds is nowhere on a route.
        let rests = tasks().all(|task| {
            !task.has_command() || (task.is_keyed() && !matches!(task.action, Action::Command(_)))
        });
        if !is_plain || !rests {
            return None;
        }
        let ambient = shared.ambient_of(request);
        let tracks = tasks().filter(|task| !task.track_env.is_empty());
        let parts = (
            shared.loaded?,
            (shared.root.as_os_str().as_bytes(), shared.state_dir.as_os_str().as_bytes()),
            shared.scanner.options().global_ignore.as_deref().map(|path| path.as_os_str().as_bytes()),
            plan.roots().iter().collect::<Vec<_>>(),
            plan.order(),
            request.arguments.iter().map(|argument| argument.as_bytes()).collect::<Vec<_>>(),
            serde_json::to_string(&request.inputs).ok()?,
            tracks.map(|task| tracked(&ambient, &task.track_env)).collect::<Vec<_>>(),
        );
        let key = Digest(xxh3_128(&postcard::to_stdvec(&parts).ok()?));
        let path = shared.state_dir.join(DIR).join(format!("{:016x}", xxh3_64(&key.0.to_le_bytes())));
        let (store, file) = (shared.store?, read_private(&path, LIMIT));
        Some(Self { key, path, store, file, route_holds: false, tasks: Vec::new() })
    }

    /// Goes the route there is. What was told then, if that is the answer now, too; else what sets hold now, as far
    /// as that is known.
    pub(crate) fn follow(&mut self, shared: &Shared) -> Result<Answer, Contents> {
        let unknown = Contents::default;
        let kept = self.kept().ok_or_else(unknown)?;
        let contents = Route::unpack(kept.route).follow(&shared.root, shared.threads).ok_or_else(unknown)?;
        let (holds, same_store) = (contents.is_whole(), kept.store == self.store);
        if holds && (same_store || planted::is(Fault::SettledBlind)) {
            let (tasks, exports) = (kept.tasks.into_owned(), kept.exports.into_owned());
            return Ok(Answer { tasks, exports });
        }
        self.route_holds = holds;
        Err(contents)
    }

    fn kept(&self) -> Option<Kept<'_>> {
        let (sum, bytes) = self.file.as_ref()?.strip_prefix(MAGIC)?.split_first_chunk()?;
        let is_whole = u128::from_le_bytes(*sum) == xxh3_128(bytes);
        let kept: Kept<'_> = is_whole.then(|| postcard::from_bytes(bytes).ok())??;
        (kept.key == self.key).then_some(kept)
    }

    /// Notes what is told of a task that need not run.
    pub(crate) fn note(&mut self, id: TaskId, last: Option<LastSuccess>, handed: &HandedOn) {
        let output = handed.output.as_ref().map(ToString::to_string);
        self.tasks.push(Settled { id, last, output, messages: handed.messages.clone() });
    }

    /// Keeps what was noted, after a run that handed on this, in which nothing else was to be told of its tasks, and
    /// nothing to be saved. That it cannot be kept is no fault: it saves time only.
    pub(crate) fn keep(&self, shared: &Shared, summary: &RunSummary) {
        match self.encode(shared, summary) {
            Ok(bytes) => self.write(shared, &bytes),
            // Where a file of ours cannot be removed nothing can be kept either.
            Err(NoRoute::Outdated) => drop(fs::remove_file(&self.path)),
            Err(NoRoute::New) => {}
        }
    }

    fn write(&self, shared: &Shared, bytes: &[u8]) {
        if let Ok(Some(dir)) = StateDir::open(&shared.state_dir)
            && let Ok(dir) = dir.subdir(DIR)
            && write_private(&self.path, bytes).is_ok()
        {
            prune_private(&dir, MOST);
        }
    }

    fn encode(&self, shared: &Shared, summary: &RunSummary) -> Result<Vec<u8>, NoRoute> {
        let written = self.store.identity.mtime.max(self.store.identity.ctime).ns();
        // Of a file that was written nearer to now, later writing may not show (hazard A1).
        let age = i128::try_from(shared.granularity.as_nanos()).unwrap_or(i128::MAX);
        let is_old = written.saturating_add(age) < system_now_ns();
        let stands = shared.memory.is_only_looked_at() && keeps_stamps(&shared.state_dir);
        if self.tasks.len() != summary.outcomes.len() || !is_old || !stands {
            return Err(NoRoute::New);
        }
        let route = match self.kept().filter(|_| self.route_holds) {
            Some(kept) => Route::unpack(kept.route),
            None => shared.table.route()?,
        };
        let tasks = Cow::Borrowed(self.tasks.as_slice());
        let exports = Cow::Borrowed(&summary.exports);
        let kept = Kept { key: self.key, store: self.store, route: route.packed(), tasks, exports };
        let bytes = postcard::to_stdvec(&kept).map_err(|_| NoRoute::New)?;
        Ok([MAGIC, &xxh3_128(&bytes).to_le_bytes()[..], &bytes].concat())
    }
}

impl StoreStamp {
    /// That of the store in `dir`; none where it cannot be told, or nothing is stored yet.
    pub(crate) fn of(dir: &StateDir) -> Option<Self> {
        let (mark, file) = store::mark(dir)?;
        Some(Self { mark, identity: identity_of(&file)? })
    }
}

impl Settled {
    /// Tells it.
    fn tell(self, telling: &mut Telling, has_command: bool) {
        let Self { id, last, output, messages } = self;
        let output = output.and_then(|text| serde_json::from_str(&text).ok());
        let handed = HandedOn { output, exports: Vec::new(), messages };
        let (action, outcome) =
            if has_command { (Decided::Cached, Outcome::Cached) } else { (Decided::Skip, Outcome::Skipped) };
        telling.decision(id, action, Vec::new(), None, (last, None));
        telling.finished(Finished::without_execution(telling.name(id), outcome), &handed);
    }
}

/// Tells of a whole run what was told of one like it.
pub(crate) fn tell(run: Arc<RunContext>, plan: &Plan, settled: Answer) -> RunSummary {
    let graph = Arc::clone(&run.shared.graph);
    let mut telling = Telling::new(run);
    telling.announce(plan);
    telling.summary.exports = settled.exports;
    settled.tasks.into_iter().for_each(|task| {
        let has_command = graph.task(task.id).has_command();
        task.tell(&mut telling, has_command);
    });
    telling.end(false, false)
}

#[cfg(test)]
mod tests;
