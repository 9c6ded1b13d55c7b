//! Faults from below: a disk that refuses, a file that is not what it was.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
};

use redb::{Database, StorageBackend, TableDefinition, backends::FileBackend};
use rustix::io::Errno;

use super::{
    base::{FILE, Fault, Opener, SCHEMA, builder, fault, open_file},
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
        ("format", |p| schema(p, Some(SCHEMA + 1)), "its format is 4"),
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

// --- a disk that refuses -------------------------------------------------------------------------

/// Which call to a disk fails next, and how. Shared by all handles of a test.
#[derive(Debug)]
struct Weather {
    /// Calls left until the storm.
    calm: AtomicU64,
    /// Calls the storm lasts.
    storm: AtomicU64,
    errno: Errno,
    calls: AtomicU64,
    /// Whether the next call panics.
    panics: AtomicBool,
}

impl Weather {
    fn new(calm: u64, storm: u64, errno: Errno) -> Arc<Self> {
        let (calls, panics) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { calm: calm.into(), storm: storm.into(), errno, calls, panics })
    }

    fn call(&self) -> io::Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics.swap(false, Ordering::Relaxed), "a bad page");
        let less = |n: &AtomicU64| {
            n.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
        };
        if less(&self.calm) || !less(&self.storm) { Ok(()) } else { Err(self.errno.into()) }
    }
}

#[derive(Debug)]
struct Disk {
    file: FileBackend,
    weather: Arc<Weather>,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.weather.call()?;
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.weather.call()?;
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // A full disk takes the first half.
        if let Err(error) = self.weather.call() {
            self.file.write(offset, &data[..data.len() / 2])?;
            return Err(error);
        }
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn opener(weather: &Arc<Weather>) -> Opener {
    let weather = Arc::clone(weather);
    Arc::new(move |path| {
        let file = StateDir::open_file(path, true)?;
        let file = FileBackend::new(file).map_err(fault)?;
        builder().create_with_backend(Disk { file, weather: Arc::clone(&weather) }).map_err(fault)
    })
}

/// Commits pairs that must stay equal until `rounds` are over; returns the numbers that were acknowledged.
fn commit_pairs(dir: &StateDir, weather: &Arc<Weather>, rounds: u64) -> Vec<u64> {
    let Ok(Opened { mut store, .. }) = Store::open_with(dir, Access::ReadWrite, opener(weather)) else {
        return Vec::new();
    };
    let pair = |n: u64| {
        let mut batch = put(&format!("left:{n}"), n);
        batch.append(put(&format!("right:{n}"), n));
        batch.put(Table::Dirs, format!("big:{n}").as_bytes(), &vec![n; 2000]).unwrap();
        batch
    };
    (0..rounds).filter(|n| store.commit(&pair(*n)).is_ok()).collect()
}

fn check_pairs(dir: &StateDir, acknowledged: &[u64], rounds: u64, what: &str) {
    let Opened { store, notice } = Store::open(dir, Access::ReadWrite).unwrap();
    assert_eq!(notice, None, "{what}");
    for n in 0..rounds {
        let left = get(&store, &format!("left:{n}"));
        let right = get(&store, &format!("right:{n}"));
        let big: Option<Vec<u64>> = store.reader().get(Table::Dirs, format!("big:{n}").as_bytes()).unwrap();
        assert_eq!(left, right, "{what}: {n} is half there");
        assert_eq!(left.is_some(), big.is_some(), "{what}: {n} is half there");
        assert!(left.is_none() || (left == Some(n) && big == Some(vec![n; 2000])), "{what}: {n} is wrong");
        assert!(left.is_some() || !acknowledged.contains(&n), "{what}: {n} was acknowledged and is lost");
    }
    assert_eq!(store.close().unwrap(), [], "{what}");
}

#[test]
fn whichever_write_fails_what_was_acknowledged_is_there_and_nothing_is_half_there() {
    const ROUNDS: u64 = 4;
    let fair = Weather::new(u64::MAX, 0, Errno::NOSPC);
    assert_eq!(commit_pairs(&Place::new().dir, &fair, ROUNDS).len() as u64, ROUNDS);
    let calls = fair.calls.load(Ordering::Relaxed);
    assert!(calls > 20, "the failing disk is in use");
    for errno in [Errno::NOSPC, Errno::IO] {
        for storm in [1, 7, u64::MAX] {
            for calm in 0..calls {
                let place = Place::new();
                let acknowledged = commit_pairs(&place.dir, &Weather::new(calm, storm, errno), ROUNDS);
                let what = format!("{errno} for {storm} calls after {calm}");
                check_pairs(&place.dir, &acknowledged, ROUNDS, &what);
            }
        }
    }
}

#[test]
fn one_failed_write_is_made_good_and_a_lasting_one_is_reported() {
    let place = Place::new();
    let weather = Weather::new(u64::MAX, 0, Errno::NOSPC);
    let mut store = Store::open_with(&place.dir, Access::ReadWrite, opener(&weather)).unwrap().store;
    store.commit(&put("a:b", 1)).unwrap();
    let storm = |calls| {
        weather.storm.store(calls, Ordering::Relaxed);
        weather.calm.store(0, Ordering::Relaxed);
    };
    storm(1);
    store.commit(&put("a:b", 2)).unwrap();
    assert_eq!(weather.storm.load(Ordering::Relaxed), 0, "the storm was met");

    storm(u64::MAX);
    for _ in 0..2 {
        let error = store.commit(&put("a:b", 3)).unwrap_err();
        assert!(matches!(&error, StoreError::NotSaved(why) if why.contains("No space left")), "{error}");
    }
    storm(0);
    store.commit(&put("a:b", 4)).unwrap();
    assert_eq!(get(&store, "a:b"), Some(4));
    assert_eq!(store.close().unwrap(), []);
    assert_eq!(place.asides(), 0);
}

#[test]
fn a_panic_of_the_database_is_damage_and_the_store_goes_on_empty() {
    let place = Place::new();
    let weather = Weather::new(u64::MAX, 0, Errno::IO);
    let mut store = Store::open_with(&place.dir, Access::ReadWrite, opener(&weather)).unwrap().store;
    store.commit(&put("a:b", 1)).unwrap();
    weather.panics.store(true, Ordering::Relaxed);
    store.commit(&put("c:d", 2)).unwrap();
    assert_eq!((get(&store, "a:b"), get(&store, "c:d")), (None, Some(2)));
    let notices = store.close().unwrap();
    assert!(
        matches!(notices.as_slice(), [Notice::SetAside(aside)] if aside.reason == "a bad page"),
        "{notices:?}"
    );
    assert_eq!(get(&place.clean(), "c:d"), Some(2));
}

#[test]
fn a_panic_while_closing_sets_the_file_aside() {
    let place = Place::new();
    let weather = Weather::new(u64::MAX, 0, Errno::IO);
    let mut store = Store::open_with(&place.dir, Access::ReadWrite, opener(&weather)).unwrap().store;
    store.commit(&put("a:b", 1)).unwrap();
    weather.panics.store(true, Ordering::Relaxed);
    let notices = store.close().unwrap();
    assert!(matches!(notices.as_slice(), [Notice::SetAside(_)]), "{notices:?}");
    assert_eq!(get(&place.clean(), "a:b"), None);
}

// --- a file that is not what it was --------------------------------------------------------------

/// A populated file, closed cleanly and as a kill leaves it, and what is in it.
fn populated() -> ([Vec<u8>; 2], BTreeMap<String, u64>) {
    let place = Place::new();
    let mut store = place.clean();
    let mut expected = BTreeMap::new();
    for round in 0..6_u64 {
        let mut batch = Batch::new();
        for n in (0..200).step_by(round as usize + 1) {
            let (key, value) = (format!("task:{n}"), n * 1000 + round);
            batch.put(Table::Tasks, key.as_bytes(), &(value, vec![value; 20])).unwrap();
            expected.insert(key, value);
        }
        store.commit(&batch).unwrap();
    }
    let killed = fs::read(place.file()).unwrap();
    store.close().unwrap();
    ([fs::read(place.file()).unwrap(), killed], expected)
}

/// One way to spoil a file, chosen by `random`.
fn spoil(bytes: &mut Vec<u8>, killed: bool, random: &mut fastrand::Rng) -> String {
    // Most of a small file is empty; aim at where something is.
    let used: Vec<usize> = (0..bytes.len() / 512).filter(|b| bytes[b * 512..][..512] != [0; 512]).collect();
    let block = *random.choice(&used).unwrap() * 512;
    // An older page in the place of a newer one, which a disk leaves that lied about a write before a power
    // cut, is right by itself. Only the check of a file that was not closed can find it.
    match random.u8(0..if killed { 6 } else { 5 }) {
        0 => {
            let bits = random.usize(1..8);
            (0..bits).for_each(|_| bytes[block + random.usize(0..512)] ^= 1 << random.u8(0..8));
            format!("{bits} bits flipped near {block}")
        }
        // What says which commit is the last has no redundancy before the file is closed.
        1 if !killed => {
            let bit = random.usize(0..320 * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            format!("bit {bit} of the header flipped")
        }
        1 | 2 => {
            let page = block / 4096 * 4096;
            bytes[page..][..4096].fill(0);
            format!("page at {page} zeroed")
        }
        3 => {
            let len = random.usize(1..512);
            bytes[block..][..len].iter_mut().for_each(|b| *b = random.u8(..));
            format!("{len} bytes of garbage at {block}")
        }
        4 => {
            let len = random.usize(0..bytes.len());
            bytes.truncate(len);
            format!("truncated to {len}")
        }
        _ => {
            let from = *random.choice(&used).unwrap() * 512 / 4096 * 4096;
            let to = block / 4096 * 4096;
            bytes.copy_within(from..from + 4096, to);
            format!("page at {from} copied to {to}")
        }
    }
}

/// Every value is right or absent; returns how many are there.
fn right_or_absent(snapshot: &Snapshot, expected: &BTreeMap<String, u64>, what: &str) -> usize {
    let mut there = 0;
    for (key, value) in expected {
        let found: Option<(u64, Vec<u64>)> = snapshot.get(Table::Tasks, key.as_bytes()).unwrap();
        if let Some(found) = found {
            assert_eq!(found, (*value, vec![*value; 20]), "{what}: {key}");
            there += 1;
        }
    }
    for (key, (value, _)) in snapshot.entries::<(u64, Vec<u64>)>(Table::Tasks).unwrap() {
        assert_eq!(expected.get(std::str::from_utf8(&key).unwrap()), Some(&value), "{what}: entries");
    }
    there
}

/// Opens a spoiled file in every way and uses it.
fn survive(place: &Place, expected: &BTreeMap<String, u64>, what: &str) -> usize {
    match Store::open(&place.dir, Access::ReadOnly) {
        Ok(opened) => drop(right_or_absent(&opened.store.snapshot().unwrap(), expected, what)),
        Err(StoreError::NeedsRepair(_)) => {}
        Err(other) => panic!("{what}: {other}"),
    }
    let mut store =
        Store::open(&place.dir, Access::ReadWrite).unwrap_or_else(|e| panic!("{what}: {e}")).store;
    let there = right_or_absent(&store.snapshot().unwrap(), expected, what);
    store.commit(&put("new:one", 1)).unwrap_or_else(|e| panic!("{what}: {e}"));
    store.close().unwrap_or_else(|e| panic!("{what}: {e}"));
    let opened = place.open();
    if opened.notice.is_none() {
        right_or_absent_but(&opened.store, expected, what);
    }
    there
}

/// As [`right_or_absent`], with the record that [`survive`] added: it may be lost only with the whole file.
fn right_or_absent_but(store: &Store, expected: &BTreeMap<String, u64>, what: &str) {
    for (key, value) in expected {
        let found: Option<(u64, Vec<u64>)> = store.reader().get(Table::Tasks, key.as_bytes()).unwrap();
        assert!(found.is_none_or(|(found, _)| found == *value), "{what}: {key} afterwards");
    }
    assert!(matches!(get(store, "new:one"), Some(1) | None), "{what}: afterwards");
}

#[test]
fn a_damaged_file_gives_right_values_or_none() {
    let files = std::env::var("DEVTASK_TEST_DAMAGED_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let (images, expected) = populated();
    let mut random = fastrand::Rng::with_seed(7);
    let mut there = 0;
    for n in 0..files {
        let place = Place::new();
        let killed = n % 2 == 1;
        let mut bad = images[usize::from(killed)].clone();
        let what = format!("file {n}: {}", spoil(&mut bad, killed, &mut random));
        fs::write(place.file(), bad).unwrap();
        there += survive(&place, &expected, &what);
    }
    assert!(there > 0, "some damage hits nothing that matters");
    assert!(there < files * expected.len(), "some damage does");
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
    let _: fn(&Path) -> Result<Database, Fault> = open_file;
}
