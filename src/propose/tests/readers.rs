//! What each reader makes of its file.

use serde_json::json;

use crate::propose::{checks, go, hooks, just, make, node, procfile, runner::Entry, taskfile};

fn names(entries: &[Entry]) -> Vec<String> {
    let one = |entry: &Entry| {
        let mut text = entry.name.clone();
        if !entry.needs.is_empty() {
            text.push_str(&format!("({})", entry.needs.join(" ")));
        }
        if !entry.has_body {
            text.push('!');
        }
        if entry.off.is_some() {
            text.push('-');
        }
        text
    };
    entries.iter().map(one).collect()
}

#[test]
fn makefiles() {
    for (text, entries, made) in [
        ("build:\n\tcc\n", &["build"][..], &[][..]),
        ("all: build test\nbuild: ; cc\ntest:\n\n\t./x\n", &["all(build test)!", "build", "test"], &[]),
        ("CC := gcc\nCC ?= cc\nX::=1\nY:::=2\nexport A=b:c\nbuild:\n\tcc\n", &["build"], &[]),
        (".PHONY: test\ntest: app\n\t./app\napp: a.o\n\tcc\n%.o: %.c\n\tcc\n", &["test"], &["**/*.o", "app"]),
        ("app: main.c\n\tcc\ntest: app\n\t./app\n", &["test"], &["app"]),
        (".PHONY: build\nbuild:\n\tcc\ntest:\n\t./x\n", &["build", "test"], &[]),
        ("build: a\\\n  b\n\tcc\n", &["build"], &[]),
        ("$(OUT)/x: y\n\tcc\nout/x.bin: y\n\tcc\n../z: y\n\tcc\n", &[], &["out/x.bin"]),
        ("build: CFLAGS = -g\nbuild:\n\tcc\n", &["build"], &[]),
        ("define X\nfoo: bar\nendef\nifeq (a:b,c)\nendif\nbuild:\n\tcc\n", &["build"], &[]),
        ("build: | dir\n\tcc\nbuild: more\n_x:\n\ty\n.x:\n\ty\n", &["build"], &["_x"]),
        ("lint test: ## both\n\tx\n", &["lint", "test"], &[]),
        ("a:b:\n\tx\n\tfoo: bar\n:\n::\n=\n\t", &["a"], &[]),
    ] {
        let read = make::parse(text);
        assert_eq!(names(&read.entries), entries, "{text}");
        assert_eq!(read.made, made, "{text}");
    }
    let described = make::parse("test: build ## runs all # really\n\tx\n");
    assert_eq!(described.entries[0].description.as_deref(), Some("runs all # really"));
}

#[test]
fn justfiles() {
    for (text, expected) in [
        ("build:\n    cc\n", &["build"][..]),
        ("@build: a b\n  cc\na:\nb:\n", &["build(a b)", "a!", "b!"]),
        (
            "x := 'a:b'\nexport Y := '1'\nset dotenv-load\nset shell := ['a']\nalias b := build\nbuild:\n cc\n",
            &["build"],
        ),
        (
            "test name:\n  x\ntest-one name='a:b' *more: test\n  x\nall +names:\n  x\n",
            &["test-", "test-one(test)", "all-"],
        ),
        ("a: (b 'x' (c)) d && e\n  x\n", &["a(b d)"]),
        ("[private]\na:\n  x\n[confirm('sure?')]\nb:\n  x\n_c:\n  x\nd:\n  x\n", &["a-", "b-", "_c-", "d"]),
        ("import 'x.just'\nmod y\n[linux]\nbuild: # why\n", &["build!"]),
        ("build: one \\\n  two\n  x\n", &["build(one two)"]),
        (":\n::\n: x\n'\n", &[]),
    ] {
        assert_eq!(names(&just::parse(text)), expected, "{text}");
    }
    let described = just::parse("#!/usr/bin/env just\n# makes it\nbuild:\n  x\n\n# lost\n\ntest:\n  x\n");
    assert_eq!(described[0].description.as_deref(), Some("makes it"));
    assert_eq!(described[1].description, None);
}

#[test]
fn taskfiles() {
    let read = |value| taskfile::entries("Taskfile.yml", &json!({ "tasks": value }));
    let all = read(json!({
        "a": "cmd", "b": ["cmd"], "c": {"deps": ["a", {"task": "b", "vars": {}}]}, "d": {"cmd": "x", "requires": {"vars": ["X"]}},
        "e": {"cmds": [], "internal": true}, "f": {"cmds": ["x"], "watch": true}, "g:*": {"cmds": ["x"]}, "h": null,
    }));
    assert_eq!(names(&all), ["a", "b", "c(a b)!", "d-", "e-", "f-", "g:*-", "h!"]);
    for (task, inputs, outputs) in [
        (
            json!({"sources": ["a/*.c", {"exclude": "a/x.c"}], "generates": ["b"]}),
            &["a/*.c", "!a/x.c", "Taskfile.yml"][..],
            &["b"][..],
        ),
        (json!({"sources": ["{{.X}}/*.c"], "generates": ["b"]}), &[], &[]),
        (json!({"sources": ["a"], "generates": ["../b"]}), &["a", "Taskfile.yml"], &[]),
        (json!({"sources": ["a"], "generates": ["/b"], "dir": "sub"}), &[], &[]),
        (json!({"sources": ["a["], "generates": ["b"]}), &[], &[]),
        (json!({"sources": "a", "generates": 1}), &[], &[]),
        (json!({"generates": ["b"]}), &[], &[]),
    ] {
        let entry = &read(json!({ "t": task }))[0];
        assert_eq!(entry.inputs, inputs, "{task}");
        assert_eq!(entry.outputs, outputs, "{task}");
    }
    for odd in [json!(null), json!([]), json!({"tasks": []}), json!({"tasks": "x"})] {
        assert!(taskfile::entries("Taskfile.yml", &odd).is_empty());
    }
}

#[test]
fn procfiles() {
    for (text, expected) in [
        ("web: run --port $PORT\n", &[("web", "run --port $PORT")][..]),
        ("# web: x\n\n  worker:x:y  \n", &[("worker", "x:y")]),
        ("a b: x\nc:\n: d\ne\n", &[]),
    ] {
        let expected: Vec<_> = expected.iter().map(|(n, c)| ((*n).to_owned(), (*c).to_owned())).collect();
        assert_eq!(procfile::parse(text), expected, "{text}");
    }
}

#[test]
fn go_mods() {
    let module = go::parse(
        "// comment\nmodule \"example.com/a\"\n\ngo 1.24\nrequire x.org/y v1.0.0\nrequire (\n\tz.org/q v1 // indirect\n)\nrequirements\n",
    );
    assert_eq!(module.path, "example.com/a");
    assert_eq!(module.requires, ["x.org/y", "z.org/q"]);
    assert_eq!(go::directives("use ./a\nuse (\n./b\n\n../c // x\n)\n", "use"), ["./a", "./b", "../c"]);
    assert_eq!(
        go::parse(")\n(\nrequire (\nrequire"),
        go::Module { requires: vec!["require".to_owned()], ..go::Module::default() }
    );
}

#[test]
fn pre_commit_hooks() {
    let config = json!({"repos": [
        {"repo": "https://x", "hooks": [{"id": "a"}, {"name": "no id"}]},
        {"repo": "local", "hooks": [{"id": "b", "entry": "run it"}]}, "odd", {"hooks": "odd"},
    ]});
    let read: Vec<_> =
        hooks::hooks(&config).into_iter().map(|hook| (hook.id, hook.repo, hook.entry)).collect();
    let expected = [("a", "https://x", None), ("b", "local", Some("run it"))];
    assert_eq!(
        read,
        expected.map(|(id, repo, entry)| (id.to_owned(), repo.to_owned(), entry.map(str::to_owned)))
    );
}

#[test]
fn scripts_that_call_scripts() {
    let package = json!({"scripts": {
        "lint": "x", "a": "x", "b:one": "x", "b:two": "x", "prea": "x", "postb:one": "x", "prepare": "x", "pretty": "x",
        "only": "npm run a && yarn b:one", "several": "run-p a b:*", "odd": "run-s a --foo", "more": "npm run a && tsc",
        "args": "npm run a -- --x", "self": "npm run self", "test": "x", "t": "npm t", "none": "echo npm run a",
        "empty": " ", "placeholder": "echo \"Error: no test specified\" && exit 1", "number": 1,
    }});
    let scripts = node::calls::Scripts::of(&package);
    for (name, names, only) in [
        ("only", &["a", "b:one"][..], true),
        ("several", &["a", "b:one", "b:two"], true),
        ("odd", &["a"], false),
        ("more", &["a"], false),
        ("args", &["a"], false),
        ("self", &[], false),
        ("t", &["test"], true),
        ("none", &[], false),
        ("prea", &[], false),
        ("placeholder", &[], false),
    ] {
        assert_eq!(scripts.calls(name), names, "{name}");
        assert_eq!(scripts.only_calls(name), only, "{name}");
    }
    for (name, is_there) in [
        ("a", true),
        ("pretty", true),
        ("prea", false),
        ("postb:one", false),
        ("prepare", false),
        ("empty", false),
        ("number", false),
    ] {
        assert_eq!(scripts.has(name), is_there, "{name}");
    }
}

#[test]
fn hooks_that_are_commands_become_checks() {
    for (hook, table) in [
        (json!({"entry": "x"}), Ok(&["files = [\"**\"]\npass_files = true\nexec = \"x \\\"$@\\\"\"\n"][..])),
        (
            json!({"entry": "x", "args": ["-a", "b c"], "pass_filenames": false}),
            Ok(&["]\nexec = \"x -a 'b c'\"\n"]),
        ),
        (json!({"entry": "x", "types": ["python"]}), Ok(&["files = [\"**/*.{py,pyi}\"]"])),
        (json!({"entry": "x", "types_or": ["rust", "toml"]}), Ok(&["files = [\"**/*.rs\", \"**/*.toml\"]"])),
        (json!({"entry": "x", "types": ["file", "text"]}), Ok(&["files = [\"**\"]"])),
        (
            json!({"entry": "x", "types": ["rust"], "files": "^src/", "exclude": r"^src/gen\.rs$"}),
            Ok(&["files = [\"src/**/*.rs\", \"!src/gen.rs\"]"]),
        ),
        (json!({"entry": "x.sh", "language": "script"}), Ok(&["exec = \"./x.sh "])),
        (json!({"entry": "TODO.*", "language": "pygrep"}), Err(": no line may match TODO.*")),
        (json!({"entry": "x", "language": "python"}), Err(" (pre-commit installs it: language python): x")),
        (json!({"entry": "x", "types": ["binary"]}), Err(" (types binary): x")),
        (json!({"entry": "x", "types": ["python", "executable"]}), Err(" (types python, executable): x")),
        (json!({"entry": "x", "files": "(a|b).*"}), Err(" (files (a|b).*): x")),
        (json!({"entry": "x", "stages": ["commit-msg"]}), Err(" (stages commit-msg): x")),
        (json!({"entry": "x ${root}"}), Err(" (devtask would")),
        (json!({}), Err(" (no command)")),
    ] {
        let mut own = hook.clone();
        own["id"] = json!("h");
        let hook = &hooks::hooks(&json!({"repos": [{"repo": "local", "hooks": [own]}]}))[0];
        match (hooks::check(hook).map(|check| checks::table(&check, "here")), table) {
            (Ok(text), Ok(parts)) => assert!(parts.iter().all(|part| text.contains(part)), "{text}"),
            (Err(remark), Err(begin)) => assert!(remark.starts_with(begin), "{remark}"),
            (other, _) => panic!("{hook:?}: {other:?}"),
        }
    }
}

#[test]
fn plain_regular_expressions() {
    for (regex, pattern) in [
        (r"\.py$", Some("**/*.py")),
        (r"\.(js|ts)$", Some("**/*.{js,ts}")),
        (r"\.(?:js|ts)$", Some("**/*.{js,ts}")),
        ("^src/", Some("src/**")),
        (r"^a/b\.txt$", Some("a/b.txt")),
        ("^src", None),
        ("src/", None),
        ("^(a|b)/", None),
        (r"^a\d/", None),
        ("^.*/", None),
        ("^/", None),
        (r".py$", None),
        ("", None),
    ] {
        assert_eq!(hooks::selection::pattern(regex).as_deref(), pattern, "{regex}");
    }
}

#[test]
fn commands_for_all_members() {
    for (command, names) in [
        ("npm run build -ws", Some(&["build"][..])),
        ("npm run build --workspaces --if-present", Some(&["build"])),
        ("npm test --workspaces", Some(&["test"])),
        ("npm run build -w a", None),
        ("npm run build", None),
        ("pnpm -r build", Some(&["build"])),
        ("pnpm -r run build", Some(&["build"])),
        ("pnpm build", None),
        ("pnpm -r --filter a build", None),
        ("yarn workspaces foreach -At run build", Some(&["build"])),
        ("turbo run build lint", Some(&["build", "lint"])),
        ("npx turbo build", Some(&["build"])),
        ("turbo prune x", None),
        ("turbo run build --filter=web", None),
        ("lerna run build --stream", Some(&["build"])),
        ("nx run-many -t build test", Some(&["build", "test"])),
        ("nx run-many --target=build", Some(&["build"])),
        ("nx affected -t build", None),
        ("npm run build -ws && x", None),
        ("npm run build -ws -- --prod", None),
        ("", None),
    ] {
        let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(node::members::called(command), names, "{command}");
    }
}
