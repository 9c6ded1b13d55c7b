//! A 128-bit content digest.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An xxh3-128 digest (spec section 4.1). It detects change; it is no defence against a forger.
///
/// Computing one is the business of the rooms that hold the bytes; this is only the value.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
