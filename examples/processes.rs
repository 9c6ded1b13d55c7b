//! A server and a task that needs it, in a directory of its own: the run starts the server, waits until it is ready, and
//! ends it afterwards; a second run has nothing to do, so the server is not even started.
//!
//! `cargo run --example processes`

use std::error::Error;

use devtask::{
    Condition, Request, Session, Task, TaskGraph,
    event::What,
    model::{ProbeKind, Stage},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("question.txt"), "6 * 7\n")?;
    // Whoever writes a line into the first pipe is answered by a line in the second.
    let server = "mkfifo ask answer
        echo ready
        while read -r question < ask; do echo $((question)) > answer; done";
    let graph = TaskGraph::builder()
        .task(Task::process("sums:server", server).ready(ProbeKind::Log("^ready$".to_owned())))
        .task(
            Task::shell("sums:ask", "cat question.txt > ask; cat answer > answer.txt")
                .after("sums:server", Condition::Ready)
                .exec_if_modified(["question.txt"])
                .outputs(["answer.txt"]),
        )
        .build()?;
    let session = Session::builder(graph).root(dir.path()).environment(std::env::vars_os()).open().await?;
    for round in ["first", "second"] {
        println!("{round}:");
        let mut run = session.start(Request::run(["sums:ask"]))?;
        while let Some(event) = run.next_event().await {
            match event.what {
                // `Request::keeping_processes` leaves it up, and `Session::processes` sees to it then.
                What::ProcessState(status) if status.stage != Stage::Stopping => {
                    println!("  {} is {}", status.task, status.stage.as_str());
                }
                What::TaskFinished(finished) => println!("  {} {}", finished.task, finished.status),
                _ => {}
            }
        }
        run.finish().await?;
    }
    print!("{}", std::fs::read_to_string(dir.path().join("answer.txt"))?);
    session.close().await?;
    Ok(())
}
