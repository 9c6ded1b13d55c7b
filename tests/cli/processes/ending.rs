//! How a process is ended once nobody needs it any more.

use super::{Live, Sandbox, is_alive, is_gone, pid};

#[test]
fn a_run_ends_its_process_with_the_signal_that_is_declared() {
    for (signal, name) in [("15", "TERM"), ("'SIGUSR1'", "USR1"), ("'int'", "INT"), ("12", "USR2")] {
        let tree = Sandbox::with(&format!(
            "
            name = 'app'
            [processes.db]
            exec = '''
            for signal in TERM INT USR1 USR2; do trap \"echo $signal > ended; exit 0\" $signal; done
            echo $$ > pid
            sleep 1000 & echo $! > child
            echo up
            wait
            '''
            ready.log = 'up'
            shutdown.signal = {signal}
            [tasks.test]
            after = ['devenv:processes:db']
            exec = 'echo tested'
            "
        ));
        let output = Live::start(&tree, "run test").ends();
        assert_eq!(output.code, Some(0), "{signal}: {output}");
        assert_eq!(tree.read("ended"), format!("{name}\n"), "{output}");
        is_gone(pid(&tree, "pid"));
        is_gone(pid(&tree, "child"));
    }
}

#[test]
fn one_that_ignores_its_signal_is_killed_after_its_grace() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = '''trap '' TERM; echo $$ > pid; echo up; exec sleep 1000'''
        ready.log = 'up'
        shutdown.grace = 0.2
        [tasks.test]
        after = ['devenv:processes:db']
        exec = 'echo tested'
        ",
    );
    let mut run = Live::start(&tree, "run test");
    let stopped = run.stage("db", "stopped");
    assert_eq!(stopped["signal"], 9, "{stopped}");
    let output = run.ends();
    assert_eq!(output.code, Some(0), "{output}");
    is_gone(pid(&tree, "pid"));
}

#[test]
fn a_second_signal_does_not_wait_for_the_grace() {
    let tree = Sandbox::with(
        "
        [processes.db]
        exec = '''trap '' TERM; echo $$ > pid; echo up; exec sleep 1000'''
        ready.log = 'up'
        shutdown.grace = 3600
        ",
    );
    for line in ["up", "run devenv:processes:db"] {
        let mut live = Live::start(&tree, line);
        live.stage("db", "ready");
        live.signal(super::INT);
        live.stage("db", "stopping");
        live.signal(super::INT);
        let output = live.ends();
        assert_eq!(output.signal, Some(super::INT), "{output}");
        is_gone(pid(&tree, "pid"));
        tree.remove("pid");
    }
}

#[test]
fn a_killed_devtask_leaves_nothing_running() {
    let tree = Sandbox::with(
        "
        [processes.db]
        exec = '''trap '' TERM; echo $$ > pid; sleep 1000 & echo $! > child; echo up; wait'''
        ready.log = 'up'
        ",
    );
    let mut up = Live::start(&tree, "up");
    up.stage("db", "ready");
    let both = [pid(&tree, "pid"), pid(&tree, "child")];
    up.signal(super::KILL);
    assert_eq!(up.ends().signal, Some(super::KILL));
    both.into_iter().for_each(is_gone);
}

#[test]
fn what_an_up_keeps_is_used_by_a_run_and_goes_on() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = 'echo $$ >> pid; echo up; exec sleep 1000'
        ready.log = 'up'
        [tasks.test]
        after = ['devenv:processes:db']
        exec = 'touch tested'
        ",
    );
    let mut up = Live::start(&tree, "up");
    up.stage("db", "ready");
    let db = pid(&tree, "pid");
    let run = tree.ok("run test");
    assert!(tree.exists("tested") && is_alive(db), "{run}");
    assert!(run.err.contains("Ready             db\n") && !run.err.contains("Starting"), "{run}");
    assert_eq!(tree.read("pid").lines().count(), 1, "it was not started again");
    let output = up.end();
    assert_eq!(output.signal, Some(super::INT), "{output}");
    is_gone(db);
}
