use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use super::*;
use crate::{
    diagnostic::{Diagnostic, SourceId},
    model::{
        Action, Condition, Declaration, ListenKind, Port, ProbeKind, ProcessSpec, RestartOn, TaskKind,
        Written,
    },
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

fn process(text: &str) -> ProcessSpec {
    match one(text).task.kind {
        TaskKind::Process(spec) => *spec,
        TaskKind::OneShot => panic!("no process: {text}"),
    }
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

#[test]
fn every_fault_of_a_toml_file_has_its_place_and_a_hint() {
    let mut wrong = Vec::new();
    for (text, code, at, hint) in [
        // unknown keys
        ("naem = 'x'", "unknown-key", "naem", "did you mean `name`?"),
        (
            "[tasks.a]\nexec_if_modified = []",
            "unknown-key",
            "exec_if_modified",
            "did you mean `execIfModified`?",
        ),
        ("[tasks.a]\nperiod = 3", "unknown-key", "period", "`period` belongs to `ready`"),
        ("exec = ''", "unknown-key", "exec", "`exec` belongs to a task"),
        ("[tasks.a]\ncommand = ''", "unknown-key", "command", "did you mean `exec`?"),
        ("[processes.a]\noutputs = []", "unknown-key", "outputs", "`outputs` belongs to a task"),
        ("[processes.a.ready]\nnotify = true\nmax = 1", "unknown-key", "max", "`max` belongs to `restart`"),
        ("[settings]\nxyzzy = 1", "unknown-key", "xyzzy", "`settings` has `jobs`, `tail`"),
        // wrong types
        ("tasks = 1", "wrong-type", "1", ""),
        ("tasks = []", "wrong-type", "[]", ""),
        ("[tasks]\na = 'x'", "wrong-type", "'x'", ""),
        ("[tasks.a]\nexec = 1", "wrong-type", "1", "put it in quotes"),
        ("[tasks.a]\nafter = 'x'", "wrong-type", "'x'", "put it in square brackets"),
        ("[tasks.a]\nafter = [1]", "wrong-type", "1", "put it in quotes"),
        ("[tasks.a]\nshowOutput = 'yes'", "wrong-type", "'yes'", ""),
        ("[tasks.a.env]\nA = 1", "wrong-type", "1", "put it in quotes"),
        ("[tasks.a]\ninput = 1", "wrong-type", "1", ""),
        ("[tasks.a]\nexec = 1979-05-27", "wrong-type", "1979-05-27", ""),
        ("[processes.a]\nports.http = 8080", "wrong-type", "8080", ""),
        // names
        ("[tasks.'a b']", "bad-name", "'a b'", "`a-b` is a legal spelling"),
        ("[tasks.'a:']", "bad-name", "'a:'", "`a` is a legal spelling"),
        ("[tasks.'']", "bad-name", "''", "names have ASCII letters"),
        ("[tasks.a]\nafter = ['b c']", "bad-name", "'b c'", "`b-c` is a legal spelling"),
        ("[tasks.a]\nafter = ['@ready']", "bad-name", "'@ready'", "names have"),
        ("[tasks.a]\nafter = ['b@x@ready']", "bad-name", "'b@x@ready'", "`b-x` is a legal spelling"),
        ("[processes.'a:b']", "bad-name", "'a:b'", "the name of its task has the colons"),
        // suffixes
        ("[tasks.a]\nafter = ['b@complete']", "bad-suffix", "'b@complete'", "did you mean `@completed`?"),
        ("[tasks.a]\nbefore = ['b@']", "bad-suffix", "'b@'", "one of `@started`, `@ready`"),
        // lengths of time
        ("[tasks.a]\ntimeout = '5 parsecs'", "bad-duration", "'5 parsecs'", "write a number of seconds"),
        ("[tasks.a]\ntimeout = -1", "bad-duration", "-1", "write a number of seconds"),
        ("[tasks.a]\ntimeout = nan", "bad-duration", "nan", "write a number of seconds"),
        ("[tasks.a]\ntimeout = 1e300", "bad-duration", "1e300", "write a number of seconds"),
        ("[tasks.a]\ntimeout = 0", "bad-duration", "0", "leave it out"),
        ("[processes.a.shutdown]\ngrace = 'x'", "bad-duration", "'x'", "write a number of seconds"),
        // values
        ("[tasks.a]\ntype = 'proces'", "bad-value", "'proces'", "did you mean `process`?"),
        ("[tasks.a]\ntype = 'x'", "bad-value", "'x'", "one of `oneshot`, `process`"),
        ("[tasks.a]\nretries = -1", "bad-value", "-1", "0 to 4294967295 is possible"),
        ("[tasks.a]\nretries = 99999999999999999999", "bad-value", "99999999999999999999", ""),
        ("[tasks.a]\ninput = { a = inf }", "bad-value", "{ a = inf }", "leave out `nan` and `inf`"),
        ("[tasks.a]\nlock = ''", "bad-value", "''", ""),
        ("[tasks.a]\ntrackEnv = ['A*B']", "bad-value", "'A*B'", "a `*` stands at the end only"),
        ("[tasks.a]\nexports = ['A-B']", "bad-value", "'A-B'", ""),
        ("[tasks.a]\nexports = ['A']\npackage = 'node'", "bad-value", "['A']", "write the pairs to"),
        ("[tasks.a]\npackage = ''", "bad-value", "''", "leave it out for bash"),
        ("[env]\n'A=B' = ''", "bad-value", "'A=B'", "a name is not empty"),
        ("[tasks.a]\nexec = \"a\\u0000b\"", "bad-value", "\"a\\u0000b\"", "remove it"),
        ("[tasks.a]\nprocess = {}", "bad-value", "{}", "add `type = \"process\"`"),
        ("[tasks.a]\ntype = 'process'\noutputs = ['a']", "bad-value", "['a']", "remove it"),
        ("[settings]\njobs = 0", "bad-value", "0", "leave it out"),
        ("[settings]\nui = 'fancy'", "bad-value", "'fancy'", "one of `auto`, `inline`, `plain`, `none`"),
        ("[processes.a.shutdown]\nsignal = 'TREM'", "bad-value", "'TREM'", "did you mean `TERM`?"),
        ("[processes.a.shutdown]\nsignal = 32", "bad-value", "32", "signals are numbered from 1 to 31"),
        (
            "[processes.a.ready]\nperiod = 1",
            "bad-value",
            "[processes.a.ready]",
            "one of `exec`, `http`, `tcp`",
        ),
        (
            "[processes.a]\nready = { notify = true, log = 'x' }",
            "bad-value",
            "{ notify = true, log = 'x' }",
            "one of",
        ),
        ("[processes.a.ready]\ntcp = 0", "bad-value", "0", "a port is a number from 1 to 65535"),
        ("[processes.a.ready]\ntcp = 'localhost:x'", "bad-value", "'localhost:x'", "a port is a number"),
        ("[processes.a]\nready.http.get = {}", "missing-key", "{}", "add `port`"),
        (
            "[processes.a]\nlisten = [{ name = 'a', kind = 'tcp' }]",
            "missing-key",
            "{ name = 'a', kind = 'tcp' }",
            "`address` for tcp",
        ),
        ("[processes.a]\nwatchdog = {}", "missing-key", "{}", "add `usec`"),
        // patterns
        ("[tasks.a]\nexecIfModified = ['a[']", "bad-glob", "'a['", "write `[[]` for a plain `[`"),
        ("[tasks.a]\nexecIfModified = ['!']", "bad-glob", "'!'", "remove it"),
        ("[tasks.a]\noutputs = ['{a']", "bad-glob", "'{a'", "write `[[]`"),
        // rules between fields
        ("[tasks.a]\nstatus = 'x'", "status-without-exec", "'x'", "add `exec`"),
        (
            "[tasks.a]\nexec = ''\nstatus = 'x'\nexecIfModified = ['y']",
            "status-with-exec-if-modified",
            "'x'",
            "keep one",
        ),
        ("[tasks.a]\noutputs = ['../../../x']", "output-outside-root", "'../../../x'", "the root is /r"),
        ("[tasks.a]\noutputs = ['/tmp/x']", "output-outside-root", "'/tmp/x'", "the root is /r"),
        // substitution
        ("[tasks.a]\nexec = '${git.root}'", "no-git-root", "'${git.root}'", "use `${root}`"),
        (
            "[tasks.a]\ncwd = '${git.rot}'",
            "unknown-substitution",
            "'${git.rot}'",
            "did you mean `${git.root}`?",
        ),
        ("[tasks.a]\nexec = '${ports.http}'", "ports-not-supported", "'${ports.http}'", "ports reach tasks"),
        // what is not there yet
        ("[servers.a]\ncommand = 'x'", "servers-not-supported", "servers", "remove the table"),
        ("task.serverProtocol = ['x']", "servers-not-supported", "task", "remove the table"),
        ("[checks.a]\nfiles = []", "checks-not-supported", "checks", "remove the table"),
        // syntax
        ("[tasks.a\nexec = ''", "syntax", "", ""),
        ("name = ", "syntax", "", ""),
        ("name = 'a'\nname = 'b'", "duplicate-key", "name", ""),
    ] {
        let (_, faults) = toml(text);
        let seen = seen(text, &faults);
        let fits =
            matches!(seen.as_slice(), [one] if (one.0, one.1) == (code, at) && one.2.starts_with(hint));
        if !fits {
            wrong.push(format!("{text}\n    {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fault_of_a_json_file_has_its_place() {
    for (text, code, at) in [
        (r#"{"naem": "x"}"#, "unknown-key", r#""naem""#),
        (r#"{"name": null}"#, "wrong-type", "null"),
        (r#"{"tasks": {"a": {"exec": 1.5}}}"#, "wrong-type", "1.5"),
        (r#"{"tasks": {"a": {}, "a": {}}}"#, "duplicate-key", r#""a""#),
        (r#"{"tasks": {"ü ü": {}}}"#, "bad-name", r#""ü ü""#),
        (r#"{"tasks": {"a": {"retries": 1e400}}}"#, "syntax", "0"),
        (r#"{"tasks": {"a": {"retries": 1e40}}}"#, "wrong-type", "1e40"),
        (r#"[]"#, "wrong-type", "[]"),
        (r#""x""#, "wrong-type", r#""x""#),
        ("{} // x", "syntax", "/"),
        ("{/* x */}", "syntax", "/"),
        (r#"{"name": "x",}"#, "syntax", "}"),
        (r#"{'name': "x"}"#, "syntax", "'"),
        (r#"{name: "x"}"#, "syntax", "n"),
        (r#"{"name": +1}"#, "syntax", "+"),
        (r#"{"name": "x"} {}"#, "syntax", "{"),
        ("", "syntax", ""),
        ("{", "syntax", "{"),
        ("{\n\"name\": \"ü", "syntax", "ü"),
    ] {
        let (_, faults) = json(text);
        let seen = seen(text, &faults);
        assert_eq!(seen.len(), 1, "{text}: {seen:?}");
        assert_eq!((seen[0].0, seen[0].1), (code, at), "{text}: {faults:?}");
    }
}

#[test]
fn all_faults_are_reported_at_once_in_their_order() {
    let text = "nmae = 'x'\n[tasks.a]\nexec = 1\nretries = 'x'\nafter = ['b c', 'd@x']\n[tasks.b]\nfoo = 1\n";
    let file = parse_toml(SOURCE, text);
    let codes: Vec<_> = file.faults.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["unknown-key", "wrong-type", "wrong-type", "unknown-key"]);
    let declared = file.declare(&scope(), &BTreeMap::new());
    assert_eq!(declared.faults.iter().map(|f| f.code).collect::<Vec<_>>(), ["bad-name", "bad-suffix"]);
    let names: Vec<_> = declared.declarations.iter().map(|d| d.task.name.as_str()).collect();
    assert_eq!(names, ["web:a", "web:b"], "a faulty task is still declared");
    assert_eq!(declared.declarations[0].after.len(), 1, "an edge with a bad suffix is still known");
}

#[test]
fn a_syntax_fault_hides_nothing_before_it_and_invents_nothing_behind_it() {
    let text = "[tasks.a]\nfoo = 1\n[tasks.b\nexec = 'x'\nretries = 'y'\n";
    let file = parse_toml(SOURCE, text);
    assert_eq!(file.faults.iter().map(|f| f.code).collect::<Vec<_>>(), ["unknown-key", "syntax"]);
    assert!(!file.complete);
    assert!(parse_toml(SOURCE, "").complete);
    assert!(!parse_json(SOURCE, "[]").complete);
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

/// A declaration without places, which differ between formats.
fn placeless(mut declaration: Declaration) -> Declaration {
    declaration.place = None;
    for edge in declaration.after.iter_mut().chain(&mut declaration.before) {
        edge.place = None;
    }
    declaration
}

#[test]
fn toml_and_json_declare_the_same() {
    let sorted = |(list, faults): (Vec<Declaration>, Vec<Diagnostic>)| {
        assert_eq!(faults, []);
        let mut list: Vec<_> = list.into_iter().map(placeless).collect();
        list.sort_by(|a, b| a.task.name.cmp(&b.task.name));
        list
    };
    let (from_toml, from_json) = (sorted(toml(BOTH_TOML)), sorted(json(&both_json())));
    assert_eq!(from_toml.len(), 4);
    assert_eq!(from_toml, from_json);
    let settings = |file: ProjectFile| file.settings().0;
    assert_eq!(settings(parse_toml(SOURCE, BOTH_TOML)), settings(parse_json(SOURCE, &both_json())));
    let expected =
        Settings { jobs: Some(3), fail_fast: Some(true), color: Some(Color::Never), ..Settings::default() };
    assert_eq!(settings(parse_toml(SOURCE, BOTH_TOML)), expected);
}

#[test]
fn a_task_has_what_its_file_says() {
    let (list, _) = toml(BOTH_TOML);
    let build = &list[0];
    let task = &build.task;
    let written =
        |written: &str, value: &str| Written { written: written.to_owned(), value: value.to_owned() };
    assert_eq!(task.name.as_str(), "web:build");
    assert_eq!(&*task.project, "web");
    assert_eq!(task.action, Action::Script(written("make ${root} $HOME", "make /r $HOME")));
    assert_eq!(task.cwd, Path::new("/r/apps/sub/x"));
    assert_eq!(task.pattern_bases, [PathBuf::from("/r/apps/sub/x")]);
    assert_eq!(task.file_env["A"], written("${project}", "web"));
    assert_eq!(task.description.as_deref(), Some("Builds web"));
    assert_eq!(task.timeout, Some(Duration::from_secs(90)));
    let input = task.input.as_ref().unwrap();
    assert_eq!(serde_json::Value::from(input.value.clone()), json!({ "a": 1, "b": [true, "web", 1.5] }));
    assert_eq!(serde_json::Value::from(input.written.clone())["b"][1], json!("${project}"));
    let edges: Vec<_> = build.after.iter().map(|e| (e.task.as_str(), e.condition)).collect();
    let expected = [
        ("web:install", None),
        ("lib:build", Some(Condition::Completed)),
        ("devenv:processes:db", Some(Condition::Started)),
    ];
    assert_eq!(edges, expected);
    assert_eq!(&BOTH_TOML[build.place.as_ref().unwrap().span.clone()], "build");
    assert_eq!(&BOTH_TOML[build.after[0].place.as_ref().unwrap().span.clone()], "\"install\"");
}

#[test]
fn bare_fields_have_their_defaults() {
    let task = one("[tasks.a]").task;
    assert_eq!(task.action, Action::None);
    assert_eq!(task.cwd, Path::new("/r/apps/web"));
    let expected = crate::model::Task {
        project: "web".into(),
        ..crate::model::Task::empty(task.name.clone(), Path::new("/r/apps/web"))
    };
    assert_eq!(task, expected);
    let none = one("[tasks.a]\nexec = ''\nstatus = 'x'\nexecIfModified = []").task;
    assert_eq!(none.status, Some(Action::Script("x".into())), "an empty list is the same as none");
}

#[test]
fn dotenv_is_beneath_env() {
    let file = parse_toml(SOURCE, "[env]\nA = 'env'\n[tasks.a]");
    let dotenv = [("A", "dotenv"), ("B", "${root}")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let task = file.declare(&scope(), &dotenv).declarations.remove(0).task;
    assert_eq!(task.file_env["A"], "env".into());
    assert_eq!(task.file_env["B"], "${root}".into(), "dotenv files are not substituted");
}

#[test]
fn processes_are_named_by_their_project_unless_it_is_the_root() {
    let file = parse_toml(SOURCE, "[processes.db]\nafter = ['db']");
    let inner = declared(&file, &scope()).0.remove(0);
    assert_eq!(inner.task.name.as_str(), "devenv:processes:web:db");
    assert_eq!(inner.after[0].task.as_str(), "web:db", "a local reference never means a process");
    let root = declared(&file, &Scope { is_root: true, ..scope() }).0.remove(0);
    assert_eq!(root.task.name.as_str(), "devenv:processes:db");
}

#[test]
fn a_process_has_its_defaults() {
    let spec = process("[processes.a]");
    assert!(spec.autostart && spec.ready.is_none() && spec.watchdog.is_none());
    assert_eq!(
        (spec.restart.on, spec.restart.max, spec.restart.window),
        (RestartOn::OnFailure, Some(5), None)
    );
    assert_eq!((spec.shutdown.signal, spec.shutdown.grace), (15, Duration::from_secs(5)));
    let probe = process("[processes.a]\nready.notify = true").ready.unwrap();
    assert_eq!(probe.kind, ProbeKind::Notify);
    let seconds = [probe.initial_delay, probe.period, probe.probe_timeout].map(|d| d.as_secs());
    assert_eq!((seconds, probe.timeout), ([0, 10, 1], None));
    assert_eq!((probe.success_threshold, probe.failure_threshold), (1, 3));
}

#[test]
fn a_process_can_also_be_written_as_a_task() {
    let process = one("[tasks.a]\ntype = 'process'\nexec = 'x'\nprocess.restart.on = 'never'").task;
    assert_eq!(process.name.as_str(), "web:a");
    let TaskKind::Process(spec) = process.kind else { panic!("no process") };
    assert_eq!(spec.restart.on, RestartOn::Never);
}

#[test]
fn the_fields_of_a_process_are_read() {
    let kind = |ready: &str| process(&format!("[processes.a]\nready = {ready}")).ready.unwrap().kind;
    assert_eq!(kind("{ exec = 'x' }"), ProbeKind::Exec("x".into()));
    assert_eq!(kind("{ log = 'up' }"), ProbeKind::Log("up".to_owned()));
    for (tcp, host, port) in [
        ("80", "127.0.0.1", "80"),
        ("'::1:80'", "::1", "80"),
        ("'${ports.a}'", "127.0.0.1", "${ports.a}"),
        ("'h:${ports.a}'", "127.0.0.1", "h:${ports.a}"),
    ] {
        let expected = ProbeKind::Tcp { host: host.to_owned(), port: port.into() };
        assert_eq!(kind(&format!("{{ tcp = {tcp} }}")), expected, "{tcp}");
    }
    for (signal, number) in [("2", 2), ("'INT'", 2), ("'sigint'", 2), ("'SIGKILL'", 9)] {
        let spec = process(&format!("[processes.a]\nshutdown.signal = {signal}"));
        assert_eq!(spec.shutdown.signal, number, "{signal}");
    }
    assert_eq!(process("[processes.a]\nrestart.max = 'unlimited'").restart.max, None);
    let listen = "[processes.a]\nlisten = [{ name = 'a', kind = 'tcp', address = 'h:1' }, { name = 'b', kind = 'unix_stream', path = 's', mode = 0o600 }]";
    let kinds: Vec<_> = process(listen).listen.into_iter().map(|l| l.kind).collect();
    let unix = ListenKind::UnixStream { path: "s".into(), mode: Some(0o600) };
    assert_eq!(kinds, [ListenKind::Tcp { address: "h:1".into() }, unix]);
    let spec = process(
        "[processes.a]\nwatchdog.usec = 5\nports.a.allocate = 1\nwatch = { paths = ['src'], extensions = ['rs'] }",
    );
    let watchdog = spec.watchdog.unwrap();
    assert_eq!((watchdog.interval, watchdog.require_ready), (Duration::from_micros(5), true));
    assert_eq!(spec.ports["a"], Port { allocate: 1 });
    assert_eq!((spec.watch.paths.len(), spec.watch.extensions.len()), (1, 1));
}

fn devenv(text: &str) -> Declared {
    parse_devenv(SOURCE, text, "app", Path::new("/start"))
}

#[test]
fn a_list_of_devenv_is_read_with_its_own_rules() {
    let text = json!([
        {
            "name": "app:build", "description": "", "type": "oneshot", "after": ["app:a@started"], "before": [],
            "command": "/nix/store/x", "status": "/nix/store/y", "exec_if_modified": ["src"], "input": {},
            "cwd": "sub", "show_output": true, "env": { "A": "${root}" },
            "process": { "start": { "enable": true }, "ready": null, "watch": { "paths": [] } },
        },
        { "name": "app:plain", "command": null, "status": "/s", "exec_if_modified": ["src"], "input": null, "cwd": null },
        { "name": "devenv:processes:db", "type": "process", "command": "/c", "process": {
            "ports": { "main": 5432 }, "restart": { "on": "never", "max": null, "window": null },
            "ready": { "exec": null, "http": { "get": null }, "notify": true, "timeout": null },
        } },
    ])
    .to_string();
    let declared = devenv(&text);
    assert_eq!(declared.faults, []);
    let [build, plain, db] = declared.declarations.as_slice() else { panic!("three tasks") };
    let task = &build.task;
    assert_eq!(task.action, Action::Command("/nix/store/x".into()));
    assert_eq!(task.status, Some(Action::Command("/nix/store/y".into())));
    assert_eq!(task.exec_if_modified, [], "status wins");
    assert_eq!(task.cwd, Path::new("/start/sub"));
    assert_eq!(task.pattern_bases, [PathBuf::from("/start/sub"), "/start".into()]);
    assert_eq!(task.env["A"], "${root}".into(), "nothing is substituted in the files of others");
    assert_eq!((task.description.as_deref(), task.show_output), (None, true));
    assert_eq!(task.input, Some(Written::default()));
    assert_eq!(build.after[0].condition, Some(Condition::Started));
    assert_eq!((plain.task.status.clone(), plain.task.action.clone()), (None, Action::None));
    assert_eq!(plain.task.exec_if_modified, ["src".into()]);
    assert_eq!((plain.task.cwd.as_path(), plain.task.pattern_bases.len()), (Path::new("/start"), 1));
    let TaskKind::Process(spec) = &db.task.kind else { panic!("no process") };
    assert_eq!((spec.ports["main"], spec.restart.max), (Port { allocate: 5432 }, None));
    assert_eq!(spec.ready.as_ref().map(|r| r.kind.clone()), Some(ProbeKind::Notify));
}

#[test]
fn faults_of_a_list_of_devenv() {
    for (text, code, at) in [
        (r#"[{"name": "build"}]"#, "bad-name", r#""build""#),
        (r#"[{"name": "a:b", "after": ["c"]}]"#, "bad-name", r#""c""#),
        (r#"[{"name": "a:b", "after": ["c:d@x"]}]"#, "bad-suffix", r#""c:d@x""#),
        (r#"[{}]"#, "missing-key", "{}"),
        (r#"[1]"#, "wrong-type", "1"),
        (r#"{"tasks": []}"#, "wrong-type", r#"{"tasks": []}"#),
        (r#"[{"name": "a:b", "env": {"A": 1}}]"#, "wrong-type", "1"),
        (r#"[{"name": "a:b"},]"#, "syntax", "]"),
    ] {
        let declared = devenv(text);
        let seen = seen(text, &declared.faults);
        assert_eq!(seen.len(), 1, "{text}: {seen:?}");
        assert_eq!((seen[0].0, seen[0].1), (code, at), "{text}");
    }
}

#[test]
fn unknown_keys_of_devenv_are_one_warning() {
    let declared = devenv(
        r#"[{"name": "a:b", "new": 1, "process": {"linux": {"capabilities": ["x"]}}}, {"name": "a:c", "new": 1, "empty": {"a": []}}]"#,
    );
    assert_eq!(declared.faults.len(), 1);
    assert!(!declared.faults[0].is_error());
    assert_eq!(declared.faults[0].message, "keys devtask does not know are ignored: `linux`, `new`");
    assert_eq!(declared.declarations.len(), 2);
}

/// Every object in a schema that describes properties.
fn visit(schema: &serde_json::Value, each: &mut impl FnMut(&str, &serde_json::Value)) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each(name, property);
    }
    match schema {
        serde_json::Value::Object(map) => map.values().for_each(|v| visit(v, each)),
        serde_json::Value::Array(list) => list.iter().for_each(|v| visit(v, each)),
        _ => {}
    }
}

#[test]
fn the_schema_describes_every_key() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut count = 0;
    visit(&schema, &mut |name, property| {
        count += 1;
        let description = property["description"].as_str().unwrap_or("");
        assert!(description.ends_with('.'), "{name}: {description:?}");
    });
    assert!(count > 70, "{count} keys");
    let task = &schema["$defs"]["FullTask"];
    assert_eq!(task["additionalProperties"], false);
    assert!(task["properties"]["execIfModified"].is_object() && task["properties"]["exec"].is_object());
}

/// Whether a value has the structure a schema asks for: types, keys, references, choices.
fn fits(value: &serde_json::Value, schema: &serde_json::Value, root: &serde_json::Value) -> bool {
    use serde_json::Value;
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(value, root.pointer(&reference[1..]).expect("a definition"), root);
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        return choices.iter().any(|choice| fits(value, choice, root));
    }
    let type_fits = match (schema["type"].as_str(), value) {
        (None, _) => schema.get("const").is_none_or(|c| c == value),
        (Some("object"), Value::Object(_)) | (Some("array"), Value::Array(_)) => true,
        (Some("string"), Value::String(_)) | (Some("boolean"), Value::Bool(_)) => true,
        (Some("integer"), Value::Number(n)) => n.is_i64(),
        (Some("number"), Value::Number(_)) | (Some("null"), Value::Null) => true,
        _ => false,
    };
    let items = value.as_array().into_iter().flatten().all(|v| fits(v, &schema["items"], root));
    let keys = value.as_object().into_iter().flatten().all(|(key, value)| {
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(property), _) => fits(value, property, root),
            (None, Value::Bool(false)) => false,
            (None, Value::Null) => true,
            (None, additional) => fits(value, additional, root),
        }
    });
    let required = schema["required"].as_array().into_iter().flatten();
    type_fits && items && keys && required.into_iter().all(|key| value.get(key.as_str().unwrap()).is_some())
}

#[test]
fn the_schema_accepts_what_the_decoder_accepts() {
    let schema = schema();
    let example: serde_json::Value = serde_json::from_str(&both_json()).unwrap();
    assert!(fits(&example, &schema, &schema));
    for bad in [
        json!({ "naem": "x" }),
        json!({ "tasks": { "a": { "exec": 1 } } }),
        json!({ "tasks": { "a": { "type": "x" } } }),
        json!({ "processes": { "a": { "outputs": [] } } }),
        json!({ "processes": { "a": { "ready": { "http": { "get": {} } } } } }),
    ] {
        assert!(!fits(&bad, &schema, &schema), "{bad}");
    }
}

#[test]
fn hostile_texts_are_faults_and_never_panics() {
    let deep = 100_000;
    for text in [
        "[".repeat(deep),
        "{".repeat(deep),
        "{\"a\":".repeat(deep),
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("[{}]", vec!["a"; 20_000].join(".")),
        format!("{} = 1", vec!["a"; 20_000].join(".")),
        "\0".to_owned(),
        "a = \"\0\"".to_owned(),
        "\u{feff}\u{feff}".to_owned(),
        "a = '''".to_owned(),
        "a = \"\\u".to_owned(),
        "\"\\ud800\"".to_owned(),
        "{\"a\": \"\\ud800\"}".to_owned(),
        "[[tasks]]\n[tasks.a]".to_owned(),
        "tasks.a.b.c.d = 1".to_owned(),
        "a.b = 1\na = 2\n[a]\n[a.b]".to_owned(),
    ] {
        let start: String = text.chars().take(20).collect();
        let file = parse_toml(SOURCE, &text);
        let (_, faults) = declared(&file, &scope());
        assert!(!faults.is_empty(), "{start}");
        assert!(!json(&text).1.is_empty(), "{start}");
        assert!(!devenv(&text).faults.is_empty(), "{start}");
        for label in faults.iter().flat_map(|f| &f.labels) {
            assert!(text.get(label.place.span.clone()).is_some(), "{start}: {label:?}");
        }
    }
}

#[test]
fn a_long_text_is_read() {
    let long = "x".repeat(10_000_000);
    let task = one(&format!("[tasks.a]\nexec = '{long}'")).task;
    assert_eq!(task.action, Action::Script(Written::plain(long.clone())));
    let (list, faults) = json(&format!(r#"{{"tasks": {{"a": {{"exec": "{long}"}}}}}}"#));
    assert_eq!((list.len(), faults.len()), (1, 0));
}

#[test]
fn bytes_at_random_never_panic() {
    let words = [
        "[", "]", "{", "}", "=", "\"", "'", "\n", ".", ",", "tasks", "a", "exec", "1", "\\", "ü", "#", ":",
        "null", "@",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..3_000 {
        let text: String = (0..random.usize(0..30)).map(|_| words[random.usize(0..words.len())]).collect();
        for (_, faults) in [toml(&text), json(&text)] {
            for label in faults.iter().flat_map(|f| &f.labels) {
                assert!(text.get(label.place.span.clone()).is_some(), "{text:?}: {label:?}");
            }
        }
        devenv(&text);
    }
}
