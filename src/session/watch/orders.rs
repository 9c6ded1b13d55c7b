//! What a watch is told to do, and what it tells of itself.

use std::{collections::BTreeSet, time::Instant};

use super::{Order, turns::Turns};
use crate::{
    event::What,
    model::{Outcome, TaskId, TaskName, TaskSet},
    session::RunControl,
};

impl Turns {
    pub(super) async fn obey(&mut self, order: Order) {
        match order {
            Order::End => {
                self.ending = true;
                self.control(RunControl::interrupt);
            }
            Order::Kill => {
                (self.ending, self.killing) = (true, true);
                self.control(RunControl::kill);
            }
            Order::Pause => {
                self.session.shared.processes.pause_all(true);
                self.session.shared.servers.pause_all(true);
                self.control(RunControl::pause);
            }
            Order::Resume => {
                self.session.shared.processes.pause_all(false);
                self.session.shared.servers.pause_all(false);
                self.control(RunControl::resume);
            }
            Order::Hold(hold) => {
                self.on_hold = hold;
                if self.run.is_none() {
                    self.look().await;
                    if self.run.is_none() {
                        self.wait();
                    }
                }
            }
            Order::RerunFailed if self.run.is_some() => {}
            Order::RerunAll if self.run.is_some() => {
                let all = self.plan.scheduled().clone();
                self.control(|run| run.restart(all));
            }
            Order::RerunFailed => {
                let failed: TaskSet =
                    self.standing(Outcome::Failed).chain(self.stuck.keys().copied()).collect();
                self.rerun(failed);
            }
            Order::RerunAll => self.rerun(self.plan.scheduled().clone()),
            Order::Attach { wanted, reply } => self.attach(wanted, reply),
        }
    }

    fn rerun(&mut self, tasks: TaskSet) {
        self.stuck.clear();
        self.chain.end();
        match tasks.is_empty() {
            true => self.wait(),
            false => {
                // What is on hold stays so.
                let changed = if self.on_hold { BTreeSet::new() } else { std::mem::take(&mut self.changed) };
                self.cycle(changed, tasks);
            }
        }
    }

    pub(super) fn control(&self, order: impl FnOnce(&RunControl)) {
        if let Some(run) = &self.run {
            order(&run.control());
        }
    }

    /// What is watched, and for whom.
    pub(super) fn watch_started(&self) -> What {
        let (files, directories) = self.watching().now().size();
        let named = self.plan.roots().len();
        What::WatchStarted {
            tasks: self.names(self.plan.roots().iter()),
            before: self.plan.order().len() - named.min(self.plan.order().len()),
            files,
            directories,
        }
    }

    /// Nothing is to be done.
    pub(super) fn wait(&mut self) {
        let waiting = self.waiting();
        self.audience.emit(waiting);
        self.told = Some(Instant::now());
        self.failed = self.standing(Outcome::Failed).collect();
    }

    pub(super) fn waiting(&self) -> What {
        What::Waiting {
            failed: self.names(self.standing(Outcome::Failed)),
            stuck: self.names(self.stuck.keys().copied()),
            on_hold: self.on_hold,
        }
    }

    /// Whether it will be told when there is nothing to be done.
    pub(super) const fn is_busy(&self) -> bool {
        self.run.is_some() || self.made
    }

    /// How all tasks stand.
    pub(super) fn standings(&self) -> What {
        let (graph, standings) = (&self.session.shared.graph, self.watching().standings());
        let these = standings.iter().filter(|(id, _)| self.plan.scheduled().contains(**id));
        let outcomes = these.filter_map(|(id, stood)| Some((graph.name(*id).clone(), stood.outcome?)));
        What::Standings { outcomes: outcomes.collect(), cycles: self.summary.cycles, is_busy: self.is_busy() }
    }

    /// Tells when we see less than we should, and when that is over.
    pub(super) fn tell_health(&mut self) {
        let health = self.watching().health();
        let reasons: Vec<String> = health
            .polled
            .iter()
            .map(|polled| match polled.directories {
                1 => format!("{} is polled: {}", polled.example.display(), polled.why),
                many => format!("{many} directories are polled: {}", polled.why),
            })
            .collect();
        let health = (!reasons.is_empty()).then(|| reasons.join("; "));
        if health != self.health {
            self.health.clone_from(&health);
            self.audience.emit(What::WatchHealth { degraded: health });
        }
    }

    pub(super) fn standing(&self, outcome: Outcome) -> impl Iterator<Item = TaskId> + use<> {
        let standings = self.watching().standings();
        let these = standings.iter().filter(move |(_, standing)| standing.outcome == Some(outcome));
        let ids: Vec<TaskId> =
            these.map(|(id, _)| *id).filter(|id| self.plan.scheduled().contains(*id)).collect();
        ids.into_iter()
    }

    pub(super) fn names(&self, ids: impl Iterator<Item = TaskId>) -> Vec<TaskName> {
        ids.map(|id| self.session.shared.graph.name(id).clone()).collect()
    }
}
