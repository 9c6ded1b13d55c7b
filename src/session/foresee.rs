//! What a task would find after the results of others came back (spec section 4.5): for dry runs, which put nothing in
//! its place.

use std::{collections::BTreeMap, sync::Arc};

use super::{ownership, restore::row_of_kept, shared::Shared};
use crate::{
    fingerprint::FileRow,
    model::{Digest, FileKind, TaskId},
    pattern::PatternKind,
    store::Kept,
};

/// What would come back.
#[derive(Clone, Debug)]
pub(crate) struct Foretold {
    pub(crate) task: TaskId,
    pub(crate) kept: Arc<Kept>,
}

/// The content of the declared outputs of a task, if its result would come back.
pub(super) fn outputs_of(foretold: &[Foretold], id: TaskId) -> Option<Digest> {
    foretold.iter().find(|one| one.task == id)?.kept.success.outputs
}

/// The inputs of a task as they would be then. Whether git ignores a file is not asked: of one that is not there nobody
/// knows.
pub(super) fn inputs(shared: &Shared, id: TaskId, rows: Vec<FileRow>, foretold: &[Foretold]) -> Vec<FileRow> {
    let patterns = shared.patterns(id);
    let mut rows: BTreeMap<Vec<u8>, FileRow> = rows.into_iter().map(|row| (row.path.clone(), row)).collect();
    for Foretold { task, kept } in foretold {
        let explanation = shared.explanation(*task);
        for old in ownership::own(&explanation) {
            let goes = rows.get(&old.path) == Some(old) && !kept.files.iter().any(|new| new.path == old.path);
            goes.then(|| rows.remove(&old.path));
        }
        for new in kept.files.iter().map(row_of_kept) {
            let is_input = || patterns.of(PatternKind::Inputs).matches(&shared.absolute(&new.path));
            if matches!(new.kind, FileKind::File { .. }) && is_input() {
                rows.insert(new.path.clone(), new);
            }
        }
    }
    rows.into_values().collect()
}
