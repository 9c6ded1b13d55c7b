//! The table of the tasks on the page of the run.

use std::{collections::BTreeMap, fmt::Write as _};

use devtask::{
    event::{Event, Finished, What},
    model::{Outcome, TaskName},
};

use crate::render::{process, reason, text};

/// How much of it there is at most, in bytes: a step has 1 MiB, and is shown nothing if it writes more; there may be other
/// runs in it.
const MOST: u64 = 256 * 1024;
/// What all of a step may have.
const STEP: u64 = 1024 * 1024;
/// How much is kept for what stands below the rows.
const END: usize = 100;
/// How many characters of a reason are shown.
const REASON: usize = 200;

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct Summary {
    rows: Vec<(Outcome, String)>,
    title: Option<String>,
    is_dry: bool,
}

impl Summary {
    pub(super) fn take(&mut self, event: &Event) {
        match &event.what {
            What::RunStarted { dry_run, .. } => self.is_dry = *dry_run,
            What::TaskFinished(finished) if !process::is_process(&finished.task) => {
                self.rows.push((finished.status, row(finished)));
            }
            What::RunFinished { counts, duration_ms, .. } => self.title = Some(title(counts, *duration_ms)),
            _ => {}
        }
    }

    /// The table, once the run is over, where a file already has so many bytes. What is worst stands first, and what there is no
    /// room for is counted.
    pub(super) fn text(mut self, there: u64) -> Option<String> {
        let room = usize::try_from(MOST.min(STEP.saturating_sub(there))).unwrap_or(usize::MAX);
        let mut text = format!("### {}\n\n", self.title.filter(|_| !self.is_dry && !self.rows.is_empty())?);
        text.push_str("| | Task | Time | Why |\n|---|---|---:|---|\n");
        self.rows.sort_by_key(|(outcome, _)| rank(*outcome));
        let mut left_out = 0;
        for (_, row) in &self.rows {
            match text.len() + row.len() + END <= room {
                true => text.push_str(row),
                false => left_out += 1,
            }
        }
        if left_out > 0 {
            let _ = writeln!(text, "\n… and {}", text::count(left_out, "other task", "other tasks"));
        }
        text.push('\n');
        (text.len() <= room).then_some(text)
    }
}

fn title(counts: &BTreeMap<Outcome, usize>, duration_ms: f64) -> String {
    let counts: Vec<String> =
        Outcome::ALL.into_iter().filter_map(|o| Some(format!("{} {}", counts.get(&o)?, o.label()))).collect();
    format!("devtask: {} in {}", counts.join(", "), text::duration(duration_ms))
}

fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Failed => 0,
        Outcome::DependencyFailed => 1,
        Outcome::Cancelled => 2,
        Outcome::Succeeded => 3,
        _ => 4,
    }
}

fn row(finished: &Finished) -> String {
    let label = finished.status.label();
    let label = if finished.status == Outcome::Failed { format!("**{label}**") } else { label.to_owned() };
    let time = finished.duration_ms.map(text::duration).unwrap_or_default();
    let why = text::cut(&text::shown(&why(finished)), REASON);
    format!("| {label} | {} | {} | {} |\n", escaped(finished.task.as_str()), escaped(&time), escaped(&why))
}

/// Why a task ended as it did, in one line.
pub(super) fn why(finished: &Finished) -> String {
    let because: Vec<&str> = finished.because.iter().map(TaskName::as_str).collect();
    match (finished.status, finished.exit_code, finished.signal) {
        (Outcome::Failed, ..) if finished.error.is_some() => finished.error.clone().unwrap_or_default(),
        (Outcome::Failed, Some(code), _) => format!("exit {code}"),
        (Outcome::Failed, None, Some(signal)) => format!("signal {signal}"),
        (Outcome::DependencyFailed, ..) => format!("because {} failed", because.join(", ")),
        (Outcome::Cached, ..) => "fresh".to_owned(),
        _ => match finished.reasons.as_slice() {
            [] => String::new(),
            [first] => reason::line(first),
            [first, more @ ..] => format!("{} (+{})", reason::line(first), more.len()),
        },
    }
}

/// Text that is nothing but text in a cell of a table: no markup, link, mention or tag.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '-' | '/' | ' ' => c.to_string(),
        c if c.is_ascii_punctuation() => format!("&#{};", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}
