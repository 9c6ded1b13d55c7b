//! A caller as there will be one: it keeps a set of files by what it is told, and the set has to be that on
//! the disk after each of a thousand trials.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
};

use devtask::watch::{Change, Watched};
use fastrand::Rng;

use super::support::Bench;

const TRIALS: usize = 1000;

/// What a file looked like: a change of it has to be noticed as well.
type Stamp = (u64, i64, i64, u64);

/// What the caller believes.
struct Caller<'a> {
    bench: &'a Bench,
    files: BTreeMap<PathBuf, Stamp>,
    directories: BTreeSet<PathBuf>,
    /// Links, and the directories they lead to. Nothing is told under the name of a link that led nowhere.
    links: BTreeMap<PathBuf, Option<u64>>,
    everything: usize,
}

impl<'a> Caller<'a> {
    fn new(bench: &'a Bench) -> Self {
        let mut caller = Self {
            bench,
            files: BTreeMap::new(),
            directories: BTreeSet::new(),
            links: BTreeMap::new(),
            everything: 0,
        };
        caller.look(&bench.root);
        caller
    }

    /// Until nothing more is told.
    fn catch_up(&mut self) {
        loop {
            let changes = self.bench.take();
            let done = changes.is_empty();
            self.learn(changes);
            let links = self.links.clone();
            let turned: Vec<_> = links.iter().filter(|(link, led_to)| leads_to(link) != **led_to).collect();
            if done && turned.is_empty() {
                return;
            }
            turned.into_iter().for_each(|(link, _)| self.look(link));
        }
    }

    fn learn(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Entry(path) => self.look(&path),
                Change::Directory(path) => self.look(&path),
                Change::Lost(path) => {
                    self.forget(&path);
                    self.look(&path);
                }
                Change::Everything => {
                    self.everything += 1;
                    self.forget(&self.bench.root.clone());
                    self.look(&self.bench.root.clone());
                }
            }
        }
    }

    fn look(&mut self, path: &Path) {
        self.links.remove(path);
        if path.is_symlink() {
            self.links.insert(path.to_owned(), leads_to(path));
        }
        if leads_to(path).is_none() {
            self.forget_below(path);
            let file = fs::symlink_metadata(path).ok();
            file.map(|file| self.files.insert(path.to_owned(), stamp(&file)));
            return;
        }
        self.files.remove(path);
        // First watch, then list.
        if self.bench.source.watch(path) == Watched::Missing {
            return self.forget(path);
        }
        let is_new = self.directories.insert(path.to_owned());
        let names: BTreeSet<PathBuf> =
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let known: Vec<PathBuf> = self.children(path);
        for gone in known.iter().filter(|known| !names.contains(*known)) {
            self.forget(gone);
        }
        for name in names {
            // What was known is reported if it changed; a caller that lists need not look at it.
            if is_new || !(self.files.contains_key(&name) || self.directories.contains(&name)) {
                self.look(&name);
            }
        }
    }

    fn children(&self, path: &Path) -> Vec<PathBuf> {
        let all = self.files.keys().chain(&self.directories);
        all.filter(|child| child.parent() == Some(path)).cloned().collect()
    }

    fn forget(&mut self, path: &Path) {
        self.links.remove(path);
        self.forget_below(path);
    }

    fn forget_below(&mut self, path: &Path) {
        self.links.retain(|link, _| link == path || !link.starts_with(path));
        self.files.retain(|file, _| !file.starts_with(path));
        self.directories.retain(|directory| !directory.starts_with(path));
    }

    fn check(&mut self, what: &str) {
        self.catch_up();
        let mut disk = BTreeMap::new();
        walk(&self.bench.root, &mut disk);
        assert_eq!(self.files, disk, "{what}");
    }
}

fn stamp(metadata: &fs::Metadata) -> Stamp {
    (metadata.size(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino())
}

/// The directory this is or leads to; not one the link lies in.
fn leads_to(path: &Path) -> Option<u64> {
    let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
    let real = path.canonicalize().ok()?;
    let is_loop = path.is_symlink() && path.parent()?.canonicalize().ok()?.starts_with(&real);
    (!is_loop).then(|| metadata.ino())
}

fn walk(directory: &Path, files: &mut BTreeMap<PathBuf, Stamp>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if leads_to(&path).is_some() {
            walk(&path, files);
        } else {
            let file = fs::symlink_metadata(&path).unwrap();
            files.insert(path, stamp(&file));
        }
    }
}

/// A thousand times the same, looked at after each.
fn trials(bench: Bench, what: &str, mut trial: impl FnMut(&Bench, usize)) {
    let mut caller = Caller::new(&bench);
    caller.check("at first");
    for n in 0..TRIALS {
        trial(&bench, n);
        caller.check(&format!("{what}, trial {n}"));
    }
    assert_eq!(caller.everything, 0, "{what} is nothing that must be told as everything");
}

#[test]
fn write_in_place() {
    trials(Bench::new(), "write in place", |bench, n| {
        fs::write(bench.path("f"), "x".repeat(n)).unwrap();
    });
}

#[test]
fn append_without_close() {
    let bench = Bench::new();
    let mut file = fs::File::create(bench.path("f")).unwrap();
    trials(bench, "append", |_, _| file.write_all(b"x").unwrap());
}

#[test]
fn save_by_rename() {
    trials(Bench::new(), "temp and rename", |bench, n| {
        fs::write(bench.path("f.tmp"), n.to_string()).unwrap();
        bench.rename("f.tmp", "f");
    });
}

#[test]
fn save_with_backup() {
    let bench = Bench::new();
    bench.file("f");
    trials(bench, "backup and rename", |bench, n| {
        bench.rename("f", "f~");
        fs::write(bench.path("f"), n.to_string()).unwrap();
        if n % 2 == 0 {
            fs::remove_file(bench.path("f~")).unwrap();
        }
    });
}

#[test]
fn delete_and_create() {
    let bench = Bench::new();
    bench.file("f");
    trials(bench, "delete and create", |bench, n| {
        fs::remove_file(bench.path("f")).unwrap();
        fs::write(bench.path("f"), n.to_string()).unwrap();
    });
}

#[test]
fn nested_directories_with_a_file_at_once() {
    trials(Bench::new(), "mkdir -p", |bench, n| {
        bench.dir(&format!("a{n}/b/c"));
        bench.file(&format!("a{n}/b/c/f"));
        if n >= 10 {
            fs::remove_dir_all(bench.path(&format!("a{}", n - 10))).unwrap();
        }
    });
}

#[test]
fn a_directory_deleted_and_made_again() {
    let bench = Bench::new();
    bench.dir("d/e");
    trials(bench, "rm -r and mkdir", |bench, n| {
        fs::remove_dir_all(bench.path("d")).unwrap();
        bench.dir("d/e");
        fs::write(bench.path("d/e/f"), n.to_string()).unwrap();
    });
}

#[test]
fn a_tree_unpacked() {
    trials(Bench::new(), "a burst", |bench, n| {
        let top = format!("t{}", n % 2);
        let _ = fs::remove_dir_all(bench.path(&top));
        for directory in ["", "/a", "/a/b", "/c"] {
            bench.dir(&format!("{top}{directory}"));
            (0..5).for_each(|file| bench.file(&format!("{top}{directory}/{file}")));
        }
    });
}

#[test]
fn trees_moved_in_and_out() {
    let bench = Bench::new();
    fs::create_dir_all(bench.outside.join("t/a/b")).unwrap();
    fs::write(bench.outside.join("t/a/b/f"), "").unwrap();
    trials(bench, "in and out", |bench, n| {
        let (inside, outside) = (bench.path("t"), bench.outside.join("t"));
        if n % 2 == 0 {
            fs::rename(outside, inside).unwrap();
            fs::write(bench.path("t/a/b/f"), n.to_string()).unwrap();
        } else {
            fs::rename(inside, outside).unwrap();
            fs::write(bench.outside.join("t/a/b/f"), n.to_string()).unwrap();
        }
    });
}

#[test]
fn two_directories_change_places() {
    let bench = Bench::new();
    bench.dir("one/deep");
    bench.dir("two/deep");
    trials(bench, "exchange", |bench, n| {
        bench.rename("one", "three");
        bench.rename("two", "one");
        bench.rename("three", "two");
        fs::write(bench.path("one/deep/f"), n.to_string()).unwrap();
        fs::write(bench.path("two/deep/g"), n.to_string()).unwrap();
    });
}

#[test]
fn two_names_for_one_directory() {
    let bench = Bench::new();
    bench.dir("real/deep");
    trials(bench, "aliases", |bench, n| {
        fs::write(bench.path("real/deep/f"), n.to_string()).unwrap();
        let alias = bench.path("alias");
        match n % 4 {
            0 => symlink("real", alias).unwrap(),
            1 => fs::write(alias.join("deep/g"), n.to_string()).unwrap(),
            2 => fs::rename(alias, bench.path("renamed")).unwrap(),
            _ => fs::remove_file(bench.path("renamed")).unwrap(),
        }
        fs::write(bench.path("real/deep/h"), n.to_string()).unwrap();
    });
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn some_path(rng: &mut Rng) -> String {
    let depth = rng.usize(1..4);
    let names: Vec<&str> = (0..depth).map(|_| NAMES[rng.usize(..NAMES.len())]).collect();
    names.join("/")
}

/// What cannot be done is not done.
fn something(bench: &Bench, rng: &mut Rng, n: usize) -> String {
    let (one, two) = (some_path(rng), some_path(rng));
    let (from, to) = (bench.path(&one), bench.path(&two));
    let outside = bench.outside.join("kept");
    let (what, _) = match rng.usize(..9) {
        0 | 1 => ("write", fs::write(&from, n.to_string())),
        2 => ("mkdir", fs::create_dir_all(&from)),
        3 => ("rename", fs::rename(&from, &to)),
        4 => ("rm", fs::remove_file(&from)),
        5 => ("rm -r", fs::remove_dir_all(&from)),
        6 => ("link to", symlink(&from, &to)),
        7 => ("out", fs::rename(&from, &outside)),
        _ => ("in", fs::rename(&outside, &to)),
    };
    format!("{what} {one} {two}")
}

fn anything(bench: Bench, seed: u64, trials: usize) {
    let mut rng = Rng::with_seed(seed);
    let mut caller = Caller::new(&bench);
    let mut done = Vec::new();
    for n in 0..trials {
        for _ in 0..rng.usize(1..8) {
            done.push(something(&bench, &mut rng, n));
        }
        let last = done.len().saturating_sub(12);
        caller.check(&format!("seed {seed}, trial {n}, after {:?}", &done[last..]));
    }
}

#[test]
fn anything_at_random() {
    (0..20).for_each(|seed| anything(Bench::new(), seed, 200));
}

#[test]
fn anything_at_random_through_the_debouncer() {
    (0..5).for_each(|seed| anything(Bench::debounced(), 100 + seed, 100));
}

/// The caller watches and lists while another thread goes on changing things.
#[test]
fn anything_at_random_meanwhile() {
    for seed in 0..20 {
        let bench = Bench::new();
        let mut caller = Caller::new(&bench);
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| {
                let mut rng = Rng::with_seed(seed);
                (0..2000).for_each(|n| drop(something(&bench, &mut rng, n)));
            });
            while !busy.is_finished() {
                caller.learn(bench.source.take());
            }
        });
        caller.check(&format!("seed {seed}, after all"));
    }
}
