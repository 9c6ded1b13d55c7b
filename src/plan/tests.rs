use std::collections::BTreeSet;

use super::*;
use crate::{
    graph::{TaskDraft, TaskGraph},
    model::{Condition, Task, TaskId, TaskKind},
};

/// A task of the project its name begins with.
fn task(name: &str, after: &[&str]) -> TaskDraft {
    let project = name.split(':').next().unwrap();
    let draft = Task::shell(name, "true").with(|task| task.project = project.into());
    after.iter().fold(draft, |draft, upstream| draft.after(upstream, Condition::Succeeded))
}

fn graph(tasks: &[(&str, &[&str])]) -> TaskGraph {
    let builder = tasks.iter().fold(TaskGraph::builder(), |b, (name, after)| b.task(task(name, after)));
    builder.build().unwrap()
}

fn names(graph: &TaskGraph, ids: impl IntoIterator<Item = TaskId>) -> Vec<&str> {
    ids.into_iter().map(|id| graph.name(id).as_str()).collect()
}

fn monorepo() -> TaskGraph {
    let names = [
        "web:build",
        "web:ci",
        "web:lint",
        "ci:unit",
        "ci:unit:fast",
        "ci:lint",
        "ci2:lint",
        "api:build",
        "api:unit:lint",
        "web:api:build",
    ];
    graph(&names.map(|name| (name, [].as_slice())))
}

#[test]
fn names_select_by_the_rules_of_the_specification() {
    let cases: &[(Option<&str>, &[&str], &[&str])] = &[
        // 1. a full name, also when it is a prefix of others, also when a local name would fit
        (None, &["web:build"], &["web:build"]),
        (None, &["ci:unit"], &["ci:unit"]),
        (Some("web"), &["api:build"], &["api:build"]),
        // 2. a local name of the project of the working directory
        (Some("web"), &["build"], &["web:build"]),
        (Some("api"), &["build"], &["api:build"]),
        (Some("api"), &["unit:lint"], &["api:unit:lint"]),
        (Some("web"), &["ci"], &["web:ci"]),
        // 3. a namespace
        (None, &["ci"], &["ci:unit", "ci:unit:fast", "ci:lint"]),
        (None, &["ci:"], &["ci:unit", "ci:unit:fast", "ci:lint"]),
        (Some("web"), &["ci:"], &["ci:unit", "ci:unit:fast", "ci:lint"]),
        (None, &["ci:unit:"], &["ci:unit:fast"]),
        (Some("web"), &["api"], &["api:build", "api:unit:lint"]),
        // 4. a pattern on whole segments
        (None, &["*:lint"], &["web:lint", "ci:lint", "ci2:lint"]),
        (None, &["*:*:lint"], &["api:unit:lint"]),
        (None, &["ci:*"], &["ci:unit", "ci:lint"]),
        (None, &["*:unit:*"], &["ci:unit:fast", "api:unit:lint"]),
        // each once, in the order they are named, after trimming
        (
            None,
            &[" ci:lint ", "ci", "*:lint"],
            &["ci:lint", "ci:unit", "ci:unit:fast", "web:lint", "ci2:lint"],
        ),
    ];
    let graph = monorepo();
    for (project, typed, expected) in cases {
        let selected = select(&graph, *project, typed).map(|ids| names(&graph, ids));
        assert_eq!(selected.as_deref(), Ok(*expected), "{project:?} {typed:?}");
    }
}

#[test]
fn what_selects_nothing_is_told_with_suggestions() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("  ", &[]),
        (":", &[]),
        (":build", &["api:build", "web:build", "web:api:build"]),
        ("web::build", &["web:build", "web:api:build", "api:build"]),
        ("*", &[]),
        ("c*:lint", &["ci:lint", "ci2:lint", "web:lint"]),
        ("*:", &[]),
        ("*:build:*", &[]),
        ("web:biuld", &["web:build", "api:build", "web:api:build"]),
        ("lnit", &["web:lint", "ci:lint", "ci2:lint"]),
        ("utterly-different", &[]),
    ];
    let graph = monorepo();
    for (typed, expected) in cases {
        let faults = select(&graph, None, &[*typed]).unwrap_err();
        let suggestions = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            faults,
            [SelectFault {
                typed: typed.trim().into(),
                suggestions,
                is_of_processes: false,
                no_process: None,
                is_check: false
            }],
            "{typed:?}"
        );
    }
    let both = select(&graph, None, &["nope-1", "web:build", "nope-2"]).unwrap_err();
    assert_eq!(both.iter().map(|f| f.typed.as_str()).collect::<Vec<_>>(), ["nope-1", "nope-2"]);
}

/// A process of the project its name begins with, or of `top` beneath `devenv:processes`.
fn process(name: &str, project: &str, autostart: bool) -> TaskDraft {
    Task::shell(name, "serve").with(|task| {
        task.project = project.into();
        task.kind = crate::graph::tests::process(true);
        if let TaskKind::Process(spec) = &mut task.kind {
            spec.autostart = autostart;
        }
    })
}

/// The root `top` and the projects `web` and `lib`, with processes and tasks.
fn servers() -> TaskGraph {
    TaskGraph::builder()
        .task(process("devenv:processes:api", "top", true))
        .task(process("devenv:processes:db", "top", true))
        .task(process("devenv:processes:web:api", "web", true))
        .task(process("devenv:processes:web:ui", "web", false))
        .task(process("web:dev", "web", true))
        .task(task("web:build", &[]))
        .task(task("web:db", &[]))
        .task(task("lib:build", &[]))
        .task(process("lib:build:watch", "lib", true))
        .build()
        .unwrap()
}

#[test]
fn names_select_processes() {
    let cases: &[(Option<&str>, &[&str], &[&str])] = &[
        // full names
        (None, &["devenv:processes:web:api"], &["devenv:processes:web:api"]),
        (Some("lib"), &["web:dev"], &["web:dev"]),
        // local names: of the own project, then of the root; a task of that name is in nobody's way
        (Some("web"), &["api"], &["devenv:processes:web:api"]),
        (Some("web"), &["dev"], &["web:dev"]),
        (Some("web"), &["db"], &["devenv:processes:db"]),
        (Some("top"), &["api"], &["devenv:processes:api"]),
        (Some("lib"), &["api"], &["devenv:processes:api"]),
        (None, &["api"], &["devenv:processes:api"]),
        // of another project
        (None, &["web:api"], &["devenv:processes:web:api"]),
        // namespaces
        (None, &["web"], &["devenv:processes:web:api", "devenv:processes:web:ui", "web:dev"]),
        (None, &["web:"], &["devenv:processes:web:api", "devenv:processes:web:ui", "web:dev"]),
        (None, &["lib"], &["lib:build:watch"]),
        (None, &["lib:build:"], &["lib:build:watch"]),
        (
            None,
            &["devenv:processes"],
            &[
                "devenv:processes:api",
                "devenv:processes:db",
                "devenv:processes:web:api",
                "devenv:processes:web:ui",
            ],
        ),
        // patterns
        (None, &["*:api"], &["devenv:processes:web:api"]),
        (None, &["web:*"], &["devenv:processes:web:api", "devenv:processes:web:ui", "web:dev"]),
        (None, &["*"], &["devenv:processes:api", "devenv:processes:db"]),
        // each once, in the order they are named, after trimming
        (Some("web"), &[" db ", "*:api", "db"], &["devenv:processes:db", "devenv:processes:web:api"]),
        (None, &[], &[]),
    ];
    let graph = servers();
    for (project, typed, expected) in cases {
        let typed: Vec<String> = typed.iter().map(|name| (*name).to_owned()).collect();
        let selected = select_processes(&graph, *project, &typed).map(|ids| names(&graph, ids));
        assert_eq!(selected.as_deref(), Ok(*expected), "{project:?} {typed:?}");
    }
}

#[test]
fn what_selects_no_process_is_told_with_suggestions_among_processes() {
    type Case = (Option<&'static str>, &'static str, &'static [&'static str], Option<&'static str>);
    let cases: &[Case] = &[
        (None, "", &[], None),
        (None, "::", &[], None),
        (None, "apii", &["devenv:processes:api", "devenv:processes:web:api"], None),
        (None, "web:buidl", &[], None),
        (None, "web:deb", &["web:dev", "devenv:processes:db"], None),
        (None, "web:build", &[], Some("web:build")),
        (Some("web"), "build", &[], Some("web:build")),
        (Some("top"), "build", &[], None),
        (None, "lib:build", &[], Some("lib:build")),
        (None, "devenv:enterShell", &[], Some("devenv:enterShell")),
        (None, "*:build", &[], None),
    ];
    let graph = servers();
    for (project, typed, expected, no_process) in cases {
        let faults = select_processes(&graph, *project, &[(*typed).to_owned()]).unwrap_err();
        let fault = SelectFault {
            typed: (*typed).to_owned(),
            suggestions: expected.iter().map(|name| (*name).to_owned()).collect(),
            is_of_processes: true,
            no_process: no_process.map(|name| graph.name(graph.id(name).unwrap()).clone()),
            is_check: false,
        };
        assert_eq!(faults, [fault], "{project:?} {typed:?}");
    }
}

#[test]
fn without_names_up_starts_what_is_enabled() {
    let graph = servers();
    let cases: &[(Option<&str>, &[&str])] = &[
        (Some("web"), &["devenv:processes:web:api", "web:dev"]),
        (Some("top"), &["devenv:processes:api", "devenv:processes:db"]),
        (Some("nobody"), &[]),
        (
            None,
            &[
                "devenv:processes:api",
                "devenv:processes:db",
                "devenv:processes:web:api",
                "web:dev",
                "lib:build:watch",
            ],
        ),
    ];
    for (project, expected) in cases {
        assert_eq!(names(&graph, processes_to_start(&graph, *project)), *expected, "{project:?}");
    }
}

/// `a -> b -> c -> d`, `x -> c`, `b -> y`, `far -> x`, all "is needed by".
fn mesh() -> TaskGraph {
    graph(&[
        ("t:a", &[]),
        ("t:b", &["t:a"]),
        ("t:c", &["t:b", "t:x"]),
        ("t:d", &["t:c"]),
        ("t:x", &["t:far"]),
        ("t:y", &["t:b"]),
        ("t:far", &[]),
        ("t:apart", &[]),
    ])
}

#[test]
fn modes_schedule_what_the_specification_says() {
    let cases: &[(&[&str], Mode, &[&str])] = &[
        (&["t:b"], Mode::Single, &["t:b"]),
        (&["t:b"], Mode::Before, &["t:a", "t:b"]),
        (&["t:b"], Mode::After, &["t:b", "t:c", "t:d", "t:y"]),
        (&["t:b"], Mode::All, &["t:a", "t:b", "t:c", "t:d", "t:far", "t:x", "t:y"]),
        (&["t:d"], Mode::All, &["t:a", "t:b", "t:c", "t:d", "t:far", "t:x"]),
        (&["t:a", "t:d"], Mode::Single, &["t:a", "t:d"]),
        (&["t:x", "t:y"], Mode::Before, &["t:a", "t:b", "t:far", "t:x", "t:y"]),
        (&["t:x", "t:y"], Mode::After, &["t:c", "t:d", "t:x", "t:y"]),
        (&[], Mode::All, &[]),
    ];
    let graph = mesh();
    for (roots, mode, expected) in cases {
        let ids: Vec<TaskId> = roots.iter().map(|name| graph.id(name).unwrap()).collect();
        let plan = Plan::new(&graph, ids.iter().copied(), *mode);
        let scheduled: BTreeSet<&str> = names(&graph, plan.scheduled().iter()).into_iter().collect();
        assert_eq!(scheduled, expected.iter().copied().collect(), "{roots:?} {mode}");
        assert_eq!(
            plan.roots().iter().collect::<BTreeSet<_>>(),
            ids.into_iter().collect(),
            "{roots:?} {mode}"
        );
        assert_eq!(plan.order().len(), plan.scheduled().len(), "{roots:?} {mode}");
    }
}

#[test]
fn the_order_of_a_plan_is_upstream_first() {
    let graph = mesh();
    let plan = Plan::new(&graph, graph.id("t:c"), Mode::Before);
    assert_eq!(names(&graph, plan.order().iter().copied()), ["t:a", "t:b", "t:far", "t:x", "t:c"]);
}

#[test]
fn without_names_a_run_takes_what_nothing_else_needs() {
    let server = Task::shell("web:server", "serve").after("web:assets", Condition::Succeeded).with(|task| {
        task.project = "web".into();
        task.kind = crate::graph::tests::process(true);
    });
    let graph = TaskGraph::builder()
        .task(task("web:gen", &[]))
        .task(task("web:build", &["lib:build"]))
        .task(task("lib:build", &["web:gen"]))
        .task(task("lib:docs", &[]))
        .task(task("web:assets", &[]))
        .task(task("web:setup", &[]))
        .task(task("web:hello", &["devenv:enterShell"]))
        .task(server)
        .build()
        .unwrap();
    let cases: &[(Option<&str>, &[&str])] = &[
        // `web:gen` is needed by `web:build` through another project; a process is nobody's goal
        (Some("web"), &["web:build", "web:assets", "web:setup", "web:hello"]),
        (Some("lib"), &["lib:build", "lib:docs"]),
        (None, &["web:build", "lib:docs", "web:assets", "web:setup", "web:hello"]),
        (Some("nobody"), &[]),
    ];
    for (project, expected) in cases {
        assert_eq!(names(&graph, default_selection(&graph, *project)), *expected, "{project:?}");
    }
}

#[test]
fn long_chains_are_planned_without_recursion() {
    let name = |at: usize| format!("n:{at}");
    let mut builder = TaskGraph::builder().task(Task::group(&name(0)));
    for at in 1..100_000 {
        builder = builder.task(Task::group(&name(at)).after(&name(at - 1), Condition::Succeeded));
    }
    let graph = builder.build().unwrap();
    let last = graph.id("n:99999").unwrap();
    assert_eq!(Plan::new(&graph, [last], Mode::Before).order().len(), 100_000);
    assert_eq!(default_selection(&graph, None), [last]);
}
