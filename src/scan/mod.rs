//! Walking, stat cache, hashing.
