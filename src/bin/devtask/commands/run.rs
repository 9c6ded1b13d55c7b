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
    session::{LiveLines, SessionBuilder, SessionError, Wait},
    store::Owner,
};
use serde_json::{Map, Value};

use crate::{
    app::{App, Tree, internal, is_nested_in, misused, misused_with, refuse},
    args::{ExitCodeOf, Outputs, RunArgs, Ui},
    commands::look,
    console::{Console, Ended, Events},
    exit::Exit,
    render::{
        lines::{Lines, Style},
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| internal(&format!("cannot start: {e}")))?;
    let ended = runtime.block_on(drive(app, &tree, args, request, events));
    // Nothing of ours is left on its threads: the session was closed.
    runtime.shutdown_background();
    Ok(exit_of(&ended?, args))
}

/// `--input-json`, then each `--input` on top (spec section 3).
fn inputs(args: &RunArgs) -> Result<Map<String, Value>, Exit> {
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

fn request(app: &App, tree: &Tree, args: &RunArgs, inputs: Map<String, Value>) -> Request {
    let as_usize = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let mut request = Request::run(args.names.clone()).mode(args.mode.into());
    request.inputs = inputs;
    request.arguments = args.arguments.clone();
    request.jobs = args.jobs.or_else(|| app.setting(tree, |s| s.jobs)).map(as_usize);
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

/// How many last lines of a failed task are shown.
fn tail(app: &App, tree: &Tree, args: &RunArgs) -> usize {
    let lines = args.tail.or_else(|| app.setting(tree, |s| s.tail));
    lines.map_or(Request::TAIL, |lines| usize::try_from(lines).unwrap_or(usize::MAX))
}

fn shows_output(app: &App, tree: &Tree, args: &RunArgs) -> bool {
    let asked = args.show_output.or_else(|| app.setting(tree, |s| s.show_output)).unwrap_or(false);
    (asked || app.globals.verbose) && !app.globals.quiet
}

fn screen(app: &App, tree: &Tree, args: &RunArgs) -> Screen {
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

async fn drive(
    app: &App,
    tree: &Tree,
    args: &RunArgs,
    request: Request,
    events: Events,
) -> Result<Ended, Exit> {
    let prints_outputs = prints_outputs(args, &events);
    let mut signals = Signals::new().map_err(|e| internal(&format!("cannot listen to signals: {e}")))?;
    let session = open(app, tree, args, &mut signals).await?;
    let mut console = Console::new(screen(app, tree, args), events.to, signals);
    console.warn(session.notices());
    let run = match session.start(request) {
        Ok(run) => run,
        Err(error) => {
            let _ = session.close().await;
            return Err(refuse(&error));
        }
    };
    let ended = console.follow(run, &session).await;
    let saved = console.close(session).await;
    // A run that could not save said so itself, as soon as it knew.
    let unsaid = ended.as_ref().is_ok_and(|e| e.summary.not_saved.is_none());
    if let (Err(why), true) = (&saved, unsaid) {
        console.warn(&[format!("results are not saved: {why}")]);
    }
    if let Ok(ended) = &ended
        && prints_outputs
    {
        let outputs: Map<String, Value> = ended.summary.outputs.clone().into_iter().collect();
        console.printer.out(&format!("{}\n", Value::Object(outputs)));
    }
    console.finish().await?;
    match saved {
        Err(_) if unsaid => Err(Exit::Internal),
        _ => ended,
    }
}

/// Opens the tree; if another devtask holds it, says so and waits, unless that makes no sense.
async fn open(app: &App, tree: &Tree, args: &RunArgs, signals: &mut Signals) -> Result<Session, Exit> {
    let label = format!("devtask run {}", args.names.join(" "));
    let label = label.trim_end();
    if args.dry_run {
        return look::open(app, tree, label).await?.ok_or_else(look::busy);
    }
    match app.session(tree, label).open().await {
        Err(SessionError::Held(owner)) => {
            may_wait(app, tree, owner)?;
            wait(app.session(tree, label), signals).await
        }
        result => result.map_err(|error| refuse(&error)),
    }
}

/// Whether waiting for the tree makes sense; if so, says for whom.
fn may_wait(app: &App, tree: &Tree, busy: Owner) -> Result<(), Exit> {
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
async fn wait(builder: SessionBuilder, signals: &mut Signals) -> Result<Session, Exit> {
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
