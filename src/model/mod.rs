//! The words everybody uses: names, ids, tasks, conditions, outcomes, reasons.
//!
//! Floor 1. Plain data with the rules that belong to the data itself; it knows no file, no clock, no
//! process, and imports no other room.

pub(crate) mod bytes;
mod check;
mod condition;
mod declaration;
mod digest;
mod file;
mod id;
mod kept;
mod line;
mod name;
mod outcome;
mod ports;
mod process;
mod reason;
mod server;
mod task;

pub use check::{CHECKS, Check, CheckRole, FIXES};
pub use condition::Condition;
pub use declaration::{Declaration, EdgeRef, PortUse};
pub use digest::Digest;
pub use file::{DirRecord, FileKind, Files, Learnt, Stamp, StatIdentity};
pub use id::{TaskId, TaskSet};
pub use kept::{KeptFile, KeptKind};
pub use line::{LinePattern, LinePatternFault};
pub use name::{NameFault, PROCESSES, TaskName};
pub use outcome::Outcome;
pub use ports::{PortRef, input_with_ports, is_port_name, port_refs, with_ports};
pub use process::{
    Listen, ListenKind, Port, Probe, ProbeKind, ProcessSpec, Restart, RestartOn, Shutdown, Stage, Watchdog,
};
pub use reason::{Compared, FileChange, Reason, UpstreamChange};
pub use server::TaskServer;
pub use task::{Action, Interpreter, Task, TaskKind, Written};
