//! devenv's own list of tasks: a JSON array, its keys in snake_case (spec section 1). Such lists are made
//! by a program of another version: unknown keys are one warning, null is an absent key.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Declared,
    decode::{Decode, Decoder, Spanned},
    interpolate::Kind,
    json,
    path::normalise,
    patterns,
    process::ProcessFields,
    resolve::Resolver,
    spec,
    table::table,
    tables::Type,
    types::{Dict, JsonTable, List},
    value::Data,
};
use crate::{
    diagnostic::{Diagnostic, SourceId},
    model::{Action, Declaration, Task, Written},
    pattern::PatternKind,
};

table! {
    /// A task of devenv's list.
    struct DevenvTask called "a task of devenv's" {
        /// Its global name.
        "name" => name: String, required;
        /// One line for people.
        "description" => description: String;
        /// Whether it ends by itself.
        "type" => kind: Type;
        /// Tasks it runs after.
        "after" => after: List<String>;
        /// Tasks it runs before.
        "before" => before: List<String>;
        /// The executable that is spawned.
        "command" => command: String;
        /// The executable that is asked first.
        "status" => status: String;
        /// Files whose change makes it run.
        "exec_if_modified" => exec_if_modified: List<String>;
        /// JSON for `$DEVENV_TASK_INPUT`.
        "input" => input: JsonTable;
        /// The same in older lists.
        "inputs" => inputs: JsonTable;
        /// Where it runs.
        "cwd" => cwd: String;
        /// Whether its output is always shown.
        "show_output" => show_output: bool;
        /// Variables.
        "env" => env: Dict<String>;
        /// What only processes have.
        "process" => process: ProcessFields;
    }
}

/// Reads devenv's list. `start_dir` is the directory devtask was started in, from which devenv resolves
/// working directories and patterns.
#[must_use]
pub fn parse_devenv(source: SourceId, text: &str, project: &str, start_dir: &Path) -> Declared {
    let tree = json::read(source, text);
    let mut declared = Declared { faults: tree.faults, complete: tree.complete, ..Declared::default() };
    if !tree.complete {
        return declared;
    }
    let mut decoder = Decoder::new(source, true);
    let Data::Array(items) = &tree.root.data else {
        decoder.wrong_kind(&tree.root, "a list of tasks");
        declared.faults.append(&mut decoder.faults);
        declared.complete = false;
        return declared;
    };
    let mut reader = Reader { resolver: Resolver::new(source, None), project: project.into(), start_dir };
    for item in items {
        if let Some(task) = DevenvTask::decode(item, &mut decoder) {
            declared.declarations.extend(reader.declaration(&task));
        }
    }
    declared.faults.append(&mut decoder.faults);
    declared.faults.append(&mut reader.resolver.faults);
    declared.faults.extend(unknown_keys(&decoder.unknown));
    declared
}

fn unknown_keys(keys: &BTreeSet<String>) -> Option<Diagnostic> {
    let list = keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
    (!keys.is_empty()).then(|| {
        Diagnostic::warning("unknown-key", format!("keys devtask does not know are ignored: {list}"))
    })
}

struct Reader<'a> {
    resolver: Resolver<'a>,
    project: Arc<str>,
    start_dir: &'a Path,
}

impl Reader<'_> {
    fn declaration(&mut self, fields: &DevenvTask) -> Option<Declaration> {
        let key = fields.name.as_ref()?;
        let name = self.resolver.name(key, None)?;
        let cwd = fields
            .cwd
            .as_ref()
            .map_or_else(|| self.start_dir.to_owned(), |cwd| self.start_dir.join(&cwd.value));
        let mut task = Task::empty(name, &normalise(&cwd));
        self.fill(&mut task, fields);
        Some(Declaration {
            task,
            place: Some(self.resolver.place(&key.span)),
            after: self.resolver.references(fields.after.as_ref(), None),
            before: self.resolver.references(fields.before.as_ref(), None),
            ports: Vec::new(),
        })
    }

    fn fill(&mut self, task: &mut Task, fields: &DevenvTask) {
        let resolver = &mut self.resolver;
        task.project = self.project.clone();
        task.description = fields.description.as_ref().map(|d| d.value.clone()).filter(|d| !d.is_empty());
        task.pattern_bases = bases(&task.cwd, self.start_dir);
        task.action = fields.command.as_ref().map_or(Action::None, |c| command(resolver, c));
        // Without a command there is nothing a status could skip.
        task.status =
            fields.status.as_ref().filter(|_| fields.command.is_some()).map(|s| command(resolver, s));
        if task.status.is_none() {
            let list = fields.exec_if_modified.as_ref();
            task.exec_if_modified = resolver.patterns(list);
            patterns::check(&task.exec_if_modified, list, &task.pattern_bases, PatternKind::Inputs, resolver);
        }
        let input = fields.input.as_ref().or(fields.inputs.as_ref());
        task.input = input.map(|i| Written::plain(i.value.0.clone()));
        task.env = resolver.variables(fields.env.as_ref(), Kind::Plain);
        task.show_output = fields.show_output.as_ref().is_some_and(|s| s.value);
        if fields.kind.as_ref().is_some_and(|k| k.value == Type::Process) {
            let table = fields.process.as_ref().map(|p| p.value.clone()).unwrap_or_default();
            spec::fill(task, &table, resolver);
        }
    }
}

fn command(resolver: &mut Resolver<'_>, path: &Spanned<String>) -> Action {
    Action::Command(PathBuf::from(resolver.text(path).value))
}

/// Where relative patterns are looked up from: its own directory and devenv's, once if they are one.
fn bases(cwd: &Path, start_dir: &Path) -> Vec<PathBuf> {
    let mut bases = vec![cwd.to_owned(), normalise(start_dir)];
    bases.dedup();
    bases
}
