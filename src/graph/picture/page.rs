//! A page around the picture of a graph: to move in it, to search it, to follow what depends on what.

use serde_json::{Value, json};

use super::{
    seen::RunSeen,
    style::class,
    svg::svg,
    text::{clean, escaped, script_json, took},
};
use crate::{
    graph::{TaskGraph, render::order},
    model::{TaskId, TaskSet},
};

/// The page's own style and script; they know nothing of the graph.
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The scheduled tasks as one HTML page that needs nothing else, neither files nor a network: the picture of
/// [`svg()`], with a search, and what there is to say about a task beside it.
#[must_use]
pub fn page(graph: &TaskGraph, scheduled: &TaskSet, roots: &TaskSet, run: Option<&RunSeen>) -> String {
    let tasks: Vec<Value> = order(graph, scheduled).map(|id| details(graph, id, run)).collect();
    let title = run.map_or_else(|| "Tasks".to_owned(), |run| format!("Tasks, run {}", run.run()));
    format!(
        "<!doctype html><!-- devtask graph -->\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}\
         <main id=\"view\" tabindex=\"0\" aria-label=\"The graph\">\n{}</main>\n{}\
         <script type=\"application/json\" id=\"tasks\">{}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        escaped(&title),
        header(&title, tasks.len()),
        svg(graph, scheduled, roots, run),
        "<aside id=\"details\" hidden aria-live=\"polite\"></aside>\n",
        script_json(&Value::Array(tasks)),
    )
}

fn header(title: &str, count: usize) -> String {
    format!(
        "<header>\n<h1>{}</h1><span class=\"count\" id=\"count\">{count} tasks</span>\n\
         <input id=\"search\" type=\"search\" placeholder=\"Search ( / )\" aria-label=\"Search tasks\" \
         autocomplete=\"off\" spellcheck=\"false\">\n\
         <div class=\"buttons\"><button id=\"out\" title=\"Smaller ( - )\">−</button>\
         <button id=\"in\" title=\"Larger ( + )\">+</button>\
         <button id=\"fit\" title=\"All of it ( 0 )\">fit</button></div>\n\
         <p class=\"keys\">drag, wheel, arrows: move · + − 0: size · / search, enter: next · \
         on a task ← → along the edges, ↑ ↓ beside it · esc</p>\n</header>\n",
        escaped(title)
    )
}

/// What the page says about a task. The page shows it as text, never as HTML.
fn details(graph: &TaskGraph, id: TaskId, run: Option<&RunSeen>) -> Value {
    let task = graph.task(id);
    let seen = run.and_then(|run| run.task(&task.name));
    let ending = run.map(|run| run.ending(&task.name));
    json!({
        "name": task.name.as_str(),
        "project": clean(&task.project),
        "type": if task.is_process() { "process" } else { "task" },
        "description": task.description.as_deref().map(clean),
        "ending": ending.map(|ending| ending.label()),
        "class": ending.map(class),
        "took": seen.and_then(|seen| seen.duration_ms).map(took),
        "notes": seen.map(|seen| seen.notes.iter().map(|note| clean(note)).collect::<Vec<_>>()),
    })
}
