//! The source of events on real directories.

mod apart;
mod caller;
mod limits;
mod storms;
mod support;
mod table;
