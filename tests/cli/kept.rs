//! What `devtask up` keeps up, and what is asked of it from elsewhere.

use super::support::{Sandbox, eventually};

/// Ends what is up in a tree, whatever becomes of the test.
pub(crate) struct Ending<'a>(pub(crate) &'a Sandbox);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.devtask(["down"]).run();
    }
}

fn count(tree: &Sandbox, path: &str, what: &str) -> usize {
    if tree.exists(path) { tree.read(path).matches(what).count() } else { 0 }
}

#[test]
fn a_process_that_a_guest_has_started_is_the_one_a_watch_would_have() {
    let tree = Sandbox::with(
        "[tasks.gen]\nexecIfModified = ['in']\noutputs = ['out']\nexec = 'cut -c1 in > out'\n\
         [processes.server]\nafter = ['gen']\n\
         exec = 'echo start >> starts; exec tail -f /dev/null'\nready.exec = 'test -s starts'\n",
    );
    tree.write("in", "a1\n");
    let ending = Ending(&tree);
    let waiting = || count(&tree, "up.jsonl", "\"event\":\"waiting\"");
    let up = tree.devtask(["up", "--watch", "--events", "up.jsonl"]).start_with_stderr("up.err");
    eventually("it is up", || waiting() == 1);
    tree.ok("processes stop server");
    tree.ok("processes start server");
    assert_eq!(count(&tree, "starts", "start"), 2);

    // The task runs, and makes what it made before.
    let before = waiting();
    tree.save("in", "a2\n");
    eventually("that was looked at", || waiting() > before);
    assert_eq!(count(&tree, "starts", "start"), 2, "{}", tree.read("up.err"));

    tree.save("in", "b\n");
    eventually("it begins anew", || count(&tree, "starts", "start") == 3);
    drop(ending);
    let ended = up.finish();
    assert_eq!(ended.code, Some(0), "{}", tree.read("up.err"));
}
