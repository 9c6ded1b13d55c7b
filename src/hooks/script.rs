//! The text of a hook. Pure.
//!
//! It says its own digest, so that it can be told whether somebody has changed it: what was, is not ours any more. The
//! trees it is for are read back from it.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::{Call, Event};
use crate::shell::{posix, posix_word};

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

/// The script for a hooks directory: it calls this program for each of these trees, and fails if one of them does.
pub(super) fn script(event: Event, program: &Path, trees: &[PathBuf]) -> Vec<u8> {
    let mut body = [head(event), posix(program.as_os_str().as_bytes()), find(event, "\n")].concat();
    for tree in trees {
        body.extend([before(event), run(event, tree), AFTER.to_vec()].concat());
    }
    body.extend(END);
    let digest = format!("#!/bin/sh\n{MARK}{:016x}\n", xxh3_64(&body));
    [digest.into_bytes(), body].concat()
}

/// The program a script of ours calls, and the trees it is for; none if it is not as this version writes it.
pub(super) fn read(event: Event, text: &[u8]) -> Option<(PathBuf, Vec<PathBuf>)> {
    let (_, body) = text.strip_prefix(b"#!/bin/sh\n")?.strip_prefix(MARK.as_bytes())?.split_at_checked(17)?;
    let (program, rest) = posix_word(body.strip_prefix(head(event).as_slice())?)?;
    let mut rest = rest.strip_prefix(find(event, "\n").as_slice())?;
    let mut trees = Vec::new();
    while rest != END {
        let (tree, after) = ran(event, rest.strip_prefix(before(event).as_slice())?)?;
        trees.push(tree);
        rest = after.strip_prefix(AFTER)?;
    }
    Some((OsString::from_vec(program).into(), trees))
}

/// The line for the configuration. git passes on by itself what it gives to a hook.
pub(super) fn config(event: Event, call: &Call) -> OsString {
    let program = posix(call.program.as_os_str().as_bytes());
    let body =
        [b"devtask=".to_vec(), program, find(event, "; "), EXEC.to_vec(), words(event, &call.directory)];
    let body = body.concat();
    let digest = format!("{CONFIG_MARK}{:016x}; ", xxh3_64(&body));
    OsString::from_vec([digest.into_bytes(), body].concat())
}

/// The tree a line of ours is for; none if it is not as this version writes it.
pub(super) fn config_tree(event: Event, line: &OsStr) -> Option<PathBuf> {
    let (_, body) = line.as_bytes().strip_prefix(CONFIG_MARK.as_bytes())?.split_at_checked(18)?;
    let (_, rest) = posix_word(body.strip_prefix(b"devtask=")?)?;
    let rest = rest.strip_prefix(find(event, "; ").as_slice())?.strip_prefix(EXEC)?;
    let (tree, rest) = read_words(event, rest)?;
    rest.is_empty().then_some(tree)
}

/// A line for somebody else's script.
pub(super) fn line(event: Event, directory: &Path) -> OsString {
    let call = [b"devtask ".to_vec(), words(event, directory), event.arguments().into()];
    OsString::from_vec([call.concat(), b" || exit 1".to_vec()].concat())
}

/// Whether somebody else's script has such a line, or calls what it stands for.
pub(super) fn has_line(event: Event, directory: &Path, text: &[u8]) -> bool {
    let called = [b"devtask ".to_vec(), words(event, directory)].concat();
    let is_top = directory.as_os_str().is_empty() && !event.is_told();
    let usual: &[u8] = b"devtask check --staged";
    let has = |line: &[u8], part: &[u8]| line.windows(part.len()).any(|bytes| bytes == part);
    text.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_start)
        .filter(|line| !line.starts_with(b"#"))
        .any(|line| has(line, &called) || is_top && has(line, usual))
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
failed=0
devtask="#;

// All want to read what git says.
const KEPT_WITH_STDIN: &str = r#"said=$(cat; echo .)
said=${said%.}
kept=$(dirname "$0")/@KEPT@
if [ -x "$kept" ]; then
    printf %s "$said" | "$kept" "$@" || exit $?
fi
failed=0
devtask="#;

const AFTER: &[u8] = b" || failed=$?\n";
const END: &[u8] = b"exit $failed\n";
const EXEC: &[u8] = b"exec \"$devtask\" ";

/// What a script begins with, up to the program.
fn head(event: Event) -> Vec<u8> {
    let kept = if event.is_told() { KEPT_WITH_STDIN } else { KEPT_WITHOUT_STDIN };
    let kept = kept.replace("@KEPT@", &format!("{}{KEPT}", event.name()));
    format!("# Installed by `devtask hooks install`; `devtask hooks uninstall` takes it away again.\n{kept}")
        .into_bytes()
}

/// Behind the program: another one if it is gone.
fn find(event: Event, then: &str) -> Vec<u8> {
    let lost = format!(
        "devtask is not on PATH any more: install it, run `devtask hooks install` again, or do without once: {}",
        event.way_round()
    );
    // Nothing of it is to be quoted.
    format!(
        "{then}[ -x \"$devtask\" ] || devtask=$(command -v devtask) || {{ echo '{lost}' >&2; exit 1; }}{then}"
    )
    .into_bytes()
}

fn before(event: Event) -> Vec<u8> {
    let input = if event.is_told() { "printf %s \"$said\" | " } else { "" };
    format!("{input}\"$devtask\" ").into_bytes()
}

fn run(event: Event, tree: &Path) -> Vec<u8> {
    [words(event, tree), event.arguments().into()].concat()
}

fn ran(event: Event, text: &[u8]) -> Option<(PathBuf, &[u8])> {
    let (tree, rest) = read_words(event, text)?;
    Some((tree, rest.strip_prefix(event.arguments().as_bytes())?))
}

/// What devtask is called with for a tree. No `-C`: it may be that there is no such directory in another branch.
fn words(event: Event, tree: &Path) -> Vec<u8> {
    let place = match tree.as_os_str().as_bytes() {
        b"" => Vec::new(),
        tree => [WITHIN.to_vec(), posix(tree), b" ".to_vec()].concat(),
    };
    [b"hooks run ".to_vec(), place, event.name().into()].concat()
}

const WITHIN: &[u8] = b"--in ";

/// [`words`] read back, and what stands behind them.
fn read_words(event: Event, text: &[u8]) -> Option<(PathBuf, &[u8])> {
    let rest = text.strip_prefix(b"hooks run ")?;
    let (tree, rest) = match rest.strip_prefix(WITHIN) {
        Some(rest) => {
            let (tree, rest) = posix_word(rest)?;
            (tree, rest.strip_prefix(b" ")?)
        }
        None => (Vec::new(), rest),
    };
    Some((OsString::from_vec(tree).into(), rest.strip_prefix(event.name().as_bytes())?))
}
