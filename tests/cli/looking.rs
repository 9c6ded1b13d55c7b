//! The verbs that look: what they show, that they run nothing, and that they leave nothing behind. And the
//! names and settings all verbs share.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::support::{DEVTASK, Sandbox, set, steady};

/// A monorepo of a root and two projects beneath it. Nothing of it may run when somebody only looks.
fn monorepo() -> Sandbox {
    let tree = Sandbox::with(
        r#"
        name = "top"
        include = ["apps/*", "lib"]
        [tasks.all]
        after = ["web:build", "lib:test@completed"]
        [tasks.lint]
        exec = "touch ran"
        description = "House style"
        "#,
    );
    tree.write(
        "apps/web/devtask.toml",
        r#"
        [tasks.install]
        exec = "true"
        status = "touch asked; test -e installed"
        [tasks.build]
        exec = "cat src/*.ts > out.js"
        after = ["install", "lib:build"]
        execIfModified = ["src/**/*.ts", "!src/gen"]
        outputs = ["out.js"]
        env = { SECRET = "hush" }
        [tasks.test]
        exec = "cat out.js"
        after = ["build"]
        execIfModified = ["src"]
        timeout = "90s"
        [processes.server]
        exec = "touch ran"
        "#,
    );
    tree.write(
        "lib/devtask.toml",
        r#"
        [tasks.build]
        exec = "echo to stdout; echo to stderr >&2"
        execIfModified = ["*.c"]
        [tasks."lib:build:fast"]
        exec = "true"
        [tasks.test]
        exec = "true"
        after = ["build"]
        "#,
    );
    tree.write("apps/web/src/a.ts", "1");
    tree.write("lib/x.c", "1");
    tree
}

/// Everything in the sandbox, with what would tell of a write.
fn everything(tree: &Sandbox) -> BTreeMap<PathBuf, (u64, i64, i64, u32)> {
    let mut found = BTreeMap::new();
    let mut todo = vec![tree.root().parent().unwrap().to_owned()];
    while let Some(path) = todo.pop() {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        found.insert(path, (meta.len(), meta.mtime(), meta.mtime_nsec(), meta.mode()));
    }
    found
}

#[test]
fn looking_runs_nothing_and_writes_nothing() {
    let tree = monorepo();
    for before_a_run in [true, false] {
        if !before_a_run {
            tree.ok("run web:build");
            tree.remove("apps/web/asked");
        }
        let before = everything(&tree);
        for line in [
            "",
            "list",
            "list --json",
            "list web:",
            "show web:install",
            "show web:build --json",
            "why web:install",
            "why web:build",
            "why web:test --json",
            "graph",
            "graph --format dot",
            "graph --format mermaid",
            "graph --format json",
            "graph --format svg",
            "graph --format html",
            "validate",
            "schema",
            "logs",
            "completions bash",
            "__complete",
            "--help",
            "--version",
        ] {
            tree.ok(line);
        }
        tree.expect(5, "run -n web:test");
        let last = tree.devtask(["why", "--last", "web:build"]).run();
        assert_eq!(last.code, Some(if before_a_run { 4 } else { 0 }), "{last}");
        let after = everything(&tree);
        let changed: Vec<_> = after.iter().filter(|(path, stat)| before.get(*path) != Some(stat)).collect();
        assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
        assert_eq!(tree.exists(".devtask"), !before_a_run);
    }
}

#[test]
fn list_is_a_tree_with_what_is_fresh() {
    let tree = monorepo();
    assert_eq!(
        tree.ok("list").out,
        "\
lib:build:fast               always runs
top:all                      no command
├── lib:test@completed       always runs
│   └── lib:build            stale
└── web:build                stale
    ├── lib:build (above)
    └── web:install          asks its status
top:lint                     always runs                             House style
web:test                     stale
└── web:build (above)
devenv:processes:web:server  process
"
    );
    tree.ok("run web:build");
    let listed = tree.ok("list web:test").out;
    let lines: Vec<&str> = listed.lines().collect();
    for (line, start) in lines.iter().zip([
        "web:test         stale",
        "└── web:build    fresh           ",
        "    ├── lib:build    fresh           ",
        "    └── web:install  asks its status",
    ]) {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed(line).starts_with(&squeezed(start)), "{listed}");
    }
    assert!(lines[1].contains("s ago, ") && lines[1].ends_with('s'), "when and how long: {listed}");
    assert_eq!(lines.len(), 4, "{listed}");
}

#[test]
fn list_as_json_has_the_keys_of_devenv_and_more() {
    let tree = monorepo();
    tree.ok("run web:build");
    let all = tree.ok("list --json").json();
    let by_name: BTreeMap<&str, &Value> =
        all.as_array().unwrap().iter().map(|t| (t["name"].as_str().unwrap(), t)).collect();
    assert_eq!(by_name.len(), 9, "each task once, and no event: {:?}", by_name.keys());
    let build = by_name["web:build"];
    for (key, value) in [
        ("description", Value::Null),
        ("type", json!("oneshot")),
        ("after", json!(["lib:build@succeeded", "web:install@succeeded"])),
        ("hasExec", json!(true)),
        ("hasStatus", json!(false)),
        ("cwd", json!(tree.path("apps/web"))),
        ("execIfModified", json!(["src/**/*.ts", "!src/gen"])),
        ("project", json!("web")),
        ("place", json!({ "file": "apps/web/devtask.toml", "line": 5 })),
        ("freshness", json!("fresh")),
    ] {
        assert_eq!(build[key], value, "{key}");
    }
    assert!(build["lastSuccess"]["at_ms"].is_u64() && build["lastSuccess"]["run"].is_string(), "{build}");
    let server = by_name["devenv:processes:web:server"];
    assert_eq!((&server["type"], &server["freshness"]), (&json!("process"), &Value::Null));
    assert_eq!(by_name["web:install"]["hasStatus"], true);
    assert_eq!(by_name["top:all"]["hasExec"], false);
    let before: Vec<&str> = build["before"].as_array().unwrap().iter().map(|b| b.as_str().unwrap()).collect();
    assert_eq!(set(&before.join(" ")), set("top:all@succeeded web:test@succeeded"));
}

#[test]
fn events_are_listed_when_something_hooks_into_them() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\n");
    for verb in ["list", "graph"] {
        assert!(!tree.ok(verb).out.contains("devenv:"), "{verb}");
    }
    tree.append("devtask.toml", "before = ['devenv:enterShell']\n");
    for verb in ["list", "graph"] {
        let out = tree.ok(verb).out;
        assert!(out.contains("devenv:enterShell") && !out.contains("devenv:enterTest"), "{out}");
    }
    tree.replace("devtask.toml", "enterShell", "enterTest");
    for verb in ["list", "graph"] {
        assert!(tree.ok(verb).out.contains("devenv:enterTest"), "{verb}");
    }
    assert_eq!(Sandbox::with("").ok("list").err, "There are no tasks here.\n");
}

#[test]
fn devtask_alone_lists_and_hints() {
    let tree = monorepo();
    let alone = tree.ok("").out;
    let list = tree.ok("list").out;
    let hints = alone.strip_prefix(list.as_str()).unwrap();
    assert_eq!(
        hints,
        "
devtask run [NAMES]   run what is not fresh
devtask why NAME      say why a task would run
devtask --help        everything else
"
    );
    let web = tree.devtask([""; 0]).dir("apps/web").run().out;
    assert!(web.starts_with("web:test ") && !web.contains("top:"), "{web}");
}

#[test]
fn show_tells_everything_that_is_declared() {
    let tree = monorepo();
    assert_eq!(
        tree.ok("show web:build").out.replace(&tree.root().display().to_string(), "ROOT"),
        "\
name              web:build
project           web
place             apps/web/devtask.toml:5
type              oneshot
after             lib:build@succeeded
                  web:install@succeeded
before            web:test@succeeded
                  top:all@succeeded
cwd               ROOT/apps/web
exec              cat src/*.ts > out.js
package           bash
execIfModified    src/**/*.ts
                  !src/gen
outputs           out.js
env               SECRET
"
    );
    assert!(tree.ok("show web:test").out.ends_with("options           timeout 1m 30s\n"));
    let shown = tree.ok("show web:build --json").json();
    assert_eq!((&shown["outputs"], &shown["env"]), (&json!(["out.js"]), &json!(["SECRET"])));
    assert_eq!((&shown["exec"], &shown["status"]), (&json!("cat src/*.ts > out.js"), &Value::Null));
    assert!(!shown.to_string().contains("hush"), "values may be secret");
    let several = tree.expect(2, "show web:");
    assert!(several.err.starts_with("error: `web:` means several tasks: web:"), "{several}");
}

#[test]
fn graph_in_four_forms() {
    let tree = monorepo();
    assert_eq!(
        tree.ok("graph web:test top:all").out,
        "\
top:all
├── lib:test@completed
│   └── lib:build
└── web:build
    ├── lib:build (above)
    └── web:install
web:test
└── web:build (above)
"
    );
    assert_eq!(
        tree.ok("graph lib:build --format dot --mode after").out,
        "\
digraph tasks {
  rankdir=LR;
  node [shape=box];
  \"lib:build\";
  \"lib:test\";
  \"web:build\";
  \"top:all\";
  \"web:test\";
  \"lib:build\" -> \"lib:test\";
  \"lib:build\" -> \"web:build\";
  \"lib:test\" -> \"top:all\" [label=\"@completed\"];
  \"web:build\" -> \"top:all\";
  \"web:build\" -> \"web:test\";
}
"
    );
    let mermaid = tree.ok("graph lib:test --format mermaid").out;
    let ids: Vec<&str> =
        mermaid.lines().skip(1).take(2).map(|l| l.trim().split('[').next().unwrap()).collect();
    let (build, test) = (ids[0], ids[1]);
    assert_eq!(
        mermaid,
        format!("flowchart LR\n  {build}[\"lib:build\"]\n  {test}[\"lib:test\"]\n  {build} --> {test}\n")
    );
    let graph = tree.ok("graph lib:test --format json").json();
    assert_eq!(
        graph["edges"],
        json!([{ "from": "lib:build", "to": "lib:test", "conditions": ["succeeded"] }])
    );
    let roots: Vec<(&str, bool)> = graph["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["name"].as_str().unwrap(), t["root"].as_bool().unwrap()))
        .collect();
    assert_eq!(roots, [("lib:build", false), ("lib:test", true)]);
}

#[test]
fn why_says_what_is_the_matter() {
    let tree = monorepo();
    let why = |line: &str| tree.ok(&format!("why {line}")).out;
    assert_eq!(
        why("web:build"),
        "\
web:build would run: 2 reasons
  history            no earlier run is known
  deps    lib:build  would run first
downstream: top:all, web:test may run as a consequence
"
    );
    assert_eq!(
        why("web:install"),
        "\
web:install asks its status
  status  is asked when it is run
downstream: web:build, top:all, web:test may run as a consequence
"
    );
    assert_eq!(
        why("lib:test"),
        "\
lib:test always runs
  always  has neither execIfModified nor outputs nor status
downstream: top:all may run as a consequence
"
    );
    assert_eq!(why("all"), "top:all has no command: there is nothing to run\n");
    let process = tree.expect(2, "why devenv:processes:web:server");
    assert_eq!(process.err, "error: devenv:processes:web:server is a process: it is never fresh\n");

    tree.ok("run web:build");
    let fresh = why("web:build");
    let start = "web:build is fresh\ncompared: command, env (1), 1 file\nlast success: ";
    assert!(fresh.starts_with(start), "{fresh}");

    tree.write("apps/web/src/a.ts", "2");
    tree.write("apps/web/src/deep/b.ts", "1");
    tree.replace("apps/web/devtask.toml", "hush", "hush hush");
    tree.remove("apps/web/out.js");
    let stale = why("web:build");
    let text = stale.split("last success").next().unwrap();
    assert_eq!(
        text,
        "\
web:build would run: 4 reasons
  files   apps/web/src/a.ts       content changed
          apps/web/src/deep/b.ts  added, matches src/**/*.ts
  env     SECRET                  changed
  outputs apps/web/out.js         missing
not changed: command
downstream: top:all, web:test may run as a consequence
"
    );
    let told = tree.ok("why web:build --json").json();
    assert_eq!((&told["task"], &told["action"]), (&json!("web:build"), &json!("would_run")));
    let kinds: Vec<&str> =
        told["reasons"].as_array().unwrap().iter().map(|r| r["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["file", "file", "env", "output"]);
    assert!(told["lastSuccess"]["run"].is_string());
}

#[test]
fn why_last_says_what_did_happen() {
    let tree = monorepo();
    tree.expect(4, "why --last web:build");
    let last = |name: &str| {
        let text = steady(&tree.ok(&format!("why --last {name}")).out);
        let words = |line: &str| {
            let hide = |word: &str| {
                if word.starts_with('r') && word.len() > 7 { "RUN".to_owned() } else { word.to_owned() }
            };
            line.split(' ').map(|w| hide(w.trim_end_matches(':'))).collect::<Vec<_>>().join(" ")
        };
        text.lines().map(words).collect::<Vec<_>>().join("\n")
    };
    tree.ok("run web:build");
    let first =
        "web:build ran in run RUN 1 reason\n  history no earlier run is known\nit ended Succeeded in …";
    assert_eq!(last("web:build"), first);
    tree.write("lib/x.c", "2");
    tree.ok("run web:build");
    assert_eq!(last("web:build"), "web:build was fresh in run RUN\nit ended Cached");
    assert_eq!(
        last("lib:build"),
        "lib:build ran in run RUN 1 reason\n  files   lib/x.c  content changed\nit ended Succeeded in …"
    );
    let events = tree.ok("why --last web:build --json").json();
    let names: Vec<&str> = events.as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["decision", "task_finished"]);
}

#[test]
fn what_an_earlier_execution_wrote_is_not_taken_for_the_last_ones() {
    let tree = Sandbox::with(
        "[tasks.\"a:t\"]\nexec = \"if test -e bad; then echo OLD ERROR; exit 1; fi\"\nexecIfModified = [\"in\"]\n",
    );
    tree.write("in", "");
    tree.write("bad", "");
    tree.expect(1, "run");
    let run = tree.ok("logs a:t --path").out.split('/').rev().nth(1).unwrap().to_owned();
    tree.remove("bad");
    tree.ok("run");
    assert_eq!(tree.ok("logs").out, "");
    let nothing = tree.expect(4, "logs a:t");
    let expected = format!(
        "error: a:t wrote nothing when it last ran\n  help: `devtask logs a:t --run {run}` shows what it wrote before\n"
    );
    assert_eq!((nothing.out.as_str(), nothing.err), ("", expected));
    assert_eq!(tree.ok(&format!("logs a:t --run {run}")).out, "OLD ERROR\n");
}

#[test]
fn logs_of_the_last_execution_or_of_a_run() {
    let tree = monorepo();
    assert_eq!(tree.ok("logs").out, "");
    let none = tree.expect(4, "logs lib:build");
    assert_eq!(none.err, "error: lib:build has no log: it has not run, or wrote nothing\n");
    tree.ok("run lib:build");
    let first = tree.ok("logs lib:build --path").out;
    tree.ok("run lib:build --force");
    let second = tree.ok("logs lib:build --path").out;
    assert_ne!(first, second);
    assert!(second.starts_with(&tree.path(".devtask/log").display().to_string()), "{second}");
    let text = tree.ok("logs lib:build").out;
    assert_eq!(set(&text.replace(' ', "-")), set("to-stdout to-stderr"));
    assert_eq!(fs::read_to_string(second.trim()).unwrap(), text);
    assert_eq!(tree.ok("logs").out, format!("lib:build  {second}"));
    let run = Path::new(first.trim()).parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(tree.ok(&format!("logs lib:build --path --run {run}")).out, first);
    tree.expect(4, "logs lib:build --run nosuchrun");
    tree.ok("run lib:build");
    assert_eq!(tree.ok("logs lib:build --path").out, second, "a cached task has the log of its execution");
}

#[test]
fn validate_counts_what_it_found() {
    let tree = monorepo();
    let output = tree.ok("validate");
    assert_eq!((output.out.as_str(), output.err.as_str()), ("", "9 tasks in 3 projects: no faults\n"));
    tree.append("lib/devtask.toml", "after = ['x']\n");
    assert!(tree.expect(2, "validate").err.starts_with("error[duplicate-key]"));
}

/// The keys of a value that its schema does not know, and values of another type than it asks for.
fn strangers(value: &Value, schema: &Value, root: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return strangers(value, root.pointer(&reference[1..]).unwrap(), root, at);
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let found = choices.iter().map(|choice| strangers(value, choice, root, at));
        return found.min_by_key(Vec::len).unwrap_or_default();
    }
    let one_of = |name: &str| schema["type"].as_str().is_none_or(|t| t == name);
    match value {
        Value::Object(map) if one_of("object") => map
            .iter()
            .flat_map(|(key, value)| {
                let at = format!("{at}.{key}");
                match (schema["properties"].get(key), &schema["additionalProperties"]) {
                    (Some(property), _) => strangers(value, property, root, &at),
                    (None, Value::Bool(false)) => vec![at],
                    (None, Value::Null) => Vec::new(),
                    (None, additional) => strangers(value, additional, root, &at),
                }
            })
            .collect(),
        Value::Array(items) if one_of("array") => {
            items.iter().flat_map(|item| strangers(item, &schema["items"], root, at)).collect()
        }
        Value::String(_) if one_of("string") => Vec::new(),
        Value::Bool(_) if one_of("boolean") => Vec::new(),
        Value::Number(_) if one_of("integer") || one_of("number") => Vec::new(),
        _ => vec![at.to_owned()],
    }
}

fn task_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            found.extend(task_files(&entry));
        } else if entry.file_name().is_some_and(|n| n == "devtask.toml") {
            found.push(entry);
        }
    }
    found
}

#[test]
fn the_schema_knows_every_key_of_the_examples() {
    let schema = Sandbox::new().ok("schema").json();
    let files = task_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"));
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let table: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
        let value = serde_json::to_value(table).unwrap();
        assert_eq!(strangers(&value, &schema, &schema, ""), [""; 0], "{}", file.display());
    }
    let bad = json!({ "tasks": { "a": { "exce": "x", "after": "b", "retries": 1 } } });
    assert_eq!(strangers(&bad, &schema, &schema, ""), [".tasks.a.after", ".tasks.a.exce"]);
}

#[test]
fn names_select_by_where_one_stands() {
    let tree = monorepo();
    let cases = [
        // where, names, what they select
        (".", "web:build", "web:build"),
        (".", "lib:build", "lib:build"),
        (".", "lib:build:", "lib:build:fast"),
        (".", "lib:", "lib:build lib:build:fast lib:test"),
        (".", "lib", "lib:build lib:build:fast lib:test"),
        (".", "*:build", "lib:build web:build"),
        (".", "*:*:fast", "lib:build:fast"),
        (".", "lint web:test", "top:lint web:test"),
        ("apps/web", "build", "web:build"),
        ("apps/web/src", "build test", "web:build web:test"),
        ("apps/web", "lib", "lib:build lib:build:fast lib:test"),
        ("apps/web", "top:lint", "top:lint"),
        ("apps", "lint", "top:lint"),
        ("lib", "build", "lib:build"),
    ];
    let selected = |output: super::support::Output| {
        assert_eq!(output.code, Some(0), "{output}");
        let tasks = output.json()["tasks"].as_array().unwrap().clone();
        tasks.iter().map(|t| t["name"].as_str().unwrap().to_owned()).collect()
    };
    for (dir, names, expected) in cases {
        let words = || ["graph", "--mode", "single", "--format", "json"].into_iter().chain(names.split(' '));
        let from_there = selected(tree.devtask(words()).dir(dir).run());
        assert_eq!(set(expected), from_there, "{names} in {dir}");
        let with_flag = selected(tree.devtask(["-C", dir].into_iter().chain(words())).run());
        assert_eq!(set(expected), with_flag, "-C {dir} {names}");
    }
    for (dir, name) in
        [(".", "build"), ("apps", "build"), ("apps/web", "lint"), (".", "li"), (".", "*"), (".", "web:*:x")]
    {
        assert_eq!(tree.devtask(["graph", name]).dir(dir).run().code, Some(4), "{name} in {dir}");
    }
}

#[test]
fn a_run_without_names_takes_the_tasks_of_the_project_nothing_needs() {
    let tree = monorepo();
    let roots = |dir: &str| {
        let output = tree.devtask(["run", "-n"]).dir(dir).run();
        let first = output.err.lines().next().unwrap().to_owned();
        set(first.strip_prefix("Running tasks").unwrap())
    };
    assert_eq!(roots("."), set("lib:build:fast top:all top:lint web:test"));
    assert_eq!(roots("apps"), roots("."));
    assert_eq!(roots("apps/web"), set("web:test"));
    assert_eq!(roots("apps/web/src"), set("web:test"));
    assert_eq!(roots("lib"), set("lib:build:fast lib:test"));
    tree.devtask(["run"]).dir("lib").run();
    assert_eq!(tree.executed(), set("lib:build lib:build:fast lib:test"));
}

/// What bash offers for this line, whose cursor is at its end.
fn completed(tree: &Sandbox, script: &Path, dir: &str, line: &str, breaks: &str) -> Vec<String> {
    let driver = r#"
        source "$1"; COMP_LINE=$2; COMP_POINT=${#COMP_LINE}; COMP_WORDBREAKS=$3; shift 3
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        handler=$(complete -p devtask | sed 's/.*-F \([^ ]*\).*/\1/')
        "$handler" devtask "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    // Words as bash divides them: a break is a word of its own.
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let mut rest = word;
        loop {
            match rest.find(|c| breaks.contains(c)) {
                Some(at) => {
                    words.extend(
                        [&rest[..at], &rest[at..=at]]
                            .into_iter()
                            .filter(|w| !w.is_empty())
                            .map(str::to_owned),
                    );
                    rest = &rest[at + 1..];
                }
                None => break words.push(rest.to_owned()),
            }
        }
    }
    let path =
        format!("{}:{}", Path::new(DEVTASK).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["--norc", "-c", driver, "bash"])
        .args([script.as_os_str(), line.as_ref(), breaks.as_ref()])
        .args(words)
        .current_dir(tree.path(dir))
        .env_clear()
        .env("PATH", path)
        .env("HOME", tree.home())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|l| !l.is_empty())
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn bash_completes_task_names() {
    let tree = monorepo();
    tree.append("apps/web/devtask.toml", "[checks.fmt]\nexec = 'true'\nfix = 'true'\n");
    let script = tree.root().parent().unwrap().join("devtask.bash");
    fs::write(&script, tree.ok("completions bash").out).unwrap();
    let usual = "\"'><=;|&(:";
    for (dir, line, breaks, expected) in [
        (".", "devtask run web:bu", usual, "build"),
        (".", "devtask run web:bu", "\"'><=;|&(", "web:build"),
        (".", "devtask run web:", usual, "build install test"),
        (".", "devtask run lib:build:", usual, "fast"),
        (".", "devtask run we", usual, "web:build web:install web:test"),
        (".", "devtask why li", usual, "lib:build lib:build:fast lib:test lint"),
        (".", "devtask run lint web:t", usual, "test"),
        ("apps/web", "devtask run bu", usual, "build"),
        (".", "devtask -C apps/web run bu", usual, "build"),
        (".", "devtask run lib:zzz:", usual, ""),
        (".", "devtask run --fo", usual, "--force"),
        (".", "devtask run --mode ", usual, "single before after all"),
        (".", "devtask run -m be", usual, "before"),
        (".", "devtask run -j 2 we", usual, "web:build web:install web:test"),
        (".", "devtask ru", usual, "run"),
        (".", "devtask run nothing-like-it", usual, ""),
        (".", "devtask run -n we", usual, "web:build web:install web:test"),
        (".", "devtask run --fail-fast we", usual, "web:build web:install web:test"),
        (".", "devtask watch web:te", usual, "test"),
        // A check is a task, too, whatever looks at it; it is run otherwise.
        (".", "devtask why check:web:f", usual, "fmt"),
        (".", "devtask show ch", usual, "check:web:fmt"),
        ("apps/web", "devtask logs check:", usual, "web:fmt"),
        (".", "devtask run ch", usual, ""),
        (".", "devtask check we", usual, "web:fmt"),
        (".", "devtask hooks ", usual, "install uninstall status help"),
        (".", "devtask hooks --fi", usual, "--file"),
    ] {
        let found = completed(&tree, &script, dir, line, breaks);
        assert_eq!(set(&found.join(" ")), set(expected), "{line} in {dir}");
    }
    tree.write("devtask.toml", "broken = ");
    assert!(
        completed(&tree, &script, ".", "devtask run we", usual).is_empty(),
        "faults are no business of it"
    );
    assert!(!tree.exists(".devtask") && !tree.exists("apps/web/asked"));
}

#[test]
fn bash_completes_names_of_processes() {
    let tree = monorepo();
    let script = tree.root().parent().unwrap().join("devtask.bash");
    fs::write(&script, tree.ok("completions bash").out).unwrap();
    let usual = "\"'><=;|&(:";
    for (dir, line, expected) in [
        (".", "devtask up ", "web:server"),
        (".", "devtask up -d web:", "server"),
        ("apps/web", "devtask up ", "server web:server"),
        (".", "devtask -C apps/web up se", "server"),
        // What is behind an option is no name: clap offers files.
        (".", "devtask up --timeout ", "apps devtask.toml lib"),
        (".", "devtask up --de", "--detach"),
        (".", "devtask pro", "processes"),
        (".", "devtask processes sto", "stop"),
        (".", "devtask processes re", "restart"),
        (".", "devtask processes status we", "web:server"),
        (".", "devtask processes start we", "web:server"),
        (".", "devtask processes stop we", "web:server"),
        (".", "devtask processes restart we", "web:server"),
        (".", "devtask processes wait we", "web:server"),
        (".", "devtask processes wait --timeout 5s we", "web:server"),
        (".", "devtask processes logs we", "web:server"),
        // There it means to follow, and elsewhere the task file.
        (".", "devtask processes logs -f we", "web:server"),
        (".", "devtask processes logs -n 5 we", "web:server"),
        (".", "devtask -f devtask.toml processes logs we", "web:server"),
        (".", "devtask logs lib:te", "test"),
    ] {
        let found = completed(&tree, &script, dir, line, usual);
        assert_eq!(set(&found.join(" ")), set(expected), "{line} in {dir}");
    }
    assert!(!tree.exists(".devtask"));
}

#[test]
fn other_shells_ask_for_names_too() {
    let tree = Sandbox::new();
    let zsh = tree.ok("completions zsh").out;
    assert!(zsh.starts_with("#compdef devtask\n"));
    assert!(zsh.contains("names=(${(f)\"$(devtask __complete 2>/dev/null)\"})"), "{zsh}");
    assert!(zsh.matches(":_devtask_names'").count() >= 4, "run, watch, list and graph");
    assert_eq!(zsh.matches(":_devtask_known_names'").count(), 3, "show, why and logs");
    assert!(zsh.contains("names=(${(f)\"$(devtask __complete processes 2>/dev/null)\"})"), "{zsh}");
    assert_eq!(zsh.matches("Process, by its short").count(), 1);
    assert_eq!(zsh.matches("Processes, by their short").count(), 6);
    let named: Vec<&str> = zsh.lines().filter(|line| line.contains("by their short or full names")).collect();
    assert!(named.iter().all(|line| line.contains(":_devtask_process_names'")), "{named:?}");
    let fish = tree.ok("completions fish").out;
    assert!(fish.contains("-a \"(devtask __complete 2>/dev/null)\""));
    assert!(
        fish.contains(
            "seen_subcommand_from show why logs\" -f -a \"(devtask __complete known 2>/dev/null)\""
        )
    );
    assert_eq!(fish.matches("-a \"(devtask __complete processes 2>/dev/null)\"").count(), 2);
    assert!(!fish.lines().any(|l| l.contains("-a \"__complete\"")), "hidden verbs are not offered");
    assert_eq!(tree.expect(2, "__complete").err, "", "no word about faults while completing");
}

#[test]
fn settings_come_from_the_flag_then_the_environment_then_the_project_then_the_user() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'seq 30; exit 1'\n");
    let user = tree.home().join(".config/devtask/config.toml");
    fs::create_dir_all(user.parent().unwrap()).unwrap();
    let shown = |args: &[&str], environment: Option<&str>| {
        let invocation = tree.devtask(["run", "a"].iter().chain(args));
        let output = match environment {
            Some(value) => invocation.env("DEVTASK_TAIL", value),
            None => invocation,
        }
        .run();
        assert_eq!(output.code, Some(1), "{output}");
        output.err.lines().filter(|l| l.trim().parse::<u32>().is_ok()).count()
    };
    assert_eq!(shown(&[], None), 25, "the default");
    fs::write(&user, "[settings]\ntail = 27\n").unwrap();
    assert_eq!(shown(&[], None), 27);
    tree.append("devtask.toml", "[settings]\ntail = 4\n");
    assert_eq!(shown(&[], None), 4);
    assert_eq!(shown(&[], Some("3")), 3);
    assert_eq!(shown(&["--tail", "2"], Some("3")), 2);
    tree.write("xdg/devtask/config.toml", "[settings]\nshow_output = true\n");
    let xdg = |args: &[&str]| tree.devtask(args).env("XDG_CONFIG_HOME", tree.path("xdg")).run();
    assert!(xdg(&["run", "a"]).err.contains("[tree:a]  30\n"));
    fs::write(&user, "[settings]\ntale = 27\n").unwrap();
    let faulty = tree.expect(2, "run a");
    assert!(faulty.err.contains("unknown key `tale`") && faulty.err.contains("config.toml:2:1"), "{faulty}");
    // A directory in its place is there and cannot be read, a file in its directory's place is nothing.
    tree.remove("xdg/devtask/config.toml");
    tree.write("xdg/devtask/config.toml/x", "");
    let unreadable = xdg(&["list"]);
    assert_eq!(unreadable.code, Some(2), "{unreadable}");
    assert!(
        unreadable.err.contains("error: cannot read ") && unreadable.err.contains("devtask/config.toml: ")
    );
    tree.remove("xdg");
    tree.write("xdg", "");
    assert_eq!(xdg(&["list"]).code, Some(0));
}

#[test]
fn every_setting_has_its_variable() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'echo out'\n[tasks.b]\nexec = 'exit 3'\n");
    let run = |args: &[&str], variable: &str, value: &str| tree.devtask(args).env(variable, value).run();
    assert!(run(&["run", "a"], "DEVTASK_SHOW_OUTPUT", "1").err.contains("[tree:a]  out"));
    assert!(!run(&["run", "a"], "DEVTASK_SHOW_OUTPUT", "0").err.contains("[tree:a]  out"));
    assert_eq!(run(&["run", "a"], "DEVTASK_UI", "none").err, "");
    assert!(run(&["run", "a"], "DEVTASK_COLOR", "always").err.contains("\x1b[32mSucceeded"));
    assert_eq!(run(&["run", "b"], "DEVTASK_EXIT_CODE", "task").code, Some(3));
    assert_eq!(run(&["run", "a"], "DEVTASK_OUTPUTS", "none").out, "");
    assert_eq!(run(&["run", "a"], "DEVTASK_JOBS", "0").code, Some(2));
    run(&["run", "a"], "DEVTASK_EVENTS", "events.jsonl");
    assert!(tree.read("events.jsonl").starts_with("{\"v\":1,"));
    run(&["run", "a"], "DEVTASK_STATE_DIR", "elsewhere");
    assert!(tree.exists("elsewhere/runs"));
    assert_eq!(run(&["run"], "DEVTASK_FILE", "none.toml").code, Some(2));
}
