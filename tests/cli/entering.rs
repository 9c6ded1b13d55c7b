//! Entering a tree: the shell and what it finds, what is exported; and the manual.

mod manual;
#[cfg(target_os = "linux")]
mod typed;

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use super::support::{Sandbox, eventually};

/// Exports something of every kind, and greets.
const TREE: &str = r#"
name = "app"
[env]
OF_FILE = "file"
BOTH = "file"
[tasks.setup]
before = ["devenv:enterShell"]
execIfModified = ["in"]
exports = ["BOTH", "WORDS", "PATH"]
exec = '''
BOTH=exported
WORDS=$'it\'s "two"\n$HOME `x` \\'
PATH=$PWD/bin:$PATH
echo run >> runs
echo '{"devenv": {"messages": ["welcome", "two\nlines"], "env": {"OF_JSON": "json"}}}' > $DEVENV_TASK_OUTPUT_FILE
'''
"#;

const WORDS: &str = "it's \"two\"\n$HOME `x` \\";

fn tree() -> Sandbox {
    let tree = Sandbox::with(TREE);
    tree.write("in", "1");
    tree
}

#[test]
fn a_command_finds_what_is_exported() {
    let tree = tree();
    let script = "printf '%s|' \"$OF_FILE\" \"$BOTH\" \"$WORDS\" \"$OF_JSON\" \"${PATH%%:*}\" \"$DEVENV_ROOT\" \
                  \"$DEVENV_DOTFILE\" \"$DEVENV_STATE\" \"$DEVTASK_SHELL\" \"$@\"";
    let output = tree.devtask(["shell", "--", "sh", "-c", script, "sh", "-x", "a b"]).run();
    let root = tree.root().display();
    let expected = format!(
        "file|exported|{WORDS}|json|{root}/bin|{root}|{root}/.devtask|{root}/.devtask/state|{root}|-x|a b|"
    );
    assert_eq!((output.code, output.out.as_str()), (Some(0), expected.as_str()), "{output}");
    // The run is told as ever, what tasks want to be said comes last.
    assert!(output.err.starts_with("Running tasks     devenv:enterShell\n"), "{output}");
    assert!(output.err.ends_with("s\nwelcome\ntwo\nlines\n"), "{output}");
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    let tree = tree();
    for (line, code) in
        [("true", 0), ("false", 1), ("sh -c exit\u{20}7", 7), ("./absent", 127), ("./in", 126)]
    {
        let words = if line.starts_with("sh") { vec!["sh", "-c", "exit 7"] } else { vec![line] };
        let output = tree.devtask(["shell", "--"].into_iter().chain(words)).run();
        assert_eq!(output.code, Some(code), "{line}\n{output}");
    }
    let output = tree.devtask(["shell", "--", "sh", "-c", "kill -TERM $$"]).run();
    assert_eq!(output.signal, Some(15), "{output}");
}

#[test]
fn the_tree_is_free_while_the_shell_is_open() {
    let tree = tree();
    let shell =
        tree.devtask(["shell", "--", "sh", "-c", "touch open; while test ! -e done; do sleep 0.01; done"]);
    let shell = shell.start();
    eventually("it is open", || tree.exists("open"));
    tree.ok("run --no-wait setup");
    tree.write("done", "");
    assert_eq!(shell.finish().code, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_of_the_run_is_left_to_the_shell() {
    let tree = tree();
    let script = "read -r children < /proc/$$/task/$$/children; printf '%s' \"$children\"; (sleep 60 & echo $! > orphan); read orphan < orphan; \
                  while read key value; do test $key != PPid: || parent=$value; done < /proc/$orphan/status; \
                  kill $orphan; test $parent = $$ && echo adopted";
    let output = tree.devtask(["shell", "--", "bash", "-c", script]).run();
    assert_eq!(output.out, "", "{output}");
    assert_eq!(tree.read("runs"), "run\n");
}

#[test]
fn a_task_that_fails_is_a_warning_to_a_shell_and_nothing_for_an_eval() {
    let tree = tree();
    tree.append("devtask.toml", "[tasks.bad]\nexec = 'exit 3'\nbefore = ['devenv:enterShell']\n");
    let output = tree.devtask(["shell", "--", "sh", "-c", "echo $BOTH in; exit 5"]).run();
    assert_eq!((output.code, output.out.as_str()), (Some(5), "exported in\n"), "{output}");
    assert!(
        output.err.contains("warning: what failed exports nothing; the shell opens without it\n"),
        "{output}"
    );
    tree.ok("allow");
    for shell in ["bash", "zsh", "fish", "direnv", "json"] {
        let output = tree.expect(1, &format!("export --shell {shell}"));
        assert_eq!(output.out, "", "{output}");
        assert!(output.err.contains("Failed            app:bad"), "{output}");
    }
}

#[test]
fn what_is_exported_is_evaluated_by_shells() {
    let tree = tree();
    tree.ok("allow");
    let devtask = super::support::DEVTASK;
    let script =
        "printf '%s|' \"$OF_FILE\" \"$BOTH\" \"$WORDS\" \"$OF_JSON\" \"$DEVENV_ROOT\"; echo ${PATH%%:*}";
    let fish = "printf '%s|' $OF_FILE $BOTH $WORDS $OF_JSON $DEVENV_ROOT; echo $PATH[1]";
    let root = tree.root().display();
    for (shell, read) in [
        ("bash", format!("eval \"$({devtask} export --shell bash)\"; {script}")),
        ("zsh", format!("eval \"$({devtask} export --shell zsh)\"; {script}")),
        ("fish", format!("{devtask} export --shell fish | source; {fish}")),
    ] {
        let is_here = Command::new(shell).args(["-c", "exit 0"]).output().is_ok();
        if !is_here && shell != "bash" {
            eprintln!("{shell} is not on PATH: nothing is proved of it");
            continue;
        }
        let output = tree.devtask([""; 0]).start_under("env", &[shell, "-c", &read]).finish();
        assert_eq!(
            output.out,
            format!("file|exported|{WORDS}|json|{root}|{root}/bin\n"),
            "{shell}\n{output}"
        );
    }
    assert_eq!(tree.read("runs"), "run\n", "once, for all of them");

    let json = tree.ok("export --shell json").json();
    assert_eq!((&json["WORDS"], &json["OF_JSON"]), (&WORDS.into(), &"json".into()));
    let path = json["PATH"].as_str().unwrap();
    assert_eq!(path, format!("{root}/bin:{}", std::env::var("PATH").unwrap()));
}

#[test]
fn what_is_fresh_goes_without_saying_but_for_messages() {
    let tree = tree();
    tree.ok("allow");
    tree.ok("export --shell bash");
    let first = tree.ok("export --shell bash");
    assert_eq!(first.err, "welcome\ntwo\nlines\n");
    assert_eq!(tree.ok("export --shell bash -q").err, "");
    let told = tree.ok("export --shell bash -v");
    assert!(told.err.contains("Cached            app:setup"), "{told}");
    // Also once it is settled as a whole.
    let again = || tree.ok("--granularity 20ms export --shell bash").out;
    eventually("it is settled", || {
        assert_eq!(again(), first.out);
        tree.path(".devtask/settled").read_dir().is_ok_and(|mut kept| kept.next().is_some())
    });
    assert_eq!(again(), first.out);
}

#[test]
fn of_several_exports_the_last_in_the_order_of_the_graph_counts() {
    let tree = Sandbox::with(
        "[tasks]\nz = { exec = 'A=z; B=z; C=z', exports = ['A', 'B', 'C'] }\n\
         m = { exec = 'B=m; C=m', exports = ['B', 'C'], after = ['z'], before = ['devenv:enterShell'] }\n\
         a = { exec = 'C=a', exports = ['C'], after = ['m'], before = ['devenv:enterShell'] }\n\
         soft = { exec = 'C=soft; false', exports = ['C'], before = ['devenv:enterShell@completed'] }\n\
         other = { exec = 'C=other', exports = ['C'] }\n",
    );
    tree.ok("allow");
    for _ in 0..2 {
        let json = tree.ok("export --shell json").json();
        assert_eq!((&json["A"], &json["B"], &json["C"]), (&"z".into(), &"m".into(), &"a".into()));
    }
}

#[test]
fn direnv_is_told_what_to_watch() {
    let tree = Sandbox::with("include = ['a']\ndotenv = ['.env', \"it's absent\"]\n");
    tree.write("a/devtask.toml", "[tasks.t]\nexec = 'true'\n");
    tree.write(".env", "OF_DOTENV='a b'\n");
    tree.ok("allow");
    let output = tree.ok("export --shell direnv");
    let root = tree.root().display();
    let watched: Vec<&str> = output.out.lines().filter(|line| line.starts_with("watch_file ")).collect();
    assert_eq!(
        watched,
        [
            format!("watch_file '{root}/.env'"),
            format!("watch_file '{root}/a/devtask.toml'"),
            format!("watch_file '{root}/devtask.toml'"),
            format!("watch_file $'{root}/it\\'s absent'"),
        ]
    );
    assert!(output.out.contains("export OF_DOTENV='a b'\n"), "{output}");
}

#[test]
fn what_cannot_be_exported_is_told_by_name_only() {
    let tree = Sandbox::with(
        "[tasks.t]\nbefore = ['devenv:enterShell']\nexec = '''\n\
         for name in 1A a-b UID DEVTASK_JOBS LD_LIBRARY_PATH FINE; do printf '%s\\0%s\\0' $name c2VjcmV0; done > $DEVENV_TASK_EXPORTS_FILE\n\
         printf 'RAW\\0/w==\\0' >> $DEVENV_TASK_EXPORTS_FILE'''\n",
    );
    tree.ok("allow");
    let output = tree.ok("export --shell bash");
    let names = |out: &str| -> Vec<String> {
        let exported = out.lines().filter_map(|line| line.strip_prefix("export ")?.split('=').next());
        exported.filter(|name| !name.starts_with("DEVENV_")).map(str::to_owned).collect()
    };
    assert_eq!(names(&output.out), ["FINE", "LD_LIBRARY_PATH", "RAW"]);
    assert_eq!(
        output.err,
        "warning: LD_LIBRARY_PATH: exported, which changes how other programs run\n\
         warning: DEVTASK_JOBS: left out: devtask's own\nwarning: 1A, UID, a-b: left out: cannot be set there\n"
    );
    let json = tree.ok("export --shell json");
    assert!(json.json()["1A"] == "secret" && json.json()["RAW"].is_null(), "{json}");
    assert!(json.err.contains("warning: RAW: left out: cannot be set there\n"), "{json}");
}

#[test]
fn exports_and_events_do_not_share_stdout() {
    let tree = tree();
    tree.ok("allow");
    let output = tree.expect(2, "export --shell bash --events -");
    assert_eq!(output.out, "");
    tree.ok("export --shell bash --events events");
    assert!(tree.read("events").contains("\"event\":\"message\""));
}

#[test]
fn a_guest_is_told_what_the_owner_ran() {
    let tree = tree();
    tree.append(
        "devtask.toml",
        "[tasks.slow]\nexec = 'touch began; while test ! -e go; do sleep 0.01; done'\n",
    );
    tree.ok("allow");
    let holder = tree.devtask(["run", "slow"]).start();
    eventually("it holds the tree", || tree.exists("began"));
    let output = tree.ok("export --shell bash");
    assert!(output.out.contains("export BOTH='exported'\n"), "{output}");
    assert!(output.err.ends_with("welcome\ntwo\nlines\n"), "{output}");
    let output = tree.devtask(["shell", "--", "sh", "-c", "echo $BOTH"]).run();
    assert_eq!(output.out, "exported\n", "{output}");
    tree.write("go", "");
    assert_eq!(holder.finish().code, Some(0));
}

#[test]
fn a_tree_into_which_nothing_hooks_has_its_variables() {
    let tree = Sandbox::with(
        "dotenv = ['.env']\nenv.A = '${root}'\n[env]\nP = '${ports.x.http}'\n"
            .replace("env.A = '${root}'\n[env]", "[env]\nA = '${root}'")
            .as_str(),
    );
    tree.write(".env", "B=2\nA=3\n");
    tree.append("devtask.toml", "[processes.x]\nexec = 'true'\nports.http.allocate = 18080\n");
    let output = tree.devtask(["shell", "--", "sh", "-c", "echo $A $B ${P-unset}; ls -A"]).run();
    let expected = format!("{} 2 unset\n.env\ndevtask.toml\n", tree.root().display());
    assert_eq!((output.out.as_str(), output.err.as_str()), (expected.as_str(), ""), "{output}");
}

#[test]
fn a_shell_that_nobody_types_into_reads_its_commands() {
    let tree = tree();
    for (shell, expected) in [("/bin/sh", "exported"), ("/absent/zsh", "exported"), ("relative", "exported")]
    {
        let output = tree
            .devtask(["shell"])
            .env("SHELL", shell)
            .start_under("sh", &["-c", "echo 'echo $BOTH' | \"$0\" \"$@\""])
            .finish();
        assert_eq!((output.code, output.out.trim_end()), (Some(0), expected), "{shell}\n{output}");
    }
}

#[test]
fn nothing_private_is_left_behind() {
    let tree = tree();
    tree.ok("shell -- true");
    let tmp = tree.root().parent().unwrap().join("tmp");
    let left: Vec<_> = fs::read_dir(tmp).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    let mode = fs::metadata(tree.path(".devtask/state.redb")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
