//! Stories about `devtask tsp check`: a right server passes, and each wrong one fails where it is wrong.

#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

use serde_json::Value;
use support::{Output, Sandbox, eventually};

/// Long enough for everything that comes, on any machine.
const PATIENT: &str = "60s";
/// For what does not come. The rest of a check has to be done in that time, too, one answer at a time.
const SHORT: &str = "5s";
/// How many checks are made at once: most of them wait for what does not come.
const AT_ONCE: usize = 6;

/// The rows, in their order.
const ROWS: [&str; 15] = [
    "starts",
    "initialize",
    "listing",
    "not-initialized",
    "run",
    "parallel",
    "big",
    "pieces",
    "failure",
    "broken",
    "cancel",
    "times",
    "half-line",
    "end-of-file",
    "shutdown",
];

/// Cargo builds examples before it runs tests.
fn odd_server() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let server = own.parent().unwrap().parent().unwrap().join("examples/odd_server");
    assert!(server.is_file(), "{} is built by `cargo test`, or `--example odd_server`", server.display());
    server
}

fn check(tree: &Sandbox, timeout: &str, options: &str, behaviour: &str) -> Output {
    let server = odd_server();
    let words = ["tsp", "check", "--timeout", timeout].into_iter().chain(options.split_whitespace());
    let words = words.chain(["--", server.to_str().unwrap(), behaviour]);
    tree.devtask(words).run()
}

/// The rows of a table: their verdict and what is said, by name.
fn rows(output: &Output) -> BTreeMap<&str, (&str, &str)> {
    output.out.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<(&str, (&str, &str))> {
    let (verdict, rest) = line.split_once(' ')?;
    let (name, said) = rest.trim_start().split_once(' ')?;
    ROWS.contains(&name).then_some((name, (verdict, said.trim_start())))
}

#[test]
fn a_right_server_passes_on_its_socket_and_on_its_descriptor_3() {
    let tree = Sandbox::new();
    let cases = [
        ("good", "", "it speaks on its socket"),
        ("good", "--task t:log --slow t:slow", "it speaks on its socket"),
        ("good-fd3", "--task t:log --slow t:sleepless", "it speaks on its descriptor 3"),
        ("serial", "--task t:progress", "it speaks on its socket"),
        ("good", "--task t:remark", "it speaks on its socket"),
        ("good", "--task t:exports", "it speaks on its socket"),
        ("good", "--task t:late", "it ran `t:late`"),
        ("good", "--task t:fail", "`t:fail` failed: it went wrong"),
        ("good", "--task t:refuses", "`t:refuses` refuses the inputs it is given here"),
        ("floods-stdout", "", "it speaks on its socket"),
    ];
    for (behaviour, options, expected) in cases {
        let output = check(&tree, PATIENT, options, behaviour);
        assert_eq!(output.code, Some(0), "{behaviour} {options}\n{output}");
        assert!(output.out.contains(expected), "{behaviour} {options}\n{output}");
        let has_times = options.contains("t:log");
        for (row, (verdict, _)) in rows(&output) {
            let expected = if row == "times" && !has_times { "skipped" } else { "ok" };
            assert_eq!(verdict, expected, "{behaviour} {options}: {row}\n{output}");
        }
        let last =
            if has_times { "15 passed, 0 failed, 0 skipped" } else { "14 passed, 0 failed, 1 skipped" };
        assert_eq!(output.out.lines().last(), Some(last));
    }
}

#[test]
fn all_rows_are_told_in_their_order_also_as_json() {
    let tree = Sandbox::new();
    let output = check(&tree, PATIENT, "--json --task t:fail", "no-shutdown");
    assert_eq!(output.code, Some(1), "{output}");
    let told = output.json();
    let told = told.as_array().unwrap();
    assert_eq!(told.iter().map(|row| row["name"].as_str().unwrap()).collect::<Vec<_>>(), ROWS);
    let row = |name: &str| told.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!((&row("run")["outcome"], &row("run")["why"]), (&"passed".into(), &Value::Null));
    let notes = row("run")["notes"].as_array().unwrap();
    assert_eq!(notes, &["it ran `t:fail`", "`t:fail` failed: it went wrong"]);
    assert_eq!(row("times")["outcome"], "skipped");
    assert_eq!(row("shutdown")["outcome"], "failed");
    assert!(row("shutdown")["why"].as_str().unwrap().contains("(-32601)"), "{output}");
    assert!(told.iter().all(|row| !row["what"].as_str().unwrap().is_empty()));
}

/// A wrong server: how it is wrong, how it is checked, the rows that fail, and what they say.
type Wrong = (&'static str, &'static str, &'static str, &'static str);

/// Those of which it is seen what they do.
const SEEN: [Wrong; 35] = [
    (
        "dies-at-start",
        "",
        "starts",
        "it ended with exit 3 (it wrote last: no luck) before it could be spoken to",
    ),
    ("refuses", "", "initialize", "it answers with an error: not today (-32603)"),
    ("needs-root", "", "initialize", "with params `{}` it answers with an error: where is the root?"),
    ("wrong-version", "", "initialize", "it speaks version 2 of the protocol, not 1"),
    ("tasks-not-a-list", "", "initialize", "its answer has no list `tasks`"),
    ("bad-capabilities", "", "initialize", "its answer cannot be read: invalid type: string \"yes\""),
    ("duplicate-names", "", "listing", "t:echo is in it twice"),
    ("bad-names", "", "listing", "it names a task `t:with a space`"),
    ("no-name", "", "listing", "task 13 cannot be read: it has no `name`"),
    ("bad-depends", "", "listing", "`@sometimes` of t:more is no state to wait for"),
    ("early", "", "not-initialized", "it runs the task; an error -32002 is due"),
    (
        "dies-in-run",
        "",
        "run",
        "it ended with exit 7 (it wrote last: cannot go on) before an answer to `run` came",
    ),
    ("garbage", "", "run", "a line is no JSON"),
    ("breaks-off", "", "run", "it closed the connection in the middle of a message"),
    ("answers-twice", "", "run", "it answered request 1 twice"),
    ("unknown-run", "", "run", "it answered request `never`, which was never made"),
    ("log-after-result", "", "run", "a `log` of `t:skip`, run `run` came after its result"),
    ("log-of-nobody", "", "run", "a `log` of `t:skip`, run `nobody`, which was not asked for"),
    ("log-without-line", "", "run", "a `log` cannot be read: it has no `line`"),
    ("too-long", "", "run", "a message is longer than 16 MiB"),
    ("bad-result", "", "run", "unknown variant `done`"),
    ("wrong-task", "", "run", "the result of `t:skip` is told as that of \"t:other\""),
    ("failure-is-error", "", "run", "`t:skip` is answered with an error: it went wrong (-32000)"),
    ("good", "--task t:no", "run", "there is no task `t:no` in its list"),
    ("mixes-runs", "--task t:echo", "parallel", "run `r0` is answered with the inputs of `r1`"),
    ("dies-on-big", "", "big", "it ended with exit 9 before an answer to `run` came"),
    (
        "wrong-code",
        "",
        "failure",
        "a `run` of an unknown task is answered with a result, not with error -32001",
    ),
    ("answers-notifications", "", "failure", "it could not read a sound message: what? (-32601)"),
    (
        "dies-on-broken",
        "",
        "broken",
        "it ended with exit 8 before error -32700 for a line that is no JSON came",
    ),
    ("good", "--slow t:echo", "cancel", "`t:echo` was cancelled, and its status is not `cancelled`"),
    ("good", "--slow t:no", "cancel", "there is no task `t:no` in its list"),
    ("bad-time", "--task t:log", "times", "\"yesterday\" is neither RFC 3339 nor like 20260102T030405Z"),
    ("no-shutdown", "", "shutdown", "it answers `shutdown` with an error"),
    ("ends-with-5", "", "shutdown", "it ended with exit 5, not with exit 0"),
    ("leaves-child", "", "half-line end-of-file shutdown", "it leaves processes behind"),
];

/// Those of which it is seen that they do not do what they should.
const NOT_SEEN: [Wrong; 14] = [
    // It takes the longest.
    (
        "ignores-eof",
        "",
        "half-line end-of-file shutdown",
        "it has not ended 5s after the connection was closed",
    ),
    ("never-binds", "", "starts", "it neither bound its socket nor spoke on its descriptor 3 within 5s"),
    ("no-spaces", "", "starts", "with a space and `ó` in the path of its socket it neither bound"),
    ("silent", "", "initialize", "an answer to `initialize` did not come within 5s"),
    ("silent-in-run", "", "run", "an answer to `run` did not come within 5s"),
    ("half-line", "", "run", "half a message came, and no more of it in time"),
    (
        "wrong-id",
        "",
        "run",
        "it answered request 4711, which was never made; an answer to `run` did not come",
    ),
    ("floods", "", "run", "an answer to `run` did not come within 5s"),
    ("deep", "", "run", "a line is no JSON: recursion limit exceeded"),
    ("drops-one-of-parallel", "", "parallel", "1 of 8 runs at once are not answered within 5s of the last"),
    ("one-a-line", "", "pieces", "an answer to one of two messages in one line did not come"),
    ("silent-on-unknown", "", "failure", "an unknown method is not answered with error -32601 within 5s"),
    (
        "takes-arrays",
        "",
        "broken",
        "an array is not answered with error -32600 or -32700 within 5s; a number is not",
    ),
    (
        "ignores-cancel",
        "--slow t:slow",
        "cancel",
        "an answer to a run that was cancelled did not come within 5s",
    ),
];

/// What is not as it should be about a check of a wrong server; nothing, if all is.
fn misjudged(tree: &Sandbox, timeout: &str, (behaviour, options, failing, phrase): Wrong) -> Option<String> {
    // Of the tasks that do as they are told the one with the least to say.
    let usual = if options.contains("--task") { "" } else { "--task t:skip " };
    let output = check(tree, timeout, &format!("{usual}{options}"), behaviour);
    let rows = rows(&output);
    let failed: Vec<&str> = ROWS.into_iter().filter(|name| rows[name].0 == "FAILED").collect();
    let is_right = output.code == Some(1)
        && failed.join(" ") == failing
        && failed.iter().all(|name| rows[name].1.contains(phrase));
    (!is_right).then(|| format!("{behaviour} {options}: {failing} should fail with `{phrase}`\n{output}"))
}

/// Checks them all, some at a time.
fn judge(wrong: &[Wrong], timeout: &str) {
    let (tree, next) = (Sandbox::new(), AtomicUsize::new(0));
    let worker = || {
        let mut misjudged_ones = Vec::new();
        while let Some(one) = wrong.get(next.fetch_add(1, SeqCst)) {
            misjudged_ones.extend(misjudged(&tree, timeout, *one));
        }
        misjudged_ones
    };
    let all: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn a_server_that_does_something_wrong_fails_where_it_does() {
    judge(&SEEN, PATIENT);
}

#[test]
fn a_server_that_does_not_do_what_it_should_fails_where_it_does_not() {
    judge(&NOT_SEEN, SHORT);
}

#[test]
fn a_server_that_takes_its_time_to_bind_is_waited_for() {
    let mut tree = Sandbox::new();
    let gate = tree.path("gate");
    tree.set_env("ODD_GATE", &gate);
    let server = odd_server();
    let words = ["tsp", "check", "--timeout", PATIENT, "--", server.to_str().unwrap(), "binds-late"];
    let mut running = tree.devtask(words).start();
    eventually("the server is there", || tree.exists("gate.here"));
    assert!(running.is_running(), "nobody waits for it");
    fs::write(gate, "").unwrap();
    let output = running.finish();
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
fn where_nothing_can_be_checked_rows_are_skipped_with_a_reason() {
    let tree = Sandbox::new();
    let output = check(&tree, PATIENT, "", "dies-at-start");
    assert_eq!(rows(&output)["run"], ("skipped", "it cannot be spoken to"), "{output}");
    assert_eq!(output.out.lines().last(), Some("0 passed, 1 failed, 14 skipped"));
    let output = check(&tree, PATIENT, "", "tasks-not-a-list");
    assert_eq!(rows(&output)["broken"], ("skipped", "it has told no list of tasks"), "{output}");
    let output = check(&tree, PATIENT, "", "no-tasks");
    assert_eq!((output.code, rows(&output)["broken"].0), (Some(0), "ok"), "{output}");
    assert_eq!(rows(&output)["run"], ("skipped", "it lists no task that could be run"), "{output}");
    let output = check(&tree, PATIENT, "", "dies-in-run");
    assert_eq!(rows(&output)["parallel"], ("skipped", "`run` has to pass first"), "{output}");
}

#[test]
fn without_a_command_that_can_be_started_it_is_wrong_usage() {
    let tree = Sandbox::new();
    for (line, fault) in [
        ("tsp check", "error: there is no command to check"),
        ("tsp check --", "error: there is no command to check"),
        ("tsp check -- ./nowhere x", "error: there is no program `./nowhere`"),
        ("tsp check --timeout never -- sh", "invalid value 'never'"),
    ] {
        let output = tree.expect(2, line);
        assert!(output.err.contains(fault), "{line}\n{output}");
        assert_eq!(output.out, "", "{line}");
    }
}

#[test]
fn nothing_a_server_says_is_obeyed_and_colour_is_as_it_was_asked_for() {
    let tree = Sandbox::new();
    tree.program("rude", "#!/bin/sh\nprintf 'go\\033[2J away\\n' >&2\nexit 1\n");
    let output = tree.expect(1, "tsp check -- ./rude");
    assert!(output.out.contains("go\\u{1b}[2J away"), "{output}");
    assert!(!output.out.contains('\x1b'), "{output}");
    let output = tree.expect(1, "--color always tsp check -- ./rude");
    assert!(output.out.starts_with("\x1b[1;31mFAILED \x1b[0m  starts"), "{output}");
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_of_a_check_is_left() {
    let tree = Sandbox::new();
    let mark = tree.root().to_str().unwrap().to_owned();
    for behaviour in ["good", "good-fd3", "never-binds", "leaves-child", "ignores-eof", "floods"] {
        check(&tree, "300ms", "", behaviour);
        // What a server starts inherits the directory it works in.
        let lives =
            |pid: &fs::DirEntry| fs::read_link(pid.path().join("cwd")).is_ok_and(|cwd| cwd.ends_with(&mark));
        let left = fs::read_dir("/proc").unwrap().flatten().filter(lives).count();
        assert_eq!(left, 0, "{behaviour}");
        let private = fs::read_dir(tree.root().with_file_name("tmp")).unwrap().count();
        assert_eq!(private, 0, "{behaviour}");
    }
}

#[test]
fn a_server_can_be_spoken_to_by_hand() {
    let tree = Sandbox::new();
    let server = odd_server();
    let said = "# a comment\n> {\"id\":1,\"method\":\"initialize\"}\n< passed over\n\nno JSON\n{\"id\":2,\"method\":\"shutdown\"}\n";
    tree.write("said", said);
    for behaviour in ["good", "good-fd3"] {
        let script = format!("exec \"$0\" \"$@\" -- {} {behaviour} < said", server.display());
        let run = tree.devtask(["tsp", "talk", "--timeout", PATIENT]).start_under("sh", &["-c", &script]);
        let output = run.finish();
        assert_eq!(output.code, Some(0), "{output}");
        let answers: Vec<Value> =
            output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
        assert_eq!(ids, [&Value::from(1), &Value::Null, &Value::from(2)], "{output}");
        assert_eq!(answers[1]["error"]["code"], -32700);
    }
    let script = format!("exec \"$0\" \"$@\" -- {} silent < said", server.display());
    let run = tree.devtask(["tsp", "talk", "--timeout", "300ms"]).start_under("sh", &["-c", &script]);
    let output = run.finish();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.err.contains("did not come within 300ms"), "{output}");
}
