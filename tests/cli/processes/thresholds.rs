//! How often and how long a probe is asked, and what its answers come to.

use super::{Live, Sandbox, eventually, is_gone, pid};

fn asked(tree: &Sandbox, file: &str) -> usize {
    if tree.exists(file) { tree.read(file).lines().count() } else { 0 }
}

#[test]
fn the_first_question_waits_for_its_delay_and_the_next_for_their_period() {
    let tree = Sandbox::with(
        "
        [processes.often]
        exec = 'exec sleep 1000'
        ready = { exec = 'echo x >> often; false', period = 0.01 }
        [processes.once]
        exec = 'exec sleep 1000'
        ready = { exec = 'echo x >> once; false', period = 3600 }
        [processes.never]
        exec = 'exec sleep 1000'
        ready = { exec = 'echo x >> never; false', initial_delay = '1h', period = 0.01 }
        [processes.well]
        exec = 'exec sleep 1000'
        ready = { exec = 'echo x >> well', period = 3600 }
        ",
    );
    let mut up = Live::start(&tree, "up");
    up.stage("well", "ready");
    eventually("it was asked often", || asked(&tree, "often") > 30);
    let counts = ["once", "never", "well"].map(|name| asked(&tree, name));
    assert_eq!(counts, [1, 0, 1]);
    let list = tree.ok("processes list --json").json();
    let stages: Vec<&str> =
        list.as_array().unwrap().iter().map(|one| one["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["starting", "starting", "starting", "ready"]);
    up.end();
}

#[test]
fn a_probe_that_hangs_is_ended_with_all_it_started() {
    let tree = Sandbox::with(
        "
        [processes.db]
        exec = 'exec sleep 1000'
        ready.exec = '''
        test ! -e child || exit 0
        sleep 1000 & echo $! > child
        echo $$ > probe
        wait
        '''
        ready.probe_timeout = 0.3
        ",
    );
    let mut up = Live::start(&tree, "up");
    up.next("it is told", |event| event["trouble"] == "its probe did not answer in time");
    let both = [pid(&tree, "probe"), pid(&tree, "child")];
    up.stage("db", "ready");
    both.into_iter().for_each(is_gone);
    up.end();
}

#[test]
fn a_probe_under_way_ends_with_its_process() {
    let tree = Sandbox::with(
        "
        [processes.db]
        exec = 'exec sleep 1000'
        ready = { exec = 'sleep 1000 & echo $! > child; wait', probe_timeout = 3600 }
        ",
    );
    let mut up = Live::start(&tree, "up");
    up.stage("db", "starting");
    let child = pid(&tree, "child");
    up.end();
    is_gone(child);
}

#[test]
fn one_that_is_never_ready_is_restarted_and_given_up() {
    let tree = Sandbox::with(
        "
        [processes.db]
        exec = 'echo x >> starts; exec sleep 1000'
        ready = { exec = 'echo cold; exit 1', timeout = 0.3 }
        restart.max = 2
        ",
    );
    let output = Live::start(&tree, "up").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!(asked(&tree, "starts"), 3);
    let because = "because it was not ready in time: exit 1: cold";
    assert!(
        output.err.contains(&format!("Ended             db   {because}   begins again (restart 1)\n")),
        "{output}"
    );
    assert!(
        output.err.contains(&format!("Gave up           db   after 2 restarts   {because}\n")),
        "{output}"
    );
}

#[test]
fn successes_count_in_a_row() {
    // The second question is answered with no; three in a row are the third to the fifth.
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = 'exec sleep 1000'
        ready.exec = '''
        echo x >> asked
        test $(wc -l < asked) -ne 2
        '''
        ready.success_threshold = 3
        [tasks.test]
        after = ['devenv:processes:db']
        exec = 'cp asked seen'
        ",
    );
    let output = Live::start(&tree, "run test").ends();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(asked(&tree, "seen") >= 5, "{}", tree.read("seen"));
}

#[test]
fn failures_in_a_row_after_it_was_ready_make_it_begin_again() {
    let tree = Sandbox::with(
        "
        [processes.db]
        exec = 'echo x >> starts; exec sleep 1000'
        ready.exec = '''
        test -e well && exit 0
        echo x >> failures
        echo lost its way
        exit 1
        '''
        ready.period = 0.02
        ready.failure_threshold = 4
        ",
    );
    tree.write("well", "");
    let mut up = Live::start(&tree, "up");
    up.stage("db", "ready");
    assert_eq!(asked(&tree, "failures"), 0);
    tree.remove("well");
    let waiting = up.stage("db", "waiting");
    assert_eq!(asked(&tree, "failures"), 4);
    assert_eq!(waiting["trouble"], "its probe failed too often: exit 1: lost its way");
    tree.write("well", "");
    let ready = up.stage("db", "ready");
    assert_eq!((&ready["restarts"], asked(&tree, "starts")), (&serde_json::json!(1), 2));
    up.end();
}

#[test]
fn one_that_is_never_restarted_is_unhealthy_until_it_is_well_again() {
    let tree = Sandbox::with(
        "
        [processes.db]
        exec = 'echo x >> starts; exec sleep 1000'
        ready = { exec = 'test -e well', period = 0.02, failure_threshold = 2 }
        restart.on = 'never'
        ",
    );
    tree.write("well", "");
    let mut up = Live::start(&tree, "up");
    up.stage("db", "ready");
    tree.remove("well");
    up.stage("db", "unhealthy");
    up.says("Unhealthy         db   because exit 1\n");
    let status = tree.ok("processes status db");
    assert!(
        status.out.contains("state      unhealthy\n") && status.out.contains("trouble    exit 1\n"),
        "{status}"
    );
    tree.write("well", "");
    up.stage("db", "ready");
    assert_eq!(asked(&tree, "starts"), 1);
    up.end();
}
