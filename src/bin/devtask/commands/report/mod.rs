//! `devtask report`: what the logs of runs tell. State directories are only read: nothing is locked, opened or written there,
//! whatever else is at work in the tree.

pub(crate) mod chosen;
pub(crate) mod kept;
pub(crate) mod place;
mod runs;

use std::path::Path;

use devtask::{
    model::TaskName,
    report::{self, Log, Report},
    session::run_log,
};

use self::{
    chosen::{Usual, chosen},
    place::Place,
};
use crate::{
    app::{App, internal},
    args::{ReportArgs, ReportVerb},
    exit::Exit,
    render::{reason, text},
};

/// How many last lines of a failed task a JUnit file has.
const TAIL: usize = 200;

pub(crate) fn report(app: &mut App, verb: &ReportVerb) -> Result<Exit, Exit> {
    let (args, usual, name): (_, _, &str) = match verb {
        ReportVerb::Timings(args) => (args, Usual::Executed, "devtask-timings.html"),
        ReportVerb::Trace(args) => (args, Usual::Executed, "devtask-trace.json"),
        ReportVerb::Junit(args) => (args, Usual::Newest, "devtask-junit.xml"),
        ReportVerb::Runs(args) => return runs::runs(app, args),
    };
    make(app, args, usual, name, |state_dir, report| match verb {
        ReportVerb::Trace(_) => report::trace(report, &reason::line),
        ReportVerb::Junit(_) => {
            let tail = |task: &TaskName| tail(state_dir, &report.run, task);
            report::junit(report, &tail)
        }
        _ => report::page(report, &reason::line),
    })
}

fn make(
    app: &mut App,
    args: &ReportArgs,
    usual: Usual,
    name: &str,
    text: impl Fn(&Path, &Report) -> String,
) -> Result<Exit, Exit> {
    let place = Place::of(app, args.output.as_deref(), name);
    place.check()?;
    let tree = app.load()?;
    let state_dir = app.state_dir(&tree);
    let run = chosen(&state_dir, args.run.as_deref(), usual)?;
    let report = read(&state_dir, &run)?;
    place.write(&text(&state_dir, &report), app.globals.quiet)?;
    Ok(Exit::Done)
}

/// What is known of a run.
fn read(state_dir: &Path, run: &str) -> Result<Report, Exit> {
    let log = run_log(state_dir, run)
        .map_err(|error| internal(&format!("cannot read the log of run {run}: {error}")))?;
    Ok(Report::of(run, &Log::parse(&log)))
}

/// The last lines that a task wrote in a run, without colours.
fn tail(state_dir: &Path, run: &str, task: &TaskName) -> Option<String> {
    let lines = kept::last_lines(state_dir, run, task, TAIL);
    let lines: Vec<String> = lines.iter().map(|line| text::output_line(line, false)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Makes the page of a run that is over.
///
/// # Errors
/// What the end of the program is then, having said what is wrong.
pub(crate) fn timings(app: &App, state_dir: &Path, run: &str, place: &Place) -> Result<(), Exit> {
    let report = read(state_dir, run)?;
    place.write(&report::page(&report, &reason::line), app.globals.quiet)
}
