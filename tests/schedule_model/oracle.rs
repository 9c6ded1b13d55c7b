//! Spec section 2 once more, as sets and plain recursion.

use devtask::{
    model::{Condition, Outcome},
    plan::Mode,
};

use super::case::{Case, Script};

pub(crate) struct Oracle<'a> {
    case: &'a Case,
    pub(crate) scheduled: Vec<bool>,
    /// For each task what it waits for: an upstream task and a state of it, within what is scheduled.
    pub(crate) needs: Vec<Vec<(usize, Condition)>>,
    /// The same edges from the other end.
    pub(crate) feeds: Vec<Vec<(usize, Condition)>>,
    /// Scheduled only because of calls.
    beside: Vec<bool>,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(case: &'a Case) -> Self {
        let wanted = scheduled(case);
        let scheduled = with_calls(case, wanted.clone());
        let beside = scheduled.iter().zip(&wanted).map(|(all, wanted)| *all && !wanted).collect();
        let none = vec![Vec::new(); case.tasks.len()];
        let (mut needs, mut feeds) = (none.clone(), none);
        for link in &case.links {
            if scheduled[link.up] && scheduled[link.down] {
                let default = if case.tasks[link.up].process.is_some() {
                    Condition::Ready
                } else {
                    Condition::Succeeded
                };
                let condition = link.condition.unwrap_or(default);
                needs[link.down].push((link.up, condition));
                feeds[link.up].push((link.down, condition));
            }
        }
        for (caller, called) in &case.calls {
            if scheduled[*caller] && scheduled[*called] {
                needs[*caller].push((*called, Condition::Completed));
                feeds[*called].push((*caller, Condition::Completed));
            }
        }
        Self { case, scheduled, needs, feeds, beside }
    }

    /// How the task must end if nobody interferes.
    pub(crate) fn fate(&self, at: usize, known: &mut [Option<Outcome>]) -> Outcome {
        if let Some(outcome) = known[at] {
            return outcome;
        }
        let runs = self.needs[at].iter().all(|(up, condition)| {
            let end = self.fate(*up, known);
            self.comes_true(*up, *condition, end)
        });
        let outcome = if runs { own_end(self.case.tasks[at].script) } else { Outcome::DependencyFailed };
        known[at] = Some(outcome);
        outcome
    }

    fn comes_true(&self, up: usize, condition: Condition, end: Outcome) -> bool {
        let task = &self.case.tasks[up];
        let good = matches!(end, Outcome::Succeeded | Outcome::Cached | Outcome::Skipped);
        let runs = end != Outcome::DependencyFailed;
        match condition {
            Condition::Completed => true,
            Condition::Started => good || runs && begins(task.script),
            Condition::Ready if task.process.is_some() => {
                runs && matches!(
                    task.script,
                    Script::Stays { ready: true } | Script::Ends { ready: true, .. }
                )
            }
            Condition::Ready | Condition::Succeeded => good,
        }
    }

    pub(crate) fn is_root(&self, at: usize) -> bool {
        self.case.roots.contains(&at)
    }

    /// Whether a failure of the task does not count.
    pub(crate) fn is_soft(&self, at: usize) -> bool {
        if self.beside[at] {
            return true;
        }
        let pairs: Vec<usize> = self.feeds[at].iter().map(|(down, _)| *down).collect();
        !self.is_root(at)
            && !pairs.is_empty()
            && pairs.into_iter().all(|down| self.lets_failure_pass(at, down))
    }

    /// Whether every declaration of the pair is `@completed`.
    pub(crate) fn lets_failure_pass(&self, up: usize, down: usize) -> bool {
        self.feeds[up].iter().all(|(other, condition)| *other != down || *condition == Condition::Completed)
    }

    /// Time from the start of the task to the end of the longest path below it.
    pub(crate) fn path(&self, at: usize, known: &mut [Option<u64>]) -> u64 {
        if let Some(path) = known[at] {
            return path;
        }
        let below = self.feeds[at].iter().map(|(down, _)| self.path(*down, known)).max().unwrap_or(0);
        let path = below + self.case.tasks[at].duration.max(1);
        known[at] = Some(path);
        path
    }
}

/// Whether a task that gets to run executes, here or elsewhere.
pub(crate) fn begins(script: Script) -> bool {
    !matches!(script, Script::CannotBegin | Script::AsBefore(_) | Script::Over { began: false, .. })
}

/// How a task ends that gets to run.
pub(crate) fn own_end(script: Script) -> Outcome {
    match script {
        Script::Fresh => Outcome::Cached,
        Script::NoCommand => Outcome::Skipped,
        Script::Over { outcome, .. } | Script::AsBefore(outcome) => outcome,
        Script::Fine | Script::Stays { .. } | Script::Ends { fine: true, .. } => Outcome::Succeeded,
        Script::Fails | Script::CannotBegin | Script::Ends { fine: false, .. } => Outcome::Failed,
    }
}

fn scheduled(case: &Case) -> Vec<bool> {
    let mut named = vec![false; case.tasks.len()];
    for root in &case.roots {
        named[*root] = true;
    }
    let upstream = |set: Vec<bool>| closure(case, set, |down, up| (down, up));
    let downstream = |set: Vec<bool>| closure(case, set, |down, up| (up, down));
    match case.mode {
        Mode::Single => named,
        Mode::Before => upstream(named),
        Mode::After => downstream(named),
        Mode::All => {
            let first = upstream(named.clone());
            let second = downstream(named);
            upstream(first.into_iter().zip(second).map(|(a, b)| a || b).collect())
        }
    }
}

/// What scheduled tasks called, with all that needs, unless the mode leaves out what is upstream.
fn with_calls(case: &Case, mut set: Vec<bool>) -> Vec<bool> {
    if !matches!(case.mode, Mode::Before | Mode::All) {
        return set;
    }
    loop {
        let before = set.clone();
        for (caller, called) in &case.calls {
            if set[*caller] && !set[*called] {
                let mut needed = vec![false; set.len()];
                needed[*called] = true;
                let needed = closure(case, needed, |down, up| (down, up));
                set = set.into_iter().zip(needed).map(|(a, b)| a || b).collect();
            }
        }
        if set == before {
            return set;
        }
    }
}

/// Adds tasks until nothing changes.
fn closure(case: &Case, mut set: Vec<bool>, step: impl Fn(usize, usize) -> (usize, usize)) -> Vec<bool> {
    loop {
        let before = set.clone();
        for link in &case.links {
            let (from, to) = step(link.down, link.up);
            set[to] |= set[from];
        }
        if set == before {
            return set;
        }
    }
}
