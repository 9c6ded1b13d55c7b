//! `devtask report runs`: the runs that are known.

use std::{path::Path, time::UNIX_EPOCH};

use devtask::{
    event::RunStatus,
    model::Outcome,
    report::{Fate, Log, Report},
    session::{known_runs, run_log},
    store::now_ms,
};
use serde_json::{Value, json};

use crate::{
    app::App,
    args::RunsArgs,
    commands::out,
    exit::Exit,
    render::{
        lines::few,
        text::{ago, duration},
    },
};

/// How many of the tasks that were asked for are named.
const ASKED: usize = 3;

pub(super) fn runs(app: &mut App, args: &RunsArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let state_dir = app.state_dir(&tree);
    let mut ids = known_runs(&state_dir);
    ids.reverse();
    let reports: Vec<Report> = ids.iter().take(args.number).filter_map(|id| read(&state_dir, id)).collect();
    if args.json {
        let all = reports.iter().map(as_json).collect();
        return Ok(out(&format!("{:#}\n", Value::Array(all))));
    }
    if reports.is_empty() && !app.globals.quiet {
        eprintln!("No run is known here.");
    }
    Ok(out(&table(&reports)))
}

/// None for one that was removed meanwhile.
fn read(state_dir: &Path, id: &str) -> Option<Report> {
    Some(Report::of(id, &Log::parse(&run_log(state_dir, id).ok()?)))
}

/// How a run ended, in a word.
const fn outcome(report: &Report) -> &'static str {
    match report.status {
        Some(RunStatus::Succeeded) => "succeeded",
        Some(RunStatus::Failed) => "failed",
        Some(RunStatus::Interrupted) => "interrupted",
        None => "unfinished",
    }
}

/// When it began, in milliseconds since the epoch.
fn began_ms(report: &Report) -> Option<u64> {
    let since = report.started?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Executed, cached, restored, failed.
fn counts(report: &Report) -> [usize; 4] {
    let failed = [Fate::Ended(Outcome::Failed), Fate::Ended(Outcome::DependencyFailed)];
    let failed = failed.into_iter().map(|fate| report.count(fate)).sum();
    [report.executed(), report.count(Fate::Ended(Outcome::Cached)), report.count(Fate::Restored), failed]
}

fn as_json(report: &Report) -> Value {
    let [executed, cached, restored, _] = counts(report);
    json!({
        "run": report.run,
        "startedMs": began_ms(report),
        "roots": report.roots,
        "outcome": outcome(report),
        "tasks": report.rows.len(),
        "executed": executed,
        "cached": cached,
        "restored": restored,
        "failed": report.count(Fate::Ended(Outcome::Failed)),
        "dependencyFailed": report.count(Fate::Ended(Outcome::DependencyFailed)),
        "durationMs": report.wall_ms,
        "remarks": report.remarks.iter().map(|remark| remark.text()).collect::<Vec<_>>(),
    })
}

fn table(reports: &[Report]) -> String {
    const HEAD: [&str; 8] = ["RUN", "BEGAN", "OUTCOME", "EXECUTED", "CACHED", "RESTORED", "FAILED", "TIME"];
    if reports.is_empty() {
        return String::new();
    }
    let mut rows: Vec<([String; 8], String)> = vec![(HEAD.map(str::to_owned), "ASKED FOR".to_owned())];
    rows.extend(reports.iter().map(|report| (cells(report), few(&report.roots, " ", ASKED, 0))));
    let width = |at: usize| rows.iter().map(|(cells, _)| cells[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for (cells, asked) in &rows {
        for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            // Words to the left, numbers to the right.
            let cell = if at < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            text.push_str(&cell);
            text.push_str("  ");
        }
        text.push_str(asked);
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn cells(report: &Report) -> [String; 8] {
    let [executed, cached, restored, failed] = counts(report).map(|n| n.to_string());
    let began = began_ms(report).map(|at| ago(now_ms(), at)).unwrap_or_default();
    let took = duration(report.wall_ms);
    [report.run.clone(), began, outcome(report).to_owned(), executed, cached, restored, failed, took]
}
