//! Looking at a tree of 100 directories with 100 files each, beside the least anybody can do: a loop that
//! lists and stats.

use std::{fs, num::NonZero, path::Path, sync::LazyLock, time::Duration};

use devtask::{
    pattern::{PatternKind, PatternSet},
    scan::{FileTable, Matched, NoMemory, ScanOptions, Scanner, TableOptions, system_now_ns},
};
use divan::{Bencher, black_box};
use tempfile::TempDir;

const THREADS: [usize; 2] = [1, 2];

static TREE: LazyLock<TempDir> = LazyLock::new(|| {
    let tree = tempfile::tempdir().expect("a temporary directory");
    for directory in 0..100 {
        let path = tree.path().join(format!("package{directory}/src"));
        fs::create_dir_all(&path).expect("a new directory");
        for file in 0..100 {
            fs::write(path.join(format!("file{file}.rs")), format!("{directory} {file}"))
                .expect("a new file");
        }
    }
    tree
});

fn main() {
    LazyLock::force(&TREE);
    divan::main();
}

fn scanner(threads: usize) -> Scanner {
    Scanner::new(ScanOptions {
        root: TREE.path().to_owned(),
        state_dir: TREE.path().join(".devtask"),
        global_ignore: None,
        threads: NonZero::new(threads).unwrap_or(NonZero::<usize>::MIN),
    })
}

fn patterns(of_each_package: bool) -> Vec<PatternSet> {
    let set = |pattern: String| {
        PatternSet::new(&[TREE.path().to_owned()], &[pattern], PatternKind::Inputs).expect("a pattern")
    };
    if of_each_package {
        (0..100).map(|n| set(format!("package{n}/src/**/*.rs"))).collect()
    } else {
        vec![set("**/*.rs".to_owned())]
    }
}

fn walk(threads: usize, sets: &[PatternSet]) -> Vec<Matched> {
    scanner(threads).walk(&sets.iter().collect::<Vec<_>>())
}

/// A table that has read everything, and long enough after it was written to trust it.
fn table(matched: &[Matched]) -> FileTable {
    let now_ns =
        Box::new(|| system_now_ns() + i128::try_from(Duration::from_secs(10).as_nanos()).unwrap_or(0));
    let table =
        FileTable::new(TREE.path(), Box::new(NoMemory), TableOptions { now_ns, ..TableOptions::default() });
    assert_eq!(table.digest_all(matched, NonZero::<usize>::MIN).len(), matched.len());
    table
}

#[divan::bench]
fn bare_stat_loop(bencher: Bencher) {
    bencher.bench(|| stat_all(TREE.path()));
}

fn stat_all(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => stat_all(&entry.path()),
        _ => entry.metadata().map_or(0, |metadata| metadata.len()),
    };
    entries.flatten().map(size).sum()
}

#[divan::bench(args = THREADS)]
fn walk_one_pattern(bencher: Bencher, threads: usize) {
    let sets = patterns(false);
    bencher.bench(|| walk(threads, &sets));
}

#[divan::bench(args = THREADS)]
fn walk_a_pattern_a_package(bencher: Bencher, threads: usize) {
    let sets = patterns(true);
    bencher.bench(|| walk(threads, &sets));
}

#[divan::bench]
fn digest_nothing_changed(bencher: Bencher) {
    let matched = walk(1, &patterns(false));
    let table = table(&matched);
    bencher.bench(|| table.digest_all(black_box(&matched), NonZero::<usize>::MIN));
}

#[divan::bench(args = THREADS)]
fn digest_everything_new(bencher: Bencher, threads: usize) {
    let matched = walk(1, &patterns(false));
    let threads = NonZero::new(threads).unwrap_or(NonZero::<usize>::MIN);
    bencher
        .with_inputs(|| FileTable::new(TREE.path(), Box::new(NoMemory), TableOptions::default()))
        .bench_values(|table| table.digest_all(&matched, threads));
}
