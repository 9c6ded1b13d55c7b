//! What the tables of task servers declare.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    Scope,
    decode::Spanned,
    interpolate::Kind,
    path::normalise,
    patterns,
    resolve::Resolver,
    tables::{File, Server},
    types::{CommandLine, List},
};
use crate::{
    diagnostic::{Diagnostic, Place, SourceId},
    model::{TaskName, TaskServer, Written},
    pattern::{PatternKind, escape},
};

/// The servers of a file, and their faults.
pub(super) fn declare(
    source: SourceId,
    file: &File,
    scope: &Scope<'_>,
    dotenv: &BTreeMap<String, String>,
) -> (Vec<(TaskServer, Place)>, Vec<Diagnostic>) {
    let mut resolver = Resolver::new(source, Some(scope));
    let mut file_env: BTreeMap<String, Written<String>> =
        dotenv.iter().map(|(name, value)| (name.clone(), Written::plain(value.clone()))).collect();
    // Its faults are those of the file's tasks.
    file_env.extend(Resolver::new(source, Some(scope)).variables(file.env.as_ref(), Kind::Plain));
    let mut declarer = Declarer { resolver: &mut resolver, scope, file_env };
    let mut list = Vec::new();
    for (name, fields) in file.servers.iter().flat_map(|servers| &servers.value.0) {
        list.extend(declarer.server(name, &fields.value));
    }
    let others = file.task.iter().flat_map(|task| &task.value.server_protocol);
    for program in others.flat_map(|list| &list.value.0) {
        list.extend(declarer.program(program, &list));
    }
    (list, resolver.faults)
}

struct Declarer<'r, 'a> {
    resolver: &'r mut Resolver<'a>,
    scope: &'a Scope<'a>,
    file_env: BTreeMap<String, Written<String>>,
}

impl Declarer<'_, '_> {
    fn server(&mut self, name: &Spanned<String>, fields: &Server) -> Option<(TaskServer, Place)> {
        if name.value.contains(':') || TaskName::check_characters(&name.value).is_err() {
            let message = format!("`{}` is no name of a server", name.value);
            let hint = "names have ASCII letters, digits, `-` and `_`";
            self.resolver.fault("bad-name", &name.span, message, hint);
            return None;
        }
        let command = self.command(fields.command.as_ref()?)?;
        let mut server = self.plain(name.value.clone(), command);
        server.env = self.resolver.variables(fields.env.as_ref(), Kind::Plain);
        server.watch.extend(self.watched(fields.watch.as_ref()));
        if let Some(timeout) = &fields.start_timeout {
            server.start_timeout = timeout.value.0;
            if timeout.value.0.is_zero() {
                let hint = "leave it out for the default";
                let message = "`startTimeout` must be longer than nothing";
                self.resolver.fault("bad-duration", &timeout.span, message, hint);
            }
        }
        Some((server, self.resolver.place(&name.span)))
    }

    /// One of devenv's: a program without arguments, called by its file's name.
    fn program(
        &mut self,
        program: &Spanned<String>,
        known: &[(TaskServer, Place)],
    ) -> Option<(TaskServer, Place)> {
        let line = Spanned { value: CommandLine(vec![program.clone()]), span: program.span.clone() };
        let command = self.command(&line)?;
        let stem = Path::new(&program.value).file_stem().map(|stem| stem.to_string_lossy().replace(':', "-"));
        let name = stem.as_deref().and_then(TaskName::legal_spelling).unwrap_or_else(|| "server".to_owned());
        let is_free = |name: &String| known.iter().all(|(server, _)| server.name != *name);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let name = std::iter::once(name.clone()).chain(numbered).find(is_free)?;
        Some((self.plain(name, command), self.resolver.place(&program.span)))
    }

    fn plain(&self, name: String, command: Vec<Written<String>>) -> TaskServer {
        let dir = normalise(self.scope.dir);
        let watch = command.iter().enumerate().filter_map(|(at, word)| self.own_file(at, word, &dir));
        TaskServer {
            name,
            project: Arc::from(self.scope.project),
            watch: watch.collect(),
            command,
            dir,
            env: BTreeMap::new(),
            file_env: self.file_env.clone(),
            start_timeout: TaskServer::START_TIMEOUT,
        }
    }

    /// A word that looks like a file of the tree is a part of what it is made of.
    fn own_file(&self, at: usize, word: &Written<String>, dir: &Path) -> Option<Written<String>> {
        let text = word.value.as_str();
        let is_path = text.contains('/') || at > 0 && Path::new(text).extension().is_some();
        // A script for a shell is no path.
        let is_path = is_path && (at == 0 || !text.contains(char::is_whitespace));
        let path = normalise(&dir.join(text));
        let is_own = is_path && !text.starts_with('-') && path.starts_with(normalise(self.scope.root));
        let pattern = path.to_str().filter(|_| is_own && !text.ends_with('/'))?;
        Some(Written { written: word.written.clone(), value: escape(pattern) })
    }

    fn command(&mut self, line: &Spanned<CommandLine>) -> Option<Vec<Written<String>>> {
        let words = &line.value.0;
        let first = words.first().map(|word| word.value.as_str()).unwrap_or_default();
        if first.is_empty() {
            self.resolver.fault(
                "bad-value",
                &line.span,
                "`command` names no program",
                "write `[\"./tasks.py\"]`",
            );
            return None;
        }
        if words.len() == 1 && first.contains(char::is_whitespace) && !first.contains('/') {
            let list: Vec<String> = first.split_whitespace().map(|word| format!("{word:?}")).collect();
            let hint = format!("write `[{}]`", list.join(", "));
            self.resolver.fault("bad-value", &line.span, "`command` is no text for a shell", &hint);
            return None;
        }
        Some(words.iter().map(|word| self.resolver.text(word)).collect())
    }

    /// The patterns of `watch`, made absolute: the tasks of a server may work elsewhere.
    fn watched(&mut self, list: Option<&Spanned<List<String>>>) -> Vec<Written<String>> {
        let dir = normalise(self.scope.dir);
        let mut made = self.resolver.patterns(list);
        let bases = std::slice::from_ref(&dir);
        if patterns::check(&made, list, bases, PatternKind::Inputs, self.resolver).is_none() {
            return Vec::new();
        }
        for negation in list.iter().flat_map(|list| &list.value.0).filter(|p| p.value.starts_with('!')) {
            let hint = "what a server is made of counts for each of its tasks: narrow the other patterns";
            self.resolver.fault("bad-value", &negation.span, "`watch` of a server has no negations", hint);
        }
        let base = dir.to_str().map(escape);
        for pattern in made.iter_mut().filter(|pattern| !pattern.value.starts_with('/')) {
            // In a directory whose name is no text nothing could be told from elsewhere.
            if let Some(base) = &base {
                pattern.value = format!("{}/{}", base.trim_end_matches('/'), pattern.value);
            }
        }
        made
    }
}
