//! The timer behind directories without events. There is one only while there are such directories.

use std::{sync::Arc, thread, time::Duration};

use super::state::Sharing;

/// Sees to it that the timer runs if it is needed. Where no thread can be had, the next call tries again.
pub(super) fn ensure(shared: &Sharing, interval: Duration) {
    let mut state = shared.state();
    if state.timer_runs || state.places.polled() == 0 {
        return;
    }
    let for_thread = Arc::clone(shared);
    let thread = thread::Builder::new().name("devtask poll".to_owned());
    state.timer_runs = thread.spawn(move || run(&for_thread, interval)).is_ok();
}

fn run(shared: &Sharing, interval: Duration) {
    loop {
        let state = shared.state();
        let waits = shared
            .timer
            .wait_timeout_while(state, interval, |state| !state.closed && state.places.polled() > 0);
        let (mut state, waited) = waits.unwrap_or_else(std::sync::PoisonError::into_inner);
        if !waited.timed_out() {
            state.timer_runs = false;
            return;
        }
        state.poll();
        drop(state);
        shared.wake();
    }
}
