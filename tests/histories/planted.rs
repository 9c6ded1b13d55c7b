//! The histories against programs that are known to be wrong: each planted fault has to be found.

use devtask::planted::Fault;

use crate::{
    crew::{self, Order},
    number,
};

/// Within how many histories a fault has to be found.
const BOUND: u64 = 1_000;

#[test]
fn every_planted_fault_is_found() {
    let first = number("DEVTASK_SEED").unwrap_or(1);
    let all = Fault::ALL.map(|(name, _)| (name, false)).into_iter();
    for (name, watched) in all.chain(Fault::OF_A_WATCH.map(|(name, _)| (name, true))) {
        let order = |number, fault| Order { first, number, fault, watched, one_is_enough: true };
        let report = crew::play(order(BOUND, Some(name)));
        let histories = report.count.histories;
        let (seed, divergence) = report.failures.first().unwrap_or_else(|| panic!("{name} is never found"));
        println!("{name}: found after {histories} histories, by seed {seed}");
        println!("{}", divergence.wrong.first().map_or("", String::as_str));
    }
}
