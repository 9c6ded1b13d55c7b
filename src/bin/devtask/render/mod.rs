//! What people see.

pub(crate) mod diagnostic;
