//! See `targets/handed_on.rs`.
#![no_main]

#[path = "../targets/handed_on.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::check(data));
