//! `devtask check` and `devtask fix`: tasks that are about files somebody names.
//!
//! The promise: the work tree, the index and the stash are the user's. What is checked is looked at in place where it is
//! the same there, else in a private checkout (`place`); only `fix` writes, and only what it says (`mend`).

mod files;
mod mend;
mod place;

use std::{
    collections::{BTreeMap, HashSet},
    env,
    ffi::OsString,
    path::PathBuf,
};

use devtask::{
    Outcome,
    checks::{Ground, Look, Passed, key},
    event::RunStatus,
    model::{Check, Digest, TaskId, TaskName},
    plan::{Assigned, assign, check_of, choose, fix_of, is_skipped, portions},
    session::SessionError,
};
use serde_json::Map;

use crate::{
    app::{App, Tree, complain_with, refuse},
    args::check::CheckArgs,
    commands::{
        affected,
        errand::{Errand, Given},
        run::Stage,
    },
    console::{Ended, Events},
    exit::Exit,
    render::{
        lines::{Style, Words, few},
        text::{count, shown},
    },
};
use files::{Wanted, told_apart};
use place::Place;

/// What is done with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Check,
    Fix,
}

pub(crate) fn check(app: &mut App, args: &CheckArgs) -> Result<Exit, Exit> {
    go(app, args, Verb::Check)
}

pub(crate) fn fix(app: &mut App, args: &CheckArgs) -> Result<Exit, Exit> {
    go(app, args, Verb::Fix)
}

fn go(app: &mut App, args: &CheckArgs, verb: Verb) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let repository = affected::repository(&tree)?;
    let is_check = |name: &str| choose(&tree.graph, tree.loaded.current_project.as_deref(), &[name]).is_ok();
    let (names, files) = told_apart(app, &args.names, is_check, args.set.files)?;
    known(&tree, &names)?;
    let wanted = Wanted::of(app, &args.set, files, repository.as_ref())?;
    let work = Work { app, tree: &tree, args, verb, names: &names, logs: String::new() };
    let tasks = work.tasks(!matches!(wanted, Wanted::Staged))?;
    let ground = work.ground();
    let (candidates, version) = wanted.find(&tree, &tasks, &ground, repository.as_ref())?;
    let assigned = assign(&tree.graph, &tasks, &candidates);
    let called = wanted.called(candidates.len());
    if assigned.is_empty() {
        work.say("Skipped", &format!("no check is about {called}"));
        return Ok(Exit::Done);
    }
    let place = Place::find(&work, &assigned, &version, repository)?;
    if let Place::Aside(aside) = &place {
        let logs = aside.logs(&tree);
        let there = Work { app: &aside.app, tree: &aside.tree, args, verb, names: &names, logs };
        let tasks = there.tasks(!matches!(wanted, Wanted::Staged))?;
        let assigned = assign(&aside.tree.graph, &tasks, &aside.moved(&candidates));
        let memory = work.app.state_dir(work.tree);
        return there.done(&assigned, &called, &memory, |done| mend::aside(&there, aside, done));
    }
    let memory = work.app.state_dir(work.tree);
    work.done(&assigned, &called, &memory, |done| mend::in_place(&work, &place, &candidates, &version, done))
}

/// Refuses names of nothing, all at once.
fn known(tree: &Tree, names: &[String]) -> Result<(), Exit> {
    let Err(faults) = choose(&tree.graph, tree.loaded.current_project.as_deref(), names) else {
        return Ok(());
    };
    for fault in faults {
        let message = format!("`{}` is the name of no check and of no file", fault.typed);
        let near: Vec<String> = fault.suggestions.iter().map(|near| format!("`{near}`")).collect();
        let hint = match near.as_slice() {
            [] => "`devtask list` shows checks, too".to_owned(),
            near => format!("did you mean {}?", near.join(" or ")),
        };
        complain_with(&message, &hint);
    }
    Err(Exit::NothingMatched)
}

/// One invocation, in one tree.
struct Work<'a> {
    app: &'a App,
    tree: &'a Tree,
    args: &'a CheckArgs,
    verb: Verb,
    names: &'a [String],
    /// What stands before the path of a log.
    logs: String,
}

/// What became of it.
struct Done {
    exit: Exit,
    /// The files before and after.
    before: Look,
    after: Look,
}

/// What is left to be done for one check.
struct Left {
    assigned: Assigned,
    /// What stands for its check; none: nothing is remembered of it.
    key: Option<Digest>,
    check: TaskName,
}

impl Work<'_> {
    /// The checks that are meant, or their fixes, without those in `SKIP`.
    fn tasks(&self, is_local: bool) -> Result<Vec<TaskId>, Exit> {
        let graph = &self.tree.graph;
        let current = self.tree.loaded.current_project.as_deref();
        let root = self.tree.loaded.projects.first().map(|project| project.name.as_str());
        // At the root all are meant; what is committed is checked by all, wherever that is said.
        let project = current.filter(|_| is_local || !self.names.is_empty());
        let project = project.filter(|project| !self.names.is_empty() || Some(*project) != root);
        let chosen =
            choose(graph, project, self.names).map_err(|faults| refuse(&SessionError::Unknown(faults)))?;
        if chosen.is_empty() {
            complain_with(
                "there are no checks here",
                "declare one: `[checks.<name>]` with `exec` and `files`",
            );
            return Err(Exit::NothingMatched);
        }
        let skip = env::var("SKIP").unwrap_or_default();
        let skip: Vec<&str> = skip.split(',').filter(|name| !name.trim().is_empty()).collect();
        let mut tasks = Vec::new();
        for check in chosen {
            if is_skipped(graph, check, &skip) {
                self.say("Skipped", &format!("{} (SKIP)", Check::called(graph.name(check))));
                continue;
            }
            match self.verb {
                Verb::Check => tasks.push(check),
                Verb::Fix => tasks.extend(fix_of(graph, check)),
            }
        }
        Ok(tasks)
    }

    fn takes_files(&self, task: TaskId) -> bool {
        self.tree.graph.task(task).check.as_ref().is_some_and(|check| check.passes_files)
    }

    fn ground(&self) -> Ground {
        Ground {
            root: self.tree.loaded.root.clone(),
            state_dir: self.app.state_dir(self.tree),
            global_ignore: crate::app::global_ignore(),
            environment: env::vars_os().collect(),
            threads: std::thread::available_parallelism().unwrap_or(std::num::NonZero::<usize>::MIN),
        }
    }

    fn say(&self, word: &str, rest: &str) {
        if !self.app.globals.quiet {
            let style =
                Style { color: self.app.color_err, quiet: false, explain: false, tail: 0, streamed: false };
            eprintln!("{}", style.status(word, rest));
        }
    }

    /// Does it, and what follows from it.
    fn done(
        &self,
        assigned: &[Assigned],
        called: &str,
        memory: &std::path::Path,
        conclude: impl FnOnce(&Done) -> Result<(), Exit>,
    ) -> Result<Exit, Exit> {
        let graph = &self.tree.graph;
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
        let (exit, outcomes) = self.run(&left)?;
        if self.args.dry_run {
            // What is given files always runs, so a run does not count it.
            let takes =
                |left: &Left| graph.task(left.assigned.task).check.as_ref().is_some_and(|c| c.passes_files);
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
    fn not_passed(
        &self,
        assigned: &Assigned,
        ground: &Ground,
        before: &Look,
        memory: &std::path::Path,
    ) -> Option<Left> {
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

    /// Runs what is left: all at once, and again for those whose files do not fit into one command line; fixes that
    /// touch the same files one after the other.
    fn run(&self, left: &[Left]) -> Result<(Exit, BTreeMap<TaskName, Outcome>), Exit> {
        let graph = &self.tree.graph;
        let all: Vec<Assigned> = left.iter().map(|left| left.assigned.clone()).collect();
        let rounds = match self.verb {
            Verb::Check => vec![(0..all.len()).collect()],
            Verb::Fix => devtask::plan::rounds(graph, &all),
        };
        let limit = room_for_arguments();
        let mut outcomes: BTreeMap<TaskName, Outcome> = BTreeMap::new();
        let mut exit = Exit::Done;
        let mut events = Some(Events::open(self.app)?);
        for round in rounds {
            let mut waiting: Vec<(TaskName, std::vec::IntoIter<Vec<OsString>>, bool)> = Vec::new();
            for at in round {
                let task = graph.task(all[at].task);
                let takes = self.takes_files(all[at].task);
                let portions =
                    if takes { portions(&all[at].files, &task.cwd, limit) } else { vec![Vec::new()] };
                waiting.push((task.name.clone(), portions.into_iter(), takes));
            }
            loop {
                let mut given = Vec::new();
                for (name, portions, takes) in &mut waiting {
                    if let Some(portion) = portions.next() {
                        given.push((name.clone(), portion, *takes));
                    }
                }
                if given.is_empty() {
                    break;
                }
                let events = match events.take() {
                    Some(events) => events,
                    None => Events::again(self.app)?,
                };
                let (ended, names) = self.stage(given, events)?;
                let summary = &ended.summary;
                for (name, outcome) in summary.outcomes.iter().filter(|(name, _)| names.contains(name)) {
                    let worst = outcomes.entry(name.clone()).or_insert(*outcome);
                    if worst.is_success() {
                        *worst = *outcome;
                    }
                }
                let now = exit_of(&ended);
                if exit == Exit::Done || matches!(now, Exit::Signal(_)) {
                    exit = now;
                }
                let is_over = matches!(exit, Exit::Signal(_) | Exit::Internal)
                    || exit != Exit::Done && (self.verb == Verb::Fix || self.args.fail_fast == Some(true));
                if is_over && !self.args.dry_run {
                    return Ok((exit, outcomes));
                }
            }
        }
        Ok((exit, outcomes))
    }

    /// One run of these tasks, each with what it is given.
    fn stage(
        &self,
        given: Vec<(TaskName, Vec<OsString>, bool)>,
        events: Events,
    ) -> Result<(Ended, HashSet<TaskName>), Exit> {
        let names: HashSet<TaskName> = given.iter().map(|(name, ..)| name.clone()).collect();
        let args = self.args.run(given.iter().map(|(name, ..)| name.to_string()).collect());
        let given: Vec<(TaskName, Vec<OsString>)> =
            given.into_iter().filter(|(.., takes)| *takes).map(|(name, files, _)| (name, files)).collect();
        let inputs = Map::new();
        let label = match self.verb {
            Verb::Check => "check",
            Verb::Fix => "fix",
        };
        let words =
            Words { again: format!("devtask {label}{}", self.set_in_words()), logs: self.logs.clone() };
        let errand = Errand::given(&args, &inputs, label, Given { files: &given, words: Some(&words) });
        let ended = Stage { app: self.app, tree: self.tree, errand }.run(events.to)?;
        Ok((ended, names))
    }

    /// Remembers what has passed: contents that nobody touched meanwhile. What failed is forgotten.
    fn remember(
        &self,
        left: &[Left],
        outcomes: &BTreeMap<TaskName, Outcome>,
        ground: &Ground,
        done: &Done,
        memory: &std::path::Path,
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
    fn set_in_words(&self) -> &'static str {
        if self.args.set.staged { " --staged" } else { "" }
    }
}

fn exit_of(ended: &Ended) -> Exit {
    let summary = &ended.summary;
    match (summary.status, ended.signal) {
        (RunStatus::Interrupted, Some(signal)) => Exit::Signal(signal),
        _ if summary.internal_failure => Exit::Internal,
        (RunStatus::Failed | RunStatus::Interrupted, _) => Exit::Failed,
        _ if summary.not_saved.is_some() => Exit::Internal,
        // What is given files always runs, so that is no reason for `would_run`.
        _ if !summary.would_run.is_empty() => Exit::WouldRun,
        (RunStatus::Succeeded, _) => Exit::Done,
    }
}

/// How many bytes the files of one command line may take (hazard C15): a quarter of the stack's limit, without what the
/// environment takes and some room for what is added to it, and no more than all systems do well.
fn room_for_arguments() -> usize {
    const MOST: usize = 1 << 20;
    const ROOM: usize = 64 << 10;
    let stack = rustix::process::getrlimit(rustix::process::Resource::Stack).current.unwrap_or(u64::MAX);
    let all = usize::try_from(stack / 4).unwrap_or(usize::MAX).min(6 << 20);
    let environment: usize = env::vars_os().map(|(name, value)| name.len() + value.len() + 10).sum();
    all.saturating_sub(environment + ROOM).clamp(4096, MOST)
}
