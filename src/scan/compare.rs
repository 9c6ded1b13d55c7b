//! Whether anything moved between two looks (hazards, section 0, point 3).

use std::{
    cmp::Ordering,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    table::{FileEntry, FileSet},
    walk::{Entry, Matched},
};
use crate::{model::FileKind, pattern::PatternSet};

/// The first path that is not as it was: its content may be the same again, but somebody wrote it. Of
/// directories and special files only presence and kind count. What could not be looked at either time, for
/// the same reason, tells nothing; what only one of them could look at differs. Paths `except` matches (a task's declared
/// outputs) may change as they like.
#[must_use]
pub fn same_identities(before: &FileSet, now: &Matched, except: Option<&PatternSet>) -> Option<PathBuf> {
    let counts = |path: &Path| !except.is_some_and(|set| set.matches(path));
    let mut before_list = before.entries.iter().filter(|e| counts(&e.path)).peekable();
    let mut now_list = now.entries.iter().filter(|e| counts(&e.path)).peekable();
    loop {
        let order = match (before_list.peek(), now_list.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()),
        };
        let before = if order.is_le() { before_list.next() } else { None };
        let now = if order.is_ge() { now_list.next() } else { None };
        match (before, now) {
            (Some(before), Some(now)) if same(before, now) => {}
            (Some(FileEntry { path, .. }), _) | (None, Some(Entry { path, .. })) => {
                return Some(path.to_path_buf());
            }
            (None, None) => break,
        }
    }
    let came = now.problems.iter().filter(|problem| !before.problems.contains(problem));
    let went = before.problems.iter().filter(|problem| !now.problems.contains(problem));
    came.chain(went).map(|problem| &problem.path).find(|path| counts(path)).cloned()
}

fn same(before: &FileEntry, now: &Entry) -> bool {
    let by_kind = matches!(now.kind, FileKind::Directory | FileKind::Special);
    before.kind == now.kind && (by_kind || before.identity == now.identity)
}
