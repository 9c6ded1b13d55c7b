//! Large graphs: nothing recurses, nothing hangs. How long it takes is measured elsewhere.

use std::fmt::Write as _;

use super::support::Sandbox;

/// `count` tasks, each with these fields.
fn tree(count: usize, fields: impl Fn(usize) -> String) -> Sandbox {
    let mut text = "name = \"app\"\n".to_owned();
    for number in 0..count {
        writeln!(text, "[tasks.t{number}]\n{}", fields(number)).unwrap();
    }
    let tree = Sandbox::with(&text);
    tree.write("in", "");
    tree
}

fn after(number: usize) -> String {
    number.checked_sub(1).map_or(String::new(), |before| format!("after = [\"t{before}\"]"))
}

#[test]
fn many_tasks_that_always_run() {
    let tree = tree(500, |_| "exec = \"true\"".to_owned());
    assert!(tree.ok("run -q --events events").err.is_empty());
    assert_eq!(tree.executed().len(), 500);
    // Enough for a stack to overflow, if judging one led to judging the next.
    let tree = self::tree(20_000, |_| "exec = \"true\"".to_owned());
    let output = tree.ok("run -n");
    assert_eq!(output.err.matches("Always runs").count(), 20_000);
    tree.write("stop", "");
    tree.append("devtask.toml", "[tasks.first]\nexec = \"exit 1\"\nbefore = [\"t19999\"]\n");
    let output = tree.expect(1, "run --fail-fast -j 1");
    assert!(output.err.contains("1 Failed"), "{output}");
}

#[test]
fn a_long_chain_without_commands() {
    let tree = tree(20_000, after);
    assert!(tree.ok("validate").err.contains("20000 tasks"));
    assert!(tree.ok("run").err.contains("20000 Skipped"));
    assert_eq!(tree.ok("graph --format json").json()["tasks"].as_array().map_or(0, Vec::len), 20_000);
    tree.ok("list");
}

#[test]
fn a_long_chain_of_tasks_that_can_be_fresh() {
    let fields = |n| format!("exec = \"true\"\nexecIfModified = [\"in\"]\n{}", after(n));
    let tree = self::tree(2_000, fields);
    assert_eq!(tree.expect(5, "run -n").err.matches("Would run").count(), 2_000);
    let tree = self::tree(200, fields);
    assert!(tree.ok("run").err.contains("200 Succeeded"));
    assert!(tree.ok("run").err.contains("200 Cached"));
}

#[test]
fn a_long_cycle() {
    let tree = tree(20_000, |n| format!("after = [\"t{}\"]", (n + 19_999) % 20_000));
    let output = tree.expect(2, "validate");
    assert!(output.err.contains("cycle"), "{}", &output.err[..1000]);
}
