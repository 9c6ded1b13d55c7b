//! Task files to declarations.
