//! What a task would find after the results of others came back (spec section 4.5): for dry runs, which put nothing in
//! its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    judge,
    restore::{difference, row_of_kept},
    shared::Shared,
};
use crate::{
    fingerprint::FileRow,
    model::{Digest, FileKind, TaskId},
    pattern::PatternKind,
    store::Kept,
};

/// What would come back.
#[derive(Clone, Debug)]
pub(crate) struct Foretold {
    task: TaskId,
    /// What would be at its declared outputs then.
    outputs: Arc<BTreeMap<Vec<u8>, FileRow>>,
    /// The content of all of that.
    content: Option<Digest>,
    /// What would have gone.
    gone: Arc<Vec<Vec<u8>>>,
}

impl Foretold {
    /// If this result of a task came back now.
    pub(super) fn of(shared: &Shared, task: TaskId, kept: &Kept) -> Self {
        let present = match shared.graph.task(task).outputs.is_empty() {
            true => Vec::new(),
            false => judge::rows(shared, &judge::outputs(shared, task)),
        };
        let gone = difference(shared, task, kept, &present).gone().to_vec();
        let mut outputs: BTreeMap<Vec<u8>, FileRow> =
            present.into_iter().map(|row| (row.path.clone(), row)).collect();
        gone.iter().for_each(|path| drop(outputs.remove(path)));
        let files = kept.files.iter().map(|file| &*file.path);
        let beside = kept.others.iter().chain(&kept.linked).map(|row| &*row.path);
        let parts: BTreeSet<&[u8]> = files.chain(beside).collect();
        let content = match outputs.keys().all(|path| parts.contains(&**path)) {
            true => kept.success.outputs,
            // Somebody's own files lie there, too. What links lead to is not known before they are there.
            false => None,
        };
        outputs.extend(kept.files.iter().map(row_of_kept).filter(is_file).map(|row| (row.path.clone(), row)));
        outputs.extend(kept.linked.iter().map(|row| (row.path.clone(), row.clone())));
        let rows = || outputs.values().cloned().collect::<Vec<FileRow>>();
        let content = content.or_else(|| Some(judge::digest_of_rows(&rows())));
        Self { task, outputs: Arc::new(outputs), content, gone: Arc::new(gone) }
    }

    pub(super) const fn task(&self) -> TaskId {
        self.task
    }
}

fn is_file(row: &FileRow) -> bool {
    matches!(row.kind, FileKind::File { .. })
}

/// The content of the declared outputs of a task, if its result would come back.
pub(super) fn outputs_of(foretold: &[Foretold], id: TaskId) -> Option<Digest> {
    foretold.iter().find(|one| one.task == id)?.content
}

/// The inputs of a task as they would be then. Whether git ignores a file is not asked: of one that is not there nobody
/// knows.
pub(super) fn inputs(shared: &Shared, id: TaskId, rows: Vec<FileRow>, foretold: &[Foretold]) -> Vec<FileRow> {
    let patterns = shared.patterns(id);
    let mut rows: BTreeMap<Vec<u8>, FileRow> = rows.into_iter().map(|row| (row.path.clone(), row)).collect();
    for Foretold { outputs, gone, .. } in foretold {
        gone.iter().for_each(|path| drop(rows.remove(path)));
        for new in outputs.values().filter(|row| is_file(row)) {
            if patterns.of(PatternKind::Inputs).matches(&shared.absolute(&new.path)) {
                rows.insert(new.path.clone(), new.clone());
            }
        }
    }
    rows.into_values().collect()
}
