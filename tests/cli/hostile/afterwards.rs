//! What becomes of a tree after it was allowed, or was brought along with what it claims to be known.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use super::{bounded, fifo};
use crate::support::{Output, Sandbox, eventually};

const HOOKED: &str = "[tasks.t]\nexec = 'touch ran'\nbefore = ['devenv:enterShell']\n";
/// What it becomes.
const EVIL: &str = "[tasks.t]\nexec = 'touch pwned'\nbefore = ['devenv:enterShell']\n";

fn exported(tree: &Sandbox) -> Output {
    bounded(tree, &["export", "--shell", "bash"], &[])
}

/// Nothing is executed, nothing is handed to a shell, and this is said.
fn refused(tree: &Sandbox, said: &[&str]) {
    tree.remove_if_there("ran");
    let output = exported(tree);
    assert_eq!((output.code, output.out.as_str()), (Some(77), ""), "{output}");
    for line in said {
        assert!(output.err.contains(line), "`{line}` is missing\n{output}");
    }
    assert!(!tree.exists("ran") && !tree.exists("pwned"), "{output}");
}

fn allowed(tree: &Sandbox) {
    tree.ok("allow");
    tree.ok("export --shell bash");
}

/// Copies a directory with all its attributes.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn a_task_file_that_changes_is_not_allowed_any_more() {
    let tree = Sandbox::with(HOOKED);
    allowed(&tree);
    assert!(tree.exists("ran"));
    tree.write("devtask.toml", EVIL);
    refused(
        &tree,
        &[
            "is not as it was allowed",
            "changed   ",
            "  command   tree:t\n    - touch ran\n    + touch pwned\n",
        ],
    );
    let again = tree.ok("allow");
    assert!(again.err.contains("+ touch pwned"), "{again}");
    tree.ok("export --shell bash");
    assert!(tree.exists("pwned"));
    // There and back is another change: what was allowed before is not remembered.
    tree.remove("pwned");
    tree.write("devtask.toml", HOOKED);
    refused(&tree, &["- touch pwned\n    + touch ran"]);
}

#[test]
fn whatever_contributes_to_it_counts() {
    let including = "include = ['p/*']\ndotenv = ['.env', 'absent.env']\nservers.s = { command = ['sh', 'server'], watch = ['lib/*'] }\n";
    type Case = (&'static str, fn(&Sandbox));
    let changes: [Case; 9] = [
        ("p/a/devtask.toml", |tree| tree.append("p/a/devtask.toml", "# more\n")),
        ("p/b/devtask.toml", |tree| tree.write("p/b/devtask.toml", "[tasks.u]\nexec = 'touch pwned'\n")),
        ("p/a/devtask.toml", |tree| tree.remove("p/a/devtask.toml")),
        (".env", |tree| tree.write(".env", "X=2\n")),
        (".env", |tree| tree.remove(".env")),
        ("absent.env", |tree| tree.write("absent.env", "BASH_ENV=evil\n")),
        ("server", |tree| tree.write("server", "touch pwned\n")),
        ("lib/a", |tree| tree.write("lib/a", "2")),
        ("lib/new", |tree| tree.write("lib/new", "")),
    ];
    for (file, change) in changes {
        let tree = Sandbox::with(including);
        tree.write("p/a/devtask.toml", HOOKED);
        tree.write(".env", "X=1\n");
        tree.write("server", "exit 1\n");
        tree.write("lib/a", "1");
        tree.ok("allow");
        assert_ne!(exported(&tree).code, Some(77), "{file}");
        change(&tree);
        refused(&tree, &[&format!("/{file}\n")]);
    }
}

#[test]
fn variables_that_change_are_named_and_their_values_are_not() {
    let file = |env: &str, own: &str| {
        format!("name = 'app'\ninclude = ['p']\ndotenv = ['.env']\n[env]\n{env}\n{HOOKED}env = {{ {own} }}\n")
    };
    let tree = Sandbox::with(&file("URL = 'hush1'\nSAME = 'same'", "OWN = 'hush2'"));
    tree.write("p/devtask.toml", "[env]\nOF_P = 'hush3'\n[tasks.u]\nexec = ''\n");
    tree.write(".env", "KEY=hush4\nGONE=hush5\n");
    allowed(&tree);
    tree.write("devtask.toml", file("URL = 'hush6'\nSAME = 'same'\nBASH_ENV = 'hush7'", "OWN = 'hush8'"));
    tree.write("p/devtask.toml", "[env]\nOF_P = 'hush9'\n[tasks.u]\nexec = ''\n[tasks.more]\nexec = ''\n");
    tree.write(".env", "KEY=hush0\n");
    let told = [
        "BASH_ENV of app: new",
        "GONE of app: gone",
        "KEY of app: changed",
        "OF_P of p: changed",
        "OWN of app:t: changed",
        "URL of app: changed",
    ];
    let told = told.map(|line| format!("  variable  {line}\n")).concat();
    refused(&tree, &[&told]);
    let again = tree.ok("allow");
    assert!(again.err.contains(&told), "{again}");
    assert!(!again.err.contains("hush") && !exported(&tree).err.contains("hush"), "{again}");
    let records = tree.home().join(".local/state/devtask/allowed");
    let record = fs::read_dir(&records).unwrap().next().unwrap().unwrap().path();
    assert!(!String::from_utf8_lossy(&fs::read(record).unwrap()).contains("hush"));
}

#[test]
fn another_place_is_not_allowed() {
    let tree = Sandbox::with(HOOKED);
    allowed(&tree);
    // With its state, and with the same files.
    copy(tree.root(), &tree.home().join("copy"));
    let copy = tree.home().join("copy").display().to_string();
    let output = tree.expect(77, &format!("-C {copy} export --shell bash"));
    assert!(output.out.is_empty() && output.err.contains("is not allowed yet"), "{output}");
    // Neither is another file in the same place.
    tree.write("other.toml", HOOKED);
    tree.expect(77, "-f other.toml export --shell bash");
    // A link to the tree leads to the tree.
    std::os::unix::fs::symlink(tree.root(), tree.home().join("link")).unwrap();
    tree.ok(&format!("-C {} export --shell bash", tree.home().join("link").display()));
}

#[test]
fn what_takes_the_place_of_a_file_is_not_waited_for() {
    let tree =
        Sandbox::with("dotenv = ['.env']\n[tasks.t]\nexec = 'touch ran'\nbefore = ['devenv:enterShell']\n");
    tree.write(".env", "X=1\n");
    allowed(&tree);
    for file in [".env", "devtask.toml"] {
        tree.remove(file);
        tree.remove("ran");
        fifo(&tree.path(file));
        let output = exported(&tree);
        assert_eq!((output.code, output.out.as_str()), (Some(2), ""), "{output}");
        assert!(!tree.exists("ran"), "{output}");
        tree.remove(file);
        tree.write(file, if file == ".env" { "X=1\n" } else { EVIL });
        tree.write("ran", "");
    }
}

#[test]
fn what_is_allowed_is_kept_where_no_project_has_a_say() {
    let mut tree = Sandbox::with(HOOKED);
    allowed(&tree);
    let records = tree.home().join(".local/state/devtask/allowed");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let record = fs::read_dir(&records).unwrap().next().unwrap().unwrap().path();
    assert_eq!((mode(&records), mode(&record)), (0o700, 0o600));

    // The project brings a record along.
    let planted = tree.path(".devtask/allowed");
    copy(&records, &planted);
    copy(&records, &tree.path("allowed"));
    copy(&records.join(".."), &tree.path("devtask"));
    tree.ok("revoke");
    refused(&tree, &["is not allowed yet"]);
    // A path that is relative would be one of the project's.
    tree.set_env("XDG_STATE_HOME", ".");
    refused(&tree, &["is not allowed yet"]);
    tree.set_env("DEVTASK_STATE_DIR", tree.path(".devtask"));
    refused(&tree, &["is not allowed yet"]);
}

#[test]
fn a_record_that_others_could_have_written_is_none() {
    let tree = Sandbox::with(HOOKED);
    allowed(&tree);
    let records = tree.home().join(".local/state/devtask/allowed");
    let record = fs::read_dir(&records).unwrap().next().unwrap().unwrap().path();
    let chmod = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (path, loose, tight) in [(&record, 0o644, 0o600), (&records, 0o755, 0o700)] {
        chmod(path, loose);
        refused(&tree, &["is not allowed yet"]);
        chmod(path, tight);
        tree.ok("export --shell bash");
    }
    for content in [&b""[..], b"\x01", b"nonsense that is no record at all"] {
        fs::write(&record, content).unwrap();
        refused(&tree, &["is not allowed yet"]);
    }
    fs::remove_file(&record).unwrap();
    fs::rename(&records, tree.home().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(tree.home().join("elsewhere"), &records).unwrap();
    let output = tree.expect(3, "allow");
    assert!(output.err.contains("is not a directory that is yours alone"), "{output}");
    refused(&tree, &["is not allowed yet"]);
}

/// What lay in the state directory before the tree was allowed was perhaps put there by who made the project: results
/// have keys that anybody can reckon.
#[test]
fn results_that_a_project_brings_along_do_not_count() {
    let text = "[tasks.t]\nexecIfModified = ['in']\nexports = ['WHO', 'PATH']\nbefore = ['devenv:enterShell']\n\
                exec = 'WHO=${MADE_BY:-us}; PATH=${MADE_BY:+/evil:}$PATH'\n";
    let tree = Sandbox::with(text);
    tree.write("in", "1");
    for _ in 0..3 {
        tree.devtask(["run", "devenv:enterShell"]).env("MADE_BY", "them").run();
    }
    assert!(tree.ok("shell -- env").out.contains("WHO=them\n"), "it is there to be found");
    tree.ok("allow");
    for _ in 0..3 {
        let output = tree.ok("export --shell bash");
        assert!(output.out.contains("export WHO='us'\n") && !output.out.contains("evil"), "{output}");
    }
    assert!(tree.executed().is_empty(), "it is fresh from then on");

    // Another state directory in its place.
    let other = Sandbox::with(text);
    other.write("in", "1");
    other.devtask(["run", "devenv:enterShell"]).env("MADE_BY", "them").run();
    tree.remove(".devtask");
    copy(&other.path(".devtask"), &tree.path(".devtask"));
    let output = tree.ok("export --shell bash");
    assert!(output.out.contains("export WHO='us'\n"), "{output}");
    tree.ok("export --shell bash");
    assert!(tree.executed().is_empty());
    // Another task of those that came along may count from now on.
    tree.append("devtask.toml", "# more\n");
    tree.ok("allow");
    tree.ok("export --shell bash");
    assert!(!tree.executed().is_empty());
}

/// A tree that was kept is not even looked at: who can write there could say anything.
#[test]
fn a_tree_that_was_kept_does_not_count() {
    let tree = Sandbox::with(HOOKED);
    allowed(&tree);
    assert!(!tree.exists(".devtask/loaded"));
    tree.ok("list");
    tree.ok("run");
    let kept = fs::read_dir(tree.path(".devtask/loaded")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&kept).unwrap();
    fifo(&kept);
    tree.ok("export --shell bash");
}

/// Whoever waits for the tree reads the files again.
#[test]
fn files_that_change_while_it_waits_are_judged_again() {
    let slow = "[tasks.slow]\nexec = 'touch began; while test ! -e go; do sleep 0.01; done'\n";
    let tree = Sandbox::with(slow);
    let holder = tree.devtask(["run", "slow"]).start();
    eventually("it holds the tree", || tree.exists("began"));
    tree.save("devtask.toml", HOOKED);
    tree.ok("allow");
    let waiting = tree.devtask(["export", "--shell", "bash"]).start_with_stderr("waits");
    eventually("it waits", || tree.exists("waits") && tree.read("waits").contains("Waiting for"));
    tree.save("devtask.toml", EVIL);
    tree.write("go", "");
    assert_eq!(holder.finish().code, Some(0));
    let output = waiting.finish();
    let told = tree.read("waits");
    assert_eq!((output.code, output.out.as_str()), (Some(77), ""), "{told}");
    assert!(
        told.contains("is not as it was allowed") && !tree.exists("pwned") && !tree.exists("ran"),
        "{told}"
    );
}

#[test]
fn what_is_taken_back_is_not_allowed() {
    let tree = Sandbox::with(HOOKED);
    fs::create_dir(tree.path("sub")).unwrap();
    assert_eq!(tree.ok("allow --list").out, "");
    tree.expect(4, "revoke");
    allowed(&tree);
    assert_eq!(tree.ok("allow --list").out, format!("{}\n", tree.root().display()));
    let twice = tree.ok("allow");
    assert!(twice.err.contains("as it was already"), "{twice}");
    // Also where nothing can be loaded any more.
    tree.write("devtask.toml", "nonsense");
    tree.ok("-C sub revoke");
    tree.write("devtask.toml", HOOKED);
    refused(&tree, &["is not allowed yet", "look at devtask.toml, then `devtask allow`"]);
    allowed(&tree);
    let other = tree.home().display().to_string();
    tree.expect(4, &format!("-C {other} revoke"));
    tree.ok(&format!("-C {other} revoke --all"));
    refused(&tree, &["is not allowed yet"]);
}

#[test]
fn what_is_told_of_a_change_tells_a_terminal_nothing() {
    let tree = Sandbox::with(HOOKED);
    allowed(&tree);
    tree.write(
        "devtask.toml",
        EVIL.replace("touch pwned'", "'").replace("exec = ''", "exec = \"echo \\u001b]0;x\\u0007\""),
    );
    let output = exported(&tree);
    assert_eq!(output.code, Some(77), "{output}");
    assert!(!output.err.contains(['\u{1b}', '\u{7}']), "{output}");
    assert!(output.err.contains("+ echo \\u{1b}]0;x\\u{7}\n"), "{output}");
}

/// What a task asks for while nothing counts that came along.
#[test]
fn results_that_a_project_brings_along_do_not_count_for_nested_runs() {
    let devtask = crate::support::DEVTASK;
    let tree = Sandbox::with(&format!(
        "[tasks.inner]\nexecIfModified = ['in']\nexec = 'echo ${{MADE_BY:-us}} > made'\n\
         [tasks.t]\nexports = ['WHO']\nbefore = ['devenv:enterShell']\nexec = '{devtask} run inner; WHO=$(cat made)'\n"
    ));
    tree.write("in", "1");
    for _ in 0..2 {
        let run = tree.devtask(["run", "inner"]).env("MADE_BY", "them").run();
        assert_eq!(run.code, Some(0), "{run}");
    }
    tree.ok("allow");
    let output = tree.ok("export --shell bash");
    assert!(output.out.contains("export WHO='us'\n"), "{output}");
}

/// devenv's tasks run in the working directory: one that lies elsewhere is part of what is allowed.
#[test]
fn a_list_is_not_allowed_wherever_one_goes() {
    let mut tree = Sandbox::new();
    tree.program("setup", "#!/bin/sh\ntouch ran\n");
    tree.write("sub/x", "");
    tree.set_env("DEVENV_ROOT", tree.path(""));
    tree.set_env(
        "DEVENV_TASKS",
        r#"[{"name": "a:t", "command": "./setup", "before": ["devenv:enterShell"]}]"#,
    );
    allowed(&tree);
    assert!(tree.exists("ran"));
    tree.expect(1, "-C sub export --shell bash");
    let elsewhere = tree.home().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    copy(&tree.path("setup"), &elsewhere);
    let output = tree.expect(77, &format!("-C {} export --shell bash", elsewhere.display()));
    assert!(output.err.contains("the working directory") && !elsewhere.join("ran").exists(), "{output}");
}
