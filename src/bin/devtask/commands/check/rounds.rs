//! Running what is left: all at once where that can be, else round after round.

use std::{
    collections::{BTreeMap, HashSet},
    env,
    ffi::OsString,
    vec::IntoIter,
};

use devtask::{
    Outcome,
    checks::Pending,
    model::TaskName,
    plan::{Assigned, portions, rounds},
    process::{argument_room, stack_limit},
};
use serde_json::Map;

use super::{Verb, work::Work};
use crate::{
    args::ExitCodeOf,
    commands::{
        errand::{Errand, Given},
        run::{Stage, exit_of},
    },
    console::{Ended, Events},
    exit::Exit,
    render::lines::Words,
};

/// A task, and the portions of its files that it was not given yet; one empty portion for a task that takes none.
struct Waiting {
    task: TaskName,
    takes: bool,
    portions: IntoIter<Vec<OsString>>,
}

/// What runs together: each task with the files it is given, if it takes any.
type Together = Vec<(TaskName, Option<Vec<OsString>>)>;

/// What became of all.
#[derive(Default)]
pub(super) struct Ran {
    pub(super) exit: Option<Exit>,
    /// The worst of each task.
    pub(super) outcomes: BTreeMap<TaskName, Outcome>,
}

impl Ran {
    fn add(&mut self, ended: &Ended, names: &HashSet<TaskName>) {
        for (name, outcome) in ended.summary.outcomes.iter().filter(|(name, _)| names.contains(name)) {
            let worst = self.outcomes.entry(name.clone()).or_insert(*outcome);
            if worst.is_success() {
                *worst = *outcome;
            }
        }
        let now = exit_of(ended, ExitCodeOf::Devtask);
        if self.exit.is_none_or(|exit| exit == Exit::Done) || matches!(now, Exit::Signal(_)) {
            self.exit = Some(now);
        }
    }
}

impl Ran {
    fn forget(&mut self, task: &TaskName) {
        if self.outcomes.get(task).is_some_and(|outcome| outcome.is_success()) {
            self.outcomes.remove(task);
        }
    }
}

impl Work<'_> {
    /// Runs what is left: all at once, and again for those whose files do not fit into one command line; fixes that
    /// touch the same files one after the other.
    pub(super) fn run(&self, left: &[Pending]) -> Result<Ran, Exit> {
        let all: Vec<Assigned> = left.iter().map(|left| left.assigned.clone()).collect();
        let rounds = match self.verb {
            Verb::Check => vec![(0..all.len()).collect()],
            Verb::Fix => rounds(&self.tree.graph, &all),
        };
        let mut ran = Ran::default();
        for round in rounds {
            let mut waiting = self.waiting(round.into_iter().map(|at| &all[at]));
            loop {
                let together = next(&mut waiting);
                if together.is_empty() {
                    break;
                }
                self.together(together, &mut ran)?;
                if self.is_over(&ran) {
                    // Nothing is known of what was not given.
                    waiting
                        .iter()
                        .filter(|left| left.portions.len() > 0)
                        .for_each(|left| ran.forget(&left.task));
                    return Ok(ran);
                }
            }
        }
        Ok(ran)
    }

    fn waiting<'l>(&self, all: impl Iterator<Item = &'l Assigned>) -> Vec<Waiting> {
        let limit = room_for_arguments();
        let one = |assigned: &Assigned| {
            let (task, takes) = (self.tree.graph.task(assigned.task), self.takes_files(assigned.task));
            let portions = if takes { portions(&assigned.files, &task.cwd, limit) } else { vec![Vec::new()] };
            Waiting { task: task.name.clone(), takes, portions: portions.into_iter() }
        };
        all.map(one).collect()
    }

    /// One run of these tasks.
    fn together(&self, together: Together, ran: &mut Ran) -> Result<(), Exit> {
        let events = if ran.exit.is_none() { Events::open(self.app) } else { Events::again(self.app) }?;
        let names: HashSet<TaskName> = together.iter().map(|(name, _)| name.clone()).collect();
        let args = self.args.run(together.iter().map(|(name, _)| name.to_string()).collect());
        let files: Vec<_> = together.into_iter().filter_map(|(name, files)| Some((name, files?))).collect();
        let inputs = Map::new();
        let label = self.verb.name();
        let words = Words { again: format!("devtask {label}{}", self.again), logs: self.logs.clone() };
        let errand = Errand::given(&args, &inputs, label, Given { files: &files, words: Some(&words) });
        let ended = Stage { app: self.app, tree: self.tree, errand }.run(events.to)?;
        ran.add(&ended, &names);
        Ok(())
    }

    /// Whether nothing more is to be run.
    fn is_over(&self, ran: &Ran) -> bool {
        let settings = &self.tree.loaded.settings;
        let fails_fast = self.args.fail_fast.or_else(|| self.app.setting(settings, |s| s.fail_fast));
        match ran.exit {
            _ if self.args.dry_run => false,
            None | Some(Exit::Done) => false,
            Some(Exit::Signal(_) | Exit::Internal) => true,
            Some(_) => fails_fast == Some(true),
        }
    }
}

fn next(waiting: &mut [Waiting]) -> Together {
    let one = |waiting: &mut Waiting| {
        let portion = waiting.portions.next()?;
        Some((waiting.task.clone(), waiting.takes.then_some(portion)))
    };
    waiting.iter_mut().filter_map(one).collect()
}

/// How many bytes the files of one command line may take (hazard C15): what the system has for arguments, without what the
/// environment takes and some room for what is added to it, and no more than all systems do well.
fn room_for_arguments() -> usize {
    const MOST: usize = 1 << 20;
    const ROOM: usize = 64 << 10;
    let all = usize::try_from(argument_room(stack_limit())).unwrap_or(usize::MAX);
    let environment: usize = env::vars_os().map(|(name, value)| name.len() + value.len() + 10).sum();
    all.saturating_sub(environment + ROOM).clamp(4096, MOST)
}
