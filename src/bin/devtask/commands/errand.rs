//! What is to be done, whoever does it: by a session of our own, or by whoever holds the tree.

use std::{
    collections::HashSet,
    ffi::OsString,
    io::{IsTerminal as _, stdout},
    path::Path,
    sync::Arc,
};

use devtask::{Request, config::Settings, model::TaskName, session::LiveLines};
use serde_json::{Map, Value};

use super::guest::Question;
use crate::{
    app::{App, misused_with},
    args::{Outputs, RunArgs, Ui},
    console::{Ended, Events, View},
    exit::Exit,
    render::{
        lines::{Lines, Style, Words},
        screen::{Screen, Shown, Shows},
    },
};

/// The hint of a bad `--input-json`.
const OBJECT: &str = "write for example `--input-json '{\"count\": 3}'`";

/// What is to be done, whoever does it.
#[derive(Clone, Copy)]
pub(crate) struct Errand<'a> {
    pub(super) args: &'a RunArgs,
    inputs: &'a Map<String, Value>,
    prints_outputs: bool,
    /// How others are told what this is, if it is no run.
    label: Option<&'a str>,
    given: Given<'a>,
    /// Whether somebody else says what tasks want to be said.
    pub(super) holds_messages: bool,
}

/// What single tasks are given, and how that is told.
#[derive(Clone, Copy, Default)]
pub(crate) struct Given<'a> {
    pub(crate) files: &'a [(TaskName, Vec<OsString>)],
    /// None: as of any run.
    pub(crate) words: Option<&'a Words>,
}

impl<'a> Errand<'a> {
    /// That of a run.
    pub(crate) fn run(args: &'a RunArgs, inputs: &'a Map<String, Value>, events: &Events) -> Self {
        Self {
            args,
            inputs,
            prints_outputs: prints_outputs(args, events),
            label: None,
            given: Given::default(),
            holds_messages: false,
        }
    }

    /// That of a watch.
    pub(crate) fn watch(args: &'a RunArgs, inputs: &'a Map<String, Value>, label: &'a str) -> Self {
        let given = Given::default();
        Self { args, inputs, prints_outputs: false, label: Some(label), given, holds_messages: false }
    }

    /// That of tasks that are given files.
    pub(crate) fn given(
        args: &'a RunArgs,
        inputs: &'a Map<String, Value>,
        label: &'a str,
        given: Given<'a>,
    ) -> Self {
        Self { given, ..Self::watch(args, inputs, label) }
    }

    /// That of who enters the tree.
    pub(crate) fn entry(args: &'a RunArgs, inputs: &'a Map<String, Value>, label: &'a str) -> Self {
        Self { holds_messages: true, ..Self::watch(args, inputs, label) }
    }

    /// How others are told what this is.
    pub(crate) fn label(self) -> String {
        match self.label {
            Some(label) => format!("devtask {label}"),
            None => format!("devtask run {}", self.args.names.join(" ")).trim_end().to_owned(),
        }
    }

    /// What an owner is asked to do.
    pub(crate) fn question(self, app: &App, project: &Settings) -> Question {
        let everything = app.globals.events.is_some() || self.args.dry_run || app.ui(project) == Ui::Github;
        let mut request = self.request(app, project);
        request.environment = Some(Arc::new(app.environment()));
        Question { request, label: self.label(), everything }
    }

    /// What is said at the very end.
    pub(crate) fn tell(self, view: &mut View, ended: &Ended) {
        if self.prints_outputs {
            let outputs: Map<String, Value> = ended.summary.outputs.clone().into_iter().collect();
            let text = Value::Object(outputs).to_string();
            // In JSON it stands in texts only; a runner of GitHub would take `##[` for a command.
            let text = if view.is_on_github() { text.replace('#', "\\u0023") } else { text };
            view.printer.out(&format!("{text}\n"));
        }
    }
}

impl Errand<'_> {
    /// The request, in a project with these settings.
    pub(crate) fn request(self, app: &App, project: &Settings) -> Request {
        let args = self.args;
        let mut request = Request::run(args.names.clone()).mode(args.mode.into());
        request.inputs = self.inputs.clone();
        request.arguments = args.arguments.clone();
        request.given = self.given.files.to_vec();
        request.jobs = self.jobs(app, project);
        request.fail_fast = args.fail_fast.or_else(|| app.setting(project, |s| s.fail_fast)).unwrap_or(false);
        request.force = args.force;
        request.refresh = app.globals.refresh_task_cache;
        request.dry_run = args.dry_run;
        request.timeout = args.timeout;
        request.retries = args.retries;
        request.strict_ports = args.strict_ports;
        request.tail = self.tail(app, project);
        let folds = app.ui(project) == Ui::Github && !app.globals.quiet;
        let needs_lines = self.shows_output(app, project) || app.globals.events.is_some() || folds;
        request.lines = match (app.is_live(project), needs_lines) {
            (false, true) => LiveLines::All,
            (true, _) => LiveLines::Lossy,
            (false, false) => LiveLines::Off,
        };
        request
    }

    /// How many tasks are to execute at once, if that was said.
    pub(super) fn jobs(self, app: &App, project: &Settings) -> Option<usize> {
        let jobs = self.args.jobs.or_else(|| app.setting(project, |s| s.jobs));
        jobs.map(|jobs| usize::try_from(jobs).unwrap_or(usize::MAX))
    }

    /// How many last lines of a failed task are shown.
    fn tail(self, app: &App, project: &Settings) -> usize {
        let lines = self.args.tail.or_else(|| app.setting(project, |s| s.tail));
        lines.map_or(Request::TAIL, |lines| usize::try_from(lines).unwrap_or(usize::MAX))
    }

    fn shows_output(self, app: &App, project: &Settings) -> bool {
        let asked =
            self.args.show_output.or_else(|| app.setting(project, |s| s.show_output)).unwrap_or(false);
        (asked || app.globals.verbose) && !app.globals.quiet
    }

    /// The screen for it: `shown` are the tasks whose output is always shown, `interactive` those that own the
    /// terminal.
    pub(crate) fn screen(
        self,
        app: &App,
        project: &Settings,
        root: &Path,
        shown: HashSet<TaskName>,
        interactive: HashSet<TaskName>,
    ) -> Screen {
        let quiet = app.globals.quiet || app.ui(project) == Ui::None;
        let github = app.github(project, root);
        let streamed = self.shows_output(app, project) && github.is_none();
        let tail = self.tail(app, project);
        let style = Style { color: app.color_err, quiet, explain: self.args.explain, tail, streamed };
        let lines_of = match (streamed, quiet) {
            (true, _) => Shown::All,
            (false, true) => Shown::These(HashSet::new()),
            (false, false) => Shown::These(shown),
        };
        let lines = Lines::new(style).in_words_of(self.given.words.cloned().unwrap_or_default());
        let shows = Shows { lines_of, interactive };
        Screen::new(lines, app.is_live(project) && !quiet, shows).on_github(github)
    }
}

fn prints_outputs(args: &RunArgs, events: &Events) -> bool {
    match args.outputs {
        Outputs::Json => true,
        Outputs::None => false,
        Outputs::Auto => !stdout().is_terminal() && !events.use_stdout() && !args.dry_run,
    }
}

/// `--input-json`, then each `--input` on top (spec section 3).
pub(crate) fn inputs(args: &RunArgs) -> Result<Map<String, Value>, Exit> {
    let mut inputs = match args.input_json.as_deref().map(serde_json::from_str) {
        None => Map::new(),
        Some(Ok(Value::Object(object))) => object,
        Some(Ok(_)) => return Err(misused_with("`--input-json` is no JSON object", OBJECT)),
        Some(Err(error)) => {
            return Err(misused_with(&format!("`--input-json` is not JSON: {error}"), OBJECT));
        }
    };
    for input in &args.inputs {
        match input.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
                inputs.insert(key.to_owned(), value);
            }
            _ => {
                let message = format!("`--input {input}` is not of the form KEY=VALUE");
                return Err(misused_with(&message, "write for example `--input count=3`"));
            }
        }
    }
    Ok(inputs)
}
