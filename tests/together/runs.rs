//! Several runs of one session at a time.

use std::{ffi::OsString, sync::Arc};

use devtask::{
    Outcome, Reason, Request, Task, TaskDraft,
    event::{Decided, RunStatus, What},
};

use super::{
    host::{CROWD, Host, count, counted, most, outcomes},
    support::{Sandbox, gate::Gate},
};

fn tree() -> Sandbox {
    let tree = Sandbox::new();
    tree.write("in", "1");
    tree
}

#[test]
fn what_two_runs_want_is_executed_once() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let work = counted("a:work", &gate.script()).exec_if_modified(["in"]);
    let host = Host::new(tree.root(), 4, [work, counted("a:free", "")]);
    let first = host.run("a:work");
    gate.wait();
    let mut second = host.run("a:work a:free");
    let told = second.until_finished("a:free");
    let is_decided = |what: &What| matches!(what, What::Decision { task, .. } if task.as_str() == "a:work");
    assert!(!told.iter().any(is_decided), "{told:?}");
    gate.open();
    assert_eq!(first.outcomes(), "a:work succeeded");
    assert_eq!(second.outcomes(), "a:free succeeded, a:work cached");
    assert_eq!((count(&tree, "a:work"), count(&tree, "a:free")), (1, 1));
}

#[test]
fn a_task_that_waited_for_its_turn_is_judged_again() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let hold = Task::shell("a:hold", &gate.script());
    let host = Host::new(tree.root(), 1, [hold, counted("a:work", "cat in > out").exec_if_modified(["in"])]);
    let holding = host.run("a:hold");
    gate.wait();
    let mut both = [host.run("a:work"), host.run("a:work")];
    for run in &mut both {
        run.until(|what| matches!(what, What::Decision { action: Decided::Run, .. }));
    }
    gate.open();
    let mut ended = both.map(|run| run.outcomes());
    ended.sort();
    assert_eq!(ended, ["a:work cached", "a:work succeeded"]);
    assert_eq!(count(&tree, "a:work"), 1);
    assert_eq!(holding.outcomes(), "a:hold succeeded");
}

#[test]
fn nobody_takes_a_half_done_task_for_fresh() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let script = format!("echo half > out; {}; cat in > out", gate.script());
    let host = Host::new(
        tree.root(),
        4,
        [counted("a:work", &script).exec_if_modified(["in"]), counted("a:free", "")],
    );
    let first = host.run("a:work");
    gate.wait();
    gate.open();
    assert_eq!(first.outcomes(), "a:work succeeded");
    tree.write("in", "2");
    let second = host.run("a:work");
    gate.wait();
    // Now the old record would match again.
    tree.write("in", "1");
    let mut third = host.run("a:work a:free");
    third.until_finished("a:free");
    gate.open();
    assert_eq!(second.outcomes(), "a:work succeeded");
    gate.wait();
    gate.open();
    assert_eq!(third.outcomes(), "a:free succeeded, a:work succeeded");
    assert_eq!((count(&tree, "a:work"), tree.read("out").as_str()), (3, "1"));
}

#[test]
fn what_was_ended_half_way_in_one_run_executes_in_the_other() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let work = counted("a:work", &gate.script()).exec_if_modified(["in"]);
    let host = Host::new(tree.root(), 4, [work, counted("a:free", "")]);
    for end in [devtask::RunControl::interrupt, devtask::RunControl::kill] {
        tree.append("in", "more");
        let first = host.run("a:work");
        gate.wait();
        let mut second = host.run("a:work a:free");
        second.until_finished("a:free");
        end(&first.run.control());
        let ended = first.finish();
        assert_eq!((outcomes(&ended).as_str(), ended.status), ("a:work cancelled", RunStatus::Interrupted));
        gate.wait();
        gate.open();
        assert_eq!(second.outcomes(), "a:free succeeded, a:work succeeded");
    }
    assert_eq!(count(&tree, "a:work"), 4);
}

#[test]
fn ending_one_run_ends_no_task_of_another() {
    let tree = tree();
    let mut gates = ["one", "two"].map(|name| Gate::new(tree.path(name)));
    let [one, two] = [&gates[0], &gates[1]].map(Gate::script);
    let host = Host::new(tree.root(), 4, [Task::shell("a:one", &one), Task::shell("a:two", &two)]);
    let (first, second) = (host.run("a:one"), host.run("a:two"));
    gates.iter_mut().for_each(Gate::wait);
    drop(second);
    let third = host.run("a:two");
    gates[1].wait();
    third.run.control().kill();
    assert_eq!(third.outcomes(), "a:two cancelled");
    gates[0].open();
    assert_eq!(first.outcomes(), "a:one succeeded");
}

/// Runs `a:0` to `a:11` in four runs.
fn crowd(host: &Host) {
    let runs: Vec<_> = (0..4)
        .map(|run| {
            let names: Vec<String> = (0..3).map(|at| format!("a:{}", run * 3 + at)).collect();
            host.run(&names.join(" "))
        })
        .collect();
    for run in runs {
        assert!(run.finish().outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Succeeded));
    }
}

fn crowd_of(change: impl Fn(TaskDraft, usize) -> TaskDraft) -> Vec<TaskDraft> {
    (0..12).map(|at| change(Task::shell(&format!("a:{at}"), CROWD), at)).collect()
}

#[test]
fn all_runs_together_keep_to_the_sessions_jobs() {
    let tree = tree();
    let mut gates = ["one", "two"].map(|name| Gate::new(tree.path(name)));
    let gated = gates.iter().enumerate();
    let mut tasks: Vec<TaskDraft> =
        gated.map(|(at, gate)| Task::shell(&format!("b:{at}"), &gate.script())).collect();
    tasks.extend(crowd_of(|task, _| task));
    let host = Host::new(tree.root(), 2, tasks);
    // Two at once there are.
    let both = ["b:0", "b:1"].map(|name| host.run(name));
    gates.iter_mut().for_each(Gate::wait);
    gates.iter_mut().for_each(Gate::open);
    for run in both {
        run.finish();
    }
    crowd(&host);
    assert!(most(&tree) <= 2);
}

#[test]
fn a_runs_own_number_of_jobs_limits_it_further() {
    let tree = tree();
    let host = Host::new(tree.root(), 8, crowd_of(|task, _| task));
    let mut request = Request::run(["a"]);
    request.jobs = Some(1);
    host.start(request).finish();
    assert_eq!(most(&tree), 1);
}

#[test]
fn a_lock_is_one_for_all_runs() {
    let tree = tree();
    let host = Host::new(tree.root(), 8, crowd_of(|task, _| task.with(|t| t.lock = Some("db".to_owned()))));
    crowd(&host);
    assert_eq!(most(&tree), 1);
}

#[test]
fn an_interactive_task_is_alone_among_all_runs() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let talk = Task::shell("b:talk", &format!("{}; ls now > with", gate.script()));
    let hold = Gate::new(tree.path("hold"));
    let held =
        Task::shell("b:hold", &format!("mkdir -p now; touch now/hold; {}; rm now/hold", hold.script()));
    let mut hold = hold;
    let mut tasks = vec![talk.with(|task| task.interactive = true), held];
    tasks.extend(crowd_of(|task, _| task));
    let host = Host::new(tree.root(), 8, tasks);
    let holding = host.run("b:hold");
    hold.wait();
    let talking = host.run("b:talk").read();
    hold.open();
    gate.wait();
    let others = host.run("a");
    gate.open();
    assert_eq!(talking.outcomes(), "b:talk succeeded");
    assert_eq!(tree.read("with"), "");
    assert_eq!(holding.outcomes(), "b:hold succeeded");
    assert!(others.finish().outcomes.len() == 12);
}

#[test]
fn a_look_does_not_wait_for_what_executes() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let work = counted("a:work", &gate.script()).exec_if_modified(["in"]);
    let host = Host::new(tree.root(), 4, [work]);
    let look = || {
        let mut look = host.start(Request::run(["a:work"]).dry());
        let told = look.until(|what| matches!(what, What::Decision { .. }));
        let Some(What::Decision { action, reasons, .. }) = told.last().cloned() else { unreachable!() };
        (look.finish().would_run.len(), action, reasons.first().cloned())
    };
    assert_eq!(look(), (1, Decided::WouldRun, Some(Reason::NeverRan)));
    let run = host.run("a:work");
    gate.wait();
    assert_eq!(look(), (1, Decided::WouldRun, Some(Reason::Executing)));
    gate.open();
    run.finish();
    assert_eq!(look(), (0, Decided::Cached, None));
}

#[test]
fn a_run_may_have_an_environment_of_its_own() {
    let tree = tree();
    let task = Task::shell("a:t", r#"echo "\"$WHO\"" > "$DEVENV_TASK_OUTPUT_FILE"; echo "$OTHER" > other"#)
        .exec_if_modified(["in"])
        .with(|task| task.track_env = vec!["WHO".to_owned()]);
    let host = Host::new(tree.root(), 4, [task]);
    let run = |who: &str, other: &str| {
        let mut request = Request::run(["a:t"]);
        let path = std::env::var_os("PATH").unwrap();
        let all: [(OsString, OsString); 3] =
            [("PATH".into(), path), ("WHO".into(), who.into()), ("OTHER".into(), other.into())];
        request.environment = Some(Arc::new(all.into()));
        let summary = host.start(request).finish();
        (outcomes(&summary), summary.outputs["a:t"].as_str().unwrap().to_owned())
    };
    assert_eq!(run("me", "x"), ("a:t succeeded".to_owned(), "me".to_owned()));
    assert_eq!(tree.read("other"), "x\n");
    assert_eq!(run("me", "y"), ("a:t cached".to_owned(), "me".to_owned()));
    assert_eq!(run("you", "y"), ("a:t succeeded".to_owned(), "you".to_owned()));
    assert_eq!(tree.read("other"), "y\n");
}

#[test]
fn results_of_runs_that_overlapped_are_there_in_the_next_session() {
    let tree = tree();
    let mut gate = Gate::new(tree.path("gate"));
    let tasks = || {
        let hold = counted("a:hold", &gate.script()).exec_if_modified(["in"]);
        let others = (0..4).map(|at| counted(&format!("a:{at}"), "").exec_if_modified(["in"]));
        std::iter::once(hold).chain(others).collect::<Vec<_>>()
    };
    let (before, after) = (tasks(), tasks());
    let host = Host::new(tree.root(), 4, before);
    let mut holding = host.run("a:hold a:0 a:1");
    holding.until_finished("a:1");
    gate.wait();
    // A task the journal knows, and one it does not.
    assert_eq!(host.outcomes("a:1 a:2"), "a:1 cached, a:2 succeeded");
    gate.open();
    holding.finish();
    assert_eq!(host.outcomes("a:3"), "a:3 succeeded");
    drop(host);
    let host = Host::new(tree.root(), 4, after);
    let all = host.outcomes("a");
    assert_eq!(all, "a:0 cached, a:1 cached, a:2 cached, a:3 cached, a:hold cached");
}
