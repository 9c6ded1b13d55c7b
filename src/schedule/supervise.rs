//! One process through its life: when it is started, asked, restarted, stopped and given up (spec section 6). Pure: what
//! happened and the time go in, what is to be done comes out, and when to ask again.
//!
//! ```text
//! NotStarted ──start──▶ Starting ──ready──▶ Ready ◀──well──▶ Unhealthy
//!                         ▲    │               │ exit or failure   │
//!             back-off is │    └───────┬───────┴───────────────────┘
//!                    over │            ▼
//!                      Waiting ◀── restart? ──▶ Exited │ GaveUp
//!   stop, from anywhere it lives: Stopping ──exit──▶ Stopped
//! ```

use std::{collections::VecDeque, time::Duration};

use crate::model::{Probe, ProbeKind, ProcessSpec, Restart, RestartOn, Shutdown, Stage, Watchdog};

/// The first wait before a restart; each is twice as long as the one before.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After it was well for so long, a process begins with the first wait again.
const HEALTH: Duration = Duration::from_secs(60);

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It is wanted.
    Start,
    /// It is not wanted any more.
    Stop,
    /// What it rests on is another: it is to begin anew, if it lives.
    Renew,
    /// It was started, as [`Deed::Spawn`] asked.
    Spawned,
    /// It could not be started.
    NotSpawned,
    /// It ended: with 0, or in another way.
    Ended {
        /// Whether with 0.
        well: bool,
    },
    /// What [`Deed::Probe`] asked for: whether it is well. A line that matches a log probe is `true`.
    Probed(bool),
    /// `READY=1` on its notify socket.
    SaysReady,
    /// `STOPPING=1`: it ends by itself, and is not asked how it is any more.
    SaysStopping,
    /// `WATCHDOG=1`.
    Feeds,
    /// `WATCHDOG=trigger`: it says itself that it is not well.
    Trips,
    /// `EXTEND_TIMEOUT_USEC=…`: what it is about takes so much longer, counted from now.
    Extends(Duration),
    /// The time that [`Supervisor::due`] names has come, or any other.
    Tick,
}

/// Why a process is ended that nobody wanted to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accused {
    /// It was not ready in time.
    NotReady,
    /// It was ready, and its probe has failed too often since.
    Unwell,
    /// It did not feed its watchdog in time.
    Unfed,
    /// It said so itself.
    ByItself,
}

/// What is to be done for a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Start it.
    Spawn,
    /// Ask its probe, and tell the answer.
    Probe,
    /// End a probe that has taken too long, and its process group; no answer is waited for.
    EndProbe,
    /// Send its group this signal.
    Signal(i32),
    /// End its group now.
    Kill,
}

/// Why it is being ended, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Rest,
    Renew,
    /// It failed us while it ran: the rules of restarts say.
    Judge,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Supervisor {
    restart: Restart,
    shutdown: Shutdown,
    probe: Option<Probe>,
    watchdog: Option<Watchdog>,
    stage: Stage,
    /// Whether there is a process, or one is about to be.
    lives: bool,
    then: Then,
    accused: Option<Accused>,
    /// While [`Stage::Waiting`]: until when.
    restart_at: Duration,
    wait: Duration,
    /// When it was restarted, in the window if there is one.
    restarts: VecDeque<Duration>,
    /// How often, since somebody asked for it.
    restarted: usize,
    ready_since: Option<Duration>,
    /// When it has to be ready.
    deadline: Option<Duration>,
    /// When to ask next.
    probe_at: Option<Duration>,
    /// A probe is under way, until then at most, and since when.
    probing: Option<(Duration, Duration)>,
    successes: u32,
    failures: u32,
    /// When it has to have fed its watchdog.
    feed_by: Option<Duration>,
    /// While it is being ended: when it has had its time.
    kill_at: Option<Duration>,
}

impl Supervisor {
    /// A process that nobody has asked for. `probe`: how to tell that it is ready, be it declared or its port.
    #[must_use]
    pub fn new(spec: &ProcessSpec, probe: Option<Probe>) -> Self {
        let mut new = Self::idle();
        new.change(spec, probe);
        new
    }

    /// A process of which nothing is known yet.
    #[must_use]
    pub(crate) fn idle() -> Self {
        Self {
            restart: Restart { on: RestartOn::Never, max: None, window: None },
            shutdown: Shutdown::default(),
            probe: None,
            watchdog: None,
            stage: Stage::NotStarted,
            lives: false,
            then: Then::Rest,
            accused: None,
            restart_at: Duration::ZERO,
            wait: FIRST_WAIT,
            restarts: VecDeque::new(),
            restarted: 0,
            ready_since: None,
            deadline: None,
            probe_at: None,
            probing: None,
            successes: 0,
            failures: 0,
            feed_by: None,
            kill_at: None,
        }
    }

    /// Goes by other rules from now on: those of what is to be started next.
    pub fn change(&mut self, spec: &ProcessSpec, probe: Option<Probe>) {
        self.restart = spec.restart.clone();
        self.shutdown = spec.shutdown.clone();
        self.watchdog = spec.watchdog.clone();
        self.probe = probe;
    }

    /// Where it stands.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Why it is being ended, or was, if nobody wanted that.
    #[must_use]
    pub const fn accused(&self) -> Option<Accused> {
        self.accused
    }

    /// How often it was restarted, within the window where there is one.
    #[must_use]
    pub fn restarts(&self) -> usize {
        if self.restart.window.is_some() { self.restarts.len() } else { self.restarted }
    }

    /// When to tell of [`Happening::Tick`]; none: time alone changes nothing.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let waiting = (self.stage == Stage::Waiting).then_some(self.restart_at);
        let probing = self.probing.map(|(until, _)| until);
        [waiting, self.deadline, self.probe_at, probing, self.feed_by, self.kill_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes in what happened, `now` after some beginning that is the same each time. What does not fit, as the answer of a
    /// probe of a process that has ended, changes nothing.
    pub fn tell(&mut self, what: Happening, now: Duration) -> Vec<Deed> {
        let mut deeds = Vec::new();
        match what {
            Happening::Start if self.stage.is_at_rest() => {
                self.begin_at_the_beginning();
                self.spawn(&mut deeds);
            }
            Happening::Start | Happening::Renew if self.stage == Stage::Waiting => {
                self.begin_at_the_beginning();
                self.spawn(&mut deeds);
            }
            // It is wanted again before it has ended.
            Happening::Start if self.stage == Stage::Stopping => {
                self.begin_at_the_beginning();
                self.then = Then::Renew;
            }
            Happening::Stop => self.stop(now, &mut deeds),
            Happening::Renew if self.is_up() => {
                self.begin_at_the_beginning();
                self.end(Then::Renew, now, &mut deeds);
            }
            Happening::Spawned if self.stage == Stage::Starting && self.lives => self.spawned(now),
            Happening::NotSpawned if self.lives => {
                self.lives = false;
                self.ended(false, now, &mut deeds);
            }
            Happening::Ended { well } if self.lives => {
                self.lives = false;
                self.ended(well, now, &mut deeds);
            }
            Happening::Probed(well) if self.probing.is_some() || self.is_told_by_log() => {
                self.probed(well, now, &mut deeds);
            }
            Happening::SaysReady if self.is_told() && self.is_up() => self.become_ready(now),
            Happening::SaysStopping if self.is_up() => self.ask_no_more(&mut deeds),
            Happening::Feeds if self.feed_by.is_some() => self.arm(now),
            Happening::Trips if self.is_up() && self.watchdog.is_some() => {
                self.accuse(Accused::ByItself, now, &mut deeds);
            }
            Happening::Extends(time) => self.extend(now + time),
            Happening::Tick => self.tick(now, &mut deeds),
            _ => {}
        }
        deeds
    }

    /// Whether it lives and is wanted.
    const fn is_up(&self) -> bool {
        self.lives && matches!(self.stage, Stage::Starting | Stage::Ready | Stage::Unhealthy)
    }

    /// Whether it says itself that it is ready.
    fn is_told(&self) -> bool {
        matches!(self.probe.as_ref().map(|probe| &probe.kind), Some(ProbeKind::Notify))
    }

    fn is_told_by_log(&self) -> bool {
        matches!(self.probe.as_ref().map(|probe| &probe.kind), Some(ProbeKind::Log(_)))
            && self.stage == Stage::Starting
    }

    /// What was before somebody asked for it does not count.
    fn begin_at_the_beginning(&mut self) {
        self.restarts.clear();
        (self.restarted, self.wait) = (0, FIRST_WAIT);
    }

    fn spawn(&mut self, deeds: &mut Vec<Deed>) {
        (self.stage, self.lives, self.accused) = (Stage::Starting, true, None);
        deeds.push(Deed::Spawn);
    }

    fn spawned(&mut self, now: Duration) {
        (self.successes, self.failures, self.ready_since) = (0, 0, None);
        if self.watchdog.as_ref().is_some_and(|watchdog| !watchdog.require_ready) {
            self.arm(now);
        }
        let Some(probe) = &self.probe else { return self.become_ready(now) };
        self.deadline = probe.timeout.map(|timeout| now + timeout);
        let asks = !matches!(probe.kind, ProbeKind::Notify | ProbeKind::Log(_));
        self.probe_at = asks.then(|| now + probe.initial_delay);
    }

    fn become_ready(&mut self, now: Duration) {
        self.stage = Stage::Ready;
        self.deadline = None;
        self.ready_since.get_or_insert(now);
        if self.watchdog.is_some() && self.feed_by.is_none() {
            self.arm(now);
        }
    }

    fn arm(&mut self, now: Duration) {
        self.feed_by = self.watchdog.as_ref().map(|watchdog| now + watchdog.interval);
    }

    fn extend(&mut self, until: Duration) {
        for time in [&mut self.deadline, &mut self.kill_at, &mut self.feed_by].into_iter().flatten() {
            *time = until.max(*time);
        }
    }

    fn probed(&mut self, well: bool, now: Duration, deeds: &mut Vec<Deed>) {
        let Some(probe) = self.probe.clone() else { return };
        let begun = self.probing.take().map(|(_, begun)| begun);
        match well {
            true => (self.successes, self.failures) = (self.successes.saturating_add(1), 0),
            false => (self.successes, self.failures) = (0, self.failures.saturating_add(1)),
        }
        if well && self.stage != Stage::Ready && self.successes >= probe.success_threshold {
            self.become_ready(now);
        }
        // From one beginning to the next, unless it took longer.
        let period = if self.stage == Stage::Starting { probe.until_ready } else { probe.period };
        self.probe_at = begun.map(|begun| (begun + period).max(now));
        if !well && self.stage == Stage::Ready && self.failures >= probe.failure_threshold {
            self.forgive(now);
            self.stage = Stage::Unhealthy;
            if self.restart.on != RestartOn::Never {
                self.accuse(Accused::Unwell, now, deeds);
            }
        }
    }

    fn ask_no_more(&mut self, deeds: &mut Vec<Deed>) {
        if self.probing.take().is_some() {
            deeds.push(Deed::EndProbe);
        }
        (self.probe_at, self.deadline, self.feed_by) = (None, None, None);
    }

    /// Ends it for what it did not do; the rules of restarts say what follows.
    fn accuse(&mut self, of: Accused, now: Duration, deeds: &mut Vec<Deed>) {
        self.accused = Some(of);
        self.end(Then::Judge, now, deeds);
    }

    /// Its health is over: if it lasted, the waits begin with the first again.
    fn forgive(&mut self, now: Duration) {
        if self.ready_since.take().is_some_and(|since| now.saturating_sub(since) >= HEALTH) {
            self.wait = FIRST_WAIT;
        }
    }

    /// Ends it: its signal, its grace, SIGKILL.
    fn end(&mut self, then: Then, now: Duration, deeds: &mut Vec<Deed>) {
        self.forgive(now);
        self.ask_no_more(deeds);
        (self.stage, self.then) = (Stage::Stopping, then);
        self.kill_at = Some(now + self.shutdown.grace);
        deeds.push(Deed::Signal(self.shutdown.signal));
    }

    fn stop(&mut self, now: Duration, deeds: &mut Vec<Deed>) {
        match self.stage {
            Stage::Waiting => self.stage = Stage::Stopped,
            // Whatever was to follow: a stop wins.
            Stage::Stopping => self.then = Then::Rest,
            _ if self.is_up() => self.end(Then::Rest, now, deeds),
            _ => {}
        }
    }

    fn ended(&mut self, well: bool, now: Duration, deeds: &mut Vec<Deed>) {
        self.ask_no_more(deeds);
        self.kill_at = None;
        self.forgive(now);
        match (self.stage, self.then) {
            (Stage::Stopping, Then::Rest) => self.stage = Stage::Stopped,
            (Stage::Stopping, Then::Renew) => self.spawn(deeds),
            (Stage::Stopping, Then::Judge) => self.judge(false, now),
            _ => self.judge(well, now),
        }
    }

    /// Whether it is started again.
    fn judge(&mut self, well: bool, now: Duration) {
        let wanted = match self.restart.on {
            RestartOn::Never => false,
            RestartOn::Always => true,
            RestartOn::OnFailure => !well,
        };
        if let Some(window) = self.restart.window {
            while self.restarts.front().is_some_and(|then| now.saturating_sub(*then) > window) {
                self.restarts.pop_front();
            }
        }
        let many = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX);
        self.stage = match wanted {
            false => Stage::Exited,
            true if self.restart.max.is_some_and(|max| many >= max) => Stage::GaveUp,
            true => {
                self.restarts.push_back(now);
                self.restarted = self.restarted.saturating_add(1);
                if self.restart.max.is_none() && self.restart.window.is_none() {
                    // Nothing depends on how many they were.
                    self.restarts.truncate(1);
                }
                self.restart_at = now + self.wait;
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
                Stage::Waiting
            }
        };
    }

    fn tick(&mut self, now: Duration, deeds: &mut Vec<Deed>) {
        let is_due = |time: Option<Duration>| time.is_some_and(|time| time <= now);
        if self.stage == Stage::Waiting && self.restart_at <= now {
            return self.spawn(deeds);
        }
        if is_due(self.kill_at) {
            self.kill_at = None;
            deeds.push(Deed::Kill);
        }
        if is_due(self.deadline) {
            return self.accuse(Accused::NotReady, now, deeds);
        }
        if is_due(self.feed_by) {
            return self.accuse(Accused::Unfed, now, deeds);
        }
        if is_due(self.probing.map(|(until, _)| until)) {
            deeds.push(Deed::EndProbe);
            self.probed(false, now, deeds);
        }
        if self.probing.is_none()
            && is_due(self.probe_at)
            && let Some(probe) = &self.probe
        {
            self.probe_at = None;
            self.probing = Some((now + probe.probe_timeout, now));
            deeds.push(Deed::Probe);
        }
    }
}

#[cfg(test)]
mod tests;
