//! A run that has nothing to do starts no process.

use super::{Live, Sandbox, outcomes};

const KEYED: &str = "
    name = 'app'
    [tasks.prepare]
    exec = 'test ! -e broken'
    [processes.db]
    after = ['prepare']
    exec = 'echo x >> starts; exec sleep 1000'
    ready.exec = 'test -e starts'
    [tasks.test]
    after = ['devenv:processes:db']
    exec = 'cat in > out'
    execIfModified = ['in']
";

fn keyed() -> Sandbox {
    let tree = Sandbox::with(KEYED);
    tree.write("in", "1");
    tree
}

fn starts(tree: &Sandbox) -> usize {
    tree.read("starts").lines().count()
}

#[test]
fn what_is_fresh_needs_no_process() {
    let tree = keyed();
    let first = Live::start(&tree, "run test").ends();
    assert_eq!((first.code, starts(&tree)), (Some(0), 1), "{first}");
    let second = Live::start(&tree, "run test").ends();
    assert_eq!((second.code, starts(&tree)), (Some(0), 1), "{second}");
    assert_eq!(outcomes(&tree), "app:prepare succeeded, app:test cached, db skipped");
    assert!(second.err.contains("Cached            app:test\n"), "{second}");
    assert!(second.err.contains("Skipped           devenv:processes:db\n"), "{second}");
    tree.write("in", "2");
    let third = Live::start(&tree, "run test").ends();
    assert_eq!((third.code, starts(&tree)), (Some(0), 2), "{third}");
    assert_eq!(outcomes(&tree), "app:prepare succeeded, app:test succeeded, db succeeded");
}

#[test]
fn force_starts_it_all_the_same() {
    let tree = keyed();
    tree.ok("run test");
    let forced = Live::start(&tree, "run test --force").ends();
    assert_eq!((forced.code, starts(&tree)), (Some(0), 2), "{forced}");
    let refreshed = Live::start(&tree, "run test --refresh-task-cache").ends();
    assert_eq!((refreshed.code, starts(&tree)), (Some(0), 3), "{refreshed}");
}

#[test]
fn a_failure_upstream_of_the_process_fails_what_is_fresh() {
    let tree = keyed();
    tree.ok("run test");
    tree.write("broken", "");
    let output = Live::start(&tree, "run test").ends();
    assert_eq!((output.code, starts(&tree)), (Some(1), 1), "{output}");
    assert_eq!(outcomes(&tree), "app:prepare failed, app:test dependency_failed, db dependency_failed");
}

#[test]
fn a_run_decides_once_about_each_task() {
    let tree = keyed();
    tree.ok("run test");
    tree.write("in", "2");
    let dry = tree.expect(5, "run test -n");
    assert_eq!(dry.err.matches("app:test").count(), 2, "announced, decided\n{dry}");
    assert!(dry.err.contains("Would run         app:test   because in content changed\n"), "{dry}");
    let run = tree.ok("run test --explain");
    let decisions = tree.last_events();
    let decisions = decisions.iter().filter(|e| e["event"] == "decision" && e["task"] == "app:test");
    let reasons: Vec<String> = decisions.map(|decision| decision["reasons"].to_string()).collect();
    assert_eq!(reasons.len(), 1, "{reasons:#?}\n{run}");
    assert!(run.err.contains("because in content changed\n"), "{run}");
}

#[test]
fn what_gathers_a_process_is_told_once() {
    let tree = Sandbox::with(&KEYED.replace("[tasks.test]", "[tasks.needs]").replace(
        "exec = 'cat in > out'\n    execIfModified = ['in']",
        "[tasks.test]\n    after = ['needs']\n    exec = 'cat in > out'\n    execIfModified = ['in']",
    ));
    tree.write("in", "1");
    let output = Live::start(&tree, "run test").ends();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(output.err.matches("Skipped           app:needs\n").count(), 1, "{output}");
    assert!(output.err.contains("\n1 Skipped, 3 Succeeded"), "{output}");
}

/// A database, what migrates it, and what uses it after that.
fn migrated() -> Sandbox {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = '''
            trap 'rm up; exit 0' TERM
            echo x >> starts; touch up
            while :; do sleep 0.02; done'''
        ready.exec = 'test -e up'
        [tasks.migrate]
        after = ['devenv:processes:db']
        exec = 'test -e up; echo x >> migrations'
        execIfModified = ['migration']
        [tasks.test]
        after = ['migrate']
        exec = 'test -e up; cat in >> tested'
        execIfModified = ['in']
        ",
    );
    tree.write("migration", "1");
    tree.write("in", "1");
    tree
}

#[test]
fn what_needs_a_process_through_a_fresh_task_has_it_up() {
    let tree = migrated();
    tree.ok("run test");
    tree.write("in", "2");
    let output = Live::start(&tree, "run test").ends();
    assert_eq!((output.code, starts(&tree), tree.read("tested")), (Some(0), 2, "12".to_owned()), "{output}");
    assert_eq!(outcomes(&tree), "app:migrate cached, app:test succeeded, db succeeded");
    assert_eq!(tree.read("migrations"), "x\n");
    // All of it fresh: nobody needs it.
    tree.ok("run test");
    assert_eq!(starts(&tree), 2);
}

#[test]
fn a_watch_starts_it_when_somebody_comes_to_need_it() {
    let tree = migrated();
    tree.ok("run test");
    let mut watch = Live::start(&tree, "watch test");
    watch.waits();
    assert_eq!(starts(&tree), 1);
    tree.save("in", "2");
    watch.finished("app:test");
    watch.waits();
    assert_eq!((starts(&tree), tree.read("tested")), (2, "12".to_owned()));
    assert_eq!(tree.read("migrations"), "x\n");
}
