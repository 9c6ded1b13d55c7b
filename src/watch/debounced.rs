//! notify with its debouncer on top.
//!
//! It reports under paths, a directory with several names under one of them, and it alone knows which of its
//! watches it has given up. Where that could make a difference, everything is watched anew.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};

use notify::{
    Config, ErrorKind, PathOp, RecommendedWatcher, RecursiveMode, WatchPathConfig, event::EventKindMask,
};
use notify_debouncer_full::{
    DebounceEventResult, Debouncer, FileIdCache, RecommendedCache, file_id::FileId, new_debouncer_opt,
};
use rustix::io::Errno;

use super::{
    health::{Limit, Why},
    keeper::is_missing,
    places::{Id, Name},
    state::{Sharing, State},
};

/// How old an event has to be for the debouncer to pass it on.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// How the names of cookies begin; a number follows.
const COOKIE: &str = "cookie-";

/// The name of that cookie.
pub(super) fn cookie_name(number: u64) -> String {
    format!("{COOKIE}{number}")
}

/// A debouncer, with its threads.
pub(super) struct Debounced {
    debouncer: Debouncer<RecommendedWatcher, Eavesdropper>,
    asker: Asker,
}

impl Debounced {
    /// One that watches the directory for cookies.
    pub(super) fn new(shared: &Sharing, generation: u64, cookie_dir: &Path) -> Result<Self, Why> {
        // Close-write, for a mapped file that is written gives no other event (hazard A5); nothing for reads.
        let mask = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
        let config = Config::default().with_event_kinds(mask);
        let asker = Asker::default();
        let hearer = Hearer { shared: Arc::clone(shared), generation };
        let ear = Eavesdropper {
            cache: RecommendedCache::new(),
            hearer: hearer.clone(),
            asker: Arc::clone(&asker),
            cookie_dir: cookie_dir.to_owned(),
        };
        let hear = move |events: DebounceEventResult| {
            if events.is_err() {
                hearer.hear(State::overflow);
            }
            hearer.shared.wake();
        };
        let debouncer = new_debouncer_opt(DEBOUNCE, None, hear, ear, config).map_err(why)?;
        let mut debounced = Self { debouncer, asker };
        debounced.update(vec![watching(cookie_dir)]).map_err(|error| why(error.source))?;
        Ok(debounced)
    }

    /// Gives up some, and watches others. Says which it did not take, in the same order, and why they have to
    /// be polled; without a reason they are not there. An error is the end of it: its thread has ended.
    pub(super) fn watch(
        &mut self,
        unwanted: &[Name],
        paths: &[PathBuf],
    ) -> Result<Vec<(PathBuf, Option<Why>)>, Why> {
        for name in unwanted {
            let _ = self.update(vec![PathOp::unwatch(&**name)]); // that there is none is just as well
        }
        let mut operations: Vec<PathOp> = paths.iter().map(|path| watching(path)).collect();
        let mut refused = Vec::new();
        while let Err(error) = self.update(operations) {
            let Some(operation) = error.origin else { return Err(why(error.source)) };
            operations = error.remaining;
            let is_limit = matches!(error.source.kind, ErrorKind::MaxFilesWatch);
            let is_missing = match &error.source.kind {
                ErrorKind::PathNotFound => true,
                ErrorKind::Io(error) => is_missing(error),
                _ => false,
            };
            let why = (!is_missing).then(|| why(error.source));
            refused.push((operation.into_path(), why.clone()));
            if is_limit {
                refused.extend(operations.drain(..).map(|operation| (operation.into_path(), why.clone())));
            }
        }
        Ok(refused)
    }

    /// Changes what is watched. A batch costs a thirtieth of the same one by one.
    fn update(&mut self, operations: Vec<PathOp>) -> Result<(), notify::UpdatePathsError> {
        set(&self.asker, Some(thread::current().id()));
        let result = self.debouncer.update_paths(operations);
        set(&self.asker, None);
        result
    }
}

fn watching(path: &Path) -> PathOp {
    PathOp::Watch(path.to_owned(), WatchPathConfig::new(RecursiveMode::NonRecursive))
}

/// Changes the state on behalf of the debouncer, as long as it is the one that is listened to.
#[derive(Clone)]
struct Hearer {
    shared: Sharing,
    generation: u64,
}

impl Hearer {
    fn hear(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.state();
        if state.generation == self.generation {
            change(&mut state);
            self.shared.cookies.notify_all();
        }
    }
}

/// The thread that is just changing what is watched, if one is.
type Asker = Arc<Mutex<Option<ThreadId>>>;

fn set(asker: &Asker, thread: Option<ThreadId>) {
    *asker.lock().unwrap_or_else(PoisonError::into_inner) = thread;
}

/// The debouncer's cache of file ids, which overhears every path at once.
///
/// The debouncer makes one event of several and may leave out a path in between: of a file made and then
/// renamed nothing is said under the first name, though somebody may have listed it. So what is noted are
/// the paths of the raw events, which all come by here; the debounced ones only say when to take them.
struct Eavesdropper {
    cache: RecommendedCache,
    hearer: Hearer,
    asker: Asker,
    cookie_dir: PathBuf,
}

impl Eavesdropper {
    fn note(&self, note: impl FnOnce(&mut State)) {
        // The debouncer tells the cache of each new watch too, on the thread that asks for it.
        let asker = *self.asker.lock().unwrap_or_else(PoisonError::into_inner);
        if asker != Some(thread::current().id()) {
            self.hearer.hear(note);
        }
    }

    fn seen(&self, path: &Path) {
        self.note(|state| {
            if path.parent() == Some(&self.cookie_dir) {
                let name = path.file_name().and_then(|name| name.to_str());
                let number = name.and_then(|name| name.strip_prefix(COOKIE)?.parse().ok());
                state.cookie = state.cookie.max(number.unwrap_or(0));
            }
            seen(state, path);
        });
    }
}

impl FileIdCache for Eavesdropper {
    fn cached_file_id(&self, path: &Path) -> Option<impl AsRef<FileId>> {
        self.seen(path);
        self.cache.cached_file_id(path)
    }

    fn add_path(&mut self, path: &Path, recursive_mode: RecursiveMode) {
        self.seen(path);
        self.cache.add_path(path, recursive_mode);
    }

    fn remove_path(&mut self, path: &Path) {
        self.note(|state| gone(state, path));
        self.cache.remove_path(path);
    }

    fn rescan(&mut self, _roots: &[(PathBuf, RecursiveMode)]) {
        self.note(State::overflow);
    }
}

/// Something about what is at this path: an entry of a watched directory, or a watched directory itself.
fn seen(state: &mut State, path: &Path) {
    if let (Some(directory), Some(name)) = (parent(state, path), path.file_name()) {
        state.entry(directory, name);
    }
    if let Some(directory) = state.places.watched(path) {
        state.itself(directory);
    }
}

/// What was at this path is not there any more.
fn gone(state: &mut State, path: &Path) {
    let itself = state.places.watched(path);
    if let (Some(directory), Some(name)) = (parent(state, path), path.file_name()) {
        state.replaced(directory, name);
    }
    if let Some(directory) = itself {
        state.lost(directory);
    }
    state.lose(path);
}

fn parent(state: &State, path: &Path) -> Option<Id> {
    state.places.watched(path.parent()?)
}

fn why(error: notify::Error) -> Why {
    match error.kind {
        ErrorKind::MaxFilesWatch => Why::WatchLimit(Limit::default()),
        ErrorKind::Io(error) if Errno::from_io_error(&error) == Some(Errno::MFILE) => {
            Why::InstanceLimit(Limit::default())
        }
        _ => Why::Refused(error.to_string()),
    }
}
