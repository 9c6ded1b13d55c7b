//! `devtask test`: what hooks into `devenv:enterTest`, with the processes that needs.

use super::{Live, Sandbox, is_gone, outcomes, pid};

const TREE: &str = "
    name = 'app'
    [processes.db]
    exec = 'echo $$ > db.pid; echo up; exec sleep 1000'
    ready.log = 'up'
    [processes.unused]
    exec = 'touch unused; exec sleep 1000'
    [tasks.enter]
    before = ['devenv:enterShell']
    exec = 'echo enter >> order'
    [tasks.unit]
    before = ['devenv:enterTest']
    after = ['devenv:processes:db']
    exec = 'kill -0 $(cat db.pid); echo unit >> order; test ! -e broken'
    [tasks.other]
    exec = 'touch other'
";

#[test]
fn its_hooks_run_with_what_they_need() {
    let tree = Sandbox::with(TREE);
    let output = Live::start(&tree, "test").ends();
    assert_eq!(output.code, Some(0), "{output}");
    let order = tree.read("order");
    assert!(order.contains("enter\n") && order.contains("unit\n"), "{order}");
    assert!(!tree.exists("unused") && !tree.exists("other"), "{output}");
    is_gone(pid(&tree, "db.pid"));
    assert!(output.err.contains("Stopped           db\n"), "{output}");
    tree.write("broken", "");
    let output = Live::start(&tree, "test").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(outcomes(&tree).contains("app:unit failed"), "{}", outcomes(&tree));
    is_gone(pid(&tree, "db.pid"));
}

#[test]
fn a_tree_without_tests_says_so() {
    let tree = Sandbox::with("name = 'app'\n[tasks.a]\nexec = 'touch a'\n");
    let output = Live::start(&tree, "test").ends();
    assert!(!tree.exists("a"), "{output}");
}
