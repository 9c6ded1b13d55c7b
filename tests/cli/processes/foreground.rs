//! `devtask run` with a process as a root: in the foreground until it ends.

use super::{INT, Live, Sandbox, full, is_gone, outcomes, pid};
use crate::support::gate::Gate;

#[test]
fn it_goes_on_until_the_process_ends() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!(
            "
            [tasks.gen]
            exec = 'touch made'
            [processes.job]
            after = ['gen']
            exec = 'test -e made; {}; exit $(cat code)'
            restart.on = 'never'
            ",
            gate.script()
        ),
    );
    for (code, exit, status) in [("0", 0, "succeeded"), ("4", 1, "failed")] {
        tree.write("code", code);
        let mut run = Live::start(&tree, "run devenv:processes:job");
        gate.wait();
        run.stage("job", "ready");
        assert!(run.is_running());
        gate.open();
        let output = run.ends();
        assert_eq!(output.code, Some(exit), "{output}");
        assert!(output.err.contains(&format!("Exited            job   because exit {code}\n")), "{output}");
        assert!(outcomes(&tree).starts_with(&format!("job {status}")), "{}", outcomes(&tree));
    }
    let mut run = Live::start(&tree, "run devenv:processes:job --exit-code task");
    gate.wait();
    gate.open();
    run.finished(&full("job"));
    assert_eq!(run.ends().code, Some(4));
}

#[test]
fn ctrl_c_ends_it() {
    let tree = Sandbox::with(
        r#"
        [processes.web]
        exec = "trap 'echo bye; touch bye; exit 0' TERM; echo $$ > pid; echo up; sleep 1000 & wait"
        ready.log = "up"
        "#,
    );
    let mut run = Live::start(&tree, "run devenv:processes:web");
    run.stage("web", "ready");
    let output = run.end();
    assert_eq!(output.signal, Some(INT), "{output}");
    assert!(tree.exists("bye"));
    is_gone(pid(&tree, "pid"));
    assert!(output.err.contains("Stopped           web\n"), "{output}");
    assert_eq!(outcomes(&tree), "web cancelled");
}

#[test]
fn it_is_restarted_as_declared_meanwhile() {
    let tree = Sandbox::with(
        "
        [processes.web]
        exec = 'echo x >> starts; test $(wc -l < starts) -ge 3'
        ",
    );
    let output = Live::start(&tree, "run devenv:processes:web").ends();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(tree.read("starts"), "x\nx\nx\n");
    assert!(output.err.contains("begins again (restart 2)"), "{output}");
}
