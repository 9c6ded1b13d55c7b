//! Changes of real files, told by the system, end in what a walk finds: a thousand times each.
//!
//! The source of events and what is kept by them are tried together here, as a watch uses them; each has tests of its
//! own (`tests/watch`, `tests/scan`).

use std::{
    collections::BTreeMap,
    fs,
    num::NonZero,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use devtask::{
    model::{Digest, FileKind},
    pattern::{PatternKind, PatternSet},
    scan::{self, Attendant, FileSet, FileTable, Live, NoMemory, ScanOptions, Scanner, TableOptions},
    watch::{Change, Source, SourceOptions, Synced, Watched},
};
use tempfile::TempDir;

/// How often each way to change files is tried.
const TRIALS: u32 = 1_000;

struct Watcher(Source);

impl Attendant for Watcher {
    fn attend(&self, directory: &Path) -> bool {
        self.0.watch(directory) != Watched::Missing
    }

    fn leave(&self, directory: &Path) {
        self.0.unwatch(directory);
    }
}

/// A tree that is watched.
struct Tree {
    _keep: TempDir,
    top: PathBuf,
    root: PathBuf,
    scanner: Scanner,
    table: FileTable,
    watcher: Watcher,
    live: Live,
    sets: Vec<Arc<PatternSet>>,
}

impl Tree {
    fn new(patterns: &[&str], files: &[&str]) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        let (root, cookies) = (top.join("root"), top.join("cookies"));
        fs::create_dir_all(&cookies).unwrap();
        fs::create_dir_all(&root).unwrap();
        for file in files {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "0").unwrap();
        }
        let threads = NonZero::<usize>::MIN;
        let state_dir = root.join(".devtask");
        let scanner =
            Scanner::new(ScanOptions { root: root.clone(), state_dir, global_ignore: None, threads });
        let set = |pattern: &&str| {
            let patterns = pattern.split(' ').map(str::to_owned).collect::<Vec<_>>();
            Arc::new(PatternSet::new(std::slice::from_ref(&root), &patterns, PatternKind::Inputs).unwrap())
        };
        let sets: Vec<Arc<PatternSet>> = patterns.iter().map(set).collect();
        let keyed = sets.iter().enumerate().map(|(at, set)| (Digest(at as u128), Arc::clone(set))).collect();
        let live = Live::new(&scanner, keyed, threads);
        let table = FileTable::new(&root, Box::new(NoMemory), TableOptions::default());
        let watcher = Watcher(Source::new(SourceOptions::new(cookies), || ()).unwrap());
        let mut tree = Self { _keep: keep, top, root, scanner, table, watcher, live, sets };
        tree.live.refresh(&tree.scanner, &tree.table, &tree.watcher);
        tree.compare("the beginning", 0);
        tree
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Takes in what the system told, and compares with what is there. How many sets are others than before.
    fn compare(&mut self, what: &str, trial: u32) -> usize {
        // Also where that takes long, nothing is to be missed.
        assert_eq!(self.watcher.0.sync(Duration::from_secs(60)), Synced::Known, "nobody tells of anything");
        for change in self.watcher.0.take() {
            self.live.note(match change {
                Change::Entry(path) => scan::Change::Entry(path),
                Change::Directory(path) => scan::Change::Directory(path),
                Change::Lost(path) => scan::Change::Lost(path),
                Change::Everything => scan::Change::Everything,
            });
        }
        let refreshed = self.live.refresh(&self.scanner, &self.table, &self.watcher);
        let all: Vec<&PatternSet> = self.sets.iter().map(Arc::as_ref).collect();
        for (at, walked) in self.scanner.walk(&all).iter().enumerate() {
            let found =
                FileTable::new(&self.root, Box::new(NoMemory), TableOptions::default()).digest(walked);
            let kept = self.live.files(Digest(at as u128)).unwrap();
            assert_eq!(rows(&kept), rows(&found), "{what}, trial {trial}, {:?}", self.sets[at].written());
        }
        refreshed.sets.len()
    }

    /// Tries a way to change files again and again; each time something is another afterwards.
    fn trials(&mut self, what: &str, change: impl Fn(&Self, u32)) {
        for trial in 1..=TRIALS {
            change(self, trial);
            assert!(self.compare(what, trial) > 0, "{what}, trial {trial}: nothing is another");
        }
    }
}

fn rows(set: &FileSet) -> BTreeMap<PathBuf, (FileKind, Digest)> {
    set.entries.iter().map(|entry| (entry.path.to_path_buf(), (entry.kind, entry.digest))).collect()
}

#[test]
fn files_are_saved_in_every_way() {
    let mut tree = Tree::new(&["src/**/*.rs"], &["src/a.rs", "src/deep/b.rs"]);
    tree.trials("written in place", |tree, n| fs::write(tree.at("src/a.rs"), n.to_string()).unwrap());
    tree.trials("written beside, renamed over", |tree, n| {
        fs::write(tree.at("src/a.rs.tmp"), format!("r{n}")).unwrap();
        fs::rename(tree.at("src/a.rs.tmp"), tree.at("src/a.rs")).unwrap();
    });
    tree.trials("renamed away, written anew", |tree, n| {
        fs::rename(tree.at("src/a.rs"), tree.at("src/a.rs~")).unwrap();
        fs::write(tree.at("src/a.rs"), format!("b{n}")).unwrap();
        fs::remove_file(tree.at("src/a.rs~")).unwrap();
    });
    tree.trials("removed, made", |tree, n| {
        fs::remove_file(tree.at("src/deep/b.rs")).unwrap();
        fs::write(tree.at("src/deep/b.rs"), format!("d{n}")).unwrap();
    });
    tree.trials("executable or not", |tree, n| {
        let mode = if n % 2 == 0 { 0o644 } else { 0o755 };
        fs::set_permissions(tree.at("src/a.rs"), fs::Permissions::from_mode(mode)).unwrap();
    });
}

#[test]
fn what_does_not_change_content_changes_nothing() {
    let mut tree = Tree::new(&["src/**"], &["src/a.rs", "src/deep/b.rs"]);
    for trial in 1..=TRIALS {
        let path = tree.at("src/a.rs");
        match trial % 3 {
            0 => fs::write(&path, "0").unwrap(),
            1 => fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::now()).unwrap(),
            _ => {
                fs::write(&path, "another").unwrap();
                fs::rename(tree.at("src"), tree.at("away")).unwrap();
                fs::rename(tree.at("away"), tree.at("src")).unwrap();
                fs::write(&path, "0").unwrap();
            }
        }
        assert_eq!(tree.compare("the same again", trial), 0, "trial {trial}");
    }
}

#[test]
fn directories_come_with_what_is_in_them() {
    let mut tree = Tree::new(&["src/**/*.rs", "src/a/b/c/x.rs"], &["src/a.rs"]);
    tree.trials("directories made with a file", |tree, n| match n % 2 {
        1 => {
            fs::create_dir_all(tree.at("src/a/b/c")).unwrap();
            fs::write(tree.at("src/a/b/c/x.rs"), n.to_string()).unwrap();
        }
        _ => fs::remove_dir_all(tree.at("src/a")).unwrap(),
    });
    let outside = tree.top.join("outside");
    fs::create_dir_all(outside.join("one/two")).unwrap();
    fs::write(outside.join("one/two/y.rs"), "y").unwrap();
    tree.trials("a tree moved in and out", |tree, n| match n % 2 {
        1 => fs::rename(outside.join("one"), tree.at("src/one")).unwrap(),
        _ => fs::rename(tree.at("src/one"), outside.join("one")).unwrap(),
    });
    tree.trials("written in what was moved in", |tree, n| {
        if n == 1 {
            fs::rename(outside.join("one"), tree.at("src/one")).unwrap();
        }
        fs::write(tree.at("src/one/two/y.rs"), n.to_string()).unwrap();
    });
}

#[test]
fn archives_are_unpacked() {
    let mut tree = Tree::new(&["src/**"], &["src/a.rs"]);
    let made = tree.top.join("made/pack");
    for name in ["a/b/c/1", "a/b/2", "a/3", "4"] {
        fs::create_dir_all(made.join(name).parent().unwrap()).unwrap();
        fs::write(made.join(name), name).unwrap();
    }
    let archive = tree.top.join("pack.tar");
    let tar = |args: &[&Path]| assert!(Command::new("tar").args(args).status().unwrap().success());
    tar(&["-cf".as_ref(), &archive, "-C".as_ref(), made.parent().unwrap(), "pack".as_ref()]);
    tree.trials("an archive unpacked", |tree, n| match n % 2 {
        1 => tar(&["-xf".as_ref(), &archive, "-C".as_ref(), &tree.at("src")]),
        _ => fs::remove_dir_all(tree.at("src/pack")).unwrap(),
    });
}

#[test]
fn the_root_is_replaced() {
    let mut tree = Tree::new(&["**/*.rs", "x"], &["src/a.rs"]);
    tree.trials("another tree in the place of the root", |tree, n| {
        let old = tree.top.join("old");
        let _ = fs::remove_dir_all(&old);
        fs::rename(&tree.root, &old).unwrap();
        // What is written to the old one must not pass for the new one.
        fs::write(old.join("src/a.rs"), "old").unwrap();
        fs::create_dir_all(tree.at("src")).unwrap();
        fs::write(tree.at("src/a.rs"), n.to_string()).unwrap();
    });
}

#[test]
fn directories_cannot_be_read_for_a_while() {
    let mut tree = Tree::new(&["src/**"], &["src/a.rs", "src/closed/b.rs"]);
    for trial in 1..=TRIALS {
        let mode = if trial % 2 == 1 { 0o000 } else { 0o755 };
        fs::set_permissions(tree.at("src/closed"), fs::Permissions::from_mode(mode)).unwrap();
        // Whoever may read everything reads this, too.
        tree.compare("a directory nobody may read", trial);
        if mode == 0o755 {
            fs::write(tree.at("src/closed/b.rs"), trial.to_string()).unwrap();
            assert!(tree.compare("readable again", trial) > 0);
        }
    }
}

#[test]
fn links_to_directories_are_followed() {
    let mut tree = Tree::new(&["src/**", "link/*.rs"], &["src/a.rs", "far/b.rs", "other/b.rs"]);
    symlink("../far", tree.at("src/far")).unwrap();
    symlink("far", tree.at("link")).unwrap();
    tree.compare("links made", 0);
    tree.trials("written behind a link", |tree, n| fs::write(tree.at("far/b.rs"), n.to_string()).unwrap());
    tree.trials("a link led elsewhere", |tree, n| {
        fs::write(tree.at("other/b.rs"), format!("o{n}")).unwrap();
        fs::remove_file(tree.at("link")).unwrap();
        symlink(if n % 2 == 1 { "other" } else { "far" }, tree.at("link")).unwrap();
    });
    tree.trials("a directory made behind a link", |tree, n| match n % 2 {
        1 => {
            fs::create_dir_all(tree.at("far/new/er")).unwrap();
            fs::write(tree.at("far/new/er/x.rs"), "x").unwrap();
        }
        _ => fs::remove_dir_all(tree.at("far/new")).unwrap(),
    });
}
