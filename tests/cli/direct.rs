//! A script that is one simple command is started without its shell, and cannot tell (spec section 1.2).
#![cfg(target_os = "linux")]

use std::{collections::BTreeMap, os::unix::fs::symlink};

use super::support::Sandbox;

/// What a task wrote in the newest run.
fn log(tree: &Sandbox, task: &str) -> String {
    let events = tree.last_events();
    let finished = events.iter().find(|e| e["event"] == "task_finished" && e["task"] == task).unwrap();
    tree.read(finished["log"].as_str().unwrap_or_else(|| panic!("{task} wrote nothing: {finished}")))
}

/// The variables a task saw, without those that differ from task to task.
fn seen(tree: &Sandbox, task: &str) -> BTreeMap<String, String> {
    let text = log(tree, task);
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let own = ["DEVTASK_TASK", "DEVTASK_SESSION", "DEVTASK_CHANGED_FILES", "DEVENV_TASK_OUTPUT_FILE"];
    let own = [&own[..], &["DEVENV_TASK_EXPORTS_FILE", "DEVENV_TASKS_OUTPUTS_FILE"]].concat();
    pairs.filter(|(name, _)| !own.contains(name)).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
}

#[test]
fn a_task_sees_the_same_environment_as_through_its_shell() {
    let mut toml = String::new();
    for shell in ["bash", "sh"] {
        for (way, script) in [("direct", "env"), ("shell", "env\\n:")] {
            for (place, cwd) in [("root", "."), ("sub", "sub"), ("link", "link")] {
                toml += &format!(
                    "[tasks.\"a:{shell}-{way}-{place}\"]\npackage = \"{shell}\"\nexec = \"{script}\"\ncwd = \"{cwd}\"\n"
                );
            }
        }
    }
    let tree = Sandbox::with(&toml);
    tree.write("sub/x", "");
    symlink(tree.path("sub"), tree.path("link")).unwrap();
    let root = tree.root().to_str().unwrap().to_owned();
    let surroundings: [&[(&str, &str)]; 4] = [
        &[],
        &[("PWD", &root), ("OLDPWD", "/"), ("SHLVL", "7"), ("_", "/bin/x")],
        &[("PWD", &format!("{root}/link")), ("OLDPWD", "/nowhere"), ("SHLVL", "x")],
        &[("PS1", "x"), ("PS4", "y"), ("IFS", ":"), ("UID", "7"), ("a-b", "c")],
    ];
    for surrounding in surroundings {
        let run = tree.devtask(["run", "a"]);
        let run = surrounding.iter().fold(run, |run, (name, value)| run.env(name, value)).run();
        assert_eq!(run.code, Some(0), "{run}");
        for shell in ["bash", "sh"] {
            for place in ["root", "sub", "link"] {
                let [direct, by_shell] =
                    ["direct", "shell"].map(|way| seen(&tree, &format!("a:{shell}-{way}-{place}")));
                assert_eq!(direct, by_shell, "{shell} in {place} with {surrounding:?}");
            }
        }
    }
}

#[test]
fn the_shell_is_left_out_only_where_nothing_is_asked_of_it() {
    let fields = |fields: &str| format!("{fields}\nexec = 'cat /proc/self/stat'\n");
    let tree = Sandbox::with(&format!(
        "[tasks.\"a:plain\"]\n{}[tasks.\"a:exports\"]\n{}[tasks.\"a:own\"]\n{}[tasks.\"a:quoted\"]\nexec = 'cat \"/proc/self/stat\"'\n",
        fields(""),
        fields("exports = ['X']"),
        fields("package = './bash'"),
    ));
    tree.program("bash", "#!/bin/sh\nexec /bin/sh \"$@\"\n");
    let is_direct = |task: &str| {
        let stat = log(&tree, task);
        // Number, name, state, parent, group: it leads its group if there is no shell above it.
        let fields: Vec<&str> = stat.split(' ').collect();
        fields[0] == fields[4]
    };
    tree.ok("run a");
    let direct = ["a:plain", "a:exports", "a:own", "a:quoted"].map(is_direct);
    assert_eq!(direct, [true, false, false, false]);
    tree.write("empty", "");
    tree.devtask(["run", "a:plain"]).env("BASH_ENV", tree.path("empty")).run();
    assert!(!is_direct("a:plain"), "a shell that reads a file first may do anything");
}

#[test]
fn what_cannot_be_started_ends_as_it_does_in_a_shell() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:missing"]
        exec = "no-such-program here"
        [tasks."a:folder"]
        exec = "./folder"
        [tasks."a:broken"]
        exec = "./broken"
        [tasks."a:bare"]
        exec = "./bare one"
        [tasks."a:named"]
        exec = "./named two"
        [tasks."a:code"]
        exec = "./code"
        [tasks."a:killed"]
        exec = "sh killed"
        "#,
    );
    tree.write("folder/x", "");
    tree.program("broken", "\x7fELF and nothing else");
    tree.program("bare", "echo \"bare $1\"\n");
    tree.program("named", "#!/bin/sh\necho \"$0 $1\"\n");
    tree.program("code", "#!/bin/sh\nexit 77\n");
    tree.program("killed", "#!/bin/sh\nkill -9 $$\n");
    tree.expect(1, "run a");
    let events = tree.last_events();
    let exit = |task: &str| {
        let finished = events.iter().find(|e| e["event"] == "task_finished" && e["task"] == task).unwrap();
        (finished["exit_code"].as_i64(), finished["signal"].as_i64())
    };
    let exits = ["a:missing", "a:folder", "a:broken", "a:bare", "a:named", "a:code", "a:killed"].map(exit);
    let codes = [127, 126, 126, 0, 0, 77].map(|code| (Some(code), None));
    assert_eq!((&exits[..6], exits[6]), (&codes[..], (None, Some(9))));
    assert!(log(&tree, "a:missing").contains("no-such-program: command not found"));
    assert!(log(&tree, "a:broken").contains("cannot execute"), "{}", log(&tree, "a:broken"));
    assert_eq!((log(&tree, "a:bare"), log(&tree, "a:named")), ("bare one\n".into(), "./named two\n".into()));
    tree.expect(137, "run a:killed --exit-code task");
}
