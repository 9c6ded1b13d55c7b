//! git, called as a program: what is staged, what a branch changed, and a private checkout of the index.
//!
//! Floor 7, synchronous. The promise of `devtask check` rests on this room: **the work tree, the index and the stash are
//! the user's**. Nothing here writes to any of them, but for [`Repository::stage`], which `fix` is there for; whatever git
//! would have to write while it looks, it writes to a repository of our own ([`Checkout`]). No hook, file system
//! monitor or pager of the repository is started. The room knows paths and objects; it must never know what a
//! check is.
//!
//! | file | story |
//! |---|---|
//! | `call` | one call of git: its environment, what it said |
//! | `repository` | finding the repository, and the index a hook is about |
//! | `base` | where a branch began |
//! | `changes` | what differs between commits, index and work tree, by content |
//! | `checkout` | the private checkout of an index or a commit, kept and brought up to date |
//! | `stage` | what `fix` made, put into the index, and merged |

mod base;
mod call;
mod changes;
mod checkout;
mod repository;
mod stage;

pub use base::NoBase;
pub use call::GitError;
pub use changes::{Change, Entry};
pub use checkout::{Beside, Checkout};
pub use repository::{Repository, Version};
pub use stage::{Fixed, Merged};

#[cfg(test)]
mod tests;
