//! Who stands above whom in a column: few lines cross.

use super::{Edge, LED};

/// How often the columns are gone through, to and fro.
const SWEEPS: usize = 12;

/// The boxes of a part, and the places where long lines pass a column, as items of one kind: lines join items of
/// neighbouring columns only. The boxes come first.
#[derive(Debug)]
pub(super) struct Net {
    /// The column of each item.
    pub(super) layer: Vec<usize>,
    /// The items left and right of each that a line joins it with.
    pub(super) up: Vec<Vec<usize>>,
    pub(super) down: Vec<Vec<usize>>,
    /// Of each box: the first of its passages, which follow each other. The lines out of a box share them.
    passages: Vec<Option<usize>>,
}

impl Net {
    pub(super) fn new(layer: &[usize], edges: &[Edge]) -> Self {
        let mut net = Self {
            layer: layer.to_vec(),
            up: vec![Vec::new(); layer.len()],
            down: vec![Vec::new(); layer.len()],
            passages: vec![None; layer.len()],
        };
        net.lead(edges);
        for edge in edges {
            match net.between(edge).last() {
                Some(last) => net.join(last, edge.to),
                None if layer[edge.from] + 1 == layer[edge.to] => net.join(edge.from, edge.to),
                None => {}
            }
        }
        net
    }

    /// Makes passages, the short ones first, as many as are allowed.
    fn lead(&mut self, edges: &[Edge]) {
        let boxes = self.passages.len();
        let mut length = vec![0; boxes];
        for edge in edges {
            let passed = self.layer[edge.to] - self.layer[edge.from] - 1;
            length[edge.from] = passed.max(length[edge.from]);
        }
        let mut long: Vec<usize> = (0..boxes).filter(|node| length[*node] > 0).collect();
        long.sort_by_key(|node| length[*node]);
        let mut left = LED * (boxes + edges.len());
        for node in long {
            if length[node] > left {
                break;
            }
            left -= length[node];
            self.passages[node] = Some(self.layer.len());
            let mut previous = node;
            for step in 1..=length[node] {
                let item = self.layer.len();
                self.layer.push(self.layer[node] + step);
                self.up.push(Vec::new());
                self.down.push(Vec::new());
                self.join(previous, item);
                previous = item;
            }
        }
    }

    fn join(&mut self, from: usize, to: usize) {
        self.down[from].push(to);
        self.up[to].push(from);
    }

    /// The passages of an edge.
    pub(super) fn between(&self, edge: &Edge) -> std::ops::Range<usize> {
        let passed = self.layer[edge.to] - self.layer[edge.from] - 1;
        self.passages[edge.from].map_or(0..0, |first| first..first + passed)
    }

    /// Whether an item is a passage.
    pub(super) fn is_passage(&self, item: usize) -> bool {
        item >= self.passages.len()
    }

    /// The items of each column, in the order of their numbers.
    pub(super) fn columns(&self) -> Vec<Vec<usize>> {
        self.columns_of(0..self.layer.len())
    }

    fn columns_of(&self, items: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
        let mut columns = vec![Vec::new(); self.layer.iter().max().map_or(0, |last| last + 1)];
        items.for_each(|item| columns[self.layer[item]].push(item));
        columns
    }

    /// The items as somebody meets them who follows each line as far as it goes before the next.
    fn followed(&self) -> Vec<usize> {
        let mut met = vec![false; self.layer.len()];
        let mut order = Vec::with_capacity(met.len());
        let mut stack: Vec<usize> = (0..met.len()).rev().filter(|item| self.up[*item].is_empty()).collect();
        while let Some(item) = stack.pop() {
            if !std::mem::replace(&mut met[item], true) {
                order.push(item);
                stack.extend(self.down[item].iter().rev().filter(|next| !met[**next]));
            }
        }
        order
    }
}

/// The columns from top to bottom. No more lines cross than in the order of the boxes' numbers.
pub(super) fn arranged(net: &Net) -> Vec<Vec<usize>> {
    let mut best = net.columns();
    let mut fewest = crossings(net, &best);
    for mut columns in [net.columns_of(net.followed().into_iter()), best.clone()] {
        for sweep in 0..=SWEEPS {
            if fewest == 0 {
                return best;
            }
            if sweep > 0 {
                swept(net, &mut columns, sweep % 2 == 1);
            }
            let cross = crossings(net, &columns);
            if cross < fewest {
                (fewest, best) = (cross, columns.clone());
            }
        }
    }
    best
}

/// Goes through the columns, each ordered by where its items' neighbours stand in the one before.
fn swept(net: &Net, columns: &mut [Vec<usize>], rightwards: bool) {
    let mut at = vec![0.0; net.layer.len()];
    let count = columns.len();
    for step in 0..count {
        let column = &mut columns[if rightwards { step } else { count - 1 - step }];
        let near = if rightwards { &net.up } else { &net.down };
        let mean = |item: usize| near[item].iter().map(|n| at[*n]).sum::<f64>() / near[item].len() as f64;
        let mut moved: Vec<(f64, usize)> =
            column.iter().filter(|item| !near[**item].is_empty()).map(|item| (mean(*item), *item)).collect();
        moved.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Those nothing pulls stay where they are.
        let places = column.iter_mut().filter(|item| !near[**item].is_empty());
        places.zip(moved).for_each(|(place, (_, item))| *place = item);
        column.iter().enumerate().for_each(|(place, item)| at[*item] = place as f64);
    }
}

/// How many lines cross.
pub(super) fn crossings(net: &Net, columns: &[Vec<usize>]) -> usize {
    let mut at = vec![0; net.layer.len()];
    columns.iter().for_each(|column| column.iter().enumerate().for_each(|(place, item)| at[*item] = place));
    let mut all = 0;
    for pair in columns.windows(2) {
        // Lines by their left end: two cross if the right ends are the other way round.
        let mut ends = Vec::new();
        for item in &pair[0] {
            let begin = ends.len();
            ends.extend(net.down[*item].iter().map(|to| at[*to]));
            ends[begin..].sort_unstable();
        }
        all += inversions(&ends, pair[1].len());
    }
    all
}

/// How many pairs of numbers below `limit` stand in the wrong order: a Fenwick tree counts those seen so far.
fn inversions(numbers: &[usize], limit: usize) -> usize {
    let mut tree = vec![0usize; limit + 1];
    let mut all = 0;
    for (seen, number) in numbers.iter().enumerate() {
        let (mut at, mut not_above) = (number + 1, 0);
        while at > 0 {
            not_above += tree[at];
            at &= at - 1;
        }
        all += seen - not_above;
        at = number + 1;
        while at <= limit {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    all
}
