//! Which files a proposal could be made from: a short look around, as git sees the tree.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, DirEntry},
    path::{Path, PathBuf},
    sync::Arc,
};

use devtask::{
    propose::{Content, interest},
    scan::read_regular,
};
use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

/// Members of workspaces do not lie deeper.
const DEEPEST: usize = 6;
/// More entries than this are not looked at. Those that lie less deep are looked at first.
const MOST: usize = 200_000;
/// More bytes than this are no rules.
const LARGEST: u64 = 1 << 20;

/// Directories of other people's code, or of what was made.
const NEVER: [&str; 3] = ["node_modules", "__pycache__", ".devtask"];

struct Dir {
    path: PathBuf,
    /// From where the walk began, with `/`.
    name: String,
    depth: usize,
    /// The rules of git above it, the nearest last.
    rules: Vec<Arc<Gitignore>>,
}

/// The files whose names matter, by their paths from `root`. Links are not followed.
pub(super) fn files(root: &Path, warn: &mut dyn FnMut(&str, &str)) -> BTreeMap<String, Content> {
    let mut found = BTreeMap::new();
    let first = Dir { path: root.to_owned(), name: String::new(), depth: 0, rules: Vec::new() };
    let (mut todo, mut seen) = (VecDeque::from([first]), 0);
    while let Some(mut dir) = todo.pop_front() {
        dir.rules.extend(rules(&dir.path));
        let entries = match fs::read_dir(&dir.path) {
            Ok(entries) => entries,
            Err(error) => {
                warn(if dir.name.is_empty() { "." } else { &dir.name }, &error.to_string());
                continue;
            }
        };
        let mut entries: Vec<DirEntry> = entries.filter_map(Result::ok).take(MOST - seen).collect();
        seen += entries.len();
        entries.sort_by_key(DirEntry::file_name);
        entries.into_iter().for_each(|entry| look(&dir, &entry, &mut found, &mut todo));
        if seen >= MOST {
            warn(".", &format!("only the first {MOST} files and directories were looked at"));
            break;
        }
    }
    found
}

fn look(dir: &Dir, entry: &DirEntry, found: &mut BTreeMap<String, Content>, todo: &mut VecDeque<Dir>) {
    let name = entry.file_name();
    // What we cannot name in a text file is no part of one.
    let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else { return };
    let path = if dir.name.is_empty() { name.to_owned() } else { format!("{}/{name}", dir.name) };
    if !kind.is_dir() {
        // What it is shows when it is read.
        if interest(name).is_some() {
            found.insert(path, Content::Unread);
        }
        return;
    }
    let is_hidden = name.starts_with('.') && name != ".cargo";
    if is_hidden || NEVER.contains(&name) || dir.depth >= DEEPEST || is_ignored(&dir.rules, &entry.path()) {
        return;
    }
    todo.push_back(Dir { path: entry.path(), name: path, depth: dir.depth + 1, rules: dir.rules.clone() });
}

/// What git ignores because of this directory's own rules.
fn rules(dir: &Path) -> Option<Arc<Gitignore>> {
    let bytes = read_regular(&dir.join(".gitignore"), LARGEST).ok()?;
    let mut builder = GitignoreBuilder::new(dir);
    for line in String::from_utf8_lossy(&bytes).lines() {
        // A line that is no pattern says nothing to git either.
        let _ = builder.add_line(None, line);
    }
    builder.build().ok().map(Arc::new)
}

fn is_ignored(rules: &[Arc<Gitignore>], dir: &Path) -> bool {
    let verdicts = rules.iter().rev().map(|rules| rules.matched(dir, true));
    verdicts
        .into_iter()
        .find(|verdict| !verdict.is_none())
        .is_some_and(|verdict| matches!(verdict, Match::Ignore(_)))
}
