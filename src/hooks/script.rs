//! The text of a hook. Pure.
//!
//! It says its own digest, so that it can be told whether somebody has changed it: what was, is not ours any more.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::Path,
};

use xxhash_rust::xxh3::xxh3_64;

use super::{Call, Event};

/// What a hook that was there is kept under, behind its name.
pub(super) const KEPT: &str = ".devtask-kept";
/// What the line with the digest begins with.
const MARK: &str = "# devtask hook ";
/// The same in a line of the configuration, where a comment would swallow what git appends.
const CONFIG_MARK: &str = ": devtask-hook ";

/// Whose text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Ours, as we wrote it.
    Ours,
    /// Ours, with something changed.
    Changed,
    /// Somebody else's.
    Theirs,
}

/// The script for a hooks directory.
pub(super) fn script(event: Event, call: &Call) -> Vec<u8> {
    let kept = match event {
        Event::PreCommit => KEPT_WITHOUT_STDIN,
        Event::PrePush => KEPT_WITH_STDIN,
    };
    let body = [
        b"# Installed by `devtask hooks install`; `devtask hooks uninstall` takes it away again.\n".to_vec(),
        kept.replace("@KEPT@", &format!("{}{KEPT}", event.name())).into_bytes(),
        find(event, call, "\n"),
        command(event, call),
        event.arguments().as_bytes().to_vec(),
        b"\n".to_vec(),
    ]
    .concat();
    let digest = format!("#!/bin/sh\n{MARK}{:016x}\n", xxh3_64(&body));
    [digest.into_bytes(), body].concat()
}

/// The line for the configuration. git passes on by itself what it gives to a hook.
pub(super) fn config(event: Event, call: &Call) -> OsString {
    let body = [find(event, call, "; "), command(event, call)].concat();
    let digest = format!("{CONFIG_MARK}{:016x}; ", xxh3_64(&body));
    OsString::from_vec([digest.into_bytes(), body].concat())
}

/// A line for somebody else's script.
pub(super) fn line(event: Event, call: &Call) -> OsString {
    let words = format!("{}{} || exit 1", event.words(), event.arguments());
    let parts = [b"devtask".to_vec(), directory(&call.directory), words.into_bytes()];
    OsString::from_vec(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b' '))
}

/// Whose script it is.
pub(super) fn whose(text: &[u8]) -> Whose {
    told(text.strip_prefix(b"#!/bin/sh\n").and_then(|rest| rest.strip_prefix(MARK.as_bytes())), b"\n")
        .unwrap_or_else(|| match text.windows(MARK.len()).any(|bytes| bytes == MARK.as_bytes()) {
            true => Whose::Changed,
            false => Whose::Theirs,
        })
}

/// Whose line of the configuration it is. The name of its section is ours, so it is never theirs.
pub(super) fn whose_config(text: &OsStr) -> Whose {
    told(text.as_bytes().strip_prefix(CONFIG_MARK.as_bytes()), b"; ").unwrap_or(Whose::Changed)
}

/// Behind the mark: the digest, something between, and what it is of.
fn told(marked: Option<&[u8]>, between: &[u8]) -> Option<Whose> {
    let (digest, body) = marked?.split_at_checked(16)?;
    let body = body.strip_prefix(between)?;
    let is_same = digest == format!("{:016x}", xxh3_64(body)).as_bytes();
    Some(if is_same { Whose::Ours } else { Whose::Changed })
}

const KEPT_WITHOUT_STDIN: &str = r#"kept=$(dirname "$0")/@KEPT@
if [ -x "$kept" ]; then
    "$kept" "$@" || exit $?
fi
"#;

// Both want to read what git says.
const KEPT_WITH_STDIN: &str = r#"kept=$(dirname "$0")/@KEPT@
if [ -x "$kept" ]; then
    said=$(cat; echo .)
    said=${said%.}
    printf %s "$said" | "$kept" "$@" || exit $?
    exec <<END_OF_WHAT_GIT_SAID
$said
END_OF_WHAT_GIT_SAID
fi
"#;

/// Where the program is now.
fn find(event: Event, call: &Call, then: &str) -> Vec<u8> {
    let way_round = event.way_round();
    let lost = format!(
        "devtask is not on PATH any more: install it, run `devtask hooks install` again, or do without once: {way_round}"
    );
    let or_else = format!(
        "[ -x \"$devtask\" ] || devtask=$(command -v devtask) || {{ echo {} >&2; exit 1; }}{then}",
        String::from_utf8_lossy(&quoted(OsStr::new(&lost)))
    );
    [b"devtask=".to_vec(), quoted(call.program.as_os_str()), then.as_bytes().to_vec(), or_else.into_bytes()]
        .concat()
}

fn command(event: Event, call: &Call) -> Vec<u8> {
    let parts =
        [b"exec \"$devtask\"".to_vec(), directory(&call.directory), event.words().as_bytes().to_vec()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(&b' ')
}

fn directory(directory: &Path) -> Vec<u8> {
    match directory.as_os_str().is_empty() {
        true => Vec::new(),
        false => [b"-C ".to_vec(), quoted(directory.as_os_str())].concat(),
    }
}

/// As a shell takes it.
fn quoted(text: &OsStr) -> Vec<u8> {
    let mut quoted = b"'".to_vec();
    for byte in text.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}
