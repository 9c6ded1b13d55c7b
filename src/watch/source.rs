//! The source itself: what is asked of it, carried out with a backend and a timer.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    change::Change,
    debounced::cookie_name,
    health::{Health, INSTANCES, Limit, Polled, WATCHES, Why},
    keeper::Keeper,
    poll,
    state::{Shared, Sharing, State},
};

/// A backend that fails so often at once will not do better the next time.
const RENEWALS: usize = 8;

/// What the user chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Linux: inotify, at once. Elsewhere the same as [`Debounced`](Self::Debounced).
    Native,
    /// The system's own events, passed on when they are 50 ms old; wakes up some 80 times a second to see
    /// whether they are.
    Debounced,
    /// No events: every directory is reported so often. Less than some milliseconds leaves time for nothing else.
    Polling(Duration),
}

impl Default for Backend {
    /// Debounced on macOS, native elsewhere.
    fn default() -> Self {
        if cfg!(target_os = "macos") { Self::Debounced } else { Self::Native }
    }
}

/// How a [`Source`] is to work.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// Where events come from.
    pub backend: Backend,
    /// A directory that exists and in which nobody but this source writes. It is not for callers to watch.
    pub cookie_dir: PathBuf,
    /// How often directories are reported that cannot be watched.
    pub poll_interval: Duration,
    /// How long to wait at the start for the first event, before the system counts as one without.
    pub self_test: Duration,
    /// For tests: as if this were the limit of watched directories.
    #[doc(hidden)]
    pub most_watches: Option<usize>,
}

impl SourceOptions {
    /// The usual, with this directory for cookies.
    pub fn new(cookie_dir: impl Into<PathBuf>) -> Self {
        Self {
            backend: Backend::default(),
            cookie_dir: cookie_dir.into(),
            poll_interval: Duration::from_secs(2),
            self_test: Duration::from_secs(1),
            most_watches: None,
        }
    }
}

/// Why there is no source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The directory for cookies cannot be used.
    #[error("cannot use {} for watching", path.display())]
    CookieDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What came of the wish to watch a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The system tells about it from now on.
    Events,
    /// It is reported as a whole every interval; [`Source::health`] says why.
    Polled,
    /// There is no such directory.
    Missing,
}

/// What [`Source::sync`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Synced {
    /// Every change that was made before can be taken.
    Known,
    /// Every change of what the system tells about can be taken, and a [`Change::Directory`] for each directory
    /// that is polled: who takes them looks at those now.
    Polled,
    /// Nobody knows: everything has to be looked at.
    Unknown,
}

/// Says what may have changed in watched directories. See the [module](super).
pub struct Source {
    shared: Sharing,
    keeper: Mutex<Keeper>,
    cookie_dir: PathBuf,
    cookies: AtomicU64,
    interval: Duration,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl Source {
    /// A source that watches nothing yet. `wake` is called when something can be taken, at most once per take,
    /// on a thread of the source's or of whoever asks it something; it must neither block nor call the source.
    ///
    /// A first file is made; comes no event of it, everything will be polled.
    pub fn new(options: SourceOptions, wake: impl Fn() + Send + Sync + 'static) -> Result<Self, SourceError> {
        let usable = fs::read_dir(&options.cookie_dir);
        usable.map_err(|source| SourceError::CookieDir { path: options.cookie_dir.clone(), source })?;
        let shared: Sharing = Arc::new(Shared::new(wake));
        let source = Self {
            keeper: Mutex::new(Keeper::new(Arc::clone(&shared), &options)),
            cookie_dir: options.cookie_dir,
            cookies: AtomicU64::new(0),
            interval: match options.backend {
                Backend::Polling(interval) => interval,
                Backend::Native | Backend::Debounced => options.poll_interval,
            },
            shared,
        };
        let is_heard = source.keeper().read() || source.cookie(options.self_test);
        if !is_heard {
            source.keeper().give_up(Why::NoEvents);
        }
        source.shared.state().take(); // of the beginning nobody has to know
        Ok(source)
    }

    /// Watches this directory (an absolute path), not what is below it. Its watch is in force when this
    /// returns: list it afterwards and nothing is missed. Asking again is cheap, and right where the
    /// directory may have been replaced.
    pub fn watch(&self, directory: &Path) -> Watched {
        self.watch_all(&[directory]).pop().unwrap_or(Watched::Missing)
    }

    /// Watches many directories, in the order given. With a debouncer it costs a thirtieth of one after the other.
    pub fn watch_all<P: AsRef<Path>>(&self, directories: &[P]) -> Vec<Watched> {
        let watched = self.keeper().watch(directories);
        poll::ensure(&self.shared, self.interval);
        self.shared.wake();
        watched
    }

    /// Reports nothing about this directory any more.
    pub fn unwatch(&self, directory: &Path) {
        self.keeper().unwatch(directory);
        self.shared.timer.notify_all();
        self.shared.wake();
    }

    /// Everything since the last take, in order of their kinds and names, each once.
    ///
    /// With [`Change::Everything`] all directories that are still there are watched when this returns: list
    /// them afterwards, and watch what is new.
    pub fn take(&self) -> Vec<Change> {
        for _ in 0..RENEWALS {
            let mut keeper = self.keeper();
            keeper.read();
            keeper.refresh();
            drop(keeper);
            poll::ensure(&self.shared, self.interval);
            let mut state = self.shared.state();
            if !state.renew {
                return state.take();
            }
        }
        self.keeper().give_up(Why::NoEvents);
        poll::ensure(&self.shared, self.interval);
        self.shared.state().take()
    }

    /// Sees to it that every change that was made before this call can be taken. Waits for that, where it has
    /// to wait, for so long.
    pub fn sync(&self, patience: Duration) -> Synced {
        let is_known = self.keeper().read() || self.cookie(patience);
        let mut state = self.shared.state();
        let synced = if state.pending.is_everything() {
            Synced::Known // who takes it looks at all there is then
        } else if !is_known {
            Synced::Unknown
        } else if state.places.polled() > 0 {
            state.add_polled();
            Synced::Polled
        } else {
            Synced::Known
        };
        drop(state);
        self.shared.wake();
        synced
    }

    /// Waits for the event of a new file in the cookie directory: what the system told before came before.
    fn cookie(&self, patience: Duration) -> bool {
        let number = self.cookies.fetch_add(1, Ordering::Relaxed) + 1;
        let path = self.cookie_dir.join(cookie_name(number));
        if File::create(&path).is_err() {
            return false;
        }
        let is_open = |state: &mut State| state.cookie < number && !state.pending.is_everything();
        let waits = self.shared.cookies.wait_timeout_while(self.shared.state(), patience, is_open);
        let waited = waits.unwrap_or_else(PoisonError::into_inner).1;
        let _ = fs::remove_file(path); // one that stays is in nobody's way
        !waited.timed_out()
    }

    /// How well it can see just now.
    pub fn health(&self) -> Health {
        let state = self.shared.state();
        let mut polled: Vec<Polled> = Vec::new();
        for (path, why) in state.places.all_polled() {
            match polled.iter_mut().find(|group| group.why == *why) {
                Some(group) => group.directories += 1,
                None => polled.push(Polled { why: why.clone(), directories: 1, example: path.to_owned() }),
            }
        }
        let watched = state.places.events();
        let overflows = state.overflows;
        drop(state);
        let count = |directories: usize| u64::try_from(directories).unwrap_or(u64::MAX);
        for Polled { why, directories, .. } in &mut polled {
            match why {
                Why::WatchLimit(figures) => {
                    *figures = Limit::of(WATCHES, count(watched + *directories + 1), count(*directories));
                }
                Why::InstanceLimit(figures) => *figures = Limit::of(INSTANCES, 1, 1),
                _ => {}
            }
        }
        Health { watched, polled, overflows }
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.timer.notify_all();
    }
}
