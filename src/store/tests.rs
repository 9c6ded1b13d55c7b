//! The store from within: foreign files and bad values, growth, the group writer; faults from below in the
//! files beneath.

mod damage;
mod disk;
mod power;

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    sync::{atomic::Ordering, mpsc},
};

use redb::{Database, TableDefinition};
use rustix::io::Errno;

use self::disk::{Weather, opener};
use super::{
    base::{FILE, SCHEMA},
    *,
};

/// A state directory that goes away with the test.
struct Place {
    _root: tempfile::TempDir,
    dir: StateDir,
}

impl Place {
    fn new() -> Self {
        quiet_panics();
        let root = tempfile::tempdir().unwrap();
        let dir = StateDir::create(&root.path().join(STATE_DIR)).unwrap();
        Self { _root: root, dir }
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join(FILE)
    }

    fn open(&self) -> Opened {
        Store::open(&self.dir, Access::ReadWrite).unwrap()
    }

    fn clean(&self) -> Store {
        let opened = self.open();
        assert_eq!(opened.notice, None);
        opened.store
    }

    /// The number of files that were set aside.
    fn asides(&self) -> usize {
        let names = fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name());
        names.filter(|n| n.to_str().unwrap().contains(".bad-")).count()
    }
}

fn put(key: &str, value: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Tasks, key.as_bytes(), &value).unwrap();
    batch
}

fn get(store: &Store, key: &str) -> Option<u64> {
    store.reader().get(Table::Tasks, key.as_bytes()).unwrap()
}

#[test]
fn the_file_is_private_even_if_it_was_not() {
    let place = Place::new();
    let mut store = place.clean();
    store.commit(&put("a:b", 1)).unwrap();
    assert_eq!(fs::metadata(place.file()).unwrap().mode() & 0o7777, 0o600);
    store.close().unwrap();
    fs::set_permissions(place.file(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(get(&place.clean(), "a:b"), Some(1));
    assert_eq!(fs::metadata(place.file()).unwrap().mode() & 0o7777, 0o600);
}

/// Makes something of the file that is not ours.
type Spoil = fn(&Path);

#[test]
fn what_cannot_be_used_is_set_aside_with_one_notice() {
    let cases: [(&str, Spoil, &str); 8] = [
        ("garbage", |p| fs::write(p, "garbage").unwrap(), ""),
        ("long garbage", |p| fs::write(p, vec![7; 100_000]).unwrap(), ""),
        ("truncated", |p| open_rw(p).set_len(5000).unwrap(), ""),
        ("directory", |p| (fs::remove_file(p).unwrap(), fs::create_dir(p).unwrap()).1, "no regular file"),
        ("link", |p| (fs::remove_file(p).unwrap(), symlink("/dev/null", p).unwrap()).1, "no regular file"),
        ("format", |p| schema(p, Some(SCHEMA + 1)), "its format is 7"),
        ("no format", |p| schema(p, None), "does not say"),
        ("foreign", foreign, "another program"),
    ];
    for (name, spoil, why) in cases {
        let place = Place::new();
        let mut store = place.clean();
        store.commit(&put("a:b", 1)).unwrap();
        store.close().unwrap();
        spoil(&place.file());

        let error = Store::open(&place.dir, Access::ReadOnly).unwrap_err();
        assert!(matches!(&error, StoreError::NeedsRepair(m) if m.contains(why)), "{name}: {error}");
        assert_eq!(place.asides(), 0, "{name}: looking changes nothing");

        let Opened { mut store, notice } = place.open();
        let notice = notice.unwrap_or_else(|| panic!("{name}: no notice"));
        assert!(notice.reason.contains(why), "{name}: {}", notice.reason);
        assert!(fs::symlink_metadata(&notice.file).is_ok(), "{name}: kept");
        assert_eq!(get(&store, "a:b"), None, "{name}");
        store.commit(&put("a:b", 2)).unwrap();
        assert_eq!(store.close().unwrap(), [], "{name}");
        assert_eq!(get(&place.clean(), "a:b"), Some(2), "{name}");
        assert_eq!(place.asides(), 1, "{name}");
    }
}

fn open_rw(path: &Path) -> File {
    fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn schema(path: &Path, number: Option<u64>) {
    let db = Database::open(path).unwrap();
    let txn = db.begin_write().unwrap();
    let mut meta = txn.open_table(TableDefinition::<&str, u64>::new("meta")).unwrap();
    meta.remove("schema").unwrap();
    if let Some(number) = number {
        meta.insert("schema", number).unwrap();
    }
    drop(meta);
    txn.commit().unwrap();
}

fn foreign(path: &Path) {
    fs::remove_file(path).unwrap();
    let db = Database::create(path).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(TableDefinition::<u64, u64>::new("theirs")).unwrap().insert(1, 1).unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_bad_value_is_absent_and_named_and_can_be_replaced() {
    let place = Place::new();
    let mut store = place.clean();
    store.commit(&put("a:b", 1)).unwrap();
    store.close().unwrap();
    let db = Database::open(place.file()).unwrap();
    let txn = db.begin_write().unwrap();
    txn.open_table(base::definition(Table::Tasks))
        .unwrap()
        .insert(b"a:b".as_slice(), [1, 2].as_slice())
        .unwrap();
    txn.commit().unwrap();
    drop(db);

    let mut store = place.clean();
    assert_eq!(get(&store, "a:b"), None);
    let notice = Notice::BadValue { table: Table::Tasks, key: b"a:b".to_vec() };
    assert_eq!(store.reader().take_notices(), [notice]);
    store.commit(&put("a:b", 3)).unwrap();
    assert_eq!(get(&store, "a:b"), Some(3));
}

/// So that a file is verified only where a kill is not all that can have happened to it.
#[test]
#[cfg(target_os = "linux")]
fn the_file_says_in_which_boot_and_mount_it_was_written_and_that_it_is_no_copy() {
    use redb::ReadableDatabase as _;

    let place = Place::new();
    let said = || {
        let db = Database::open(place.file()).unwrap();
        let meta = db.begin_read().unwrap().open_table(TableDefinition::<&str, u64>::new("meta")).unwrap();
        meta.get("epoch").unwrap().map(|number| number.value())
    };
    let mark = || epoch::Epoch::mark(&File::open(place.file()).unwrap());
    place.clean().commit(&put("a:b", 1)).unwrap();
    let first = mark();
    assert!(first.is_some());
    assert_eq!(said(), first);

    let copy = place.dir.path().join("copy");
    fs::copy(place.file(), &copy).unwrap();
    fs::rename(copy, place.file()).unwrap();
    assert_ne!(mark(), first);
    assert_eq!(said(), first, "until it is written again");
    place.clean().commit(&put("a:b", 2)).unwrap();
    assert_eq!(said(), mark());
}

// --- growth --------------------------------------------------------------------------------------

#[test]
fn a_file_that_is_mostly_waste_is_compacted_and_keeps_its_values() {
    let place = Place::new();
    let mut store = place.clean();
    let mut batch = put("a:b", 1);
    for n in 0..200_u32 {
        batch.put(Table::Dirs, &n.to_le_bytes(), &vec![n; 5000]).unwrap();
    }
    store.commit(&batch).unwrap();
    let mut batch = Batch::new();
    (0..200_u32).for_each(|n| batch.delete(Table::Dirs, &n.to_le_bytes()));
    store.commit(&batch).unwrap();
    store.commit(&put("c:d", 2)).unwrap();
    let before = fs::metadata(place.file()).unwrap().len();
    {
        let _snapshot = store.snapshot().unwrap();
        store.compact_if_worth_it(0);
        assert_eq!(store.snapshot().unwrap().keys(Table::Tasks).unwrap().len(), 2, "a reader puts it off");
    }
    store.compact_if_worth_it(0);
    let after = fs::metadata(place.file()).unwrap().len();
    assert!(after < before / 4, "{before} to {after}");
    assert_eq!(store.close().unwrap(), []);
    let store = place.clean();
    assert_eq!((get(&store, "a:b"), get(&store, "c:d")), (Some(1), Some(2)));
}

/// redb doubles a full file. Who compacted that away would do so at the end of every run.
#[test]
fn a_file_that_has_just_doubled_stays_as_it_is() {
    let place = Place::new();
    let mut store = place.clean();
    let length = || fs::metadata(place.file()).unwrap().len();
    let mut add = (0..).map(|n: u32| {
        let mut batch = Batch::new();
        batch.put(Table::Dirs, &n.to_le_bytes(), &vec![n; 5000]).unwrap();
        store.commit(&batch).unwrap();
        length()
    });
    let full = add.by_ref().find(|length| *length > 8 << 20).unwrap();
    let doubled = add.find(|length| *length > full / 2 * 3).unwrap();
    store.compact_if_worth_it(0);
    assert_eq!(length(), doubled);
}

// --- the group writer ----------------------------------------------------------------------------

/// What the writer says of a batch; nothing if it is gone.
type Ticket = mpsc::Receiver<Result<(), StoreError>>;

fn submit(writer: &GroupWriter, batch: Batch) -> Ticket {
    let (sender, told) = mpsc::channel();
    writer.submit_then(batch, move |result| sender.send(result).unwrap());
    told
}

#[test]
fn what_is_submitted_during_a_commit_goes_into_one_transaction_in_order() {
    let place = Place::new();
    let writer = GroupWriter::start(place.clean()).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    // The writer is held inside the first callback while the others queue up.
    writer.submit_then(put("a:b", 0), move |result| {
        result.unwrap();
        wait.recv().unwrap();
    });
    let tickets: Vec<Ticket> = (1..=100).map(|n| submit(&writer, put("a:b", n))).collect();
    go.send(()).unwrap();
    tickets.into_iter().for_each(|ticket| ticket.recv().unwrap().unwrap());
    assert_eq!(writer.reader().get(Table::Tasks, b"a:b").unwrap(), Some(100_u64));
    // The first may have waited for nobody; it is alone only if the queue was empty then.
    assert!(writer.reader().commits() <= 2, "{} commits", writer.reader().commits());
    let last = submit(&writer, put("last:one", 7));
    assert_eq!(writer.shutdown().unwrap(), []);
    last.recv().unwrap().unwrap();
    let store = place.clean();
    assert_eq!((get(&store, "a:b"), get(&store, "last:one")), (Some(100), Some(7)));
}

#[test]
fn all_who_share_a_failed_commit_are_told_and_the_next_one_may_succeed() {
    let place = Place::new();
    let weather = Weather::new(u64::MAX, 0, Errno::NOSPC);
    let store = Store::open_with(&place.dir, Access::ReadWrite, opener(&weather)).unwrap().store;
    let writer = GroupWriter::start(store).unwrap();
    submit(&writer, put("a:b", 1)).recv().unwrap().unwrap();
    weather.storm.store(u64::MAX, Ordering::Relaxed);
    weather.calm.store(0, Ordering::Relaxed);
    for ticket in [submit(&writer, put("a:b", 2)), submit(&writer, put("c:d", 2))] {
        assert!(matches!(ticket.recv(), Ok(Err(StoreError::NotSaved(_)))));
    }
    weather.storm.store(0, Ordering::Relaxed);
    submit(&writer, put("c:d", 3)).recv().unwrap().unwrap();
    writer.shutdown().unwrap();
    assert_eq!(get(&place.clean(), "c:d"), Some(3));
}

#[test]
fn after_the_end_nothing_is_promised() {
    let place = Place::new();
    let writer = GroupWriter::start(place.clean()).unwrap();
    let reader = writer.reader().clone();
    writer.submit_then(put("a:b", 1), |_| panic!("a careless caller"));
    // Whatever comes after the writer died is dropped without a call.
    while submit(&writer, put("c:d", 2)).recv().is_ok() {}
    assert!(matches!(writer.shutdown(), Err(StoreError::Closed)));
    assert!(matches!(reader.get::<u64>(Table::Tasks, b"a:b"), Err(StoreError::Closed)));
    assert_eq!(get(&place.clean(), "a:b"), Some(1), "what was committed stays");
}

#[test]
fn handles_may_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Reader>();
    crosses::<Snapshot>();
    crosses::<Store>();
    crosses::<StoreError>();
}
