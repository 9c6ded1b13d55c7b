//! The example web project, as somebody uses it who has just cloned it.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use serde_json::Value;

use super::{
    kept::Ending,
    support::{Sandbox, set, tasks_in},
};

/// The example without what was made in it.
fn clone() -> Sandbox {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/web");
    let tree = Sandbox::new();
    assert!(Command::new("cp").arg("-a").arg(source.join(".")).arg(tree.root()).status().unwrap().success());
    for made in [".devtask", "public", "api/__pycache__"] {
        tree.remove_if_there(made);
    }
    tree
}

/// The same, with ports from this one on; none where it cannot run.
fn example(port: u16) -> Option<Sandbox> {
    let is_there = |program: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
    };
    if let Some(missing) = ["redis-server", "redis-cli", "python3"].iter().find(|p| !is_there(p)) {
        eprintln!("{missing} is not on PATH: nothing is proved");
        return None;
    }
    let tree = clone();
    tree.replace("devtask.toml", "allocate = 8080", &format!("allocate = {port}"));
    Some(tree)
}

/// A port that is free just now, and far from those of tests beside this one.
fn port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Every file, without what belongs to devtask.
fn files(tree: &Sandbox) -> BTreeSet<String> {
    let mut find = Command::new("find");
    find.args([".", "-path", "./.devtask", "-prune", "-o", "-type", "f", "-print"]);
    let found = find.current_dir(tree.root()).output().unwrap().stdout;
    String::from_utf8(found).unwrap().lines().map(str::to_owned).collect()
}

/// What is known of the processes, by their short names.
fn standing(tree: &Sandbox, name: &str) -> Value {
    tree.ok(&format!("processes status {name} --json")).json()
}

/// What the API answers.
fn ask(tree: &Sandbox, path: &str) -> String {
    let port = standing(tree, "api")["ports"]["http"].as_u64().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn its_test_runs_in_a_clean_clone_and_then_starts_nothing() {
    let Some(tree) = example(port()) else { return };
    let before = files(&tree);
    let output = tree.ok("test");
    let all =
        "shelf:tools shelf:page shelf:migrate shelf:test devenv:processes:database devenv:processes:api";
    assert_eq!(tree.executed(), set(all), "{output}");
    let made: Vec<String> = files(&tree).difference(&before).cloned().collect();
    assert_eq!(made, ["./public/index.html"]);
    for name in ["database", "api"] {
        assert_eq!(standing(&tree, name)["stage"], "not_started", "what it started it has ended");
    }

    let again = tree.ok("test");
    assert_eq!(tree.executed(), set(""), "{again}");
    // Beside what is fresh: the migration needs the database, and the test the API.
    tree.append("tests/test_shelf.py", "# The end.\n");
    tree.ok("test");
    assert_eq!(tree.executed(), set("shelf:test devenv:processes:database devenv:processes:api"));
}

#[test]
fn copies_of_it_are_up_beside_each_other() {
    let port = port();
    let (Some(one), Some(other)) = (example(port), example(port)) else { return };
    let (_one_ends, _other_ends) = (Ending(&one), Ending(&other));
    for tree in [&one, &other] {
        tree.ok("up -d");
        tree.ok("processes wait");
        let books = ask(tree, "/books");
        let logs = || tree.ok("processes logs");
        assert!(books.contains("Invisible Cities"), "{books}\n{}", logs());
    }
    assert_ne!(standing(&one, "api")["ports"], standing(&other, "api")["ports"]);

    // Runs use what is up, and leave it there.
    let pid = |name| standing(&one, name)["pid"].as_u64().unwrap();
    let pids = [pid("database"), pid("api")];
    one.ok("run migrate");
    assert_eq!(one.executed(), set(""), "the migrations are there");
    one.write("migrations/003-title.txt", "HSET book:1 title 'Middlemarch, a Study'\n");
    one.ok("run migrate");
    assert!(ask(&one, "/books").contains("a Study"));
    assert!(!ask(&other, "/books").contains("a Study"));
    one.ok("test");
    assert_eq!(tasks_in(&one.last_events(), "task_started"), set("shelf:test"));
    assert_eq!([pid("database"), pid("api")], pids);

    one.ok("down");
    assert_eq!(standing(&one, "api")["stage"], "not_started");
    assert!(ask(&other, "/books").contains("Invisible Cities"));
    // The data are still there.
    one.ok("up -d");
    assert!(ask(&one, "/books").contains("a Study"));
}

#[test]
fn what_has_to_be_installed_is_said() {
    let mut tree = clone();
    let path = std::env::var_os("PATH").unwrap();
    let sh = std::env::split_paths(&path).map(|dir| dir.join("sh")).find(|sh| sh.is_file()).unwrap();
    let bare = tree.home().join("bin");
    std::fs::create_dir(&bare).unwrap();
    std::os::unix::fs::symlink(sh, bare.join("sh")).unwrap();
    tree.set_env("PATH", &bare);
    let output = tree.expect(1, "test");
    assert!(output.err.contains("not on PATH: redis-server redis-cli python3"), "{output}");
    assert!(output.err.contains("apt-get install redis-server"), "{output}");
    assert_eq!(tree.executed(), set("shelf:tools shelf:page"), "{output}");
}
