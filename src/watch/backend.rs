//! The two ways to have the system's events: notify itself, and the debouncer on top of it.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread::{self, ThreadId},
    time::Duration,
};

use notify::{
    Config, Event, EventKind, PathOp, RecommendedWatcher, RecursiveMode, UpdatePathsError, Watcher,
    event::{EventKindMask, ModifyKind, RenameMode},
};
use notify_debouncer_full::{
    DebounceEventResult, Debouncer, FileIdCache, RecommendedCache, file_id::FileId, new_debouncer_opt,
};

use super::state::{Sharing, State};

/// How old an event has to be for the debouncer to pass it on.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// One instance of the system's event queue, with a thread that reads it.
pub(super) struct Instance {
    kind: Kind,
    alive: Weak<()>,
}

enum Kind {
    Native(RecommendedWatcher),
    Debounced(Debouncer<RecommendedWatcher, Eavesdropper>, Asker),
}

impl Instance {
    pub(super) fn new(debounced: bool, shared: &Sharing, generation: u64) -> notify::Result<Self> {
        // Close-write, for a mapped file that is written gives no other event (hazard A5); nothing for reads.
        let mask = EventKindMask::CORE | EventKindMask::ACCESS_CLOSE;
        let config = Config::default().with_event_kinds(mask);
        let shared = Arc::clone(shared);
        let life = Arc::new(());
        let alive = Arc::downgrade(&life);
        if !debounced {
            let hear = move |event| {
                let _life = &life; // goes with this closure, which the thread drops when it ends
                shared.hear(generation, |state| note(state, event));
                shared.wake();
            };
            let kind = Kind::Native(RecommendedWatcher::new(hear, config)?);
            return Ok(Self { kind, alive });
        }
        let asker = Asker::default();
        let ear = Eavesdropper {
            cache: RecommendedCache::new(),
            shared: Arc::clone(&shared),
            generation,
            asker: Arc::clone(&asker),
            _life: life,
        };
        let hear = move |events: DebounceEventResult| {
            if events.is_err() {
                shared.hear(generation, State::overflow);
            }
            shared.wake();
        };
        let debouncer = new_debouncer_opt(DEBOUNCE, None, hear, ear, config)?;
        Ok(Self { kind: Kind::Debounced(debouncer, asker), alive })
    }

    /// Changes what is watched. On Linux a batch costs a thirtieth of the same one by one.
    pub(super) fn update(&mut self, operations: Vec<PathOp>) -> Result<(), UpdatePathsError> {
        match &mut self.kind {
            Kind::Native(watcher) => watcher.update_paths(operations),
            Kind::Debounced(debouncer, asker) => {
                set(asker, Some(thread::current().id()));
                let result = debouncer.update_paths(operations);
                set(asker, None);
                result
            }
        }
    }

    /// Gives up a watch; that there is none is just as well.
    pub(super) fn unwatch(&mut self, path: &Path) {
        let _ = self.update(vec![PathOp::unwatch(path)]);
    }

    /// Ends it. Its thread may have something to finish first; it has ended when this leads nowhere.
    pub(super) fn end(self) -> Weak<()> {
        self.alive
    }

    pub(super) fn watching(path: &Path) -> PathOp {
        PathOp::Watch(path.to_owned(), notify::WatchPathConfig::new(RecursiveMode::NonRecursive))
    }
}

/// What an event of notify says. Which kinds there are besides these makes no difference: they are about
/// their paths.
fn note(state: &mut State, event: notify::Result<Event>) {
    let Ok(event) = event else { return state.overflow() };
    if event.need_rescan() {
        return state.overflow(); // it has no path: look at the flag first
    }
    match event.kind {
        // A repetition of a From and a To.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => {}
        // With a tracker it is about an entry, which notify forgets; without, about a directory that does not
        // lie where it lay, which notify goes on watching under the old name.
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            let cleaned = event.tracker().is_some();
            event.paths.iter().for_each(|path| state.gone(path, cleaned));
        }
        EventKind::Remove(_) => event.paths.iter().for_each(|path| state.gone(path, true)),
        // macOS: either end of a renaming.
        EventKind::Modify(ModifyKind::Name(RenameMode::Any)) => {
            for path in &event.paths {
                if path.symlink_metadata().is_ok() { state.seen(path) } else { state.gone(path, false) }
            }
        }
        _ if event.paths.is_empty() => state.overflow(),
        _ => event.paths.iter().for_each(|path| state.seen(path)),
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
pub(super) struct Eavesdropper {
    cache: RecommendedCache,
    shared: Sharing,
    generation: u64,
    asker: Asker,
    _life: Arc<()>,
}

impl Eavesdropper {
    fn note(&self, note: impl FnOnce(&mut State)) {
        // The debouncer tells the cache of each new watch too, on the thread that asks for it.
        let asker = *self.asker.lock().unwrap_or_else(PoisonError::into_inner);
        if asker != Some(thread::current().id()) {
            self.shared.hear(self.generation, note);
        }
    }
}

impl FileIdCache for Eavesdropper {
    fn cached_file_id(&self, path: &Path) -> Option<impl AsRef<FileId>> {
        self.note(|state| state.seen(path));
        self.cache.cached_file_id(path)
    }

    fn add_path(&mut self, path: &Path, recursive_mode: RecursiveMode) {
        self.note(|state| state.seen(path));
        self.cache.add_path(path, recursive_mode);
    }

    fn remove_path(&mut self, path: &Path) {
        self.note(|state| state.gone(path, false));
        self.cache.remove_path(path);
    }

    fn rescan(&mut self, _roots: &[(std::path::PathBuf, RecursiveMode)]) {
        self.note(State::overflow);
    }
}
