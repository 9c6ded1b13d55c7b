//! Section 4 of the specification, rule by rule: what makes a task run again, and what does not.

use std::os::unix::fs::symlink;

use super::support::{Output, Sandbox, set};

/// A task with every kind of thing a key is made of, and three tasks before it.
const EVERYTHING: &str = r#"
name = "app"
dotenv = [".env"]

[env]
SHARED = "1"

[tasks.files]
exec = "cat up.txt > made.txt"
execIfModified = ["up.txt"]
outputs = ["made.txt"]

[tasks.values]
exec = 'cp values.json "$DEVENV_TASK_OUTPUT_FILE"'
execIfModified = ["values.json"]

[tasks.door]
after = ["files"]

[tasks.t]
after = ["door", "values"]
exec = "echo one ${root} > /dev/null"
cwd = "sub"
execIfModified = ["src/**", "single.txt", "dir", "!src/skip/**"]
trackEnv = ["CC", "APP_*"]
input = { a = 1, b = 2 }
env = { OWN = "1" }
"#;

fn everything() -> Sandbox {
    let mut tree = Sandbox::with(EVERYTHING);
    tree.set_env("APP_MODE", "fast");
    for (path, text) in [
        (".env", "DOT=1\n"),
        ("up.txt", "up"),
        ("values.json", r#"{"v":1,"w":{"x":2},"devenv":{"env":{"HANDED":"1"}}}"#),
        ("sub/src/a.txt", "a"),
        ("sub/src/deep/b.txt", "b"),
        ("sub/src/skip/c.txt", "c"),
        ("sub/single.txt", "s"),
        ("sub/dir/.hidden", "h"),
        ("other/src/a.txt", "a"),
    ] {
        tree.write(path, text);
    }
    tree
}

const CONFIG: &str = "devtask.toml";

/// What is done to the tree, and the reason the run gives for `app:t`; none: it stays cached.
type Case = (&'static str, fn(&mut Sandbox), Option<&'static str>);

#[test]
fn everything_in_the_key_reruns_and_nothing_else_does() {
    let cases: Vec<Case> =
        [declarations(), environment(), files(), upstream()].into_iter().flatten().collect();
    for (name, edit, reason) in cases {
        let mut tree = everything();
        tree.ok("run app:t");
        assert!(tree.executed().contains("app:t"), "{name}");
        edit(&mut tree);
        let output = tree.devtask(["run", "app:t", "--explain"]).run();
        assert_eq!(output.code, Some(0), "{name}\n{output}");
        let reasons = reasons_of(&output, "app:t");
        let expected: Vec<&str> = reason.into_iter().collect();
        assert_eq!(reasons, expected, "{name}\n{output}");
        assert_eq!(tree.executed().contains("app:t"), reason.is_some(), "{name}\n{output}");
        tree.ok("run app:t");
        assert_eq!(tree.executed(), set(""), "{name}: settles");
    }
}

/// Why a task runs, as `--explain` says.
fn reasons_of(output: &Output, task: &str) -> Vec<String> {
    let stale = format!("Stale             {task}");
    let mut lines = output.err.lines().skip_while(|line| *line != stale).skip(1);
    let mut reasons = Vec::new();
    while let Some(reason) = lines.next().and_then(|l| l.trim_start().strip_prefix("because ")) {
        reasons.push(reason.to_owned());
    }
    reasons
}

fn declarations() -> Vec<Case> {
    vec![
        ("exec", |t| t.replace(CONFIG, "echo one", "echo two"), Some("the script or command changed")),
        (
            "interpreter",
            |t| t.replace(CONFIG, "cwd = ", "package = \"sh\"\ncwd = "),
            Some("the interpreter changed"),
        ),
        (
            "binary",
            |t| t.replace(CONFIG, "cwd = ", "binary = \"sh\"\ncwd = "),
            Some("the interpreter changed"),
        ),
        (
            "exports",
            |t| t.replace(CONFIG, "cwd = ", "exports = [\"X\"]\ncwd = "),
            Some("the list of exports changed"),
        ),
        (
            "patterns",
            |t| t.replace(CONFIG, "\"dir\", ", "\"dir\", \"more\", "),
            Some("the patterns of execIfModified or outputs changed"),
        ),
        ("a key of input", |t| t.replace(CONFIG, "b = 2", "b = 3"), Some("input b changed")),
        ("a new key of input", |t| t.replace(CONFIG, "b = 2", "b = 2, c = 1"), Some("input c changed")),
        ("the order of input", |t| t.replace(CONFIG, "a = 1, b = 2", "b = 2, a = 1"), None),
        ("description", |t| t.replace(CONFIG, "cwd = ", "description = \"d\"\ncwd = "), None),
        ("showOutput", |t| t.replace(CONFIG, "cwd = ", "showOutput = true\ncwd = "), None),
        (
            "timeout and retries",
            |t| t.replace(CONFIG, "cwd = ", "timeout = \"9s\"\nretries = 1\ncwd = "),
            None,
        ),
        ("cwd in other words", |t| t.replace(CONFIG, "cwd = \"sub\"", "cwd = \"./sub/\""), None),
        ("another task", |t| t.append(CONFIG, "[tasks.more]\nexec = \"true\"\n"), None),
        ("a comment", |t| t.append(CONFIG, "# more\n"), None),
    ]
}

fn environment() -> Vec<Case> {
    vec![
        ("env", |t| t.replace(CONFIG, "OWN = \"1\"", "OWN = \"2\""), Some("env OWN changed")),
        ("new env", |t| t.replace(CONFIG, "OWN = \"1\"", "OWN = \"1\", B = \"\""), Some("env B changed")),
        ("[env]", |t| t.replace(CONFIG, "SHARED = \"1\"", "SHARED = \"2\""), Some("env SHARED changed")),
        ("dotenv", |t| t.write(".env", "DOT=2\n"), Some("env DOT changed")),
        ("dotenv in other words", |t| t.write(".env", "# one\nDOT='1'\n"), None),
        ("tracked, new", |t| t.set_env("CC", "clang"), Some("env CC changed (tracked)")),
        ("tracked, empty", |t| t.set_env("CC", ""), Some("env CC changed (tracked)")),
        ("tracked by prefix", |t| t.set_env("APP_MODE", "slow"), Some("env APP_MODE changed (tracked)")),
        ("tracked by prefix, new", |t| t.set_env("APP_", "1"), Some("env APP_ changed (tracked)")),
        ("untracked", |t| t.set_env("CCX", "1"), None),
        ("untracked that [env] sets", |t| t.set_env("SHARED", "3"), None),
    ]
}

fn files() -> Vec<Case> {
    vec![
        ("content", |t| t.write("sub/src/a.txt", "A"), Some("sub/src/a.txt content changed")),
        (
            "same size, same time",
            |t| {
                let path = t.path("sub/single.txt");
                let time = path.metadata().unwrap().modified().unwrap();
                std::fs::write(&path, "S").unwrap();
                std::fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
            },
            Some("sub/single.txt content changed"),
        ),
        ("added", |t| t.write("sub/src/new.txt", ""), Some("sub/src/new.txt added")),
        ("removed", |t| t.remove("sub/src/deep/b.txt"), Some("sub/src/deep/b.txt removed")),
        ("literal removed", |t| t.remove("sub/single.txt"), Some("sub/single.txt removed")),
        ("executable bit", |t| t.chmod("sub/src/a.txt", 0o755), Some("sub/src/a.txt executable bit changed")),
        ("other permissions", |t| t.chmod("sub/src/a.txt", 0o600), None),
        (
            "kind",
            |t| {
                t.remove("sub/single.txt");
                symlink("nowhere", t.path("sub/single.txt")).unwrap();
            },
            Some("sub/single.txt became another kind of file"),
        ),
        (
            "link to the same content",
            |t| {
                t.remove("sub/src/a.txt");
                symlink("../../other/src/a.txt", t.path("sub/src/a.txt")).unwrap();
            },
            None,
        ),
        (
            "hidden beneath a literal directory",
            |t| t.write("sub/dir/.hidden", "H"),
            Some("sub/dir/.hidden content changed"),
        ),
        ("hidden for a glob", |t| t.write("sub/src/.new", ""), None),
        ("negated", |t| t.write("sub/src/skip/c.txt", "C"), None),
        ("elsewhere", |t| t.write("other/src/a.txt", "A"), None),
        ("an empty directory", |t| std::fs::create_dir(t.path("sub/src/empty")).unwrap(), None),
        ("touched", |t| ["sub/src/a.txt", "sub/single.txt"].iter().for_each(|p| t.touch(p)), None),
        ("rewritten with the same", |t| t.write("sub/src/a.txt", "a"), None),
        (
            "replaced by the same",
            |t| {
                t.remove("sub/src/a.txt");
                t.write("sub/src/a.txt", "a");
            },
            None,
        ),
        (
            "there and back",
            |t| {
                t.write("sub/src/a.txt", "A");
                t.remove("sub/single.txt");
                t.write("sub/src/a.txt", "a");
                t.write("sub/single.txt", "s");
            },
            None,
        ),
    ]
}

fn upstream() -> Vec<Case> {
    vec![
        (
            "output",
            |t| t.replace("values.json", "\"v\":1", "\"v\":2"),
            Some("app:values output key `v` changed"),
        ),
        (
            "nested output",
            |t| t.replace("values.json", "\"x\":2", "\"x\":3"),
            Some("app:values output key `w` changed"),
        ),
        ("the same output", |t| t.replace("values.json", "\"v\":1", "  \"v\": 1"), None),
        (
            "files through a task without a command",
            |t| t.write("up.txt", "UP"),
            Some("app:files output files changed"),
        ),
        ("an upstream that makes the same", |t| t.replace(CONFIG, "cat up.txt", "cat < up.txt"), None),
        ("a lost output, made again", |t| t.remove("made.txt"), None),
        (
            "nothing handed on any more",
            |t| t.write("values.json", ""),
            Some("app:values hands on nothing any more"),
        ),
    ]
}

#[test]
fn a_renamed_file_and_a_changed_export_have_two_reasons() {
    let tree = everything();
    tree.ok("run app:t");
    std::fs::rename(tree.path("sub/src/a.txt"), tree.path("sub/src/z.txt")).unwrap();
    tree.replace("values.json", "\"HANDED\":\"1\"", "\"HANDED\":\"2\"");
    let output = tree.ok("run app:t --explain");
    let expected = [
        "sub/src/a.txt removed",
        "sub/src/z.txt added",
        "app:values output key `devenv` changed",
        "app:values export `HANDED` changed",
    ];
    assert_eq!(reasons_of(&output, "app:t"), expected, "{output}");
}

#[test]
fn another_working_directory_is_another_key() {
    let tree = everything();
    tree.ok("run app:t");
    tree.replace(CONFIG, "cwd = \"sub\"", "cwd = \"other\"");
    let output = tree.ok("run app:t --explain");
    assert!(reasons_of(&output, "app:t").contains(&"the working directory changed".to_owned()), "{output}");
}

#[test]
fn arguments_belong_to_the_key_of_the_roots() {
    let tree = everything();
    tree.ok("run app:t -- x");
    tree.ok("run app:t -- x");
    assert_eq!(tree.executed(), set(""));
    for words in [&["y"][..], &[], &["x", "y"], &["x y"]] {
        let output = tree.devtask(["run", "app:t", "--explain", "--"].iter().chain(words)).run();
        assert_eq!(reasons_of(&output, "app:t"), ["the arguments after -- changed"], "{output}");
        assert_eq!(tree.executed(), set("app:t"), "only the root sees them");
    }
}

#[test]
fn inputs_of_the_command_line_belong_to_the_key_of_the_roots() {
    let tree = everything();
    tree.ok("run app:t --input b=7");
    tree.ok("run app:t --input b=7");
    assert_eq!(tree.executed(), set(""));
    let output = tree.ok("run app:t --explain");
    assert_eq!(reasons_of(&output, "app:t"), ["input b changed"], "{output}");
    let output = tree.ok("run app:t app:values --explain --input c=7");
    assert_eq!(reasons_of(&output, "app:values"), ["input c changed"], "{output}");
}

#[test]
fn names_are_bytes() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = 'cp "$DEVTASK_CHANGED_FILES" changed'
        execIfModified = ["in/*"]
        "#,
    );
    let names: [&[u8]; 3] = [b"in/\xff\xfe", b"in/new\nline", "in/\u{e4} b".as_bytes()];
    let write = |name: &[u8], text: &str| tree.write(OsStr::from_bytes(name), text);
    names.iter().for_each(|name| write(name, "1"));
    tree.ok("run a:t");
    tree.ok("run a:t");
    assert_eq!(tree.executed(), set(""));
    for name in names {
        write(name, "2");
        tree.ok("run a:t");
        let changed = std::fs::read(tree.path("changed")).unwrap();
        let expected = [tree.root().as_os_str().as_bytes(), b"/", name, b"\0"].concat();
        assert_eq!(changed, expected);
    }
}

#[test]
fn what_git_ignores_is_no_input_unless_it_is_named() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "true"
        execIfModified = ["**/*.txt", "dist/**", "build/one.log"]
        "#,
    );
    std::fs::create_dir(tree.path(".git")).unwrap();
    tree.write(".gitignore", "*.tmp.txt\ndist/\nbuild/\n");
    for path in ["a.txt", "b.tmp.txt", "dist/x", "build/one.log", "build/two.txt"] {
        tree.write(path, "1");
    }
    tree.ok("run a:t");
    for (path, runs) in [
        ("a.txt", true),
        ("b.tmp.txt", false),
        ("dist/x", true),
        ("build/one.log", true),
        ("build/two.txt", false),
    ] {
        tree.write(path, "2");
        tree.ok("run a:t");
        assert_eq!(tree.executed().contains("a:t"), runs, "{path}");
    }
    tree.write(".gitignore", "dist/\nbuild/\n");
    tree.ok("run a:t");
    assert_eq!(tree.executed(), set("a:t"), "b.tmp.txt is an input now");
}

#[test]
fn devenvs_tasks_know_the_bytes_of_their_command() {
    let tree = Sandbox::new();
    tree.write("bin/t", "#!/bin/sh\ntrue\n");
    tree.chmod("bin/t", 0o755);
    let command = tree.path("bin/t");
    let tasks = serde_json::json!([{
        "name": "a:t", "command": command, "cwd": tree.path("sub"), "exec_if_modified": ["in.txt"],
    }]);
    tree.write("tasks.json", tasks.to_string());
    tree.write("sub/in.txt", "1");
    tree.write("in.txt", "1");
    let runs = |reason: Option<&str>| {
        let output = tree.ok("-f tasks.json run a:t --explain");
        assert_eq!(reasons_of(&output, "a:t"), reason.into_iter().collect::<Vec<_>>(), "{output}");
    };
    runs(Some("no earlier run is known"));
    runs(None);
    tree.write("bin/t", "#!/bin/sh\ntrue # other\n");
    runs(Some("the script or command changed"));
    // A relative pattern is looked up from devenv's directory and from the task's.
    tree.write("in.txt", "2");
    runs(Some("in.txt content changed"));
    tree.write("sub/in.txt", "2");
    runs(Some("sub/in.txt content changed"));
    runs(None);
}

#[test]
fn outputs_outside_the_root_are_refused() {
    for pattern in ["../x", "/tmp/x", "sub/../../x"] {
        let tree = Sandbox::with(&format!("[tasks.\"a:t\"]\nexec = \"true\"\noutputs = [\"{pattern}\"]\n"));
        let output = tree.expect(2, "run a:t");
        assert!(output.err.contains(pattern), "{output}");
    }
}
