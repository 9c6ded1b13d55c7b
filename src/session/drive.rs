//! One run from its first effect to its summary: the only `select!` over everything that can happen.
//!
//! The driver carries effects out of the scheduler to those who do them and their observations back. It
//! decides nothing itself: order is the scheduler's, freshness is [`judge`]'s, a task's fate is
//! [`execute`]'s.

mod ends;

use std::{
    collections::{HashMap, HashSet},
    os::unix::ffi::OsStrExt as _,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    commons::Standing,
    context::RunContext,
    cycle::Following,
    execute::{Executed, Halt, Orders, Start, execute},
    foresee::Foretold,
    judge::{self, Judged, Question},
    prune,
    results::{HandedOn, Results, TaskResult},
    run::RunSummary,
    saver::Saver,
    settled::Settling,
    telling::{Telling, last_success, told_of},
    uses::use_process,
    watching::Stood,
};
use crate::{
    event::{Decided, What},
    model::{Outcome, Reason, TaskId, TaskSet},
    plan::Plan,
    scan::Contents,
    schedule::{Effect, Observation, Options, Scheduler, Verdict},
    store::{Batch, TaskRecord},
};

/// How long a task may wait for another run's execution of it before that is told.
const HELD_UP: Duration = Duration::from_millis(500);

/// What a run is told from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// End: SIGTERM, grace, SIGKILL.
    Interrupt,
    /// End now: SIGKILL.
    Kill,
    /// Stop everything for a while.
    Pause,
    /// Go on.
    Resume,
    /// End those of these tasks that execute, and begin them anew.
    Restart(TaskSet),
}

/// Drives one run.
pub(crate) struct Driver {
    pub(super) run: Arc<RunContext>,
    scheduler: Scheduler,
    results: Results,
    /// What is remembered of each task, by id: taken when it is judged.
    records: Vec<Option<TaskRecord>>,
    /// Verdicts of tasks that have not been started yet.
    verdicts: HashMap<TaskId, Judged>,
    /// Tasks whose verdict may still hold a snapshot.
    snapshots: Vec<TaskId>,
    questions: Vec<Question>,
    /// Tasks to be judged that execute in another run.
    held_up: Vec<TaskId>,
    /// Calls of earlier runs, caller first, that cannot be followed.
    pub(super) not_followed: HashSet<(TaskId, TaskId)>,
    /// In a dry run: what would come back.
    foretold: Vec<Foretold>,
    /// In a dry run: tasks assumed to hand on what they did before.
    assumed: Arc<TaskSet>,
    work: JoinSet<Done>,
    saver: Saver,
    /// What is saved at the end of the run.
    unhurried: Batch,
    /// What is to start as soon as there is a runtime; none once there is one.
    due: Option<Vec<Judged>>,
    running: HashMap<TaskId, watch::Sender<Orders>>,
    orders: Orders,
    heard: (mpsc::UnboundedSender<Observation>, mpsc::UnboundedReceiver<Observation>),
    warned: HashSet<(TaskId, String)>,
    telling: Telling,
    /// Tasks that are being ended to begin anew.
    restarting: TaskSet,
    /// Tasks that were, and are to begin anew.
    again: TaskSet,
    /// In a cycle of a watch: what need not be looked at.
    following: Option<Following>,
    /// What is kept for the next run if this one has nothing to do.
    settling: Option<Settling>,
    interrupted: bool,
}

/// What some work came to.
enum Done {
    /// It executes in no other run any more.
    Freed(TaskId),
    Judged(Vec<Judged>),
    Executed(Box<Executed>),
}

impl Driver {
    /// `records` holds what is remembered of each task, by id.
    pub(crate) fn new(
        run: Arc<RunContext>,
        plan: Plan,
        records: Vec<Option<TaskRecord>>,
        not_followed: HashSet<(TaskId, TaskId)>,
        settling: Option<Settling>,
    ) -> Self {
        let graph = Arc::clone(&run.shared.graph);
        let typical = |record: &Option<TaskRecord>| record.as_ref().and_then(|r| r.typical_ms).unwrap_or(1);
        let durations = records.iter().map(typical).collect();
        let options = Options {
            jobs: run.request.jobs.unwrap_or(run.shared.jobs),
            fail_fast: run.request.fail_fast,
            keeps: run.request.keeps,
            wanted: run.request.cycle.as_ref().map(|cycle| {
                let processes = &run.shared.processes;
                // What nobody asked for by name is there for tasks that need it.
                let is_idle = |id: TaskId| !cycle.named.contains(id) && !processes.is_up(graph.name(id));
                cycle.wanted(|id| processes.is_let_be(graph.name(id)) || is_idle(id))
            }),
            durations,
        };
        let heard = mpsc::unbounded_channel();
        run.member.listen(heard.0.clone());
        Self {
            results: Results::new(Arc::clone(&graph)),
            scheduler: Scheduler::new(graph, plan, &options),
            records,
            verdicts: HashMap::new(),
            snapshots: Vec::new(),
            questions: Vec::new(),
            held_up: Vec::new(),
            not_followed,
            foretold: Vec::new(),
            assumed: Arc::default(),
            work: JoinSet::new(),
            saver: Saver::new(Arc::clone(&run)),
            unhurried: Batch::new(),
            due: Some(Vec::new()),
            running: HashMap::new(),
            orders: Orders::default(),
            heard,
            warned: HashSet::new(),
            telling: Telling::new(Arc::clone(&run)),
            restarting: TaskSet::new(),
            again: TaskSet::new(),
            following: run.request.cycle.clone().map(Following::new),
            settling,
            interrupted: false,
            run,
        }
    }

    /// Takes up what is known, and says what is planned.
    pub(crate) fn begin(&mut self) {
        self.recall_unscheduled();
        self.telling.announce(self.scheduler.plan());
    }

    /// One round of judging on this thread, without a runtime. False: that leads no further, because the run is
    /// over or something has to start.
    pub(crate) fn look(&mut self) -> bool {
        self.pump();
        if self.questions.is_empty() || self.due.as_ref().is_none_or(|due| !due.is_empty()) {
            return false;
        }
        let questions = std::mem::take(&mut self.questions);
        self.all_judged(judge::judge(&self.run.shared, questions));
        true
    }

    /// Ends the run here, if it is over and leaves nothing to be saved.
    pub(crate) fn end_here(&mut self) -> Option<RunSummary> {
        // Whoever waits for it goes on in its own time.
        if !self.scheduler.is_done() || self.run.member.is_nested() {
            return None;
        }
        self.gather_unsaved();
        if !self.unhurried.is_empty() {
            return None;
        }
        self.hand_on();
        self.settle();
        Some(self.tell_end())
    }

    /// Keeps what was found, unless something else had to be told that the next run has to tell, too.
    fn settle(&self) {
        if let (Some(settling), true) = (&self.settling, self.warned.is_empty()) {
            settling.keep(&self.run.shared, &self.telling.summary);
        }
    }

    /// Runs to the end.
    pub(crate) async fn drive(mut self, mut commands: mpsc::UnboundedReceiver<Command>) -> RunSummary {
        // From here on files change under our own hands.
        self.run.member.drives(|| self.run.shared.table.believe(Contents::default()));
        self.tell_family();
        for judged in self.due.take().into_iter().flatten() {
            self.launch(judged);
        }
        let mut listening = true;
        loop {
            self.pump();
            self.ask();
            // A look at files that nobody waits for any more is left to itself.
            if self.running.is_empty() && self.scheduler.is_done() {
                break;
            }
            self.say_whether_it_waits();
            tokio::select! {
                Some(done) = self.work.join_next() => self.done(done),
                () = self.saver.advance() => {}
                Some(heard) = self.heard.1.recv() => self.hear(heard),
                command = commands.recv(), if listening => match command {
                    Some(command) => self.obey(command),
                    // Whoever started the run has let go of it.
                    None => { listening = false; self.obey(Command::Interrupt); }
                },
            }
        }
        self.conclude().await
    }

    /// Whoever keeps results true has to know when only processes are waited for: what may help is not to wait for that.
    fn say_whether_it_waits(&self) {
        let graph = &self.run.shared.graph;
        let are_processes = self.running.keys().all(|id| graph.task(*id).is_process());
        let only_waits = are_processes && self.work.len() == self.running.len();
        let did = self.run.only_waits.swap(only_waits, Ordering::AcqRel);
        if let (true, false, Some(watching)) = (only_waits, did, self.run.shared.watching.get()) {
            watching.wake();
        }
    }

    /// What unscheduled upstream tasks (`--mode single`) handed on when they last succeeded: a task must
    /// see, and be keyed by, the same as in a run that schedules them.
    fn recall_unscheduled(&mut self) {
        let graph = Arc::clone(&self.run.shared.graph);
        let scheduled = self.scheduler.plan().scheduled();
        let needed = Plan::new(&graph, scheduled.iter(), crate::plan::Mode::Before);
        let missing: Vec<TaskId> =
            needed.order().iter().copied().filter(|id| !scheduled.contains(*id)).collect();
        for id in missing {
            if let Some(standing) = self.standing(id).filter(|standing| standing.outcome.is_some()) {
                let Stood { handed, failure, .. } = standing;
                self.results.set(id, TaskResult { handed, failure, ..TaskResult::default() });
                continue;
            }
            let success = self.record(id).and_then(|r| r.success);
            let handed = HandedOn::of(success.as_ref());
            self.results.set(id, TaskResult { handed, ..TaskResult::default() });
        }
    }

    /// Does everything there is to be done now.
    fn pump(&mut self) {
        loop {
            self.carry_out();
            let passed_over = self.scheduler.take_passed_over();
            if passed_over.is_empty() {
                break;
            }
            for (id, outcome) in passed_over {
                self.passed_over(id, outcome);
            }
        }
        // Those that could not start at once look at their inputs again when they do.
        for id in self.snapshots.drain(..) {
            if let Some(verdict) = self.verdicts.get_mut(&id) {
                verdict.snapshot = None;
            }
        }
    }

    /// Has the questions answered on a thread of their own.
    fn ask(&mut self) {
        for id in self.held_up.drain(..) {
            let run = Arc::clone(&self.run);
            self.work.spawn(async move {
                let mut freed = pin!(run.member.freed(id));
                if tokio::time::timeout(HELD_UP, &mut freed).await.is_err() {
                    run.emitter.emit(What::HeldUp { task: run.shared.graph.name(id).clone() });
                    freed.await;
                }
                Done::Freed(id)
            });
        }
        if !self.questions.is_empty() {
            let questions = std::mem::take(&mut self.questions);
            let shared = Arc::clone(&self.run.shared);
            self.work.spawn_blocking(move || Done::Judged(judge::judge(&shared, questions)));
        }
    }

    /// Judges at once what needs no look at files, and leaves the rest to be judged together.
    fn check(&mut self, id: TaskId) {
        let graph = Arc::clone(&self.run.shared.graph);
        let task = graph.task(id);
        if task.is_process() {
            return self.check_process(id);
        }
        if self.following.as_ref().is_some_and(|following| following.stays(&graph, self.scheduler.plan(), id))
        {
            return match self.run.member.standing(id, || self.run.asked(id)) {
                Standing::Executing => self.held_up.push(id),
                Standing::Free(_) | Standing::Over(_) => self.stay(id),
            };
        }
        if !task.has_command() {
            return self.pass_through(id);
        }
        let times = match self.run.member.standing(id, || self.run.asked(id)) {
            Standing::Free(times) => times,
            // It only looks: it says what is known now.
            Standing::Executing if self.run.request.dry_run => {
                let record = self.record(id);
                return self.judged(Judged::without_files(id, Reason::Executing, record, 0));
            }
            _ if self.run.request.dry_run => 0,
            Standing::Executing => return self.held_up.push(id),
            Standing::Over(over) => return self.over(id, &over),
        };
        let record = self.record(id);
        let mut question = self.question(id, times);
        self.ask_about_calls(&mut question, record.as_ref());
        if task.can_be_fresh() && task.status.is_none() {
            question.record = record;
            self.questions.push(question);
            return;
        }
        let reason = match task.status {
            _ if question.force => Reason::Forced,
            Some(_) => Reason::StatusDecides,
            None => Reason::AlwaysRuns,
        };
        self.judged(Judged::without_files(id, reason, record, times));
    }

    /// A process is used where it is needed: whether it has to be started shows then.
    fn check_process(&mut self, id: TaskId) {
        let judged = Judged::without_files(id, Reason::AlwaysRuns, None, 0);
        if self.run.request.dry_run {
            return self.judged(judged);
        }
        self.verdicts.insert(id, judged);
        self.scheduler.observe(Observation::Judged(id, Verdict::Stale));
    }

    /// Takes what is remembered of a task.
    fn record(&mut self, id: TaskId) -> Option<TaskRecord> {
        let earlier = self.records[id.index()].take();
        self.run.shared.commons.record(id).or(earlier)
    }

    fn question(&self, id: TaskId, times: u64) -> Question {
        let request = &self.run.request;
        let arguments = self.run.arguments_of(id).iter().map(|a| a.as_bytes().to_vec()).collect();
        Question {
            id,
            force: request.refresh
                || (request.force && self.run.roots.contains(id))
                || self.following.as_ref().is_some_and(|following| following.forces(id))
                || self.rests_on_other(id),
            arguments,
            input: self.run.written_input_of(id),
            received: self.results.received(id),
            producers: self.results.producers(id),
            called: Vec::new(),
            not_followed: Vec::new(),
            assumed: Arc::clone(&self.assumed),
            foretold: self.foretold_for(id),
            upstream_would_run: self.results.upstream_would_run(id),
            explain: request.dry_run,
            record: None,
            times,
            ambient: Arc::clone(&self.run.ambient),
        }
    }

    /// In a dry run: what would come back upstream of a task.
    fn foretold_for(&self, id: TaskId) -> Vec<Foretold> {
        if self.foretold.is_empty() {
            return Vec::new();
        }
        let upstream = Plan::new(&self.run.shared.graph, [id], crate::plan::Mode::Before);
        let is_upstream = |one: &&Foretold| upstream.scheduled().contains(one.task());
        self.foretold.iter().filter(is_upstream).cloned().collect()
    }

    /// Whether a process may rest on something else than it did when it was started, for all anybody can tell.
    fn rests_on_other(&self, id: TaskId) -> bool {
        let (graph, plan) = (&self.run.shared.graph, self.scheduler.plan());
        let hands_on = |id: TaskId| !self.results.get(id).handed.is_empty();
        let may = |following: &Following| following.may_rest_on_other(graph, plan, id, hands_on);
        graph.task(id).is_process() && self.following.as_ref().is_some_and(may)
    }

    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done::Judged(all)) => self.all_judged(all),
            Ok(Done::Freed(id)) if self.scheduler.outcome(id).is_none() => self.check(id),
            Ok(Done::Freed(_)) => {} // the run was ended meanwhile
            Ok(Done::Executed(executed)) => self.executed(*executed),
            // A panic in our own code: the run cannot be trusted to go on.
            Err(error) => {
                self.run
                    .emitter
                    .emit(What::Warning { task: None, message: format!("internal failure: {error}") });
                self.telling.summary.internal_failure = true;
                self.obey(Command::Kill);
                self.abandon_running();
            }
        }
    }

    fn all_judged(&mut self, all: Vec<Judged>) {
        for judged in all {
            self.judged(judged);
            // While its snapshot is new.
            self.carry_out();
        }
    }

    /// After a panic nobody will tell how the tasks on its thread ended.
    fn abandon_running(&mut self) {
        self.running.clear();
        let ids: Vec<TaskId> = self.scheduler.plan().order().to_vec();
        for id in ids {
            self.scheduler.observe(Observation::Ended(id, Outcome::Cancelled));
        }
    }

    fn judged(&mut self, judged: Judged) {
        let id = judged.id;
        if self.scheduler.outcome(id).is_some() {
            return; // the run was ended meanwhile
        }
        if !self.run.request.dry_run && !self.run.member.is_as_before(id, judged.times) {
            // Another run executes it, or has done so: there is more to know than this was judged by.
            self.records[id.index()] = judged.record;
            return self.check(id);
        }
        self.warn_unmatched(&judged);
        let begins_anew = self.again.remove(id);
        if judged.reasons.is_empty() {
            self.fresh(judged);
            if begins_anew {
                self.scheduler.observe(Observation::Ended(id, Outcome::Cached));
            }
            return;
        }
        if begins_anew {
            return self.launch(judged);
        }
        let outcome = self.standing(id).and_then(|standing| standing.outcome);
        let (graph, plan) = (&self.run.shared.graph, self.scheduler.plan());
        let stays = |following: &Following| following.stays_failed(graph, plan, id, &judged.reasons, outcome);
        if self.following.as_ref().is_some_and(stays) {
            self.note_looked(id, judged.looked);
            return self.stay(id);
        }
        if self.scheduler.is_foretold(id) {
            // It is judged again, by the same record, when what it rests on is up: that is told.
            self.records[id.index()] = judged.record;
            return self.scheduler.observe(Observation::Judged(id, Verdict::Stale));
        }
        let action = match (self.run.request.dry_run, judged.restorable.is_some()) {
            (true, false) => Decided::WouldRun,
            (true, true) => Decided::WouldRestore,
            (false, false) => Decided::Run,
            (false, true) => Decided::Restore,
        };
        self.decide(id, action, Some(&judged));
        self.snapshots.extend(judged.snapshot.as_ref().map(|_| id));
        self.verdicts.insert(id, judged);
        self.scheduler.observe(Observation::Judged(id, Verdict::Stale));
    }

    /// Carries out the effects there are.
    fn carry_out(&mut self) {
        while let Some(effect) = self.scheduler.next_effect() {
            match effect {
                Effect::Check(id) => self.check(id),
                Effect::Start(id) => self.start(id),
                Effect::Stop(id) => self.stop(id),
            }
        }
    }

    fn decide(&self, id: TaskId, action: Decided, judged: Option<&Judged>) {
        let last = judged.and_then(|j| last_success(j.record.as_ref()?));
        let reasons = judged.map(|j| j.reasons.clone()).unwrap_or_default();
        let restorable = judged.and_then(|j| j.restorable.as_ref());
        let restores = restorable.map(|restorable| told_of(&restorable.kept.success));
        self.telling.decision(id, action, reasons, judged.and_then(|j| j.compared), (last, restores));
    }

    fn warn_unmatched(&mut self, judged: &Judged) {
        for unmatched in &judged.unmatched {
            if self.warned.insert((judged.id, unmatched.pattern.clone())) {
                self.run.warn(judged.id, &unmatched.message(&self.run.shared));
            }
        }
    }

    fn start(&mut self, id: TaskId) {
        let Some(judged) = self.verdicts.remove(&id) else { return };
        match &mut self.due {
            _ if self.run.request.dry_run => self.pretend(judged),
            Some(due) => due.push(judged),
            None => self.launch(judged),
        }
    }

    fn launch(&mut self, judged: Judged) {
        let id = judged.id;
        // Why it runs is known whatever becomes of us once it does.
        self.run.emitter.flush();
        let (orders, heard) = watch::channel(self.orders);
        self.running.insert(id, orders);
        let start = Start {
            question: self.question(id, judged.times),
            reasons: judged.reasons,
            changed: judged.changed,
            snapshot: judged.snapshot,
            restorable: judged.restorable,
            record: judged.record,
            outputs: self.results.outputs_json(id),
            exports: self.results.exports(id),
        };
        let (run, tell) = (Arc::clone(&self.run), self.heard.0.clone());
        let is_process = run.shared.graph.task(id).is_process();
        self.work.spawn(async move {
            let executed = match is_process {
                true => use_process(run, start, heard, tell).await,
                false => execute(run, start, heard, tell).await,
            };
            Done::Executed(Box::new(executed))
        });
    }

    fn stop(&mut self, id: TaskId) {
        let is_process = self.run.shared.graph.task(id).is_process();
        if let Some(orders) = self.running.get(&id) {
            orders.send_modify(|o| match is_process {
                true => o.is_let_go = true,
                false => o.halt = o.halt.max(Halt::Terminate),
            });
        }
    }

    pub(super) fn is_scheduled(&self, id: TaskId) -> bool {
        self.scheduler.plan().scheduled().contains(id)
    }

    /// Whether a task came to its own end.
    pub(super) fn is_over(&self, id: TaskId) -> bool {
        self.scheduler.outcome(id).is_some_and(|outcome| outcome != Outcome::Cancelled)
    }

    pub(super) const fn results(&self) -> &Results {
        &self.results
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Pause => self.pause(true),
            Command::Resume => self.pause(false),
            Command::Interrupt => self.orders.halt = self.orders.halt.max(Halt::Terminate),
            Command::Kill => self.orders.halt = Halt::Kill,
            Command::Restart(tasks) => return self.restart(&tasks),
        }
        if self.orders.halt != Halt::No {
            self.interrupted = true;
            self.run.shared.keeper.give_up_of(&self.run);
            self.scheduler.cancel();
        }
        for running in self.running.values() {
            running.send_modify(|o| (o.halt, o.paused) = (o.halt.max(self.orders.halt), self.orders.paused));
        }
    }

    fn pause(&mut self, pause: bool) {
        self.orders.paused = pause;
        // A guest does not stop what others use, too.
        if self.run.request.environment.is_none() {
            self.run.shared.servers.pause_all(pause);
        }
    }

    /// Ends tasks to begin them anew: to the scheduler they go on.
    fn restart(&mut self, tasks: &TaskSet) {
        if self.orders.halt != Halt::No {
            return;
        }
        for (&id, running) in self.running.iter().filter(|(id, _)| tasks.contains(**id)) {
            if self.restarting.insert(id) {
                running.send_modify(|orders| orders.halt = orders.halt.max(Halt::Terminate));
            }
        }
    }

    /// Whatever is saved at the end and not before.
    fn gather_unsaved(&mut self) {
        if !self.run.request.dry_run
            && let Some(learnt) = self.run.shared.stat_cache_changes()
        {
            self.unhurried.append(learnt);
        }
    }

    /// Makes durable what is not yet, in one transaction with the end of the run.
    async fn conclude(mut self) -> RunSummary {
        self.gather_unsaved();
        let run = Arc::clone(&self.run);
        let mut last = std::mem::take(&mut self.unhurried);
        let leaving = match run.has_joined() {
            true => Some(run.shared.ledgers.leave(&mut last).await),
            false => None,
        };
        self.saver.finish(last).await;
        drop(leaving);
        if run.shared.keeper.is_due() {
            // Who closes the session waits for it, and nobody else.
            drop(tokio::task::spawn_blocking(move || prune::prune_if_due(&run.shared)));
        }
        self.answer().await;
        self.hand_on();
        self.tell_end()
    }

    /// What the run as a whole hands on.
    fn hand_on(&mut self) {
        if !self.run.request.dry_run {
            let roots = self.scheduler.plan().roots().iter();
            self.telling.summary.exports = self.results.exports_of(roots);
        }
    }

    fn tell_end(&mut self) -> RunSummary {
        self.telling.end(self.interrupted, self.due.is_none())
    }
}
