//! The scheduler against an oracle: thousands of random graphs in a random, scripted world.
//!
//! The rules of spec section 2 are stated a second time here, as naively as possible, and share no code
//! with the rooms they judge. `DEVTASK_MODEL_SEED=N` runs one seed only.

mod schedule_model {
    pub(crate) mod case;
    pub(crate) mod oracle;
    pub(crate) mod world;
}

use std::panic::{AssertUnwindSafe, catch_unwind};

use schedule_model::{case::Case, world};

/// Graphs of one run.
const SEEDS: u64 = 10_400;

#[test]
fn every_random_run_ends_as_the_specification_says() {
    let one: Option<u64> = std::env::var("DEVTASK_MODEL_SEED").ok().and_then(|text| text.parse().ok());
    let seeds = one.map_or(0..SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        let case = Case::random(seed);
        if let Err(fault) = judge(&case) {
            let (case, fault) = shrink(case, fault);
            panic!("seed {seed}: {fault}\n{case}");
        }
    }
}

/// A panic inside the machine is a finding like any other.
fn judge(case: &Case) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| world::run(case))).unwrap_or_else(|_| Err("panicked".into()))
}

/// Leaves out tasks and edges as long as it still goes wrong.
fn shrink(mut case: Case, mut fault: String) -> (Case, String) {
    loop {
        let found = case.smaller().find_map(|smaller| judge(&smaller).err().map(|fault| (smaller, fault)));
        let Some(smaller) = found else { return (case, fault) };
        (case, fault) = smaller;
    }
}
