//! Every input that fuzzing kept, once through its target: what was found stays mended, and the targets stay
//! in order. `fuzz/README.md` tells how to look for more.

use std::{fs, panic, path::Path};

#[path = "../fuzz/targets/config.rs"]
mod config;
#[path = "../fuzz/targets/handed_on.rs"]
mod handed_on;
#[path = "../fuzz/targets/pattern.rs"]
mod pattern;
#[path = "../fuzz/targets/record.rs"]
mod record;
#[path = "../fuzz/targets/wire.rs"]
mod wire;

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        let done = panic::catch_unwind(|| check(&input));
        assert!(done.is_ok(), "{} fails", path.display());
        inputs += 1;
    }
    assert!(inputs >= 5, "{target} has hardly any corpus");
}

#[test]
fn config() {
    replay("config", config::check);
}

#[test]
fn handed_on() {
    replay("handed_on", handed_on::check);
}

#[test]
fn pattern() {
    replay("pattern", pattern::check);
}

#[test]
fn record() {
    replay("record", record::check);
}

#[test]
fn wire() {
    replay("wire", wire::check);
}
