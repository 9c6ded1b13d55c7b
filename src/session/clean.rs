//! Removing what tasks made, and what is remembered of them (spec section 4.5).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Session, SessionError, judge, ownership,
    prune::{self, CacheLimits, Pruned},
    request::Request,
    restore,
    shared::Shared,
};
use crate::{
    cache::CacheError,
    fingerprint::FileRow,
    model::{Digest, FileKind, KeptKind, TaskId, TaskName},
    pattern::PatternKind,
    plan::Mode,
    scan::{FileSet, relative_name},
    store::{Batch, Kept, RecordState, Table},
};

/// What cleaning came to, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleaned {
    /// The tasks of which nothing is remembered any more.
    pub tasks: Vec<TaskName>,
    /// What was removed, relative to the root.
    pub removed: Vec<PathBuf>,
    /// What lies at declared outputs and was left, and why.
    pub left: Vec<(PathBuf, String)>,
}

impl Session {
    /// Removes the declared outputs of these tasks, and what is remembered of them; with `only_look` nothing, and it is
    /// only told what would go. What a task reads itself, and what it is known not to have made, is left. No run may be
    /// under way.
    ///
    /// # Errors
    /// [`SessionError::Unknown`]; [`SessionError::Internal`], if the records cannot be removed: nothing was, then.
    pub fn clean(&self, names: &[String], only_look: bool) -> Result<Cleaned, SessionError> {
        let request = Request::run(names.to_vec()).mode(Mode::Single);
        let plan = self.plan(&request)?;
        let (shared, mut cleaned) = (&*self.shared, Cleaned::default());
        let graph = &shared.graph;
        let has_outputs = |id: &TaskId| !graph.task(*id).is_process() && graph.task(*id).has_command();
        let tasks: Vec<TaskId> = plan.roots().iter().filter(has_outputs).collect();
        let lists: Vec<List> = tasks.iter().map(|id| List::of(shared, *id)).collect();
        if !only_look {
            // First nothing is believed of them any more, then they go.
            let names = tasks.iter().map(|id| graph.name(*id));
            forget(shared, names).map_err(SessionError::Internal)?;
        }
        for (id, list) in tasks.iter().zip(lists) {
            cleaned.tasks.push(graph.name(*id).clone());
            list.remove(shared, *id, only_look, &mut cleaned);
        }
        if !only_look {
            // What is kept of them goes with the next pruning at the latest.
            let _ = prune::prune(shared, shared.keeper.limits, false);
        }
        Ok(cleaned)
    }

    /// Removes what is kept beyond these limits; with `only_look` nothing, and it is only told what would go.
    ///
    /// # Errors
    /// [`SessionError::Internal`].
    pub fn prune(&self, limits: CacheLimits, only_look: bool) -> Result<Pruned, SessionError> {
        prune::prune(&self.shared, limits, only_look).map_err(SessionError::Internal)
    }
}

/// What is at the declared outputs of a task.
struct List {
    goes: Vec<FileRow>,
    stays: Vec<(Vec<u8>, String)>,
}

impl List {
    fn of(shared: &Shared, id: TaskId) -> Self {
        let mut list = Self { goes: Vec::new(), stays: Vec::new() };
        if shared.graph.task(id).outputs.is_empty() {
            return list;
        }
        let found = judge::outputs(shared, id);
        for problem in &found.problems {
            list.stays.push((relative_name(&shared.root, &problem.path), problem.error.clone()));
        }
        let inputs = match shared.graph.task(id).exec_if_modified.is_empty() {
            true => BTreeSet::new(),
            false => paths(&shared.files_now(id, PatternKind::Inputs)),
        };
        let is_own = ownership_of(shared, id);
        for row in judge::rows(shared, &found) {
            let is_directory = row.kind == FileKind::Directory;
            let why = match () {
                () if inputs.contains(&*shared.absolute(&row.path)) => "the task reads it itself",
                () if !is_own(&row.path) => "the task has not made it",
                () => {
                    list.goes.push(row);
                    continue;
                }
            };
            if !is_directory {
                list.stays.push((row.path, why.to_owned()));
            }
        }
        list.links_for_what_lies_beyond(shared, id);
        // What lies in a directory goes before it.
        list.goes.sort_by(|a, b| b.path.cmp(&a.path));
        list
    }

    /// A look sees what lies beyond a link; what goes is the link.
    fn links_for_what_lies_beyond(&mut self, shared: &Shared, id: TaskId) {
        let kept = shared.keeper.all_of(shared.graph.name(id));
        let all = kept.iter().flat_map(|kept| &kept.files);
        let links = all.filter(|file| matches!(file.what, KeptKind::Link(_))).map(|file| &*file.path);
        let is_there =
            |path: &[u8]| fs::symlink_metadata(shared.absolute(path)).is_ok_and(|found| found.is_symlink());
        let links: BTreeSet<&[u8]> = links.filter(|path| is_there(path)).collect();
        let leads_to = |path: &[u8]| {
            let mut above = (0..path.len()).filter(|at| path[*at] == b'/').map(|at| &path[..at]);
            links.contains(path) || above.any(|above| links.contains(above))
        };
        self.goes.retain(|row| !leads_to(&row.path));
        let row = |path: &&[u8]| FileRow {
            path: path.to_vec(),
            kind: FileKind::BrokenLink,
            digest: Digest::default(),
        };
        self.goes.extend(links.iter().map(row));
    }

    fn remove(self, shared: &Shared, id: TaskId, only_look: bool, cleaned: &mut Cleaned) {
        let base = relative_name(&shared.root, &shared.graph.task(id).cwd);
        let cache = shared.keeper.cache();
        for row in self.goes {
            let path = restore::path_of(&row.path);
            let done = match cache {
                _ if only_look => Ok(true),
                Some(cache) => cache.remove(&row.path, &base),
                None => Err(CacheError::Lost { path: shared.keeper.dir(), how: "not to be used" }),
            };
            match done {
                Ok(true) => cleaned.removed.push(path),
                Ok(false) => {}
                Err(error) => cleaned.left.push((path, error.to_string())),
            }
        }
        cleaned.left.extend(self.stays.into_iter().map(|(path, why)| (restore::path_of(&path), why)));
        // Several tasks may declare the same.
        cleaned.removed.sort();
        cleaned.removed.dedup();
    }
}

fn paths(files: &FileSet) -> BTreeSet<Arc<Path>> {
    files.entries.iter().map(|entry| Arc::clone(&entry.path)).collect()
}

/// Whether a task has made what is at a path, as far as that is known: after a failure whatever is declared is taken for
/// its own, but for what was there before.
fn ownership_of(shared: &Shared, id: TaskId) -> impl Fn(&[u8]) -> bool {
    let (record, explanation) = (shared.record(id), shared.explanation(id));
    // Of what nobody has seen made everything may be somebody's own.
    let is_settled = record.is_none_or(|record| record.state == RecordState::Fresh);
    let own = ownership::own(&explanation).map(|row| row.path.clone());
    let kept = shared.keeper.all_of(shared.graph.name(id));
    let kept = kept.iter().flat_map(|kept| kept.files.iter().map(|file| file.path.clone()));
    let made: BTreeSet<Vec<u8>> = own.chain(kept).collect();
    move |path| made.contains(path) || !is_settled && !explanation.foreign.contains(path)
}

fn forget<'a>(shared: &Shared, names: impl Iterator<Item = &'a TaskName>) -> Result<(), String> {
    let snapshot = shared.memory.snapshot().ok_or("nothing is remembered in this tree")?;
    let mut batch = Batch::new();
    for name in names {
        for table in [Table::Tasks, Table::Manifests] {
            batch.delete(table, name.as_str().as_bytes());
        }
        let prefix = Kept::prefix(name);
        let kept: Vec<(Vec<u8>, Kept)> =
            snapshot.entries_of(Table::Kept, &prefix).map_err(|error| error.to_string())?;
        for (key, _) in kept {
            batch.delete(Table::Kept, &key);
            batch.delete(Table::Uses, &key);
        }
    }
    drop(snapshot);
    shared.memory.save_waiting(batch)
}
