//! What is to be seen: lines, and below them, on a terminal, a live region of what is running.
//!
//! It only says which bytes bring the terminal up to date; [`printer`](super::printer) writes them.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use devtask::{
    TaskGraph,
    event::{Event, ProcessStatus, What},
    model::{Task, TaskName},
};
use rustix::termios::tcgetwinsize;

use super::{
    github::Github,
    lines::{Lines, Style},
    process,
    text::{duration, fitted, output_line, shown},
    watch::Watched,
};

/// How many rows the live region has at most.
const ROWS: usize = 8;
/// How often the live region is drawn.
pub(crate) const REFRESH: Duration = Duration::from_millis(100);

/// A reader of events that shows them.
pub(crate) struct Screen {
    lines: Lines,
    live: Option<Live>,
    /// Where it is the log of a GitHub Actions job.
    github: Option<Github>,
    running: Vec<Running>,
    /// Processes that are up, or on their way.
    processes: BTreeMap<TaskName, ProcessStatus>,
    shows: Shows,
    /// Lines that are not on the screen yet.
    fresh: String,
    /// Bytes that come before them.
    before: String,
    /// Whether the lines of all tasks are shown, or of none, whatever was wanted at first.
    follow: Option<bool>,
    clearing: Clearing,
}

/// When a watch clears the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clearing {
    Never,
    /// Before a cycle.
    Due,
    /// The beginning of the next cycle was told already.
    Done,
}

/// Takes everything off the terminal, but not out of what can be scrolled back to.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// What of the tasks is shown.
pub(crate) struct Shows {
    /// The tasks whose lines are shown, and not only used for the live region.
    pub(crate) lines_of: Shown,
    /// The tasks that own the terminal while they run: it is not drawn upon then.
    pub(crate) interactive: HashSet<TaskName>,
}

/// Some tasks, or all.
pub(crate) enum Shown {
    All,
    These(HashSet<TaskName>),
}

impl Shown {
    fn has(&self, task: &TaskName) -> bool {
        match self {
            Self::All => true,
            Self::These(tasks) => tasks.contains(task),
        }
    }
}

impl Screen {
    pub(crate) fn new(lines: Lines, live: bool, shows: Shows) -> Self {
        Self {
            lines,
            live: live.then(Live::default),
            github: None,
            shows,
            running: Vec::new(),
            processes: BTreeMap::new(),
            fresh: String::new(),
            before: String::new(),
            follow: None,
            clearing: Clearing::Never,
        }
    }

    /// For the log of a GitHub Actions job, if it is one.
    #[must_use]
    pub(crate) fn on_github(self, github: Option<Github>) -> Self {
        Self { github, ..self }
    }

    /// Whether it is the log of a GitHub Actions job.
    pub(crate) const fn is_on_github(&self) -> bool {
        self.github.is_some()
    }

    /// For a watch instead of a run.
    #[must_use]
    pub(crate) fn watching(self, watched: Watched, clears: bool) -> Self {
        let clearing = if clears { Clearing::Due } else { Clearing::Never };
        Self { lines: self.lines.watching(watched), clearing, ..self }
    }

    /// Takes an event in.
    pub(crate) fn show(&mut self, event: &Event) {
        self.keep_up(event);
        self.clear_before(event);
        if self.github.as_mut().is_some_and(|github| github.collect(event)) {
            return;
        }
        if let What::Log { task, .. } | What::LogGap { task, .. } = &event.what
            && !self.follow.unwrap_or_else(|| self.shows.lines_of.has(task))
        {
            return;
        }
        let mut lines = self.lines.of(event);
        if let Some(github) = &mut self.github {
            lines = github.dress(event, lines, self.lines.style());
        }
        lines.iter().for_each(|line| self.note(line));
    }

    /// A notice of devtask's own.
    pub(crate) fn warn(&mut self, notice: &str) {
        match &self.github {
            Some(github) => self.note(&github.warning(notice)),
            None => self.note(&format!("warning: {}", shown(notice))),
        }
    }

    /// What is to be added to the page of a job, once the run is over, and where; asks how long that file is.
    pub(crate) fn summary(&mut self, length: impl Fn(&Path) -> u64) -> Option<(PathBuf, String)> {
        let is_run = self.lines.watched().is_none();
        self.github.as_mut().filter(|_| is_run)?.summary(length)
    }

    fn clear_before(&mut self, event: &Event) {
        let (is_beginning, next) = match &event.what {
            What::WatchStarted { .. } | What::FilesChanged { .. } => (true, Clearing::Done),
            // Without either a key has asked for it.
            What::RunStarted { .. } => (self.clearing == Clearing::Due, Clearing::Due),
            What::Waiting { .. } => (false, Clearing::Due),
            _ => return,
        };
        if self.clearing != Clearing::Never {
            self.clearing = next;
            if is_beginning {
                self.wipe();
            }
        }
    }

    fn keep_up(&mut self, event: &Event) {
        match &event.what {
            What::TaskStarted { task } => self.running.push(Running {
                task: task.clone(),
                since: Instant::now(),
                progress: String::new(),
                last_line: String::new(),
                owns_terminal: self.shows.interactive.contains(task),
            }),
            What::TaskFinished(finished) => self.running.retain(|r| r.task != finished.task),
            What::ProcessState(status) => {
                self.running.retain(|r| r.task != status.task);
                if status.stage.is_at_rest() {
                    self.processes.remove(&status.task);
                } else {
                    self.processes.insert(status.task.clone(), (**status).clone());
                }
            }
            What::Progress { task, done, total, message } => {
                if let Some(running) = self.running.iter_mut().find(|r| r.task == *task) {
                    running.progress = how_far(*done, *total, message.as_deref());
                }
            }
            What::Log { task, line, .. } if self.live.is_some() && !line.trim().is_empty() => {
                if let Some(running) = self.running.iter_mut().find(|r| r.task == *task) {
                    running.last_line = output_line(line, false);
                }
            }
            _ => {}
        }
    }

    /// One line more.
    pub(crate) fn note(&mut self, line: &str) {
        self.fresh.push_str(line);
        self.fresh.push('\n');
    }

    /// Says what is running (SIGUSR1).
    pub(crate) fn report(&mut self) {
        for row in self.processes.values().map(process::row).collect::<Vec<_>>() {
            self.note(&row);
        }
        if self.running.is_empty() && self.processes.is_empty() {
            self.note(&format!("{:<17} nothing", "Running"));
        }
        for line in self.running.iter().map(Running::report).collect::<Vec<_>>() {
            self.note(&line);
        }
    }

    /// Whether there is a live region to be drawn again and again.
    pub(crate) fn is_live(&self) -> bool {
        let has_rows = !self.running.is_empty() || !self.processes.is_empty();
        self.live.as_ref().is_some_and(|live| has_rows || !live.drawn.is_empty())
    }

    /// Goes on with what is declared of tasks now.
    pub(crate) fn declare(&mut self, graph: &TaskGraph) {
        let names = |which: fn(&Task) -> bool| {
            let tasks = graph.ids().map(|id| graph.task(id)).filter(|task| which(task));
            tasks.map(|task| task.name.clone()).collect()
        };
        self.shows.interactive = names(|task| task.interactive);
        if let Shown::These(tasks) = &mut self.shows.lines_of
            && !self.lines.are_quiet()
        {
            *tasks = names(|task| task.show_output);
        }
        self.lines.keep_only(graph);
    }

    /// What a watch has told, if this is one, and how it is shown.
    pub(crate) fn watched(&self) -> Option<(&Watched, &Style)> {
        self.lines.watched()
    }

    /// Shows the lines of all tasks from now on, or not any more; says which.
    pub(crate) fn toggle_follow(&mut self) -> bool {
        let follows = !self.follow.unwrap_or(self.lines.are_streamed());
        self.lines.follow_otherwise();
        self.follow = Some(follows);
        follows
    }

    /// Takes everything off the terminal; lines that are not on it yet come before.
    pub(crate) fn wipe(&mut self) {
        if self.live.is_some() {
            let frame = self.clear();
            self.before = frame + CLEAR;
        }
    }

    /// Whether a task owns the terminal.
    pub(crate) fn is_lent(&self) -> bool {
        self.running.iter().any(|r| r.owns_terminal)
    }

    /// Bytes of lines that are not on the screen yet.
    pub(crate) fn waiting(&self) -> usize {
        self.before.len() + self.fresh.len()
    }

    /// The bytes that bring the screen up to date.
    pub(crate) fn frame(&mut self) -> String {
        let rows = self.rows();
        self.frame_of(rows)
    }

    fn frame_of(&mut self, rows: Vec<String>) -> String {
        let fresh = std::mem::take(&mut self.fresh);
        match &mut self.live {
            Some(live) => std::mem::take(&mut self.before) + &live.frame(&fresh, rows),
            None => fresh,
        }
    }

    /// The bytes that show all lines and take the live region away, until the next frame.
    pub(crate) fn clear(&mut self) -> String {
        self.frame_of(Vec::new())
    }

    /// A row a running task, the longest running first.
    fn rows(&self) -> Vec<String> {
        if self.live.is_none() || self.is_lent() {
            return Vec::new();
        }
        let (columns, lines) = size();
        let most = ROWS.min(lines.saturating_sub(2)).max(1);
        let all = self.running.len() + self.processes.len();
        let hidden = if all > most { all + 1 - most } else { 0 };
        let rows = self.running.iter().map(Running::row).chain(self.processes.values().map(process::row));
        let more = (hidden > 0).then(|| format!("{:<17} … and {hidden} more", ""));
        // The last column stays free: writing into it moves some terminals to the next line.
        rows.take(all - hidden).chain(more).map(|row| fitted(&row, columns.saturating_sub(1))).collect()
    }
}

/// Columns and lines of the terminal.
fn size() -> (usize, usize) {
    let known = tcgetwinsize(std::io::stderr()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    known.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

/// The live region as it stands on the terminal. The cursor is at the beginning of the line below it.
#[derive(Default)]
struct Live {
    drawn: Vec<String>,
}

impl Live {
    /// Lines take the place of the region, which is drawn again below them. Nothing is erased before it is
    /// written over, so nothing flickers.
    fn frame(&mut self, fresh: &str, rows: Vec<String>) -> String {
        if fresh.is_empty() && rows == self.drawn {
            return String::new();
        }
        let mut frame = String::from("\r");
        if !self.drawn.is_empty() {
            frame = format!("\r\x1b[{}A", self.drawn.len());
        }
        for line in fresh.lines().chain(rows.iter().map(String::as_str)) {
            frame.push_str(line);
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J");
        self.drawn = rows;
        frame
    }
}

struct Running {
    task: TaskName,
    since: Instant,
    /// How far it is, if it says so.
    progress: String,
    last_line: String,
    owns_terminal: bool,
}

/// How far a task is: a share where it is known of what, and what it is at.
fn how_far(done: f64, total: Option<f64>, message: Option<&str>) -> String {
    let share = match total {
        Some(total) if total > 0.0 && done.is_finite() => {
            format!("{done} of {total} ({:.0} %)", (done / total * 100.0).clamp(0.0, 100.0))
        }
        _ => format!("{done}"),
    };
    let message = message.map(|text| format!(" {}", output_line(text, false))).unwrap_or_default();
    format!("{share}{message}  ")
}

impl Running {
    fn row(&self) -> String {
        let seconds = self.since.elapsed().as_secs_f64();
        format!("{:<17} {} ({seconds:.1}s)  {}{}", "Running", self.task, self.progress, self.last_line)
    }

    fn report(&self) -> String {
        let ms = self.since.elapsed().as_secs_f64() * 1000.0;
        format!("{:<17} {} ({})  {}", "Running", self.task, duration(ms), self.last_line)
            .trim_end()
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_changes_what_has_changed() {
        let rows = |rows: &[&str]| rows.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>();
        let mut live = Live::default();
        for (fresh, now, expected) in [
            ("", rows(&[]), ""),
            ("one\n", rows(&[]), "\rone\x1b[K\n\x1b[J"),
            ("", rows(&["a", "b"]), "\ra\x1b[K\nb\x1b[K\n\x1b[J"),
            ("", rows(&["a", "b"]), ""),
            ("two\n", rows(&["a"]), "\r\x1b[2Atwo\x1b[K\na\x1b[K\n\x1b[J"),
            ("", rows(&[]), "\r\x1b[1A\x1b[J"),
        ] {
            assert_eq!(live.frame(fresh, now.clone()), expected, "{fresh:?} {now:?}");
        }
    }
}
