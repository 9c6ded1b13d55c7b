use super::{
    edge::{Status, status},
    *,
};
use crate::{
    graph::{Conditions, TaskDraft},
    model::{Condition, Task},
    plan::Mode,
};

fn shell(name: &str) -> TaskDraft {
    Task::shell(name, "true")
}

fn server(name: &str) -> TaskDraft {
    shell(name).with(|task| task.kind = crate::graph::tests::process(true))
}

fn locked(draft: TaskDraft) -> TaskDraft {
    draft.with(|task| task.lock = Some("db".into()))
}

/// A scheduler with the names of its tasks.
struct Bench {
    graph: Arc<TaskGraph>,
    machine: Scheduler,
}

impl Bench {
    fn new(tasks: impl IntoIterator<Item = TaskDraft>, roots: &[&str], jobs: usize) -> Self {
        let graph = tasks.into_iter().fold(TaskGraph::builder(), |b, t| b.task(t)).build().unwrap();
        let graph = Arc::new(graph);
        let plan = Plan::new(&graph, roots.iter().map(|name| graph.id(name).unwrap()), Mode::Before);
        let options = Options { jobs, fail_fast: false, keeps: false, wanted: None, durations: Vec::new() };
        Self { machine: Scheduler::new(Arc::clone(&graph), plan, &options), graph }
    }

    fn id(&self, name: &str) -> TaskId {
        self.graph.id(name).unwrap()
    }

    /// Judges all that is checked as stale, and returns what else is to be done: `start a:x`.
    fn next(&mut self) -> Vec<String> {
        let mut todo = Vec::new();
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                Effect::Check(id) => self.machine.observe(Observation::Judged(id, Verdict::Stale)),
                Effect::Start(id) => todo.push(format!("start {}", self.graph.name(id))),
                Effect::Stop(id) => todo.push(format!("stop {}", self.graph.name(id))),
            }
        }
        todo
    }

    fn began(&mut self, name: &str) -> Vec<String> {
        self.machine.observe(Observation::Began(self.id(name)));
        self.next()
    }

    fn up(&mut self, name: &str) -> Vec<String> {
        self.machine.observe(Observation::Began(self.id(name)));
        self.machine.observe(Observation::Ready(self.id(name)));
        self.next()
    }

    fn ended(&mut self, name: &str, outcome: Outcome) -> Vec<String> {
        self.machine.observe(Observation::Ended(self.id(name), outcome));
        self.next()
    }
}

#[test]
fn conditions_follow_the_table_of_the_specification() {
    use Condition::{Completed, Ready, Started, Succeeded};
    use Outcome::{Cached, Cancelled, DependencyFailed, Failed, Skipped};
    use Status::{Broken as B, Pending as P, Satisfied as S};
    let waiting = Progress { phase: Phase::Waiting, began: false, was_ready: false, is_process: false };
    let at = |phase| Progress { phase, ..waiting };
    let ran = |outcome| Progress { began: true, ..at(Phase::Done(outcome)) };
    let process = |phase, began, was_ready| Progress { phase, began, was_ready, is_process: true };
    let over = |outcome, was_ready| process(Phase::Done(outcome), true, was_ready);
    let ok = Outcome::Succeeded;
    let columns = [Started, Ready, Succeeded, Completed];
    let cases = [
        ("waits", waiting, [P, P, P, P]),
        ("is judged", at(Phase::Checking), [P, P, P, P]),
        ("wants a slot", at(Phase::Queued), [P, P, P, P]),
        ("is about to begin", at(Phase::Starting), [P, P, P, P]),
        ("runs", Progress { began: true, ..at(Phase::Running) }, [S, P, P, P]),
        ("succeeded", ran(ok), [S, S, S, S]),
        ("failed", ran(Failed), [S, B, B, S]),
        ("could not begin", at(Phase::Done(Failed)), [B, B, B, S]),
        ("was fresh", at(Phase::Done(Cached)), [S, S, S, S]),
        ("has no command", at(Phase::Done(Skipped)), [S, S, S, S]),
        ("was kept from running", at(Phase::Done(DependencyFailed)), [B, B, B, S]),
        ("was cancelled", ran(Cancelled), [S, B, B, B]),
        ("process waits", process(Phase::Waiting, false, false), [P, P, P, P]),
        ("process runs", process(Phase::Running, true, false), [S, P, P, P]),
        ("process is ready", process(Phase::Up, true, true), [S, S, P, P]),
        ("process was ready and ended", over(ok, true), [S, S, S, S]),
        ("process was ready and failed", over(Failed, true), [S, S, B, S]),
        ("process ended before it was ready", over(ok, false), [S, B, S, S]),
        ("process died before it was ready", over(Failed, false), [S, B, B, S]),
        ("process could not begin", process(Phase::Done(Failed), false, false), [B, B, B, S]),
    ];
    for (upstream, progress, expected) in cases {
        for (condition, expected) in columns.into_iter().zip(expected) {
            let one = Conditions::from_iter([condition]);
            assert_eq!(status(one, progress), expected, "upstream {upstream}, @{condition}");
        }
    }
}

#[test]
fn both_declarations_of_a_pair_must_hold() {
    use Condition::{Completed, Started, Succeeded};
    let running = Progress { phase: Phase::Running, began: true, was_ready: false, is_process: false };
    let failed = Progress { phase: Phase::Done(Outcome::Failed), ..running };
    let cases: &[(&[Condition], Progress, Status)] = &[
        (&[Started, Completed], running, Status::Pending),
        (&[Started, Completed], failed, Status::Satisfied),
        (&[Succeeded, Completed], failed, Status::Broken),
    ];
    for (conditions, progress, expected) in cases {
        assert_eq!(status(conditions.iter().copied().collect(), *progress), *expected, "{conditions:?}");
    }
}

#[test]
fn started_wakes_dependents_at_once() {
    let tasks = [shell("a:up"), shell("a:down").after("a:up", Condition::Started)];
    let mut bench = Bench::new(tasks, &["a:down"], 2);
    assert_eq!(bench.next(), ["start a:up"]);
    assert_eq!(bench.began("a:up"), ["start a:down"]);
}

#[test]
fn a_service_is_stopped_when_its_users_are_over_even_if_it_never_was_ready() {
    let tasks = [server("a:p"), shell("a:t").after("a:p", Condition::Started)];
    let mut bench = Bench::new(tasks, &["a:t"], 1);
    assert_eq!(bench.next(), ["start a:p"]);
    assert_eq!(bench.began("a:p"), ["start a:t"]);
    bench.began("a:t");
    assert_eq!(bench.ended("a:t", Outcome::Succeeded), ["stop a:p"]);
    bench.ended("a:p", Outcome::Succeeded);
    assert!(bench.machine.is_done());
}

#[test]
fn a_process_whose_end_is_waited_for_is_not_stopped_before_it() {
    let tasks = [server("a:migrate"), shell("a:t").after("a:migrate", Condition::Completed)];
    let mut bench = Bench::new(tasks, &["a:t"], 1);
    assert_eq!(bench.next(), ["start a:migrate"]);
    assert!(bench.up("a:migrate").is_empty());
    assert_eq!(bench.ended("a:migrate", Outcome::Succeeded), ["start a:t"]);
}

#[test]
fn a_clean_up_runs_once_the_service_is_no_longer_used() {
    let tasks = [
        server("a:p"),
        server("a:q"),
        shell("a:t").after("a:p", Condition::Ready),
        shell("a:clean").after("a:p", Condition::Completed).after("a:q", Condition::Ready),
    ];
    let mut bench = Bench::new(tasks, &["a:t", "a:clean"], 1);
    bench.next();
    assert!(bench.up("a:q").is_empty());
    assert_eq!(bench.up("a:p"), ["start a:t"]);
    assert_eq!(bench.ended("a:t", Outcome::Succeeded), ["stop a:p"], "but not the one that is still used");
    assert_eq!(bench.ended("a:p", Outcome::Succeeded), ["start a:clean"]);
    assert_eq!(bench.ended("a:clean", Outcome::Succeeded), ["stop a:q"]);
}

#[test]
fn a_root_process_keeps_the_others_up() {
    let tasks = [server("a:db"), server("a:web").after("a:db", Condition::Ready)];
    let mut bench = Bench::new(tasks, &["a:web"], 1);
    bench.next();
    assert_eq!(bench.up("a:db"), ["start a:web"]);
    assert!(bench.up("a:web").is_empty());
    assert_eq!(bench.ended("a:web", Outcome::Failed), ["stop a:db"]);
}

#[test]
fn a_lock_held_by_a_service_does_not_hold_the_run_up() {
    let tasks = [
        locked(server("a:p")),
        shell("a:user").after("a:p", Condition::Ready),
        locked(shell("a:t")).after("a:gate", Condition::Succeeded),
        shell("a:gate"),
    ];
    let mut bench = Bench::new(tasks, &["a:user", "a:t"], 4);
    assert_eq!(bench.next(), ["start a:p", "start a:gate"]);
    assert_eq!(bench.up("a:p"), ["start a:user"]);
    assert!(bench.ended("a:gate", Outcome::Succeeded).is_empty());
    assert_eq!(bench.ended("a:user", Outcome::Succeeded), ["stop a:p"]);
    assert_eq!(bench.ended("a:p", Outcome::Succeeded), ["start a:t"]);
}

#[test]
fn a_free_lock_is_offered_to_every_line() {
    // The interactive task has the longer path but must wait for `a:other`; `a:small` need not.
    let tasks = [
        locked(shell("a:holder")).after("a:gate", Condition::Succeeded),
        shell("a:gate"),
        shell("a:other"),
        locked(shell("a:talk").with(|task| task.interactive = true)).after("a:gate", Condition::Succeeded),
        locked(shell("a:small")).after("a:gate", Condition::Succeeded),
        shell("a:end").after("a:talk", Condition::Succeeded),
    ];
    let roots = ["a:holder", "a:other", "a:small", "a:end"];
    let mut bench = Bench::new(tasks, &roots, 2);
    assert_eq!(bench.next(), ["start a:gate", "start a:other"]);
    assert_eq!(bench.ended("a:gate", Outcome::Succeeded), ["start a:holder"]);
    assert_eq!(bench.ended("a:holder", Outcome::Succeeded), ["start a:small"]);
    assert!(bench.ended("a:small", Outcome::Succeeded).is_empty());
    assert_eq!(bench.ended("a:other", Outcome::Succeeded), ["start a:talk"]);
}

#[test]
fn a_failure_names_all_that_is_to_blame() {
    let tasks = [
        shell("a:x"),
        shell("a:y"),
        shell("a:t").after("a:x", Condition::Succeeded).after("a:y", Condition::Succeeded),
    ];
    let mut bench = Bench::new(tasks, &["a:t"], 2);
    bench.next();
    bench.ended("a:y", Outcome::Failed);
    bench.ended("a:x", Outcome::Failed);
    let id = bench.id("a:t");
    assert_eq!(bench.machine.outcome(id), Some(Outcome::DependencyFailed));
    assert_eq!(bench.machine.broken_by(id), [bench.id("a:y"), bench.id("a:x")]);
}

#[test]
fn softness_follows_the_specification() {
    use Condition::{Completed, Succeeded};
    type Edges<'a> = &'a [(&'a str, Condition)];
    let cases: &[(&str, Edges, &[&str], bool)] = &[
        ("all completed", &[("a:1", Completed), ("a:2", Completed)], &["a:1", "a:2"], true),
        ("one of them not", &[("a:1", Completed), ("a:2", Succeeded)], &["a:1", "a:2"], false),
        ("that one not scheduled", &[("a:1", Completed), ("a:2", Succeeded)], &["a:1"], true),
        ("declared twice", &[("a:1", Completed), ("a:1", Succeeded)], &["a:1"], false),
        ("a root", &[("a:1", Completed)], &["a:1", "a:up"], false),
        ("no edge", &[], &["a:up", "a:1"], false),
    ];
    for (what, edges, roots, soft) in cases {
        let down = |name: &str| {
            let mine = edges.iter().filter(|(down, _)| *down == name);
            mine.fold(shell(name), |draft, (_, condition)| draft.after("a:up", *condition))
        };
        let bench = Bench::new([shell("a:up"), down("a:1"), down("a:2")], roots, 1);
        assert_eq!(bench.machine.is_soft(bench.id("a:up")), *soft, "{what}");
    }
}

#[test]
fn what_was_not_handed_out_never_starts_after_a_cancel() {
    let mut bench = Bench::new([shell("a:x"), shell("a:y")], &["a:x", "a:y"], 2);
    for name in ["a:x", "a:y"] {
        bench.machine.observe(Observation::Judged(bench.id(name), Verdict::Stale));
    }
    bench.machine.cancel();
    assert!(bench.next().is_empty() && bench.machine.is_done() && bench.machine.is_cancelled());
    assert_eq!(bench.machine.outcome(bench.id("a:x")), Some(Outcome::Cancelled));
}

#[test]
fn observations_that_come_too_late_or_out_of_turn_change_nothing() {
    let mut bench = Bench::new([shell("a:x")], &["a:x"], 1);
    let id = bench.id("a:x");
    bench.machine.observe(Observation::Ended(id, Outcome::Succeeded));
    assert_eq!(bench.next(), ["start a:x"]);
    bench.machine.observe(Observation::Judged(id, Verdict::Fresh));
    bench.began("a:x");
    bench.machine.observe(Observation::Ready(id));
    assert_eq!(bench.machine.outcome(id), None);
    bench.ended("a:x", Outcome::Failed);
    bench.ended("a:x", Outcome::Succeeded);
    assert_eq!(bench.machine.outcome(id), Some(Outcome::Failed));
}

/// Runs everything to its end; the first task ends as `first`, the others succeed.
fn play(bench: &mut Bench, first: Outcome) -> usize {
    let mut started = 0;
    while let Some(effect) = bench.machine.next_effect() {
        match effect {
            Effect::Check(id) => bench.machine.observe(Observation::Judged(id, Verdict::Stale)),
            Effect::Start(id) => {
                started += 1;
                let outcome = if id == TaskId::new(0) { first } else { Outcome::Succeeded };
                bench.machine.observe(Observation::Ended(id, outcome));
            }
            Effect::Stop(_) => {}
        }
    }
    assert!(bench.machine.is_done());
    started
}

#[test]
fn a_chain_of_100_000_runs_and_fails_to_its_end() {
    for (first, starts) in [(Outcome::Succeeded, 100_000), (Outcome::Failed, 1)] {
        let link = |at: usize| match at {
            0 => shell("n:0"),
            at => shell(&format!("n:{at}")).after(&format!("n:{}", at - 1), Condition::Succeeded),
        };
        let mut bench = Bench::new((0..100_000).map(link), &["n:99999"], 4);
        assert_eq!(play(&mut bench, first), starts, "first {first}");
    }
}

#[test]
fn a_star_of_10_000_runs() {
    let ray = |at: usize| shell(&format!("n:{at}")).after("n:hub", Condition::Succeeded);
    let end = (0..10_000).fold(shell("n:end"), |d, at| d.after(&format!("n:{at}"), Condition::Completed));
    let tasks = std::iter::once(shell("n:hub")).chain((0..10_000).map(ray)).chain([end]);
    let mut bench = Bench::new(tasks, &["n:end"], 8);
    assert_eq!(play(&mut bench, Outcome::Succeeded), 10_002);
}

#[test]
fn ten_thousand_tasks_share_one_lock() {
    let names: Vec<String> = (0..10_000).map(|at| format!("n:{at}")).collect();
    let roots: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bench = Bench::new(names.iter().map(|name| locked(shell(name))), &roots, 8);
    assert_eq!(bench.next(), ["start n:0"]);
    for at in 1..10_000 {
        let todo = bench.ended(&names[at - 1], Outcome::Succeeded);
        assert_eq!(todo, [format!("start {}", names[at])]);
    }
}
