//! Whose text a hook is, what it calls, and what git says of a push.

use std::{
    ffi::OsStr,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Call, Event, Pushed, read_pushed,
    script::{Whose, config, config_tree, has_line, line, read, script, whose, whose_config},
};

fn call(directory: &[u8]) -> Call {
    Call { program: "/opt/it's/devtask".into(), directory: OsStr::from_bytes(directory).into() }
}

#[test]
fn a_text_is_ours_until_one_byte_is_another() {
    for event in Event::ALL {
        for directory in [&b""[..], b"web", b"it's \xff\n\"$HOME\""] {
            let Call { program, directory: tree } = call(directory);
            let text = script(event, &program, &[tree]);
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
        (Event::PreCommit, &b""[..], &b"<hooks><run><pre-commit>"[..]),
        (Event::PreMergeCommit, b"", b"<hooks><run><pre-merge-commit>"),
        (Event::PreCommit, b"it's \xff \"$HOME\"", b"<hooks><run><--in><it's \xff \"$HOME\"><pre-commit>"),
        (Event::PrePush, b"web", b"<hooks><run><--in><web><pre-push><origin><a  b>said\n"),
    ] {
        let call = Call { program: program.clone(), ..call(directory) };
        let arguments: &[&str] = if event == Event::PrePush { &["origin", "a  b"] } else { &[] };
        let (hook, said) = (dir.path().join("hook"), dir.path().join("said"));
        std::fs::write(&said, if event == Event::PrePush { "said\n" } else { "" }).unwrap();
        let said = || std::fs::File::open(&said).unwrap();
        // Each tree is called for, and hears all that git says.
        std::fs::write(&hook, script(event, &program, &[call.directory.clone(), "x".into()])).unwrap();
        let as_script = Command::new("sh").arg(&hook).args(arguments).stdin(said()).output().unwrap();
        let other = match event {
            Event::PrePush => "<hooks><run><--in><x><pre-push><origin><a  b>said\n".to_owned(),
            event => format!("<hooks><run><--in><x><{}>", event.name()),
        };
        let both = [expected, other.as_bytes()].concat();
        assert_eq!(as_script.stdout, both, "{}", String::from_utf8_lossy(&as_script.stderr));
        // git appends what passes its arguments on.
        let mut line = config(event, &call).into_vec();
        if !arguments.is_empty() {
            line.extend_from_slice(b" \"$@\"");
        }
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(OsStr::from_bytes(&line)).arg("x").args(arguments).stdin(said());
        let as_config = shell.output().unwrap();
        assert_eq!(as_config.stdout, expected, "{}", String::from_utf8_lossy(&as_config.stderr));
    }
}

#[test]
fn the_trees_of_a_hook_are_read_back() {
    let many: Vec<PathBuf> =
        [&b""[..], b"a b", b"it's \xff\n\"$HOME\"", b"' pre-commit || failed=$?\nexit $failed\n"]
            .map(|tree| OsStr::from_bytes(tree).into())
            .into();
    let program = Path::new("/it's\nfailed=0\ndevtask=");
    for event in Event::ALL {
        for trees in [&many[..], &many[1..2], &[]] {
            let text = script(event, program, trees);
            assert_eq!(read(event, &text), Some((program.to_owned(), trees.to_vec())));
            let cut = &text[..text.len() - 1];
            assert_eq!(read(event, cut), None, "what is not all of it is not known");
        }
        for tree in &many {
            let call = Call { program: program.to_owned(), directory: tree.clone() };
            assert_eq!(config_tree(event, &config(event, &call)).as_ref(), Some(tree));
        }
    }
    assert_eq!(config_tree(Event::PrePush, &config(Event::PreCommit, &call(b"web"))), None);
}

#[test]
fn somebody_elses_script_gets_one_line() {
    let shown = |event, tree: &str| line(event, Path::new(tree)).into_string().unwrap();
    assert_eq!(shown(Event::PreCommit, ""), "devtask hooks run pre-commit || exit 1");
    assert_eq!(shown(Event::PrePush, "a b"), "devtask hooks run --in 'a b' pre-push \"$@\" || exit 1");
    for (event, tree, text, expected) in [
        (Event::PreCommit, "", "#!/bin/sh\nnpm test\n  devtask hooks run pre-commit || exit 1\n", true),
        (Event::PreCommit, "", "npx devtask check --staged", true),
        (Event::PreCommit, "", "# devtask hooks run pre-commit || exit 1\n", false),
        (Event::PreCommit, "web", "devtask hooks run pre-commit\ndevtask check --staged\n", false),
        (Event::PreCommit, "web", "devtask hooks run --in 'web' pre-commit\n", true),
        (Event::PrePush, "", "devtask check --staged\n", false),
        (Event::PrePush, "", "devtask hooks run pre-push \"$@\"\n", true),
    ] {
        assert_eq!(has_line(event, Path::new(tree), text.as_bytes()), expected, "{text}");
    }
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
        (
            format!("HEAD@{{1 hour ago}} {one} refs/heads/b {zero}\n"),
            Some(vec![Pushed { local_ref: "HEAD@{1 hour ago}".to_owned(), ..pushed(&one, &zero) }]),
        ),
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
    assert_eq!(names, ["pre-commit", "pre-merge-commit", "pre-push"].map(PathBuf::from));
}
