//! A decoded task file of our own becomes declarations.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Scope,
    decode::Spanned,
    interpolate::Kind,
    path::normalise,
    patterns,
    process::ProcessFields,
    resolve::Resolver,
    rules, spec,
    table::Both,
    tables::{CheckFields, Common, File, Task as TaskFields, Type},
};
use crate::{
    diagnostic::{Diagnostic, SourceId},
    model::{
        Action, CHECKS, Check, CheckRole, Declaration, FIXES, Interpreter, PROCESSES, Task, TaskName,
        Written, port_refs,
    },
    pattern::{PatternKind, PatternSet},
};

/// The declarations of a file, and the faults that only showed now.
pub(super) fn declare(
    source: SourceId,
    file: &File,
    scope: &Scope<'_>,
    dotenv: &BTreeMap<String, String>,
) -> (Vec<Declaration>, Vec<Diagnostic>) {
    let mut resolver = Resolver::new(source, Some(scope));
    let mut file_env: BTreeMap<String, Written<String>> =
        dotenv.iter().map(|(k, v)| (k.clone(), Written::plain(v.clone()))).collect();
    file_env.extend(resolver.variables(file.env.as_ref(), Kind::Started));
    let ports_of_file = resolver.take_ports();
    let mut declarer = Declarer { resolver, scope, project: scope.project.into(), file_env };
    let mut list = Vec::new();
    for (name, fields) in file.tasks.iter().flat_map(|t| &t.value.0) {
        list.extend(declarer.task(name, &fields.value));
    }
    for (name, fields) in file.processes.iter().flat_map(|p| &p.value.0) {
        list.extend(declarer.process(name, &fields.value));
    }
    for (name, fields) in file.checks.iter().flat_map(|checks| &checks.value.0) {
        list.extend(declarer.check(name, &fields.value).into_iter().flatten().flatten());
    }
    // They mean the same in each task of the file, so one of these is enough to have them judged.
    if let Some(first) = list.first_mut() {
        first.ports.splice(0..0, ports_of_file);
    }
    (list, declarer.resolver.faults)
}

/// The variables of a file that are known before anything runs. Their faults are those of its tasks.
pub(super) fn variables(
    source: SourceId,
    file: &File,
    scope: &Scope<'_>,
    dotenv: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let own = Resolver::new(source, Some(scope)).variables(file.env.as_ref(), Kind::Started);
    let mut all = dotenv.clone();
    all.extend(own.into_iter().map(|(name, text)| (name, text.value)));
    all.retain(|_, value| port_refs(value).next().is_none());
    all
}

struct Declarer<'a> {
    resolver: Resolver<'a>,
    scope: &'a Scope<'a>,
    project: Arc<str>,
    file_env: BTreeMap<String, Written<String>>,
}

impl Declarer<'_> {
    fn task(&mut self, key: &Spanned<String>, fields: &Both<Common, TaskFields>) -> Option<Declaration> {
        let Both(common, own) = fields;
        let name = self.resolver.name(key, Some(self.scope.project))?;
        let is_process = own.kind.as_ref().is_some_and(|k| k.value == Type::Process);
        let kind = if is_process { Kind::Process } else { Kind::Started };
        let mut task = self.common(name, common, kind);
        if is_process {
            rules::only_for_tasks(own, &mut self.resolver);
            let table = own.process.as_ref().map(|p| p.value.clone()).unwrap_or_default();
            self.own_of_process(&mut task, key, &table);
        } else {
            rules::check(key, common, own, &mut self.resolver);
            self.own(&mut task, own);
        }
        Some(self.declaration(key, common, task))
    }

    fn process(
        &mut self,
        key: &Spanned<String>,
        fields: &Both<Common, ProcessFields>,
    ) -> Option<Declaration> {
        let Both(common, own) = fields;
        if key.value.contains(':') {
            let hint = "the name of its task has the colons: `devenv:processes:<name>`";
            self.resolver.fault("bad-name", &key.span, "the name of a process has no colon", hint);
            return None;
        }
        let namespace = if self.scope.is_root {
            PROCESSES.to_owned()
        } else {
            format!("{PROCESSES}:{}", self.scope.project)
        };
        let name = self.resolver.name(key, Some(&namespace))?;
        let mut task = self.common(name, common, Kind::Process);
        self.own_of_process(&mut task, key, own);
        Some(self.declaration(key, common, task))
    }

    /// A check, and its fix if it has one: two tasks that are alike but for what they execute.
    fn check(
        &mut self,
        key: &Spanned<String>,
        fields: &Both<Common, CheckFields>,
    ) -> Option<[Option<Declaration>; 2]> {
        let Both(common, own) = fields;
        if key.value.contains(':') {
            let hint = "its task gets the project's name: `check:<project>:<name>`";
            self.resolver.fault("bad-name", &key.span, "the name of a check has no colon", hint);
            return None;
        }
        let name = |resolver: &mut Resolver<'_>, space: &str, project: &str| {
            resolver.name(key, Some(&format!("{space}:{project}")))
        };
        let looks = name(&mut self.resolver, CHECKS, self.scope.project)?;
        rules::of_check(key, common, own, &mut self.resolver);
        let mut task = self.common(looks, common, Kind::Started);
        let check = self.own_of_check(&mut task, own);
        let fix = own.fix.as_ref().map(|fix| self.resolver.text_of(fix, Kind::Started));
        let mends = fix.and_then(|fix| Some((fix, name(&mut self.resolver, FIXES, self.scope.project)?)));
        let mends = mends.map(|(fix, name)| Task {
            name,
            action: Action::Script(fix),
            check: Some(Arc::new(Check { role: CheckRole::Fix, ..check.clone() })),
            ..task.clone()
        });
        task.check = Some(Arc::new(check.clone()));
        if !check.passes_files && !check.files.is_empty() {
            task.exec_if_modified = [check.files, check.inputs].concat();
        }
        let looks = self.declaration(key, common, task);
        let mends = mends.map(|task| self.declaration(key, common, task));
        Some([Some(looks), mends])
    }

    fn own_of_check(&mut self, task: &mut Task, own: &CheckFields) -> Check {
        let resolver = &mut self.resolver;
        let bases = task.pattern_bases.clone();
        let mut patterns = |list: Option<&Spanned<super::types::List<String>>>| {
            let written = resolver.patterns(list);
            patterns::check(&written, list, &bases, PatternKind::Inputs, resolver);
            written
        };
        let (files, inputs) = (patterns(own.files.as_ref()), patterns(own.exec_if_modified.as_ref()));
        task.track_env = plain(own.track_env.as_ref());
        task.timeout = own.timeout.as_ref().map(|t| t.value.0);
        task.lock = own.lock.as_ref().map(|l| self.resolver.text(l).value);
        Check {
            role: CheckRole::Check,
            files,
            passes_files: own.pass_files.as_ref().is_some_and(|passes| passes.value),
            inputs,
            links: self.links(own),
            has_fix: own.fix.is_some(),
        }
    }

    /// What is shown lies beneath the root, as everything of the tree does.
    fn links(&mut self, own: &CheckFields) -> Vec<PathBuf> {
        let root = normalise(self.scope.root);
        let mut links = Vec::new();
        for link in own.link.iter().flat_map(|list| &list.value.0) {
            let path = normalise(&self.scope.dir.join(self.resolver.text(link).value));
            if path == root || !path.starts_with(&root) {
                let message = format!("`{}` does not lie beneath the root", link.value);
                self.resolver.fault(
                    "bad-value",
                    &link.span,
                    message,
                    "name an ignored directory of the tree",
                );
            }
            links.push(path);
        }
        links
    }

    fn declaration(&mut self, key: &Spanned<String>, common: &Common, task: Task) -> Declaration {
        let namespace = Some(self.scope.project);
        Declaration {
            task,
            place: Some(self.resolver.place(&key.span)),
            after: self.resolver.references(common.after.as_ref(), namespace),
            before: self.resolver.references(common.before.as_ref(), namespace),
            ports: self.resolver.take_ports(),
        }
    }

    /// The fields tasks and processes share. Those that are used when it is started may refer to ports.
    fn common(&mut self, name: TaskName, common: &Common, kind: Kind) -> Task {
        let cwd = self.cwd(common.cwd.as_ref());
        let resolver = &mut self.resolver;
        let mut task = Task::empty(name, &cwd);
        task.project = self.project.clone();
        task.description = common.description.as_ref().map(|d| resolver.text(d).value);
        if let Some(exec) = &common.exec {
            task.action = Action::Script(resolver.text_of(exec, kind));
        }
        task.interpreter = interpreter(common, self.scope.dir, resolver);
        task.input = common.input.as_ref().map(|i| resolver.json(&i.value.0, &i.span, kind));
        task.env = resolver.variables(common.env.as_ref(), kind);
        task.file_env = self.file_env.clone();
        task.show_output = common.show_output.as_ref().is_some_and(|s| s.value);
        task
    }

    fn cwd(&mut self, cwd: Option<&Spanned<String>>) -> PathBuf {
        cwd.map_or_else(
            || normalise(self.scope.dir),
            |cwd| normalise(&self.scope.dir.join(self.resolver.text(cwd).value)),
        )
    }

    /// The fields only processes have.
    fn own_of_process(&mut self, task: &mut Task, key: &Spanned<String>, own: &ProcessFields) {
        if !task.has_command() {
            let message = format!("process `{}` has no `exec`", key.value);
            let hint = "add `exec`, the command that keeps running";
            self.resolver.fault("process-without-exec", &key.span, message, hint);
        }
        spec::fill(task, own, &mut self.resolver);
    }

    /// The fields only tasks that end by themselves have.
    fn own(&mut self, task: &mut Task, own: &TaskFields) {
        let resolver = &mut self.resolver;
        task.status = own.status.as_ref().map(|s| Action::Script(resolver.text_of(s, Kind::Started)));
        task.exec_if_modified = resolver.patterns(own.exec_if_modified.as_ref());
        task.outputs = resolver.patterns(own.outputs.as_ref());
        task.restore = own.restore.as_ref().map_or(own.outputs.is_some(), |r| r.value);
        task.track_env = plain(own.track_env.as_ref());
        task.exports = plain(own.exports.as_ref());
        task.timeout = own.timeout.as_ref().map(|t| t.value.0);
        task.retries = own.retries.as_ref().map_or(0, |r| r.value);
        task.interactive = own.interactive.as_ref().is_some_and(|i| i.value);
        task.lock = own.lock.as_ref().map(|l| resolver.text(l).value);
        let bases = &task.pattern_bases;
        let inputs = own.exec_if_modified.as_ref();
        patterns::check(&task.exec_if_modified, inputs, bases, PatternKind::Inputs, resolver);
        self.outputs(task, own);
    }

    /// Outputs outside the root are refused (spec section 4.5).
    fn outputs(&mut self, task: &Task, own: &TaskFields) {
        let bases = std::slice::from_ref(&task.cwd);
        let list = own.outputs.as_ref();
        let set = patterns::check(&task.outputs, list, bases, PatternKind::Outputs, &mut self.resolver);
        let root = normalise(self.scope.root);
        for (at, place) in list.iter().flat_map(|list| &list.value.0).enumerate() {
            let alternatives = set.iter().flat_map(PatternSet::globs).filter(|g| g.written() == at);
            if alternatives.filter(|g| !g.is_negated()).any(|g| !g.prefix().starts_with(&root)) {
                let message = format!("outputs outside the root are refused: `{}`", place.value);
                let hint = format!("the root is {}", root.display());
                self.resolver.fault("output-outside-root", &place.span, message, &hint);
            }
        }
    }
}

/// A name is looked up on `PATH` when the task runs; a path is relative to the file, wherever `cwd` is.
fn interpreter(common: &Common, dir: &Path, resolver: &mut Resolver<'_>) -> Interpreter {
    let mut interpreter = Interpreter::default();
    if let Some(package) = &common.package {
        interpreter.package = resolver.text(package);
        let value = &mut interpreter.package.value;
        // A path that is no text is left to be found from the task's own directory.
        if let Some(path) = normalise(&dir.join(&*value)).to_str().filter(|_| value.contains('/')) {
            *value = path.to_owned();
        }
        if package.value.is_empty() {
            resolver.fault("bad-value", &package.span, "`package` is empty", "leave it out for bash");
        }
    }
    interpreter.binary = common.binary.as_ref().map(|b| resolver.text(b).value);
    interpreter
}

fn plain(list: Option<&Spanned<super::types::List<String>>>) -> Vec<String> {
    list.map(|list| list.value.0.iter().map(|s| s.value.clone()).collect()).unwrap_or_default()
}
