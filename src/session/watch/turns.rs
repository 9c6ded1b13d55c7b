//! The loop of a watch: the only `select!` over everything that can happen between cycles and in them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, mpsc},
    time::sleep_until,
};

use super::{
    OnBusy, Order, Reload, WatchOptions, WatchSummary,
    audience::Audience,
    chain::{Chain, Restarts},
    reload::Files,
};
use crate::{
    event::What,
    graph::ENTER_SHELL,
    model::{Outcome, TaskId, TaskSet},
    plan::Plan,
    scan,
    session::{
        LiveLines, Request, Run, RunControl, Session,
        cycle::Cycle,
        emit::Emitter,
        processes::{Heard, Told},
        results::Results,
        watching::{Seen, Stood, Watching},
    },
};

/// How many paths an event names.
const NAMED: usize = 20;
/// The clock of the runtime ticks so often, and whoever waits for a time is woken by the tick after it.
const TICK: Duration = Duration::from_millis(1);
/// How often to look whether a root that is gone is back.
const ABSENCE: Duration = Duration::from_millis(500);
/// What changes so soon after it was said how things stand was changed by whoever heard that, a file of events in the
/// tree for one, and not by a person.
const ECHO: Duration = Duration::from_millis(100);
/// How long git may work on its index before it is not waited for any more (hazard B10).
const GIT: Duration = Duration::from_secs(2);

/// A watch.
pub(super) struct Turns {
    pub(super) session: Session,
    /// The same, for others to see.
    pub(super) shown: Arc<Mutex<Session>>,
    pub(super) request: Request,
    pub(super) options: WatchOptions,
    pub(super) plan: Plan,
    pub(super) audience: Audience,
    /// The source has something.
    pub(super) woken: Arc<Notify>,
    burst: Option<Burst>,
    /// When to look though nothing happens.
    wake: Option<Instant>,
    pub(super) run: Option<Run>,
    pub(super) files: Files,
    /// What changed since the last cycle began, and not by it.
    pub(super) paths: BTreeSet<PathBuf>,
    /// Tasks whose files changed, and that are not in a cycle yet.
    pub(super) changed: BTreeSet<TaskId>,
    /// Tasks that are others than when they were looked at last.
    pub(super) owed: TaskSet,
    /// A cycle has ended, and nobody has looked since: what changed did so while it ran.
    pub(super) made: bool,
    /// When it was said last that nothing is to be done.
    pub(super) told: Option<Instant>,
    /// What was said to stand as failed then.
    pub(super) failed: Vec<TaskId>,
    /// Tasks were executed, which may call others than before.
    pub(super) calls_are_suspect: bool,
    pub(super) chain: Chain,
    pub(super) restarts: Restarts,
    /// Tasks that caused themselves too often, and by which files.
    pub(super) stuck: BTreeMap<TaskId, Vec<PathBuf>>,
    pub(super) on_hold: bool,
    pub(super) ending: bool,
    /// What was told of how well we see.
    pub(super) health: Option<String>,
    /// What is left is to be killed.
    pub(super) killing: bool,
    /// What hooks into the entry of the shell is run, before everything else.
    is_entering: bool,
    /// What is told of processes.
    news: Heard,
    /// Lines of processes that were left out, and when that was told.
    pub(super) missed: (u64, Option<Instant>),
    pub(super) summary: WatchSummary,
}

/// Events that come one after the other.
#[derive(Clone, Copy, Debug)]
struct Burst {
    began: Instant,
    /// From when on it may not last too long.
    first: Instant,
    last: Instant,
}

impl Turns {
    pub(super) fn new(
        shown: Arc<Mutex<Session>>,
        request: Request,
        options: WatchOptions,
        plan: Plan,
        emitter: Emitter,
        woken: Arc<Notify>,
        reload: Option<Box<dyn Reload>>,
    ) -> Self {
        let session = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wanted = request.names.clone();
        let wants_lines = wants_lines(&session, &request);
        session.shared.processes.set_watch_beginning(true);
        Self {
            killing: false,
            is_entering: false,
            news: Heard::of(&session.shared.processes, wants_lines),
            missed: (0, None),
            session,
            shown,
            request,
            options,
            plan,
            audience: Audience::new(emitter),
            woken,
            burst: None,
            wake: None,
            run: None,
            files: Files::new(reload, wanted),
            paths: BTreeSet::new(),
            changed: BTreeSet::new(),
            owed: TaskSet::new(),
            made: false,
            told: None,
            failed: Vec::new(),
            calls_are_suspect: false,
            chain: Chain::default(),
            restarts: Restarts::default(),
            stuck: BTreeMap::new(),
            on_hold: false,
            ending: false,
            health: None,
            summary: WatchSummary::default(),
        }
    }

    /// Watches until it is told to end.
    pub(super) async fn go(mut self, mut orders: mpsc::UnboundedReceiver<Order>) -> WatchSummary {
        self.begin().await;
        let mut listening = true;
        while !(self.ending && self.run.is_none()) {
            let may_look = self.run.is_none() || self.may_restart() || self.only_waits();
            let burst = self.burst.filter(|_| may_look).map(|b| self.due(b));
            let due = burst.into_iter().chain(self.wake.filter(|_| self.run.is_none())).min();
            tokio::select! {
                event = next_event(&mut self.run) => match event {
                    Some(parcel) => self.audience.forward(parcel),
                    None => self.run_is_over().await,
                },
                () = self.woken.notified() => self.hear(),
                news = self.news.next() => self.tell_news(news),
                () = until(due), if due.is_some() => self.look().await,
                order = orders.recv(), if listening => match order {
                    Some(order) => self.obey(order).await,
                    // Whoever started the watch has let go of it.
                    None => { listening = false; self.obey(Order::End).await; }
                },
            }
        }
        self.session.shared.processes.set_watch_beginning(false);
        self.end_processes(&mut orders).await;
        self.audience.end();
        let has_failed = self.standing(Outcome::Failed).next().is_some();
        self.summary.failed = has_failed || self.processes_failed();
        self.summary
    }

    pub(super) async fn news_of_processes(&mut self) -> Told {
        self.news.next().await
    }

    /// From now on this session is used: what is shown of processes may be other lines.
    pub(super) fn use_session(&mut self, session: Session) {
        self.news.want_lines(&session.shared.processes, wants_lines(&session, &self.request));
        self.session = session;
    }

    /// What is told of them and was not heard yet.
    pub(super) fn rest_of_news(&mut self) -> Option<Told> {
        self.news.rest()
    }

    pub(super) fn watching(&self) -> &Watching {
        self.session.shared.watching.get().expect("set before the loop begins, and never taken back")
    }

    /// The first look at everything, and the first run.
    async fn begin(&mut self) {
        self.catch_up().await;
        let started = self.watch_started();
        self.audience.emit(started);
        self.tell_health();
        self.watch_files();
        // They may have been edited since they were read, while somebody else held the tree.
        self.load_files().await;
        if self.options.enters && self.hooks_into_shell() {
            self.start(Request { names: vec![ENTER_SHELL.to_owned()], ..self.request.clone() });
            self.is_entering = self.run.is_some();
            if self.is_entering {
                return;
            }
        }
        self.begin_cycles().await;
    }

    /// Whether a task hooks into the entry of the shell.
    fn hooks_into_shell(&self) -> bool {
        let graph = &self.session.shared.graph;
        graph.id(ENTER_SHELL).is_some_and(|id| graph.upstream(id).next().is_some())
    }

    /// The first run, unless it was not wanted.
    async fn begin_cycles(&mut self) {
        match self.options.initial {
            true => self.start(self.request.clone()),
            false => {
                self.save_looks().await;
                self.stand_still();
                self.wait();
            }
        }
        self.session.shared.processes.set_watch_beginning(false);
    }

    /// Has what was learnt of files rest in the store: what is kept of them here needs no second copy in memory.
    async fn save_looks(&self) {
        let shared = &self.session.shared;
        if let Some(learnt) = shared.stat_cache_changes() {
            // It only ever costs reading again.
            let _ = shared.memory.save(learnt).await;
        }
        shared.table.forget_everything();
    }

    /// Without a first run nothing has changed since it was looked at first.
    fn stand_still(&self) {
        let (shared, watching) = (&self.session.shared, self.watching());
        let mut results = Results::new(Arc::clone(&shared.graph));
        for &id in self.session.upstream_of(&self.plan).order() {
            let producers = results.producers(id);
            let looked = watching.look_at(shared, &watching.now(), id, &producers);
            watching.stand(id, Stood { looked, ..Stood::default() });
            results.set(id, crate::session::results::TaskResult::default());
        }
    }

    /// The source has something.
    fn hear(&mut self) {
        if self.watching().hear() {
            let now = Instant::now();
            let burst = self.burst.get_or_insert(Burst { began: now, first: now, last: now });
            burst.last = burst.last.max(now);
        }
    }

    /// When a burst is over, or has lasted long enough.
    fn due(&self, burst: Burst) -> Instant {
        let due = (burst.last + self.options.quiet).min(burst.first + self.options.longest);
        due.checked_sub(TICK).unwrap_or(due)
    }

    /// Whether to look while a cycle runs.
    fn may_restart(&self) -> bool {
        self.options.on_busy == OnBusy::Restart
    }

    /// Looks at what may have changed, and takes note of the tasks it concerns.
    async fn catch_up(&mut self) -> Seen {
        let shared = Arc::clone(&self.session.shared);
        let look = move || {
            let watching = shared.watching.get()?;
            drop(watching.catch_up(&shared));
            Some(watching.take_seen())
        };
        let looked = tokio::task::spawn_blocking(look).await;
        if let Err(error) = &looked {
            self.fail(&format!("internal failure: {error}; what changed may not have been seen"));
        }
        looked.ok().flatten().unwrap_or_default()
    }

    /// Looks, once it is quiet.
    pub(super) async fn look(&mut self) {
        let burst = self.burst.take();
        self.wake = None;
        if let Some(burst) = burst.filter(|burst| burst.began.elapsed() < GIT && self.git_is_at_work()) {
            let now = Instant::now();
            return self.burst = Some(Burst { first: now, last: now + GIT / 40, ..burst });
        }
        let was_running = self.run.is_none() && std::mem::take(&mut self.made);
        let is_echo = |burst: Burst| self.told.is_some_and(|told| burst.began.duration_since(told) < ECHO);
        let made = was_running || self.run.is_none() && burst.is_some_and(is_echo);
        let (has_executed, new) = self.take_in(!made && self.run.is_none()).await;
        if self.run.is_some() {
            return self.while_it_runs(&new);
        }
        if self.may_reload() {
            self.load_files().await;
        }
        if self.calls_are_suspect {
            self.follow_calls().await;
        }
        let stuck = self.stuck.len();
        match made {
            true => self.find_loops().await,
            false => self.chain.end(),
        }
        // Somebody else's run may have mended or broken something.
        let is_other = || has_executed && !self.standing(Outcome::Failed).eq(self.failed.iter().copied());
        let is_news = was_running || self.stuck.len() > stuck || is_other();
        self.cycle_or_wait(is_news);
    }

    /// Whether a cycle is under way that does nothing but wait for processes.
    fn only_waits(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.only_waits.load(Ordering::Acquire))
    }

    /// Something may have changed while a cycle is under way.
    fn while_it_runs(&mut self, new: &BTreeSet<PathBuf>) {
        let is_due = || !self.changed.is_empty() || !self.owed.is_empty() || self.files.are_others();
        if self.only_waits() && is_due() {
            // That may be what it waits for.
            return self.control(RunControl::interrupt);
        }
        if self.may_restart() {
            self.restart(new);
        }
    }

    /// Looks, and takes note of what that shows: whether others executed something, and what changed. `by_other_hand`: it was
    /// not a cycle that changed it.
    pub(super) async fn take_in(&mut self, by_other_hand: bool) -> (bool, BTreeSet<PathBuf>) {
        let mut seen = self.catch_up().await;
        self.tell_health();
        self.note_others(&seen);
        let users = self.watching().users(&self.session.shared, &seen.sets);
        let watched: Vec<TaskId> = users.into_iter().filter(|id| self.follows(*id)).collect();
        let new = std::mem::take(&mut seen.paths);
        self.release(&watched, &new, by_other_hand);
        self.paths.extend(new.iter().cloned());
        self.changed.extend(watched);
        let disturbed: Vec<TaskId> = self.disturbed().into_keys().collect();
        let disturbed: Vec<TaskId> = disturbed.into_iter().filter(|id| self.follows(*id)).collect();
        self.changed.extend(disturbed);
        let changed = std::mem::take(&mut self.changed);
        self.changed = {
            let (shared, watching) = (&self.session.shared, self.watching());
            let now = watching.now();
            let is_due =
                |id: &TaskId| !self.stuck.contains_key(id) && watching.has_changed(shared, &now, *id);
            changed.into_iter().filter(is_due).collect()
        };
        self.suspect(&seen.other);
        (!seen.executed.is_empty(), new)
    }

    /// Whether a change of what a task rests on leads to a cycle.
    fn follows(&self, id: TaskId) -> bool {
        let graph = &self.session.shared.graph;
        let is_watched = self.plan.scheduled().contains(id);
        match graph.task(id).is_process() {
            // One that was stopped stays so.
            true => is_watched && self.session.shared.processes.may_begin_anew(graph.name(id)),
            false => is_watched && self.options.follows,
        }
    }

    /// Whether git is in the midst of changing many files.
    fn git_is_at_work(&self) -> bool {
        scan::index_lock(&self.session.shared.root).is_some_and(|lock| lock.exists())
    }

    /// Takes note of what others did beside the watch: what they gave up, and what is downstream of what they
    /// executed and was not theirs, is left to it.
    pub(super) fn note_others(&mut self, seen: &Seen) {
        self.calls_are_suspect |= !seen.executed.is_empty();
        let graph = &self.session.shared.graph;
        let downstream = seen.executed.iter().flat_map(|(id, theirs)| {
            self.plan.downstream(graph, *id).map(|edge| edge.task).filter(|id| !theirs.contains(*id))
        });
        let owed = downstream.chain(seen.owed.iter().copied());
        let owed: Vec<TaskId> = owed.filter(|id| self.follows(*id)).collect();
        self.owed.extend(owed);
    }

    /// Looks again after a while, whatever happens.
    pub(super) fn look_in(&mut self, time: Duration) {
        let then = Instant::now() + time;
        self.wake = Some(self.wake.map_or(then, |wake| wake.min(then)));
    }

    fn cycle_or_wait(&mut self, is_news: bool) {
        if self.ending {
            return;
        }
        let is_due = !self.changed.is_empty() || !self.owed.is_empty();
        if is_due && !self.session.shared.root.is_dir() {
            // Whoever took it away may bring it back; a task would only make half of it anew.
            return self.look_in(ABSENCE);
        }
        if is_due && !self.on_hold {
            let changed = std::mem::take(&mut self.changed);
            return self.cycle(changed, TaskSet::new());
        }
        if self.changed.is_empty() {
            self.paths.clear();
        }
        if is_news {
            self.wait();
        }
    }

    /// Begins a cycle for these tasks.
    pub(super) fn cycle(&mut self, changed: BTreeSet<TaskId>, forced: TaskSet) {
        let shared = &self.session.shared;
        let mut owed: TaskSet = self.standing(Outcome::Cancelled).collect();
        owed.extend(self.owed.iter());
        let cycle = {
            let standings = self.watching().standings();
            // What others execute just now is waited for: what is downstream of it rests on what comes of that.
            let executing =
                shared.commons.executing().into_iter().filter(|id| self.plan.scheduled().contains(*id));
            let changed = changed.iter().copied().chain(executing);
            Cycle::new(&shared.graph, &self.plan, changed, forced, owed, &standings)
        };
        let paths = if self.on_hold { BTreeSet::new() } else { std::mem::take(&mut self.paths) };
        let order = self.plan.order().iter().filter(|id| cycle.is_about(**id));
        let tasks = self.names(order.copied());
        if !paths.is_empty() {
            let named: Vec<String> = paths.iter().take(NAMED).map(|path| shared.display(path)).collect();
            let more = paths.len() - named.len();
            self.audience.emit(What::FilesChanged { paths: named, more, tasks });
        }
        // What is forced is forced once.
        let request = Request { cycle: Some(Arc::new(cycle)), force: false, ..self.request.clone() };
        self.start(request);
        match self.run.is_some() {
            true => self.owed = TaskSet::new(),
            // What there was to do still is, when something happens again.
            false => self.changed.extend(changed),
        }
    }

    fn start(&mut self, request: Request) {
        self.summary.cycles += 1;
        match self.session.start(Request { by_watch: true, keeps: true, ..request }) {
            Ok(run) => self.run = Some(run),
            Err(error) => {
                self.fail(&error.to_string());
                self.wait();
            }
        }
    }

    fn fail(&mut self, message: &str) {
        self.summary.internal_failure = true;
        self.audience.emit(What::Warning { task: None, message: message.to_owned() });
    }

    async fn run_is_over(&mut self) {
        let Some(run) = self.run.take() else { return };
        match run.finish().await {
            Ok(summary) => {
                self.summary.internal_failure |= summary.internal_failure;
                self.summary.not_saved = summary.not_saved.or(self.summary.not_saved.take());
            }
            Err(error) => self.fail(&error.to_string()),
        }
        if std::mem::take(&mut self.is_entering) && !self.ending {
            return self.begin_cycles().await;
        }
        self.end_with_processes();
        self.session.shared.table.forget_everything();
        // Unless something is happening just now, look at once.
        let now = Instant::now();
        let quiet =
            Burst { began: now, first: now, last: now.checked_sub(self.options.quiet).unwrap_or(now) };
        self.burst.get_or_insert(quiet);
        self.made = true;
        self.calls_are_suspect = true;
    }
}

/// Whether lines of any process are shown.
fn wants_lines(session: &Session, request: &Request) -> bool {
    let graph = &session.shared.graph;
    request.lines != LiveLines::Off || graph.ids().any(|id| graph.task(id).show_output)
}

/// The next event of a run; never, if there is none.
async fn next_event(run: &mut Option<Run>) -> Option<crate::session::emit::Parcel> {
    match run {
        Some(run) => run.followed.next_parcel().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
