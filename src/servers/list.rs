//! What a server tells of its tasks, as declarations: every fault is the server's, and named.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    config::normalise,
    diagnostic::{Diagnostic, Place},
    model::{Action, Condition, Declaration, EdgeRef, NameFault, Task, TaskName, TaskServer, Written},
    pattern::{PatternKind, PatternSet},
    tsp::{InitializeResult, TaskObject},
};

/// The declarations of the tasks a server lists, and what is wrong with the list. `place` is where the server is
/// declared, `root` the root of the tree.
#[must_use]
pub fn declarations(
    server: &Arc<TaskServer>,
    place: &Place,
    listed: &InitializeResult,
    root: &Path,
) -> (Vec<Declaration>, Vec<Diagnostic>) {
    let (mut list, faults) = read(server, Some(place), &listed.tasks, root);
    if listed.capabilities.max_concurrency == Some(1) {
        // Who has to wait for its turn waits without a slot.
        let lock = format!("server {}", server.full_name());
        list.iter_mut().for_each(|declaration| declaration.task.lock = Some(lock.clone()));
    }
    let told = |fault| {
        let message = format!("the list of server `{}` has a fault: {fault}", server.name);
        Diagnostic::error("server-list", message).at(Some(place), "this server")
    };
    (list, faults.into_iter().map(told).collect())
}

/// What is wrong with a list of tasks, each fault in a few words.
pub(super) fn faults(server: &Arc<TaskServer>, tasks: &[Value], root: &Path) -> Vec<String> {
    read(server, None, tasks, root).1
}

fn read(
    server: &Arc<TaskServer>,
    place: Option<&Place>,
    tasks: &[Value],
    root: &Path,
) -> (Vec<Declaration>, Vec<String>) {
    let mut reader = Reader { server, place, root, faults: Vec::new(), seen: BTreeSet::new() };
    let tasks = tasks.iter().enumerate();
    let list = tasks.filter_map(|(at, task)| reader.task(at, task)).collect();
    (list, reader.faults)
}

/// The names of the tasks a server lists, in their order, as far as they are sound.
#[must_use]
pub fn names(server: &TaskServer, listed: &InitializeResult) -> Vec<TaskName> {
    let tasks = listed.tasks.iter().filter_map(|task| TaskObject::read(task).ok());
    let mut names: Vec<TaskName> = tasks.filter_map(|task| global(server, &task.name).ok()).collect();
    names.sort();
    names.dedup();
    names
}

fn global(server: &TaskServer, text: &str) -> Result<TaskName, NameFault> {
    // What is wrong with a local name is said of that.
    TaskName::check_characters(text)?;
    match text.contains(':') {
        true => TaskName::new(text),
        false => TaskName::new(&format!("{}:{text}", server.project)),
    }
}

struct Reader<'a> {
    server: &'a Arc<TaskServer>,
    place: Option<&'a Place>,
    root: &'a Path,
    faults: Vec<String>,
    seen: BTreeSet<TaskName>,
}

impl Reader<'_> {
    fn fault(&mut self, message: &str) {
        self.faults.push(message.to_owned());
    }

    fn task(&mut self, at: usize, value: &Value) -> Option<Declaration> {
        let object = match TaskObject::read(value) {
            Ok(object) => object,
            Err(why) => {
                let name = value
                    .get("name")
                    .and_then(Value::as_str)
                    .map(|name| format!(", `{}`", name.escape_debug()));
                self.fault(&format!("task {}{} cannot be read: {why}", at + 1, name.unwrap_or_default()));
                return None;
            }
        };
        let name = self.name(&object.name, "a task")?;
        if !self.seen.insert(name.clone()) {
            self.fault(&format!("{name} is in it twice"));
            return None;
        }
        let after: Vec<&String> = object.depends.iter().chain(&object.after).collect();
        let after = after.into_iter().filter_map(|text| self.edge(&name, text)).collect();
        let before = object.before.iter().filter_map(|text| self.edge(&name, text)).collect();
        let place = self.place.cloned();
        Some(Declaration { task: self.made(name, object), place, after, before, ports: Vec::new() })
    }

    fn made(&mut self, name: TaskName, object: TaskObject) -> Task {
        let dir = &self.server.dir;
        let listed = object.name;
        let cwd = object.cwd.map_or_else(|| dir.clone(), |cwd| normalise(&dir.join(cwd)));
        let written = |list: Vec<String>| list.into_iter().map(Written::plain).collect::<Vec<_>>();
        let mut task = Task {
            project: Arc::clone(&self.server.project),
            description: object.description,
            action: Action::Served(Arc::clone(self.server), listed.into()),
            exec_if_modified: written(object.exec_if_modified),
            restore: !object.outputs.is_empty(),
            outputs: written(object.outputs),
            input: object.input.map(Written::plain),
            env: object.env.into_iter().map(|(name, value)| (name, Written::plain(value))).collect(),
            file_env: self.server.file_env.clone(),
            ..Task::empty(name, &cwd)
        };
        self.check(&task);
        if task.can_be_fresh() {
            task.exec_if_modified.extend(self.server.watch.iter().cloned());
        }
        task
    }

    fn check(&mut self, task: &Task) {
        self.patterns(task, &task.exec_if_modified, PatternKind::Inputs);
        let outputs = self.patterns(task, &task.outputs, PatternKind::Outputs);
        let is_outside =
            |glob: &&crate::pattern::Glob| !glob.is_negated() && !glob.prefix().starts_with(self.root);
        let outside: Vec<usize> = outputs
            .iter()
            .flat_map(PatternSet::globs)
            .filter(is_outside)
            .map(|glob| glob.written())
            .collect();
        for at in outside {
            let pattern = &task.outputs[at].written;
            self.fault(&format!("{} has outputs outside the root: `{}`", task.name, pattern.escape_debug()));
        }
        for name in task.env.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
            self.fault(&format!("{} has a variable of no legal name: `{}`", task.name, name.escape_debug()));
        }
    }

    fn patterns(&mut self, task: &Task, list: &[Written<String>], kind: PatternKind) -> Option<PatternSet> {
        let values: Vec<String> = list.iter().map(|pattern| pattern.value.clone()).collect();
        let bases: &[PathBuf] = &task.pattern_bases;
        match PatternSet::new(bases, &values, kind) {
            Ok(set) => Some(set),
            Err(faults) => {
                for fault in faults {
                    let pattern = values.get(fault.index).map(|text| text.escape_debug().to_string());
                    let pattern = pattern.unwrap_or_default();
                    self.fault(&format!("`{pattern}` of {} is no pattern: {}", task.name, fault.message));
                }
                None
            }
        }
    }

    fn name(&mut self, text: &str, what: &str) -> Option<TaskName> {
        let checked = global(self.server, text);
        checked
            .map_err(|fault| self.fault(&format!("it names {what} `{}`: {fault}", text.escape_debug())))
            .ok()
    }

    fn edge(&mut self, of: &TaskName, text: &str) -> Option<EdgeRef> {
        let (name, suffix) = match text.rsplit_once('@') {
            Some((name, suffix)) => (name, Some(suffix)),
            None => (text, None),
        };
        let condition = suffix.map(|suffix| (suffix, Condition::from_suffix(suffix)));
        if let Some((suffix, None)) = condition {
            self.fault(&format!("`@{}` of {of} is no state to wait for", suffix.escape_debug()));
        }
        let task = self.name(name, &format!("a task that {of} depends on"))?;
        Some(EdgeRef {
            task,
            condition: condition.and_then(|(_, condition)| condition),
            place: self.place.cloned(),
        })
    }
}
