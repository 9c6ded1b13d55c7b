//! Events as lines: devenv's words in a column of 17, failures with the end of their output.
//!
//! Pure: an event in, lines out. Where they go (stderr as they are, or above a live region) is decided by
//! [`screen`](super::screen).

use std::{collections::BTreeMap, fmt::Display};

use devtask::{
    TaskGraph,
    event::{Decided, Event, Finished, ProcessStatus, Stream, What},
    model::{Check, Outcome, Reason, Stage, TaskName},
};

use super::{process, reason, text, watch::Watched};

/// The width of the column of status words.
pub(super) const COLUMN: usize = 17;
/// How many characters of a command the headline of a failure shows.
const COMMAND: usize = 80;
/// How many root names the first line shows.
const ROOTS_SHOWN: usize = 8;

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) color: bool,
    /// Failures and their output only.
    pub(crate) quiet: bool,
    /// Say why each task runs.
    pub(crate) explain: bool,
    /// How many lines of a failed task's output are shown at most.
    pub(crate) tail: usize,
    /// Whether the lines of tasks were shown while they ran, so that a failure need not repeat them.
    pub(crate) streamed: bool,
}

/// What a run that is more than that says in place of the words of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// What does it again, up to the names; empty: `devtask run`.
    pub(crate) again: String,
    /// What stands before the path of a log.
    pub(crate) logs: String,
}

/// Turns events into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    style: Style,
    dry_run: bool,
    /// Tasks that would run, in a dry run.
    would_run: usize,
    would_restore: usize,
    /// What a watch has told, if this is one.
    watched: Option<Watched>,
    /// How processes stand.
    processes: BTreeMap<TaskName, ProcessStatus>,
    words: Words,
}

impl Style {
    /// A line that begins with a status word.
    pub(crate) fn status(&self, word: &str, rest: &str) -> String {
        let color = match word {
            "Succeeded" | "Ready" => "32",
            "Failed" | "Dependency failed" | "Gave up" | "Unhealthy" => "31",
            "Warning" | "Cancelled" | "Ended" | "Restarting" => "33",
            "Cached" | "Skipped" | "Stopped" | "Exited" => "2",
            _ => "1",
        };
        let word = self.colored(color, &format!("{word:<COLUMN$}"));
        if self.color { format!("{word} {rest}") } else { format!("{word} {rest}").trim_end().to_owned() }
    }

    /// What stands behind a status word, in a line that begins with it.
    pub(super) fn rest_of<'a>(&self, word: &str, line: &'a str) -> Option<&'a str> {
        let begin = self.status(word, "|");
        line.strip_prefix(begin.strip_suffix('|')?)
    }

    pub(super) fn colored(&self, color: &str, text: &str) -> String {
        if self.color { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Lines {
    pub(crate) const fn new(style: Style) -> Self {
        let words = Words { again: String::new(), logs: String::new() };
        Self {
            style,
            dry_run: false,
            would_run: 0,
            would_restore: 0,
            watched: None,
            processes: BTreeMap::new(),
            words,
        }
    }

    /// In other words.
    #[must_use]
    pub(crate) fn in_words_of(self, words: Words) -> Self {
        Self { words, ..self }
    }

    /// For a watch instead of a run.
    #[must_use]
    pub(crate) fn watching(self, watched: Watched) -> Self {
        Self { watched: Some(watched), ..self }
    }

    /// What a watch has told, if this is one, and how it is shown.
    pub(crate) fn watched(&self) -> Option<(&Watched, &Style)> {
        self.watched.as_ref().map(|watched| (watched, &self.style))
    }

    /// Whether the lines of all tasks are shown while they run.
    pub(crate) const fn are_streamed(&self) -> bool {
        self.style.streamed
    }

    /// How all of it is shown.
    pub(super) const fn style(&self) -> &Style {
        &self.style
    }

    /// Whether failures and their output are all that is shown.
    pub(crate) const fn are_quiet(&self) -> bool {
        self.style.quiet
    }

    /// Forgets how tasks stand that are no more.
    pub(crate) fn keep_only(&mut self, graph: &TaskGraph) {
        if let Some(watched) = &mut self.watched {
            watched.keep_only(graph);
        }
    }

    /// From now on lines of tasks are shown otherwise than before.
    pub(crate) fn follow_otherwise(&mut self) {
        self.style.streamed = false;
    }

    /// The lines an event adds.
    pub(crate) fn of(&mut self, event: &Event) -> Vec<String> {
        if let Some(lines) = self.watched.as_mut().and_then(|watched| watched.of(event, &self.style)) {
            return lines;
        }
        match &event.what {
            What::RunStarted { roots, dry_run, .. } => {
                self.dry_run = *dry_run;
                self.unless_quiet(|s| vec![s.status("Running tasks", &names(roots))])
            }
            What::Decision { task, action, reasons, .. } => {
                // These do not count: nobody knows of them before.
                let counts = !reasons.iter().any(|r| matches!(r, Reason::AlwaysRuns | Reason::StatusDecides));
                self.would_run += usize::from(*action == Decided::WouldRun && counts);
                self.would_restore += usize::from(*action == Decided::WouldRestore);
                self.decision(task, *action, reasons)
            }
            // Its stages are told.
            What::TaskStarted { task } if process::is_process(task) => Vec::new(),
            What::TaskStarted { task } => self.unless_quiet(|s| vec![s.status("Running", task.as_str())]),
            What::ProcessState(status) => self.process(status),
            What::Log { task, stream, line } => vec![self.log(task, *stream, line)],
            What::LogGap { task, lines } => {
                vec![format!("{}  … {lines} lines not shown, see its log …", self.prefix(task))]
            }
            // What concerns the whole run, as results that are not saved, is never kept quiet.
            What::Warning { task: None, message } => vec![self.warning(None, message)],
            What::Warning { task, message } => self.unless_quiet(|s| vec![s.warning(task.as_ref(), message)]),
            What::HeldUp { task } => self.unless_quiet(|s| {
                vec![s.status("Waiting", &format!("for {task}, which runs for somebody else just now"))]
            }),
            What::TaskFinished(finished) => self.finished(finished),
            What::Message { task: _, text } => {
                self.unless_quiet(|_| text.lines().map(|l| text::output_line(l, false)).collect())
            }
            What::RunFinished { counts, duration_ms, .. } => {
                self.unless_quiet(|s| vec![s.summary(counts, *duration_ms)])
            }
            // The plan, and what a newer library may tell.
            _ => Vec::new(),
        }
    }

    fn unless_quiet(&self, lines: impl FnOnce(&Self) -> Vec<String>) -> Vec<String> {
        if self.style.quiet { Vec::new() } else { lines(self) }
    }

    fn decision(&self, task: &TaskName, action: Decided, reasons: &[Reason]) -> Vec<String> {
        let because = || reasons.iter().map(reason::line);
        match (action, reasons) {
            (Decided::Cached | Decided::Skip, _) => Vec::new(),
            (Decided::Run | Decided::Restore, _) if !self.style.explain => Vec::new(),
            (_, [Reason::AlwaysRuns]) => vec![self.status("Always runs", task.as_str())],
            (_, [Reason::StatusDecides]) => vec![self.status("Asks its status", task.as_str())],
            (Decided::WouldRun, _) => {
                vec![self.with_reasons("Would run", task, &because().collect::<Vec<_>>())]
            }
            (Decided::WouldRestore, _) => {
                vec![self.with_reasons("Would restore", task, &because().collect::<Vec<_>>())]
            }
            (Decided::Run | Decided::Restore, _) => {
                let indent = |line: String| format!("{:COLUMN$} because {line}", "");
                let word = if action == Decided::Restore { "Restores" } else { "Stale" };
                let mut lines = vec![self.status(word, task.as_str())];
                lines.extend(because().map(indent));
                lines
            }
        }
    }

    fn with_reasons(&self, word: &str, task: &TaskName, because: &[String]) -> String {
        let more = match because.len() {
            0 => String::new(),
            1 => format!("   because {}", because[0]),
            n => format!("   because {} (+{})", because[0], n - 1),
        };
        self.status(word, &format!("{task}{more}"))
    }

    fn log(&self, task: &TaskName, stream: Stream, line: &str) -> String {
        let mark = if stream == Stream::Stderr { "!" } else { "" };
        format!("{}{mark}  {}", self.prefix(task), text::output_line(line, self.style.color))
    }

    /// What stands before the lines of a task. A process has its short name, and a colour of its own.
    fn prefix(&self, task: &TaskName) -> String {
        let name = process::short_name(task.as_str());
        let prefix = format!("[{name}]");
        if name.len() < task.as_str().len() {
            return self.style.colored(process::color(task), &prefix);
        }
        prefix
    }

    fn process(&mut self, status: &ProcessStatus) -> Vec<String> {
        let before = self.processes.insert(status.task.clone(), status.clone());
        let line = process::change(before.as_ref(), status, &self.style);
        let is_bad = matches!(status.stage, Stage::GaveUp | Stage::Unhealthy);
        line.filter(|_| is_bad || !self.style.quiet).into_iter().collect()
    }

    fn warning(&self, task: Option<&TaskName>, message: &str) -> String {
        let message = text::shown(message);
        self.status("Warning", &task.map_or(message.clone(), |task| format!("{task}: {message}")))
    }

    fn finished(&self, finished: &Finished) -> Vec<String> {
        match finished.status {
            // Its stages are told.
            Outcome::Succeeded | Outcome::Cancelled
                if process::is_process(&finished.task) || self.processes.contains_key(&finished.task) =>
            {
                Vec::new()
            }
            Outcome::Failed => self.failed(finished),
            Outcome::DependencyFailed => {
                let because: Vec<&str> = finished.because.iter().map(TaskName::as_str).collect();
                let because = format!("{}   because {} failed", finished.task, because.join(", "));
                self.unless_quiet(|s| vec![s.status("Dependency failed", &because)])
            }
            // A dry run tells of these by its decisions.
            outcome => self.unless_quiet(|s| {
                let mut lines = vec![s.status(outcome.label(), &s.with_time(finished))];
                lines.extend(s.remarks(finished));
                lines
            }),
        }
    }

    fn with_time(&self, finished: &Finished) -> String {
        match (finished.duration_ms, &finished.restored) {
            (Some(ms), _) => format!("{} ({})", finished.task, text::duration(ms)),
            (None, Some(from)) => {
                let saved = text::millis(from.duration_ms);
                format!("{} (restored, {saved} saved)", finished.task)
            }
            (None, None) => finished.task.to_string(),
        }
    }

    /// What a success leaves to be said.
    fn remarks(&self, finished: &Finished) -> Vec<String> {
        let mut lines = Vec::new();
        // In a watch the next cycle tells of it.
        if let (Some(Reason::ChangedWhileRunning { path }), None) = (&finished.not_fresh, &self.watched) {
            let path = text::shown(path);
            let advice = match self.words.again.is_empty() {
                true => "is not fresh; if the task writes it, declare it in outputs",
                false => "is looked at again next time",
            };
            lines.push(
                self.warning(Some(&finished.task), &format!("{path} changed while it ran, so it {advice}")),
            );
        }
        if finished.leaky {
            lines.push(self.warning(Some(&finished.task), "it left processes running; they were ended"));
        }
        lines
    }

    fn failed(&self, finished: &Finished) -> Vec<String> {
        let mut lines = vec![self.status(finished.status.label(), &self.with_time(finished))];
        lines.push(String::new());
        let tail = if self.style.streamed { &[] } else { last(&finished.tail, self.style.tail) };
        lines.push(self.headline(finished, tail.len()));
        lines.extend(finished.error.iter().map(|error| format!("  {}", text::shown(error))));
        lines.extend(tail.iter().map(|line| format!("  {}", text::output_line(line, self.style.color))));
        let log = finished
            .log
            .as_ref()
            .map(|log| format!("full log: {}{}   ", text::shown(&self.words.logs), text::shown(log)));
        let can_rerun = !self.watched.as_ref().is_some_and(Watched::is_command);
        let rerun = can_rerun.then(|| match process::is_process(&finished.task) {
            true => format!("rerun: devtask up {}", process::short_name(finished.task.as_str())),
            false if self.words.again.is_empty() => {
                format!("rerun: devtask run {} --mode single", finished.task)
            }
            false => format!("rerun: {} {}", self.words.again, Check::called(&finished.task)),
        });
        let last = format!("  {}{}", log.unwrap_or_default(), rerun.unwrap_or_default());
        lines.extend(Some(last.trim_end().to_owned()).filter(|last| !last.is_empty()));
        lines
    }

    fn headline(&self, finished: &Finished, shown: usize) -> String {
        let ended = match (finished.exit_code, finished.signal) {
            (Some(code), _) => Some(format!("exit {code}")),
            (None, Some(signal)) => Some(format!("signal {signal}")),
            (None, None) => None,
        };
        let command = finished.command.as_deref().map(|c| text::cut(&text::shown(c), COMMAND));
        let place = finished.cwd.as_deref().map(|cwd| format!("in {}", text::shown(cwd)));
        let lines = (shown > 0).then(|| {
            if u64::try_from(shown).is_ok_and(|s| s >= finished.lines) {
                text::count(shown, "line", "lines")
            } else {
                format!("last {shown} of {} lines", finished.lines)
            }
        });
        let parts = [Some(finished.task.to_string()), ended, command, place, lines];
        format!("── {} ──", parts.into_iter().flatten().collect::<Vec<_>>().join(" ── "))
    }

    fn summary(&self, counts: &BTreeMap<Outcome, usize>, duration_ms: f64) -> String {
        let word = |outcome: Outcome| match outcome {
            Outcome::DependencyFailed => "Dependency Failed",
            outcome => outcome.label(),
        };
        let would_run = (self.would_run > 0).then(|| format!("{} Would Run", self.would_run));
        let ended = Outcome::ALL.into_iter().filter_map(|o| Some(format!("{} {}", counts.get(&o)?, word(o))));
        let would_restore = (self.would_restore > 0).then(|| format!("{} Would Restore", self.would_restore));
        let parts: Vec<String> = would_run.into_iter().chain(would_restore).chain(ended).collect();
        let parts = if parts.is_empty() { "Nothing to do".to_owned() } else { parts.join(", ") };
        let parts = if self.dry_run { format!("{parts} (dry run)") } else { parts };
        format!("{parts}     {}", text::duration(duration_ms))
    }

    fn status(&self, word: &str, rest: &str) -> String {
        self.style.status(word, rest)
    }
}

fn last(lines: &[String], most: usize) -> &[String] {
    &lines[lines.len().saturating_sub(most)..]
}

fn names(roots: &[TaskName]) -> String {
    few(roots, " ", ROOTS_SHOWN, 0)
}

/// At most so many of them, and how many others there are; `more` are not even among these.
pub(crate) fn few<T: Display>(all: &[T], between: &str, most: usize, more: usize) -> String {
    let named: Vec<String> = all.iter().take(most).map(ToString::to_string).collect();
    let more = more + all.len() - named.len();
    let named = named.join(between);
    if more > 0 { format!("{named} (+{more})") } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_hides_warnings_of_tasks_only() {
        let task = TaskName::new("a:b").unwrap();
        let cases = [
            (None, false, vec!["Warning           results are not saved"]),
            (None, true, vec!["Warning           results are not saved"]),
            (Some(&task), false, vec!["Warning           a:b: results are not saved"]),
            (Some(&task), true, vec![]),
        ];
        for (task, quiet, expected) in cases {
            let mut lines =
                Lines::new(Style { color: false, quiet, explain: false, tail: 0, streamed: false });
            let what = What::Warning { task: task.cloned(), message: "results are not saved".to_owned() };
            assert_eq!(
                lines.of(&Event { v: 0, time: std::time::UNIX_EPOCH, what }),
                expected,
                "{task:?}, quiet: {quiet}"
            );
        }
    }
}
