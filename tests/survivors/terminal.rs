//! The program on a terminal: what it draws, who may read, what is left behind.

use super::support::{Sandbox, terminal::Terminal};

const TALK: &str = r#"
name = "app"
[tasks.quiet]
exec = "[ ! -t 0 ] && [ ! -t 1 ] && ! read -r line"
[tasks.talk]
interactive = true
after = ["quiet"]
exec = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && read -r -p 'name? ' name && echo \"hello $name\""
"#;

#[test]
fn an_interactive_task_owns_the_terminal_and_no_other_reads_from_it() {
    let tree = Sandbox::with(TALK);
    let mut terminal = Terminal::start(&tree, "run talk");
    terminal.wait_for("name? ");
    let before = terminal.text();
    assert!(before.contains("Succeeded"), "{before:?}");
    assert!(before.ends_with("name? "), "nobody draws on it: {before:?}");
    terminal.press("joe\n");
    let (output, text) = terminal.finish();
    assert_eq!(output.code, Some(0), "{text}");
    assert!(text.contains("hello joe"), "{text}");
    assert!(text.contains("2 Succeeded"), "{text}");
}

#[test]
fn ctrl_c_at_an_interactive_task_cancels_it() {
    let tree = Sandbox::with(TALK);
    let mut terminal = Terminal::start(&tree, "run talk");
    terminal.wait_for("name? ");
    terminal.press("\x03");
    let (output, text) = terminal.finish();
    assert_eq!(output.signal, Some(2), "{text}");
    assert!(text.contains("1 Succeeded, 1 Cancelled"), "{text}");
}

#[test]
fn a_task_that_wants_the_terminal_without_having_it_fails_and_says_why() {
    let tree = Sandbox::with("[tasks.\"app:greedy\"]\nexec = \"read -r x < /dev/tty\"\n");
    let (output, text) = Terminal::start(&tree, "run app:greedy").finish();
    assert_eq!(output.code, Some(1), "{text}");
    assert!(text.contains("it wants the terminal; set `interactive = true`"), "{text}");
}

#[test]
fn the_live_region_is_gone_when_ctrl_c_ends_the_run() {
    let tree = Sandbox::with(
        r#"
        name = "app"
        [tasks.one]
        exec = "echo first word; while :; do sleep 0.02; done"
        [tasks.two]
        exec = "while :; do sleep 0.02; done"
        "#,
    );
    let mut terminal = Terminal::start(&tree, "run one two -j 2");
    terminal.wait_for("s)  first word\x1b[K");
    terminal.wait_for("\x1b[2A");
    assert!(!terminal.text().contains("\x1b[3A"), "two rows, and no row more: {:?}", terminal.text());
    terminal.press("\x03");
    let (output, text) = terminal.finish();
    assert_eq!(output.signal, Some(2), "{text}");
    let summary = text.rfind("2 Cancelled").unwrap();
    assert!(!text[summary..].contains("Running"), "nothing of it is left: {text:?}");
    assert!(text.ends_with("\x1b[J"), "the cursor is below the summary: {text:?}");
}

#[test]
fn a_pipe_gets_plain_lines() {
    let tree = Sandbox::with("[tasks.\"app:one\"]\nexec = \"true\"\n");
    let output = tree.devtask(["run", "app:one"]).env("TERM", "xterm").run();
    assert_eq!(output.code, Some(0));
    assert!(!output.err.contains(['\x1b', '\r']), "{output}");
}
