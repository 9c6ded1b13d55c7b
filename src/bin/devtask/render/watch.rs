//! What a watch tells, as lines, and what it remembers for who asks: how tasks stand, and why they ran.
//!
//! ```text
//! Watching          214 files in 3 directories for app:test (and 2 before it)
//! 14:31:07 changed  src/lib.rs (+1)  →  app:build, app:test
//! Failed            app:test (0.81s)
//! 14:31:09 waiting  1 failed — r rerun failed, Enter log, ? keys
//! ```
//! The lines `changed` and `waiting` are for editors, too: they come in every mode but `--ui none`, and their form
//! does not change.

use std::collections::BTreeMap;

use devtask::{
    TaskGraph,
    event::{Decided, Event, Finished, What},
    model::{Outcome, Reason, TaskName},
};

use super::{
    clock::time_of_day,
    lines::{COLUMN, Style, few},
    process::short_name,
    reason,
    text::{count, output_line, shown},
};

/// How many changed files a line names.
const PATHS: usize = 1;
/// How many tasks a line names.
const TASKS: usize = 3;

const BROKEN: &str = "the task files have faults; what they said before goes on";

/// How a watch is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Whether keys are heard.
    pub(crate) keys: bool,
    /// Whether `changed` and `waiting` are told.
    pub(crate) beats: bool,
    /// Whether there is no task file, only a command.
    pub(crate) command: bool,
    /// Whether it is there for processes.
    pub(crate) up: bool,
    /// Whether what is kept true beside the named tasks is all upstream of them.
    pub(crate) only_before: bool,
}

/// Where to find what a task wrote last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LastLog {
    /// In this file, relative to the root where it lies beneath it.
    At(String),
    /// It wrote nothing.
    Empty,
    /// That was not told: it failed before we began to read.
    Unseen,
}

/// What a watch has told so far.
#[derive(Debug)]
pub(crate) struct Watched {
    manner: Manner,
    /// Runs, the first one included.
    cycles: u64,
    /// Whether the run under way is the first one, for which nothing had to change.
    is_initial: bool,
    is_busy: bool,
    on_hold: bool,
    size: String,
    /// How many tasks are kept true.
    tasks: usize,
    degraded: Option<String>,
    /// Whether the task files have faults just now.
    is_broken: bool,
    stuck: Vec<TaskName>,
    outcomes: BTreeMap<TaskName, Outcome>,
    /// The tasks that stand as failed, the last one last, with their logs.
    failures: Vec<(TaskName, LastLog)>,
    /// What the last cycle executed, and why.
    executed: Vec<(TaskName, Vec<Reason>)>,
}

impl Watched {
    pub(crate) const fn new(manner: Manner) -> Self {
        Self {
            manner,
            cycles: 0,
            is_initial: true,
            is_busy: false,
            on_hold: false,
            size: String::new(),
            tasks: 0,
            degraded: None,
            is_broken: false,
            stuck: Vec::new(),
            outcomes: BTreeMap::new(),
            failures: Vec::new(),
            executed: Vec::new(),
        }
    }

    /// Whether a cycle is under way.
    pub(crate) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether there is no task file, only a command.
    pub(crate) const fn is_command(&self) -> bool {
        self.manner.command
    }

    /// Takes an event in. Some: these are its lines, whatever they are in a run.
    pub(super) fn of(&mut self, event: &Event, style: &Style) -> Option<Vec<String>> {
        match &event.what {
            What::WatchStarted { tasks, .. } if self.manner.up => {
                // What is started is told as it is.
                self.tasks = tasks.len();
                Some(Vec::new())
            }
            What::WatchStarted { tasks, before, files, directories } => {
                self.size = size(*files, *directories);
                self.tasks = tasks.len() + before;
                let line = style.status("Watching", &self.started(tasks, *before));
                let nothing = match self.manner.command {
                    true => "no file matches the patterns of `-g` yet",
                    false => "no file is watched: tasks say by `execIfModified` what they rest on",
                };
                let warning = (*files == 0).then(|| style.status("Warning", nothing));
                Some(if style.quiet { Vec::new() } else { [line].into_iter().chain(warning).collect() })
            }
            What::Standings { outcomes, cycles, is_busy } => {
                self.is_initial = false;
                self.cycles = *cycles;
                self.is_busy = *is_busy;
                self.outcomes.clone_from(outcomes);
                let failed = outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Failed);
                self.failures = failed.map(|(task, _)| (task.clone(), LastLog::Unseen)).collect();
                let line = || style.status("Running", "a cycle is under way");
                Some((*is_busy && !style.quiet).then(line).into_iter().collect())
            }
            What::FilesChanged { paths, more, tasks } => {
                self.is_initial = false;
                let paths: Vec<String> = paths.iter().map(|path| shown(path)).collect();
                let paths = few(&paths, " ", PATHS, *more);
                let tasks: Vec<&str> = tasks.iter().map(|task| short_name(task.as_str())).collect();
                let tasks = few(&tasks, ", ", TASKS, 0);
                Some(self.beat(event, style, "changed", "1", &format!("{paths}  →  {tasks}")))
            }
            What::Waiting { failed, stuck, on_hold } => {
                self.is_initial = false;
                self.is_busy = false;
                self.on_hold = *on_hold;
                self.stuck.clone_from(stuck);
                self.failures.retain(|(task, _)| failed.contains(task));
                // What others executed beside the watch is told only so.
                for (task, outcome) in &mut self.outcomes {
                    match (*outcome, failed.contains(task)) {
                        (Outcome::Failed, false) => *outcome = Outcome::Succeeded,
                        (outcome, true) if outcome.is_success() => {
                            self.failures.push((task.clone(), LastLog::Unseen));
                        }
                        _ => {}
                    }
                }
                for (task, _) in &self.failures {
                    self.outcomes.insert(task.clone(), Outcome::Failed);
                }
                let color = if failed.is_empty() && stuck.is_empty() { "32" } else { "31" };
                // Of what is up its own stages are told.
                let is_news = !self.manner.up || !failed.is_empty() || !stuck.is_empty() || *on_hold;
                Some(match is_news {
                    true => self.beat(event, style, "waiting", color, &self.waiting(failed)),
                    false => Vec::new(),
                })
            }
            What::WatchHealth { degraded } => {
                let was = std::mem::replace(&mut self.degraded, degraded.as_deref().map(shown));
                Some(match (&self.degraded, was) {
                    (Some(why), _) => vec![style.status("Warning", &format!("changes are seen late: {why}"))],
                    (None, Some(_)) => vec![style.status("Watching", "changes are seen at once again")],
                    (None, None) => Vec::new(),
                })
            }
            What::Reloaded { tasks } => {
                let was_broken = std::mem::take(&mut self.is_broken);
                let line = match (tasks.as_slice(), was_broken) {
                    ([], false) => None,
                    ([], true) => Some("the task files, which are in order again".to_owned()),
                    (tasks, _) => Some(format!("the task files  →  {}", few(tasks, ", ", TASKS, 0))),
                };
                Some(
                    line.filter(|_| !style.quiet)
                        .map(|line| style.status("Reloaded", &line))
                        .into_iter()
                        .collect(),
                )
            }
            What::ReloadFailed { text } => {
                self.is_broken = true;
                // Rendered by this program, though perhaps for another terminal, colours and all.
                let mut lines: Vec<String> =
                    text.lines().map(|line| output_line(line, style.color)).collect();
                lines.push(style.status("Warning", BROKEN));
                Some(lines)
            }
            What::LoopFound { task, paths } => Some(vec![style.status("Warning", &self.looped(task, paths))]),
            What::RunStarted { .. } => {
                self.cycles += 1;
                self.is_busy = true;
                self.executed.clear();
                Some(Vec::new())
            }
            What::Decision { task, action: Decided::Run | Decided::Restore, reasons, .. } => {
                self.executed.push((task.clone(), reasons.clone()));
                None
            }
            What::TaskFinished(finished) => {
                let was = self.take_note(finished);
                let is_news = self.is_initial
                    || finished.duration_ms.is_some()
                    || finished.restored.is_some()
                    || !finished.status.is_success()
                    || was.is_some_and(|was| !was.is_success());
                (!is_news).then(Vec::new)
            }
            What::RunFinished { .. } => {
                self.is_busy = false;
                (!self.is_initial || self.manner.up).then(Vec::new)
            }
            // Of later cycles the ends are told; what runs meanwhile is in the live region, and `t` says it.
            What::TaskStarted { .. } if !self.is_initial => Some(Vec::new()),
            _ => None,
        }
    }

    fn started(&self, tasks: &[TaskName], others: usize) -> String {
        let whom = if tasks.len() == 1 { "it" } else { "them" };
        let where_to = if self.manner.only_before { "before" } else { "with" };
        let others = if others > 0 { format!(" (and {others} {where_to} {whom})") } else { String::new() };
        format!("{} for {}{others}", self.size, few(tasks, ", ", TASKS, 0))
    }

    fn beat(&self, event: &Event, style: &Style, word: &str, color: &str, rest: &str) -> Vec<String> {
        if !self.manner.beats {
            return Vec::new();
        }
        let word = style.colored(color, &format!("{word:<8}"));
        vec![format!("{} {word} {rest}", time_of_day(event.time))]
    }

    fn waiting(&self, failed: &[TaskName]) -> String {
        let mut stands = Vec::new();
        if !failed.is_empty() {
            stands.push(format!("{} failed", failed.len()));
        }
        if !self.stuck.is_empty() {
            stands.push(format!("{} stuck ({})", self.stuck.len(), few(&self.stuck, ", ", TASKS, 0)));
        }
        if stands.is_empty() {
            // Without a first run nobody has looked at every task.
            let is_known = self.outcomes.len() >= self.tasks;
            stands.push(match self.cycles {
                0 => "for a change".to_owned(),
                _ if is_known => "all up to date".to_owned(),
                _ => "nothing failed".to_owned(),
            });
        }
        if self.on_hold {
            stands.push("on hold".to_owned());
        }
        if self.degraded.is_some() {
            stands.push("changes are seen late".to_owned());
        }
        if self.is_broken {
            stands.push("task files have faults".to_owned());
        }
        let hold = self.on_hold.then_some("p go on");
        let retry = (!failed.is_empty() || !self.stuck.is_empty()).then_some("r rerun failed");
        let log = (!failed.is_empty()).then_some("Enter log");
        let hints: Vec<&str> = [hold, retry, log, Some("? keys")].into_iter().flatten().collect();
        let hints = if self.manner.keys { format!(" — {}", hints.join(", ")) } else { String::new() };
        format!("{}{hints}", stands.join(", "))
    }

    fn looped(&self, task: &TaskName, paths: &[String]) -> String {
        let paths: Vec<String> = paths.iter().map(|path| shown(path)).collect();
        let remedy = match (self.manner.command, paths.as_slice()) {
            (true, [path]) => format!("leave the file out with -g '!{path}'"),
            (true, _) => "leave the files out with -g '!…'".to_owned(),
            (false, _) => "declare what the task writes in `outputs`, or leave it out of `execIfModified` \
                 with `!` and its path"
                .to_owned(),
        };
        let paths = few(&paths, ", ", TASKS, 0);
        format!(
            "{task} runs again and again, for {paths} changes each time it does; it waits for another change: {remedy}"
        )
    }

    /// Forgets how tasks stand that are no more.
    pub(super) fn keep_only(&mut self, graph: &TaskGraph) {
        self.outcomes.retain(|task, _| graph.id(task.as_str()).is_some());
        self.failures.retain(|(task, _)| graph.id(task.as_str()).is_some());
    }

    /// How the task stood before.
    fn take_note(&mut self, finished: &Finished) -> Option<Outcome> {
        self.failures.retain(|(task, _)| *task != finished.task);
        if finished.status == Outcome::Failed {
            let log = finished.log.clone().map_or(LastLog::Empty, LastLog::At);
            self.failures.push((finished.task.clone(), log));
        }
        self.outcomes.insert(finished.task.clone(), finished.status)
    }

    /// The task that failed last, of those that stand as failed, with its log.
    pub(crate) fn last_failure(&self) -> Option<(&TaskName, &LastLog)> {
        self.failures.last().map(|(task, log)| (task, log))
    }

    /// Why the last cycle executed what it did.
    pub(crate) fn why(&self, style: &Style) -> Vec<String> {
        if self.executed.is_empty() {
            return vec![style.status("Nothing", "was executed in the last cycle")];
        }
        let because = |reason: &Reason| match reason {
            // By a key, or when the watch began.
            Reason::Forced => format!("{:COLUMN$} because asked for", ""),
            reason => format!("{:COLUMN$} because {}", "", reason::line(reason)),
        };
        let one = |(task, reasons): &(TaskName, Vec<Reason>)| {
            let mut lines = vec![style.status("Stale", task.as_str())];
            lines.extend(reasons.iter().map(because));
            lines
        };
        self.executed.iter().flat_map(one).collect()
    }

    /// How everything stands.
    pub(crate) fn status(&self, style: &Style) -> Vec<String> {
        let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
        self.outcomes.values().for_each(|outcome| *counts.entry(*outcome).or_default() += 1);
        let counts: Vec<String> = Outcome::ALL
            .into_iter()
            .filter_map(|outcome| Some(format!("{} {}", counts.get(&outcome)?, outcome.label())))
            .collect();
        let counts = if counts.is_empty() { "nothing has run yet".to_owned() } else { counts.join(", ") };
        let cycles = count(usize::try_from(self.cycles).unwrap_or(usize::MAX), "cycle", "cycles");
        let mut lines = vec![style.status("Watching", &format!("{}, {cycles}: {counts}", self.size))];
        lines.extend(self.failures.iter().map(|(task, _)| style.status("Failed", task.as_str())));
        let stuck = |task: &TaskName| style.status("Stuck", &format!("{task}   because it caused itself"));
        lines.extend(self.stuck.iter().map(stuck));
        lines.extend(self.on_hold.then(|| style.status("On hold", "nothing is started for a change")));
        let degraded = |why: &String| style.status("Warning", &format!("changes are seen late: {why}"));
        lines.extend(self.degraded.iter().map(degraded));
        lines.extend(self.is_broken.then(|| style.status("Warning", BROKEN)));
        lines
    }
}

fn size(files: usize, directories: usize) -> String {
    let files = count(files, "file", "files");
    // Files that are named one by one are looked for in none.
    match directories {
        0 => files,
        _ => format!("{files} in {}", count(directories, "directory", "directories")),
    }
}

#[cfg(test)]
mod tests;
