//! What checks have passed: a file that passed one is not given to it again until it, or the check, changes.
//!
//! Floor 10, synchronous. It serves checks that are given files, each of which is looked at by itself
//! (`pass_files`): for them freshness is a matter of single files, whatever set somebody names. All other checks are
//! tasks whose freshness the session judges. The room holds the rules of the record protocol (hazards, section 0) for
//! such checks: contents are read before the check starts and compared after, and what failed is forgotten.
//!
//! | file | story |
//! |---|---|
//! | `key` | what a check is, with everything it rests on but the file it looks at |
//! | `passed` | the contents that have passed it |
//! | `look` | files as they are at one moment |
//! | `pending` | what is left to be looked at, and what is remembered of it |

mod key;
mod look;
mod passed;
mod pending;

pub use key::{Ground, Key, key};
pub use look::Look;
pub use passed::Passed;
pub use pending::Pending;

#[cfg(test)]
mod tests;
