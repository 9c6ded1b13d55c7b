//! Which process a reference to a port means, and what is wrong with one that means none (spec section 6).

use std::collections::HashMap;

use super::TaskGraph;
use crate::{
    diagnostic::{Diagnostic, nearest},
    model::{Declaration, PROCESSES, PortRef, PortUse, ProcessSpec, Task, TaskId, TaskKind, TaskName},
};

impl TaskGraph {
    /// The process that a name means in a project. A name without a colon is the one of `[processes.<name>]`, or
    /// else the task of type process, in that project, or else `[processes.<name>]` of the root project. One with
    /// a colon is the whole name of a process's task, or `<project>:<name>`.
    #[must_use]
    pub fn process(&self, project: &str, name: &str) -> Option<TaskId> {
        let look = |name: &str| self.id(name).filter(|id| self.task(*id).is_process());
        find(project, name, look)
    }

    /// Whose port a reference in a text of `task` means, and the port's name among the process's `ports`: one
    /// without a process is a port of the task itself, others are found as by [`TaskGraph::process`]. In tasks
    /// that come from files of our own each reference means one.
    ///
    /// # Panics
    /// If the id is of another graph.
    #[must_use]
    pub fn port(&self, task: TaskId, port: &PortRef) -> Option<(TaskId, &str)> {
        let process = match &port.process {
            Some(name) => self.process(&self.task(task).project, name)?,
            None => task,
        };
        let (name, _) = spec(self.task(process))?.ports.get_key_value(&port.name)?;
        Some((process, name))
    }
}

/// The rule of [`TaskGraph::process`]; `look` gives processes by the names of their tasks.
fn find<T>(project: &str, name: &str, look: impl Fn(&str) -> Option<T>) -> Option<T> {
    let global = || look(&format!("{PROCESSES}:{name}"));
    if name.contains(':') {
        return look(name).or_else(global);
    }
    let own = look(&format!("{PROCESSES}:{project}:{name}"));
    own.or_else(|| look(&format!("{project}:{name}"))).or_else(global)
}

fn spec(task: &Task) -> Option<&ProcessSpec> {
    match &task.kind {
        TaskKind::Process(spec) => Some(spec),
        TaskKind::OneShot => None,
    }
}

/// Every reference that means no port.
pub(super) fn faults(declarations: &[Declaration], by_name: &HashMap<TaskName, TaskId>) -> Vec<Diagnostic> {
    let judge = Judge { declarations, by_name };
    let uses = declarations.iter().flat_map(|d| d.ports.iter().map(move |port| (d, port)));
    uses.filter_map(|(declaration, port)| judge.fault(declaration, port)).collect()
}

struct Judge<'a> {
    declarations: &'a [Declaration],
    by_name: &'a HashMap<TaskName, TaskId>,
}

impl<'a> Judge<'a> {
    fn declaration(&self, name: &str) -> Option<&'a Declaration> {
        self.by_name.get(name).map(|id| &self.declarations[id.index()])
    }

    fn fault(&self, here: &'a Declaration, used: &PortUse) -> Option<Diagnostic> {
        let look = |name: &str| self.declaration(name).filter(|d| d.task.is_process());
        let process = match &used.port.process {
            Some(name) => match find(&here.task.project, name, look) {
                Some(process) => process,
                None => return Some(self.no_process(&here.task, name, used)),
            },
            None => here,
        };
        let ports = &spec(&process.task)?.ports;
        (!ports.contains_key(&used.port.name)).then(|| no_port(process, used))
    }

    fn no_process(&self, here: &Task, name: &str, used: &PortUse) -> Diagnostic {
        let fault = Diagnostic::error("unknown-process", format!("there is no process `{name}`"))
            .at(used.place.as_ref(), format!("`{}` is a port of none", used.port));
        let known = find(&here.project, name, |name| self.declaration(name));
        if let Some(task) = known {
            return fault.hint(format!("`{}` is no process, and only these have ports", task.task.name));
        }
        let processes = self.declarations.iter().map(|d| &d.task).filter(|task| task.is_process());
        let names: Vec<&str> = processes.map(|task| short(task, &here.project)).collect();
        match nearest(name, names, 3).as_slice() {
            [] => fault.hint("`devtask list` shows all processes"),
            near => fault.hint(format!("did you mean {}?", alternatives(near))),
        }
    }
}

/// The shortest name that means a process in a project.
fn short<'a>(process: &'a Task, project: &str) -> &'a str {
    let beneath = |name: &'a str, namespace: &str| name.strip_prefix(namespace)?.strip_prefix(':');
    let name = process.name.as_str();
    let local = beneath(name, PROCESSES).unwrap_or(name);
    beneath(local, project).unwrap_or(local)
}

fn no_port(process: &Declaration, used: &PortUse) -> Diagnostic {
    let (task, name) = (&process.task, &used.port.name);
    let ports: Vec<&str> = spec(task).into_iter().flat_map(|s| s.ports.keys().map(String::as_str)).collect();
    let fault = Diagnostic::error("unknown-port", format!("process `{}` has no port `{name}`", task.name))
        .at(used.place.as_ref(), format!("`{}` is none of its ports", used.port))
        .at(process.place.as_ref(), "the process");
    match nearest(name, ports, 3).as_slice() {
        [] => fault.hint(format!("add `ports.{name}.allocate` to the process")),
        near => fault.hint(format!("did you mean {}?", alternatives(near))),
    }
}

fn alternatives(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        diagnostic::{Place, SourceId},
        graph::tests::process,
        model::Port,
    };

    /// A task of a project that refers to ports, as a process if it has some of its own.
    fn declare(name: &str, project: &str, ports: Option<&[&str]>, uses: &[&str]) -> Declaration {
        let mut task = Task::empty(TaskName::new(name).unwrap(), Path::new("/"));
        task.project = project.into();
        if let Some(ports) = ports {
            let TaskKind::Process(mut spec) = process(true) else { unreachable!("a process") };
            spec.ports = ports.iter().map(|port| ((*port).to_owned(), Port { allocate: 1 })).collect();
            task.kind = TaskKind::Process(spec);
        }
        let place = |at: usize| Some(Place { source: SourceId(0), span: at..at + 1 });
        let port = |text: &&str| PortRef::parse(&format!("ports.{text}")).unwrap();
        let uses =
            uses.iter().enumerate().map(|(at, text)| PortUse { port: port(text), place: place(at + 1) });
        let (after, before) = (Vec::new(), Vec::new());
        Declaration { task, place: place(0), after, before, ports: uses.collect() }
    }

    /// Root `top` with processes `api` and `db`, project `web` with processes `api` and `ui`.
    fn declarations(uses: &[&str]) -> Vec<Declaration> {
        vec![
            declare("devenv:processes:api", "top", Some(&["http"]), &[]),
            declare("devenv:processes:db", "top", Some(&["main"]), &[]),
            declare("devenv:processes:web:api", "web", Some(&["http", "admin"]), &[]),
            declare("web:ui", "web", Some(&["http"]), &[]),
            declare("web:db", "web", None, &[]),
            declare("web:build", "web", None, uses),
            declare("top:build", "top", None, &[]),
        ]
    }

    #[test]
    fn a_reference_means_the_own_project_first_and_then_the_root() {
        let graph = TaskGraph::build(declarations(&[])).unwrap();
        for (task, port, expected) in [
            ("web:build", "api.http", Some("devenv:processes:web:api")),
            ("web:build", "api.admin", Some("devenv:processes:web:api")),
            ("web:build", "ui.http", Some("web:ui")),
            ("web:build", "db.main", Some("devenv:processes:db")),
            ("top:build", "api.http", Some("devenv:processes:api")),
            ("top:build", "api.admin", None),
            ("top:build", "ui.http", None),
            ("top:build", "web:api.admin", Some("devenv:processes:web:api")),
            ("top:build", "web:ui.http", Some("web:ui")),
            ("top:build", "devenv:processes:web:api.http", Some("devenv:processes:web:api")),
            ("top:build", "web:db.main", None),
            ("top:build", "http", None),
            ("web:ui", "http", Some("web:ui")),
            ("web:ui", "admin", None),
            ("web:ui", "api.admin", Some("devenv:processes:web:api")),
        ] {
            let port = PortRef::parse(&format!("ports.{port}")).unwrap();
            let found = graph.port(graph.id(task).unwrap(), &port);
            let expected = expected.map(|name| (graph.id(name).unwrap(), port.name.as_str()));
            assert_eq!(found, expected, "{port} in {task}");
        }
    }

    #[test]
    fn a_reference_to_nothing_is_told_with_its_place_and_a_hint() {
        for (port, code, message, hint) in [
            ("apii.http", "unknown-process", "there is no process `apii`", "did you mean `api`?"),
            (
                "web:apj.http",
                "unknown-process",
                "there is no process `web:apj`",
                "`devtask list` shows all processes",
            ),
            (
                "build.http",
                "unknown-process",
                "there is no process `build`",
                "`web:build` is no process, and only these have ports",
            ),
            (
                "api.htpp",
                "unknown-port",
                "process `devenv:processes:web:api` has no port `htpp`",
                "did you mean `http`?",
            ),
            (
                "db.http",
                "unknown-port",
                "process `devenv:processes:db` has no port `http`",
                "add `ports.http.allocate` to the process",
            ),
        ] {
            let faults = TaskGraph::build(declarations(&["api.http", port])).unwrap_err();
            let [fault] = faults.as_slice() else { panic!("{port}: {faults:?}") };
            let at = fault.labels[0].place.span.start;
            let told = (fault.code, fault.message.as_str(), fault.hint.as_deref(), at);
            assert_eq!(told, (code, message, Some(hint), 2), "{port}");
        }
        let own = declare("a:p", "a", Some(&["http"]), &["http", "htp"]);
        let faults = TaskGraph::build(vec![own]).unwrap_err();
        assert_eq!(faults[0].message, "process `a:p` has no port `htp`");
        assert_eq!(faults.len(), 1);
    }
}
