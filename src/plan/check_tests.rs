//! Tables for the rules of checks.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Assigned, Candidate, affected, assign, choose, concerned, is_skipped, portions, rounds};
use crate::{
    graph::TaskGraph,
    model::{Action, Check, CheckRole, Declaration, EdgeRef, Task, TaskId, TaskName},
};

/// A check of a project in `/r/<project>`, or of the root project `r` in `/r`; `after` names tasks.
fn check(name: &str, files: &[&str], passes_files: bool, after: &[&str]) -> Declaration {
    let project = name.split(':').nth(1).unwrap();
    let dir = if project == "r" { PathBuf::from("/r") } else { Path::new("/r").join(project) };
    let mut task = Task::empty(TaskName::new(name).unwrap(), &dir);
    task.project = project.into();
    task.action = Action::Script("x".into());
    let role = if name.starts_with("fix:") { CheckRole::Fix } else { CheckRole::Check };
    task.check = Some(Arc::new(Check {
        role,
        files: files.iter().map(|pattern| (*pattern).into()).collect(),
        passes_files,
        inputs: vec!["config".into()],
        links: Vec::new(),
        has_fix: true,
    }));
    declaration(task, after)
}

fn task(name: &str, inputs: &[&str], after: &[&str]) -> Declaration {
    let project = name.split(':').next().unwrap();
    let dir = if project == "r" { PathBuf::from("/r") } else { Path::new("/r").join(project) };
    let mut task = Task::empty(TaskName::new(name).unwrap(), &dir);
    task.project = project.into();
    task.action = Action::Script("x".into());
    task.exec_if_modified = inputs.iter().map(|pattern| (*pattern).into()).collect();
    declaration(task, after)
}

fn declaration(task: Task, after: &[&str]) -> Declaration {
    let edge = |name: &&str| EdgeRef { task: TaskName::new(name).unwrap(), condition: None, place: None };
    let after = after.iter().map(edge).collect();
    Declaration { task, place: None, after, before: Vec::new(), ports: Vec::new() }
}

fn graph() -> TaskGraph {
    graph_with(Vec::new())
}

fn graph_with(more: Vec<Declaration>) -> TaskGraph {
    let usual = vec![
        task("r:gen", &["schema/*"], &[]),
        check("check:r:fmt", &["**/*.rs", "!gen/**"], true, &["r:gen"]),
        check("fix:r:fmt", &["**/*.rs", "!gen/**"], true, &[]),
        check("check:r:whole", &["**/*.rs"], false, &[]),
        check("fix:r:whole", &["**/*.rs"], false, &[]),
        check("check:web:fmt", &["*.js"], true, &[]),
        check("fix:web:fmt", &["*.js"], true, &[]),
        check("check:web:any", &[], true, &[]),
        check("fix:web:any", &[], true, &[]),
    ];
    TaskGraph::build(usual.into_iter().chain(more).collect()).unwrap()
}

fn named(graph: &TaskGraph, ids: &[TaskId]) -> Vec<String> {
    ids.iter().map(|id| graph.name(*id).to_string()).collect()
}

fn file(path: &str) -> Candidate {
    Candidate { path: path.into(), is_file: true }
}

#[test]
fn names_mean_checks() {
    let graph = graph();
    let cases: [(Option<&str>, &[&str], &[&str]); 11] = [
        (None, &[], &["check:r:fmt", "check:r:whole", "check:web:fmt", "check:web:any"]),
        (Some("web"), &[], &["check:web:fmt", "check:web:any"]),
        (None, &["web:fmt"], &["check:web:fmt"]),
        (None, &["check:web:fmt"], &["check:web:fmt"]),
        (Some("web"), &["fmt"], &["check:web:fmt"]),
        (Some("r"), &["fmt"], &["check:r:fmt"]),
        (None, &["fmt"], &["check:r:fmt", "check:web:fmt"]),
        (Some("web"), &["whole"], &["check:r:whole"]),
        (None, &["web"], &["check:web:fmt", "check:web:any"]),
        (None, &["*:fmt"], &["check:r:fmt", "check:web:fmt"]),
        (None, &["fmt", "web:fmt"], &["check:r:fmt", "check:web:fmt"]),
    ];
    for (project, names, expected) in cases {
        assert_eq!(
            named(&graph, &choose(&graph, project, names).unwrap()),
            expected,
            "{project:?} {names:?}"
        );
    }
    for nothing in ["", "gen", "r:gen", "fmtt", ":fmt", "web::fmt", "fix:r:fmt"] {
        let faults = choose(&graph, None, &[nothing]).unwrap_err();
        assert_eq!(faults.len(), 1, "{nothing}");
    }
    assert_eq!(choose(&graph, None, &["fmtt"]).unwrap_err()[0].suggestions, ["r:fmt", "web:fmt"]);
}

#[test]
fn what_is_skipped() {
    let graph = graph();
    let id = graph.id("check:web:fmt").unwrap();
    let cases: [(&[&str], bool); 6] = [
        (&["fmt"], true),
        (&[" web:fmt "], true),
        (&["r:fmt"], false),
        (&["web"], false),
        (&[""], false),
        (&["a", "fmt"], true),
    ];
    for (skip, expected) in cases {
        assert_eq!(is_skipped(&graph, id, skip), expected, "{skip:?}");
    }
}

#[test]
fn files_go_to_the_checks_that_are_about_them() {
    let graph = graph();
    let all: Vec<TaskId> = choose(&graph, None, &[] as &[&str]).unwrap();
    let told = |candidates: &[Candidate]| -> Vec<(String, Vec<String>)> {
        let files = |files: &[PathBuf]| files.iter().map(|f| f.display().to_string()).collect();
        let assigned = assign(&graph, &all, candidates);
        assigned.iter().map(|a| (graph.name(a.task).to_string(), files(&a.files))).collect()
    };
    let expect = |list: &[(&str, &[&str])]| -> Vec<(String, Vec<String>)> {
        let texts = |files: &[&str]| files.iter().map(|f| (*f).to_owned()).collect();
        list.iter().map(|(name, files)| ((*name).to_owned(), texts(files))).collect()
    };
    assert_eq!(told(&[]), expect(&[]));
    assert_eq!(told(&[file("/r/README")]), expect(&[]), "nobody is about it");
    let two = [file("/r/b.rs"), file("/r/a.rs"), file("/r/gen/c.rs"), file("/r/a.rs")];
    assert_eq!(
        told(&two),
        expect(&[
            ("check:r:fmt", &["/r/a.rs", "/r/b.rs"]),
            ("check:r:whole", &["/r/a.rs", "/r/b.rs", "/r/gen/c.rs"])
        ])
    );
    let deleted = Candidate { path: "/r/web/x.rs".into(), is_file: false };
    assert_eq!(
        told(&[deleted]),
        expect(&[("check:r:whole", &[])]),
        "who looks around has to look again; there is nothing to be given"
    );
    assert_eq!(told(&[file("/r/web/.hidden")]), expect(&[("check:web:any", &["/r/web/.hidden"])]));
    assert_eq!(told(&[file("/elsewhere/a.rs")]), expect(&[]));
}

#[test]
fn what_a_verdict_can_depend_on() {
    let graph = graph_with(vec![
        task("web:always", &[], &[]),
        check("check:web:needs", &["*.js"], true, &["web:always"]),
    ]);
    let given = |name: &str, files: &[&str]| Assigned {
        task: graph.id(name).unwrap(),
        files: files.iter().map(PathBuf::from).collect(),
    };
    let fmt = || vec![given("check:r:fmt", &["/r/a.rs"])];
    let whole = || vec![given("check:r:whole", &["/r/a.rs"])];
    let any = || vec![given("check:web:any", &["/r/web/a"])];
    let needs = || vec![given("check:web:needs", &["/r/web/a"])];
    let cases: [(Vec<Assigned>, &str, bool, &str); 12] = [
        (fmt(), "/r/a.rs", true, "it is given that file"),
        (fmt(), "/r/b.rs", false, "it is not given that one"),
        (fmt(), "/r/config", true, "it rests on that"),
        (fmt(), "/r/schema/x", true, "what it needs rests on that"),
        (whole(), "/r/b.rs", true, "it looks around"),
        (whole(), "/r/schema/x", false, "it needs nothing"),
        (whole(), "/r/config", true, "it rests on that"),
        (any(), "/r/web/b", false, "it is given its files"),
        (any(), "/r/web/config", true, "it rests on that"),
        (needs(), "/r/web/b", true, "what it needs may look at anything there"),
        (needs(), "/r/b", false, "but not elsewhere"),
        (Vec::new(), "/r/a.rs", false, "there is nothing to judge"),
    ];
    for (assigned, path, expected, why) in cases {
        let paths = [PathBuf::from(path)];
        assert_eq!(concerned(&graph, &assigned, &paths).is_some(), expected, "{path}: {why}");
    }
}

#[test]
fn files_are_given_in_portions_that_fit() {
    let files: Vec<PathBuf> = (0..10).map(|n| PathBuf::from(format!("/r/sub/{n}"))).collect();
    let all = |limit: usize| portions(&files, Path::new("/r/sub"), limit);
    // Each takes a character, its end and a pointer.
    for (limit, expected) in
        [(100, vec![10]), (99, vec![9, 1]), (10, vec![1; 10]), (25, vec![2; 5]), (1, vec![1; 10])]
    {
        let portions = all(limit);
        assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{limit}");
        let again: Vec<_> = portions.concat();
        assert_eq!(
            again,
            (0..10).map(|n| std::ffi::OsString::from(n.to_string())).collect::<Vec<_>>(),
            "none is lost, and the order stays"
        );
    }
    assert!(portions(&[], Path::new("/r"), 10).is_empty());
    let odd =
        [PathBuf::from("/r/-rf"), PathBuf::from("/x y"), PathBuf::from(OsStr::from_bytes(b"/r/\xff\n"))];
    let given = portions(&odd, Path::new("/r"), 1000).concat();
    assert_eq!(given, [OsStr::new("./-rf"), OsStr::new("../x y"), OsStr::from_bytes(b"\xff\n")]);
}

#[test]
fn fixes_of_the_same_file_follow_each_other() {
    let graph = graph();
    let given = |name: &str, files: &[&str]| Assigned {
        task: graph.id(name).unwrap(),
        files: files.iter().map(PathBuf::from).collect(),
    };
    let (a, b, c) = ("fix:r:fmt", "fix:web:fmt", "fix:web:any");
    let cases: [(Vec<Assigned>, Vec<Vec<usize>>); 5] = [
        (vec![], vec![]),
        (vec![given(a, &["1"]), given(b, &["2"])], vec![vec![0, 1]]),
        (
            vec![given(a, &["1", "2"]), given(b, &["2", "3"]), given(c, &["3"])],
            vec![vec![0], vec![1], vec![2]],
        ),
        (vec![given(a, &["1"]), given(b, &["1"]), given(c, &["2"])], vec![vec![0, 2], vec![1]]),
        // One that looks around may touch anything.
        (
            vec![given(a, &["1"]), given("fix:r:whole", &["9"]), given(b, &["2"])],
            vec![vec![0], vec![1], vec![2]],
        ),
    ];
    for (assigned, expected) in cases {
        assert_eq!(rounds(&graph, &assigned), expected);
    }
}

#[test]
fn what_a_change_affects() {
    let graph = TaskGraph::build(vec![
        task("r:gen", &["schema/*"], &[]),
        task("r:free", &[], &[]),
        task("web:build", &["*.js"], &["r:gen"]),
        task("web:test", &["tests/*"], &["web:build"]),
        task("web:lint", &[], &[]),
        task("api:build", &["*.go"], &[]),
        check("check:web:fmt", &["*.js"], true, &["web:build"]),
    ])
    .unwrap();
    let files = [("/r/devtask.toml", Some("r")), ("/r/web/devtask.toml", Some("web")), ("/r/.env", None)]
        .map(|(file, project)| (PathBuf::from(file), project.map(str::to_owned)));
    let dirs = [("r", "/r"), ("web", "/r/web"), ("api", "/r/api")]
        .map(|(project, dir)| (project.to_owned(), PathBuf::from(dir)));
    let all = ["r:gen", "r:free", "web:build", "web:test", "web:lint", "api:build"];
    let cases: [(&[&str], Vec<&str>); 8] = [
        (&[], vec![]),
        (&["/elsewhere/x.js"], vec![]),
        (&["/r/schema/a"], vec!["r:gen", "r:free", "web:build", "web:test"]),
        (&["/r/web/a.js"], vec!["r:free", "web:build", "web:test", "web:lint"]),
        (&["/r/web/tests/t"], vec!["r:free", "web:test", "web:lint"]),
        (&["/r/api/README"], vec!["r:free"]),
        (&["/r/web/devtask.toml"], vec!["r:free", "web:build", "web:test", "web:lint"]),
        (&["/r/.env"], all.to_vec()),
    ];
    for (changed, expected) in cases {
        let changed: Vec<PathBuf> = changed.iter().map(PathBuf::from).collect();
        let found: Vec<TaskId> = affected(&graph, &changed, &files, &dirs).iter().collect();
        let found: Vec<String> =
            named(&graph, &found).into_iter().filter(|n| !n.starts_with("check:")).collect();
        assert_eq!(found, expected, "{changed:?}");
    }
}
