//! `devtask hooks`.

use std::{
    env,
    ffi::OsString,
    io::{Read as _, stdin},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use devtask::{
    git::{GitError, Repository},
    hooks::{Call, Done, Event, HookError, Manner, Range, install, ranges, read_pushed, status, uninstall},
};

use crate::{
    app::{App, complain, complain_with, internal, misused_with},
    args::{HookArgs, HookEvent, HooksVerb},
    commands::{affected::failed, out},
    exit::Exit,
    render::text::{chain, shown},
};

/// More than this git does not say of a push.
const MOST_SAID: u64 = 16 * 1024 * 1024;

pub(crate) fn hooks(app: &mut App, verb: &HooksVerb) -> Result<Exit, Exit> {
    match verb {
        HooksVerb::Install(args) => {
            let repository = repository(app)?;
            let call = call(app, &repository)?;
            each(args, |event| install(&repository, event, &call))
        }
        HooksVerb::Uninstall(args) => {
            let repository = repository(app)?;
            each(args, |event| uninstall(&repository, event))
        }
        HooksVerb::Status(args) => stand(&repository(app)?, args),
        HooksVerb::Run { hook: HookEvent::PreCommit, .. } => {
            Err(misused_with("nothing is to be run before a commit", "that is `devtask check --staged`"))
        }
        HooksVerb::Run { hook: HookEvent::PrePush, arguments } => pre_push(app, arguments),
    }
}

fn repository(app: &App) -> Result<Repository, Exit> {
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
fn call(app: &mut App, repository: &Repository) -> Result<Call, Exit> {
    let root = app.load()?.loaded.root;
    let root = root.canonicalize().unwrap_or(root);
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

/// Does it for each event, and says what was done.
fn each(args: &HookArgs, what: impl Fn(Event) -> Result<Done, HookError>) -> Result<Exit, Exit> {
    let mut exit = Exit::Done;
    for event in args.events() {
        match what(event) {
            Ok(done) => tell(event, &done),
            Err(error) => exit = refused(event, &error),
        }
    }
    Ok(exit)
}

fn tell(event: Event, done: &Done) {
    let (word, rest) = match done {
        Done::Installed(manner) => ("Installed", named(manner)),
        Done::WasThere(manner) => ("Unchanged", named(manner)),
        Done::Removed { restored: None } => ("Removed", String::new()),
        Done::Removed { restored: Some(path) } => {
            ("Removed", format!("{} is what it was before", shown(&path.display().to_string())))
        }
        Done::WasNotThere => ("Unchanged", "it was not installed".to_owned()),
    };
    eprintln!("{}", format!("{word:<17} {}  {rest}", event.name()).trim_end());
}

fn named(manner: &Manner) -> String {
    match manner {
        Manner::Config(name) => format!("as hook.{name} of the repository's configuration"),
        Manner::Script(path) => format!("as {}", shown(&path.display().to_string())),
    }
}

fn refused(event: Event, error: &HookError) -> Exit {
    let message = chain(error);
    match error {
        HookError::Changed { .. } => {
            complain_with(&message, "take your change elsewhere, or remove it yourself; then try again");
        }
        HookError::KeptTwice(_) => {
            complain_with(&message, "look which of both you need, and remove the other")
        }
        HookError::NotOurs { line, .. } => {
            let line = line.to_string_lossy();
            complain_with(&message, &format!("add this line to its {}: {line}", event.name()));
        }
        HookError::Git(error) => return failed(error),
        _ => return internal(&message),
    }
    Exit::Usage
}

/// Says how they stand.
fn stand(repository: &Repository, args: &HookArgs) -> Result<Exit, Exit> {
    let (mut text, mut exit) = (String::new(), Exit::Done);
    for event in args.events() {
        let standing = status(repository, event).map_err(|error| refused(event, &error))?;
        let how = match (&standing.manner, &standing.trouble) {
            (Some(manner), None) => format!("installed {}", named(manner)),
            (Some(manner), Some(trouble)) => format!("installed {}, but {}", named(manner), shown(trouble)),
            (None, Some(trouble)) => format!("not installed: {}", shown(trouble)),
            (None, None) => "not installed".to_owned(),
        };
        if standing.manner.is_none() || standing.trouble.is_some() {
            exit = Exit::Failed;
        }
        text += &format!("{:<11} {how}\n", event.name());
        for other in &standing.others {
            text += &format!("{:<11} also runs: {}\n", "", shown(other));
        }
    }
    match out(&text) {
        Exit::Done => Ok(exit),
        failed => Ok(failed),
    }
}

/// Checks what is new for the other side, each range by itself.
fn pre_push(app: &App, arguments: &[OsString]) -> Result<Exit, Exit> {
    let mut said = String::new();
    let read = stdin().lock().take(MOST_SAID).read_to_string(&mut said);
    let pushed = read.ok().and_then(|_| read_pushed(&said)).ok_or_else(|| {
        misused_with("what is on stdin is not what git says to a pre-push hook", "this verb is for that hook")
    })?;
    let repository = repository(app)?;
    let remote = arguments.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    let ranges = ranges(&repository, &remote, &pushed).map_err(|error| failed(&error))?;
    let program =
        env::current_exe().map_err(|error| internal(&format!("cannot tell where devtask is: {error}")))?;
    let mut worst = Exit::Done;
    for range in &ranges {
        let exit = check(app, program.clone(), range)?;
        if worst == Exit::Done {
            worst = exit;
        }
    }
    Ok(worst)
}

fn check(app: &App, program: PathBuf, range: &Range) -> Result<Exit, Exit> {
    let mut command = Command::new(program);
    command.arg("-C").arg(&app.start_dir).stdin(Stdio::null());
    let given = [("--file", &app.globals.file), ("--state-dir", &app.globals.state_dir)];
    for (option, path) in given.into_iter().filter_map(|(option, path)| Some((option, path.as_ref()?))) {
        command.arg(option).arg(app.start_dir.join(path));
    }
    command.args(["check", "--from-ref", &range.from, "--to-ref", &range.to]);
    let status = command.status().map_err(|error| internal(&format!("cannot start devtask: {error}")))?;
    Ok(match (status.code(), status.signal()) {
        (Some(0), _) => Exit::Done,
        (Some(code), _) => Exit::Task(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => {
            complain("devtask ended in an unknown way");
            Exit::Internal
        }
    })
}
