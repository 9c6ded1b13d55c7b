//! In which column a box stands: right of everything it waits for.

use super::Edge;

/// The column of each box, from 0; none is empty. Ends of edges ascend.
///
/// As far left as what it waits for allows; a box with more edges that leave than arrive moves right towards
/// what waits for it, for that makes lines shorter.
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
    let mut nearest = vec![usize::MAX; count];
    let mut rest = edges.as_slice();
    for node in (0..count).rev() {
        while let Some((edge, before)) = rest.split_last().filter(|(edge, _)| edge.from == node) {
            nearest[node] = nearest[node].min(layer[edge.to]);
            rest = before;
        }
        if surplus[node] > 0 {
            layer[node] = nearest[node] - 1;
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
