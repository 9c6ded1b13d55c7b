//! What may stand in the way, and that looking for it starts nothing and leaves nothing.

use std::{fs, process::Command};

use serde_json::Value;

use super::support::{Output, Sandbox};

const TREE: &str = r#"
    [tasks.gen]
    exec = "touch ran"
    execIfModified = ["devtask.toml"]
    [tasks.asked]
    exec = "touch ran"
    status = "touch asked"
"#;

/// The finding of this name.
fn of(output: &Output, about: &str) -> Value {
    let findings = output.json();
    let found = findings.as_array().unwrap().iter().find(|finding| finding["about"] == about);
    found.unwrap_or_else(|| panic!("nothing about {about}\n{output}")).clone()
}

#[test]
fn all_is_well_and_nothing_is_left() {
    let tree = Sandbox::with(TREE);
    let output = tree.ok("doctor");
    assert!(output.out.contains("\nok       interpreter          bash: /"), "{output}");
    assert!(output.out.contains("\nok       task files           2 tasks\n"), "{output}");
    assert!(output.out.contains("\nok       events               told after "), "{output}");
    for left in [".devtask", "ran", "asked"] {
        assert!(!tree.exists(left), "{left}");
    }
    assert_eq!(fs::read_dir(tree.root()).unwrap().count(), 1);

    tree.ok("run gen");
    let before: Vec<_> = tree.last_events();
    let output = tree.ok("doctor --json");
    assert_eq!(of(&output, "store")["verdict"], "ok", "{output}");
    assert_eq!(of(&output, "leftovers")["found"], "none", "{output}");
    assert_eq!(tree.last_events(), before, "no run was made");
    tree.ok("run gen");
}

#[test]
fn only_the_machine_is_looked_at_without_a_task_file() {
    let tree = Sandbox::new();
    let output = tree.ok("doctor --json");
    assert_eq!(of(&output, "task files")["verdict"], "note", "{output}");
    assert_eq!(of(&output, "interpreter")["verdict"], "ok", "{output}");
    assert_eq!(fs::read_dir(tree.root()).unwrap().count(), 0);
}

#[test]
fn what_is_wrong_is_told_with_what_mends_it() {
    let tree = Sandbox::with(TREE);
    tree.ok("run gen");

    tree.chmod(".devtask", 0o777);
    let output = tree.expect(1, "doctor --json");
    let found = of(&output, "state directory");
    assert_eq!(found["verdict"], "problem", "{output}");
    let remedy = found["remedy"].as_str().unwrap();
    assert!(Command::new("sh").args(["-c", remedy]).status().unwrap().success(), "{remedy}");
    tree.ok("doctor");

    let store = fs::read(tree.path(".devtask/state.redb")).unwrap();
    tree.write(".devtask/state.redb", &store[..store.len() / 2]);
    let output = tree.expect(1, "doctor");
    assert!(output.out.contains("\nproblem  store "), "{output}");
    assert!(output.out.contains("help: nothing: the next run sets it aside"), "{output}");
    // As it says.
    tree.ok("run gen");
    let output = tree.ok("doctor --json");
    assert_eq!(of(&output, "leftovers")["verdict"], "note", "{output}");

    tree.append("devtask.toml", "[tasks.odd]\nexec = \"x\"\npackage = \"no-such-interpreter\"\n");
    let output = tree.expect(1, "doctor");
    assert!(output.out.contains("these cannot run: tree:odd\n"), "{output}");

    tree.append("devtask.toml", "[tasks.odd]\nexec = 3\n");
    let output = tree.expect(1, "doctor --json");
    assert_eq!(of(&output, "task files")["verdict"], "problem", "{output}");
}

#[test]
fn a_limit_that_is_too_low_is_a_problem() {
    let tree = Sandbox::with(TREE);
    let limited = ["-c", "ulimit -n 100; exec \"$0\" \"$@\""];
    let output = tree.devtask(["doctor", "--json"]).start_under("sh", &limited).finish();
    assert_eq!(output.code, Some(1), "{output}");
    let found = of(&output, "open files");
    assert_eq!((&found["verdict"], &found["found"]), (&"problem".into(), &"100".into()), "{output}");
}

#[test]
fn who_holds_the_tree_is_named() {
    let tree = Sandbox::with("[tasks.slow]\nexec = \"touch began; until test -e go; do sleep 0.01; done\"\n");
    let running = tree.devtask(["run", "slow"]).start();
    super::support::eventually("it runs", || tree.exists("began"));
    let output = tree.ok("doctor --json");
    let found = of(&output, "store");
    assert!(found["found"].as_str().unwrap().contains("devtask run slow"), "{output}");
    tree.write("go", "");
    assert_eq!(running.finish().code, Some(0));
}
