use std::path::Path;

use serde_json::json;

use super::*;
use crate::model::{
    Action, Compared, Digest, FileChange, FileKind, Reason, Task, TaskName, UpstreamChange, Written,
    input_with_ports, with_ports,
};

/// Everything a manifest is made from, with one field changed by each case.
struct World {
    task: Task,
    arguments: Vec<Vec<u8>>,
    cwd: &'static str,
    input: serde_json::Value,
    tracked: Vec<(String, Vec<u8>)>,
    files: Vec<FileRow>,
    output: Option<serde_json::Value>,
    exports: Vec<(String, Vec<u8>)>,
    outputs: Option<Digest>,
}

fn file(path: &str, content: &str, executable: bool) -> FileRow {
    FileRow { path: path.into(), kind: FileKind::File { executable }, digest: digest_of(content.as_bytes()) }
}

fn world() -> World {
    let mut task = Task::empty(TaskName::new("app:build").unwrap(), Path::new("/r/app"));
    task.action = Action::Script(Written { written: "make ${root}".into(), value: "make /r".into() });
    task.exec_if_modified = vec!["src/**".into()];
    task.env.insert("MODE".into(), "fast".into());
    task.file_env.insert("LEVEL".into(), "1".into());
    World {
        task,
        arguments: vec![b"-x".to_vec()],
        cwd: "app",
        input: json!({"a": 1, "b": [2]}),
        tracked: vec![("CC".into(), b"gcc".to_vec())],
        files: vec![file("app/src/a", "a", false), file("app/src/b", "b", false)],
        output: Some(json!({"hash": "1", "size": 2})),
        exports: vec![("PATH_X".into(), b"/x".to_vec())],
        outputs: Some(Digest(7)),
    }
}

impl World {
    fn manifest(&self) -> Manifest {
        let upstream = TaskName::new("app:gen").unwrap();
        let handed = [Handed {
            task: &upstream,
            output: self.output.as_ref(),
            exports: &self.exports,
            files: self.outputs,
        }];
        let facts = Facts {
            task: &self.task,
            command: None,
            arguments: &self.arguments,
            cwd: self.cwd.as_bytes(),
            input: self.input.as_object(),
            tracked: &self.tracked,
            upstream: &handed,
        };
        Manifest::new(&facts, self.files.clone())
    }
}

#[test]
fn every_part_of_the_key_is_seen_and_named() {
    let gen_task = || TaskName::new("app:gen").unwrap();
    let upstream = |change| Reason::Upstream { task: gen_task(), change };
    let path = |path: &str, change| Reason::File { path: path.into(), change };
    type Case = (&'static str, fn(&mut World), Vec<Reason>);
    let cases: Vec<Case> = vec![
        ("nothing", |_| {}, vec![]),
        (
            "value of a substitution",
            |w| {
                w.task.action = Action::Script(Written {
                    written: "make ${root}".into(),
                    value: "make /elsewhere".into(),
                })
            },
            vec![],
        ),
        ("description", |w| w.task.description = Some("x".into()), vec![]),
        ("absolute cwd", |w| w.task.cwd = "/elsewhere/app".into(), vec![]),
        ("exec", |w| w.task.action = Action::Script("make all".into()), vec![Reason::Exec]),
        ("interpreter", |w| w.task.interpreter.package = "zsh".into(), vec![Reason::Interpreter]),
        ("binary", |w| w.task.interpreter.binary = Some("b".into()), vec![Reason::Interpreter]),
        ("arguments", |w| w.arguments = vec![b"-".to_vec(), b"x".to_vec()], vec![Reason::Arguments]),
        ("cwd", |w| w.cwd = "lib", vec![Reason::Cwd]),
        ("patterns", |w| w.task.exec_if_modified.push("x".into()), vec![Reason::Patterns]),
        ("outputs", |w| w.task.outputs.push("src/**".into()), vec![Reason::Patterns]),
        ("exports", |w| w.task.exports.push("X".into()), vec![Reason::ExportList]),
        (
            "input changed",
            |w| w.input = json!({"a": 2, "b": [2]}),
            vec![Reason::Input { key: Some("a".into()) }],
        ),
        ("input removed", |w| w.input = json!({"a": 1}), vec![Reason::Input { key: Some("b".into()) }]),
        (
            "env",
            |w| {
                w.task.env.insert("MODE".into(), "slow".into());
            },
            vec![Reason::Env { name: "MODE".into() }],
        ),
        (
            "file env",
            |w| {
                w.task.file_env.clear();
            },
            vec![Reason::Env { name: "LEVEL".into() }],
        ),
        ("tracked", |w| w.tracked[0].1 = b"clang".to_vec(), vec![Reason::TrackedEnv { name: "CC".into() }]),
        ("tracked unset", |w| w.tracked.clear(), vec![Reason::TrackedEnv { name: "CC".into() }]),
        (
            "content",
            |w| w.files[1] = file("app/src/b", "B", false),
            vec![path("app/src/b", FileChange::Content)],
        ),
        (
            "executable",
            |w| w.files[1] = file("app/src/b", "b", true),
            vec![path("app/src/b", FileChange::Executable)],
        ),
        ("kind", |w| w.files[1].kind = FileKind::Directory, vec![path("app/src/b", FileChange::Kind)]),
        (
            "removed",
            |w| {
                w.files.remove(0);
            },
            vec![path("app/src/a", FileChange::Removed)],
        ),
        ("added", |w| w.files.push(file("app/src/c", "", false)), vec![path("app/src/c", FileChange::Added)]),
        (
            "renamed",
            |w| w.files[0].path = b"app/src/aa".to_vec(),
            vec![path("app/src/a", FileChange::Removed), path("app/src/aa", FileChange::Added)],
        ),
        (
            "output key",
            |w| w.output = Some(json!({"hash": "2", "size": 2})),
            vec![upstream(UpstreamChange::OutputKey { key: Some("hash".into()) })],
        ),
        (
            "output no object",
            |w| w.output = Some(json!(3)),
            vec![
                upstream(UpstreamChange::OutputKey { key: None }),
                upstream(UpstreamChange::OutputKey { key: Some("hash".into()) }),
                upstream(UpstreamChange::OutputKey { key: Some("size".into()) }),
            ],
        ),
        (
            "export",
            |w| w.exports[0].1 = b"/y".to_vec(),
            vec![upstream(UpstreamChange::Export { name: "PATH_X".into() })],
        ),
        ("output files", |w| w.outputs = Some(Digest(8)), vec![upstream(UpstreamChange::OutputFiles)]),
        (
            "upstream gone",
            |w| {
                w.output = None;
                w.exports.clear();
                w.outputs = None;
            },
            vec![upstream(UpstreamChange::Disappeared)],
        ),
    ];
    let before = world().manifest();
    for (case, change, expected) in cases {
        let mut changed = world();
        change(&mut changed);
        let now = changed.manifest();
        assert_eq!(compare(&before, &now), expected, "{case}");
        assert_eq!(before.key() == now.key(), expected.is_empty(), "key: {case}");
    }
}

#[test]
fn the_numbers_of_ports_are_no_part_of_the_key() {
    // As when it is started: what is written stays, and the numbers stand in the values only.
    let key = |reference: &str, number: u16| {
        let text = |written: String| {
            let value = with_ports(&written, |_| Some(number)).into_owned();
            assert_ne!(written, value);
            Written { written, value }
        };
        let mut world = world();
        world.task.action = Action::Script(text(format!("curl localhost:{reference}")));
        world.task.status = Some(Action::Script(text(reference.to_owned())));
        world.task.env.insert("URL".into(), text(format!("http://localhost:{reference}/")));
        world.task.file_env.insert("PORT".into(), text(reference.to_owned()));
        world.input = json!({ "port": reference });
        let value = input_with_ports(world.input.as_object().unwrap(), &mut |_| Some(number));
        let written = world.input.as_object().unwrap().clone();
        world.task.input = Some(Written { written, value });
        world.manifest().key()
    };
    assert_eq!(key("${ports.api.http}", 8080), key("${ports.api.http}", 8081));
    assert_ne!(key("${ports.api.http}", 8080), key("${ports.api.admin}", 8080));
}

#[test]
fn something_empty_is_not_nothing() {
    let mut none = world();
    (none.input, none.output) = (json!(null), None);
    for change in [|w: &mut World| w.input = json!({}), |w: &mut World| w.output = Some(json!({}))] {
        let before = none.manifest();
        let mut some = world();
        (some.input, some.output) = (json!(null), None);
        change(&mut some);
        let now = some.manifest();
        assert_ne!(before.key(), now.key());
        assert_eq!(compare(&before, &now).len(), 1);
    }
}

#[test]
fn of_two_exports_of_one_name_the_later_is_part_of_the_key() {
    let (first, second) = (TaskName::new("a:a").unwrap(), TaskName::new("a:b").unwrap());
    let key = |order: [(&TaskName, &str); 2]| {
        let values = order.map(|(task, value)| (task, vec![("X".to_owned(), value.as_bytes().to_vec())]));
        let handed =
            values.each_ref().map(|(task, exports)| Handed { task, output: None, exports, files: None });
        let world = world();
        let facts = Facts {
            task: &world.task,
            command: None,
            arguments: &[],
            cwd: b"",
            input: None,
            tracked: &[],
            upstream: &handed,
        };
        Manifest::new(&facts, Vec::new()).key()
    };
    assert_ne!(key([(&first, "1"), (&second, "2")]), key([(&second, "2"), (&first, "1")]));
    assert_eq!(key([(&first, "1"), (&second, "2")]), key([(&first, "unseen"), (&second, "2")]));
}

#[test]
fn what_stayed_the_same_is_counted() {
    let before = world().manifest();
    let mut changed = world();
    changed.files.remove(0);
    changed.files.push(file("app/src/c", "", false));
    changed.input = json!({"a": 2, "b": [2]});
    let compared = count(&before, &changed.manifest());
    let expected = Compared { files: 1, env: 2, tracked_env: 1, input: 1, upstream: 4, command: true };
    assert_eq!(compared, expected);
}

#[test]
fn an_upstream_that_is_not_executed_can_be_taken_from_the_record() {
    let before = world().manifest();
    let mut changed = world();
    (changed.output, changed.outputs) = (None, None);
    let mut now = changed.manifest();
    now.assume_upstream(&before, |name| name.as_str() == "app:gen");
    assert_eq!(compare(&before, &now), []);
    assert_eq!(before.key(), now.key());
}
