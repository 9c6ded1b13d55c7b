//! Socket activation: who connects before the process is there is served when it is.

use std::{
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
};

use super::{Live, Sandbox, needs_python};

const SERVE: &str = r"
import os, socket, sys
fds = int(os.environ['LISTEN_FDS'])
mine = os.environ['LISTEN_PID'] == str(os.getpid())
print('told', fds, 'own' if mine else 'other', os.environ['LISTEN_FDNAMES'], flush=True)
names = os.environ['LISTEN_FDNAMES'].split(':')
while True:
    for at in range(fds):
        listener = socket.socket(fileno=os.dup(3 + at))
        listener.setblocking(False)
        try: connection, _ = listener.accept()
        except BlockingIOError: continue
        connection.setblocking(True)
        said = connection.recv(100)
        connection.sendall(names[at].encode() + b' heard ' + said)
        connection.close()
";

/// What is answered.
fn ask(mut connection: impl std::io::Read + std::io::Write) -> String {
    connection.write_all(b"hello").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn sockets_are_handed_over_with_their_names() {
    needs_python();
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.web]
        exec = 'exec python3 serve.py'
        ports.http.allocate = 0
        listen = [
            { name = 'http', kind = 'tcp', address = '127.0.0.1:${ports.http}' },
            { name = 'control', kind = 'unix_stream', path = 'run/control.sock', mode = '0620' },
        ]
        [tasks.test]
        after = ['devenv:processes:web']
        exec = 'echo ${ports.web.http}'
        ",
    );
    tree.write("serve.py", SERVE);
    tree.write("run/here", "");
    let mut up = Live::start(&tree, "up");
    up.says("[web]  told 2 own http:control\n");
    let ready = up.stage("web", "ready");
    let port = u16::try_from(ready["ports"]["http"].as_u64().unwrap()).unwrap();
    assert_eq!(ask(TcpStream::connect(("127.0.0.1", port)).unwrap()), "http heard hello");
    let socket = tree.path("run/control.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o620);
    assert_eq!(ask(UnixStream::connect(&socket).unwrap()), "control heard hello");
    // It is the same port for everybody.
    assert_eq!(tree.ok("run test --show-output").err.matches(&format!("[app:test]  {port}\n")).count(), 1);
    up.end();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "it is closed");
}

#[test]
fn who_connects_while_it_begins_anew_is_served_by_the_next() {
    needs_python();
    let tree = Sandbox::with(
        "
        [processes.web]
        exec = '''
        echo x >> starts
        if test $(wc -l < starts) -eq 1; then echo $$ > pid; exec sleep 1000; fi
        exec python3 serve.py
        '''
        listen = [{ name = 'control', kind = 'unix_stream', path = 'control.sock' }]
        ",
    );
    tree.write("serve.py", SERVE);
    let mut up = Live::start(&tree, "up");
    up.stage("web", "ready");
    let first = super::pid(&tree, "pid");
    let waiting = UnixStream::connect(tree.path("control.sock")).unwrap();
    rustix::process::kill_process(first, rustix::process::Signal::TERM).unwrap();
    assert_eq!(ask(waiting), "control heard hello");
    up.end();
}

#[test]
fn a_socket_that_cannot_be_opened_is_told() {
    let tree = Sandbox::with(
        "
        name = 'app'
        [processes.web]
        exec = 'touch began'
        restart.on = 'never'
        listen = [{ name = 'control', kind = 'unix_stream', path = 'no-dir/control.sock' }]
        [tasks.test]
        after = ['devenv:processes:web@started']
        exec = 'touch tested'
        ",
    );
    tree.write("no-dir", "");
    let output = Live::start(&tree, "run test").ends();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(!tree.exists("began") && !tree.exists("tested"));
    assert!(output.err.contains("no-dir/control.sock"), "{output}");
}
