//! Power cuts: a disk that keeps what was synced and, of what was not, any part.
//!
//! A [`Tape`] records every write and sync of a life of the store. A cut at any place of it gives the files
//! the disk could hold then; the store is opened on them as after a reboot, and must be in the very state of
//! the last acknowledged batch, or of the one that was being written. Some of the recovered stores live on
//! and are cut again, in the middle of their recovery too.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    sync::{Arc, Mutex},
};

use redb::{StorageBackend, backends::FileBackend};
use rustix::io::Errno;

use super::{
    super::{
        base::fault,
        disk::{Medium, Opener},
        *,
    },
    Place,
};

/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

/// What happened to the file, in order.
#[derive(Debug)]
enum Step {
    Write {
        at: usize,
        data: Vec<u8>,
    },
    Length(usize),
    Synced,
    /// The system could not write everything, said so once, and takes the rest for written.
    NotSynced,
    /// The store acknowledged everything up to this state.
    Acknowledged(usize),
}

/// What is in the store: the size and the filling of each value.
type State = BTreeMap<(usize, Vec<u8>), (usize, u64)>;

/// Those that hold values of any kind: of a run under way the store knows what it means.
const TABLES: [Table; 4] = [Table::Tasks, Table::Manifests, Table::Dirs, Table::Trails];

// --- a disk that takes notes ---------------------------------------------------------------------

/// Everything that happened to a file, beginning with what was there.
#[derive(Debug, Default)]
struct Tape {
    before: Vec<u8>,
    steps: Vec<Step>,
    /// The number of steps after which a new file was in its place, if it came there.
    placed: Option<usize>,
    /// Syncs until one fails.
    syncs_left: Option<usize>,
}

#[derive(Debug)]
struct Disk {
    file: FileBackend,
    tape: Arc<Mutex<Tape>>,
}

impl Disk {
    fn note(&self, step: Step) {
        self.tape.lock().unwrap().steps.push(step);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.note(Step::Length(usize::try_from(len).unwrap()));
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut tape = self.tape.lock().unwrap();
        let fails = tape.syncs_left == Some(0);
        tape.syncs_left = if fails { None } else { tape.syncs_left.map(|n| n - 1) };
        tape.steps.push(if fails { Step::NotSynced } else { Step::Synced });
        if fails { Err(Errno::IO.into()) } else { Ok(()) }
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)?;
        self.note(Step::Write { at: usize::try_from(offset).unwrap(), data: data.to_owned() });
        Ok(())
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

fn opener(tape: &Arc<Mutex<Tape>>, epoch: u64) -> Opener {
    let tape = Arc::clone(tape);
    Arc::new(move |path| {
        let file = FileBackend::new(StateDir::open_file(path, true)?).map_err(fault)?;
        let disk = Disk { file, tape: Arc::clone(&tape) };
        Ok(Medium { file: Box::new(disk), epoch: Some(epoch) })
    })
}

/// The epoch in which the lives are lived. A file that was not closed is verified in any other.
pub(super) const BEFORE: u64 = 1;
pub(super) const AFTER: u64 = 2;

/// Opens files on a disk that need not wait for anything.
pub(super) fn quick_opener(epoch: u64) -> Opener {
    opener(&Arc::default(), epoch)
}

// --- a life of the store -------------------------------------------------------------------------

/// A life of a store: what happened to its file, and the states it went through.
struct Life {
    tape: Tape,
    states: Vec<State>,
}

impl Life {
    /// Opens the store, changes it some times, closes, reopens and compacts it now and then.
    fn live(place: &Place, state: State, syncs_left: Option<usize>, random: &mut fastrand::Rng) -> Self {
        let before = fs::read(place.file()).unwrap_or_default();
        let tape = Arc::new(Mutex::new(Tape { before, syncs_left, ..Tape::default() }));
        let open = || {
            let opened = Store::open_with(&place.dir, Access::ReadWrite, opener(&tape, BEFORE)).ok()?;
            let mut tape = tape.lock().unwrap();
            let steps = tape.steps.len();
            tape.placed.get_or_insert(steps);
            Some(opened.store)
        };
        let mut states = vec![state];
        let mut store = open();
        for _ in 0..random.usize(4..14) {
            let Some(alive) = store.as_mut() else { break };
            let (batch, after) = change(states.last().unwrap(), random);
            states.push(after);
            if alive.commit(&batch).is_err() {
                break;
            }
            tape.lock().unwrap().steps.push(Step::Acknowledged(states.len() - 1));
            match random.u8(0..8) {
                0 => store = store.take().and_then(|store| store.close().ok()).and_then(|_| open()),
                1 => alive.compact_if_worth_it(0),
                _ => {}
            }
        }
        drop(store);
        let tape = std::mem::take(&mut *tape.lock().unwrap());
        Self { tape, states }
    }

    /// A moment of it, as a number of steps.
    fn anywhere(&self, random: &mut fastrand::Rng) -> usize {
        random.usize(0..=self.tape.steps.len())
    }
}

/// Some changes of a state, as a batch and as the state after them.
fn change(state: &State, random: &mut fastrand::Rng) -> (Batch, State) {
    let (mut batch, mut after) = (Batch::new(), state.clone());
    for _ in 0..random.usize(1..12) {
        let table = random.usize(0..TABLES.len());
        let key = format!("task:{}", random.u8(0..40)).into_bytes();
        if random.u8(0..4) == 0 {
            batch.delete(TABLES[table], &key);
            after.remove(&(table, key));
        } else {
            let value = (
                if random.u8(0..6) == 0 { random.usize(..4000) } else { random.usize(..40) },
                random.u64(..),
            );
            batch.put(TABLES[table], &key, &vec![value.1; value.0]).unwrap();
            after.insert((table, key), value);
        }
    }
    (batch, after)
}

/// Everything that is in a store; each value is whole.
fn contents(store: &Store, what: &str) -> State {
    let snapshot = store.snapshot().unwrap();
    let mut state = State::new();
    for (number, table) in TABLES.into_iter().enumerate() {
        for (key, value) in snapshot.entries::<Vec<u64>>(table).unwrap() {
            let first = value.first().copied().unwrap_or_default();
            assert!(value.iter().all(|part| *part == first), "{what}: a mixed value");
            state.insert((number, key), (value.len(), first));
        }
    }
    state
}

/// Values without parts look alike.
fn as_read(state: &State) -> State {
    state.iter().map(|(key, (len, fill))| (key.clone(), (*len, if *len == 0 { 0 } else { *fill }))).collect()
}

// --- cuts ----------------------------------------------------------------------------------------

/// What of the writes since the last sync is on the disk.
#[derive(Clone, Copy, Debug)]
enum Kept {
    /// Everything: kill -9.
    All,
    None,
    /// Some writes, each as a whole.
    Writes,
    /// Some sectors, each as one of the writes left it, whatever their order was.
    Sectors,
    AllButOneSector,
    OneSector,
}

const WAYS: [Kept; 6] =
    [Kept::All, Kept::None, Kept::Writes, Kept::Sectors, Kept::AllButOneSector, Kept::OneSector];

/// What was written and not synced.
#[derive(Default)]
struct Pending<'a> {
    writes: Vec<(usize, &'a [u8])>,
    lengths: Vec<usize>,
}

impl Pending<'_> {
    /// Puts a part of it on the disk, and forgets the rest.
    fn settle(&mut self, disk: &mut Vec<u8>, kept: Kept, random: &mut fastrand::Rng) {
        let sector_of = |(at, data): &(usize, &[u8])| at / SECTOR..(at + data.len()).div_ceil(SECTOR);
        let touched: Vec<usize> =
            self.writes.iter().flat_map(sector_of).collect::<BTreeSet<_>>().into_iter().collect();
        let one = random.choice(&touched).copied();
        let chosen: Vec<bool> = self.writes.iter().map(|_| random.bool()).collect();
        let mut versions: BTreeMap<usize, Vec<[u8; SECTOR]>> = BTreeMap::new();
        for (number, (at, data)) in self.writes.iter().enumerate() {
            if matches!(kept, Kept::Writes) && !chosen[number] {
                continue;
            }
            for sector in sector_of(&(*at, data)) {
                let all = versions.entry(sector).or_insert_with(|| vec![sector_on(disk, sector)]);
                let mut content = *all.last().unwrap();
                overlay(&mut content, sector * SECTOR, *at, data);
                all.push(content);
            }
        }
        self.settle_length(disk, kept, random);
        for (sector, all) in versions {
            let version = match kept {
                Kept::All | Kept::Writes => all.len() - 1,
                Kept::None => 0,
                Kept::Sectors => random.usize(0..all.len()),
                Kept::AllButOneSector if Some(sector) == one => random.usize(0..all.len() - 1),
                Kept::OneSector if Some(sector) != one => 0,
                Kept::AllButOneSector | Kept::OneSector => all.len() - 1,
            };
            put_sector(disk, sector, &all[version]);
        }
        self.writes.clear();
        self.lengths.clear();
    }

    fn settle_length(&self, disk: &mut Vec<u8>, kept: Kept, random: &mut fastrand::Rng) {
        let reached = match kept {
            Kept::All | Kept::AllButOneSector => self.lengths.len(),
            Kept::None | Kept::OneSector => 0,
            Kept::Writes | Kept::Sectors => random.usize(0..=self.lengths.len()),
        };
        self.lengths[..reached].iter().for_each(|len| disk.resize(*len, 0));
    }
}

fn sector_on(disk: &[u8], sector: usize) -> [u8; SECTOR] {
    let mut content = [0; SECTOR];
    let there = disk.get(sector * SECTOR..).unwrap_or_default();
    let len = there.len().min(SECTOR);
    content[..len].copy_from_slice(&there[..len]);
    content
}

/// Writes the part of `data`, which stands at `at`, that lies in the sector at `start`.
fn overlay(content: &mut [u8; SECTOR], start: usize, at: usize, data: &[u8]) {
    let (from, to) = (at.max(start), (at + data.len()).min(start + SECTOR));
    content[from - start..to - start].copy_from_slice(&data[from - at..to - at]);
}

/// What lies beyond the end of the file is lost with its length.
fn put_sector(disk: &mut [u8], sector: usize, content: &[u8; SECTOR]) {
    let there = disk.get_mut(sector * SECTOR..).unwrap_or_default();
    let len = there.len().min(SECTOR);
    there[..len].copy_from_slice(&content[..len]);
}

impl Tape {
    /// What the disk holds after a power cut behind the first `steps` steps.
    fn cut(&self, steps: usize, kept: Kept, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut disk = self.before.clone();
        let mut pending = Pending::default();
        for step in &self.steps[..steps] {
            match step {
                Step::Write { at, data } => pending.writes.push((*at, data)),
                Step::Length(len) => pending.lengths.push(*len),
                Step::Synced => pending.settle(&mut disk, Kept::All, random),
                Step::NotSynced => pending.settle(&mut disk, kept, random),
                Step::Acknowledged(_) => {}
            }
        }
        pending.settle(&mut disk, kept, random);
        disk
    }

    /// The number of steps up to a sync that failed, if one did.
    fn failure(&self) -> Option<usize> {
        Some(self.steps.iter().position(|step| matches!(step, Step::NotSynced))? + 1)
    }

    /// The last state that was acknowledged within the first `steps` steps.
    fn acknowledged(&self, steps: usize) -> usize {
        let numbers = self.steps[..steps].iter().rev();
        let number = |step: &Step| if let Step::Acknowledged(number) = step { Some(*number) } else { None };
        numbers.filter_map(number).next().unwrap_or(0)
    }
}

/// Puts a disk's content in its place, and looks what a store makes of it. Returns the state it is in. A disk that
/// keeps what was synced needs no verifying; one that is verified is found to be right.
fn recover(place: &Place, life: &Life, steps: usize, disk: &[u8], epoch: u64, what: &str) -> State {
    put_in_place(place, life, steps, disk);
    match Store::open(&place.dir, Access::ReadOnly) {
        Ok(opened) => check(&opened.store, life, steps, what),
        Err(StoreError::NeedsRepair(_)) => {}
        Err(other) => panic!("{what}: {other}"),
    }
    let opened = Store::open_with(&place.dir, Access::ReadWrite, quick_opener(epoch));
    let opened = opened.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(opened.notice, None, "{what}");
    check(&opened.store, life, steps, what);
    contents(&opened.store, what)
}

/// A file that was being made still had another name.
fn put_in_place(place: &Place, life: &Life, steps: usize, disk: &[u8]) {
    let is_new = life.tape.before.is_empty() && life.tape.placed.is_none_or(|placed| steps < placed);
    // There is none at first.
    let _ = fs::remove_file(place.file());
    let path = if is_new { place.dir.path().join("state.redb.new") } else { place.file() };
    fs::write(path, disk).unwrap();
}

/// The state is that of the last acknowledged batch, or of the one that was being written: everything that
/// was promised is there, nothing that was removed is back, nothing is half there.
fn check(store: &Store, life: &Life, steps: usize, what: &str) {
    let found = contents(store, what);
    assert_eq!(store.reader().take_notices(), [], "{what}");
    let last = life.tape.acknowledged(steps);
    let allowed = &life.states[last..(last + 2).min(life.states.len())];
    assert!(allowed.iter().any(|state| as_read(state) == found), "{what}: acknowledged was state {last}");
}

/// How many cuts a test makes: 240, or what `DEVTASK_TEST_POWER_CUTS` says.
fn cuts() -> usize {
    std::env::var("DEVTASK_TEST_POWER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(240)
}

/// Cuts a life after some steps and recovers it. The recovered store lives on and is cut too, `again` times; that cut
/// may fall into the repair.
fn cut_and_recover(life: &Life, steps: usize, random: &mut fastrand::Rng, number: usize, again: usize) {
    let kept = WAYS[number % WAYS.len()];
    let epoch = if random.bool() { BEFORE } else { AFTER };
    let what = format!("cut {number}, {again} lives left: after {steps} steps, {kept:?} kept, epoch {epoch}");
    let disk = life.tape.cut(steps, kept, random);
    let place = Place::new();
    let state = recover(&place, life, steps, &disk, epoch, &what);
    if again == 0 {
        return;
    }
    // As it was before it was looked at.
    put_in_place(&place, life, steps, &disk);
    let next = Life::live(&place, state, None, random);
    cut_and_recover(&next, next.anywhere(random), random, number, again - 1);
}

#[test]
fn whatever_a_power_cut_leaves_is_the_last_state_or_the_next() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut life = Life::live(&Place::new(), State::new(), None, &mut random);
    for number in 0..cuts() {
        if number % 24 == 23 {
            life = Life::live(&Place::new(), State::new(), None, &mut random);
        }
        let again = if number % 24 < 18 { 0 } else { 2 };
        cut_and_recover(&life, life.anywhere(&mut random), &mut random, number, again);
    }
}

/// What a failed sync did not write stays readable until the power goes (or the system needs the memory), so nothing is
/// built on it: the disk keeps what it has, the file is removed, and whoever comes next finds none. A power cut just
/// before it is removed leaves what any other leaves.
#[test]
fn after_a_sync_that_failed_nothing_is_written_and_nothing_believed() {
    let mut random = fastrand::Rng::with_seed(13);
    let mut failed = 0;
    for number in 0..cuts() {
        let place = Place::new();
        let life = Life::live(&place, State::new(), Some(random.usize(0..40)), &mut random);
        let Some(failure) = life.tape.failure() else {
            cut_and_recover(&life, life.anywhere(&mut random), &mut random, number, 0);
            continue;
        };
        failed += 1;
        assert_eq!(failure, life.tape.steps.len(), "life {number}: something was tried after it");
        assert!(!is_in_place(&place.dir), "life {number}: the file is there");
        assert_eq!(contents(&place.clean(), "afterwards"), State::new());
        cut_and_recover(&life, failure, &mut random, number, 0);
    }
    assert!(failed > cuts() / 2, "most lives meet it: {failed} of {}", cuts());
}
