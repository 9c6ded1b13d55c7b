//! The key of a task, and the explanation of a difference.
//!
//! Floor 3, pure. One [`Manifest`] is made of everything spec section 4.1 names; its [`key`](Manifest::key)
//! decides whether a task is fresh, and two manifests laid beside each other say why it is not
//! ([`compare`]). Since both are read from the same rows, an explanation can never miss what the key saw.
//! What is not in a manifest can never cause a rerun: times, absolute paths, the machine, the rest of
//! the environment.

mod compare;
mod content;
mod manifest;

pub use compare::{compare, count, differing};
pub use content::{Content, DirectoryContent};
pub use manifest::{Facts, FileRow, Handed, Manifest, Part, digest_of, digest_of_call};

#[cfg(test)]
mod tests;
