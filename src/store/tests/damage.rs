//! A file that is not what it was: right values or none, whatever happened to it.

use std::{collections::BTreeMap, fs};

use super::{super::*, Place, get, put};

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
