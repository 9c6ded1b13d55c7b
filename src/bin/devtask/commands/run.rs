//! `devtask run`.

use std::{
    collections::HashSet,
    io::{IsTerminal as _, stdout},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use devtask::{
    Request, Session,
    event::RunStatus,
    model::{Task, TaskName},
    plan::select,
    session::{LiveLines, Run, RunSummary, SessionBuilder, SessionError, Wait},
    store::Owner,
};
use serde_json::{Map, Value};

use crate::{
    app::{App, Tree, internal, is_nested_in, misused, misused_with, refuse},
    args::{ExitCodeOf, Outputs, RunArgs, Ui},
    commands::look,
    console::{Console, Ended, Events, View},
    exit::Exit,
    render::{
        lines::{Lines, Style},
        printer::Sink,
        screen::{Screen, Shows},
        text::owner,
    },
    signals::{Signals, Wish, stop_self},
};

/// The hint of a bad `--input-json`.
const OBJECT: &str = "write for example `--input-json '{\"count\": 3}'`";

pub(crate) fn run(app: &mut App, args: &RunArgs) -> Result<Exit, Exit> {
    let inputs = inputs(args)?;
    let events = Events::open(app)?;
    if events.use_stdout() && args.outputs == Outputs::Json {
        return Err(misused("`--outputs json` and `--events -` both want stdout; send the events to a file"));
    }
    let tree = app.load()?;
    // Who mistypes a name neither waits for another devtask nor leaves a state directory.
    select(&tree.graph, tree.loaded.current_project.as_deref(), &args.names)
        .map_err(|faults| refuse(&SessionError::Unknown(faults)))?;
    let request = request(app, &tree, args, inputs);
    let stage = Stage { prints_outputs: prints_outputs(args, &events), app, tree: &tree, args };
    let exit = exit_of(&stage.run(request, events.to)?, args);
    // The process is about to end, and the system takes memory back faster than we give it.
    std::mem::forget(tree);
    Ok(exit)
}

/// What a run has to do with.
#[derive(Clone, Copy)]
struct Stage<'a> {
    app: &'a App,
    tree: &'a Tree,
    args: &'a RunArgs,
    prints_outputs: bool,
}

impl Stage<'_> {
    /// Judges on this thread; what has to be executed is executed on a runtime, with signals heard.
    fn run(self, request: Request, events: Option<Sink>) -> Result<Ended, Exit> {
        let mut view = View::new(screen(self.app, self.tree, self.args), events);
        let session = match self.open()? {
            Opened::Session(session) => session,
            Opened::Held(owner) => {
                may_wait(self.app, self.tree, owner)?;
                return within_runtime(self.wait_and_run(request, view));
            }
        };
        view.warn(session.notices());
        let mut judging = match session.judge(request) {
            Ok(judging) => judging,
            Err(error) => {
                let _ = session.close_blocking();
                return Err(refuse(&error));
            }
        };
        while let Some(event) = judging.next_event() {
            view.take(&event);
            if view.waits_to_be_seen() {
                view.show_here();
            }
        }
        match judging.finish() {
            Ok(summary) => self.finish_here(view, session, summary),
            Err(pending) => within_runtime(async {
                let signals = listen()?;
                self.conduct(Console::new(view, signals), session, |_| Ok(pending.go_on())).await
            }),
        }
    }

    /// Opens the tree, unless another devtask holds it.
    fn open(self) -> Result<Opened, Exit> {
        let label = self.label();
        if self.args.dry_run {
            let session = look::open(self.app, self.tree, &label)?;
            return session.map(Opened::Session).ok_or_else(look::busy);
        }
        match self.builder().open_blocking() {
            Ok(session) => {
                self.app.keep(self.tree, &session.state_dir());
                Ok(Opened::Session(session))
            }
            Err(SessionError::Held(owner)) => Ok(Opened::Held(owner)),
            Err(error) => Err(refuse(&error)),
        }
    }

    /// How the tree is opened to run something.
    fn builder(self) -> SessionBuilder {
        let builder = self.app.session(self.tree, &self.label());
        match jobs(self.app, self.tree, self.args) {
            Some(jobs) => builder.jobs(jobs),
            None => builder,
        }
    }

    fn label(self) -> String {
        format!("devtask run {}", self.args.names.join(" ")).trim_end().to_owned()
    }

    /// Ends a run that had nothing to execute.
    fn finish_here(self, mut view: View, session: Session, summary: RunSummary) -> Result<Ended, Exit> {
        let saved = session.close_blocking();
        let ended = Ended { summary, signal: None };
        self.tell(&mut view, &saved, &ended);
        view.show_here();
        match (saved, view.printer.take_fault()) {
            (_, Some(fault)) => Err(internal(&format!("cannot write to stdout: {fault}"))),
            (Err(_), None) if ended.summary.not_saved.is_none() => Err(Exit::Internal),
            _ => Ok(ended),
        }
    }

    /// Waits until the tree is free, and runs.
    async fn wait_and_run(self, request: Request, mut view: View) -> Result<Ended, Exit> {
        let mut signals = listen()?;
        let session = wait(self.builder(), &mut signals).await?;
        view.warn(session.notices());
        self.conduct(Console::new(view, signals), session, |session| session.start(request)).await
    }

    /// Conducts a run to its end, and closes the session.
    async fn conduct(
        self,
        mut console: Console,
        session: Session,
        start: impl FnOnce(&Session) -> Result<Run, SessionError>,
    ) -> Result<Ended, Exit> {
        let run = match start(&session) {
            Ok(run) => run,
            Err(error) => {
                let _ = session.close().await;
                return Err(refuse(&error));
            }
        };
        let ended = console.follow(run, &session).await;
        let saved = console.close(session).await;
        let unsaid = ended.as_ref().is_ok_and(|e| e.summary.not_saved.is_none());
        if let Ok(ended) = &ended {
            self.tell(console.view(), &saved, ended);
        }
        console.finish().await?;
        match saved {
            Err(_) if unsaid => Err(Exit::Internal),
            _ => ended,
        }
    }

    /// What is said at the end: notices, outputs.
    fn tell(self, view: &mut View, saved: &Result<Vec<String>, String>, ended: &Ended) {
        match saved {
            Ok(notices) => view.warn(notices),
            // A run that could not save said so itself, as soon as it knew.
            Err(why) if ended.summary.not_saved.is_none() => {
                view.warn(&[format!("results are not saved: {why}")]);
            }
            Err(_) => {}
        }
        if self.prints_outputs {
            let outputs: Map<String, Value> = ended.summary.outputs.clone().into_iter().collect();
            view.printer.out(&format!("{}\n", Value::Object(outputs)));
        }
    }
}

/// What came of opening the tree.
enum Opened {
    Session(Session),
    /// Another devtask holds it.
    Held(Owner),
}

/// Does it on a runtime that lives as long.
pub(super) fn within_runtime<T>(work: impl Future<Output = Result<T, Exit>>) -> Result<T, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| internal(&format!("cannot start: {e}")))?;
    let ended = runtime.block_on(work);
    // Nothing of ours is left on its threads: the session was closed.
    runtime.shutdown_background();
    ended
}

pub(super) fn listen() -> Result<Signals, Exit> {
    Signals::new().map_err(|e| internal(&format!("cannot listen to signals: {e}")))
}

/// `--input-json`, then each `--input` on top (spec section 3).
pub(super) fn inputs(args: &RunArgs) -> Result<Map<String, Value>, Exit> {
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

pub(super) fn request(app: &App, tree: &Tree, args: &RunArgs, inputs: Map<String, Value>) -> Request {
    let mut request = Request::run(args.names.clone()).mode(args.mode.into());
    request.inputs = inputs;
    request.arguments = args.arguments.clone();
    request.jobs = jobs(app, tree, args);
    request.fail_fast = args.fail_fast.or_else(|| app.setting(tree, |s| s.fail_fast)).unwrap_or(false);
    request.force = args.force;
    request.refresh = app.globals.refresh_task_cache;
    request.dry_run = args.dry_run;
    request.timeout = args.timeout;
    request.retries = args.retries;
    request.tail = tail(app, tree, args);
    request.lines = match (app.is_live(tree), shows_output(app, tree, args) || app.globals.events.is_some()) {
        (false, true) => LiveLines::All,
        (true, _) => LiveLines::Lossy,
        (false, false) => LiveLines::Off,
    };
    request
}

/// How many tasks are to execute at once, if that was said.
fn jobs(app: &App, tree: &Tree, args: &RunArgs) -> Option<usize> {
    let jobs = args.jobs.or_else(|| app.setting(tree, |s| s.jobs));
    jobs.map(|jobs| usize::try_from(jobs).unwrap_or(usize::MAX))
}

/// How many last lines of a failed task are shown.
fn tail(app: &App, tree: &Tree, args: &RunArgs) -> usize {
    let lines = args.tail.or_else(|| app.setting(tree, |s| s.tail));
    lines.map_or(Request::TAIL, |lines| usize::try_from(lines).unwrap_or(usize::MAX))
}

fn shows_output(app: &App, tree: &Tree, args: &RunArgs) -> bool {
    let asked = args.show_output.or_else(|| app.setting(tree, |s| s.show_output)).unwrap_or(false);
    (asked || app.globals.verbose) && !app.globals.quiet
}

pub(super) fn screen(app: &App, tree: &Tree, args: &RunArgs) -> Screen {
    let quiet = app.globals.quiet || app.ui(tree) == Ui::None;
    let streamed = shows_output(app, tree, args);
    let tail = tail(app, tree, args);
    let style = Style { color: app.color_err, quiet, explain: args.explain, tail, streamed };
    let names = |which: &dyn Fn(&Task) -> bool| -> HashSet<TaskName> {
        let tasks = tree.graph.ids().map(|id| tree.graph.task(id));
        tasks.filter(|task| which(task)).map(|task| task.name.clone()).collect()
    };
    let shows = Shows {
        lines_of: names(&|task| streamed || (task.show_output && !quiet)),
        interactive: names(&|task| task.interactive),
    };
    Screen::new(Lines::new(style), app.is_live(tree) && !quiet, shows)
}

/// Whether waiting for the tree makes sense; if so, says for whom.
pub(super) fn may_wait(app: &App, tree: &Tree, busy: Owner) -> Result<(), Exit> {
    if is_nested_in(&app.state_dir(tree)) {
        return Err(misused(
            "a task cannot run tasks of its own tree yet: `devtask run` was called by a task of the run that holds it; \
             put the edge into `after` instead",
        ));
    }
    if app.globals.no_wait {
        return Err(refuse(&SessionError::Held(busy)));
    }
    eprintln!("Waiting for {}", owner(&busy));
    Ok(())
}

/// Opens the tree once it is free, unless a signal says not to wait.
pub(super) async fn wait(builder: SessionBuilder, signals: &mut Signals) -> Result<Session, Exit> {
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let wait = Wait::UntilStopped(Box::new(move |_: &Owner| stop.load(Ordering::Relaxed)));
    let mut opening = pin!(builder.wait(wait).open());
    let mut signal = None;
    loop {
        tokio::select! {
            opened = &mut opening => return match (opened, signal) {
                (Ok(session), _) => Ok(session),
                (Err(_), Some(signal)) => Err(Exit::Signal(signal)),
                (Err(error), None) => Err(refuse(&error)),
            },
            wish = signals.next() => match wish {
                Wish::End(number) => {
                    signal = Some(number);
                    stopped.store(true, Ordering::Relaxed);
                }
                Wish::Stop => stop_self(),
                Wish::Report => {}
            },
        }
    }
}

fn prints_outputs(args: &RunArgs, events: &Events) -> bool {
    match args.outputs {
        Outputs::Json => true,
        Outputs::None => false,
        Outputs::Auto => !stdout().is_terminal() && !events.use_stdout() && !args.dry_run,
    }
}

fn exit_of(ended: &Ended, args: &RunArgs) -> Exit {
    let summary = &ended.summary;
    match (summary.status, ended.signal) {
        (RunStatus::Interrupted, Some(signal)) => Exit::Signal(signal),
        _ if summary.internal_failure => Exit::Internal,
        (RunStatus::Failed | RunStatus::Interrupted, _) => match (args.exit_code, summary.first_exit_code) {
            (ExitCodeOf::Task, Some(code)) if code != 0 => Exit::Task(code),
            _ => Exit::Failed,
        },
        _ if summary.not_saved.is_some() => Exit::Internal,
        _ if !summary.would_run.is_empty() => Exit::WouldRun,
        (RunStatus::Succeeded, _) => Exit::Done,
    }
}
