//! A command line that is run again and again.

use std::{
    env, iter,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A program with its arguments and its directory; what it writes is thrown away.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) line: Vec<String>,
    /// Where it runs.
    pub(crate) dir: PathBuf,
    env: Vec<(String, String)>,
}

impl Program {
    /// This line in that directory.
    pub(crate) fn new<S: Into<String>>(dir: &Path, line: impl IntoIterator<Item = S>) -> Self {
        Self { line: line.into_iter().map(Into::into).collect(), dir: dir.to_owned(), env: Vec::new() }
    }

    /// devtask, running everything below `dir`.
    pub(crate) fn devtask(dir: &Path) -> Self {
        Self::new(dir, [super::DEVTASK].into_iter().chain(super::RUN))
    }

    /// This bench itself, in one of its helper modes.
    pub(crate) fn helper(dir: &Path, line: &[&str]) -> Self {
        let bench = std::env::current_exe().expect("a bench has a path");
        Self::new(dir, [bench.to_str().expect("a UTF-8 path")].into_iter().chain(line.iter().copied()))
    }

    /// The same, started by this helper.
    pub(crate) fn within(&self, helper: &str) -> Self {
        let line: Vec<&str> = iter::once(helper).chain(self.line.iter().map(String::as_str)).collect();
        Self { line: Self::helper(&self.dir, &line).line, ..self.clone() }
    }

    /// With one more variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command, silent.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.line[0]);
        command.args(&self.line[1..]).current_dir(&self.dir).envs(self.env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs it to its end, which must be a success.
    pub(crate) fn run(&self) {
        assert!(self.succeeds(), "failed: {:?}", self.line);
    }

    /// Runs it to its end, and tells whether that was a success.
    pub(crate) fn succeeds(&self) -> bool {
        self.command().status().is_ok_and(|status| status.success())
    }
}

/// Where a program of this name is: among those that `benches/compare/install.sh` installed, or on `PATH`.
/// Started by its path it needs no search each time.
pub(crate) fn find(name: &str) -> Option<String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/compare-tools/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let found =
        iter::once(own).chain(env::split_paths(&path)).map(|dir| dir.join(name)).find(|p| p.is_file());
    found.and_then(|program| program.to_str().map(str::to_owned))
}
