//! `devtask run`.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, IsTerminal as _, Write as _, stdout},
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use devtask::{
    Request, Session,
    event::{Event, RunStatus},
    model::{Task, TaskName},
    session::{LiveLines, Run, RunControl, RunSummary, SessionError, Wait},
    store::Owner,
};
use serde_json::{Map, Value};

use crate::{
    app::{App, Tree, complain, is_nested_in, refuse},
    args::{ExitCodeOf, Outputs, RunArgs, Ui},
    exit::Exit,
    render::{
        lines::{Lines, Style},
        printer::{Printer, Sink},
        screen::{REFRESH, Screen, Shows},
    },
    signals::{Signals, Wish, stop_self},
};

/// How many last lines of a failed task are shown where nobody says otherwise.
const TAIL: u32 = 25;

/// More text than this is not collected while a write is under way.
const ROOM: usize = 256 * 1024;
/// What is left gets this time from SIGTERM to SIGKILL (spec section 3).
const GRACE: Duration = Duration::from_secs(5);
/// How long the terminal and the tasks may take to stand still.
const PATIENCE: Duration = Duration::from_millis(300);

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| internal(&format!("cannot start: {e}")))?;
    let ended = runtime.block_on(drive(app, &tree, args, request, events));
    // Nothing of ours is left on its threads: the session was closed.
    runtime.shutdown_background();
    Ok(exit_of(&ended?, args))
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
    if let Ok(ended) = &ended
        && prints_outputs
    {
        let outputs: Map<String, Value> = ended.summary.outputs.clone().into_iter().collect();
        console.printer.out(&format!("{}\n", Value::Object(outputs)));
    }
    console.finish().await?;
    match saved {
        Err(_) if ended.as_ref().is_ok_and(|e| e.summary.not_saved.is_none()) => Err(Exit::Internal),
        _ => ended,
    }
}

/// Opens the tree; if another devtask holds it, says so and waits, unless that makes no sense.
async fn open(app: &App, tree: &Tree, args: &RunArgs, signals: &mut Signals) -> Result<Session, Exit> {
    let label = format!("devtask run {}", args.names.join(" "));
    let label = label.trim_end();
    let busy = match app.session(tree, label).read_only(false).open().await {
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

/// Everything between a run and its user.
struct Console {
    screen: Screen,
    printer: Printer,
    signals: Signals,
    /// The first signal that asked for the end, and how many have.
    ended_by: Option<i32>,
    times: u32,
}

impl Console {
    fn new(screen: Screen, events: Option<Sink>, signals: Signals) -> Self {
        Self { screen, printer: Printer::new(events), signals, ended_by: None, times: 0 }
    }

    fn warn(&mut self, notices: &[String]) {
        for notice in notices {
            self.screen.note(&format!("warning: {notice}"));
        }
    }

    /// Shows the events of a run until it is over, and does what signals ask for.
    async fn follow(&mut self, mut run: Run, session: &Session) -> Result<Ended, Exit> {
        let control = run.control();
        let mut ticks = tokio::time::interval(REFRESH);
        let mut due = false;
        loop {
            self.draw(&mut due);
            tokio::select! {
                event = run.next_event(), if self.has_room() => match event {
                    Some(event) => self.take(&event),
                    None => break,
                },
                () = self.printer.written(), if self.printer.is_busy() => {}
                wish = self.signals.next() => self.obey(wish, &control, session).await,
                _ = ticks.tick(), if self.screen.is_live() => due = true,
            }
        }
        match run.finish().await {
            Ok(summary) => Ok(Ended { summary, signal: self.ended_by }),
            Err(error) => Err(refuse(&error)),
        }
    }

    /// Whether what was collected meanwhile leaves room for more. A reader that does not read slows down
    /// those whose lines it wants, and nobody else. Before a task gets the terminal everything is written.
    fn has_room(&self) -> bool {
        let waiting = self.printer.waiting() + self.screen.waiting();
        if self.screen.is_lent() { waiting == 0 && !self.printer.is_busy() } else { waiting < ROOM }
    }

    fn take(&mut self, event: &Event) {
        self.screen.show(event);
        if self.printer.writes_events() {
            let line = self.printer.events();
            // Events have a JSON form, and memory takes whatever is written.
            let _ = serde_json::to_writer(&mut *line, event).map_err(io::Error::from);
            let _ = line.write_all(b"\n");
        }
    }

    fn draw(&mut self, due: &mut bool) {
        if self.printer.is_busy() {
            return;
        }
        if self.screen.waiting() > 0 || std::mem::take(due) {
            let frame = self.screen.frame();
            self.printer.err(&frame);
        }
        self.printer.start();
    }

    /// To end: at first gracefully, at the second time now, at the third leave at once; the guardian clears up.
    async fn obey(&mut self, wish: Wish, control: &RunControl, session: &Session) {
        match wish {
            Wish::End(number) => {
                self.ended_by.get_or_insert(number);
                self.times += 1;
                match self.times {
                    1 => {
                        self.screen.note("Stopping          (again: now)");
                        control.interrupt();
                    }
                    2 => control.kill(),
                    _ => self.leave(number).await,
                }
            }
            Wish::Stop => self.stop(control, session).await,
            Wish::Report => self.screen.report(),
        }
    }

    /// Stands still with everything that runs. The tasks first: nobody could stop them afterwards.
    async fn stop(&mut self, control: &RunControl, session: &Session) {
        control.pause();
        let still = async {
            while !session.is_still() {
                tokio::task::yield_now().await;
            }
        };
        // What cannot be stopped in that time is being ended.
        let _ = tokio::time::timeout(PATIENCE, still).await;
        self.clear().await;
        stop_self();
        control.resume();
    }

    async fn clear(&mut self) {
        let frame = self.screen.clear();
        self.printer.err(&frame);
        // A terminal that takes nothing shall not keep us.
        let _ = tokio::time::timeout(PATIENCE, self.printer.flush()).await;
    }

    async fn leave(&mut self, signal: i32) {
        self.clear().await;
        crate::exit::leave(Exit::Signal(signal));
    }

    /// Ends what is left, closes the store. What is left has its time to end, unless a signal says otherwise.
    async fn close(&mut self, session: Session) -> Result<(), String> {
        let frame = self.screen.clear();
        self.printer.err(&frame);
        self.printer.start();
        loop {
            tokio::select! {
                () = session.end_children(GRACE) => break,
                wish = self.signals.next() => if let Wish::End(_) = wish {
                    session.end_children(Duration::ZERO).await;
                },
            }
        }
        match session.close().await {
            Ok(notices) => {
                self.warn(&notices);
                Ok(())
            }
            Err(why) => {
                self.screen.note(&format!("error: results are not saved: {why}"));
                Err(why)
            }
        }
    }

    /// Writes the rest. Nothing else is left to be done, so every signal ends it.
    async fn finish(&mut self) -> Result<(), Exit> {
        let frame = self.screen.clear();
        self.printer.err(&frame);
        loop {
            tokio::select! {
                () = self.printer.flush() => break,
                wish = self.signals.next() => if let Wish::End(number) = wish {
                    return Err(Exit::Signal(number));
                },
            }
        }
        match self.printer.take_fault() {
            Some(fault) => Err(internal(&format!("cannot write to stdout: {fault}"))),
            None => Ok(()),
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
    to: Option<Sink>,
    is_stdout: bool,
}

impl Events {
    fn open(app: &App) -> Result<Self, Exit> {
        let Some(path) = &app.globals.events else { return Ok(Self { to: None, is_stdout: false }) };
        if path.as_path() == Path::new("-") {
            return Ok(Self { to: Some(Box::new(stdout())), is_stdout: true });
        }
        match File::create(path) {
            Ok(file) => Ok(Self { to: Some(Box::new(file)), is_stdout: false }),
            Err(error) => Err(complain(&format!("cannot write events to {}: {error}", path.display()))),
        }
    }

    fn use_stdout(&self) -> bool {
        self.is_stdout
    }
}
