//! Sessions with several runs under way that are killed: whatever began and did not come to its end is executed
//! again.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use devtask::{Task, TaskDraft};

use super::{
    host::Host,
    support::{Sandbox, gate::Gate},
};

/// Tells the test `victim` where to run.
const TREE: &str = "DEVTASK_TEST_VICTIM";

/// What a script has to contain to come to a gate of the test.
fn gate(tree: &Path, name: &str) -> String {
    let base = tree.join(name);
    let base = base.display();
    format!("echo here > {base}.here; read -r _ < {base}.go")
}

/// `a:work` and `b:work` leave half of their work; `a:hold` keeps its run, and thereby the journal, under way.
fn tasks(tree: &Path) -> [TaskDraft; 3] {
    let work = |name: &str, out: &str| {
        let script = format!("echo x >> {out}.count; echo half > {out}; {}; cat in > {out}", gate(tree, out));
        Task::shell(name, &script).exec_if_modified(["in"])
    };
    let hold = Task::shell("a:hold", &gate(tree, "hold")).exec_if_modified(["held"]);
    [work("a:work", "out"), work("b:work", "other"), hold]
}

/// Not a test of its own: the process that is killed. It executes `a:work` twice and `b:work` once while the journal
/// of its first run, which knows nothing of `b:work`, is in use.
#[test]
fn victim() {
    let Some(tree) = std::env::var_os(TREE).map(PathBuf::from) else { return };
    let host = Host::new(&tree, 4, tasks(&tree));
    let mut holding = host.run("a:work a:hold");
    holding.until_finished("a:work");
    let again = host.run("b:work");
    again.finish();
    let passed = Command::new("sh").args(["-c", &gate(&tree, "next")]).status().unwrap();
    assert!(passed.success());
    host.run("a:work").finish();
    holding.finish();
}

fn start(tree: &Sandbox) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["kills::victim", "--exact", "--nocapture"])
        .env(TREE, tree.root())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(mut victim: Child) {
    victim.kill().unwrap();
    assert_eq!(victim.wait().unwrap().signal(), Some(9));
}

/// What a run of everything executes, once the input is as it was at first: what has this gate.
fn executes(tree: &Sandbox, gate: &mut Gate) -> String {
    tree.write("in", "1");
    let host = Host::new(tree.root(), 4, tasks(tree.root()));
    let run = host.run("a:work b:work");
    gate.wait();
    gate.open();
    let executed = run.outcomes();
    for out in ["out", "other"] {
        assert_eq!(tree.read(out), "1");
    }
    executed
}

fn new() -> (Sandbox, [Gate; 4]) {
    let tree = Sandbox::new();
    tree.write("in", "1");
    let gates = ["out", "other", "hold", "next"].map(|name| Gate::new(tree.path(name)));
    (tree, gates)
}

#[test]
fn a_second_beginning_under_one_journal_is_not_taken_for_the_first() {
    let (tree, mut gates) = new();
    let victim = start(&tree);
    let [work, other, hold, next] = &mut gates;
    for gate in [&mut *work, &mut *other] {
        gate.wait();
        gate.open();
    }
    hold.wait();
    next.wait();
    tree.write("in", "2");
    next.open();
    work.wait();
    kill(victim);
    assert_eq!(executes(&tree, work), "a:work succeeded, b:work cached");
}

#[test]
fn a_task_the_journal_does_not_know_is_known_to_have_begun() {
    let (tree, mut gates) = new();
    let victim = start(&tree);
    let [work, other, hold, _] = &mut gates;
    work.wait();
    work.open();
    hold.wait();
    other.wait();
    kill(victim);
    assert_eq!(executes(&tree, other), "a:work cached, b:work succeeded");
}
