use super::*;
use crate::model::{Condition, Task};

/// All of the graph but the built-in events, and the tasks named as roots.
fn part(graph: &TaskGraph, roots: &[&str]) -> (TaskSet, TaskSet) {
    let scheduled = graph.ids().filter(|id| !graph.is_builtin(*id)).collect();
    (scheduled, roots.iter().filter_map(|name| graph.id(name)).collect())
}

fn web() -> TaskGraph {
    let gen_twice = Task::shell("app:build", "make")
        .after("app:gen", Condition::Started)
        .after("app:gen", Condition::Completed)
        .after("app:install", Condition::Succeeded);
    let db = Task::shell("app:db", "db").with(|task| {
        task.kind = crate::graph::tests::process(true);
        task.description = Some("the \"db\"".into());
    });
    TaskGraph::builder()
        .task(gen_twice)
        .task(Task::shell("app:gen", "gen").after("app:install", Condition::Succeeded))
        .task(Task::shell("app:install", "npm i"))
        .task(db)
        .task(
            Task::shell("app:test", "test")
                .after("app:install", Condition::Completed)
                .after("app:db", Condition::Ready)
                .after("app:build", Condition::Succeeded),
        )
        .task(Task::shell("app:apart", "true"))
        .build()
        .unwrap()
}

#[test]
fn a_tree_has_roots_first_and_each_task_once() {
    let graph = web();
    let (scheduled, roots) = part(&graph, &["app:test"]);
    let expected = "\
app:test
├── app:build
│   ├── app:gen@started @completed
│   │   └── app:install
│   └── app:install (above)
├── app:db
└── app:install@completed (above)
app:apart
";
    assert_eq!(tree(&graph, &scheduled, &roots, None), expected);
}

#[test]
fn a_tree_shows_only_what_is_scheduled() {
    let graph = web();
    let scheduled = ["app:gen", "app:build"].iter().filter_map(|name| graph.id(name)).collect();
    assert_eq!(
        tree(&graph, &scheduled, &TaskSet::new(), None),
        "app:build\n└── app:gen@started @completed\n"
    );
    assert_eq!(tree(&graph, &TaskSet::new(), &TaskSet::new(), None), "");
}

#[test]
fn dot_quotes_names_and_labels_states() {
    let graph = web();
    let (scheduled, _) = part(&graph, &[]);
    let expected = r#"digraph tasks {
  rankdir=LR;
  node [shape=box];
  "app:apart";
  "app:db" [style=rounded];
  "app:install";
  "app:gen";
  "app:build";
  "app:test";
  "app:install" -> "app:gen";
  "app:gen" -> "app:build" [label="@started @completed"];
  "app:install" -> "app:build";
  "app:build" -> "app:test";
  "app:db" -> "app:test";
  "app:install" -> "app:test" [label="@completed"];
}
"#;
    assert_eq!(dot(&graph, &scheduled, None), expected);
}

#[test]
fn mermaid_names_nodes_by_number_and_quotes_labels() {
    let graph = web();
    let scheduled = ["app:install", "app:db", "app:test"].iter().filter_map(|name| graph.id(name)).collect();
    let expected = r#"flowchart LR
  t3(["app:db"])
  t2["app:install"]
  t4["app:test"]
  t3 --> t4
  t2 -->|"@completed"| t4
"#;
    assert_eq!(mermaid(&graph, &scheduled, None), expected);
}

#[test]
fn json_lists_tasks_and_edges() {
    let graph = web();
    let scheduled = ["app:db", "app:install", "app:test"].iter().filter_map(|name| graph.id(name)).collect();
    let roots = graph.id("app:test").into_iter().collect();
    let expected = json!({
        "tasks": [
            { "name": "app:db", "project": "", "description": "the \"db\"", "type": "process", "root": false },
            { "name": "app:install", "project": "", "description": null, "type": "oneshot", "root": false },
            { "name": "app:test", "project": "", "description": null, "type": "oneshot", "root": true },
        ],
        "edges": [
            { "from": "app:db", "to": "app:test", "conditions": ["ready"] },
            { "from": "app:install", "to": "app:test", "conditions": ["completed"] },
        ],
    });
    assert_eq!(json(&graph, &scheduled, &roots, None), expected);
}

#[test]
fn what_lies_too_deep_is_drawn_below() {
    let name = |at: usize| format!("a:{at:06}");
    let mut builder = TaskGraph::builder().task(Task::group(&name(0)));
    for at in 1..100_000 {
        builder = builder.task(Task::group(&name(at)).after(&name(at - 1), Condition::Succeeded));
    }
    let graph = builder.build().unwrap();
    let (scheduled, roots) = part(&graph, &[]);
    let rows = rows(&graph, &scheduled, &roots);
    let drawn: TaskSet = rows.iter().filter(|row| row.elsewhere.is_none()).map(|row| row.task).collect();
    assert_eq!(drawn, scheduled, "each task is drawn");
    let below: Vec<&str> = rows
        .iter()
        .filter(|row| row.elsewhere == Some(Elsewhere::Below))
        .map(|row| graph.name(row.task).as_str())
        .collect();
    assert_eq!((below.len(), below[0]), (100_000 / 40 - 1, "a:099959"));
    assert_eq!(rows.len(), 100_000 + below.len(), "and none of them twice");
}
