//! What people see. Everything here turns data into text; only [`screen`] writes.

pub(crate) mod diagnostic;
pub(crate) mod lines;
pub(crate) mod reason;
pub(crate) mod screen;
pub(crate) mod text;
