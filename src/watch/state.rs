//! What the source knows, and what a report of the backend does to it. No I/O here.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    change::{Change, Pending},
    places::{How, Inode, Name, Places},
};

/// So many watches one by one cost the backend as much as to begin anew with all of them, for it looks at
/// all it has whenever it gives up one.
const MOST_ONE_BY_ONE: usize = 16;

/// Beyond so many watched directories deleted between two takes, a new backend is wanted: this one looks at
/// all its watches for each of them, and reads no events for many seconds where there are thousands.
const MOST_DELETED: usize = 64;

/// How the names of cookies begin; a number follows.
const COOKIE: &str = "cookie-";

/// What several threads share: the backend's, the timer's and those of the callers.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something about a cookie has changed.
    pub(super) cookies: Condvar,
    /// Something the timer waits for has changed.
    pub(super) timer: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Shared {
    pub(super) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { state: Mutex::default(), cookies: Condvar::new(), timer: Condvar::new(), wake: Box::new(wake) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state on behalf of the backend of that generation, if it still is the one.
    pub(super) fn hear(&self, generation: u64, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if state.generation != generation {
            return;
        }
        let before = (state.cookie, state.pending.is_everything());
        change(&mut state);
        if before != (state.cookie, state.pending.is_everything()) {
            self.cookies.notify_all();
        }
    }

    /// Tells the caller that something can be taken, unless it knows.
    pub(super) fn wake(&self) {
        let wakes = self.state().pending.wakes();
        if wakes {
            (self.wake)();
        }
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) places: Places,
    pub(super) pending: Pending,
    /// Which backend is listened to; those before it may still have something to say.
    pub(super) generation: u64,
    /// How many watches the backend has to be told to give up.
    to_unwatch: usize,
    /// The backend has to be replaced, before the next take at the latest.
    pub(super) renew: bool,
    /// A new backend would be quicker than this one, which has much to clean up.
    pub(super) congested: bool,
    /// The number of the last cookie seen.
    pub(super) cookie: u64,
    pub(super) overflows: u64,
    /// The timer reported, and nobody has taken it.
    pub(super) polled_pending: bool,
    pub(super) timer_runs: bool,
    pub(super) closed: bool,
    deleted: usize,
}

impl State {
    /// The name of that cookie.
    pub(super) fn cookie_name(number: u64) -> String {
        format!("{COOKIE}{number}")
    }

    /// Something about what is at this path: an entry of a watched directory, or a watched directory itself.
    pub(super) fn seen(&mut self, path: &Path) {
        self.entry(path);
        for name in self.places.namesakes(path).to_vec() {
            if self.places.how(Path::new(&name)) == Some(&How::Events) {
                self.pending.add(Change::Directory(PathBuf::from(&*name)));
            }
        }
    }

    /// Some events of this directory may have gone by unnoticed.
    pub(super) fn unsure(&mut self, inode: Inode) {
        for name in self.places.names_of(inode) {
            self.pending.add(Change::Directory(PathBuf::from(&**name)));
        }
    }

    /// What was at this path is not there any more. `cleaned`: the backend has given up by itself its
    /// watches of this very path and of all below it.
    pub(super) fn gone(&mut self, path: &Path, cleaned: bool) {
        let mut tops = self.entry(path);
        let cleaned = cleaned && self.places.watched(path).is_some();
        self.deleted += usize::from(self.places.watched(path).is_some());
        tops.extend(self.places.namesakes(path).iter().map(PathBuf::from));
        self.lose(path, cleaned);
        for top in tops {
            self.lose(&top, false);
        }
        if self.deleted > MOST_DELETED {
            self.congested = true;
            self.pending.add_everything();
        }
    }

    /// The path as an entry of the directory it is in, under all names of that.
    fn entry(&mut self, path: &Path) -> Vec<PathBuf> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
        let mut entries = Vec::new();
        for directory in self.places.namesakes(directory).to_vec() {
            if self.places.how(Path::new(&directory)) == Some(&How::Cookies) {
                self.cookie_seen(name);
                continue;
            }
            let entry = Path::new(&directory).join(name);
            self.pending.add(Change::Entry(entry.clone()));
            entries.push(entry);
        }
        entries
    }

    fn cookie_seen(&mut self, name: &OsStr) {
        let number = name.to_str().and_then(|name| name.strip_prefix(COOKIE)?.parse().ok());
        self.cookie = self.cookie.max(number.unwrap_or(0));
    }

    /// Everything watched at or below this path is not watched any more.
    fn lose(&mut self, top: &Path, cleaned: bool) {
        for name in self.places.tree(top) {
            let path = Path::new(&name);
            let how = self.places.how(path).cloned();
            self.places.leave(&name, cleaned);
            if how != Some(How::Cookies) {
                self.pending.add(Change::Lost(path.to_owned()));
            }
            if !cleaned && !matches!(how, Some(How::Polled(_))) {
                self.to_unwatch += 1;
            }
        }
        self.limit_unwatching();
    }

    /// Reports nothing more about this directory; the backend is to give it up before it watches anything else.
    pub(super) fn unwatch(&mut self, path: &Path) {
        self.to_unwatch += usize::from(self.places.watched(path).is_some());
        self.places.leave(path.as_os_str(), false);
        self.limit_unwatching();
    }

    fn limit_unwatching(&mut self) {
        if self.to_unwatch > MOST_ONE_BY_ONE {
            self.begin_anew();
        }
    }

    /// The names whose watches have been given up, or will be by the backend itself, once it has answered.
    /// The first of the two lists has to be told.
    pub(super) fn leaving(&mut self) -> (Vec<Name>, Vec<Name>) {
        self.to_unwatch = 0;
        let leaving = |wanted| {
            let all = self.places.leaving().filter(move |(_, cleaned)| *cleaned == wanted);
            all.map(|(name, _)| Name::clone(name)).collect()
        };
        (leaving(false), leaving(true))
    }

    /// Events were lost, or the backend does not know itself what it watches.
    pub(super) fn overflow(&mut self) {
        self.overflows += 1;
        self.begin_anew();
    }

    /// From here on everything counts as changed, until a new backend watches what is still there.
    fn begin_anew(&mut self) {
        self.renew = true;
        self.pending.add_everything();
    }

    /// A new backend is about to take over. Says what it has to watch.
    pub(super) fn renewed(&mut self) -> Vec<PathBuf> {
        if self.generation > 0 {
            self.pending.add_everything(); // before the first there was nothing
        }
        self.generation += 1;
        self.renew = false;
        self.congested = false;
        self.deleted = 0;
        self.to_unwatch = 0;
        self.places.forget_watched()
    }

    pub(super) fn take(&mut self) -> Vec<Change> {
        self.deleted = 0;
        self.polled_pending = false;
        self.pending.take()
    }

    /// One interval of polling has passed.
    pub(super) fn poll(&mut self) {
        if self.polled_pending {
            return;
        }
        self.polled_pending = true;
        for (path, _) in self.places.all_polled() {
            self.pending.add(Change::Directory(path.to_owned()));
        }
    }
}

/// What is shared among threads.
pub(super) type Sharing = Arc<Shared>;
