//! What git's hooks call: `devtask hooks run`.

use std::{
    env,
    ffi::OsString,
    io::{Read as _, stdin},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Parser as _;
use devtask::hooks::{Event, Range, ranges, read_pushed};

use crate::{
    app::{App, Tree, complain, internal, misused, misused_with},
    args::{Cli, Globals, Verb},
    commands::{
        affected::failed,
        check,
        hooks::{has_checks, repository},
    },
    exit::Exit,
    render::text::shown,
};

/// More than this git does not say of a push.
const MOST_SAID: u64 = 16 * 1024 * 1024;

/// Does what a hook is there for in one tree. Where there is nothing to be checked, nothing is in git's way.
pub(super) fn run(app: &App, event: Event, within: Option<&Path>, arguments: &[OsString]) -> Exit {
    let done = tree(app, within).and_then(|tree| match (tree, event) {
        (Err(why), _) => {
            eprintln!("{:<17} {}, so nothing is checked", "Note", shown(&why));
            Ok(Exit::Done)
        }
        (Ok(app), Event::PrePush) => pre_push(&app, arguments),
        (Ok(mut app), _) => staged(&mut app),
    });
    let exit = done.unwrap_or_else(|exit| exit);
    if !matches!(exit, Exit::Done | Exit::Signal(_)) {
        let (name, way_round) = (event.name(), event.way_round());
        eprintln!("{:<17} this is the {name} hook of git; `{way_round}` does without it once", "Note");
    }
    exit
}

/// The tree the hook was installed for, or why it has nothing to be checked as things are in this branch.
fn tree(app: &App, within: Option<&Path>) -> Result<Result<App, String>, Exit> {
    let dir = within.map_or_else(|| app.start_dir.clone(), |within| app.start_dir.join(within));
    let called = within.map_or("here".to_owned(), |within| format!("in {}", within.display()));
    if !dir.is_dir() {
        return Ok(Err(format!("there is no directory {}", dir.display())));
    }
    let mut inner = App::new(Globals { directory: Some(dir), ..app.globals.clone() })?;
    let tree = match inner.load_quietly() {
        Ok(tree) => tree,
        Err(_) => {
            let broken = Tree::read(&inner.loading()).err();
            let is_none = broken.is_some_and(|broken| broken.faults().is_none());
            // What is wrong with it is said by who needs it.
            return Ok(if is_none { Err(format!("there is no task file {called}")) } else { Ok(inner) });
        }
    };
    let root = tree.loaded.root.canonicalize().unwrap_or_else(|_| tree.loaded.root.clone());
    Ok(if inner.globals.file.is_none() && root != inner.start_dir {
        // A file further up was not what somebody has installed the hook for.
        Err(format!("there is no task file {called}"))
    } else if has_checks(&tree) {
        Ok(inner)
    } else {
        Err(format!("there are no checks {called}"))
    })
}

/// `devtask check --staged`.
fn staged(app: &mut App) -> Result<Exit, Exit> {
    let typed = Cli::try_parse_from(["devtask", "check", "--staged"]);
    match typed.map(|typed| typed.verb) {
        Ok(Some(Verb::Check(args))) => check::check(app, &args),
        Ok(_) => Err(internal("`check` is no verb")),
        Err(error) => Err(misused(&error.to_string())),
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
