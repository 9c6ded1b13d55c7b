//! `devtask watch`.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use devtask::{
    Request, Session, SessionError, TaskGraph,
    config::Settings,
    loader::Loaded,
    plan::select,
    serve::{AsWatched, Serving, ServingOptions, socket},
    session::{LiveLines, OnBusy, Reload, Reloaded, Watch, WatchControl, WatchOptions},
    watch::Backend,
};

use super::{
    attach::{Left, Other},
    command,
    guest::Visit,
    processes::start_there,
    wait::{Attempts, Waited, wait},
};
use crate::{
    app::{App, Loading, Tree, build, internal, is_nested_in, misused, misused_with, refuse, runtime_bases},
    args::{self, Mode, Outputs, Ui, WatchArgs, Watcher},
    commands::{
        errand::{Errand, inputs},
        run::{Stage, listen, within_runtime},
    },
    console::{Console, Events, Hand, OwnWatch, View, has_keys},
    exit::Exit,
    render::{
        process::short_name,
        screen::Screen,
        watch::{Manner, Watched},
    },
};

/// How often it is looked whether what is in the background can be reached.
const GLANCE: Duration = Duration::from_secs(1);

pub(crate) fn watch(app: &mut App, args: &WatchArgs) -> Result<Exit, Exit> {
    if args.run.dry_run || args.run.outputs == Outputs::Json {
        return Err(misused(
            "a watch has no end at which to tell; `--dry-run` and `--outputs json` are for `run`",
        ));
    }
    if args.run.affected.is_some() {
        return Err(misused("`--affected` is for `run`, `check`, `list` and `graph`"));
    }
    if args.run.timings.is_some() {
        let hint = "`devtask report timings` makes a page of each cycle";
        return Err(misused_with("`--timings` is for what has an end, as `run`", hint));
    }
    let events = Events::open(app)?;
    let inputs = inputs(&args.run)?;
    let label = label(args);
    let errand = Errand::watch(&args.run, &inputs, &label);
    let (screen, mut turn) = match nearby(app, args) {
        Some(other) => {
            app.choose_colors(Some(other.settings()));
            (other.screen(app, args, errand), Turn::Others(other))
        }
        None => {
            let own = Own::load(app, args)?;
            (own.screen(app, args, errand), Turn::Own(own))
        }
    };
    let view = View::new(screen, events.to);
    within_runtime(async {
        let mut console = Console::new(view, listen()?);
        let mut attempts = Attempts::default();
        let mut was_started = false;
        loop {
            turn = match turn {
                Turn::Others(other) if args.up.is_some() && !was_started => {
                    was_started = true;
                    match start_there(app, args.run.names.clone(), &mut console).await? {
                        true => Turn::Others(other),
                        false => Turn::Own(Own::load(app, args)?),
                    }
                }
                Turn::Others(other) => match other.follow(app, args, errand, &mut console).await? {
                    Left::End(exit) => return Ok(exit),
                    Left::Alone(told) => {
                        if told {
                            attempts.begin_anew();
                        }
                        console.clear().await;
                        let own = Own::load(app, args)?;
                        console.view().begin_again(own.screen(app, args, errand));
                        Turn::Own(own)
                    }
                },
                Turn::Own(own) => match own.hold(app, args, errand, &mut console, &mut attempts).await? {
                    Held::Anew => Turn::Own(Own::load(app, args)?),
                    Held::Ours(session) => return own.watch(app, args, errand, console, *session).await,
                    // Who is in the background for nobody ends, or it would have them up again once they are taken down.
                    Held::Others(_) if args.up.is_some_and(|up| up.background) => return Err(Exit::Held),
                    Held::Others(other) => {
                        console.view().begin_again(other.screen(app, args, errand));
                        Turn::Others(*other)
                    }
                },
            };
        }
    })
}

/// Shows what whoever holds the tree does, until that ends or we are to.
pub(crate) fn look_on(app: &mut App, args: &WatchArgs) -> Result<Exit, Exit> {
    let events = Events::open(app)?;
    let inputs = inputs(&args.run)?;
    let errand = Errand::watch(&args.run, &inputs, "attach");
    let tree = app.load()?;
    let Some(other) = Visit::of_loaded(app, &tree).and_then(Other::of) else {
        return Err(misused_with(
            "nothing is up here, and nothing is watched",
            "`devtask up -d` starts processes in the background",
        ));
    };
    app.choose_colors(Some(other.settings()));
    let view = View::new(other.screen(app, args, errand), events.to);
    within_runtime(async {
        let mut console = Console::new(view, listen()?);
        match other.follow(app, args, errand, &mut console).await? {
            Left::End(exit) => Ok(exit),
            Left::Alone(_) => Err(internal("who was looked on at is gone")),
        }
    })
}

/// Whose watch it is that we show.
enum Turn {
    Own(Own),
    Others(Other),
}

/// Who holds the tree.
enum Held {
    Ours(Box<Session>),
    /// Somebody, to be asked once what the files say now is read.
    Anew,
    Others(Box<Other>),
}

/// The watch that holds the tree the working directory is in, as far as that is plain without loading anything.
fn nearby(app: &App, args: &WatchArgs) -> Option<Other> {
    // One that is called by a task would wait for itself, if that is a task of this tree.
    if !args.globs.is_empty()
        || args.up.is_some()
        || env::var_os("DEVTASK_TREES").is_some_and(|trees| !trees.is_empty())
    {
        return None;
    }
    Other::of(Visit::nearby(app, &args.run)?)
}

/// What a watch of our own is about.
struct Own {
    tree: Tree,
    /// The arguments of a command that was given instead of a task file.
    arguments: Option<Vec<OsString>>,
}

impl Own {
    fn load(app: &mut App, args: &WatchArgs) -> Result<Self, Exit> {
        let (tree, arguments) = what(app, args)?;
        Ok(Self { tree, arguments })
    }

    fn screen(&self, app: &App, args: &WatchArgs, errand: Errand<'_>) -> Screen {
        let stage = Stage { app, tree: &self.tree, errand };
        stage.screen().watching(Watched::new(manner(app, &self.tree.loaded.settings, args)), args.clear)
    }

    /// Opens the tree once it is free, unless another watch holds it to which we can attach.
    async fn hold(
        &self,
        app: &App,
        args: &WatchArgs,
        errand: Errand<'_>,
        console: &mut Console,
        attempts: &mut Attempts,
    ) -> Result<Held, Exit> {
        let stage = Stage { app, tree: &self.tree, errand };
        let is_command = !args.globs.is_empty();
        let session = match stage.builder().open().await {
            Err(SessionError::Held(_)) => loop {
                let socket = match wait(stage, console, attempts).await? {
                    Waited::Free(session) => break *session,
                    Waited::Served(socket) => socket,
                };
                let is_outdated = !is_command && !self.tree.loaded.is_current();
                let may_attach = !is_command && !is_outdated && !is_nested_in(&stage.state_dir());
                let visit = || Visit::of_loaded(app, &self.tree).and_then(Other::of);
                let other = may_attach.then(visit).flatten();
                attempts.tried(socket);
                if is_outdated {
                    return Ok(Held::Anew);
                }
                if let Some(other) = other {
                    return Ok(Held::Others(Box::new(other)));
                }
            },
            opened => opened.map_err(|error| refuse(&error))?,
        };
        if !is_command {
            app.keep(&self.tree, &session.state_dir());
        }
        Ok(Held::Ours(Box::new(session)))
    }

    async fn watch(
        self,
        app: &App,
        args: &WatchArgs,
        errand: Errand<'_>,
        mut console: Console,
        session: Session,
    ) -> Result<Exit, Exit> {
        let tree = &self.tree;
        let manner = manner(app, &tree.loaded.settings, args);
        let request = Stage { app, tree, errand }.request();
        let request = adjusted(request, self.arguments, manner);
        console.view().warn(session.notices());
        let loaded = Arc::new(Mutex::new((Arc::clone(&tree.graph), tree.loaded.clone())));
        let files = Box::new(Files {
            what: app.loading().within_a_session(),
            color: app.color_err,
            loaded: Arc::clone(&loaded),
        });
        let reload = (!manner.command).then_some(files as Box<dyn Reload>);
        let watch = match session.watch_reloading(request, options(args), reload).await {
            Ok(watch) => watch,
            Err(error) => {
                let _ = session.close().await;
                return Err(refuse(&error));
            }
        };
        let now = watch.session();
        let state_dir = session.state_dir();
        drop(session);
        let now_loaded = Arc::clone(&loaded);
        let tasks = move || Some(Arc::clone(&now_loaded.lock().unwrap_or_else(PoisonError::into_inner).0));
        let serving = match manner.command {
            true => None,
            false => serve(&watch, errand.label(), loaded, args.up.is_some()),
        };
        if args.up.as_ref().is_some_and(|up| up.background) && serving.is_some() {
            tokio::spawn(end_unreachable(watch.control(), state_dir));
        }
        let hand = Hand::Own(watch.control());
        let watch = OwnWatch::new(watch, serving.as_ref());
        let ended = console.follow_watch(watch, hand, &tree.loaded.root, manner.keys, tasks).await;
        if let Some(serving) = serving {
            console.see_off(serving, &now.get()).await;
        }
        let saved = console.close(now.get()).await;
        if let Err(why) = &saved {
            console.view().warn(&[format!("results are not saved: {why}")]);
        }
        console.finish().await?;
        let ended = ended?;
        Ok(match ended.signal {
            Some(signal) => Exit::Signal(signal),
            None if ended.summary.internal_failure || saved.is_err() => Exit::Internal,
            None if ended.summary.failed => Exit::Failed,
            None => Exit::Done,
        })
    }
}

/// Has a watch end once nobody can reach it any more, who keeps processes up in the background: somebody removed the
/// directory its socket is in.
async fn end_unreachable(watch: WatchControl, state_dir: PathBuf) {
    let mark = socket(&state_dir);
    let mut missed = 0;
    while missed < 2 {
        tokio::time::sleep(GLANCE).await;
        missed = if socket(&state_dir) == mark { 0 } else { missed + 1 };
    }
    watch.interrupt();
}

/// What is asked of the session.
fn adjusted(mut request: Request, arguments: Option<Vec<OsString>>, manner: Manner) -> Request {
    if let Some(arguments) = arguments {
        request.names = vec![command::NAME.to_owned()];
        request.arguments = arguments;
        // What its files were is known from the last time; what else it rests on nobody has said.
        request.force = true;
    }
    if (manner.keys || manner.up) && request.lines == LiveLines::Off {
        request.lines = LiveLines::Lossy;
    }
    request
}

/// What is watched; the arguments of a command that was given instead of a task file.
fn what(app: &mut App, args: &WatchArgs) -> Result<(Tree, Option<Vec<OsString>>), Exit> {
    if !args.globs.is_empty() {
        let (tree, arguments) = command::tree(app, args)?;
        return Ok((tree, Some(arguments)));
    }
    app.without_file = Some("watch files for a command: devtask watch -g 'src/**/*.rs' -- cargo test");
    let tree = app.load()?;
    select(&tree.graph, tree.loaded.current_project.as_deref(), &args.run.names)
        .map_err(|faults| refuse(&SessionError::Unknown(faults)))?;
    Ok((tree, None))
}

pub(super) fn manner(app: &App, project: &Settings, args: &WatchArgs) -> Manner {
    let is_shown = app.ui(project) != Ui::None;
    Manner {
        keys: is_shown && has_keys(),
        beats: is_shown,
        command: !args.globs.is_empty(),
        up: args.up.is_some(),
        only_before: matches!(args.run.mode, Mode::Single | Mode::Before),
    }
}

fn label(args: &WatchArgs) -> String {
    let globs = args.globs.iter().map(|glob| format!("-g {glob}"));
    let short = |name: &String| match args.up {
        Some(_) => short_name(name).to_owned(),
        None => name.clone(),
    };
    let names: Vec<String> = globs.chain(args.run.names.iter().map(short)).collect();
    let verb = if args.up.is_some() { "up" } else { "watch" };
    format!("{verb} {}", names.join(" ")).trim_end().to_owned()
}

/// Serves others in the tree. Where that cannot be they wait, so nobody needs to be told.
fn serve(
    watch: &Watch,
    label: String,
    loaded: Arc<Mutex<(Arc<TaskGraph>, Loaded)>>,
    is_up: bool,
) -> Option<Serving> {
    let host = AsWatched::new(watch, label, loaded);
    let host = Arc::new(if is_up { host.up() } else { host });
    let session: Session = watch.session().get();
    Serving::start(&session, host, ServingOptions::new(build()?, runtime_bases())).ok()
}

/// The task files of the watch.
struct Files {
    what: Loading,
    color: bool,
    loaded: Arc<Mutex<(Arc<TaskGraph>, Loaded)>>,
}

impl Reload for Files {
    fn places(&self) -> Vec<std::path::PathBuf> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).1.places()
    }

    fn is_current(&self) -> bool {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).1.is_current()
    }

    fn reload(&mut self) -> Result<Reloaded, String> {
        let tree = Tree::read(&self.what).map_err(|broken| broken.rendered(self.color))?;
        let Tree { loaded, graph, .. } = tree;
        if loaded.root != self.loaded.lock().unwrap_or_else(PoisonError::into_inner).1.root {
            return Err("the root of the tree is another now: start the watch anew\n".to_owned());
        }
        let mut reloaded = Reloaded::new(Arc::clone(&graph));
        reloaded.standpoint = loaded.standpoint();
        reloaded.warnings = loaded.warnings.iter().map(|warning| warning.message.clone()).collect();
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = (graph, loaded);
        Ok(reloaded)
    }
}

fn options(args: &WatchArgs) -> WatchOptions {
    let mut options = WatchOptions::default();
    options.quiet = args.debounce;
    options.longest = options.longest.max(args.debounce * 10);
    options.initial = !args.no_initial;
    options.on_busy = match args.on_busy {
        args::OnBusy::Queue => OnBusy::Queue,
        args::OnBusy::Restart => OnBusy::Restart,
    };
    if let Some(up) = args.up {
        options.follows = up.follow;
        options.until_exit = !up.background;
        options.enters = true;
    }
    options.backend = match (args.poll, args.watcher) {
        (Some(interval), _) => Backend::Polling(interval),
        (None, Some(Watcher::Native)) => Backend::Native,
        (None, Some(Watcher::Debounced)) => Backend::Debounced,
        (None, None) => Backend::default(),
    };
    options
}
