//! Servers that die, hang or lie while they run tasks.

use super::{
    super::support::{eventually, set},
    begin, starts, tree, wait_for,
};

/// What `run.sh` does for `p:bad`; every other task succeeds.
fn bad(what: &str) -> String {
    format!("case $task in p:bad) {what} ;; *) answer succeeded ;; esac")
}

#[test]
fn each_is_a_failure_of_the_task_with_what_was_wrong_and_touches_no_other() {
    let cases = [
        ("echo last words >&2; exit 3", "its server `sh` ended with exit 3"),
        ("kill -9 $$", "its server `sh` was ended by signal 9"),
        ("say hello", "its server `sh` speaks wrongly: a line is no JSON"),
        ("say '[]'", "its server `sh` speaks wrongly: a line is no message: there are no batches"),
        ("say '{\"id\":99,\"result\":{}}'", "its server `sh` speaks wrongly: it answered request 99"),
        ("say '{\"id\":\"x\",\"result\":{}}'", "its server `sh` speaks wrongly: it answered request `x`"),
        ("printf '{\"id\":' >&3; exit 0", "it closed the connection in the middle of a message"),
        ("head -c 17000000 /dev/zero | tr '\\0' x >&3", "a message is longer than 16 MiB"),
        ("answer done", "its server `sh` gives a result that is none: unknown variant `done`"),
        ("asked=p:other; answer succeeded", "its server answered with the result of `p:other`"),
        ("answer cancelled", "its server cancelled it, which nobody wanted"),
        (
            "say '{\"id\":'$id',\"error\":{\"code\":-32001,\"message\":\"who?\"}}'",
            "does not know it any more: who?",
        ),
        (
            "say '{\"id\":'$id',\"error\":{\"code\":-32603,\"message\":\"busy\"}}'",
            "would not run it: busy (-32603)",
        ),
        ("answer succeeded ',\"exports\":{\"A=\":\"\"}'", "its export `A=` is no legal variable"),
        ("answer failed", "exit"),
    ];
    for (what, expected) in cases {
        let tree =
            tree(r#"{"name":"bad"},{"name":"good","after":["bad@completed"]},{"name":"b"}"#, &bad(what), "");
        let failed = tree.expect(1, "run bad good b -j1");
        let is_plain = expected == "exit";
        assert!(is_plain || failed.err.contains(expected), "{what}: {expected}\n{failed}");
        assert!(failed.err.contains("Failed            p:bad"), "{what}\n{failed}");
        for other in ["Succeeded         p:good", "Succeeded         p:b"] {
            assert!(failed.err.contains(other), "{what}\n{failed}");
        }
        if what.starts_with("echo last") {
            assert!(failed.err.contains("sh: last words"), "{failed}");
        }
    }
}

#[test]
fn a_second_answer_is_a_fault_of_whoever_it_harms() {
    let run = "answer succeeded; [ \"$task\" != p:a ] || answer succeeded";
    let tree = tree(r#"{"name":"a"},{"name":"b","after":["a@completed"]}"#, run, "");
    // The first answer counts. Whether the next task is with the server already when the second comes is chance: then it
    // fails with it, else it gets another one.
    let done = tree.devtask(["run"]).run();
    assert!(done.err.contains("Succeeded         p:a"), "{done}");
    match done.code {
        Some(0) => assert_eq!((tree.executed(), starts(&tree)), (set("p:a p:b"), 3), "{done}"),
        _ => assert!(done.err.contains("it answered request 2, which nobody waits for"), "{done}"),
    }
}

#[test]
fn one_that_cannot_be_started_fails_its_tasks_at_once_and_no_others() {
    let more = "startTimeout = '400ms'\n[tasks.plain]\nexec = ':'\n";
    let tree = tree(r#"{"name":"a"},{"name":"b"},{"name":"c"}"#, "answer succeeded", "");
    tree.replace("devtask.toml", "startTimeout = \"20s\"", more);
    tree.ok("run a");
    // From now on it says nothing; of what it is made nothing has changed.
    tree.write("tasks.json", "");
    tree.program(
        "server.sh",
        &super::SERVER
            .replace("echo start >> starts", "[ ! -e mute ] || exec sleep 1000; echo start >> starts"),
    );
    tree.write("tasks.json", r#"{"tasks":[{"name":"a"},{"name":"b"},{"name":"c"}]}"#);
    tree.ok("run a");
    tree.write("mute", "");
    let failed = tree.expect(1, "run -j1");
    assert_eq!(failed.err.matches("neither bound its socket").count(), 3, "{failed}");
    assert!(failed.err.contains("Succeeded         p:plain"), "{failed}");
}

#[test]
fn one_that_does_not_end_what_it_is_told_to_end_is_not_waited_for() {
    let tree = tree(
        r#"{"name":"stuck"},{"name":"after","depends":["stuck@completed"]}"#,
        &bad("").replace("p:bad", "p:stuck"),
        "",
    );
    let failed = tree.expect(1, "run after stuck --timeout 300ms");
    assert!(failed.err.contains("it took longer than 300ms"), "{failed}");
    assert!(failed.err.contains("Succeeded         p:after"), "{failed}");
    assert_eq!(starts(&tree), 3, "the next task has another one");
}

/// Answers a task when there is a file `go`, and others at once or never.
const WHEN_TOLD: &str = r#"case $task in
  p:long) ( while [ ! -e go ]; do sleep 0.02; done; answer succeeded ) & log began ;;
  p:stuck) log began ;;
  *) answer succeeded ;;
esac"#;

#[test]
fn who_gives_up_a_run_at_once_does_not_take_the_server_from_others() {
    let tree = tree(r#"{"name":"long"},{"name":"stuck"},{"name":"next"}"#, WHEN_TOLD, "");
    let owner = begin(&tree, "run long --show-output");
    wait_for(&tree, "said", "began");
    let guest = tree.devtask(["run", "stuck", "--show-output"]).start_with_stderr("guest");
    wait_for(&tree, "guest", "began");
    guest.signal(2);
    wait_for(&tree, "heard", "\"method\":\"cancel\"");
    guest.signal(2);
    assert_eq!(guest.finish().signal, Some(2));
    tree.ok("run next");
    tree.write("go", "");
    let done = owner.finish();
    assert_eq!(done.code, Some(0), "{done}\n{}", tree.read("said"));
}

#[test]
fn a_task_that_waits_for_another_where_there_is_no_room_is_told_so() {
    let run = r#"case $task in
      p:outer) for name in DEVTASK_RUN DEVTASK_TASK; do value=${line#*"\"$name\":\""}; export $name="${value%%'"'*}"; done
        if $DEVTASK run inner > inner.out 2>&1; then answer succeeded; else answer failed; fi ;;
      *) answer succeeded ;;
    esac"#;
    let mut tree = tree("", run, "");
    tree.write(
        "tasks.json",
        r#"{"tasks":[{"name":"outer"},{"name":"inner"}],"capabilities":{"maxConcurrency":1}}"#,
    );
    tree.set_env("DEVTASK", super::super::support::DEVTASK);
    tree.expect(1, "run outer");
    let said = tree.read("inner.out");
    assert!(said.contains("has no room for it while p:outer, which waits for it, runs there"), "{said}");
}

#[test]
fn one_that_asks_and_does_not_read_is_given_up() {
    let run =
        r#"awk 'BEGIN { for (i = 1; i < 400000; i++) print "{\"id\":" i ",\"method\":\"what\"}" }' >&3"#;
    let tree = tree(r#"{"name":"bad"}"#, run, "");
    let failed = tree.expect(1, "run bad");
    assert!(failed.err.contains("it asks again and again, and does not read the answers"), "{failed}");
}

#[test]
fn nothing_is_left_when_devtask_is_killed() {
    let run = "sleep 1000 & echo $! > child; echo $$ > pid; log up; wait";
    let tree = tree(r#"{"name":"a"}"#, run, "");
    let running = begin(&tree, "run --show-output");
    wait_for(&tree, "said", "up");
    running.signal(9);
    running.finish();
    for file in ["pid", "child"] {
        let pid = rustix::process::Pid::from_raw(tree.read(file).trim().parse().unwrap()).unwrap();
        eventually("the server has ended", || rustix::process::test_kill_process(pid).is_err());
    }
}

#[test]
fn nothing_is_left_after_a_run_however_stubborn_the_server() {
    let stubborn = super::SERVER
        .replace("echo start >> starts", "trap '' TERM; echo $$ > pid")
        .replace("done <&3", "done <&3\nsleep 1000 & wait");
    let tree = tree(r#"{"name":"a"}"#, "answer succeeded", "");
    tree.program("server.sh", &stubborn);
    tree.ok("run a");
    let pid = rustix::process::Pid::from_raw(tree.read("pid").trim().parse().unwrap()).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err());
}

#[test]
fn one_that_floods_has_to_wait_and_loses_nothing() {
    let run = r#"awk -v t="$asked" 'BEGIN { for (i = 1; i <= 60000; i++) print "{\"method\":\"log\",\"params\":{\"task\":\"" t "\",\"line\":\"line " i "\"}}" }' >&3; answer succeeded"#;
    let tree = tree(r#"{"name":"a"}"#, run, "");
    tree.ok("run a");
    let finished = tree.last_events().into_iter().find(|event| event["event"] == "task_finished").unwrap();
    assert_eq!(finished["lines"], 60_000);
    assert!(tree.ok("logs a").out.ends_with("line 60000\n"));
}

#[test]
fn what_it_writes_itself_is_kept_beside() {
    let tree = tree(r#"{"name":"a"}"#, "echo its own; echo and errors >&2; answer succeeded", "");
    tree.ok("run a");
    let log = tree.read(".devtask/log/servers/p:sh.log");
    assert!(log.contains("its own") && log.contains("and errors"), "{log}");
}

#[test]
fn a_large_input_and_a_large_output_are_carried() {
    let run = r#"answer succeeded ',"outputs":"'"$(printf %20000s | tr ' ' y)"'"'"#;
    let tree = tree(r#"{"name":"a"},{"name":"b","depends":["a"]}"#, run, "");
    let done = tree.ok("run");
    assert_eq!(done.json()["p:b"].as_str().map(str::len), Some(20_000));
    assert!(tree.read("heard").lines().any(|line| line.len() > 20_000));
}
