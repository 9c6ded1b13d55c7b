//! Runs that tasks of a run ask for: the test asks in their place, while they stand at a gate.

use devtask::{
    Condition, Mode, Reason, Request, SessionError, Task, TaskDraft,
    event::{Decided, What},
    model::UpstreamChange,
};

use super::{
    host::{CROWD, Host, count, counted, most, outcomes},
    support::{Sandbox, eventually, gate::Gate},
};

fn tree() -> Sandbox {
    let tree = Sandbox::new();
    tree.write("in", "1");
    tree
}

/// A task that stands at a gate while it executes.
fn caller(name: &str, gate: &Gate) -> TaskDraft {
    counted(name, &gate.script())
}

fn refused(called: Result<super::host::Running<'_>, SessionError>) -> String {
    match called.map(|run| run.outcomes()) {
        Err(error @ SessionError::NestedCycle(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_outer_run_has_done_is_not_done_again() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let script = "echo 7 > \"$DEVENV_TASK_OUTPUT_FILE\"";
    let tasks = [
        counted("a:always", script),
        counted("a:fails", "exit 3"),
        counted("a:last", "").after("a:always", Condition::Succeeded),
        caller("a:t", &gate).after("a:always", Condition::Succeeded).after("a:fails", Condition::Completed),
    ];
    let host = Host::new(tree.root(), 4, tasks);
    let mut outer = host.run("a:t");
    let id = outer.id();
    gate.wait();
    let nested = host.call(&id, "a:t", "a:last a:fails").unwrap().finish();
    assert_eq!(outcomes(&nested), "a:always succeeded, a:fails failed, a:last succeeded");
    assert_eq!((nested.outputs["a:always"].as_u64(), nested.first_exit_code), (Some(7), Some(3)));
    gate.open();
    assert_eq!(outer.outcomes(), "a:always succeeded, a:fails failed, a:t succeeded");
    for name in ["a:always", "a:fails", "a:last"] {
        assert_eq!(count(&tree, name), 1, "{name}");
    }
    // Another run is another family.
    assert_eq!(host.outcomes("a:always"), "a:always succeeded");
    assert_eq!(count(&tree, "a:always"), 2);
}

#[test]
fn what_the_outer_run_executes_is_waited_for() {
    let tree = tree();
    let mut gates = ["one", "two"].map(|name| Gate::new(tree.path(name)));
    let tasks = [caller("a:t", &gates[0]), caller("a:x", &gates[1])];
    let host = Host::new(tree.root(), 4, tasks);
    let mut outer = host.run("a:t a:x");
    let id = outer.id();
    gates.iter_mut().for_each(Gate::wait);
    let nested = host.call(&id, "a:t", "a:x").unwrap();
    gates[1].open();
    assert_eq!(nested.outcomes(), "a:x succeeded");
    gates[0].open();
    assert_eq!(outer.outcomes(), "a:t succeeded, a:x succeeded");
    assert_eq!(count(&tree, "a:x"), 1);
}

#[test]
fn what_waits_in_the_outer_run_is_executed_in_the_slot_of_the_caller() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let host = Host::new(tree.root(), 1, [caller("a:t", &gate), counted("a:x", ""), counted("a:y", "")]);
    let mut outer = host.run("a:t a:x");
    let id = outer.id();
    gate.wait();
    for _ in 0..2 {
        assert_eq!(host.call(&id, "a:t", "a:x a:y").unwrap().outcomes(), "a:x succeeded, a:y succeeded");
    }
    gate.open();
    assert_eq!(outer.outcomes(), "a:t succeeded, a:x succeeded");
    assert_eq!((count(&tree, "a:x"), count(&tree, "a:y")), (1, 1));
}

#[test]
fn others_use_the_slot_of_a_caller_and_give_it_back() {
    let tree = tree();
    let mut gates = ["one", "two"].map(|name| Gate::new(tree.path(name)));
    let tasks = [caller("a:t", &gates[0]), caller("a:x", &gates[1]), counted("a:other", "")];
    let host = Host::new(tree.root(), 2, tasks);
    let mut outer = host.run("a:t a:other");
    let id = outer.id();
    gates[0].wait();
    outer.until_finished("a:other");
    let nested = host.call(&id, "a:t", "a:x").unwrap();
    gates[1].wait();
    // One slot is the nested task's, the other was the caller's.
    assert_eq!(host.outcomes("a:other"), "a:other succeeded");
    gates[1].open();
    nested.finish();
    gates[0].open();
    assert_eq!(outer.outcomes(), "a:other succeeded, a:t succeeded");
}

#[test]
fn a_callers_lock_is_held_for_what_it_calls_and_for_nobody_else() {
    let tree = tree();
    let mut gates = ["one", "two", "three"].map(|name| Gate::new(tree.path(name)));
    let locked = |task: TaskDraft| task.with(|task| task.lock = Some("db".to_owned()));
    let order = |name: &str| format!("echo {name} >> order");
    let tasks = [
        locked(Task::shell("a:t", &format!("{}; {}", gates[0].script(), order("t")))),
        locked(Task::shell("a:x", &format!("{}; {}", gates[1].script(), order("x")))),
        locked(Task::shell("a:deep", &order("deep"))),
        locked(Task::shell("a:other", &order("other"))),
    ];
    let host = Host::new(tree.root(), 8, tasks);
    let mut outer = host.run("a:t");
    let id = outer.id();
    gates[0].wait();
    let mut other = host.run("a:other");
    other.until(|what| matches!(what, What::Decision { .. }));
    let mut nested = host.call(&id, "a:t", "a:x").unwrap();
    let nested_id = nested.id();
    gates[1].wait();
    host.call(&nested_id, "a:x", "a:deep").unwrap().finish();
    gates[1].open();
    nested.finish();
    gates[0].open();
    outer.finish();
    other.finish();
    assert_eq!(tree.read("order"), "deep\nx\nt\nother\n");
}

#[test]
fn an_interactive_task_may_call_others() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let talk = caller("a:talk", &gate).with(|task| task.interactive = true);
    let host = Host::new(tree.root(), 1, [talk, counted("a:x", "")]);
    let mut outer = host.run("a:talk");
    let id = outer.id();
    let outer = outer.read();
    gate.wait();
    assert_eq!(host.call(&id, "a:talk", "a:x").unwrap().outcomes(), "a:x succeeded");
    gate.open();
    assert_eq!(outer.outcomes(), "a:talk succeeded");
}

#[test]
fn a_task_never_waits_for_itself() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let tasks = [
        caller("a:t", &gate),
        counted("a:middle", "").after("a:t", Condition::Completed),
        counted("a:end", "").after("a:middle", Condition::Succeeded),
    ];
    let host = Host::new(tree.root(), 4, tasks);
    let mut outer = host.run("a:end");
    let id = outer.id();
    gate.wait();
    let cases = [
        ("a:t", "a task cannot wait for itself: a:t -> a:t"),
        ("a:end", "a task cannot wait for itself: a:t -> a:end -> a:middle -> a:t"),
    ];
    for (name, message) in cases {
        assert_eq!(refused(host.call(&id, "a:t", name)), message);
    }
    gate.open();
    assert_eq!(outer.outcomes(), "a:end succeeded, a:middle succeeded, a:t succeeded");
}

#[test]
fn of_tasks_that_call_each_other_the_second_is_refused() {
    let tree = tree();
    let mut gates = ["p", "q", "r"].map(|name| Gate::new(tree.path(name)));
    let tasks = [
        caller("a:p", &gates[0]),
        caller("a:q", &gates[1]),
        counted("a:above", "").after("a:q", Condition::Succeeded),
        caller("a:r", &gates[2]),
    ];
    let host = Host::new(tree.root(), 1, tasks);
    let mut first = host.run("a:p");
    let id = first.id();
    gates[0].wait();
    let mut nested = host.call(&id, "a:p", "a:above").unwrap();
    let nested_id = nested.id();
    gates[1].wait();
    assert_eq!(
        refused(host.call(&nested_id, "a:q", "a:p")),
        "a task cannot wait for itself: a:q -> a:p -> a:above -> a:q"
    );
    // One step further.
    let mut deeper = host.call(&nested_id, "a:q", "a:r").unwrap();
    let deeper_id = deeper.id();
    gates[2].wait();
    assert_eq!(
        refused(host.call(&deeper_id, "a:r", "a:p")),
        "a task cannot wait for itself: a:r -> a:p -> a:above -> a:q -> a:r"
    );
    for gate in gates.iter_mut().rev() {
        gate.open();
    }
    assert_eq!(deeper.outcomes(), "a:r succeeded");
    assert_eq!(nested.outcomes(), "a:above succeeded, a:q succeeded");
    assert_eq!(first.outcomes(), "a:p succeeded");
}

#[test]
fn tasks_of_two_runs_that_call_each_other_come_to_an_end() {
    let tree = tree();
    let mut gates = ["p", "q"].map(|name| Gate::new(tree.path(name)));
    let q = caller("a:q", &gates[1]).exec_if_modified(["in"]);
    let host = Host::new(tree.root(), 4, [caller("a:p", &gates[0]), q]);
    let mut runs = ["a:p", "a:q"].map(|name| host.run(name));
    let ids = [runs[0].id(), runs[1].id()];
    gates.iter_mut().for_each(Gate::wait);
    let nested = host.call(&ids[0], "a:p", "a:q").unwrap();
    let message = "a task cannot wait for itself: a:q -> a:p -> a:q";
    assert_eq!(refused(host.call(&ids[1], "a:q", "a:p")), message);
    gates[1].open();
    nested.finish();
    gates[0].open();
    let [first, second] = runs;
    assert_eq!((first.outcomes().as_str(), second.outcomes().as_str()), ("a:p succeeded", "a:q succeeded"));
}

/// A caller `a:t` that executes `a:x` (with `a:x`'s script `x`) while it stands at its gate, and reads what that left.
struct Calls {
    tree: Sandbox,
    gate: Gate,
    x: &'static str,
    /// What `a:x` comes after.
    upstream: Option<TaskDraft>,
    x_is_gone: bool,
}

impl Calls {
    fn new(x: &'static str) -> Self {
        let tree = tree();
        tree.write("t", "1");
        let gate = Gate::new(tree.path("gate"));
        Self { tree, gate, x, upstream: None, x_is_gone: false }
    }

    fn host(&self) -> Host {
        let script = format!("{}; cat x.out > t.out || true", self.gate.script());
        let t = counted("a:t", &script).exec_if_modified(["t"]).outputs(["t.out"]);
        let name = if self.x_is_gone { "a:other" } else { "a:x" };
        let x = counted(name, self.x).exec_if_modified(["in"]).outputs(["x.out"]);
        let Some(up) = self.upstream.clone() else { return Host::new(self.tree.root(), 4, [t, x]) };
        Host::new(self.tree.root(), 4, [t, x.after("a:up", Condition::Succeeded), up])
    }

    /// Runs `a:t`, which asks for `request` if it executes.
    fn run_asking(&mut self, host: &Host, request: &Request) -> String {
        let mut outer = host.run("a:t");
        let id = outer.id();
        let outer = outer.read();
        let gate = &mut self.gate;
        eventually("the run gets on", || {
            if gate.is_reached() {
                host.ask(&id, "a:t", request.clone()).unwrap().finish();
                gate.open();
            }
            outer.is_over()
        });
        outer.outcomes()
    }

    /// The same, in a session of its own, for `a:x` as it is.
    fn run(&mut self) -> String {
        let host = self.host();
        self.run_asking(&host, &Request::run(["a:x"]))
    }

    /// Why `a:t` would run.
    fn why(&self) -> Vec<Reason> {
        let host = self.host();
        let is_it = |what: &What| matches!(what, What::Decision { task, .. } if task.as_str() == "a:t");
        match host.start(Request::run(["a:t"]).dry()).until(is_it).pop() {
            Some(What::Decision { action: Decided::WouldRun, reasons, .. }) => reasons,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_a_task_called_is_looked_at_before_it_next_time() {
    let mut calls = Calls::new("head -c 1 in > x.out");
    assert_eq!(calls.run(), "a:t succeeded");
    assert_eq!(calls.run(), "a:t cached, a:x cached");
    // Another input, the same result: an early cut-off.
    calls.tree.write("in", "1 and more");
    assert_eq!(
        calls.why(),
        [Reason::UpstreamWouldRun { task: devtask::model::TaskName::new("a:x").unwrap() }]
    );
    assert_eq!(calls.run(), "a:t cached, a:x succeeded");
    calls.tree.write("in", "2");
    assert_eq!(calls.run(), "a:t succeeded, a:x succeeded");
    assert_eq!(calls.tree.read("t.out"), "2");
    assert_eq!(calls.run(), "a:t cached, a:x cached");
    // Somebody else ran it meanwhile.
    calls.tree.write("in", "3");
    assert_eq!(calls.host().outcomes("a:x"), "a:x succeeded");
    let upstream = |change| Reason::Upstream { task: devtask::model::TaskName::new("a:x").unwrap(), change };
    assert_eq!(calls.why(), [upstream(UpstreamChange::Called)]);
    assert_eq!(calls.run(), "a:t succeeded, a:x cached");
    assert_eq!(calls.tree.read("t.out"), "3");
    assert_eq!((count(&calls.tree, "a:t"), count(&calls.tree, "a:x")), (3, 4));
    // Of a task that no mode schedules, what is remembered counts.
    let host = calls.host();
    let single = host.start(Request::run(["a:t"]).mode(Mode::Single));
    assert_eq!(single.outcomes(), "a:t cached");
}

#[test]
fn why_names_what_a_task_called() {
    let mut calls = Calls::new("cat in > x.out");
    calls.tree.write("devtask.toml", "name = 'a'\n[tasks.t]\nexecIfModified = ['t']\n[tasks.x]\n");
    calls.run();
    let why = calls.tree.ok("why a:t");
    assert!(why.out.contains("called when it last ran: a:x\n"), "{why}");
    assert_eq!(calls.tree.ok("why a:t --json").json()["called"], serde_json::json!(["a:x"]));
}

#[test]
fn what_called_tasks_rest_on_is_followed_too() {
    let mut calls = Calls::new("cat up.out > x.out");
    let up = counted("a:up", "cat far > up.out").exec_if_modified(["far"]).outputs(["up.out"]);
    calls.upstream = Some(up);
    calls.tree.write("far", "1");
    assert_eq!(calls.run(), "a:t succeeded");
    assert_eq!(calls.run(), "a:t cached, a:up cached, a:x cached");
    calls.tree.write("far", "2");
    assert_eq!(calls.run(), "a:t succeeded, a:up succeeded, a:x succeeded");
    assert_eq!(calls.tree.read("t.out"), "2");
}

#[test]
fn what_changed_after_a_call_was_not_seen_by_all_of_its_caller() {
    let mut calls = Calls::new("cat in > x.out");
    let host = calls.host();
    let mut outer = host.run("a:t");
    let id = outer.id();
    calls.gate.wait();
    host.call(&id, "a:t", "a:x").unwrap().finish();
    calls.tree.write("x.out", "by hand");
    calls.gate.open();
    assert_eq!(outer.outcomes(), "a:t succeeded");
    drop(host);
    // What the called one had left comes back.
    assert_eq!(calls.run(), "a:t succeeded, a:x cached");
    assert_eq!(calls.tree.read("t.out"), "1");
    assert_eq!(calls.run(), "a:t cached, a:x cached");
}

#[test]
fn a_nested_run_keeps_to_the_jobs_of_the_outermost() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let crowd = (0..6).map(|at| Task::shell(&format!("b:{at}"), CROWD));
    let host = Host::new(tree.root(), 8, [caller("a:t", &gate)].into_iter().chain(crowd));
    let mut request = Request::run(["a:t"]);
    request.jobs = Some(1);
    let mut outer = host.start(request);
    let id = outer.id();
    gate.wait();
    host.call(&id, "a:t", "b").unwrap().finish();
    gate.open();
    outer.finish();
    assert_eq!(most(&tree), 1);
}

#[test]
fn that_a_called_task_failed_is_what_its_caller_rests_on() {
    let mut calls = Calls::new("test \"$(cat in)\" = 2; echo ok > x.out");
    assert_eq!(calls.run(), "a:t succeeded");
    let host = calls.host();
    let mut outer = host.run("a:t");
    outer.until_finished("a:x");
    let summary = outer.finish();
    assert_eq!((outcomes(&summary).as_str(), summary.failed), ("a:t cached, a:x failed", false));
    drop(host);
    calls.tree.write("in", "2");
    assert_eq!(calls.run(), "a:t succeeded, a:x succeeded");
    assert_eq!(calls.tree.read("t.out"), "ok\n");
}

#[test]
fn what_cannot_be_looked_at_before_its_caller_makes_that_run() {
    let not_followed = |calls: &Calls| {
        let task = devtask::model::TaskName::new("a:x").unwrap();
        assert_eq!(calls.why(), [Reason::Upstream { task, change: UpstreamChange::NotFollowed }]);
    };
    let mut calls = Calls::new("cat in > x.out");
    let host = calls.host();
    let mut request = Request::run(["a:x"]);
    request.arguments = vec!["word".into()];
    assert_eq!(calls.run_asking(&host, &request), "a:t succeeded");
    assert_eq!(calls.run_asking(&host, &request), "a:t succeeded");
    drop(host);
    not_followed(&calls);
    assert_eq!(calls.run(), "a:t succeeded");
    assert_eq!(calls.run(), "a:t cached, a:x cached");
    // Now it would have to wait for its caller.
    calls.upstream = Some(Task::shell("a:up", "true").after("a:t", Condition::Succeeded));
    not_followed(&calls);
    // And now there is only another one of another name.
    calls.upstream = None;
    calls.x_is_gone = true;
    not_followed(&calls);
}

#[test]
fn a_caller_that_did_not_wait_is_not_taken_for_fresh() {
    let tree = tree();
    let mut gates = ["one", "two"].map(|name| Gate::new(tree.path(name)));
    let t = caller("a:t", &gates[0]).exec_if_modified(["in"]);
    let host = Host::new(tree.root(), 4, [t, caller("a:x", &gates[1])]);
    let mut outer = host.run("a:t");
    let id = outer.id();
    gates[0].wait();
    let nested = host.call(&id, "a:t", "a:x").unwrap();
    gates[1].wait();
    gates[0].open();
    assert_eq!(outer.outcomes(), "a:t succeeded");
    gates[1].open();
    assert_eq!(nested.outcomes(), "a:x succeeded");
    let again = host.run("a:t");
    gates[0].wait();
    gates[0].open();
    assert_eq!(again.outcomes(), "a:t succeeded");
    assert_eq!(host.outcomes("a:t"), "a:t cached");
}
