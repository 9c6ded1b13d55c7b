//! Which directories are watched, under which names, and how.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    fs::Metadata,
    ops::Bound,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::health::Why;

/// Which directory it is, whatever it is called: device and inode.
pub(super) type Inode = (u64, u64);

/// The identity of what was looked at.
pub(super) fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

/// A path as it is kept: compared byte by byte, which is several times faster than by components and puts
/// everything below a directory beside each other.
pub(super) type Name = Arc<OsStr>;

/// How one learns what happens in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    Events,
    /// Likewise, but it is our own, for cookies.
    Cookies,
    Polled(Why),
}

#[derive(Debug)]
struct Place {
    inode: Inode,
    how: How,
}

#[derive(Clone, Copy, Debug)]
struct Leaving {
    inode: Inode,
    /// The backend gives it up by itself.
    cleaned: bool,
}

/// All watched directories. One directory can have several names, of which the backend reports just one.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: BTreeMap<Name, Place>,
    /// The names of each directory the system tells about.
    names: HashMap<Inode, Vec<Name>>,
    /// Names that are not watched any more, though the backend may still report under them: what it says
    /// then is about other names of the same directory.
    leaving: HashMap<Name, Leaving>,
    polled: usize,
    ours: usize,
}

impl Places {
    /// Enters a directory. Says whether the backend first has to give up what it watches under that name.
    pub(super) fn insert(&mut self, path: &Path, inode: Inode, how: How) -> bool {
        self.remove(path.as_os_str());
        let left = self.leaving.remove(path.as_os_str());
        let name: Name = path.as_os_str().into();
        if matches!(how, How::Polled(_)) {
            self.polled += 1;
        } else {
            self.ours += usize::from(how == How::Cookies);
            self.names.entry(inode).or_insert_with(|| Vec::with_capacity(1)).push(Arc::clone(&name));
        }
        self.places.insert(name, Place { inode, how });
        left.is_some_and(|left| !left.cleaned)
    }

    /// Forgets a directory that the backend may go on reporting for a while, until [`Places::left`].
    pub(super) fn leave(&mut self, name: &OsStr, cleaned: bool) {
        let inode = self.watched(Path::new(name));
        self.remove(name);
        if let Some(inode) = inode {
            self.leaving.insert(name.into(), Leaving { inode, cleaned });
        }
    }

    /// The names that are leaving, and whether the backend gives them up by itself.
    pub(super) fn leaving(&self) -> impl Iterator<Item = (&Name, bool)> {
        self.leaving.iter().map(|(name, leaving)| (name, leaving.cleaned))
    }

    /// The backend reports nothing more under this name.
    pub(super) fn left(&mut self, name: &OsStr) {
        self.leaving.remove(name);
    }

    pub(super) fn remove(&mut self, name: &OsStr) -> bool {
        let Some(place) = self.places.remove(name) else { return false };
        if matches!(place.how, How::Polled(_)) {
            self.polled -= 1;
            return true;
        }
        self.ours -= usize::from(place.how == How::Cookies);
        if let Some(names) = self.names.get_mut(&place.inode) {
            names.retain(|other| **other != *name);
            if names.is_empty() {
                self.names.remove(&place.inode);
            }
        }
        true
    }

    pub(super) fn how(&self, path: &Path) -> Option<&How> {
        Some(&self.places.get(path.as_os_str())?.how)
    }

    /// The identity of the directory that is watched by events under this name.
    pub(super) fn watched(&self, path: &Path) -> Option<Inode> {
        let place = self.places.get(path.as_os_str())?;
        (!matches!(place.how, How::Polled(_))).then_some(place.inode)
    }

    /// All names under which the directory that the backend calls so is watched by events.
    pub(super) fn namesakes(&self, path: &Path) -> &[Name] {
        let leaving = || Some(self.leaving.get(path.as_os_str())?.inode);
        self.watched(path).or_else(leaving).map_or(&[], |inode| self.names_of(inode))
    }

    /// All names under which this directory is watched by events.
    pub(super) fn names_of(&self, inode: Inode) -> &[Name] {
        self.names.get(&inode).map_or(&[], Vec::as_slice)
    }

    /// This directory, if it is watched, and all watched ones below it.
    pub(super) fn tree(&self, top: &Path) -> Vec<Name> {
        let top = top.as_os_str();
        let mut below = top.as_bytes().to_vec();
        if !below.ends_with(b"/") {
            below.push(b'/');
        }
        let from = (Bound::Included(OsStr::from_bytes(&below)), Bound::Unbounded);
        let itself = self.places.get_key_value(top).map(|(name, _)| name);
        let rest = self.places.range::<OsStr, _>(from).map(|(name, _)| name);
        let rest = rest.take_while(|name| name.as_bytes().starts_with(&below));
        itself.into_iter().chain(rest).cloned().collect()
    }

    /// How many directories the system tells about; ours is not counted.
    pub(super) fn events(&self) -> usize {
        self.places.len() - self.polled - self.ours
    }

    /// How many are polled.
    pub(super) fn polled(&self) -> usize {
        self.polled
    }

    pub(super) fn all_polled(&self) -> impl Iterator<Item = (&Path, &Why)> {
        self.places.iter().filter_map(|(name, place)| match &place.how {
            How::Polled(why) => Some((Path::new(name), why)),
            How::Events | How::Cookies => None,
        })
    }

    /// Forgets all that are watched by events; says which they were, ours not among them.
    pub(super) fn forget_watched(&mut self) -> Vec<PathBuf> {
        self.names = HashMap::new();
        self.leaving = HashMap::new();
        self.ours = 0;
        let mut forgotten = Vec::new();
        self.places.retain(|name, place| match place.how {
            How::Polled(_) => true,
            How::Cookies => false,
            How::Events => {
                forgotten.push(PathBuf::from(&**name));
                false
            }
        });
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(paths: &[(&str, u64)]) -> Places {
        let mut places = Places::default();
        for (path, inode) in paths {
            places.insert(Path::new(path), (1, *inode), How::Events);
        }
        places
    }

    fn strings(names: &[Name]) -> Vec<&str> {
        names.iter().map(|name| name.to_str().unwrap()).collect()
    }

    #[test]
    fn a_tree_is_what_lies_below_and_nothing_beside() {
        let places = places(&[("/a", 1), ("/a/b", 2), ("/a/b/c", 3), ("/a-b", 4), ("/a.b/c", 5), ("/ab", 6)]);
        assert_eq!(strings(&places.tree(Path::new("/a"))), ["/a", "/a/b", "/a/b/c"]);
        assert_eq!(strings(&places.tree(Path::new("/a/b"))), ["/a/b", "/a/b/c"]);
        assert_eq!(strings(&places.tree(Path::new("/a.b"))), ["/a.b/c"]);
        assert_eq!(places.tree(Path::new("/")).len(), 6);
        assert!(places.tree(Path::new("/a/x")).is_empty());
    }

    #[test]
    fn one_directory_has_all_its_names() {
        let mut places = places(&[("/real", 1), ("/alias", 1), ("/other", 2)]);
        assert_eq!(strings(places.namesakes(Path::new("/alias"))), ["/real", "/alias"]);
        assert!(places.remove(OsStr::new("/real")));
        assert!(!places.remove(OsStr::new("/real")));
        assert_eq!(strings(places.namesakes(Path::new("/alias"))), ["/alias"]);
        places.insert(Path::new("/alias"), (1, 2), How::Events);
        assert_eq!(strings(places.namesakes(Path::new("/other"))), ["/other", "/alias"]);
        assert!(places.namesakes(Path::new("/real")).is_empty());
    }

    #[test]
    fn a_name_that_leaves_still_stands_for_the_others() {
        let mut places = places(&[("/real", 1), ("/alias", 1)]);
        places.leave(OsStr::new("/alias"), false);
        assert_eq!(strings(places.namesakes(Path::new("/alias"))), ["/real"]);
        assert!(places.watched(Path::new("/alias")).is_none());
        assert!(places.insert(Path::new("/alias"), (1, 2), How::Events), "it was not given up");
        places.leave(OsStr::new("/alias"), true);
        assert!(!places.insert(Path::new("/alias"), (1, 2), How::Events), "it was");
        places.leave(OsStr::new("/alias"), true);
        places.left(OsStr::new("/alias"));
        assert!(places.namesakes(Path::new("/alias")).is_empty());
        assert_eq!(places.leaving().count(), 0);
    }

    #[test]
    fn polled_ones_have_no_namesakes_and_are_counted() {
        let mut places = places(&[("/a", 1)]);
        places.insert(Path::new("/b"), (1, 1), How::Polled(Why::Asked));
        places.insert(Path::new("/c"), (1, 3), How::Cookies);
        assert_eq!((places.events(), places.polled()), (1, 1));
        assert_eq!(strings(places.namesakes(Path::new("/a"))), ["/a"]);
        assert!(places.namesakes(Path::new("/b")).is_empty());
        assert_eq!(places.forget_watched(), [PathBuf::from("/a")]);
        assert_eq!((places.events(), places.polled()), (0, 1));
    }
}
