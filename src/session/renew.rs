//! The same tree with another graph, as after an edit of its task files: everything that outlives a graph goes over
//! into a session of its own.

use std::sync::{Arc, OnceLock};

use tokio::sync::OnceCell;

use super::{
    Session,
    commons::Commons,
    ledger::Ledgers,
    open::anchored,
    saver::Savings,
    shared::{Recall, Shared},
};
use crate::{
    graph::TaskGraph,
    model::Digest,
    plan::Standpoint,
    scan::{FileTable, Scanner, TableOptions},
};

/// What a watch goes on with after its task files were edited.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reloaded {
    /// The graph.
    pub graph: Arc<TaskGraph>,
    /// From where names are meant.
    pub standpoint: Standpoint,
    /// What else there is to say of the files.
    pub warnings: Vec<String>,
}

impl Reloaded {
    /// This graph, with names meant from nowhere in particular.
    #[must_use]
    pub fn new(graph: impl Into<Arc<TaskGraph>>) -> Self {
        Self { graph: graph.into(), standpoint: Standpoint::default(), warnings: Vec::new() }
    }
}

impl Session {
    /// A session over the same tree, store and children with another graph. No run of this one may be under way, and
    /// none may be started any more.
    pub(super) fn renewed(&self, with: Reloaded) -> Self {
        let old = &*self.shared;
        let scanner = Scanner::new(old.scanner.options().clone());
        let options = TableOptions { granularity: old.granularity, ..TableOptions::default() };
        let table = FileTable::new(&old.root, Box::new(Recall(Arc::clone(&old.memory))), options);
        let predecessors = OnceCell::new_with(old.predecessors.get().copied());
        let graph = anchored(&with.graph, &old.root);
        let shared = Shared {
            patterns: graph.ids().map(|_| OnceLock::new()).collect(),
            outputs: OnceLock::new(),
            graph,
            root: old.root.clone(),
            state_dir: old.state_dir.clone(),
            ambient: Arc::clone(&old.ambient),
            memory: Arc::clone(&old.memory),
            // Whatever was settled was so for another graph.
            store: None,
            loaded: None::<Digest>,
            granularity: old.granularity,
            warden: old.warden.clone(),
            predecessors,
            keeps_devenv_dirs: old.keeps_devenv_dirs,
            standpoint: with.standpoint,
            jobs: old.jobs,
            threads: old.threads,
            runtime_bases: old.runtime_bases.clone(),
            file_bases: old.file_bases.clone(),
            private: Arc::clone(&old.private),
            processes: Arc::clone(&old.processes),
            servers: Arc::clone(&old.servers),
            scanner,
            table,
            watching: OnceLock::new(),
            commons: Commons::new(old.jobs),
            ledgers: Ledgers::default(),
            savings: Savings::default(),
            keeper: Arc::clone(&old.keeper),
            read_only: old.read_only,
            lock: old.lock.clone(),
        };
        Self { shared: Arc::new(shared), notices: Arc::clone(&self.notices) }
    }

    /// What a request for this session's own graph would go on with.
    pub(super) fn as_loaded(&self) -> Reloaded {
        let standpoint = self.shared.standpoint.clone();
        Reloaded { standpoint, ..Reloaded::new(Arc::clone(&self.shared.graph)) }
    }
}
