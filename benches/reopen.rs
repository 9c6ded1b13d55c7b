//! How long it takes to open the store for writing after its last owner was killed, for files of three sizes.
//!
//! `cargo bench --bench reopen` prints a line a size; nothing is asserted. The aim is 200 ms. A repaired file is
//! clean, so each of the rounds has a victim of its own.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use devtask::store::{Access, Batch, STATE_DIR, StateDir, Store, Table};

/// How many records make files of about 2, 67 and 269 MB.
const SIZES: [usize; 3] = [60, 3_300, 13_900];
const ROUNDS: usize = 7;
/// One record of the stat cache: a directory with a hundred files.
const RECORD: usize = 9_000;

const DIR: &str = "DEVTASK_BENCH_DIR";
const SIZE: &str = "DEVTASK_BENCH_SIZE";

fn main() {
    match (env::var_os(DIR), env::var(SIZE)) {
        (Some(dir), Ok(size)) => be_a_victim(Path::new(&dir), size.parse().unwrap()),
        _ => SIZES.into_iter().for_each(measure),
    }
}

fn measure(records: usize) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(STATE_DIR);
    let dir = StateDir::create(&path).unwrap();
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            kill_a_writer(&path, records);
            let start = Instant::now();
            let opened = Store::open(&dir, Access::ReadWrite).unwrap();
            let took = start.elapsed();
            assert_eq!(opened.notice, None);
            took
        })
        .collect();
    times.sort();
    let length = fs::metadata(path.join("state.redb")).unwrap().len() as f64 / 1e6;
    println!(
        "{length:7.1} MB  median {:?}  least {:?}  most {:?}",
        times[ROUNDS / 2],
        times[0],
        times[ROUNDS - 1]
    );
}

/// Has another process fill the store and commit some more, and kills it.
fn kill_a_writer(path: &Path, records: usize) {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(DIR, path).env(SIZE, records.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "committed");
    child.kill().unwrap();
    child.wait().unwrap();
}

fn be_a_victim(path: &Path, wanted: usize) {
    let dir = StateDir::open(path).unwrap().unwrap();
    let mut store = Store::open(&dir, Access::ReadWrite).unwrap().store;
    let first = store.snapshot().unwrap().keys(Table::Dirs).unwrap().len();
    let record = vec![b'x'; RECORD];
    let mut put = |numbers: std::ops::Range<usize>| {
        let mut batch = Batch::new();
        numbers.for_each(|n| batch.put(Table::Dirs, &n.to_be_bytes(), &record).unwrap());
        store.commit(&batch).unwrap();
    };
    (first..wanted).step_by(500).for_each(|n| put(n..(n + 500).min(wanted)));
    (0..3).for_each(|n| put(n..n + 1));
    println!("committed");
    // To be killed.
    std::thread::park();
}
