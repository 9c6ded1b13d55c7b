//! A graph as bytes can hold it. Only what was taken from a graph becomes one again: what a damaged file says
//! is checked as far as others rely on it, that ids are of this graph and that the order is one.

use std::{borrow::Cow, collections::HashMap};

use petgraph::{graph::DiGraph, visit::EdgeRef as _};
use serde::{Deserialize, Serialize};

use super::{Conditions, TaskGraph, node};
use crate::{
    diagnostic::Place,
    model::{Task, TaskId, TaskName},
};

/// The parts of a graph.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stored<'a> {
    tasks: Cow<'a, [Task]>,
    places: Cow<'a, [Option<Place>]>,
    /// How many tasks, counted from the end, are built in.
    builtin: u32,
    /// Upstream, downstream, conditions, in the order they were added.
    edges: Vec<(TaskId, TaskId, u8)>,
    order: Cow<'a, [TaskId]>,
}

impl TaskGraph {
    /// Its parts.
    pub(crate) fn stored(&self) -> Stored<'_> {
        let id = |node: petgraph::graph::NodeIndex| TaskId::new(node.index());
        let edges = self.edges.edge_references();
        Stored {
            tasks: Cow::Borrowed(&self.tasks),
            places: Cow::Borrowed(&self.places),
            builtin: self.builtin,
            edges: edges.map(|e| (id(e.source()), id(e.target()), e.weight().0)).collect(),
            order: Cow::Borrowed(&self.order),
        }
    }

    /// The graph these are the parts of; none if they are of no graph.
    pub(crate) fn restored(stored: Stored<'_>) -> Option<Self> {
        let Stored { tasks, places, builtin, edges, order } = stored;
        let tasks = tasks.into_owned();
        let rank = ranks(&order, tasks.len())?;
        let mut graph = DiGraph::with_capacity(tasks.len(), edges.len());
        for _ in &tasks {
            graph.add_node(());
        }
        for (upstream, downstream, conditions) in edges {
            if rank.get(upstream.index())? >= rank.get(downstream.index())? {
                return None;
            }
            graph.add_edge(node(upstream), node(downstream), Conditions(conditions));
        }
        let names = tasks.iter().enumerate().map(|(at, task)| (task.name.clone(), TaskId::new(at)));
        let by_name: HashMap<TaskName, TaskId> = names.collect();
        let whole = by_name.len() == tasks.len() && places.len() == tasks.len();
        let (places, order) = (places.into_owned(), order.into_owned());
        whole.then_some(Self { tasks, places, builtin, by_name, edges: graph, order })
    }
}

/// The place of each task in the order; none if it is no order of so many tasks.
fn ranks(order: &[TaskId], tasks: usize) -> Option<Vec<u32>> {
    let mut ranks = vec![u32::MAX; tasks];
    for (at, id) in (0u32..).zip(order) {
        let rank = ranks.get_mut(id.index())?;
        if std::mem::replace(rank, at) != u32::MAX {
            return None;
        }
    }
    (order.len() == tasks).then_some(ranks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Condition;

    fn graph() -> TaskGraph {
        let names = ["a:d", "a:c", "a:b", "a:a"];
        let mut builder = TaskGraph::builder();
        for (at, name) in names.iter().enumerate() {
            let mut task = Task::shell(name, "true");
            for upstream in &names[at + 1..] {
                task = task.after(upstream, Condition::Completed);
            }
            builder = builder.task(task);
        }
        builder.build().unwrap()
    }

    #[test]
    fn a_graph_survives_being_taken_apart() {
        let graph = graph();
        let restored = TaskGraph::restored(graph.stored()).unwrap();
        assert_eq!(format!("{:?}", restored.stored()), format!("{:?}", graph.stored()));
        for id in graph.ids() {
            assert_eq!(restored.id(graph.name(id).as_str()), Some(id));
            assert!(
                restored.upstream(id).eq(graph.upstream(id))
                    && restored.downstream(id).eq(graph.downstream(id))
            );
            assert_eq!(restored.is_builtin(id), graph.is_builtin(id));
        }
    }

    #[test]
    fn parts_of_no_graph_make_none() {
        let graph = graph();
        let (first, last) = (graph.order[0], graph.order[graph.order.len() - 1]);
        let spoilt = |spoil: &dyn Fn(&mut Stored<'_>)| {
            let mut stored = graph.stored();
            spoil(&mut stored);
            TaskGraph::restored(stored).is_none()
        };
        assert!(spoilt(&|s| s.edges.push((last, first, 1))), "a circle");
        assert!(spoilt(&|s| s.edges.push((first, TaskId::new(99), 1))), "an edge to nowhere");
        assert!(spoilt(&|s| s.order.to_mut()[0] = last), "twice in the order");
        assert!(spoilt(&|s| drop(s.order.to_mut().pop())), "not in the order");
        assert!(spoilt(&|s| drop(s.places.to_mut().pop())), "a place too few");
        assert!(spoilt(&|s| s.tasks.to_mut()[0] = graph.tasks[1].clone()), "two of one name");
    }
}
