//! A sandbox for stories about the program: a directory of its own, a home of its own, an environment
//! that holds nothing of the developer's.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of this")]

pub(crate) mod gate;
#[cfg(target_os = "linux")]
pub(crate) mod terminal;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for something that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) const DEVTASK: &str = env!("CARGO_BIN_EXE_devtask");

/// A directory tree with a home beside it.
pub(crate) struct Sandbox {
    _dir: TempDir,
    root: PathBuf,
    home: PathBuf,
    env: BTreeMap<OsString, OsString>,
}

impl Sandbox {
    /// An empty tree.
    pub(crate) fn new() -> Self {
        let dir = TempDir::with_prefix("devtask-story-").unwrap();
        let base = dir.path().canonicalize().unwrap();
        let (root, home) = (base.join("tree"), base.join("home"));
        for made in [&root, &home, &base.join("tmp")] {
            fs::create_dir(made).unwrap();
        }
        let mut env = BTreeMap::new();
        env.insert("PATH".into(), std::env::var_os("PATH").unwrap());
        env.insert("HOME".into(), home.clone().into());
        env.insert("TMPDIR".into(), base.join("tmp").into());
        env.insert("LC_ALL".into(), "C".into());
        // rustup finds its toolchain by these.
        for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Some(value) = std::env::var_os(name) {
                env.insert(name.into(), value);
            }
        }
        let real_home = std::env::home_dir().unwrap_or_default();
        env.entry("CARGO_HOME".into()).or_insert_with(|| real_home.join(".cargo").into());
        env.entry("RUSTUP_HOME".into()).or_insert_with(|| real_home.join(".rustup").into());
        Self { _dir: dir, root, home, env }
    }

    /// A tree with this `devtask.toml`.
    pub(crate) fn with(toml: &str) -> Self {
        let sandbox = Self::new();
        sandbox.write("devtask.toml", toml);
        sandbox
    }

    /// The root of the tree.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The home directory.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// A path in the tree.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Sets a variable for every invocation from now on.
    pub(crate) fn set_env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.env.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
    }

    /// Writes a file, making its directories.
    pub(crate) fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Gives a file another content at once, as editors do: nobody sees half of it.
    pub(crate) fn save(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let aside = self.home.join("saved");
        fs::write(&aside, content).unwrap();
        fs::rename(aside, path).unwrap();
    }

    /// Writes an executable file. Another process does it: a fork of a test beside this one could hold our
    /// handle for a moment, and what is open for writing cannot be executed.
    pub(crate) fn program(&self, path: impl AsRef<Path>, content: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let script = r#"printf %s "$2" > "$1" && chmod 755 "$1""#;
        let mut writer = Command::new("sh");
        let written = writer.args(["-c", script, "sh"]).arg(&path).arg(content).status().unwrap();
        assert!(written.success());
        path
    }

    /// Adds to a file.
    pub(crate) fn append(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path(path)).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    /// Replaces the one occurrence of `from` in a file.
    pub(crate) fn replace(&self, path: impl AsRef<Path>, from: &str, to: &str) {
        let text = self.read(&path);
        assert_eq!(text.matches(from).count(), 1, "`{from}` must stand once in {}", path.as_ref().display());
        self.write(path, text.replace(from, to));
    }

    /// The content of a file.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Whether a file is there.
    pub(crate) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// Removes a file or a tree.
    pub(crate) fn remove(&self, path: impl AsRef<Path>) {
        let path = self.path(path);
        if path.symlink_metadata().unwrap().is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    /// Removes a file that may be there.
    pub(crate) fn remove_if_there(&self, path: impl AsRef<Path>) {
        if self.exists(&path) {
            self.remove(path);
        }
    }

    /// Sets the permission bits of a file.
    pub(crate) fn chmod(&self, path: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Gives a file new time stamps and leaves its content alone.
    pub(crate) fn touch(&self, path: impl AsRef<Path>) {
        let file = fs::File::options().append(true).open(self.path(path)).unwrap();
        file.set_modified(std::time::SystemTime::now() + Duration::from_secs(5)).unwrap();
    }

    /// An invocation of the program, in the root unless told otherwise.
    pub(crate) fn devtask<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Invocation<'_> {
        let mut command = Command::new(DEVTASK);
        command.args(args).current_dir(&self.root).env_clear().envs(&self.env).stdin(Stdio::null());
        Invocation { sandbox: self, command }
    }

    /// The program under another name, which is another build as far as it can tell. Another process copies it: what
    /// a fork of a test beside this one holds open for writing cannot be executed.
    pub(crate) fn another_build(&self) -> PathBuf {
        let copy = self.home.join("devtask");
        assert!(Command::new("cp").arg(DEVTASK).arg(&copy).status().unwrap().success());
        copy
    }

    /// Runs the program with these words and expects this exit code.
    pub(crate) fn expect(&self, code: i32, line: &str) -> Output {
        let output = self.devtask(line.split_whitespace()).run();
        assert_eq!(output.code, Some(code), "devtask {line}\n{output}");
        output
    }

    /// Runs the program and expects 0.
    pub(crate) fn ok(&self, line: &str) -> Output {
        self.expect(0, line)
    }

    /// The events of the newest run.
    pub(crate) fn last_events(&self) -> Vec<Value> {
        let mut runs: Vec<PathBuf> =
            fs::read_dir(self.path(".devtask/runs")).unwrap().map(|e| e.unwrap().path()).collect();
        runs.sort();
        events_of(&fs::read_to_string(runs.last().unwrap()).unwrap())
    }

    /// Which tasks executed in the newest run.
    pub(crate) fn executed(&self) -> BTreeSet<String> {
        tasks_in(&self.last_events(), "task_started")
    }
}

/// The events of a text of JSON lines.
pub(crate) fn events_of(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The tasks that events of this name are about.
pub(crate) fn tasks_in(events: &[Value], name: &str) -> BTreeSet<String> {
    let named = events.iter().filter(|e| e["event"] == name);
    named.map(|e| e["task"].as_str().unwrap().to_owned()).collect()
}

/// A set of task names, separated by white space.
pub(crate) fn set(names: &str) -> BTreeSet<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

/// One invocation being put together.
pub(crate) struct Invocation<'a> {
    sandbox: &'a Sandbox,
    command: Command,
}

impl Invocation<'_> {
    /// Starts in this directory of the tree.
    pub(crate) fn dir(mut self, path: impl AsRef<Path>) -> Self {
        self.command.current_dir(self.sandbox.path(path));
        self
    }

    /// With this variable.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without this variable.
    pub(crate) fn without(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// With nothing to read, also on a terminal.
    pub(crate) fn reading_nothing(self) -> Self {
        self.under("sh", &["-c", "exec \"$0\" \"$@\" < /dev/null"])
    }

    /// Through another program, which gets the command line after these arguments.
    pub(crate) fn under(self, program: &str, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args);
        command.arg(self.command.get_program()).args(self.command.get_args());
        command.current_dir(self.command.get_current_dir().unwrap()).env_clear();
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self { sandbox: self.sandbox, command }
    }

    /// Runs it to the end.
    pub(crate) fn run(mut self) -> Output {
        Output::of(self.command.output().unwrap())
    }

    /// Starts it; its output is kept.
    pub(crate) fn start(mut self) -> Running {
        let child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Running { child }
    }

    /// Starts it with another program in its place.
    pub(crate) fn start_as(self, program: &Path) -> Running {
        let script = format!("shift; exec {} \"$@\"", program.display());
        self.start_under("sh", &["-c", &script, "sh"])
    }

    /// Starts it, for the test to read its stderr.
    pub(crate) fn spawn(mut self) -> Child {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts it with its stderr going to a file of the tree, to be read meanwhile.
    pub(crate) fn start_with_stderr(mut self, path: impl AsRef<Path>) -> Running {
        let file = fs::File::create(self.sandbox.path(path)).unwrap();
        Running { child: self.command.stdout(Stdio::piped()).stderr(file).spawn().unwrap() }
    }

    /// Starts it as the leader of a session that has this terminal.
    pub(crate) fn start_on(self, terminal: &fs::File) -> Running {
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(self.command.get_program()).args(self.command.get_args());
        command.current_dir(self.command.get_current_dir().unwrap()).env_clear();
        command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let end = || terminal.try_clone().unwrap();
        Running { child: command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap() }
    }

    /// Starts it through another program, which gets the command line after these arguments.
    pub(crate) fn start_under(self, program: &str, args: &[&str]) -> Running {
        let mut command = Command::new(program);
        command.args(args).arg(self.command.get_program()).args(self.command.get_args());
        command.current_dir(self.command.get_current_dir().unwrap()).env_clear();
        let set = self.command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.envs(set).stdin(Stdio::null());
        Invocation { sandbox: self.sandbox, command }.start()
    }
}

/// A started invocation.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Its process number.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends it a signal by number.
    pub(crate) fn signal(&self, signal: i32) {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = Signal::from_named_raw(signal).unwrap();
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// Whether it is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Output {
        Output::of(self.child.wait_with_output().unwrap())
    }
}

/// What an invocation came to.
pub(crate) struct Output {
    /// Its exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// What it wrote to stdout.
    pub(crate) out: String,
    /// What it wrote to stderr.
    pub(crate) err: String,
}

impl Output {
    fn of(output: std::process::Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        Self {
            code: output.status.code(),
            signal: output.status.signal(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its stdout as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}\n{self}"))
    }

    /// Its stderr without durations, which are never the same: `(3.41s)` becomes `(…)`.
    pub(crate) fn steady(&self) -> String {
        steady(&self.err)
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit {:?} signal {:?}\n-- stdout\n{}-- stderr\n{}",
            self.code, self.signal, self.out, self.err
        )
    }
}

/// Text with every duration and run id replaced by `…`.
pub(crate) fn steady(text: &str) -> String {
    let is_duration = |word: &str| {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == 'µ');
        let unit = &word[digits.len()..];
        matches!(unit, "s" | "ms" | "µs" | "ns") && !digits.is_empty() && digits.parse::<f64>().is_ok()
    };
    let run_ids = |word: &str| match word.split_once("/log/r") {
        Some((before, after)) => {
            let rest = after.split_once('/').map_or("", |(_, rest)| rest);
            format!("{before}/log/…/{rest}")
        }
        None => word.to_owned(),
    };
    let one = |word: &str| {
        let bare = word.trim_matches(|c| "(),".contains(c));
        if is_duration(bare) { word.replace(bare, "…") } else { run_ids(word) }
    };
    text.split('\n')
        .map(|line| line.split(' ').map(one).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_none(what, || (!holds()).then_some(()));
}

/// Waits until there is nothing in the way of something; what there is is told if it stays.
pub(crate) fn eventually_none<T: std::fmt::Debug>(what: &str, mut obstacle: impl FnMut() -> Option<T>) {
    let end = Instant::now() + DEADLINE;
    while let Some(obstacle) = obstacle() {
        assert!(Instant::now() < end, "never happened: {what}: {obstacle:#?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
