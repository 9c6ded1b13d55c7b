//! Finding and joining task files.
