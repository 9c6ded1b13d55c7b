//! Ten thousand directories at once: each is told by its name, nothing is told as everything, and what is
//! still there goes on being watched.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use devtask::watch::{Change, Watched};

use super::support::Bench;

/// How many hundred.
const HUNDREDS: usize = 100;

/// A bench with a tree of them in `t`, all watched: `t`, the hundreds, and what is in these.
pub(crate) fn many() -> (Bench, Vec<PathBuf>) {
    let bench = Bench::new();
    let mut all = vec![bench.path("t")];
    for hundred in 0..HUNDREDS {
        all.push(bench.path(&format!("t/{hundred}")));
        all.extend((0..100).map(|n| bench.path(&format!("t/{hundred}/{n}"))));
    }
    all.iter().for_each(|path| fs::create_dir_all(path).unwrap());
    bench.watch(".");
    assert!(bench.source.watch_all(&all).iter().all(|watched| *watched == Watched::Events));
    assert_eq!(bench.told(), "");
    (bench, all)
}

fn lost<'a>(changes: impl IntoIterator<Item = &'a Change>) -> BTreeSet<PathBuf> {
    let lost = |change: &Change| match change {
        Change::Lost(path) => Some(path.clone()),
        _ => None,
    };
    changes.into_iter().filter_map(lost).collect()
}

#[test]
fn deleted() {
    let (bench, all) = many();
    let mut changes = Vec::new();
    // Not faster than anybody can read them: how many fit into the queue is no matter here.
    for hundred in 0..HUNDREDS {
        fs::remove_dir_all(bench.path(&format!("t/{hundred}"))).unwrap();
        changes.extend(bench.take());
    }
    fs::remove_dir(bench.path("t")).unwrap();
    changes.extend(bench.take());
    assert_eq!(lost(&changes), all.into_iter().collect());
    assert!(!changes.contains(&Change::Everything));
    assert_eq!(bench.source.health().watched, 1);
    bench.file("f");
    assert_eq!(bench.told(), "f");
}

#[test]
fn unwatched() {
    let (bench, all) = many();
    all[1..].iter().for_each(|path| bench.source.unwatch(path));
    assert_eq!(bench.source.health().watched, 2);
    all.iter().for_each(|path| fs::write(path.join("f"), "").unwrap());
    assert_eq!(bench.told(), "t/f");
}

#[test]
fn moved_away() {
    let (bench, all) = many();
    let away = bench.outside.join("t");
    fs::rename(bench.path("t"), &away).unwrap();
    let changes = bench.take();
    assert_eq!(changes[0], Change::Entry(bench.path("t")));
    assert_eq!(lost(&changes), all.iter().cloned().collect());
    assert_eq!(changes.len(), all.len() + 1);
    let there = |path: &Path| away.join(path.strip_prefix(bench.path("t")).unwrap());
    all.iter().for_each(|path| fs::write(there(path).join("f"), "").unwrap());
    assert_eq!(bench.told(), "");
    // And back again.
    fs::rename(&away, bench.path("t")).unwrap();
    assert_eq!(bench.told(), "t");
    assert!(bench.source.watch_all(&all).iter().all(|watched| *watched == Watched::Events));
    fs::write(all[all.len() - 1].join("f"), "").unwrap();
    assert_eq!(bench.take(), [Change::Entry(all[all.len() - 1].join("f"))]);
}
