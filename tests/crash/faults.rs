//! Each call to the state file fails, or is the last thing devtask does. strace does that; where it is missing
//! or may not trace, the tests say so and prove nothing.

use std::{fs, ops::Range, path::Path, process::Command};

use super::{
    support::{Output, Sandbox, set},
    tree,
};

/// The calls with which the state file, and the directory it stands in, are touched.
const CALLS: [&str; 8] =
    ["pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "openat", "pread64"];

/// What becomes of such a call, in strace's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed when it calls.
    Killed,
    Once(&'static str),
    /// This time and from now on.
    Lasting(&'static str),
}

const FAULTS: [Fault; 5] = [
    Fault::Killed,
    Fault::Once("EIO"),
    Fault::Once("ENOSPC"),
    Fault::Lasting("EIO"),
    Fault::Lasting("ENOSPC"),
];

impl Fault {
    pub(crate) fn option(self, call: &str, number: usize) -> String {
        match self {
            Self::Killed => format!("inject={call}:signal=KILL:when={number}"),
            Self::Once(errno) => format!("inject={call}:error={errno}:when={number}"),
            Self::Lasting(errno) => format!("inject={call}:error={errno}:when={number}+"),
        }
    }
}

pub(crate) fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let can = traced.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("NOT PROVED: there is no strace here that may trace; this test did nothing");
    }
    can
}

/// Which of the calls are hit: all with `DEVTASK_TEST_FAULTS=all`, else the first few and some of the rest.
fn numbers() -> impl Iterator<Item = usize> {
    let all = std::env::var_os("DEVTASK_TEST_FAULTS").is_some_and(|value| value == "all");
    (1..).filter(move |number| all || *number < 3 || number % 17 == 0)
}

/// A run with a fault; none if it never came to that call.
fn run_with(tree: &Sandbox, fault: Fault, call: &str, number: usize) -> Option<Output> {
    let log = tree.home().join("trace");
    let state = tree.path(".devtask");
    let paths = [state.clone(), state.join("state.redb"), state.join("state.redb.new")];
    let mut args = vec!["-f", "-o", log.to_str().unwrap()];
    args.extend(paths.iter().flat_map(|path| ["-P", path.to_str().unwrap()]));
    let (trace, inject) = (format!("trace={call}"), fault.option(call, number));
    args.extend(["-e", &trace, "-e", &inject]);
    let output = tree.devtask(["run"]).start_under("strace", &args).finish();
    let hit = fs::read_to_string(log).unwrap().contains("INJECTED") || output.signal == Some(9);
    hit.then_some(output)
}

/// A run with a fault, and what the next ones make of what it left.
fn one(tree: &Sandbox, fault: Fault, call: &str, number: usize) -> bool {
    let what = format!("{fault:?} at {call} number {number}");
    tree::edit(tree, "2");
    let Some(output) = run_with(tree, fault, call, number) else {
        tree::edit(tree, "1");
        tree::run(tree, "without a fault");
        return false;
    };
    assert!(!output.err.contains("panicked"), "{what}: {output}");
    match (fault, output.code) {
        (Fault::Killed, None) => {}
        // It was refused before anything began.
        (_, Some(3)) if output.err.starts_with("error: cannot ") => {
            assert_eq!(tree.read("gen.out"), "1\n", "{what}: {output}");
        }
        // What was not saved is told, and the tasks themselves are none the worse.
        (Fault::Once(_) | Fault::Lasting(_), Some(3)) => {
            assert!(output.err.contains("results are not saved"), "{what}: {output}");
            assert!(!output.err.contains("Failed"), "{what}: {output}");
            tree::assert_made(tree, &what);
        }
        // Nothing was told, so everything must have been saved. After a failed sync nobody can know that.
        (Fault::Once(_) | Fault::Lasting(_), Some(0)) if call != "fdatasync" => {
            tree::assert_made(tree, &what);
            tree::assert_settled(tree, &format!("{what}, then nothing to do: {output}"));
        }
        _ => panic!("{what}: {output}"),
    }
    // Old content is back; what ran meanwhile counts all the same.
    tree::edit(tree, "1");
    tree::run(tree, &format!("{what}, then the old content: {output}"));
    tree::assert_settled(tree, &format!("{what}, at last"));
    assert_no_remains(&tree.path(".devtask"), &what);
    true
}

/// Nothing was set aside: no fault of a call damages the file.
fn assert_no_remains(state: &Path, what: &str) {
    let names = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name());
    let bad: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".bad-")).collect();
    assert!(bad.is_empty(), "{what}: {bad:?}");
}

/// More calls than this there are, however much is written together: that depends on how quickly tasks follow each other.
const LEAST: usize = 9;
/// The calls that no run does without.
const EVERY_TIME: [&str; 4] = ["pwrite64", "fdatasync", "openat", "pread64"];

/// Tries some faults at all calls; returns how many there were.
fn try_all(faults: Range<usize>, prepare: impl Fn(&Sandbox)) -> usize {
    let tree = tree::new();
    let mut hits = 0;
    for call in CALLS {
        for fault in &FAULTS[faults.clone()] {
            let hit = |number: &usize| {
                prepare(&tree);
                one(&tree, *fault, call, *number)
            };
            let met = numbers().take_while(hit).count();
            assert!(met > 0 || !EVERY_TIME.contains(&call), "{fault:?}: nobody calls {call}");
            hits += met;
        }
    }
    eprintln!("{hits} faults were met");
    hits
}

fn nothing(_: &Sandbox) {}

fn without_state(tree: &Sandbox) {
    tree.remove(".devtask");
}

#[test]
fn killed_at_any_call_nothing_counts_as_done_that_is_not() {
    if can_trace() {
        assert!(try_all(0..1, nothing) > LEAST);
    }
}

#[test]
fn killed_at_any_call_while_the_state_is_made() {
    if can_trace() {
        assert!(try_all(0..1, without_state) > LEAST);
    }
}

#[test]
fn whatever_call_fails_results_are_saved_or_it_is_told() {
    if can_trace() {
        assert!(try_all(1..5, nothing) > 4 * LEAST);
    }
}

#[test]
fn whatever_call_fails_while_the_state_is_made() {
    if can_trace() {
        assert!(try_all(1..5, without_state) > 4 * LEAST);
    }
}

#[test]
fn the_fault_that_is_played_is_met() {
    if can_trace() {
        let tree = tree::new();
        tree::edit(&tree, "2");
        let output = run_with(&tree, Fault::Lasting("ENOSPC"), "pwrite64", 1).unwrap();
        assert_eq!(output.code, Some(3), "{output}");
        assert_eq!(tree.executed(), set(tree::EDITED));
    }
}
