//! Running: order, slots, locks, failures, and what the user sees of it (spec sections 2 and 3, `cli.md`).

use std::{fs, time::Instant};

use super::support::{Sandbox, events_of, eventually, gate::Gate, set, steady, tasks_in};

fn statuses(tree: &Sandbox) -> Vec<(String, String)> {
    let ends = tree.last_events().into_iter().filter(|e| e["event"] == "task_finished");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    ends.map(|e| (text(&e["task"]), text(&e["status"]))).collect()
}

fn ended(tree: &Sandbox, status: &str) -> std::collections::BTreeSet<String> {
    statuses(tree).into_iter().filter(|(_, s)| s == status).map(|(task, _)| task).collect()
}

/// Which tasks began, in that order.
fn order(tree: &Sandbox) -> Vec<String> {
    let begun = tree.last_events().into_iter().filter(|e| e["event"] == "task_started");
    begun.map(|e| e["task"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_failure_looks_as_promised() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:install"]
        exec = "true"
        execIfModified = ["in.txt"]
        [tasks."app:build"]
        after = ["app:install"]
        exec = "true"
        [tasks."app:test"]
        after = ["app:build"]
        cwd = "crates/app"
        exec = '''
        seq 1 30
        echo oops; exit 1
        '''
        [tasks."app:deploy"]
        after = ["app:test"]
        exec = "true"
        "#,
    );
    tree.write("in.txt", "");
    tree.write("crates/app/x", "");
    tree.ok("run app:build");
    let output = tree.expect(1, "run app:deploy --tail 3");
    let expected = "\
Running tasks     app:deploy
Cached            app:install
Running           app:build
Succeeded         app:build (…)
Running           app:test
Failed            app:test (…)

── app:test ── exit 1 ── seq 1 30 … ── in crates/app ── last 3 of 31 lines ──
  29
  30
  oops
  full log: .devtask/log/…/app:test.log   rerun: devtask run app:test --mode single
Dependency failed app:deploy   because app:test failed
1 Cached, 1 Succeeded, 1 Failed, 1 Dependency Failed     …
";
    assert_eq!(output.steady(), expected);
    assert_eq!(output.out, "{}\n");
    let log = output.err.split_whitespace().find(|w| w.starts_with(".devtask/log")).unwrap();
    assert_eq!(tree.read(log).lines().count(), 31);

    let output = tree.expect(1, "run app:deploy --tail 3 -q");
    let quiet: Vec<&str> = expected.lines().skip(5).take(7).collect();
    assert_eq!(output.steady().lines().collect::<Vec<_>>(), quiet, "failures and their output only");
    let all = tree.expect(1, "run app:test --mode single").err;
    assert!(all.contains("last 25 of 31 lines ──\n  7\n"), "{all}");
}

#[test]
fn short_output_and_failures_without_output() {
    let tree = Sandbox::with(
        "[tasks.\"a:t\"]\nexec = 'echo one; exit 9'\n[tasks.\"a:u\"]\nexec = 'kill -9 $$'\n\
         [tasks.\"a:long\"]\nexec = '''exit 1; LONG'''\n",
    );
    tree.replace("devtask.toml", "LONG", &"x".repeat(3000));
    let output = tree.expect(1, "run a:t");
    assert!(output.err.contains("── a:t ── exit 9 ── echo one; exit 9 ── 1 line ──\n  one\n"), "{output}");
    let output = tree.expect(1, "run a:u");
    assert!(output.err.contains("── a:u ── signal 9 ── kill -9 $$ ──\n  rerun: "), "{output}");
    let output = tree.expect(1, "run a:long");
    let longest = output.err.lines().map(|l| l.chars().count()).max().unwrap();
    assert!(longest < 200, "a long command is not repeated in full: {longest}");
}

#[test]
fn output_is_shown_where_it_is_asked_for() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        exec = "echo up"
        [tasks."a:t"]
        after = ["a:up"]
        exec = '''
        printf 'out\n\033[31mred\033[0m\033]52;c;eA==\007\nlast'
        printf 'wrong\n' >&2
        '''
        [tasks."a:shown"]
        exec = "echo shown"
        showOutput = true
        "#,
    );
    assert!(!tree.ok("run a:t").err.contains("out"));
    for line in ["run a:t --show-output", "run a:t -v"] {
        let output = tree.ok(line);
        for words in ["[a:up]  up\n", "[a:t]  out\n", "[a:t]  red\n", "[a:t]  last\n", "[a:t]!  wrong\n"] {
            assert!(output.err.contains(words), "{words}\n{output}");
        }
        assert!(!output.err.contains('\x1b'), "{output}");
    }
    let mut tree = tree;
    let output = tree.ok("run a:up a:shown");
    assert!(output.err.contains("[a:shown]  shown\n") && !output.err.contains("[a:up]"), "{output}");
    assert!(!tree.ok("run a:up a:shown -q").err.contains("shown"));
    tree.set_env("DEVTASK_SHOW_OUTPUT", "1");
    assert!(tree.ok("run a:up").err.contains("[a:up]  up\n"));
    tree.set_env("DEVTASK_SHOW_OUTPUT", "0");
    assert!(!tree.ok("run a:up").err.contains("[a:up]  up\n"));
}

#[test]
fn colours_are_there_only_where_they_are_wanted() {
    let tree = Sandbox::with("[tasks.\"a:t\"]\nexec = 'true'\n");
    type Case = (&'static [(&'static str, &'static str)], &'static [&'static str], bool);
    let cases: [Case; 9] = [
        (&[], &[], false),
        (&[("FORCE_COLOR", "1")], &[], true),
        (&[("CLICOLOR_FORCE", "1")], &[], true),
        (&[("CLICOLOR_FORCE", "0")], &[], false),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[], false),
        (&[("NO_COLOR", "1")], &["--color", "always"], true),
        (&[("FORCE_COLOR", "1")], &["--color", "never"], false),
        (&[("DEVTASK_COLOR", "always")], &[], true),
        (&[("CI", "true"), ("TERM", "dumb")], &[], false),
    ];
    for (env, args, colored) in cases {
        let run = tree.devtask(["run", "a:t"].iter().chain(args));
        let output = env.iter().fold(run, |run, (name, value)| run.env(name, value)).run();
        assert_eq!(output.err.contains("\x1b[32mSucceeded"), colored, "{env:?} {args:?}\n{output}");
        let moves =
            output.err.contains("\x1b[?") || output.err.contains('\r') || output.err.contains("\x1b[A");
        assert!(!moves, "no cursor movement through a pipe\n{output}");
    }
}

#[test]
fn outputs_and_events_share_stdout_by_the_rules() {
    let tree = Sandbox::with("[tasks.\"a:t\"]\nexec = 'echo 1 > \"$DEVENV_TASK_OUTPUT_FILE\"; echo line'\n");
    assert_eq!(tree.ok("run a:t").out, "{\"a:t\":1}\n");
    assert_eq!(tree.ok("run a:t --outputs json").out, "{\"a:t\":1}\n");
    assert_eq!(tree.ok("run a:t --outputs none").out, "");
    let output = tree.ok("run a:t --events -");
    let events = events_of(&output.out);
    let names: Vec<&str> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["run_started", "plan", "decision", "task_started", "log", "task_finished", "run_finished"]
    );
    assert!(events.iter().all(|e| e["v"] == 1 && e["time"].is_string()), "{output}");
    assert!(output.err.contains("Succeeded         a:t"), "{output}");
    let output = tree.expect(2, "run a:t --events - --outputs json");
    assert!(output.err.contains("both want stdout"), "{output}");
    tree.ok("run a:t --events events.jsonl");
    assert_eq!(tasks_in(&events_of(&tree.read("events.jsonl")), "task_finished"), set("a:t"));
    let output = tree.expect(2, "run a:t --events no/such/dir");
    assert!(output.err.contains("no/such/dir"), "{output}");
}

#[test]
fn exit_codes() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:ok"]
        exec = "true"
        [tasks."a:nine"]
        exec = "exit 9"
        [tasks."a:behind"]
        after = ["a:nine"]
        exec = "exit 8"
        [tasks."a:soft"]
        after = ["a:nine@completed"]
        exec = "true"
        [tasks."a:both"]
        after = ["a:nine@completed", "a:behind@completed"]
        exec = "true"
        "#,
    );
    for (code, line) in [
        (0, "run a:ok"),
        (1, "run a:nine"),
        (9, "run a:nine --exit-code task"),
        (9, "run a:behind --exit-code task"),
        (0, "run a:soft"),
        (1, "run a:soft a:nine"),
        (0, "run a:soft --exit-code task"),
        (1, "run a:both"),
        (1, "run a:nine --mode all"),
        (4, "run a:nothing"),
        (4, "run a:"),
        (2, "run --no-such-flag"),
        (2, "run a:ok -j 0"),
        (2, "-C nowhere run"),
    ] {
        let line = if line == "run a:" { "run b:" } else { line };
        let output = tree.expect(code, line);
        assert!(!output.err.is_empty(), "{line}: something is said");
    }
    assert!(tree.expect(4, "run a:nin").err.contains("did you mean `a:nine`?"));
}

#[test]
fn modes() {
    let mut toml = String::new();
    for (task, after) in
        [("up", ""), ("t", "\"a:up\""), ("down", "\"a:t\", \"a:side\""), ("side", ""), ("else", "")]
    {
        toml += &format!("[tasks.\"a:{task}\"]\nafter = [{after}]\nexec = 'true'\n");
    }
    let tree = Sandbox::with(&toml);
    for (mode, expected) in [
        ("single", "a:t"),
        ("before", "a:up a:t"),
        ("after", "a:t a:down"),
        ("all", "a:up a:t a:down a:side"),
    ] {
        tree.ok(&format!("run a:t --mode {mode}"));
        assert_eq!(tree.executed(), set(expected), "{mode}");
    }
    tree.ok("run");
    assert_eq!(tree.executed(), set("a:up a:t a:down a:side a:else"));
}

#[test]
fn a_dependent_of_begun_starts_when_it_has_begun() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let script = gate.script();
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"a:server\"]\nexec = '{script}'\n\
             [tasks.\"a:client\"]\nafter = [\"a:server@started\"]\nexec = 'touch client; echo go > {}'\n",
            tree.home().join("gate.go").display()
        ),
    );
    // The client opens the gate the server stands at: this ends only if both run at once.
    tree.ok("run a:client");
    gate.wait();
    assert_eq!(order(&tree), ["a:server", "a:client"]);
    assert_eq!(statuses(&tree).len(), 2);
}

#[test]
fn no_more_than_j_at_once_and_never_two_with_one_lock() {
    // Each task notes how many run beside it.
    let script = "echo x >> in; wc -l < in > /dev/null; mkdir slot.$DEVTASK_TASK; ls -d slot.* | wc -l >> seen; \
                  rmdir slot.$DEVTASK_TASK";
    let tasks = |extra: &str| -> String {
        (0..6).map(|n| format!("[tasks.\"a:t{n}\"]\nexec = '{script}'\n{extra}\n")).collect()
    };
    for (toml, line) in [(tasks(""), "run a -j 1"), (tasks("lock = \"db\""), "run a -j 6")] {
        let tree = Sandbox::with(&toml);
        tree.ok(line);
        assert_eq!(tree.read("seen"), "1\n".repeat(6), "{line}");
    }
}

#[test]
fn j_tasks_do_run_at_once() {
    let tree = Sandbox::new();
    let mut gates: Vec<Gate> = (0..3).map(|n| Gate::new(tree.home().join(format!("gate{n}")))).collect();
    let toml =
        gates.iter().enumerate().map(|(n, gate)| format!("[tasks.\"a:t{n}\"]\nexec = '{}'\n", gate.script()));
    tree.write("devtask.toml", toml.collect::<String>());
    let running = tree.devtask(["run", "a", "-j", "3"]).start();
    gates.iter_mut().for_each(Gate::wait);
    gates.iter_mut().for_each(Gate::open);
    assert_eq!(running.finish().code, Some(0));
}

#[test]
fn the_longest_path_goes_first() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let second = gate.script();
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"a:first\"]\nexec = 'true'\n[tasks.\"a:second\"]\nexec = '{second}'\n\
             [tasks.\"a:third\"]\nexec = 'true'\n[tasks.\"a:behind\"]\nafter = [\"a:third\"]\nexec = 'true'\n"
        ),
    );
    gate.open();
    tree.ok("run a -j 1");
    gate.wait();
    assert_eq!(order(&tree)[0], "a:third", "something waits for it");
    let took: f64 = tree.last_events().iter().filter_map(|e| e["duration_ms"].as_f64()).sum();

    let running = tree.devtask(["run", "a:second"]).start();
    gate.wait();
    let begun = Instant::now();
    eventually("it takes longer than the others", || begun.elapsed().as_secs_f64() * 1000.0 > took);
    gate.open();
    assert_eq!(running.finish().code, Some(0));

    gate.open();
    tree.ok("run a -j 1");
    assert_eq!(order(&tree)[0], "a:second", "it took longest");
}

#[test]
fn failing_fast_ends_what_runs_and_starts_nothing() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let here = tree.home().join("gate.go");
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"a:slow\"]\nexec = '{}; touch done'\n\
             [tasks.\"a:bad\"]\nafter = [\"a:slow@started\"]\nexec = 'exit 3'\n\
             [tasks.\"a:other\"]\nafter = [\"a:slow@completed\"]\nexec = 'touch other'\n",
            gate.script()
        ),
    );
    let output = tree.expect(1, "run a --fail-fast");
    assert_eq!(ended(&tree, "failed"), set("a:bad"), "{output}");
    assert_eq!(ended(&tree, "cancelled"), set("a:slow a:other"), "{output}");
    assert!(!tree.exists("done") && !tree.exists("other"));
    // Without it, the others go on.
    fs::write(&here, "").unwrap();
    gate.open();
    tree.expect(1, "run a");
    assert!(tree.exists("done") && tree.exists("other"));
}

#[test]
fn a_failure_stops_what_needs_it_and_nothing_else() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:bad"]
        exec = "false"
        [tasks."a:needs"]
        after = ["a:bad"]
        exec = "true"
        [tasks."a:far"]
        after = ["a:needs"]
        exec = "true"
        [tasks."a:soft"]
        after = ["a:needs@completed"]
        exec = "true"
        [tasks."a:free"]
        exec = "true"
        "#,
    );
    let output = tree.expect(1, "run a");
    assert_eq!(ended(&tree, "failed"), set("a:bad"));
    assert_eq!(ended(&tree, "dependency_failed"), set("a:needs a:far"));
    assert_eq!(ended(&tree, "succeeded"), set("a:soft a:free"));
    assert!(output.err.contains("Dependency failed a:far   because a:needs failed"), "{output}");
}

#[test]
fn a_task_that_takes_too_long_is_ended() {
    let tree = Sandbox::with(
        "[tasks.\"a:t\"]\ntimeout = \"100ms\"\nexec = 'sleep 1000'\n[tasks.\"a:u\"]\nexec = 'sleep 1000'\n",
    );
    for line in ["run a:t", "run a:u --timeout 0.1"] {
        let output = tree.expect(1, line);
        assert!(output.err.contains("it took longer than 100ms"), "{output}");
    }
}

#[test]
fn a_failed_task_is_tried_again() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        retries = 2
        exec = 'echo x >> tries; echo "{\"n\":$(wc -l < tries)}" > "$DEVENV_TASK_OUTPUT_FILE"; [ "$(wc -l < tries)" -ge "$ENOUGH" ]'
        "#,
    );
    for (enough, args, code, tries) in [
        ("3", &[][..], 0, 3),
        ("4", &[], 1, 3),
        ("2", &["--retries", "0"], 1, 1),
        ("5", &["--retries", "4"], 0, 5),
    ] {
        tree.remove_if_there("tries");
        let output = tree.devtask(["run", "a:t"].iter().chain(args)).env("ENOUGH", enough).run();
        assert_eq!(output.code, Some(code), "{output}");
        assert_eq!(tree.read("tries").lines().count(), tries, "{output}");
        if code == 0 {
            assert_eq!(output.json()["a:t"]["n"], tries, "only the last try hands on");
        }
    }
}

#[test]
fn a_command_that_reads_gets_nothing_to_read() {
    let tree = Sandbox::with("[tasks.\"a:t\"]\nexec = 'cat > read'\n");
    let output = tree.ok("run a:t");
    assert_eq!(tree.read("read"), "", "{output}");
}

#[test]
fn much_output_in_strange_bytes_is_kept() {
    let tree = Sandbox::with(
        "[tasks.\"a:t\"]\nexec = '''head -c 3000000 /dev/zero; printf '\\377\\376no end'; exit 1'''\n",
    );
    let output = tree.expect(1, "run a:t");
    assert!(output.err.contains("no end"), "the end of what it wrote");
    assert!(output.err.len() < 200_000, "{}", output.err.len());
    let path = tree.ok("logs a:t --path");
    let log = fs::read(path.out.trim()).unwrap();
    assert!(log.starts_with(&[0; 1000]) && log.ends_with(b"\xff\xfeno end"));
    assert_eq!(steady("(3.41s)"), "(…)");
}
