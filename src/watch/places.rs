//! Which directories are watched, under which names, and how.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    ops::Bound,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::Arc,
};

use super::health::Why;

/// Which directory it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Id {
    /// The number inotify gave it.
    #[cfg_attr(not(any(target_os = "linux", test)), expect(dead_code, reason = "there is no inotify"))]
    Watch(i32),
    /// Device and inode.
    Inode(u64, u64),
}

/// A path as it is kept: compared byte by byte, which is several times faster than by components and puts
/// everything below a directory beside each other.
pub(super) type Name = Arc<OsStr>;

/// How one learns what happens in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum How {
    Events(Id),
    Polled(Why),
}

/// All watched directories. One directory can have several names.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: BTreeMap<Name, How>,
    /// The names of each directory the system tells about.
    names: HashMap<Id, Vec<Name>>,
    polled: usize,
}

impl Places {
    /// Enters a directory, under a name that has none.
    pub(super) fn insert(&mut self, path: &Path, how: How) {
        let name: Name = path.as_os_str().into();
        match how {
            How::Polled(_) => self.polled += 1,
            How::Events(id) => {
                self.names.entry(id).or_insert_with(|| Vec::with_capacity(1)).push(Arc::clone(&name));
            }
        }
        self.places.insert(name, how);
    }

    /// Forgets a name. Says how the directory was watched, and whether by this name alone.
    pub(super) fn remove(&mut self, name: &OsStr) -> Option<(How, bool)> {
        let how = self.places.remove(name)?;
        let mut is_last = true;
        match &how {
            How::Polled(_) => self.polled -= 1,
            How::Events(id) => {
                if let Some(names) = self.names.get_mut(id) {
                    names.retain(|other| **other != *name);
                    is_last = names.is_empty();
                }
                if is_last {
                    self.names.remove(id);
                }
            }
        }
        Some((how, is_last))
    }

    /// Which directory is watched by events under this name.
    pub(super) fn watched(&self, path: &Path) -> Option<Id> {
        match self.places.get(path.as_os_str())? {
            How::Events(id) => Some(*id),
            How::Polled(_) => None,
        }
    }

    /// All names under which this directory is watched by events.
    pub(super) fn names_of(&self, id: Id) -> &[Name] {
        self.names.get(&id).map_or(&[], Vec::as_slice)
    }

    /// All names at or below this path.
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
        let itself = itself.into_iter().filter(|name| !name.as_bytes().starts_with(&below));
        itself.chain(rest).cloned().collect()
    }

    /// How many directories the system tells about.
    pub(super) fn events(&self) -> usize {
        self.places.len() - self.polled
    }

    /// How many are polled.
    pub(super) fn polled(&self) -> usize {
        self.polled
    }

    pub(super) fn all_polled(&self) -> impl Iterator<Item = (&Path, &Why)> {
        self.places.iter().filter_map(|(name, how)| match how {
            How::Polled(why) => Some((Path::new(name), why)),
            How::Events(_) => None,
        })
    }

    /// The names of all that are watched by events.
    pub(super) fn all_watched(&self) -> Vec<Name> {
        self.names.values().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(paths: &[(&str, i32)]) -> Places {
        let mut places = Places::default();
        for (path, number) in paths {
            places.insert(Path::new(path), How::Events(Id::Watch(*number)));
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
    fn the_top_of_all_is_in_its_tree_once() {
        let places = places(&[("/", 1), ("/a", 2)]);
        assert_eq!(strings(&places.tree(Path::new("/"))), ["/", "/a"]);
    }

    #[test]
    fn one_directory_has_all_its_names() {
        let mut places = places(&[("/real", 1), ("/alias", 1), ("/other", 2)]);
        let id = places.watched(Path::new("/alias")).unwrap();
        assert_eq!(strings(places.names_of(id)), ["/real", "/alias"]);
        assert_eq!(places.remove(OsStr::new("/real")), Some((How::Events(id), false)));
        assert_eq!(places.remove(OsStr::new("/real")), None);
        assert_eq!(strings(places.names_of(id)), ["/alias"]);
        assert_eq!(places.remove(OsStr::new("/alias")), Some((How::Events(id), true)));
        assert!(places.names_of(id).is_empty());
        assert_eq!(places.watched(Path::new("/alias")), None);
    }

    #[test]
    fn polled_ones_are_counted_by_themselves() {
        let mut places = places(&[("/a", 1)]);
        places.insert(Path::new("/b"), How::Polled(Why::Asked));
        assert_eq!((places.events(), places.polled()), (1, 1));
        assert_eq!(places.watched(Path::new("/b")), None);
        assert_eq!(strings(&places.all_watched()), ["/a"]);
        assert!(places.remove(OsStr::new("/b")).is_some());
        assert_eq!((places.events(), places.polled()), (1, 0));
    }
}
