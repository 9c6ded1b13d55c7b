//! Tasks of servers are tasks.

use super::{super::support::set, begin, starts, tree, wait_for};

const TWO: &str = r#"{"name":"gen","exec_if_modified":["in.txt"],"outputs":["out.txt"],"description":"makes it"},
{"name":"other:use","depends":["gen"]}"#;
const COPY: &str = r#"[ "$task" != p:gen ] || cat in.txt > out.txt; log "did $task"; answer succeeded ',"outputs":{"of":"'"$task"'"}'"#;

#[test]
fn they_are_depended_on_found_fresh_and_explained_like_any_other() {
    let more = "[tasks.last]\nexec = 'echo \"$DEVENV_TASKS_OUTPUTS\" > seen'\nafter = ['other:use']\n";
    let tree = tree(TWO, COPY, more);
    tree.write("in.txt", "one");
    let first = tree.ok("run");
    assert_eq!(tree.executed(), set("p:gen other:use p:last"), "{first}");
    assert_eq!(tree.read("seen"), "{\"other:use\":{\"of\":\"other:use\"},\"p:gen\":{\"of\":\"p:gen\"}}\n");
    assert_eq!(first.json()["p:gen"]["of"], "p:gen");
    tree.ok("run");
    assert_eq!(tree.executed(), set("other:use p:last"));
    tree.write("in.txt", "two");
    let why = tree.ok("why p:gen");
    assert!(why.out.contains("in.txt"), "{why}");
    tree.ok("run");
    assert_eq!((tree.executed(), tree.read("out.txt").as_str()), (set("p:gen other:use p:last"), "two"));
    // What was made is a part of it, too.
    tree.write("out.txt", "another");
    tree.ok("run gen");
    assert_eq!((tree.executed(), tree.read("out.txt").as_str()), (set(""), "two"), "it comes back");
    let list = tree.ok("list");
    assert!(list.out.contains("makes it") && list.out.contains("other:use"), "{list}");
    let log = tree.ok("logs gen");
    assert!(log.out.contains("did p:gen"), "{log}");
    assert_eq!(tree.ok("graph --format dot").out.matches("->").count(), 2);
}

#[test]
fn what_the_server_is_made_of_is_a_part_of_them() {
    let tree = tree(TWO, COPY, "watch = ['lib/**/*.rules']\n[tasks.last]\nexec = ':'\n");
    tree.write("in.txt", "one");
    tree.ok("run gen");
    tree.write("lib/deep/new.rules", "x");
    let why = tree.ok("why gen");
    assert!(why.out.contains("lib/deep/new.rules"), "{why}");
    tree.ok("run gen");
    assert_eq!(tree.executed(), set("p:gen"));
    tree.append("server.sh", "# another\n");
    let why = tree.ok("why gen");
    assert!(why.out.contains("server.sh"), "{why}");
    tree.ok("run gen");
    assert_eq!(tree.executed(), set("p:gen"));
    // A command line with its variables as well, as the command of a script would.
    tree.replace("devtask.toml", "command = [\"./server.sh\"]", "command = [\"./server.sh\"]\nenv.A = 'b'");
    tree.ok("run gen");
    assert_eq!(tree.executed(), set("p:gen"));
    tree.ok("run gen");
    assert_eq!(tree.executed(), set(""));
}

#[test]
fn one_server_serves_a_run_and_is_not_needed_for_what_is_fresh() {
    let tree = tree(TWO, COPY, "");
    tree.write("in.txt", "one");
    tree.ok("run");
    assert_eq!(starts(&tree), 2, "once for its list, once for its tasks");
    tree.ok("run");
    assert_eq!(starts(&tree), 1, "for what always runs");
    tree.ok("run gen");
    assert_eq!(starts(&tree), 0, "it is fresh");
}

#[test]
fn they_get_what_a_script_would_and_hand_on_as_one() {
    let tasks =
        r#"{"name":"a","input":{"k":1,"l":2},"env":{"OWN":"yes"},"cwd":"sub"},{"name":"b","after":["a"]}"#;
    let run = r#"case $task in
      p:a) answer succeeded ',"outputs":{"devenv":{"env":{"BY_ENV":"1"},"messages":["first"]}},"exports":{"BY_EXPORT":"2"},"messages":["second"]' ;;
      *) answer succeeded ;;
    esac"#;
    let more = "[env]\nOF_FILE = 'f'\n[tasks.c]\nafter = ['a']\nexec = 'echo $BY_ENV $BY_EXPORT > seen'\n";
    let tree = tree(tasks, run, more);
    let failed = tree.expect(1, "run a");
    assert!(failed.err.contains("tree/sub does not exist"), "{failed}");
    tree.write("sub/x", "");
    let done = tree.ok("run a b c --input k=9");
    assert_eq!(tree.read("seen"), "1 2\n");
    assert!(done.err.contains("first") && done.err.contains("second"), "{done}");
    let heard = tree.read("heard");
    let asked =
        |task: &str| heard.lines().find(|line| line.contains(&format!("\"task\":\"{task}\"}}"))).unwrap();
    // By the names they have in the list.
    let (a, b) = (asked("a"), asked("b"));
    for part in [
        "\"inputs\":{\"k\":9,\"l\":2}",
        "\"OWN\":\"yes\"",
        "\"OF_FILE\":\"f\"",
        "/tree/sub\"",
        "\"DEVTASK_RUN\":",
    ] {
        assert!(a.contains(part), "{part} in {a}");
    }
    for part in
        ["\"inputs\":{\"k\":9}", "\"p:a\":{\"devenv\":", "\"BY_EXPORT\":\"2\"", "\"DEVTASK_TASK\":\"p:b\""]
    {
        assert!(b.contains(part), "{part} in {b}");
    }
}

#[test]
fn a_failure_is_told_with_its_detail_and_touches_only_what_rests_on_it() {
    let tasks = r#"{"name":"bad"},{"name":"after","depends":["bad"]},{"name":"good"}"#;
    let run = r#"case $task in
      p:bad) log working; answer failed ',"error":{"message":"no such table","detail":"line 1\nline 2"}' ;;
      *) answer succeeded ;;
    esac"#;
    let tree = tree(tasks, run, "");
    let failed = tree.expect(1, "run after good");
    for part in
        ["no such table", "working", "line 2", "Dependency failed p:after", "Succeeded         p:good"]
    {
        assert!(failed.err.contains(part), "{part} in {failed}");
    }
    assert!(tree.ok("logs bad").out.contains("line 1"));
}

#[test]
fn what_is_skipped_counts_as_done_and_hands_on_what_it_did_last() {
    let tasks = r#"{"name":"a","exec_if_modified":["in.txt"]}"#;
    let run =
        r#"if [ -e done ]; then answer skipped; else touch done; answer succeeded ',"outputs":{"n":1}'; fi"#;
    let tree = tree(tasks, run, "");
    tree.write("in.txt", "one");
    tree.ok("run a");
    tree.write("in.txt", "two");
    let skipped = tree.ok("run a");
    assert!(skipped.err.contains("Cached            p:a"), "{skipped}");
    assert_eq!(skipped.json()["p:a"]["n"], 1);
    tree.ok("run a");
    assert_eq!(tree.executed(), set(""), "it is fresh now");
}

#[test]
fn progress_and_remarks_are_events_and_remarks_are_in_the_log() {
    let run = r#"say '{"method":"progress","params":{"task":"a","done":1,"total":4,"message":"linking"}}'
      say '{"method":"diagnostic","params":{"task":"a","file":"x.c","line":3,"col":7,"severity":"warning","message":"unused"}}'
      answer succeeded"#;
    let tree = tree(r#"{"name":"a"}"#, run, "");
    tree.ok("run a --events events");
    let events = tree.read("events");
    assert!(
        events.contains(r#""event":"progress","task":"p:a","done":1.0,"total":4.0,"message":"linking""#),
        "{events}"
    );
    assert!(
        events.contains(r#""event":"diagnostic","task":"p:a","file":"x.c","line":3,"col":7"#),
        "{events}"
    );
    assert!(tree.ok("logs a").out.contains("x.c:3:7: warning: unused"));
}

#[test]
fn a_server_that_wants_one_run_at_a_time_gets_one() {
    let tree =
        tree("", r#"[ ! -e busy ] || echo both > clash; touch busy; log x; rm busy; answer succeeded"#, "");
    tree.write(
        "tasks.json",
        r#"{"tasks":[{"name":"a"},{"name":"b"},{"name":"c"}],"capabilities":{"maxConcurrency":1}}"#,
    );
    tree.ok("run -j 3");
    assert!(!tree.exists("clash"));
    let locks = tree.ok("show a");
    assert!(locks.out.contains("server p:sh"), "{locks}");
}

#[test]
fn they_take_no_arguments() {
    let tree = tree(r#"{"name":"a"}"#, "answer succeeded", "");
    let refused = tree.expect(1, "run a -- x");
    assert!(refused.err.contains("takes no arguments"), "{refused}");
}

#[test]
fn one_that_is_told_to_end_may_say_so() {
    let run = r#"was=$id; now=$task; log running"#;
    let tree = tree(r#"{"name":"a"},{"name":"b","depends":["a"]}"#, run, "");
    tree.write("cancel.sh", "id=$was task=$now; answer cancelled");
    let running = begin(&tree, "run --show-output");
    wait_for(&tree, "said", "running");
    running.signal(2);
    let ended = running.finish();
    assert_eq!(ended.signal, Some(2), "{ended}");
    assert!(tree.read("events").contains(r#""task":"p:a","status":"cancelled""#), "{}", tree.read("events"));
    assert!(tree.read("heard").contains("\"method\":\"cancel\""));
}

#[test]
fn a_time_limit_is_told_to_the_server() {
    let tree = tree(r#"{"name":"a"}"#, "was=$id; now=$task", "");
    tree.write("cancel.sh", "id=$was task=$now; answer cancelled");
    let failed = tree.expect(1, "run a --timeout 100ms");
    assert!(failed.err.contains("it took longer than 100ms"), "{failed}");
}

#[test]
fn a_task_of_a_server_may_ask_for_others() {
    let run = r#"case $task in
      p:outer) for name in DEVTASK_RUN DEVTASK_TASK; do value=${line#*"\"$name\":\""}; export $name="${value%%'"'*}"; done
        if $DEVTASK run inner > inner.out 2>&1; then answer succeeded; else answer failed; fi ;;
      *) answer succeeded ;;
    esac"#;
    let mut tree = tree(r#"{"name":"outer"}"#, run, "[tasks.inner]\nexec = 'echo x >> count'\n");
    tree.set_env("DEVTASK", super::super::support::DEVTASK);
    let done = tree.ok("run outer");
    assert_eq!(tree.read("count"), "x\n", "{done}");
}

#[test]
fn a_server_that_is_rewritten_during_a_run_is_another_one_for_the_next_task() {
    let tasks = r#"{"name":"first"},{"name":"second","after":["write"],"exec_if_modified":["in.txt"]}"#;
    let more = "watch = ['run.sh']\n[tasks.write]\nafter = ['first']\nexec = 'cp new.sh run.sh'\n";
    let tree = tree(tasks, "echo old >> ran; answer succeeded", more);
    tree.write("in.txt", "x");
    tree.write("new.sh", "echo new >> ran; answer succeeded");
    tree.ok("run");
    assert_eq!(tree.read("ran"), "old\nnew\n");
    tree.ok("run second");
    assert_eq!(tree.executed(), set("p:first p:write"), "what it was made of then is what it is made of now");
}

#[test]
fn what_is_null_is_as_good_as_absent() {
    let run = r#"say '{"method":"log","params":{"task":"a","run":null,"line":"seen","stderr":null}}'
      answer succeeded ',"outputs":null,"exports":null,"messages":null,"error":null'"#;
    let tree = tree("", run, "");
    tree.write("tasks.json", r#"{"tasks":[{"name":"a","after":null}],"capabilities":null,"server":null}"#);
    tree.ok("run a");
    assert!(tree.ok("logs a").out.contains("seen"));
}
