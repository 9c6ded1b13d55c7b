//! The log of a GitHub Actions job: the output of each task folded away, a failure's not; failures and warnings as
//! annotations; a table of the tasks on the page of the run.
//!
//! What a task writes is never a command to the runner: a branch of a stranger could set variables, hide lines or annotate
//! files with it. So what tasks wrote stands where commands are stopped, and in every other line what the runner would take
//! for one is broken (hazard E9). A step that means to issue commands does so beside devtask.

mod command;
mod place;
mod summary;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
};

use devtask::{
    event::{Event, Finished, What},
    model::{Outcome, TaskName},
};

pub(crate) use command::broken;
use command::{Annotation, Level, Tokens};
use place::{Found, Remark, found_in};
use summary::Summary;

use super::{lines::Style, process, text};

/// How many annotations of one kind GitHub takes from a step, the first ones; all steps of a job together have 50.
const ANNOTATIONS: usize = 10;
/// How many places of one task's output are annotated: the first is what the others follow from, and other tasks want to be
/// seen, too.
const PLACES: usize = 3;
/// How much of a task's output is shown, in bytes: its end. A page with more does not open any more.
const OUTPUT: usize = 1 << 20;

/// Where we are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ground {
    /// The root of the tree.
    pub(crate) root: PathBuf,
    /// Where the repository was checked out (`GITHUB_WORKSPACE`), which paths of annotations begin at.
    pub(crate) workspace: Option<PathBuf>,
    /// The file whose text is shown on the page of the run (`GITHUB_STEP_SUMMARY`).
    pub(crate) summary: Option<PathBuf>,
    /// The top of a checkout of ours, and that of the repository it stands for: annotations are about that.
    pub(crate) checkout: Option<(PathBuf, PathBuf)>,
}

/// Turns lines into what a job's log wants.
#[derive(Debug)]
pub(crate) struct Github {
    ground: Ground,
    tokens: Tokens,
    outputs: BTreeMap<TaskName, Output>,
    errors: usize,
    summary: Summary,
}

/// What a task has written.
#[derive(Debug, Default)]
struct Output {
    lines: VecDeque<String>,
    bytes: usize,
    left_out: u64,
    /// What it said itself of places in files.
    remarks: Vec<Remark>,
}

impl Output {
    fn add(&mut self, line: &str) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line.to_owned());
        while self.bytes > OUTPUT && self.lines.len() > 1 {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len() + 1);
            self.left_out += 1;
        }
    }

    /// Its lines but so many of the last, as they are shown.
    fn shown(&self, but: usize, color: bool) -> Vec<String> {
        let gap = (self.left_out > 0).then(|| format!("… {} lines not shown, see its log …", self.left_out));
        let lines = self.lines.iter().take(self.lines.len().saturating_sub(but));
        gap.into_iter().chain(lines.map(|line| text::output_line(line, color))).collect()
    }
}

impl Github {
    pub(crate) fn new(ground: Ground) -> Self {
        Self {
            ground,
            tokens: Tokens::new(),
            outputs: BTreeMap::new(),
            errors: 0,
            summary: Summary::default(),
        }
    }

    /// Keeps what a task writes until it has finished; whether there is nothing to be shown of the event before.
    pub(crate) fn collect(&mut self, event: &Event) -> bool {
        match &event.what {
            What::Log { task, line, .. } if !process::is_process(task) => {
                self.output(task).add(line);
                true
            }
            What::LogGap { task, lines } if !process::is_process(task) => {
                self.output(task).left_out += lines;
                true
            }
            What::Diagnostic { task, file, line, col, severity, message } => {
                let level = match severity.as_deref() {
                    Some("warning") => Level::Warning,
                    Some("note") => return false,
                    _ => Level::Error,
                };
                let found = Found { path: file.clone(), line: *line, column: *col, message: message.clone() };
                let remarks = &mut self.output(task).remarks;
                if remarks.len() < ANNOTATIONS {
                    remarks.push(Remark { level, found });
                }
                false
            }
            _ => false,
        }
    }

    fn output(&mut self, task: &TaskName) -> &mut Output {
        self.outputs.entry(task.clone()).or_default()
    }

    /// The lines of an event as the job's log wants them.
    pub(crate) fn dress(&mut self, event: &Event, lines: Vec<String>, style: &Style) -> Vec<String> {
        self.summary.take(event);
        match &event.what {
            What::TaskFinished(finished) => self.finished(finished, lines, style),
            // Text of a task.
            What::Message { .. } if !lines.is_empty() => self.stopped(lines),
            What::Message { .. } | What::Log { .. } => lines.iter().map(|line| broken(line)).collect(),
            _ => lines.into_iter().map(|line| own(&line, style)).collect(),
        }
    }

    /// A notice of devtask's own.
    pub(crate) fn warning(&self, notice: &str) -> String {
        Annotation::of(Level::Warning, "devtask", notice).to_string()
    }

    /// What is to be added to the page of the run, and where; asks how long that file is.
    pub(crate) fn summary(&mut self, length: impl Fn(&Path) -> u64) -> Option<(PathBuf, String)> {
        let path = self.ground.summary.clone()?;
        let text = std::mem::take(&mut self.summary).text(length(&path))?;
        Some((path, text))
    }

    fn finished(&mut self, finished: &Finished, lines: Vec<String>, style: &Style) -> Vec<String> {
        let output = self.outputs.remove(&finished.task).unwrap_or_default();
        let has_failed = finished.status == Outcome::Failed;
        // Of a failure the end is shown anyway.
        let but = if has_failed { finished.tail.len().min(style.tail) } else { 0 };
        let mut dressed = Vec::new();
        let folded = output.shown(but, style.color);
        if !style.quiet && !folded.is_empty() {
            dressed.push(format!("::group::{}", command::data(finished.task.as_str())));
            dressed.extend(self.stopped(folded));
            dressed.push("::endgroup::".to_owned());
        }
        if !has_failed {
            dressed.extend(lines.into_iter().map(|line| own(&line, style)));
            dressed.extend(self.remarks(finished, &output, Level::Warning).iter().map(ToString::to_string));
            return dressed;
        }
        dressed.extend(self.stopped(lines));
        let annotations = self.annotations(finished, &output);
        dressed.extend(annotations.iter().map(ToString::to_string));
        dressed
    }

    /// Lines among which nothing is a command. Each time another word ends that, for the last one can be read.
    fn stopped(&mut self, lines: Vec<String>) -> Vec<String> {
        let token = self.tokens.next();
        let begin = format!("::stop-commands::{token}");
        let end = format!("::{token}::");
        // The page itself knows `##[group]` and the like, whatever the runner stopped.
        let lines = lines.iter().map(|line| command::unmarked(line));
        std::iter::once(begin).chain(lines).chain([end]).collect()
    }

    /// A failure, at the places it names, else as a whole.
    fn annotations(&mut self, finished: &Finished, output: &Output) -> Vec<Annotation> {
        let mut annotations = self.remarks(finished, output, Level::Error);
        if annotations.is_empty() {
            let tail =
                if output.lines.is_empty() { finished.tail.clone() } else { output.lines.clone().into() };
            let locate = |path: &str| self.ground.locate(finished.cwd.as_deref(), path);
            let found = found_in(&tail, PLACES, locate);
            annotations = found.into_iter().map(|found| at(Level::Error, &finished.task, found)).collect();
        }
        if annotations.is_empty() {
            let message = format!("{} failed: {}", finished.task, summary::why(finished));
            annotations.push(Annotation::of(Level::Error, finished.task.as_str(), &message));
        }
        annotations.truncate(ANNOTATIONS.saturating_sub(self.errors));
        self.errors += annotations.len();
        annotations
    }

    /// What the task itself said of places in files that are here.
    fn remarks(&self, finished: &Finished, output: &Output, level: Level) -> Vec<Annotation> {
        let of_level = output.remarks.iter().filter(|remark| remark.level == level);
        let here = of_level.filter_map(|remark| {
            let path = self.ground.locate(finished.cwd.as_deref(), &remark.found.path)?;
            Some(at(level, &finished.task, Found { path, ..remark.found.clone() }))
        });
        here.take(PLACES).collect()
    }
}

fn at(level: Level, task: &TaskName, found: Found) -> Annotation {
    let message = if found.message.trim().is_empty() { format!("{task} failed here") } else { found.message };
    let place = Some((found.path, found.line, found.column));
    Annotation { place, ..Annotation::of(level, task.as_str(), &message) }
}

/// A line of devtask's own: a warning as an annotation.
fn own(line: &str, style: &Style) -> String {
    match style.rest_of("Warning", line) {
        Some(warning) => Annotation::of(Level::Warning, "devtask", warning).to_string(),
        None => broken(line),
    }
}

impl Ground {
    /// A file a task named, as annotations name it: a regular file beneath the root, from where the repository begins.
    fn locate(&self, cwd: Option<&str>, path: &str) -> Option<String> {
        let root = self.root.canonicalize().ok()?;
        let from = [root.join(cwd.unwrap_or_default()), root.clone()];
        let found =
            from.iter().find_map(|from| from.join(path).canonicalize().ok().filter(|f| f.is_file()))?;
        let beneath_root = found.strip_prefix(&root).ok()?;
        let original = self.checkout.as_ref().and_then(|(aside, top)| {
            let beneath = found.strip_prefix(aside.canonicalize().ok()?).ok()?;
            Some(top.canonicalize().ok()?.join(beneath))
        });
        let original = original.as_deref().unwrap_or(&found);
        let workspace = self.workspace.as_ref().and_then(|w| w.canonicalize().ok());
        let relative = workspace.as_ref().and_then(|w| original.strip_prefix(w).ok()).unwrap_or(beneath_root);
        relative.to_str().map(str::to_owned)
    }
}
