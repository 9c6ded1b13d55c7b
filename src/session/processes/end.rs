//! The end of all processes of a session.

use super::{Processes, State};
use crate::{
    graph::TaskGraph,
    model::{TaskName, TaskSet},
};

impl Processes {
    /// Ends all processes, those first that rest on others, and waits until they are at rest.
    pub(crate) async fn end(&self, graph: &TaskGraph) {
        loop {
            let up = self.up();
            let Some(first) = up.first() else { return };
            let rests_on = |lower: &TaskName, upper: &TaskName| is_upstream(graph, lower, upper);
            let free: Vec<&TaskName> =
                up.iter().filter(|name| !up.iter().any(|other| rests_on(name, other))).collect();
            // No order is no reason to stay.
            let free = if free.is_empty() { vec![first] } else { free };
            let mut states = Vec::new();
            for name in free {
                states.extend(self.stop(name));
            }
            for begun in states {
                State::rest_after(begun).await;
            }
        }
    }
}

/// Whether `upper` has to wait for `lower`, directly or through others.
fn is_upstream(graph: &TaskGraph, lower: &TaskName, upper: &TaskName) -> bool {
    let (Some(lower), Some(upper)) = (graph.id(lower.as_str()), graph.id(upper.as_str())) else {
        return false;
    };
    let mut todo = vec![upper];
    let mut seen = TaskSet::new();
    while let Some(id) = todo.pop() {
        for edge in graph.upstream(id) {
            if edge.task == lower {
                return lower != upper;
            }
            if seen.insert(edge.task) {
                todo.push(edge.task);
            }
        }
    }
    false
}
