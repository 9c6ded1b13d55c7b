//! Spec section 2 once more, as sets and plain recursion.

use devtask::{
    model::{Condition, Outcome},
    plan::Mode,
};

use super::case::{Case, Matter, Script};

pub(crate) struct Oracle<'a> {
    case: &'a Case,
    pub(crate) scheduled: Vec<bool>,
    /// For each task what it waits for: an upstream task and a state of it, within what is scheduled.
    pub(crate) needs: Vec<Vec<(usize, Condition)>>,
    /// The same edges from the other end.
    pub(crate) feeds: Vec<Vec<(usize, Condition)>>,
    /// Those that are declared, and not only seen through tasks in between.
    declared: Vec<Vec<(usize, Condition)>>,
    /// Scheduled only because of calls.
    beside: Vec<bool>,
    /// Processes that start on demand, and are demanded.
    demanded: Vec<bool>,
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
        let demanded = vec![false; case.tasks.len()];
        let mut oracle = Self { case, scheduled, needs, feeds, beside, demanded, declared: Vec::new() };
        oracle.declared.clone_from(&oracle.feeds);
        oracle.see_through();
        oracle.find_demand();
        oracle
    }

    /// How the task must end if nobody interferes.
    pub(crate) fn fate(&self, at: usize, known: &mut [Option<Outcome>]) -> Outcome {
        if let Some(outcome) = known[at] {
            return outcome;
        }
        let outcome = if !self.passes_gate(at, known) {
            Outcome::DependencyFailed
        } else if self.is_lazy(at) && !self.demanded[at] {
            Outcome::Skipped
        } else if self.looks_ahead(at) && !self.is_lazy(at) && !needs_all(self.case.tasks[at].script) {
            own_end(self.case.tasks[at].script)
        } else {
            let runs = self.needs[at].iter().all(|(up, condition)| {
                let end = self.fate(*up, known);
                self.comes_true(*up, *condition, end)
            });
            if runs { own_end(self.case.tasks[at].script) } else { Outcome::DependencyFailed }
        };
        known[at] = Some(outcome);
        outcome
    }

    /// Whether it is clear from the beginning that the task executes, unless something fails.
    fn is_certain(&self, at: usize) -> bool {
        let task = &self.case.tasks[at];
        match (task.process, task.matter) {
            // In a watch it may turn out to stay as it is.
            (None, Matter::AlwaysRuns) => !self.case.keeps,
            (None, _) => false,
            (Some(_), _) => {
                let downs = || self.declared[at].iter().map(|(down, _)| *down);
                self.is_root(at) || self.is_above_certain(at) || downs().any(|down| self.is_wanted(down))
            }
        }
    }

    /// Whether something certain is downstream of the task, however far.
    fn is_above_certain(&self, at: usize) -> bool {
        let certain = |down: usize| self.is_certain(down) || self.is_above_certain(down);
        self.declared[at].iter().any(|(down, _)| certain(*down))
    }

    /// Whether the task gathers others for who asked.
    fn is_wanted(&self, at: usize) -> bool {
        let task = &self.case.tasks[at];
        let gathers = task.process.is_none() && task.matter == Matter::Gathers;
        gathers && (self.is_root(at) || self.declared[at].iter().any(|(down, _)| self.is_wanted(*down)))
    }

    /// What rests on a process that starts on demand through a one-shot task rests on it itself, if it does anything.
    fn see_through(&mut self) {
        let lazy: Vec<bool> =
            (0..self.case.tasks.len()).map(|at| self.scheduled[at] && self.is_lazy(at)).collect();
        // Those it needs if it does anything, and what is downstream of it.
        let mut rests: Vec<Vec<(usize, Condition)>> = vec![Vec::new(); self.case.tasks.len()];
        // Upstream comes first.
        for at in 0..self.case.tasks.len() {
            let declared = self.needs[at].clone();
            rests[at] = declared.iter().filter(|(up, _)| lazy[*up]).copied().collect();
            for (between, _) in &declared {
                if self.case.tasks[*between].process.is_some() || self.lets_failure_pass(*between, at) {
                    continue;
                }
                for (process, condition) in rests[*between].clone() {
                    let has_ended = rests[*between].contains(&(process, Condition::Completed));
                    let is_direct = declared.iter().any(|(up, _)| *up == process);
                    if !has_ended && !is_direct && !rests[at].contains(&(process, condition)) {
                        rests[at].push((process, condition));
                    }
                }
            }
            let task = &self.case.tasks[at];
            if task.process.is_some() || task.matter != Matter::Gathers {
                let through = rests[at].iter().filter(|need| !declared.contains(need));
                for (process, condition) in through.copied().collect::<Vec<_>>() {
                    self.needs[at].push((process, condition));
                    self.feeds[process].push((at, condition));
                }
            }
        }
    }

    /// Whether it is a process that starts on demand.
    pub(crate) fn is_lazy(&self, at: usize) -> bool {
        self.case.tasks[at].process.is_some() && !self.is_certain(at)
    }

    /// Whether it has to do with such processes.
    pub(crate) fn looks_ahead(&self, at: usize) -> bool {
        self.is_lazy(at) || self.needs[at].iter().any(|(up, _)| self.is_lazy(*up))
    }

    /// Whether everything upstream holds, or is a process that starts on demand and could.
    fn passes_gate(&self, at: usize, known: &mut [Option<Outcome>]) -> bool {
        self.needs[at].iter().all(|(up, condition)| {
            if !self.looks_ahead(at) || self.is_lazy(*up) && self.passes_gate(*up, known) {
                return true;
            }
            let end = self.fate(*up, known);
            self.comes_true(*up, *condition, end)
        })
    }

    /// Finds out which processes tasks need that are not fresh: as long as there are more of them, more of what rests
    /// on them gets to run.
    fn find_demand(&mut self) {
        loop {
            let mut known = vec![None; self.case.tasks.len()];
            let more: Vec<usize> = (0..self.case.tasks.len())
                .filter(|at| self.scheduled[*at] && self.is_lazy(*at) && !self.demanded[*at])
                .filter(|at| self.feeds[*at].iter().any(|(down, _)| self.demands(*down, &mut known)))
                .collect();
            if more.is_empty() {
                return;
            }
            more.into_iter().for_each(|at| self.demanded[at] = true);
        }
    }

    fn demands(&self, at: usize, known: &mut [Option<Outcome>]) -> bool {
        let wants = if self.is_lazy(at) { self.demanded[at] } else { needs_all(self.case.tasks[at].script) };
        wants && self.passes_gate(at, known)
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
        let pairs: Vec<usize> = self.declared[at].iter().map(|(down, _)| *down).collect();
        !self.is_root(at)
            && !pairs.is_empty()
            && pairs.into_iter().all(|down| self.lets_failure_pass(at, down))
    }

    /// Whether every declaration of the pair is `@completed`.
    pub(crate) fn lets_failure_pass(&self, up: usize, down: usize) -> bool {
        self.declared[up]
            .iter()
            .all(|(other, condition)| *other != down || *condition == Condition::Completed)
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

/// Whether a task turns out to need all it rests on.
pub(crate) fn needs_all(script: Script) -> bool {
    !matches!(script, Script::Fresh | Script::Over { .. } | Script::AsBefore(_))
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
