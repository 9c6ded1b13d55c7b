//! What somebody may put in the place of what is read, and what a run that came to a bad end may leave.

mod afterwards;
mod projects;

use std::{path::Path, process::Command};

use super::support::{Output, Sandbox};

const ONE: &str = "[tasks.\"a:t\"]\nexec = \"cat in.txt > out.txt\"\nexecIfModified = [\"in.txt\"]\n";

fn one() -> Sandbox {
    let tree = Sandbox::with(ONE);
    tree.write("in.txt", "1");
    tree
}

#[test]
fn a_first_run_that_was_cut_off_does_not_lock_its_successors_out() {
    for left in [".gitignore", ".gitignore.new", "lock"] {
        let tree = one();
        tree.write(Path::new(".devtask").join(left), "");
        tree.ok("run a:t");
        assert_eq!(tree.read(".devtask/.gitignore"), "*\n", "{left}");
        assert!(!tree.exists(".devtask/.gitignore.new"), "{left}");
    }
}

/// Runs it; a program that hangs is ended, and its exit code is then 124.
fn bounded(tree: &Sandbox, args: &[&str], env: &[(&str, &Path)]) -> Output {
    let mut invocation = tree.devtask(args);
    for (name, value) in env {
        invocation = invocation.env(name, value);
    }
    invocation.start_under("timeout", &["30"]).finish()
}

fn fifo(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// What can stand in the place of a file and never ends.
const ENDLESS: [&str; 2] = ["fifo", "/dev/zero"];

fn put(what: &str, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    if what == "fifo" { fifo(path) } else { std::os::unix::fs::symlink(what, path).unwrap() }
}

#[test]
fn what_is_no_file_is_never_read_as_a_task_file() {
    let including = "include = [\"sub\"]\n";
    let dotenv = "dotenv = [\"my.env\"]\n[tasks.a]\nexec = \"true\"\n";
    for what in ENDLESS {
        for (toml, place, args) in [
            ("", "devtask.toml", &["list"][..]),
            ("", "devtask.json", &["list"]),
            ("", "named.json", &["list", "-f", "named.json"]),
            ("", "named.toml", &["list", "-f", "named.toml"]),
            ("", "variable.json", &["list"]),
            (including, "sub/devtask.toml", &["list"]),
            (dotenv, "my.env", &["list"]),
        ] {
            let tree = if toml.is_empty() { Sandbox::new() } else { Sandbox::with(toml) };
            put(what, &tree.path(place));
            let variable = [("DEVENV_TASK_FILE", &*tree.path("variable.json"))];
            let output = bounded(&tree, args, if place == "variable.json" { &variable } else { &[] });
            assert_eq!(output.code, Some(2), "{what} {place} {output}");
            let told = format!("{place}` cannot be read: it is no regular file\n");
            assert!(output.err.contains(&told), "{what} {place} {output}");
        }
    }
}

#[test]
fn what_is_no_file_is_never_read_as_the_users_settings() {
    for what in ENDLESS {
        let tree = one();
        put(what, &tree.home().join(".config/devtask/config.toml"));
        let output = bounded(&tree, &["list"], &[]);
        assert_eq!(output.code, Some(2), "{output}");
        assert!(output.err.contains("config.toml: it is no regular file\n"), "{output}");
    }
}

#[test]
fn what_is_no_file_has_no_rules_of_git() {
    for what in ENDLESS {
        for place in [".git", ".gitignore", ".git/info/exclude", ".git/commondir", "sub/.gitignore"] {
            let tree = Sandbox::with("[tasks.a]\nexec = \"true\"\nexecIfModified = [\"**\"]\n");
            tree.write("sub/in.txt", "1");
            put(what, &tree.path(place));
            let output = bounded(&tree, &["run", "a"], &[]);
            assert_eq!(output.code, Some(0), "{what} {place} {output}");
        }
    }
}

#[test]
fn a_task_file_without_an_end_in_sight_is_refused() {
    let tree = Sandbox::new();
    std::fs::File::create(tree.path("devtask.toml")).unwrap().set_len((64 << 20) + 1).unwrap();
    let output = tree.expect(2, "list");
    assert!(output.err.contains("devtask.toml` cannot be read: it is larger than 64 MiB\n"), "{output}");
}

#[test]
fn what_is_no_file_has_no_rules_for_includes() {
    for what in ENDLESS {
        for place in [".gitignore", "p/.gitignore", "p/a/.ignore", ".git/info/exclude"] {
            let tree = Sandbox::with("include = [\"p/*\"]\n");
            tree.write("p/a/devtask.toml", "[tasks.t]\nexec = \"true\"\n");
            put(what, &tree.path(place));
            let output = bounded(&tree, &["list"], &[]);
            assert_eq!(output.code, Some(2), "{what} {place} {output}");
            let told = format!("/{place}` cannot be read: it is no regular file\n");
            assert!(output.err.contains(&told), "{what} {place} {output}");
        }
    }
    let tree = Sandbox::with("include = [\"p/*\"]\n");
    tree.write("p/a/devtask.toml", "[tasks.t]\nexec = \"true\"\n");
    put("/dev/null", &tree.path("p/.gitignore"));
    assert!(tree.ok("list").out.contains("a:t"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_glob_matches_nothing_only_where_everything_could_be_looked_at() {
    for (unreadable, warned) in [("in.txt", true), ("/proc/self/mem", false)] {
        let tree = Sandbox::with(&format!(
            "[tasks.a]\nexec = \"true\"\nexecIfModified = [\"{unreadable}\", \"sub/*.x\"]\n"
        ));
        tree.write("in.txt", "");
        let output = tree.devtask(["run", "a"]).run();
        assert_eq!(output.err.contains("matches nothing"), warned, "{output}");
    }
}
