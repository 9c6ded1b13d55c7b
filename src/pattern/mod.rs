//! Include and exclude patterns (spec sections 4.4 and 4.5).
//!
//! A [`PatternSet`] is the compiled form of one task's `execIfModified` or `outputs`. Every pattern
//! becomes one or more [`Glob`]s: a fixed beginning (an absolute path) and the segments after it, matched
//! one path segment at a time by a small set of states. So a walk can ask at each directory whether
//! anything beneath can still match, and the rules about hidden names hold exactly where they are meant.
//!
//! Floor 2, pure: it compares names and never looks at a file. What git ignores, what is a directory and
//! where the state directory lies is known only to those who walk.

mod brace;
mod compile;
mod parse;
mod segment;
mod set;

#[cfg(test)]
mod tests;

pub use compile::{Glob, States};
pub use parse::escape;
pub use set::{PatternFault, PatternKind, PatternSet};
