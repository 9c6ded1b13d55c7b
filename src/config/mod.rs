//! Task files as text become declarations: pure parsing with spans.
//!
//! Floor 3, pure. TOML and JSON are read into one tree of values with places; one set of tables decodes that tree and
//! makes the JSON Schema. All faults of a text are found in one pass, each with its place and a hint.
//! It must never know where a text comes from: no file is opened here, no variable is read. Finding,
//! reading and joining files is the loader's.

mod address;
mod declare;
mod decode;
mod devenv;
mod dotenv;
mod file;
mod interpolate;
mod json;
mod path;
mod patterns;
mod process;
mod read;
mod resolve;
mod rules;
mod server;
mod spec;
mod table;
mod tables;
mod toml;
mod types;
mod value;
mod watch;

pub use devenv::parse_devenv;
pub use dotenv::parse_dotenv;
pub use file::{Declared, ProjectFile, Scope, Settings, Text, parse_json, parse_toml, schema};
pub use path::normalise;
pub use tables::{Color, Ui};
pub use types::parse_size;

#[cfg(test)]
mod tests;
