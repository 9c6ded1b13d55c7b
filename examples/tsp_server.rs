//! The smallest server: two tasks, the second of which uses what the first hands on.
//!
//! By hand: `cargo run --example tsp_server -- list`, `… -- run words:count --input '{"text": "to be or not"}'`.
//! In a task file: `[servers.words]` with `command = ["cargo", "run", "--quiet", "--example", "tsp_server"]`.

use std::process::ExitCode;

use devtask::tsp::server::{Failure, Run, Server, Task};
use serde::{Deserialize, Serialize};

/// What the first task can be given: any JSON that serde can read into this.
#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    text: String,
}

/// What it hands on.
#[derive(Serialize, Deserialize)]
struct Count {
    words: usize,
}

fn count(run: &Run, input: Input) -> Result<Count, Failure> {
    // A line of the task; `warn` is the same on stderr.
    run.log(format!("counting the words of `{}`", input.text));
    Ok(Count { words: input.text.split_whitespace().count() })
}

fn praise(run: &Run, (): ()) -> Result<(), Failure> {
    let count: Count = run.upstream("words:count")?;
    if count.words == 0 {
        // The result of the task, and no fault of the server: that goes on.
        return Err(Failure::new("there are no words to praise"));
    }
    run.message(format!("{} words, well chosen", count.words));
    Ok(())
}

fn main() -> ExitCode {
    Server::new("words")
        .task(Task::new("words:count", count).description("how many words there are"))
        .task(Task::new("words:praise", praise).description("says something nice").after("words:count"))
        .main()
}
