use std::path::PathBuf;

use super::*;
use crate::model::{Action, Condition, Port, ProbeKind, TaskKind, Written};

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
            "ready": { "exec": null, "http": { "get": null }, "notify": true, "timeout": null,
                       "period": 0, "success_threshold": 0 },
            "watchdog": { "usec": 0 }, "watch": { "paths": ["/nix/[a]/x"], "extensions": [], "ignore": ["*.log"] },
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
    let ready = spec.ready.as_ref().unwrap();
    assert_eq!((&ready.kind, ready.period.as_secs(), ready.success_threshold), (&ProbeKind::Notify, 10, 1));
    assert!(spec.watchdog.is_none(), "none at all, rather than one nobody can feed");
    let watched: Vec<&str> = db.task.exec_if_modified.iter().map(|p| p.value.as_str()).collect();
    assert_eq!(watched, [r"/nix/\[a\]/{x/**,[x]}", "!**/*.log", r"!/nix/\[a\]/x/**/*.log"]);
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
        (r#"[{"name": "a:b", "exec_if_modified": ["a/}"]}]"#, "bad-glob", "}"),
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
