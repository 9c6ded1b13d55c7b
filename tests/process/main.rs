//! Child processes: their output, their files, and above all that none is left behind.

mod files;
mod output;
#[cfg(target_os = "linux")]
mod shapes;
mod sockets;
mod spawn;
mod stop;
mod support;
