//! In which column a box stands: right of everything it waits for.

use super::Edge;

/// A column is crowded with this many boxes, and half as many again as an even share.
const CROWD: usize = 12;
/// How many columns are asked at most whether they have room.
const FAR: usize = 64;

/// The column of each box, from 0; none is empty. Ends of edges ascend.
///
/// As far left as what it waits for allows. Then a box with more edges that leave than arrive moves right towards
/// what waits for it, for that makes lines shorter; and one with as many leaves a crowded column for another.
pub(super) fn layers(count: usize, edges: &[Edge]) -> Vec<usize> {
    let mut edges: Vec<&Edge> = edges.iter().collect();
    edges.sort_by_key(|edge| edge.from);
    let mut layer = vec![0; count];
    let mut surplus = vec![0isize; count];
    // Everything into a box comes from smaller numbers, so what it begins at is known by then.
    for edge in &edges {
        layer[edge.to] = layer[edge.to].max(layer[edge.from] + 1);
        surplus[edge.from] += 1;
        surplus[edge.to] -= 1;
    }
    let columns = layer.iter().max().map_or(1, |last| last + 1);
    let mut boxes = vec![0usize; columns];
    layer.iter().for_each(|at| boxes[*at] += 1);
    let crowd = CROWD.max(count * 3 / (columns * 2));
    let mut rest = edges.as_slice();
    for node in (0..count).rev() {
        let mut nearest = None;
        while let Some((edge, before)) = rest.split_last().filter(|(edge, _)| edge.from == node) {
            nearest = nearest.map_or(Some(layer[edge.to]), |near: usize| Some(near.min(layer[edge.to])));
            rest = before;
        }
        let (here, Some(nearest)) = (layer[node], nearest) else { continue };
        let is_crowded = boxes[here] > crowd;
        if surplus[node] > 0 || surplus[node] == 0 && is_crowded {
            let with_room = (here + 1..nearest).rev().take(FAR).find(|at| boxes[*at] < crowd);
            let there = if surplus[node] > 0 { nearest - 1 } else { here };
            layer[node] = with_room.unwrap_or(there);
            boxes[here] -= 1;
            boxes[layer[node]] += 1;
        }
    }
    without_gaps(layer)
}

/// The same columns, those without a box left out.
fn without_gaps(mut layer: Vec<usize>) -> Vec<usize> {
    let mut number = vec![usize::MAX; layer.iter().max().map_or(0, |last| last + 1)];
    layer.iter().for_each(|at| number[*at] = 0);
    let used = number.iter_mut().filter(|n| **n == 0);
    used.enumerate().for_each(|(at, n)| *n = at);
    layer.iter_mut().for_each(|at| *at = number[*at]);
    layer
}
