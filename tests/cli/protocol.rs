//! What a task is given and what it leaves: the table of section 3 of the specification, row by row.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use serde_json::json;

use super::support::{Sandbox, set};

/// Every variable of the table, as a task sees it.
#[test]
fn a_task_is_given_the_variables_of_the_table() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        exec = 'echo "{\"n\":1}" > "$DEVENV_TASK_OUTPUT_FILE"'
        [tasks."a:t"]
        after = ["a:up"]
        cwd = "sub"
        input = { b = 2, a = "one" }
        execIfModified = ["in.txt"]
        exec = '''
        {
          echo "input=$DEVENV_TASK_INPUT"
          echo "outputs=$DEVENV_TASKS_OUTPUTS"
          echo "file=$(cat "$DEVENV_TASKS_OUTPUTS_FILE")"
          echo "root=$DEVENV_ROOT"
          echo "dotfile=$DEVENV_DOTFILE"
          echo "state=$DEVENV_STATE"
          echo "task=$DEVTASK_TASK"
          echo "pwd=$(pwd)"
        } > ../seen
        [ -f "$DEVENV_TASK_OUTPUT_FILE" ] && [ -w "$DEVENV_TASK_OUTPUT_FILE" ] && [ ! -s "$DEVENV_TASK_OUTPUT_FILE" ]
        [ -f "$DEVENV_TASK_EXPORTS_FILE" ] && [ -w "$DEVENV_TASK_EXPORTS_FILE" ] && [ ! -s "$DEVENV_TASK_EXPORTS_FILE" ]
        [ "$(stat -c %a "$DEVENV_RUNTIME")" = 700 ]
        cp "$DEVTASK_CHANGED_FILES" ../changed
        echo "$DEVTASK_RUN" > ../run
        '''
        [tasks."a:plain"]
        exec = '[ -z "${DEVENV_TASK_INPUT+set}" ] && [ "$DEVENV_TASKS_OUTPUTS" = "{}" ]'
        "#,
    );
    tree.write("sub/in.txt", "1");
    tree.ok("run a:t");
    let root = tree.root().display();
    let expected = format!(
        "input={{\"a\":\"one\",\"b\":2}}\noutputs={{\"a:up\":{{\"n\":1}}}}\nfile={{\"a:up\":{{\"n\":1}}}}\nroot={root}\n\
         dotfile={root}/.devtask\nstate={root}/.devtask/state\ntask=a:t\npwd={root}/sub\n"
    );
    assert_eq!(tree.read("seen"), expected);
    assert_eq!(tree.read("changed"), "");
    let run = tree.last_events()[0]["run"].as_str().unwrap().to_owned();
    assert_eq!(tree.read("run").trim(), run);
    tree.write("sub/in.txt", "2");
    tree.ok("run a:t");
    assert_eq!(tree.read("changed"), format!("{root}/sub/in.txt\0"));
    let output = tree.devtask(["run", "a:plain"]).env("DEVENV_TASK_INPUT", "{}").run();
    assert_eq!(output.code, Some(0), "ambient ones do not leak in\n{output}");
}

#[test]
fn later_layers_of_the_environment_win() {
    let tree = Sandbox::with(
        r#"
        dotenv = [".env"]
        [env]
        B = "file"
        C = "file"
        D = "file"
        [tasks."a:one"]
        exec = '''
        echo '{"devenv":{"env":{"C":"one","D":"one","E":"one","DEVTASK_TASK":"one","F":"json"}}}' > "$DEVENV_TASK_OUTPUT_FILE"
        printf 'F\0%s\0' "$(printf file | base64)" > "$DEVENV_TASK_EXPORTS_FILE"
        '''
        [tasks."a:two"]
        after = ["a:one"]
        exec = '''echo '{"devenv":{"env":{"E":"two"}}}' > "$DEVENV_TASK_OUTPUT_FILE"'''
        [tasks."a:t"]
        after = ["a:two"]
        env = { D = "task", DEVTASK_RUN = "task" }
        exec = 'echo "$A $B $C $D $E $F $G $DEVTASK_TASK" > seen; [ "$DEVTASK_RUN" != task ]'
        "#,
    );
    tree.write(".env", "G=dotenv\n");
    let output = ["A", "B", "C", "D", "E", "F", "G"]
        .iter()
        .fold(tree.devtask(["run", "a:t"]), |run, name| run.env(name, "ambient"))
        .env("RAW", OsStr::from_bytes(b"\xff\xfe"))
        .run();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(tree.read("seen"), "ambient file one task two file dotenv a:t\n");
}

#[test]
fn values_that_are_not_utf8_pass_through() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        exec = '''printf 'X\0%s\0' "$(printf '\377\001' | base64)" > "$DEVENV_TASK_EXPORTS_FILE"'''
        [tasks."a:t"]
        after = ["a:up"]
        exec = 'printf %s "$RAW$X" > seen'
        "#,
    );
    tree.devtask(["run", "a:t"]).env("RAW", OsStr::from_bytes(b"\xff\xfe")).run();
    assert_eq!(fs::read(tree.path("seen")).unwrap(), b"\xff\xfe\xff\x01");
}

#[test]
fn a_task_sees_its_upstream_closure_and_nothing_else() {
    let say = |name: &str| format!("exec = 'echo \"\\\"{name}\\\"\" > \"$DEVENV_TASK_OUTPUT_FILE\"'\n");
    let mut toml = String::new();
    for (name, after) in
        [("far", ""), ("near", "after = [\"a:door\"]\n"), ("other", ""), ("soft", ""), ("begun", "")]
    {
        toml += &format!("[tasks.\"a:{name}\"]\n{after}{}", say(name));
    }
    toml += "[tasks.\"a:broken\"]\nexec = 'echo 1 > \"$DEVENV_TASK_OUTPUT_FILE\"; false'\n\
             [tasks.\"a:door\"]\nafter = [\"a:far\"]\n\
             [tasks.\"a:t\"]\n\
             after = [\"a:near\", \"a:soft@completed\", \"a:broken@completed\", \"a:begun@started\"]\n\
             exec = 'cat \"$DEVENV_TASKS_OUTPUTS_FILE\" > seen'\n";
    let tree = Sandbox::with(&toml);
    tree.ok("run a:t a:other -j 1");
    let seen: serde_json::Value = serde_json::from_str(&tree.read("seen")).unwrap();
    assert_eq!(seen, json!({"a:far": "far", "a:near": "near", "a:soft": "soft"}));
}

#[test]
fn inputs_of_the_command_line_are_merged_over_those_of_the_roots() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        input = { a = 1 }
        exec = 'echo "$DEVENV_TASK_INPUT" > up'
        [tasks."a:t"]
        after = ["a:up"]
        input = { a = 1, b = { c = 1, d = 2 }, e = 5 }
        exec = 'echo "$DEVENV_TASK_INPUT" > seen'
        [tasks."a:bare"]
        exec = 'echo "$DEVENV_TASK_INPUT" > bare'
        "#,
    );
    let json = r#"{"a":2,"b":{"c":3}}"#;
    let args = ["run", "a:t", "--input", "a=text", "--input", "f=[1, 2]", "--input", "g=x=y"];
    let output = tree.devtask(args.iter().chain(&["--input-json", json])).run();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(tree.read("seen"), "{\"a\":\"text\",\"b\":{\"c\":3},\"e\":5,\"f\":[1,2],\"g\":\"x=y\"}\n");
    assert_eq!(tree.read("up"), "{\"a\":1}\n");
    tree.ok("run a:bare --input n=null");
    assert_eq!(tree.read("bare"), "{\"n\":null}\n");
    for (args, words) in [
        (["--input-json", "[1]"], "`--input-json` is no JSON object"),
        (["--input-json", "{"], "`--input-json` is not JSON: "),
        (["--input", "novalue"], "is not of the form KEY=VALUE"),
        (["--input", "=1"], "is not of the form KEY=VALUE"),
    ] {
        let output = tree.devtask(["run", "a:bare"].iter().chain(&args)).run();
        assert_eq!(output.code, Some(2), "{output}");
        assert!(output.err.contains(words), "{words}\n{output}");
    }
}

#[test]
fn outputs_too_large_for_a_variable_are_in_the_file_only() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        exec = '''printf '"%0*d"' "$SIZE" 1 > "$DEVENV_TASK_OUTPUT_FILE"'''
        [tasks."a:t"]
        after = ["a:up"]
        exec = 'echo "${DEVENV_TASKS_OUTPUTS+set} $(wc -c < "$DEVENV_TASKS_OUTPUTS_FILE")" > seen'
        "#,
    );
    let around = r#"{"a:up":""}"#.len();
    let most = 128 * 1024 - "DEVENV_TASKS_OUTPUTS=".len() - 1;
    for (length, variable) in [(most, "set"), (most + 1, "")] {
        let size = (length - around).to_string();
        let output = tree.devtask(["run", "a:t", "--outputs", "none"]).env("SIZE", size).run();
        assert_eq!(output.code, Some(0), "{output}");
        assert_eq!(tree.read("seen"), format!("{variable} {length}\n"));
        let noted = output.err.contains("Warning           a:t: DEVENV_TASKS_OUTPUTS is left out");
        assert_eq!(noted, variable.is_empty(), "{output}");
    }
}

/// What a script does to its files, and what the failure says; nothing: the task succeeds.
#[test]
fn what_a_task_leaves_is_read_with_care() {
    let cases = [
        (
            "output no JSON",
            r#"echo '{"a":' > "$DEVENV_TASK_OUTPUT_FILE""#,
            "its output is not JSON: EOF while parsing",
        ),
        (
            "two values",
            r#"echo '1 2' > "$DEVENV_TASK_OUTPUT_FILE""#,
            "its output is not JSON: trailing characters",
        ),
        ("blank output", r#"echo > "$DEVENV_TASK_OUTPUT_FILE""#, ""),
        ("output removed", r#"rm "$DEVENV_TASK_OUTPUT_FILE""#, ""),
        ("output moved in", r#"echo 1 > x; mv x "$DEVENV_TASK_OUTPUT_FILE""#, ""),
        ("output a link", r#"ln -sf /etc/passwd "$DEVENV_TASK_OUTPUT_FILE""#, "its output file "),
        (
            "output a pipe",
            r#"rm "$DEVENV_TASK_OUTPUT_FILE"; mkfifo "$DEVENV_TASK_OUTPUT_FILE""#,
            "its output file ",
        ),
        (
            "output a directory",
            r#"rm "$DEVENV_TASK_OUTPUT_FILE"; mkdir "$DEVENV_TASK_OUTPUT_FILE""#,
            "its output file ",
        ),
        ("output huge", r#"truncate -s 3G "$DEVENV_TASK_OUTPUT_FILE""#, "its output file "),
        (
            "exports no base64",
            r#"printf 'A\0a===\0' > "$DEVENV_TASK_EXPORTS_FILE""#,
            "record 1 of its exports file (`A`) is not base64",
        ),
        (
            "exports cut off",
            r#"printf 'A\0YQ==\0B\0' > "$DEVENV_TASK_EXPORTS_FILE""#,
            "record 2 of its exports file has a name and no value",
        ),
        ("exports a link", r#"ln -sf /etc/passwd "$DEVENV_TASK_EXPORTS_FILE""#, "its exports file "),
    ];
    for (name, script, fault) in cases {
        let tree = Sandbox::with(&format!("[tasks.\"a:t\"]\nexec = '''{script}'''\n"));
        let output = tree.devtask(["run", "a:t"]).run();
        assert_eq!(output.code, Some(i32::from(!fault.is_empty())), "{name}\n{output}");
        assert!(output.err.contains(fault), "{name}\n{output}");
        assert!(!output.out.contains("root:"), "{name}: nothing of another file is handed on");
    }
}

#[test]
fn a_failed_task_hands_on_nothing() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        exec = '''echo '{"devenv":{"env":{"X":"1"},"messages":["no"]}}' > "$DEVENV_TASK_OUTPUT_FILE"; exit 3'''
        [tasks."a:t"]
        after = ["a:up@completed"]
        exec = 'echo "${X-unset} $DEVENV_TASKS_OUTPUTS" > seen'
        "#,
    );
    let output = tree.ok("run a:t");
    assert_eq!(tree.read("seen"), "unset {}\n");
    assert_eq!(output.out, "{}\n");
    assert!(!output.err.contains("\nno\n"), "{output}");
}

#[test]
fn messages_are_shown_once_at_the_end_also_from_cached_tasks() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        execIfModified = ["in.txt"]
        exec = '''echo '{"devenv":{"messages":["first\u001b[2J","two\nlines"]}}' > "$DEVENV_TASK_OUTPUT_FILE"'''
        [tasks."a:t"]
        after = ["a:up"]
        exec = "true"
        "#,
    );
    tree.write("in.txt", "");
    for _ in 0..2 {
        let output = tree.ok("run a:t");
        let lines: Vec<&str> = output.err.lines().collect();
        let at = lines.iter().position(|l| *l == "first").unwrap_or_else(|| panic!("{output}"));
        assert_eq!(lines[at..at + 3], ["first", "two", "lines"], "{output}");
        assert!(lines[at - 1].starts_with("Succeeded         a:t"), "{output}");
        assert_eq!(output.err.matches("first").count(), 1, "{output}");
    }
    assert!(!tree.ok("run a:t -q").err.contains("first"));
}

#[test]
fn listed_exports_are_handed_on_however_the_script_ends() {
    let scripts = [
        ("plainly", "X='a b'"),
        ("early", "X='a b'; exit 0; X=c"),
        ("own trap", "trap 'echo bye' EXIT; X='a b'"),
        ("own trap, by the end", "X='a b'; trap : EXIT"),
        ("without -e", "set +e; false; X='a b'; true"),
        ("in a function", "f() { X='a b'; }; f"),
        ("exported", "export X='a b'"),
    ];
    for (name, script) in scripts {
        let tree = Sandbox::with(&format!(
            "[tasks.\"a:up\"]\nexports = [\"X\", \"UNSET\"]\nexec = '''{script}'''\n\
             [tasks.\"a:t\"]\nafter = [\"a:up\"]\nexec = 'echo \"$X ${{UNSET-unset}}\" > seen'\n"
        ));
        let output = tree.devtask(["run", "a:t"]).run();
        assert_eq!(output.code, Some(0), "{name}\n{output}");
        assert_eq!(tree.read("seen"), "a b unset\n", "{name}");
    }
}

#[test]
fn exports_that_cannot_be_seen_are_told() {
    for script in ["trap 'echo bye' EXIT; X=1; exit 0", "X=1; exec true"] {
        let tree = Sandbox::with(&format!("[tasks.\"a:t\"]\nexports = [\"X\"]\nexec = '''{script}'''\n"));
        let output = tree.ok("run a:t");
        assert!(
            output.err.contains("Warning           a:t: its exports were not seen"),
            "{script}\n{output}"
        );
    }
}

#[test]
fn listed_exports_keep_every_character_and_the_exit_code() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:up"]
        exports = ["X", "EMPTY"]
        exec = '''
        X=$'two\nlines\n\'quoted\' "twice" $HOME `x` \\ \t ä'
        EMPTY=
        '''
        [tasks."a:t"]
        after = ["a:up"]
        exec = 'printf %s "$X" > seen; [ "${EMPTY+set}" = set ]'
        [tasks."a:fails"]
        exports = ["X"]
        exec = "X=1; exit 7"
        "#,
    );
    tree.ok("run a:t");
    assert_eq!(tree.read("seen"), "two\nlines\n'quoted' \"twice\" $HOME `x` \\ \t ä");
    tree.expect(7, "run a:fails --exit-code task");
}

#[test]
fn scripts_are_run_by_what_they_ask_for() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:bash"]
        exec = '[[ $BASH_VERSION ]] && echo "bash $*" > seen'
        [tasks."a:sh"]
        package = "sh"
        exec = 'echo "sh $*" > seen'
        [tasks."a:python"]
        package = "python3"
        exec = '''
import sys
open("seen", "w").write("python " + " ".join(sys.argv[1:]) + "\n")
'''
        [tasks."a:path"]
        package = "./tools/run"
        exec = "text"
        [tasks."a:missing"]
        package = "no-such-interpreter"
        exec = "true"
        [tasks."a:nowhere"]
        cwd = "nowhere"
        exec = "true"
        [tasks."a:strict"]
        exec = "false; true"
        [tasks."a:strict-sh"]
        package = "sh"
        exec = "false; true"
        "#,
    );
    tree.write("tools/run", "#!/bin/sh\necho \"own $2 $(cat \"$1\")\" > seen\n");
    tree.chmod("tools/run", 0o755);
    for (task, seen) in [
        ("a:bash", "bash x y z\n"),
        ("a:sh", "sh x y z\n"),
        ("a:python", "python x y z\n"),
        ("a:path", "own x y text\n"),
    ] {
        let output = tree.devtask(["run", task, "--", "x y", "z"]).run();
        assert_eq!(output.code, Some(0), "{task}\n{output}");
        assert_eq!(tree.read("seen"), seen, "{task}");
    }
    for (task, words) in [
        ("a:missing", "there is no interpreter `no-such-interpreter` on PATH: /"),
        ("a:nowhere", "nowhere"),
        ("a:strict", "── a:strict ── exit 1 ──"),
        ("a:strict-sh", "── a:strict-sh ── exit 1 ──"),
    ] {
        let output = tree.expect(1, &format!("run {task}"));
        assert!(output.err.contains(words), "{task}\n{output}");
    }
}

#[test]
fn arguments_reach_the_roots_only() {
    let tree = Sandbox::with(
        "[tasks.\"a:up\"]\nexec = 'echo \"$#\" > up'\n\
         [tasks.\"a:t\"]\nafter = [\"a:up\"]\nexec = 'printf \"%s|\" \"$@\" > seen'\n",
    );
    let output = tree.devtask(["run", "a:t", "--", "-x", "", "a b", "--"]).run();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!((tree.read("up").as_str(), tree.read("seen").as_str()), ("0\n", "-x||a b|--|"));
    assert_eq!(tree.executed(), set("a:up a:t"));
}

/// Numbers are read and written many times on their way: from the task, into the record, out of it.
#[test]
fn a_number_in_an_output_stays_what_it_is() {
    let number = "2.2790121708605243e+274";
    let tree = Sandbox::with(&format!(
        r#"
        [tasks."a:up"]
        execIfModified = ["in.txt"]
        exec = '''echo '{{"n":{number}}}' > "$DEVENV_TASK_OUTPUT_FILE"'''
        [tasks."a:t"]
        after = ["a:up"]
        execIfModified = ["in.txt"]
        exec = "true"
        "#,
    ));
    tree.write("in.txt", "");
    for round in 0..3 {
        let output = tree.ok("run a:t --outputs json");
        assert_eq!(output.out, format!("{{\"a:up\":{{\"n\":{number}}}}}\n"));
        assert_eq!(tree.executed().len(), if round == 0 { 2 } else { 0 }, "{output}");
    }
}
