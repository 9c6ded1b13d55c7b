//! `devtask why`: what would happen now, or what did happen, and the reasons.

use devtask::{
    event::{Decided, Event, LastSuccess, What},
    model::{Check, CheckRole, Compared, FileChange, Reason, Task, TaskName},
    pattern::{PatternKind, PatternSet},
    plan::{Mode, Plan},
    session::{known_runs, read_run},
    store::now_ms,
};
use serde_json::json;

use crate::{
    app::{App, Tree, complain, internal, misused},
    args::WhyArgs,
    commands::{
        look::{Decision, Look, busy, look},
        out,
        show::one,
    },
    exit::Exit,
    render::{
        reason,
        text::{ago, count, duration, millis, shown},
    },
};

/// How many reasons of one kind are shown before they are only counted.
const SHOWN: usize = 20;

pub(crate) fn why(app: &mut App, args: &WhyArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let id = one(&tree, &args.name)?;
    let task = tree.graph.task(id);
    if args.last {
        return last(app, &tree, task, args);
    }
    if task.is_process() {
        return Err(misused(&format!("{} is a process: it is never fresh", task.name)));
    }
    if let Some(check) = task.check.as_ref().filter(|check| check.passes_files && !args.json) {
        let verb = if check.role == CheckRole::Check { "check" } else { "fix" };
        let name = Check::called(&task.name);
        let text = format!(
            "{} is about files that somebody names: `devtask {verb} -n {name}` says which are left\n",
            task.name
        );
        return Ok(out(&text));
    }
    let Some(look) = look(app, &tree, &[task.name.to_string()])? else {
        return Err(busy());
    };
    look.warnings.iter().for_each(|warning| eprintln!("warning: {}", shown(warning)));
    let Some(decision) = look.decisions.get(&task.name) else {
        return Err(internal(&format!("nothing was decided about {}", task.name)));
    };
    if args.json {
        return Ok(out(&as_json(&task.name, decision, &look)));
    }
    let mut text = verdict(&tree, task, decision);
    if decision.action == Decided::WouldRun {
        let downstream = downstream(&tree, id);
        if !downstream.is_empty() {
            text.push_str(&format!("downstream: {downstream} may run as a consequence\n"));
        }
    }
    if !look.called.is_empty() {
        let called: Vec<&str> = look.called.iter().map(TaskName::as_str).collect();
        text.push_str(&format!("called when it last ran: {}\n", called.join(", ")));
    }
    text.push_str(&restores(decision.restores.as_ref()));
    text.push_str(&last_success(decision.last_success.as_ref()));
    Ok(out(&text))
}

fn as_json(name: &TaskName, decision: &Decision, look: &Look) -> String {
    let value = json!({
        "task": name,
        "action": decision.action,
        "reasons": decision.reasons,
        "compared": decision.compared,
        "called": look.called,
        "lastSuccess": decision.last_success,
        "restores": decision.restores,
    });
    format!("{value:#}\n")
}

fn verdict(tree: &Tree, task: &Task, decision: &Decision) -> String {
    let name = &task.name;
    let mut text = match (decision.action, decision.reasons.as_slice()) {
        (Decided::Cached, _) => format!("{name} is fresh\n"),
        (Decided::Skip, _) => format!("{name} has no command: there is nothing to run\n"),
        (Decided::WouldRestore, reasons) => {
            let because = count(reasons.len(), "reason", "reasons");
            format!("{name} would be restored: {because}\n")
        }
        (_, [Reason::AlwaysRuns]) => format!("{name} always runs\n"),
        (_, [Reason::StatusDecides]) => format!("{name} asks its status\n"),
        (_, reasons) => format!("{name} would run: {}\n", count(reasons.len(), "reason", "reasons")),
    };
    text.push_str(&table(&decision.reasons, |path| matching(tree, task, path)));
    match (decision.action, decision.compared) {
        (Decided::Cached, Some(compared)) => {
            text.push_str(&format!("compared: {}\n", counts(&compared, false)))
        }
        (Decided::WouldRun | Decided::WouldRestore, Some(compared)) => {
            let other = decision.reasons.iter().any(|r| matches!(r, Reason::File { .. }));
            let same = counts(&compared, other);
            if !same.is_empty() {
                text.push_str(&format!("not changed: {same}\n"));
            }
        }
        _ => {}
    }
    text
}

/// Reasons in columns; the kind stands at the first of its rows.
fn table(reasons: &[Reason], matching: impl Fn(&str) -> Option<String>) -> String {
    let rows: Vec<(reason::Row, Option<String>)> = reasons
        .iter()
        .map(|r| {
            let pattern = match r {
                Reason::File { path, change: FileChange::Added } => matching(path),
                _ => None,
            };
            (reason::row(r), pattern)
        })
        .collect();
    let width = rows.iter().map(|(row, _)| row.subject.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let (mut category, mut shown) = ("", 0);
    for (row, pattern) in &rows {
        shown = if row.category == category { shown + 1 } else { 0 };
        let label = if shown == 0 { row.category } else { "" };
        category = row.category;
        if shown < SHOWN {
            let pad = width - row.subject.chars().count();
            let pattern = pattern.as_ref().map(|p| format!(", matches {p}")).unwrap_or_default();
            let gap = if width == 0 { "" } else { "  " };
            text.push_str(&format!("  {label:<8}{}{:pad$}{gap}{}{pattern}\n", row.subject, "", row.what));
        } else if shown == SHOWN {
            let left = rows.iter().filter(|(r, _)| r.category == category).count() - SHOWN;
            text.push_str(&format!("  {:<8}… and {left} more\n", ""));
        }
    }
    text
}

/// The pattern that a new file matches.
fn matching(tree: &Tree, task: &Task, path: &str) -> Option<String> {
    let path = tree.loaded.root.join(path);
    let matches = |pattern: &&devtask::model::Written<String>| {
        let one = std::slice::from_ref(&pattern.value);
        PatternSet::new(&task.pattern_bases, one, PatternKind::Inputs).is_ok_and(|set| set.matches(&path))
    };
    task.exec_if_modified
        .iter()
        .filter(|p| !p.value.starts_with('!'))
        .find(matches)
        .map(|p| p.written.clone())
}

fn counts(compared: &Compared, other_files: bool) -> String {
    let numbered = |n: usize, word: &str| (n > 0).then(|| format!("{word} ({n})"));
    let files = (compared.files > 0).then(|| {
        let other = if other_files { "other " } else { "" };
        count(compared.files, &format!("{other}file"), &format!("{other}files"))
    });
    let parts = [
        compared.command.then(|| "command".to_owned()),
        numbered(compared.env, "env"),
        numbered(compared.tracked_env, "tracked env"),
        numbered(compared.input, "input"),
        numbered(compared.upstream, "deps"),
        files,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn downstream(tree: &Tree, id: devtask::model::TaskId) -> String {
    let plan = Plan::new(&tree.graph, [id], Mode::After);
    let below = plan.order().iter().filter(|d| **d != id && !tree.graph.is_builtin(**d));
    let names: Vec<&str> = below.map(|d| tree.graph.name(*d).as_str()).collect();
    match names.len() {
        0..=5 => names.join(", "),
        n => format!("{} (+{})", names[..5].join(", "), n - 5),
    }
}

fn last_success(last: Option<&LastSuccess>) -> String {
    let Some(last) = last else { return String::new() };
    let took = millis(last.duration_ms);
    format!("last success: {}, {took}\n", ago(now_ms(), last.at_ms))
}

fn restores(from: Option<&LastSuccess>) -> String {
    let Some(from) = from else { return String::new() };
    let saved = millis(from.duration_ms);
    format!(
        "what run {} left {} comes back: it had the same key; saves {saved}\n",
        from.run,
        ago(now_ms(), from.at_ms)
    )
}

/// What the last run that had to do with the task decided.
fn last(app: &App, tree: &Tree, task: &Task, args: &WhyArgs) -> Result<Exit, Exit> {
    let state_dir = app.state_dir(tree);
    for id in known_runs(&state_dir).into_iter().rev() {
        let events = read_run(&state_dir, &id).unwrap_or_default();
        let told = events.iter().filter(|e| concerns(e, &task.name));
        let told: Vec<&Event> = told.collect();
        if told.is_empty() {
            continue;
        }
        if args.json {
            return Ok(out(&format!("{:#}\n", json!(told))));
        }
        return Ok(out(&history(tree, task, &id, &told)));
    }
    complain(&format!("no run is known that had to do with {}", task.name));
    Err(Exit::NothingMatched)
}

fn concerns(event: &Event, name: &TaskName) -> bool {
    match &event.what {
        What::Decision { task, .. } => task == name,
        What::TaskFinished(finished) => finished.task == *name,
        _ => false,
    }
}

fn history(tree: &Tree, task: &Task, run: &str, events: &[&Event]) -> String {
    let mut text = String::new();
    for event in events {
        match &event.what {
            What::Decision { action: action @ (Decided::Run | Decided::Restore), reasons, .. } => {
                let heading = count(reasons.len(), "reason", "reasons");
                let what = if *action == Decided::Run { "ran" } else { "was not fresh" };
                text.push_str(&format!("{} {what} in run {run}: {heading}\n", task.name));
                text.push_str(&table(reasons, |path| matching(tree, task, path)));
            }
            What::Decision { action: Decided::Cached, .. } => {
                text.push_str(&format!("{} was fresh in run {run}\n", task.name));
            }
            What::TaskFinished(finished) => {
                let because: Vec<&str> = finished.because.iter().map(TaskName::as_str).collect();
                let because = if because.is_empty() {
                    String::new()
                } else {
                    format!(" because {} failed", because.join(", "))
                };
                let took = finished.duration_ms.map(|ms| format!(" in {}", duration(ms))).unwrap_or_default();
                text.push_str(&format!("it ended: {}{took}{because}\n", finished.status));
                if let Some(from) = &finished.restored {
                    let saved = millis(from.duration_ms);
                    text.push_str(&format!("what run {} left came back, {saved} saved\n", from.run));
                }
            }
            _ => {}
        }
    }
    text
}
