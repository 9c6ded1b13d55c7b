//! Hashing for maps whose keys are paths and digests: there is one for every directory and every set, and the
//! standard library's costs more than all else that is done with them.

use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// For [`HashMap`](std::collections::HashMap). Names of directories are no secret and belong to the user: it is
/// no defence against who chooses them to collide.
pub(super) type Quick = BuildHasherDefault<QuickHasher>;

/// Hashes with xxh3.
#[derive(Default)]
pub(super) struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_usize(&mut self, number: usize) {
        self.0 = self.0.rotate_left(5) ^ number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
