//! `devtask run`.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write, stdout},
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use devtask::{
    Request, Session,
    event::{Event, RunStatus},
    model::TaskName,
    session::{LiveLines, Run, RunControl, RunSummary, SessionError, Wait},
    store::Owner,
};
use serde_json::{Map, Value};

use crate::{
    app::{App, Tree, complain, is_nested_in, refuse},
    args::{ExitCodeOf, Outputs, RunArgs, Ui},
    commands::out,
    exit::Exit,
    render::{
        lines::{Lines, Style},
        screen::{REFRESH, Screen},
    },
    signals::{Signals, Wish, stop_self},
};

/// How many last lines of a failed task are shown where nobody says otherwise.
const TAIL: u32 = 25;

/// What a run came to: its summary, and the signal that ended it.
struct Ended {
    summary: RunSummary,
    signal: Option<i32>,
}

pub(crate) fn run(app: &mut App, args: &RunArgs) -> Result<Exit, Exit> {
    let inputs = inputs(args)?;
    let events = Events::open(app)?;
    if events.use_stdout() && args.outputs == Outputs::Json {
        return Err(complain(
            "`--outputs json` and `--events -` both want stdout; send the events to a file",
        ));
    }
    let tree = app.load()?;
    let request = request(app, &tree, args, inputs);
    let outputs = prints_outputs(args, &events);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| internal(&format!("cannot start: {e}")))?;
    let ended = runtime.block_on(drive(app, &tree, args, request, events));
    // Nothing of ours is left on its threads: the session was closed.
    runtime.shutdown_background();
    let ended = ended?;
    if outputs {
        let outputs: Map<String, Value> = ended.summary.outputs.clone().into_iter().collect();
        out(&format!("{}\n", Value::Object(outputs)));
    }
    Ok(exit_of(&ended, args))
}

fn internal(message: &str) -> Exit {
    complain(message);
    Exit::Internal
}

/// `--input-json`, then each `--input` on top (spec section 3).
fn inputs(args: &RunArgs) -> Result<Map<String, Value>, Exit> {
    let mut inputs = match args.input_json.as_deref().map(serde_json::from_str) {
        None => Map::new(),
        Some(Ok(Value::Object(object))) => object,
        Some(Ok(_)) => return Err(complain("`--input-json` takes a JSON object, such as '{\"count\": 3}'")),
        Some(Err(error)) => return Err(complain(&format!("`--input-json` is not JSON: {error}"))),
    };
    for input in &args.inputs {
        match input.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
                inputs.insert(key.to_owned(), value);
            }
            _ => return Err(complain(&format!("`--input {input}` is not of the form KEY=VALUE"))),
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
    request.tail = as_usize(args.tail.or_else(|| app.setting(tree, |s| s.tail)).unwrap_or(TAIL));
    request.lines = match (app.is_live(tree), shows_output(app, tree, args) || app.globals.events.is_some()) {
        (false, true) => LiveLines::All,
        (true, _) => LiveLines::Lossy,
        (false, false) => LiveLines::Off,
    };
    request
}

fn shows_output(app: &App, tree: &Tree, args: &RunArgs) -> bool {
    let asked = args.show_output.or_else(|| app.setting(tree, |s| s.show_output)).unwrap_or(false);
    (asked || app.globals.verbose) && !app.globals.quiet
}

fn screen(app: &App, tree: &Tree, args: &RunArgs) -> Screen {
    let quiet = app.globals.quiet || app.ui(tree) == Ui::None;
    let streamed = shows_output(app, tree, args);
    let tail = usize::try_from(args.tail.unwrap_or(TAIL)).unwrap_or(usize::MAX);
    let style = Style { color: app.color_err, quiet, explain: args.explain, tail, streamed };
    let shown: Vec<TaskName> = tree
        .graph
        .ids()
        .map(|id| tree.graph.task(id))
        .filter(|task| streamed || (task.show_output && !quiet))
        .map(|task| task.name.clone())
        .collect();
    Screen::new(Lines::new(style), app.is_live(tree) && !quiet, shown.into_iter().collect())
}

async fn drive(
    app: &App,
    tree: &Tree,
    args: &RunArgs,
    request: Request,
    mut events: Events,
) -> Result<Ended, Exit> {
    let mut screen = screen(app, tree, args);
    let mut signals = Signals::new().map_err(|e| internal(&format!("cannot listen to signals: {e}")))?;
    let session = open(app, tree, args, &mut signals).await?;
    for notice in session.notices() {
        screen.note(&format!("warning: {notice}"));
    }
    let run = match session.start(request) {
        Ok(run) => run,
        Err(error) => {
            let _ = session.close().await;
            return Err(refuse(&error));
        }
    };
    let ended = follow(run, &mut screen, &mut events, &mut signals).await;
    screen.finish();
    match session.close().await {
        Ok(notices) => notices.iter().for_each(|notice| screen.note(&format!("warning: {notice}"))),
        Err(why) if ended.as_ref().is_ok_and(|e| e.summary.not_saved.is_none()) => {
            screen.note(&format!("error: results are not saved: {why}"));
            return Err(Exit::Internal);
        }
        Err(_) => {}
    }
    ended
}

/// Opens the tree; if another devtask holds it, says so and waits, unless that makes no sense.
async fn open(app: &App, tree: &Tree, args: &RunArgs, signals: &mut Signals) -> Result<Session, Exit> {
    let label = format!("devtask run {}", args.names.join(" "));
    let label = label.trim_end();
    if args.dry_run
        && let Ok(session) = app.session(tree, label).read_only(true).open().await
    {
        return Ok(session);
    }
    let busy = match app.session(tree, label).open().await {
        Err(SessionError::Held(owner)) => owner,
        result => return result.map_err(|error| refuse(&error)),
    };
    let state_dir = app.state_dir(tree);
    if is_nested_in(&state_dir) {
        return Err(complain(
            "a task cannot run tasks of its own tree yet: `devtask run` was called by a task of the run that holds it; \
             put the edge into `after` instead",
        ));
    }
    if app.globals.no_wait {
        return Err(refuse(&SessionError::Held(busy)));
    }
    eprintln!("Waiting for {busy}");
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let wait = Wait::UntilStopped(Box::new(move |_: &Owner| stop.load(Ordering::Relaxed)));
    let mut opening = pin!(app.session(tree, label).wait(wait).open());
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

/// Shows the events of a run until it is over, and does what signals ask for.
async fn follow(
    mut run: Run,
    screen: &mut Screen,
    events: &mut Events,
    signals: &mut Signals,
) -> Result<Ended, Exit> {
    let control = run.control();
    let mut asked = Asked::default();
    let mut ticks = tokio::time::interval(REFRESH);
    loop {
        tokio::select! {
            event = run.next_event() => match event {
                Some(event) => {
                    screen.show(&event);
                    events.write(&event);
                }
                None => break,
            },
            wish = signals.next() => asked.obey(wish, &control, screen),
            _ = ticks.tick(), if screen.is_live() => screen.tick(),
        }
    }
    match run.finish().await {
        Ok(summary) => Ok(Ended { summary, signal: asked.signal }),
        Err(error) => Err(refuse(&error)),
    }
}

/// What signals have asked for so far.
#[derive(Default)]
struct Asked {
    signal: Option<i32>,
    times: u32,
}

impl Asked {
    /// First: end gracefully. Second: now. Third: leave at once; the guardian clears up.
    fn obey(&mut self, wish: Wish, control: &RunControl, screen: &mut Screen) {
        match wish {
            Wish::End(number) => {
                self.signal.get_or_insert(number);
                self.times += 1;
                match self.times {
                    1 => {
                        screen.note("Stopping          (again: now)");
                        control.interrupt();
                    }
                    2 => control.kill(),
                    _ => {
                        screen.finish();
                        crate::exit::leave(Exit::Signal(number));
                    }
                }
            }
            Wish::Stop => {
                control.pause();
                stop_self();
                control.resume();
            }
            Wish::Report => screen.report(),
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

/// Where `--events` writes.
struct Events {
    to: Option<Box<dyn Write>>,
    is_stdout: bool,
}

impl Events {
    fn open(app: &App) -> Result<Self, Exit> {
        let Some(path) = &app.globals.events else { return Ok(Self { to: None, is_stdout: false }) };
        if path.as_path() == Path::new("-") {
            return Ok(Self { to: Some(Box::new(BufWriter::new(stdout()))), is_stdout: true });
        }
        match File::create(path) {
            Ok(file) => Ok(Self { to: Some(Box::new(BufWriter::new(file))), is_stdout: false }),
            Err(error) => Err(complain(&format!("cannot write events to {}: {error}", path.display()))),
        }
    }

    fn use_stdout(&self) -> bool {
        self.is_stdout
    }

    /// A reader that is gone is not written to any more.
    fn write(&mut self, event: &Event) {
        let Some(to) = &mut self.to else { return };
        let written = serde_json::to_writer(&mut *to, event).map_err(io::Error::from);
        if written.and_then(|()| to.write_all(b"\n")).and_then(|()| to.flush()).is_err() {
            self.to = None;
        }
    }
}
