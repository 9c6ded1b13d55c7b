//! `devtask up` in the foreground.

use super::{INT, Live, Sandbox, is_gone, pid};
use crate::support::{eventually, gate::Gate};

const CHAIN: &str = r#"
    name = "app"
    [tasks.hello]
    exec = "echo hello >> order"
    before = ["devenv:enterShell"]
    [tasks.migrate]
    after = ["devenv:processes:db"]
    exec = "echo migrate >> order"
    [processes.db]
    exec = "trap 'echo db-ends >> order; exit 0' TERM; echo db >> order; echo up; sleep 1000 & wait"
    ready.log = "^up$"
    start.enable = false
    [processes.api]
    after = ["migrate"]
    exec = "trap 'echo api-ends >> order; exit 0' TERM; echo api >> order; echo up >&2; sleep 1000 & wait"
    ready.log = "^up$"
    [processes.extra]
    exec = "echo $$ > extra.pid; echo up; exec sleep 1000"
    ready.log = "^up$"
    start.enable = false
"#;

#[test]
fn it_starts_by_the_edges_and_ends_in_reverse() {
    let tree = Sandbox::with(CHAIN);
    let mut up = Live::start(&tree, "up");
    up.stage("api", "ready");
    up.says("[db]  up\n");
    up.says("[api]!  up\n");
    let output = up.end();
    assert_eq!(output.signal, Some(INT), "{output}");
    assert_eq!(tree.read("order"), "hello\ndb\nmigrate\napi\napi-ends\ndb-ends\n");
    let at = |line: &str| output.err.find(line).unwrap_or_else(|| panic!("{line}{output}"));
    assert!(at("Stopped           api\n") < at("Stopped           db\n"), "{output}");
    assert!(!tree.exists("extra.pid"), "nobody asked for that");
}

#[test]
fn a_name_starts_what_is_not_started_otherwise() {
    let tree = Sandbox::with(CHAIN);
    for name in ["extra", "devenv:processes:extra"] {
        let mut up = Live::start(&tree, &format!("up {name}"));
        up.stage("extra", "ready");
        let extra = pid(&tree, "extra.pid");
        assert_eq!(tree.read("order"), "hello\n", "and nothing else");
        up.end();
        is_gone(extra);
        tree.remove("extra.pid");
        tree.remove("order");
    }
    let unknown = tree.expect(4, "up exta");
    assert!(unknown.err.contains("extra"), "{unknown}");
    let none = Sandbox::with("[tasks.a]\nexec = 'true'\n").expect(4, "up");
    assert!(none.err.contains("there is no process to start"), "{none}");
}

#[test]
fn it_ends_when_all_have_ended() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!(
            "
            [processes.first]
            exec = 'echo done'
            [processes.second]
            exec = '{}; exit $(cat code)'
            restart.on = 'never'
            ",
            gate.script()
        ),
    );
    for (code, exit) in [("0", 0), ("5", 1)] {
        tree.write("code", code);
        let mut up = Live::start(&tree, "up");
        gate.wait();
        up.stage("first", "exited");
        assert!(up.is_running());
        gate.open();
        let output = up.ends();
        assert_eq!(output.code, Some(exit), "{output}");
        assert!(
            output.err.contains(&format!("Exited            second   because exit {code}\n")),
            "{output}"
        );
    }
}

#[test]
fn it_ends_when_none_of_them_can_be_started() {
    let broken = Sandbox::with(
        "
        name = 'app'
        [tasks.migrate]
        exec = 'exit 3'
        [processes.api]
        after = ['migrate']
        exec = 'exec sleep 1000'
        ",
    );
    let output = Live::start(&broken, "up").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(
        output.err.contains("Dependency failed devenv:processes:api   because app:migrate failed\n"),
        "{output}"
    );
}

#[test]
fn what_cannot_be_entered_keeps_no_process_down() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [tasks.hello]
        exec = 'exit 3'
        before = ['devenv:enterShell']
        [processes.web]
        exec = 'exec sleep 1000'
        ",
    );
    let mut up = Live::start(&tree, "up");
    up.stage("web", "ready");
    assert!(up.told().contains("Failed            app:hello"), "{}", up.told());
    up.end();
}

#[test]
fn a_second_one_looks_on_and_starts_what_it_names() {
    let tree = Sandbox::with(CHAIN);
    let mut first = Live::start(&tree, "up");
    first.stage("api", "ready");
    let second = Live::start(&tree, "up extra");
    second.says("Attached          to `devtask up api` (pid ");
    second.says("Ready             extra");
    first.stage("extra", "ready");
    let extra = pid(&tree, "extra.pid");
    let output = second.end();
    assert_eq!(output.signal, Some(INT), "{output}");
    let list = tree.ok("processes list");
    eventually("it is still there", || super::is_alive(extra));
    assert!(list.out.contains("extra  ready"), "{list}");
    first.end();
    is_gone(extra);
}
