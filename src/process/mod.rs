//! Child processes: started, listened to, ended, and never left behind.
//!
//! Floor 6, async. A [`Warden`] stands for one session: every child is started through it, carries
//! its marker in the environment, leads a process group of its own, and is found again by group,
//! marker or descent when the time comes to end it. A [`Job`] is one running child with its output.
//! Should this process die without a word, the guardian (a tiny process of the same program) ends
//! what is left; should that die too, the next session does, from the session file.
//!
//! How a child is, it says by itself on a [`NotifySocket`], or when asked: [`ask_tcp`], [`ask_http`].
//!
//! The room knows programs, bytes and signals. It must never know tasks, graphs, freshness, or why
//! something is started or stopped; it prints nothing and reads neither home nor environment.
//!
//! What cannot be had on every system: markers, adoption and descent are read from `/proc` and exist
//! on Linux only; elsewhere process groups are all there is.

mod activation;
mod arguments;
mod capped;
mod children;
mod command;
mod control;
mod ended;
mod files;
mod follow;
mod guardian;
mod inherited;
mod job;
mod leader;
mod listen;
mod log;
mod log_file;
mod marker;
mod notify;
mod output;
mod port;
mod predecessors;
mod probe;
mod proc;
mod recorder;
mod rotated;
mod socket;
mod spawn_error;
mod sweep;
mod unix_socket;
mod warden;

pub use arguments::{argument_room, stack_limit};
pub use command::{Command, Third, find_program};
pub use control::JobControl;
pub use ended::{Ended, EndedBy, Exit, Launch, Timeout};
pub use files::{FileFault, RuntimeDir, TaskFiles};
pub use follow::LogFollower;
pub use guardian::{GUARDIAN_ARGUMENT, guardian_main};
pub use inherited::inherited;
pub use job::Job;
pub use listen::{ActivationSocket, ListenFault, ListenOn};
pub use log::{DEFAULT_LOG_CAP, Keep, LogTarget, PROCESS_LOG_FILES, PROCESS_LOG_SIZE};
pub use marker::SESSION_VARIABLE;
pub use notify::{Notice, NotifySocket};
pub use port::{HeldPort, PortClaim, PortHolder, PortTaken, port_holder};
pub use predecessors::{DeadSession, dead_sessions};
pub use probe::{HttpQuestion, Scheme, ask_http, ask_tcp};
pub use recorder::{LineSink, Piece, Recorder, SinkMode, Written};
pub use spawn_error::{SpawnError, fault_of_directory};
pub use warden::{Warden, WardenOptions};
