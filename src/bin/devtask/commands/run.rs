//! `devtask run`.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use devtask::{
    Request, Session,
    config::Settings,
    event::RunStatus,
    model::{Task, TaskName},
    plan::select,
    serve::{AsLoaded, Ground, Serving, ServingOptions},
    session::{Run, RunSummary, SessionBuilder, SessionError},
    store::{Owner, STATE_DIR},
};

use crate::{
    app::{App, Tree, build, internal, misused, refuse, runtime_bases},
    args::{ExitCodeOf, Outputs, RunArgs},
    commands::{
        errand::{Errand, inputs},
        guest::{self, Served, Visit},
        look,
        report::{self, place::Place},
        wait::{Attempts, Waited, may_wait, wait},
    },
    console::{Console, Ended, Events, OwnRun, View},
    exit::Exit,
    render::{printer::Sink, screen::Screen},
    signals::Signals,
};

pub(crate) fn run(app: &mut App, args: &RunArgs) -> Result<Exit, Exit> {
    if args.timings.as_deref() == Some(Path::new("-")) {
        return Err(misused("stdout is for the outputs of tasks; name a file: `--timings=FILE`"));
    }
    let page = args.timings.as_deref().map(|path| Place::file(app, path));
    page.as_ref().map_or(Ok(()), Place::check)?;
    let inputs = inputs(args)?;
    let mut events = Events::open(app)?;
    if events.use_stdout() && args.outputs == Outputs::Json {
        return Err(misused("`--outputs json` and `--events -` both want stdout; send the events to a file"));
    }
    let errand = Errand::run(args, &inputs, &events);
    if let Some(visit) = Visit::nearby(app, args) {
        let state_dir = visit.welcome.root.as_path().join(STATE_DIR);
        match guest::be_served(app, errand, visit, events.to)? {
            Served::Ended(ended) => {
                let exit = exit_of(&ended, args.exit_code);
                return Ok(with_page(app, page.as_ref(), &state_dir, &ended, exit));
            }
            Served::Alone(sink) => events.to = sink,
        }
    }
    let tree = app.load()?;
    // Who mistypes a name neither waits for another devtask nor leaves a state directory.
    select(&tree.graph, tree.loaded.current_project.as_deref(), &args.names)
        .map_err(|faults| refuse(&SessionError::Unknown(faults)))?;
    let ended = Stage { app, tree: &tree, errand }.run(events.to)?;
    let exit = exit_of(&ended, args.exit_code);
    let exit = with_page(app, page.as_ref(), &app.state_dir(&tree), &ended, exit);
    // The process is about to end, and the system takes memory back faster than we give it.
    std::mem::forget(tree);
    Ok(exit)
}

/// Makes the page of the run, if that was asked for. That it cannot be made shows in the exit code of what went well.
fn with_page(app: &App, page: Option<&Place>, state_dir: &Path, ended: &Ended, exit: Exit) -> Exit {
    let made = page.map_or(Ok(()), |page| report::timings(app, state_dir, &ended.summary.run, page));
    match (made, exit) {
        (Err(fault), Exit::Done) => fault,
        (_, exit) => exit,
    }
}

/// Doing it in a session of our own.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) app: &'a App,
    pub(crate) tree: &'a Tree,
    pub(crate) errand: Errand<'a>,
}

impl<'a> Stage<'a> {
    /// Judges on this thread; what has to be executed is executed on a runtime, with signals heard.
    pub(crate) fn run(self, events: Option<Sink>) -> Result<Ended, Exit> {
        let mut view = View::new(self.screen(), events);
        view.holds_messages = self.errand.holds_messages;
        let session = match self.open()? {
            Opened::Session(session) => session,
            Opened::Held(owner) => {
                may_wait(self.app, self.tree, &owner)?;
                return within_runtime(async { self.among_others(Console::new(view, listen()?)).await });
            }
            Opened::Busy => return self.look_as_guest(view),
        };
        view.warn(session.notices());
        let mut judging = match session.judge(self.request()) {
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
                let console = Console::new(view, listen()?);
                self.conduct(console, session, |_| Ok(pending.go_on())).await
            }),
        }
    }

    pub(crate) fn state_dir(self) -> PathBuf {
        self.app.state_dir(self.tree)
    }

    fn settings(self) -> &'a Settings {
        &self.tree.loaded.settings
    }

    pub(crate) fn request(self) -> Request {
        self.errand.request(self.app, self.settings())
    }

    pub(crate) fn screen(self) -> Screen {
        let tasks = || self.tree.graph.ids().map(|id| self.tree.graph.task(id));
        let names = |which: &dyn Fn(&Task) -> bool| -> HashSet<TaskName> {
            tasks().filter(|task| which(task)).map(|task| task.name.clone()).collect()
        };
        let (shown, interactive) = (names(&|task| task.show_output), names(&|task| task.interactive));
        self.errand.screen(self.app, self.settings(), &self.tree.loaded.root, shown, interactive)
    }

    /// Opens the tree, unless another devtask holds it.
    fn open(self) -> Result<Opened, Exit> {
        let label = self.errand.label();
        if self.errand.args.dry_run {
            let session = look::open(self.app, self.tree, &label)?;
            return Ok(session.map_or(Opened::Busy, Opened::Session));
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
    pub(crate) fn builder(self) -> SessionBuilder {
        let builder = self.app.session(self.tree, &self.errand.label());
        match self.errand.jobs(self.app, self.settings()) {
            Some(jobs) => builder.jobs(jobs),
            None => builder,
        }
    }

    /// Ends a run that had nothing to execute.
    fn finish_here(self, mut view: View, session: Session, summary: RunSummary) -> Result<Ended, Exit> {
        let saved = session.close_blocking();
        let ended = Ended { summary, signal: None };
        tell_saved(&mut view, &saved, &ended);
        self.errand.tell(&mut view, &ended);
        view.show_here();
        match (saved, view.printer.take_fault()) {
            (_, Some(fault)) => Err(internal(&format!("cannot write to stdout: {fault}"))),
            (Err(_), None) if ended.summary.not_saved.is_none() => Err(Exit::Internal),
            _ => Ok(ended),
        }
    }

    /// Has whoever holds the tree look.
    fn look_as_guest(self, view: View) -> Result<Ended, Exit> {
        let visit = Visit::of_loaded(self.app, self.tree).ok_or_else(look::busy)?;
        let question = self.errand.question(self.app, self.settings());
        match guest::ask(self.errand, question, visit, view, async |_| Err(look::busy()))? {
            Served::Ended(ended) => Ok(*ended),
            Served::Alone(_) => Err(look::busy()),
        }
    }

    /// Runs where another devtask holds the tree: as its guest, else once the tree is free.
    pub(crate) async fn among_others(self, mut console: Console) -> Result<Ended, Exit> {
        let mut attempts = Attempts::default();
        // What was read again because the files changed while we waited.
        let mut newer: Option<Tree>;
        let (mut stage, mut is_new) = (self, false);
        loop {
            console.clear().await;
            let waited = wait(stage, &mut console, &attempts).await?;
            if !std::mem::take(&mut is_new) && !stage.tree.loaded.is_current() {
                if let Waited::Free(session) = waited {
                    let _ = session.close().await;
                }
                newer = Some(self.app.load_again()?);
                (stage, is_new) = (Stage { tree: newer.as_ref().unwrap_or(self.tree), ..self }, true);
                continue;
            }
            match waited {
                Waited::Free(session) => {
                    console.view().warn(session.notices());
                    return stage.conduct(console, *session, |session| session.start(stage.request())).await;
                }
                Waited::Served(socket) => {
                    let visit = Visit::of_loaded(stage.app, stage.tree);
                    attempts.tried(socket);
                    let Some(visit) = visit else { continue };
                    let question = stage.errand.question(stage.app, stage.settings());
                    match guest::visit(visit, question, &mut console).await? {
                        Some(ended) => return guest::conclude(stage.errand, console, ended).await,
                        None => console.view().begin_again(stage.screen()),
                    }
                }
            }
        }
    }

    /// Conducts a run to its end, serves others meanwhile, and closes the session.
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
        let serving = self.serve(&session);
        let ended = console.follow(OwnRun::new(run, &session, serving.as_ref())).await;
        if let Some(serving) = serving {
            console.see_off(serving, &session).await;
        }
        let saved = console.close(session).await;
        let unsaid = ended.as_ref().is_ok_and(|e| e.summary.not_saved.is_none());
        if let Ok(ended) = &ended {
            tell_saved(console.view(), &saved, ended);
            self.errand.tell(console.view(), ended);
        }
        console.finish().await?;
        match saved {
            Err(_) if unsaid => Err(Exit::Internal),
            _ => ended,
        }
    }

    /// Serves others in the tree. Where that cannot be they wait, so nobody needs to be told.
    fn serve(self, session: &Session) -> Option<Serving> {
        if self.errand.args.dry_run {
            return None;
        }
        let ground = Ground::new(session.clone(), self.tree.loaded.clone());
        let options = ServingOptions::new(build()?, runtime_bases());
        Serving::start(session, Arc::new(AsLoaded(Arc::new(ground))), options).ok()
    }
}

/// Says what became of the state.
fn tell_saved(view: &mut View, saved: &Result<Vec<String>, String>, ended: &Ended) {
    match saved {
        Ok(notices) => view.warn(notices),
        // A run that could not save said so itself, as soon as it knew.
        Err(why) if ended.summary.not_saved.is_none() => {
            view.warn(&[format!("results are not saved: {why}")]);
        }
        Err(_) => {}
    }
}

/// What came of opening the tree.
enum Opened {
    Session(Session),
    /// Another devtask holds it.
    Held(Owner),
    /// Another devtask is at work in it, so that not even a look is possible.
    Busy,
}

/// Does it on a runtime that lives as long.
pub(crate) fn within_runtime<T>(work: impl Future<Output = Result<T, Exit>>) -> Result<T, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| internal(&format!("cannot start: {e}")))?;
    let ended = runtime.block_on(work);
    // Nothing of ours is left on its threads: the session was closed.
    runtime.shutdown_background();
    ended
}

pub(crate) fn listen() -> Result<Signals, Exit> {
    Signals::new().map_err(|e| internal(&format!("cannot listen to signals: {e}")))
}

/// The end of a run; `whose` code a failure has.
pub(crate) fn exit_of(ended: &Ended, whose: ExitCodeOf) -> Exit {
    let summary = &ended.summary;
    match (summary.status, ended.signal) {
        (RunStatus::Interrupted, Some(signal)) => Exit::Signal(signal),
        _ if summary.internal_failure => Exit::Internal,
        (RunStatus::Failed | RunStatus::Interrupted, _) => match (whose, summary.first_exit_code) {
            (ExitCodeOf::Task, Some(code)) if code != 0 => Exit::Task(code),
            _ => Exit::Failed,
        },
        _ if summary.not_saved.is_some() => Exit::Internal,
        _ if !summary.would_run.is_empty() || !summary.would_restore.is_empty() => Exit::WouldRun,
        (RunStatus::Succeeded, _) => Exit::Done,
    }
}
