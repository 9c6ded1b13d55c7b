//! Task files: TOML, JSON, devenv's list, dotenv. Whatever the text is, each fault has its place in it, a text
//! without faults is one that others can read as well, and what it declares can be made a graph or has faults.

use std::{collections::BTreeMap, ops::Range, path::Path};

use devtask::{
    Diagnostic, TaskGraph,
    config::{self, Scope},
    diagnostic::SourceId,
    model::Declaration,
};

const SOURCE: SourceId = SourceId(0);

/// The first byte chooses the format, the rest is the text.
pub(crate) fn check(data: &[u8]) {
    let Some((format, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match format {
        b't' => {
            let file = config::parse_toml(SOURCE, text);
            if file.complete && file.faults.is_empty() {
                assert!(toml::from_str::<toml::Table>(text).is_ok(), "no fault, and no TOML");
            }
            project(text, &file);
        }
        b'j' => {
            let file = config::parse_json(SOURCE, text);
            if file.complete && file.faults.is_empty() {
                assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "no fault, and no JSON");
            }
            project(text, &file);
        }
        b'd' => {
            let declared = config::parse_devenv(SOURCE, text, "web", Path::new("/start"));
            in_place(text, &declared.faults);
            graph(text, declared.declarations);
        }
        b'e' => dotenv(text),
        _ => {}
    }
}

fn project(text: &str, file: &config::ProjectFile) {
    in_place(text, &file.faults);
    let root = Path::new("/root");
    let dir = Path::new("/srv/web");
    let scope = Scope { project: "web", is_root: true, dir, root, git_root: Some(root) };
    let (_, faults) = file.dotenv(&scope);
    in_place(text, &faults);
    let place = [file.settings().1.map(|place| place.span), file.name().map(|name| name.place.span)];
    place.into_iter().flatten().for_each(|span| within(text, &span));
    let declared = file.declare(&scope, &BTreeMap::from([("A".to_owned(), "1".to_owned())]));
    in_place(text, &declared.faults);
    graph(text, declared.declarations);
}

/// A graph, or faults; its tasks stand in an order in which they can run.
fn graph(text: &str, declarations: Vec<Declaration>) {
    match TaskGraph::build(declarations) {
        Err(faults) => {
            assert!(!faults.is_empty(), "no graph, and no fault");
            in_place(text, &faults);
        }
        Ok(graph) => {
            let mut done = vec![false; graph.len()];
            let position: BTreeMap<_, _> = graph.ids().enumerate().map(|(at, id)| (id, at)).collect();
            for id in graph.topological() {
                assert!(graph.upstream(*id).all(|edge| done[position[&edge.task]]), "out of order");
                done[position[id]] = true;
            }
            assert!(done.iter().all(|done| *done), "a task without a place in the order");
        }
    }
}

fn dotenv(text: &str) {
    let (variables, faults) = config::parse_dotenv(SOURCE, text);
    in_place(text, &faults);
    for (name, value) in variables {
        assert!(!name.is_empty() && !name.contains(['=', '\0']), "{name:?} names no variable");
        assert!(!value.contains('\0'), "{name} has a value that no variable can hold");
    }
}

fn in_place(text: &str, faults: &[Diagnostic]) {
    let labels = faults.iter().flat_map(|fault| &fault.labels);
    labels.for_each(|label| within(text, &label.place.span));
}

fn within(text: &str, span: &Range<usize>) {
    assert!(text.get(span.clone()).is_some(), "{span:?} is no part of the text");
}
