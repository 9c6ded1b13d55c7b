//! Walking and hashing real trees.

mod oracle;
mod support;
mod table;
mod trails;
mod walk;
