//! The histories against programs that are known to be wrong: each planted fault has to be found.

use devtask::planted::Fault;

use crate::{
    crew::{self, Order},
    number, told,
};

/// Within how many histories a fault has to be found.
const BOUND: u64 = 400;
/// How many the program without a fault has to come through, so that what is found is the fault.
const SOUND: u64 = 40;

#[test]
fn every_planted_fault_is_found() {
    let first = number("DEVTASK_SEED").unwrap_or(1);
    let order = |number, fault| Order { first, number, fault, one_is_enough: true };
    let sound = crew::play(order(SOUND, None));
    assert!(sound.failures.is_empty(), "without any fault: {}", told(&sound, None));
    for (name, _) in Fault::ALL {
        let report = crew::play(order(BOUND, Some(name)));
        let histories = report.count.histories;
        let (seed, divergence) = report.failures.first().unwrap_or_else(|| panic!("{name} is never found"));
        println!("{name}: found after {histories} histories, by seed {seed}");
        println!("{}", divergence.wrong.first().map_or("", String::as_str));
    }
}
