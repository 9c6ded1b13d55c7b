//! `devtask tsp …`: for who writes a task server.

use std::{
    env,
    io::{self, BufRead as _, BufReader},
};

use devtask::servers::{
    Surroundings,
    check::{CheckFault, Choice, Limits, Outcome, Report, Row, check, talk},
};
use serde_json::{Value, json};

use super::out;
use crate::{
    app::{App, complain, internal, misused_with, runtime_bases},
    args::{CheckArgs, TalkArgs, TspVerb},
    exit::Exit,
    render::text::shown,
};

pub(crate) fn tsp(app: &App, verb: &TspVerb) -> Result<Exit, Exit> {
    match verb {
        TspVerb::Check(args) => check_server(app, args),
        TspVerb::Talk(args) => talk_to_server(app, args),
    }
}

fn talk_to_server(app: &App, args: &TalkArgs) -> Result<Exit, Exit> {
    let lines = BufReader::new(io::stdin())
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| said(&line).map(str::to_owned));
    let mut printed = Exit::Done;
    let hear = |message: &[u8]| printed = out(&format!("{}\n", String::from_utf8_lossy(message)));
    let limits = Limits::all(args.timeout);
    talk(&args.command, &app.start_dir, &surroundings(), &limits, lines, hear)
        .map_err(|fault| refused(&fault))?;
    Ok(printed)
}

/// What of a line is to be said: all of it, or what follows the mark it has in a record of a session.
fn said(line: &str) -> Option<&str> {
    let is_passed_over = line.trim().is_empty() || line.starts_with(['<', '#']);
    (!is_passed_over).then(|| line.strip_prefix("> ").unwrap_or(line))
}

fn surroundings() -> Surroundings {
    Surroundings {
        environment: env::vars_os().collect(),
        guardian: env::current_exe().ok(),
        adopt_orphans: true,
        runtime_bases: runtime_bases(),
        reserved: Vec::new(),
    }
}

fn check_server(app: &App, args: &CheckArgs) -> Result<Exit, Exit> {
    let choice = Choice { task: args.task.clone(), slow: args.slow.clone() };
    let limits = Limits::all(args.timeout);
    let report = check(&args.command, &app.start_dir, &surroundings(), &limits, &choice);
    let report = report.map_err(|fault| refused(&fault))?;
    let text = match args.json {
        true => format!("{:#}\n", Value::from_iter(report.rows.iter().map(as_json))),
        false => table(&report, app.color_out),
    };
    match out(&text) {
        Exit::Done if count(&report, "FAILED") > 0 => Ok(Exit::Failed),
        exit => Ok(exit),
    }
}

fn refused(fault: &CheckFault) -> Exit {
    match fault {
        CheckFault::NoCommand | CheckFault::NoProgram(_) => {
            misused_with(&fault.to_string(), "write for example `devtask tsp check -- ./tasks.py`")
        }
        CheckFault::Server(why) => {
            complain(&format!("the server cannot be spoken to: {why}"));
            Exit::Failed
        }
        _ => internal(&fault.to_string()),
    }
}

fn as_json(row: &Row) -> Value {
    let (outcome, why) = match &row.outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Failed(why) => ("failed", Some(why)),
        Outcome::Skipped(why) => ("skipped", Some(why)),
    };
    json!({"name": row.name, "what": row.what, "outcome": outcome, "why": why, "notes": row.notes})
}

/// The word a row begins with, and the number of its colour.
const fn verdict(outcome: &Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Passed => ("ok", "32"),
        Outcome::Failed(_) => ("FAILED", "1;31"),
        Outcome::Skipped(_) => ("skipped", "33"),
    }
}

fn count(report: &Report, word: &str) -> usize {
    report.rows.iter().filter(|row| verdict(&row.outcome).0 == word).count()
}

fn table(report: &Report, color: bool) -> String {
    let width = report.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text: String = report.rows.iter().map(|row| line(row, width, color)).collect();
    let [passed, failed, skipped] = ["ok", "FAILED", "skipped"].map(|word| count(report, word));
    text.push_str(&format!("{passed} passed, {failed} failed, {skipped} skipped\n"));
    text
}

/// Servers may say anything: it is shown and not obeyed.
fn line(row: &Row, width: usize, color: bool) -> String {
    let (word, number) = verdict(&row.outcome);
    let word = format!("{word:<7}");
    let word = if color { format!("\x1b[{number}m{word}\x1b[0m") } else { word };
    let said = match &row.outcome {
        Outcome::Passed => row.what.to_owned(),
        Outcome::Failed(why) | Outcome::Skipped(why) => why.clone(),
    };
    let notes = match row.notes.as_slice() {
        [] => String::new(),
        notes => format!(" ({})", notes.join("; ")),
    };
    format!("{word}  {:<width$}  {}\n", row.name, shown(&(said + &notes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_how_many_and_obeys_nobody() {
        let row = |name, outcome, notes: &[&str]| Row {
            name,
            what: "does as it should",
            outcome,
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        };
        let rows = vec![
            row("run", Outcome::Passed, &["one", "two"]),
            row("half-line", Outcome::Failed("it said \x1b[2J\nok".to_owned()), &[]),
            row("cancel", Outcome::Skipped("it cannot".to_owned()), &[]),
        ];
        let report = Report { rows };
        let expected = "\
            ok       run        does as it should (one; two)\n\
            FAILED   half-line  it said \\u{1b}[2J\\nok\n\
            skipped  cancel     it cannot\n\
            1 passed, 1 failed, 1 skipped\n";
        assert_eq!(table(&report, false), expected);
        assert!(table(&report, true).contains("\x1b[1;31mFAILED \x1b[0m  half-line"));
    }
}
