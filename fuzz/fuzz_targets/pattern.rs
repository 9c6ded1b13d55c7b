//! See `targets/pattern.rs`.
#![no_main]

#[path = "../targets/pattern.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::check(data));
