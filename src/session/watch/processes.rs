//! Processes outlive the cycles of a watch: what is told of them in between, and how they end with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{Order, turns::Turns};
use crate::{
    event::What,
    model::{Outcome, Stage, TaskId, TaskName, TaskSet},
    session::{LiveLines, processes::Told},
};

/// How often it is said at most that lines are missing.
const SELDOM: Duration = Duration::from_secs(1);

impl Turns {
    /// Something is told of a process.
    pub(super) fn tell_news(&mut self, news: Told) {
        match news {
            Told::News(what) => match &*what {
                What::Log { task, .. } | What::LogGap { task, .. } => {
                    if self.shows_lines_of(task) {
                        self.audience.line((*what).clone());
                    }
                }
                _ => {
                    self.audience.emit((*what).clone());
                    self.end_with_processes();
                }
            },
            Told::Missed(lines) => {
                self.missed.0 += lines;
                self.tell_missed();
                self.end_with_processes();
            }
        }
    }

    /// Says that lines are missing, but not all the time: that would be more lines.
    fn tell_missed(&mut self) {
        let (lines, told) = self.missed;
        if told.is_none_or(|told| told.elapsed() > SELDOM) && self.request.lines != LiveLines::Off {
            let message = format!("{lines} lines of processes are not shown; their logs have them");
            self.audience.emit(What::Warning { task: None, message });
            self.missed = (0, Some(Instant::now()));
        }
    }

    fn shows_lines_of(&self, task: &TaskName) -> bool {
        let graph = &self.session.shared.graph;
        let always = || graph.id(task.as_str()).is_some_and(|id| graph.task(id).show_output);
        self.request.lines != LiveLines::Off || always()
    }

    /// The processes it was started for.
    fn own_processes(&self) -> impl Iterator<Item = TaskId> + '_ {
        let graph = &self.session.shared.graph;
        self.plan.roots().iter().filter(|id| graph.task(*id).is_process())
    }

    /// Ends if that was wanted, once all processes it was started for have ended by themselves, or cannot be started.
    pub(super) fn end_with_processes(&mut self) {
        if !self.options.until_exit || self.run.is_some() {
            return;
        }
        let shared = &self.session.shared;
        // Where files are followed a change may let it start after all.
        let failed: TaskSet = match self.options.follows {
            true => TaskSet::new(),
            false => self.standing(Outcome::Failed).chain(self.standing(Outcome::DependencyFailed)).collect(),
        };
        let is_over =
            |id: TaskId| match shared.processes.status(shared.graph.name(id)).map(|status| status.stage) {
                Some(Stage::Exited | Stage::GaveUp) => true,
                stage => failed.contains(id) && stage.is_none_or(Stage::is_at_rest),
            };
        self.ending |= self.own_processes().next().is_some() && self.own_processes().all(is_over);
    }

    /// Whether a process has failed that nobody has begun again.
    pub(super) fn processes_failed(&self) -> bool {
        let (statuses, graph) = (self.session.shared.processes.statuses(), &self.session.shared.graph);
        // What is no more in the task files is no failure of theirs.
        let mut known = statuses.iter().filter(|status| graph.id(status.task.as_str()).is_some());
        known.any(|status| match status.stage {
            Stage::GaveUp => true,
            Stage::Exited => status.exit_code != Some(0),
            _ => false,
        })
    }

    /// Ends all processes, and tells how that goes on.
    pub(super) async fn end_processes(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) {
        let shared = Arc::clone(&self.session.shared);
        let kill = || shared.processes.up().iter().for_each(|name| shared.processes.kill(name));
        if self.killing {
            kill();
        }
        let mut end = std::pin::pin!(shared.processes.end(&shared.graph));
        let mut listening = true;
        loop {
            tokio::select! {
                biased;
                news = self.news_of_processes() => self.tell_news(news),
                () = &mut end => break,
                order = orders.recv(), if listening => match order {
                    Some(Order::Kill) => kill(),
                    Some(Order::Pause) => shared.processes.pause_all(true),
                    Some(Order::Resume) => shared.processes.pause_all(false),
                    Some(_) => {}
                    None => listening = false,
                },
            }
        }
        while let Some(news) = self.rest_of_news() {
            self.tell_news(news);
        }
    }
}
