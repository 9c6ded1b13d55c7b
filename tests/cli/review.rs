//! Stories of faults that were found by reading: each was wrong once.

use devtask::store::{Access, StateDir, Store};

use super::support::{Sandbox, eventually, gate::Gate, set};

#[test]
fn a_tree_reached_through_a_link_is_the_same_tree() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\nexecIfModified = ['${root}/in', 'src']\n");
    tree.write("in", "1");
    tree.write("src/x", "1");
    tree.ok("run a");
    std::os::unix::fs::symlink(tree.root(), tree.home().join("link")).unwrap();
    for (flag, path) in [("-C", "link"), ("-f", "link/devtask.toml")] {
        let through = tree.home().join(path);
        let run = tree.devtask([flag.as_ref(), through.as_os_str(), "run".as_ref(), "tree:a".as_ref()]).run();
        assert_eq!(run.code, Some(0), "{run}");
        assert_eq!(tree.executed(), set(""), "{flag} {path}");
    }
}

#[test]
fn every_attempt_keeps_its_log() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'echo again >> n; cat n | wc -l; exit 3'\nretries = 2\n");
    let run = tree.expect(1, "run a");
    assert!(run.err.contains("full log: .devtask/log/"), "{run}");
    assert_eq!(tree.ok("logs a").out.trim(), "3");
    let path = tree.ok("logs --path a").out.trim().to_owned();
    for (suffix, lines) in [(".1", "1"), (".2", "2")] {
        assert_eq!(std::fs::read_to_string(format!("{path}{suffix}")).unwrap().trim(), lines);
    }
}

#[test]
fn which_of_two_exports_wins_is_part_of_the_key() {
    let export = |value: &str| format!("printf 'X\\0%s\\0' {value} > $DEVENV_TASK_EXPORTS_FILE");
    let (a, b) = (export("YQ=="), export("Yg=="));
    let text = |edge: &str| {
        format!(
            "[tasks.a]\nexec = '''{a}'''\n{edge}[tasks.b]\nexec = '''{b}'''\n\
             [tasks.t]\nafter = ['a', 'b']\nexec = 'echo $X > out'\nexecIfModified = ['in']\n"
        )
    };
    let tree = Sandbox::with(&text(""));
    tree.ok("run t");
    assert_eq!(tree.read("out"), "b\n");
    tree.write("devtask.toml", text("after = ['b']\n"));
    tree.ok("run t");
    assert_eq!(tree.read("out"), "a\n");
}

#[test]
fn a_command_is_the_file_that_is_run() {
    let tree = Sandbox::new();
    tree.write("sub/tool", "#!/bin/sh\necho 1 > out\n");
    tree.chmod("sub/tool", 0o755);
    let tasks = r#"[{"name": "a:t", "command": "./tool", "cwd": "sub", "exec_if_modified": ["in"]}]"#;
    tree.write("tasks.json", tasks);
    tree.ok("-f tasks.json run a:t");
    tree.ok("-f tasks.json run a:t");
    assert_eq!(tree.executed(), set(""));
    tree.program("sub/tool", "#!/bin/sh\necho 2 > out\n");
    tree.ok("-f tasks.json run a:t");
    assert_eq!(tree.read("sub/out"), "2\n");
    tree.remove("sub/tool");
    let why = tree.ok("-f tasks.json why a:t");
    assert!(why.out.contains("./tool  cannot be read: there is no such program"), "{why}");
}

#[test]
fn a_dry_run_sees_through_a_task_that_always_runs() {
    let tree = Sandbox::with(
        "[tasks.w]\nexec = 'cp in mid'\nexecIfModified = ['in']\n\
         [tasks.x]\nafter = ['w']\nexec = 'echo \"{\\\"m\\\": $(cat mid)}\" > $DEVENV_TASK_OUTPUT_FILE'\n\
         [tasks.y]\nafter = ['x']\nexec = 'true'\nexecIfModified = ['other']\n",
    );
    tree.write("in", "1");
    tree.ok("run y");
    tree.write("in", "2");
    let dry = tree.expect(5, "run -n y");
    assert!(dry.err.contains("Would run         tree:y   because tree:x would run first"), "{dry}");
    tree.ok("run y");
    assert_eq!(tree.executed(), set("tree:w tree:x tree:y"));
}

#[test]
fn a_dry_run_assumes_nothing_of_a_task_there_is_no_edge_to_any_more() {
    let tasks = "[tasks.x]\nexec = 'echo 1 > $DEVENV_TASK_OUTPUT_FILE'\n\
                 [tasks.y]\nexec = 'true'\nexecIfModified = ['in']\n\
                 [tasks.z]\nafter = ['x', 'y']\nexec = 'true'\nexecIfModified = ['in']\n";
    let tree = Sandbox::with(tasks);
    tree.write("in", "1");
    tree.ok("run");
    tree.replace("devtask.toml", "after = ['x', 'y']", "after = ['y']");
    let dry = tree.expect(5, "run -n");
    assert!(dry.err.contains("Would run         tree:z   because tree:x hands on nothing any more"), "{dry}");
    tree.ok("run");
    assert_eq!(tree.executed(), set("tree:x tree:z"));
}

#[test]
fn an_interactive_task_waits_for_what_could_run() {
    let tree = Sandbox::with(
        "[tasks.talk]\nexec = 'echo talk >> order'\ninteractive = true\n\
         [tasks.work]\nexec = 'echo work >> order'\nexecIfModified = ['in']\n",
    );
    tree.ok("run talk work");
    assert_eq!(tree.read("order"), "work\ntalk\n");
}

#[test]
fn the_exports_list_counts_for_a_status_too() {
    let tree = Sandbox::with(
        "[tasks.a]\nexec = 'X=run'\nstatus = 'X=asked; true'\nexports = ['X']\n\
         [tasks.t]\nafter = ['a']\nexec = 'echo $X > out'\n",
    );
    tree.ok("run t");
    assert_eq!(tree.read("out"), "asked\n");
}

#[test]
fn a_reader_that_holds_the_state_costs_nothing_that_is_in_it() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\nexecIfModified = ['in']\n");
    tree.write("in", "1");
    tree.ok("run a");
    let dir = StateDir::open(&tree.path(".devtask")).unwrap().unwrap();
    let reader = Store::open(&dir, Access::ReadOnly).unwrap().store;
    tree.write("in", "2");
    let run = tree.expect(1, "run a");
    assert!(run.err.contains("nothing can be recorded: "), "{run}");
    tree.write("in", "1");
    drop(reader);
    tree.ok("run a");
    assert_eq!(tree.executed(), set(""), "its record is still there, and still true");
}

#[test]
fn a_stop_is_heard_while_the_state_is_held_by_a_reader() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\nexecIfModified = ['in']\n");
    tree.ok("run a");
    let dir = StateDir::open(&tree.path(".devtask")).unwrap().unwrap();
    let reader = Store::open(&dir, Access::ReadOnly).unwrap().store;
    let run = tree.devtask(["run", "--force", "a", "--events", "events"]).start();
    eventually("it is decided to run", || {
        std::fs::read_to_string(tree.path("events")).is_ok_and(|text| text.contains("\"decision\""))
    });
    run.signal(2);
    let ended = run.finish();
    drop(reader);
    assert_eq!(ended.signal, Some(2), "{ended}");
    assert!(!ended.err.contains("Running           "), "{ended}");
}

#[test]
fn a_run_log_of_a_killed_devtask_tells_what_happened() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.path("gate"));
    tree.write("devtask.toml", format!("[tasks.a]\nexec = '''{}'''\n", gate.script()));
    let run = tree.devtask(["run", "a"]).start();
    gate.wait();
    run.signal(9);
    run.finish();
    let why = tree.ok("why --last a");
    assert!(why.out.contains("tree:a ran in run "), "{why}");
}

#[test]
fn outputs_of_upstream_are_looked_at_as_they_are_when_they_are_used() {
    let tree = Sandbox::with(
        "[tasks.a]\nexec = 'cat in > gen'\nexecIfModified = ['in']\noutputs = ['gen']\n\
         [tasks.door]\nafter = ['a']\n\
         [tasks.slow]\nafter = ['a']\nexec = '[ ! -e hook ] || sh ./hook'\n\
         [tasks.b]\nafter = ['door', 'slow']\nexec = 'cp gen out'\nexecIfModified = ['other']\noutputs = ['out']\n",
    );
    tree.write("in", "1\n");
    tree.write("other", "o");
    tree.write("hook", "echo tampered > gen");
    tree.ok("run b");
    assert_eq!(tree.read("out"), "tampered\n");
    tree.remove("hook");
    tree.ok("run b");
    assert_eq!((tree.read("gen"), tree.read("out")), ("1\n".to_owned(), "1\n".to_owned()));
}

#[test]
fn outputs_of_upstream_that_change_while_they_are_used_are_noticed() {
    let tree = Sandbox::with(
        "[tasks.a]\nexec = 'cat in > gen'\nexecIfModified = ['in']\noutputs = ['gen']\n\
         [tasks.b]\nafter = ['a']\nexec = 'sh ./hook; cp gen out; echo 1 > gen'\nexecIfModified = ['other']\n",
    );
    tree.write("in", "1\n");
    tree.write("hook", "echo 2 > gen");
    let run = tree.ok("run b");
    assert!(run.err.contains("gen changed while it ran"), "{run}");
    tree.write("hook", "");
    tree.ok("run b");
    assert_eq!(tree.read("out"), "1\n");
}

#[test]
fn what_a_failed_task_wrote_counts_for_those_after_it() {
    let tree = Sandbox::with(
        "[tasks.a]\nexec = 'cat in > gen; exit 1'\nexecIfModified = ['in']\noutputs = ['gen']\n\
         [tasks.b]\nafter = ['a@completed']\nexec = 'cp gen out'\nexecIfModified = ['other']\n",
    );
    for content in ["1\n", "2\n"] {
        tree.write("in", content);
        tree.ok("run b");
        assert_eq!(tree.read("out"), content);
    }
    tree.ok("run b");
    assert_eq!(tree.executed(), set("tree:a"), "the failed one is tried again, what it wrote is the same");
}

#[test]
fn a_command_that_changes_while_it_runs_is_noticed() {
    let tree = Sandbox::new();
    tree.write("two", "#!/bin/sh\necho two > out\ncat one > cmd.new; chmod +x cmd.new; mv cmd.new cmd\n");
    tree.write("one", "#!/bin/sh\n[ -e done ] || { touch done; cp two cmd.new; chmod +x cmd.new; mv cmd.new cmd; exit 1; }\necho one > out\n");
    tree.program("cmd", &tree.read("one"));
    tree.write("t.json", r#"[{"name": "a:t", "command": "./cmd", "exec_if_modified": ["in"]}]"#);
    tree.ok("-f t.json run a:t --retries 1");
    assert_eq!(tree.read("out"), "two\n");
    tree.ok("-f t.json run a:t");
    assert_eq!(tree.read("out"), "one\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_does_not_wait_for_a_look_at_files() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\nexecIfModified = ['big']\n");
    let big = std::fs::File::create(tree.path("big")).unwrap();
    if big.set_len(1 << 40).is_err() {
        eprintln!("note: no file of 1 TiB can be made here, so nothing is tried");
        return;
    }
    for line in ["run a --events events", "why a"] {
        let look = tree.devtask(line.split_whitespace()).start();
        eventually("it looks at the file", || {
            let fds = std::fs::read_dir(format!("/proc/{}/fd", look.pid())).into_iter().flatten().flatten();
            fds.map(|fd| std::fs::read_link(fd.path())).any(|to| to.is_ok_and(|to| to.ends_with("big")))
        });
        look.signal(2);
        assert_eq!(look.finish().signal, Some(2), "{line}");
    }
}

#[test]
fn private_files_do_not_outlive_a_killed_devtask() {
    let mut tree = Sandbox::with(
        "[tasks.secret]\nexec = 'echo \"{\\\"pw\\\": 1}\" > $DEVENV_TASK_OUTPUT_FILE'\n\
         [tasks.kill]\nafter = ['secret']\nexec = 'kill -9 $PPID; sleep 60'\n",
    );
    tree.write("tmp/keep", "");
    tree.set_env("TMPDIR", tree.path("tmp"));
    let run = tree.devtask(["run", "kill"]).run();
    assert_eq!(run.signal, Some(9), "{run}");
    let left = || std::fs::read_dir(tree.path("tmp")).unwrap().count();
    eventually("only what was there before is left", || left() == 1);
}

#[test]
fn a_link_in_the_place_of_the_sessions_is_refused() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\n");
    tree.ok("run a");
    let name = "0123456789abcdef0123456789abcdef";
    tree.write(format!("elsewhere/{name}"), "mine");
    tree.remove(".devtask/sessions");
    std::os::unix::fs::symlink(tree.path("elsewhere"), tree.path(".devtask/sessions")).unwrap();
    let run = tree.expect(3, "run a");
    assert!(run.err.contains(".devtask/sessions is a symbolic link"), "{run}");
    assert!(tree.exists(format!("elsewhere/{name}")));
}

#[test]
fn a_state_that_is_removed_while_it_is_used_is_told() {
    let scripts = ["rm -rf .devtask", "mv .devtask away", "rm .devtask/state.redb"];
    for script in scripts {
        let tree = Sandbox::with(&format!("[tasks.a]\nexec = '{script}'\nexecIfModified = ['in']\n"));
        let run = tree.expect(3, "run a");
        assert!(run.err.contains("results are not saved: "), "{script}\n{run}");
    }
}
