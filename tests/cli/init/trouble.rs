//! What is in the way of a proposal, and what must not come through it.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{adopt, files, runs_once};
use crate::support::Sandbox;

#[test]
fn nothing_is_written_over_a_task_file() {
    for name in ["devtask.toml", "devtask.json"] {
        let tree = Sandbox::new();
        tree.write("Makefile", "build:\n\ttrue\n");
        tree.write(name, "");
        for line in ["init", "init --write"] {
            let before = files(tree.root());
            let refused = tree.expect(2, line);
            assert!(
                refused.err.starts_with(&format!("error: there is {name} already\n  help: ")),
                "{refused}"
            );
            assert_eq!(refused.out, "");
            assert!(before == files(tree.root()));
        }
    }
}

#[test]
fn one_member_with_a_task_file_keeps_all_from_being_written() {
    let tree = Sandbox::new();
    tree.write("package.json", r#"{"workspaces": ["packages/*"], "scripts": {"lint": "true"}}"#);
    for name in ["a", "b", "c"] {
        tree.write(format!("packages/{name}/package.json"), r#"{"scripts": {"build": "true"}}"#);
    }
    tree.write("packages/b/devtask.toml", "");
    let before = files(tree.root());
    let refused = tree.expect(2, "init --write");
    assert!(refused.err.contains("error: there is packages/b/devtask.toml already"), "{refused}");
    assert!(before == files(tree.root()));
    // A link that leads nowhere would be written through.
    tree.remove("packages/b/devtask.toml");
    symlink("/nowhere/at/all", tree.path("packages/b/devtask.toml")).unwrap();
    tree.expect(2, "init --write");
    assert!(!tree.exists("devtask.toml"));
}

#[test]
fn a_directory_that_cannot_be_written_to_leaves_nothing_behind() {
    let tree = Sandbox::new();
    tree.write("package.json", r#"{"workspaces": ["packages/*"], "scripts": {"lint": "true"}}"#);
    tree.write("packages/a/package.json", r#"{"scripts": {"build": "true"}}"#);
    tree.chmod("packages/a", 0o555);
    if std::fs::write(tree.path("packages/a/probe"), "").is_ok() {
        // For root there is no such directory.
        return;
    }
    let failed = tree.expect(3, "init --write");
    assert!(failed.err.contains("packages/a/devtask.toml"), "{failed}");
    assert!(!tree.exists("devtask.toml"));
    tree.chmod("packages/a", 0o755);
}

#[test]
fn what_is_written_belongs_to_everybody_the_mask_allows() {
    let tree = Sandbox::new();
    tree.write("Makefile", "build:\n\ttrue\n");
    tree.ok("init --write");
    let usual = tree.path("Makefile").metadata().unwrap().permissions().mode();
    assert_eq!(tree.path("devtask.toml").metadata().unwrap().permissions().mode(), usual);
}

#[test]
fn where_nothing_is_recognised_an_example_is_proposed() {
    let tree = Sandbox::new();
    tree.write("README.md", "nothing");
    let proposed = tree.ok("init");
    assert!(proposed.err.starts_with("Nothing was recognised"), "{proposed}");
    assert!(proposed.out.contains("# [tasks.build]"), "{proposed}");
    tree.ok("init --write");
    tree.ok("validate");
}

#[test]
fn a_directory_without_a_task_file_is_told_of_the_verb() {
    let tree = Sandbox::new();
    tree.write("package.json", "{}");
    let told = tree.expect(2, "run");
    assert!(told.err.contains("there is package.json") && told.err.contains("`devtask init`"), "{told}");
    let refused = tree.expect(2, "init -f devtask.toml");
    assert!(refused.err.contains("takes no file"), "{refused}");
}

#[test]
fn what_cannot_be_read_costs_a_warning_and_nothing_else() {
    let tree = Sandbox::new();
    tree.write("package.json", "{\n  \"scripts\": {\n    oops\n");
    tree.write("Cargo.toml", "[package]\nname = \n");
    tree.write("pyproject.toml", b"[project]\nname = '\xff'\n");
    tree.write("Taskfile.yml", "tasks: [a\n  b: {\n");
    std::fs::create_dir(tree.path("composer.json")).unwrap();
    tree.write("go.mod", vec![b' '; 5 << 20]);
    assert!(std::process::Command::new("mkfifo").arg(tree.path("justfile")).status().unwrap().success());
    assert!(std::process::Command::new("mkfifo").arg(tree.path(".gitignore")).status().unwrap().success());
    symlink(tree.path("sub"), tree.path("sub")).unwrap();
    symlink(tree.root(), tree.path("round")).unwrap();
    tree.write("Procfile", "web: sleep 1000\n");
    tree.write("Makefile", "build:\n\ttrue\n");
    let proposed = tree.ok("init");
    for (path, what) in [
        ("package.json", "line 3"),
        ("Cargo.toml", "line 2: "),
        ("pyproject.toml", "line 2: it is not UTF-8"),
        ("Taskfile.yml", "line "),
        ("go.mod", "larger than 4 MiB"),
        ("justfile", "regular file"),
    ] {
        let warning = format!("warning: {path}: ");
        let told: Vec<&str> = proposed.err.lines().filter(|line| line.starts_with(&warning)).collect();
        assert!(told.len() == 1 && told[0].contains(what), "{path}: {told:?}\n{proposed}");
    }
    assert!(proposed.out.contains("[tasks.build]") && proposed.out.contains("[processes.web]"), "{proposed}");
    // For who runs the tasks, too, a FIFO in the place of rules is in the way.
    tree.remove(".gitignore");
    tree.ok("init --write");
    tree.ok("validate");
}

#[test]
fn names_and_commands_of_strangers_stay_text() {
    let tree = Sandbox::new();
    let nasty = "build\"]\n[tasks.evil]\nexec = \"touch evil\"\n'''\u{1b}[2J\u{202e}\\";
    let scripts =
        serde_json::json!({ nasty: nasty, "test": nasty, "a b": "true", "a-b": "true", "build'x": "echo" });
    let package =
        serde_json::json!({ "name": nasty, "scripts": scripts, "main": nasty, "dependencies": {"x": "1"} });
    tree.write("package.json", package.to_string());
    tree.write("Makefile", "build\"]:\n\ttrue\n.PHONY: lint'$(shell touch evil)\nlint:\n\ttrue\n");
    tree.write("Procfile", "web: printf '%s\\n' \"a'''b\" '\u{7}' ${root:-x} ; sleep 1000\n");
    let member = "odd [name] {x} '\" \u{7}";
    tree.write(format!("{member}/Cargo.toml"), "[package]\nname = 'm'\nedition = '2024'\n");
    tree.write("a${root}b/composer.json", "{}");
    let proposed = adopt(&tree);
    assert!(!proposed.out.contains("\n[tasks.evil]") && !proposed.out.contains('\u{1b}'), "{proposed}");
    let listed = tree.ok("list --json").json();
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().filter_map(|task| task["name"].as_str()).collect();
    assert!(names.contains(&"m:build") && !names.iter().any(|name| name.ends_with(":evil")), "{names:?}");
    assert!(!tree.exists("evil"));
}

#[test]
fn links_to_manifests_are_read_and_directories_behind_links_are_not() {
    let tree = Sandbox::new();
    tree.write("real/Makefile", "build:\n\ttrue\n");
    symlink("real/Makefile", tree.path("Makefile")).unwrap();
    symlink("..", tree.path("real/up")).unwrap();
    adopt(&tree);
    runs_once(&tree, "tree:build");
}
