//! A graph made in code: its order, its picture, and the faults of one that is not sound.
//!
//! `cargo run --example build_graph`

use devtask::{
    Condition, Mode, Task, TaskGraph,
    graph::render::tree,
    plan::{Plan, select},
};

fn main() {
    let graph = TaskGraph::builder()
        .task(Task::shell("app:gen", "make gen").exec_if_modified(["schema/**"]).outputs(["gen"]))
        .task(Task::shell("app:build", "make").after("app:gen", Condition::Succeeded))
        .task(Task::shell("app:lint", "make lint"))
        .task(
            Task::shell("app:report", "make report")
                .after("app:build", Condition::Succeeded)
                .after("app:lint", Condition::Completed),
        )
        .build()
        .expect("these tasks make a graph");

    let roots = select(&graph, Some("app"), &["report"]).expect("`report` is `app:report` in project app");
    let plan = Plan::new(&graph, roots, Mode::Before);
    println!("{}", tree(&graph, plan.scheduled(), plan.roots(), None));
    let order: Vec<&str> = plan.order().iter().map(|id| graph.name(*id).as_str()).collect();
    println!("in order: {}", order.join(", "));

    let faults = TaskGraph::builder()
        .task(Task::shell("app:hen", "lay").after("app:egg", Condition::Succeeded))
        .task(Task::shell("app:egg", "hatch").after("app:hen", Condition::Succeeded))
        .task(Task::shell("app:fox", "eat").after("app:henn", Condition::Succeeded))
        .build()
        .expect_err("a cycle and an unknown name");
    for fault in faults.0 {
        println!("fault: {} ({})", fault.message, fault.hint.unwrap_or_default());
    }
}
