//! Taskfiles: tasks with what they depend on, read and make.

use serde_json::Value;

use super::{
    draft::{Draft, Projects, project, taken},
    paths,
    runner::{Entry, File},
    sources,
    tree::Tree,
};

const NAMES: &[&str] = &["Taskfile.yml", "taskfile.yml", "Taskfile.yaml"];

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects, dirs: &[String]) {
    for dir in dirs {
        let Some(name) = tree.first_of(dir, NAMES) else { continue };
        let Some(value) = tree.yaml(&paths::join(dir, name)) else { continue };
        let file = File { dir, name, tool: "task", entries: entries(name, &value) };
        let taken = taken(projects, dir);
        let drafts: Vec<Draft> = file.drafts(&taken, |name, _| format!("task {}", paths::word(name)));
        project(projects, dir, None).drafts.extend(drafts);
    }
}

/// The tasks of a file called `file`.
pub(super) fn entries(file: &str, value: &Value) -> Vec<Entry> {
    let tasks = value.get("tasks").and_then(Value::as_object);
    tasks.into_iter().flatten().map(|(name, task)| entry(file, name, task)).collect()
}

fn entry(file: &str, name: &str, task: &Value) -> Entry {
    let flag = |name: &str| task.get(name).and_then(Value::as_bool).unwrap_or_default();
    let deps = task.get("deps").and_then(Value::as_array).into_iter().flatten();
    let named = |dep: &Value| dep.as_str().or_else(|| dep.get("task")?.as_str()).map(str::to_owned);
    let is_there = |name: &str| task.get(name).is_some_and(|value| !value.is_null());
    let off = match () {
        () if is_there("requires") => Some("it needs variables"),
        () if is_there("prompt") => Some("it asks before it does anything"),
        () if flag("internal") => Some("it is internal"),
        () if flag("watch") => Some("it goes on until it is ended"),
        () if name.contains('*') || name.starts_with('-') => Some("its name is not one task"),
        () => None,
    };
    let (inputs, outputs) = if task.get("dir").is_some() { (None, None) } else { files(task) };
    let mut inputs = inputs.unwrap_or_default();
    if !inputs.is_empty() {
        // The commands are there.
        inputs.push(file.to_owned());
    }
    Entry {
        name: name.to_owned(),
        description: task.get("desc").and_then(Value::as_str).map(str::to_owned),
        needs: deps.filter_map(named).collect(),
        has_body: task.is_string() || task.is_array() || is_there("cmds") || is_there("cmd"),
        is_hidden: flag("internal"),
        off: off.map(str::to_owned),
        outputs: if inputs.is_empty() { Vec::new() } else { outputs.unwrap_or_default() },
        inputs,
    }
}

/// `sources` and `generates`, where they are plain patterns.
fn files(task: &Value) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let patterns = |field: &str| {
        let list = task.get(field).and_then(Value::as_array)?;
        let one = |value: &Value| match (value.as_str(), value.get("exclude").and_then(Value::as_str)) {
            (Some(pattern), _) => Some(pattern.to_owned()),
            (None, Some(pattern)) => Some(format!("!{pattern}")),
            _ => None,
        };
        let list: Vec<String> = list.iter().map(one).collect::<Option<_>>()?;
        list.iter().all(|pattern| is_plain(pattern)).then_some(list)
    };
    let outputs =
        patterns("generates").filter(|list| list.iter().all(|p| !p.contains("..") && !p.starts_with('/')));
    (patterns("sources"), outputs)
}

/// Whether a pattern means the same to us: no template, nothing only one of us knows.
fn is_plain(pattern: &str) -> bool {
    let bare = pattern.strip_prefix('!').unwrap_or(pattern);
    !bare.is_empty() && sources::is_pattern(pattern) && !bare.contains(['{', '}', '$', '~', '\\', '('])
}
