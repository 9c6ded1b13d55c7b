//! Having whoever holds the tree do it: as a guest of its session (see [`devtask::serve`]).

use std::{
    collections::HashSet,
    env,
    path::PathBuf,
    process,
    sync::{Arc, Once},
    thread,
    time::Duration,
};

use devtask::{
    Request,
    event::{Event, What},
    serve::{self, Gone, Guest, Hello, Order, Orders, Refusal, Said, Welcome, Whence},
    session::RunSummary,
    store::{Lock, STATE_DIR},
};
use tokio::sync::mpsc;

use crate::{
    app::{App, Tree, build, complain_with, home, internal, refuse},
    args::RunArgs,
    commands::{
        errand::Errand,
        run::{Stage, listen, within_runtime},
        wait::nested,
    },
    console::{Conducted, Console, Ended, View},
    exit::Exit,
    render::{printer::Sink, text},
};

/// What takes longer is followed on a runtime, with signals heard.
const SOON: Duration = Duration::from_millis(20);
/// How much of what was said may wait to be shown: who says it waits then, too.
const UNDER_WAY: usize = 256;

/// An owner that serves us.
pub(crate) struct Visit {
    pub(super) guest: Guest,
    pub(super) welcome: Welcome,
}

impl Visit {
    /// The owner of the tree that the working directory is in, as far as that is plain without loading anything.
    pub(crate) fn nearby(app: &App, args: &RunArgs) -> Option<Self> {
        if app.globals.file.is_some() || app.globals.state_dir.is_some() || args.dry_run {
            return None;
        }
        let found = serve::call_nearby(build, &app.start_dir, home().as_deref(), app.granularity());
        found.map(|(guest, welcome)| Self { guest, welcome })
    }

    /// The owner of this very tree.
    pub(crate) fn of_loaded(app: &App, tree: &Tree) -> Option<Self> {
        let digest = tree.loaded.digest(&tree.graph)?;
        let whence = Whence::Loaded { digest, standpoint: tree.loaded.standpoint() };
        let hello = Hello { whence, granularity: app.granularity(), pid: process::id() };
        let found = serve::call(build()?, &app.state_dir(tree), &hello);
        found.map(|(guest, welcome)| Self { guest, welcome })
    }

    /// Whoever keeps processes up in this tree, or, where none could be loaded, in the one we are in; and where its
    /// state is.
    pub(crate) fn of_keeper(app: &App, tree: Option<&Tree>) -> Result<Option<(Self, PathBuf)>, Exit> {
        let chosen = || app.globals.state_dir.as_ref().map(|dir| app.start_dir.join(dir));
        let state_dir = tree.map(|tree| app.state_dir(tree)).or_else(chosen);
        let beside_file = || {
            let file = app.load_request().file?;
            Some(file.parent()?.join(STATE_DIR))
        };
        let state_dir = state_dir.or_else(beside_file);
        match serve::call_keeper(build, state_dir.as_deref(), &app.start_dir, home().as_deref()) {
            Ok(found) => Ok(found.map(|(guest, welcome, state_dir)| (Self { guest, welcome }, state_dir))),
            Err(state_dir) => {
                let owner = Lock::owner(&state_dir).map_or("another devtask".to_owned(), |o| text::owner(&o));
                complain_with(
                    &format!("this tree is held by {owner}, which does not answer"),
                    "if it is another build of devtask, `kill` ends it, and what it keeps up; if it was stopped, `kill -CONT` \
                     has it go on",
                );
                Err(Exit::Held)
            }
        }
    }

    /// Asks for something, to be done in our environment.
    fn ask(&mut self, question: Question) -> Result<(), Gone> {
        let Question { mut request, label, everything } = question;
        request.environment.get_or_insert_with(|| Arc::new(env::vars_os().collect()));
        self.guest.ask(&request, label, everything)
    }

    /// Everything that happens in a dry run; none if it cannot be had from here.
    pub(crate) fn look(mut self, request: Request, label: String) -> Option<Vec<Event>> {
        self.ask(Question { request, label, everything: true }).ok()?;
        self.guest.patience(None).ok()?;
        let mut events = Vec::new();
        loop {
            match self.guest.hear().ok()? {
                Said::Event(event) => events.push(event),
                Said::Over(_) => return Some(events),
                Said::Refused(_) | Said::Nothing | Said::WatchOver | Said::Processes(..) => return None,
            }
        }
    }
}

/// What is asked of an owner.
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) label: String,
    /// Whether what is not shown is to be told, too.
    pub(crate) everything: bool,
}

/// What came of asking.
pub(crate) enum Served<T> {
    /// The run is over.
    Ended(Box<Ended>),
    /// Nothing: we have to do it ourselves.
    Alone(T),
}

/// Has a run be done by the owner of the tree we are in; should that fail once it is under way, by ourselves.
pub(crate) fn be_served(
    app: &mut App,
    errand: Errand<'_>,
    visit: Visit,
    events: Option<Sink>,
) -> Result<Served<Option<Sink>>, Exit> {
    let settings = &visit.welcome.settings;
    app.choose_colors(Some(settings));
    let shown: HashSet<_> = visit.welcome.shown.iter().cloned().collect();
    let view =
        View::new(errand.screen(app, settings, visit.welcome.root.as_path(), shown, HashSet::new()), events);
    let question = errand.question(app, settings);
    let alone = async |mut console: Console| {
        console.clear().await;
        let tree = app.load()?;
        let stage = Stage { app, tree: &tree, errand };
        console.view().begin_again(stage.screen());
        let ended = stage.among_others(console).await;
        std::mem::forget(tree);
        ended
    };
    Ok(match ask(errand, question, visit, view, alone)? {
        Served::Ended(ended) => Served::Ended(ended),
        Served::Alone(view) => Served::Alone(view.into_events()),
    })
}

/// Asks, and shows what comes of it: on this thread while it is quick. `alone` goes on if the owner vanishes
/// afterwards.
pub(crate) fn ask(
    errand: Errand<'_>,
    question: Question,
    mut visit: Visit,
    mut view: View,
    alone: impl AsyncFnOnce(Console) -> Result<Ended, Exit>,
) -> Result<Served<View>, Exit> {
    if visit.ask(question).and_then(|()| visit.guest.patience(Some(SOON))).is_err() {
        return Ok(Served::Alone(view));
    }
    let mut guest = visit.guest;
    loop {
        match guest.hear() {
            Ok(Said::Event(event)) => {
                view.take(&event);
                let begins = matches!(event.what, What::TaskStarted { .. });
                if view.waits_to_be_seen() && (begins || !guest.has_more()) {
                    view.show_here();
                }
                if begins {
                    break;
                }
            }
            Ok(Said::Over(summary)) => {
                let ended = Ended { summary: *summary, signal: None };
                errand.tell(&mut view, &ended);
                view.show_here();
                return match view.printer.take_fault() {
                    Some(fault) => Err(internal(&format!("cannot write to stdout: {fault}"))),
                    None => Ok(Served::Ended(Box::new(ended))),
                };
            }
            Ok(Said::Refused(refusal)) => return refused(refusal).map(|()| Served::Alone(view)),
            Ok(Said::Nothing) => break,
            // Neither a watch nor processes were asked for.
            Ok(Said::WatchOver | Said::Processes(..)) | Err(Gone) => return Ok(Served::Alone(view)),
        }
    }
    let follow = async {
        let mut console = Console::new(view, listen()?);
        match follow(guest, &mut console).await? {
            Some(ended) => conclude(errand, console, ended).await,
            None => alone(console).await,
        }
    };
    within_runtime(follow).map(|ended| Served::Ended(Box::new(ended)))
}

/// Asks for a run and follows it on the runtime we are in. None: we have to do it ourselves.
pub(crate) async fn visit(
    mut visit: Visit,
    question: Question,
    console: &mut Console,
) -> Result<Option<Ended>, Exit> {
    match visit.ask(question) {
        Ok(()) => follow(visit.guest, console).await,
        Err(Gone) => Ok(None),
    }
}

async fn follow(guest: Guest, console: &mut Console) -> Result<Option<Ended>, Exit> {
    let Ok(run) = GuestRun::new(guest) else { return Ok(None) };
    match (console.follow(run).await, console.ended_by()) {
        (Ok(ended), _) => Ok(Some(ended)),
        (Err(Unserved::Refused(refusal)), _) => refused(refusal).map(|()| None),
        (Err(Unserved::Gone), None) => Ok(None),
        (Err(Unserved::Gone), Some(signal)) => {
            console.finish().await?;
            Err(Exit::Signal(signal))
        }
    }
}

/// Says and writes the rest.
pub(crate) async fn conclude(errand: Errand<'_>, mut console: Console, ended: Ended) -> Result<Ended, Exit> {
    errand.tell(console.view(), &ended);
    console.finish().await?;
    Ok(ended)
}

/// The end of a request that cannot be met, unless it can by ourselves.
pub(super) fn refused(refusal: Refusal) -> Result<(), Exit> {
    match refusal.into_error() {
        Ok(error) => Err(refuse(&error)),
        Err(Refusal::Interactive(task)) => {
            // However often it asks.
            static TOLD: Once = Once::new();
            TOLD.call_once(|| {
                eprintln!("{task} wants the terminal, which nobody else can give it: it waits for the tree")
            });
            Ok(())
        }
        Err(Refusal::Nested) => Err(nested()),
        Err(Refusal::Failed(why)) => Err(internal(&why)),
        Err(other) => Err(internal(&format!("{other:?}"))),
    }
}

/// A run in the session of the owner.
struct GuestRun {
    said: mpsc::Receiver<Result<Said, Gone>>,
    orders: Orders,
    end: Result<RunSummary, Unserved>,
}

/// Why there is no summary.
enum Unserved {
    Refused(Refusal),
    Gone,
}

impl GuestRun {
    fn new(guest: Guest) -> Result<Self, Gone> {
        let orders = guest.orders()?;
        Ok(Self { said: listening(guest)?, orders, end: Err(Unserved::Gone) })
    }
}

/// What is said, read on a thread of its own, which ends with this process.
pub(super) fn listening(mut guest: Guest) -> Result<mpsc::Receiver<Result<Said, Gone>>, Gone> {
    guest.patience(None)?;
    let (to, said) = mpsc::channel(UNDER_WAY);
    let read = move || {
        loop {
            let said = guest.hear();
            let is_last = !matches!(said, Ok(Said::Event(_)));
            if to.blocking_send(said).is_err() || is_last {
                break;
            }
        }
    };
    thread::Builder::new().name("guest".to_owned()).spawn(read).map_err(|_| Gone)?;
    Ok(said)
}

impl Conducted for GuestRun {
    type Summary = RunSummary;
    type Fault = Unserved;

    async fn next_event(&mut self) -> Option<Event> {
        match self.said.recv().await {
            Some(Ok(Said::Event(event))) => return Some(event),
            Some(Ok(Said::Over(summary))) => self.end = Ok(*summary),
            Some(Ok(Said::Refused(refusal))) => self.end = Err(Unserved::Refused(refusal)),
            Some(Ok(Said::Nothing | Said::WatchOver | Said::Processes(..)) | Err(Gone)) | None => {}
        }
        None
    }

    fn interrupt(&self) {
        self.orders.send(Order::Interrupt);
    }

    fn kill(&self) {
        self.orders.send(Order::Kill);
    }

    /// What runs for us runs in the owner's terminal, and others may wait for it: only we stop.
    async fn pause(&self) {}

    fn resume(&self) {}

    async fn finish(self) -> Result<RunSummary, Unserved> {
        self.end
    }
}
