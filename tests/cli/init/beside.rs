//! Proposals beside task files that are there already.

use super::{NPM, fake, files, runs_once};
use crate::support::{Output, Sandbox};

#[test]
fn a_new_member_gets_a_file_and_the_root_is_left_alone() {
    let mut tree = Sandbox::new();
    fake(&mut tree, "npm", NPM);
    tree.write("package.json", r#"{"name": "shop", "workspaces": ["packages/*"]}"#);
    tree.write("packages/a/package.json", r#"{"name": "a", "scripts": {"build": "true"}}"#);
    tree.ok("init --write");
    runs_once(&tree, "shop:install a:build");
    let root = tree.read("devtask.toml").replace("name = \"shop\"", "name = \"store\"");
    tree.write("devtask.toml", &root);
    let member = tree
        .read("packages/a/devtask.toml")
        .replace("shop:", "store:")
        .replace("[tasks.build]", "[tasks.make]");
    tree.write("packages/a/devtask.toml", &member);
    tree.expect(2, "init");
    let b = r#"{"name": "store", "scripts": {"build": "true", "test": "true"}, "dependencies": {"a": "*"}}"#;
    tree.write("packages/b/package.json", b);
    let before = files(tree.root());
    let proposed = tree.ok("init");
    assert!(before == files(tree.root()));
    assert!(
        proposed.out.starts_with("# ---- packages/b/devtask.toml ----\nname = \"packages-b\"\n"),
        "{proposed}"
    );
    assert!(
        proposed.out.contains("after = [\"store:install\"]\n"),
        "its names are those that are there\n{proposed}"
    );
    let line = root.lines().position(|line| line.starts_with("include")).unwrap() + 1;
    let told = format!("devtask.toml: line {line}: `include` has to name \"packages/b\", too\n");
    assert!(proposed.err.contains(&told), "{proposed}");
    let written = tree.ok("init --write");
    assert!(!written.err.contains("Written           devtask.toml"), "{written}");
    assert_eq!(tree.read("devtask.toml"), root);
    tree.write("devtask.toml", root.replace("packages/a", "packages/*"));
    tree.ok("validate");
    tree.ok("run");
    assert!(tree.executed().contains("packages-b:build"));
    let refused = tree.expect(2, "init");
    assert!(refused.err.starts_with("error: there is devtask.toml already"), "{refused}");
}

#[test]
fn an_include_that_covers_it_is_not_spoken_of() {
    let tree = Sandbox::new();
    tree.write("devtask.toml", "include = ['libs/*']\n");
    tree.write("libs/a/go.mod", "module a\n");
    let proposed = tree.ok("init");
    assert!(!proposed.err.contains("include"), "{proposed}");
    tree.write("devtask.toml", "");
    let proposed = tree.ok("init");
    assert!(proposed.err.contains("devtask.toml: it has to say include = [\"libs/a\"]"), "{proposed}");
    // What cannot be read is still somebody's.
    tree.write("devtask.toml", "include = [");
    assert!(!tree.ok("init").out.contains("---- devtask.toml"));
}

#[test]
fn a_tree_above_is_spoken_of_if_it_does_not_include() {
    let tree = Sandbox::new();
    tree.write("a/b/Makefile", "build:\n\ttrue\n");
    let says = |tree: &Sandbox| {
        let proposed: Output = tree.ok("init -C a/b");
        proposed.err.matches("does not include this directory: it would be a tree of its own").count()
    };
    assert_eq!(says(&tree), 0);
    tree.write("devtask.toml", "");
    assert_eq!(says(&tree), 1);
    tree.write("a/devtask.toml", "");
    assert_eq!(says(&tree), 1);
    tree.write("devtask.toml", "include = ['a/*']\n");
    assert_eq!(says(&tree), 0);
    tree.remove("devtask.toml");
    tree.write("devtask.json", r#"{"include": ["./a/b/"]}"#);
    assert_eq!(says(&tree), 0);
    // Beyond the repository nobody looks.
    tree.remove("devtask.json");
    tree.write("a/b/.git/HEAD", "");
    assert_eq!(says(&tree), 0);
}

#[test]
fn a_member_of_a_cargo_workspace_above_fetches_nothing() {
    let tree = Sandbox::new();
    tree.write("Cargo.toml", "[workspace]\nmembers = ['a']\nresolver = '3'\n");
    tree.write("a/Cargo.toml", "[package]\nname = 'a'\nedition = '2024'\n");
    tree.write("a/src/lib.rs", "");
    let alone = tree.ok("init -C a").out;
    assert!(alone.contains("cargo fetch") && alone.contains("[checks.rustfmt]"), "{alone}");
    tree.write("Cargo.lock", "version = 4\n[[package]]\nname = 'a'\nversion = '0.0.0'\n");
    let beneath = tree.ok("init -C a --write");
    let file = tree.read("a/devtask.toml");
    assert!(!file.contains("fetch") && !file.contains("[checks."), "{file}\n{beneath}");
    assert!(file.contains("\"../Cargo.lock\"") && !file.contains("outputs"), "{file}");
    let run = tree.ok("run -C a");
    assert!(run.err.contains("a:build"), "{run}");
}
