//! Every fault a user can make, with the exact text of it: one sentence, the place, the source, one hint.
//! And what all of them have in common: the exit code, nothing has run, nothing was written.

use std::os::unix::ffi::OsStrExt as _;

use super::support::{Output, Sandbox, gate::Gate, steady};

/// What the user read, with the directory of the tree called ROOT.
fn told(tree: &Sandbox, output: &Output) -> String {
    let text = steady(&output.err).replace(&tree.root().display().to_string(), "ROOT");
    text.replace(&tree.root().parent().unwrap().display().to_string(), "ABOVE")
}

#[track_caller]
fn same(told: &str, expected: &str) {
    let expected = expected.strip_prefix('\n').unwrap_or(expected);
    assert!(told == expected, "-- told\n{told}-- expected\n{expected}");
}

/// A file with this content is refused with exactly this text, whatever was to be done.
#[track_caller]
fn refused(toml: &str, expected: &str) {
    let tree = Sandbox::with(toml);
    for line in ["run", "list"] {
        let output = tree.expect(2, line);
        assert_eq!(output.out, "", "{line}");
        same(&told(&tree, &output), expected);
    }
    assert!(!tree.exists(".devtask"), "nothing was to be remembered");
}

/// A task that has `exec`, and other fields, fails with this text and an exit code of 1.
#[track_caller]
fn fails(fields: &str, expected: &str) {
    let tree = Sandbox::with(&format!("[tasks.a]\n{fields}\n"));
    same(&told(&tree, &tree.expect(1, "run a --outputs none")), expected);
}

#[test]
fn tasks_that_are_not_there() {
    refused(
        "[tasks.build]\nexec = 'true'\nafter = ['instal']\nbefore = ['web:nothing']\n[tasks.install]\n",
        r"
error[unknown-task]: there is no task `tree:instal`
 --> devtask.toml:3:10
  |
3 | after = ['instal']
  |          ^^^^^^^^ no such task
  |
  = help: did you mean `tree:install`?

error[unknown-task]: there is no task `web:nothing`
 --> devtask.toml:4:11
  |
4 | before = ['web:nothing']
  |           ^^^^^^^^^^^^^ no such task
  |
  = help: `devtask list` shows all tasks
",
    );
}

#[test]
fn names_that_mean_nothing_on_the_command_line() {
    let tree = Sandbox::with("[tasks.test-a]\n[tasks.test-b]\n[tasks.test-c]\n[tasks.test-d]\n[tasks.build]");
    for verb in ["run", "list", "graph", "why", "show", "logs"] {
        let output = tree.expect(4, &format!("{verb} biuld"));
        same(&told(&tree, &output), "error: nothing is called `biuld`\n  help: did you mean `tree:build`?\n");
        assert_eq!(output.out, "");
    }
    same(
        &told(&tree, &tree.expect(4, "run build tree:test-x a::b")),
        "\
error: nothing is called `tree:test-x`
  help: did you mean `tree:test-a` or `tree:test-b` or `tree:test-c`?
error: nothing is called `a::b`
  help: `devtask list` shows all tasks
",
    );
    let empty = tree.devtask(["run", ""]).run();
    assert_eq!(empty.code, Some(4));
    same(&told(&tree, &empty), "error: nothing is called ``\n  help: `devtask list` shows all tasks\n");
    assert!(!tree.exists(".devtask"), "nothing was to be remembered");
}

#[test]
fn circles() {
    refused(
        "[tasks.a]\nafter = ['a']\n",
        r"
error[cycle]: tasks wait for each other: tree:a -> tree:a
 --> devtask.toml:2:10
  |
2 | after = ['a']
  |          ^^^ `tree:a` needs `tree:a`
  |
  = help: remove one of these edges
",
    );
    refused(
        "[tasks.c]\nbefore = ['d']\n[tasks.d]\nbefore = ['e@completed']\n[tasks.e]\nbefore = ['c']\n\
         [tasks.a]\nafter = ['b']\n[tasks.b]\nafter = ['a']\n",
        r"
error[cycle]: tasks wait for each other: tree:a -> tree:b -> tree:a
  --> devtask.toml:8:10
   |
 8 | after = ['b']
   |          ^^^ `tree:a` needs `tree:b`
 9 | [tasks.b]
10 | after = ['a']
   |          --- `tree:b` needs `tree:a`
   |
   = help: remove one of these edges

error[cycle]: tasks wait for each other: tree:c -> tree:e -> tree:d -> tree:c
 --> devtask.toml:6:11
  |
2 | before = ['d']
  |           --- `tree:d` needs `tree:c`
3 | [tasks.d]
4 | before = ['e@completed']
  |           ------------- `tree:e` needs `tree:d`
5 | [tasks.e]
6 | before = ['c']
  |           ^^^ `tree:c` needs `tree:e`
  |
  = help: remove one of these edges
",
    );
}

#[test]
fn a_long_circle_is_told_in_few_words() {
    let task = |n: usize| format!("[tasks.t{n}]\nafter = ['t{}']\n", (n + 1) % 5000);
    let tree = Sandbox::with(&(0..5000).map(task).collect::<String>());
    let text = told(&tree, &tree.expect(2, "validate"));
    let first = text.lines().next().unwrap();
    assert!(first.contains("-> … 4989 more … ->") && first.len() < 400, "{first}");
    assert!(text.lines().count() < 60, "{text}");
}

#[test]
fn a_circle_through_two_projects_shows_both_files() {
    let tree = Sandbox::with("include = ['web']\n[tasks.a]\nafter = ['web:b']\n");
    tree.write("web/devtask.toml", "[tasks.b]\nafter = ['tree:a']\n");
    same(
        &told(&tree, &tree.expect(2, "list")),
        r"
error[cycle]: tasks wait for each other: tree:a -> web:b -> tree:a
 --> devtask.toml:3:10
  |
3 | after = ['web:b']
  |          ^^^^^^^ `tree:a` needs `web:b`
  |
 ::: web/devtask.toml:2:10
  |
2 | after = ['tree:a']
  |          -------- `web:b` needs `tree:a`
  |
  = help: remove one of these edges
",
    );
}

#[test]
fn suffixes_and_names() {
    refused(
        "[tasks.a]\nafter = ['b@complete']\n[tasks.b]\n",
        r"
error[bad-suffix]: `@complete` is no state to wait for
 --> devtask.toml:2:10
  |
2 | after = ['b@complete']
  |          ^^^^^^^^^^^^
  |
  = help: did you mean `@completed`?
",
    );
    refused(
        "[tasks.'web app.build']\n",
        r"
error[bad-name]: ` ` is not allowed in a task name
 --> devtask.toml:1:8
  |
1 | [tasks.'web app.build']
  |        ^^^^^^^^^^^^^^^
  |
  = help: `web-app:build` is a legal spelling
",
    );
}

#[test]
fn what_stands_there_twice() {
    refused(
        "[tasks.a]\nexec = 'true'\n[tasks.a]\nexec = 'false'\n",
        r"
error[duplicate-key]: the key `a` stands here twice
 --> devtask.toml:3:8
  |
1 | [tasks.a]
  |        - first here
2 | exec = 'true'
3 | [tasks.a]
  |        ^ again here
  |
  = help: keep one of them
",
    );
    refused(
        "[tasks.a]\n[tasks.'tree:a']\n",
        r"
error[duplicate-task]: task `tree:a` is declared twice
 --> devtask.toml:2:8
  |
1 | [tasks.a]
  |        - first declared here
2 | [tasks.'tree:a']
  |        ^^^^^^^^ declared again here
  |
  = help: rename one of the two, or remove it
",
    );
    let tree = Sandbox::with("include = ['x', 'y']\n");
    tree.write("x/devtask.toml", "[tasks.'q:z']\n");
    tree.write("y/devtask.toml", "\n[tasks.'q:z']\n");
    same(
        &told(&tree, &tree.expect(2, "list")),
        r"
error[duplicate-task]: task `q:z` is declared twice
 --> y/devtask.toml:2:8
  |
2 | [tasks.'q:z']
  |        ^^^^^ declared again here
  |
 ::: x/devtask.toml:1:8
  |
1 | [tasks.'q:z']
  |        ----- first declared here
  |
  = help: rename one of the two, or remove it
",
    );
}

#[test]
fn keys_and_types() {
    refused(
        "[tasks.a]\nexce = 'true'\nfailure_threshold = 3\n[settings]\nxyzzy = 1\n",
        r"
error[unknown-key]: unknown key `exce` in a task
 --> devtask.toml:2:1
  |
2 | exce = 'true'
  | ^^^^ unknown key
  |
  = help: did you mean `exec`?

error[unknown-key]: unknown key `failure_threshold` in a task
 --> devtask.toml:3:1
  |
3 | failure_threshold = 3
  | ^^^^^^^^^^^^^^^^^ unknown key
  |
  = help: `failure_threshold` belongs to `ready`

error[unknown-key]: unknown key `xyzzy` in `settings`
 --> devtask.toml:5:1
  |
5 | xyzzy = 1
  | ^^^^^ unknown key
  |
  = help: `settings` has `jobs`, `tail`, `fail_fast`, `show_output`, `ui`, `color`, `cache_size`, `cache_age`
",
    );
    refused(
        "[tasks.a]\nexec = 3\nafter = 'x'\ntimeout = '5 parsecs'\nretries = -1\n",
        r#"
error[wrong-type]: `exec` must be a string, not a whole number
 --> devtask.toml:2:8
  |
2 | exec = 3
  |        ^ expected a string
  |
  = help: put it in quotes

error[wrong-type]: `after` must be a list, not a string
 --> devtask.toml:3:9
  |
3 | after = 'x'
  |         ^^^ expected a list
  |
  = help: put it in square brackets

error[bad-duration]: `timeout` is no length of time: unknown time unit "parsecs", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations)
 --> devtask.toml:4:11
  |
4 | timeout = '5 parsecs'
  |           ^^^^^^^^^^^
  |
  = help: write a number of seconds, or text such as "30s" or "1m 30s"

error[bad-value]: `retries` is out of range
 --> devtask.toml:5:11
  |
5 | retries = -1
  |           ^^
  |
  = help: 0 to 4294967295 is possible
"#,
    );
}

#[test]
fn patterns() {
    refused(
        "[tasks.a]\nexecIfModified = [\"ok\", \"src/[a-\", \"\\u00fc}\"]\noutputs = ['x/{a', '${root}/../y']\n",
        r#"
error[bad-glob]: `src/[a-` is no pattern: `[` without a `]`
 --> devtask.toml:2:30
  |
2 | execIfModified = ["ok", "src/[a-", "\u00fc}"]
  |                              ^^^
  |
  = help: write `[[]` for the character

error[bad-glob]: `ü}` is no pattern: `}` without a `{` before it
 --> devtask.toml:2:36
  |
2 | execIfModified = ["ok", "src/[a-", "\u00fc}"]
  |                                    ^^^^^^^^^
  |
  = help: write `[}]` for the character

error[bad-glob]: `x/{a` is no pattern: `{` without a `}`
 --> devtask.toml:3:15
  |
3 | outputs = ['x/{a', '${root}/../y']
  |               ^^
  |
  = help: write `[{]` for the character
"#,
    );
    refused(
        "[tasks.a]\noutputs = ['{dist,${root}/../y}/*']\n",
        r"
error[output-outside-root]: outputs outside the root are refused: `{dist,${root}/../y}/*`
 --> devtask.toml:2:12
  |
2 | outputs = ['{dist,${root}/../y}/*']
  |            ^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: the root is ROOT
",
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_worth_a_word() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\ncwd = 'sub'\nexecIfModified = ['src/*.c', 'gone']\n");
    tree.write("sub/x", "");
    let text = told(&tree, &tree.ok("run a --outputs none"));
    assert!(text.contains("Warning           tree:a: `src/*.c` matches nothing in sub\n"), "{text}");
    assert!(!text.contains("gone"), "a path may be missing: {text}");
    let why = told(&tree, &tree.ok("why a"));
    assert_eq!(why, "warning: tree:a: `src/*.c` matches nothing in sub\n");
    tree.write("src/deep/b.c", "");
    assert_eq!(told(&tree, &tree.ok("why a")), why);
    tree.write("src/a.c", "");
    assert_eq!(
        told(&tree, &tree.ok("why a")),
        "warning: tree:a: `src/*.c` matches nothing in sub; it is relative to there, and would match src/a.c in .\n"
    );
    tree.write("sub/src/c.c", "");
    assert_eq!(told(&tree, &tree.ok("why a")), "");
}

#[test]
fn a_pattern_means_what_is_substituted_into_it_literally() {
    let tree = Sandbox::new();
    let file = "[tasks.a]\nexec = 'true'\nexecIfModified = ['${root}/in.txt', '${root}/*.c']\noutputs = []\n";
    tree.write("we[i]rd {a,b}/devtask.toml", file);
    tree.write("we[i]rd {a,b}/in.txt", "1");
    tree.write("we[i]rd {a,b}/x.c", "1");
    let run = || tree.devtask(["run", "a", "--outputs", "none"]).dir("we[i]rd {a,b}").run();
    assert!(run().err.contains("1 Succeeded"));
    let second = run();
    assert!(second.err.contains("1 Cached") && !second.err.contains("Warning"), "{second}");
    for edited in ["in.txt", "x.c"] {
        tree.append(format!("we[i]rd {{a,b}}/{edited}"), "2");
        let output = run();
        assert!(output.err.contains("1 Succeeded"), "{edited}: {output}");
    }
}

#[test]
fn syntax() {
    refused(
        "[tasks.a]\nfoo = 1\nexec = \"echo\n",
        r#"
error[unknown-key]: unknown key `foo` in a task
 --> devtask.toml:2:1
  |
2 | foo = 1
  | ^^^ unknown key
  |
  = help: a task has `exec`, `package`, `binary`, `after`, `before`, `cwd`, `input`, `env`, `description`, `showOutput`, `status`, `execIfModified`, `outputs`, `restore`, `trackEnv`, `exports`, `type`, `process`, `timeout`, `retries`, `interactive`, `lock`

error[syntax]: invalid basic string, expected `"`
 --> devtask.toml:3:13
  |
3 | exec = "echo
  |             ^
  |
  = help: text of several lines stands between `"""`
"#,
    );
    let tree = Sandbox::new();
    tree.write("devtask.json", "{\"tasks\": {\n  \"a\": {\"exec\": \"x\",}\n}}\n");
    same(
        &told(&tree, &tree.expect(2, "run")),
        r#"
error[syntax]: trailing comma
 --> devtask.json:2:21
  |
2 |   "a": {"exec": "x",}
  |                     ^
  |
  = help: JSON has double quotes, no comments and no comma before a closing bracket
"#,
    );
}

#[test]
fn files_that_cannot_be_read() {
    let tree = Sandbox::new();
    std::fs::create_dir(tree.path("devtask.toml")).unwrap();
    same(
        &told(&tree, &tree.expect(2, "run")),
        r"
error[unreadable]: `ROOT/devtask.toml` cannot be read: Is a directory
 |
 = help: a file is expected here
",
    );
    tree.remove("devtask.toml");
    std::os::unix::fs::symlink("nowhere", tree.path("devtask.toml")).unwrap();
    same(
        &told(&tree, &tree.expect(2, "run")),
        r"
error[unreadable]: `ROOT/devtask.toml` cannot be read: No such file or directory
 |
 = help: it is a link that leads nowhere
",
    );
    tree.remove("devtask.toml");
    tree.write("devtask.toml", b"[tasks.a]\nexec = '\xff'\n");
    same(
        &told(&tree, &tree.expect(2, "run")),
        "\
error[unreadable]: `ROOT/devtask.toml` is not UTF-8
 --> devtask.toml:2:9
  |
2 | exec = '\u{fffd}'
  |         ^ not UTF-8 from here
  |
  = help: save it as UTF-8
",
    );
    same(
        &told(&tree, &tree.expect(2, "-f gone.toml run")),
        r"
error[unreadable]: `ROOT/gone.toml` cannot be read: No such file or directory
 |
 = help: check the path
",
    );
    tree.write("devtask.json", "{}");
    same(
        &told(&tree, &tree.expect(2, "run")),
        r"
error[two-task-files]: two task files in ROOT
 |
 = note: ROOT/devtask.toml
 = note: ROOT/devtask.json
 = help: keep one of them, or name one with `-f`
",
    );
    same(&told(&tree, &tree.expect(2, "-C gone run")), "error: there is no directory ROOT/gone\n");
}

#[test]
fn no_task_file_anywhere() {
    let mut tree = Sandbox::new();
    // The search upward ends at the home directory.
    let above = tree.root().parent().unwrap().to_owned();
    tree.set_env("HOME", above);
    tree.write("package.json", "{}");
    tree.write("Makefile", "");
    same(
        &told(&tree, &tree.expect(2, "run")),
        r#"
error[no-configuration]: no task file found
 |
 = note: looked for devtask.toml or devtask.json in ROOT and upward to ABOVE
 = note: there is package.json, Makefile
 = help: `devtask init` proposes a devtask.toml; a short one is: tasks.hello.exec = "echo hello"
"#,
    );
    tree.write("devtask.toml", "tasks.hello.exec = \"echo hello\"");
    tree.ok("run tree:hello");
}

#[test]
fn what_does_not_go_together() {
    refused(
        "[tasks.a]\nexec = 'x'\nstatus = 'y'\nexecIfModified = ['z']\n[tasks.b]\nstatus = 'y'\n",
        r"
error[status-with-exec-if-modified]: `a` has both `status` and `execIfModified`
 --> devtask.toml:3:10
  |
3 | status = 'y'
  |          ^^^ this decides whether it runs
4 | execIfModified = ['z']
  |                  ----- and so does this
  |
  = help: keep one of them

error[status-without-exec]: `b` has a `status` but no `exec`
 --> devtask.toml:6:10
  |
6 | status = 'y'
  |          ^^^ nothing for it to skip
  |
  = help: add `exec`, or make this text the `exec`
",
    );
    // An empty list is the same as none.
    Sandbox::with("[tasks.a]\nexec = 'x'\nstatus = 'true'\nexecIfModified = []\n").ok("run a");
    refused(
        "[tasks.a]\nafter = ['devenv:processes:db@succeeded']\n[tasks.b]\nafter = ['devenv:processes:db']\n\
         [processes.db]\nexec = 'x'\n",
        r"
error[succeeded-on-process]: `devenv:processes:db` is a process and never succeeds
 --> devtask.toml:2:10
  |
2 | after = ['devenv:processes:db@succeeded']
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `@succeeded` on a process
  |
  = help: use `devenv:processes:db@ready`, or `devenv:processes:db@completed` to wait for its end

error[never-ready]: nothing tells when process `devenv:processes:db` is ready
 --> devtask.toml:4:10
  |
4 | after = ['devenv:processes:db']
  |          ^^^^^^^^^^^^^^^^^^^^^ waits for `@ready`
  |
  = help: give `devenv:processes:db` a `ready` probe, or write `devenv:processes:db@started`
",
    );
}

#[test]
fn checks() {
    refused(
        "[checks.y]\nfiles = []\n[tasks.z]\nafter = ['check:tree:y']\n",
        r"
error[check-without-exec]: the check `y` has no `exec`
 --> devtask.toml:1:9
  |
1 | [checks.y]
  |         ^
  |
  = help: add `exec`, the command that fails if something is wrong

error[after-a-check]: no task can come after the check `check:tree:y`
 --> devtask.toml:4:10
  |
4 | after = ['check:tree:y']
  |          ^^^^^^^^^^^^^^ a check
  |
  = help: run `devtask check` before it, or make it a task
",
    );
}

#[test]
fn faults_of_several_files_are_told_together() {
    let include = Sandbox::with("include = ['apps/[a']\n");
    same(
        &told(&include, &include.expect(2, "list")),
        r"
error[bad-glob]: `apps/[a` is no pattern: unclosed character class; missing ']'
 --> devtask.toml:1:12
  |
1 | include = ['apps/[a']
  |            ^^^^^^^^^
  |
  = help: write `[[]` for a plain `[`, `[{]` for a plain `{`
",
    );
    let tree = Sandbox::with("include = ['x', 'y']\n[tasks.a]\nexce = '1'\nafter = ['x:bb']\n");
    tree.write("x/devtask.toml", "[tasks.b]\nafter = ['c d']\n");
    tree.write("y/devtask.toml", "[tasks.b]\nexec = 1\n");
    same(
        &told(&tree, &tree.expect(2, "validate")),
        r"
error[unknown-key]: unknown key `exce` in a task
 --> devtask.toml:3:1
  |
3 | exce = '1'
  | ^^^^ unknown key
  |
  = help: did you mean `exec`?

error[bad-name]: ` ` is not allowed in a task name
 --> x/devtask.toml:2:10
  |
2 | after = ['c d']
  |          ^^^^^
  |
  = help: `c-d` is a legal spelling

error[wrong-type]: `exec` must be a string, not a whole number
 --> y/devtask.toml:2:8
  |
2 | exec = 1
  |        ^ expected a string
  |
  = help: put it in quotes

error[unknown-task]: there is no task `x:bb`
 --> devtask.toml:4:10
  |
4 | after = ['x:bb']
  |          ^^^^^^ no such task
  |
  = help: did you mean `x:b`?
",
    );
}

#[test]
fn what_a_task_leaves_is_judged() {
    fails(
        "exec = 'echo {a > $DEVENV_TASK_OUTPUT_FILE'",
        "\
Running tasks     tree:a
Running           tree:a
Failed            tree:a (…)

── tree:a ── exit 0 ── echo {a > $DEVENV_TASK_OUTPUT_FILE ──
  its output is not JSON: key must be a string at line 1 column 2
  rerun: devtask run tree:a --mode single
1 Failed     …
",
    );
    fails(
        r"exec = '''printf 'A\0Yg==\0B\0%%%%\0' > $DEVENV_TASK_EXPORTS_FILE'''",
        r"Running tasks     tree:a
Running           tree:a
Failed            tree:a (…)

── tree:a ── exit 0 ── printf 'A\0Yg==\0B\0%%%%\0' > $DEVENV_TASK_EXPORTS_FILE ──
  record 2 of its exports file (`B`) is not base64: invalid length at 0
  rerun: devtask run tree:a --mode single
1 Failed     …
",
    );
    fails(
        "exec = 'echo made nothing'\noutputs = ['dist/*.js', 'app']",
        "\
Running tasks     tree:a
Running           tree:a
Failed            tree:a (…)

── tree:a ── exit 0 ── echo made nothing ── 1 line ──
  it did not make its declared output `dist/*.js`, `app`
  made nothing
  full log: .devtask/log/…/tree:a.log   rerun: devtask run tree:a --mode single
1 Failed     …
",
    );
}

#[test]
fn what_a_task_needs_to_start() {
    fails(
        "exec = 'print(1)'\npackage = 'pythn3'\nenv = { PATH = '/nowhere:/usr/nowhere' }",
        "\
Running tasks     tree:a
Failed            tree:a

── tree:a ── print(1) ──
  there is no interpreter `pythn3` on PATH: /nowhere:/usr/nowhere
  rerun: devtask run tree:a --mode single
1 Failed     …
",
    );
    fails(
        "exec = 'true'\npackage = './tools/x'",
        "\
Running tasks     tree:a
Failed            tree:a

── tree:a ── true ──
  there is no interpreter `ROOT/tools/x`
  rerun: devtask run tree:a --mode single
1 Failed     …
",
    );
    fails(
        "exec = 'true'\ncwd = 'nowhere'",
        "\
Running tasks     tree:a
Failed            tree:a

── tree:a ── true ── in nowhere ──
  the working directory ROOT/nowhere does not exist
  rerun: devtask run tree:a --mode single
1 Failed     …
",
    );
}

#[test]
fn an_interpreter_beside_the_file_is_found_from_any_directory() {
    let tree =
        Sandbox::with("[tasks.a]\nexec = 'hello'\ncwd = 'sub'\npackage = './tools/cat'\nshowOutput = true\n");
    tree.program("tools/cat", "#!/bin/sh\ncat \"$1\"\n");
    tree.write("sub/x", "");
    let output = tree.devtask(["run", "a"]).dir("sub").run();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.err.contains("[tree:a]  hello\n"), "{output}");
}

#[test]
fn the_command_line_itself() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\n");
    for (args, expected) in [
        (&["rnu", "a"][..], "error: there is no verb `rnu`\n  help: did you mean `devtask run`?\n"),
        (
            &["tree:a"],
            "error: there is no verb `tree:a`\n  help: a task is run by `devtask run tree:a`; \
             `devtask --help` shows all verbs\n",
        ),
        (
            &["run", "a", "--input-json", "{x"],
            "error: `--input-json` is not JSON: key must be a string at line 1 column 2\n  \
             help: write for example `--input-json '{\"count\": 3}'`\n",
        ),
        (
            &["run", "a", "--input-json", "[1]"],
            "error: `--input-json` is no JSON object\n  help: write for example `--input-json '{\"count\": 3}'`\n",
        ),
        (
            &["run", "a", "--input", "count"],
            "error: `--input count` is not of the form KEY=VALUE\n  help: write for example `--input count=3`\n",
        ),
        (
            &["run", "a", "--input", "=3"],
            "error: `--input =3` is not of the form KEY=VALUE\n  help: write for example `--input count=3`\n",
        ),
    ] {
        let output = tree.devtask(args).run();
        assert_eq!((output.code, output.err.as_str()), (Some(2), expected), "{args:?}");
    }
    for (line, part) in [
        ("run --forse a", "a similar argument exists: '--force'"),
        ("run --mode befor a", "a similar value exists: 'before'"),
        ("run -j 0 a", "0 is not in 1..="),
        ("run --timeout soon a", "write for example 90s or 5m"),
        ("-q -v run a", "cannot be used with"),
        ("run --outputs json --events - a", "both want stdout"),
    ] {
        let output = tree.expect(2, line);
        assert!(output.err.contains(part) && output.out.is_empty(), "{line}: {output}");
    }
    assert!(!tree.exists(".devtask"));
}

#[test]
fn a_tree_that_is_held() {
    let tree = Sandbox::with("[tasks.b]\nexec = 'true'\n");
    let mut gate = Gate::new(tree.path("gate"));
    tree.append(
        "devtask.toml",
        format!("[tasks.a]\nexecIfModified = ['in']\nexec = '''{}'''\n", gate.script()),
    );
    // One that cannot serve us.
    let holder = tree.devtask(["run", "a"]).start_as(&tree.another_build());
    gate.wait();
    let refused = tree.expect(6, "--no-wait run b");
    let pid = holder.pid();
    let start = format!("error: this tree is held by `devtask run a` (pid {pid}), started ");
    assert!(refused.err.starts_with(&start) && refused.err.ends_with("s ago\n"), "{refused}");
    let list = tree.ok("list b");
    assert_eq!(list.err, "note: another devtask is at work in this tree, so what is fresh is not known\n");
    assert_eq!(list.out, "tree:b  ?\n");
    let why = tree.expect(6, "why b");
    assert_eq!(why.err, "error: another devtask is at work in this tree; try again when it is done\n");
    gate.open();
    assert_eq!(holder.finish().code, Some(0));
    tree.ok("--no-wait run b");
}

#[test]
fn a_damaged_state_costs_only_a_rerun() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\nexecIfModified = ['x']\n");
    tree.ok("run a");
    tree.write(".devtask/state.redb", "garbage");
    // Whoever looks first puts it in order, and says so once.
    let why = tree.ok("why a");
    let first = told(&tree, &why).lines().next().unwrap().to_owned();
    assert!(first.starts_with("warning: the state could not be used ("), "{why}");
    assert!(first.contains("); it is set aside as ROOT/.devtask/state.redb.bad-"), "{why}");
    assert!(why.out.contains("no earlier run is known"), "{why}");
    assert_eq!(tree.ok("run a").err.matches("set aside").count(), 0);
    tree.write(".devtask/state.redb", "garbage");
    let run = tree.ok("run a");
    assert_eq!(run.err.matches("set aside").count(), 1, "{run}");
    assert!(run.err.contains("1 Succeeded"), "{run}");
    assert_eq!(tree.ok("list").out.split_whitespace().nth(1), Some("fresh"));
}

#[test]
fn nothing_of_a_file_reaches_the_terminal_as_it_is() {
    let tree = Sandbox::new();
    let bad = "x\u{1b}[31m\u{202e}";
    tree.write(format!("{bad}/devtask.toml"), "[tasks.\"a\\u001b[31mb\"]\n[tasks.c]\nafter = ['\u{9b}']\n");
    tree.write(
        "ok/devtask.toml",
        "[tasks.a]\nexec = \"echo '\\u001b]0;title\\u0007x'; exit 3\"\ndescription = \"\\u001b[2Jd\"\n\
         execIfModified = [\"\\u001b[31m*\"]\ncwd = \"no\\u001b[31m\"\n",
    );
    let lines = [
        format!("-C {bad} list"),
        format!("-C {bad}z list"),
        format!("-f {bad}.toml list"),
        format!("-C ok run {bad}"),
        bad.to_owned(),
        format!("-C ok run --input {bad}"),
        format!("-C ok run --{bad}"),
        format!("-C ok run --mode {bad}"),
        "-C ok run a".to_owned(),
        "-C ok why a".to_owned(),
        "-C ok list".to_owned(),
        "-C ok show a".to_owned(),
    ];
    for line in lines {
        let output = tree.devtask(line.split(' ')).run();
        let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!output.err.contains(raw) && !output.out.contains(raw), "{line:?}: {output}");
        assert!(!output.err.is_empty() || !output.out.is_empty(), "{line:?}");
    }
    let name = std::ffi::OsStr::from_bytes(b"\xff\x1b");
    let output = tree.devtask([std::ffi::OsStr::new("-C"), name, "list".as_ref()]).run();
    assert_eq!(output.code, Some(2));
    assert!(!output.err.contains('\u{1b}'), "{output}");
}
