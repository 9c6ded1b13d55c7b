//! Runs that did not come to their end, and journals that say nothing certain.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileExt as _, symlink},
    path::Path,
};

use super::{
    journal::{JOURNAL, PROGRESS, Progress},
    *,
};

const NAMES: [&str; 4] = ["a:begun", "a:done", "a:waits", "a:new"];

struct Place {
    _root: tempfile::TempDir,
    dir: StateDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = StateDir::create(&root.path().join(STATE_DIR)).unwrap();
        Self { _root: root, dir }
    }

    fn store(&self) -> Store {
        Store::open(&self.dir, Access::ReadWrite).unwrap().store
    }

    /// A run of all that was left in the middle: two have begun, of which one is done.
    fn run(&self) -> Store {
        let mut store = self.store();
        let old = NAMES[..3].iter().map(|name| (*name, "r1"));
        store.commit(&records(old)).unwrap();
        let journal = begin(&mut store, "r2");
        journal.begin("a:begun").unwrap();
        journal.begin("a:done").unwrap();
        store.commit(&records([("a:done", "r2")])).unwrap();
        store
    }
}

fn begin(store: &mut Store, run: &str) -> Journal {
    store.begin_run(run.to_owned(), NAMES.map(str::to_owned).into()).unwrap().unwrap()
}

/// Successes of runs.
fn records<'a>(of: impl IntoIterator<Item = (&'a str, &'a str)>) -> Batch {
    let mut batch = Batch::new();
    for (name, run) in of {
        let record = TaskRecord { state: RecordState::Fresh, ..TaskRecord::begun(run.to_owned(), Some(5)) };
        batch.put(Table::Tasks, name.as_bytes(), &record).unwrap();
    }
    batch
}

/// What is remembered of each: `r1` for a success of that run, `r1?` for a beginning in it.
fn remembered(store: &Store) -> [String; 4] {
    let snapshot = store.snapshot().unwrap();
    NAMES.map(|name| match snapshot.get::<TaskRecord>(Table::Tasks, name.as_bytes()).unwrap() {
        Some(TaskRecord { state: RecordState::Begun, run, .. }) => run + "?",
        Some(record) => record.run,
        None => String::new(),
    })
}

#[test]
fn a_run_that_came_to_its_end_leaves_its_records_as_they_are() {
    let place = Place::new();
    let mut store = place.run();
    let mut batch = records([("a:begun", "r2")]);
    batch.end_run();
    store.commit(&batch).unwrap();
    drop(store);
    assert!(Store::open(&place.dir, Access::ReadOnly).is_ok());
    assert_eq!(remembered(&place.store()), ["r2", "r2", "r1", ""]);
}

#[test]
fn the_next_run_finds_what_the_last_one_left_begun() {
    let place = Place::new();
    let mut store = place.run();
    let journal = begin(&mut store, "r3");
    assert_eq!(remembered(&store), ["r2?", "r2", "r1", ""]);
    journal.begin("a:waits").unwrap();
    drop((journal, store));
    assert!(matches!(Store::open(&place.dir, Access::ReadOnly), Err(StoreError::NeedsRepair(_))));
    assert_eq!(remembered(&place.store()), ["r2?", "r2", "r3?", ""]);
}

#[test]
fn what_a_journal_does_not_say_for_certain_has_begun() {
    let rewrite = |path: &Path, change: fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    };
    type Spoil<'a> = &'a dyn Fn(&Path);
    let spoils: [(&str, Spoil<'_>); 8] = [
        ("gone", &|path| fs::remove_file(path).unwrap()),
        ("empty", &|path| rewrite(path, Vec::clear)),
        ("cut", &|path| rewrite(path, |bytes| bytes.truncate(bytes.len() - 1))),
        ("a lost page", &|path| rewrite(path, |bytes| bytes.fill(0))),
        ("a strange mark", &|path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(b"b", file.metadata().unwrap().len() - 2).unwrap();
        }),
        ("another run's", &|path| rewrite(path, |bytes| bytes[19] ^= 1)),
        ("a directory", &|path| (fs::remove_file(path).unwrap(), fs::create_dir(path).unwrap()).1),
        ("a link", &|path| {
            let moved = path.with_extension("moved");
            fs::rename(path, &moved).unwrap();
            symlink(moved, path).unwrap();
        }),
    ];
    for (name, spoil) in spoils {
        let place = Place::new();
        drop(place.run());
        spoil(&place.dir.path().join(JOURNAL));
        assert_eq!(remembered(&place.store()), ["r2?", "r2", "r2?", ""], "{name}");
    }
}

#[test]
fn a_result_that_was_noted_and_not_committed_counts_if_it_is_whole() {
    for (cut, expected) in [(0, ["r2?", "r2", "r2", ""]), (1, ["r2?", "r2", "r2?", ""])] {
        let place = Place::new();
        let mut store = place.run();
        let journal = begin(&mut store, "r2");
        for name in ["a:begun", "a:waits"] {
            journal.begin(name).unwrap();
        }
        for name in ["a:done", "a:waits"] {
            journal.note(&records([(name, "r2")])).unwrap();
        }
        drop((journal, store));
        let file = OpenOptions::new().write(true).open(place.dir.path().join(JOURNAL)).unwrap();
        file.set_len(file.metadata().unwrap().len() - cut).unwrap();
        assert_eq!(remembered(&place.store()), expected, "without the last {cut} bytes");
    }
}

/// The record of a task that begins again in a run.
fn begins(name: &str, run: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Tasks, name.as_bytes(), &TaskRecord::begun(run.to_owned(), None)).unwrap();
    batch
}

#[test]
fn a_task_that_began_again_is_not_taken_for_what_came_of_it_before() {
    for committed in [false, true] {
        let place = Place::new();
        let mut store = place.store();
        let journal = begin(&mut store, "r2");
        assert_eq!(journal.run(), "r2");
        journal.begin("a:done").unwrap();
        let result = records([("a:done", "r2")]);
        journal.note(&result).unwrap();
        if committed {
            store.commit(&result).unwrap();
        }
        // Another run shares the journal, and is killed while the task executes for the second time.
        let again = journal.begin("a:done").unwrap_err();
        assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
        journal.note(&begins("a:done", "r3")).unwrap();
        drop((journal, store));
        assert_eq!(remembered(&place.store()), ["", "r3?", "", ""], "committed: {committed}");
    }
}

#[test]
fn a_task_that_came_to_its_end_twice_is_taken_for_what_came_of_it_last() {
    let place = Place::new();
    let mut store = place.store();
    let journal = begin(&mut store, "r2");
    journal.begin("a:done").unwrap();
    for batch in [records([("a:done", "r2")]), begins("a:done", "r3"), records([("a:done", "r3")])] {
        journal.note(&batch).unwrap();
    }
    drop((journal, store));
    assert_eq!(remembered(&place.store()), ["", "r3", "", ""]);
}

#[test]
fn a_journal_that_cannot_be_asked_does_not_hide_what_was_committed_of_a_second_beginning() {
    let place = Place::new();
    let mut store = place.store();
    let journal = begin(&mut store, "r2");
    journal.begin("a:done").unwrap();
    store.commit(&records([("a:done", "r2")])).unwrap();
    let again = begins("a:done", "r3");
    journal.note(&again).unwrap();
    store.commit(&again).unwrap();
    drop((journal, store));
    fs::remove_file(place.dir.path().join(JOURNAL)).unwrap();
    assert_eq!(remembered(&place.store()), ["", "r2?", "", ""]);
}

#[test]
fn a_journal_of_another_boot_or_mount_is_not_asked() {
    for boot in [true, false] {
        let place = Place::new();
        let mut store = place.run();
        let progress: Progress = store.snapshot().unwrap().get(Table::Progress, PROGRESS).unwrap().unwrap();
        let mut batch = Batch::new();
        batch.put(Table::Progress, PROGRESS, &progress.elsewhere(boot)).unwrap();
        store.commit(&batch).unwrap();
        drop(store);
        assert_eq!(remembered(&place.store()), ["r2?", "r2", "r2?", ""], "{boot}");
    }
}

#[test]
fn where_the_journal_cannot_be_made_each_start_has_to_be_committed() {
    let place = Place::new();
    fs::create_dir(place.dir.path().join(JOURNAL)).unwrap();
    let mut store = place.store();
    assert!(store.begin_run("r1".to_owned(), Vec::new()).unwrap().is_none());
    drop(store);
    assert!(Store::open(&place.dir, Access::ReadOnly).is_ok(), "no run is under way");
}

#[test]
fn a_run_of_which_nothing_can_be_read_costs_everything() {
    let place = Place::new();
    let mut store = place.run();
    let mut batch = Batch::new();
    batch.put(Table::Progress, PROGRESS, "nonsense").unwrap();
    store.commit(&batch).unwrap();
    drop(store);
    assert_eq!(remembered(&place.store()), ["", "", "", ""]);
}
