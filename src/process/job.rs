//! One running child: listened to, stopped when asked, and over only when nothing of it is left.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{sync::mpsc, time::sleep_until};

use super::{
    Ended, EndedBy, Exit, JobControl, Launch, Warden,
    control::Order,
    leader::{Doing, Leader, code_and_signal},
    output::Reader,
    sweep::{Asked, KILLED_GRACE, Rest},
};

/// How long a pipe that somebody in the background still holds may be silent before it is let go.
const DRAIN_QUIET: Duration = Duration::from_millis(250);
/// How long such a pipe is listened to at most.
const DRAIN_TOTAL: Duration = Duration::from_secs(2);
/// What a task that ended by itself leaves running gets between SIGTERM and SIGKILL.
const REST_GRACE: Duration = Duration::from_millis(200);
/// How long pipes are listened to after all that could write is gone.
const LAST_WORDS: Duration = Duration::from_millis(20);
/// Bytes that are still read then: more than pipes hold.
const LAST_BYTES: u64 = 4 * 1024 * 1024;
/// After which time a job counts as one that stays.
const SETTLED: Duration = Duration::from_secs(10);
/// After which time a group that was let go on is let go on once more.
const NUDGE: Duration = Duration::from_millis(50);
/// What a job that was stopped because it wants the terminal gets between SIGTERM and SIGKILL.
const TERMINAL_GRACE: Duration = Duration::from_secs(1);

/// One running child. Dropped unfinished, its group is killed.
#[derive(Debug)]
pub struct Job {
    id: u64,
    warden: Warden,
    leader: Leader,
    reader: Reader,
    foreground: bool,
    orders: mpsc::UnboundedReceiver<Order>,
    control: JobControl,
    /// When it is stopped, and the grace it gets then.
    timeout: Option<(Instant, Duration)>,
    stop: Stop,
    begun: Instant,
    paused_since: Option<Instant>,
    /// When it is let go on once more.
    nudge: Option<Instant>,
    ended_by: Option<EndedBy>,
    wanted_terminal: bool,
    leaky: bool,
}

/// How far the stopping of a job has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    No,
    /// It has been sent a signal, and gets SIGKILL then.
    Asked(Instant),
    Killed,
}

impl Stop {
    /// Whether the time to be gentle is over.
    fn kills(self) -> bool {
        match self {
            Self::No => false,
            Self::Asked(until) => until <= Instant::now(),
            Self::Killed => true,
        }
    }
}

/// What [`Job::next`] saw.
enum Happened {
    Leader,
    Output,
    Order(Order),
    TimeUp,
}

impl Job {
    pub(super) fn new(id: u64, warden: Warden, mut leader: Leader, launch: Launch) -> io::Result<Self> {
        let (control, orders) = JobControl::new();
        let pipes = leader.child().ok_or(io::ErrorKind::NotFound.into());
        let reader = match pipes.and_then(|child| Reader::of(child, launch.log, launch.lines)) {
            Ok(reader) => reader,
            Err(e) => {
                warden.abandon(id, leader.give_up());
                return Err(e);
            }
        };
        Ok(Self {
            id,
            warden,
            reader,
            leader,
            foreground: launch.command.foreground,
            orders,
            control,
            timeout: launch.timeout.map(|t| (after(t.after), t.grace)),
            stop: Stop::No,
            begun: Instant::now(),
            paused_since: None,
            nudge: None,
            ended_by: None,
            wanted_terminal: false,
            leaky: false,
        })
    }

    /// The number of its first process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.leader.pid().as_raw_nonzero().get().unsigned_abs()
    }

    /// A handle to stop it with.
    #[must_use]
    pub fn control(&self) -> JobControl {
        self.control.clone()
    }

    /// Listens to it until it is over: its first process has exited, nothing it left behind runs
    /// any more (hazard C6), its output is read. Has to be awaited for the job to go on.
    ///
    /// A process that may not be signalled (one of another user) is waited for as the first of a
    /// job, and given up after 5 s as a left-over.
    pub async fn finish(mut self) -> Ended {
        self.run().await;
        self.drain().await;
        let exit = self.clear().await;
        self.last_words().await;
        self.report(exit)
    }

    /// Until the first process is gone.
    async fn run(&mut self) {
        loop {
            let deadline = self.deadline();
            let look = self.warden.looks_for_orphans_every().map(|often| after(often * self.patience()));
            match self.next(deadline.into_iter().chain(look).chain(self.nudge).min()).await {
                Happened::Leader => match self.leader.doing() {
                    Doing::Gone => return,
                    Doing::WantsTerminal if self.stop == Stop::No => {
                        self.wanted_terminal = true;
                        self.stop(Signal::TERM, TERMINAL_GRACE);
                    }
                    Doing::WantsTerminal | Doing::Runs => self.warden.reap_orphans_now_and_then(),
                },
                Happened::Order(order) => self.obey(order),
                Happened::TimeUp if deadline.is_some_and(|at| at <= Instant::now()) => self.time_is_up(),
                Happened::TimeUp if self.nudge.is_some_and(|at| at <= Instant::now()) => self.let_go_on(),
                Happened::TimeUp => self.warden.reap_orphans_now_and_then(),
                Happened::Output => {}
            }
        }
    }

    /// How much more seldom orphans are looked for: what settles down leaves them at its beginning, if at all, and
    /// shall not keep the machine awake.
    fn patience(&self) -> u32 {
        if self.begun.elapsed() < SETTLED { 1 } else { 10 }
    }

    /// Listens to pipes that somebody in the background still holds, for a while (hazard C7). The
    /// unreaped first process keeps the group's number meanwhile.
    async fn drain(&mut self) {
        let begin = Instant::now();
        let end = begin + DRAIN_TOTAL;
        while !self.reader.ended() && self.stop == Stop::No {
            // A slow reader of the lines says nothing about the job; silence does.
            let until = match self.reader.waits_for_sink() {
                true => end,
                false => end.min(begin.max(self.reader.last_progress()) + DRAIN_QUIET),
            };
            match self.next(Some(until)).await {
                Happened::Order(order) => self.obey(order),
                Happened::TimeUp => {
                    self.leaky |= !self.reader.waits_for_sink();
                    return;
                }
                Happened::Leader | Happened::Output => {}
            }
        }
    }

    /// Ends what is left of the job: its group, and its orphans wherever they went. Normally there
    /// is nothing, and finding that out takes a few system calls.
    ///
    /// A group is signalled only after a living member was seen, which keeps its number as the first
    /// process did until now (hazard C13).
    async fn clear(&mut self) -> Exit {
        let (code, signal) = code_and_signal(self.leader.reap());
        let rest = self.warden.rest_of(self.id);
        if !rest.is_empty() {
            self.leaky |= self.stop == Stop::No;
            self.end_rest(rest).await;
        }
        self.warden.finished(self.id);
        Exit { code, signal }
    }

    /// Until the rest is empty twice in a row, or cannot be ended.
    async fn end_rest(&mut self, mut rest: Rest) {
        let mut asked = match self.stop {
            Stop::No => Asked::default(),
            Stop::Asked(_) | Stop::Killed => Asked::groups(&rest),
        };
        if self.stop == Stop::No {
            self.stop = Stop::Asked(after(REST_GRACE));
        }
        let (mut pause, mut empty, mut killed_since) = (Duration::from_millis(1), 0, None);
        while empty < 2 {
            if self.stop.kills() {
                let since = *killed_since.get_or_insert_with(Instant::now);
                if since.elapsed() > KILLED_GRACE {
                    return;
                }
                rest.kill();
            } else {
                asked.terminate(&rest);
            }
            self.listen_until(Instant::now() + pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
            rest = self.warden.rest_of(self.id);
            empty = if rest.is_empty() { empty + 1 } else { 0 };
        }
    }

    async fn listen_until(&mut self, until: Instant) {
        loop {
            match self.next(Some(until)).await {
                Happened::TimeUp => return,
                Happened::Order(order) => self.obey(order),
                Happened::Leader | Happened::Output => {}
            }
        }
    }

    /// Reads what the pipes still hold. Who holds them now could not be found or ended.
    async fn last_words(&mut self) {
        let enough = self.reader.bytes() + LAST_BYTES;
        while !self.reader.ended() && self.reader.bytes() < enough {
            let quiet = (!self.reader.waits_for_sink()).then(|| after(LAST_WORDS));
            if let Happened::TimeUp | Happened::Order(Order::Kill) = self.next(quiet).await {
                break;
            }
        }
        self.reader.detach();
        while self.reader.waits_for_sink() {
            if let Happened::Order(Order::Kill) = self.next(None).await {
                break;
            }
        }
    }

    fn report(mut self, exit: Exit) -> Ended {
        let written = self.reader.close();
        Ended {
            exit,
            leaky: self.leaky,
            wanted_terminal: self.wanted_terminal,
            ended_by: self.ended_by,
            tail: written.tail,
            lines: written.lines,
            log: written.log,
            log_fault: written.log_fault,
        }
    }

    /// The next thing that happens, or that the time is up.
    async fn next(&mut self, until: Option<Instant>) -> Happened {
        let time_up = async {
            match until {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.reader.advance(), if !self.reader.ended() => Happened::Output,
            () = self.leader.changed(), if !self.leader.is_reaped() => Happened::Leader,
            // We hold a sender ourselves, so the channel never closes.
            Some(order) = self.orders.recv() => Happened::Order(order),
            () = time_up => Happened::TimeUp,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self.stop {
            Stop::No if self.paused_since.is_some() => None,
            Stop::No => self.timeout.map(|(at, _)| at),
            Stop::Asked(until) => Some(until),
            Stop::Killed => None,
        }
    }

    fn time_is_up(&mut self) {
        match (self.stop, self.timeout) {
            (Stop::No, Some((_, grace))) => {
                self.ended_by = Some(EndedBy::Timeout);
                self.stop(Signal::TERM, grace);
            }
            _ => self.kill(),
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Stop { signal, grace } => {
                self.ended_by = self.ended_by.or(Some(EndedBy::Terminated));
                self.stop(signal, grace);
            }
            Order::Kill => {
                self.ended_by = Some(EndedBy::Killed);
                self.kill();
            }
            Order::Pause if self.stop == Stop::No && !self.foreground && self.paused_since.is_none() => {
                self.paused_since = Some(Instant::now());
                self.nudge = None;
                self.leader.signal(Signal::STOP);
                self.warden.set_paused(self.id, true);
            }
            Order::Pause => {}
            Order::Resume => self.resume(),
        }
    }

    /// The first request sets the time for SIGKILL; a later one can only bring it nearer.
    fn stop(&mut self, signal: Signal, grace: Duration) {
        let until = after(grace);
        self.stop = match self.stop {
            Stop::No => Stop::Asked(until),
            Stop::Asked(before) => Stop::Asked(before.min(until)),
            Stop::Killed => return,
        };
        self.ask(signal);
    }

    fn ask(&mut self, signal: Signal) {
        self.leader.signal(signal);
        self.let_go_on(); // what is stopped hears nothing
    }

    /// A child that is forked just while its group is stopped and let go on may come to a stop after that
    /// (seen with bash, once in a few hundred times), so the group is let go on again a little later, and
    /// again for as long as it is to end.
    fn let_go_on(&mut self) {
        self.leader.signal(Signal::CONT);
        let again = self.nudge.is_none() || self.stop != Stop::No;
        self.nudge = again.then(|| after(NUDGE));
    }

    fn kill(&mut self) {
        self.stop = Stop::Killed;
        self.leader.signal(Signal::KILL);
    }

    fn resume(&mut self) {
        if let Some(since) = self.paused_since.take() {
            if let Some((at, _)) = &mut self.timeout {
                *at += since.elapsed();
            }
            self.nudge = None;
            self.let_go_on();
            self.warden.set_paused(self.id, false);
        }
    }
}

impl Drop for Job {
    /// A job nobody listens to any more must not run on.
    fn drop(&mut self) {
        self.warden.abandon(self.id, self.leader.give_up());
    }
}

/// That long from now; a year, if it is more than a clock can say.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + Duration::from_secs(365 * 24 * 60 * 60))
}
