//! What a program gets to see, and why it could not be started.

use std::{collections::BTreeMap, ffi::OsString, fs, os::unix::fs::PermissionsExt as _, path::Path};

use devtask::process::{Command, Launch, SESSION_VARIABLE, SpawnError, Warden, WardenOptions};

use super::support::{launch, run, shell, tail, warden};

fn refusal(command: Command) -> SpawnError {
    warden().spawn(Launch { command, ..Launch::default() }).unwrap_err()
}

fn put(path: &Path, content: &str, mode: u32) -> Command {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    Command { program: path.into(), args: Vec::new(), ..shell("") }
}

#[tokio::test]
async fn a_refusal_says_what_to_mend() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut cases = vec![
        (
            put(&at("orphan"), "#!/no/such/python -u\n", 0o755),
            "its interpreter /no/such/python does not exist",
        ),
        (put(&at("plain"), "#!/bin/sh\n", 0o644), "cannot execute"),
        (put(&at("noise"), "\u{1}\u{2}\u{3}", 0o755), "cannot execute"),
        (Command { program: at("nothing"), ..shell("") }, "there is no program"),
        (Command { program: at(""), ..shell("") }, "cannot execute"),
        (Command { cwd: at("nowhere"), ..shell("") }, "nowhere does not exist"),
        (Command { cwd: at("plain"), ..shell("") }, "plain is no directory"),
    ];
    if cfg!(target_os = "linux") {
        let mut large = shell("");
        large.env.push(("LARGE".into(), "x".repeat(131_072 - "LARGE=".len()).into()));
        cases.push((large, "variable LARGE is too large for a program's environment: 131073 bytes"));
        let mut many = shell("");
        many.env.extend((0..100).map(|n| (format!("V{n}").into(), "x".repeat(100_000 + n).into())));
        cases.push((many, "the largest is variable V99 with 100104"));
    }
    for (command, expected) in cases {
        let refused = refusal(command).to_string();
        assert!(refused.contains(expected), "{refused}\nlacks {expected}");
    }
}

#[tokio::test]
async fn the_largest_variable_that_is_possible_passes() {
    let mut launch = launch("echo ${#LARGE}");
    launch.env_push("LARGE", "x".repeat(131_072 - "LARGE=\0".len()));
    let ended = warden().spawn(launch).unwrap().finish().await;
    assert_eq!(tail(&ended), ["131065"]);
}

#[tokio::test]
async fn what_a_command_sets_itself_wins_over_what_it_shares() {
    let shared: BTreeMap<OsString, OsString> =
        [("A", "shared"), ("B", "shared")].map(|(name, value)| (name.into(), value.into())).into();
    let mut launch = launch("echo $A $B $C");
    launch.env_push("B", "own".to_owned());
    launch.env_push("C", "own".to_owned());
    launch.command.ambient = shared.into();
    assert_eq!(tail(&warden().spawn(launch).unwrap().finish().await), ["shared own own"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_shared_variable_may_be_too_large_only_if_it_is_not_passed() {
    let shared: std::sync::Arc<BTreeMap<OsString, OsString>> =
        std::sync::Arc::new([("LARGE".into(), "x".repeat(131_072).into())].into());
    let command = |own: Option<&str>| {
        let mut launch = launch("echo $LARGE");
        launch.command.ambient = std::sync::Arc::clone(&shared);
        own.into_iter().for_each(|own| launch.env_push("LARGE", own.to_owned()));
        launch
    };
    let refused = warden().spawn(command(None)).unwrap_err().to_string();
    assert!(refused.starts_with("variable LARGE is too large"), "{refused}");
    assert_eq!(tail(&warden().spawn(command(Some("own"))).unwrap().finish().await), ["own"]);
}

trait EnvPush {
    fn env_push(&mut self, name: &str, value: String);
}

impl EnvPush for Launch {
    fn env_push(&mut self, name: &str, value: String) {
        self.command.env.push((name.into(), value.into()));
    }
}

#[tokio::test]
async fn a_job_sees_its_environment_its_directory_and_no_input() {
    let dir = tempfile::tempdir().unwrap();
    let cwd = dir.path().canonicalize().unwrap();
    let mut seen =
        launch("pwd; echo $A; env | cut -d= -f1 | sort | tr '\\n' ' '; wc -c; ps -o pgid= -p $$; echo $$");
    seen.command.cwd.clone_from(&cwd);
    seen.env_push("A", "one".into());
    seen.env_push("A", "two".into());
    let lines = tail(&warden().spawn(seen).unwrap().finish().await);
    assert_eq!(lines[..2], [cwd.to_str().unwrap(), "two"]);
    assert_eq!(lines[2], format!("A {SESSION_VARIABLE} PATH PWD SHLVL _ 0"), "what bash adds, and no more");
    assert_eq!(lines[3].trim(), lines[4], "it leads a group");
}

#[tokio::test]
async fn the_marker_is_a_chain() {
    let script = format!("echo ${SESSION_VARIABLE}");
    let outer = tail(&run(&script).await).remove(0);
    let options = WardenOptions { outer_session: Some(outer.clone().into()), ..WardenOptions::default() };
    let warden = Warden::new(options).unwrap();
    for number in 1..=2 {
        let inner = tail(&warden.spawn(launch(&script)).unwrap().finish().await).remove(0);
        let own = inner.strip_prefix(&format!("{outer}:")).unwrap();
        assert!(own.len() == 34 && own.ends_with(&format!(".{number}")), "{own}");
    }
}

#[tokio::test]
async fn a_foreground_job_stays_in_our_group_and_is_not_captured() {
    let dir = tempfile::tempdir().unwrap();
    let seen = dir.path().join("seen");
    let mut foreground = launch(&format!("ps -o pgid= -p $$ > {}; exit 5", seen.display()));
    foreground.command.foreground = true;
    let ended = warden().spawn(foreground).unwrap().finish().await;
    assert_eq!((ended.exit.code, ended.lines, ended.leaky), (Some(5), 0, false));
    let own = rustix::process::getpgrp().as_raw_nonzero().to_string();
    assert_eq!(fs::read_to_string(seen).unwrap().trim(), own);
}
