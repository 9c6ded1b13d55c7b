//! A command of a task: its lines become the run's, and nothing of it outlives the run.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};

use super::{Failure, Run, lines::Lines};

/// How long what is to end may take before it is asked to, and then before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// What happens to a command.
enum Event {
    /// The process itself has ended.
    Exited,
    /// Nobody writes to one of its two streams any more.
    Silent,
    /// The run is not wanted any more.
    Cancelled,
}

/// How far its end is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Asked,
    Killed,
}

pub(super) fn conduct(run: &Run, mut command: Command) -> Result<(), Failure> {
    run.check()?;
    let name = command.get_program().to_string_lossy().into_owned();
    prepare(run, &mut command);
    let start = |error: io::Error| Failure::new(format!("`{name}` cannot be started: {error}"));
    let mut group = Group::new(command.spawn().map_err(start)?);
    let (to, from) = mpsc::channel();
    observe(&mut group.child, run, &to).map_err(start)?;
    let _heard = run.on_cancel(move || drop(to.send(Event::Cancelled)));
    group.follow(&from);
    let status = group.end()?;
    run.check()?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{name}` ended with {}", told(status)))) }
}

/// What the command says itself goes before what the run says.
fn prepare(run: &Run, command: &mut Command) {
    if command.get_current_dir().is_none() {
        command.current_dir(run.cwd());
    }
    for (name, value) in run.env() {
        if !command.get_envs().any(|(known, _)| known == name.as_str()) {
            command.env(name, value);
        }
    }
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// Starts who reads its streams and who waits for its end.
fn observe(child: &mut Child, run: &Run, to: &Sender<Event>) -> io::Result<()> {
    if let Some(stdout) = child.stdout.take() {
        read(stdout, run.clone(), false, to.clone())?;
    }
    if let Some(stderr) = child.stderr.take() {
        read(stderr, run.clone(), true, to.clone())?;
    }
    let (pid, to) = (Pid::from_child(child), to.clone());
    spawn(move || {
        // It stays a zombie, so that its number is nobody else's until its group has been dealt with.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(pid), options).is_err_and(|error| error == Errno::INTR) {}
        let _ = to.send(Event::Exited);
    })
}

/// What left the group can hold a stream open for ever: its reader stays behind then, and is not heard.
fn read(
    mut from: impl Read + Send + 'static,
    run: Run,
    is_stderr: bool,
    to: Sender<Event>,
) -> io::Result<()> {
    spawn(move || {
        let (mut lines, mut buffer) = (Lines::default(), vec![0; 64 * 1024]);
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => lines.push(&buffer[..count], |line| run.line(line, is_stderr)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lines.end(|line| run.line(line, is_stderr));
        let _ = to.send(Event::Silent);
    })
}

fn spawn(act: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("command".to_owned()).spawn(act).map(drop)
}

fn told(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// A process and its group, which goes when this is dropped.
struct Group {
    child: Child,
    pid: Pid,
    is_reaped: bool,
}

impl Group {
    fn new(child: Child) -> Self {
        Self { pid: Pid::from_child(&child), child, is_reaped: false }
    }

    /// Until the process has ended and its streams too, or were given up.
    fn follow(&mut self, from: &Receiver<Event>) {
        let (mut has_exited, mut open, mut stage, mut deadline) = (false, 2, Stage::Running, None);
        while !(has_exited && (open == 0 || stage == Stage::Killed && deadline.is_none())) {
            match next(from, deadline) {
                Some(Event::Exited) => {
                    has_exited = true;
                    // What it left may write a last line.
                    deadline = Some(deadline.unwrap_or_else(|| Instant::now() + GRACE));
                }
                Some(Event::Silent) => open -= 1,
                Some(Event::Cancelled) if stage > Stage::Running => {}
                Some(Event::Cancelled) => (stage, deadline) = self.ask(),
                None if stage == Stage::Running => (stage, deadline) = self.ask(),
                None if stage == Stage::Asked => (stage, deadline) = self.kill(),
                None => deadline = None,
            }
        }
    }

    /// To be asked twice would mean "at once" to many a program. What is stopped hears nothing.
    fn ask(&self) -> (Stage, Option<Instant>) {
        let _ = kill_process_group(self.pid, Signal::TERM);
        let _ = kill_process_group(self.pid, Signal::CONT);
        (Stage::Asked, Some(Instant::now() + GRACE))
    }

    fn kill(&self) -> (Stage, Option<Instant>) {
        let _ = kill_process_group(self.pid, Signal::KILL);
        (Stage::Killed, Some(Instant::now() + GRACE / 2))
    }

    /// What writes to no stream of it may still be there.
    fn end(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        self.is_reaped = true;
        self.child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_reaped {
            // There is nobody to tell.
            let _ = self.end();
        }
    }
}

/// The next event; none: it is time.
fn next(from: &Receiver<Event>, deadline: Option<Instant>) -> Option<Event> {
    match deadline {
        None => from.recv().ok(),
        Some(at) => from.recv_timeout(at.saturating_duration_since(Instant::now())).ok(),
    }
}
