//! The one who asks the backend to watch, and knows what became of it.
//!
//! Lock order: the keeper, then the state. The state is never held while the backend is asked, for the
//! backend's thread may need it before it answers.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Weak,
};

use notify::{ErrorKind, PathOp};
use rustix::io::Errno;

use super::{
    backend::Instance,
    filesystem,
    health::{Limit, Why},
    places::{How, Inode, inode},
    source::{Backend, SourceOptions, Watched},
    state::Sharing,
};

/// A directory that is another one each time one looks is not tried more often.
const TRIES: usize = 4;

/// So many directories are looked at and asked for at a time: enough for the price of a batch, few enough that
/// hardly one is gone in between. Each that is ends its batch, and the rest has to be asked for again.
const AT_ONCE: usize = 512;

pub(super) struct Keeper {
    shared: Sharing,
    instance: Option<Instance>,
    /// The one before, as long as its thread cleans up; one at a time is enough.
    ended: Weak<()>,
    /// Why there is no instance.
    without: Why,
    debounced: bool,
    cookie_dir: PathBuf,
    most_watches: Option<usize>,
    /// What each device's file system is called, if it is one without events.
    without_events: HashMap<u64, Option<&'static str>>,
}

/// A directory on its way to being watched.
struct Wish {
    at: usize,
    path: PathBuf,
    inode: Inode,
}

impl Keeper {
    pub(super) fn new(shared: Sharing, options: &SourceOptions) -> Self {
        let mut keeper = Self {
            shared,
            instance: None,
            ended: Weak::new(),
            without: Why::Asked,
            debounced: options.backend == Backend::Debounced,
            cookie_dir: clean(&options.cookie_dir),
            most_watches: options.most_watches,
            without_events: HashMap::new(),
        };
        if !matches!(options.backend, Backend::Polling(_)) {
            keeper.renew();
        }
        keeper
    }

    pub(super) fn has_events(&self) -> bool {
        self.instance.is_some()
    }

    /// No more events: what is watched is polled from now on.
    pub(super) fn give_up(&mut self, why: Why) {
        self.without = why;
        let mut state = self.shared.state();
        let watched = state.renewed();
        drop(state);
        self.close();
        self.watch(&watched);
    }

    /// Replaces the backend if that is needed, or would be quicker. Never waits for the one there is.
    pub(super) fn refresh(&mut self) {
        let needed = {
            let mut state = self.shared.state();
            let congested = std::mem::take(&mut state.congested);
            state.renew || (congested && self.ended.strong_count() == 0)
        };
        if needed {
            self.renew();
        }
    }

    /// Has the backend give up what is not watched any more.
    fn settle(&mut self) {
        self.refresh();
        let (to_unwatch, cleaned) = self.shared.state().leaving();
        let Some(instance) = &mut self.instance else { return };
        to_unwatch.iter().for_each(|name| instance.unwatch(Path::new(name)));
        if to_unwatch.is_empty() && !cleaned.is_empty() {
            // When it answers it is through with all it has reported so far.
            let _ = instance.update(Vec::new());
        }
        let mut state = self.shared.state();
        to_unwatch.iter().chain(&cleaned).for_each(|name| state.places.left(name));
    }

    /// A new backend, which watches what the old one did and is still there.
    ///
    /// After an overflow none can know which of its watches still exist, and this one would not even look:
    /// it refuses to watch anew what it believes to be watching.
    fn renew(&mut self) {
        let (watched, generation) = {
            let mut state = self.shared.state();
            (state.renewed(), state.generation)
        };
        self.close();
        match Instance::new(self.debounced, &self.shared, generation) {
            Ok(instance) => {
                self.instance = Some(instance);
                self.watch_cookies();
            }
            Err(error) => self.without = why(error),
        }
        self.watch(&watched);
    }

    fn watch_cookies(&mut self) {
        let Ok(metadata) = fs::metadata(&self.cookie_dir) else { return };
        let path = self.cookie_dir.clone();
        self.shared.state().places.insert(&path, inode(&metadata), How::Cookies);
        if let Some(instance) = &mut self.instance
            && let Err(error) = instance.update(vec![Instance::watching(&path)])
        {
            self.without = why(error.source);
            self.close();
            self.shared.state().places.remove(path.as_os_str());
        }
    }

    /// Ends the backend; it must not be listened to any more.
    fn close(&mut self) {
        if let Some(instance) = self.instance.take() {
            self.ended = instance.end();
        }
        self.without_events.clear(); // numbers of devices are used again
    }

    pub(super) fn unwatch(&mut self, directory: &Path) {
        let path = clean(directory);
        let mut state = self.shared.state();
        if state.places.how(&path) != Some(&How::Cookies) {
            state.unwatch(&path);
        }
    }

    pub(super) fn watch<P: AsRef<Path>>(&mut self, directories: &[P]) -> Vec<Watched> {
        self.settle();
        let mut watched = vec![Watched::Missing; directories.len()];
        let all: Vec<(usize, PathBuf)> =
            directories.iter().map(|directory| clean(directory.as_ref())).enumerate().collect();
        for some in all.chunks(AT_ONCE) {
            self.watch_some(some.to_vec(), &mut watched);
        }
        watched
    }

    fn watch_some(&mut self, mut wishes: Vec<(usize, PathBuf)>, watched: &mut [Watched]) {
        for _ in 0..TRIES {
            let wanted = self.look(wishes, watched);
            wishes = self.ask(wanted, watched);
        }
        for (at, path) in wishes {
            let why = Why::Refused("it is replaced again and again".to_owned());
            watched[at] = self.poll(&path, why);
        }
    }

    /// Sorts out what needs no asking; the rest is entered as watched already, for the backend may report
    /// the loss of a watch before it has said that there is one.
    fn look(&mut self, wishes: Vec<(usize, PathBuf)>, watched: &mut [Watched]) -> Vec<Wish> {
        let mut wanted = Vec::new();
        for (at, path) in wishes {
            let metadata = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => metadata,
                Err(error) if !is_missing(&error) => {
                    self.replaced(&path);
                    watched[at] = self.poll(&path, Why::Refused(error.to_string()));
                    continue;
                }
                _ => {
                    self.replaced(&path);
                    watched[at] = Watched::Missing;
                    continue;
                }
            };
            let inode = inode(&metadata);
            let before = self.shared.state().places.watched(&path);
            if before == Some(inode) {
                watched[at] = Watched::Events;
                continue;
            }
            self.replaced(&path);
            if let Some(why) = self.hindrance(&path, inode) {
                watched[at] = self.poll(&path, why);
                continue;
            }
            let stale = self.shared.state().places.insert(&path, inode, How::Events);
            if stale && let Some(instance) = &mut self.instance {
                instance.unwatch(&path); // or it would take the old watch for this one
            }
            wanted.push(Wish { at, path, inode });
        }
        wanted
    }

    /// Why this directory has to be polled, as far as one can tell beforehand.
    fn hindrance(&mut self, path: &Path, (device, _): Inode) -> Option<Why> {
        if self.instance.is_none() {
            return Some(self.without.clone());
        }
        let known = self.without_events.entry(device);
        if let Some(name) = known.or_insert_with(|| filesystem::without_events(path)) {
            return Some(Why::FileSystem(name));
        }
        let full = self.most_watches.is_some_and(|most| self.shared.state().places.events() >= most);
        full.then(|| Why::WatchLimit(Limit::default()))
    }

    /// Has the backend watch them. Returns those that have to be tried again.
    fn ask(&mut self, wanted: Vec<Wish>, watched: &mut [Watched]) -> Vec<(usize, PathBuf)> {
        let refused = self.update(wanted.iter().map(|wish| Instance::watching(&wish.path)).collect());
        let mut again = Vec::new();
        let mut refused = refused.into_iter().peekable();
        for Wish { at, path, inode } in wanted {
            // In the same order, so that thousands need no search.
            if let Some((_, why)) = refused.next_if(|(other, _)| *other == path) {
                watched[at] = match why {
                    Some(why) => self.poll(&path, why),
                    None => {
                        self.shared.state().places.remove(path.as_os_str());
                        Watched::Missing
                    }
                };
                continue;
            }
            // What the backend watches is what was there at some moment between the two looks, unless it
            // was lost meanwhile.
            let now = fs::metadata(&path).ok().filter(fs::Metadata::is_dir);
            let same = now.is_some_and(|now| self::inode(&now) == inode);
            if same && self.shared.state().places.watched(&path) == Some(inode) {
                watched[at] = Watched::Events;
                continue;
            }
            if let Some(instance) = &mut self.instance {
                instance.unwatch(&path);
            }
            let mut state = self.shared.state();
            state.places.remove(path.as_os_str());
            // Meanwhile the backend may have reported under this name what was about another.
            if same {
                state.unsure(inode)
            } else {
                state.pending.add_everything()
            }
            again.push((at, path));
        }
        again
    }

    /// Gives the backend these operations. Returns the paths it did not take, and why they have to be
    /// polled; without a reason they are not there.
    fn update(&mut self, mut operations: Vec<PathOp>) -> Vec<(PathBuf, Option<Why>)> {
        let mut refused = Vec::new();
        while !operations.is_empty() {
            let Some(instance) = &mut self.instance else { break };
            let all: Vec<PathBuf> = operations.iter().map(|operation| operation.as_path().into()).collect();
            let Err(error) = instance.update(operations) else { break };
            operations = error.remaining;
            let Some(operation) = error.origin else {
                // Its thread has ended, or was never there; and closing it would panic for that.
                std::mem::forget(self.instance.take());
                let why = why(error.source);
                self.give_up(why.clone());
                refused.extend(all.into_iter().map(|path| (path, Some(why.clone()))));
                break;
            };
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
        refused
    }

    fn poll(&self, path: &Path, why: Why) -> Watched {
        self.shared.state().places.insert(path, (0, 0), How::Polled(why));
        Watched::Polled
    }

    /// If another directory was watched under this path, it is not any more.
    fn replaced(&mut self, path: &Path) {
        let was_watched = self.shared.state().places.watched(path).is_some();
        if was_watched && let Some(instance) = &mut self.instance {
            instance.unwatch(path);
        }
        self.shared.state().places.remove(path.as_os_str());
    }
}

/// Without a slash at the end or anything else that would make two paths of one.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Links that lead to each other lead nowhere.
fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

fn why(error: notify::Error) -> Why {
    match error.kind {
        ErrorKind::MaxFilesWatch => Why::WatchLimit(Limit::default()),
        ErrorKind::Io(error)
            if rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::MFILE) =>
        {
            Why::InstanceLimit(Limit::default())
        }
        _ => Why::Refused(error.to_string()),
    }
}
