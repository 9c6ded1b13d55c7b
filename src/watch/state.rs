//! What the source knows, and what a report of the backend does to it. No I/O here.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    change::{Change, Pending},
    places::{How, Id, Name, Places},
};

/// So many watches one by one cost the debouncer as much as to begin anew with all of them, for notify goes
/// through all it has whenever it gives up one.
const MOST_ONE_BY_ONE: usize = 16;

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
    /// Everything has to be watched anew, before the next take at the latest.
    pub(super) renew: bool,
    /// How often that was done: a debouncer of before may still have something to say.
    pub(super) generation: u64,
    /// The number of the last cookie seen.
    pub(super) cookie: u64,
    pub(super) overflows: u64,
    /// The timer reported, and nobody has taken it.
    pub(super) polled_pending: bool,
    pub(super) timer_runs: bool,
    pub(super) closed: bool,
    /// Watches of inotify that no name leads to any more.
    idle: Vec<i32>,
    /// Names under which the debouncer watches, though nobody wants it any more.
    unwanted: Vec<Name>,
}

impl State {
    /// Something about an entry of that directory: its content or its state.
    pub(super) fn entry(&mut self, directory: Id, name: &OsStr) {
        for directory in self.places.names_of(directory) {
            self.pending.add(Change::Entry(Path::new(directory).join(name)));
        }
    }

    /// What this entry of that directory was is not there any more; whatever is there now is another thing.
    pub(super) fn replaced(&mut self, directory: Id, name: &OsStr) {
        let names = self.places.names_of(directory).iter();
        let entries: Vec<PathBuf> = names.map(|directory| Path::new(directory).join(name)).collect();
        for entry in entries {
            self.lose(&entry);
            self.pending.add(Change::Entry(entry));
        }
    }

    /// Something about that directory itself.
    pub(super) fn itself(&mut self, directory: Id) {
        for name in self.places.names_of(directory) {
            self.pending.add(Change::Directory(PathBuf::from(&**name)));
        }
    }

    /// That directory is not where it was, under none of its names.
    pub(super) fn lost(&mut self, directory: Id) {
        for name in self.places.names_of(directory).to_vec() {
            self.lose(Path::new(&name));
        }
    }

    /// Everything watched at or below this path is not watched any more.
    pub(super) fn lose(&mut self, top: &Path) {
        for name in self.places.tree(top) {
            self.leave(&name);
            self.pending.add(Change::Lost(PathBuf::from(&*name)));
        }
    }

    /// Watches this directory so from now on.
    pub(super) fn enter(&mut self, path: &Path, how: How) {
        self.leave(path.as_os_str());
        self.places.insert(path, how);
    }

    /// Reports nothing more under this name.
    pub(super) fn leave(&mut self, name: &OsStr) {
        match self.places.remove(name) {
            Some((How::Events(Id::Watch(number)), true)) => self.idle.push(number),
            Some((How::Events(Id::Inode(..)), is_last)) => {
                self.unwanted.push(name.into());
                // The debouncer may have reported under this name what the others have to be told.
                if !is_last || self.unwanted.len() > MOST_ONE_BY_ONE {
                    self.begin_anew();
                }
            }
            _ => {}
        }
    }

    /// The watches that inotify is to give up.
    #[cfg_attr(not(any(target_os = "linux", test)), expect(dead_code, reason = "there is no inotify"))]
    pub(super) fn idle(&mut self) -> Vec<i32> {
        std::mem::take(&mut self.idle)
    }

    /// The names that the debouncer is to give up, before it watches anything else.
    pub(super) fn unwanted(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.unwanted)
    }

    /// Events were lost.
    pub(super) fn overflow(&mut self) {
        self.overflows += 1;
        self.begin_anew();
    }

    /// Nobody knows what is watched: everything counts as changed, and what is still there is watched anew.
    pub(super) fn begin_anew(&mut self) {
        self.renew = true;
        self.pending.add_everything();
    }

    /// Everything is about to be watched anew. Says what. Inotify goes on as it is until it is asked for each: to give
    /// up thousands of watches at once would fill its queue again, and we would never come to an end.
    pub(super) fn renewed(&mut self) -> Vec<PathBuf> {
        let watched = self.places.all_watched();
        for name in &watched {
            if let Some(Id::Inode(..)) = self.places.watched(Path::new(&**name)) {
                self.leave(name);
            }
        }
        self.pending.add_everything();
        self.generation += 1;
        self.renew = false;
        self.unwanted.clear();
        watched.iter().map(|name| PathBuf::from(&**name)).collect()
    }

    pub(super) fn take(&mut self) -> Vec<Change> {
        self.polled_pending = false;
        self.pending.take()
    }

    /// One interval of polling has passed.
    pub(super) fn poll(&mut self) {
        if !self.polled_pending {
            self.polled_pending = true;
            self.add_polled();
        }
    }

    /// Each polled directory may have changed.
    pub(super) fn add_polled(&mut self) {
        for (path, _) in self.places.all_polled() {
            self.pending.add(Change::Directory(path.to_owned()));
        }
    }
}

/// What is shared among threads.
pub(super) type Sharing = Arc<Shared>;

#[cfg(test)]
mod tests {
    use super::*;

    fn state(paths: &[(&str, Id)]) -> State {
        let mut state = State::default();
        paths.iter().for_each(|(path, id)| state.enter(Path::new(path), How::Events(*id)));
        state
    }

    #[test]
    fn a_watch_is_idle_when_its_last_name_has_gone() {
        let mut state = state(&[("/real", Id::Watch(1)), ("/alias", Id::Watch(1)), ("/other", Id::Watch(2))]);
        state.leave(OsStr::new("/alias"));
        assert!(state.idle().is_empty());
        state.lose(Path::new("/real"));
        assert_eq!(state.idle(), [1]);
        assert_eq!(state.take(), [Change::Lost("/real".into())]);
        state.enter(Path::new("/other"), How::Events(Id::Watch(3)));
        assert_eq!(state.idle(), [2]);
    }

    #[test]
    fn inotify_is_not_to_give_up_everything_at_once() {
        let mut native = state(&[("/a", Id::Watch(1)), ("/b", Id::Watch(2))]);
        native.overflow();
        let mut watched = native.renewed();
        watched.sort();
        assert_eq!(watched, ["/a", "/b"].map(PathBuf::from));
        assert!(native.idle().is_empty());
        assert_eq!(native.places.watched(Path::new("/a")), Some(Id::Watch(1)));
        let mut debounced = state(&[("/a", Id::Inode(1, 1))]);
        debounced.overflow();
        assert_eq!(debounced.renewed(), [PathBuf::from("/a")]);
        assert_eq!(debounced.places.watched(Path::new("/a")), None, "its debouncer is another");
    }

    #[test]
    fn what_another_name_was_told_under_is_everything_with_a_debouncer() {
        let mut state = state(&[("/real", Id::Inode(1, 1)), ("/alias", Id::Inode(1, 1))]);
        state.leave(OsStr::new("/alias"));
        assert!(state.renew);
        assert_eq!(state.take(), [Change::Everything]);
    }

    #[test]
    fn few_names_are_given_up_one_by_one_by_a_debouncer() {
        let names: Vec<String> = (0..=MOST_ONE_BY_ONE).map(|n| format!("/{n}")).collect();
        let ids = (0..).map(|n| Id::Inode(1, n));
        let paths: Vec<(&str, Id)> = names.iter().map(String::as_str).zip(ids).collect();
        let mut state = state(&paths);
        names[1..].iter().for_each(|name| state.leave(OsStr::new(name)));
        assert!(!state.renew);
        assert_eq!(state.unwanted().len(), MOST_ONE_BY_ONE);
        state.leave(OsStr::new(&names[0]));
        assert!(!state.renew);
        assert_eq!(state.unwanted().len(), 1);
    }
}
