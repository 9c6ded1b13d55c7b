//! `devtask doctor`.

use std::{env, fmt::Write as _};

use devtask::doctor::{Files, Finding, Patient, Verdict, examine};

use crate::{
    app::{App, Tree, internal},
    args::DoctorArgs,
    commands::out,
    exit::Exit,
    render::text::shown,
};

/// The columns of verdict and name.
const VERDICT: usize = 8;
const ABOUT: usize = 20;

pub(crate) fn doctor(app: &App, args: &DoctorArgs) -> Result<Exit, Exit> {
    let tree = Tree::read(&app.loading());
    let (files, state_dir) = match &tree {
        Ok(tree) => {
            let loaded = &tree.loaded;
            let warnings = loaded.warnings.len();
            let files = Files::Loaded { root: &loaded.root, graph: &tree.graph, warnings };
            (files, Some(app.state_dir(tree)))
        }
        Err(broken) => (broken.faults().map_or(Files::None, Files::Faulty), app.chosen_state_dir()),
    };
    let environment: Vec<_> = env::vars_os().collect();
    let findings = examine(&Patient {
        dir: &app.start_dir,
        files,
        state_dir: state_dir.as_deref(),
        environment: &environment,
        granularity: app.granularity(),
    });
    let worst = findings.iter().map(|finding| finding.verdict).max();
    let written = if args.json {
        let json = serde_json::to_string_pretty(&findings);
        out(&(json.map_err(|error| internal(&error.to_string()))? + "\n"))
    } else {
        out(&text(&findings, app.color_out))
    };
    Ok(match (written, worst) {
        (Exit::Done, Some(Verdict::Problem)) => Exit::Failed,
        (written, _) => written,
    })
}

/// A line each, and below it what it means and what mends it.
fn text(findings: &[Finding], color: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let label = format!("{:<VERDICT$}", finding.verdict.label());
        let label = match (color, finding.verdict) {
            (false, _) => label,
            (true, Verdict::Ok) => format!("\x1b[32m{label}\x1b[0m"),
            (true, Verdict::Note) => format!("\x1b[33m{label}\x1b[0m"),
            (true, Verdict::Problem) => format!("\x1b[31m{label}\x1b[0m"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{label} {:<ABOUT$} {}", finding.about, shown(&finding.found));
        let below = |line: &str| format!("{:width$} {}\n", "", shown(line), width = VERDICT + 1 + ABOUT);
        text.extend(finding.meaning.iter().map(|meaning| below(meaning)));
        text.extend(finding.remedy.iter().map(|remedy| below(&format!("help: {remedy}"))));
    }
    text
}
