//! Runs two tasks in a directory of their own, twice, and reads the events: the second time nothing executes.
//!
//! `cargo run --example subscribe`

use std::error::Error;

use devtask::{
    Condition, Request, Session, Task, TaskGraph,
    event::{Decided, What},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("words.txt"), "pear\napple\n")?;
    let graph = TaskGraph::builder()
        .task(
            Task::shell("words:sort", "sort words.txt > sorted.txt")
                .exec_if_modified(["words.txt"])
                .outputs(["sorted.txt"]),
        )
        .task(
            Task::shell(
                "words:count",
                r#"echo "{\"lines\": $(wc -l < sorted.txt)}" > "$DEVENV_TASK_OUTPUT_FILE""#,
            )
            .after("words:sort", Condition::Succeeded)
            .exec_if_modified(["sorted.txt"]),
        )
        .build()?;
    let session = Session::builder(graph).root(dir.path()).environment(std::env::vars_os()).open().await?;
    for round in ["first", "second"] {
        println!("{round} run:");
        let mut run = session.start(Request::run(["words:count"]))?;
        while let Some(event) = run.next_event().await {
            match event.what {
                What::Decision { task, action: Decided::Run, reasons, .. } => {
                    println!("  {task} runs: {reasons:?}")
                }
                What::TaskFinished(finished) => println!("  {} {}", finished.task, finished.status),
                _ => {}
            }
        }
        println!("  outputs: {:?}", run.finish().await?.outputs);
    }
    session.close().await?;
    Ok(())
}
