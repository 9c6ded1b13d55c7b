//! What `devtask up` keeps up, and what is asked of it from elsewhere.

use std::net::TcpListener;

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

#[test]
fn a_process_keeps_its_port_when_it_begins_anew() {
    // The system chooses one that is free just now.
    let first = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let tree = Sandbox::with(&format!(
        "[processes.server]\nports.http.allocate = {first}\nwatch.paths = ['code']\n\
         exec = 'echo ${{ports.http}} >> starts; exec tail -f /dev/null'\nready.exec = 'test -s starts'\n",
    ));
    tree.write("code", "1\n");
    let ending = Ending(&tree);
    let up = tree.devtask(["up", "--watch"]).start_with_stderr("up.err");
    eventually("it is up", || tree.devtask(["processes", "wait"]).run().code == Some(0));
    let port: u16 = tree.read("starts").trim().parse().unwrap();
    // As the process would: it listens for as long as it lives.
    let listening = TcpListener::bind(("127.0.0.1", port)).unwrap();

    tree.save("code", "2\n");
    eventually("it begins anew", || count(&tree, "starts", "\n") == 2);
    assert_eq!(tree.read("starts"), format!("{port}\n{port}\n"));
    drop((listening, ending));
    assert_eq!(up.finish().code, Some(0), "{}", tree.read("up.err"));
}
