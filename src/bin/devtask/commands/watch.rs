//! `devtask watch`.

use devtask::{
    SessionError,
    plan::select,
    session::{OnBusy, WatchOptions},
    watch::Backend,
};

use crate::{
    app::{App, Tree, refuse},
    args::{self, WatchArgs, Watcher},
    commands::run::{inputs, listen, may_wait, request, screen, wait, within_runtime},
    console::{Console, Events, View},
    exit::Exit,
};

pub(crate) fn watch(app: &mut App, args: &WatchArgs) -> Result<Exit, Exit> {
    let inputs = inputs(&args.run)?;
    let events = Events::open(app)?;
    let tree = app.load()?;
    select(&tree.graph, tree.loaded.current_project.as_deref(), &args.run.names)
        .map_err(|faults| refuse(&SessionError::Unknown(faults)))?;
    let request = request(app, &tree, &args.run, inputs);
    let view = View::new(screen(app, &tree, &args.run), events.to);
    within_runtime(async {
        let mut signals = listen()?;
        let label = label(args);
        let session = match app.session(&tree, &label).open().await {
            Ok(session) => session,
            Err(SessionError::Held(owner)) => {
                may_wait(app, &tree, owner)?;
                wait(app.session(&tree, &label), &mut signals).await?
            }
            Err(error) => return Err(refuse(&error)),
        };
        keep(app, &tree, &session);
        let mut console = Console::new(view, signals);
        console.view().warn(session.notices());
        let watch = match session.watch(request, options(args)).await {
            Ok(watch) => watch,
            Err(error) => {
                let _ = session.close().await;
                return Err(refuse(&error));
            }
        };
        let ended = console.follow_watch(watch, &session).await;
        let saved = console.close(session).await;
        if let Err(why) = &saved {
            console.view().warn(&[format!("results are not saved: {why}")]);
        }
        console.finish().await?;
        let (summary, signal) = ended?;
        Ok(match signal {
            Some(signal) => Exit::Signal(signal),
            None if summary.internal_failure || saved.is_err() => Exit::Internal,
            None if summary.failed => Exit::Failed,
            None => Exit::Done,
        })
    })
}

fn keep(app: &App, tree: &Tree, session: &devtask::Session) {
    app.keep(tree, &session.state_dir());
}

fn label(args: &WatchArgs) -> String {
    format!("devtask watch {}", args.run.names.join(" ")).trim_end().to_owned()
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
