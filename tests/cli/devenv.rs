//! devenv's own lists of tasks, through the program: where they come from, which root and directories they
//! mean, and every field, suffix, mode and variable they rely on. Where devenv does otherwise, the comment
//! at the test says so.

use std::path::Path;

use serde_json::{Value, json};

use super::support::{Invocation, Output, Sandbox, set};

/// A tree with a list in `tasks.json` and nothing else.
fn tree(list: impl FnOnce(&Sandbox) -> Value) -> Sandbox {
    let tree = Sandbox::new();
    let list = list(&tree);
    tree.write("tasks.json", list.to_string());
    tree
}

/// A program that appends a line to the file `log` of the root, as the value of `command`.
fn logs(tree: &Sandbox, word: &str) -> String {
    let log = tree.path("log").display().to_string();
    program(tree, word, &format!("echo {word} >> '{log}'"))
}

/// A shell program, as the value of `command`.
fn program(tree: &Sandbox, name: &str, body: &str) -> String {
    tree.program(format!("bin/{name}"), &format!("#!/bin/sh\n{body}\n")).display().to_string()
}

/// What ran, in its order, by what it logged.
fn log(tree: &Sandbox) -> String {
    if !tree.exists("log") {
        return String::new();
    }
    let words = tree.read("log").lines().collect::<Vec<_>>().join(" ");
    tree.remove("log");
    words
}

#[track_caller]
fn ok(invocation: Invocation<'_>) -> Output {
    let output = invocation.run();
    assert_eq!(output.code, Some(0), "{output}");
    output
}

#[test]
fn a_list_comes_from_the_file_that_is_named_first() {
    let tree = tree(|tree| json!([{ "name": "from:f", "command": logs(tree, "f") }]));
    let list = |name: &str| json!([{ "name": name, "command": "/bin/true" }]).to_string();
    tree.write("other.json", list("from:file"));
    let names = |invocation: Invocation<'_>| -> Vec<String> {
        let listed = ok(invocation).json();
        listed.as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap().to_owned()).collect()
    };
    let both = |args: &[&str]| {
        let invocation = tree.devtask(args).env("DEVENV_TASKS", list("from:text"));
        invocation.env("DEVENV_TASK_FILE", tree.path("other.json"))
    };
    assert_eq!(names(both(&["list", "--json", "-f", "tasks.json"])), ["from:f"]);
    assert_eq!(names(both(&["list", "--json"])), ["from:text"]);
    assert_eq!(names(both(&["list", "--json"]).without("DEVENV_TASKS")), ["from:file"]);
    // devenv sets what it has no use for to nothing.
    assert_eq!(names(both(&["list", "--json"]).env("DEVENV_TASKS", "")), ["from:file"]);
    tree.write("devtask.toml", "[tasks.own]\n");
    assert_eq!(names(both(&["list", "--json"])), ["tree:own"], "a task file of ours goes first");
    assert_eq!(names(both(&["list", "--json", "-f", "tasks.json"])), ["from:f"]);
    let environment = tree.devtask(["list", "--json"]).env("DEVTASK_FILE", "tasks.json");
    assert_eq!(names(environment), ["from:f"]);
}

/// The directories a task sees, and where the state came to lie.
fn places(tree: &Sandbox, invocation: Invocation<'_>) -> (String, String, Vec<&'static str>) {
    ok(invocation);
    let cwd = tree.read("seen-cwd").trim().to_owned();
    let root = tree.read("seen-root").trim().to_owned();
    let here = tree.root().display().to_string();
    let inside = |path: String| path.strip_prefix(&here).unwrap_or(&path).to_owned();
    let state: Vec<&str> =
        ["", "a", "b"].into_iter().filter(|d| tree.exists(Path::new(d).join(".devtask"))).collect();
    state.iter().for_each(|d| tree.remove(Path::new(d).join(".devtask")));
    (inside(cwd), inside(root), state)
}

/// As in devenv, a task without a `cwd` runs where the user is.
#[test]
fn the_root_is_where_the_list_says_and_the_directory_is_where_the_user_is() {
    let tree = Sandbox::new();
    let root = tree.root().display();
    let seen =
        program(&tree, "seen", &format!("pwd > {root}/seen-cwd; echo $DEVENV_ROOT > {root}/seen-root"));
    let list = |cwd: Value| json!([{ "name": "a:b", "command": seen, "cwd": cwd }]).to_string();
    tree.write("a/tasks.json", list(Value::Null));
    tree.write("b/sub/x", "");
    let run = |args: &[&str]| tree.devtask(args).dir("b");
    let place = |cwd: &str, root: &str, state: &'static str| (cwd.to_owned(), root.to_owned(), vec![state]);

    assert_eq!(places(&tree, run(&["run", "a:b", "-f", "../a/tasks.json"])), place("/b", "/a", "a"));
    let elsewhere = run(&["-C", "sub", "-f", "../../a/tasks.json", "run", "a:b"]);
    assert_eq!(places(&tree, elsewhere), place("/b/sub", "/a", "a"));
    let text = run(&["run", "a:b"]).env("DEVENV_TASKS", list(Value::Null));
    assert_eq!(places(&tree, text), place("/b", "/b", "b"));
    let text = run(&["run", "a:b"]).env("DEVENV_TASKS", list("sub".into()));
    assert_eq!(places(&tree, text), place("/b/sub", "/b", "b"));
    let file = run(&["run", "a:b"]).env("DEVENV_TASK_FILE", "../a/tasks.json");
    assert_eq!(places(&tree, file), place("/b", "/b", "b"), "not where the file lies");
    let rooted =
        run(&["run", "a:b"]).env("DEVENV_TASKS", list(Value::Null)).env("DEVENV_ROOT", tree.path("a"));
    assert_eq!(places(&tree, rooted), place("/b", "/a", "a"));
}

#[test]
fn directories_a_devenv_shell_has_set_are_kept() {
    let tree = Sandbox::new();
    let root = tree.root().display().to_string();
    let body = format!("env | grep '^DEVENV_[DRS]' | sort | sed 's#{root}##' > {root}/seen");
    let list = json!([{ "name": "a:b", "command": program(&tree, "seen", &body) }]).to_string();
    let own = ["DEVENV_DOTFILE=/.devtask", "DEVENV_ROOT=", "DEVENV_STATE=/.devtask/state"];
    let seen = |tree: &Sandbox| -> Vec<String> { tree.read("seen").lines().map(str::to_owned).collect() };
    let run = || tree.devtask(["run", "a:b"]).env("DEVENV_TASKS", &list);
    ok(run());
    let first = seen(&tree);
    assert!(own.iter().all(|line| first.iter().any(|o| o == line)), "{first:?}");
    let mut invocation = run();
    for (name, value) in
        [("ROOT", ""), ("DOTFILE", "/.devenv"), ("STATE", "/.devenv/state"), ("RUNTIME", "/run")]
    {
        invocation = invocation.env(format!("DEVENV_{name}"), format!("{root}{value}"));
    }
    ok(invocation);
    assert_eq!(
        seen(&tree),
        ["DEVENV_DOTFILE=/.devenv", "DEVENV_ROOT=", "DEVENV_RUNTIME=/run", "DEVENV_STATE=/.devenv/state"]
    );
    // With tasks of our own these are ours.
    tree.write("devtask.toml", format!("[tasks.b]\nexec = '''{body}'''\n"));
    ok(tree.devtask(["run", "tree:b"]).env("DEVENV_STATE", "/elsewhere").env("DEVENV_ROOT", "/elsewhere"));
    let ours = seen(&tree);
    assert!(own.iter().all(|line| ours.iter().any(|o| o == line)), "{ours:?}");
}

#[test]
fn faults_and_warnings() {
    let tree = Sandbox::new();
    let list = |list: Value| tree.devtask(["list"]).env("DEVENV_TASKS", list.to_string()).run();
    let local = list(json!([{ "name": "build" }]));
    assert_eq!(
        (local.code, local.err.as_str()),
        (
            Some(2),
            "\
error[bad-name]: a global task name needs a namespace: `namespace:task`
 --> $DEVENV_TASKS:1:10
  |
1 | [{\"name\":\"build\"}]
  |          ^^^^^^^
  |
  = help: write `namespace:build`
"
        )
    );
    // devenv's own lists of another version may have more keys: one line, however many there are.
    let unknown = list(json!([
        { "name": "a:b", "command": "/bin/true", "newer": 1, "execIfModified": ["x"] },
        { "name": "a:c", "newer": 2, "process": { "unheard_of": 3 } },
    ]));
    assert_eq!(
        (unknown.code, unknown.err.as_str()),
        (
            Some(0),
            "warning[unknown-key]: keys devtask does not know are ignored: `execIfModified`, `newer`, `unheard_of`\n"
        )
    );
    let null =
        list(json!([{ "name": "a:b", "command": null, "cwd": null, "exec_if_modified": null, "new": null }]));
    assert_eq!((null.code, null.err.as_str()), (Some(0), ""), "null is an absent key");
    for (list, part) in [
        (r#"[{"name":"a:b",]"#, "error[syntax]: key must be a string\n --> $DEVENV_TASKS:1:16\n"),
        ("{}", "error[wrong-type]: the file must be a list of tasks, not a table\n"),
        (r#"[{"name":"a:b","exec_if_modified":["a{"]}]"#, "error[bad-glob]: `a{` is no pattern"),
        (r#"[{"name":"a:b","after":["a:c"]}]"#, "error[unknown-task]: there is no task `a:c`"),
        (r#"[{"name":"a:b"},{"name":"a:b"}]"#, "error[duplicate-task]: task `a:b` is declared twice"),
    ] {
        let output = tree.devtask(["run"]).env("DEVENV_TASKS", list).run();
        assert_eq!(output.code, Some(2), "{list}");
        assert!(output.err.starts_with(part), "{list}: {output}");
    }
    let file = tree.devtask(["run"]).env("DEVENV_TASK_FILE", "gone.json").run();
    assert_eq!(file.code, Some(2));
    assert!(file.err.contains("= note: `$DEVENV_TASK_FILE` names it\n"), "{file}");
}

#[test]
fn a_command_is_spawned_as_it_is() {
    let tree = tree(|tree| {
        json!([
            // No shell reads it: a name with blanks and quotes is a name.
            { "name": "a:odd", "command": program(tree, "od d'$(x)", "echo \"$0|$1|$(pwd)\"; printenv EXTRA"),
              "env": { "EXTRA": "${root} $HOME" }, "cwd": "bin", "show_output": true },
            { "name": "a:none" },
            { "name": "a:gone", "command": "/nowhere/at/all" },
            { "name": "a:plain", "command": tree.path("plain").display().to_string() },
        ])
    });
    tree.write("plain", "true");
    tree.chmod("plain", 0o644);
    let output = tree.ok("run a:odd -f tasks.json -- one");
    let path = tree.path("bin/od d'$(x)");
    let line = format!("[a:odd]  {}|one|{}\n", path.display(), tree.path("bin").display());
    assert!(output.err.contains(&line), "{output}");
    assert!(output.err.contains("[a:odd]  ${root} $HOME\n"), "nothing is substituted: {output}");
    assert!(tree.ok("run a:none -f tasks.json").err.contains("1 Skipped"));
    let gone = tree.expect(1, "run a:gone -f tasks.json");
    assert!(gone.err.contains("  there is no program /nowhere/at/all\n"), "{gone}");
    let plain = tree.expect(1, "run a:plain -f tasks.json");
    assert!(
        plain.err.contains(&format!("  there is no program {}", tree.path("plain").display())),
        "{plain}"
    );
}

/// The output of the last success is handed on, as in devenv.
#[test]
fn a_status_decides_and_wins_over_files() {
    let tree = tree(|tree| {
        let root = tree.root().display();
        let work = format!(
            "echo '{{\"n\": 1}}' > $DEVENV_TASK_OUTPUT_FILE; touch {root}/done; echo work >> {root}/log"
        );
        json!([
            { "name": "a:b", "command": program(tree, "work", &work),
              "status": program(tree, "status", &format!("echo status >> {root}/log; test -e {root}/done")),
              "exec_if_modified": ["in"] },
            { "name": "a:c", "after": ["a:b"],
              "command": program(tree, "use", &format!("echo \"$DEVENV_TASKS_OUTPUTS\" > {root}/outputs")) },
        ])
    });
    tree.write("in", "1");
    tree.ok("run a:c -f tasks.json");
    assert_eq!(log(&tree), "status work");
    tree.write("in", "2");
    let second = tree.ok("run a:c -f tasks.json");
    assert_eq!(log(&tree), "status", "its files do not count");
    assert!(second.err.contains("Cached            a:b"), "{second}");
    assert_eq!(tree.read("outputs"), "{\"a:b\":{\"n\":1}}\n");
    tree.remove("done");
    tree.ok("run a:c -f tasks.json");
    assert_eq!(log(&tree), "status work");
    tree.ok("run a:c -f tasks.json --refresh-task-cache");
    assert_eq!(log(&tree), "work", "asked to ignore the status");
}

/// devenv looks relative patterns up from its own working directory, whatever the task's `cwd` is.
#[test]
fn patterns_are_looked_up_from_both_directories() {
    let tree = tree(
        |tree| json!([{ "name": "a:b", "command": logs(tree, "ran"), "cwd": "sub", "exec_if_modified": ["src/*.c", "one"] }]),
    );
    tree.write("src/a.c", "1");
    tree.write("sub/src/b.c", "1");
    let ran = || {
        tree.ok("run -f tasks.json a:b");
        log(&tree)
    };
    assert_eq!((ran(), ran()), ("ran".to_owned(), String::new()));
    for path in ["src/a.c", "sub/src/b.c", "one", "sub/one", "src/new.c", "sub/src/new.c"] {
        tree.append(path, "2");
        assert_eq!((ran(), ran()), ("ran".to_owned(), String::new()), "{path}");
    }
    tree.append("src/other.h", "2");
    assert_eq!(ran(), "");
}

/// devenv keeps a task fresh when its command, input or environment, or what is upstream, changed.
#[test]
fn whatever_a_task_is_given_counts() {
    let tree = tree(|_| json!([]));
    tree.write("in", "1");
    let write = |input: &str, env: &str, gen_output: &str, body: &str| {
        let root = tree.root().display();
        let make = format!("echo '{{\"v\": \"{gen_output}\"}}' > $DEVENV_TASK_OUTPUT_FILE");
        let list = json!([
            { "name": "a:gen", "command": program(&tree, "gen", &make) },
            { "name": "a:b", "after": ["a:gen"], "input": { "k": input }, "env": { "E": env }, "exec_if_modified": ["in"],
              "command": program(&tree, "b", &format!("echo {body} >> {root}/log")) },
        ]);
        tree.write("tasks.json", list.to_string());
    };
    let run = || {
        tree.ok("run -f tasks.json a:b");
        log(&tree)
    };
    write("1", "1", "1", "x");
    assert_eq!((run(), run()), ("x".to_owned(), String::new()));
    for (input, env, output, body) in
        [("2", "1", "1", "x"), ("2", "2", "1", "x"), ("2", "2", "2", "x"), ("2", "2", "2", "y")]
    {
        write(input, env, output, body);
        assert_eq!((run(), run()), (body.to_owned(), String::new()), "{input} {env} {output} {body}");
    }
    ok(tree.devtask(["run", "-f", "tasks.json", "a:b", "--input", "k=9"]));
    assert_eq!(log(&tree), "y", "an input from the command line counts");
}

#[test]
fn suffixes_say_what_an_edge_waits_for() {
    // What the upstream does, the suffix, and what becomes of the downstream task; the exit code.
    for (upstream, suffix, ran, code) in [
        ("true", "", "up down", 0),
        ("false", "", "up", 1),
        ("true", "@succeeded", "up down", 0),
        ("false", "@succeeded", "up", 1),
        ("true", "@ready", "up down", 0),
        ("false", "@ready", "up", 1),
        ("true", "@started", "both", 0),
        ("false", "@started", "both", 1),
        ("true", "@completed", "up down", 0),
        // The failure is soft: the upstream is no root, and every edge out of it is `@completed`.
        ("false", "@completed", "up down", 0),
    ] {
        for side in ["after", "before"] {
            let tree = tree(|tree| {
                let log = tree.path("log").display().to_string();
                let up = program(tree, "up", &format!("echo up >> '{log}'; {upstream}"));
                let mut list = json!([
                    { "name": "a:up", "command": up },
                    { "name": "a:down", "command": logs(tree, "down") },
                ]);
                let (at, other) = if side == "after" { (1, "a:up") } else { (0, "a:down") };
                list[at][side] = json!([format!("{other}{suffix}")]);
                list
            });
            tree.expect(code, "run a:down -f tasks.json");
            let what = log(&tree);
            if ran == "both" {
                assert_eq!(set(&what), set("up down"), "{upstream} {suffix} {side}");
            } else {
                assert_eq!(what, ran, "{upstream} {suffix} {side}");
            }
        }
    }
}

#[test]
fn modes_choose_the_part_of_the_graph() {
    // up -> mid -> down, and side -> down
    let tree = tree(|tree| {
        json!([
            { "name": "g:up", "command": logs(tree, "up") },
            { "name": "g:mid", "command": logs(tree, "mid"), "after": ["g:up"] },
            { "name": "g:down", "command": logs(tree, "down"), "after": ["g:mid", "g:side"] },
            { "name": "g:side", "command": logs(tree, "side") },
        ])
    });
    for (mode, ran) in [
        ("", "up mid"),
        (" --mode before", "up mid"),
        (" -m single", "mid"),
        (" --mode after", "mid down"),
        (" --mode all", "up side mid down"),
    ] {
        tree.ok(&format!("tasks run -f tasks.json -j1 g:mid{mode}"));
        assert_eq!(set(&log(&tree)), set(ran), "{mode}");
    }
    let environment = tree.devtask(["run", "-f", "tasks.json", "g:mid"]).env("DEVTASK_MODE", "single");
    ok(environment);
    assert_eq!(log(&tree), "mid");
}

#[test]
fn names_and_namespaces_as_devenv_has_them() {
    let tree = tree(|tree| {
        json!([
            { "name": "ci:lint", "command": logs(tree, "lint") },
            { "name": "ci:unit:fast", "command": logs(tree, "fast") },
            { "name": "ci", "command": logs(tree, "never") },
        ])
    });
    assert!(tree.expect(2, "list -f tasks.json").err.contains("a global task name needs a namespace"));
    tree.replace("tasks.json", ",\"name\":\"ci\"}", ",\"name\":\"cd:x\"}");
    for (names, ran) in [
        ("ci", "lint fast"),
        ("ci:", "lint fast"),
        ("ci:unit", "fast"),
        ("*:lint", "lint"),
        ("ci:lint cd", "lint never"),
    ] {
        tree.ok(&format!("tasks run -f tasks.json {names}"));
        assert_eq!(set(&log(&tree)), set(ran), "{names}");
    }
    for names in ["c", "::", ":ci", "ci::lint", "lint"] {
        assert_eq!(tree.devtask(["run", "-f", "tasks.json", names]).run().code, Some(4), "{names}");
    }
}

#[test]
fn the_verbs_of_devenv() {
    let tree = tree(|tree| {
        json!([
            { "name": "a:b", "description": "Makes b", "command": program(tree, "b", "echo '{\"x\":[1]}' > $DEVENV_TASK_OUTPUT_FILE") },
            { "name": "a:c", "after": ["a:b@completed"], "before": ["devenv:enterShell"], "status": "/bin/true",
              "command": "/bin/false", "cwd": "/", "exec_if_modified": ["y"] },
        ])
    });
    assert_eq!(tree.ok("tasks run -f tasks.json a:b").out, "{\"a:b\":{\"x\":[1]}}\n");
    let list = tree.ok("tasks list -f tasks.json");
    assert_eq!(list.out, tree.ok("list -f tasks.json").out);
    let named = |line: &'_ str| line.split_whitespace().find(|w| w.contains(':')).unwrap().to_owned();
    let names: Vec<String> = list.out.lines().map(named).collect();
    assert_eq!(names, ["devenv:enterShell", "a:c", "a:b@completed"]);
    let listed = tree.ok("tasks list --json -f tasks.json").json();
    let task = listed.as_array().unwrap().iter().find(|t| t["name"] == "a:c").unwrap();
    for (key, value) in [
        ("description", Value::Null),
        ("type", json!("oneshot")),
        ("after", json!(["a:b@completed"])),
        ("before", json!(["devenv:enterShell@succeeded"])),
        ("hasExec", json!(true)),
        ("hasStatus", json!(true)),
        ("cwd", json!("/")),
        ("execIfModified", json!([])),
    ] {
        assert_eq!(task[key], value, "{key}");
    }
}

#[test]
fn a_process_of_devenv_is_run() {
    let tree = tree(|tree| {
        let database = program(
            tree,
            "database",
            "trap 'echo ended >> seen; exit 0' TERM; echo up\n\
             while :; do sleep 0.02; done",
        );
        json!([
            { "name": "devenv:processes:db", "type": "process", "command": database,
              "process": { "ready": { "exec": null, "log": "^up$" }, "start": { "enable": true } } },
            { "name": "a:b", "command": program(tree, "use", "echo used >> seen"), "after": ["devenv:processes:db"] },
        ])
    });
    assert!(tree.ok("list -f tasks.json").out.contains("devenv:processes:db  process"));
    tree.ok("run -f tasks.json a:b");
    assert_eq!(tree.read("seen"), "used\nended\n");
}

#[test]
fn the_variables_of_a_task() {
    let tree = tree(|tree| {
        let root = tree.root().display();
        let up = "echo '{\"o\":1,\"devenv\":{\"env\":{\"FROM_OUTPUT\":\"o\",\"BOTH\":\"o\"}}}' > $DEVENV_TASK_OUTPUT_FILE\n\
                  printf 'FROM_FILE\\0Zg==\\0BOTH\\0Zg==\\0' > $DEVENV_TASK_EXPORTS_FILE";
        let names =
            "DEVENV_TASK_INPUT DEVENV_TASKS_OUTPUTS FROM_OUTPUT FROM_FILE BOTH OWN AMBIENT DEVTASK_TASK";
        let down = format!(
            "for n in {names}; do eval \"echo $n=\\${{$n-unset}}\"; done > {root}/seen\n\
             cat $DEVENV_TASKS_OUTPUTS_FILE > {root}/outputs\ntest -w $DEVENV_TASK_OUTPUT_FILE\n\
             test -w $DEVENV_TASK_EXPORTS_FILE\ntest -d $DEVENV_RUNTIME\ntest -n $DEVTASK_RUN\n\
             test -f $DEVTASK_CHANGED_FILES"
        );
        json!([
            { "name": "a:up", "command": program(tree, "up", up) },
            { "name": "a:down", "command": program(tree, "down", &down), "after": ["a:up"], "input": { "n": 1, "s": "x" },
              "env": { "OWN": "own", "BOTH": "own", "DEVTASK_TASK": "fake" } },
            { "name": "a:free", "command": program(tree, "free", &down) },
        ])
    });
    let run =
        |args: &[&str]| ok(tree.devtask(args).env("AMBIENT", "ambient").env("DEVENV_TASK_INPUT", "stale"));
    run(&[
        "run",
        "-f",
        "tasks.json",
        "a:down",
        "--input-json",
        "{\"n\": 2, \"t\": true}",
        "--input",
        "s=text",
    ]);
    let upstream = "{\"a:up\":{\"o\":1,\"devenv\":{\"env\":{\"FROM_OUTPUT\":\"o\",\"BOTH\":\"o\"}}}}";
    let seen = tree.read("seen");
    let lines: Vec<&str> = seen.lines().collect();
    let input: Value = serde_json::from_str(lines[0].strip_prefix("DEVENV_TASK_INPUT=").unwrap()).unwrap();
    assert_eq!(input, json!({ "n": 2, "s": "text", "t": true }));
    assert!(!lines[0].contains(": "), "compact: {}", lines[0]);
    let given: Value = serde_json::from_str(lines[1].strip_prefix("DEVENV_TASKS_OUTPUTS=").unwrap()).unwrap();
    assert_eq!(given, serde_json::from_str::<Value>(upstream).unwrap());
    assert_eq!(tree.read("outputs").trim(), lines[1].strip_prefix("DEVENV_TASKS_OUTPUTS=").unwrap());
    assert_eq!(
        lines[2..],
        ["FROM_OUTPUT=o", "FROM_FILE=f", "BOTH=own", "OWN=own", "AMBIENT=ambient", "DEVTASK_TASK=a:down"]
    );
    run(&["run", "-f", "tasks.json", "a:free"]);
    let seen = tree.read("seen");
    assert!(
        seen.starts_with("DEVENV_TASK_INPUT=unset\nDEVENV_TASKS_OUTPUTS={}\nFROM_OUTPUT=unset\n"),
        "{seen}"
    );
}

/// devenv ignores an output that is no JSON and drops pairs it cannot read; both are failures here.
#[test]
fn what_devenv_loses_silently_is_a_failure() {
    let tree = tree(|tree| {
        json!([
            { "name": "a:output", "command": program(tree, "output", "echo oops > $DEVENV_TASK_OUTPUT_FILE") },
            { "name": "a:exports", "command": program(tree, "exports", "printf 'A\\0!\\0' > $DEVENV_TASK_EXPORTS_FILE") },
        ])
    });
    let output = tree.expect(1, "run -f tasks.json a:output");
    assert!(output.err.contains("its output is not JSON: expected value at line 1 column 1"), "{output}");
    let exports = tree.expect(1, "run -f tasks.json a:exports");
    assert!(exports.err.contains("record 1 of its exports file (`A`) is not base64"), "{exports}");
}

/// devenv restores what an earlier success exported even if the last one exported nothing.
#[test]
fn a_success_that_exports_nothing_clears_what_was_exported() {
    let tree = tree(|tree| {
        let root = tree.root().display();
        let make =
            format!("if grep -q e {root}/in; then printf 'X\\0eA==\\0' > $DEVENV_TASK_EXPORTS_FILE; fi");
        json!([
            { "name": "a:make", "command": program(tree, "make", &make), "exec_if_modified": ["in"] },
            { "name": "a:use", "command": program(tree, "use", &format!("echo ${{X-unset}} > {root}/x")), "after": ["a:make"] },
        ])
    });
    for (content, x) in [("e", "x"), ("e", "x"), ("none", "unset"), ("n1", "unset"), ("n1", "unset")] {
        tree.write("in", content.replace("none", "n0"));
        tree.ok("run -f tasks.json a:use");
        assert_eq!(tree.read("x").trim(), x, "{content}");
    }
}
