//! Finding cycles and saying where they come from. Iterative throughout: a chain of 100,000 tasks is legal.

use std::collections::{HashMap, HashSet, VecDeque};

use petgraph::{
    algo::kosaraju_scc,
    graph::{DiGraph, NodeIndex},
};

use super::{Conditions, build::DeclaredEdge};
use crate::{
    diagnostic::{Diagnostic, Place},
    model::{Declaration, TaskId},
};

/// Names shown at either end of a path too long to be read.
const SHOWN: usize = 6;

/// How many edges the search for a short cycle may look at before it takes what it has: keeps a cycle
/// of 50,000 tasks from costing quadratic time. All knots of a graph share it.
const BUDGET: usize = 500_000;

/// One fault for each knot of tasks that wait for each other, shortest path first.
pub(super) fn faults(
    graph: &DiGraph<(), Conditions>,
    declarations: &[Declaration],
    edges: &[DeclaredEdge],
) -> Vec<Diagnostic> {
    let knots = kosaraju_scc(graph)
        .into_iter()
        .filter(|knot| knot.len() > 1 || knot.first().is_some_and(|n| graph.contains_edge(*n, *n)));
    let mut spent = 0;
    let mut cycles: Vec<Vec<NodeIndex>> = knots.map(|knot| shortest(graph, knot, &mut spent)).collect();
    cycles.sort_by_key(|cycle| (cycle.len(), cycle.first().copied()));
    if cycles.is_empty() {
        return Vec::new();
    }
    let places: HashMap<(TaskId, TaskId), &Place> =
        edges.iter().filter_map(|e| Some(((e.downstream, e.upstream), e.place.as_ref()?))).collect();
    cycles.iter().map(|cycle| fault(cycle, declarations, &places)).collect()
}

/// A shortest cycle of the knot, as far as the budget reaches, in the direction "needs".
fn shortest(graph: &DiGraph<(), Conditions>, mut knot: Vec<NodeIndex>, spent: &mut usize) -> Vec<NodeIndex> {
    knot.sort();
    let inside: HashSet<NodeIndex> = knot.iter().copied().collect();
    let mut best: Vec<NodeIndex> = Vec::new();
    for start in knot {
        if !best.is_empty() && (best.len() == 1 || *spent > BUDGET) {
            break;
        }
        if let Some(cycle) = cycle_through(graph, start, &inside, spent)
            && (best.is_empty() || cycle.len() < best.len())
        {
            best = cycle;
        }
    }
    best
}

/// The shortest cycle through `start`, by breadth-first search against the edges.
fn cycle_through(
    graph: &DiGraph<(), Conditions>,
    start: NodeIndex,
    inside: &HashSet<NodeIndex>,
    spent: &mut usize,
) -> Option<Vec<NodeIndex>> {
    let mut came_from: HashMap<NodeIndex, NodeIndex> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for needs in graph.neighbors_directed(at, petgraph::Direction::Incoming) {
            *spent += 1;
            if needs == start {
                return Some(path_back(&came_from, start, at));
            }
            if inside.contains(&needs) && !came_from.contains_key(&needs) {
                came_from.insert(needs, at);
                queue.push_back(needs);
            }
        }
    }
    None
}

fn path_back(came_from: &HashMap<NodeIndex, NodeIndex>, start: NodeIndex, end: NodeIndex) -> Vec<NodeIndex> {
    let mut path = vec![end];
    let mut at = end;
    while at != start {
        match came_from.get(&at) {
            Some(&before) => at = before,
            None => break,
        }
        path.push(at);
    }
    path.reverse();
    path
}

fn fault(
    cycle: &[NodeIndex],
    declarations: &[Declaration],
    places: &HashMap<(TaskId, TaskId), &Place>,
) -> Diagnostic {
    let name = |at: usize| declarations[cycle[at % cycle.len()].index()].task.name.as_str();
    let mut names: Vec<String> = (0..=cycle.len()).map(|at| name(at).to_owned()).collect();
    if names.len() > 2 * SHOWN + 1 {
        let left_out = names.len() - 2 * SHOWN;
        names.splice(SHOWN..names.len() - SHOWN, [format!("… {left_out} more …")]);
    }
    let mut diagnostic =
        Diagnostic::error("cycle", format!("tasks wait for each other: {}", names.join(" -> ")));
    for at in 0..cycle.len().min(2 * SHOWN) {
        let id = |at: usize| TaskId::new(cycle[at % cycle.len()].index());
        let place = places.get(&(id(at), id(at + 1))).copied();
        diagnostic = diagnostic.at(place, format!("`{}` needs `{}`", name(at), name(at + 1)));
    }
    diagnostic.hint("remove one of these edges")
}
