//! Processes as `/proc` shows them: who still lives of those that carry a word in their environment.

use std::fs;

use super::support::{Sandbox, eventually_none};

/// The variable by which a test's processes are known. It survives where devtask's own mark does not.
pub(crate) const TOKEN: &str = "SURVIVOR_TOKEN";

/// The variable by which those are known, too, who started them.
pub(crate) const MANAGER: &str = "SURVIVOR_MANAGER";

/// A word nobody else has.
pub(crate) fn token(tree: &Sandbox) -> String {
    tree.root().parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

/// The living processes that carry `token`, as `number state command line`.
pub(crate) fn carrying(token: &str) -> Vec<String> {
    carrying_as(TOKEN, token)
}

/// The same of another variable.
pub(crate) fn carrying_as(variable: &str, token: &str) -> Vec<String> {
    let mark = format!("{variable}={token}");
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        // A zombie has no environment any more.
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|variable| variable == mark.as_bytes())
    })
    .map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let state = state(pid).unwrap_or('?');
        format!("{pid} {state} {}", String::from_utf8_lossy(&line).replace('\0', " "))
    })
    .collect()
}

/// Kills everything that carries `token`, whoever started it, too.
pub(crate) fn end_all(token: &str) {
    while let left @ [_, ..] = carrying_as(MANAGER, token).as_slice() {
        for pid in left.iter().filter_map(|line| line.split(' ').next()?.parse().ok()) {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Fails unless all of them are gone soon.
pub(crate) fn none_survives(token: &str) {
    let left = || Some(carrying(token)).filter(|left| !left.is_empty());
    eventually_none(&format!("{TOKEN}={token} is gone"), left);
}

/// The state letter of a process: `T` for a stopped one.
pub(crate) fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].trim_start().chars().next()
}

/// The children of a process.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|n| n.parse().unwrap()).collect()
}

/// The guardian of a devtask: the child that was started as one.
pub(crate) fn guardian(pid: i32) -> Option<i32> {
    children(pid).into_iter().find(|child| {
        let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|word| word == b"__guardian")
    })
}
