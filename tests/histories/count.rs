//! What histories came to, in numbers.

use std::fmt;

/// What a history came to, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) histories: usize,
    pub(crate) steps: usize,
    pub(crate) quiet_points: usize,
    pub(crate) runs: usize,
    pub(crate) executed: usize,
    pub(crate) kills: usize,
    pub(crate) held: usize,
    pub(crate) really: usize,
    pub(crate) divergences: usize,
    pub(crate) needless: usize,
}

impl Count {
    pub(crate) fn add(&mut self, other: Self) {
        self.histories += other.histories;
        self.steps += other.steps;
        self.quiet_points += other.quiet_points;
        self.runs += other.runs;
        self.executed += other.executed;
        self.kills += other.kills;
        self.held += other.held;
        self.really += other.really;
        self.divergences += other.divergences;
        self.needless += other.needless;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, steps, quiet_points, runs, executed, kills, held, really, .. } = self;
        write!(
            f,
            "{histories} histories, {steps} steps, {quiet_points} quiet points ({really} of them compared"
        )?;
        write!(
            f,
            " with a clean run that was executed), {runs} runs, {executed} tasks executed, {kills} runs"
        )?;
        write!(f, " killed or interrupted, {held} times a task held; {} divergences, ", self.divergences)?;
        write!(f, "{} needless executions", self.needless)
    }
}
