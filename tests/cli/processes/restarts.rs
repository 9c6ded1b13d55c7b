//! When a process is started again.

use super::{Live, Sandbox};

fn starts(tree: &Sandbox, file: &str) -> usize {
    if tree.exists(file) { tree.read(file).lines().count() } else { 0 }
}

#[test]
fn the_way_it_ended_and_the_rule_say_whether_it_begins_again() {
    let tree = Sandbox::with(
        "
        [processes.never-well]
        exec = 'echo x >> never-well'
        restart.on = 'never'
        [processes.never-ill]
        exec = 'echo x >> never-ill; exit 1'
        restart.on = 'never'
        [processes.failure-well]
        exec = 'echo x >> failure-well'
        [processes.failure-ill]
        exec = 'echo x >> failure-ill; exit 1'
        restart = { on = 'on_failure', max = 2 }
        [processes.failure-signal]
        exec = 'echo x >> failure-signal; kill -9 $$'
        restart.max = 1
        [processes.always-well]
        exec = 'echo x >> always-well'
        restart = { on = 'always', max = 2 }
        [processes.always-ill]
        exec = 'echo x >> always-ill; exit 1'
        restart = { on = 'always', max = 0 }
        ",
    );
    let output = Live::start(&tree, "up").ends();
    assert_eq!(output.code, Some(1), "{output}");
    let of = |rule: &str, end: &str| starts(&tree, &format!("{rule}-{end}"));
    assert_eq!((of("never", "well"), of("never", "ill")), (1, 1));
    assert_eq!((of("failure", "well"), of("failure", "ill"), of("failure", "signal")), (1, 3, 2));
    assert_eq!((of("always", "well"), of("always", "ill")), (3, 1));
    for line in [
        "Exited            never-well   because exit 0\n",
        "Exited            never-ill   because exit 1\n",
        "Gave up           failure-ill   after 2 restarts   because exit 1\n",
        "Gave up           failure-signal   after 1 restart   because signal 9\n",
        "Gave up           always-well   after 2 restarts   because exit 0\n",
        "Gave up           always-ill   after 0 restarts   because exit 1\n",
    ] {
        assert!(output.err.contains(line), "{line}{output}");
    }
}

#[test]
fn five_times_unless_something_else_is_said() {
    let tree = Sandbox::with(
        "
        [processes.usual]
        exec = 'echo x >> usual; exit 1'
        [processes.unlimited]
        exec = 'echo x >> unlimited; test $(wc -l < unlimited) -ge 8'
        restart.max = 'unlimited'
        ",
    );
    let json = Sandbox::new();
    json.write(
        "devtask.json",
        r#"{ "processes": { "null": {
            "exec": "echo x >> null; test $(wc -l < null) -ge 8", "restart": { "max": null }
        } } }"#,
    );
    // Side by side, for each waits longer and longer.
    let null = Live::start(&json, "up");
    let mut up = Live::start(&tree, "up");
    for restarts in 1..=5 {
        let waiting = up.stage("usual", "waiting");
        assert_eq!(waiting["restarts"], restarts);
        up.stage("usual", "ready");
    }
    let output = up.ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.err.contains("Gave up           usual   after 5 restarts   because exit 1\n"), "{output}");
    assert!(
        output.err.contains("Ended             unlimited   because exit 1   begins again (restart 7)\n"),
        "{output}"
    );
    assert_eq!((starts(&tree, "usual"), starts(&tree, "unlimited")), (6, 8));
    let output = null.ends();
    assert_eq!((output.code, starts(&json, "null")), (Some(0), 8), "{output}");
}

#[test]
fn restarts_before_the_window_do_not_count() {
    let tree = Sandbox::with(
        "
        [processes.short]
        exec = 'echo x >> short; test $(wc -l < short) -ge 4'
        restart = { max = 1, window = 0.001 }
        [processes.long]
        exec = 'echo x >> long; test $(wc -l < long) -ge 4'
        restart = { max = 1, window = 3600 }
        ",
    );
    let output = Live::start(&tree, "up").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!((starts(&tree, "short"), starts(&tree, "long")), (4, 2));
    assert!(output.err.contains("Exited            short   because exit 0\n"), "{output}");
    assert!(output.err.contains("Gave up           long   after 1 restart   because exit 1\n"), "{output}");
}

#[test]
fn a_change_of_what_it_watches_begins_it_anew() {
    let tree = Sandbox::with(
        "
        [processes.web]
        exec = 'cat src/a.txt >> seen; echo up; exec sleep 1000'
        ready.log = 'up'
        watch = { paths = ['src'], extensions = ['txt'], ignore = ['src/own.txt'] }
        ",
    );
    tree.write("src/a.txt", "1\n");
    tree.write("src/own.txt", "");
    tree.write("src/b.md", "");
    let mut up = Live::start(&tree, "up");
    up.stage("web", "ready");
    up.waits();
    // None of these counts, so that the next change meets the first process.
    tree.save("src/own.txt", "other");
    tree.save("src/b.md", "other");
    tree.save("src/a.txt", "2\n");
    up.stage("web", "stopping");
    up.stage("web", "ready");
    let output = up.end();
    assert_eq!(tree.read("seen"), "1\n2\n", "{output}");
    assert!(output.err.contains("Restarting        web\n"), "{output}");
}

#[test]
fn who_does_not_feed_its_watchdog_begins_again() {
    super::needs_python();
    let tree = Sandbox::with(
        "
        [processes.starving]
        exec = 'echo x >> starving; exec sleep 1000'
        watchdog = { usec = 200_000, require_ready = false }
        ready.notify = true
        restart.max = 1
        [processes.tripped]
        exec = 'echo $WATCHDOG_USEC >> tripped; exec python3 trip.py'
        watchdog.usec = 3_600_000_000
        restart.max = 1
        ",
    );
    tree.write(
        "trip.py",
        "import os, socket, time\n\
         out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
         out.sendto(b'WATCHDOG=1', os.environ['NOTIFY_SOCKET'])\n\
         out.sendto(b'WATCHDOG=trigger', os.environ['NOTIFY_SOCKET'])\n\
         time.sleep(1000)\n",
    );
    let output = Live::start(&tree, "up").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!((starts(&tree, "starving"), tree.read("tripped")), (2, "3600000000\n".repeat(2)));
    for line in [
        "Gave up           starving   after 1 restart   because it did not feed its watchdog\n",
        "Gave up           tripped   after 1 restart   because it said itself that it is not well\n",
    ] {
        assert!(output.err.contains(line), "{line}{output}");
    }
}
