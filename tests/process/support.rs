//! Jobs to play with, and a look at what runs.

use std::{
    ffi::OsString,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use devtask::process::{Command, Ended, Job, Launch, Warden, WardenOptions};

/// A grace nobody should need.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// What a shell executes, with the usual path and nothing else.
pub(crate) fn shell(script: &str) -> Command {
    Command {
        program: "/bin/bash".into(),
        name: None,
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        cwd: "/".into(),
        foreground: false,
        ..Command::default()
    }
}

pub(crate) fn launch(script: &str) -> Launch {
    Launch { command: shell(script), ..Launch::default() }
}

/// A warden without any extras.
pub(crate) fn warden() -> Warden {
    Warden::new(WardenOptions::default()).unwrap()
}

pub(crate) fn start(script: &str) -> Job {
    warden().spawn(launch(script)).unwrap()
}

pub(crate) async fn run(script: &str) -> Ended {
    start(script).finish().await
}

/// A number of seconds to sleep that no other test uses.
pub(crate) fn token() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("1000.{:07}{:04}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The command lines of living processes that contain `needle`.
pub(crate) fn running(needle: &str) -> Vec<String> {
    let listed = std::process::Command::new("ps").args(["-A", "-ww", "-o", "stat=,args="]).output().unwrap();
    let lines = String::from_utf8_lossy(&listed.stdout).into_owned();
    lines.lines().filter(|l| l.contains(needle) && !l.starts_with('Z')).map(str::to_owned).collect()
}

/// How many sleepers with that token there are.
pub(crate) fn sleepers(token: &str) -> usize {
    let is_sleeper = |line: &String| line.split_whitespace().nth(1) == Some("sleep");
    running(token).iter().filter(|line| is_sleeper(line)).count()
}

/// Waits until something is so.
#[cfg(target_os = "linux")]
pub(crate) fn until(what: &str, holds: impl FnMut() -> bool) {
    until_or(|| what.to_owned(), holds);
}

#[cfg(target_os = "linux")]
/// Waits until something is so; if that never comes, `what` tells what there is instead.
pub(crate) fn until_or(what: impl Fn() -> String, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until something is so, while jobs go on.
pub(crate) async fn until_async(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The names in a directory.
pub(crate) fn names(dir: &Path) -> Vec<OsString> {
    std::fs::read_dir(dir).into_iter().flatten().map(|e| e.unwrap().file_name()).collect()
}

/// The last lines as text.
pub(crate) fn tail(ended: &Ended) -> Vec<String> {
    ended.tail.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}
