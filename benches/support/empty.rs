//! The least a process can cost: a program that does nothing.

use std::{path::PathBuf, process::Command};

/// An empty program without shared libraries, if the C compiler here can make one.
pub(crate) fn program() -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (dir.join("empty.c"), dir.join("empty"));
    std::fs::write(&source, "int main(void) { return 0; }\n").ok()?;
    let made = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&program).arg(&source).output().ok()?;
    made.status.success().then_some(program)
}
