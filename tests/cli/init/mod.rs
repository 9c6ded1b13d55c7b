//! `devtask init` in trees as people have them: what it proposes loads and runs, and a second run executes nothing.

mod beside;
mod languages;
mod removed;
mod runners;
mod trouble;

use std::{collections::BTreeMap, fs, path::Path};

use super::support::{Output, Sandbox, set};

/// Every file of the tree with its content, but the state.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut todo) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(next) = todo.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            match path.symlink_metadata().unwrap() {
                found if found.is_dir() && !path.ends_with(".devtask") => todo.push(path),
                found if found.is_file() => {
                    files.insert(
                        path.strip_prefix(dir).unwrap().display().to_string(),
                        fs::read(path).unwrap(),
                    );
                }
                _ => {}
            }
        }
    }
    files
}

/// Proposes, checks that nothing was written, and writes what was proposed.
fn adopt(tree: &Sandbox) -> Output {
    let before = files(tree.root());
    let proposed = tree.ok("init");
    assert!(before == files(tree.root()), "it wrote something\n{proposed}");
    assert!(!tree.exists(".devtask"), "it left its state");
    assert!(proposed.err.contains("Nothing was written: `devtask init --write` writes"), "{proposed}");
    let blocks = proposed.out.matches("\n[tasks.").count() + proposed.out.matches("\n[processes.").count();
    assert!(proposed.out.matches("# from ").count() >= blocks && blocks > 0, "{proposed}");
    let written = tree.ok("init --write");
    assert!(written.err.contains("Written") && written.err.contains("`devtask run`"), "{written}");
    assert_eq!(written.out, "");
    tree.ok("validate");
    for (path, text) in files(tree.root()).iter().filter(|(path, _)| path.ends_with("devtask.toml")) {
        let text = String::from_utf8_lossy(text);
        assert!(proposed.out.contains(&*text), "{path} is not what was shown\n{proposed}");
    }
    proposed
}

/// The first run executes these, the second nothing.
fn runs_once(tree: &Sandbox, tasks: &str) {
    let first = tree.ok("run");
    assert_eq!(tree.executed(), set(tasks), "{first}");
    let second = tree.ok("run");
    assert_eq!(tree.executed(), set(""), "{second}");
}

/// The next run executes these, and the one after it nothing.
fn after(tree: &Sandbox, edit: impl Fn(&Sandbox), tasks: &str) {
    edit(tree);
    runs_once(tree, tasks);
}

/// Puts a program first on the path that says in `calls` of the home how it was called, and then does this.
fn fake(tree: &mut Sandbox, name: &str, script: &str) {
    let bin = tree.home().join("bin");
    let calls = tree.home().join("calls");
    tree.program(
        bin.join(name),
        &format!("#!/bin/sh\necho \"{name} $*\" >> '{}'\n{script}\n", calls.display()),
    );
    let path = std::env::var("PATH").unwrap();
    tree.set_env("PATH", format!("{}:{path}", bin.display()));
}

/// How the fakes were called since this was asked.
fn calls(tree: &Sandbox) -> String {
    let path = tree.home().join("calls");
    let calls = fs::read_to_string(&path).unwrap_or_default();
    fs::write(path, "").unwrap();
    calls
}

/// A package manager that installs something and runs scripts.
const NPM: &str = r#"
case "$1" in
install) mkdir -p node_modules && echo made > node_modules/made && echo '{}' > package-lock.json ;;
ci) rm -rf node_modules && mkdir -p node_modules && echo made > node_modules/made ;;
run) exec sh -c "$(node -p 'require("./package.json").scripts[process.argv[1]]' "$2")" ;;
*) exit 9 ;;
esac"#;
