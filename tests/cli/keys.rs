//! Watching at a terminal: keys, and whose the terminal is.

use super::support::{Invocation, Sandbox, eventually, terminal::Terminal};

const FLAKY: &str = r#"
    name = "app"
    [tasks.one]
    exec = "cat in.txt; [ -e ok ]"
    execIfModified = ["in.txt"]
    [tasks.other]
    exec = "echo other thing"
    execIfModified = ["other.txt"]
"#;

/// Watches on a terminal without colours.
fn watch(tree: &Sandbox, line: &str) -> Terminal {
    Terminal::of(program(tree, line))
}

fn program<'a>(tree: &'a Sandbox, line: &str) -> Invocation<'a> {
    tree.devtask(format!("watch {line}").split_whitespace()).env("TERM", "xterm").env("NO_COLOR", "1")
}

fn flaky() -> Sandbox {
    let tree = Sandbox::with(FLAKY);
    tree.write("in.txt", "word\n");
    tree.write("other.txt", "");
    tree
}

#[test]
fn what_failed_is_rerun_by_a_key_and_q_ends() {
    let tree = flaky();
    let mut terminal = watch(&tree, "one");
    terminal.next("waiting  1 failed — r rerun failed, Enter log, ? keys");
    assert!(terminal.gives_keys());
    terminal.press("r");
    terminal.next("Failed            app:one");
    terminal.next("waiting  1 failed");
    tree.save("ok", "");
    terminal.press("r");
    terminal.next("Succeeded         app:one");
    terminal.next("waiting  all up to date — ? keys");
    // There is nothing to rerun; everything is another matter.
    terminal.press("r");
    let told = terminal.next("waiting  all up to date");
    assert!(!told.contains("app:one"), "{told:?}");
    terminal.press("R");
    terminal.next("Succeeded         app:one");
    terminal.next("waiting  all up to date");
    terminal.press("q");
    let (output, text) = terminal.finish();
    assert_eq!((output.code, output.signal), (Some(0), None), "{text}");
}

#[test]
fn q_tells_by_its_exit_code_that_something_failed_and_leaves_the_terminal_as_it_was() {
    for (keys, code, signal) in [("q", Some(1), None), ("\x03", None, Some(2)), ("\x1c", None, Some(3))] {
        let tree = flaky();
        let mut terminal = watch(&tree, "one");
        let end = terminal.another_end();
        terminal.next("waiting  1 failed");
        assert!(terminal.gives_keys());
        terminal.press(keys);
        eventually("the terminal is as it was", || !terminal.gives_keys());
        let (output, text) = {
            drop(end);
            terminal.finish()
        };
        assert_eq!((output.code, output.signal), (code, signal), "{keys:?}: {text}");
    }
}

#[test]
fn keys_tell_of_logs_reasons_and_states() {
    let tree = flaky();
    let mut terminal = watch(&tree, "one other");
    terminal.next("waiting  1 failed");
    terminal.press("\r");
    let told = terminal.next("app:one.log ──\x1b[K\r\nword\x1b[K");
    assert!(told.contains("── app:one ── "), "{told:?}");
    terminal.press("w");
    terminal.next("Stale             app:one\x1b[K\r\n                  because no earlier run is known");
    terminal.press("s");
    terminal
        .next("Watching          2 files, 1 cycle: 1 Succeeded, 1 Failed\x1b[K\r\nFailed            app:one");
    terminal.press("t");
    terminal.next("Running           nothing");
    terminal.press("?");
    terminal.next("q                 quit");
    terminal.press("c");
    terminal.next("\x1b[H\x1b[2J");
    // Neither a key nor a part of what other keys send.
    terminal.press("x\x1b[A\x1bOR\x1b[13;2R");
    terminal.press("s");
    let told = terminal.next("Watching          2 files, 1 cycle:");
    assert!(!told.contains("Succeeded"), "nothing ran: {told:?}");
    terminal.press("q");
    assert_eq!(terminal.finish().0.code, Some(1));
}

#[test]
fn f_shows_what_tasks_write_and_hides_it_again() {
    let tree = flaky();
    let mut terminal = watch(&tree, "other");
    terminal.next("waiting");
    terminal.press("f");
    terminal.next("Following         what tasks write is shown");
    terminal.press("R");
    terminal.next("[app:other]  other thing");
    terminal.next("waiting");
    terminal.press("f");
    terminal.next("Following         no more");
    terminal.press("R");
    let told = terminal.next("waiting");
    assert!(!told.contains("[app:other]"), "{told:?}");
    terminal.press("q");
    terminal.finish();
}

#[test]
fn a_pause_holds_back_what_changes_and_lets_it_go() {
    let tree = flaky();
    let mut terminal = watch(&tree, "one other");
    terminal.next("waiting  1 failed");
    terminal.press("p");
    terminal.next("waiting  1 failed, on hold — p go on, r rerun failed, Enter log, ? keys");
    tree.save("other.txt", "more");
    terminal.press("s");
    terminal.next("On hold           nothing is started for a change");
    // What is asked for does run, and afterwards everything is looked at.
    for _ in 0..2 {
        terminal.press("r");
        let told = terminal.next("waiting  1 failed, on hold");
        assert!(told.contains("Failed            app:one"), "{told:?}");
        assert!(!told.contains("app:other"), "{told:?}");
    }
    terminal.press("p");
    let told = terminal.next("changed  other.txt  →  app:other");
    assert!(!told.contains("Succeeded"), "{told:?}");
    terminal.next("Succeeded         app:other");
    terminal.next("waiting  1 failed — r rerun failed");
    terminal.press("q");
    assert_eq!(terminal.finish().0.code, Some(1));
}

#[test]
fn a_task_that_owns_the_terminal_gets_it_as_it_was_and_reads_what_is_typed() {
    let tree = Sandbox::with(
        r#"
        [tasks."app:talk"]
        interactive = true
        execIfModified = ["in.txt"]
        exec = "read -r -p 'name? ' name && echo \"hello $name\""
        "#,
    );
    tree.write("in.txt", "1");
    let mut terminal = watch(&tree, "app:talk");
    for content in ["2", "3"] {
        terminal.next("name? ");
        assert!(!terminal.gives_keys());
        // Keys of a watch, were they not the task's.
        terminal.press("qRp\n");
        terminal.next("hello qRp");
        terminal.next("waiting  all up to date");
        assert!(terminal.gives_keys());
        tree.save("in.txt", content);
        terminal.next("changed  in.txt");
    }
    terminal.next("name? ");
    terminal.press("\x03");
    assert_eq!(terminal.finish().0.signal, Some(2));
}

#[test]
fn a_task_that_comes_to_own_the_terminal_by_an_edit_of_its_file_gets_it() {
    let tree = Sandbox::with("[tasks.\"app:talk\"]\nexec = \"true\"\nexecIfModified = [\"in.txt\"]\n");
    tree.write("in.txt", "1");
    let mut terminal = watch(&tree, "app:talk");
    terminal.next("waiting  all up to date");
    let exec = "read -r -p 'name? ' name && echo \\\"hello $name\\\"";
    let talks = format!(
        "[tasks.\"app:talk\"]\nexec = \"{exec}\"\nexecIfModified = [\"in.txt\"]\ninteractive = true\n"
    );
    tree.save("devtask.toml", talks);
    terminal.next("name? ");
    assert!(!terminal.gives_keys());
    terminal.press("qRp\n");
    terminal.next("hello qRp");
    terminal.next("waiting  all up to date");
    assert!(terminal.gives_keys());
    terminal.press("q");
    assert_eq!(terminal.finish().0.code, Some(0));
}

#[test]
fn the_terminal_is_the_shells_while_we_are_stopped() {
    let tree = flaky();
    let mut terminal = watch(&tree, "other");
    terminal.next("waiting");
    terminal.press("\x1a");
    let stopped = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", terminal.program().pid())).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    };
    eventually("it is stopped", stopped);
    assert!(!terminal.gives_keys());
    terminal.program().signal(18);
    eventually("it has the terminal again", || terminal.gives_keys());
    terminal.press("s");
    terminal.next("1 cycle: 1 Succeeded");
    terminal.press("q");
    assert_eq!(terminal.finish().0.code, Some(0));
}

#[test]
fn a_terminal_that_is_taken_away_ends_the_watch() {
    let tree = flaky();
    let mut terminal = watch(&tree, "other");
    terminal.next("waiting");
    assert_eq!(terminal.hang_up().signal, Some(1));
}

#[test]
fn the_terminal_is_cleared_before_each_cycle_where_that_is_wanted() {
    const CLEAR: &str = "\x1b[H\x1b[2J";
    for (flags, expected) in [("--clear", 3), ("", 0), ("--clear --ui plain", 0)] {
        let tree = flaky();
        let mut terminal = watch(&tree, &format!("other {flags}"));
        terminal.next("waiting");
        tree.save("other.txt", "more");
        let told = terminal.next("waiting");
        let line = if expected > 0 { "\x1b[H\x1b[2J" } else { "" };
        assert!(told.contains(line), "{told:?}");
        terminal.press("R");
        terminal.next("waiting");
        terminal.press("q");
        let (_, text) = terminal.finish();
        assert_eq!(text.matches(CLEAR).count(), expected, "{flags}: {text:?}");
    }
}

#[test]
fn in_ci_without_input_and_where_nothing_is_shown_there_are_no_keys() {
    type With = for<'a> fn(Invocation<'a>) -> Invocation<'a>;
    let withs: [(With, &str); 3] = [
        (|program| program.env("CI", "1"), ""),
        (|program| program.reading_nothing(), ""),
        (|program| program, "--ui none"),
    ];
    for (with, flags) in withs {
        let tree = flaky();
        let mut terminal = Terminal::of(with(program(&tree, &format!("other {flags}"))));
        let end = terminal.another_end();
        if flags.is_empty() {
            terminal.next("waiting  all up to date");
            let rest = terminal.next("\n");
            assert!(!rest.contains("keys"), "{rest:?}");
        } else {
            eventually("it is at work", || tree.exists(".devtask/runs"));
        }
        assert!(!terminal.gives_keys());
        terminal.press("q\x03");
        drop(end);
        assert_eq!(terminal.finish().0.signal, Some(2), "{flags}");
    }
}
