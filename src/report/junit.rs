//! JUnit XML, as what shows the tests of a job reads it: a suite a project, a case a task.
//!
//! What was fresh or came back has passed, and says so in its output. What has no command is no case, and a process is
//! one only if it failed. What a failure upstream kept from running was skipped; what the run ended is an error.

use std::{collections::BTreeMap, fmt::Write as _, time::SystemTime};

use super::{Fate, Report, Row, escape};
use crate::model::{Outcome, TaskName};

/// How it begins.
pub(super) const MARK: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"devtask run ";

/// The run as JUnit XML. `tail` tells the last lines that a task wrote, if they are kept; escape sequences for
/// terminals are for it to leave out.
#[must_use]
pub fn junit(report: &Report, tail: &dyn Fn(&TaskName) -> Option<String>) -> String {
    let mut suites: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for row in report.rows.iter().filter(|row| is_case(row)) {
        suites.entry(split(&row.name).0).or_default().push(Case::of(row, tail));
    }
    let all: Vec<&Case> = suites.values().flatten().collect();
    let name = escape::xml(&report.run);
    let mut xml = format!("{MARK}{name}\"{}>\n", Sums::of(&all, report.wall_ms / 1000.0, report.started));
    let remarks: Vec<String> = report.remarks.iter().map(|remark| remark.text()).collect();
    // Comments cannot have two hyphens in a row; ours are words of our own.
    remarks
        .iter()
        .for_each(|remark| put(&mut xml, format_args!("  <!-- {} -->\n", remark.replace("--", "-"))));
    for (suite, cases) in &suites {
        let cases: Vec<&Case> = cases.iter().collect();
        let seconds = cases.iter().map(|case| case.seconds).sum();
        let sums = Sums::of(&cases, seconds, report.started);
        put(&mut xml, format_args!("  <testsuite name=\"{}\"{sums}>\n", escape::xml(suite)));
        cases.iter().for_each(|case| case.write(&mut xml));
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Memory takes whatever is written.
fn put(xml: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = xml.write_fmt(what);
}

fn is_case(row: &Row) -> bool {
    match row.fate {
        Fate::Ended(Outcome::Skipped) => false,
        Fate::Ended(Outcome::Failed) => true,
        _ => !row.is_process,
    }
}

/// The project of a task, and what it is called there.
fn split(name: &TaskName) -> (&str, &str) {
    name.as_str().split_once(':').unwrap_or(("", name.as_str()))
}

/// How often what came of a case.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    Passed,
    Failed,
    Broke,
    Skipped,
}

struct Case {
    project: String,
    name: String,
    seconds: f64,
    came: Came,
    /// The elements within it.
    inside: String,
}

impl Case {
    fn of(row: &Row, tail: &dyn Fn(&TaskName) -> Option<String>) -> Self {
        let (project, name) = split(&row.name);
        let (came, inside) = what_came(row, tail);
        let ms = row.bar.map(|bar| bar.length_ms()).filter(|_| row.fate == Fate::Cut).or(row.duration_ms);
        let seconds = ms.unwrap_or(0.0) / 1000.0;
        Self { project: escape::xml(project), name: escape::xml(name), seconds, came, inside }
    }

    fn write(&self, xml: &mut String) {
        let Self { project, name, seconds, inside, .. } = self;
        put(xml, format_args!("    <testcase classname=\"{project}\" name=\"{name}\" time=\"{seconds:.3}\""));
        match inside.is_empty() {
            true => xml.push_str("/>\n"),
            false => put(xml, format_args!(">\n      {inside}\n    </testcase>\n")),
        }
    }
}

/// What came of a task, and the element that says so.
fn what_came(row: &Row, tail: &dyn Fn(&TaskName) -> Option<String>) -> (Came, String) {
    let from = row.last.as_ref().map(|last| format!(" (run {})", last.run)).unwrap_or_default();
    let output = |text: String| format!("<system-out>{}</system-out>", escape::xml(&text));
    let element = |tag: &str, kind: &str, message: &str, text: &str| {
        let kind = if kind.is_empty() { String::new() } else { format!(" type=\"{kind}\"") };
        let (message, text) = (escape::xml(message), lines(text));
        format!("<{tag} message=\"{message}\"{kind}>{text}</{tag}>")
    };
    match row.fate {
        Fate::Ended(Outcome::Succeeded | Outcome::Skipped) => (Came::Passed, String::new()),
        Fate::Ended(Outcome::Cached) => (Came::Passed, output(format!("fresh, not executed{from}"))),
        Fate::Restored => (Came::Passed, output(format!("brought back, not executed{from}"))),
        Fate::Ended(Outcome::Failed) => {
            let (message, kind) = failure(row);
            (Came::Failed, element("failure", kind, &message, &tail(&row.name).unwrap_or_default()))
        }
        Fate::Ended(Outcome::DependencyFailed) => {
            let because: Vec<&str> = row.because.iter().map(TaskName::as_str).collect();
            (Came::Skipped, element("skipped", "", &format!("{} failed", because.join(", ")), ""))
        }
        Fate::Ended(Outcome::Cancelled) => (
            Came::Broke,
            element("error", "cancelled", "it was ended, or not begun, because the run was ended", ""),
        ),
        Fate::Cut => (Came::Broke, element("error", "unfinished", "it began, and its end is not known", "")),
        Fate::Unreached => (Came::Skipped, element("skipped", "", "the log ends before it", "")),
    }
}

/// In one sentence, and in a word.
fn failure(row: &Row) -> (String, &'static str) {
    let (ended, kind) = match (row.exit_code, row.signal) {
        (Some(code), _) => (Some(format!("exit {code}")), "exit"),
        (None, Some(signal)) => (Some(format!("signal {signal}")), "signal"),
        (None, None) => (None, "error"),
    };
    let parts: Vec<String> = ended.into_iter().chain(row.error.clone()).collect();
    let message = if parts.is_empty() { "failed".to_owned() } else { parts.join(": ") };
    (if row.soft { format!("{message} (does not count for the run)") } else { message }, kind)
}

/// A text of several lines, which stay lines.
fn lines(text: &str) -> String {
    text.lines().map(escape::xml).collect::<Vec<_>>().join("\n")
}

/// The attributes of a suite.
struct Sums {
    counts: [usize; 4],
    seconds: f64,
    started: Option<SystemTime>,
}

impl Sums {
    fn of(cases: &[&Case], seconds: f64, started: Option<SystemTime>) -> Self {
        let count = |came| cases.iter().filter(|case| case.came == came).count();
        Self {
            counts: [cases.len(), count(Came::Failed), count(Came::Broke), count(Came::Skipped)],
            seconds,
            started,
        }
    }
}

impl std::fmt::Display for Sums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [tests, failures, errors, skipped] = self.counts;
        write!(f, " tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")?;
        write!(f, " time=\"{:.3}\"", self.seconds)?;
        match self.started {
            Some(time) => write!(f, " timestamp=\"{}\"", humantime::format_rfc3339_millis(time)),
            None => Ok(()),
        }
    }
}
