//! `devtask hooks`.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use devtask::{
    git::{GitError, Repository},
    hooks::{Call, Done, Event, HookError, Manner, Standing, install, status, uninstall},
    loader::upward,
};

use crate::{
    app::{App, Tree, complain_with, home, internal, misused_with},
    args::{HookArgs, HooksVerb, UninstallArgs},
    commands::{affected::failed, hook::run, out},
    exit::Exit,
    render::text::{chain, shown},
};

pub(crate) fn hooks(app: &mut App, verb: &HooksVerb) -> Result<Exit, Exit> {
    match verb {
        HooksVerb::Install(args) => put(app, args),
        HooksVerb::Uninstall(args) => take_away(app, args),
        HooksVerb::Status(args) => stand(app, args),
        HooksVerb::Run { within, hook, arguments } => {
            Ok(run(app, (*hook).into(), within.as_deref(), arguments))
        }
    }
}

fn put(app: &mut App, args: &HookArgs) -> Result<Exit, Exit> {
    let repository = repository(app)?;
    let tree = app.load()?;
    let call = call(&tree, &repository)?;
    let mut exit = Exit::Done;
    for event in args.events(&[Event::PreCommit]) {
        match install(&repository, event, &call) {
            Ok(done) => tell(event, &done),
            Err(error) => exit = refused(&error),
        }
    }
    if exit == Exit::Done && !has_checks(&tree) {
        let how = "`[checks.<name>]` with `exec` and `files` declares one";
        eprintln!("{:<17} there are no checks yet, so everything passes; {how}", "Note");
    }
    Ok(exit)
}

/// Whether git has anything to ask for.
pub(super) fn has_checks(tree: &Tree) -> bool {
    tree.graph.ids().any(|id| tree.graph.task(id).check.is_some())
}

fn take_away(app: &mut App, args: &UninstallArgs) -> Result<Exit, Exit> {
    let repository = repository(app)?;
    let here = place(app, &repository);
    let (mut exit, mut told) = (Exit::Done, false);
    for event in args.which.events(&Event::ALL) {
        let mut trees = vec![here.clone()];
        if args.all {
            let standing = status(&repository, event, &here).map_err(|error| refused(&error))?;
            trees.extend(standing.trees);
        }
        for tree in trees {
            match uninstall(&repository, event, &tree) {
                Ok(Done::WasNotThere) if args.which.hooks.is_empty() => continue,
                Ok(done) => tell(event, &done),
                Err(error) => exit = refused(&error),
            }
            told = true;
        }
    }
    if !told {
        eprintln!("{:<17} none was installed for this tree", "Unchanged");
    }
    Ok(exit)
}

pub(super) fn repository(app: &App) -> Result<Repository, Exit> {
    let environment: Vec<(OsString, OsString)> = env::vars_os().collect();
    match Repository::around(&app.start_dir, &environment) {
        Ok(Some(repository)) => Ok(repository),
        Ok(None) => {
            let dir = app.start_dir.display();
            Err(misused_with(&format!("{dir} is not in a git repository"), "`git init` makes one"))
        }
        Err(GitError::Bare(path)) => Err(misused_with(
            &format!("the repository {} has no work tree", path.display()),
            "hooks that check files are for repositories people work in",
        )),
        Err(error) => Err(failed(&error)),
    }
}

/// What the hook is to call.
fn call(tree: &Tree, repository: &Repository) -> Result<Call, Exit> {
    let root = &tree.loaded.root;
    let root = root.canonicalize().unwrap_or_else(|_| root.clone());
    let Ok(directory) = root.strip_prefix(repository.top()) else {
        let (root, top) = (root.display(), repository.top().display());
        let message = format!("the tasks of {root} are outside of the repository {top}");
        return Err(misused_with(
            &message,
            &format!("install the hooks of theirs: `devtask -C {root} hooks install`"),
        ));
    };
    let program =
        env::current_exe().map_err(|error| internal(&format!("cannot tell where devtask is: {error}")))?;
    Ok(Call { program, directory: directory.to_owned() })
}

/// The tree we are in, relative to the top. Its hooks can be looked at and taken away whatever its files are like.
fn place(app: &mut App, repository: &Repository) -> PathBuf {
    let root = app.load_quietly().map(|tree| tree.loaded.root).ok();
    let faulty = || {
        let dirs = upward(&app.start_dir, home().as_deref());
        dirs.into_iter()
            .find(|dir| ["devtask.toml", "devtask.json"].iter().any(|name| dir.join(name).is_file()))
    };
    let root = root.or_else(faulty).unwrap_or_else(|| app.start_dir.clone());
    let root = root.canonicalize().unwrap_or(root);
    root.strip_prefix(repository.top()).map(Path::to_owned).unwrap_or_default()
}

fn tell(event: Event, done: &Done) {
    let (word, rest) = match done {
        Done::Installed(manner) => ("Installed", named(manner)),
        Done::WasThere(manner) => ("Unchanged", named(manner)),
        Done::Removed { restored: None } => ("Removed", String::new()),
        Done::Removed { restored: Some(path) } => {
            ("Removed", format!("{} is what it was before", shown(&path.display().to_string())))
        }
        Done::WasNotThere => ("Unchanged", "it was not installed for this tree".to_owned()),
        Done::ByHand(path) => {
            ("Unchanged", format!("its line in {} is yours to remove", shown(&path.display().to_string())))
        }
    };
    eprintln!("{}", format!("{word:<17} {}  {rest}", event.name()).trim_end());
}

fn named(manner: &Manner) -> String {
    match manner {
        Manner::Config(name) => format!("as hook.{name} of the repository's configuration"),
        Manner::Script(path) => format!("as {}", shown(&path.display().to_string())),
        Manner::Hand(path) => format!("by hand in {}", shown(&path.display().to_string())),
    }
}

fn refused(error: &HookError) -> Exit {
    let message = chain(error);
    match error {
        HookError::Changed { .. } => {
            complain_with(&message, "take your change elsewhere, or remove it yourself; then try again");
        }
        HookError::KeptTwice(_) => {
            complain_with(&message, "look which of both you need, and remove the other")
        }
        HookError::NotOurs { file, line, .. } => {
            let line = line.to_string_lossy();
            complain_with(&message, &format!("add this line to {}: {line}", file.display()));
        }
        HookError::Git(error) => return failed(error),
        _ => return internal(&message),
    }
    Exit::Usage
}

/// Says how they stand.
fn stand(app: &mut App, args: &HookArgs) -> Result<Exit, Exit> {
    let repository = repository(app)?;
    let here = place(app, &repository);
    let (mut text, mut all, mut any, mut sound) = (String::new(), true, false, true);
    for event in args.events(&Event::ALL) {
        let standing = status(&repository, event, &here).map_err(|error| refused(&error))?;
        any |= standing.manner.is_some();
        all &= standing.manner.is_some();
        sound &= standing.trouble.is_none();
        text += &described(event, &standing);
    }
    let is_well = sound && if args.hooks.is_empty() { any } else { all };
    match out(&text) {
        Exit::Done => Ok(if is_well { Exit::Done } else { Exit::Failed }),
        failed => Ok(failed),
    }
}

fn described(event: Event, standing: &Standing) -> String {
    let how = match (&standing.manner, &standing.trouble) {
        (Some(manner), None) => format!("installed {}", named(manner)),
        (Some(manner), Some(trouble)) => format!("installed {}, but {}", named(manner), shown(trouble)),
        (None, Some(trouble)) => format!("not installed: {}", shown(trouble)),
        (None, None) => "not installed".to_owned(),
    };
    let mut text = format!("{:<17} {how}\n", event.name());
    for other in &standing.others {
        text += &format!("{:<17} also runs: {}\n", "", shown(other));
    }
    for tree in &standing.trees {
        let tree = tree.display().to_string();
        let tree = if tree.is_empty() { "the top of the repository".to_owned() } else { shown(&tree) };
        text += &format!("{:<17} installed for another tree: {tree}\n", "");
    }
    text
}
