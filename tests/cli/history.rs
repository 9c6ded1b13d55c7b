//! Freshness over time: failures, kills, edits while a task runs, outputs that went away.

use std::process::Command;

use super::support::{Output, Sandbox, eventually, gate::Gate, set};

const KILL: i32 = 9;

fn cached(tree: &Sandbox, line: &str) -> Output {
    let output = tree.ok(line);
    assert_eq!(tree.executed(), set(""), "{output}");
    output
}

fn reruns(tree: &Sandbox, line: &str, tasks: &str) -> Output {
    let output = tree.ok(line);
    assert_eq!(tree.executed(), set(tasks), "{output}");
    output
}

/// A task that fails when its input says so.
fn picky() -> Sandbox {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "grep -q good in.txt"
        execIfModified = ["in.txt"]
        "#,
    );
    tree.write("in.txt", "good");
    tree.ok("run a:t");
    tree
}

#[test]
fn old_content_is_not_fresh_after_a_failure() {
    let tree = picky();
    tree.write("in.txt", "bad");
    tree.expect(1, "run a:t");
    tree.expect(1, "run a:t");
    tree.write("in.txt", "good");
    let output = tree.ok("run a:t --explain");
    assert_eq!(tree.executed(), set("a:t"));
    assert!(output.err.contains("because the last run failed"), "{output}");
    cached(&tree, "run a:t");
}

#[test]
fn old_content_is_fresh_if_nothing_ran_meanwhile() {
    let tree = picky();
    tree.write("in.txt", "bad");
    tree.expect(5, "run a:t --dry-run");
    tree.write("in.txt", "good");
    cached(&tree, "run a:t");
}

#[test]
fn content_there_and_back_with_a_run_between_runs_each_time() {
    let tree = picky();
    for text in ["good, too", "good", "good, too"] {
        tree.write("in.txt", text);
        reruns(&tree, "run a:t", "a:t");
    }
}

/// A task that stops at a gate, then copies its input.
fn gated(extra: &str) -> (Sandbox, Gate) {
    let tree = Sandbox::new();
    let gate = Gate::new(tree.home().join("gate"));
    let script = gate.script();
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"a:t\"]\nexec = '{script}; cat in.txt > out.txt'\nexecIfModified = [\"in.txt\"]\n{extra}"
        ),
    );
    tree.write("in.txt", "A");
    (tree, gate)
}

/// Runs `a:t` through its gate, doing something while it stands there.
fn pass(tree: &Sandbox, gate: &mut Gate, meanwhile: impl FnOnce()) -> Output {
    let running = tree.devtask(["run", "a:t"]).start();
    gate.wait();
    meanwhile();
    gate.open();
    running.finish()
}

#[test]
fn an_edit_during_the_run_counts_as_success_and_runs_again() {
    let (tree, mut gate) = gated("");
    let output = pass(&tree, &mut gate, || tree.write("in.txt", "B"));
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.err.contains("a:t: in.txt changed while it ran"), "{output}");
    let why = tree.ok("why a:t");
    assert!(why.out.contains("in.txt  changed while it last ran"), "{why}");
    assert_eq!(pass(&tree, &mut gate, || ()).code, Some(0));
    assert_eq!(tree.executed(), set("a:t"));
    cached(&tree, "run a:t");
}

#[test]
fn there_and_back_during_the_run_is_an_edit() {
    let (tree, mut gate) = gated("");
    let output = pass(&tree, &mut gate, || {
        tree.write("in.txt", "B");
        tree.write("in.txt", "A");
    });
    assert_eq!(output.code, Some(0), "{output}");
    pass(&tree, &mut gate, || ());
    assert_eq!(tree.executed(), set("a:t"));
    cached(&tree, "run a:t");
}

#[test]
fn a_new_or_removed_input_during_the_run_is_an_edit() {
    for appears in [true, false] {
        let (tree, mut gate) = gated("");
        tree.replace("devtask.toml", "[\"in.txt\"]", "[\"in.txt\", \"more/*\"]");
        tree.write("more/here", "");
        pass(
            &tree,
            &mut gate,
            || if appears { tree.write("more/new", "") } else { tree.remove("more/here") },
        );
        tree.ok("why a:t");
        pass(&tree, &mut gate, || ());
        assert_eq!(tree.executed(), set("a:t"), "appears: {appears}");
        cached(&tree, "run a:t");
    }
}

#[test]
fn a_touched_declared_output_during_the_run_is_fine() {
    let (tree, mut gate) = gated("outputs = [\"out.txt\"]\n");
    tree.replace("devtask.toml", "[\"in.txt\"]", "[\"in.txt\", \"out.txt\"]");
    tree.write("out.txt", "A");
    let output = pass(&tree, &mut gate, || tree.write("out.txt", "other"));
    assert!(!output.err.contains("changed while it ran"), "{output}");
    cached(&tree, "run a:t");
}

#[test]
fn an_edit_of_the_declaration_during_the_run_counts_for_the_next() {
    let (tree, mut gate) = gated("");
    pass(&tree, &mut gate, || tree.replace("devtask.toml", "> out.txt", "> other.txt"));
    assert!(tree.exists("out.txt"));
    pass(&tree, &mut gate, || ());
    assert_eq!(tree.read("other.txt"), "A");
}

#[test]
fn a_killed_devtask_leaves_nothing_that_counts_as_done() {
    let (tree, mut gate) = gated("");
    assert_eq!(pass(&tree, &mut gate, || ()).code, Some(0));
    tree.write("in.txt", "B");
    let running = tree.devtask(["run", "a:t"]).start();
    gate.wait();
    running.signal(KILL);
    assert_eq!(running.finish().signal, Some(KILL));
    tree.write("in.txt", "A");
    let why = tree.ok("why a:t");
    assert!(why.out.contains("the last run was not completed"), "{why}");
    assert_eq!(pass(&tree, &mut gate, || ()).code, Some(0));
    assert_eq!(tree.executed(), set("a:t"));
    cached(&tree, "run a:t");
}

/// The journal tells what had begun from what only waited for its turn.
#[test]
#[cfg(target_os = "linux")]
fn what_had_not_begun_when_devtask_was_killed_is_as_fresh_as_before() {
    let waiting = "[tasks.\"a:u\"]\nexec = 'cat in.txt > other.txt'\nexecIfModified = [\"in.txt\"]\nafter = [\"a:t\"]\n";
    for (spoil, executed) in [("", "a:t"), (".devtask/journal", "a:t a:u")] {
        let (tree, mut gate) = gated(waiting);
        let run = |gate: &mut Gate| {
            let running = tree.devtask(["run", "a:u"]).start();
            gate.wait();
            gate.open();
            running.finish()
        };
        assert_eq!(run(&mut gate).code, Some(0));
        tree.write("in.txt", "B");
        let running = tree.devtask(["run", "a:u"]).start();
        gate.wait();
        running.signal(KILL);
        assert_eq!(running.finish().signal, Some(KILL));
        tree.write("in.txt", "A");
        if !spoil.is_empty() {
            tree.remove(spoil);
        }
        assert_eq!(run(&mut gate).code, Some(0));
        assert_eq!(tree.executed(), set(executed), "without `{spoil}`");
        cached(&tree, "run a:u");
    }
}

#[test]
fn an_interrupted_task_is_not_done() {
    let (tree, mut gate) = gated("");
    pass(&tree, &mut gate, || ());
    tree.write("in.txt", "B");
    let running = tree.devtask(["run", "a:t"]).start();
    gate.wait();
    running.signal(15);
    assert_eq!(running.finish().signal, Some(15));
    tree.write("in.txt", "A");
    pass(&tree, &mut gate, || ());
    assert_eq!(tree.executed(), set("a:t"));
}

#[test]
fn a_formatter_settles_on_its_second_run() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:fmt"]
        exec = 'tr a-z A-Z < in.txt > new.txt; if cmp -s new.txt in.txt; then rm new.txt; else mv new.txt in.txt; fi'
        execIfModified = ["in.txt"]

        [tasks."a:declared"]
        exec = 'tr a-z A-Z < own.txt > new.txt; mv new.txt own.txt'
        execIfModified = ["own.txt"]
        outputs = ["own.txt"]
        "#,
    );
    tree.write("in.txt", "text");
    tree.write("own.txt", "text");
    for task in ["a:fmt", "a:declared"] {
        reruns(&tree, &format!("run {task}"), task);
        reruns(&tree, &format!("run {task}"), task);
        cached(&tree, &format!("run {task}"));
    }
}

#[test]
fn lost_and_changed_outputs_come_back() {
    lost_and_changed_outputs("", "");
}

#[test]
fn lost_and_changed_outputs_are_made_again_where_they_are_not_all_of_it() {
    lost_and_changed_outputs("restore = false", "a:t");
}

fn lost_and_changed_outputs(restore: &str, reruns_it: &str) {
    let tree = Sandbox::with(&format!(
        r#"
        [tasks."a:t"]
        exec = "mkdir -p out/deep; cat in.txt > out/x; cp out/x out/deep/y; cp out/x one"
        execIfModified = ["in.txt"]
        outputs = ["out/**", "one"]
        {restore}
        "#,
    ));
    tree.write("in.txt", "1");
    tree.ok("run a:t");
    type Case = (&'static str, fn(&Sandbox), &'static str);
    let cases: [Case; 6] = [
        ("removed", |t| t.remove("one"), "one missing"),
        ("removed directory", |t| t.remove("out"), "out/x missing"),
        ("changed", |t| t.write("out/x", "2"), "out/x content changed"),
        ("executable", |t| t.chmod("out/deep/y", 0o755), "out/deep/y executable bit changed"),
        ("truncated", |t| t.write("one", ""), "one content changed"),
        ("removed below", |t| t.remove("out/deep/y"), "out/deep/y missing"),
    ];
    for (name, edit, words) in cases {
        edit(&tree);
        let why = tree.ok("why a:t");
        let told = why.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(words), "{name}\n{why}");
        reruns(&tree, "run a:t", reruns_it);
        for file in ["out/x", "out/deep/y", "one"] {
            assert_eq!(tree.read(file), "1", "{name}: {file}");
        }
        cached(&tree, "run a:t");
    }
    tree.touch("one");
    cached(&tree, "run a:t");
}

#[test]
fn a_declared_output_that_is_missing_after_success_is_a_failure() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "[ ! -e make ] || touch out.txt"
        outputs = ["out.txt"]
        "#,
    );
    let output = tree.expect(1, "run a:t");
    assert!(output.err.contains("it did not make its declared output `out.txt`"), "{output}");
    tree.expect(1, "run a:t");
    tree.write("make", "");
    tree.ok("run a:t");
    cached(&tree, "run a:t");
}

#[test]
fn a_success_without_output_clears_the_stored_output() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = '''
        if grep -q loud in.txt; then
          echo '{"n":1,"devenv":{"env":{"E":"1"},"messages":["hello"]}}' > "$DEVENV_TASK_OUTPUT_FILE"
        fi
        '''
        execIfModified = ["in.txt"]
        "#,
    );
    tree.write("in.txt", "loud");
    let outputs = r#"{"a:t":{"devenv":{"env":{"E":"1"},"messages":["hello"]},"n":1}}"#;
    assert_eq!(tree.ok("run a:t").json().to_string(), outputs.to_owned());
    assert_eq!(cached(&tree, "run a:t").json().to_string(), outputs);
    tree.write("in.txt", "quiet");
    assert_eq!(tree.ok("run a:t").out, "{}\n");
    assert_eq!(cached(&tree, "run a:t").out, "{}\n");
}

#[test]
fn an_input_that_cannot_be_read_is_never_fresh() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "true"
        execIfModified = ["in.txt", "loop", "/proc/self/mem"]
        "#,
    );
    tree.write("in.txt", "");
    std::os::unix::fs::symlink("loop", tree.path("loop")).unwrap();
    tree.ok("run a:t");
    // Its first page is never mapped, so not even root can read it.
    if !std::path::Path::new("/proc/self/mem").exists() {
        return;
    }
    let output = tree.ok("run a:t --explain");
    assert_eq!(tree.executed(), set("a:t"), "{output}");
    assert!(output.err.contains("because /proc/self/mem cannot be read: Input/output error"), "{output}");
    tree.replace("devtask.toml", ", \"/proc/self/mem\"", "");
    tree.ok("run a:t");
    cached(&tree, "run a:t");
}

#[test]
fn a_special_file_among_the_inputs_does_not_hang() {
    let tree = Sandbox::with("[tasks.\"a:t\"]\nexec = \"true\"\nexecIfModified = [\"in/**\", \"pipe\"]\n");
    tree.write("in/x", "");
    for pipe in ["in/pipe", "pipe"] {
        assert!(Command::new("mkfifo").arg(tree.path(pipe)).status().unwrap().success());
    }
    tree.ok("run a:t");
    cached(&tree, "run a:t");
}

#[test]
fn a_glob_that_matches_nothing_is_a_warning_with_its_directory() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "true"
        cwd = "sub"
        execIfModified = ["src/*.rs", "!nothing/*", "literal"]
        "#,
    );
    tree.write("sub/x", "");
    let warning = "Warning           a:t: `src/*.rs` matches nothing in sub\n";
    let output = tree.ok("run a:t");
    assert_eq!(output.err.matches("Warning").count(), 1, "{output}");
    assert!(output.err.contains(warning), "{output}");
    assert!(cached(&tree, "run a:t").err.contains(warning), "also when it is fresh");
    tree.write("sub/src/a.rs", "");
    assert!(!reruns(&tree, "run a:t", "a:t").err.contains("Warning"));
}

#[test]
fn a_moved_tree_is_fresh_with_its_state() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "cat ${root}/in.txt > out.txt"
        execIfModified = ["${root}/in.txt"]
        outputs = ["out.txt"]
        env = { HERE = "${root}" }
        "#,
    );
    tree.write("in.txt", "1");
    tree.ok("run a:t");
    let other = Sandbox::new();
    let copied = Command::new("cp").arg("-a").arg(tree.path(".")).arg(other.root()).status().unwrap();
    assert!(copied.success());
    cached(&other, "run a:t");
}

#[test]
fn tasks_without_inputs_outputs_or_status_always_run() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:always"]
        exec = 'echo {} > "$DEVENV_TASK_OUTPUT_FILE"'
        execIfModified = []

        [tasks."a:t"]
        after = ["a:always"]
        exec = "true"
        execIfModified = ["in.txt"]
        "#,
    );
    tree.write("in.txt", "");
    reruns(&tree, "run a:t", "a:always a:t");
    reruns(&tree, "run a:t", "a:always");
}

#[test]
fn forcing_concerns_the_roots_and_refreshing_everything() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:one"]
        exec = "true"
        execIfModified = ["in.txt"]
        [tasks."a:asks"]
        status = "true"
        exec = "true"
        [tasks."a:two"]
        after = ["a:one", "a:asks"]
        exec = "true"
        execIfModified = ["in.txt"]
        "#,
    );
    tree.write("in.txt", "");
    tree.ok("run a:two");
    reruns(&tree, "run a:two --force", "a:two");
    reruns(&tree, "run a:asks --force", "a:asks");
    reruns(&tree, "run a:two --refresh-task-cache", "a:one a:two a:asks");
    cached(&tree, "run a:two");
    assert!(tree.ok("run a:two --force --explain").err.contains("because asked for on the command line"));
}

#[test]
fn a_dry_run_says_what_would_run_and_writes_nothing() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:always"]
        exec = "touch always-ran"
        [tasks."a:asks"]
        status = "touch asked; false"
        exec = "touch asks-ran"
        [tasks."a:one"]
        exec = "touch one-ran"
        execIfModified = ["in.txt"]
        [tasks."a:two"]
        after = ["a:one", "a:asks", "a:always"]
        exec = "touch two-ran"
        execIfModified = ["two.txt"]
        "#,
    );
    tree.write("in.txt", "");
    tree.write("two.txt", "");
    let output = tree.expect(5, "run a:two --dry-run");
    let expected = "\
Running tasks     a:two
Always runs       a:always
Asks its status   a:asks
Would run         a:one   because no earlier run is known
Would run         a:two   because no earlier run is known (+1)
";
    let told: String = output.err.lines().take(5).map(|l| format!("{l}\n")).collect();
    assert_eq!(told, expected, "{output}");
    for path in [".devtask", "always-ran", "asked", "asks-ran", "one-ran", "two-ran"] {
        assert!(!tree.exists(path), "{path}");
    }
    tree.ok("run a:two");
    let before = tree.last_events();
    tree.expect(0, "run a:two -n");
    assert_eq!(tree.last_events(), before);
    tree.write("in.txt", "2");
    let output = tree.expect(5, "run a:two -n");
    assert!(output.err.contains("Would run         a:two   because a:one would run first"), "{output}");
}

#[test]
fn single_sees_what_upstream_last_handed_on() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:values"]
        exec = 'echo "{\"n\":$(cat n.txt),\"devenv\":{\"env\":{\"N\":\"n\"}}}" > "$DEVENV_TASK_OUTPUT_FILE"; cp n.txt made.txt'
        execIfModified = ["n.txt"]
        outputs = ["made.txt"]
        [tasks."a:door"]
        after = ["a:values"]
        [tasks."a:t"]
        after = ["a:door"]
        exec = 'echo "$DEVENV_TASKS_OUTPUTS $N" >> seen.txt'
        execIfModified = ["in.txt"]
        "#,
    );
    tree.write("n.txt", "1");
    tree.write("in.txt", "");
    tree.ok("run a:t");
    cached(&tree, "run a:t --mode single");
    tree.write("in.txt", "2");
    reruns(&tree, "run a:t --mode single", "a:t");
    cached(&tree, "run a:t");
    let line = "{\"a:values\":{\"devenv\":{\"env\":{\"N\":\"n\"}},\"n\":1}} n\n";
    assert_eq!(tree.read("seen.txt"), line.repeat(2));
}

#[test]
fn single_sees_the_files_that_are_there_not_those_that_were() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        exec = "cat in.txt > up.out"
        execIfModified = ["in.txt"]
        outputs = ["up.out"]
        [tasks."a:t"]
        after = ["a:up"]
        exec = "cat up.out > t.out"
        outputs = ["t.out"]
        "#,
    );
    tree.write("in.txt", "right");
    tree.ok("run a:t");
    tree.write("up.out", "wrong");
    reruns(&tree, "run a:t --mode single", "a:t");
    assert_eq!(tree.read("t.out"), "wrong");
    // Both have left what is right before.
    reruns(&tree, "run a:t", "");
    assert_eq!(tree.read("up.out"), "right");
    assert_eq!(tree.read("t.out"), "right");
}

#[test]
fn what_status_lets_stand_is_judged_as_it_is() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        status = "test -e up.out"
        exec = "echo made > up.out"
        outputs = ["up.out"]
        [tasks."a:t"]
        after = ["a:up"]
        exec = "cat up.out > t.out"
        outputs = ["t.out"]
        "#,
    );
    reruns(&tree, "run a:t", "a:up a:t");
    cached(&tree, "run a:t");
    tree.write("up.out", "mine");
    reruns(&tree, "run a:t", "a:t");
    assert_eq!(tree.read("t.out"), "mine");
}

#[test]
fn a_status_command_decides() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:asks"]
        status = '''
        [ -e there ] || exit 7
        printf 'LATE\0%s\0' "$(printf status | base64)" >> "$DEVENV_TASK_EXPORTS_FILE"
        '''
        exec = '''
        touch there
        echo '{"n":1,"devenv":{"env":{"EARLY":"exec","LATE":"exec"},"messages":["made"]}}' > "$DEVENV_TASK_OUTPUT_FILE"
        '''
        [tasks."a:t"]
        after = ["a:asks"]
        exec = 'echo "$EARLY $LATE $DEVENV_TASKS_OUTPUTS" > seen.txt'
        "#,
    );
    let output = reruns(&tree, "run a:t --explain", "a:asks a:t");
    assert!(tree.read("seen.txt").starts_with("exec exec {\"a:asks\":{"), "{output}");
    let output = reruns(&tree, "run a:t", "a:t");
    assert!(output.err.contains("Cached            a:asks"), "{output}");
    assert!(output.err.contains("\nmade\n"), "{output}");
    assert!(tree.read("seen.txt").starts_with("exec status {\"a:asks\":{"), "{}", tree.read("seen.txt"));
    tree.remove("there");
    reruns(&tree, "run a:t", "a:asks a:t");
    let last = tree.ok("why a:asks --last");
    assert!(last.out.contains("status"), "{last}");
}

#[test]
fn a_status_that_cannot_start_fails_the_task() {
    let tree = Sandbox::with(
        "[tasks.\"a:t\"]\nstatus = \"true\"\nexec = \"true\"\ncwd = \"missing\"\n\
         [tasks.\"a:u\"]\nstatus = \"true\"\nexec = \"true\"\npackage = \"no-such-program\"\n",
    );
    let output = tree.expect(1, "run a:t a:u");
    assert_eq!(tree.executed(), set(""), "{output}");
    assert!(output.err.contains("missing"), "{output}");
    assert!(output.err.contains("there is no interpreter `no-such-program` on PATH: "), "{output}");
}

#[test]
fn a_task_that_ends_without_its_children_is_recorded_once_they_are_gone() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "sleep 1000 & echo $! > child"
        execIfModified = ["in.txt"]
        "#,
    );
    tree.write("in.txt", "");
    let output = tree.ok("run a:t");
    assert!(output.err.contains("it left processes running; they were ended"), "{output}");
    let child = tree.read("child").trim().to_owned();
    eventually("the child is gone", || !std::path::Path::new("/proc").join(&child).exists());
    cached(&tree, "run a:t");
}
