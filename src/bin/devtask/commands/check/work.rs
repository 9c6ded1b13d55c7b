//! What is left to be done, and what follows from what became of it.

use std::{
    collections::BTreeMap,
    env,
    num::NonZero,
    path::{Path, PathBuf},
    thread::available_parallelism,
};

use devtask::{
    Outcome,
    checks::{Ground, Look, Passed, key},
    model::{Check, Digest, TaskId, TaskName},
    plan::{Assigned, check_of, choose, fix_of, is_skipped},
    session::SessionError,
};

use super::{Verb, rounds::Ran};
use crate::{
    app::{App, Tree, complain_with, refuse},
    args::check::CheckArgs,
    exit::Exit,
    render::{
        lines::{Style, few},
        text::{count, shown},
    },
};

/// One invocation, in one tree.
pub(super) struct Work<'a> {
    pub(super) app: &'a App,
    pub(super) tree: &'a Tree,
    pub(super) args: &'a CheckArgs,
    pub(super) verb: Verb,
    pub(super) names: &'a [String],
    /// Whether only the checks of the working directory's project are meant where none is named.
    pub(super) of_project: bool,
    /// What stands before the path of a log.
    pub(super) logs: String,
}

/// The checks, or fixes, that are meant.
pub(super) struct Chosen {
    pub(super) tasks: Vec<TaskId>,
    /// What `SKIP` leaves out, for people.
    skipped: Vec<String>,
}

/// What became of it.
pub(super) struct Done {
    pub(super) exit: Exit,
    /// The files before and after.
    pub(super) before: Look,
    pub(super) after: Look,
}

/// What is left to be done for one check.
pub(super) struct Left {
    pub(super) assigned: Assigned,
    /// What stands for its check; none: nothing is remembered of it.
    key: Option<Digest>,
    check: TaskName,
}

impl Chosen {
    pub(super) fn tell(&self, work: &Work<'_>) {
        for name in &self.skipped {
            work.say("Skipped", &format!("{name} (SKIP)"));
        }
    }
}

impl Work<'_> {
    /// The checks that are meant, or their fixes, without those in `SKIP`.
    pub(super) fn choose(&self) -> Result<Chosen, Exit> {
        let graph = &self.tree.graph;
        let standpoint = self.tree.loaded.standpoint();
        // Names are meant from where we are; without any, all are meant at the root.
        let project = if self.names.is_empty() { standpoint.default_project } else { standpoint.project };
        let project = project.filter(|_| self.of_project || !self.names.is_empty());
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
        let tasks = match self.verb {
            Verb::Check => checks,
            Verb::Fix => checks.into_iter().filter_map(|check| fix_of(graph, check)).collect(),
        };
        let skipped = skipped.into_iter().map(|id| Check::called(graph.name(id)).to_owned()).collect();
        Ok(Chosen { tasks, skipped })
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
        assigned: &[Assigned],
        called: &str,
        memory: &Path,
        conclude: impl FnOnce(&Done) -> Result<(), Exit>,
    ) -> Result<Exit, Exit> {
        let graph = &self.tree.graph;
        if assigned.is_empty() {
            self.say("Skipped", &format!("no check is about {called}"));
            return Ok(Exit::Done);
        }
        let ground = self.ground();
        let before = Look::at(&ground, assigned.iter().flat_map(|assigned| &assigned.files));
        let (mut left, mut fresh) = (Vec::new(), Vec::new());
        for assigned in assigned {
            let rest = self.not_passed(assigned, &ground, &before, memory);
            match rest {
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
            let takes = |left: &Left| self.takes_files(left.assigned.task);
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
            self.remember(&left, &outcomes, &ground, &done, memory);
            return Ok(self.judge(&left, &outcomes, &done));
        }
        conclude(&done)?;
        Ok(done.exit)
    }

    /// What of its files has not passed the check yet; none: all have.
    fn not_passed(&self, assigned: &Assigned, ground: &Ground, before: &Look, memory: &Path) -> Option<Left> {
        let graph = &self.tree.graph;
        let check = match self.verb {
            Verb::Check => assigned.task,
            Verb::Fix => check_of(graph, assigned.task).unwrap_or(assigned.task),
        };
        let name = graph.name(check).clone();
        let key = if self.takes_files(check) { key(graph, check, ground) } else { None };
        let left =
            |files| Left { assigned: Assigned { task: assigned.task, files }, key, check: name.clone() };
        let Some(known) = key.filter(|_| !self.args.force && !self.app.globals.refresh_task_cache) else {
            return Some(left(assigned.files.clone()));
        };
        let passed = Passed::read(memory, &name);
        let has = |file: &&PathBuf| before.mark(ground, known, file).is_some_and(|mark| passed.has(mark));
        let rest: Vec<PathBuf> = assigned.files.iter().filter(|file| !has(file)).cloned().collect();
        (!rest.is_empty()).then(|| left(rest))
    }

    fn explain(&self, left: &[Left]) {
        if !(self.args.explain || self.args.dry_run) {
            return;
        }
        let takes = |left: &&Left| self.takes_files(left.assigned.task);
        for left in left.iter().filter(takes) {
            let cwd = &self.tree.graph.task(left.assigned.task).cwd;
            let named = |file: &PathBuf| shown(&file.strip_prefix(cwd).unwrap_or(file).display().to_string());
            let files: Vec<String> = left.assigned.files.iter().map(named).collect();
            let name = self.tree.graph.name(left.assigned.task);
            self.say("Files", &format!("{name}: {}", few(&files, ", ", 5, 0)));
        }
    }

    /// Remembers what has passed: contents that nobody touched meanwhile. What failed is forgotten.
    fn remember(
        &self,
        left: &[Left],
        outcomes: &BTreeMap<TaskName, Outcome>,
        ground: &Ground,
        done: &Done,
        memory: &Path,
    ) {
        for left in left {
            let (Some(key), Some(outcome)) = (left.key, outcomes.get(&left.check)) else { continue };
            let files = &left.assigned.files;
            let marks = |files: &mut dyn Iterator<Item = &PathBuf>| -> Vec<Digest> {
                files.filter_map(|file| done.before.mark(ground, key, file)).collect()
            };
            let (passed, failed) = match outcome {
                Outcome::Succeeded => (
                    marks(&mut files.iter().filter(|file| done.before.is_same(&done.after, file))),
                    Vec::new(),
                ),
                Outcome::Failed => (Vec::new(), marks(&mut files.iter())),
                _ => continue,
            };
            // What is not remembered is checked once more.
            let _ = Passed::update(memory, &left.check, passed, &failed.into_iter().collect());
        }
    }

    /// A check that writes has not looked at what is there now.
    fn judge(&self, left: &[Left], outcomes: &BTreeMap<TaskName, Outcome>, done: &Done) -> Exit {
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
        let mends = |left: &&Left| {
            let check = self.tree.graph.task(left.assigned.task).check.as_ref();
            outcomes.get(&left.check) == Some(&Outcome::Failed) && check.is_some_and(|check| check.has_fix)
        };
        let names: Vec<&str> = left.iter().filter(mends).map(|left| Check::called(&left.check)).collect();
        if !names.is_empty() && done.exit == Exit::Failed {
            self.say("Try", &format!("devtask fix{} {}", self.set_in_words(), names.join(" ")));
        }
        done.exit
    }

    /// The set of files as it was typed, for another command.
    pub(super) fn set_in_words(&self) -> &'static str {
        if self.args.set.staged { " --staged" } else { "" }
    }
}
