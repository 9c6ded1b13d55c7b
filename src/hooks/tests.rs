//! Whose text a hook is, what it calls, and what git says of a push.

use std::{
    ffi::OsStr,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
    process::Command,
};

use super::{
    Call, Event, Pushed, read_pushed,
    script::{Whose, config, line, script, whose, whose_config},
};

fn call(directory: &[u8]) -> Call {
    Call { program: "/opt/it's/devtask".into(), directory: OsStr::from_bytes(directory).into() }
}

#[test]
fn a_text_is_ours_until_one_byte_is_another() {
    for event in Event::ALL {
        for directory in [&b""[..], b"web", b"it's \xff\n\"$HOME\""] {
            let text = script(event, &call(directory));
            assert_eq!(whose(&text), Whose::Ours);
            let line = config(event, &call(directory));
            assert_eq!(whose_config(&line), Whose::Ours);
            for at in (0..text.len()).step_by(7) {
                let mut other = text.clone();
                other[at] ^= 1;
                assert_ne!(whose(&other), Whose::Ours, "byte {at}");
            }
            let longer = [text.as_slice(), b"\n"].concat();
            assert_eq!(whose(&longer), Whose::Changed);
            let longer = OsStr::from_bytes(&[line.as_bytes(), b" "].concat()).to_owned();
            assert_eq!(whose_config(&longer), Whose::Changed);
        }
    }
    for (text, expected) in [
        (&b""[..], Whose::Theirs),
        (b"#!/bin/sh\ndevtask check --staged\n", Whose::Theirs),
        (b"#!/bin/sh\n# devtask hook \n", Whose::Changed),
        (b"#!/bin/bash\n# devtask hook 0123456789abcdef\n", Whose::Changed),
        (b"\xff\xfe", Whose::Theirs),
    ] {
        assert_eq!(whose(text), expected, "{:?}", String::from_utf8_lossy(text));
    }
}

#[test]
fn a_shell_calls_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("it's $(devtask)");
    // Another process writes it: what a fork beside this test holds open for writing cannot be executed.
    let write = r#"printf '#!/bin/sh\nprintf "<%%s>" "$@"\ncat\n' > "$1" && chmod 755 "$1""#;
    assert!(Command::new("sh").args(["-c", write, "sh"]).arg(&program).status().unwrap().success());
    for (event, directory, expected) in [
        (Event::PreCommit, &b""[..], &b"<check><--staged>"[..]),
        (Event::PreCommit, b"it's \xff \"$HOME\"", b"<-C><it's \xff \"$HOME\"><check><--staged>"),
        (Event::PrePush, b"web", b"<-C><web><hooks><run><pre-push><origin><a  b>"),
    ] {
        let call = Call { program: program.clone(), ..call(directory) };
        let arguments: &[&str] = if event == Event::PrePush { &["origin", "a  b"] } else { &[] };
        let hook = dir.path().join("hook");
        std::fs::write(&hook, script(event, &call)).unwrap();
        let as_script = Command::new("sh").arg(&hook).args(arguments).output().unwrap();
        assert_eq!(as_script.stdout, expected, "{}", String::from_utf8_lossy(&as_script.stderr));
        // git appends what passes its arguments on.
        let mut line = config(event, &call).into_vec();
        if !arguments.is_empty() {
            line.extend_from_slice(b" \"$@\"");
        }
        let shell = OsStr::from_bytes(&line);
        let as_config = Command::new("sh").arg("-c").arg(shell).arg("x").args(arguments).output().unwrap();
        assert_eq!(as_config.stdout, expected, "{}", String::from_utf8_lossy(&as_config.stderr));
    }
}

#[test]
fn somebody_elses_script_gets_one_line() {
    let shown = |event, directory: &[u8]| line(event, &call(directory)).into_string().unwrap();
    assert_eq!(shown(Event::PreCommit, b""), "devtask check --staged || exit 1");
    assert_eq!(shown(Event::PrePush, b"a b"), "devtask -C 'a b' hooks run pre-push \"$@\" || exit 1");
}

#[test]
fn what_git_says_of_a_push_is_read_or_refused() {
    let (one, zero) = ("1".repeat(40), "0".repeat(40));
    let long = "a".repeat(64);
    let pushed = |local: &str, remote: &str| Pushed {
        local_ref: "refs/heads/a".to_owned(),
        local: local.to_owned(),
        remote_ref: "refs/heads/b".to_owned(),
        remote: remote.to_owned(),
    };
    let said = |local: &str, remote: &str| format!("refs/heads/a {local} refs/heads/b {remote}\n");
    for (text, expected) in [
        (String::new(), Some(vec![])),
        (said(&one, &zero), Some(vec![pushed(&one, &zero)])),
        (said(&long, &long) + "\n", Some(vec![pushed(&long, &long)])),
        (said(&one, &zero) + &said(&zero, &one), Some(vec![pushed(&one, &zero), pushed(&zero, &one)])),
        (said(&one, "--upload-pack=x"), None),
        (said("", &one), None),
        ("three words only\n".to_owned(), None),
        (said(&one, &zero) + "more", None),
    ] {
        assert_eq!(read_pushed(&text), expected, "{text}");
    }
}

#[test]
fn names_are_those_of_git() {
    let names: Vec<PathBuf> = Event::ALL.map(|event| PathBuf::from(event.name())).into();
    assert_eq!(names, [PathBuf::from("pre-commit"), PathBuf::from("pre-push")]);
}
