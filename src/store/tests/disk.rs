//! A disk that refuses: whichever call fails, what was acknowledged stays and nothing is half there.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use redb::{StorageBackend, backends::FileBackend};
use rustix::io::Errno;

use super::{
    super::{
        base::fault,
        disk::{Medium, Opener},
        *,
    },
    Place, get, put,
};

/// Which call to a disk fails next, and how. Shared by all handles of a test.
#[derive(Debug)]
pub(super) struct Weather {
    /// Calls left until the storm.
    pub(super) calm: AtomicU64,
    /// Calls the storm lasts.
    pub(super) storm: AtomicU64,
    errno: Errno,
    calls: AtomicU64,
    /// Whether the next call panics.
    panics: AtomicBool,
    /// Whether the next sync fails.
    fails_sync: AtomicBool,
}

impl Weather {
    pub(super) fn new(calm: u64, storm: u64, errno: Errno) -> Arc<Self> {
        Arc::new(Self {
            calm: calm.into(),
            storm: storm.into(),
            errno,
            calls: AtomicU64::new(0),
            panics: AtomicBool::new(false),
            fails_sync: AtomicBool::new(false),
        })
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
        if self.weather.fails_sync.swap(false, Ordering::Relaxed) {
            return Err(self.weather.errno.into());
        }
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

/// Opens files on a disk with this weather.
pub(super) fn opener(weather: &Arc<Weather>) -> Opener {
    let weather = Arc::clone(weather);
    Arc::new(move |path| {
        let file = StateDir::open_file(path, true)?;
        let file = FileBackend::new(file).map_err(fault)?;
        Ok(Medium { file: Box::new(Disk { file, weather: Arc::clone(&weather) }), epoch: None })
    })
}

/// Commits pairs that must stay equal until `rounds` are over; returns the numbers that were acknowledged, none if it
/// was told that a sync failed.
fn commit_pairs(dir: &StateDir, weather: &Arc<Weather>, rounds: u64) -> Option<Vec<u64>> {
    let mut store = match Store::open_with(dir, Access::ReadWrite, opener(weather)) {
        Ok(opened) => opened.store,
        Err(StoreError::NotSynced { .. }) => return None,
        Err(_) => return Some(Vec::new()),
    };
    let pair = |n: u64| {
        let mut batch = put(&format!("left:{n}"), n);
        batch.append(put(&format!("right:{n}"), n));
        batch.put(Table::Dirs, format!("big:{n}").as_bytes(), &vec![n; 2000]).unwrap();
        batch
    };
    let acknowledged = (0..rounds).filter(|n| store.commit(&pair(*n)).is_ok()).collect();
    store.close().ok().map(|_| acknowledged)
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
    assert_eq!(commit_pairs(&Place::new().dir, &fair, ROUNDS).unwrap().len() as u64, ROUNDS);
    let calls = fair.calls.load(Ordering::Relaxed);
    assert!(calls > 20, "the failing disk is in use");
    let mut removed = 0;
    for errno in [Errno::NOSPC, Errno::IO] {
        for storm in [1, 7, u64::MAX] {
            for calm in 0..calls {
                let place = Place::new();
                let acknowledged = commit_pairs(&place.dir, &Weather::new(calm, storm, errno), ROUNDS);
                let what = format!("{errno} for {storm} calls after {calm}");
                removed += u64::from(acknowledged.is_none());
                assert!(acknowledged.is_some() || !is_in_place(&place.dir), "{what}: it is believed");
                check_pairs(&place.dir, &acknowledged.unwrap_or_default(), ROUNDS, &what);
            }
        }
    }
    assert!(removed > 0 && removed < calls * 3, "some of the calls are syncs, most are writes: {removed}");
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
fn a_failed_sync_is_never_tried_again() {
    let place = Place::new();
    let weather = Weather::new(u64::MAX, 0, Errno::IO);
    let mut store = Store::open_with(&place.dir, Access::ReadWrite, opener(&weather)).unwrap().store;
    store.commit(&put("a:b", 1)).unwrap();
    weather.fails_sync.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        // The disk is well again the second time, but who lost something once does not go on.
        let error = store.commit(&put("a:b", 2)).unwrap_err();
        assert!(matches!(&error, StoreError::NotSynced { source, .. } if source.raw_os_error() == Some(5)));
        assert!(!is_in_place(&place.dir), "nobody else believes it");
        assert!(matches!(store.reader().get::<u64>(Table::Tasks, b"a:b"), Err(StoreError::Closed)));
    }
    assert!(matches!(store.close(), Err(StoreError::NotSynced { .. })), "who did not listen hears it now");
    assert_eq!(get(&place.clean(), "a:b"), None);
    assert_eq!(place.asides(), 0);
}

#[test]
fn a_sync_that_fails_while_opening_or_closing_is_told_too() {
    let place = Place::new();
    let weather = Weather::new(u64::MAX, 0, Errno::IO);
    let open =
        || Store::open_with(&place.dir, Access::ReadWrite, opener(&weather)).map(|opened| opened.store);
    for _ in 0..2 {
        let mut store = open().unwrap();
        store.commit(&put("a:b", 1)).unwrap();
        weather.fails_sync.store(true, Ordering::Relaxed);
        assert!(matches!(store.close(), Err(StoreError::NotSynced { .. })));
        assert!(!is_in_place(&place.dir));

        let mut store = open().unwrap();
        store.commit(&put("a:b", 1)).unwrap();
        store.close().unwrap();
        weather.fails_sync.store(true, Ordering::Relaxed);
        assert!(matches!(open(), Err(StoreError::NotSynced { .. })));
        assert!(!is_in_place(&place.dir));
    }
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
