//! What is told of the processes of a session while it happens.
//!
//! Where they stand is told on a road of its own: it is little, and nobody may miss it. Of the lines they write, those
//! are left out that nobody reads in time; their logs have them.

use std::sync::Arc;

use tokio::sync::broadcast::{
    self,
    error::{RecvError, TryRecvError},
};

use super::Processes;
use crate::event::What;

/// How much news may wait for who reads it.
const NEWS: usize = 1 << 14;
/// How many lines may.
const LINES: usize = 1 << 13;

/// Both roads.
#[derive(Clone, Debug)]
pub(super) struct News {
    news: broadcast::Sender<Arc<What>>,
    lines: broadcast::Sender<Arc<What>>,
}

/// One who reads.
#[derive(Debug)]
pub(crate) struct Heard {
    news: broadcast::Receiver<Arc<What>>,
    lines: Option<broadcast::Receiver<Arc<What>>>,
}

/// What is read.
#[derive(Debug)]
pub(crate) enum Told {
    News(Arc<What>),
    /// So many lines were left out.
    Missed(u64),
}

impl Default for News {
    fn default() -> Self {
        Self { news: broadcast::Sender::new(NEWS), lines: broadcast::Sender::new(LINES) }
    }
}

impl News {
    /// Tells something that nobody may miss.
    pub(super) fn tell(&self, what: What) {
        // Nobody may be listening.
        let _ = self.news.send(Arc::new(what));
    }

    /// Whether anybody wants to know what processes write.
    pub(super) fn wants_lines(&self) -> bool {
        self.lines.receiver_count() > 0
    }

    /// Tells what a process has written.
    pub(super) fn line(&self, what: What) {
        let _ = self.lines.send(Arc::new(what));
    }
}

impl Heard {
    /// From now on, with the lines they write or without.
    pub(crate) fn of(processes: &Processes, with_lines: bool) -> Self {
        let lines = with_lines.then(|| processes.news.lines.subscribe());
        Self { news: processes.news.news.subscribe(), lines }
    }

    /// From now on with their lines, or without.
    pub(crate) fn want_lines(&mut self, processes: &Processes, wanted: bool) {
        match (wanted, &self.lines) {
            (true, None) => self.lines = Some(processes.news.lines.subscribe()),
            (true, Some(_)) => {}
            (false, _) => self.lines = None,
        }
    }

    /// The next. Can be dropped and called again.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            biased;
            told = self.news.recv() => told_of(told).await,
            told = next_line(&mut self.lines) => told_of(told).await,
        }
    }

    /// What waits to be read; none if that is nothing.
    pub(crate) fn rest(&mut self) -> Option<Told> {
        let lines = self.lines.as_mut().and_then(waiting);
        lines.or_else(|| waiting(&mut self.news))
    }
}

fn waiting(road: &mut broadcast::Receiver<Arc<What>>) -> Option<Told> {
    match road.try_recv() {
        Ok(what) => Some(Told::News(what)),
        Err(TryRecvError::Lagged(lines)) => Some(Told::Missed(lines)),
        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
    }
}

async fn next_line(lines: &mut Option<broadcast::Receiver<Arc<What>>>) -> Result<Arc<What>, RecvError> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

async fn told_of(told: Result<Arc<What>, RecvError>) -> Told {
    match told {
        Ok(what) => Told::News(what),
        Err(RecvError::Lagged(lines)) => Told::Missed(lines),
        // It does not close as long as the session is there.
        Err(RecvError::Closed) => std::future::pending().await,
    }
}
