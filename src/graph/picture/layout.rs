//! Where boxes and edges go: layers from left to right, few crossings, straight lines where there is room.
//!
//! Each part that hangs together is laid out by itself: [`layers`] says in which column a box stands,
//! [`order`] who stands above whom in it, [`place`] at which height. [`pack`] puts the parts beside each
//! other. The same graph is always laid out the same way. Nothing recurses, and everything is linear in
//! boxes and edges but for the sorting within columns.

mod layers;
mod order;
mod pack;
mod place;

use order::Net;

/// Between two boxes of a column, at least; lines keep half of it.
const GAP: f64 = 14.0;
/// Between two columns, at least.
const CHANNEL: f64 = 44.0;
/// The same, at most: steep lines get more room.
const WIDEST_CHANNEL: f64 = 220.0;
/// How many columns, for each box and edge, lines may be led through. What is longer than that allows goes
/// straight to its end.
const LED: usize = 4;

/// How much room something takes, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A box that has its place: its upper left corner and its size, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Placed {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A stretch of a line that is level: it passes a column, or touches a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    pub(super) from_x: f64,
    pub(super) to_x: f64,
    pub(super) y: f64,
}

/// A graph with a place for everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layout {
    /// The boxes, in the order they were given in. Those of a column are of one width.
    pub(super) boxes: Vec<Placed>,
    /// The lines, in the order of the edges: each begins at the right of its box and ends at the left of
    /// another. Between two stretches it may bend.
    pub(super) lines: Vec<Vec<Level>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Lays out a graph. Edges lead from a smaller to a larger number: the boxes come in topological order.
pub(super) fn lay_out(sizes: &[Size], edges: &[(usize, usize)]) -> Layout {
    let parts: Vec<Part> = parts(sizes.len(), edges).into_iter().map(|part| part.laid_out(sizes)).collect();
    let areas: Vec<Size> = parts.iter().map(|part| part.area).collect();
    let (corners, whole) = pack::packed(&areas);
    let mut layout = Layout {
        boxes: vec![Placed::default(); sizes.len()],
        lines: vec![Vec::new(); edges.len()],
        width: whole.width,
        height: whole.height,
    };
    for (part, (x, y)) in parts.into_iter().zip(corners) {
        for (placed, node) in part.boxes.iter().zip(&part.nodes) {
            layout.boxes[*node] = Placed { x: placed.x + x, y: placed.y + y, ..*placed };
        }
        for (line, edge) in part.lines.into_iter().zip(&part.edges) {
            let moved = |l: Level| Level { from_x: l.from_x + x, to_x: l.to_x + x, y: l.y + y };
            layout.lines[edge.number] = line.into_iter().map(moved).collect();
        }
    }
    layout
}

/// An edge within a part, its ends counted there.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: usize,
    to: usize,
    /// Which of all edges it is.
    number: usize,
}

/// What hangs together.
#[derive(Debug, Default)]
struct Part {
    /// Which of all boxes are in it, ascending.
    nodes: Vec<usize>,
    edges: Vec<Edge>,
    boxes: Vec<Placed>,
    lines: Vec<Vec<Level>>,
    area: Size,
}

impl Default for Size {
    fn default() -> Self {
        Self { width: 0.0, height: 0.0 }
    }
}

/// The parts of a graph that hang together, in the order of their first boxes.
fn parts(count: usize, edges: &[(usize, usize)]) -> Vec<Part> {
    let mut leader: Vec<usize> = (0..count).collect();
    let find = |leader: &mut Vec<usize>, mut node: usize| {
        while leader[node] != node {
            leader[node] = leader[leader[node]];
            node = leader[node];
        }
        node
    };
    for (from, to) in edges {
        let (a, b) = (find(&mut leader, *from), find(&mut leader, *to));
        leader[a.max(b)] = a.min(b);
    }
    let mut parts: Vec<Part> = Vec::new();
    // Of each box: its part, and which one it is there. A leader is the first of its part.
    let mut home: Vec<(usize, usize)> = vec![(0, 0); count];
    for node in 0..count {
        let first = find(&mut leader, node);
        let at = if first == node { parts.len() } else { home[first].0 };
        if first == node {
            parts.push(Part::default());
        }
        home[node] = (at, parts[at].nodes.len());
        parts[at].nodes.push(node);
    }
    for (number, (from, to)) in edges.iter().enumerate() {
        let edge = Edge { from: home[*from].1, to: home[*to].1, number };
        parts[home[*from].0].edges.push(edge);
    }
    parts
}

impl Part {
    fn laid_out(mut self, sizes: &[Size]) -> Self {
        let sizes: Vec<Size> = self.nodes.iter().map(|node| sizes[*node]).collect();
        let layer = layers::layers(sizes.len(), &self.edges);
        let net = Net::new(&layer, &self.edges);
        let columns = order::arranged(&net);
        let height = |item: usize| sizes.get(item).map_or(0.0, |size| size.height);
        let y = place::heights(&net, &columns, height);
        let xs = channels(&net, &columns, &y, &sizes);
        self.boxes = (0..sizes.len())
            .map(|node| {
                let (x, width) = xs[net.layer[node]];
                Placed { x, y: y[node] - sizes[node].height / 2.0, width, height: sizes[node].height }
            })
            .collect();
        self.lines = self.edges.iter().map(|edge| self.line(edge, &net, &xs, &y)).collect();
        self.area = Size {
            width: xs.last().map_or(0.0, |(x, width)| x + width),
            height: self
                .boxes
                .iter()
                .map(|b| b.y + b.height)
                .chain(y[sizes.len()..].iter().copied())
                .fold(0.0, f64::max),
        };
        self
    }

    /// From box to box, level in every column that is passed.
    fn line(&self, edge: &Edge, net: &Net, xs: &[(f64, f64)], y: &[f64]) -> Vec<Level> {
        let (from, to) = (self.boxes[edge.from], self.boxes[edge.to]);
        let begin = from.x + from.width;
        let mut line = vec![Level { from_x: begin, to_x: begin, y: y[edge.from] }];
        line.extend(net.between(edge).map(|item| {
            let (x, width) = xs[net.layer[item]];
            Level { from_x: x, to_x: x + width, y: y[item] }
        }));
        line.push(Level { from_x: to.x, to_x: to.x, y: y[edge.to] });
        line
    }
}

/// Where each column begins, and how wide it is.
fn channels(net: &Net, columns: &[Vec<usize>], y: &[f64], sizes: &[Size]) -> Vec<(f64, f64)> {
    let mut x = 0.0;
    let mut all = Vec::with_capacity(columns.len());
    for column in columns {
        let widths = column.iter().filter_map(|item| sizes.get(*item)).map(|size| size.width);
        let width = widths.fold(0.0, f64::max);
        all.push((x, width));
        let bends = column.iter().flat_map(|item| net.down[*item].iter().map(|to| (y[*to] - y[*item]).abs()));
        x += width + (CHANNEL + bends.fold(0.0, f64::max) / 6.0).min(WIDEST_CHANNEL).round();
    }
    all
}

#[cfg(test)]
mod tests;
