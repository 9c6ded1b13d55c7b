use std::{path::PathBuf, time::Duration};

use super::*;
use crate::model::{
    Action, CheckRole, Condition, ListenKind, Port, ProbeKind, ProcessSpec, RestartOn, TaskKind, Written,
};

fn process(text: &str) -> ProcessSpec {
    let text = text.replacen("[processes.a]", "[processes.a]\nexec = 'x'", 1);
    match one(&text).task.kind {
        TaskKind::Process(spec) => *spec,
        TaskKind::OneShot => panic!("no process: {text}"),
    }
}

/// A declaration without places, which differ between formats.
fn placeless(mut declaration: Declaration) -> Declaration {
    declaration.place = None;
    declaration.ports.iter_mut().for_each(|used| used.place = None);
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
    let file = parse_toml(SOURCE, "[processes.db]\nexec = 'x'\nafter = ['db']");
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
        ("'[::1]:80'", "::1", "80"),
        ("'h:${ports.a}'", "h", "${ports.a}"),
        ("'127.0.0.1:${ports.web:api.a}'", "127.0.0.1", "${ports.web:api.a}"),
        ("'${ports.web:api.a}'", "127.0.0.1", "${ports.web:api.a}"),
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
    let spec = process("[processes.a]\nwatchdog.usec = 5\nports.a.allocate = 1");
    let watchdog = spec.watchdog.unwrap();
    assert_eq!((watchdog.interval, watchdog.require_ready), (Duration::from_micros(5), true));
    assert_eq!(spec.ports["a"], Port { allocate: 1 });
    let http = kind("{ http.get = { host = '${project}', port = 80, path = '/${project}' } }");
    let (port, scheme) = ("80".into(), "http".to_owned());
    assert_eq!(http, ProbeKind::Http { host: "web".to_owned(), port, path: "/web".to_owned(), scheme });
}

#[test]
fn the_path_of_an_interpreter_is_relative_to_the_file() {
    for (package, value) in [
        ("python3", "python3"),
        ("./tools/x", "/r/apps/web/tools/x"),
        ("../x", "/r/apps/x"),
        ("/usr/bin/env", "/usr/bin/env"),
        ("${root}/x", "/r/x"),
    ] {
        let task = one(&format!("[tasks.a]\nexec = ''\ncwd = 'sub'\npackage = '{package}'")).task;
        let expected = Written { written: package.to_owned(), value: value.to_owned() };
        assert_eq!(task.interpreter.package, expected);
    }
}

#[test]
fn a_check_becomes_two_tasks_that_differ_in_what_they_execute() {
    let text = "[checks.fmt]\nexec = 'look \"$@\"'\nfix = 'mend \"$@\"'\nfiles = ['**/*.rs', '!gen/**']\n\
                pass_files = true\nexecIfModified = ['rustfmt.toml']\nafter = ['gen']\ncwd = 'src'\n\
                link = ['target']\nenv = { A = 'b' }\ntimeout = 3\nlock = 'l'\ntrackEnv = ['RUST_*']";
    let mut all = declared(&parse_toml(SOURCE, text), &scope()).0;
    let (look, mend) = (all.remove(0), all.remove(0));
    assert!(all.is_empty());
    assert_eq!((look.task.name.as_str(), mend.task.name.as_str()), ("check:web:fmt", "fix:web:fmt"));
    let (looks, mends) = (look.task.check.clone().unwrap(), mend.task.check.clone().unwrap());
    assert_eq!((looks.role, mends.role), (CheckRole::Check, CheckRole::Fix));
    assert!(looks.passes_files && looks.has_fix);
    assert_eq!(looks.files, ["**/*.rs".into(), "!gen/**".into()]);
    assert_eq!(looks.inputs, ["rustfmt.toml".into()]);
    assert_eq!(looks.links, [Path::new("/r/apps/web/target")], "relative to the file, whatever `cwd` is");
    assert_eq!(look.task.exec_if_modified, [], "what is given files is judged by file");
    assert_eq!(mend.task.action, Action::Script("mend \"$@\"".into()));
    let role = |task: &crate::model::Task| crate::model::Task {
        name: look.task.name.clone(),
        action: Action::None,
        check: None,
        ..task.clone()
    };
    assert_eq!(role(&look.task), role(&mend.task));
    assert_eq!((look.after.len(), look.after[0].task.as_str()), (1, "web:gen"));
    assert_eq!(look.after, mend.after);
}

#[test]
fn a_check_that_looks_around_is_a_task_with_inputs() {
    let text = "[checks.a]\nexec = 'x'\nfiles = ['*.rs']\nexecIfModified = ['Cargo.lock']\n[checks.b]\nexec = 'x'\n\
                execIfModified = ['y']";
    let all = declared(&parse_toml(SOURCE, text), &scope()).0;
    assert_eq!(all.len(), 2, "neither has a fix");
    assert_eq!(all[0].task.exec_if_modified, ["*.rs".into(), "Cargo.lock".into()]);
    assert_eq!(all[1].task.exec_if_modified, [], "it looks at every file, so nothing tells when it is fresh");
}
