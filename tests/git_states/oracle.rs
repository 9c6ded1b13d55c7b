//! What has to come out, as git tells it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::repository::{Ended, How, Snapshot, Tree};

/// What is about to be committed.
#[derive(Debug)]
pub(crate) struct Due {
    /// The regular files that are staged, as files.
    pub(crate) staged: BTreeMap<PathBuf, Vec<u8>>,
    /// Whether something is staged that `**/*.txt` is about, deletions and links too.
    concerns_text: bool,
    /// All regular files of the index.
    all: BTreeMap<PathBuf, Vec<u8>>,
}

fn paths(listed: &[u8]) -> Vec<PathBuf> {
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(OsStr::from_bytes(name))).collect()
}

fn shown(tree: &Tree, path: &Path) -> Vec<u8> {
    let mut object = OsString::from(":0:");
    object.push(path);
    tree.git([OsStr::new("cat-file"), OsStr::new("--filters"), &object])
}

/// What is staged; none where a merge has left conflicts.
pub(crate) fn due(tree: &Tree) -> Option<Due> {
    if !tree.git(["ls-files", "-u"]).is_empty() {
        return None;
    }
    let empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let head = if tree.git(["rev-parse", "-q", "--verify", "HEAD"]).is_empty() { empty } else { "HEAD" };
    let changed = paths(&tree.git(["diff", "--cached", "--name-only", "--no-renames", "-z", head]));
    let changed: BTreeSet<PathBuf> = changed.into_iter().collect();
    let entries = tree.git(["ls-files", "--stage", "-z"]);
    let intended = paths(&tree.git(["diff", "--name-only", "--diff-filter=A", "-z"]));
    let regular = entries.split(|byte| *byte == 0).filter(|line| line.starts_with(b"100")).map(|line| {
        let at = line.iter().position(|byte| *byte == b'\t').unwrap();
        PathBuf::from(OsStr::from_bytes(&line[at + 1..]))
    });
    let all: BTreeMap<PathBuf, Vec<u8>> = regular
        // What is only meant to be added is no part of a commit.
        .filter(|path| !intended.contains(path))
        .map(|path| (path.clone(), shown(tree, &path)))
        .collect();
    let staged = all.iter().filter(|(path, _)| changed.contains(*path)).map(|(p, c)| (p.clone(), c.clone()));
    let is_text = |path: &PathBuf| path.extension().is_some_and(|e| e == "txt") && !is_hidden(path);
    Some(Due { staged: staged.collect(), concerns_text: changed.iter().any(is_text), all })
}

fn is_hidden(path: &Path) -> bool {
    path.iter().any(|part| part.as_bytes().starts_with(b"."))
}

/// Regular files beneath a directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                todo.push(path);
            } else if meta.is_file() {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Bytes for people.
fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn texts(files: &BTreeMap<PathBuf, Vec<u8>>) -> BTreeMap<&Path, String> {
    files.iter().map(|(path, content)| (path.as_path(), text(content))).collect()
}

/// The check saw what it has to.
pub(crate) fn saw(tree: &Tree, how: How, ended: &Ended, due: &Due, told: &str) {
    let given: BTreeMap<PathBuf, Vec<u8>> =
        due.staged.iter().filter(|(path, _)| !is_hidden(path)).map(|(p, c)| (p.clone(), c.clone())).collect();
    let signalled = matches!(how, How::Interrupt | How::Kill) && !given.is_empty();
    if signalled {
        assert_eq!(ended.code, None, "{told}");
        return;
    }
    let expected = if how == How::Fail && !given.is_empty() { 1 } else { 0 };
    assert_eq!(ended.code, Some(expected), "{told}");
    assert_eq!(texts(&files(&tree.seen().join("given"))), texts(&given), "{told}");
    if due.concerns_text {
        let all = |found: BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<PathBuf, Vec<u8>> {
            let text =
                |path: &Path| path.extension().is_some_and(|e| e == "txt") && !path.starts_with("module");
            found.into_iter().filter(|(path, _)| text(path)).collect()
        };
        assert_eq!(texts(&all(files(&tree.seen().join("around")))), texts(&all(due.all.clone())), "{told}");
    }
}

/// What a file becomes.
pub(crate) struct Fixed {
    /// The entry of the index, as a file.
    index: Vec<u8>,
    /// What the file in the work tree may become; none: it has to stay as it is.
    merged: Option<Vec<u8>>,
}

/// What a fix that succeeds has to make of what is staged: one `bad` a line becomes `good`.
pub(crate) fn fixed(tree: &Tree, due: &Due) -> BTreeMap<PathBuf, Fixed> {
    let mut all = BTreeMap::new();
    for (path, was) in &due.staged {
        let now = mended(was);
        if is_hidden(path) || now == *was {
            continue;
        }
        let ours = tree.root().join(path);
        let ours = if ours.is_symlink() { None } else { fs::read(ours).ok() };
        let merged = ours.and_then(|ours| merge(tree, &ours, was, &now));
        all.insert(path.clone(), Fixed { index: now, merged });
    }
    all
}

fn mended(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.windows(3).position(|word| word == b"bad") {
            Some(at) => result.extend([&line[..at], b"good", &line[at + 3..]].concat()),
            None => result.extend(line),
        }
    }
    result
}

fn merge(tree: &Tree, ours: &[u8], base: &[u8], theirs: &[u8]) -> Option<Vec<u8>> {
    if ours == base {
        return Some(theirs.to_vec());
    }
    if ours == theirs {
        return Some(ours.to_vec());
    }
    let file = |name: &str, content: &[u8]| {
        let path = tree.beside(name);
        fs::write(&path, content).unwrap();
        path
    };
    let files = [file("ours", ours), file("base", base), file("theirs", theirs)];
    let output = Command::new("git").args(["merge-file", "-p", "-q"]).args(files).output().unwrap();
    output.status.success().then_some(output.stdout)
}

/// The fix did what it has to, and nothing else.
pub(crate) fn is_fixed(
    tree: &Tree,
    before: &Snapshot,
    expected: &BTreeMap<PathBuf, Fixed>,
    fails: bool,
    ended: &Ended,
    told: &str,
) {
    let after = tree.snapshot();
    assert_eq!(after.refs, before.refs, "{told}");
    let has_work = ended.err.contains("fix:t:given");
    if fails && has_work {
        assert_eq!(ended.code, Some(1), "{told}");
        assert_eq!(after.staged, before.staged, "what fails is not staged\n{told}");
        // In place it has mended what it came to; aside nobody sees that.
        for (path, (mode, content)) in &before.files {
            let (now_mode, now) = &after.files[path];
            let may = expected.get(path).and_then(|fixed| fixed.merged.as_ref());
            assert!(now == content || Some(now) == may, "{}\n{told}", path.display());
            assert_eq!(now_mode, mode, "{told}");
        }
        return;
    }
    assert_eq!(ended.code, Some(0), "{told}");
    for (path, fixed) in expected {
        assert_eq!(text(&shown(tree, path)), text(&fixed.index), "the entry of {}\n{told}", path.display());
    }
    for (path, (mode, content)) in &before.files {
        let due = expected.get(path).and_then(|fixed| fixed.merged.as_ref()).unwrap_or(content);
        let (now_mode, now) = &after.files[path];
        assert_eq!(text(now), text(due), "{} in the work tree\n{told}", path.display());
        assert_eq!(now_mode, mode, "the mode of {}\n{told}", path.display());
    }
    assert_eq!(after.files.len(), before.files.len(), "{told}");
    // Every other entry is as it was.
    let others = |staged: &[u8]| -> Vec<Vec<u8>> {
        let is_fixed = |line: &[u8]| {
            expected.keys().any(|path| line.ends_with(&[b"\t", path.as_os_str().as_bytes()].concat()))
        };
        staged.split(|byte| *byte == 0).filter(|line| !is_fixed(line)).map(<[u8]>::to_vec).collect()
    };
    assert_eq!(others(&after.staged), others(&before.staged), "{told}");
}
