//! Watches a small tree of its own, edits a file of it, and shows what the watch tells: only what the edit concerns
//! runs again.
//!
//! `cargo run --example watch`

use std::error::Error;

use devtask::{
    Condition, Request, Session, Task, TaskGraph,
    event::What,
    session::{WatchOptions, WatchSummary},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("words.txt"), "pear\napple\n")?;
    std::fs::write(dir.path().join("title.txt"), "Fruit\n")?;
    let graph = TaskGraph::builder()
        .task(
            Task::shell("words:sort", "sort words.txt > sorted.txt")
                .exec_if_modified(["words.txt"])
                .outputs(["sorted.txt"]),
        )
        .task(
            Task::shell("words:page", "cat title.txt sorted.txt > page.txt")
                .after("words:sort", Condition::Succeeded)
                .exec_if_modified(["title.txt", "sorted.txt"]),
        )
        .build()?;
    let session = Session::builder(graph).root(dir.path()).environment(std::env::vars_os()).open().await?;
    let mut watch = session.watch(Request::run(["words:page"]), WatchOptions::default()).await?;
    // Once everything is up to date, each edit is made, and then the watch is ended.
    let mut edits = vec![("words.txt", "plum\nfig\n"), ("title.txt", "Sweet fruit\n")].into_iter();
    while let Some(event) = watch.next_event().await {
        match event.what {
            What::WatchStarted { files, .. } => println!("watching, {files} files so far"),
            What::FilesChanged { paths, .. } => println!("changed: {}", paths.join(" ")),
            What::TaskFinished(finished) => println!("  {} {}", finished.task, finished.status),
            What::Waiting { .. } => match edits.next() {
                Some((name, content)) => std::fs::write(dir.path().join(name), content)?,
                // `rerun_failed`, `rerun_all` and `hold` are other orders one can give.
                None => watch.control().interrupt(),
            },
            _ => {}
        }
    }
    let WatchSummary { cycles, failed, .. } = watch.finish().await?;
    println!("{cycles} cycles; a task stands as failed: {failed}");
    print!("{}", std::fs::read_to_string(dir.path().join("page.txt"))?);
    session.close().await?;
    Ok(())
}
