//! `devtask watch`.

use std::sync::{Arc, Mutex, PoisonError};

use devtask::{
    Session, SessionError, TaskGraph,
    loader::{LoadRequest, Loaded, load},
    plan::select,
    serve::{AsWatched, Serving, ServingOptions},
    session::{OnBusy, Reload, Reloaded, Watch, WatchOptions},
    watch::Backend,
};

use crate::{
    app::{App, Tree, build, misused, refuse, runtime_bases},
    args::{self, Outputs, WatchArgs, Watcher},
    commands::run::{Errand, Stage, inputs, listen, within_runtime},
    console::{Console, Events, OwnWatch, View},
    exit::Exit,
    render::diagnostic,
};

pub(crate) fn watch(app: &mut App, args: &WatchArgs) -> Result<Exit, Exit> {
    let inputs = inputs(&args.run)?;
    let events = Events::open(app)?;
    if args.run.outputs == Outputs::Json || args.run.dry_run {
        return Err(misused("a watch neither prints outputs nor is it a dry run"));
    }
    let tree = app.load()?;
    select(&tree.graph, tree.loaded.current_project.as_deref(), &args.run.names)
        .map_err(|faults| refuse(&SessionError::Unknown(faults)))?;
    let stage = Stage { app, tree: &tree, errand: Errand::watch(&args.run, &inputs) };
    let view = View::new(stage.screen(), events.to);
    within_runtime(async {
        let mut console = Console::new(view, listen()?);
        let session = stage.hold(&mut console).await?;
        console.view().warn(session.notices());
        let loaded = Arc::new(Mutex::new((Arc::clone(&tree.graph), tree.loaded.clone())));
        let reload = Box::new(Files {
            request: app.load_request(),
            color: app.color_err,
            loaded: Arc::clone(&loaded),
        });
        let watch = match session.watch_reloading(stage.request(), options(args), Some(reload)).await {
            Ok(watch) => watch,
            Err(error) => {
                let _ = session.close().await;
                return Err(refuse(&error));
            }
        };
        let now = watch.session();
        drop(session);
        let serving = serve(&watch, loaded);
        let ended = console.follow(OwnWatch::new(watch, serving.as_ref())).await;
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
