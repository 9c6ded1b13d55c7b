//! A file that is not what it was: right values or none, whatever happened to it.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{
    super::*,
    Place, get,
    power::{AFTER, BEFORE, quick_opener},
    put,
};

const PAGE: usize = 4096;
/// The part of the first page where redb keeps what it knows of the file.
const HEADER: usize = 320;

/// A populated file at several moments, and what is in it.
struct Files {
    /// Closed.
    clean: Vec<u8>,
    /// As a kill leaves it.
    killed: Vec<u8>,
    /// As it was some commits earlier.
    older: Vec<u8>,
    expected: BTreeMap<String, u64>,
    /// Every value that a key ever had.
    history: BTreeMap<String, BTreeSet<u64>>,
}

impl Files {
    fn new() -> Self {
        let place = Place::new();
        let opened = Store::open_with(&place.dir, Access::ReadWrite, quick_opener(BEFORE));
        let mut store = opened.unwrap().store;
        let (mut expected, mut older) = (BTreeMap::new(), Vec::new());
        let mut history: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for round in 0..6_u64 {
            let mut batch = Batch::new();
            for n in (0..200).step_by(usize::try_from(round).unwrap() + 1) {
                let (key, value) = (format!("task:{n}"), n * 1000 + round);
                batch.put(Table::Tasks, key.as_bytes(), &(value, vec![value; 20])).unwrap();
                history.entry(key.clone()).or_default().insert(value);
                expected.insert(key, value);
            }
            store.commit(&batch).unwrap();
            if round == 3 {
                older = fs::read(place.file()).unwrap();
            }
        }
        let killed = fs::read(place.file()).unwrap();
        store.close().unwrap();
        Self { clean: fs::read(place.file()).unwrap(), killed, older, expected, history }
    }
}

/// What happens to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Bits,
    HeaderBits,
    ZeroedPage,
    GarbagePage,
    GarbageBytes,
    Truncated,
    Extended,
    /// A page in the place of another.
    CopiedPage,
    /// A page as it was some commits earlier.
    OlderPage,
    /// The first half of a page as it was some commits earlier.
    TornPage,
}

use Damage::*;

/// An older page in the place of a newer one, which a disk leaves that lied about a write before a power cut, is right
/// by itself. Only verifying the whole file can find it, which is done after a power cut. (What says which commit is the
/// last has no redundancy before the file is closed.)
const OF_A_KILLED: [Damage; 9] =
    [Bits, ZeroedPage, GarbagePage, GarbageBytes, Truncated, Extended, CopiedPage, OlderPage, TornPage];

/// What is found, or does no harm, in a file that is not verified: one that was closed, or killed without a power cut.
const OF_A_CLOSED: [Damage; 7] =
    [Bits, HeaderBits, ZeroedPage, GarbagePage, GarbageBytes, Truncated, Extended];

impl Damage {
    /// Does it to `bytes`; says where.
    fn spoil(self, bytes: &mut Vec<u8>, older: &[u8], random: &mut fastrand::Rng) -> String {
        let pages = used_pages(bytes);
        let at = *random.choice(&pages).unwrap();
        let len = bytes.len();
        let page = |at: usize| at..(at + PAGE).min(len);
        match self {
            Bits => flip(bytes, page(at), random.usize(1..8), random),
            HeaderBits => flip(bytes, 0..HEADER, random.usize(1..4), random),
            ZeroedPage => bytes[page(at)].fill(0),
            GarbagePage => bytes[page(at)].iter_mut().for_each(|b| *b = random.u8(..)),
            GarbageBytes => {
                let start = random.usize(page(at));
                let end = random.usize(start..len.min(start + 512)) + 1;
                bytes[start..end].iter_mut().for_each(|b| *b = random.u8(..));
            }
            Truncated => bytes.truncate(random.usize(0..len)),
            Extended => {
                let more = random.usize(1..3 * PAGE);
                let byte = if random.bool() { 0 } else { random.u8(..) };
                bytes.resize(len + more, byte);
            }
            CopiedPage => bytes.copy_within(page(*random.choice(&pages).unwrap()), at),
            OlderPage => put_back(bytes, older, page(at)),
            TornPage => put_back(bytes, older, at..(at + PAGE / 2).min(len)),
        }
        format!("{self:?} at {at}")
    }
}

/// Most of a small file is empty: the pages with something in them.
fn used_pages(bytes: &[u8]) -> Vec<usize> {
    let starts = (0..bytes.len()).step_by(PAGE);
    starts.filter(|at| bytes[*at..].iter().take(PAGE).any(|b| *b != 0)).collect()
}

fn flip(bytes: &mut [u8], range: std::ops::Range<usize>, bits: usize, random: &mut fastrand::Rng) {
    (0..bits).for_each(|_| bytes[random.usize(range.clone())] ^= 1 << random.u8(0..8));
}

fn put_back(bytes: &mut [u8], older: &[u8], range: std::ops::Range<usize>) {
    if let Some(before) = older.get(range.clone()) {
        bytes[range].copy_from_slice(before);
    }
}

type Value = (u64, Vec<u64>);

/// Every value is `allowed` or absent; returns how many are there.
fn allowed_or_absent(store: &Store, allowed: impl Fn(&str, u64) -> bool, what: &str) -> usize {
    let snapshot = store.snapshot().unwrap();
    let mut there = 0;
    for n in 0..200 {
        let key = format!("task:{n}");
        let found: Option<Value> = snapshot.get(Table::Tasks, key.as_bytes()).unwrap();
        if let Some((value, copies)) = found {
            assert!(allowed(&key, value) && copies == vec![value; 20], "{what}: {key} is {value}");
            there += 1;
        }
    }
    for (key, (value, _)) in snapshot.entries::<Value>(Table::Tasks).unwrap() {
        let key = std::str::from_utf8(&key).unwrap();
        assert!(allowed(key, value), "{what}: {key} is {value} among all");
    }
    there
}

/// Opens a spoiled file in every way and uses it.
fn survive(place: &Place, epoch: u64, allowed: impl Fn(&str, u64) -> bool, what: &str) -> usize {
    match Store::open(&place.dir, Access::ReadOnly) {
        Ok(opened) => drop(allowed_or_absent(&opened.store, &allowed, what)),
        Err(StoreError::NeedsRepair(_)) => {}
        Err(other) => panic!("{what}: {other}"),
    }
    let open = || Store::open_with(&place.dir, Access::ReadWrite, quick_opener(epoch));
    let mut store = open().unwrap_or_else(|e| panic!("{what}: {e}")).store;
    let there = allowed_or_absent(&store, &allowed, what);
    store.commit(&put("new:one", 1)).unwrap_or_else(|e| panic!("{what}: {e}"));
    store.close().unwrap_or_else(|e| panic!("{what}: {e}"));
    let opened = open().unwrap_or_else(|e| panic!("{what}, afterwards: {e}"));
    if opened.notice.is_none() {
        // What was added may be lost only with the whole file.
        for n in 0..200 {
            let key = format!("task:{n}");
            let found: Option<Value> = opened.store.reader().get(Table::Tasks, key.as_bytes()).unwrap();
            assert!(found.is_none_or(|(found, _)| allowed(&key, found)), "{what}: {key} afterwards");
        }
        assert!(matches!(get(&opened.store, "new:one"), Some(1) | None), "{what}: afterwards");
    }
    there
}

/// How many files are damaged: 300, or what `DEVTASK_TEST_DAMAGED_FILES` says.
fn number_of_files() -> usize {
    std::env::var("DEVTASK_TEST_DAMAGED_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(300)
}

/// A killed file is opened as after a power cut: it is verified.
#[test]
fn a_damaged_file_gives_right_values_or_none() {
    let files = Files::new();
    let mut random = fastrand::Rng::with_seed(7);
    let mut there = 0;
    for n in 0..number_of_files() {
        let killed = n % 2 == 1;
        let (image, ways) =
            if killed { (&files.killed, &OF_A_KILLED[..]) } else { (&files.clean, &OF_A_CLOSED[..]) };
        let mut bad = image.clone();
        let done: Vec<String> = (0..=n % 2 * random.usize(0..2))
            .map(|_| ways[n / 2 % ways.len()].spoil(&mut bad, &files.older, &mut random))
            .collect();
        let place = Place::new();
        fs::write(place.file(), bad).unwrap();
        let what = format!("file {n}, killed {killed}: {}", done.join(", "));
        there += survive(&place, AFTER, |key, value| files.expected.get(key) == Some(&value), &what);
    }
    assert!(there > 0, "some damage hits nothing that matters");
    assert!(there < number_of_files() * files.expected.len(), "some damage does");
}

/// Without a power cut there is no page in a killed file but what was written; it is not verified. Damage of any other
/// origin finds it as it finds a closed one: right values or none.
#[test]
fn a_killed_file_that_is_not_verified_gives_right_values_or_none() {
    let files = Files::new();
    let mut random = fastrand::Rng::with_seed(9);
    for n in 0..number_of_files() / 3 {
        let way = [Bits, ZeroedPage, GarbagePage, GarbageBytes, Truncated, Extended][n % 6];
        let mut bad = files.killed.clone();
        let what = format!("file {n}: {}", way.spoil(&mut bad, &files.older, &mut random));
        let place = Place::new();
        fs::write(place.file(), bad).unwrap();
        survive(&place, BEFORE, |key, value| files.expected.get(key) == Some(&value), &what);
    }
}

/// The one thing that cannot be seen in a file that is not verified: a page that was right once. It gives values
/// that were right once, and never those of another key.
#[test]
fn an_older_page_in_a_file_that_is_not_verified_gives_at_worst_an_older_value() {
    let files = Files::new();
    let mut random = fastrand::Rng::with_seed(8);
    for (name, image) in [("closed", &files.clean), ("killed", &files.killed)] {
        let older = Cell::new(0);
        for n in 0..number_of_files() / 2 {
            let mut bad = image.clone();
            let way = [OlderPage, CopiedPage, TornPage][n % 3];
            let what = format!("{name} file {n}: {}", way.spoil(&mut bad, &files.older, &mut random));
            let place = Place::new();
            fs::write(place.file(), bad).unwrap();
            let once_right = |key: &str, value| {
                older.update(|found| found + usize::from(files.expected.get(key) != Some(&value)));
                files.history.get(key).is_some_and(|all| all.contains(&value))
            };
            survive(&place, BEFORE, once_right, &what);
        }
        assert!(older.get() > 0, "{name}: it was verified, or no damage mattered");
    }
}
