//! What is kept up is in reach of who keeps it, whatever becomes of the task files; what was stopped stays so.

use std::net::TcpListener;

use super::{Live, Sandbox, detached::Background, eventually, is_alive, is_gone, pid};

const TREE: &str = "
    name = 'app'
    [processes.db]
    exec = 'echo $$ > db.pid; echo up; exec sleep 1000'
    ready.log = '^up$'
    [tasks.migrate]
    after = ['devenv:processes:db']
    exec = 'cat in >> migrated'
    execIfModified = ['in']
    [processes.api]
    after = ['migrate', 'devenv:processes:db']
    exec = 'echo $$ > api.pid; echo up; exec sleep 1000'
    ready.log = '^up$'
";

fn tree() -> Sandbox {
    let tree = Sandbox::with(TREE);
    tree.write("in", "1\n");
    tree
}

/// The stage of a process, as `processes list` says it.
fn stage(tree: &Sandbox, process: &str) -> String {
    let list = tree.ok("processes list --json").json();
    let found = list.as_array().unwrap().iter().find(|one| one["task"] == super::full(process).as_str());
    found.map_or("unknown", |one| one["stage"].as_str().unwrap()).to_owned()
}

#[test]
fn what_was_stopped_is_there_for_a_run_that_needs_it_and_stopped_again() {
    let tree = tree();
    let _background = Background(&tree);
    tree.ok("up -d");
    let first = pid(&tree, "db.pid");
    tree.ok("processes stop db");
    is_gone(first);
    // What is up rests on what this executes, and on what it needs.
    tree.ok("run migrate --force");
    let second = pid(&tree, "db.pid");
    assert_ne!(first, second, "it was there for the run");
    eventually("it is stopped again", || stage(&tree, "db") == "stopped");
    is_gone(second);
    assert_eq!(tree.read("migrated"), "1\n1\n");
    assert_eq!(stage(&tree, "api"), "ready");
    let log = tree.read(".devtask/processes/up.log");
    assert!(!log.contains("failed") && !log.contains("Failed"), "{log}");
    // Whoever wants it up has it up.
    tree.ok("up -d");
    assert_eq!(stage(&tree, "db"), "ready");
    tree.ok("run migrate --force");
    assert_eq!(stage(&tree, "db"), "ready");
}

#[test]
fn a_watch_leaves_down_what_was_stopped() {
    let tree = tree();
    let mut up = Live::start(&tree, "up --watch");
    up.stage("api", "ready");
    up.waits();
    tree.ok("processes stop db");
    up.stage("db", "stopped");
    tree.save("in", "2\n");
    // The migration needs it, for as long as it takes.
    up.finished("app:migrate");
    up.waits();
    assert_eq!(tree.read("migrated"), "1\n2\n");
    eventually("it is stopped again", || stage(&tree, "db") == "stopped");
    assert_eq!(stage(&tree, "api"), "ready");
    tree.ok("processes start db");
    assert_eq!(stage(&tree, "db"), "ready");
    up.end();
}

#[test]
fn task_files_with_faults_keep_nobody_from_what_is_up() {
    let tree = tree();
    let _background = Background(&tree);
    tree.ok("up -d");
    let (db, api) = (pid(&tree, "db.pid"), pid(&tree, "api.pid"));
    tree.save("devtask.toml", "name = 'app'\n[processes.db");
    assert!(tree.expect(2, "run migrate").err.contains("error[syntax]"));
    assert_eq!([stage(&tree, "db"), stage(&tree, "api")], ["ready", "ready"]);
    assert!(tree.ok("processes status db").out.contains("state      ready\n"));
    assert_eq!(tree.ok("processes logs db").out, "up\n");
    tree.ok("processes wait");
    tree.ok("processes restart db");
    is_gone(db);
    let db = pid(&tree, "db.pid");
    tree.ok("processes stop api");
    is_gone(api);
    assert!(tree.expect(4, "processes stop nobody").err.contains("nothing is called `nobody`"));
    let down = tree.ok("down");
    assert!(down.err.contains("Stopped           db\n"), "{down}");
    is_gone(db);
    // Nobody is there who knows more than the files.
    for line in ["down", "processes list", "processes stop", "processes status db", "processes logs"] {
        assert!(tree.expect(2, line).err.contains("error[syntax]"), "{line}");
    }
}

#[test]
fn a_process_that_is_called_otherwise_takes_the_place_of_the_old_one() {
    let tree = tree();
    let _background = Background(&tree);
    tree.ok("up -d");
    let (db, api) = (pid(&tree, "db.pid"), pid(&tree, "api.pid"));
    tree.save(
        "devtask.toml",
        TREE.replace("processes:db", "processes:store").replace("[processes.db]", "[processes.store]"),
    );
    eventually("the new one is up", || stage(&tree, "store") == "ready");
    is_gone(db);
    is_gone(api);
    eventually("what rests on it is up again", || stage(&tree, "api") == "ready");
    let left = [pid(&tree, "db.pid"), pid(&tree, "api.pid")];
    tree.ok("down");
    left.into_iter().for_each(is_gone);
}

#[test]
fn strict_ports_are_strict_in_the_background_too() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let tree = Sandbox::with(&format!(
        "
        [processes.web]
        exec = 'exec sleep 1000'
        ports.http.allocate = {port}
        ready.exec = 'true'
        "
    ));
    let _background = Background(&tree);
    let up = tree.expect(1, "up -d --strict-ports");
    assert!(up.err.contains(&format!("port {port} ")), "{up}");
    // Also where somebody is up already who was not told so.
    tree.ok("down");
    tree.ok("up -d");
    let up = tree.expect(1, "up -d --strict-ports");
    assert!(up.err.contains(&format!("port {port} was taken when devenv:processes:web was started")), "{up}");
    tree.ok("processes stop web");
    assert!(tree.expect(1, "up -d --strict-ports").err.contains(&format!("port {port} ")));
    drop(listener);
    let up = tree.ok("up -d --strict-ports");
    assert!(up.out.contains(&port.to_string()), "{up}");
}

#[test]
fn a_second_signal_kills_what_is_kept() {
    let tree = Sandbox::with(
        "
        [processes.db]
        exec = '''trap '' TERM INT; echo $$ > pid; echo up; while :; do sleep 1000; done'''
        ready.log = 'up'
        shutdown.grace = '1h'
        ",
    );
    let mut up = Live::start(&tree, "up");
    up.stage("db", "ready");
    up.signal(super::INT);
    up.stage("db", "stopping");
    up.signal(super::INT);
    let output = up.ends();
    assert_eq!(output.signal, Some(super::INT), "{output}");
    is_gone(pid(&tree, "pid"));
}

#[test]
fn one_that_gave_up_is_begun_anew_when_its_files_change() {
    let tree = Sandbox::with(
        "
        [processes.api]
        exec = 'echo up; test -e good && exec sleep 1000; exit 1'
        restart.on = 'never'
        watch.paths = ['src']
        ready.log = 'up'
        [processes.calm]
        exec = 'exec sleep 1000'
        ",
    );
    tree.write("src/a", "");
    let mut up = Live::start(&tree, "up");
    up.stage("api", "exited");
    tree.write("good", "");
    tree.save("src/a", "mended");
    up.stage("api", "ready");
    up.end();
}

#[test]
fn an_edge_to_a_process_by_its_short_name_is_shown_the_long_one() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = 'exec sleep 1000'
        [tasks.migrate]
        after = ['db']
        exec = 'true'
        ",
    );
    let output = tree.expect(2, "list");
    assert!(output.err.contains("there is no task `app:db`"), "{output}");
    assert!(output.err.contains("did you mean `devenv:processes:db`?"), "{output}");
    assert!(output.err.matches("did you mean").count() == 1, "{output}");
}

#[test]
fn another_build_of_the_program_is_told_who_keeps_processes_up() {
    let tree = tree();
    let other = tree.devtask(["up"]).start_as(&tree.another_build());
    let api = pid(&tree, "api.pid");
    for line in ["down", "processes list", "processes stop db", "up -d"] {
        let output = tree.expect(6, line);
        let whom = format!("this tree is held by `devtask up db api` (pid {}), started ", other.pid());
        assert!(
            output.err.contains(&whom) && output.err.contains(", which does not answer\n"),
            "{whom}{output}"
        );
    }
    assert!(is_alive(api));
    other.signal(super::TERM);
    let ended = other.finish();
    assert_eq!(ended.signal, Some(super::TERM), "{ended}");
    is_gone(api);
}

#[test]
fn output_that_is_to_be_shown_from_now_on_is_shown() {
    let tree = Sandbox::with(
        "
        [tasks.t]
        exec = 'true'
        after = ['devenv:processes:clock@started']
        [processes.clock]
        exec = 'while :; do echo tick; sleep 0.01; done'
        ",
    );
    let mut watch = Live::start(&tree, "watch t");
    watch.waits();
    assert!(!watch.told().contains("[clock]"), "{}", watch.told());
    tree.append("devtask.toml", "showOutput = true\n");
    watch.says("[clock]  tick\n");
    watch.end();
}

#[test]
fn what_goes_into_the_background_does_its_work_once() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [tasks.enter]
        exec = 'echo entered >> count'
        before = ['devenv:enterShell']
        [tasks.long]
        exec = 'echo long >> count'
        [tasks.bad]
        exec = 'echo bad >> count; exit 3'
        [processes.db]
        exec = 'echo up; exec sleep 1000'
        after = ['long']
        ready.log = 'up'
        [processes.other]
        exec = 'exec sleep 1000'
        after = ['bad']
        start.enable = false
        ",
    );
    let _background = Background(&tree);
    let up = tree.ok("up -d");
    assert_eq!(tree.read("count"), "entered\nlong\n", "{up}");
    for line in ["Succeeded         app:long", "Starting          db\n", "Ready             db"] {
        assert_eq!(up.err.matches(line).count(), 1, "{line}: {up}");
    }
    tree.ok("up -d");
    tree.ok("processes start db");
    assert_eq!(tree.read("count"), "entered\nlong\n", "it is up");
    tree.ok("down");
    let up = tree.expect(1, "up -d other");
    assert!(up.err.contains("Failed            app:bad"), "{up}");
    assert!(up.err.contains("error: other is not ready: not started\n"), "{up}");
    assert_eq!(tree.read("count").matches("bad").count(), 1, "{up}");
}

#[test]
fn a_watch_starts_no_process_for_what_turns_out_fresh() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [tasks.gen]
        exec = 'cp in out'
        execIfModified = ['in']
        outputs = ['out']
        [processes.web]
        exec = 'echo $$ > web.pid; exec sleep 1000'
        after = ['gen']
        ready.exec = 'true'
        [tasks.check]
        exec = 'echo checked >> checks'
        execIfModified = ['tests']
        after = ['devenv:processes:web']
        ",
    );
    tree.write("in", "1");
    tree.write("tests", "1");
    tree.ok("run check");
    std::fs::remove_file(tree.path("web.pid")).unwrap();
    let mut watch = Live::start(&tree, "watch check");
    watch.waits();
    tree.save("in", "2");
    watch.finished("app:gen");
    watch.waits();
    assert_eq!(
        (tree.read("out"), tree.read("checks"), tree.exists("web.pid")),
        ("2".into(), "checked\n".into(), false)
    );
    // What needs it has it.
    tree.save("tests", "2");
    watch.finished("app:check");
    assert!(tree.exists("web.pid"));
    watch.end();
}

#[test]
fn what_cannot_go_by_the_files_is_told_and_nothing_comes_up_later() {
    let tree = Sandbox::with("[processes.x]\nexec = 'echo $$ > x.pid; exec sleep 1000'\n");
    let _background = Background(&tree);
    tree.ok("up -d");
    let x = pid(&tree, "x.pid");
    // What it was started for is no more.
    tree.save("devtask.toml", "[processes.y]\nexec = 'echo > y.up; exec sleep 1000'\n");
    let start = tree.expect(6, "processes start y");
    assert!(
        start.err.contains("error: what is up here cannot go by the task files as they are now\n"),
        "{start}"
    );
    tree.ok("down");
    is_gone(x);
    tree.ok("processes start y");
    eventually("it is up", || tree.exists("y.up"));
}

#[test]
fn what_nobody_can_reach_any_more_ends() {
    let tree = tree();
    tree.ok("up -d");
    let left = [pid(&tree, "db.pid"), pid(&tree, "api.pid")];
    std::fs::remove_dir_all(tree.path(".devtask")).unwrap();
    left.into_iter().for_each(is_gone);
    // Nothing is in the way of the next one.
    let _background = Background(&tree);
    tree.ok("up -d");
    assert_eq!(stage(&tree, "api"), "ready");
}
