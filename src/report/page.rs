//! One HTML file that needs nothing else: no network, no fonts, no scripts for what matters.
//!
//! Bars are links to rows of the table, so that the page does without its script; the script sorts, filters and shows
//! at once what a bar stands for. Its policy lets nothing run or load but the very script and style in it.

use std::fmt::Write as _;

use data_encoding::BASE64;
use ring::digest::{SHA256, digest};

use super::{
    Fate, Report, Row, Say,
    escape::{duration, html},
};
use crate::model::{Outcome, TaskName};

mod chart;

/// How the page begins.
pub(super) const MARK: &str = "<!doctype html>\n<!-- devtask timings -->\n";

const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
/// How many reasons a row shows.
const REASONS: usize = 6;
/// How many characters of a command or an error a row shows.
const LONGEST: usize = 160;
/// How many upstream tasks of a task the script knows of.
const UPSTREAM: usize = 60;
/// How many tasks of the critical path are listed before the rest is only counted.
const PATH: usize = 200;

/// The run as a page.
#[must_use]
pub fn page(report: &Report, say: Say<'_>) -> String {
    let run = html(&report.run);
    let hash = |text: &str| BASE64.encode(digest(&SHA256, text.as_bytes()).as_ref());
    let mut page = String::from(MARK);
    put(
        &mut page,
        format_args!("<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>devtask run {run}</title>\n"),
    );
    put(
        &mut page,
        format_args!(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; \
             script-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n",
            hash(STYLE),
            hash(SCRIPT)
        ),
    );
    page.push_str(
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"devtask\">\n",
    );
    put(&mut page, format_args!("<style>{STYLE}</style></head>\n<body>\n"));
    head(&mut page, report);
    sums(&mut page, report);
    chart::chart(&mut page, report);
    path(&mut page, report);
    table(&mut page, report, say);
    put(&mut page, format_args!("<script>{SCRIPT}</script>\n</body></html>\n"));
    page
}

/// Memory takes whatever is written.
fn put(page: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(what);
}

fn head(page: &mut String, report: &Report) {
    let (word, class) = match report.status {
        Some(crate::event::RunStatus::Succeeded) => ("Succeeded", "ok"),
        Some(crate::event::RunStatus::Failed) => ("Failed", "bad"),
        Some(crate::event::RunStatus::Interrupted) => ("Interrupted", "warn"),
        None => ("No end known", "warn"),
    };
    let run = html(&report.run);
    put(
        page,
        format_args!(
            "<header><h1>devtask run <code>{run}</code> <span class=\"badge {class}\">{word}</span></h1>\n"
        ),
    );
    let roots: Vec<&str> = report.roots.iter().map(TaskName::as_str).collect();
    let asked = match roots.len() {
        0 => String::new(),
        n @ ..=8 => html(&roots[..n].join(" ")),
        n => format!("{} (+{})", html(&roots[..8].join(" ")), n - 8),
    };
    let when = report.started.map(|time| {
        let text = humantime::format_rfc3339_seconds(time).to_string();
        format!(" · <time datetime=\"{text}\">{}</time>", text.replace('T', " ").replace('Z', " UTC"))
    });
    put(
        page,
        format_args!("<p class=\"asked\"><code>{asked}</code>{}</p></header>\n", when.unwrap_or_default()),
    );
    for remark in &report.remarks {
        put(page, format_args!("<p class=\"remark\">{}</p>\n", html(&remark.text())));
    }
}

fn sums(page: &mut String, report: &Report) {
    let one = |page: &mut String, name: &str, value: &str, more: &str| {
        put(page, format_args!("<div><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>\n"));
    };
    page.push_str("<dl class=\"sums\">\n");
    one(page, "Wall time", &duration(report.wall_ms), "from the first moment to the last");
    let work = format!("{:.1} tasks at once on average", report.parallelism());
    one(page, "Work", &duration(report.work_ms), &work);
    one(page, "Slots used", &report.slots.to_string(), "most tasks at once");
    let path = format!("{} in a row", tasks(report.path.len()));
    one(page, "Critical path", &duration(report.path_ms), &path);
    let fates = [
        Fate::Ended(Outcome::Succeeded),
        Fate::Ended(Outcome::Failed),
        Fate::Ended(Outcome::Cached),
        Fate::Restored,
        Fate::Ended(Outcome::Skipped),
        Fate::Ended(Outcome::DependencyFailed),
        Fate::Ended(Outcome::Cancelled),
        Fate::Cut,
        Fate::Unreached,
    ];
    let counts = fates.iter().map(|fate| (report.count(*fate), fate.label())).filter(|(n, _)| *n > 0);
    let counts: Vec<String> = counts.map(|(n, label)| format!("{n} {}", label.to_lowercase())).collect();
    one(page, "Tasks", &report.rows.len().to_string(), &counts.join(", "));
    if report.saved_ms > 0.0 {
        one(page, "Saved", &duration(report.saved_ms), "what was fresh or came back took so long before");
    }
    page.push_str("</dl>\n");
    if let Some(unlimited) = report.unlimited_ms.filter(|_| report.executed() > 0) {
        put(page, format_args!("<p class=\"bound\">{}</p>\n", gain(report.wall_ms, unlimited)));
    }
}

/// What unlimited slots would have given.
fn gain(wall: f64, unlimited: f64) -> String {
    let (left, took) = (wall - unlimited, duration(unlimited.min(wall)));
    match if wall > 0.0 { left / wall * 100.0 } else { 0.0 } {
        share if share >= 3.0 => format!(
            "With a slot for everybody this run would have taken <b>{took}</b>, which is {} ({share:.0} %) less, as far as \
             tasks do not slow each other down.",
            duration(left)
        ),
        _ => format!(
            "More slots would not have helped: with a slot for everybody it would have taken <b>{took}</b>, too."
        ),
    }
}

fn tasks(n: usize) -> String {
    if n == 1 { "1 task".to_owned() } else { format!("{n} tasks") }
}

/// The critical path, first to last.
fn path(page: &mut String, report: &Report) {
    if report.path.is_empty() {
        return;
    }
    let open = if report.path.len() <= 12 { " open" } else { "" };
    put(
        page,
        format_args!(
            "<details class=\"path\"{open}><summary>Critical path: {}, {}</summary>\n<ol>\n",
            tasks(report.path.len()),
            duration(report.path_ms)
        ),
    );
    for &place in report.path.iter().take(PATH) {
        let row = &report.rows[place];
        let length = row.bar.map_or(0.0, |bar| bar.length_ms());
        let share = if report.path_ms > 0.0 { length / report.path_ms * 100.0 } else { 0.0 };
        put(
            page,
            format_args!(
                "<li><a href=\"#t{place}\">{}</a> {} <small>{share:.0} %</small>\n",
                row.name,
                duration(length)
            ),
        );
    }
    if report.path.len() > PATH {
        put(page, format_args!("<li>… and {} more\n", report.path.len() - PATH));
    }
    page.push_str("</ol></details>\n");
}

fn table(page: &mut String, report: &Report, say: Say<'_>) {
    page.push_str(
        "<h2>Tasks</h2>\n<div class=\"wide\"><table id=\"tasks\"><thead><tr><th>Task<th class=\"n\">Start<th class=\"n\">Duration\
         <th class=\"n\" title=\"with nothing else to wait for than a slot\">Waited<th class=\"n\">Slot<th>Status<th>Why it ran\
         </thead><tbody>\n",
    );
    for place in by_start(report) {
        line(page, place, &report.rows[place], say);
    }
    page.push_str("</tbody></table></div>\n");
}

/// What was executed as it began, then the rest.
fn by_start(report: &Report) -> Vec<usize> {
    let mut places: Vec<usize> = (0..report.rows.len()).collect();
    let begin = |place: usize| report.rows[place].bar.map_or(f64::INFINITY, |bar| bar.begin_ms);
    places.sort_by(|a, b| begin(*a).total_cmp(&begin(*b)));
    places
}

fn line(page: &mut String, place: usize, row: &Row, say: Say<'_>) {
    let critical = if row.is_critical { " k" } else { "" };
    put(page, format_args!("<tr id=\"t{place}\" class=\"{}{critical}\"", class(row)));
    if !row.after.is_empty() {
        // The last of them in the order of the plan are the nearest.
        let from = row.after.len().saturating_sub(UPSTREAM);
        let after: Vec<String> = row.after[from..].iter().map(ToString::to_string).collect();
        put(page, format_args!(" data-a=\"{}\"", after.join(" ")));
    }
    put(page, format_args!("><td><code>{}</code>", row.name));
    if let Some(command) = &row.command {
        put(page, format_args!("<small>{}</small>", html(&cut(command))));
    }
    let number = |page: &mut String, ms: Option<f64>| match ms {
        Some(ms) => put(page, format_args!("<td data-v=\"{ms:.2}\">{}", duration(ms))),
        None => page.push_str("<td>"),
    };
    number(page, row.bar.map(|bar| bar.begin_ms));
    let length = row.bar.map(|bar| bar.length_ms());
    number(page, length.or(row.duration_ms));
    number(page, row.waited_ms);
    match row.bar {
        Some(bar) if !row.is_process => put(page, format_args!("<td data-v=\"{0}\">{0}", bar.lane + 1)),
        _ => page.push_str("<td>"),
    }
    put(
        page,
        format_args!(
            "<td><b>{}</b>{}<td>{}\n",
            row.fate.label(),
            html(&cut(&remark(row))),
            html(&why(row, say))
        ),
    );
}

/// What follows the status of a task.
fn remark(row: &Row) -> String {
    let because: Vec<&str> = row.because.iter().map(TaskName::as_str).collect();
    let last = row.last.as_ref().map(|last| &last.run);
    let mut parts = Vec::new();
    match (row.fate, row.exit_code, row.signal) {
        (Fate::Ended(Outcome::Failed), Some(code), _) => parts.push(format!("exit {code}")),
        (Fate::Ended(Outcome::Failed), None, Some(signal)) => parts.push(format!("signal {signal}")),
        (Fate::Ended(Outcome::DependencyFailed), ..) => parts.push(format!("{} failed", because.join(", "))),
        (Fate::Ended(Outcome::Cached), ..) => parts.extend(last.map(|run| format!("since run {run}"))),
        (Fate::Restored, ..) => parts.extend(last.map(|run| format!("from run {run}"))),
        _ => {}
    }
    parts.extend(row.error.clone());
    parts.extend(row.soft.then(|| "does not count for the run".to_owned()));
    parts.extend(row.is_elsewhere.then(|| "executed by another run".to_owned()));
    parts.extend(
        row.ready_ms
            .zip(row.bar)
            .map(|(ready, bar)| format!("ready after {}", duration(ready - bar.begin_ms))),
    );
    if parts.is_empty() { String::new() } else { format!(" · {}", parts.join(", ")) }
}

/// Of what was not executed, whatever had been decided, nothing.
fn why(row: &Row, say: Say<'_>) -> String {
    if row.bar.is_none() && row.fate != Fate::Restored && !row.is_elsewhere {
        return String::new();
    }
    let said: Vec<String> = row.reasons.iter().take(REASONS).map(say).collect();
    let more = row.reasons.len().saturating_sub(REASONS);
    let more = if more > 0 { format!(" (+{more})") } else { String::new() };
    format!("{}{more}", said.join("; "))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// What a task looks like.
const fn class(row: &Row) -> &'static str {
    match row.fate {
        Fate::Ended(Outcome::Failed) => "bad",
        Fate::Ended(Outcome::Cancelled) => "warn",
        Fate::Cut => "cut",
        Fate::Restored => "back",
        _ if row.is_process => "proc",
        Fate::Ended(Outcome::Succeeded) => "ok",
        Fate::Ended(Outcome::Cached | Outcome::Skipped | Outcome::DependencyFailed) | Fate::Unreached => {
            "none"
        }
    }
}
