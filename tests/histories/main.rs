//! The proof of the promise of spec section 4: after any history of edits, failures and kills a run leaves
//! what a clean run would, and runs nothing whose inputs are unchanged.
//!
//! A *history* ([`steps`]) is a random graph of tasks ([`world`]) and what happens to it. It is played
//! ([`play`]) with the real program in a sandbox of its own, while an oracle that never calls devtask
//! ([`oracle`]) works out which tasks have to run and what has to come of it ([`model`], proved by [`clean`]). A history
//! that fails is made smaller ([`shrink`]) and told as text.
//!
//! `DEVTASK_HISTORIES` says how many are played, `DEVTASK_SEED` with which seed they begin. What a seed
//! stands for is always the same but for the moments at which random kills hit.

#[path = "../support/mod.rs"]
mod support;

mod clean;
mod count;
mod crew;
mod glob;
mod model;
mod oracle;
#[cfg(feature = "planted-faults")]
mod planted;
mod play;
mod script;
mod shrink;
mod steps;
mod tree;
mod world;

use crew::{Order, Report};
use play::Divergence;
use steps::History;

/// How many histories a plain `cargo test` plays.
const PORTION: u64 = if cfg!(feature = "planted-faults") { 40 } else { 200 };
/// How many that failed are told of in full.
const TOLD: usize = 3;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// In a build with planted faults a small part: there the faults are what counts.
#[test]
fn any_history_ends_as_a_clean_run_does() {
    let first = number("DEVTASK_SEED").unwrap_or(1);
    let count = number("DEVTASK_HISTORIES").unwrap_or(PORTION);
    let report =
        crew::play(Order { first, number: count, fault: None, watched: false, one_is_enough: false });
    println!("seeds {first} to {}: {}", first + count - 1, report.count);
    assert!(report.failures.is_empty(), "{}", told(&report, None, false));
}

/// The same with a watch that stays, in place of one run after the other.
#[test]
fn any_history_under_a_watch_ends_as_a_clean_run_does() {
    let first = number("DEVTASK_SEED").unwrap_or(1);
    let count = number("DEVTASK_WATCHED").unwrap_or(PORTION / 3);
    let report = crew::play(Order { first, number: count, fault: None, watched: true, one_is_enough: false });
    println!("seeds {first} to {}, watched: {}", first + count - 1, report.count);
    assert!(report.failures.is_empty(), "{}", told(&report, None, true));
}

/// What went wrong, the first few made small.
fn told(report: &Report, fault: Option<&'static str>, watched: bool) -> String {
    let seeds: Vec<u64> = report.failures.iter().map(|(seed, _)| *seed).collect();
    let mut text = format!("{} histories failed, with seeds {seeds:?}\n", seeds.len());
    for (seed, divergence) in report.failures.iter().take(TOLD) {
        text += &format!("\nseed {seed}, step {}:\n{}", divergence.step, wrong(divergence));
        text += &format!("  again: DEVTASK_SEED={seed} DEVTASK_HISTORIES=1 cargo test --test histories\n");
        let (small, divergence) = shrink::shrink(
            if watched { History::watched(*seed) } else { History::random(*seed) },
            divergence.clone(),
            fault,
        );
        text += &format!("the smallest history found, which fails at step {}:\n{small}", divergence.step);
        text += &wrong(&divergence);
    }
    text
}

fn wrong(divergence: &Divergence) -> String {
    divergence.wrong.iter().map(|line| format!("  {line}\n")).collect()
}
