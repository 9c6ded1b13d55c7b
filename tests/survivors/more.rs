//! Other ways to end, to wait and to be stopped.

use super::{
    processes::{TOKEN, carrying, guardian, none_survives, state, token},
    support::{Sandbox, eventually, gate::Gate},
};

const HUP: i32 = 1;
const INT: i32 = 2;
const KILL: i32 = 9;
const USR1: i32 = 10;
const CONT: i32 = 18;
const TSTP: i32 = 20;

/// A tree whose tasks carry the token.
fn tree(tasks: &str) -> Sandbox {
    let tree = Sandbox::new();
    tree.write("devtask.toml", format!("name = \"app\"\nenv.{TOKEN} = \"{}\"\n{tasks}", token(&tree)));
    tree
}

fn up(tree: &Sandbox) {
    eventually("the task is up", || tree.exists("up"));
}

fn kill(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn the_next_run_ends_what_a_killed_one_and_its_killed_guardian_left() {
    let tree = tree(
        r#"
        [tasks.daemon]
        exec = "setsid sh -c 'echo > up; sleep 600; :' & while :; do sleep 0.02; done"
        [tasks.look]
        exec = "true"
        "#,
    );
    let run = tree.devtask(["run", "daemon"]).start_with_stderr("err");
    up(&tree);
    kill(guardian(run.pid()).expect("a guardian"));
    run.signal(KILL);
    assert_eq!(run.finish().signal, Some(KILL));
    assert!(!carrying(&token(&tree)).is_empty(), "nobody was there to end it");
    tree.ok("run look");
    assert_eq!(carrying(&token(&tree)), [""; 0]);
}

#[test]
fn a_second_signal_kills_what_ignores_the_first() {
    let tree = tree(
        r#"
        [tasks.stubborn]
        exec = "trap 'echo > asked' TERM INT HUP; echo > up; while :; do sleep 0.02 || true; done"
        "#,
    );
    let run = tree.devtask(["run", "stubborn"]).start();
    up(&tree);
    run.signal(HUP);
    eventually("the task is asked to end", || tree.exists("asked"));
    run.signal(INT);
    let output = run.finish();
    assert_eq!(output.signal, Some(HUP), "the first one counts: {output}");
    assert!(output.err.contains("1 Cancelled     "), "{output}");
    assert_eq!(carrying(&token(&tree)), [""; 0]);
}

#[test]
fn a_background_child_that_keeps_stdout_neither_hangs_the_run_nor_survives() {
    let tree = tree("[tasks.leaky]\nexec = \"sleep 600 & echo said\"\nexecIfModified = [\"in\"]\n");
    tree.write("in", "");
    let output = tree.ok("run leaky --show-output");
    assert!(output.err.contains("[app:leaky]  said\n"), "{output}");
    assert!(output.err.contains("Warning           app:leaky: it left processes running"), "{output}");
    assert_eq!(carrying(&token(&tree)), [""; 0]);
    assert!(tree.ok("run leaky").err.contains("1 Cached"));
}

#[test]
fn a_signal_while_waiting_for_another_devtask_ends_only_the_one_that_waits() {
    let tree = tree("");
    let mut gate = Gate::new(tree.path("gate"));
    tree.append("devtask.toml", format!("[tasks.first]\nexec = '''{}'''\n", gate.script()));
    tree.append("devtask.toml", "[tasks.second]\nexec = \"true\"\n");
    // One that does not serve the second.
    let first = tree.devtask(["run", "first"]).start_as(&tree.another_build());
    gate.wait();
    let waiting = tree.devtask(["run", "second"]).start_with_stderr("waiting.err");
    eventually("it waits", || tree.read("waiting.err").contains("Waiting for"));
    waiting.signal(INT);
    assert_eq!(waiting.finish().signal, Some(INT));
    gate.open();
    let output = first.finish();
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
fn a_hang_up_that_was_ignored_from_the_start_ends_nothing() {
    let tree = tree("");
    let mut gate = Gate::new(tree.path("gate"));
    tree.append("devtask.toml", format!("[tasks.long]\nexec = '''{}'''\n", gate.script()));
    let run = tree.devtask(["run", "long"]).start_under("sh", &["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    gate.wait();
    run.signal(HUP);
    gate.open();
    let output = run.finish();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.err.contains("1 Succeeded"), "{output}");
}

#[test]
fn a_stop_stops_the_groups_and_the_time_limits() {
    let tree = tree(
        r#"
        [tasks.slow]
        timeout = "8s"
        exec = "echo $$ > pid; echo > up; while [ ! -e go ]; do sleep 0.02; done"
        "#,
    );
    let run = tree.devtask(["run", "slow"]).start();
    up(&tree);
    let task: i32 = tree.read("pid").trim().parse().unwrap();
    run.signal(TSTP);
    eventually("devtask and its task stand still", || {
        state(run.pid()) == Some('T') && state(task) == Some('T')
    });
    // Time has to pass here: more of it than the task has.
    std::thread::sleep(std::time::Duration::from_millis(8500));
    run.signal(CONT);
    eventually("the task goes on", || state(task) != Some('T'));
    tree.write("go", "");
    let output = run.finish();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(carrying(&token(&tree)), [""; 0]);
}

#[test]
fn sigusr1_says_what_is_running() {
    let tree = tree("");
    let mut gate = Gate::new(tree.path("gate"));
    tree.append("devtask.toml", format!("[tasks.long]\nexec = '''{}'''\n", gate.script()));
    let run = tree.devtask(["run", "long"]).start_with_stderr("err");
    gate.wait();
    // It is told once that it started; the second time is the answer.
    eventually("it is told that it runs", || tree.read("err").contains("Running           app:long\n"));
    run.signal(USR1);
    eventually("it says so again", || tree.read("err").contains("Running           app:long ("));
    gate.open();
    assert_eq!(run.finish().code, Some(0));
}

#[test]
fn a_watch_that_is_killed_leaves_nothing_and_the_next_one_is_right() {
    let tree = tree(
        r#"
        [tasks.slow]
        exec = "echo half > out; setsid sleep 600 & echo > up; while [ ! -e go ]; do sleep 0.02; done; cp in out"
        execIfModified = ["in"]
        outputs = ["out"]
        "#,
    );
    tree.write("in", "whole");
    for way in [KILL, INT] {
        let _ = std::fs::remove_file(tree.path("up"));
        let watch = tree.devtask(["watch", "slow"]).start_with_stderr("err");
        up(&tree);
        watch.signal(way);
        assert_eq!(watch.finish().signal, Some(way));
        none_survives(&token(&tree));
        assert_eq!(tree.read("out"), "half\n");
    }
    tree.write("go", "");
    let watch = tree.devtask(["watch", "slow"]).start_with_stderr("err");
    eventually("it is right", || tree.read("out") == "whole" && tree.read("err").contains(" waiting "));
    watch.signal(INT);
    watch.finish();
    assert!(tree.ok("run slow").err.contains("1 Cached"), "nothing is left to be done");
}
