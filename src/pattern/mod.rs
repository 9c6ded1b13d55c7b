//! Include and exclude patterns.
