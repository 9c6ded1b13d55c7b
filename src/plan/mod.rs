//! What is wanted: from the names a user typed to the set of tasks that a run schedules.
//!
//! Floor 4, pure. A plan is not a verdict: whether a task is fresh is judged when its upstream is done.
//! It knows nothing of files or of what ran before.

mod affected;
mod check;
mod modes;
mod select;

pub use affected::affected;
pub use check::{
    Assigned, Candidate, assign, check_of, choose, concerned, fix_of, is_skipped, looks_beyond, patterns_of,
    portions, rounds,
};
pub use modes::{Mode, Plan};
pub use select::{SelectFault, Standpoint, default_selection, processes_to_start, select, select_processes};

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod tests;
