//! What servers tell of their tasks: when they are asked, what is kept, what is wrong with it.

#[cfg(target_os = "linux")]
use super::eventually;
use super::{super::support::Sandbox, starts, tree};

const TWO: &str = r#"{"name":"a"},{"name":"b","depends":["a"]}"#;

#[test]
fn who_only_looks_starts_nothing_and_says_what_is_not_known() {
    let tree = tree(TWO, "answer succeeded", "[tasks.c]\nexec = ':'\nafter = ['b']\n");
    for line in ["list", "why c", "show c", "graph", "validate", "run -n c", "list --json"] {
        let said = tree.devtask(line.split_whitespace()).run();
        assert!(said.err.contains("the tasks of server `sh` are not known yet"), "{line}\n{said}");
        assert_eq!(starts(&tree), 0, "{line}");
    }
    assert!(!tree.ok("list").out.contains("p:b"));
    tree.ok("run b");
    assert_eq!(starts(&tree), 2);
    for line in ["list", "why b", "show b", "graph", "validate"] {
        let said = tree.ok(line);
        assert!(said.err.is_empty() || line == "validate", "{line}\n{said}");
        assert_eq!(starts(&tree), 0, "{line}");
    }
    assert!(tree.ok("list").out.contains("p:b"));
}

#[test]
fn a_list_is_asked_for_again_when_the_server_may_have_another() {
    let tree = tree(TWO, "answer succeeded", "watch = ['tasks.json']\n[tasks.c]\nexec = ':'\n");
    tree.ok("run c");
    assert_eq!(starts(&tree), 1);
    tree.append("devtask.toml", "[tasks.d]\nexec = ':'\n");
    tree.ok("run d");
    assert_eq!(starts(&tree), 0, "what the file says of others is none of its business");
    tree.write("tasks.json", r#"{"tasks":[{"name":"new"}]}"#);
    let list = tree.ok("list");
    assert!(list.err.contains("server `sh` has changed since it told its tasks"), "{list}");
    assert!(list.out.contains("p:b") && !list.out.contains("p:new"), "{list}");
    assert_eq!(starts(&tree), 0);
    tree.ok("run new");
    assert_eq!(starts(&tree), 2);
    let list = tree.ok("list");
    assert!(list.err.is_empty() && !list.out.contains("p:b"), "{list}");
    tree.append("server.sh", "# another\n");
    assert_eq!(tree.ok("list --refresh-task-cache").err, "Asking            sh for its tasks\n");
    assert_eq!(starts(&tree), 1);
    tree.replace("devtask.toml", "startTimeout = \"20s\"", "startTimeout = \"30s\"");
    tree.ok("run c");
    assert_eq!(starts(&tree), 1, "it is declared otherwise");
}

#[test]
fn a_server_that_lists_others_when_it_runs_is_told_of() {
    // Nothing says that its list rests on that file.
    let tree = tree(TWO, "answer succeeded", "");
    tree.ok("run a");
    tree.write("tasks.json", r#"{"tasks":[{"name":"a"},{"name":"new"}]}"#);
    starts(&tree);
    let said = tree.ok("run a");
    assert!(said.err.contains("server `sh` tells of other tasks than before"), "{said}");
    tree.ok("run new");
    assert_eq!(starts(&tree), 3);
}

#[test]
fn every_fault_of_a_list_is_told_with_the_server() {
    let tasks = r#"{"name":"a"},{"name":"a"},{"name":"bad name"},{},{"name":"c","after":"a"},5,
        {"name":"d","depends":["a@never","x y"],"outputs":["["],"env":{"A=":"b"}},{"name":"f","outputs":["../../out"]}"#;
    let tree = tree(tasks, "answer succeeded", "[tasks.d]\nexec = ':'\n");
    let said = tree.expect(2, "run a");
    for part in [
        "p:a is in it twice",
        "it names a task `bad name`: ` ` is not allowed in a task name",
        "task 4 cannot be read: it has no `name`",
        "task 5, `c` cannot be read",
        "task 6 cannot be read: it is no object",
        "`@never` of p:d is no state to wait for",
        "it names a task that p:d depends on `x y`",
        "`[` of p:d is no pattern",
        "p:f has outputs outside the root: `../../out`",
        "devtask.toml:2:10",
    ] {
        assert!(said.err.contains(part), "{part}\n{said}");
    }
    // With a list that is sound, what it says is judged with the rest.
    tree.write("tasks.json", r#"{"tasks":[{"name":"d"},{"name":"e","depends":["nowhere"]}]}"#);
    let said = tree.expect(2, "run a");
    assert!(said.err.contains("duplicate") && said.err.contains("p:nowhere"), "{said}");
}

#[test]
fn servers_that_cannot_be_asked_are_faults_each_with_its_reason() {
    let tree = Sandbox::with(
        "[servers.none]\ncommand = ['./none']\n[servers.dies]\ncommand = ['./dies']\n[servers.silent]\n\
         command = ['./silent']\nstartTimeout = '300ms'\n[servers.deaf]\ncommand = ['./deaf']\nstartTimeout = '300ms'\n\
         [servers.odd]\ncommand = ['./odd']\n[servers.refuses]\ncommand = ['./refuses']\n[servers.newer]\ncommand = ['./newer']\n\
         [tasks.a]\nexec = ':'\n",
    );
    let with = |name: &str, script: &str| drop(tree.program(name, &format!("#!/bin/sh\n{script}\n")));
    with("dies", "echo about to fail >&2; exit 3");
    with("silent", "exec sleep 1000");
    with("deaf", "exec 3>&-; exec sleep 1000");
    with("odd", "echo hello >&3; exec sleep 1000");
    with("refuses", r#"echo '{"id":1,"error":{"code":-32600,"message":"not today"}}' >&3; exec sleep 1000"#);
    with("newer", r#"echo '{"id":1,"result":{"tasks":[],"protocolVersion":2}}' >&3; exec sleep 1000"#);
    let said = tree.expect(2, "run a");
    for part in [
        "server `none` cannot be started: there is no program `./none`",
        "server `dies` ended with exit 3",
        "it wrote: about to fail",
        "server `silent` neither bound its socket nor spoke on its descriptor 3 within 300ms",
        "server `deaf` neither bound its socket",
        "server `odd` speaks wrongly: a line is no JSON",
        "server `refuses` answers `initialize` with an error: not today (-32600)",
        "server `newer` speaks version 2 of the protocol",
    ] {
        assert!(said.err.contains(part), "{part}\n{said}");
    }
}

/// One that has left the session, the parent and the surroundings it was started in.
#[test]
#[cfg(target_os = "linux")]
fn what_a_server_that_is_only_asked_leaves_behind_is_ended() {
    let tree = tree(TWO, "answer succeeded", "");
    let stray = "(env -i PATH=\"$PATH\" setsid sh -c 'echo $$ > stray; exec sleep 1000' &)\n\
                 while [ ! -s stray ]; do sleep 0.01; done\necho start >> starts";
    let leaves = super::SERVER.replace("echo start >> starts", stray);
    assert_ne!(leaves, super::SERVER);
    tree.program("server.sh", &leaves);
    tree.ok("list --refresh-task-cache");
    assert_eq!(starts(&tree), 1);
    let stray: i32 = tree.read("stray").trim().parse().unwrap();
    let stray = rustix::process::Pid::from_raw(stray).unwrap();
    eventually("the stray process is gone", || rustix::process::test_kill_process(stray).is_err());
}

#[test]
fn devenvs_spelling_is_understood() {
    let tree = Sandbox::with("name = 'p'\ntask.serverProtocol = ['./server.sh']\n");
    tree.program("server.sh", super::SERVER);
    tree.write("tasks.json", r#"{"tasks":[{"name":"a"}]}"#);
    tree.write("run.sh", "answer succeeded");
    assert!(tree.ok("run a").err.contains("Succeeded         p:a"));
}

#[test]
fn the_tasks_of_an_included_project_are_its_own() {
    let tree = Sandbox::with("name = 'top'\ninclude = ['app']\n[tasks.all]\nafter = ['app:a']\n");
    tree.write("app/devtask.toml", "[servers.sh]\ncommand = ['./server.sh']\n");
    tree.program("app/server.sh", super::SERVER);
    tree.write("app/tasks.json", r#"{"tasks":[{"name":"a","exec_if_modified":["in.txt"]}]}"#);
    tree.write("app/run.sh", "answer succeeded");
    tree.write("app/in.txt", "x");
    tree.ok("run");
    assert!(tree.devtask(["why", "a"]).dir("app").run().out.contains("app:a is fresh"));
    tree.write("app/in.txt", "y");
    assert!(tree.ok("why app:a").out.contains("app/in.txt"));
}

#[test]
fn a_task_cannot_leave_out_what_its_server_is_made_of() {
    let tasks = r#"{"name":"a","exec_if_modified":["src/**","!**/*.rules"]}"#;
    let tree = tree(tasks, "answer succeeded", "watch = ['lib/*.rules']\n");
    tree.write("src/x", "");
    tree.ok("run a");
    tree.write("lib/one.rules", "");
    let said = tree.expect(2, "run a");
    assert!(said.err.contains("negations of p:a leave out"), "{said}");
    assert!(said.err.contains("lib/one.rules, which the server is made of"), "{said}");
}

#[test]
fn one_that_says_at_once_that_its_list_is_another_is_asked_again() {
    let tree = tree(TWO, "answer succeeded", "");
    let hasty = super::SERVER
        .replace(r#"$(cat tasks.json)"'}' ;;"#, r#"$(cat tasks.json)"'}{"method":"tasks/changed"}' ;;"#);
    assert_ne!(hasty, super::SERVER);
    tree.program("server.sh", &hasty);
    tree.ok("run a");
    starts(&tree);
    let list = tree.ok("list");
    assert!(list.err.contains("are not known yet"), "{list}");
}

#[test]
fn one_that_cannot_be_asked_any_more_fails_its_own_tasks_and_no_others() {
    let tree = tree(TWO, "answer succeeded", "[tasks.plain]\nexec = ':'\n");
    tree.ok("run");
    tree.program("server.sh", "#!/bin/sh\necho broken >&2; exit 2\n");
    let said = tree.expect(1, "run");
    for part in [
        "server `sh` ended with exit 2; its tasks are those it told before",
        "it wrote: broken",
        "Succeeded         p:plain",
        "Failed            p:a",
        "Dependency failed p:b",
    ] {
        assert!(said.err.contains(part), "{part}\n{said}");
    }
    tree.program("server.sh", super::SERVER);
    assert!(!tree.ok("run").err.contains("warning"));
}

#[test]
fn a_list_that_does_not_fit_the_rest_is_asked_for_again_before_it_is_a_fault() {
    // What it reads its list from nobody knows.
    let tree = tree(r#"{"name":"a","depends":["nowhere"]}"#, "answer succeeded", "");
    assert!(tree.expect(2, "run a").err.contains("p:nowhere"));
    tree.write("tasks.json", r#"{"tasks":[{"name":"a"}]}"#);
    tree.ok("run a");
}

#[test]
fn one_of_which_nobody_knows_what_it_is_made_of_is_warned_of() {
    let tree = tree(r#"{"name":"a","exec_if_modified":["in.txt"]}"#, "answer succeeded", "");
    tree.replace("devtask.toml", "[\"./server.sh\"]", "[\"sh\", \"-c\", \". ./server.sh\"]");
    tree.write("in.txt", "x");
    let said = tree.ok("run a");
    assert!(said.err.contains("nothing says what server `sh` is made of"), "{said}");
}
