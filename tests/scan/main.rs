//! Walking and hashing real trees.

mod live;
mod oracle;
mod support;
mod table;
mod trails;
mod walk;
