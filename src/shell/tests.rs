//! Real shells read what is written for them.

use std::{fs, os::unix::ffi::OsStrExt as _, path::Path, process::Command};

use super::*;

const SHELLS: [(&str, Dialect); 3] =
    [("bash", Dialect::Bash), ("zsh", Dialect::Zsh), ("fish", Dialect::Fish)];

/// The shells that are here: bash always.
fn shells() -> impl Iterator<Item = (&'static str, Dialect)> {
    let is_here = |name: &str| Command::new(name).args(["-c", "exit 0"]).output().is_ok();
    SHELLS.into_iter().filter(move |(name, _)| *name == "bash" || is_here(name))
}

/// What a shell hands on after it has read this script.
fn evaluated(shell: &str, script: &str, home: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let file = home.join("script");
    fs::write(&file, script).unwrap();
    let eval = match shell {
        // Line by line: `eval (…)` joins lines by spaces, so people write `| source`.
        "fish" => "cat $file | source; exec env -0",
        _ => "eval \"$(cat \"$file\")\"; exec env -0",
    };
    let mut command = Command::new(shell);
    match shell {
        "bash" => command.args(["--norc", "--noprofile"]),
        "zsh" => command.arg("-f"),
        _ => command.arg("--no-config"),
    };
    let path = std::env::var_os("PATH").unwrap();
    let output = command
        .args(["-c", eval])
        .env_clear()
        .envs([("PATH", path.as_os_str()), ("HOME", home.as_os_str()), ("file", file.as_os_str())])
        .current_dir(home)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{shell}\n{script}\n{output:?}");
    let lines = output.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty());
    let pair = |line: &[u8]| {
        let at = line.iter().position(|byte| *byte == b'=').unwrap();
        (line[..at].to_vec(), line[at + 1..].to_vec())
    };
    lines.map(pair).collect()
}

/// Values that mean something to one shell or another, and any others.
fn values() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        "",
        " ",
        "plain",
        "two words",
        "it's",
        "\"",
        "\\",
        "\\'",
        "'\\''",
        "$HOME",
        "$(touch pwned)",
        "`touch pwned`",
        "a\nb",
        "\n",
        "trailing\n",
        "\n\ntwo",
        "a\tb\r",
        "!!",
        "#",
        "~",
        "*",
        "{a,b}",
        "a;touch pwned",
        "|",
        "&&",
        "-n",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{1}",
        "größe",
        "日本",
        "%s",
        "%n",
        "\\x41",
        "\\n",
        "$'x'",
        "\\",
        "'",
        "a'b\\c\nd\u{1}",
        "(touch pwned)",
        "1\\",
        "=ls",
        "\u{1}\u{7f}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    values.extend((1..=255).map(|byte| vec![byte]));
    // A byte that is escaped before one that could belong to the escape.
    values.extend([&b"\xff\xfe"[..], b"\x01a", b"\xe9f", b"a\xc3", b"\x81'\\", b"\x1b1"].map(<[u8]>::to_vec));
    let mut random = fastrand::Rng::with_seed(7);
    values.extend((0..200).map(|_| (0..random.usize(1..40)).map(|_| random.u8(1..=255)).collect()));
    values
}

#[test]
fn every_value_goes_through_every_shell_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let variables: Variables =
        values().into_iter().enumerate().map(|(n, value)| (format!("V{n}"), value)).collect();
    let environment = Environment::new(variables.clone(), None);
    for (shell, dialect) in shells() {
        let script = environment.script(dialect, None);
        assert!(script.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{shell}");
        let seen = evaluated(shell, &script, home.path());
        for (name, value) in &variables {
            assert_eq!(seen.get(name.as_bytes()), Some(value), "{shell} {name}");
        }
        assert!(!home.path().join("pwned").exists(), "{shell}");
    }
}

#[test]
fn json_has_everything_that_is_text() {
    let variables: Variables =
        [("A", &b"1"[..]), ("no name", "größe\n".as_bytes()), ("RAW", b"\xff"), ("PATH", b"/p/bin:/bin")]
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .into();
    let environment = Environment::new(variables, Some(b"/bin"));
    assert_eq!(environment.left_out(Dialect::Json), ["RAW"]);
    let json = "{\"A\":\"1\",\"PATH\":\"/p/bin:/bin\",\"no name\":\"größe\\n\"}\n";
    assert_eq!(environment.script(Dialect::Json, Some(b"/bin")), json);
}

#[test]
fn names_that_a_shell_cannot_set_are_left_out() {
    let names = [
        "",
        "1A",
        "a-b",
        "A B",
        "x;touch pwned",
        "$(x)",
        "GRÖSSE",
        "a\nb",
        "UID",
        "status",
        "OK_1",
        "DEVTASK_FILE",
    ];
    let variables = names.map(|name| (name.to_owned(), b"1".to_vec())).into();
    let environment = Environment::new(variables, None);
    assert_eq!(environment.reserved, ["DEVTASK_FILE"]);
    let home = tempfile::tempdir().unwrap();
    for (shell, dialect) in shells() {
        let left_out = environment.left_out(dialect);
        assert!(left_out.contains(&if shell == "fish" { "status" } else { "UID" }), "{shell} {left_out:?}");
        let seen = evaluated(shell, &environment.script(dialect, None), home.path());
        assert_eq!(seen.get(&b"OK_1"[..]), Some(&b"1".to_vec()), "{shell}");
    }
}

#[test]
fn path_is_only_added_to() {
    for (exported, present, expected) in [
        ("/p/bin:/usr/bin:/bin", "/usr/bin:/bin", "/p/bin:/usr/bin:/bin"),
        // It has grown since.
        ("/p/bin:/usr/bin:/bin", "/nix/bin:/usr/bin:/x:/bin", "/p/bin:/nix/bin:/usr/bin:/x:/bin"),
        // It has been added already.
        ("/p/bin:/usr/bin", "/p/bin:/nix/bin:/usr/bin", "/p/bin:/nix/bin:/usr/bin"),
        // What is put first comes first, although it was there.
        ("/b:/a", "/a:/b", "/b:/a:/b"),
        ("/p", "/a", "/p:/a"),
        ("/p:/q", "", "/p:/q"),
        ("/a", "/a:/b", "/a:/b"),
    ] {
        let variables = || [("PATH".to_owned(), exported.as_bytes().to_vec())].into();
        let environment = Environment::new(variables(), Some(present.as_bytes()));
        let path = environment.path(Some(present.as_bytes()));
        let path = path.unwrap_or_else(|| present.as_bytes().to_vec());
        assert_eq!(String::from_utf8(path).unwrap(), expected, "{exported} {present}");
    }
}

#[test]
fn every_shell_puts_the_same_before_its_path() {
    let home = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let exported = [b"/it's/bin:/two words/bin:", path.as_bytes()].concat();
    let environment = Environment::new([("PATH".to_owned(), exported.clone())].into(), Some(path.as_bytes()));
    for (shell, dialect) in shells() {
        let seen = evaluated(shell, &environment.script(dialect, None), home.path());
        assert_eq!(seen.get(&b"PATH"[..]), Some(&exported), "{shell}");
    }
}

#[test]
fn names_that_reach_far_are_told() {
    let names = ["LD_PRELOAD", "DYLD_X", "BASH_ENV", "GIT_DIR", "IFS", "FINE", "LDX"];
    let environment = Environment::new(names.map(|name| (name.to_owned(), Vec::new())).into(), None);
    assert_eq!(environment.far_reaching(), ["BASH_ENV", "DYLD_X", "GIT_DIR", "IFS", "LD_PRELOAD"]);
}

#[test]
fn words_of_posix_are_read_by_sh_and_by_us() {
    for value in [&b""[..], b"a b", b"it's", b"''", b"\\", b"$HOME `x` \"\n\xff\t"] {
        let word = posix(value);
        let script = [b"printf %s ", word.as_slice()].concat();
        let sh = Command::new("sh").arg("-c").arg(std::ffi::OsStr::from_bytes(&script)).output().unwrap();
        assert_eq!(sh.stdout, value);
        let longer = [word.as_slice(), b" 'more'"].concat();
        assert_eq!(posix_word(&longer), Some((value.to_vec(), &b" 'more'"[..])));
        assert_eq!(posix_word(&word[..word.len() - 1]), None);
    }
    assert_eq!(posix_word(b"bare"), None);
}
