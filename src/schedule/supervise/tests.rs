use std::collections::BTreeMap;

use fastrand::Rng;

use super::*;
use crate::model::Written;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn spec() -> ProcessSpec {
    ProcessSpec {
        autostart: true,
        ready: None,
        restart: Restart { on: RestartOn::OnFailure, max: Some(5), window: None },
        shutdown: Shutdown { signal: 15, grace: s(5) },
        listen: Vec::new(),
        watchdog: None,
        ports: BTreeMap::new(),
    }
}

fn probe(kind: ProbeKind) -> Probe {
    Probe {
        kind,
        initial_delay: s(1),
        until_ready: s(10),
        period: s(10),
        probe_timeout: s(2),
        timeout: Some(s(30)),
        success_threshold: 2,
        failure_threshold: 3,
    }
}

fn exec() -> Probe {
    probe(ProbeKind::Exec(Written { written: "true".to_owned(), value: "true".to_owned() }))
}

/// A process, and what it was told and did.
struct Story {
    it: Supervisor,
    now: Duration,
}

impl Story {
    fn new(change: impl FnOnce(&mut ProcessSpec), probe: Option<Probe>) -> Self {
        let mut spec = spec();
        change(&mut spec);
        Self { it: Supervisor::new(&spec, probe), now: Duration::ZERO }
    }

    fn tell(&mut self, what: Happening) -> Vec<Deed> {
        self.it.tell(what, self.now)
    }

    /// Started, and up.
    fn up(mut self) -> Self {
        assert_eq!(self.tell(Happening::Start), [Deed::Spawn]);
        assert_eq!(self.tell(Happening::Spawned), []);
        self
    }

    /// Lets the time come that it waits for.
    fn wait(&mut self, for_so_long: Duration) -> Vec<Deed> {
        assert_eq!(self.it.due(), Some(self.now + for_so_long), "at {:?}: {:?}", self.now, self.it);
        self.now += for_so_long;
        self.tell(Happening::Tick)
    }

    /// Ends, and is started again after a while.
    fn falls(&mut self, well: bool, back_off: Duration) {
        assert_eq!(self.tell(Happening::Ended { well }), []);
        assert_eq!(self.it.stage(), Stage::Waiting);
        assert_eq!(self.wait(back_off), [Deed::Spawn]);
        self.tell(Happening::Spawned);
    }
}

#[test]
fn one_without_a_probe_is_ready_once_it_runs() {
    let mut story = Story::new(|_| (), None);
    assert_eq!(story.it.stage(), Stage::NotStarted);
    assert_eq!(story.tell(Happening::Start), [Deed::Spawn]);
    assert_eq!(story.it.stage(), Stage::Starting);
    story.tell(Happening::Spawned);
    assert_eq!((story.it.stage(), story.it.due()), (Stage::Ready, None));
}

#[test]
fn which_ends_lead_to_a_restart() {
    use RestartOn::{Always, Never, OnFailure};
    for (on, well, stage) in [
        (Never, true, Stage::Exited),
        (Never, false, Stage::Exited),
        (OnFailure, true, Stage::Exited),
        (OnFailure, false, Stage::Waiting),
        (Always, true, Stage::Waiting),
        (Always, false, Stage::Waiting),
    ] {
        let mut story = Story::new(|spec| spec.restart.on = on, None).up();
        assert_eq!(story.tell(Happening::Ended { well }), []);
        assert_eq!(story.it.stage(), stage, "{on:?} {well}");
        // One that cannot even be started has failed.
        let mut story = Story::new(|spec| spec.restart.on = on, None);
        story.tell(Happening::Start);
        story.tell(Happening::NotSpawned);
        let expected = if on == Never { Stage::Exited } else { Stage::Waiting };
        assert_eq!(story.it.stage(), expected, "{on:?}, not started");
    }
}

#[test]
fn a_crash_loop_backs_off_and_is_given_up() {
    let mut story = Story::new(|_| (), None).up();
    for wait in [100, 200, 400, 800, 1600] {
        story.falls(false, ms(wait));
    }
    assert_eq!(story.it.restarts(), 5);
    story.tell(Happening::Ended { well: false });
    assert_eq!((story.it.stage(), story.it.due()), (Stage::GaveUp, None));
    // Who asks for it begins at the beginning.
    assert_eq!(story.tell(Happening::Start), [Deed::Spawn]);
    story.tell(Happening::Spawned);
    story.falls(false, ms(100));
}

#[test]
fn without_a_limit_it_goes_on_with_the_longest_wait() {
    let mut story = Story::new(|spec| spec.restart.max = None, None).up();
    for wait in [100, 200, 400, 800, 1600, 3200] {
        story.falls(false, ms(wait));
    }
    (0..100).for_each(|_| story.falls(false, s(5)));
    assert_eq!(story.it.restarts(), 106);
    assert!(story.it.restarts.len() < 2, "nothing grows");
}

#[test]
fn restarts_are_counted_in_their_window() {
    let change = |spec: &mut ProcessSpec| {
        spec.restart = Restart { max: Some(2), window: Some(s(60)), ..spec.restart.clone() }
    };
    let mut story = Story::new(change, None).up();
    story.falls(false, ms(100));
    story.now += s(59);
    story.falls(false, ms(200));
    // The first is out of sight.
    story.now += s(10);
    story.falls(false, ms(400));
    story.tell(Happening::Ended { well: false });
    assert_eq!(story.it.stage(), Stage::GaveUp);
}

#[test]
fn a_minute_of_health_forgives_the_wait_and_not_the_number() {
    let mut story = Story::new(|_| (), None).up();
    story.falls(false, ms(100));
    story.falls(false, ms(200));
    story.now += s(59);
    story.falls(false, ms(400));
    story.now += s(60);
    story.falls(false, ms(100));
    assert_eq!(story.it.restarts(), 4);
}

#[test]
fn health_counts_until_it_is_over_however_that_shows() {
    let probe = Probe { initial_delay: s(0), success_threshold: 1, failure_threshold: 1, ..exec() };
    let fed = |spec: &mut ProcessSpec| {
        spec.watchdog = Some(Watchdog { interval: s(3), require_ready: true });
    };
    // A probe that fails.
    let mut story = Story::new(|_| (), Some(probe)).up();
    story.falls(false, ms(100));
    story.wait(s(0));
    story.tell(Happening::Probed(true));
    story.now += s(60);
    assert_eq!(story.tell(Happening::Tick), [Deed::Probe]);
    assert_eq!(story.tell(Happening::Probed(false)), [Deed::Signal(15)]);
    story.falls(false, ms(100));
    // Its own word; and the time it takes to end is not spent in health.
    for (healthy, back_off) in [(s(60), ms(100)), (s(57), ms(200))] {
        let mut story = Story::new(fed, None).up();
        story.falls(false, ms(100));
        story.now += healthy;
        assert_eq!(story.tell(Happening::Trips), [Deed::Signal(15)]);
        story.now += s(4);
        story.falls(false, back_off);
    }
}

#[test]
fn a_probe_is_asked_when_it_is_time_and_so_often_as_is_wanted() {
    let mut story = Story::new(|_| (), Some(exec())).up();
    assert_eq!(story.it.stage(), Stage::Starting);
    assert_eq!(story.wait(s(1)), [Deed::Probe], "initial_delay");
    story.now += ms(500);
    assert_eq!(story.tell(Happening::Probed(true)), []);
    assert_eq!(story.it.stage(), Stage::Starting, "success_threshold");
    assert_eq!(story.wait(ms(9_500)), [Deed::Probe], "period, from one beginning to the next");
    story.tell(Happening::Probed(false));
    assert_eq!(story.wait(s(10)), [Deed::Probe]);
    story.tell(Happening::Probed(true));
    // In a row.
    assert_eq!(story.it.stage(), Stage::Starting);
    // Not in time: it has had 30 s.
    assert_eq!(story.wait(s(9)), [Deed::Signal(15)], "timeout");
    assert_eq!(story.it.stage(), Stage::Stopping);
    assert_eq!(story.tell(Happening::Ended { well: true }), []);
    assert_eq!(story.it.stage(), Stage::Waiting, "it failed, however it ended");
}

#[test]
fn one_that_is_ready_is_asked_on_and_restarted_when_it_is_not_well() {
    let ready = || {
        let mut story =
            Story::new(|_| (), Some(Probe { success_threshold: 1, timeout: None, ..exec() })).up();
        assert_eq!(story.wait(s(1)), [Deed::Probe]);
        story.tell(Happening::Probed(true));
        assert_eq!(story.it.stage(), Stage::Ready);
        story
    };
    let mut story = ready();
    for failure in 1..=2 {
        assert_eq!(story.wait(s(10)), [Deed::Probe]);
        assert_eq!(story.tell(Happening::Probed(false)), [], "{failure}");
        assert_eq!(story.it.stage(), Stage::Ready, "failure_threshold");
    }
    // A probe that hangs is ended, and counts as a failure.
    assert_eq!(story.wait(s(10)), [Deed::Probe]);
    assert_eq!(story.wait(s(2)), [Deed::EndProbe, Deed::Signal(15)], "probe_timeout");
    assert_eq!(story.wait(s(5)), [Deed::Kill], "grace");
    story.falls(true, ms(100));
    assert_eq!(story.it.stage(), Stage::Starting);

    let mut story = ready();
    story.it.restart.on = RestartOn::Never;
    for _ in 0..3 {
        assert_eq!(story.wait(s(10)), [Deed::Probe]);
        assert_eq!(story.tell(Happening::Probed(false)), []);
    }
    assert_eq!(story.it.stage(), Stage::Unhealthy, "nobody wants it restarted");
    assert_eq!(story.wait(s(10)), [Deed::Probe]);
    story.tell(Happening::Probed(true));
    assert_eq!(story.it.stage(), Stage::Ready);
}

#[test]
fn a_probe_that_takes_longer_than_its_period_is_asked_again_at_once() {
    let slow = Probe { period: s(1), until_ready: s(1), probe_timeout: s(5), success_threshold: 1, ..exec() };
    let mut story = Story::new(|_| (), Some(slow)).up();
    assert_eq!(story.wait(s(1)), [Deed::Probe]);
    story.now += s(3);
    story.tell(Happening::Probed(true));
    assert_eq!(story.wait(s(0)), [Deed::Probe]);
    // The answer of a probe of a life before is of no account.
    assert_eq!(story.tell(Happening::Ended { well: false }), [Deed::EndProbe]);
    assert_eq!(story.tell(Happening::Probed(true)), []);
    assert_eq!(story.it.stage(), Stage::Waiting);
}

#[test]
fn some_say_themselves_that_they_are_ready() {
    for (kind, says) in [
        (ProbeKind::Notify, Happening::SaysReady),
        (ProbeKind::Log("up".to_owned()), Happening::Probed(true)),
    ] {
        let mut story = Story::new(|_| (), Some(Probe { success_threshold: 1, ..probe(kind.clone()) })).up();
        assert_eq!((story.it.stage(), story.it.due()), (Stage::Starting, Some(s(30))), "{kind:?}");
        story.now += s(29);
        story.tell(Happening::Extends(s(10)));
        assert_eq!(story.it.due(), Some(s(39)), "EXTEND_TIMEOUT");
        assert_eq!(story.tell(says), []);
        assert_eq!((story.it.stage(), story.it.due()), (Stage::Ready, None), "{kind:?}");
    }
    // Of one that has another probe its word does not count.
    let mut story = Story::new(|_| (), Some(exec())).up();
    story.tell(Happening::SaysReady);
    assert_eq!(story.it.stage(), Stage::Starting);
}

#[test]
fn a_watchdog_wants_to_be_fed() {
    for require_ready in [false, true] {
        let change = |spec: &mut ProcessSpec| {
            spec.watchdog = Some(Watchdog { interval: s(3), require_ready });
        };
        let mut story = Story::new(change, Some(Probe { timeout: None, ..probe(ProbeKind::Notify) })).up();
        assert_eq!(story.it.due(), (!require_ready).then_some(s(3)));
        story.now += s(2);
        story.tell(Happening::SaysReady);
        assert_eq!(
            story.it.due(),
            Some(if require_ready { s(5) } else { s(3) }),
            "to be ready feeds nothing"
        );
        story.tell(Happening::Feeds);
        assert_eq!(story.it.due(), Some(s(5)));
        assert_eq!(story.wait(s(3)), [Deed::Signal(15)]);
        story.falls(true, ms(100));
    }
    let mut story = Story::new(|_| (), None).up();
    story.tell(Happening::Feeds);
    assert_eq!(story.it.due(), None, "it has none");
}

#[test]
fn one_may_say_itself_that_it_is_not_well() {
    let fed = |spec: &mut ProcessSpec| {
        spec.watchdog = Some(Watchdog { interval: s(3), require_ready: true });
    };
    // Also before it is ready, and before its watchdog is armed.
    let mut story = Story::new(fed, Some(probe(ProbeKind::Notify))).up();
    assert_eq!(story.tell(Happening::Trips), [Deed::Signal(15)]);
    assert_eq!(story.tell(Happening::Trips), [], "it is being ended");
    story.falls(true, ms(100));
    // The rules say what follows.
    let mut story = Story::new(
        |spec| {
            fed(spec);
            spec.restart.on = RestartOn::Never;
        },
        None,
    )
    .up();
    assert_eq!(story.tell(Happening::Trips), [Deed::Signal(15)]);
    story.tell(Happening::Ended { well: true });
    assert_eq!(story.it.stage(), Stage::Exited);
    assert_eq!(story.tell(Happening::Trips), [], "it is not there");
    // Of one without a watchdog it says nothing.
    let mut story = Story::new(|_| (), None).up();
    assert_eq!(story.tell(Happening::Trips), []);
    assert_eq!(story.it.stage(), Stage::Ready);
}

#[test]
fn until_it_is_ready_it_is_asked_more_often_and_what_it_is_about_may_take_longer() {
    let often = Probe { until_ready: ms(100), initial_delay: s(0), success_threshold: 1, ..exec() };
    let mut story = Story::new(|spec| spec.shutdown.grace = s(2), Some(often)).up();
    assert_eq!(story.wait(s(0)), [Deed::Probe]);
    for _ in 0..5 {
        story.tell(Happening::Probed(false));
        assert_eq!(story.it.stage(), Stage::Starting, "no failure counts before it is ready");
        assert_eq!(story.wait(ms(100)), [Deed::Probe]);
    }
    story.tell(Happening::Probed(true));
    assert_eq!(story.wait(s(10)), [Deed::Probe], "period");
    story.tell(Happening::Probed(true));
    // Its end may take longer, too; it is never shortened.
    assert_eq!(story.tell(Happening::Stop), [Deed::Signal(15)]);
    story.tell(Happening::Extends(s(1)));
    assert_eq!(story.it.due(), Some(story.now + s(2)));
    story.tell(Happening::Extends(s(30)));
    assert_eq!(story.wait(s(30)), [Deed::Kill]);
}

#[test]
fn other_rules_count_from_the_next_start_on() {
    let mut story = Story::new(|_| (), None).up();
    story.tell(Happening::Renew);
    let mut other = spec();
    other.restart = Restart { on: RestartOn::OnFailure, max: Some(0), window: None };
    other.shutdown = Shutdown { signal: 1, grace: s(1) };
    other.watchdog = Some(Watchdog { interval: s(3), require_ready: false });
    assert_eq!(story.tell(Happening::Ended { well: true }), [Deed::Spawn]);
    story.it.change(&other, Some(exec()));
    story.tell(Happening::Spawned);
    assert_eq!((story.it.stage(), story.it.due()), (Stage::Starting, Some(story.now + s(1))), "its probe");
    story.now += s(3);
    assert!(story.tell(Happening::Tick).contains(&Deed::Signal(1)), "its watchdog, its signal");
    assert_eq!(story.wait(s(1)), [Deed::Kill], "its grace");
    story.tell(Happening::Ended { well: true });
    assert_eq!(story.it.stage(), Stage::GaveUp, "its limit");
}

#[test]
fn one_that_is_wanted_again_while_it_is_being_stopped_begins_at_the_beginning() {
    let mut story = Story::new(|spec| spec.restart.max = Some(2), None).up();
    story.falls(false, ms(100));
    story.falls(false, ms(200));
    story.tell(Happening::Stop);
    assert_eq!(story.tell(Happening::Start), []);
    assert_eq!(story.it.stage(), Stage::Stopping);
    assert_eq!(story.it.due(), Some(story.now + s(5)), "it still has its grace");
    assert_eq!(story.tell(Happening::Ended { well: false }), [Deed::Spawn]);
    story.tell(Happening::Spawned);
    assert_eq!(story.it.restarts(), 0);
    story.falls(false, ms(100));
    story.falls(false, ms(200));
    // The last word counts.
    story.tell(Happening::Stop);
    story.tell(Happening::Start);
    story.tell(Happening::Stop);
    assert_eq!(story.tell(Happening::Ended { well: false }), []);
    assert_eq!((story.it.stage(), story.it.due()), (Stage::Stopped, None));
}

#[test]
fn who_ends_by_itself_is_not_asked_any_more() {
    let mut story = Story::new(|_| (), Some(exec())).up();
    story.wait(s(1));
    assert_eq!(story.tell(Happening::SaysStopping), [Deed::EndProbe]);
    assert_eq!(story.it.due(), None);
    story.tell(Happening::Ended { well: true });
    assert_eq!(story.it.stage(), Stage::Exited);
}

#[test]
fn a_stop_wins() {
    let signal = |spec: &mut ProcessSpec| spec.shutdown = Shutdown { signal: 2, grace: s(1) };
    let up = || Story::new(signal, None).up();
    // While it runs, and whoever is to wait waits no longer than the grace.
    let mut story = up();
    assert_eq!(story.tell(Happening::Stop), [Deed::Signal(2)]);
    assert_eq!(story.wait(s(1)), [Deed::Kill]);
    assert_eq!(story.it.due(), None, "it is killed once");
    story.tell(Happening::Ended { well: false });
    assert_eq!(story.it.stage(), Stage::Stopped);
    // While a restart is waited for.
    let mut story = up();
    story.tell(Happening::Ended { well: false });
    assert_eq!(story.tell(Happening::Stop), []);
    assert_eq!((story.it.stage(), story.it.due()), (Stage::Stopped, None));
    // While it is being ended to begin anew.
    let mut story = up();
    assert_eq!(story.tell(Happening::Renew), [Deed::Signal(2)]);
    assert_eq!(story.tell(Happening::Stop), []);
    assert_eq!(story.tell(Happening::Ended { well: true }), []);
    assert_eq!(story.it.stage(), Stage::Stopped);
    // Before it could be started.
    let mut story = Story::new(signal, None);
    story.tell(Happening::Start);
    assert_eq!(story.tell(Happening::Stop), [Deed::Signal(2)]);
    story.tell(Happening::NotSpawned);
    assert_eq!(story.it.stage(), Stage::Stopped);
    // Who is not there is not stopped.
    assert_eq!(story.tell(Happening::Stop), []);
}

#[test]
fn beginning_anew_waits_for_nothing_and_counts_for_nothing() {
    let mut story = Story::new(|_| (), None).up();
    assert_eq!(story.tell(Happening::Renew), [Deed::Signal(15)]);
    assert_eq!(story.tell(Happening::Ended { well: false }), [Deed::Spawn]);
    story.tell(Happening::Spawned);
    assert_eq!(story.it.restarts(), 0);
    // Also where a restart is waited for, whoever asks.
    for asked in [Happening::Renew, Happening::Start] {
        story.tell(Happening::Ended { well: false });
        assert_eq!(story.wait(FIRST_WAIT), [Deed::Spawn]);
        story.tell(Happening::Spawned);
        story.tell(Happening::Ended { well: false });
        assert_eq!((story.it.restarts(), story.it.due()), (2, Some(story.now + FIRST_WAIT * 2)));
        assert_eq!(story.tell(asked), [Deed::Spawn]);
        story.tell(Happening::Spawned);
        assert_eq!(story.it.restarts(), 0);
    }
    story.tell(Happening::Ended { well: false });
    assert_eq!(story.it.due(), Some(story.now + FIRST_WAIT));
    assert_eq!(story.wait(FIRST_WAIT), [Deed::Spawn]);
    story.tell(Happening::Spawned);
    assert_eq!((story.it.restarts(), story.tell(Happening::Renew)), (1, vec![Deed::Signal(15)]));
    assert_eq!(story.it.restarts(), 0, "also one that is up");
    assert_eq!(story.tell(Happening::Ended { well: true }), [Deed::Spawn]);
    story.tell(Happening::Spawned);
    // One that is wanted again while it is being stopped.
    story.tell(Happening::Stop);
    assert_eq!(story.tell(Happening::Start), []);
    assert_eq!(story.tell(Happening::Ended { well: true }), [Deed::Spawn]);
    // Nobody asked for this one.
    let mut story = Story::new(|_| (), None);
    assert_eq!(story.tell(Happening::Renew), []);
    assert_eq!(story.it.stage(), Stage::NotStarted);
}

/// What a process and whoever starts and asks it may do, at random.
struct World {
    rng: Rng,
    now: Duration,
    it: Supervisor,
    spec: ProcessSpec,
    /// Whether it was started and has not ended; it may not be up yet.
    lives: bool,
    is_up: bool,
    probing: bool,
    /// When it was told to end, by the signal that may be ignored.
    signalled: Option<Duration>,
    killed: bool,
    /// Somebody has asked for it, and nobody has asked for its end since.
    wanted: bool,
    /// How often it was started by itself since somebody asked for it.
    restarts: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut spec = spec();
        let some = |rng: &mut Rng, most: u64| ms(rng.u64(0..most));
        spec.restart = Restart {
            on: [RestartOn::Never, RestartOn::Always, RestartOn::OnFailure][rng.usize(0..3)],
            max: rng.bool().then(|| rng.u32(0..6)),
            window: rng.bool().then(|| some(&mut rng, 100_000)),
        };
        spec.shutdown.grace = some(&mut rng, 10_000);
        if rng.bool() {
            spec.watchdog =
                Some(Watchdog { interval: some(&mut rng, 20_000) + ms(1), require_ready: rng.bool() });
        }
        let kinds = [exec().kind, ProbeKind::Notify, ProbeKind::Log(String::new())];
        let probe = rng.bool().then(|| Probe {
            kind: kinds[rng.usize(0..3)].clone(),
            initial_delay: some(&mut rng, 3_000),
            until_ready: some(&mut rng, 10_000),
            period: some(&mut rng, 10_000),
            probe_timeout: some(&mut rng, 3_000),
            timeout: rng.bool().then(|| some(&mut rng, 60_000)),
            success_threshold: rng.u32(1..4),
            failure_threshold: rng.u32(1..4),
        });
        Self {
            it: Supervisor::new(&spec, probe),
            rng,
            now: Duration::ZERO,
            spec,
            lives: false,
            is_up: false,
            probing: false,
            signalled: None,
            killed: false,
            wanted: false,
            restarts: 0,
        }
    }

    /// What can happen next, and how long until then.
    fn next(&mut self) -> (Happening, Duration) {
        let until_due = self.it.due().map(|due| due.saturating_sub(self.now));
        let soon = ms(self.rng.u64(0..4_000));
        // It comes at its time, or a little later; before that something else may happen.
        if let Some(due) = until_due.filter(|due| *due <= soon || self.rng.u8(0..3) == 0) {
            return (Happening::Tick, due + ms(self.rng.u64(0..3)));
        }
        let what = match self.rng.u8(0..20) {
            0 => Happening::Start,
            1 if self.rng.u8(0..4) == 0 => Happening::Stop,
            2 => Happening::Renew,
            3 => Happening::SaysReady,
            4 => Happening::SaysStopping,
            5 | 6 => Happening::Feeds,
            7 if self.rng.bool() => Happening::Trips,
            7 => Happening::Extends(ms(self.rng.u64(0..10_000))),
            _ if self.lives && !self.is_up && self.rng.u8(0..8) == 0 => Happening::NotSpawned,
            _ if self.lives && !self.is_up => Happening::Spawned,
            _ if self.killed => Happening::Ended { well: false },
            8..=12 => Happening::Probed(self.rng.u8(0..3) > 0),
            13 if self.lives => Happening::Ended { well: self.rng.bool() },
            14 | 15 if self.signalled.is_some() => Happening::Ended { well: self.rng.bool() },
            _ => Happening::Tick,
        };
        (what, soon)
    }

    fn step(&mut self) {
        let (what, after) = self.next();
        self.now += after;
        match what {
            Happening::Start => (self.wanted, self.restarts) = (true, 0),
            Happening::Stop => self.wanted = false,
            Happening::Renew if self.wanted => self.restarts = 0,
            Happening::Spawned => self.is_up = true,
            Happening::NotSpawned | Happening::Ended { .. } => {
                (self.lives, self.is_up, self.signalled, self.killed) = (false, false, None, false);
            }
            Happening::Probed(_) => self.probing = false,
            _ => {}
        }
        let was = self.it.stage();
        let deeds = self.it.tell(what, self.now);
        for deed in &deeds {
            let told = format!("{what:?} at {:?}: {deeds:?} from {was:?} {:?}", self.now, self.it);
            match deed {
                Deed::Spawn => {
                    assert!(!self.lives && self.wanted, "it lives, or nobody wants it: {told}");
                    self.lives = true;
                    let by_itself = what == Happening::Tick;
                    self.restarts += u32::from(by_itself);
                    if let (Restart { max: Some(max), window: None, .. }, true) =
                        (&self.spec.restart, by_itself)
                    {
                        assert!(self.restarts <= *max, "too often: {told}");
                    }
                }
                Deed::Probe => {
                    assert!(self.is_up && !self.probing && self.signalled.is_none(), "{told}");
                    self.probing = true;
                }
                Deed::EndProbe => {
                    self.probing = false;
                }
                Deed::Signal(_) => {
                    assert!(self.lives && self.signalled.is_none(), "it was told before: {told}");
                    self.signalled = Some(self.now);
                }
                Deed::Kill => {
                    let grace = self.signalled.map(|then| self.now.saturating_sub(then));
                    assert!(grace.is_some_and(|had| had >= self.spec.shutdown.grace), "no grace: {told}");
                    assert!(!std::mem::replace(&mut self.killed, true), "killed twice: {told}");
                }
            }
        }
        self.check(what);
    }

    /// What has to hold at every moment.
    fn check(&self, what: Happening) {
        let (stage, told) = (self.it.stage(), format!("{what:?} at {:?}: {:?}", self.now, self.it));
        assert_eq!(stage.is_at_rest() || stage == Stage::Waiting, !self.lives, "{told}");
        assert_eq!(stage == Stage::Stopping, self.signalled.is_some(), "{told}");
        match stage {
            _ if stage.is_at_rest() => assert_eq!(self.it.due(), None, "{told}"),
            Stage::Waiting => {
                assert!(self.wanted, "{told}");
                assert!(self.it.due().is_some_and(|due| due <= self.now + LONGEST_WAIT), "{told}");
            }
            Stage::Stopping => {
                assert!(self.killed || self.it.due().is_some(), "it is waited for without end: {told}")
            }
            _ => assert!(self.wanted, "{told}"),
        }
    }
}

/// A million things that happen, over more than a day of each of a thousand processes' time.
#[test]
fn nothing_impossible_happens_in_a_long_time() {
    let (mut simulated, mut stages) = (Duration::ZERO, std::collections::BTreeSet::new());
    for seed in 0..1_000 {
        let mut world = World::new(seed);
        for _ in 0..1_000 {
            world.step();
            stages.insert(world.it.stage());
        }
        simulated += world.now;
    }
    assert!(simulated > s(24 * 60 * 60), "{simulated:?}");
    assert_eq!(stages.len(), 9, "each stage was reached: {stages:?}");
}
