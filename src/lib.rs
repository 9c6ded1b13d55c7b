//! devtask runs tasks and reruns only what has to be rerun.
//!
//! This is the library; the program beside it uses nothing but its public items. A task that fails is an
//! [`Outcome`] and an [`Event`], never an `Err`; an `Err` means that devtask itself could not. Faults of
//! task files are [`Diagnostic`]s, all of them at once. The library never prints (but
//! [`tsp::server::Server::main`], which is a program), and reads neither home
//! nor environment by itself; the one exception is `TMPDIR`, for private short-lived files, where no other
//! place is named ([`SessionBuilder::runtime_bases`](session::SessionBuilder::runtime_bases)).
//!
//! ```no_run
//! use devtask::{Condition, Request, Session, Task, TaskGraph};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let graph = TaskGraph::builder()
//!     .task(Task::shell("app:gen", "make gen").exec_if_modified(["schema/**"]))
//!     .task(Task::shell("app:test", "cargo test").after("app:gen", Condition::Succeeded))
//!     .build()?;
//! let session = Session::builder(graph).root(".").environment(std::env::vars_os()).jobs(8).open().await?;
//! let mut run = session.start(Request::run(["app:test"]))?;
//! while let Some(event) = run.next_event().await {
//!     println!("{event:?}");
//! }
//! let summary = run.finish().await?;
//! session.close().await?;
//! # let _ = summary;
//! # Ok(())
//! # }
//! ```
//!
//! # The floor plan
//!
//! Rooms by stage, in the order the data flows. A room imports only rooms on lower floors; deciding is pure,
//! doing is at the edge. `tests/architecture.rs` holds this table and fails when it is broken.
//!
//! | floor | room | what it is for | spec |
//! |---|---|---|---|
//! | 0 | [`diagnostic`] | faults as data | 1 |
//! | 0 | [`planted`] | faults on purpose, in test builds only | |
//! | 1 | [`model`] | the words: names, tasks, conditions, outcomes, reasons | 1.2, 2 |
//! | 2 | [`event`] | what happened, as JSON lines | |
//! | 2 | [`pattern`] | include and exclude patterns | 4.4 |
//! | 3 | [`config`] | task files as text become declarations, with every fault | 1, 6, 7, 9 |
//! | 3 | [`graph`] | proof that the declarations are sound; pictures of them | 2 |
//! | 3 | [`fingerprint`] | the key of a task, and the explanation of a difference | 4.1 |
//! | 3 | [`shell`] | what a run hands on, in the words of a shell | 7 |
//! | 3 | [`trust`] | what a user has allowed, and what is not as it was then | 8 |
//! | 3 | [`report`] | what became of a run, from its log: bars, waiting, the critical path; pages of that | |
//! | 3 | [`propose`] | what a task file could say, from the files other tools have left | |
//! | 4 | [`plan`] | which tasks a run wants: names and modes; which checks, on which files | 1.1, 2, 7 |
//! | 5 | [`schedule`] | the scheduler, a machine without hands | 2, 3 |
//! | | | *above: no I/O, no async, no clock; below: doing* | |
//! | 6 | [`scan`] | walking, the stat cache, hashing | 4.2, 4.4 |
//! | 6 | [`store`] | what is remembered: redb, the lock, the state directory | 4.3, 4.6 |
//! | 6 | [`cache`] | what tasks left at their declared outputs: kept by content, put back | 4.5 |
//! | 6 | [`process`] | child processes, none ever left behind | 3 |
//! | 6 | [`watch`] | what may have changed, as the system tells it | 5 |
//! | 6 | [`tsp`] | the Task Server Protocol: messages, connections, a kit for servers | 9 |
//! | 7 | [`servers`] | task servers as programs: started, asked, judged, ended | 9 |
//! | 7 | [`git`] | git as a program: what is staged, what a branch changed, a private checkout | 7 |
//! | 8 | [`hooks`] | git's hooks: installed beside what was there, and taken away again | 7 |
//! | 8 | [`loader`] | finding, reading and joining task files and the lists of servers; keeping what they came to | 1, 1.1, 4.6, 9 |
//! | 9 | [`session`] | runs: judging, executing, recording, telling | 3, 4 |
//! | 10 | [`serve`] | the session socket: who holds the tree serves the others in it | 4.6, 8 |
//! | 10 | [`checks`] | what has passed a check that is given files | 7 |
//! | 10 | [`doctor`] | what may stand in the way on this machine, and what mends it | |
//! | 10 | [`guide`] | the contract, the protocol of task servers and the hazards, as text | |
//!
//! Siblings on floor 6 are strangers: who stands above carries everything between them. Async lives in
//! [`process`], [`tsp`], [`servers`], [`session`] and the owner's side of [`serve`] only.
//!
//! "spec section 4.1" in a comment is that section of [`guide::spec`]; "hazard C19" and "limit L1" are rows of
//! [`guide::hazards`].
//!
//! # The way of the data
//!
//! ```text
//!  text (toml · json · devenv's json · lists of servers)
//!        │ loader, config (pure parse)
//!        ▼
//!  Declarations ──graph──▶ TaskGraph ──plan──▶ Plan
//!                          (proof of             │
//!                           soundness)           ▼            judge: scan ▶ fingerprint vs store
//!                                     ┌──── Scheduler ◀──── Judged(Stale · Fresh · NoCommand)
//!                              Effect │      (pure)   ◀──── Began, Ended ◀── execute: process ▶ store
//!                         Check·Start·Stop       │
//!                                     ▼          ▼
//!                                  Driver      Event ──▶ the reader of the run · the run's log
//! ```

pub mod cache;
pub mod checks;
pub mod config;
pub mod diagnostic;
pub mod doctor;
pub mod event;
pub mod fingerprint;
pub mod git;
pub mod graph;
pub mod guide;
pub mod hooks;
pub mod loader;
pub mod model;
pub mod pattern;
pub mod plan;
#[doc(hidden)]
pub mod planted;
pub mod process;
pub mod propose;
pub mod report;
pub mod scan;
pub mod schedule;
pub mod serve;
pub mod servers;
pub mod session;
pub mod shell;
pub mod store;
pub mod trust;
pub mod tsp;
pub mod watch;

pub use diagnostic::{Diagnostic, Diagnostics};
pub use event::Event;
pub use graph::{GraphBuilder, TaskDraft, TaskGraph};
pub use model::{Condition, Outcome, Reason, Task, TaskId, TaskName};
pub use plan::Mode;
pub use session::{
    Caller, LiveLines, Request, Run, RunControl, RunSummary, Session, SessionBuilder, SessionError,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
