//! Making a history that fails smaller while it fails.

use std::time::{Duration, Instant};

use crate::{
    play::{Divergence, Player},
    steps::{History, Step},
};

/// How long is spent on it.
const PATIENCE: Duration = Duration::from_secs(60);
/// A kill hits another moment each time: how often a smaller history is given the chance to fail.
const TRIES: usize = 3;

/// The smallest history found that still fails, and how.
pub(crate) fn shrink(
    history: History,
    divergence: Divergence,
    fault: Option<&'static str>,
) -> (History, Divergence) {
    let mut shrinker = Shrinker { best: history, divergence, fault, end: Instant::now() + PATIENCE };
    while shrinker.round() {}
    (shrinker.best, shrinker.divergence)
}

struct Shrinker {
    best: History,
    divergence: Divergence,
    fault: Option<&'static str>,
    end: Instant,
}

impl Shrinker {
    /// Tries every way of leaving something out; whether one worked.
    fn round(&mut self) -> bool {
        let before = (self.best.steps.len(), self.size());
        self.best.steps.truncate(self.divergence.step);
        self.without_steps();
        self.without_tasks();
        self.without_edges();
        self.without_ops();
        self.without_files();
        Instant::now() < self.end && before != (self.best.steps.len(), self.size())
    }

    fn size(&self) -> usize {
        let world = &self.best.world;
        let ops: usize = self
            .best
            .steps
            .iter()
            .map(|step| ops_of(&mut step.clone()).iter().map(|l| l.len()).sum::<usize>())
            .sum();
        let edges: usize = world.present().map(|task| task.edges.len() + task.reads.len()).sum();
        world.present().count() + edges + ops + world.files.len()
    }

    /// Takes over a smaller history if it fails.
    fn try_out(&mut self, smaller: History) -> bool {
        for _ in 0..TRIES {
            if Instant::now() > self.end {
                return false;
            }
            let mut player = Player::new(smaller.clone(), self.fault);
            player.grow();
            if let Err(divergence) = player.play() {
                (self.best, self.divergence) = (smaller, divergence);
                return true;
            }
        }
        false
    }

    fn without_steps(&mut self) {
        let mut width = self.best.steps.len() / 2;
        while width > 0 {
            let mut at = 0;
            while at + width <= self.best.steps.len() {
                let mut smaller = self.best.clone();
                smaller.steps.drain(at..at + width);
                if !self.try_out(smaller) {
                    at += width;
                }
            }
            width /= 2;
        }
    }

    fn without_tasks(&mut self) {
        for id in (1..self.best.world.tasks.len()).rev() {
            let mut smaller = self.best.clone();
            if std::mem::take(&mut smaller.world.tasks[id].present) {
                self.try_out(smaller);
            }
        }
    }

    fn without_edges(&mut self) {
        for id in 0..self.best.world.tasks.len() {
            for at in (0..self.best.world.tasks[id].reads.len()).rev() {
                let mut smaller = self.best.clone();
                smaller.world.tasks[id].reads.remove(at);
                self.try_out(smaller);
            }
            for at in (0..self.best.world.tasks[id].edges.len()).rev() {
                let mut smaller = self.best.clone();
                smaller.world.tasks[id].edges.remove(at);
                self.try_out(smaller);
            }
        }
    }

    fn without_ops(&mut self) {
        for at in 0..self.best.steps.len() {
            for list in 0..ops_of(&mut self.best.steps[at].clone()).len() {
                for op in (0..ops_of(&mut self.best.steps[at].clone())[list].len()).rev() {
                    let mut smaller = self.best.clone();
                    ops_of(&mut smaller.steps[at])[list].remove(op);
                    self.try_out(smaller);
                }
            }
        }
    }

    fn without_files(&mut self) {
        for at in (0..self.best.world.files.len()).rev() {
            let mut smaller = self.best.clone();
            smaller.world.files.remove(at);
            self.try_out(smaller);
        }
    }
}

/// The edits of a step.
fn ops_of(step: &mut Step) -> Vec<&mut Vec<crate::tree::Op>> {
    match step {
        Step::Edit(ops) | Step::Two(ops) => vec![ops],
        Step::Cut { before, after, .. } => vec![before, after],
        Step::Conduct { before, early, late, after, .. } => {
            [Some(before), Some(early), late.as_mut(), Some(after)].into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}
