//! Two manifests laid beside each other: what differs, in words `why` can show.

use std::{cmp::Ordering, collections::BTreeMap};

use super::manifest::{FileRow, Manifest, OBJECT, Part, digest_of};
use crate::model::{Compared, Digest, FileChange, FileKind, Reason, TaskName, UpstreamChange};

/// Why `now` has another key than `before`; empty exactly if the keys are equal.
#[must_use]
pub fn compare(before: &Manifest, now: &Manifest) -> Vec<Reason> {
    let mut reasons = file_reasons(&before.files, &now.files);
    let parts: BTreeMap<&Part, (Option<&Digest>, Option<&Digest>)> = before
        .parts
        .keys()
        .chain(now.parts.keys())
        .map(|part| (part, (before.parts.get(part), now.parts.get(part))))
        .collect();
    for (part, (old, new)) in parts {
        if old != new {
            reasons.push(part_reason(part, before, now));
        }
    }
    // That there is input at all is worth a word only if no key of it is.
    if reasons.iter().any(|r| matches!(r, Reason::Input { key: Some(_) })) {
        reasons.retain(|r| *r != Reason::Input { key: None });
    }
    reasons.sort_by_key(order);
    reasons.dedup();
    reasons
}

/// What of `now` is as it was in `before`.
#[must_use]
pub fn count(before: &Manifest, now: &Manifest) -> Compared {
    let mut compared = Compared { files: same_files(&before.files, &now.files), ..Compared::default() };
    for (part, digest) in &now.parts {
        if before.parts.get(part) != Some(digest) {
            continue;
        }
        match part {
            Part::Exec => compared.command = true,
            Part::Input(Some(_)) => compared.input += 1,
            Part::FileEnv(_) | Part::Env(_) => compared.env += 1,
            Part::TrackedEnv(_) => compared.tracked_env += 1,
            // Only says that its keys are there.
            Part::UpstreamOutput(_, None) if *digest == digest_of(OBJECT) => {}
            Part::UpstreamOutput(..)
            | Part::UpstreamExport(..)
            | Part::UpstreamFiles(_)
            | Part::Called(_) => compared.upstream += 1,
            _ => {}
        }
    }
    compared
}

fn part_reason(part: &Part, before: &Manifest, now: &Manifest) -> Reason {
    let upstream = |task: &TaskName, change: UpstreamChange| {
        let knows = |m: &Manifest| m.parts.keys().any(|p| p.upstream() == Some(task));
        let change = match (knows(before), knows(now)) {
            (false, true) => UpstreamChange::Appeared,
            (true, false) => UpstreamChange::Disappeared,
            _ => change,
        };
        Reason::Upstream { task: task.clone(), change }
    };
    match part {
        Part::Exec => Reason::Exec,
        Part::Interpreter => Reason::Interpreter,
        Part::Arguments => Reason::Arguments,
        Part::Cwd => Reason::Cwd,
        Part::Patterns => Reason::Patterns,
        Part::ExportList => Reason::ExportList,
        Part::Input(key) => Reason::Input { key: key.clone() },
        Part::FileEnv(name) | Part::Env(name) => Reason::Env { name: name.clone() },
        Part::TrackedEnv(name) => Reason::TrackedEnv { name: name.clone() },
        Part::UpstreamOutput(task, key) => upstream(task, UpstreamChange::OutputKey { key: key.clone() }),
        Part::UpstreamExport(task, name) => upstream(task, UpstreamChange::Export { name: name.clone() }),
        Part::UpstreamFiles(task) => upstream(task, UpstreamChange::OutputFiles),
        Part::Called(task) => upstream(task, UpstreamChange::Called),
    }
}

fn file_reasons(before: &[FileRow], now: &[FileRow]) -> Vec<Reason> {
    let reason = |(row, change): (&FileRow, FileChange)| Reason::File {
        path: String::from_utf8_lossy(&row.path).into_owned(),
        change,
    };
    differing(before, now).into_iter().map(reason).collect()
}

/// In what way each file differs. Both lists are sorted by path: one pass over the two.
#[must_use]
pub fn differing<'a>(before: &'a [FileRow], now: &'a [FileRow]) -> Vec<(&'a FileRow, FileChange)> {
    let mut found = Vec::new();
    let (mut old, mut new) = (before.iter().peekable(), now.iter().peekable());
    loop {
        let side = match (old.peek(), new.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(o), Some(n)) => o.path.cmp(&n.path),
        };
        let was = if side == Ordering::Greater { None } else { old.next() };
        let is = if side == Ordering::Less { None } else { new.next() };
        let change = match (was, is) {
            (Some(was), Some(is)) => file_change(was, is),
            (Some(_), None) => Some(FileChange::Removed),
            _ => Some(FileChange::Added),
        };
        if let (Some(row), Some(change)) = (is.or(was), change) {
            found.push((row, change));
        }
    }
}

fn file_change(was: &FileRow, is: &FileRow) -> Option<FileChange> {
    match (was.kind, is.kind) {
        _ if was == is => None,
        (FileKind::File { .. }, FileKind::File { .. }) if was.digest != is.digest => {
            Some(FileChange::Content)
        }
        (FileKind::File { executable: a }, FileKind::File { executable: b }) if a != b => {
            Some(FileChange::Executable)
        }
        (a, b) if a == b => Some(FileChange::Content),
        _ => Some(FileChange::Kind),
    }
}

fn same_files(before: &[FileRow], now: &[FileRow]) -> usize {
    let differs = |(_, change): &(&FileRow, FileChange)| *change != FileChange::Removed;
    now.len() - differing(before, now).iter().filter(|d| differs(d)).count()
}

/// Files first, then the declaration, then the environment, then what came from upstream.
fn order(reason: &Reason) -> u8 {
    match reason {
        Reason::File { .. } => 0,
        Reason::Exec | Reason::Interpreter | Reason::Arguments | Reason::Cwd => 1,
        Reason::Patterns | Reason::ExportList | Reason::Input { .. } => 2,
        Reason::Env { .. } | Reason::TrackedEnv { .. } => 3,
        _ => 4,
    }
}
