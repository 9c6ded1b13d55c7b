//! A task file of our own: what can be said of it before its project's name and root are known, and its
//! declarations once they are.

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    declare,
    decode::{Decode, Decoder, Spanned},
    json,
    read::Tree,
    resolve::Resolver,
    server,
    tables::{Color, File, SettingsTable, Ui},
    toml,
    types::List,
    value::Data,
};
use crate::{
    diagnostic::{Diagnostic, Place, SourceId},
    model::{Declaration, TaskServer},
};

/// A decoded task file.
#[derive(Clone, Debug)]
pub struct ProjectFile {
    source: SourceId,
    file: File,
    /// The faults of its text.
    pub faults: Vec<Diagnostic>,
    /// Whether the whole text was understood; otherwise it may declare more than is known.
    pub complete: bool,
}

/// A text of a task file, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// What the strings and names of a file are resolved with.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The project's name.
    pub project: &'a str,
    /// Whether it is the root project.
    pub is_root: bool,
    /// The directory of the file.
    pub dir: &'a Path,
    /// The directory of the root's file.
    pub root: &'a Path,
    /// The root of the git repository the file lies in, if it lies in one.
    pub git_root: Option<&'a Path>,
}

/// What a text declares.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The tasks that could be read, also where some of their fields are at fault.
    pub declarations: Vec<Declaration>,
    /// The servers it declares, and where.
    pub servers: Vec<(TaskServer, Place)>,
    /// The variables of the file, `[env]` over dotenv files, without those that name a port: what each of its tasks has,
    /// and a shell in it.
    pub env: BTreeMap<String, String>,
    /// Faults, and warnings.
    pub faults: Vec<Diagnostic>,
    /// Whether the whole text was understood.
    pub complete: bool,
}

/// The `[settings]` of a file. Absent ones are left to whoever has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How many tasks run at once; at least 1.
    pub jobs: Option<u32>,
    /// How many last lines of a failed task are shown.
    pub tail: Option<u32>,
    /// Whether nothing new starts after a failure.
    pub fail_fast: Option<bool>,
    /// Whether the output of every task is shown.
    pub show_output: Option<bool>,
    /// How progress is shown.
    pub ui: Option<Ui>,
    /// Whether output is coloured.
    pub color: Option<Color>,
    /// How much of earlier results is kept, in bytes (spec section 4.5).
    pub cache_size: Option<u64>,
    /// For how long one is kept that does not come back.
    pub cache_age: Option<Duration>,
}

/// Reads `devtask.toml` (TOML 1.1).
#[must_use]
pub fn parse_toml(source: SourceId, text: &str) -> ProjectFile {
    decode(source, toml::read(source, text))
}

/// Reads `devtask.json`: the same model as [`parse_toml`], as plain JSON.
#[must_use]
pub fn parse_json(source: SourceId, text: &str) -> ProjectFile {
    decode(source, json::read(source, text))
}

/// The JSON Schema (draft 2020-12) of task files.
#[must_use]
pub fn schema() -> serde_json::Value {
    let generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<File>();
    schema.insert("title".to_owned(), "devtask task file".into());
    schema.to_value()
}

fn decode(source: SourceId, tree: Tree) -> ProjectFile {
    let mut decoder = Decoder::new(source, false);
    if !tree.complete && matches!(&tree.root.data, Data::Table(entries) if entries.is_empty()) {
        return ProjectFile { source, file: File::default(), faults: tree.faults, complete: false };
    }
    let decoded = File::decode(&tree.root, &mut decoder);
    let complete = tree.complete && decoded.is_some();
    if decoded.is_none() && matches!(tree.root.data, Data::Array(_)) {
        let hint = "a list of tasks is devenv's: give it with `-f`";
        decoder.faults.iter_mut().for_each(|fault| fault.hint = Some(hint.to_owned()));
    }
    let file = decoded.unwrap_or_default();
    if let Some(jobs) = file.jobs().filter(|jobs| jobs.value == 0) {
        decoder.fault(
            "bad-value",
            &jobs.span,
            "`jobs` must be at least 1".to_owned(),
            "leave it out for one a core",
        );
    }
    let mut faults = tree.faults;
    // Behind a syntax fault the tree is a guess, and so would be its faults.
    faults.extend(decoder.faults.into_iter().filter(|fault| start(fault) < tree.reliable || complete));
    faults.sort_by_key(start);
    ProjectFile { source, file, faults, complete }
}

fn start(fault: &Diagnostic) -> usize {
    fault.labels.first().map_or(0, |label| label.place.span.start)
}

impl File {
    fn jobs(&self) -> Option<&Spanned<u32>> {
        self.settings.as_ref().and_then(|s| s.value.jobs.as_ref())
    }
}

impl ProjectFile {
    /// Its text among the sources.
    #[must_use]
    pub fn source(&self) -> SourceId {
        self.source
    }

    /// Its `name`.
    #[must_use]
    pub fn name(&self) -> Option<Text> {
        self.file.name.as_ref().map(|name| self.text(name))
    }

    /// Its `include`.
    #[must_use]
    pub fn include(&self) -> Vec<Text> {
        self.texts(self.file.include.as_ref())
    }

    /// Its `dotenv`, with substitutions made, and the faults of these.
    #[must_use]
    pub fn dotenv(&self, scope: &Scope<'_>) -> (Vec<Text>, Vec<Diagnostic>) {
        let mut resolver = Resolver::new(self.source, Some(scope));
        let written = resolver.texts(self.file.dotenv.as_ref());
        let mut texts = self.texts(self.file.dotenv.as_ref());
        for (text, written) in texts.iter_mut().zip(written) {
            text.text = written.value;
        }
        (texts, resolver.faults)
    }

    /// Its `[settings]`, and where they stand.
    #[must_use]
    pub fn settings(&self) -> (Settings, Option<Place>) {
        let table = self.file.settings.as_ref();
        let place = table.map(|t| Place { source: self.source, span: t.span.clone() });
        (table.map(|t| t.value.settings()).unwrap_or_default(), place)
    }

    /// Its tasks and processes. `dotenv` holds the variables of its dotenv files.
    #[must_use]
    pub fn declare(&self, scope: &Scope<'_>, dotenv: &BTreeMap<String, String>) -> Declared {
        let (declarations, mut faults) = declare::declare(self.source, &self.file, scope, dotenv);
        let (servers, more) = server::declare(self.source, &self.file, scope, dotenv);
        faults.extend(more);
        let env = declare::variables(self.source, &self.file, scope, dotenv);
        Declared { declarations, servers, env, faults, complete: self.complete }
    }

    fn texts(&self, list: Option<&Spanned<List<String>>>) -> Vec<Text> {
        list.map(|list| list.value.0.iter().map(|t| self.text(t)).collect()).unwrap_or_default()
    }

    fn text(&self, text: &Spanned<String>) -> Text {
        Text { text: text.value.clone(), place: Place { source: self.source, span: text.span.clone() } }
    }
}

impl SettingsTable {
    fn settings(&self) -> Settings {
        Settings {
            jobs: self.jobs.as_ref().map(|s| s.value),
            tail: self.tail.as_ref().map(|s| s.value),
            fail_fast: self.fail_fast.as_ref().map(|s| s.value),
            show_output: self.show_output.as_ref().map(|s| s.value),
            ui: self.ui.as_ref().map(|s| s.value),
            color: self.color.as_ref().map(|s| s.value),
            cache_size: self.cache_size.as_ref().map(|s| s.value.0),
            cache_age: self.cache_age.as_ref().map(|s| s.value.0),
        }
    }
}
