//! What people see. Everything here turns data into text; only [`printer`] writes.

pub(crate) mod clock;
pub(crate) mod diagnostic;
pub(crate) mod github;
pub(crate) mod lines;
pub(crate) mod printer;
pub(crate) mod process;
pub(crate) mod reason;
pub(crate) mod screen;
pub(crate) mod text;
pub(crate) mod watch;
