//! What is left to be done, and what follows from what became of it.

use std::{collections::BTreeMap, env, num::NonZero, path::PathBuf, thread::available_parallelism};

use devtask::{
    Outcome,
    checks::{Ground, Look, Pending},
    model::{Check, TaskId, TaskName},
    plan::{Assigned, choose, fix_of, is_skipped},
    session::SessionError,
};

use super::{Verb, rounds::Ran};
use crate::{
    app::{App, Tree, complain, complain_with, refuse},
    args::check::CheckArgs,
    exit::Exit,
    render::{
        lines::{Style, few},
        text::{chain, count, shown},
    },
};

/// One invocation, in one tree.
pub(super) struct Work<'a> {
    pub(super) app: &'a App,
    pub(super) tree: &'a Tree,
    pub(super) args: &'a CheckArgs,
    pub(super) verb: Verb,
    pub(super) names: &'a [String],
    /// What stands before the path of a log.
    pub(super) logs: String,
    /// The state directory that remembers what has passed.
    pub(super) memory: PathBuf,
    /// What follows the verb where it is to be typed again.
    pub(super) again: &'static str,
}

/// The checks, or fixes, that are meant.
pub(super) struct Chosen {
    pub(super) tasks: Vec<TaskId>,
    /// What `SKIP` leaves out, for people.
    skipped: Vec<String>,
    /// Whether there are checks, and no fix belongs to any.
    without_fix: bool,
}

/// What became of it.
pub(super) struct Done {
    pub(super) exit: Exit,
    /// The files before and after.
    pub(super) before: Look,
    pub(super) after: Look,
}

impl Chosen {
    pub(super) fn tell(&self, work: &Work<'_>) {
        for name in &self.skipped {
            work.say("Skipped", &format!("{name} (SKIP)"));
        }
        if self.without_fix {
            work.say("Skipped", "none of these checks has a `fix`");
        }
    }

    /// Whether nothing is left to be chosen from, and that was told.
    pub(super) fn is_nothing(&self) -> bool {
        self.tasks.is_empty()
    }
}

impl Work<'_> {
    /// The checks that are meant, or their fixes, without those in `SKIP`.
    pub(super) fn choose(&self) -> Result<Chosen, Exit> {
        let graph = &self.tree.graph;
        let standpoint = self.tree.loaded.standpoint();
        // Names are meant from where we are. Without any all are meant: which files they are about decides.
        let project = standpoint.project.filter(|_| !self.names.is_empty());
        let all = choose(graph, project.as_deref(), self.names)
            .map_err(|faults| refuse(&SessionError::Unknown(faults)))?;
        if all.is_empty() {
            let hint = "declare one: `[checks.<name>]` with `exec` and `files`";
            complain_with("there are no checks here", hint);
            return Err(Exit::NothingMatched);
        }
        let skip = env::var("SKIP").unwrap_or_default();
        let skip: Vec<&str> = skip.split(',').filter(|name| !name.trim().is_empty()).collect();
        let (skipped, checks): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|id| is_skipped(graph, *id, &skip));
        let left = checks.len();
        let tasks: Vec<TaskId> = match self.verb {
            Verb::Check => checks,
            Verb::Fix => checks.into_iter().filter_map(|check| fix_of(graph, check)).collect(),
        };
        let without_fix = left > 0 && tasks.is_empty();
        let skipped = skipped.into_iter().map(|id| Check::called(graph.name(id)).to_owned()).collect();
        Ok(Chosen { tasks, skipped, without_fix })
    }

    pub(super) fn takes_files(&self, task: TaskId) -> bool {
        self.tree.graph.task(task).check.as_ref().is_some_and(|check| check.passes_files)
    }

    pub(super) fn ground(&self) -> Ground {
        Ground {
            root: self.tree.loaded.root.clone(),
            state_dir: self.app.state_dir(self.tree),
            global_ignore: crate::app::global_ignore(),
            environment: env::vars_os().collect(),
            threads: available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        }
    }

    pub(super) fn say(&self, word: &str, rest: &str) {
        if !self.app.globals.quiet {
            let style =
                Style { color: self.app.color_err, quiet: false, explain: false, tail: 0, streamed: false };
            eprintln!("{}", style.status(word, rest));
        }
    }

    /// Does it, and what follows from it.
    pub(super) fn done(
        &self,
        chosen: &Chosen,
        assigned: &[Assigned],
        called: &str,
        conclude: impl FnOnce(&Done) -> Result<(), Exit>,
    ) -> Result<Exit, Exit> {
        let graph = &self.tree.graph;
        if assigned.is_empty() {
            if !chosen.is_nothing() {
                self.say("Skipped", &format!("no {} is about {called}", self.verb.name()));
            }
            return Ok(Exit::Done);
        }
        let ground = self.ground();
        let before = Look::at(&ground, assigned.iter().flat_map(|assigned| &assigned.files));
        let counts = !self.args.force && !self.app.globals.refresh_task_cache;
        let known = counts.then_some(self.memory.as_path());
        let (mut left, mut fresh) = (Vec::new(), Vec::new());
        for assigned in assigned {
            match Pending::of(graph, assigned, &ground, &before, known) {
                Some(rest) => left.push(rest),
                None => fresh.push(assigned),
            }
        }
        let names = assigned.iter().map(|a| Check::called(graph.name(a.task)).to_owned()).collect::<Vec<_>>();
        let word = match self.verb {
            Verb::Check => "Checking",
            Verb::Fix => "Fixing",
        };
        self.say(word, &format!("{called} with {}", few(&names, ", ", 8, 0)));
        for assigned in fresh {
            let files = count(assigned.files.len(), "file", "files");
            self.say("Cached", &format!("{} ({files})", graph.name(assigned.task)));
        }
        if left.is_empty() {
            return Ok(Exit::Done);
        }
        self.explain(&left);
        let Ran { exit, outcomes } = self.run(&left)?;
        let exit = exit.unwrap_or(Exit::Done);
        if self.args.dry_run {
            // What is given files always runs, so a run does not count it.
            let takes = |left: &Pending| self.takes_files(left.assigned.task);
            return Ok(if exit == Exit::Done && left.iter().any(takes) { Exit::WouldRun } else { exit });
        }
        let touched: Vec<&Assigned> = match self.verb {
            Verb::Check => left.iter().map(|left| &left.assigned).collect(),
            // A fix may touch what it was not given.
            Verb::Fix => assigned.iter().collect(),
        };
        let after = Look::at(&ground, touched.iter().flat_map(|assigned| &assigned.files));
        let done = Done { exit, after, before };
        if self.verb == Verb::Check {
            self.remember(&left, &outcomes, &ground, &done);
            return Ok(self.judge(&left, &outcomes, &done));
        }
        conclude(&done)?;
        Ok(done.exit)
    }

    fn explain(&self, left: &[Pending]) {
        if !(self.args.explain || self.args.dry_run) {
            return;
        }
        let takes = |left: &&Pending| self.takes_files(left.assigned.task);
        for left in left.iter().filter(takes) {
            let cwd = &self.tree.graph.task(left.assigned.task).cwd;
            let named = |file: &PathBuf| shown(&file.strip_prefix(cwd).unwrap_or(file).display().to_string());
            let files: Vec<String> = left.assigned.files.iter().map(named).collect();
            let name = self.tree.graph.name(left.assigned.task);
            self.say("Files", &format!("{name}: {}", few(&files, ", ", 5, 0)));
        }
    }

    fn remember(
        &self,
        left: &[Pending],
        outcomes: &BTreeMap<TaskName, Outcome>,
        ground: &Ground,
        done: &Done,
    ) {
        let looks = (&done.before, &done.after);
        for left in left {
            let Some(outcome) = outcomes.get(left.name()) else { continue };
            let remembered = left.remember(&self.tree.graph, ground, *outcome, looks, &self.memory);
            if let Err(error) = remembered {
                complain(&format!("what passed is not remembered: {}", chain(&error)));
            }
        }
    }

    /// A check that writes has not looked at what is there now.
    fn judge(&self, left: &[Pending], outcomes: &BTreeMap<TaskName, Outcome>, done: &Done) -> Exit {
        let files = left.iter().flat_map(|left| &left.assigned.files);
        let mut changed: Vec<String> = files
            .filter(|file| done.before.differs(&done.after, file))
            .map(|file| {
                shown(&file.strip_prefix(&self.tree.loaded.root).unwrap_or(file).display().to_string())
            })
            .collect();
        changed.sort();
        changed.dedup();
        if !changed.is_empty() && !matches!(done.exit, Exit::Signal(_)) {
            let message = format!("{} changed while being checked", few(&changed, ", ", 5, 0));
            complain_with(&message, "a check only looks: what mends belongs into its `fix`");
            return if done.exit == Exit::Done { Exit::Failed } else { done.exit };
        }
        let mends = |left: &&Pending| {
            let check = self.tree.graph.task(left.assigned.task).check.as_ref();
            outcomes.get(left.name()) == Some(&Outcome::Failed) && check.is_some_and(|check| check.has_fix)
        };
        let names: Vec<&str> = left.iter().filter(mends).map(|left| Check::called(left.name())).collect();
        if !names.is_empty() && done.exit == Exit::Failed {
            self.say("Try", &format!("devtask fix{} {}", self.again, names.join(" ")));
        }
        done.exit
    }
}
