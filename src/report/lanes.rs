//! Bars side by side: each in the first lane that is free when it begins.

use super::{Bar, Row};

/// Gives every bar its lane. How many lanes there are of tasks, and of processes.
pub(super) fn assign(rows: &mut [Row], begun: &[usize]) -> (usize, usize) {
    let mut order: Vec<usize> = begun.to_vec();
    let begin = |row: &Row| row.bar.map_or(0.0, |bar| bar.begin_ms);
    // What began in the same millisecond stays in the order in which it was told: a slot is given on at once.
    order.sort_by(|a, b| begin(&rows[*a]).total_cmp(&begin(&rows[*b])));
    let (mut slots, mut processes) = (Vec::new(), Vec::new());
    for place in order {
        let row = &mut rows[place];
        let lanes = if row.is_process { &mut processes } else { &mut slots };
        if let Some(bar) = &mut row.bar {
            bar.lane = take(lanes, *bar);
        }
    }
    (slots.len(), processes.len())
}

/// The first lane that is free, or a new one.
fn take(free_from: &mut Vec<f64>, bar: Bar) -> usize {
    match free_from.iter().position(|from| *from <= bar.begin_ms) {
        Some(lane) => {
            free_from[lane] = bar.end_ms;
            lane
        }
        None => {
            free_from.push(bar.end_ms);
            free_from.len() - 1
        }
    }
}
