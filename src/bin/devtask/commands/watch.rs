//! `devtask watch`.

use devtask::{
    Request, SessionError,
    plan::select,
    session::{LiveLines, OnBusy, WatchOptions},
    watch::Backend,
};

use super::command;
use crate::{
    app::{App, Tree, misused, refuse},
    args::{self, Mode, Outputs, Ui, WatchArgs, Watcher},
    commands::run::{inputs, listen, may_wait, request, screen, wait, within_runtime},
    console::{Console, Events, View, has_keys},
    exit::Exit,
    render::watch::{Manner, Watched},
};

pub(crate) fn watch(app: &mut App, args: &WatchArgs) -> Result<Exit, Exit> {
    if args.run.dry_run || args.run.outputs == Outputs::Json {
        return Err(misused(
            "a watch has no end at which to tell; `--dry-run` and `--outputs json` are for `run`",
        ));
    }
    let events = Events::open(app)?;
    let (tree, mut request) = what(app, args)?;
    let manner = manner(app, &tree, args);
    if manner.keys && request.lines == LiveLines::Off {
        request.lines = LiveLines::Lossy;
    }
    let screen = screen(app, &tree, &args.run).watching(Watched::new(manner), args.clear);
    let view = View::new(screen, events.to);
    let keys = manner.keys;
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
        if !manner.command {
            app.keep(&tree, &session.state_dir());
        }
        let mut console = Console::new(view, signals);
        console.view().warn(session.notices());
        let watch = match session.watch(request, options(args)).await {
            Ok(watch) => watch,
            Err(error) => {
                let _ = session.close().await;
                return Err(refuse(&error));
            }
        };
        let ended = console.follow_watch(watch, &session, &tree.loaded.root, keys).await;
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

/// What is watched, and how it is run.
fn what(app: &mut App, args: &WatchArgs) -> Result<(Tree, Request), Exit> {
    let inputs = inputs(&args.run)?;
    if !args.globs.is_empty() {
        let (tree, arguments) = command::tree(app, args)?;
        let mut request = request(app, &tree, &args.run, inputs);
        request.names = vec![command::NAME.to_owned()];
        request.arguments = arguments;
        // What its files were is known from the last time; what else it rests on nobody has said.
        request.force = true;
        return Ok((tree, request));
    }
    app.without_file = Some("watch files for a command: devtask watch -g 'src/**/*.rs' -- cargo test");
    let tree = app.load()?;
    select(&tree.graph, tree.loaded.current_project.as_deref(), &args.run.names)
        .map_err(|faults| refuse(&SessionError::Unknown(faults)))?;
    let request = request(app, &tree, &args.run, inputs);
    Ok((tree, request))
}

fn manner(app: &App, tree: &Tree, args: &WatchArgs) -> Manner {
    let is_shown = app.ui(tree) != Ui::None;
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
    format!("devtask watch {}", names.join(" ")).trim_end().to_owned()
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
