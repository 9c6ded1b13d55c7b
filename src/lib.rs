//! devtask runs tasks and reruns only what has to be rerun.

pub mod config;
pub mod diagnostic;
pub mod event;
pub mod fingerprint;
pub mod graph;
pub mod loader;
pub mod model;
pub mod pattern;
pub mod plan;
pub mod process;
pub mod scan;
pub mod schedule;
pub mod session;
pub mod store;

pub use diagnostic::Diagnostic;
pub use event::Event;
pub use graph::{GraphBuilder, TaskDraft, TaskGraph};
pub use model::{Condition, Outcome, Reason, Task, TaskName};
pub use plan::Mode;
pub use session::{Request, Run, RunSummary, Session, SessionError};
