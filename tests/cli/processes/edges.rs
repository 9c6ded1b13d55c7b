//! Which state of an upstream process a task waits for, and what becomes of it if that never comes.

use super::{Live, Sandbox, outcomes};
use crate::support::gate::Gate;

#[test]
fn started_is_before_ready_and_ready_is_the_default() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = 'exec sleep 1000'
        ready.exec = 'test -e well'
        [tasks.early]
        after = ['devenv:processes:db@started']
        exec = 'echo early >> order; touch well'
        [tasks.late]
        after = ['devenv:processes:db']
        exec = 'echo late >> order'
        [tasks.explicit]
        after = ['devenv:processes:db@ready', 'late']
        exec = 'echo explicit >> order'
        ",
    );
    // It would never end if `early` waited for what only `early` makes true.
    let run = Live::start(&tree, "run early late explicit");
    let output = run.ends();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(tree.read("order"), "early\nlate\nexplicit\n");
    for line in ["Starting          db\n", "Ready             db (", "Stopped           db\n"] {
        assert!(output.err.contains(line), "{line}{output}");
    }
}

#[test]
fn one_that_was_ready_may_have_ended_before_anybody_looks() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.quick]
        exec = 'echo up'
        ready.log = 'up'
        [processes.unasked]
        exec = 'true'
        [tasks.test]
        after = ['devenv:processes:quick', 'devenv:processes:unasked@started']
        exec = 'true'
        ",
    );
    for _ in 0..20 {
        let output = tree.ok("run test");
        assert!(output.err.contains("3 Succeeded"), "{output}");
    }
}

#[test]
fn completed_waits_for_the_end_and_does_not_mind_how_it_was() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!(
            "
            name = 'app'
            [processes.job]
            exec = '{}; echo job >> order; exit 3'
            restart.on = 'never'
            [tasks.after]
            after = ['devenv:processes:job@completed']
            exec = 'echo after >> order'
            ",
            gate.script()
        ),
    );
    let mut run = Live::start(&tree, "run after");
    gate.wait();
    run.stage("job", "ready");
    assert!(!tree.exists("order"));
    gate.open();
    let output = run.ends();
    assert_eq!(output.code, Some(0), "its failure is soft\n{output}");
    assert_eq!(tree.read("order"), "job\nafter\n");
    assert_eq!(outcomes(&tree), "app:after succeeded, job failed");
    assert!(output.err.contains("Exited            job   because exit 3\n"), "{output}");
    assert!(output.err.contains("1 Succeeded, 1 Failed"), "{output}");
}

#[test]
fn a_process_waits_for_tasks_and_for_processes_and_they_end_in_reverse() {
    let tree = Sandbox::with(
        r#"
        name = "app"
        [tasks.gen]
        exec = "echo gen >> order"
        [processes.db]
        after = ["gen"]
        exec = "trap 'echo db-ends >> order; exit 0' TERM; echo db >> order; echo up; sleep 1000 & wait"
        ready.log = "^up$"
        [processes.api]
        after = ["devenv:processes:db"]
        exec = "trap 'echo api-ends >> order; exit 0' TERM; echo api >> order; echo up; sleep 1000 & wait"
        ready.log = "^up$"
        [tasks.test]
        after = ["devenv:processes:api"]
        exec = "echo test >> order"
        "#,
    );
    let output = Live::start(&tree, "run test").ends();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(tree.read("order"), "gen\ndb\napi\ntest\napi-ends\ndb-ends\n");
    assert_eq!(outcomes(&tree), "app:gen succeeded, app:test succeeded, api succeeded, db succeeded");
}

const FAILING: &str = r#"
    name = "app"
    [processes.p]
    exec = "HOW"
    [tasks.started]
    after = ["devenv:processes:p@started"]
    exec = "touch started"
    [tasks.ready]
    after = ["devenv:processes:p@ready"]
    exec = "touch ready"
    [tasks.completed]
    after = ["devenv:processes:p@completed"]
    exec = "touch completed"
"#;

fn failing(how: &str, more: &str) -> Sandbox {
    Sandbox::with(&FAILING.replace("\"HOW\"", &format!("{how}\n    {more}")))
}

#[test]
fn one_that_cannot_be_started_fails_what_waits_for_that() {
    let tree =
        failing("'true'", "package = 'no-such-shell'\n    ready.exec = 'true'\n    restart.on = 'never'");
    let output = Live::start(&tree, "run started ready completed").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!(
        outcomes(&tree),
        "app:completed succeeded, app:ready dependency_failed, app:started dependency_failed, p failed"
    );
    assert!(output.err.contains("no-such-shell"), "{output}");
    assert!(
        output.err.contains("Dependency failed app:ready   because devenv:processes:p failed\n"),
        "{output}"
    );
}

#[test]
fn one_that_is_not_ready_in_time_fails_what_waits_for_that() {
    let tree = failing(
        "'exec sleep 1000'",
        "ready = { exec = 'echo not yet; exit 3', timeout = 0.5 }\n    restart.on = 'never'",
    );
    let output = Live::start(&tree, "run started ready completed").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!(
        outcomes(&tree),
        "app:completed succeeded, app:ready dependency_failed, app:started succeeded, p failed"
    );
    assert!(output.err.contains("  it was not ready in time: exit 3: not yet\n"), "{output}");
}

#[test]
fn one_that_was_given_up_fails_what_waits_for_it() {
    let tree = failing("'echo boom; exit 7'", "ready.exec = 'false'\n    restart.max = 1");
    let output = Live::start(&tree, "run ready completed").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!(outcomes(&tree), "app:completed succeeded, app:ready dependency_failed, p failed");
    for line in [
        "Ended             p   because exit 7   begins again (restart 1)\n",
        "Gave up           p   after 1 restart   because exit 7",
        "── devenv:processes:p ── exit 7 ── echo boom; exit 7 ──",
        "  boom\n",
    ] {
        assert!(output.err.contains(line), "{line}{output}");
    }
    let soft = Live::start(&tree, "run completed").ends();
    assert_eq!(soft.code, Some(0), "only `@completed` waits for it\n{soft}");
}

#[test]
fn a_task_that_fails_keeps_the_processes_after_it_from_starting() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [tasks.migrate]
        exec = 'exit 9'
        [processes.api]
        after = ['migrate']
        exec = 'touch began; exec sleep 1000'
        ready.exec = 'true'
        [tasks.test]
        after = ['devenv:processes:api']
        exec = 'touch tested'
        ",
    );
    let output = Live::start(&tree, "run test").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(!tree.exists("began") && !tree.exists("tested"));
    assert_eq!(outcomes(&tree), "app:migrate failed, app:test dependency_failed, api dependency_failed");
}

#[test]
fn what_it_hands_on_has_to_be_sound() {
    let tree = Sandbox::with(
        r#"
        name = "app"
        [processes.db]
        exec = "cat output > $DEVENV_TASK_OUTPUT_FILE; echo up; exec sleep 1000"
        ready.log = "up"
        [tasks.test]
        after = ["devenv:processes:db"]
        exec = "cp $DEVENV_TASKS_OUTPUTS_FILE seen"
        "#,
    );
    tree.write("output", "{ \"url\": \"db://here\" }");
    tree.ok("run test");
    assert_eq!(tree.read("seen"), r#"{"devenv:processes:db":{"url":"db://here"}}"#);
    tree.remove("seen");
    tree.write("output", "{ url:");
    let output = Live::start(&tree, "run test").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(!tree.exists("seen"), "{output}");
    assert_eq!(outcomes(&tree), "app:test dependency_failed, db failed");
}
