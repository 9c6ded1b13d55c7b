//! How it is found out that a process is ready: each kind of probe.

use std::{fs, os::unix::net::UnixDatagram};

use super::{Live, Sandbox, needs_python};

#[test]
fn a_command_is_asked_until_it_exits_with_0_and_what_it_says_is_told() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = 'exec sleep 1000'
        cwd = 'sub'
        env = { WHO = 'its own environment' }
        ready.exec = 'echo \"$WHO, in ${PWD##*/}\" >&2; test -e well || exit 3'
        [tasks.test]
        after = ['devenv:processes:db']
        exec = 'touch tested'
        ",
    );
    tree.write("sub/here", "");
    let mut run = Live::start(&tree, "run test");
    let told = run.next("the answer of the probe", |event| {
        event["event"] == "process_state" && event["trouble"] == "exit 3: its own environment, in sub"
    });
    assert_eq!(told["stage"], "starting");
    tree.write("sub/well", "");
    let ready = run.stage("db", "ready");
    assert!(ready["trouble"].is_null(), "{ready}");
    let output = run.ends();
    assert!(output.code == Some(0) && tree.exists("tested"), "{output}");
}

#[test]
fn a_port_has_to_accept_connections() {
    needs_python();
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.web]
        exec = '''
        while test ! -e listen; do read -r -t 0.01 _ <> fifo || true; done
        exec python3 serve.py ${ports.http}
        '''
        ports.http.allocate = 0
        ready = { tcp = '${ports.http}', timeout = '10m' }
        [processes.unsaid]
        exec = '''
        while test ! -e listen; do read -r -t 0.01 _ <> fifo || true; done
        exec python3 serve.py ${ports.http}
        '''
        ports.http.allocate = 0
        [tasks.test]
        after = ['devenv:processes:web', 'devenv:processes:unsaid']
        exec = 'touch tested'
        ",
    );
    let fifo = std::process::Command::new("mkfifo").arg(tree.path("fifo")).status();
    assert!(fifo.unwrap().success());
    tree.write(
        "serve.py",
        "import socket, sys\n\
         listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n\
         while True: listener.accept()[0].close()\n",
    );
    let mut run = Live::start(&tree, "run test");
    for name in ["web", "unsaid"] {
        let full = super::full(name);
        run.next("it is refused", |event| event["task"] == full.as_str() && event["trouble"].is_string());
        run.read = 0;
    }
    tree.write("listen", "");
    run.stage("web", "ready");
    run.read = 0;
    run.stage("unsaid", "ready");
    let output = run.ends();
    assert!(output.code == Some(0) && tree.exists("tested"), "{output}");
}

#[test]
fn a_request_has_to_be_answered_well() {
    needs_python();
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.web]
        exec = 'exec python3 serve.py ${ports.http}'
        ports.http.allocate = 0
        ready.http.get = { port = '${ports.http}', path = '/health?deep=1' }
        [tasks.test]
        after = ['devenv:processes:web']
        exec = 'touch tested'
        ",
    );
    tree.write(
        "serve.py",
        r"
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        well = self.path == '/health?deep=1' and os.path.exists('well')
        self.send_response(204 if well else 503)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
",
    );
    let mut run = Live::start(&tree, "run test");
    run.next("what was answered is told", |event| {
        event["trouble"].as_str().is_some_and(|trouble| trouble.contains("503"))
    });
    tree.write("well", "");
    run.stage("web", "ready");
    let output = run.ends();
    assert!(output.code == Some(0) && tree.exists("tested"), "{output}");
}

#[test]
fn a_notice_on_its_socket_makes_it_ready() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = 'echo \"$NOTIFY_SOCKET\" > socket.new; mv socket.new socket; exec sleep 1000'
        ready.notify = true
        [tasks.early]
        after = ['devenv:processes:db@started']
        exec = 'touch early'
        [tasks.test]
        after = ['devenv:processes:db', 'early']
        exec = 'touch tested'
        ",
    );
    let mut run = Live::start(&tree, "run test");
    run.finished("app:early");
    super::eventually("it knows its socket", || tree.exists("socket"));
    let to = UnixDatagram::unbound().unwrap();
    let socket = tree.read("socket").trim().to_owned();
    to.send_to(b"STATUS=warming up", &socket).unwrap();
    let says = run.next("what it says", |event| event["says"] == "warming up");
    assert_eq!(says["stage"], "starting");
    to.send_to(b"STATUS=at your service\nREADY=1\n", &socket).unwrap();
    let ready = run.stage("db", "ready");
    assert_eq!(ready["says"], "at your service");
    let output = run.ends();
    assert!(output.code == Some(0) && tree.exists("tested"), "{output}");
    assert!(fs::metadata(&socket).is_err(), "it is gone with its process");
}

#[test]
fn a_line_that_matches_makes_it_ready() {
    let tree = Sandbox::new();
    let mut gate = crate::support::gate::Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!(
            "
            name = 'app'
            [processes.web]
            exec = 'echo not listening yet; {}; echo \"listening on ${{ports.http}}\" >&2; exec sleep 1000'
            ports.http.allocate = 0
            ready.log = '^listening on ${{ports.http}}$'
            [tasks.test]
            after = ['devenv:processes:web']
            exec = 'touch tested'
            ",
            gate.script()
        ),
    );
    let mut run = Live::start(&tree, "run test");
    gate.wait();
    assert!(!tree.exists("tested"));
    gate.open();
    let ready = run.stage("web", "ready");
    assert!(ready["ports"]["http"].as_u64().is_some_and(|port| port > 0), "{ready}");
    let output = run.ends();
    assert!(output.code == Some(0) && tree.exists("tested"), "{output}");
}
