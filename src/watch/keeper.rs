//! The one who has directories watched.
//!
//! Lock order: the keeper, then the state. The state is never held while the debouncer is asked, for its
//! thread may need it before it answers.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::io::Errno;

use super::{
    debounced::Debounced,
    filesystem,
    health::{Limit, Why},
    inotify::Inotify,
    places::{How, Id},
    source::{Backend, SourceOptions, Watched},
    state::Sharing,
};

/// So many directories are looked at and asked for at a time: enough for the price of a batch, few enough that
/// hardly one is gone in between. Each that is ends a batch of the debouncer's, and the rest has to be asked
/// for again.
const AT_ONCE: usize = 512;

pub(super) struct Keeper {
    shared: Sharing,
    instance: Option<Instance>,
    /// Why there is no instance.
    without: Why,
    cookie_dir: PathBuf,
    most_watches: Option<usize>,
    /// What each device's file system is called, if it is one without events.
    without_events: HashMap<u64, Option<&'static str>>,
}

enum Instance {
    Native(Inotify),
    Debounced(Debounced),
}

impl Keeper {
    pub(super) fn new(shared: Sharing, options: &SourceOptions) -> Self {
        let cookie_dir = clean(&options.cookie_dir);
        let instance = match options.backend {
            Backend::Polling(_) => Err(Why::Asked),
            Backend::Native if cfg!(target_os = "linux") => {
                Inotify::new(&shared, &cookie_dir).map(Instance::Native)
            }
            Backend::Native | Backend::Debounced => {
                Debounced::new(&shared, 0, &cookie_dir).map(Instance::Debounced)
            }
        };
        let (instance, without) = match instance {
            Ok(instance) => (Some(instance), Why::NoEvents),
            Err(why) => (None, why),
        };
        Self {
            shared,
            instance,
            without,
            cookie_dir,
            most_watches: options.most_watches,
            without_events: HashMap::new(),
        }
    }

    /// Takes in all that the system has told, if that can be had for the asking. False: only a cookie says
    /// when it has been.
    pub(super) fn read(&self) -> bool {
        match &self.instance {
            Some(Instance::Native(inotify)) => {
                inotify.read(&mut self.shared.state());
                true
            }
            Some(Instance::Debounced(_)) => false,
            None => true,
        }
    }

    /// No more events: what is watched is polled from now on.
    pub(super) fn give_up(&mut self, why: Why) {
        self.without = why;
        self.instance = None;
        let watched = self.shared.state().renewed();
        self.watch_all(&watched);
    }

    /// Watches everything anew, if that is needed.
    pub(super) fn refresh(&mut self) {
        let (watched, generation) = {
            let mut state = self.shared.state();
            if !state.renew {
                return;
            }
            (state.renewed(), state.generation)
        };
        self.tidy();
        if let Some(Instance::Debounced(_)) = &self.instance {
            self.instance = None; // it takes one of the few of the system's
            match Debounced::new(&self.shared, generation, &self.cookie_dir) {
                Ok(debounced) => self.instance = Some(Instance::Debounced(debounced)),
                Err(why) => self.without = why,
            }
        }
        self.without_events.clear(); // numbers of devices are used again
        self.watch_all(&watched);
    }

    /// Has inotify give up what no name leads to any more.
    fn tidy(&self) {
        if let Some(Instance::Native(inotify)) = &self.instance {
            inotify.tidy(&mut self.shared.state());
        }
    }

    pub(super) fn unwatch(&mut self, directory: &Path) {
        self.shared.state().leave(clean(directory).as_os_str());
        self.tidy();
    }

    pub(super) fn watch<P: AsRef<Path>>(&mut self, directories: &[P]) -> Vec<Watched> {
        self.read(); // or what happened before would be taken for something about what is watched now
        self.refresh();
        self.watch_all(directories)
    }

    fn watch_all<P: AsRef<Path>>(&mut self, directories: &[P]) -> Vec<Watched> {
        let mut watched = Vec::with_capacity(directories.len());
        for some in directories.chunks(AT_ONCE) {
            let mut wishes = Vec::new();
            for directory in some {
                let path = clean(directory.as_ref());
                watched.push(match self.look(&path) {
                    Ok(inode) => self.watch_now(path, inode, watched.len(), &mut wishes),
                    Err(instead) => instead,
                });
            }
            self.ask(wishes, &mut watched);
        }
        watched
    }

    /// Which directory is there, if it can be watched, as far as one can tell beforehand.
    fn look(&mut self, path: &Path) -> Result<Id, Watched> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => metadata,
            Err(error) if !is_missing(&error) => {
                return Err(self.poll(path, Why::Refused(error.to_string())));
            }
            _ => return Err(self.missing(path)),
        };
        if self.instance.is_none() {
            return Err(self.poll(path, self.without.clone()));
        }
        let known = self.without_events.entry(metadata.dev());
        if let Some(name) = known.or_insert_with(|| filesystem::without_events(path)) {
            let why = Why::FileSystem(name);
            return Err(self.poll(path, why));
        }
        let is_full = self.most_watches.is_some_and(|most| {
            let state = self.shared.state();
            state.places.events() >= most && state.places.watched(path).is_none()
        });
        if is_full {
            return Err(self.poll(path, Why::WatchLimit(Limit::default())));
        }
        Ok(Id::Inode(metadata.dev(), metadata.ino()))
    }

    /// Watches a directory, or leaves it for later.
    fn watch_now(&self, path: PathBuf, inode: Id, at: usize, later: &mut Vec<Wish>) -> Watched {
        let mut state = self.shared.state();
        if let Some(Instance::Native(inotify)) = &self.instance {
            let result = inotify.watch(&mut state, &path);
            drop(state);
            return match result {
                Ok(()) => Watched::Events,
                Err(None) => self.missing(&path),
                Err(Some(why)) => self.poll(&path, why),
            };
        }
        let before = state.places.watched(&path);
        if before != Some(inode) {
            if before.is_some() {
                state.lose(&path);
            }
            // The debouncer may report the loss of a watch before it has said that there is one.
            state.enter(&path, How::Events(inode));
            later.push(Wish { at, path, inode });
        }
        Watched::Events
    }

    /// Has the debouncer watch them.
    fn ask(&mut self, wishes: Vec<Wish>, watched: &mut [Watched]) {
        let Some(Instance::Debounced(debounced)) = &mut self.instance else { return };
        let unwanted = self.shared.state().unwanted();
        let paths: Vec<PathBuf> = wishes.iter().map(|wish| wish.path.clone()).collect();
        let refused = match debounced.watch(&unwanted, &paths) {
            Ok(refused) => refused,
            Err(why) => {
                std::mem::forget(self.instance.take()); // closing it would panic
                wishes.iter().for_each(|wish| watched[wish.at] = Watched::Polled);
                return self.give_up(why);
            }
        };
        let mut refused = refused.into_iter().peekable();
        for Wish { at, path, inode } in wishes {
            // In the same order, so that thousands need no search.
            if let Some((_, why)) = refused.next_if(|(other, _)| *other == path) {
                self.shared.state().places.remove(path.as_os_str());
                watched[at] = why.map_or(Watched::Missing, |why| self.poll(&path, why));
                continue;
            }
            // What it watches is what was there at some moment between the two looks, unless it was lost
            // meanwhile.
            let now = fs::metadata(&path).ok().map(|now| Id::Inode(now.dev(), now.ino()));
            let mut state = self.shared.state();
            if now != Some(inode) || state.places.watched(&path) != now {
                state.lose(&path);
                state.begin_anew();
                watched[at] = Watched::Missing;
            }
        }
    }

    fn poll(&self, path: &Path, why: Why) -> Watched {
        self.shared.state().enter(path, How::Polled(why));
        self.tidy();
        Watched::Polled
    }

    fn missing(&self, path: &Path) -> Watched {
        self.shared.state().lose(path);
        self.tidy();
        Watched::Missing
    }
}

/// A directory that the debouncer is to watch.
struct Wish {
    at: usize,
    path: PathBuf,
    inode: Id,
}

/// Without a slash at the end or anything else that would make two paths of one.
fn clean(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Links that lead to each other lead nowhere.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}
