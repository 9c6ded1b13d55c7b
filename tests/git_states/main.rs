//! Repositories in random states, checked and fixed with every outcome: work tree, index and stash are the user's.
//!
//! What has to come out is told by git itself and by plain rules, never by the code that is judged: a check sees what
//! `git show :path` says, nothing that belongs to the user is another afterwards, byte for byte, and `fix` changes
//! what it promises to and nothing else.
//!
//! `DEVTASK_GIT_STATES` says how many states are looked at (default 500), `DEVTASK_GIT_SEED` where they begin.

mod oracle;
mod repository;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use fastrand::Rng;

use repository::{Ended, How, Tree};

/// How many states one repository goes through: the private checkout goes with it.
const STATES_EACH: u64 = 10;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// What was met: a proof that met nothing proves nothing.
#[derive(Default)]
struct Met(Mutex<BTreeMap<&'static str, usize>>);

impl Met {
    fn count(&self, what: &'static str, is_met: bool) {
        *self.0.lock().unwrap().entry(what).or_default() += usize::from(is_met);
    }

    fn suffices(self) {
        let met = self.0.into_inner().unwrap();
        eprintln!("{met:?}");
        let few: Vec<_> = met.iter().filter(|(_, count)| **count == 0).collect();
        assert!(few.is_empty() || number("DEVTASK_GIT_STATES", 500) < 500, "never met: {few:?}");
    }
}

/// Goes through all states, on two threads.
fn all(story: impl Fn(u64) + Sync) {
    let (states, first) = (number("DEVTASK_GIT_STATES", 500), number("DEVTASK_GIT_SEED", 0));
    let next = AtomicU64::new(0);
    let work = || {
        while let Some(seed) =
            Some(next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < states / STATES_EACH)
        {
            story(first + seed);
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
}

#[test]
fn a_check_sees_what_is_staged_and_touches_nothing() {
    let met = Met::default();
    all(|seed| {
        let mut rng = Rng::with_seed(seed);
        let mut tree = Tree::new(seed);
        for step in 0..STATES_EACH {
            tree.wander(&mut rng);
            let how = [How::Succeed, How::Succeed, How::Fail, How::Interrupt, How::Kill, How::KillAnywhere];
            let how = how[rng.usize(..how.len())];
            // Git may refresh the index while it is asked.
            let due = oracle::due(&tree);
            let before = tree.snapshot();
            let ended = tree.check(how, &mut rng);
            let told = format!("seed {seed}, step {step}, {how:?}\n{ended}");
            assert_eq!(tree.snapshot().differences(&before), "", "{told}");
            met.count("conflicts", due.is_none());
            met.count("files staged", due.as_ref().is_some_and(|due| !due.staged.is_empty()));
            met.count("a checkout", ended.err.contains("looking at a checkout"));
            met.count(
                "in place",
                ended.err.contains("Checking") && !ended.err.contains("looking at a checkout"),
            );
            met.count("interrupted", how == How::Interrupt && ended.code.is_none());
            met.count("killed", how == How::Kill && ended.code.is_none());
            met.count("a merge in progress", tree.root().join(".git/MERGE_HEAD").exists());
            met.count("a stash", tree.root().join(".git/refs/stash").exists());
            match &due {
                // Conflicts are the user's to resolve first.
                None => assert_eq!(ended.code, Some(2), "{told}"),
                Some(due) => oracle::saw(&tree, how, &ended, due, &told),
            }
        }
    });
    met.suffices();
}

#[test]
fn a_fix_changes_what_it_promises_and_nothing_else() {
    let met = Met::default();
    all(|seed| {
        let mut rng = Rng::with_seed(seed.wrapping_add(1 << 32));
        let mut tree = Tree::new(seed);
        for step in 0..STATES_EACH {
            tree.wander(&mut rng);
            let fails = rng.u8(..4) == 0;
            // Git may refresh the index while it is asked.
            let due = oracle::due(&tree);
            let before = tree.snapshot();
            let expected = due.map(|due| oracle::fixed(&tree, &due));
            let ended: Ended = tree.fix(fails);
            let told = format!("seed {seed}, step {step}, fails: {fails}\n{ended}");
            met.count(
                "fixed in both",
                ended.err.lines().any(|line| line.starts_with("Fixed") && !line.contains("only")),
            );
            met.count("fixed in the index only", ended.err.contains("changed the same lines"));
            met.count("not there as a file", ended.err.contains("not there as a file"));
            met.count("a checkout", ended.err.contains("looking at a checkout"));
            met.count("failed", fails && ended.code == Some(1));
            match expected {
                None => {
                    assert_eq!(
                        (ended.code, tree.snapshot().differences(&before)),
                        (Some(2), String::new()),
                        "{told}"
                    );
                }
                Some(expected) => oracle::is_fixed(&tree, &before, &expected, fails, &ended, &told),
            }
        }
    });
    met.suffices();
}
