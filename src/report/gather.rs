//! Events become rows and sums.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use super::{Bar, Fate, Log, Remark, Report, Row, chain, is_process, lanes};
use crate::{
    event::{Decided, Event, Finished, What},
    model::{Outcome, Stage, TaskName},
};

impl Report {
    /// What the log of the run with this id comes to.
    #[must_use]
    pub fn of(run: &str, log: &Log) -> Self {
        let mut gathering = Gathering::new(run, log);
        log.events.iter().for_each(|event| gathering.take(event));
        gathering.finish(log)
    }
}

/// A report that is being put together.
struct Gathering {
    report: Report,
    places: HashMap<TaskName, usize>,
    /// When it began, and when the last that is known of it happened.
    from: SystemTime,
    last_ms: f64,
    /// When it was decided that a task executes.
    decided: HashMap<usize, f64>,
    /// Those that began, in this order.
    begun: Vec<usize>,
    has_plan: bool,
    has_edges: bool,
}

impl Gathering {
    fn new(run: &str, log: &Log) -> Self {
        let is_start = |event: &&Event| matches!(event.what, What::RunStarted { .. });
        let first = log.events.iter().find(is_start).or_else(|| log.events.first());
        Self {
            report: Report {
                run: run.to_owned(),
                roots: Vec::new(),
                started: first.map(|event| event.time),
                status: None,
                wall_ms: 0.0,
                rows: Vec::new(),
                slots: 0,
                process_lanes: 0,
                path: Vec::new(),
                path_ms: 0.0,
                unlimited_ms: None,
                work_ms: 0.0,
                saved_ms: 0.0,
                remarks: Vec::new(),
            },
            places: HashMap::new(),
            from: first.map_or(SystemTime::UNIX_EPOCH, |event| event.time),
            last_ms: 0.0,
            decided: HashMap::new(),
            begun: Vec::new(),
            has_plan: false,
            has_edges: false,
        }
    }

    /// The moment of an event. A clock that was put back does not lead before the beginning.
    fn moment(&self, event: &Event) -> f64 {
        event.time.duration_since(self.from).unwrap_or(Duration::ZERO).as_secs_f64() * 1000.0
    }

    fn take(&mut self, event: &Event) {
        let now = self.moment(event);
        self.last_ms = self.last_ms.max(now);
        match &event.what {
            What::RunStarted { roots, .. } => self.report.roots.clone_from(roots),
            What::Plan { tasks, after } => self.plan(tasks, after),
            What::Decision { task, action, reasons, last_success, .. } => {
                let place = self.place(task);
                let row = &mut self.report.rows[place];
                match action {
                    Decided::Run | Decided::Restore => {
                        row.reasons.clone_from(reasons);
                        self.decided.insert(place, now);
                    }
                    _ => row.last.clone_from(last_success),
                }
            }
            What::TaskStarted { task } => {
                let place = self.place(task);
                self.report.rows[place].bar = Some(Bar { begin_ms: now, end_ms: now, lane: 0 });
                self.report.rows[place].fate = Fate::Cut;
                // One that was ended to begin anew has begun when it did so last.
                self.begun.retain(|begun| *begun != place);
                self.begun.push(place);
            }
            What::ProcessState(status) if status.stage == Stage::Ready => {
                let place = self.place(&status.task);
                self.report.rows[place].ready_ms.get_or_insert(now);
            }
            What::TaskFinished(finished) => self.finished(finished, now),
            What::RunFinished { status, duration_ms, .. } => {
                self.report.status = Some(*status);
                self.report.wall_ms = duration_ms.max(0.0);
            }
            _ => {}
        }
    }

    /// The place of a task; of one that is not in the plan, behind all others.
    fn place(&mut self, task: &TaskName) -> usize {
        if let Some(place) = self.places.get(task) {
            return *place;
        }
        let place = self.report.rows.len();
        self.report.rows.push(row(task));
        self.places.insert(task.clone(), place);
        place
    }

    fn plan(&mut self, tasks: &[TaskName], after: &[Vec<u32>]) {
        self.has_plan = true;
        self.has_edges = after.len() == tasks.len();
        let places: Vec<usize> = tasks.iter().map(|task| self.place(task)).collect();
        for (place, after) in places.iter().zip(after) {
            let upstream = after.iter().filter_map(|at| places.get(usize::try_from(*at).ok()?).copied());
            // What is not upstream before downstream is damaged, and would lead around in circles.
            self.report.rows[*place].after = upstream.filter(|upstream| upstream < place).collect();
        }
    }

    fn finished(&mut self, finished: &Finished, now: f64) {
        let place = self.place(&finished.task);
        let row = &mut self.report.rows[place];
        row.fate = match finished.restored {
            Some(_) => Fate::Restored,
            None => Fate::Ended(finished.status),
        };
        row.told_ms = Some(now);
        row.last = finished.restored.clone().or(row.last.take());
        row.duration_ms = finished.duration_ms.filter(|ms| ms.is_finite() && *ms >= 0.0);
        row.is_elsewhere = row.bar.is_none() && row.duration_ms.is_some() && row.fate != Fate::Restored;
        if let Some(bar) = &mut row.bar {
            // The end is told with a delay, and the clock may have been put back meanwhile.
            let told = if now >= bar.begin_ms { now } else { f64::INFINITY };
            let measured = bar.begin_ms + row.duration_ms.unwrap_or(f64::INFINITY);
            bar.end_ms = Some(measured.min(told)).filter(|end| end.is_finite()).unwrap_or(bar.begin_ms);
        }
        if !finished.reasons.is_empty() {
            row.reasons.clone_from(&finished.reasons);
        }
        (row.exit_code, row.signal, row.soft) = (finished.exit_code, finished.signal, finished.soft);
        row.error.clone_from(&finished.error);
        row.because.clone_from(&finished.because);
        row.command.clone_from(&finished.command);
    }

    fn finish(mut self, log: &Log) -> Report {
        let is_whole = log.is_whole();
        if !is_whole {
            self.report.wall_ms = self.last_ms;
        }
        let rows = &mut self.report.rows;
        for row in rows.iter_mut().filter(|row| row.fate == Fate::Cut) {
            row.bar.iter_mut().for_each(|bar| bar.end_ms = self.last_ms.max(bar.begin_ms));
        }
        (self.report.slots, self.report.process_lanes) = lanes::assign(rows, &self.begun);
        // Before the first task began it was looked at what there is to do.
        let first = self.begun.iter().filter_map(|place| rows[*place].bar).map(|bar| bar.begin_ms);
        let first = first.fold(f64::INFINITY, f64::min);
        for &place in &self.begun {
            let decided = self.decided.get(&place).copied().unwrap_or(0.0).max(first);
            let free = chain::free_from(rows, place).max(decided);
            let waited = rows[place].bar.map(|bar| (bar.begin_ms - free).max(0.0));
            // A process takes no slot.
            rows[place].waited_ms = waited.filter(|_| self.has_edges && !rows[place].is_process);
        }
        (self.report.path, self.report.path_ms) = chain::longest(rows);
        self.report.unlimited_ms = self.has_edges.then(|| chain::unlimited(rows, self.report.wall_ms));
        self.report.path.iter().for_each(|place| rows[*place].is_critical = true);
        let bars = rows.iter().filter(|row| !row.is_process).filter_map(|row| row.bar);
        self.report.work_ms = bars.map(|bar| bar.length_ms()).sum();
        let spared = |row: &&Row| matches!(row.fate, Fate::Restored | Fate::Ended(Outcome::Cached));
        let last = rows.iter().filter(spared).filter_map(|row| row.last.as_ref());
        self.report.saved_ms =
            last.map(|last| Duration::from_millis(last.duration_ms).as_secs_f64() * 1000.0).sum();
        let remarks = [
            (!is_whole).then_some(Remark::NoEnd),
            (log.damaged > 0).then_some(Remark::Damaged(log.damaged)),
            (log.foreign > 0).then_some(Remark::Foreign(log.foreign)),
            (!self.has_plan).then_some(Remark::NoPlan),
            (self.has_plan && !self.has_edges).then_some(Remark::NoEdges),
        ];
        self.report.remarks = remarks.into_iter().flatten().collect();
        self.report
    }
}

/// A task of which nothing is known yet.
fn row(task: &TaskName) -> Row {
    Row {
        name: task.clone(),
        is_process: is_process(task),
        fate: Fate::Unreached,
        bar: None,
        ready_ms: None,
        told_ms: None,
        waited_ms: None,
        after: Vec::new(),
        is_critical: false,
        reasons: Vec::new(),
        last: None,
        is_elsewhere: false,
        duration_ms: None,
        exit_code: None,
        signal: None,
        error: None,
        because: Vec::new(),
        soft: false,
        command: None,
    }
}
