//! `devtask up -d`, and seeing to what it keeps up from outside.

use super::{INT, Live, Sandbox, eventually, is_gone, pid};

/// Whatever is up in the background is ended with the test.
pub(super) struct Background<'a>(pub(super) &'a Sandbox);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        self.0.devtask(["down"]).run();
    }
}

const TREE: &str = "
    name = 'app'
    [processes.db]
    exec = 'echo $$ > db.pid; echo up; exec sleep 1000'
    ready.log = '^up$'
    [processes.api]
    after = ['devenv:processes:db']
    exec = 'echo $$ > api.pid; echo first; echo up; exec sleep 1000'
    ready.log = '^up$'
    [processes.never]
    exec = 'echo trying hard; exec sleep 1000'
    ready = { exec = 'echo no such table; exit 4', timeout = '10m' }
    start.enable = false
    [processes.broken]
    exec = 'echo out of luck; exit 3'
    ready.log = 'up'
    restart.on = 'never'
    start.enable = false
";

/// The names and stages of `processes list`.
fn stages(tree: &Sandbox) -> Vec<String> {
    let list = tree.ok("processes list").out;
    list.lines().skip(1).map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_life_of_processes_in_the_background() {
    let tree = Sandbox::with(TREE);
    let _background = Background(&tree);
    let up = tree.ok("up -d");
    for name in ["db", "api"] {
        assert!(
            up.out.lines().any(|line| line.starts_with(&format!("{name} ")) && line.contains(" ready ")),
            "{up}"
        );
    }
    assert_eq!(stages(&tree), ["api ready", "broken not", "db ready", "never not"]);
    let status = tree.ok("processes status api");
    let api = pid(&tree, "api.pid");
    for line in [
        "process    devenv:processes:api\n",
        "state      ready\n",
        &format!("pid        {}\n", tree.read("api.pid").trim()),
    ] {
        assert!(status.out.contains(line), "{line}{status}");
    }
    assert_eq!(tree.ok("processes status api --json").json()["stage"], "ready");
    assert_eq!(tree.ok("processes logs api -n 1").out, "up\n");
    assert_eq!(tree.ok("processes logs").out, "[api]  first\n[api]  up\n[db]  up\n");
    tree.ok("processes wait --timeout 60s");
    tree.ok("up -d");
    assert_eq!(pid(&tree, "api.pid"), api, "it was up");

    tree.ok("processes stop api");
    is_gone(api);
    assert_eq!(stages(&tree), ["api stopped", "broken not", "db ready", "never not"]);
    tree.ok("processes start api");
    let (api, db) = (pid(&tree, "api.pid"), pid(&tree, "db.pid"));
    tree.ok("processes restart api");
    is_gone(api);
    let api = pid(&tree, "api.pid");
    assert_eq!(stages(&tree), ["api ready", "broken not", "db ready", "never not"]);
    let down = tree.ok("down");
    is_gone(api);
    is_gone(db);
    assert!(
        down.err.contains("Stopped           api\n") && down.err.contains("Stopped           db\n"),
        "{down}"
    );
    assert_eq!(stages(&tree), ["api not", "broken not", "db not", "never not"]);
}

#[test]
fn what_does_not_get_ready_is_named_with_what_its_probe_said() {
    let tree = Sandbox::with(TREE);
    let _background = Background(&tree);
    let up = tree.expect(1, "up -d never --timeout 500ms");
    assert!(up.err.contains("error: never is not ready: starting, exit 4: no such table\n"), "{up}");
    assert!(up.err.contains("  trying hard\n"), "{up}");
    assert!(up.err.contains("  full log: .devtask/processes/devenv:processes:never.log\n"), "{up}");
    assert!(!up.err.contains("Succeeded"), "nothing has\n{up}");
    let wait = tree.expect(1, "processes wait never --timeout 100ms");
    assert!(wait.err.contains("error: never is not ready: starting, exit 4: no such table\n"), "{wait}");

    let broken = tree.expect(1, "up -d broken");
    assert!(broken.err.contains("error: broken is not ready: exited, exit 3\n"), "{broken}");
    assert!(broken.err.contains("  out of luck\n"), "{broken}");
    let wait = tree.expect(1, "processes wait broken");
    assert!(wait.err.contains("error: broken is not ready: exited, exit 3\n"), "{wait}");
}

#[test]
fn where_nothing_is_up_there_is_nothing_to_wait_for() {
    let tree = Sandbox::with(TREE);
    let wait = tree.expect(1, "processes wait");
    assert_eq!(
        wait.err,
        "error: no process is up here to wait for\n  help: `devtask up -d` starts processes in the background\n"
    );
    tree.expect(1, "processes restart");
    assert_eq!(tree.ok("down").err, "No process is up here.\n");
    assert_eq!(tree.ok("processes stop").err, "No process is up here.\n");
    assert!(tree.expect(2, "attach").err.contains("nothing is up here, and nothing is watched\n"));
    assert!(tree.expect(4, "processes logs").err.contains("none of these has a log"));
    assert!(tree.ok("processes status db").out.contains("state      not started\n"));
}

#[test]
fn looking_on_ends_without_ending_anything() {
    let tree = Sandbox::with(TREE);
    let _background = Background(&tree);
    tree.ok("up -d");
    let attached = Live::start(&tree, "attach");
    attached.says("Attached          to `devtask up db api` (pid ");
    attached.says("Ready             api");
    let logs = Live::start_writing(&tree, "followed", "processes logs --follow db");
    eventually("what there is is shown", || tree.exists("followed") && tree.read("followed") == "up\n");
    tree.ok("processes restart db");
    attached.says("[db]  up\n");
    eventually("what comes is shown", || tree.read("followed") == "up\nup\n");
    logs.end();
    let output = attached.end();
    assert_eq!(output.signal, Some(INT), "{output}");
    assert_eq!(stages(&tree), ["api ready", "broken not", "db ready", "never not"]);
}

#[test]
fn whoever_looks_on_ends_with_what_is_up() {
    let tree = Sandbox::with(TREE);
    let _background = Background(&tree);
    tree.ok("up -d");
    let attached = Live::start(&tree, "attach");
    attached.says("Ready             api");
    tree.ok("down");
    let output = attached.ends();
    assert!(output.err.contains("Stopped           api\n"), "{output}");
}

#[test]
fn a_foreground_up_is_seen_to_in_the_same_way() {
    let tree = Sandbox::with(TREE);
    let mut up = Live::start(&tree, "up");
    up.stage("api", "ready");
    tree.ok("processes stop api");
    up.says("Stopped           api\n");
    tree.ok("processes start api");
    up.stage("api", "ready");
    tree.ok("down");
    let output = up.ends();
    assert_eq!(output.code, Some(0), "{output}");
}
