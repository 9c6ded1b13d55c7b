//! Output without end: memory stays bounded, the log keeps head and tail, nothing that was asked for is lost.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::PathBuf,
};

use super::support::{Output, Running, Sandbox, events_of, eventually};

/// What devtask may take of memory, in KiB.
const MOST: u64 = 200 * 1024;

/// The most memory a living process has had, in KiB.
fn peak(run: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", run.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Runs to the end a task after which another holds the run until its memory has been looked at.
fn flood(tree: &Sandbox, args: &[&str]) -> Output {
    tree.append(
        "devtask.toml",
        "[tasks.last]\nafter = [\"flood@completed\"]\nexec = \"echo > there; while [ ! -e go ]; do sleep 0.02; done\"\n",
    );
    let run = tree.devtask(["run", "last"].iter().chain(args)).start_with_stderr("err");
    eventually("the flood is over", || tree.exists("there"));
    let peak = peak(&run);
    tree.write("go", "");
    assert!(peak < MOST, "{peak} KiB");
    let output = run.finish();
    Output { err: tree.read("err"), ..output }
}

fn log(tree: &Sandbox) -> PathBuf {
    let run = fs::read_dir(tree.path(".devtask/log")).unwrap().next().unwrap().unwrap();
    run.path().join("app:flood.log")
}

#[test]
fn a_flood_of_lines_leaves_head_and_tail() {
    let tree = Sandbox::with(
        "name = \"app\"\n[tasks.flood]\nexec = \"echo the first; yes 0123456789 | head -c 256M; echo the last; exit 7\"\n",
    );
    let output = flood(&tree, &[]);
    assert_eq!(output.code, Some(0), "a soft failure\n{output}");
    assert!(output.err.contains("── exit 7 ──") && output.err.contains("the last\n"), "{output}");
    let size = fs::metadata(log(&tree)).unwrap().len();
    assert!((60..=65).contains(&(size / 1024 / 1024)), "{size}");
    let text = fs::read(log(&tree)).unwrap();
    assert!(text.starts_with(b"the first\n") && text.ends_with(b"the last\n"));
}

#[test]
fn one_line_of_hundreds_of_megabytes() {
    let tree =
        Sandbox::with("name = \"app\"\n[tasks.flood]\nexec = \"head -c 256M /dev/zero | tr '\\\\0' x\"\n");
    let output = flood(&tree, &[]);
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
fn many_tasks_that_write_as_fast_as_they_can() {
    let tree = Sandbox::with("name = \"app\"\n[tasks.flood]\n");
    for number in 0..20 {
        tree.append(
            "devtask.toml",
            format!("[tasks.w{number}]\nbefore = [\"flood\"]\nexec = \"yes {number} | head -n 20000\"\n"),
        );
    }
    let output = flood(&tree, &["-j", "20", "--show-output", "--events", "events"]);
    assert_eq!(output.code, Some(0), "{}", output.err.lines().last().unwrap());
    assert_eq!(output.err.matches("[app:w7]  7\n").count(), 20_000, "a pipe gets every line");
    let events = events_of(&tree.read("events"));
    assert_eq!(events.iter().filter(|e| e["event"] == "log" && e["task"] == "app:w7").count(), 20_000);
}

#[test]
fn a_reader_that_does_not_read_loses_nothing_and_keeps_nobody_from_hearing_signals() {
    let tree = Sandbox::with(
        "name = \"app\"\n[tasks.flood]\nexec = \"echo > up; seq 1 300000; echo > written; sleep 600\"\n",
    );
    let mut child = tree.devtask(["run", "flood", "--show-output"]).spawn();
    let pid = i32::try_from(child.id()).unwrap();
    eventually("the flood begins", || tree.exists("up"));
    // It cannot be over: the pipe is full, and the task has to wait.
    eventually("devtask waits for its reader", || {
        let line = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let waits = |t: fs::DirEntry| fs::read_to_string(t.path().join("wchan")).unwrap_or_default();
        line.contains("pipe") || threads.map(waits).any(|w| w.contains("pipe"))
    });
    assert!(!tree.exists("written"));
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut next) = (String::new(), 1);
    while next <= 300_000 {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "lines are missing after {next}");
        if let Some(number) = line.strip_prefix("[app:flood]  ") {
            assert_eq!(number.trim().parse(), Ok(next));
            next += 1;
        }
    }
    signal(pid, 2);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("1 Cancelled"), "{rest}");
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_third_signal_leaves_although_nobody_reads() {
    let tree = Sandbox::with("name = \"app\"\n[tasks.flood]\nexec = \"echo > up; yes\"\n");
    let mut child = tree.devtask(["run", "flood", "--show-output"]).spawn();
    let pid = i32::try_from(child.id()).unwrap();
    eventually("the flood begins", || tree.exists("up"));
    eventually("signals end it", || {
        signal(pid, 15);
        child.try_wait().unwrap().is_some()
    });
    use std::os::unix::process::ExitStatusExt as _;
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

fn signal(pid: i32, number: i32) {
    use rustix::process::{Pid, Signal, kill_process};
    kill_process(Pid::from_raw(pid).unwrap(), Signal::from_named_raw(number).unwrap()).unwrap();
}
