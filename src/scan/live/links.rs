//! Where links lead through: what happens there happens to the link, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// More links than this in a row lead nowhere, as for the system.
const MOST: usize = 40;

/// Of links, the entries of directories on the way to where they lead.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By link.
    ways: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// By entry on the way.
    through: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
}

impl Links {
    /// Takes note of a link; returns the entries on its way: their directories want to be watched.
    pub(super) fn add(&mut self, link: &Path, root: &Path) -> Vec<PathBuf> {
        let way = way(link, root);
        for entry in &way {
            self.through.entry(entry.clone()).or_default().insert(link.to_owned());
        }
        self.ways.insert(link.to_owned(), way.clone());
        way
    }

    /// Forgets a link; returns what [`add`](Self::add) did.
    pub(super) fn remove(&mut self, link: &Path) -> Vec<PathBuf> {
        let way = self.ways.remove(link).unwrap_or_default();
        for entry in &way {
            if let Some(links) = self.through.get_mut(entry) {
                links.remove(link);
                if links.is_empty() {
                    self.through.remove(entry);
                }
            }
        }
        way
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The links at or beneath a path.
    pub(super) fn beneath(&self, path: &Path) -> Vec<PathBuf> {
        let from = self.ways.range(path.to_owned()..);
        from.map(|(link, _)| link).take_while(|link| link.starts_with(path)).cloned().collect()
    }

    /// The links that lead through an entry.
    pub(super) fn of(&self, entry: &Path) -> Vec<PathBuf> {
        self.through.get(entry).into_iter().flatten().cloned().collect()
    }

    /// The links that lead through any entry of a directory.
    pub(super) fn in_directory(&self, directory: &Path) -> Vec<PathBuf> {
        let from = self.through.range(directory.to_owned()..);
        let beneath = from.take_while(|(entry, _)| entry.starts_with(directory));
        let own = beneath.filter(|(entry, _)| entry.parent() == Some(directory));
        own.flat_map(|(_, links)| links.iter().cloned()).collect()
    }

    /// Whether a link leads through an entry.
    pub(super) fn lead_through(&self, entry: &Path) -> bool {
        self.through.contains_key(entry)
    }
}

/// The entries the system meets on the way from a link to where it leads: every other link, and the last one, which
/// need not exist; beneath the root directories, too, as they may be moved. All by the real names of their directories.
pub(super) fn way(link: &Path, root: &Path) -> Vec<PathBuf> {
    let mut met = Vec::new();
    let mut at = PathBuf::from("/");
    let mut rest: Vec<PathBuf> = names(link);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name.as_os_str() == ".." {
            at.pop();
            continue;
        }
        let entry = at.join(&name);
        match fs::read_link(&entry) {
            Ok(target) if links < MOST => {
                links += 1;
                if entry != link {
                    met.push(entry);
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                rest.extend(names(&target));
            }
            _ if rest.is_empty() || !entry.is_dir() => {
                // The end, or something that keeps anybody from getting there.
                if entry != link {
                    met.push(entry);
                }
                return met;
            }
            _ => {
                if entry != root && entry.starts_with(root) {
                    met.push(entry.clone());
                }
                at = entry;
            }
        }
    }
    met
}

/// The names in a path, the first one last.
fn names(path: &Path) -> Vec<PathBuf> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    let mut names: Vec<PathBuf> = path.components().filter_map(name).collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_way_leads_through_every_link_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("real/sub")).unwrap();
        fs::write(root.join("real/sub/file"), "").unwrap();
        symlink("real", root.join("dir")).unwrap();
        symlink("../dir/sub/file", root.join("real/up")).unwrap();
        symlink("dir/sub/../up", root.join("first")).unwrap();
        symlink("first", root.join("second")).unwrap();
        symlink("nowhere/x", root.join("broken")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for (link, expected) in [
            ("dir", &["real"][..]),
            ("real/up", &["dir", "real/sub/file"]),
            ("first", &["dir", "real/up", "dir", "real/sub/file"]),
            ("second", &["first", "dir", "real/up", "dir", "real/sub/file"]),
            ("broken", &["nowhere"]),
            ("loop", &[]),
        ] {
            let expected: Vec<PathBuf> = expected.iter().map(|name| root.join(name)).collect();
            assert_eq!(way(&root.join(link), Path::new("/elsewhere")), expected, "{link}");
        }
    }

    #[test]
    fn who_asks_for_an_entry_gets_the_links_through_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::write(root.join("file"), "").unwrap();
        let links_of = [root.join("a"), root.join("b")];
        let mut links = Links::default();
        for link in &links_of {
            symlink("file", link).unwrap();
            links.add(link, Path::new("/elsewhere"));
        }
        assert_eq!(links.of(&root.join("file")), links_of);
        assert_eq!(links.in_directory(&root), [links_of.clone()].concat());
        assert_eq!(links.beneath(&root), links_of);
        links.remove(&links_of[0]);
        assert_eq!(links.of(&root.join("file")), [links_of[1].clone()]);
        links.remove(&links_of[1]);
        assert!(!links.lead_through(&root.join("file")));
    }
}
