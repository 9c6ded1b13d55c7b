//! Processes in a watch: what begins them anew, what does not, and when they end.

use super::{Live, Sandbox, eventually, is_alive, is_gone, pid};
use crate::support::gate::Gate;

const BUILT: &str = "
    name = 'app'
    [tasks.build]
    exec = 'tr a-z A-Z < in > out.new; mv out.new out; echo x >> builds'
    execIfModified = ['in']
    outputs = ['out']
    [processes.web]
    after = ['build']
    exec = 'echo $$ > web.pid; echo serving $(cat out); exec sleep 1000'
    ready.log = '^serving'
    [processes.other]
    exec = 'echo $$ > other.pid; echo up; exec sleep 1000'
    ready.log = 'up'
";

fn built() -> Sandbox {
    let tree = Sandbox::with(BUILT);
    tree.write("in", "one");
    tree
}

fn builds(tree: &Sandbox) -> usize {
    tree.read("builds").lines().count()
}

#[test]
fn what_was_made_anew_begins_the_process_anew_and_nothing_else() {
    let tree = built();
    let mut up = Live::start(&tree, "up --watch");
    up.says("[web]  serving ONE\n");
    eventually("both are up", || tree.exists("other.pid"));
    let (web, other) = (pid(&tree, "web.pid"), pid(&tree, "other.pid"));
    up.waits();
    // What is made of it is the same.
    tree.save("in", "ONE");
    eventually("it is built again", || builds(&tree) == 2);
    up.waits();
    assert_eq!(pid(&tree, "web.pid"), web);
    tree.save("in", "two");
    up.says("[web]  serving TWO\n");
    up.says("Restarting        web\n");
    is_gone(web);
    assert_eq!((builds(&tree), pid(&tree, "other.pid")), (3, other));
    assert!(is_alive(other), "{}", up.told());
    assert_eq!(up.told().matches("Restarting").count(), 1, "{}", up.told());
    up.end();
}

#[test]
fn without_watch_nothing_is_built_again() {
    let tree = built();
    tree.replace("devtask.toml", "    [processes.other]", "    watch.paths = ['own']\n    [processes.other]");
    tree.write("own", "1");
    let mut up = Live::start(&tree, "up");
    up.says("[web]  serving ONE\n");
    up.waits();
    let web = pid(&tree, "web.pid");
    tree.save("in", "two");
    // Its own files begin it anew: by then the other change was seen, too.
    tree.save("own", "2");
    is_gone(web);
    eventually("it serves again", || up.told().matches("[web]  serving ONE\n").count() == 2);
    assert_eq!(builds(&tree), 1);
    up.end();
}

#[test]
fn an_edited_task_file_begins_those_anew_that_are_others() {
    let tree = built();
    let mut up = Live::start(&tree, "up --watch");
    up.says("[web]  serving ONE\n");
    up.says("[other]  up\n");
    let (web, other) = (pid(&tree, "web.pid"), pid(&tree, "other.pid"));
    up.waits();
    let text = tree.read("devtask.toml");
    tree.save("devtask.toml", text.replace("echo serving", "echo serving now"));
    up.says("[web]  serving now ONE\n");
    is_gone(web);
    assert!(is_alive(other) && pid(&tree, "other.pid") == other, "{}", up.told());
    let web = pid(&tree, "web.pid");
    up.waits();
    // One that has a fault changes nothing.
    tree.save("devtask.toml", "[processes.web]\n");
    up.says("add `exec`");
    assert!(is_alive(web) && is_alive(other));
    // One that is not there any more ends.
    let end = text.find("    [processes.other]").unwrap();
    tree.save("devtask.toml", text[..end].replace("echo serving", "echo serving now"));
    is_gone(other);
    up.says("Stopped           other\n");
    assert!(is_alive(web), "{}", up.told());
    up.end();
    is_gone(web);
}

#[test]
fn processes_stay_up_between_the_cycles_of_a_watch() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = 'echo $$ > db.pid; echo up; exec sleep 1000'
        ready.log = 'up'
        [tasks.test]
        after = ['devenv:processes:db']
        exec = 'cat in >> tested'
        execIfModified = ['in']
        ",
    );
    tree.write("in", "1\n");
    let mut watch = Live::start(&tree, "watch test");
    watch.finished("app:test");
    watch.waits();
    let db = pid(&tree, "db.pid");
    tree.save("in", "2\n");
    watch.finished("app:test");
    watch.waits();
    assert!(is_alive(db) && pid(&tree, "db.pid") == db, "{}", watch.told());
    assert_eq!(tree.read("tested"), "1\n2\n");
    let output = watch.end();
    is_gone(db);
    assert!(output.err.contains("Stopped           db\n"), "{output}");
}

#[test]
fn a_watch_that_has_nothing_to_do_starts_no_process() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = 'echo x >> starts; echo up; exec sleep 1000'
        ready.log = 'up'
        [tasks.test]
        after = ['devenv:processes:db']
        exec = 'cat in >> tested'
        execIfModified = ['in']
        ",
    );
    tree.write("in", "1\n");
    tree.ok("run test");
    let mut watch = Live::start(&tree, "watch test");
    watch.waits();
    assert_eq!(tree.read("starts"), "x\n");
    tree.save("in", "2\n");
    watch.finished("app:test");
    watch.waits();
    assert_eq!(tree.read("starts"), "x\nx\n");
    watch.end();
}

#[test]
fn one_that_ended_by_itself_is_not_begun_again_by_other_changes() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!(
            "
            name = 'app'
            [processes.once]
            exec = 'echo x >> starts; echo up; {}'
            ready.log = 'up'
            [processes.web]
            exec = 'echo x >> webs; echo up; exec sleep 1000'
            ready.log = 'up'
            watch.paths = ['in']
            ",
            gate.script()
        ),
    );
    tree.write("in", "1");
    let mut up = Live::start(&tree, "up --watch");
    gate.wait();
    up.waits();
    gate.open();
    up.stage("once", "exited");
    tree.save("in", "2");
    up.stage("web", "stopping");
    up.stage("web", "ready");
    assert_eq!((tree.read("starts"), tree.read("webs")), ("x\n".to_owned(), "x\nx\n".to_owned()));
    up.end();
}
