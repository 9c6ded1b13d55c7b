//! Who waited for whom: how long a task had only a slot to wait for, and the longest chain of them all.
//!
//! The log tells which task is upstream of which, but not for what of it a task waits: its end, or that it has begun or
//! is ready (spec section 2). What began before something upstream of it ended did not wait for that end.

use super::Row;

/// When a task had nothing to wait for any more but a slot, as far as others are concerned.
pub(super) fn free_from(rows: &[Row], place: usize) -> f64 {
    let row = &rows[place];
    let Some(bar) = row.bar else { return 0.0 };
    let moments = row.after.iter().map(|upstream| {
        let upstream = &rows[*upstream];
        let began = upstream.bar.map(|bar| bar.begin_ms);
        let done = match (upstream.is_process, upstream.bar) {
            (true, _) => upstream.ready_ms.or(began),
            (false, Some(bar)) => Some(bar.end_ms),
            (false, None) => upstream.told_ms,
        };
        done.filter(|done| *done <= bar.begin_ms).or(began).unwrap_or(0.0)
    });
    moments.fold(0.0, f64::max).min(bar.begin_ms)
}

/// How long the run would have taken if nothing had waited for a slot, and tasks had not slowed each other down: every
/// other delay is as it was, the time that processes take to be ready among them.
pub(super) fn unlimited(rows: &[Row], wall_ms: f64) -> f64 {
    let (mut begins, mut ends) = (vec![0.0_f64; rows.len()], vec![0.0_f64; rows.len()]);
    let mut last = 0.0_f64;
    for (place, row) in rows.iter().enumerate() {
        let upstream = row.after.iter().map(|&upstream| match waits_for_end(rows, upstream, place) {
            true => ends[upstream],
            false => begins[upstream],
        });
        let free = upstream.fold(0.0, f64::max);
        let lag =
            row.bar.map_or(0.0, |bar| bar.begin_ms - row.waited_ms.unwrap_or(0.0) - free_from(rows, place));
        begins[place] = free + lag.max(0.0);
        let ready = row.ready_ms.zip(row.bar).map_or(0.0, |(ready, bar)| (ready - bar.begin_ms).max(0.0));
        ends[place] = begins[place] + if row.is_process { ready } else { length(row) };
        last = last.max(ends[place]);
    }
    let tasks = rows.iter().filter(|row| !row.is_process).filter_map(|row| row.bar);
    let ended = tasks.map(|bar| bar.end_ms).fold(0.0, f64::max);
    last + (wall_ms - ended).max(0.0)
}

/// How long a task keeps those downstream waiting. A process does as long as it is not ready, which is no work.
fn length(row: &Row) -> f64 {
    row.bar.filter(|_| !row.is_process).map_or(0.0, |bar| bar.length_ms())
}

/// Whether a task waits for the end of another, which is upstream of it, or, if that is a process, for it to be ready.
fn waits_for_end(rows: &[Row], upstream: usize, place: usize) -> bool {
    let upstream = &rows[upstream];
    let end = if upstream.is_process { upstream.ready_ms } else { upstream.bar.map(|bar| bar.end_ms) };
    match (end, rows[place].bar) {
        (Some(end), Some(bar)) => end <= bar.begin_ms,
        _ => true,
    }
}

/// The longest chain, first to last, and how long it is: what the run would take if every task began as soon as what
/// is upstream of it lets it.
pub(super) fn longest(rows: &[Row]) -> (Vec<usize>, f64) {
    let mut begins = vec![0.0_f64; rows.len()];
    let mut ends = vec![0.0_f64; rows.len()];
    let mut from: Vec<Option<(usize, bool)>> = vec![None; rows.len()];
    for (place, row) in rows.iter().enumerate() {
        for &upstream in &row.after {
            let whole = waits_for_end(rows, upstream, place);
            let moment = if whole { ends[upstream] } else { begins[upstream] };
            if moment > begins[place] {
                (begins[place], from[place]) = (moment, Some((upstream, whole)));
            }
        }
        ends[place] = begins[place] + length(row);
    }
    let last = (0..rows.len()).max_by(|a, b| ends[*a].total_cmp(&ends[*b]).then(b.cmp(a)));
    let mut path = Vec::new();
    let mut at = last.map(|place| (place, true));
    while let Some((place, whole)) = at {
        if whole && length(&rows[place]) > 0.0 {
            path.push(place);
        }
        at = from[place];
    }
    path.reverse();
    (path, last.map_or(0.0, |place| ends[place]))
}
