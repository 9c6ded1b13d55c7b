//! What it costs to put back what a task left, and to keep it: beside making the same files bare, and copying them.
//! `cargo bench --bench restore`
//!
//! The trees lie under cargo's target directory, so on a real disk; nothing is synced by anybody.

mod support;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
};

use devtask::{
    cache::{Cache, Difference, Kept, difference},
    fingerprint::{FileRow, digest_of},
    model::{FileKind, KeptFile},
};
use support::{
    AGED, RUN,
    args::Args,
    program::Program,
    rounds::{Contender, Rounds, interleave, print},
};

const DIRECTORIES: usize = 20;
const LARGE: usize = 64 << 20;
/// What is to be removed in the end.
const TRASH: &str = "restore-bench-trash";
/// Each makes some thousands of files.
const ROUNDS: usize = 15;
const TASKS: &str = r#"
[tasks.make]
exec = "cp -R from out"
execIfModified = ["in"]
outputs = ["out/**"]
"#;

/// Files to be made: relative to the tree, each with its content.
type Files = Vec<(String, Vec<u8>)>;

fn main() -> ExitCode {
    let args = Args::read();
    let place = Place::new();
    let (files, large) = if args.smoke { (40, 1 << 20) } else { (1000, LARGE) };
    let usual = Rounds::usual(args.smoke);
    let rounds = Rounds { most: ROUNDS.min(usual.most), ..usual };
    let trash = Path::new(env!("CARGO_TARGET_TMPDIR")).join(TRASH);
    fs::create_dir_all(&trash).unwrap();
    let small: Files = (0..files).map(small).collect();
    let bytes: usize = small.iter().map(|(_, content)| content.len()).sum();
    println!("{files} files in {DIRECTORIES} directories, {} KB; one of {} MiB", bytes >> 10, large >> 20);
    put_back(&place, &small, rounds);
    whole_program(&place, &small, args.smoke, rounds);
    keep_small(&place, &small, rounds);
    keep_large(&place, large, rounds);
    critical_path(&place, large, args.smoke);
    fs::remove_dir_all(trash).unwrap();
    ExitCode::SUCCESS
}

/// Between one and eight KB, of a size that hangs on which file it is.
fn small(number: usize) -> (String, Vec<u8>) {
    let mut content = format!("file {number}\n").into_bytes();
    content.resize(1024 + (number * 104_729) % (7 * 1024), b'a' + (number % 26) as u8);
    (format!("out/dir_{:02}/file_{number:04}.js", number % DIRECTORIES), content)
}

/// A directory of its own under cargo's, gone in the end.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    fn dir(&self, name: &str) -> PathBuf {
        let dir = self.0.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// A tree, where its contents lie, and the cache.
    fn cache(&self, name: &str) -> (PathBuf, PathBuf, Cache) {
        let (tree, contents) = (self.dir(name), self.dir(&format!("{name}.contents")));
        let cache = Cache::open(&contents, &tree).unwrap();
        (tree, contents, cache)
    }
}

fn rows(files: &Files) -> Vec<FileRow> {
    let row = |(path, content): &(String, Vec<u8>)| FileRow {
        path: path.clone().into(),
        kind: FileKind::File { executable: false },
        digest: digest_of(content),
    };
    let mut rows: Vec<FileRow> = files.iter().map(row).collect();
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    rows
}

/// As bare as it gets: directories, then files.
fn make(tree: &Path, files: &Files) {
    let mut made: Vec<&Path> = Vec::new();
    for (path, content) in files {
        let dir = Path::new(path).parent().unwrap();
        if !made.contains(&dir) {
            fs::create_dir_all(tree.join(dir)).unwrap();
            made.push(dir);
        }
        fs::File::create(tree.join(path)).unwrap().write_all(content).unwrap();
    }
}

/// Puts it out of the way, and removes it when all is over: for some seconds ext4 looks for other inodes than those that
/// were freed just now, which would be all that is measured.
fn clear(path: &Path) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    if path.exists() {
        let aside = format!("gone-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        fs::rename(path, Path::new(env!("CARGO_TARGET_TMPDIR")).join(TRASH).join(aside)).unwrap();
    }
}

fn keep(cache: &Cache, rows: &[FileRow]) -> Kept {
    cache.keep(rows, &|| true).unwrap()
}

fn restore(cache: &Cache, wanted: &[KeptFile], difference: &Difference) -> (usize, usize) {
    let done = cache.restore(wanted, difference, b"", &|| true).unwrap();
    (done.written, done.left)
}

/// Inodes and times of changes: who writes a file gives it another of these.
fn stamps(tree: &Path, files: &Files) -> Vec<(u64, i64, i64)> {
    let stamp = |(path, _): &(String, Vec<u8>)| {
        let found = fs::symlink_metadata(tree.join(path)).unwrap();
        (found.ino(), found.ctime(), found.ctime_nsec())
    };
    files.iter().map(stamp).collect()
}

const BARE: &str = "made bare";

fn put_back(place: &Place, files: &Files, rounds: Rounds) {
    let (tree, _, cache) = place.cache("restored");
    let bare = place.dir("bare");
    make(&tree, files);
    let rows = rows(files);
    let wanted = keep(&cache, &rows).files;
    let (none, all) = (difference(&wanted, &[], &[]), difference(&wanted, &rows, &[]));
    let out = tree.join("out");
    let table = interleave(
        rounds,
        vec![
            Contender::new(BARE, || make(&bare, files)).prepare(|| clear(&bare.join("out"))),
            Contender::new("put back", || assert_eq!(restore(&cache, &wanted, &none).0, files.len()))
                .prepare(|| clear(&out)),
            Contender::new("found in place", || assert_eq!(restore(&cache, &wanted, &all).0, 0)),
        ],
    );
    let before = stamps(&tree, files);
    assert_eq!(restore(&cache, &wanted, &all), (0, files.len()));
    assert_eq!(stamps(&tree, files), before, "what is right was written");
    print("put back, by the cache alone (at most 1.3 wanted; in place nothing is written)", &table, &[BARE]);
}

/// The program puts back, and the program finds all in place.
fn whole_program(place: &Place, files: &Files, smoke: bool, rounds: Rounds) {
    let (tree, bare) = (place.dir("program"), place.dir("bare"));
    fs::write(tree.join("devtask.toml"), TASKS).unwrap();
    fs::write(tree.join("in"), "").unwrap();
    make(&tree, files);
    fs::rename(tree.join("out"), tree.join("from")).unwrap();
    let program = Program::new(&tree, [support::DEVTASK].into_iter().chain(RUN).chain(["make"]));
    for _ in 0..3 {
        program.run();
        if !smoke {
            std::thread::sleep(AGED);
        }
    }
    let table = interleave(
        rounds,
        vec![
            Contender::new(BARE, || make(&bare, files)).prepare(|| clear(&bare.join("out"))),
            Contender::new("run that puts back", || program.run()).prepare(|| clear(&tree.join("out"))),
            Contender::new("run that finds all in place", || program.run()).prepare(|| {
                program.run();
            }),
        ],
    );
    let before = stamps(&tree, files);
    program.run();
    assert_eq!(stamps(&tree, files), before, "what is right was written");
    print("put back, by the whole program", &table, &[BARE]);
    let [bare, back, found] = &table[..] else { unreachable!("three contenders") };
    let of = |round: usize| {
        (back.times[round].as_secs_f64() - found.times[round].as_secs_f64()) / bare.times[round].as_secs_f64()
    };
    let beyond = median((0..bare.times.len()).map(of).collect());
    println!("  what putting back adds to a run that finds all in place: × {beyond:.3} of making them bare");
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

fn keep_small(place: &Place, files: &Files, rounds: Rounds) {
    let (tree, contents, cache) = place.cache("kept");
    make(&tree, files);
    let rows = rows(files);
    let bare = place.dir("bare");
    let copied = place.dir("copied");
    let copy = || {
        for (number, (path, _)) in files.iter().enumerate() {
            fs::copy(tree.join(path), copied.join(number.to_string())).unwrap();
        }
    };
    let table = interleave(
        rounds,
        vec![
            Contender::new(BARE, || make(&bare, files)).prepare(|| clear(&bare.join("out"))),
            Contender::new("copied", copy).prepare(|| {
                clear(&copied);
                fs::create_dir(&copied).unwrap();
            }),
            Contender::new("kept", || assert!(keep(&cache, &rows).added > 0))
                .prepare(|| contents_of(&contents).for_each(|layer| clear(&layer))),
            Contender::new("kept already", || assert_eq!(keep(&cache, &rows).added, 0)).prepare(|| {
                keep(&cache, &rows);
            }),
        ],
    );
    print("small files kept", &table, &[BARE, "copied"]);
}

/// The directories of contents.
fn contents_of(place: &Path) -> impl Iterator<Item = PathBuf> {
    let all = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.file_name().is_some_and(|name| name.len() == 2))
}

fn keep_large(place: &Place, size: usize, rounds: Rounds) {
    let (tree, contents, cache) = place.cache("large");
    let content: Vec<u8> =
        (0..size / 8).flat_map(|n| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    let files = vec![("large".to_owned(), content)];
    fs::write(tree.join("large"), &files[0].1).unwrap();
    let rows = rows(&files);
    let (copied, shared) = (tree.join("copied"), tree.join("shared"));
    let wanted = keep(&cache, &rows).files;
    let none = difference(&wanted, &[], &[]);
    // Dirty pages of what is gone need not be written by anybody.
    let remove = |path: &Path| drop(fs::remove_file(path));
    let mut contenders = vec![
        Contender::new("std::fs::copy", || {
            assert_eq!(fs::copy(tree.join("large"), &copied).unwrap(), size as u64)
        })
        .prepare(|| remove(&copied)),
        Contender::new("kept", || assert!(keep(&cache, &rows).added > 0))
            .prepare(|| contents_of(&contents).for_each(|layer| fs::remove_dir_all(layer).unwrap())),
        Contender::new("put back", || assert_eq!(restore(&cache, &wanted, &none).0, 1)).prepare(|| {
            keep(&cache, &rows);
            remove(&tree.join("large"));
        }),
    ];
    if share(&tree.join("large"), &shared) {
        contenders.push(
            Contender::new("shared blocks", || assert!(share(&tree.join("large"), &shared)))
                .prepare(|| remove(&shared)),
        );
    }
    let table = interleave(rounds, contenders);
    print("one large file kept (at most 1.3 wanted)", &table, &["std::fs::copy"]);
}

#[cfg(target_os = "linux")]
fn share(from: &Path, to: &Path) -> bool {
    let (from, to) = (fs::File::open(from).unwrap(), fs::File::create(to).unwrap());
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn share(_from: &Path, _to: &Path) -> bool {
    false
}

/// How long it takes from the end of a task that leaves much to the beginning of the next.
fn critical_path(place: &Place, size: usize, smoke: bool) {
    let tree = |name: &str, restore: bool| {
        let tree = place.dir(name);
        let text = format!(
            "[tasks.a]\nexec = 'cp seed big; date +%s%N > ended'\nexecIfModified = ['in']\noutputs = ['big']\n\
             restore = {restore}\n[tasks.b]\nafter = ['{name}:a']\nexec = 'date +%s%N > began'\n"
        );
        fs::write(tree.join("devtask.toml"), text).unwrap();
        tree
    };
    let rounds = if smoke { 2 } else { 9 };
    let trees = [("kept", tree("off", true)), ("restore = false", tree("without", false))];
    let mut gaps = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for ((_, tree), gaps) in trees.iter().zip(&mut gaps) {
            // Another content each time, else it would be there already.
            let seed: Vec<u8> =
                (0..size / 8).flat_map(|n| ((n * rounds + round) as u64).to_le_bytes()).collect();
            fs::write(tree.join("seed"), seed).unwrap();
            fs::write(tree.join("in"), round.to_string()).unwrap();
            Program::devtask(tree).run();
            let at = |name: &str| {
                fs::read_to_string(tree.join(name)).unwrap().trim().parse::<f64>().unwrap() / 1e6
            };
            gaps.push(at("began") - at("ended"));
        }
    }
    println!(
        "\nfrom the end of a task that leaves {} MiB to the beginning of the next ({rounds} rounds)",
        size >> 20
    );
    for ((name, _), gaps) in trees.iter().zip(gaps) {
        let least = gaps.iter().copied().fold(f64::INFINITY, f64::min);
        println!("  {name:<34} {least:>10.3} ms at least {:>10.3} ms in the middle", median(gaps));
    }
}
