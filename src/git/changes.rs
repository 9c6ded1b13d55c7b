//! What differs between commits, index and work tree, by content.

use std::{collections::BTreeSet, os::unix::ffi::OsStrExt as _, path::PathBuf};

use super::{
    GitError, Repository,
    call::Caller,
    repository::{inner, text},
};

/// A file that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Beneath the top of the work tree.
    pub path: PathBuf,
    /// What it is on the newer side; none: it is not there.
    pub now: Option<Entry>,
}

/// What git keeps at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A commit of another repository.
    Submodule,
}

impl Entry {
    fn of_mode(mode: &[u8]) -> Option<Self> {
        match mode {
            b"000000" => None,
            b"120000" => Some(Self::Link),
            b"160000" => Some(Self::Submodule),
            _ => Some(Self::File),
        }
    }
}

/// One line of git's raw format.
struct Raw {
    change: Change,
    old_mode: Vec<u8>,
    new_mode: Vec<u8>,
    old: String,
    /// Nothing but zeros where git has only looked at the stat of a file.
    new: String,
    is_unmerged: bool,
}

const RAW: [&str; 5] = ["--raw", "-z", "--no-renames", "--no-abbrev", "--ignore-submodules=dirty"];

impl Repository {
    /// What the next commit would change: the index against the commit the work tree is at.
    ///
    /// # Errors
    /// Git's.
    pub fn staged(&self) -> Result<Vec<Change>, GitError> {
        let base = match self.head() {
            Some(head) => head,
            None => self.empty_tree()?,
        };
        let raw =
            self.raw(&self.with_index(), &["diff-index", "--cached", "--ita-invisible-in-index"], &[&base])?;
        Ok(raw.into_iter().filter(|raw| !raw.is_unmerged).map(|raw| raw.change).collect())
    }

    /// Files of which the merge in progress has left several versions.
    ///
    /// # Errors
    /// Git's.
    pub fn unmerged(&self) -> Result<Vec<PathBuf>, GitError> {
        let listed = self.with_index().read(&["ls-files", "--unmerged", "-z"])?;
        let paths = listed.split(|byte| *byte == 0).filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'\t')?;
            inner(&line[at + 1..])
        });
        Ok(paths.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The files of the index whose content, kind or mode in the work tree is another.
    ///
    /// # Errors
    /// Git's.
    pub fn unstaged(&self) -> Result<Vec<Change>, GitError> {
        let caller = self.with_index();
        let mut raw = self.raw(&caller, &["diff-files"], &[])?;
        raw.extend(self.hidden(&caller)?);
        self.by_content(&caller, raw)
    }

    /// What is in the work tree of files that git was told not to look at there (`assume-unchanged`, `skip-worktree`).
    fn hidden(&self, caller: &Caller) -> Result<Vec<Raw>, GitError> {
        let listed = caller.read(&["ls-files", "-v", "--stage", "-z"])?;
        let is_hidden =
            |line: &&[u8]| line.first().is_some_and(|tag| *tag == b'S' || tag.is_ascii_lowercase());
        let one = |line: &[u8]| {
            let at = line.iter().position(|byte| *byte == b'\t')?;
            let head = std::str::from_utf8(line.get(2..at)?).ok()?;
            let (mode, object) = (head.split(' ').next()?, head.split(' ').nth(1)?);
            let path = inner(&line[at + 1..])?;
            // What a sparse checkout leaves out is not there.
            self.top().join(&path).symlink_metadata().ok()?;
            let mode = mode.as_bytes().to_vec();
            Some(Raw {
                change: Change { path, now: Entry::of_mode(&mode) },
                old_mode: mode.clone(),
                new_mode: mode,
                old: object.to_owned(),
                new: "0".repeat(object.len()),
                is_unmerged: false,
            })
        };
        Ok(listed.split(|byte| *byte == 0).filter(is_hidden).filter_map(one).collect())
    }

    /// Files of the work tree that are neither in the index nor ignored.
    ///
    /// # Errors
    /// Git's.
    pub fn untracked(&self) -> Result<Vec<PathBuf>, GitError> {
        let listed = self.with_index().read(&["ls-files", "--others", "--exclude-standard", "-z"])?;
        Ok(listed.split(|byte| *byte == 0).filter_map(inner).collect())
    }

    /// What one commit changed of another.
    ///
    /// # Errors
    /// Git's.
    pub fn between(&self, from: &str, to: &str) -> Result<Vec<Change>, GitError> {
        let raw = self.raw(&self.caller, &["diff-tree", "-r"], &[from, to])?;
        Ok(raw.into_iter().map(|raw| raw.change).collect())
    }

    /// What is in the work tree another than in a commit, also what is not added yet.
    ///
    /// # Errors
    /// Git's.
    pub fn since(&self, commit: &str) -> Result<Vec<Change>, GitError> {
        let caller = self.with_index();
        let raw = self.raw(&caller, &["diff-index"], &[commit])?;
        let mut changes: BTreeSet<Change> = self.by_content(&caller, raw)?.into_iter().collect();
        let hidden = self.hidden(&caller)?;
        changes.extend(self.by_content(&caller, hidden)?);
        // Taken out of the index, and there all the same: that is no deletion.
        let untracked: BTreeSet<PathBuf> = self.untracked()?.into_iter().collect();
        changes.retain(|change| !untracked.contains(&change.path));
        changes.extend(untracked.into_iter().map(|path| {
            let is_link = self.top().join(&path).is_symlink();
            Change { path, now: Some(if is_link { Entry::Link } else { Entry::File }) }
        }));
        Ok(changes.into_iter().collect())
    }

    /// The last commit both have come from, if there is one that is known here.
    #[must_use]
    pub fn merge_base(&self, one: &str, other: &str) -> Option<String> {
        text(self.caller.ask(&["merge-base", one, other])?)
    }

    fn raw(&self, caller: &Caller, verb: &[&str], of: &[&str]) -> Result<Vec<Raw>, GitError> {
        let words: Vec<&str> = verb.iter().chain(&RAW).chain(of).copied().collect();
        let said = caller.read(&words)?;
        parse(&said).ok_or_else(|| GitError::Unexpected { command: verb.join(" ") })
    }

    /// Without what only looks changed: a stat says less than the content.
    fn by_content(&self, caller: &Caller, raw: Vec<Raw>) -> Result<Vec<Change>, GitError> {
        let is_zero = |object: &str| object.bytes().all(|byte| byte == b'0');
        let may_be_same = |raw: &Raw| {
            raw.change.now == Some(Entry::File)
                && raw.old_mode == raw.new_mode
                && is_zero(&raw.new)
                && !is_zero(&raw.old)
                && !raw.is_unmerged
                // Nothing else is opened: a FIFO would be waited for.
                && self.top().join(&raw.change.path).symlink_metadata().is_ok_and(|meta| meta.is_file())
                // Git takes a path a line.
                && !raw.change.path.as_os_str().as_bytes().contains(&b'\n')
        };
        let doubtful: Vec<&Raw> = raw.iter().filter(|raw| may_be_same(raw)).collect();
        let mut same = BTreeSet::new();
        if !doubtful.is_empty() {
            let mut input = Vec::new();
            for raw in &doubtful {
                input.extend(raw.change.path.as_os_str().as_bytes());
                input.push(b'\n');
            }
            // A file that vanished or cannot be read ends it early; all that it did not come to counts as changed.
            let output = caller.call(&["hash-object", "--stdin-paths"], input)?;
            let objects = output.stdout.split(|byte| *byte == b'\n');
            let equal = doubtful.iter().zip(objects).filter(|(raw, object)| raw.old.as_bytes() == *object);
            same.extend(equal.map(|(raw, _)| raw.change.path.clone()));
        }
        Ok(raw.into_iter().map(|raw| raw.change).filter(|change| !same.contains(&change.path)).collect())
    }
}

/// `:<mode> <mode> <object> <object> <status> NUL <path> NUL`, again and again. A path that leads elsewhere is left out.
fn parse(said: &[u8]) -> Option<Vec<Raw>> {
    let mut fields = said.split(|byte| *byte == 0);
    let mut found = Vec::new();
    while let Some(head) = fields.next().filter(|head| !head.is_empty()) {
        let path = fields.next()?;
        let words: Vec<&[u8]> = head.strip_prefix(b":")?.split(|byte| *byte == b' ').collect();
        let [old_mode, new_mode, old, new, status] = words.as_slice() else { return None };
        let object = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let now = if status.first() == Some(&b'D') { None } else { Entry::of_mode(new_mode) };
        let (old, new) = (object(old)?, object(new)?);
        let is_unmerged = status.first() == Some(&b'U');
        let (old_mode, new_mode) = (old_mode.to_vec(), new_mode.to_vec());
        if let Some(path) = inner(path) {
            found.push(Raw { change: Change { path, now }, old_mode, new_mode, old, new, is_unmerged });
        }
    }
    Some(found)
}
