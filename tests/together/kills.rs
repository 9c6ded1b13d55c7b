//! Sessions with several runs under way that are killed: whatever began and did not come to its end is executed
//! again.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use devtask::{Condition, Mode, Request, Task, TaskDraft};

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
fn tasks(tree: &Path) -> [TaskDraft; 4] {
    let work = |name: &str, out: &str| {
        let script = format!("echo x >> {out}.count; echo half > {out}; {}; cat in > {out}", gate(tree, out));
        Task::shell(name, &script).exec_if_modified(["in"])
    };
    let hold = Task::shell("a:hold", &gate(tree, "hold")).exec_if_modified(["held"]);
    let late = work("a:late", "late").after("a:hold", Condition::Succeeded);
    [work("a:work", "out"), work("b:work", "other"), late, hold]
}

/// A run of just these.
fn single(names: &[&str]) -> Request {
    Request::run(names.iter().copied()).mode(Mode::Single)
}

/// Not a test of its own: the process that is killed. While the journal of its first run, which knows nothing of
/// `b:work` and does not come to `a:late`, is in use, it executes `b:work` once, and twice what that run executes and
/// what other runs do.
#[test]
fn victim() {
    let Some(tree) = std::env::var_os(TREE).map(PathBuf::from) else { return };
    let host = Host::new(&tree, 4, tasks(&tree));
    let mut holding = host.run("a:work a:late");
    holding.until_finished("a:work");
    let again = host.run("b:work");
    again.finish();
    host.start(single(&["a:late"])).finish();
    let passed = Command::new("sh").args(["-c", &gate(&tree, "next")]).status().unwrap();
    assert!(passed.success());
    host.start(single(&["a:work", "a:late"])).finish();
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

/// What a run of everything executes, once the input is as it was at first: what has these gates.
fn executes<'a>(tree: &Sandbox, gates: impl IntoIterator<Item = &'a mut Gate>) -> String {
    tree.write("in", "1");
    let host = Host::new(tree.root(), 4, tasks(tree.root()));
    let run = host.start(single(&["a:work", "a:late", "b:work"]));
    for gate in gates {
        gate.wait();
        gate.open();
    }
    let executed = run.outcomes();
    for out in ["out", "other", "late"] {
        assert_eq!(tree.read(out), "1");
    }
    executed
}

fn new() -> (Sandbox, [Gate; 5]) {
    let tree = Sandbox::new();
    tree.write("in", "1");
    let gates = ["out", "other", "late", "hold", "next"].map(|name| Gate::new(tree.path(name)));
    (tree, gates)
}

#[test]
fn a_second_beginning_under_one_journal_is_not_taken_for_the_first() {
    let (tree, mut gates) = new();
    let victim = start(&tree);
    let [work, other, late, hold, next] = &mut gates;
    for gate in [&mut *work, &mut *other, &mut *late] {
        gate.wait();
        gate.open();
    }
    hold.wait();
    next.wait();
    tree.write("in", "2");
    next.open();
    work.wait();
    late.wait();
    kill(victim);
    let executed = executes(&tree, [work, late]);
    assert_eq!(executed, "a:late succeeded, a:work succeeded, b:work cached");
}

#[test]
fn a_task_the_journal_does_not_know_is_known_to_have_begun() {
    let (tree, mut gates) = new();
    let victim = start(&tree);
    let [work, other, late, hold, _] = &mut gates;
    work.wait();
    work.open();
    hold.wait();
    other.wait();
    kill(victim);
    assert_eq!(executes(&tree, [other, late]), "a:late succeeded, a:work cached, b:work succeeded");
}
