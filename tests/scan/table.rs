use std::{
    collections::HashMap,
    fs::{self, File, FileTimes},
    num::NonZero,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use devtask::{
    model::{Digest, DirRecord, FileKind, Learnt},
    scan::{
        FileSet, FileTable, Matched, Memory, NoMemory, Problem, TableOptions, directory_key, same_identities,
    },
};
use xxhash_rust::xxh3::xxh3_128;

use crate::support::Tree;

const SECOND: i64 = 1_000_000_000;

/// Records by directory, as a store keeps them, and how often it was asked.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<HashMap<Vec<u8>, DirRecord>>>);

impl Kept {
    fn save(&self, table: &FileTable) -> usize {
        let changes = table.take_changes();
        let count = changes.len();
        self.0.lock().unwrap().extend(changes);
        count
    }

    fn edit(&self, key: &str, change: impl FnOnce(&mut DirRecord)) {
        change(self.0.lock().unwrap().get_mut(key.as_bytes()).unwrap());
    }

    fn names(&self, key: &str) -> Vec<String> {
        let kept = self.0.lock().unwrap();
        kept[key.as_bytes()].files().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()).collect()
    }
}

impl Memory for Kept {
    fn recall(&self, directory: &[u8]) -> Option<DirRecord> {
        self.0.lock().unwrap().get(directory).cloned()
    }
}

/// A clock that runs ahead of the system's by as many seconds as it is told.
#[derive(Clone, Default)]
struct Ahead(Arc<AtomicI64>);

impl Ahead {
    fn by(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds)))
    }

    fn table(&self, tree: &Tree, memory: impl Memory + 'static) -> FileTable {
        let ahead = self.0.clone();
        let now_ns = Box::new(move || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i128;
            now + i128::from(ahead.load(Ordering::Relaxed) * SECOND)
        });
        FileTable::new(&tree.root, Box::new(memory), TableOptions { now_ns, ..TableOptions::default() })
    }
}

fn content(text: &str) -> Digest {
    Digest(xxh3_128(text.as_bytes()))
}

/// A digest no content has: a record that carries it shows whether it was trusted.
const PLANTED: Digest = Digest(7);

fn plant(record: &mut DirRecord) {
    let planted: Vec<_> =
        record.files().map(|(name, learnt)| (name.to_vec(), Learnt { digest: PLANTED, ..learnt })).collect();
    *record = DirRecord::new(planted.iter().map(|(name, learnt)| (name.as_slice(), learnt)));
}

fn look(tree: &Tree, table: &FileTable, patterns: &str) -> FileSet {
    table.digest(&tree.walk(patterns))
}

fn digests(set: &FileSet) -> Vec<Digest> {
    set.entries.iter().map(|entry| entry.digest).collect()
}

#[test]
fn digests_are_those_of_the_contents() {
    let tree = Tree::new(&["a=one", "b=", "d/c=two"]);
    let large = vec![b'x'; 300_000];
    fs::write(tree.path("e"), &large).unwrap();
    let set = look(&tree, &Ahead::default().table(&tree, NoMemory), "a b d/* e");
    assert_eq!(digests(&set), [content("one"), content(""), content("two"), Digest(xxh3_128(&large))]);
    assert_eq!(set.problems, []);
}

#[test]
fn what_has_no_content_has_a_digest_too() {
    let tree = Tree::new(&["d/x"]);
    tree.link("nowhere", "link");
    tree.fifo("fifo");
    let table = Ahead::default().table(&tree, NoMemory);
    let set = look(&tree, &table, "link fifo d");
    let kinds: Vec<FileKind> = set.entries.iter().map(|e| e.kind).collect();
    assert_eq!(kinds[..3], [FileKind::Directory, FileKind::File { executable: false }, FileKind::Special]);
    assert_eq!(set.entries[3].digest, content("nowhere"));
    assert_ne!(set.entries[0].digest, set.entries[2].digest);
    fs::remove_file(tree.path("link")).unwrap();
    tree.link("elsewhere", "link");
    assert_eq!(look(&tree, &table, "link").entries[0].digest, content("elsewhere"));
}

#[test]
fn a_record_is_trusted_while_the_stat_is_the_same() {
    let tree = Tree::new(&["d/a=one"]);
    let (kept, clock) = (Kept::default(), Ahead::by(10));
    let first = clock.table(&tree, kept.clone());
    assert_eq!(digests(&look(&tree, &first, "d/*")), [content("one")]);
    assert_eq!((kept.save(&first), kept.save(&first)), (1, 0));
    kept.edit("d", plant);
    let second = clock.table(&tree, kept.clone());
    assert_eq!(digests(&look(&tree, &second, "d/*")), [PLANTED]);
    assert_eq!(kept.save(&second), 0);
}

#[test]
fn every_part_of_the_identity_counts() {
    let touch = |path: &Path, time| File::options().write(true).open(path).unwrap().set_times(time).unwrap();
    let rewrite_in_place = |path: &Path| {
        let before = fs::metadata(path).unwrap();
        fs::write(path, "two").unwrap();
        touch(path, FileTimes::new().set_modified(before.modified().unwrap()));
        assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), before.modified().unwrap());
    };
    let replace = |path: &Path| {
        let before = fs::metadata(path).unwrap();
        let new = path.with_file_name("new");
        fs::write(&new, "two").unwrap();
        touch(&new, FileTimes::new().set_modified(before.modified().unwrap()));
        fs::rename(&new, path).unwrap();
        assert_ne!(fs::metadata(path).unwrap().ino(), before.ino());
    };
    let set_mode = |path: &Path| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    let touched = |path: &Path| touch(path, FileTimes::new().set_modified(SystemTime::UNIX_EPOCH));
    type Change<'a> = &'a dyn Fn(&Path);
    let cases: [(Change<'_>, &str); 4] =
        [(&rewrite_in_place, "two"), (&replace, "two"), (&set_mode, "one"), (&touched, "one")];
    for (number, (change, text)) in cases.into_iter().enumerate() {
        let tree = Tree::new(&["d/a=one"]);
        let table = Ahead::by(10).table(&tree, NoMemory);
        let before = look(&tree, &table, "d/a");
        change(&tree.path("d/a"));
        let now = tree.walk("d/a");
        assert_eq!(same_identities(&before, &now, None), Some(tree.path("d/a")), "{number}");
        assert_eq!(digests(&table.digest(&now)), [content(text)], "{number}");
    }
}

#[test]
fn a_racy_record_is_never_trusted_and_becomes_clean_when_read_later() {
    let tree = Tree::new(&["d/a=one"]);
    let (kept, clock) = (Kept::default(), Ahead::by(0));
    for (ahead, trusted) in [(0, false), (10, false), (10, true)] {
        clock.0.store(ahead, Ordering::Relaxed);
        let table = clock.table(&tree, kept.clone());
        let expected = if trusted { PLANTED } else { content("one") };
        assert_eq!(digests(&look(&tree, &table, "d/a")), [expected], "{ahead} s");
        kept.save(&table);
        kept.edit("d", plant);
    }
}

#[test]
fn stamps_from_the_future_are_racy_for_ever() {
    let tree = Tree::new(&["d/a=one"]);
    let future = SystemTime::now() + Duration::from_secs(3600);
    let file = File::options().write(true).open(tree.path("d/a")).unwrap();
    file.set_times(FileTimes::new().set_modified(future)).unwrap();
    let kept = Kept::default();
    for _ in 0..3 {
        let table = Ahead::by(60).table(&tree, kept.clone());
        assert_eq!(digests(&look(&tree, &table, "d/a")), [content("one")]);
        kept.save(&table);
        kept.edit("d", |record| {
            assert!(record.files().next().unwrap().1.racy);
            plant(record);
        });
    }
}

#[test]
fn a_file_in_two_sets_is_read_once() {
    let tree = Tree::new(&["d/a=one", "d/b=two"]);
    let matched = [tree.walk("d/*"), tree.walk("d/a"), tree.walk("d")];
    let count = Arc::new(AtomicI64::new(0));
    let counting = count.clone();
    let now_ns = Box::new(move || i128::from(counting.fetch_add(1, Ordering::Relaxed)));
    let options = TableOptions { now_ns, ..TableOptions::default() };
    let table = FileTable::new(&tree.root, Box::new(NoMemory), options);
    let sets = table.digest_all(&matched, NonZero::<usize>::MIN);
    assert_eq!(sets[0].entries[0], sets[1].entries[0]);
    // The clock is asked once a reading.
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn threads_agree() {
    let names: Vec<String> = (0..300).map(|n| format!("d{}/f{n}=text {n}", n % 7)).collect();
    let tree = Tree::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let matched = [tree.walk("**")];
    let alone = Ahead::default().table(&tree, NoMemory).digest_all(&matched, NonZero::<usize>::MIN);
    let together = Ahead::default().table(&tree, NoMemory).digest_all(&matched, NonZero::new(4).unwrap());
    assert_eq!(alone, together);
    assert_eq!(alone[0].entries.len(), 300);
}

#[test]
fn a_forgotten_file_is_read_again_whatever_its_stat() {
    for (forgotten, expected) in [
        ("d/a", [content("1"), PLANTED, PLANTED]),
        ("d", [content("1"), content("2"), PLANTED]),
        ("", [content("1"), content("2"), content("3")]),
        ("e", [PLANTED; 3]),
    ] {
        let tree = Tree::new(&["d/a=1", "d/s/b=2", "dd/c=3"]);
        let (kept, clock) = (Kept::default(), Ahead::by(10));
        let first = clock.table(&tree, kept.clone());
        look(&tree, &first, "**");
        kept.save(&first);
        ["d", "d/s", "dd"].iter().for_each(|key| kept.edit(key, plant));
        let table = clock.table(&tree, kept.clone());
        assert_eq!(digests(&look(&tree, &table, "**")), [PLANTED; 3]);
        table.forget(&tree.path(forgotten));
        table.forget_everything();
        assert_eq!(digests(&look(&tree, &table, "**")), expected, "{forgotten}");
    }
}

#[test]
fn forgetting_everything_asks_memory_again() {
    let tree = Tree::new(&["d/a=1"]);
    let (kept, clock) = (Kept::default(), Ahead::by(10));
    let table = clock.table(&tree, kept.clone());
    look(&tree, &table, "d/a");
    kept.save(&table);
    kept.edit("d", plant);
    assert_eq!(digests(&look(&tree, &table, "d/a")), [content("1")]);
    table.forget_everything();
    assert_eq!(digests(&look(&tree, &table, "d/a")), [PLANTED]);
}

#[test]
fn records_keep_what_was_not_looked_at_and_drop_what_is_gone() {
    let tree = Tree::new(&["d/a=1", "d/b=2", "d/c=3"]);
    let (kept, clock) = (Kept::default(), Ahead::by(10));
    let table = clock.table(&tree, kept.clone());
    look(&tree, &table, "d/*");
    kept.save(&table);
    assert_eq!(kept.names("d"), ["a", "b", "c"]);
    fs::remove_file(tree.path("d/b")).unwrap();
    tree.add("d/c=changed");
    let table = clock.table(&tree, kept.clone());
    look(&tree, &table, "d/c");
    kept.save(&table);
    assert_eq!(kept.names("d"), ["a", "c"]);
}

#[test]
fn a_file_that_vanished_after_the_walk_is_not_there() {
    let tree = Tree::new(&["a=1", "b=2"]);
    let matched = tree.walk("*");
    fs::remove_file(tree.path("a")).unwrap();
    let set = Ahead::default().table(&tree, NoMemory).digest(&matched);
    assert_eq!((digests(&set), set.problems.len()), (vec![content("2")], 0));
}

#[test]
fn a_file_that_became_another_kind_is_unstable() {
    let tree = Tree::new(&["a=1", "b=2", "c=3"]);
    let matched = tree.walk("*");
    fs::remove_file(tree.path("a")).unwrap();
    tree.fifo("a");
    fs::remove_file(tree.path("b")).unwrap();
    tree.link("b", "b");
    let set = Ahead::default().table(&tree, NoMemory).digest(&matched);
    assert_eq!(digests(&set), [content("3")]);
    assert_eq!(set.problems[0].error, "changed while it was read");
    assert!(set.problems[1].error.starts_with("Too many levels of symbolic links"));
}

#[test]
fn a_file_that_changed_after_the_walk_is_what_it_is_now() {
    // The clock is asked right before each reading: there the file is changed.
    let tree = Tree::new(&["a=1"]);
    let path = tree.path("a");
    let matched = tree.walk("a");
    let readings = Arc::new(AtomicI64::new(0));
    let (counting, changing) = (readings.clone(), path.clone());
    let now_ns = Box::new(move || {
        fs::write(&changing, format!("text {}", counting.fetch_add(1, Ordering::Relaxed))).unwrap();
        0
    });
    let table =
        FileTable::new(&tree.root, Box::new(NoMemory), TableOptions { now_ns, ..TableOptions::default() });
    let set = table.digest(&matched);
    assert_eq!(digests(&set), [content("text 0")]);
    assert_ne!(set.entries[0].identity, matched.entries[0].identity);
    assert_eq!(same_identities(&set, &tree.walk("a"), None), None);
    assert_eq!(readings.load(Ordering::Relaxed), 1);
}

#[test]
fn the_comparison_names_the_first_path_that_differs() {
    type Change<'a> = &'a dyn Fn(&Tree);
    let change: [(&str, Change<'_>, Option<&str>); 8] = [
        ("d/* e", &|_| {}, None),
        ("d/* e", &|tree| tree.add("d/b=2"), Some("d/b")),
        ("d/* e", &|tree| fs::remove_file(tree.path("d/a")).unwrap(), Some("d/a")),
        ("d/* e", &|tree| tree.add("d/new"), Some("d/new")),
        ("d/* e", &|tree| tree.add("d/made.out"), None),
        ("d/* e", &|tree| tree.add("e/x"), Some("e/x")),
        ("d/* e", &|tree| fs::remove_dir(tree.path("e")).unwrap(), Some("e")),
        ("d/* e ring", &|tree| tree.link("ring", "ring"), Some("ring")),
    ];
    for (number, (patterns, change, expected)) in change.into_iter().enumerate() {
        let tree = Tree::new(&["d/a=1", "d/b=1", "d/old.out", "e/"]);
        let before = look(&tree, &Ahead::default().table(&tree, NoMemory), patterns);
        change(&tree);
        let now = tree.walk(patterns);
        let outputs = tree.inputs("d/*.out");
        let found = same_identities(&before, &now, Some(&outputs));
        assert_eq!(found, expected.map(|name| tree.path(name)), "{number}");
    }
}

#[test]
fn what_could_not_be_looked_at_is_compared_like_everything_else() {
    let problem = |(path, error): (&str, &str)| Problem { path: path.into(), error: error.to_owned() };
    let (a, other, b) = (("/a", "denied"), ("/a", "broken"), ("/b", "denied"));
    for (before, now, expected) in [
        (vec![a, b], vec![a, b], None),
        (vec![a], vec![a, b], Some("/b")),
        (vec![a, b], vec![a], Some("/b")),
        (vec![a], vec![other], Some("/a")),
        (vec![], vec![a], Some("/a")),
        (vec![a], vec![], Some("/a")),
    ] {
        let all = |list: &[_]| list.iter().copied().map(problem).collect();
        let set = FileSet { problems: all(&before), ..FileSet::default() };
        let mut found = Matched::default();
        found.problems = all(&now);
        let differs = same_identities(&set, &found, None);
        assert_eq!(differs, expected.map(Into::into), "{before:?} {now:?}");
    }
}

#[test]
fn directories_are_called_by_their_place_in_the_tree() {
    for (path, key) in [("/r/a/b", "a/b"), ("/r", ""), ("/rr", "/rr"), ("/", "/")] {
        assert_eq!(directory_key(Path::new("/r"), Path::new(path)), key.as_bytes());
    }
}
