//! What is kept true by events is what a walk finds, whatever happened in between, and whatever was watched is
//! enough for that.
//!
//! Events come from a watcher that is made up: it compares the tree before and after, and tells of a directory only
//! if that very directory is attended, as the system does.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    num::NonZero,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use devtask::{
    model::Digest,
    pattern::{PatternKind, PatternSet},
    scan::{Attendant, Change, FileSet, FileTable, Live, NoMemory},
};
use fastrand::Rng;

use crate::{
    support::Tree,
    trails::{SETS, World, table, tick},
};

type Inode = u64;

/// What a stat says of an entry, as far as the system tells of changes: of directories not when something came or went
/// in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    inode: Inode,
    mode: u32,
    stamps: Option<[i64; 5]>,
}

/// Every directory by its number: where it is, and what is in it.
type Snapshot = BTreeMap<Inode, (Inode, PathBuf, BTreeMap<PathBuf, Seen>)>;

fn snapshot(top: &Path) -> Snapshot {
    let mut all = Snapshot::new();
    let mut waiting = vec![(0, top.to_owned())];
    while let Some((above, path)) = waiting.pop() {
        let mut entries = BTreeMap::new();
        let inode = fs::metadata(&path).unwrap().ino();
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            let found = entry.metadata().unwrap();
            let stamps =
                [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec(), found.size() as i64];
            let stamps = (!found.is_dir()).then_some(stamps);
            entries.insert(entry.file_name().into(), Seen { inode: found.ino(), mode: found.mode(), stamps });
            if found.is_dir() {
                waiting.push((inode, entry.path()));
            }
        }
        all.insert(inode, (above, path, entries));
    }
    all
}

/// Attends to directories.
#[derive(Default)]
struct Watcher(RefCell<BTreeMap<PathBuf, Inode>>);

impl Attendant for Watcher {
    fn attend(&self, directory: &Path) -> bool {
        let Some(found) = fs::metadata(directory).ok().filter(|found| found.is_dir()) else { return false };
        self.0.borrow_mut().insert(directory.to_owned(), found.ino());
        true
    }

    fn leave(&self, directory: &Path) {
        self.0.borrow_mut().remove(directory);
    }
}

impl Watcher {
    fn tell(&self, before: &Snapshot, after: &Snapshot, live: &mut Live) {
        let mut watched = self.0.borrow_mut();
        let mut lost = Vec::new();
        for (path, inode) in &*watched {
            // Directories above the tree stand still.
            let Some((above, was, entries)) = before.get(inode) else { continue };
            let Some((above_now, is, entries_now)) = after.get(inode) else {
                lost.push(path.clone());
                continue;
            };
            let names: BTreeSet<&PathBuf> = entries.keys().chain(entries_now.keys()).collect();
            for name in names.into_iter().filter(|name| entries.get(*name) != entries_now.get(*name)) {
                live.note(Change::Entry(path.join(name)));
            }
            if above != above_now || was.file_name() != is.file_name() {
                lost.push(path.clone());
            }
        }
        for path in lost {
            watched.remove(&path);
            live.note(Change::Lost(path));
        }
    }
}

struct Kept {
    live: Live,
    watcher: Watcher,
    table: FileTable,
    sets: Vec<(Digest, Arc<PatternSet>)>,
}

impl Kept {
    fn new(tree: &Tree, sets: Vec<Arc<PatternSet>>) -> Self {
        let sets: Vec<_> = sets.into_iter().enumerate().map(|(at, set)| (Digest(at as u128), set)).collect();
        let live = Live::new(&tree.scanner(1), sets.clone(), NonZero::<usize>::MIN);
        let mut kept = Self { live, watcher: Watcher::default(), table: table(tree, NoMemory), sets };
        kept.live.refresh(&tree.scanner(1), &kept.table, &kept.watcher);
        kept
    }

    /// Does something to the tree, and tells of it what a watcher would.
    fn happen<T>(&mut self, tree: &Tree, what: impl FnOnce() -> T) -> T {
        let top = tree.root.parent().unwrap();
        let before = snapshot(top);
        let done = what();
        self.watcher.tell(&before, &snapshot(top), &mut self.live);
        done
    }

    /// Looks, and compares with what a walk finds.
    fn compare(&mut self, tree: &Tree, history: &[String]) -> usize {
        let before: Vec<Arc<FileSet>> =
            self.sets.iter().map(|(key, _)| self.live.files(*key).unwrap()).collect();
        let contents: Vec<_> = self.sets.iter().map(|(key, _)| self.live.content(*key).unwrap()).collect();
        let moment = self.live.moment();
        let refreshed = self.live.refresh(&tree.scanner(1), &self.table, &self.watcher);
        for (((key, set), before), content) in self.sets.iter().zip(before).zip(contents) {
            let walked = tree.scanner(1).walk(&[set]).pop().unwrap();
            let walked = table(tree, NoMemory).digest(&walked);
            let files = self.live.files(*key).unwrap();
            let what = format!("{:?} after {history:#?}", set.written());
            let rows = |set: &FileSet| {
                set.entries.iter().map(|e| (e.path.clone(), e.kind, e.digest)).collect::<Vec<_>>()
            };
            assert_eq!(rows(&files), rows(&walked), "{what}");
            assert_eq!(files.problems, walked.problems, "{what}");
            assert_eq!(files.unmatched, walked.unmatched, "{what}");
            let sight = self.live.sight(*key).unwrap();
            assert_eq!(sight.unmatched(), walked.unmatched, "{what}");
            let again = table(tree, NoMemory);
            let patterns = || Arc::clone(set);
            let wanted = devtask::scan::Wanted { key: *key, patterns: &patterns };
            let looked = again.look(&tree.scanner(1), &[wanted], NonZero::<usize>::MIN).pop().unwrap();
            assert_eq!(sight.content(), looked.content(), "{what}");
            let differs = rows(&before) != rows(&files);
            assert_eq!(differs, sight.content() != content, "{what}");
            assert_eq!(refreshed.sets.contains(key), differs, "{what}");
            self.compare_touched(*key, moment, &before, &files, &what);
        }
        refreshed.sets.len()
    }

    /// Whatever has another identity was touched; what changed is among what is told.
    fn compare_touched(
        &self,
        key: Digest,
        moment: devtask::scan::Moment,
        before: &FileSet,
        now: &FileSet,
        what: &str,
    ) {
        let told: BTreeSet<&Path> = self.live.touched_since(key, moment).unwrap().into_iter().collect();
        let by_path = |files: &FileSet| -> BTreeMap<PathBuf, _> {
            let files = files.entries.iter().filter(|e| e.kind != devtask::model::FileKind::Directory);
            files.map(|e| (e.path.to_path_buf(), (e.identity, e.kind))).collect()
        };
        let (before, now) = (by_path(before), by_path(now));
        let paths: BTreeSet<&PathBuf> = before.keys().chain(now.keys()).collect();
        for path in paths.into_iter().filter(|path| before.get(*path) != now.get(*path)) {
            assert!(told.contains(path.as_path()), "{path:?} of {what}");
        }
    }
}

#[test]
fn what_is_kept_is_what_a_walk_finds() {
    let (mut changed, mut looked) = (0, 0);
    for seed in 0..60 {
        let tree = Tree::new(&["a/x.rs=1", "a/a/y.rs=2", "b/y.txt=3", "c/d/x.rs=4", "out/x.rs=5"]);
        let mut world = World { tree, rng: Rng::with_seed(seed) };
        let sets = SETS.iter().map(|set| Arc::new(world.patterns(set))).collect();
        let mut kept = Kept::new(&world.tree, sets);
        let mut history = vec![format!("seed {seed}")];
        for _ in 0..40 {
            tick(&world.tree);
            for _ in 0..world.rng.usize(..4) {
                let top = world.tree.root.parent().unwrap().to_owned();
                let before = snapshot(&top);
                history.push(world.edit());
                kept.watcher.tell(&before, &snapshot(&top), &mut kept.live);
            }
            changed += kept.compare(&world.tree, &history);
            looked += SETS.len();
        }
    }
    assert!(changed * 20 > looked && changed * 2 < looked, "{changed} of {looked} changed");
}

fn inputs(tree: &Tree, patterns: &[&str]) -> Vec<Arc<PatternSet>> {
    patterns.iter().map(|patterns| Arc::new(tree.set(patterns, PatternKind::Inputs))).collect()
}

#[test]
fn directories_nobody_needs_are_not_attended() {
    let tree = Tree::new(&[
        ".gitignore=node_modules",
        "src/a.rs",
        "src/deep/b.rs",
        "node_modules/x/y.rs",
        "other/z.rs",
    ]);
    let kept = Kept::new(&tree, inputs(&tree, &["src/**/*.rs"]));
    let watched = kept.watcher.0.borrow();
    let names: Vec<String> = watched.keys().map(|path| tree.name(path)).collect();
    // The root for its rules of git, and for `src` to come back to.
    assert_eq!(names, [".", "src", "src/deep"]);
    drop(watched);
    let kept = Kept::new(&tree, inputs(&tree, &["**/*.rs"]));
    let names: Vec<String> = kept.watcher.0.borrow().keys().map(|path| tree.name(path)).collect();
    assert_eq!(names, [".", "other", "src", "src/deep"]);
}

#[test]
fn what_is_not_there_yet_is_waited_for_where_it_would_come() {
    let tree = Tree::new(&["a/x"]);
    let mut kept = Kept::new(&tree, inputs(&tree, &["a/b/c/*.rs", "a/b/c/file"]));
    let history = |what: &str| [what.to_owned()];
    let steps: [(&str, usize); 4] = [("a/b/", 0), ("a/b/c/", 0), ("a/b/c/x.rs=1", 1), ("a/b/c/file=1", 1)];
    for (file, changed) in steps {
        kept.happen(&tree, || tree.add(file));
        assert_eq!(kept.compare(&tree, &history(file)), changed, "{file}");
    }
    kept.happen(&tree, || fs::rename(tree.path("a"), tree.path("z")).unwrap());
    assert_eq!(kept.compare(&tree, &history("moved away")), 2);
    kept.happen(&tree, || fs::rename(tree.path("z"), tree.path("a")).unwrap());
    assert_eq!(kept.compare(&tree, &history("and back")), 2);
}

#[test]
fn a_link_changes_with_what_it_leads_to() {
    let tree = Tree::new(&["far/away/real=1", "src/x=1"]);
    tree.link("away", "far/way");
    tree.link("../far/way/real", "src/link");
    let mut kept = Kept::new(&tree, inputs(&tree, &["src/*"]));
    for (what, edit) in [
        ("written", &(|| fs::write(tree.path("far/away/real"), "2").unwrap()) as &dyn Fn()),
        ("gone", &|| fs::remove_file(tree.path("far/away/real")).unwrap()),
        ("back", &|| fs::write(tree.path("far/away/real"), "3").unwrap()),
        ("led elsewhere", &|| {
            fs::remove_file(tree.path("far/way")).unwrap();
            tree.add("far/else/real=4");
            tree.link("else", "far/way");
        }),
        ("the other is written", &|| fs::write(tree.path("far/else/real"), "5").unwrap()),
    ] {
        tick(&tree);
        kept.happen(&tree, edit);
        assert_eq!(kept.compare(&tree, &[what.to_owned()]), 1, "{what}");
    }
    tick(&tree);
    kept.happen(&tree, || fs::write(tree.path("far/away/real"), "6").unwrap());
    assert_eq!(kept.compare(&tree, &["nobody looks there".to_owned()]), 0);
}

#[test]
fn everything_is_looked_at_anew_when_nobody_knows() {
    let tree = Tree::new(&["a/x=1", "b/y=1"]);
    let mut kept = Kept::new(&tree, inputs(&tree, &["a/**", "b/**"]));
    tick(&tree);
    // Nobody tells of these.
    tree.add("a/x=2");
    tree.add("a/new/z=1");
    kept.live.note(Change::Everything);
    assert_eq!(kept.compare(&tree, &["unheard".to_owned()]), 1);
    tick(&tree);
    kept.happen(&tree, || tree.add("a/new/z=2"));
    assert_eq!(kept.compare(&tree, &["heard again".to_owned()]), 1);
}

/// As with directories that are polled: each is told as a whole, and no entry by its name.
#[test]
fn what_is_told_of_directories_alone_is_enough() {
    let tree = Tree::new(&[".gitignore=none", "a/b/x.rs=1", "a/b/y.rs=1", "c/x.rs=1"]);
    tree.link("../../c/x.rs", "a/b/link.rs");
    let mut kept = Kept::new(&tree, inputs(&tree, &["**/*.rs"]));
    let steps: [(&str, &dyn Fn(), usize); 7] = [
        ("nothing", &|| (), 0),
        ("written", &|| tree.add("a/b/x.rs=2"), 1),
        ("ignored", &|| tree.add(".gitignore=y.rs"), 1),
        ("not ignored", &|| fs::remove_file(tree.path(".gitignore")).unwrap(), 1),
        ("ignored again", &|| tree.add("a/.gitignore=x.rs"), 1),
        ("a link's target written", &|| tree.add("c/x.rs=2"), 1),
        ("new directories", &|| tree.add("d/e/x.rs=2"), 1),
    ];
    for (what, edit, changed) in steps {
        tick(&tree);
        edit();
        let attended: Vec<PathBuf> = kept.watcher.0.borrow().keys().cloned().collect();
        attended.into_iter().for_each(|path| kept.live.note(Change::Directory(path)));
        assert_eq!(kept.compare(&tree, &[what.to_owned()]), changed, "{what}");
    }
}

#[test]
fn a_directory_on_the_way_out_of_the_tree_may_be_another() {
    let tree = Tree::new(&["src/x.rs=1", "../shared/lib/x.rs=1", "../new/lib/x.rs=2"]);
    let mut kept = Kept::new(&tree, inputs(&tree, &["src/*.rs", "../shared/lib/*.rs"]));
    let rename = |from: &str, to: &str| fs::rename(tree.path(from), tree.path(to)).unwrap();
    tick(&tree);
    kept.happen(&tree, || rename("../shared", "../old"));
    assert_eq!(kept.compare(&tree, &["gone".to_owned()]), 1);
    kept.happen(&tree, || rename("../new", "../shared"));
    assert_eq!(kept.compare(&tree, &["another is there".to_owned()]), 1);
    tick(&tree);
    kept.happen(&tree, || {
        rename("../shared", "../new");
        rename("../old", "../shared");
    });
    assert_eq!(kept.compare(&tree, &["back".to_owned()]), 1);
}

/// Attends to directories, but to one of them only when it is asked again: it came a moment too late.
struct Late<'a>(&'a Watcher, RefCell<Option<PathBuf>>);

impl Attendant for Late<'_> {
    fn attend(&self, directory: &Path) -> bool {
        let is_late = self.1.borrow().as_deref() == Some(directory);
        if is_late {
            *self.1.borrow_mut() = None;
        }
        !is_late && self.0.attend(directory)
    }

    fn leave(&self, directory: &Path) {
        self.0.leave(directory);
    }
}

#[test]
fn a_directory_that_came_a_moment_too_late_is_attended_to() {
    let tree = Tree::new(&["a/x.rs=1"]);
    let mut kept = Kept::new(&tree, inputs(&tree, &["a/**/*.rs"]));
    tick(&tree);
    kept.happen(&tree, || tree.add("a/b/x.rs=1"));
    let late = Late(&kept.watcher, RefCell::new(Some(tree.path("a/b"))));
    let refreshed = kept.live.refresh(&tree.scanner(1), &kept.table, &late);
    assert_eq!((refreshed.sets.len(), late.1.into_inner()), (1, None));
    kept.happen(&tree, || tree.add("a/b/y.rs=1"));
    assert_eq!(kept.compare(&tree, &["heard of".to_owned()]), 1);
}

/// A file system without events may begin where a link leads.
#[test]
fn a_directory_that_only_a_link_leads_to_is_of_concern() {
    let tree = Tree::new(&["src/x.rs=1", "../far/real=1", "../further/real=1"]);
    tree.link("../../far/real", "src/link.rs");
    let mut kept = Kept::new(&tree, inputs(&tree, &["src/*.rs"]));
    tick(&tree);
    tree.add("../far/real=2");
    let far = Change::Directory(tree.root.parent().unwrap().join("far"));
    assert!(kept.live.concerns(&far));
    assert!(!kept.live.concerns(&Change::Directory(tree.root.parent().unwrap().join("further"))));
    kept.live.note(far);
    assert_eq!(kept.compare(&tree, &["written".to_owned()]), 1);
}
