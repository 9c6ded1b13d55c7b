mod devenv;
mod faults;
mod fields;
mod hostile;
mod processes;
mod schema;
mod servers;

use std::{collections::BTreeMap, path::Path};

use serde_json::json;

use super::*;
use crate::{
    diagnostic::{Diagnostic, SourceId},
    model::Declaration,
};

const SOURCE: SourceId = SourceId(0);

fn scope() -> Scope<'static> {
    let root = Path::new("/r");
    Scope { project: "web", is_root: false, dir: Path::new("/r/apps/web"), root, git_root: None }
}

fn declared(file: &ProjectFile, scope: &Scope<'_>) -> (Vec<Declaration>, Vec<Diagnostic>) {
    let mut declared = file.declare(scope, &BTreeMap::new());
    let mut faults = file.faults.clone();
    faults.append(&mut declared.faults);
    (declared.declarations, faults)
}

fn toml(text: &str) -> (Vec<Declaration>, Vec<Diagnostic>) {
    declared(&parse_toml(SOURCE, text), &scope())
}

fn json(text: &str) -> (Vec<Declaration>, Vec<Diagnostic>) {
    declared(&parse_json(SOURCE, text), &scope())
}

fn one(text: &str) -> Declaration {
    let (mut list, faults) = toml(text);
    assert_eq!(faults, [], "{text}");
    assert_eq!(list.len(), 1, "{text}");
    list.remove(0)
}

/// The code, the text at the first place, and the hint of each fault.
fn seen<'a>(text: &'a str, faults: &'a [Diagnostic]) -> Vec<(&'static str, &'a str, &'a str)> {
    faults
        .iter()
        .map(|f| {
            let at = f.labels.first().map_or("", |l| &text[l.place.span.clone()]);
            (f.code, at, f.hint.as_deref().unwrap_or(""))
        })
        .collect()
}

/// Each text has exactly one fault, with this code, this text at its first place, and a hint that begins so.
fn each_is_told(cases: &[(&str, &str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, code, at, hint) in cases {
        let (_, faults) = toml(text);
        let seen = seen(text, &faults);
        let fits =
            matches!(seen.as_slice(), [one] if (one.0, one.1) == (*code, *at) && one.2.starts_with(hint));
        if !fits {
            wrong.push(format!("{text}\n    {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const BOTH_TOML: &str = r#"
name = "web"
dotenv = [".env"]
[env]
A = "${project}"
[settings]
jobs = 3
fail_fast = true
color = "never"
[tasks.build]
exec = "make ${root} $HOME"
package = "bash"
after = ["install", "lib:build@completed", "devenv:processes:db@started"]
before = ["test@ready"]
execIfModified = ["src/**", "!src/x"]
outputs = ["dist", "!dist/x"]
trackEnv = ["CI", "X_*"]
cwd = "../sub/./x"
input = { a = 1, b = [true, "${project}", 1.5] }
env = { B = "b" }
exports = ["C"]
showOutput = true
description = "Builds ${project}"
timeout = "1m 30s"
retries = 2
interactive = true
lock = "l"
[tasks."other:x"]
exec = "x"
status = "y"
[tasks.none]
[processes.db]
exec = "db --port ${ports.main}"
[processes.db.start]
enable = false
[processes.db.ready]
http.get = { port = "${ports.main}", path = "/up" }
initial_delay = 0.5
timeout = "1m"
[processes.db.restart]
on = "always"
max = 0
window = 10
[processes.db.ports.main]
allocate = 5432
"#;

fn both_json() -> String {
    json!({
        "$schema": "https://example.org/schema.json",
        "name": "web",
        "dotenv": [".env"],
        "env": { "A": "${project}" },
        "settings": { "jobs": 3, "fail_fast": true, "color": "never" },
        "tasks": {
            "build": {
                "exec": "make ${root} $HOME",
                "package": "bash",
                "after": ["install", "lib:build@completed", "devenv:processes:db@started"],
                "before": ["test@ready"],
                "execIfModified": ["src/**", "!src/x"],
                "outputs": ["dist", "!dist/x"],
                "trackEnv": ["CI", "X_*"],
                "cwd": "../sub/./x",
                "input": { "a": 1, "b": [true, "${project}", 1.5] },
                "env": { "B": "b" },
                "exports": ["C"],
                "showOutput": true,
                "description": "Builds ${project}",
                "timeout": 90,
                "retries": 2,
                "interactive": true,
                "lock": "l",
            },
            "other:x": { "exec": "x", "status": "y" },
            "none": {},
        },
        "processes": { "db": {
            "exec": "db --port ${ports.main}",
            "start": { "enable": false },
            "ready": {
                "http": { "get": { "port": "${ports.main}", "path": "/up" } },
                "initial_delay": "500ms",
                "timeout": 60,
            },
            "restart": { "on": "always", "max": 0, "window": 10 },
            "ports": { "main": { "allocate": 5432 } },
        } },
    })
    .to_string()
}

fn devenv(text: &str) -> Declared {
    parse_devenv(SOURCE, text, "app", Path::new("/start"))
}
