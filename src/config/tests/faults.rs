use super::*;

#[test]
fn every_fault_of_a_toml_file_has_its_place_and_a_hint() {
    each_is_told(&[
        // unknown keys
        ("naem = 'x'", "unknown-key", "naem", "did you mean `name`?"),
        (
            "[tasks.a]\nexec_if_modified = []",
            "unknown-key",
            "exec_if_modified",
            "did you mean `execIfModified`?",
        ),
        ("[tasks.a]\nperiod = 3", "unknown-key", "period", "`period` belongs to `ready`"),
        ("exec = ''", "unknown-key", "exec", "`exec` belongs to a task"),
        ("[tasks.a]\ncommand = ''", "unknown-key", "command", "did you mean `exec`?"),
        ("[tasks.a]\ncmd = ''", "unknown-key", "cmd", "did you mean `exec`?"),
        ("[processes.a]\nexec = ''\noutputs = []", "unknown-key", "outputs", "`outputs` belongs to a task"),
        (
            "[processes.a]\nexec = ''\n[processes.a.ready]\nnotify = true\nmax = 1",
            "unknown-key",
            "max",
            "`max` belongs to `restart`",
        ),
        ("[settings]\nxyzzy = 1", "unknown-key", "xyzzy", "`settings` has `jobs`, `tail`"),
        // wrong types
        ("tasks = 1", "wrong-type", "1", ""),
        ("tasks = []", "wrong-type", "[]", ""),
        ("[tasks]\na = 'x'", "wrong-type", "'x'", ""),
        ("[tasks.a]\nexec = 1", "wrong-type", "1", "put it in quotes"),
        ("[tasks.a]\nafter = 'x'", "wrong-type", "'x'", "put it in square brackets"),
        ("[tasks.a]\nafter = [1]", "wrong-type", "1", "put it in quotes"),
        ("[tasks.a]\nshowOutput = 'yes'", "wrong-type", "'yes'", ""),
        ("[tasks.a.env]\nA = 1", "wrong-type", "1", "put it in quotes"),
        ("[tasks.a]\ninput = 1", "wrong-type", "1", ""),
        ("[tasks.a]\nexec = 1979-05-27", "wrong-type", "1979-05-27", ""),
        ("[processes.a]\nexec = ''\nports.http = 8080", "wrong-type", "8080", ""),
        // names
        ("[tasks.'a b']", "bad-name", "'a b'", "`a-b` is a legal spelling"),
        ("[tasks.'a:']", "bad-name", "'a:'", "`a` is a legal spelling"),
        ("[tasks.'']", "bad-name", "''", "names have ASCII letters"),
        ("[tasks.a]\nafter = ['b c']", "bad-name", "'b c'", "`b-c` is a legal spelling"),
        ("[tasks.a]\nafter = ['@ready']", "bad-name", "'@ready'", "names have"),
        ("[tasks.a]\nafter = ['b@x@ready']", "bad-name", "'b@x@ready'", "`b-x` is a legal spelling"),
        ("[processes.'a:b']", "bad-name", "'a:b'", "the name of its task has the colons"),
        // suffixes
        ("[tasks.a]\nafter = ['b@complete']", "bad-suffix", "'b@complete'", "did you mean `@completed`?"),
        ("[tasks.a]\nbefore = ['b@']", "bad-suffix", "'b@'", "one of `@started`, `@ready`"),
        // lengths of time
        ("[tasks.a]\ntimeout = '5 parsecs'", "bad-duration", "'5 parsecs'", "write a number of seconds"),
        ("[tasks.a]\ntimeout = -1", "bad-duration", "-1", "write a number of seconds"),
        ("[tasks.a]\ntimeout = nan", "bad-duration", "nan", "write a number of seconds"),
        ("[tasks.a]\ntimeout = 1e300", "bad-duration", "1e300", "write a number of seconds"),
        ("[tasks.a]\ntimeout = 0", "bad-duration", "0", "leave it out"),
        (
            "[processes.a]\nexec = ''\n[processes.a.shutdown]\ngrace = 'x'",
            "bad-duration",
            "'x'",
            "write a number of seconds",
        ),
        // values
        ("[tasks.a]\ntype = 'proces'", "bad-value", "'proces'", "did you mean `process`?"),
        ("[tasks.a]\ntype = 'x'", "bad-value", "'x'", "one of `oneshot`, `process`"),
        ("[tasks.a]\nretries = -1", "bad-value", "-1", "0 to 4294967295 is possible"),
        ("[tasks.a]\nretries = 99999999999999999999", "bad-value", "99999999999999999999", ""),
        ("[tasks.a]\ninput = { a = inf }", "bad-value", "{ a = inf }", "leave out `nan` and `inf`"),
        ("[tasks.a]\nlock = ''", "bad-value", "''", ""),
        ("[tasks.a]\ntrackEnv = ['A*B']", "bad-value", "'A*B'", "a `*` stands at the end only"),
        ("[tasks.a]\nexports = ['A-B']", "bad-value", "'A-B'", ""),
        ("[tasks.a]\nexports = ['A']\npackage = 'node'", "bad-value", "['A']", "write the pairs to"),
        ("[tasks.a]\npackage = ''", "bad-value", "''", "leave it out for bash"),
        ("[env]\n'A=B' = ''", "bad-value", "'A=B'", "a name is not empty"),
        ("[tasks.a]\nexec = \"a\\u0000b\"", "bad-value", "\"a\\u0000b\"", "remove it"),
        ("[tasks.a]\nprocess = {}", "bad-value", "{}", "add `type = \"process\"`"),
        ("[tasks.a]\ntype = 'process'\nexec = ''\noutputs = ['a']", "bad-value", "['a']", "remove it"),
        ("[settings]\njobs = 0", "bad-value", "0", "leave it out"),
        ("[settings]\nui = 'fancy'", "bad-value", "'fancy'", "one of `auto`, `inline`, `plain`, `none`"),
        (
            "[processes.a]\nexec = ''\n[processes.a.shutdown]\nsignal = 'TREM'",
            "bad-value",
            "'TREM'",
            "did you mean `TERM`?",
        ),
        (
            "[processes.a]\nexec = ''\n[processes.a.shutdown]\nsignal = 32",
            "bad-value",
            "32",
            "signals are numbered from 1 to 31",
        ),
        (
            "[processes.a]\nexec = ''\n[processes.a.ready]\nperiod = 1",
            "bad-value",
            "[processes.a.ready]",
            "one of `exec`, `http`, `tcp`",
        ),
        (
            "[processes.a]\nexec = ''\nready = { notify = true, log = 'x' }",
            "bad-value",
            "{ notify = true, log = 'x' }",
            "one of",
        ),
        (
            "[processes.a]\nexec = ''\n[processes.a.ready]\ntcp = 0",
            "bad-value",
            "0",
            "a port is a number from 1 to 65535",
        ),
        (
            "[processes.a]\nexec = ''\n[processes.a.ready]\ntcp = 'localhost:x'",
            "bad-value",
            "'localhost:x'",
            "a port is a number",
        ),
        ("[processes.a]\nexec = ''\nready.http.get = {}", "missing-key", "{}", "add `port`"),
        (
            "[processes.a]\nexec = ''\nlisten = [{ name = 'a', kind = 'tcp' }]",
            "missing-key",
            "{ name = 'a', kind = 'tcp' }",
            "`address` for tcp",
        ),
        ("[processes.a]\nexec = ''\nwatchdog = {}", "missing-key", "{}", "add `usec`"),
        // patterns
        ("[tasks.a]\nexecIfModified = ['a[']", "bad-glob", "[", "write `[[]` for the character"),
        ("[tasks.a]\nexecIfModified = ['!']", "bad-glob", "!", "write `.` for the directory"),
        ("[tasks.a]\nexecIfModified = ['']", "bad-glob", "''", "write `.` for the directory"),
        ("[tasks.a]\nexecIfModified = ['${root}/ü/[z-a]x']", "bad-glob", "[z-a", "the smaller character"),
        ("[tasks.a]\nexecIfModified = [\"\\u00fc/[z-a]\"]", "bad-glob", "\"\\u00fc/[z-a]\"", "the smaller"),
        ("[tasks.a]\nexecIfModified = ['*/../x']", "bad-glob", "*/../x", "put `..` first"),
        ("[tasks.a]\noutputs = ['{a']", "bad-glob", "{a", "write `[{]` for the character"),
        // rules between fields
        ("[tasks.a]\nstatus = 'x'", "status-without-exec", "'x'", "add `exec`"),
        (
            "[tasks.a]\nexec = ''\nstatus = 'x'\nexecIfModified = ['y']",
            "status-with-exec-if-modified",
            "'x'",
            "keep one",
        ),
        ("[tasks.a]\noutputs = ['../../../x']", "output-outside-root", "'../../../x'", "the root is /r"),
        ("[tasks.a]\noutputs = ['/tmp/x']", "output-outside-root", "'/tmp/x'", "the root is /r"),
        ("[tasks.a]\noutputs = ['{a,/tmp}/x']", "output-outside-root", "'{a,/tmp}/x'", "the root is /r"),
        // substitution
        ("[tasks.a]\nexec = '${git.root}'", "no-git-root", "'${git.root}'", "use `${root}`"),
        (
            "[tasks.a]\ncwd = '${git.rot}'",
            "unknown-substitution",
            "'${git.rot}'",
            "did you mean `${git.root}`?",
        ),
        // checks
        (
            "[checks.a]\nfiles = []",
            "check-without-exec",
            "a",
            "add `exec`, the command that fails if something is wrong",
        ),
        (
            "[checks.a]\nexec = ' '",
            "check-without-exec",
            "a",
            "add `exec`, the command that fails if something is wrong",
        ),
        (
            "[checks.a]\nexec = 'x'\nbefore = ['b']",
            "bad-value",
            "['b']",
            "remove it: what is to come after a check runs `devtask check`",
        ),
        (
            "[checks.'a:b']\nexec = 'x'",
            "bad-name",
            "'a:b'",
            "its task gets the project's name: `check:<project>:<name>`",
        ),
        ("[checks.a]\nexec = 'x'\nfiles = ['[']", "bad-glob", "[", "write `[[]` for the character"),
        ("[checks.a]\nexec = 'x'\nexecIfModified = ['[']", "bad-glob", "[", "write `[[]` for the character"),
        (
            "[checks.a]\nexec = 'x'\nlink = ['/tmp']",
            "bad-value",
            "'/tmp'",
            "name an ignored directory of the tree",
        ),
        ("[checks.a]\nexec = 'x'\ntimeout = 0", "bad-duration", "0", "leave it out"),
        ("[checks.a]\nexec = 'x'\nlock = ''", "bad-value", "''", ""),
        ("[checks.a]\nexec = 'x'\ntrackEnv = ['*']", "bad-value", "'*'", "a `*` stands at the end"),
        (
            "[checks.a]\nexec = 'x'\npass_filenames = true",
            "unknown-key",
            "pass_filenames",
            "did you mean `pass_files`?",
        ),
        ("[checks.a]\nexec = 'x'\noutputs = ['y']", "unknown-key", "outputs", "`outputs` belongs to a task"),
        // syntax
        ("[tasks.a\nexec = ''", "syntax", "", ""),
        ("name = ", "syntax", "", ""),
        ("name = 'a'\nname = 'b'", "duplicate-key", "name", ""),
    ]);
}

#[test]
fn every_fault_of_a_json_file_has_its_place() {
    for (text, code, at) in [
        (r#"{"naem": "x"}"#, "unknown-key", r#""naem""#),
        (r#"{"name": null}"#, "wrong-type", "null"),
        (r#"{"tasks": {"a": {"exec": 1.5}}}"#, "wrong-type", "1.5"),
        (r#"{"tasks": {"a": {}, "a": {}}}"#, "duplicate-key", r#""a""#),
        (r#"{"tasks": {"ü ü": {}}}"#, "bad-name", r#""ü ü""#),
        (r#"{"tasks": {"a": {"retries": 1e400}}}"#, "bad-value", "0"),
        (r#"{"tasks": {"a": {"retries": 1e40}}}"#, "wrong-type", "1e40"),
        (r#"[]"#, "wrong-type", "[]"),
        (r#""x""#, "wrong-type", r#""x""#),
        ("{} // x", "syntax", "/"),
        ("{/* x */}", "syntax", "/"),
        (r#"{"name": "x",}"#, "syntax", "}"),
        (r#"{'name': "x"}"#, "syntax", "'"),
        (r#"{name: "x"}"#, "syntax", "n"),
        (r#"{"name": +1}"#, "syntax", "+"),
        (r#"{"name": "x"} {}"#, "syntax", "{"),
        ("", "syntax", ""),
        ("{", "syntax", "{"),
        ("{\n\"name\": \"ü", "syntax", "ü"),
    ] {
        let (_, faults) = json(text);
        let seen = seen(text, &faults);
        assert_eq!(seen.len(), 1, "{text}: {seen:?}");
        assert_eq!((seen[0].0, seen[0].1), (code, at), "{text}: {faults:?}");
    }
}

#[test]
fn a_double_key_is_shown_with_the_first_one() {
    for (text, first, second) in [
        ("name = 'a'\nname = 'b'", 0, 11),
        ("[tasks.a]\nexec='x'\n[tasks.a]\nexec='y'\n[tasks.b]", 7, 26),
        ("[tasks.b]\nenv.a=''\n[tasks.a]\n[tasks.a]", 26, 36),
        ("[tasks.b]\nexec=''\n[tasks.a]\nexec=''\n'exec'=''", 28, 36),
        ("[tasks.a]\nenv={A='',A=''}", 15, 20),
        ("[tasks.a]\n[tasks]\na = {}", 7, 18),
    ] {
        let faults = parse_toml(SOURCE, text).faults;
        let starts: Vec<_> =
            faults.iter().map(|f| f.labels.iter().map(|l| l.place.span.start).collect::<Vec<_>>()).collect();
        assert_eq!(starts, [vec![second, first]], "{text}");
        assert_eq!(faults[0].code, "duplicate-key", "{text}");
    }
}

#[test]
fn all_faults_are_reported_at_once_in_their_order() {
    let text = "nmae = 'x'\n[tasks.a]\nexec = 1\nretries = 'x'\nafter = ['b c', 'd@x']\n[tasks.b]\nfoo = 1\n";
    let file = parse_toml(SOURCE, text);
    let codes: Vec<_> = file.faults.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["unknown-key", "wrong-type", "wrong-type", "unknown-key"]);
    let declared = file.declare(&scope(), &BTreeMap::new());
    assert_eq!(declared.faults.iter().map(|f| f.code).collect::<Vec<_>>(), ["bad-name", "bad-suffix"]);
    let names: Vec<_> = declared.declarations.iter().map(|d| d.task.name.as_str()).collect();
    assert_eq!(names, ["web:a", "web:b"], "a faulty task is still declared");
    assert_eq!(declared.declarations[0].after.len(), 1, "an edge with a bad suffix is still known");
}

#[test]
fn a_syntax_fault_hides_nothing_before_it_and_invents_nothing_behind_it() {
    let text = "[tasks.a]\nfoo = 1\n[tasks.b\nexec = 'x'\nretries = 'y'\n";
    let file = parse_toml(SOURCE, text);
    assert_eq!(file.faults.iter().map(|f| f.code).collect::<Vec<_>>(), ["unknown-key", "syntax"]);
    assert!(!file.complete);
    assert!(parse_toml(SOURCE, "").complete);
    assert!(!parse_json(SOURCE, "[]").complete);
}

#[test]
fn whole_numbers_of_json_are_exact_or_refused() {
    for (number, exact) in [
        ("9223372036854775807", true),
        ("-9223372036854775808", true),
        ("9223372036854775808", true),
        ("18446744073709551615", true),
        ("18446744073709551616", false),
        ("-9223372036854775809", false),
        ("1e400", false),
        ("-1e400", false),
    ] {
        let text = format!(r#"{{"tasks": {{"a": {{"input": {{"n": {number}}}}}}}}}"#);
        let (list, faults) = json(&text);
        if exact {
            assert_eq!(faults, [], "{number}");
            let input = &list[0].task.input.as_ref().unwrap().value;
            assert_eq!(input["n"].to_string(), number);
        } else {
            let told: Vec<_> = faults.iter().map(|f| (f.code, &*f.message)).collect();
            assert_eq!(told, [("bad-value", "this number is out of range")], "{number}");
            let start = text.find(number).unwrap();
            let at = faults[0].labels[0].place.span.start;
            assert!((start..start + number.len()).contains(&at), "{number}");
        }
    }
}
