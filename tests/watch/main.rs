//! The source of events on real directories.

mod caller;
mod support;
mod table;
