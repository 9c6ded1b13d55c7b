//! A gate in a task: the test learns when the task has come to it, and lets it pass. No sleeping.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::eventually;

/// Two FIFOs: one says "here I am", the other says "go on".
pub(crate) struct Gate {
    arrived: File,
    go: File,
    base: PathBuf,
}

impl Gate {
    /// A gate whose FIFOs are at `base.here` and `base.go`.
    pub(crate) fn new(base: impl AsRef<Path>) -> Self {
        let base = base.as_ref().to_owned();
        let open = |suffix: &str| {
            let path = base.with_extension(suffix);
            let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
            // Opened for both directions, so that neither side ever waits for the other to open.
            let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
            OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(path).unwrap()
        };
        Self { arrived: open("here"), go: open("go"), base: base.clone() }
    }

    /// What the task's script has to contain.
    pub(crate) fn script(&self) -> String {
        let base = self.base.display();
        format!("{{ echo here > {base}.here; read -r _; }} < {base}.go")
    }

    /// Waits until the task is at the gate.
    pub(crate) fn wait(&mut self) {
        eventually("the task comes to its gate", || self.is_reached());
    }

    /// Whether the task is at the gate; each arrival is told once.
    pub(crate) fn is_reached(&mut self) -> bool {
        let mut bytes = [0; 5];
        matches!(self.arrived.read(&mut bytes), Ok(n) if n > 0)
    }

    /// Lets it pass.
    pub(crate) fn open(&mut self) {
        self.go.write_all(b"go\n").unwrap();
    }
}
