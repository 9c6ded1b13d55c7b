use super::*;
use crate::pattern::{PatternKind, PatternSet};

#[test]
fn every_fault_of_a_process_has_its_place_and_a_hint() {
    each_is_told(&[
        // ports
        (
            "[tasks.a]\nexec = '${ports.http}'",
            "port-without-process",
            "'${ports.http}'",
            "write `${ports.<process>.http}`",
        ),
        ("[env]\nA = '${ports.http}'", "port-without-process", "'${ports.http}'", "write `${ports."),
        ("[tasks.a]\nexec = ''\nstatus = '${ports.a}'", "port-without-process", "'${ports.a}'", "write"),
        ("[tasks.a]\ncwd = '${ports.a.b}'", "no-ports-here", "'${ports.a.b}'", "ports can stand in `exec`"),
        ("[tasks.a]\noutputs = ['${ports.a.b}']", "no-ports-here", "'${ports.a.b}'", "ports can stand in"),
        (
            "[processes.a]\nexec = ''\ncwd = '${ports.b}'",
            "no-ports-here",
            "'${ports.b}'",
            "ports can stand in",
        ),
        (
            "[processes.a]\nexec = ''\nwatch.paths = ['${ports.b}']",
            "no-ports-here",
            "'${ports.b}'",
            "ports can stand in",
        ),
        ("[processes.a]\nexec = '${ports.a.b.c}'", "unknown-substitution", "'${ports.a.b.c}'", "there are"),
        (
            "[processes.a]\nexec = ''\nports.'a.b'.allocate = 1",
            "bad-name",
            "'a.b'",
            "names have ASCII letters, digits",
        ),
        // processes
        ("[processes.a]", "process-without-exec", "a", "add `exec`"),
        ("[tasks.a]\ntype = 'process'", "process-without-exec", "a", "add `exec`"),
        ("[processes.a]\nexec = ''\nready.tcp = ':80'", "bad-value", "':80'", "write `127.0.0.1` before"),
        ("[processes.a]\nexec = ''\nready.tcp = '[]:80'", "bad-value", "'[]:80'", "write `127.0.0.1` before"),
        (
            "[processes.a]\nexec = ''\nready.tcp = '${port.a}'",
            "bad-value",
            "'${port.a}'",
            "a port is a number",
        ),
        ("[processes.a]\nexec = ''\nready.tcp = 'h:+80'", "bad-value", "'h:+80'", "a port is a number"),
        (
            "[processes.a]\nexec = ''\nready.tcp = 'h:1${ports.a}'",
            "bad-value",
            "'h:1${ports.a}'",
            "a port is",
        ),
        ("[processes.a]\nexec = ''\nready.http.get.port = '${root}'", "bad-value", "'${root}'", "a port is"),
        ("[processes.a]\nexec = ''\nready = { log = '' }", "bad-value", "''", "write `.`"),
        ("[processes.a]\nexec = ''\nready = { log = 'a(b' }", "bad-pattern", "(", "put `\\` before"),
        (
            "[processes.a]\nexec = ''\nready = { log = '${root}' }",
            "bad-pattern",
            "'${root}'",
            "put `\\` before",
        ),
        (
            "[processes.a]\nexec = ''\nready = { log = '${ports.a}(' }",
            "bad-pattern",
            "'${ports.a}('",
            "put `\\` before",
        ),
        (
            "[processes.a]\nexec = ''\nready = { notify = true, success_threshold = 0 }",
            "bad-value",
            "0",
            "leave it out",
        ),
        (
            "[processes.a]\nexec = ''\nready = { notify = true, failure_threshold = 0 }",
            "bad-value",
            "0",
            "leave it out",
        ),
        ("[processes.a]\nexec = ''\nready = { exec = '', period = 0 }", "bad-duration", "0", "leave it out"),
        (
            "[processes.a]\nexec = ''\nready = { exec = '', probe_timeout = '0s' }",
            "bad-duration",
            "'0s'",
            "leave",
        ),
        (
            "[processes.a]\nexec = ''\nready = { exec = '', timeout = 0.0 }",
            "bad-duration",
            "0.0",
            "leave it out",
        ),
        ("[processes.a]\nexec = ''\nwatchdog.usec = 0", "bad-value", "0", "leave `watchdog` out"),
        (
            "[processes.a]\nexec = ''\nlisten = [{ name = '', kind = 'tcp', address = 'h:1' }]",
            "bad-name",
            "''",
            "a name is not empty",
        ),
        (
            "[processes.a]\nexec = ''\nlisten = [{ name = 'x:y', kind = 'tcp', address = 'h:1' }]",
            "bad-name",
            "'x:y'",
            "a name is not empty",
        ),
        (
            "[processes.a]\nexec = ''\nlisten = [{ name = \"x\\n\", kind = 'tcp', address = 'h:1' }]",
            "bad-name",
            "\"x\\n\"",
            "a name is not empty",
        ),
        (
            "[processes.a]\nexec = ''\nlisten = [{ name = 'x', kind = 'tcp', address = 'h:1' }, { name = \"x\", kind = 'tcp', address = 'h:2' }]",
            "duplicate-socket",
            "\"x\"",
            "rename one",
        ),
        ("[processes.a]\nexec = ''\nwatch.extensions = ['rs']", "missing-key", "['rs']", "add `paths"),
        ("[processes.a]\nexec = ''\nwatch = { paths = ['['] }", "bad-glob", "[", "write `[[]`"),
        ("[processes.a]\nexec = ''\nwatch = { paths = [''] }", "bad-glob", "''", "write `.`"),
        (
            "[processes.a]\nexec = ''\nwatch = { paths = ['.'], ignore = ['a', '}'] }",
            "bad-glob",
            "}",
            "write `[}]`",
        ),
        ("[processes.a]\nexec = ''\nwatch = { paths = ['.'], ignore = ['!a'] }", "bad-value", "'!a'", "what"),
        (
            "[processes.a]\nexec = ''\nwatch = { paths = ['.'], extensions = ['.'] }",
            "bad-value",
            "'.'",
            "write it",
        ),
        (
            "[processes.a]\nexec = ''\nwatch = { paths = ['.'], extensions = ['a/b'] }",
            "bad-value",
            "'a/b'",
            "write",
        ),
    ]);
}

#[test]
fn an_address_of_a_socket_has_a_host_and_a_port() {
    for (address, hint) in [
        ("localhost:80", None),
        ("[::1]:80", None),
        ("h:${ports.a}", None),
        ("h:${ports.web:api.a}", None),
        ("${ports.a}:80", None),
        ("80", Some("write `127.0.0.1:<port>`")),
        ("${ports.a}", Some("write `127.0.0.1:<port>`")),
        (":80", Some("write `127.0.0.1:<port>`")),
        ("[]:80", Some("write `127.0.0.1:<port>`")),
        ("::1:80", Some("write `[::1]:<port>`")),
        ("h:", Some("a port is a number")),
        ("h:0", Some("a port is a number")),
        ("h:65536", Some("a port is a number")),
        ("h:http", Some("a port is a number")),
        ("h:${root}", Some("a port is a number")),
        ("h:${ports.a}0", Some("a port is a number")),
    ] {
        let listen = format!("[{{ name = 'x', kind = 'tcp', address = '{address}' }}]");
        let text = format!("[processes.a]\nexec = ''\nlisten = {listen}");
        let faults = toml(&text).1;
        let seen = seen(&text, &faults);
        let quoted = format!("'{address}'");
        match hint {
            None => assert_eq!(seen, [], "{address}"),
            Some(hint) => {
                assert_eq!((seen.len(), seen[0].0, seen[0].1), (1, "bad-value", quoted.as_str()), "{seen:?}");
                assert!(seen[0].2.starts_with(hint), "{seen:?}");
            }
        }
    }
}

#[test]
fn references_to_ports_are_kept_with_their_places() {
    let text = r#"
env = { F = "${ports.f.p}" }
[tasks.none]
[tasks.a]
exec = "${ports.b.http} ${ports.web:b.http} ${HOME}"
status = "${ports.b.status}"
env = { A = "${ports.b.env}" }
input = { a = ["${ports.b.input}"] }
[processes.b]
exec = "${ports.http}"
env = { A = "${ports.b.env}" }
ports.http.allocate = 8080
listen = [
    { name = "t", kind = "tcp", address = "h:${ports.tcp}" },
    { name = "u", kind = "unix_stream", path = "s${ports.unix}" },
]
[processes.c]
exec = ""
ready.exec = "${ports.exec}"
[processes.d]
exec = ""
ready.http.get = { host = "${ports.host}", port = "${ports.port}", path = "${ports.path}" }
[processes.e]
exec = ""
ready.tcp = "${ports.host}:${ports.port}"
[processes.f]
exec = ""
ready.log = "on ${ports.p}$"
"#;
    let (list, faults) = toml(text);
    assert_eq!(faults, []);
    let told: Vec<String> = list
        .iter()
        .map(|declaration| {
            for used in &declaration.ports {
                let written = &text[used.place.as_ref().unwrap().span.clone()];
                assert!(written.contains(&used.port.to_string()), "{written}");
            }
            let ports = declaration.ports.iter();
            ports
                .map(|u| u.port.to_string().replace("${ports.", "").replace('}', ""))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let expected = [
        "f.p",
        "b.http web:b.http b.input b.env b.status",
        "http b.env tcp unix",
        "exec",
        "port host path",
        "host port",
        "p",
    ];
    let sorted = |text: &str| {
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        words.sort();
        words
    };
    let (told, expected) = (told.iter().map(|t| sorted(t)), expected.iter().map(|e| sorted(e)));
    assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

/// Entries of `watch`, divided by `; `: paths, extensions and what is ignored; a path; whether its change counts.
const WATCHED: &[(&str, &str, bool)] = &[
    // a file or a directory, whichever it is
    ("'src'", "src", true),
    ("'src'", "src/a/b.rs", true),
    ("'src'", "src/.hidden/x", false),
    ("'src'", "src2", false),
    ("'src'", "sr", false),
    ("'src/'", "src/a", true),
    ("'src/'", "src", false),
    ("'a'", "a", true),
    ("'a'", "a/x", true),
    ("'a.toml'", "a.toml", true),
    ("'a-'", "a-", true),
    ("'a-'", "a-/x", true),
    ("'a^'", "a^", true),
    ("'a^'", "ab", false),
    ("'a,b'", "a,b", true),
    ("'a,'", "a,", true),
    ("'a,'", "a,/x", true),
    ("'a,'", "a", false),
    (r"'a\*'", "a*", true),
    (r"'a\*'", "a*/x", true),
    (r"'a\*'", "ab", false),
    (r"'a\\'", r"a\", true),
    ("'ü'", "ü", true),
    ("'ü'", "ü/x", true),
    ("'./src/.'", "src/a", true),
    ("'.'", "a/b", true),
    ("'.'", ".env", false),
    ("'..'", "../lib/a", true),
    ("'../lib'", "../lib/a", true),
    ("'${root}/a[b]'", "../../ab", true),
    ("'/etc'", "/etc/hosts", true),
    ("'/'", "/etc/hosts", true),
    // what is hidden means itself
    ("'.env'", ".env", true),
    ("'.config'", ".config/.x", true),
    ("'.config/'", ".config/x", true),
    ("'.config/'", ".config/.x", false),
    // globs are what they are for tasks
    ("'*.rs'", "a.rs", true),
    ("'*.rs'", "b/a.rs", false),
    ("'src', '!src/gen'", "src/gen/a", false),
    ("'{a,b}'", "b/.x", true),
    // extensions
    ("'src'; 'rs'", "src/a/b.rs", true),
    ("'src'; 'rs'", "src/a/b.md", false),
    ("'src'; 'rs'", "src", false),
    ("'src'; '.rs', 'd.ts'", "src/b.rs", true),
    ("'src'; '.rs', 'd.ts'", "src/b.d.ts", true),
    ("'src'; '.rs', 'd.ts'", "src/b.ts", false),
    ("'src'; 'a,b'", "src/x.a,b", true),
    ("'src'; '*'", "src/x.a", false),
    ("'a.rs'; 'md', 'rs'", "a.rs", true),
    ("'a.rs'; 'md', 'rs'", "a.rs/x.md", true),
    ("'a.rs'; 'md', 'rs'", "a.rs/x", false),
    ("'a.rs'; 'md'", "a.rs", false),
    ("'.env'; 'rs'", ".env", false),
    ("'.a.rs'; 'rs'", ".a.rs", true),
    ("'.'; 'rs'", "a/b.rs", true),
    ("'src/*'; 'rs'", "src/a.rs", true),
    ("'src/*'; 'rs'", "src/a.md", false),
    ("'src/**'; 'rs'", "src/a/b.rs", true),
    ("'src/**'; 'rs'", "src/a/b.md", false),
    ("'*/src'; 'rs'", "a/src/b/c.rs", true),
    ("'*/src/'; 'rs'", "a/src/b/c.rs", true),
    ("'*/src'; 'rs'", "a/src/b/c.md", false),
    ("'*.rs'; 'rs'", "a.rs", true),
    ("'src', '!src/a'; 'rs'", "src/a/b.rs", false),
    // what is ignored
    ("'.'; ; 'node_modules', '*.tmp'", "a/b", true),
    ("'.'; ; 'node_modules', '*.tmp'", "node_modules/b", false),
    ("'.'; ; 'node_modules', '*.tmp'", "a/node_modules/b/c", false),
    ("'.'; ; 'node_modules', '*.tmp'", "x.tmp", false),
    ("'.'; ; 'node_modules', '*.tmp'", "a/b/x.tmp", false),
    ("'.'; ; 'gen/'", "a/gen/b", false),
    ("'.'; ; 'a/gen', 'b/*.x'", "a/gen/b", false),
    ("'.'; ; 'a/gen', 'b/*.x'", "b/a/gen/b", true),
    ("'.'; ; 'a/gen', 'b/*.x'", "b/1.x", false),
    ("'.'; ; 'a/gen', 'b/*.x'", "b/c/1.x", true),
    ("'.'; ; 'web'", "a", true),
    ("'.'; ; '${project}'", "a/web/x", false),
    ("'.config'; ; '.x'", ".config/.x", false),
    ("'../lib'; ; 'gen'", "../lib/a", true),
    ("'../lib'; ; 'gen'", "../lib/x/gen/a", false),
    ("'${root}/lib/'; ; 'gen'", "../../lib/gen/a", false),
    ("'../lib'; ; 'apps'", "../lib/a", true),
    ("'src'; 'rs'; 'b.rs'", "src/a/b.rs", false),
];

#[test]
fn what_is_watched_becomes_patterns() {
    for (written, path, expected) in WATCHED {
        let mut parts = written.split(';');
        let lists = ["paths", "extensions", "ignore"].map(|key| {
            let entries = parts.next().unwrap_or_default().trim();
            format!("{key} = [{}]", entries)
        });
        let task = one(&format!("[processes.a]\nexec = 'x'\nwatch = {{ {} }}", lists.join(", "))).task;
        let values: Vec<String> = task.exec_if_modified.iter().map(|p| p.value.clone()).collect();
        let set = PatternSet::new(&task.pattern_bases, &values, PatternKind::Inputs).unwrap();
        let absolute = normalise(&task.cwd.join(path));
        assert_eq!(set.matches(&absolute), *expected, "{written} on {path}: {values:?}");
        assert!(!task.can_be_fresh());
    }
    let task = one("[processes.a]\nexec = 'x'\nwatch = { paths = ['src'], ignore = ['x'] }").task;
    let written: Vec<_> = task.exec_if_modified.iter().map(|p| (&*p.written, &*p.value)).collect();
    assert_eq!(written, [("src", "sr{c/**,[c]}"), ("!x", "!**/x")]);
    let nothing = one("[processes.a]\nexec = 'x'\nwatch = { paths = [] }").task;
    assert_eq!(nothing.exec_if_modified, []);
}
