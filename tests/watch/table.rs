//! What each operation reports.

use std::{fs, os::unix::fs::symlink};

use devtask::watch::{Change, Watched};

use super::support::Bench;

/// An operation on a tree with the files `f`, `d/f` and `d/e/f`, all of whose directories are watched.
type Step = (&'static str, fn(&Bench), &'static str);

const STEPS: &[Step] = &[
    ("write in place", |b| b.file("f"), "f"),
    ("a new file", |b| b.file("new"), "new"),
    ("a file deeper down", |b| b.file("d/e/f"), "d/e/f"),
    (
        "closed after it was open for writing",
        |b| drop(fs::OpenOptions::new().write(true).open(b.path("f")).unwrap()),
        "f",
    ),
    ("read", |b| drop(fs::read(b.path("f")).unwrap()), ""),
    ("list", |b| assert_eq!(fs::read_dir(b.path("d")).unwrap().count(), 2), ""),
    ("delete", |b| fs::remove_file(b.path("f")).unwrap(), "f"),
    ("rename", |b| b.rename("f", "g"), "f g"),
    ("rename across directories", |b| b.rename("f", "d/e/g"), "d/e/g f"),
    ("move out", |b| fs::rename(b.path("f"), b.outside.join("f")).unwrap(), "f"),
    (
        "move in",
        |b| {
            fs::write(b.outside.join("x"), "").unwrap();
            fs::rename(b.outside.join("x"), b.path("x")).unwrap();
        },
        "x",
    ),
    ("mode of a file", |b| mode(b, "f", 0o600), "f"),
    ("mode of a directory", |b| mode(b, "d", 0o700), "d d/"),
    ("mode of the root", |b| mode(b, ".", 0o700), "./"),
    ("symlink", |b| symlink("f", b.path("l")).unwrap(), "l"),
    ("mkdir", |b| b.dir("new"), "new"),
    (
        "mkdir -p, only the top is watched",
        |b| {
            b.dir("a/b/c");
            b.file("a/b/c/f");
        },
        "a",
    ),
    ("rm -r", |b| fs::remove_dir_all(b.path("d")).unwrap(), "d d/e d/e/f d/f -d -d/e"),
    ("rename of a directory", |b| b.rename("d", "x"), "d x -d -d/e"),
    ("a directory moves out", |b| fs::rename(b.path("d"), b.outside.join("d")).unwrap(), "d -d -d/e"),
    ("the root moves", |b| fs::rename(&b.root, b.outside.join("r")).unwrap(), "-. -d -d/e"),
    (
        "a directory becomes a file",
        |b| {
            fs::remove_dir_all(b.path("d/e")).unwrap();
            b.file("d/e");
        },
        "d/e d/e/f -d/e",
    ),
];

fn mode(bench: &Bench, name: &str, mode: u32) {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(bench.path(name), permissions).unwrap();
}

#[test]
fn each_operation_reports_this() {
    for (what, operation, expected) in STEPS {
        for bench in [Bench::new(), Bench::debounced()] {
            bench.dir("d/e");
            ["f", "d/f", "d/e/f"].iter().for_each(|name| bench.file(name));
            bench.watch(". d d/e");
            assert_eq!(bench.told(), "", "{what}: before");
            operation(&bench);
            assert_eq!(bench.told(), *expected, "{what}");
            assert_eq!(bench.told(), "", "{what}: after");
        }
    }
}

#[test]
fn what_is_not_there_is_missing() {
    let bench = Bench::new();
    bench.file("f");
    for name in ["no", "f", "f/x", "no/no"] {
        assert_eq!(bench.source.watch(&bench.path(name)), Watched::Missing, "{name}");
    }
    assert_eq!(bench.source.health().watched, 0);
    assert_eq!(bench.source.take(), []);
}

#[test]
fn an_unwatched_directory_is_silent() {
    let bench = Bench::new();
    bench.dir("a");
    bench.watch(". a");
    bench.source.unwatch(&bench.path("a"));
    bench.file("a/f");
    assert_eq!(bench.told(), "");
    bench.watch("a a a/");
    bench.file("a/f");
    assert_eq!(bench.told(), "a/f");
    assert_eq!(bench.source.health().watched, 2);
}

#[test]
fn a_directory_is_reported_under_all_its_names() {
    let bench = Bench::new();
    bench.dir("real/sub");
    symlink("real", bench.path("one")).unwrap();
    symlink("one/sub", bench.path("two")).unwrap();
    bench.watch(". real one real/sub one/sub two");
    bench.file("real/f");
    assert_eq!(bench.told(), "one/f real/f");
    bench.file("one/sub/f");
    assert_eq!(bench.told(), "one/sub/f real/sub/f two/f");
    bench.source.unwatch(&bench.path("one"));
    bench.file("real/f");
    assert_eq!(bench.told(), "real/f");
    fs::remove_dir_all(bench.path("real/sub")).unwrap();
    assert_eq!(bench.told(), "one/sub/f real/sub real/sub/f two/f -one/sub -real/sub -two");
}

#[test]
fn a_directory_replaced_by_another_is_watched_under_its_name() {
    for bench in [Bench::new(), Bench::debounced()] {
        bench.dir("d");
        bench.dir("e");
        bench.watch(". d");
        // The source has not heard of it yet when it is asked.
        bench.rename("d", "old");
        bench.rename("e", "d");
        while bench.take().contains(&Change::Lost(bench.path("d"))) {
            bench.watch("d");
        }
        bench.file("old/f");
        assert_eq!(bench.told(), "");
        bench.file("d/f");
        assert_eq!(bench.told(), "d/f");
    }
}

#[test]
fn a_moved_root_reports_nothing_and_a_new_one_does() {
    for bench in [Bench::new(), Bench::debounced()] {
        let moved = bench.outside.join("moved");
        for round in 0..3 {
            bench.dir("d");
            bench.watch(". d");
            bench.take();
            fs::rename(&bench.root, &moved).unwrap();
            assert_eq!(bench.told(), "-. -d", "round {round}");
            fs::write(moved.join("f"), "").unwrap();
            fs::write(moved.join("d/f"), "").unwrap();
            assert_eq!(bench.told(), "", "round {round}");
            bench.dir("d");
            bench.watch(". d");
            fs::write(moved.join("old"), "").unwrap();
            fs::write(moved.join("d/old"), "").unwrap();
            bench.file("f");
            bench.file("d/f");
            assert_eq!(bench.told(), "d/f f", "round {round}");
            fs::remove_dir_all(&moved).unwrap();
            fs::remove_dir_all(&bench.root).unwrap();
            bench.take();
        }
    }
}
