//! What tasks have made and somebody removed is there again after the next run.

use super::{NPM, adopt, after, fake, runs_once};
use crate::support::Sandbox;

#[test]
fn what_npm_installed_and_a_build_made() {
    let mut tree = Sandbox::new();
    fake(&mut tree, "npm", NPM);
    tree.write("package-lock.json", "{}");
    tree.write("tsconfig.json", "{ // comments\n \"compilerOptions\": {\"outDir\": \"./lib\"}}");
    let tsc = "tsc() { mkdir -p lib && echo 1 > lib/x.js; }; tsc -p .";
    let package = serde_json::json!({"name": "it", "dependencies": {"x": "1"}, "scripts": {"build": tsc, "lint": "true"}});
    tree.write("package.json", package.to_string());
    let proposed = adopt(&tree);
    assert!(
        proposed.out.contains("outputs = [\"node_modules/.devtask-installed\"]\nrestore = false\n"),
        "{proposed}"
    );
    assert!(proposed.out.contains("outputs = [\"lib/**\"]\n"), "{proposed}");
    assert!(proposed.out.contains("# A .devtask-… file is empty"), "{proposed}");
    runs_once(&tree, "it:install it:build it:lint");
    // What is kept comes back; an installation has to be done again.
    after(&tree, |t| t.remove("lib"), "");
    after(&tree, |t| t.remove("node_modules"), "it:install");
    assert!(tree.exists("lib/x.js") && tree.exists("node_modules/made"));
}

#[test]
fn the_target_directory_of_a_cargo_workspace() {
    let tree = Sandbox::new();
    tree.write("Cargo.toml", "[workspace]\nmembers = ['a', 'b']\nresolver = '3'\n");
    for name in ["a", "b"] {
        tree.write(format!("{name}/Cargo.toml"), format!("[package]\nname = '{name}'\nedition = '2024'\n"));
        tree.write(format!("{name}/src/main.rs"), "fn main() {}\n");
    }
    adopt(&tree);
    runs_once(&tree, "tree:fetch a:build a:test b:build b:test");
    after(&tree, |t| t.remove("target"), "a:build b:build");
    assert!(tree.exists("target/debug/a") && tree.exists("target/debug/b"));
}

#[test]
fn the_file_that_make_makes() {
    let tree = Sandbox::new();
    tree.write(
        "Makefile",
        ".PHONY: all test\nall: app\napp: main.c\n\tcp main.c app\ntest: all\n\ttest -f app\n",
    );
    tree.write("main.c", "main\n");
    adopt(&tree);
    runs_once(&tree, "tree:all tree:test");
    after(&tree, |t| t.remove("app"), "");
    assert!(tree.exists("app"));
}

#[test]
fn what_composer_installed() {
    let mut tree = Sandbox::new();
    fake(&mut tree, "composer", "mkdir -p lib/vendor && : > lib/vendor/autoload.php");
    tree.write("composer.json", r#"{"name": "a/b", "config": {"vendor-dir": "lib/vendor"}}"#);
    adopt(&tree);
    runs_once(&tree, "b:install");
    after(&tree, |t| t.remove("lib/vendor"), "b:install");
}

#[test]
fn the_environment_of_python() {
    let mut tree = Sandbox::new();
    fake(&mut tree, "uv", "mkdir -p .venv");
    fake(
        &mut tree,
        "python3",
        "mkdir -p .venv/bin; printf '#!/bin/sh\\n' | tee .venv/bin/pip > .venv/bin/python; chmod +x .venv/bin/*",
    );
    let manifest = "[project]\nname = 'it'\ndependencies = ['pytest']\n[tool.pytest]\n";
    tree.write("pyproject.toml", manifest);
    for lock in ["README", "uv.lock"] {
        tree.write(lock, "");
        adopt(&tree);
        runs_once(&tree, "it:install it:test");
        after(&tree, |t| t.remove(".venv"), "it:install");
        assert!(tree.exists(".venv/.devtask-installed"));
        tree.remove("devtask.toml");
        tree.remove(".devtask");
        tree.remove(".venv");
    }
}
