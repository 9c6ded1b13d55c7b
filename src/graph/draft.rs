//! Tasks written in code.

use std::{path::PathBuf, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Condition, Declaration, EdgeRef, NameFault, Probe, ProbeKind, ProcessSpec, Task, TaskKind,
        TaskName, TaskServer, Written,
    },
    pattern::{PatternKind, PatternSet},
};

/// A task written in code; [`Task::shell`] starts one. Relative directories are taken from the
/// session's root.
#[derive(Clone, Debug)]
pub struct TaskDraft {
    name: Result<TaskName, (String, NameFault)>,
    task: Task,
    after: Vec<(String, Condition)>,
}

impl Task {
    /// A task that runs shell text with the default interpreter.
    #[must_use]
    pub fn shell(name: &str, exec: &str) -> TaskDraft {
        let mut draft = Task::group(name);
        draft.task.action = Action::Script(exec.into());
        draft
    }

    /// A long-running process: it stays up until nobody needs it (spec section 6). Called as in task files it is
    /// `devenv:processes:<name>`, but any name will do.
    #[must_use]
    pub fn process(name: &str, exec: &str) -> TaskDraft {
        Self::shell(name, exec).supervised(ProcessSpec::default())
    }

    /// A task that a server runs, by this very name. Tasks of one server share it.
    #[must_use]
    pub fn served(name: &str, server: Arc<TaskServer>) -> TaskDraft {
        let mut draft = Task::group(name);
        draft.task.action = Action::Served(server, name.into());
        draft
    }

    /// A task without a command: it only gathers edges.
    #[must_use]
    pub fn group(name: &str) -> TaskDraft {
        let placeholder = TaskName::placeholder();
        TaskDraft {
            name: TaskName::new(name).map_err(|fault| (name.to_owned(), fault)),
            task: Task::empty(placeholder, "".as_ref()),
            after: Vec::new(),
        }
    }
}

impl TaskDraft {
    /// Runs after `task` has reached a state.
    #[must_use]
    pub fn after(mut self, task: &str, condition: Condition) -> Self {
        self.after.push((task.to_owned(), condition));
        self
    }

    /// Files whose change makes it run (spec section 4.4).
    #[must_use]
    pub fn exec_if_modified<'a>(mut self, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        self.task.exec_if_modified = patterns.into_iter().map(Written::from).collect();
        self
    }

    /// The files it produces, all of them: what they were comes back where the task succeeded with the same key before
    /// (spec section 4.5). If there are more, say so with [`Task::restore`](crate::Task::restore).
    #[must_use]
    pub fn outputs<'a>(mut self, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        self.task.outputs = patterns.into_iter().map(Written::from).collect();
        self.task.restore = true;
        self
    }

    /// Where it runs; relative to the session's root.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.task.cwd = dir.into();
        self.task.pattern_bases = vec![self.task.cwd.clone()];
        self
    }

    /// One variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.task.env.insert(name.to_owned(), value.into());
        self
    }

    /// JSON for `$DEVENV_TASK_INPUT`.
    #[must_use]
    pub fn input(mut self, input: Map<String, Value>) -> Self {
        self.task.input = Some(Written::plain(input));
        self
    }

    /// How a process is known to be ready, with the usual timing.
    #[must_use]
    pub fn ready(self, kind: ProbeKind) -> Self {
        self.with(|task| {
            if let TaskKind::Process(spec) = &mut task.kind {
                spec.ready = Some(Probe::new(kind));
            }
        })
    }

    /// A long-running process that is seen to like this.
    #[must_use]
    pub fn supervised(self, spec: ProcessSpec) -> Self {
        self.with(|task| task.kind = TaskKind::Process(Box::new(spec)))
    }

    /// Any other field of the task.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Task)) -> Self {
        change(&mut self.task);
        self
    }

    pub(super) fn finish(mut self) -> Result<Declaration, Vec<Diagnostic>> {
        if let (Action::Served(server, _), true) = (&self.task.action, self.task.can_be_fresh()) {
            // What its server is made of is a part of it (spec section 9).
            self.task.exec_if_modified.extend(server.watch.iter().cloned());
        }
        let mut faults = Vec::new();
        let mut after = Vec::new();
        for (written, condition) in &self.after {
            match TaskName::new(written) {
                Ok(task) => after.push(EdgeRef { task, condition: Some(*condition), place: None }),
                Err(fault) => faults.push(bad_name(written, &fault)),
            }
        }
        faults.extend(bad_patterns(&self.task.exec_if_modified, PatternKind::Inputs));
        faults.extend(bad_patterns(&self.task.outputs, PatternKind::Outputs));
        match self.name {
            Ok(name) if faults.is_empty() => Ok(Declaration {
                task: Task { name, ..self.task },
                place: None,
                after,
                before: Vec::new(),
                ports: Vec::new(),
            }),
            Ok(_) => Err(faults),
            Err((written, fault)) => {
                faults.push(bad_name(&written, &fault));
                Err(faults)
            }
        }
    }
}

fn bad_patterns(list: &[Written<String>], kind: PatternKind) -> Vec<Diagnostic> {
    let values: Vec<String> = list.iter().map(|p| p.value.clone()).collect();
    // What is wrong with a pattern does not depend on where it is looked up.
    let faults = PatternSet::new(&[PathBuf::from("/")], &values, kind).err().unwrap_or_default();
    let fault = |fault: crate::pattern::PatternFault| {
        let pattern = values.get(fault.index).map_or("", String::as_str);
        let message = format!("`{pattern}` is no pattern: {}", fault.message);
        Diagnostic::error("bad-glob", message).hint(fault.hint)
    };
    faults.into_iter().map(fault).collect()
}

fn bad_name(written: &str, fault: &NameFault) -> Diagnostic {
    let diagnostic = Diagnostic::error("bad-name", format!("`{written}` is no task name: {fault}"));
    match TaskName::legal_spelling(written) {
        Some(legal) => diagnostic.hint(format!("write `{legal}`")),
        None => diagnostic,
    }
}
