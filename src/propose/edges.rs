//! What comes after what, without circles.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use super::draft::Projects;

/// What a task is called in its file, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) project: String,
    pub(super) local: String,
    pub(super) is_process: bool,
}

impl Named {
    fn full(&self) -> String {
        format!("{}:{}", self.project, self.local)
    }
}

/// From the full name of a task to those it comes after.
type Graph = BTreeMap<String, Vec<String>>;

/// What each draft comes after, by its key, with names as its file has them. An edge that would close a circle is left
/// out and told of.
pub(super) fn edges(
    projects: &mut Projects,
    named: &BTreeMap<String, Named>,
) -> BTreeMap<String, Vec<String>> {
    let mut wanted: Vec<(&Named, String, Vec<&Named>)> = Vec::new();
    for draft in projects.values().flat_map(|project| &project.drafts).filter(|draft| draft.off.is_none()) {
        let Some(own) = named.get(&draft.key) else { continue };
        let mut seen = BTreeSet::from([own.full()]);
        let others = draft.after.iter().filter_map(|key| named.get(key)).filter(|other| !other.is_process);
        wanted.push((own, draft.key.clone(), others.filter(|other| seen.insert(other.full())).collect()));
    }
    let tasks = wanted.iter().filter(|(own, ..)| !own.is_process);
    let graph: Graph = tasks
        .map(|(own, _, others)| (own.full(), others.iter().map(|other| other.full()).collect()))
        .collect();
    let closing = closing(&graph);
    let mut edges = BTreeMap::new();
    let mut remarks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (own, key, others) in wanted {
        let (out, kept): (Vec<&Named>, Vec<&Named>) = others
            .into_iter()
            .partition(|other| !own.is_process && closing.contains(&(own.full(), other.full())));
        let written = |other: &Named| {
            if other.project == own.project { other.local.clone() } else { other.full() }
        };
        let told =
            out.into_iter().map(|other| format!("Not after {}, which comes after it.", written(other)));
        remarks.insert(key.clone(), told.collect());
        edges.insert(key, kept.into_iter().map(written).collect());
    }
    for draft in projects.values_mut().flat_map(|project| &mut project.drafts) {
        draft.remarks.extend(remarks.remove(&draft.key).unwrap_or_default());
    }
    edges
}

/// The edges without which there is no circle: those that lead back to where a search came from.
fn closing(graph: &Graph) -> BTreeSet<(String, String)> {
    let mut closing = BTreeSet::new();
    // Whether all that is above a task was looked at.
    let mut is_done: BTreeMap<&str, bool> = BTreeMap::new();
    for start in graph.keys() {
        let mut path: Vec<(&str, usize)> = Vec::new();
        if let Entry::Vacant(new) = is_done.entry(start) {
            new.insert(false);
            path.push((start, 0));
        }
        while let Some((task, next)) = path.last_mut() {
            let task = *task;
            let Some(other) = graph.get(task).and_then(|after| after.get(*next)) else {
                is_done.insert(task, true);
                path.pop();
                continue;
            };
            *next += 1;
            match is_done.entry(other) {
                Entry::Occupied(done) if !*done.get() => {
                    closing.insert((task.to_owned(), other.clone()));
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(new) => {
                    new.insert(false);
                    path.push((other, 0));
                }
            }
        }
    }
    closing
}
