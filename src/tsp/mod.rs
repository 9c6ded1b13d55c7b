//! The Task Server Protocol: tasks written in any language.
//!
//! Floor 6. An executable lists tasks and runs them, over JSON-RPC 2.0: one object a line, on a Unix socket or on its
//! descriptor 3. devtask is the client, the executable the server. [`guide::protocol`](crate::guide::protocol) is
//! the contract.
//!
//! | file | story |
//! |---|---|
//! | `frame` | bytes to messages, in bounded memory (pure) |
//! | `message` | the messages (pure) |
//! | `client` | devtask's end of a connection (async) |
//! | [`server`] | for who writes a server in Rust (threads, no runtime) |
//!
//! The room knows connections. It must never know how a server is started or what its tasks mean to a graph: that is
//! the business of [`servers`](crate::servers), the loader and the session.

mod client;
mod frame;
mod message;
pub mod server;

pub use client::{Answers, Client, Fault, Said};
pub use frame::{Frames, LIMIT, TooLong};
pub use message::{
    Cancel, Capabilities, Id, InitializeParams, InitializeResult, Log, Malformed, Message, Progress, Remark,
    RpcError, RunParams, RunResult, Status, TaskError, TaskObject, VERSION, code, method, read_value,
};
