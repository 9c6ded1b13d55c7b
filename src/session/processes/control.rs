//! The processes of a session from outside: how they stand, and having them ended, begun anew, waited for.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{Processes, State};
use crate::{
    event::ProcessStatus,
    model::{Stage, TaskName},
    session::{Session, shared::Shared},
};

/// How often it is looked whether a process that nobody has begun is going to be.
const GLANCE: Duration = Duration::from_millis(20);
/// How long that is looked for.
const SOON: Duration = Duration::from_millis(500);

/// The processes of a session.
#[derive(Clone, Debug)]
pub struct ProcessControl(Arc<Shared>);

impl Session {
    /// The processes of this session: those that runs and watches have started in it, and those that may be.
    #[must_use]
    pub fn processes(&self) -> ProcessControl {
        ProcessControl(Arc::clone(&self.shared))
    }
}

impl ProcessControl {
    fn all(&self) -> &Arc<Processes> {
        &self.0.processes
    }

    /// How every process of the tree stands, and every other one that is up in this session, by name.
    #[must_use]
    pub fn list(&self) -> Vec<ProcessStatus> {
        let graph = &self.0.graph;
        let names = graph.ids().map(|id| graph.task(id)).filter(|task| task.is_process());
        let mut list: Vec<ProcessStatus> = names.map(|task| self.status(&task.name)).collect();
        // The files may have changed since.
        let known = self.all().statuses().into_iter();
        list.extend(
            known.filter(|status| !status.stage.is_at_rest() && graph.id(status.task.as_str()).is_none()),
        );
        list.sort_by(|a, b| a.task.cmp(&b.task));
        list
    }

    /// How one process stands.
    #[must_use]
    pub fn status(&self, name: &TaskName) -> ProcessStatus {
        self.all().status(name).unwrap_or_else(|| State::of(name.clone()).status)
    }

    /// Whether a process is ready, and stays up though no run uses it.
    pub(crate) fn stays_ready(&self, name: &TaskName) -> bool {
        self.all().stays_ready(name)
    }

    /// Ends processes, whoever uses them, and waits until they are at rest. They stay so until somebody starts them.
    pub async fn stop(&self, names: &[TaskName]) {
        let stopped: Vec<_> = names.iter().filter_map(|name| self.all().stop(name)).collect();
        for begun in stopped {
            State::rest_after(begun).await;
        }
    }

    /// Ends all processes, those first that rest on others, and waits until they are at rest.
    pub async fn end(&self) {
        self.all().end(&self.0.graph).await;
    }

    /// Ends processes now (SIGKILL).
    pub fn kill(&self, names: &[TaskName]) {
        names.iter().for_each(|name| self.all().kill(name));
    }

    /// Begins processes anew, as they are; one that was never begun in this session stays so.
    pub fn restart(&self, names: &[TaskName]) {
        names.iter().for_each(|name| self.all().restart(name));
    }

    /// Waits until all of these are ready, or one of them is not and will not be by itself, or the time is over.
    ///
    /// # Errors
    /// How those stand that are not ready.
    pub async fn ready(&self, names: &[TaskName], within: Duration) -> Result<(), Vec<ProcessStatus>> {
        // Longer than anybody waits, where the clock cannot say.
        let end = Instant::now().checked_add(within);
        loop {
            let mut failed = Vec::new();
            for name in names {
                let waiting = self.one_ready(name);
                let ready = match end {
                    Some(end) => tokio::time::timeout_at(end, waiting).await.unwrap_or(false),
                    None => waiting.await,
                };
                if !ready {
                    failed.push(self.status(name));
                }
            }
            if !failed.is_empty() {
                return Err(failed);
            }
            // One that was ready first may have ended since, and be about to begin again.
            if names.iter().all(|name| self.status(name).is_well()) {
                return Ok(());
            }
        }
    }

    async fn one_ready(&self, name: &TaskName) -> bool {
        let Some((mut state, begun)) = self.begun(name).await else { return false };
        let is_decided = |state: &State| {
            state.begun >= begun && (state.status.stage == Stage::Ready || state.status.stage.is_at_rest())
        };
        match state.wait_for(is_decided).await {
            // One that came to its end without a failure was ready before that, for all it has to say.
            Ok(state) => {
                let ended_well = state.status.stage == Stage::Exited && state.readied > state.readied_before;
                state.status.stage == Stage::Ready || ended_well && state.status.exit_code == Some(0)
            }
            Err(_) => false,
        }
    }

    /// Its state, once somebody has begun it; none if nobody is about to.
    async fn begun(&self, name: &TaskName) -> Option<(watch::Receiver<State>, u64)> {
        let mut idle_since = Instant::now();
        loop {
            if let Some(found) = self.all().begun(name) {
                return Some(found);
            }
            // Whatever is under way may lead to it: what hooks into the entry of the shell, the first look of a watch.
            if !self.0.commons.nobody_drives() || self.all().is_watch_beginning() {
                idle_since = Instant::now();
            }
            if idle_since.elapsed() > SOON {
                return None;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}
