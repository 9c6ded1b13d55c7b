//! `devtask watch` where another one holds the tree: it attaches to that (spec section 5).

use std::{fs, path::PathBuf};

use super::support::{Output, Running, Sandbox, eventually, gate::Gate, steady};

const INT: i32 = 2;
const KILL: i32 = 9;
const USR1: i32 = 10;
const CONT: i32 = 18;
const STOP: i32 = 19;

const CHAIN: &str = r#"
    name = "app"
    [tasks.build]
    exec = "cat in.txt > built.txt"
    execIfModified = ["in.txt"]
    outputs = ["built.txt"]
    [tasks.test]
    after = ["build"]
    exec = "! grep -q bad built.txt"
    [tasks.lint]
    exec = "true"
    execIfModified = ["in.txt"]
"#;

fn chain() -> Sandbox {
    let tree = Sandbox::with(CHAIN);
    tree.write("in.txt", "in\n");
    tree.write("sub/here", "");
    tree
}

/// A watch, and what it says.
struct Shown {
    run: Running,
    told: PathBuf,
    /// How much of it was waited for.
    passed: usize,
}

impl Shown {
    fn start(tree: &Sandbox, name: &str, words: &str) -> Self {
        let words: Vec<&str> = ["watch"].into_iter().chain(words.split_whitespace()).collect();
        let told = tree.home().join(name);
        let run = tree.devtask(words).start_with_stderr(&told);
        Self { run, told, passed: 0 }
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.told).unwrap()
    }

    /// Waits until this is said after what was waited for before.
    fn says(&mut self, text: &str) {
        let passed = self.passed;
        let end = |told: &str| told.get(passed..)?.find(text).map(|at| passed + at + text.len());
        eventually(&format!("`{text}` is said in {}", self.told.display()), || end(&self.told()).is_some());
        self.passed = end(&self.told()).unwrap();
    }

    fn ends(self) -> Output {
        let mut output = self.run.finish();
        output.err = fs::read_to_string(self.told).unwrap();
        output
    }

    fn ends_by(self, signal: i32) -> Output {
        self.run.signal(signal);
        self.ends()
    }
}

/// A watch that waits, and one that is attached to it and knows.
fn two(tree: &Sandbox, first: &str, second: &str) -> (Shown, Shown) {
    let mut first = Shown::start(tree, "first", first);
    first.says("waiting ");
    let mut second = Shown::start(tree, "second", second);
    second.says("waiting ");
    (first, second)
}

/// Lines without their times of day and process ids.
fn clockless(text: &str) -> String {
    let line = |line: &str| {
        let is_beat = |rest: &str| rest.starts_with("changed") || rest.starts_with("waiting");
        let line = match line.split_at_checked(9) {
            Some((_, rest)) if is_beat(rest) => format!("HH:MM:SS {rest}"),
            _ => line.to_owned(),
        };
        match (line.find("(pid "), line.find(')')) {
            (Some(from), Some(to)) => format!("{}(pid …{}\n", &line[..from], &line[to..]),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

#[test]
fn the_second_shows_what_the_first_tells_from_then_on() {
    let tree = chain();
    let (mut first, mut second) = two(&tree, "test", "test");
    tree.write("in.txt", "bad\n");
    first.says("waiting  1 failed");
    second.says("waiting  1 failed");
    tree.write("in.txt", "good\n");
    first.says("waiting  all up to date");
    second.says("waiting  all up to date");
    let output = second.ends_by(INT);
    assert_eq!(output.signal, Some(INT), "130 to a shell: {output}");
    let expected = "\
Attached          to `devtask watch test` (pid …), which goes on when this ends
Watching          2 files for app:test (and 1 before it)
HH:MM:SS waiting  all up to date
HH:MM:SS changed  in.txt  →  app:build, app:test
Succeeded         app:build (…)
Failed            app:test (…)

── app:test ── exit 1 ── ! grep -q bad built.txt ──
  rerun: devtask run app:test --mode single
HH:MM:SS waiting  1 failed
HH:MM:SS changed  in.txt  →  app:build, app:test
Succeeded         app:build (…)
Succeeded         app:test (…)
HH:MM:SS waiting  all up to date
";
    assert_eq!(clockless(&steady(&output.err)), expected);
    tree.write("in.txt", "other\n");
    first.says("waiting  all up to date");
    assert_eq!(tree.read("built.txt"), "other\n", "the first goes on");
    let output = first.ends_by(INT);
    assert!(!output.err.contains("guest"), "nobody is waited for\n{output}");
}

#[test]
fn how_things_stand_is_said_at_once() {
    let tree = chain();
    tree.write("in.txt", "bad\n");
    let events = tree.home().join("events");
    let (first, second) = two(&tree, "test", &format!("--events {}", events.display()));
    let told = second.ends_by(INT);
    assert!(told.err.contains("waiting  1 failed\n"), "{told}");
    let events = super::support::events_of(&fs::read_to_string(events).unwrap());
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["watch_started", "standings", "waiting"]);
    assert_eq!(events[1]["outcomes"]["app:build"], "succeeded");
    assert_eq!(events[1]["outcomes"]["app:test"], "failed");
    assert_eq!(events[1]["cycles"], 1);
    assert_eq!(first.ends_by(INT).signal, Some(INT));
}

#[test]
fn one_that_comes_while_a_cycle_is_under_way_sees_its_end() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!("name = 'a'\n[tasks.t]\nexec = '{}'\nexecIfModified = ['in.txt']\n", gate.script()),
    );
    tree.write("in.txt", "");
    let mut first = Shown::start(&tree, "first", "t");
    gate.wait();
    let mut second = Shown::start(&tree, "second", "t");
    second.says("Running           a cycle is under way\n");
    gate.open();
    second.says("Succeeded         a:t");
    second.says("waiting  all up to date");
    first.says("waiting  all up to date");
    assert_eq!(second.ends_by(INT).signal, Some(INT));
    assert_eq!(first.ends_by(INT).signal, Some(INT));
}

#[test]
fn what_the_first_keeps_true_can_be_named_and_nothing_else() {
    let tree = chain();
    let (first, second) = two(&tree, "test", "build");
    assert_eq!(second.ends_by(INT).signal, Some(INT));
    for (words, missing) in [("watch lint", "app:lint is"), ("watch build lint", "app:lint is")] {
        let output = tree.expect(2, words);
        let expected = format!(
            "error: {missing} not watched: `devtask watch test` (pid {}) holds this tree and watches app:test\n  \
             help: end that one, and start one watch for all of them: devtask watch app:test app:lint\n",
            first.run.pid()
        );
        assert_eq!(output.err, expected, "{words}");
    }
    let unknown = tree.expect(4, "watch tset");
    assert!(unknown.err.contains("nothing is called `tset`"), "{unknown}");
    assert_eq!(first.ends_by(INT).signal, Some(INT));
}

#[test]
fn what_comes_before_has_to_be_watched_too() {
    let tree = chain();
    let (first, second) = two(&tree, "test -m single", "test --mode single");
    assert_eq!(second.ends_by(INT).signal, Some(INT));
    let output = tree.expect(2, "watch test");
    assert!(output.err.contains("app:build is not watched: "), "{output}");
    assert_eq!(first.ends_by(INT).signal, Some(INT));
}

#[test]
fn the_second_takes_over_when_the_first_is_killed() {
    let tree = chain();
    let (first, mut second) = two(&tree, "test", "build");
    assert_eq!(first.ends_by(KILL).signal, Some(KILL));
    second.says("Watching          2 files for app:build\n");
    second.says("waiting ");
    tree.write("in.txt", "later\n");
    second.says("Succeeded         app:build");
    second.says("waiting  all up to date");
    assert_eq!(tree.read("built.txt"), "later\n");
    let output = second.ends_by(INT);
    assert_eq!(output.signal, Some(INT), "{output}");
    assert!(!output.err.contains("rror"), "nothing alarming\n{output}");
    assert!(!tree.exists(".devtask/socket"));
    tree.ok("run build");
    assert!(tree.executed().is_empty());
}

#[test]
fn of_two_one_takes_over_and_the_other_attaches_to_it() {
    let tree = chain();
    let (first, second) = two(&tree, "test", "");
    let mut third = Shown::start(&tree, "third", "");
    third.says("Attached ");
    third.says("waiting ");
    assert_eq!(first.ends_by(KILL).signal, Some(KILL));
    let mut both = [second, third];
    eventually("one of them is attached to the other", || {
        let pids = both.each_ref().map(|one| format!("(pid {}), which", one.run.pid()));
        both[0].told().contains(&pids[1]) || both[1].told().contains(&pids[0])
    });
    for one in &mut both {
        one.says("waiting ");
    }
    tree.write("in.txt", "later\n");
    for one in &mut both {
        one.says("Succeeded         app:build");
        one.says("waiting  all up to date");
    }
    assert_eq!(tree.read("built.txt"), "later\n");
    both.into_iter().for_each(|one| one.run.signal(INT));
}

#[test]
fn the_second_ends_with_the_first() {
    for words in ["test", "test -q"] {
        let tree = chain();
        let (first, second) = two(&tree, "test", words);
        let pid = first.run.pid();
        assert_eq!(first.ends_by(INT).signal, Some(INT));
        let output = second.ends();
        assert_eq!((output.code, output.signal), (Some(0), None), "{output}");
        let line = format!("Ended             `devtask watch test` (pid {pid}), and this with it\n");
        assert_eq!(output.err.ends_with(&line), !words.contains("-q"), "{output}");
    }
}

#[test]
fn one_that_stands_still_holds_nobody_up() {
    let tree = chain();
    let (mut first, second) = two(&tree, "test", "test");
    second.run.signal(STOP);
    tree.write("in.txt", "bad\n");
    first.says("waiting  1 failed");
    assert_eq!(first.ends_by(INT).signal, Some(INT));
    second.run.signal(CONT);
    let output = second.ends();
    assert_eq!(output.code, Some(0), "it ends well although a task failed: {output}");
    assert!(output.err.contains("waiting  1 failed\n") && output.err.contains("\nEnded "), "{output}");
}

#[test]
fn one_with_a_task_file_of_its_own_naming_attaches_too() {
    let tree = chain();
    let mut first = Shown::start(&tree, "first", "test");
    first.says("waiting ");
    let mut second = Shown::start(&tree, "second", "-f devtask.toml test --on-busy restart -j 3");
    second.says("Attached ");
    second.says("Warning           of no account here, for that watch has its own: -j, --on-busy\n");
    second.says("waiting  all up to date");
    eventually("it is named", || {
        first.run.signal(USR1);
        first.told().contains(&format!("(pid {})", second.run.pid()))
    });
    assert_eq!(second.ends_by(INT).signal, Some(INT));
    assert_eq!(first.ends_by(INT).signal, Some(INT));
}

#[test]
fn a_watch_waits_for_a_run_and_then_watches() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!("name = 'a'\n[tasks.t]\nexec = '{}'\n[tasks.u]\nexec = 'true'\n", gate.script()),
    );
    let run = tree.devtask(["run", "t"]).start();
    gate.wait();
    let mut watch = Shown::start(&tree, "watch", "u");
    watch.says("Waiting for `devtask run t`");
    gate.open();
    assert_eq!(run.finish().code, Some(0));
    watch.says("Watching ");
    watch.says("waiting ");
    assert_eq!(watch.ends_by(INT).signal, Some(INT));
}

#[test]
fn a_watch_that_waited_begins_with_what_the_files_say_then() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let file = |word: &str| {
        format!("name = 'a'\n[tasks.t]\nexec = '{}'\n[tasks.u]\nexec = 'touch {word}'\n", gate.script())
    };
    let (old, new) = (file("old"), file("new"));
    tree.write("devtask.toml", old);
    let run = tree.devtask(["run", "t"]).start();
    gate.wait();
    let mut watch = Shown::start(&tree, "watch", "u");
    watch.says("Waiting for `devtask run t`");
    tree.save("devtask.toml", new);
    gate.open();
    assert_eq!(run.finish().code, Some(0));
    watch.says("waiting ");
    assert!(tree.exists("new") && !tree.exists("old"));
    assert_eq!(watch.ends_by(INT).signal, Some(INT));
}

#[test]
fn a_task_cannot_attach_to_the_watch_it_is_part_of() {
    let tree = Sandbox::new();
    let program = super::support::DEVTASK;
    tree.write(
        "devtask.toml",
        format!("name = 'a'\n[tasks.t]\nexec = '{program} watch t 2>said || echo $? >code'\n"),
    );
    let mut first = Shown::start(&tree, "first", "t");
    first.says("waiting ");
    assert_eq!(tree.read("code"), "2\n");
    assert!(tree.read("said").contains("a task cannot wait for the run it is part of"));
    assert_eq!(first.ends_by(INT).signal, Some(INT));
}

#[cfg(target_os = "linux")]
#[test]
fn keys_of_the_second_give_orders_to_the_first_and_q_ends_the_second() {
    use super::support::terminal::Terminal;

    let tree = chain();
    tree.write("in.txt", "bad\n");
    let mut first = Shown::start(&tree, "first", "test");
    first.says("waiting  1 failed");
    let program = tree.devtask(["watch", "test"]).env("TERM", "xterm").env("NO_COLOR", "1");
    let mut second = Terminal::of(program);
    second.next("waiting  1 failed — r rerun failed, Enter log, ? keys");
    second.press("s");
    second.next("Watching          2 files, 1 cycle: 1 Succeeded, 1 Failed");
    second.press("\r");
    second.next("Failed            app:test, before this looked on: devtask logs app:test");
    second.press("r");
    second.next("Failed            app:test (");
    second.next("waiting  1 failed");
    first.says("waiting  1 failed");
    second.press("\r");
    second.next("Failed            app:test wrote nothing");
    second.press("R");
    second.next("Succeeded         app:build");
    second.next("waiting  1 failed");
    first.says("Succeeded         app:build");
    second.press("p");
    second.next("waiting  1 failed, on hold");
    first.says("waiting  1 failed, on hold");
    second.press("p");
    second.next("waiting  1 failed — ");
    second.press("?");
    second.next("quit; the watch goes on");
    second.press("q");
    let (output, text) = second.finish();
    assert_eq!((output.code, output.signal), (Some(1), None), "{text}");
    tree.write("in.txt", "good\n");
    first.says("waiting  all up to date");
    let program = tree.devtask(["watch"]).env("TERM", "xterm").env("NO_COLOR", "1");
    let mut second = Terminal::of(program);
    second.next("waiting  all up to date");
    second.press("q");
    assert_eq!(second.finish().0.code, Some(0));
    assert_eq!(first.ends_by(INT).signal, Some(INT));
}
