//! `devtask watch`.

use std::{
    ffi::OsString,
    sync::{Arc, Mutex, PoisonError},
};

use devtask::{
    Session, SessionError, TaskGraph,
    loader::{LoadRequest, Loaded, load},
    plan::select,
    serve::{AsWatched, Serving, ServingOptions},
    session::{LiveLines, OnBusy, Reload, Reloaded, Watch, WatchOptions},
    watch::Backend,
};

use super::command;
use crate::{
    app::{App, Tree, build, misused, refuse, runtime_bases},
    args::{self, Mode, Outputs, Ui, WatchArgs, Watcher},
    commands::run::{Errand, Stage, inputs, listen, within_runtime},
    console::{Console, Events, OwnWatch, View, has_keys},
    exit::Exit,
    render::{
        diagnostic,
        watch::{Manner, Watched},
    },
};

pub(crate) fn watch(app: &mut App, args: &WatchArgs) -> Result<Exit, Exit> {
    if args.run.dry_run || args.run.outputs == Outputs::Json {
        return Err(misused(
            "a watch has no end at which to tell; `--dry-run` and `--outputs json` are for `run`",
        ));
    }
    let events = Events::open(app)?;
    let inputs = inputs(&args.run)?;
    let (tree, arguments) = what(app, args)?;
    let label = label(args);
    let stage = Stage { app, tree: &tree, errand: Errand::watch(&args.run, &inputs, &label) };
    let manner = manner(app, &tree, args);
    let mut request = stage.request();
    if let Some(arguments) = arguments {
        request.names = vec![command::NAME.to_owned()];
        request.arguments = arguments;
        // What its files were is known from the last time; what else it rests on nobody has said.
        request.force = true;
    }
    if manner.keys && request.lines == LiveLines::Off {
        request.lines = LiveLines::Lossy;
    }
    let screen = stage.screen().watching(Watched::new(manner), args.clear);
    let view = View::new(screen, events.to);
    within_runtime(async {
        let mut console = Console::new(view, listen()?);
        let session = stage.hold(&mut console, !manner.command).await?;
        console.view().warn(session.notices());
        let loaded = Arc::new(Mutex::new((Arc::clone(&tree.graph), tree.loaded.clone())));
        let files = Box::new(Files {
            request: app.load_request(),
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
        drop(session);
        let now_loaded = Arc::clone(&loaded);
        let tasks = move || Arc::clone(&now_loaded.lock().unwrap_or_else(PoisonError::into_inner).0);
        let serving = if manner.command { None } else { serve(&watch, loaded) };
        let watch = OwnWatch::new(watch, serving.as_ref());
        let ended = console.follow_watch(watch, &tree.loaded.root, manner.keys, tasks).await;
        if let Some(serving) = serving {
            console.see_off(serving).await;
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
    })
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

fn manner(app: &App, tree: &Tree, args: &WatchArgs) -> Manner {
    let is_shown = app.ui(&tree.loaded.settings) != Ui::None;
    Manner {
        keys: is_shown && has_keys(),
        beats: is_shown,
        command: !args.globs.is_empty(),
        only_before: matches!(args.run.mode, Mode::Single | Mode::Before),
    }
}

fn label(args: &WatchArgs) -> String {
    let globs = args.globs.iter().map(|glob| format!("-g {glob}"));
    let names: Vec<String> = globs.chain(args.run.names.iter().cloned()).collect();
    format!("watch {}", names.join(" ")).trim_end().to_owned()
}

/// Serves others in the tree. Where that cannot be they wait, so nobody needs to be told.
fn serve(watch: &Watch, loaded: Arc<Mutex<(Arc<TaskGraph>, Loaded)>>) -> Option<Serving> {
    let host = Arc::new(AsWatched::new(watch.session(), loaded));
    let session: Session = watch.session().get();
    Serving::start(&session, host, ServingOptions::new(build()?, runtime_bases())).ok()
}

/// The task files of the watch.
struct Files {
    request: LoadRequest,
    color: bool,
    loaded: Arc<Mutex<(Arc<TaskGraph>, Loaded)>>,
}

impl Files {
    fn load(&self) -> Result<Tree, String> {
        let mut loaded = load(&self.request).map_err(|faults| {
            let mut all = faults.diagnostics;
            if faults.complete
                && let Err(more) = TaskGraph::build(faults.declarations)
            {
                all.extend(more);
            }
            diagnostic::render(&all, &faults.sources, self.color)
        })?;
        let declarations = std::mem::take(&mut loaded.declarations);
        let graph = TaskGraph::build(declarations)
            .map_err(|faults| diagnostic::render(&faults, &loaded.sources, self.color))?;
        Ok(Tree::new(loaded, graph))
    }
}

impl Reload for Files {
    fn places(&self) -> Vec<std::path::PathBuf> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).1.places()
    }

    fn is_current(&self) -> bool {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).1.is_current()
    }

    fn reload(&mut self) -> Result<Reloaded, String> {
        let Tree { loaded, graph, .. } = self.load()?;
        if loaded.root != self.loaded.lock().unwrap_or_else(PoisonError::into_inner).1.root {
            return Err("the root of the tree is another now: start the watch anew\n".to_owned());
        }
        let mut reloaded = Reloaded::new(Arc::clone(&graph));
        reloaded.standpoint = loaded.standpoint();
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = (graph, loaded);
        Ok(reloaded)
    }
}

fn options(args: &WatchArgs) -> WatchOptions {
    let mut options = WatchOptions::default();
    options.quiet = args.debounce;
    options.initial = !args.no_initial;
    options.on_busy = match args.on_busy {
        args::OnBusy::Queue => OnBusy::Queue,
        args::OnBusy::Restart => OnBusy::Restart,
    };
    options.backend = match (args.poll, args.watcher) {
        (Some(interval), _) => Backend::Polling(interval),
        (None, Some(Watcher::Native)) => Backend::Native,
        (None, Some(Watcher::Debounced)) => Backend::Debounced,
        (None, None) => Backend::default(),
    };
    options
}
