//! Watching: what runs after which change, what is told of it, and how it ends.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::support::{DEVTASK, Output, Running, Sandbox, eventually, gate::Gate, set, steady, tasks_in};

/// A watch under way, whose events are read as they come.
struct Watching {
    run: Option<Running>,
    base: PathBuf,
    events: PathBuf,
    /// How many events were read.
    read: usize,
}

impl Watching {
    fn start(tree: &Sandbox, words: &[&str]) -> Self {
        Self::start_telling(tree, tree.home().join("events"), words)
    }

    /// The same with its events in this file.
    fn start_telling(tree: &Sandbox, events: PathBuf, words: &[&str]) -> Self {
        let base = tree.home().to_owned();
        // Those of an earlier watch.
        let _ = fs::remove_file(&events);
        let words = [&["watch", "--events", events.to_str().unwrap()], words].concat();
        let run = tree.devtask(words).start_with_stderr(base.join("stderr"));
        Self { run: Some(run), base, events, read: 0 }
    }

    /// The events that were not read yet.
    fn rest(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.events).unwrap();
        text.lines().skip(self.read).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The events that were not read yet, up to the first of this name.
    fn until(&mut self, name: &str) -> Vec<Value> {
        let mut found = Vec::new();
        eventually(&format!("an event {name}"), || {
            let text = fs::read_to_string(&self.events).unwrap_or_default();
            // The last line may be half written.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let mut new =
                whole.lines().skip(self.read).map(|line| serde_json::from_str::<Value>(line).unwrap());
            found = new.by_ref().collect();
            let end = found.iter().position(|event| event["event"] == name);
            found.truncate(end.map_or(0, |end| end + 1));
            end.is_some()
        });
        self.read += found.len();
        found
    }

    /// What happens until nothing is to be done.
    fn waits(&mut self) -> Vec<Value> {
        self.until("waiting")
    }

    /// Ends it by Ctrl-C.
    fn end(mut self) -> Output {
        let run = self.run.take().unwrap();
        run.signal(2);
        let mut output = run.finish();
        output.err = fs::read_to_string(self.base.join("stderr")).unwrap();
        output
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // Of a test that failed nothing is left, either.
        self.run.iter().for_each(|run| run.signal(2));
    }
}

/// What a cycle was about: the files it names, and the tasks that executed.
fn cycle(events: &[Value]) -> (Vec<&str>, std::collections::BTreeSet<String>) {
    let changed: Vec<&Value> = events.iter().filter(|event| event["event"] == "files_changed").collect();
    let paths = changed.iter().flat_map(|event| event["paths"].as_array().unwrap());
    let paths = paths.map(|path| path.as_str().unwrap()).collect();
    (paths, tasks_in(events, "task_started"))
}

fn failed(events: &[Value]) -> &Value {
    &events.last().unwrap()["failed"]
}

/// Lines without the times of day.
fn clockless(text: &str) -> String {
    let is_time = |word: &str| {
        word.len() == 8
            && word
                .bytes()
                .enumerate()
                .all(|(at, b)| if at % 3 == 2 { b == b':' } else { b.is_ascii_digit() })
    };
    let line = |line: &str| match line.split_once(' ') {
        Some((time, rest)) if is_time(time) => format!("HH:MM:SS {rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

const CHAIN: &str = r#"
    name = "app"
    [tasks.gen]
    exec = "cat src/in.txt > gen.txt"
    execIfModified = ["src/in.txt"]
    outputs = ["gen.txt"]
    [tasks.build]
    after = ["gen"]
    exec = "cat gen.txt lib/*.txt > built.txt"
    execIfModified = ["gen.txt", "lib/**/*.txt"]
    outputs = ["built.txt"]
    [tasks.test]
    after = ["build"]
    exec = "cat built.txt; ! grep -q bad built.txt"
    [tasks.lint]
    exec = "! grep -q bad src/lint.txt"
    execIfModified = ["src/lint.txt"]
"#;

fn chain() -> Sandbox {
    let tree = Sandbox::with(CHAIN);
    tree.write("src/in.txt", "in\n");
    tree.write("src/lint.txt", "lint\n");
    tree.write("lib/a.txt", "a\n");
    tree
}

#[test]
fn the_screen_tells_of_the_first_run_of_changes_and_of_waiting() {
    let tree = chain();
    let mut watch = Watching::start(&tree, &["test"]);
    watch.waits();
    tree.save("lib/a.txt", "bad\n");
    watch.waits();
    tree.save("lib/a.txt", "good\n");
    watch.waits();
    let output = watch.end();
    assert_eq!(output.signal, Some(2), "130 to a shell: {output}");
    let expected = "\
Watching          2 files in 1 directory for app:test (and 2 before it)
Running           app:gen
Succeeded         app:gen (…)
Running           app:build
Succeeded         app:build (…)
Running           app:test
Succeeded         app:test (…)
3 Succeeded     …
HH:MM:SS waiting  all up to date
HH:MM:SS changed  lib/a.txt  →  app:build, app:test
Succeeded         app:build (…)
Failed            app:test (…)

── app:test ── exit 1 ── cat built.txt; ! grep -q bad built.txt ── 2 lines ──
  in
  bad
  full log: .devtask/log/…/app:test.log   rerun: devtask run app:test --mode single
HH:MM:SS waiting  1 failed
HH:MM:SS changed  lib/a.txt  →  app:build, app:test
Succeeded         app:build (…)
Succeeded         app:test (…)
HH:MM:SS waiting  all up to date
Stopping          (again: now)
";
    assert_eq!(clockless(&steady(&output.err)), expected);
}

#[test]
fn times_of_day_are_those_of_the_user() {
    let mut tree = chain();
    // Three hours and a half ahead of Greenwich.
    tree.set_env("TZ", "XXX-3:30");
    let mut watch = Watching::start(&tree, &["lint"]);
    let events = watch.waits();
    let output = watch.end();
    let (_, clock) = events.last().unwrap()["time"].as_str().unwrap().split_once('T').unwrap();
    let numbers: Vec<u32> = clock[..8].split(':').map(|number| number.parse().unwrap()).collect();
    let minutes = (numbers[0] * 60 + numbers[1] + 210) % (24 * 60);
    let line = format!("{:02}:{:02}:{:02} waiting  all up to date\n", minutes / 60, minutes % 60, numbers[2]);
    assert!(output.err.contains(&line), "{line}{output}");
}

#[test]
fn quiet_still_tells_editors_when_it_begins_and_when_it_waits() {
    for (flags, expected) in [
        (
            &["-q"][..],
            "HH:MM:SS waiting  all up to date\nHH:MM:SS changed  lib/a.txt  →  app:build, app:test\n",
        ),
        (&["--ui", "none"], ""),
    ] {
        let tree = chain();
        let mut watch = Watching::start(&tree, &[&["test"], flags].concat());
        watch.waits();
        tree.save("lib/a.txt", "other\n");
        watch.waits();
        let output = watch.end();
        let told = clockless(&output.err);
        let told = told.trim_end_matches("Stopping          (again: now)\n");
        let waits = if expected.is_empty() { "" } else { "HH:MM:SS waiting  all up to date\n" };
        assert_eq!(told, format!("{expected}{waits}"), "{flags:?}");
    }
}

#[test]
fn only_what_a_change_concerns_runs() {
    let tree = chain();
    let mut watch = Watching::start(&tree, &["test", "lint"]);
    assert_eq!(cycle(&watch.waits()), (vec![], set("app:gen app:build app:test app:lint")));
    tree.save("src/lint.txt", "lint more\n");
    assert_eq!(cycle(&watch.waits()), (vec!["src/lint.txt"], set("app:lint")));
    tree.save("src/in.txt", "in more\n");
    // What always runs does so after what ran upstream of it.
    assert_eq!(cycle(&watch.waits()), (vec!["src/in.txt"], set("app:gen app:build app:test")));
    assert_eq!(tree.read("built.txt"), "in more\na\n");
    watch.end();
}

#[test]
fn a_touch_and_the_same_bytes_are_no_change() {
    let tree = chain();
    let mut watch = Watching::start(&tree, &["test", "lint"]);
    watch.waits();
    tree.touch("src/in.txt");
    tree.save("src/in.txt", "in\n");
    tree.save("src/none.txt", "nobody's\n");
    // Nothing came of these, or it would come before this and name them.
    tree.save("src/lint.txt", "lint more\n");
    assert_eq!(cycle(&watch.waits()), (vec!["src/lint.txt"], set("app:lint")));
    watch.end();
}

#[test]
fn what_comes_back_is_told_and_is_no_change_of_its_own() {
    let tree = chain();
    let mut watch = Watching::start(&tree, &["build"]);
    watch.waits();
    tree.save("lib/a.txt", "another\n");
    assert_eq!(cycle(&watch.waits()), (vec!["lib/a.txt"], set("app:build")));
    tree.save("lib/a.txt", "a\n");
    assert_eq!(cycle(&watch.waits()), (vec!["lib/a.txt"], set("")));
    // What came of it would come before this and name its files.
    tree.save("lib/a.txt", "another\n");
    assert_eq!(cycle(&watch.waits()), (vec!["lib/a.txt"], set("")));
    let output = watch.end();
    assert_eq!(output.err.matches("Cached            app:build (restored, ").count(), 2, "{output}");
}

#[test]
fn files_may_be_replaced_appear_in_new_places_and_go() {
    let tree = chain();
    let mut watch = Watching::start(&tree, &["build"]);
    watch.waits();
    tree.save("lib/a.txt", "replaced\n");
    assert_eq!(cycle(&watch.waits()), (vec!["lib/a.txt"], set("app:build")));
    tree.save("lib/new/deep/b.txt", "b\n");
    assert_eq!(cycle(&watch.waits()), (vec!["lib/new/deep/b.txt"], set("app:build")));
    tree.save("lib/new/deep/b.txt", "more of b\n");
    assert_eq!(cycle(&watch.waits()), (vec!["lib/new/deep/b.txt"], set("app:build")));
    tree.remove("lib/new");
    assert_eq!(cycle(&watch.waits()), (vec!["lib/new/deep/b.txt"], set("")));
    tree.remove("lib/a.txt");
    let events = watch.waits();
    assert_eq!(cycle(&events), (vec!["lib/a.txt"], set("app:build")));
    assert_eq!(failed(&events), &serde_json::json!(["app:build"]), "there is nothing left to read");
    watch.end();
}

#[test]
fn what_failed_is_not_tried_again_before_something_changes() {
    let tree = chain();
    tree.write("src/lint.txt", "bad\n");
    let mut watch = Watching::start(&tree, &["test", "lint"]);
    assert_eq!(failed(&watch.waits()), &serde_json::json!(["app:lint"]));
    tree.touch("src/lint.txt");
    tree.save("src/in.txt", "in more\n");
    let events = watch.waits();
    assert_eq!(cycle(&events), (vec!["src/in.txt"], set("app:gen app:build app:test")));
    assert_eq!(failed(&events), &serde_json::json!(["app:lint"]), "it stands as it was");
    tree.save("src/lint.txt", "still bad\n");
    let events = watch.waits();
    assert_eq!(cycle(&events), (vec!["src/lint.txt"], set("app:lint")));
    tree.save("src/lint.txt", "good\n");
    assert_eq!(failed(&watch.waits()), &serde_json::json!([]));
    watch.end();
}

#[test]
fn without_a_first_run_the_first_change_is_waited_for() {
    let tree = chain();
    let mut watch = Watching::start(&tree, &["test", "lint", "--no-initial"]);
    assert_eq!(cycle(&watch.waits()), (vec![], set("")));
    tree.save("src/lint.txt", "lint more\n");
    assert_eq!(cycle(&watch.waits()), (vec!["src/lint.txt"], set("app:lint")));
    let output = watch.end();
    let expected = "\
Watching          3 files in 1 directory for app:test, app:lint (and 2 before them)
HH:MM:SS waiting  for a change
HH:MM:SS changed  src/lint.txt  →  app:lint
Succeeded         app:lint (…)
HH:MM:SS waiting  nothing failed
Stopping          (again: now)
";
    assert_eq!(clockless(&steady(&output.err)), expected);
}

#[test]
fn a_task_that_feeds_itself_is_stopped_and_named() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:loop"]
        exec = "echo x >> own.txt"
        execIfModified = ["own.txt", "in.txt"]
        "#,
    );
    tree.write("own.txt", "");
    let mut watch = Watching::start(&tree, &["app:loop"]);
    let events = watch.until("loop_found");
    assert_eq!(events.last().unwrap()["task"], "app:loop");
    assert_eq!(events.last().unwrap()["paths"], serde_json::json!(["own.txt"]));
    let runs = events.iter().filter(|event| event["event"] == "task_started").count();
    assert_eq!(runs, 3, "a first run, and two that it caused");
    assert_eq!(watch.waits().last().unwrap()["stuck"], serde_json::json!(["app:loop"]));
    assert_eq!(tree.read("own.txt"), "x\nx\nx\n");
    // What somebody else changes it does react to.
    tree.save("in.txt", "new\n");
    watch.until("task_started");
    watch.waits();
    let output = watch.end();
    let warning = "Warning           app:loop runs again and again, for own.txt changes each time it does; it waits for \
                   another change: declare what the task writes in `outputs`, or leave it out of \
                   `execIfModified` with `!` and its path\n";
    assert!(output.err.contains(warning), "{output}");
    assert!(clockless(&output.err).contains("HH:MM:SS waiting  1 stuck (app:loop)\n"), "{output}");
}

#[test]
fn what_rewrites_the_output_of_another_is_stopped() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:gen"]
        exec = "echo text > gen.txt"
        execIfModified = ["in.txt"]
        outputs = ["gen.txt"]
        [tasks."app:fmt"]
        after = ["app:gen"]
        exec = "echo formatted >> gen.txt"
        execIfModified = ["gen.txt"]
        "#,
    );
    tree.write("in.txt", "");
    let mut watch = Watching::start(&tree, &["app:fmt"]);
    watch.until("loop_found");
    watch.waits();
    // It does not go on.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(watch.rest().len(), 0, "{:?}", watch.rest());
    watch.end();
}

#[test]
fn a_task_that_begins_itself_anew_is_stopped() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:loop"]
        exec = "echo x >> own.txt; sleep 0.2; echo end >> ends.txt"
        execIfModified = ["own.txt"]
        "#,
    );
    tree.write("own.txt", "");
    let mut watch = Watching::start(&tree, &["app:loop", "--on-busy", "restart"]);
    watch.until("loop_found");
    watch.waits();
    assert!(tree.exists("ends.txt"));
    watch.end();
}

#[test]
fn what_a_stuck_task_rests_on_beside_its_own_files_is_watched_while_others_run() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let script = gate.script();
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"app:loop\"]\nexec = \"echo x >> own.txt; cp in.txt out.txt\"\nexecIfModified = [\"own.txt\", \
             \"in.txt\"]\n[tasks.\"app:slow\"]\nexec = '''test ! -e held || {{ {script}; }}'''\nexecIfModified = [\"s.txt\"]\n"
        ),
    );
    ["own.txt", "in.txt", "s.txt"].iter().for_each(|file| tree.write(file, "1"));
    let mut watch = Watching::start(&tree, &["app:loop", "app:slow"]);
    watch.until("loop_found");
    watch.waits();
    tree.write("held", "");
    tree.save("s.txt", "2");
    gate.wait();
    tree.save("in.txt", "2");
    gate.open();
    eventually("it has run", || tree.read("out.txt") == "2");
    watch.end();
}

#[test]
fn a_file_of_events_in_the_tree_ends_no_quiet() {
    let tree = without_file();
    let mut watch = Watching::start_telling(&tree, tree.path("events.jsonl"), &["-g", ".", "--", "true"]);
    watch.until("loop_found");
    watch.waits();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(watch.rest().len(), 0);
    watch.end();
}

#[test]
fn a_task_that_failed_is_tried_again_after_what_is_upstream() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:migrate"]
        exec = "cp schema.sql db"
        execIfModified = ["schema.sql"]
        [tasks."app:test"]
        after = ["app:migrate"]
        exec = "grep -q ok db"
        execIfModified = ["tests.txt"]
        "#,
    );
    tree.write("schema.sql", "bad");
    tree.write("tests.txt", "");
    let mut watch = Watching::start(&tree, &["app:test"]);
    assert_eq!(failed(&watch.waits()), &serde_json::json!(["app:test"]));
    tree.save("schema.sql", "ok");
    let events = watch.waits();
    assert_eq!((cycle(&events).1, failed(&events)), (set("app:migrate app:test"), &serde_json::json!([])));
    // Also by another's hand.
    tree.save("tests.txt", "1");
    watch.waits();
    tree.write("db", "bad");
    tree.save("tests.txt", "2");
    assert_eq!(failed(&watch.waits()), &serde_json::json!(["app:test"]));
    tree.write("db", "ok");
    tree.ok("run app:test");
    assert_eq!(failed(&watch.waits()), &serde_json::json!([]));
    watch.end();
}

/// A repository of ten tasks with a thousand files each, which are others in the branch `other`.
fn two_branches() -> Sandbox {
    let task = |number: usize| {
        format!("[tasks.\"app:t{number}\"]\nexec = \"true\"\nexecIfModified = [\"d{number}/**/*.txt\"]\n")
    };
    let tree = Sandbox::with(&(0..10).map(task).collect::<String>());
    tree.write(".gitignore", ".devtask\n");
    let write = |word: &str| {
        for number in 0..10_000 {
            let (task, directory) = (number % 10, number / 10 % 10);
            tree.write(format!("d{task}/{directory}/{number}.txt"), format!("{word} {number}\n"));
        }
    };
    let git = |words: &[&str]| git(&tree, words);
    write("main");
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "main"]);
    git(&["checkout", "-q", "-b", "other"]);
    write("other");
    git(&["commit", "-q", "-a", "-m", "other"]);
    git(&["checkout", "-q", "main"]);
    tree
}

fn git(tree: &Sandbox, words: &[&str]) {
    let settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0", "-c", "core.fsync=none"];
    let mut git = std::process::Command::new("git");
    git.current_dir(tree.root()).args(settings).args(words).env("GIT_CONFIG_GLOBAL", "/dev/null");
    assert!(git.status().unwrap().success(), "git {words:?}");
}

#[test]
fn after_a_checkout_of_ten_thousand_files_each_task_runs_once() {
    let tree = two_branches();
    // However long git takes on a machine that is busy.
    let mut watch = Watching::start(&tree, &["--debounce", "1s"]);
    watch.waits();
    git(&tree, &["checkout", "-q", "other"]);
    let events = watch.waits();
    let started: Vec<&str> = events
        .iter()
        .filter(|event| event["event"] == "task_started")
        .map(|event| event["task"].as_str().unwrap())
        .collect();
    let mut each = started.clone();
    each.sort_unstable();
    each.dedup();
    assert_eq!((started.len(), each.len()), (10, 10), "{started:?}");
    watch.end();
}

#[test]
fn a_checkout_there_and_back_within_one_quiet_time_runs_nothing() {
    let tree = two_branches();
    let mut watch = Watching::start(&tree, &["--debounce", "2s"]);
    watch.waits();
    git(&tree, &["checkout", "-q", "other"]);
    git(&tree, &["checkout", "-q", "main"]);
    // What comes later is about this alone.
    tree.save("d3/0/3.txt", "new\n");
    assert_eq!(cycle(&watch.waits()), (vec!["d3/0/3.txt"], set("app:t3")));
    watch.end();
}

#[test]
fn what_somebody_else_writes_all_the_time_is_not_taken_for_a_loop() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:t"]
        exec = "sleep 0.1; cp in.txt out.txt"
        execIfModified = ["in.txt"]
        "#,
    );
    tree.write("in.txt", "0");
    let mut watch = Watching::start(&tree, &["app:t"]);
    watch.waits();
    for number in 1..=150 {
        tree.save("in.txt", number.to_string());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    eventually("the last is done", || tree.read("out.txt") == "150");
    let output = watch.end();
    assert!(!output.err.contains("again and again"), "{output}");
}

#[test]
fn what_has_only_started_is_followed_downstream() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:up"]
        exec = "sleep 0.05"
        execIfModified = ["in.txt"]
        [tasks."app:middle"]
        after = ["app:up@started"]
        exec = "true"
        execIfModified = ["other.txt"]
        [tasks."app:always"]
        after = ["app:middle"]
        exec = "true"
        "#,
    );
    ["in.txt", "other.txt"].iter().for_each(|file| tree.write(file, "1"));
    let mut watch = Watching::start(&tree, &["app:always"]);
    watch.waits();
    tree.save("in.txt", "2");
    assert_eq!(cycle(&watch.waits()).1, set("app:up app:always"));
    watch.end();
}

#[test]
fn what_a_guest_and_the_watch_both_wanted_is_watched_on() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"app:slow\"]\nexec = '''{}'''\n[tasks.\"app:x\"]\nexec = \"cp in.txt out.txt\"\n\
             execIfModified = [\"in.txt\"]\noutputs = [\"out.txt\"]\n",
            gate.script()
        ),
    );
    tree.write("in.txt", "1");
    let mut watch = Watching::start(&tree, &["app:x", "-j1"]);
    watch.waits();
    let slow = tree.devtask(["run", "app:slow"]).start();
    gate.wait();
    // Both wait for the one slot.
    tree.save("in.txt", "2");
    watch.until("run_started");
    let guest = tree.devtask(["run", "app:x"]).start();
    eventually("it is attended to", || {
        watch.run.as_ref().unwrap().signal(10);
        let told = fs::read_to_string(watch.base.join("stderr")).unwrap();
        told.contains(&format!("(pid {})", guest.pid()))
    });
    gate.open();
    assert_eq!((slow.finish().code, guest.finish().code), (Some(0), Some(0)));
    eventually("it was done", || tree.read("out.txt") == "2");
    for text in ["3", "4"] {
        watch.waits();
        tree.save("in.txt", text);
        eventually("it is done again", || tree.read("out.txt") == text);
    }
    watch.end();
}

#[test]
fn task_files_with_faults_are_told_of_once_and_again_in_order() {
    let tree = chain();
    let mut watch = Watching::start(&tree, &["lint"]);
    watch.waits();
    let good = tree.read("devtask.toml");
    tree.save("devtask.toml", format!("{good}x = [\n"));
    let told = watch.until("reload_failed");
    assert!(told.last().unwrap()["text"].as_str().unwrap().contains("devtask.toml"), "{told:?}");
    // What they said before goes on.
    tree.save("src/lint.txt", "bad\n");
    assert_eq!(failed(&watch.waits()), &serde_json::json!(["app:lint"]));
    tree.save("devtask.toml", good.replace("! grep -q bad", "grep -q bad"));
    watch.until("reloaded");
    assert_eq!(failed(&watch.waits()), &serde_json::json!([]));
    tree.save("devtask.toml", "[");
    watch.until("reload_failed");
    tree.save("devtask.toml", good.replace("! grep -q bad", "grep -q bad"));
    assert_eq!(watch.until("reloaded").last().unwrap()["tasks"], serde_json::json!([]));
    let output = watch.end();
    let told = output.err.matches("the task files have faults; what they said before goes on").count();
    assert_eq!(told, 2, "{output}");
    assert!(output.err.contains("Reloaded          the task files, which are in order again\n"), "{output}");
}

#[test]
fn while_git_holds_its_index_changes_gather() {
    let tree = chain();
    // The tree is a part of the repository.
    let git = tree.root().parent().unwrap().join(".git");
    fs::create_dir_all(&git).unwrap();
    let mut watch = Watching::start(&tree, &["test"]);
    watch.waits();
    fs::write(git.join("index.lock"), "").unwrap();
    for number in 0..5 {
        tree.save(format!("lib/{number}.txt"), "new\n");
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    fs::remove_file(git.join("index.lock")).unwrap();
    let (changed, events) = (5, watch.waits());
    assert_eq!(cycle(&events).0.len(), changed, "{events:?}");
    watch.end();
}

#[test]
fn quiet_is_waited_for_as_long_as_it_was_said() {
    let tree = chain();
    let mut watch = Watching::start(&tree, &["lint", "--debounce", "2s"]);
    watch.waits();
    // Longer than changes are let gather without it.
    for number in 0..6 {
        tree.save("src/lint.txt", format!("{number}\n"));
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    watch.waits();
    let output = watch.end();
    assert_eq!(output.err.matches(" changed ").count(), 1, "{output}");
}

#[test]
fn two_that_feed_each_other_by_turns_are_stopped() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:one"]
        exec = "echo x >> b.txt"
        execIfModified = ["a.txt"]
        [tasks."app:two"]
        exec = "echo x >> a.txt"
        execIfModified = ["b.txt"]
        "#,
    );
    tree.write("a.txt", "");
    tree.write("b.txt", "");
    let mut watch = Watching::start(&tree, &["--no-initial"]);
    watch.waits();
    tree.save("a.txt", "begin\n");
    let events = watch.until("loop_found");
    assert!(events.len() < 100, "{}", events.len());
    let stuck = watch.waits().last().unwrap()["stuck"].as_array().unwrap().len();
    assert_eq!(stuck, 1);
    watch.end();
}

#[test]
fn a_root_that_was_away_is_watched_again() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:one"]
        exec = "mkdir -p out; cp in.txt out/copy.txt"
        execIfModified = ["in.txt"]
        "#,
    );
    tree.write("in.txt", "1");
    let mut watch = Watching::start(&tree, &["app:one"]);
    watch.waits();
    let (here, away) = (tree.path("."), tree.home().join("away"));
    let here = fs::canonicalize(here).unwrap();
    fs::rename(&here, &away).unwrap();
    fs::write(away.join("in.txt"), "2").unwrap();
    fs::rename(&away, &here).unwrap();
    eventually("the edit took effect", || tree.read("out/copy.txt") == "2");
    watch.end();
}

#[test]
fn what_a_task_calls_is_watched_from_cycle_to_cycle() {
    let tree = Sandbox::with(&format!(
        r#"
        [tasks."app:called"]
        exec = "cp in.txt out.txt"
        execIfModified = ["in.txt"]
        outputs = ["out.txt"]
        [tasks."app:caller"]
        exec = "{DEVTASK} run app:called && cp out.txt copy.txt"
        execIfModified = ["other.txt"]
        "#
    ));
    tree.write("other.txt", "");
    tree.write("in.txt", "0\n");
    let mut watch = Watching::start(&tree, &["app:caller"]);
    watch.waits();
    for text in ["1\n", "2\n", "3\n"] {
        tree.save("in.txt", text);
        assert_eq!(cycle(&watch.waits()), (vec!["in.txt"], set("app:called app:caller")), "{text}");
        assert_eq!(tree.read("copy.txt"), text);
    }
    watch.end();
    let output = tree.devtask(["run", "app:caller"]).run();
    assert!(output.err.contains("2 Cached"), "{output}");
}

#[test]
fn what_a_guest_began_and_gave_up_the_watch_does() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let script = gate.script();
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"app:one\"]\nexec = '''echo half > out.txt; {script}; cp in.txt out.txt'''\n\
             execIfModified = [\"in.txt\"]\noutputs = [\"out.txt\"]\n"
        ),
    );
    tree.write("in.txt", "whole\n");
    let mut watch = Watching::start(&tree, &["app:one"]);
    gate.wait();
    gate.open();
    watch.waits();
    let guest = tree.devtask(["run", "app:one", "--force"]).start();
    gate.wait();
    assert_eq!(tree.read("out.txt"), "half\n");
    guest.signal(9);
    guest.finish();
    gate.wait();
    gate.open();
    eventually("the watch has done it", || tree.read("out.txt") == "whole\n");
    watch.end();
}

#[test]
fn what_changes_while_task_files_are_loaded_is_not_missed() {
    let tree = Sandbox::new();
    let file = |number: u32| {
        format!(
            "[tasks.\"app:one\"]\nexec = \"cp in.txt out.txt\"\nexecIfModified = [\"in.txt\"]\n\
             outputs = [\"out.txt\"]\n[tasks.\"app:new{number}\"]\nexec = \"true\"\n"
        )
    };
    tree.write("devtask.toml", file(0));
    tree.write("in.txt", "0");
    let mut watch = Watching::start(&tree, &["app:one"]);
    watch.waits();
    for number in 1..=10 {
        let pause = std::time::Duration::from_millis(u64::from(number) * 5);
        tree.save("devtask.toml", file(number));
        // Whenever the edit comes, before the files are loaded or while they are, the watch gets to it.
        std::thread::sleep(pause);
        tree.save("in.txt", number.to_string());
        eventually("the edit took effect", || tree.read("out.txt") == number.to_string());
    }
    watch.end();
}

#[test]
fn what_a_task_calls_in_the_hands_of_a_guest_is_watched() {
    let tree = Sandbox::with(&format!(
        r#"
        [tasks."app:called"]
        exec = "cp in.txt out.txt"
        execIfModified = ["in.txt"]
        outputs = ["out.txt"]
        [tasks."app:caller"]
        exec = "test ! -e flag || {{ {DEVTASK} run app:called && cp out.txt copy.txt; }}"
        execIfModified = ["other.txt"]
        "#
    ));
    tree.write("other.txt", "");
    tree.write("in.txt", "0\n");
    let mut watch = Watching::start(&tree, &["app:caller"]);
    watch.waits();
    tree.write("flag", "");
    let output = tree.devtask(["run", "app:caller", "--force"]).run();
    assert_eq!((output.code, tree.read("copy.txt")), (Some(0), "0\n".to_owned()), "{output}");
    // Nobody says when the watch has taken note of it: an edit that comes before that counts, too.
    tree.save("in.txt", "1\n");
    eventually("the edit took effect", || tree.read("copy.txt") == "1\n");
    watch.end();
}

#[test]
fn a_call_that_stays_failed_is_one_that_failed() {
    let tree = Sandbox::with(&format!(
        r#"
        [tasks."app:x"]
        exec = "! grep -q bad x.txt"
        execIfModified = ["x.txt"]
        [tasks."app:up"]
        exec = "! grep -q bad up.txt"
        execIfModified = ["up.txt"]
        [tasks."app:caller"]
        after = ["app:up"]
        exec = "if {DEVTASK} run app:x > /dev/null; then echo fine; else echo broken; fi > out.txt"
        execIfModified = ["other.txt"]
        outputs = ["out.txt"]
        "#
    ));
    ["x.txt", "up.txt", "other.txt"].iter().for_each(|file| tree.write(file, "good"));
    let mut watch = Watching::start(&tree, &["app:caller"]);
    watch.waits();
    assert_eq!(tree.read("out.txt"), "fine\n");
    tree.save("up.txt", "bad");
    watch.waits();
    tree.save("x.txt", "bad");
    assert_eq!(failed(&watch.waits()), &serde_json::json!(["app:x", "app:up"]));
    tree.save("up.txt", "good again");
    watch.waits();
    assert_eq!(tree.read("out.txt"), "broken\n");
    watch.end();
}

#[test]
fn fail_fast_is_about_failures_of_the_cycle() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:bad"]
        exec = "! grep -q bad bad.txt"
        execIfModified = ["bad.txt"]
        [tasks."app:good"]
        exec = "cp good.txt copy.txt"
        execIfModified = ["good.txt"]
        [tasks."app:both"]
        after = ["app:bad", "app:good"]
        exec = "true"
        "#,
    );
    ["bad.txt", "good.txt"].iter().for_each(|file| tree.write(file, "0"));
    let mut watch = Watching::start(&tree, &["app:both", "--fail-fast", "-j1"]);
    watch.waits();
    tree.save("bad.txt", "bad");
    assert_eq!(failed(&watch.waits()), &serde_json::json!(["app:bad"]));
    // It failed before, and stays so.
    tree.save("good.txt", "1");
    assert_eq!(cycle(&watch.waits()), (vec!["good.txt"], set("app:good")));
    assert_eq!(tree.read("copy.txt"), "1");
    watch.end();
}

#[test]
fn what_fail_fast_left_out_is_done_after_a_change() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:a"]
        exec = "! grep -q bad a.txt"
        execIfModified = ["a.txt"]
        [tasks."app:b"]
        exec = "cp b.txt copy.txt"
        execIfModified = ["b.txt"]
        "#,
    );
    ["a.txt", "b.txt"].iter().for_each(|file| tree.write(file, "bad"));
    let mut watch = Watching::start(&tree, &["app:a", "app:b", "--fail-fast", "-j1"]);
    assert_eq!(cycle(&watch.waits()), (vec![], set("app:a")));
    tree.save("b.txt", "1");
    assert_eq!(cycle(&watch.waits()), (vec!["b.txt"], set("app:b")));
    assert_eq!(tree.read("copy.txt"), "1");
    watch.end();
}

#[test]
fn what_a_guest_executes_is_followed_downstream() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:up"]
        exec = "true"
        execIfModified = ["up.txt"]
        [tasks."app:always"]
        after = ["app:up"]
        exec = "echo ran >> ran"
        "#,
    );
    tree.write("up.txt", "");
    let ran = || tree.read("ran").lines().count();
    let mut watch = Watching::start(&tree, &["app:always"]);
    watch.waits();
    assert_eq!(ran(), 1);
    // Only what the guest did not do itself.
    for (words, times) in [(["run", "app:up", "--force"], 2), (["run", "app:always", "--force"], 3)] {
        let output = tree.devtask(words).run();
        assert_eq!(output.code, Some(0), "{output}");
        eventually("it was done", || ran() == times);
    }
    tree.save("up.txt", "1");
    watch.until("files_changed");
    watch.waits();
    assert_eq!(ran(), 4);
    watch.end();
}

#[test]
fn a_program_that_is_a_task_is_watched() {
    let tree = without_file();
    let program = |text: &str| {
        let path = tree.path("tool.new");
        fs::write(&path, format!("#!/bin/sh\necho {text} > said.txt\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(path, tree.path("tool")).unwrap();
    };
    program("one");
    let tool = tree.path("tool").display().to_string();
    let list =
        serde_json::json!([{ "name": "app:tool", "command": tool, "exec_if_modified": ["src/a.txt"] }]);
    tree.write("tasks.json", list.to_string());
    let mut watch = Watching::start(&tree, &["--file", "tasks.json", "app:tool"]);
    watch.waits();
    assert_eq!(tree.read("said.txt"), "one\n");
    program("two");
    assert_eq!(cycle(&watch.waits()), (vec!["tool"], set("app:tool")));
    assert_eq!(tree.read("said.txt"), "two\n");
    watch.end();
}

#[test]
fn who_knows_newer_task_files_than_a_cycle_is_served_after_it() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let file = format!("name = 'app'\n[tasks.slow]\nexec = '{}'\n", gate.script());
    tree.write("devtask.toml", &file);
    let mut watch = Watching::start(&tree, &["slow"]);
    gate.wait();
    tree.save("devtask.toml", format!("{file}[tasks.new]\nexec = 'touch new'\n"));
    let guest = tree.devtask(["run", "new"]).start_with_stderr("told");
    // It was sent away.
    eventually("it waits", || tree.read("told").contains("Waiting for `devtask watch slow`"));
    gate.open();
    assert_eq!(guest.finish().code, Some(0));
    assert!(tree.exists("new"));
    assert_eq!(tree.read("told").matches("Waiting for").count(), 1);
    watch.waits();
    watch.end();
}

#[test]
fn a_name_that_is_gone_ends_no_watch_and_may_come_back() {
    let tree = Sandbox::new();
    let file = |others: &str| {
        format!("[tasks.\"app:one\"]\nexec = \"cp in.txt out.txt\"\nexecIfModified = [\"in.txt\"]\n{others}")
    };
    let other = "[tasks.\"app:two\"]\nexec = \"cp in.txt two.txt\"\nexecIfModified = [\"in.txt\"]\n";
    tree.write("devtask.toml", file(other));
    tree.write("in.txt", "0");
    let mut watch = Watching::start(&tree, &["app:one", "app:two"]);
    watch.waits();
    tree.save("devtask.toml", file(""));
    watch.until("reloaded");
    tree.save("in.txt", "1");
    eventually("what is left is watched", || tree.read("out.txt") == "1");
    tree.save("devtask.toml", file(other));
    eventually("what came back is watched", || tree.read("two.txt") == "1");
    let output = watch.end();
    let warning = "Warning           nothing is called `app:two` any more; the rest is watched\n";
    assert!(output.err.contains(warning), "{output}");
}

#[test]
fn ctrl_c_ends_what_runs() {
    let tree = Sandbox::with("[tasks.\"app:long\"]\nexec = \"echo $$ > pid; exec sleep 1000\"\n");
    let mut watch = Watching::start(&tree, &["app:long"]);
    watch.until("task_started");
    let number = || fs::read_to_string(tree.path("pid")).ok()?.trim().parse().ok();
    eventually("the task says who it is", || number().is_some());
    let output = watch.end();
    assert_eq!(output.signal, Some(2), "{output}");
    let pid = rustix::process::Pid::from_raw(number().unwrap()).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "it is gone");
    assert!(output.err.contains("Cancelled         app:long"), "{output}");
}

#[test]
fn a_change_while_a_task_runs_runs_it_again() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let script = gate.script();
    tree.write(
        "devtask.toml",
        format!("[tasks.\"app:one\"]\nexec = '''cat in.txt >> out.txt; {script}'''\nexecIfModified = [\"in.txt\"]\n"),
    );
    tree.write("in.txt", "1\n");
    let mut watch = Watching::start(&tree, &["app:one"]);
    gate.wait();
    tree.save("in.txt", "2\n");
    gate.open();
    gate.wait();
    gate.open();
    let events = watch.waits();
    assert_eq!(events.iter().filter(|event| event["event"] == "files_changed").count(), 1);
    assert_eq!(tree.read("out.txt"), "1\n2\n");
    let output = watch.end();
    assert!(!output.err.contains("not fresh"), "the next cycle is all that is to be said: {output}");
}

#[test]
fn a_change_while_a_task_runs_begins_it_anew_where_that_is_wanted() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let script = gate.script();
    tree.write("in.txt", "1\n");
    let line = format!("{script}; cat in.txt >> out.txt");
    let mut watch = Watching::start(&tree, &["-g", "in.txt", "--on-busy", "restart", "--", &line]);
    gate.wait();
    tree.save("in.txt", "2\n");
    gate.wait();
    gate.open();
    watch.waits();
    assert_eq!(tree.read("out.txt"), "2\n");
    watch.end();
}

#[test]
fn force_is_for_the_first_run() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:gen"]
        exec = "tr -d ' ' < in.txt > gen.txt"
        execIfModified = ["in.txt"]
        outputs = ["gen.txt"]
        [tasks."app:use"]
        after = ["app:gen"]
        exec = "cat gen.txt"
        execIfModified = ["gen.txt"]
        "#,
    );
    tree.write("in.txt", "a");
    tree.ok("run app:use");
    let mut watch = Watching::start(&tree, &["app:use", "--force"]);
    assert_eq!(cycle(&watch.waits()), (vec![], set("app:use")));
    tree.save("in.txt", " a ");
    assert_eq!(cycle(&watch.waits()), (vec!["in.txt"], set("app:gen")));
    let output = watch.end();
    assert!(!output.err.contains("Cached            app:use"), "what stays is not worth a line: {output}");
}

#[test]
fn polling_is_told_of() {
    let tree = chain();
    let mut watch = Watching::start(&tree, &["lint", "--poll", "20ms"]);
    watch.waits();
    tree.save("src/lint.txt", "bad\n");
    assert_eq!(cycle(&watch.waits()), (vec!["src/lint.txt"], set("app:lint")));
    let output = watch.end();
    assert!(output.err.contains("Warning           changes are seen late: "), "{output}");
    assert!(output.err.contains(" waiting  1 failed, changes are seen late\n"), "{output}");
}

#[test]
fn what_a_watch_cannot_do_is_refused() {
    let tree = chain();
    for (words, expected) in [
        (
            &["-n"][..],
            "error: a watch has no end at which to tell; `--dry-run` and `--outputs json` are for `run`\n",
        ),
        (
            &["--outputs", "json"],
            "error: a watch has no end at which to tell; `--dry-run` and `--outputs json` are for `run`\n",
        ),
        (&["-g", "*.txt"], "error: `-g` needs a command to run\n"),
        (
            &["-g", "*.txt", "lint", "--", "true"],
            "error: `-g` is for a command without a task file, and takes no names of tasks\n",
        ),
        (
            &["-g", "!*.txt", "--", "true"],
            "error: every pattern of `-g` leaves files out, and none says which to watch\n",
        ),
        (
            &["-g", "*.txt", "-g", "src/[a", "-g", "{b", "--", "true"],
            "error[bad-glob]: `src/[a` is no pattern: `[` without a `]`\n --> -g:1:5\n",
        ),
    ] {
        let output = tree.devtask([&["watch"], words].concat()).run();
        assert_eq!(output.code, Some(2), "{words:?}: {output}");
        assert!(output.err.starts_with(expected), "{words:?}: {output}");
    }
    assert!(!tree.exists(".devtask"));
    assert!(!tree.home().join(".local").exists());
}

#[test]
fn without_a_task_file_both_ways_are_named() {
    let output = Sandbox::new().expect(2, "watch");
    let hint = "`devtask init` proposes a devtask.toml; a short one is: tasks.hello.exec = \"echo hello\"; \
                or watch files for a command: devtask watch -g 'src/**/*.rs' -- cargo test\n";
    assert!(output.err.contains(hint), "{output}");
    let output = Sandbox::new().expect(2, "run");
    assert!(!output.err.contains("watch"), "{output}");
}

/// A tree with a task file that cannot be read, for watches that do not need one.
fn without_file() -> Sandbox {
    let tree = Sandbox::with("this is no task file [[");
    tree.write("src/a.txt", "a\n");
    tree.write("src/skip.txt", "skip\n");
    tree
}

/// Names in a directory.
fn list(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn a_command_can_be_watched_for_without_a_task_file() {
    let tree = without_file();
    let globs = ["-g", "src/**/*.txt", "-g", "!src/skip.txt"];
    let command = ["--", "sh", "-c", "echo \"$0 says\"; cat src/*.txt; exit 3", "a b"];
    let mut watch = Watching::start(&tree, &[&globs[..], &command].concat());
    assert_eq!(cycle(&watch.waits()), (vec![], set("watch:command")));
    tree.save("src/skip.txt", "skip more\n");
    tree.save("src/a.txt", "more of a\n");
    let events = watch.waits();
    assert_eq!(cycle(&events), (vec!["src/a.txt"], set("watch:command")));
    assert_eq!(failed(&events), &serde_json::json!(["watch:command"]));
    let output = watch.end();
    let said = "[watch:command]  a b says\n[watch:command]  more of a\n[watch:command]  skip more\n";
    assert!(output.err.contains(said), "what a single command says is shown: {output}");
    let log =
        "── watch:command ── exit 3 ── sh -c echo \"$0 says\"; cat src/*.txt; exit 3 a b ──\n  full log: ";
    assert!(output.err.contains(log), "{output}");
    assert!(!output.err.contains("rerun: devtask run"), "nothing could: {output}");
    assert_eq!(list(tree.root()), ["devtask.toml", "src"], "nothing of ours is left in it");
    let states = tree.home().join(".local/state/devtask");
    let state = states.join(&list(&states)[0]);
    assert_eq!(list(&states).len(), 1);
    for dir in [&states, &state] {
        assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700, "{}", dir.display());
    }
}

#[test]
fn what_nobody_watches_any_more_is_forgotten() {
    let tree = without_file();
    let states = tree.home().join(".local/state/devtask");
    let watch = |word: &str| {
        let mut watch = Watching::start(&tree, &["-g", "src/a.txt", "echo", word]);
        watch.waits();
        watch
    };
    watch("old").end();
    let old = states.join(&list(&states)[0]);
    let two_months_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(60 * 24 * 60 * 60);
    let age = || fs::File::options().write(true).open(old.join("lock")).unwrap().set_modified(two_months_ago);
    watch("new").end();
    assert_eq!(list(&states).len(), 2);
    // As long as somebody watches it, its age does not count.
    let held = watch("old");
    age().unwrap();
    watch("new").end();
    assert_eq!(list(&states).len(), 2);
    held.end();
    age().unwrap();
    watch("new").end();
    assert!(list(&states).len() == 1 && !old.exists());
}

#[test]
fn one_word_is_for_the_shell_and_runs_at_once_each_time() {
    let tree = without_file();
    for (words, code) in [(&["--", "cat src/a.txt && exit 4"][..], 4), (&["--", "false"], 1), (&["false"], 1)]
    {
        for _ in 0..2 {
            let mut watch = Watching::start(&tree, &[&["-g", "src/a.txt"], words].concat());
            let events = watch.waits();
            assert_eq!(tasks_in(&events, "task_started"), set("watch:command"));
            let finished = events.iter().find(|event| event["event"] == "task_finished").unwrap();
            assert_eq!(finished["exit_code"], code, "{words:?}");
            watch.end();
        }
    }
    // What succeeded runs at once, too: nobody has said what else it rests on.
    for _ in 0..2 {
        let mut watch = Watching::start(&tree, &["-g", "src/a.txt", "true"]);
        assert_eq!(cycle(&watch.waits()), (vec![], set("watch:command")));
        watch.end();
    }
    let mut watch = Watching::start(&tree, &["-g", "src/a.txt", "--no-initial", "true"]);
    assert_eq!(cycle(&watch.waits()), (vec![], set("")));
    tree.save("src/a.txt", "more of a\n");
    assert_eq!(cycle(&watch.waits()), (vec!["src/a.txt"], set("watch:command")));
    watch.end();
    let states = list(&tree.home().join(".local/state/devtask"));
    assert_eq!(states.len(), 3, "one for each command: {states:?}");
}

#[test]
fn a_command_that_feeds_itself_is_told_which_pattern_helps() {
    let tree = without_file();
    let mut watch = Watching::start(&tree, &["-g", "src/*.txt", "--", "sh", "-c", "echo x >> src/a.txt"]);
    watch.until("loop_found");
    watch.waits();
    let output = watch.end();
    assert!(output.err.contains("change: leave the file out with -g '!src/a.txt'\n"), "{output}");
}
