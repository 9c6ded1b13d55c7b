//! Following trails gives what walking and reading everything gives, whatever happened in between.

use std::{
    collections::HashMap,
    fs::{self, Permissions},
    num::NonZero,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Instant, SystemTime},
};

use devtask::{
    model::{Digest, DirRecord},
    pattern::{PatternKind, PatternSet},
    scan::{FileTable, Memory, NoMemory, Route, Sight, TableOptions, Trail, Wanted, same_identities},
};
use fastrand::Rng;

use crate::support::Tree;

/// What a store keeps of it.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Saved>>);

#[derive(Default)]
struct Saved {
    directories: HashMap<Vec<u8>, DirRecord>,
    trails: HashMap<Digest, Trail>,
    route: Option<Vec<u8>>,
}

/// How often what was kept could be used.
#[derive(Default)]
struct Followed {
    trails: usize,
    whole_routes: usize,
    parts_of_routes: usize,
    /// Sets that were seen, of whose files was known what they were since.
    unknown: usize,
}

impl Memory for Kept {
    fn recall(&self, directory: &[u8]) -> Option<DirRecord> {
        self.0.lock().unwrap().directories.get(directory).cloned()
    }

    fn trail(&self, set: Digest) -> Option<Trail> {
        self.0.lock().unwrap().trails.get(&set).cloned()
    }
}

impl Kept {
    fn save(&self, table: &FileTable) {
        let route = table.route().ok();
        let mut kept = self.0.lock().unwrap();
        kept.directories.extend(table.take_changes());
        kept.trails.extend(table.take_trails().into_iter().map(|(key, trail)| (key, Trail::clone(&trail))));
        if let Some(route) = route {
            kept.route = Some(route.packed().to_vec());
        }
    }
}

/// A table for which every stamp is well in the past.
pub(crate) fn table(tree: &Tree, memory: impl Memory + 'static) -> FileTable {
    let now_ns = Box::new(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        i128::try_from(now.as_nanos()).unwrap() + 10_000_000_000
    });
    FileTable::new(&tree.root, Box::new(memory), TableOptions { now_ns, ..TableOptions::default() })
}

/// Waits until whatever is written from now on has another stamp than what is there.
pub(crate) fn tick(tree: &Tree) {
    let probe = tree.root.parent().unwrap().join("probe");
    let stamp = || {
        fs::write(&probe, "").unwrap();
        fs::metadata(&probe).unwrap().modified().unwrap()
    };
    let (first, deadline) = (stamp(), Instant::now() + std::time::Duration::from_secs(10));
    while stamp() == first {
        assert!(Instant::now() < deadline, "stamps stand still");
    }
}

pub(crate) const SETS: [(&str, PatternKind); 9] = [
    ("**/*.rs", PatternKind::Inputs),
    ("**/*.rs !b/**", PatternKind::Inputs),
    ("a", PatternKind::Inputs),
    ("a/x.rs b/y.txt z.rs missing/deep/q.rs", PatternKind::Inputs),
    ("a/*.rs c/**/*", PatternKind::Inputs),
    ("../beside/**/*.rs ../beside/z.rs", PatternKind::Inputs),
    ("gone/**/*.rs d", PatternKind::Inputs),
    ("out/**", PatternKind::Outputs),
    ("b", PatternKind::Outputs),
];

const DIRECTORIES: [&str; 12] =
    ["", "a/", "a/a/", "a/b/", "b/", "b/a/", "c/", "c/d/", "out/", "missing/deep/", "../beside/", "gone/"];
const NAMES: [&str; 6] = ["x.rs", "y.rs", "z.rs", "y.txt", ".h.rs", "d"];

pub(crate) struct World {
    pub(crate) tree: Tree,
    pub(crate) rng: Rng,
}

impl World {
    fn path(&mut self) -> PathBuf {
        let directory = DIRECTORIES[self.rng.usize(..DIRECTORIES.len())];
        self.tree.root.join(format!("{directory}{}", NAMES[self.rng.usize(..NAMES.len())]))
    }

    fn directory(&mut self) -> PathBuf {
        self.tree.root.join(DIRECTORIES[self.rng.usize(1..DIRECTORIES.len())].trim_end_matches('/'))
    }

    /// Something happens; what cannot happen now does not.
    pub(crate) fn edit(&mut self) -> String {
        let (path, other) = (self.path(), self.path());
        let (directory, another) = (self.directory(), self.directory());
        let text = self.rng.u8(..).to_string();
        let _ = fs::create_dir_all(path.parent().unwrap());
        let rules = ["*.txt\n", "a/\n!x.rs\n", "y.rs\n", "/b\n", "\n"][self.rng.usize(..5)];
        let kind = self.rng.u8(..20);
        let _ = match kind {
            0..=3 => fs::write(&path, text),
            4 => fs::read(&path).and_then(|text| fs::write(&path, text)),
            5 => fs::remove_file(&path),
            6 => fs::rename(&path, &other),
            7 => fs::rename(&directory, &another),
            8 => fs::remove_dir_all(&directory),
            9 => fs::write(path.with_extension("tmp"), text)
                .and_then(|()| fs::rename(path.with_extension("tmp"), &path)),
            10 => fs::create_dir_all(&path),
            11 => std::os::unix::fs::symlink(&other, &path),
            12 => std::os::unix::fs::symlink(&directory, &path),
            13 => fs::write(directory.join(".gitignore"), rules),
            14 => fs::remove_file(directory.join(".gitignore")),
            15 => fs::write(self.tree.root.join(".gitignore"), rules),
            16 => fs::create_dir_all(directory.join(".git/info")),
            17 => fs::write(directory.join(".git/info/exclude"), rules),
            18 => fs::set_permissions(
                &path,
                Permissions::from_mode(0o644 | (u32::from(text.len() > 1) * 0o111)),
            ),
            _ => fs::remove_dir_all(directory.join(".git")),
        };
        format!("{kind} {} {} {}", path.display(), other.display(), directory.display())
    }

    fn look(&self, table: &FileTable) -> Vec<Sight> {
        let make: Vec<_> = SETS.iter().map(|set| || Arc::new(self.patterns(set))).collect();
        let key = |at: usize| Digest(at as u128);
        let wanted: Vec<Wanted<'_>> =
            make.iter().enumerate().map(|(at, patterns)| Wanted { key: key(at), patterns }).collect();
        table.look(&self.tree.scanner(1), &wanted, NonZero::new(2).unwrap())
    }

    pub(crate) fn patterns(&self, (patterns, kind): &(&str, PatternKind)) -> PatternSet {
        self.tree.set(patterns, *kind)
    }

    /// Goes the route there is, if there is one and it leads anywhere.
    fn follow(&self, kept: &Kept, table: &FileTable, followed: &mut Followed) {
        let Some(route) = kept.0.lock().unwrap().route.clone() else { return };
        let seen =
            Route::unpack(&route).follow(&self.tree.root, NonZero::new(2).unwrap()).expect("our own route");
        followed.whole_routes += usize::from(seen.is_whole());
        followed.parts_of_routes += usize::from(!seen.is_whole());
        table.believe(seen);
    }

    /// Looks along the route and along trails, and by walking.
    fn compare(&self, kept: &Kept, history: &[String], followed: &mut Followed) {
        let table_with = table(&self.tree, kept.clone());
        self.follow(kept, &table_with, followed);
        let (sights, again) = (self.look(&table_with), self.look(&table(&self.tree, NoMemory)));
        for ((set, sight), new) in SETS.iter().zip(&sights).zip(&again) {
            let known = table_with.files_of(sight);
            followed.unknown += usize::from(known.is_none());
            let Some(files) = known else { continue };
            let walked = self.tree.scanner(1).walk(&[&self.patterns(set)]).pop().unwrap();
            let walked = table(&self.tree, NoMemory).digest(&walked);
            let rows = |set: &devtask::scan::FileSet| {
                set.entries.iter().map(|e| (e.path.clone(), e.kind, e.digest)).collect::<Vec<_>>()
            };
            assert_eq!(rows(&files), rows(&walked), "{set:?} after {history:#?}");
            assert_eq!(sight.content(), new.content(), "{set:?} after {history:#?}");
            assert_eq!((sight.unmatched(), sight.problems()), (new.unmatched(), new.problems()), "{set:?}");
        }
        kept.save(&table_with);
        followed.trails += sights.iter().filter(|sight| sight.is_along_trail()).count();
    }
}

#[test]
fn a_trail_leads_where_a_walk_does() {
    let (mut followed, mut looked) = (Followed::default(), 0);
    for seed in 0..40 {
        let tree = Tree::new(&["a/x.rs=1", "a/a/y.rs=2", "b/y.txt=3", "c/d/x.rs=4", "out/x.rs=5"]);
        let mut world = World { tree, rng: Rng::with_seed(seed) };
        let (kept, mut history) = (Kept::default(), vec![format!("seed {seed}")]);
        world.compare(&kept, &history, &mut followed);
        for _ in 0..25 {
            tick(&world.tree);
            for _ in 0..world.rng.usize(..3) {
                history.push(world.edit());
            }
            world.compare(&kept, &history, &mut followed);
            looked += SETS.len();
        }
    }
    let Followed { trails, whole_routes, parts_of_routes, unknown } = followed;
    assert!(trails * 4 > looked, "{trails} of {looked}: hardly any trail was followed");
    assert!(unknown * 20 < looked, "{unknown} of {looked}: too little is known");
    assert!(trails < looked, "every trail was followed: nothing happened");
    assert!(
        whole_routes > 50 && parts_of_routes > 100,
        "{whole_routes} routes whole, {parts_of_routes} in part"
    );
}

#[test]
fn what_is_too_new_leaves_no_trail() {
    let tree = Tree::new(&["a/x.rs"]);
    let now = |ahead: i128| TableOptions {
        now_ns: Box::new(move || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            i128::try_from(now.as_nanos()).unwrap() + ahead
        }),
        ..TableOptions::default()
    };
    for (ahead, trails) in [(0, 0), (1_000_000_000, 0), (3_000_000_000, 1)] {
        let table = FileTable::new(&tree.root, Box::new(NoMemory), now(ahead));
        let patterns = || Arc::new(tree.inputs("a/**/*.rs"));
        let wanted = [Wanted { key: Digest(1), patterns: &patterns }];
        let sights = table.look(&tree.scanner(1), &wanted, NonZero::<usize>::MIN);
        assert_eq!((sights.len(), table.take_trails().len()), (1, trails), "{ahead}");
    }
}

/// The stamps of its directories say nothing about what is in them.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_is_not_known_to_keep_stamps_leaves_no_trail() {
    let tree = Tree::new(&["a/x.rs"]);
    for (patterns, trails) in [("a/**/*.rs", 1), ("/proc/sys/kernel/random/*", 0)] {
        let table = table(&tree, NoMemory);
        let make = || Arc::new(tree.set(patterns, PatternKind::Outputs));
        let wanted = [Wanted { key: Digest(1), patterns: &make }];
        let sights = table.look(&tree.scanner(1), &wanted, NonZero::<usize>::MIN);
        assert_eq!(sights[0].unmatched(), [0_usize; 0], "{patterns} matches something");
        assert_eq!(table.take_trails().len(), trails, "{patterns}");
    }
}

/// Of two links to one directory only the first is followed, and nothing in the directory that was listed
/// tells that the second leads elsewhere now.
#[test]
fn links_to_directories_are_always_walked() {
    let tree = Tree::new(&["x/f.rs=1", "y/g.rs=2", "d/"]);
    tree.link("x", "middle");
    tree.link("../x", "d/a");
    tree.link("../middle", "d/b");
    let (kept, names) = (Kept::default(), |files: &devtask::scan::FileSet| {
        files.entries.iter().map(|entry| tree.name(&entry.path)).collect::<Vec<_>>()
    });
    let look = || {
        let table = table(&tree, kept.clone());
        let make = || Arc::new(tree.inputs("d/**/*.rs"));
        let wanted = [Wanted { key: Digest(1), patterns: &make }];
        let sights = table.look(&tree.scanner(1), &wanted, NonZero::<usize>::MIN);
        kept.save(&table);
        names(&table.files_of(&sights[0]).unwrap())
    };
    assert_eq!(look(), ["d/a/f.rs", "d/b"]);
    fs::remove_file(tree.path("middle")).unwrap();
    tree.link("y", "middle");
    assert_eq!(look(), ["d/a/f.rs", "d/b/g.rs"]);
}

/// Nothing in the directory that was listed tells that a link in it leads somewhere now.
#[test]
fn what_comes_where_a_link_led_is_found() {
    for (comes, expected) in [("y/g.rs", ["d/a/g.rs", "d/f.rs"].as_slice()), ("y", &["d/f.rs"])] {
        let tree = Tree::new(&["d/f.rs=1"]);
        tree.link("../y", "d/a");
        assert_eq!(names_after(&tree, "d/**/*.rs", || tree.add(comes)), expected, "after {comes}");
    }
}

/// Looks twice, so that there is a trail, has something happen, and looks once more: the names.
fn names_after(tree: &Tree, patterns: &str, happens: impl FnOnce()) -> Vec<String> {
    let kept = Kept::default();
    let look = || {
        let table = table(tree, kept.clone());
        let make = || Arc::new(tree.inputs(patterns));
        let wanted = [Wanted { key: Digest(1), patterns: &make }];
        let sights = table.look(&tree.scanner(1), &wanted, NonZero::<usize>::MIN);
        kept.save(&table);
        let files = table.files_of(&sights[0]).unwrap();
        let names = files.entries.iter().map(|entry| tree.name(&entry.path)).collect();
        (names, sights[0].is_along_trail())
    };
    assert!(!look().1);
    assert!(look().1, "there is a trail");
    happens();
    look().0
}

/// To a directory other rules apply than to the link that led nowhere.
#[test]
fn a_link_that_was_ignored_is_asked_for_again() {
    let tree = Tree::new(&["d/f.rs=1"]);
    tree.add(".git/");
    fs::write(tree.path(".gitignore"), "*\n!*/\n!*.rs\n").unwrap();
    tree.link("../y", "d/a");
    assert_eq!(names_after(&tree, "d/**", || tree.add("y/g.rs")), ["d/a/g.rs", "d/f.rs"]);
}

/// What a `.git` is decides where its rules are, whatever becomes of its stamps.
#[test]
fn a_repository_that_becomes_a_linked_work_tree_has_other_rules() {
    let tree = Tree::new(&["d/f.rs=1", "d/g.rs=2", ".git/"]);
    let names = names_after(&tree, "d/*.rs", || {
        tree.add("other/info/");
        fs::write(tree.path("other/info/exclude"), "g.rs\n").unwrap();
        fs::remove_dir(tree.path(".git")).unwrap();
        fs::write(tree.path(".git"), "gitdir: other\n").unwrap();
    });
    assert_eq!(names, ["d/f.rs"]);
    let tree = Tree::new(&["d/f.rs=1", ".git/"]);
    assert_eq!(names_after(&tree, "d/*.rs", || tree.add(".git/index")), ["d/f.rs"]);
}

/// Who has looked once and looks again finds a set untouched only if nothing in it has moved.
#[test]
fn a_set_is_untouched_only_if_nothing_moved() {
    let (mut untouched, mut unmoved, mut looked) = (0, 0, 0);
    for seed in 0..40 {
        let tree = Tree::new(&["a/x.rs=1", "a/a/y.rs=2", "b/y.txt=3", "c/d/x.rs=4", "out/x.rs=5"]);
        let mut world = World { tree, rng: Rng::with_seed(1000 + seed) };
        let (kept, mut history) = (Kept::default(), vec![format!("seed {seed}")]);
        for _ in 0..25 {
            let table = table(&world.tree, kept.clone());
            let before: Vec<_> = world.look(&table).iter().map(|sight| table.files_of(sight)).collect();
            tick(&world.tree);
            for _ in 0..world.rng.usize(..3) {
                history.push(world.edit());
            }
            for ((at, set), before) in SETS.iter().enumerate().zip(before) {
                let before = before.expect("it was seen just now");
                let now = world.tree.scanner(1).walk(&[&world.patterns(set)]).pop().unwrap();
                let moved = same_identities(&before, &now, None);
                let is_untouched = table.is_untouched(Digest(at as u128), &before);
                assert!(!is_untouched || moved.is_none(), "{moved:?} of {set:?} after {history:#?}");
                (untouched, unmoved) =
                    (untouched + usize::from(is_untouched), unmoved + usize::from(moved.is_none()));
                looked += 1;
            }
            kept.save(&table);
        }
    }
    assert!(untouched * 2 > unmoved, "{untouched} of {unmoved}: hardly anything was found untouched");
    assert!(unmoved < looked, "nothing ever moved");
}
