//! Sockets that are opened for a process before it starts.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::Path,
};

use devtask::process::{ActivationSocket, Command, Launch, ListenOn, SpawnError, find_program};

use super::support::{LONG, launch, shell, sleepers, tail, token, until_async, warden};

fn tcp(name: &str) -> ActivationSocket {
    ActivationSocket::open(name, &ListenOn::Tcp("127.0.0.1:0".into())).unwrap()
}

fn unix(name: &str, path: &Path) -> ActivationSocket {
    ActivationSocket::open(name, &ListenOn::Unix { path: path.into(), mode: None }).unwrap()
}

/// What a shell says that is started with these sockets.
async fn said(script: &str, sockets: &[ActivationSocket]) -> Vec<String> {
    let mut launch = launch(script);
    launch.command.sockets = sockets.to_vec();
    let ended = warden().spawn(launch).unwrap().finish().await;
    assert!(ended.exit.is_success(), "{ended:?}");
    tail(&ended)
}

#[tokio::test]
async fn a_process_is_told_of_its_sockets_and_leads_its_group() {
    let script = "echo $LISTEN_FDS $LISTEN_FDNAMES; [ $LISTEN_PID = $$ ] && echo own;
        [ $(ps -o pgid= -p $$) = $$ ] && echo leads";
    let sockets = [tcp("web"), tcp("a b"), tcp("admin")];
    assert_eq!(said(script, &sockets).await, ["3 web:a b:admin", "own", "leads"]);
    assert_eq!(said(script, &sockets[..1]).await, ["1 web", "own", "leads"], "they can be passed again");
}

#[tokio::test]
async fn the_command_it_becomes_is_the_one_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["-c", "printf '%s|' \"$0\" \"$@\"", "zero", "", "a  b", "$HOME", "'", "-n", "\u{e4}\n"];
    let mut command = Command { args: words.map(OsString::from).to_vec(), ..shell("") };
    command.env.extend([("LISTEN_FDS".into(), "7".into()), ("LISTEN_PID".into(), "1".into())]);
    command.cwd = dir.path().to_owned();
    command.sockets = vec![tcp("a")];
    let mut said = command.clone();
    said.args = vec!["-c".into(), "pwd; echo $LISTEN_FDS; [ $LISTEN_PID = $$ ] && echo own".into()];
    let heard = |command: Command| async {
        tail(&warden().spawn(Launch { command, ..Launch::default() }).unwrap().finish().await)
    };
    assert_eq!(heard(command).await.join("\n"), "zero||a  b|$HOME|'|-n|\u{e4}\n|");
    let cwd = dir.path().canonicalize().unwrap();
    assert_eq!(heard(said).await, [cwd.to_str().unwrap(), "1", "own"], "whatever its environment said");
}

#[tokio::test]
async fn a_stop_reaches_all_of_a_process_with_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let (ready, token) = (dir.path().join("ready"), token());
    let mut launch = launch(&format!("sleep {token} & touch {}; sleep {token}", ready.display()));
    launch.command.sockets = vec![tcp("a")];
    let job = warden().spawn(launch).unwrap();
    let control = job.control();
    let finish = tokio::spawn(job.finish());
    until_async("the process is ready", || ready.exists()).await;
    control.terminate(LONG);
    let ended = finish.await.unwrap();
    assert_eq!(ended.exit.signal, Some(15), "{ended:?}");
    assert_eq!(sleepers(&token), 0);
}

#[tokio::test]
async fn what_is_said_of_our_own_sockets_is_passed_to_nobody() {
    let variables = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_ELSE"];
    let ambient = variables.map(|name| (OsString::from(name), OsString::from("ours")));
    let mut launch = launch("env | grep ^LISTEN_ | sort");
    launch.command.ambient = std::sync::Arc::new(ambient.into());
    let ended = warden().spawn(launch.clone()).unwrap().finish().await;
    assert_eq!(tail(&ended), ["LISTEN_ELSE=ours"]);
    launch.command.env.push(("LISTEN_FDS".into(), "of the task".into()));
    let ended = warden().spawn(launch.clone()).unwrap().finish().await;
    assert_eq!(tail(&ended), ["LISTEN_ELSE=ours", "LISTEN_FDS=of the task"]);
    launch.command.sockets = vec![tcp("web")];
    let ended = warden().spawn(launch).unwrap().finish().await;
    assert_eq!(tail(&ended)[..3], ["LISTEN_ELSE=ours", "LISTEN_FDNAMES=web", "LISTEN_FDS=1"]);
}

/// The descriptors of a shell that are sockets, as `ls` lists them: number and inode.
#[cfg(target_os = "linux")]
async fn sockets_of_a_child(sockets: &[ActivationSocket]) -> Vec<(u32, String)> {
    let list = "for fd in /proc/$$/fd/*; do echo ${fd##*/} $(readlink $fd); done | grep socket:";
    let lines = said(&format!("{list} || true"), sockets).await;
    let split = |line: &String| {
        let (number, target) = line.split_once(' ').unwrap();
        (number.parse().unwrap(), target.to_owned())
    };
    lines.iter().map(split).collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_socket_reaches_the_process_it_is_for_once_and_no_other() {
    // Who started the test may have left sockets open for everybody.
    let inherited = sockets_of_a_child(&[]).await;
    for count in [1, 2, 5, 20] {
        let sockets: Vec<_> = (0..count).map(|_| tcp("a")).collect();
        assert_eq!(sockets_of_a_child(&[]).await, inherited);
        let mut found = sockets_of_a_child(&sockets).await;
        found.retain(|(number, target)| !inherited.contains(&(*number, target.clone())));
        found.sort();
        let numbers: Vec<u32> = found.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (3..3 + count).collect::<Vec<_>>(), "{found:?}");
        let inode = |socket: &ActivationSocket| {
            use std::os::fd::{AsFd as _, AsRawFd as _};
            let link = format!("/proc/self/fd/{}", socket.as_fd().as_raw_fd());
            fs::read_link(link).unwrap().to_str().unwrap().to_owned()
        };
        let expected: Vec<String> = sockets.iter().map(inode).collect();
        assert_eq!(found.into_iter().map(|(_, target)| target).collect::<Vec<_>>(), expected, "in order");
    }
}

/// A program that accepts one connection at descriptor 3 and one at 4, and answers with what it heard.
const ANSWER: &str = r#"for $fd (3, 4) {
    open(my $socket, "+<&=", $fd) or die "no descriptor $fd: $!";
    accept(my $peer, $socket) or die "cannot accept at $fd: $!";
    my $heard = <$peer>;
    syswrite($peer, "$fd heard $heard");
}"#;

fn answer(mut peer: impl Read + Write, word: &str) -> String {
    writeln!(peer, "{word}").unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn a_connection_made_before_the_process_starts_is_accepted_by_it() {
    let path = shell("").env[0].1.clone();
    // Part of every system we know; elsewhere nothing is proved here.
    let Some(perl) = find_program(OsStr::new("perl"), Some(&path), Path::new("/")) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (web, file) = (tcp("web"), dir.path().join("socket"));
    let local = unix("local", &file);
    let first = TcpStream::connect(("127.0.0.1", web.port().unwrap())).unwrap();
    let second = UnixStream::connect(&file).unwrap();
    first.set_read_timeout(Some(LONG)).unwrap();
    second.set_read_timeout(Some(LONG)).unwrap();
    let mut command = Command { program: perl, args: vec!["-e".into(), ANSWER.into()], ..shell("") };
    command.sockets = vec![web, local];
    let job = warden().spawn(Launch { command, ..Launch::default() }).unwrap();
    assert_eq!(answer(first, "one"), "3 heard one\n");
    assert_eq!(answer(second, "two"), "4 heard two\n");
    let ended = job.finish().await;
    assert!(ended.exit.is_success(), "{ended:?}");
    assert!(!file.exists(), "the last of its owners is gone");
}

#[tokio::test]
async fn a_refusal_says_what_to_mend_with_sockets_as_without() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let put = |name: &str, content: &str, mode: u32| {
        fs::write(at(name), content).unwrap();
        fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        Command { program: at(name), ..shell("") }
    };
    let mut cases = vec![
        (put("orphan", "#!/no/such/python -u\n", 0o755), "its interpreter /no/such/python does not exist"),
        (put("plain", "#!/bin/sh\n", 0o644), "cannot execute"),
        (Command { program: at("nothing"), ..shell("") }, "there is no program"),
        (Command { program: at(""), ..shell("") }, "cannot execute"),
        (Command { cwd: at("nowhere"), ..shell("") }, "nowhere does not exist"),
    ];
    if cfg!(target_os = "linux") {
        let mut many = shell("");
        many.env.extend((0..100).map(|n| (format!("V{n}").into(), "x".repeat(100_000 + n).into())));
        // Only the shell's own start can tell this, through a pipe that no socket may take the place of.
        cases.push((many, "the largest is variable V99 with 100104"));
    }
    for (mut command, expected) in cases {
        command.sockets = (0..20).map(|_| tcp("a")).collect();
        let refused: SpawnError = warden().spawn(Launch { command, ..Launch::default() }).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}\nlacks {expected}");
    }
}
