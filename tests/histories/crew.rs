//! Many histories at once, on threads.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::{
    count::Count,
    play::{Divergence, Player},
    steps::History,
};

/// Sandboxes a thread has laid out ahead, so that none has to wait for its files to grow old.
const AHEAD: usize = 16;

/// What a number of histories came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) count: Count,
    /// Those that failed, by their seeds.
    pub(crate) failures: Vec<(u64, Divergence)>,
}

/// Which histories, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) first: u64,
    pub(crate) number: u64,
    pub(crate) fault: Option<&'static str>,
    /// Whether a watch takes the place of runs.
    pub(crate) watched: bool,
    /// Whether the first failure is enough.
    pub(crate) one_is_enough: bool,
}

impl Order {
    fn history(self, seed: u64) -> History {
        if self.watched { History::watched(seed) } else { History::random(seed) }
    }
}

/// Plays them all.
pub(crate) fn play(order: Order) -> Report {
    let (next, stop, report) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(Report::default()));
    // One more than there are cores: a history often waits for its children.
    let threads = thread::available_parallelism().map_or(2, usize::from) + 1;
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(order, &next, &stop, &report));
        }
    });
    let mut report = report.into_inner().unwrap();
    report.failures.sort_by_key(|(seed, _)| *seed);
    report
}

fn work(order: Order, next: &AtomicU64, stop: &AtomicBool, report: &Mutex<Report>) {
    let mut ahead: VecDeque<(u64, Player)> = VecDeque::new();
    loop {
        while ahead.len() < AHEAD {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= order.number {
                break;
            }
            let seed = order.first.wrapping_add(number);
            ahead.push_back((seed, Player::new(order.history(seed), order.fault)));
        }
        let Some((seed, mut player)) = ahead.pop_front() else { return };
        if stop.load(Ordering::Relaxed) {
            return;
        }
        player.grow();
        // A panic is the harness', but which history it was must be told all the same.
        let result = catch_unwind(AssertUnwindSafe(|| player.play()));
        let mut report = report.lock().unwrap();
        report.count.add(player.count);
        let divergence = match result {
            Ok(Ok(())) => continue,
            Ok(Err(divergence)) => divergence,
            Err(_) => Divergence { step: 0, wrong: vec!["the harness panicked".to_owned()] },
        };
        if !order.one_is_enough {
            // At once: the rest may take long, and making it small as well.
            eprintln!("seed {seed} fails at step {}: {:?}", divergence.step, divergence.wrong);
        }
        report.failures.push((seed, divergence));
        stop.fetch_or(order.one_is_enough, Ordering::Relaxed);
    }
}
