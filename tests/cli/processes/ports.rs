//! Ports that are given to processes.

use std::net::TcpListener;

use super::{Live, Sandbox};

/// A port that somebody listens on.
fn taken() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn on(port: u16) -> Sandbox {
    Sandbox::with(&format!(
        "
        name = 'app'
        [processes.web]
        exec = 'echo own ${{ports.http}}; exec sleep 1000'
        ports.http.allocate = {port}
        ready.log = 'own'
        env.URL = 'http://localhost:${{ports.http}}/'
        [tasks.url]
        after = ['devenv:processes:web']
        exec = 'echo \"at $URL\"'
        env.URL = 'http://localhost:${{ports.web.http}}/'
        showOutput = true
        "
    ))
}

#[test]
fn a_port_that_is_taken_is_passed_over() {
    let (_listener, port) = taken();
    let tree = on(port);
    let mut run = Live::start(&tree, "run url");
    let ready = run.stage("web", "ready");
    let given = ready["ports"]["http"].as_u64().unwrap();
    assert!(given > u64::from(port), "{given} is not after {port}");
    let output = run.ends();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.err.contains(&format!("[app:url]  at http://localhost:{given}/\n")), "{output}");
    assert!(output.err.contains(&format!("   http {given}\n")), "{output}");
}

#[test]
fn strict_ports_are_these_or_none_and_the_holder_is_named() {
    let (listener, port) = taken();
    let tree = on(port);
    for line in ["run url --strict-ports", "up --strict-ports"] {
        let output = Live::start(&tree, line).ends();
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.err.contains(&format!("port {port} ")), "{output}");
        assert!(output.err.contains(&format!("{}", std::process::id())), "who has it is named\n{output}");
    }
    drop(listener);
    let mut up = Live::start(&tree, "up --strict-ports");
    assert_eq!(up.stage("web", "ready")["ports"]["http"], port);
    up.end();
}

#[test]
fn a_port_stays_the_same_through_restarts() {
    let tree = on(0);
    let mut up = Live::start(&tree, "up");
    let first = up.stage("web", "ready")["ports"].clone();
    tree.ok("processes restart web");
    assert_eq!(up.stage("web", "ready")["ports"], first);
    up.end();
}
