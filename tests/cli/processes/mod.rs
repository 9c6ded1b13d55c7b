//! Long-running processes (spec section 6), told through what a user types and sees.

mod demand;
mod detached;
mod edges;
mod ending;
mod follow;
mod foreground;
mod keeping;
mod looking;
mod ports;
mod probes;
mod restarts;
mod sockets;
mod testing;
mod thresholds;
mod up;

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rustix::process::{Pid, test_kill_process};
use serde_json::Value;

use super::support::{DEADLINE, Output, Running, Sandbox, eventually};

const INT: i32 = 2;
const KILL: i32 = 9;
const TERM: i32 = 15;

/// The full name of a process.
fn full(name: &str) -> String {
    format!("devenv:processes:{name}")
}

/// A devtask under way, whose events are read as they come. It is ended when it is dropped, and what it keeps up
/// with it.
struct Live {
    run: Option<Running>,
    events: PathBuf,
    stderr: PathBuf,
    /// How many events were read.
    read: usize,
}

impl Live {
    fn start(tree: &Sandbox, line: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str| tree.home().join(format!("{name}.{number}"));
        let (events, stderr) = (file("events"), file("stderr"));
        let told = ["--events", events.to_str().unwrap()];
        let run = tree.devtask(line.split_whitespace().chain(told)).start_with_stderr(&stderr);
        Self { run: Some(run), events, stderr, read: 0 }
    }

    /// The same with its stdout going to a file of the tree.
    fn start_writing(tree: &Sandbox, path: &str, line: &str) -> Self {
        let program = tree.devtask(line.split_whitespace());
        let run = program.start_under("sh", &["-c", &format!("exec \"$@\" > {path}"), "sh"]);
        Self { run: Some(run), events: tree.home().join("none"), stderr: tree.home().join("none"), read: 0 }
    }

    /// The events from the first that was not read on.
    fn rest(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.events).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().skip(self.read).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The next event of which this holds; what came before it was read, too.
    fn next(&mut self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        let end = Instant::now() + DEADLINE;
        while found.is_none() {
            found = self.rest().into_iter().enumerate().find(|(_, event)| holds(event));
            assert!(found.is_some() || Instant::now() < end, "never happened: {what}\n{}", self.told());
            std::thread::sleep(Duration::from_millis(2));
        }
        let (at, event) = found.unwrap();
        self.read += at + 1;
        event
    }

    /// The next time a process comes to this stage.
    fn stage(&mut self, process: &str, stage: &str) -> Value {
        let name = full(process);
        self.next(&format!("{process} is {stage}"), |event| {
            event["event"] == "process_state" && event["task"] == name.as_str() && event["stage"] == stage
        })
    }

    /// The next end of a task.
    fn finished(&mut self, task: &str) -> Value {
        self.next(&format!("{task} ends"), |event| event["event"] == "task_finished" && event["task"] == task)
    }

    /// The next time a watch has nothing to do.
    fn waits(&mut self) -> Value {
        self.next("it waits", |event| event["event"] == "waiting")
    }

    /// What it has said.
    fn told(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits until it has said this.
    fn says(&self, text: &str) {
        let end = Instant::now() + DEADLINE;
        while !self.told().contains(text) {
            assert!(Instant::now() < end, "`{text}` was never said:\n{}", self.told());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn signal(&self, signal: i32) {
        self.run.as_ref().unwrap().signal(signal);
    }

    fn is_running(&mut self) -> bool {
        self.run.as_mut().unwrap().is_running()
    }

    /// Waits until it ends by itself.
    fn ends(mut self) -> Output {
        let end = Instant::now() + DEADLINE;
        while self.is_running() {
            assert!(Instant::now() < end, "it does not end:\n{}", self.told());
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut output = self.run.take().unwrap().finish();
        output.err = self.told();
        output
    }

    /// Ends it by Ctrl-C.
    fn end(self) -> Output {
        self.signal(INT);
        self.ends()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Of a test that failed nothing is left, either.
        let Some(run) = &mut self.run else { return };
        run.signal(TERM);
        let end = Instant::now() + DEADLINE;
        while run.is_running() {
            if Instant::now() > end {
                run.signal(KILL);
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The number of a process that a script has written to a file.
fn pid(tree: &Sandbox, file: &str) -> Pid {
    let number = || tree.exists(file).then(|| tree.read(file).trim().parse().ok()).flatten();
    eventually(&format!("a process number is in {file}"), || number().is_some());
    Pid::from_raw(number().unwrap()).unwrap()
}

fn is_alive(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

/// Waits until nothing is left of a process.
fn is_gone(pid: Pid) {
    eventually(&format!("process {pid:?} is gone"), || !is_alive(pid));
}

/// Some stories need a program that serves.
fn needs_python() {
    let found = Command::new("python3").arg("--version").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "python3 is missing: it is needed to prove this"
    );
}

/// The last status of each task in the newest run.
fn statuses(tree: &Sandbox) -> std::collections::BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = tree.last_events();
    let finished = events.iter().filter(|event| event["event"] == "task_finished");
    finished.map(|event| (text(&event["task"]), text(&event["status"]))).collect()
}

/// The same as lines.
fn outcomes(tree: &Sandbox) -> String {
    let line = |(task, status): (String, String)| {
        let short = task.strip_prefix("devenv:processes:").unwrap_or(&task).to_owned();
        format!("{short} {status}")
    };
    statuses(tree).into_iter().map(line).collect::<Vec<_>>().join(", ")
}
