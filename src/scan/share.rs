//! Sharing out work among threads.

use std::{
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// How many pieces a thread takes at once.
const AT_ONCE: usize = 8;

/// Does the pieces `0..count`, each once, on this thread and on others beside it, if it is more than one thread is
/// better off with alone. What each thread made of its pieces.
pub(super) fn share<P: Default + Send>(
    count: usize,
    threads: NonZero<usize>,
    is_much: bool,
    work: impl Fn(usize, &mut P) + Sync,
) -> Vec<P> {
    let next = AtomicUsize::new(0);
    let work_on = || {
        let mut part = P::default();
        loop {
            let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
            if from >= count {
                return part;
            }
            (from..count.min(from + AT_ONCE)).for_each(|piece| work(piece, &mut part));
        }
    };
    let helpers = if is_much { threads.get() - 1 } else { 0 };
    thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work_on)).collect();
        let mut parts = vec![work_on()];
        // A panic of a helper is a bug and goes on as one.
        let join = |helper: thread::ScopedJoinHandle<'_, P>| {
            helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        parts.extend(helpers.into_iter().map(join));
        parts
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once() {
        for (count, threads, is_much) in [(0, 2, true), (1, 2, true), (100, 3, true), (100, 3, false)] {
            let threads = NonZero::new(threads).unwrap();
            let parts = share(count, threads, is_much, |piece, part: &mut Vec<usize>| part.push(piece));
            assert_eq!(parts.len(), if is_much { threads.get() } else { 1 });
            let mut done = parts.concat();
            done.sort_unstable();
            assert_eq!(done, (0..count).collect::<Vec<_>>());
        }
    }
}
