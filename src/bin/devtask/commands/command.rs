//! `devtask watch -g`: a command and its files, without a task file.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
    time::Duration,
};

use devtask::{
    Task, TaskGraph,
    diagnostic::{Diagnostic, Place, Source, Sources},
    model::Action,
    pattern::{PatternFault, PatternKind, PatternSet},
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    app::{App, Tree, misused_with, private_state_dir},
    args::WatchArgs,
    exit::Exit,
    render::diagnostic,
};

/// What the task is called that the command becomes.
pub(super) const NAME: &str = "watch:command";
/// How long a command that is not watched any more is remembered.
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// An example that fits everywhere.
const EXAMPLE: &str = "write for example `devtask watch -g 'src/**/*.rs' -- cargo test`";

/// A tree with one task, and the arguments that task gets. Its state lies apart from what is watched.
pub(super) fn tree(app: &mut App, args: &WatchArgs) -> Result<(Tree, Vec<OsString>), Exit> {
    let words = words(args)?;
    check(&app.start_dir, &args.globs, app.color_err)?;
    let signature = signature(&app.start_dir, &args.globs, &words);
    let dir = private_state_dir(&format!("watch-{:016x}", xxh3_64(&signature)));
    forget_old(&dir);
    app.globals.state_dir.get_or_insert(dir);
    let (action, arguments) = action(words);
    let task = Task::shell(NAME, "")
        .exec_if_modified(args.globs.iter().map(String::as_str))
        .cwd(&app.start_dir)
        .with(|task| task.action = action);
    let graph = TaskGraph::builder().task(task).build();
    let graph = graph.map_err(|faults| {
        eprint!("{}", diagnostic::render(&faults.0, &Sources::default(), app.color_err));
        Exit::Usage
    })?;
    Ok((Tree::without_file(&app.start_dir, graph), arguments))
}

/// The command: what stands behind `--`, or the other words.
fn words(args: &WatchArgs) -> Result<Vec<OsString>, Exit> {
    let (names, behind) = (&args.run.names, &args.run.arguments);
    // As a shell makes it of a pattern without quotes.
    if let Some(name) = names.first().filter(|name| is_plain_file(Path::new(name))) {
        let message = format!("`{name}` is a file, and no command");
        return Err(misused_with(&message, "quote patterns, or the shell replaces them: -g 'src/**/*.rs'"));
    }
    match (names.as_slice(), behind.as_slice()) {
        ([], []) => Err(misused_with("`-g` needs a command to run", EXAMPLE)),
        ([], words) => Ok(words.to_vec()),
        (words, []) => Ok(words.iter().map(OsString::from).collect()),
        ([name, ..], _) => {
            let message = "`-g` is for a command without a task file, and takes no names of tasks";
            Err(misused_with(message, &format!("leave out `{name}`, or leave out `-g` and watch the tasks")))
        }
    }
}

/// Removes what is remembered of commands that nobody has watched for a month, beside the state of this one.
fn forget_old(own: &Path) {
    let states = own.parent().and_then(|states| states.read_dir().ok());
    for state in states.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path != own) {
        let is_watch = state.file_name().is_some_and(|name| name.as_bytes().starts_with(b"watch-"));
        let lock = File::open(state.join("lock"));
        let is_old = lock.as_ref().is_ok_and(|lock| {
            let used = lock.metadata().and_then(|found| found.modified());
            used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > MONTH))
        });
        // Whoever watches has it locked, however long ago that began.
        if is_watch && is_old && lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            // What cannot be removed is in nobody's way.
            let _ = fs::remove_dir_all(state);
        }
    }
}

/// Whether it is a file that is no program.
fn is_plain_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 == 0)
}

/// One word is a line for the shell, several are a program and its arguments.
fn action(mut words: Vec<OsString>) -> (Action, Vec<OsString>) {
    match words.as_slice() {
        [line] if line.to_str().is_some() => {
            (Action::Script(line.to_string_lossy().as_ref().into()), Vec::new())
        }
        _ => {
            let arguments = words.split_off(1);
            (Action::Command(words.into_iter().collect()), arguments)
        }
    }
}

/// Shows what is wrong with the patterns.
fn check(here: &Path, globs: &[String], color: bool) -> Result<(), Exit> {
    let mut sources = Sources::default();
    let faults = match PatternSet::new(&[here.to_owned()], globs, PatternKind::Inputs) {
        Ok(set) if set.globs().iter().all(|glob| glob.is_negated()) => {
            return Err(misused_with(
                "every pattern of `-g` leaves files out, and none says which to watch",
                EXAMPLE,
            ));
        }
        Ok(_) => return Ok(()),
        Err(faults) => faults,
    };
    let one = |PatternFault { index, span, message, hint }| {
        let text = globs.get(index).map_or("", String::as_str);
        let source = sources.add(Source { name: "-g".to_owned(), path: None, text: text.into() });
        Diagnostic::error("bad-glob", format!("`{text}` is no pattern: {message}"))
            .at(Some(&Place { source, span }), "")
            .hint(hint)
    };
    let faults: Vec<Diagnostic> = faults.into_iter().map(one).collect();
    eprint!("{}", diagnostic::render(&faults, &sources, color));
    Err(Exit::Usage)
}

/// What tells this watch from others.
fn signature(here: &Path, globs: &[String], words: &[OsString]) -> Vec<u8> {
    let globs = globs.iter().map(|glob| glob.as_bytes());
    let words = words.iter().map(|word| word.as_bytes());
    let parts = [here.as_os_str().as_bytes()].into_iter().chain(globs).chain([&b""[..]]).chain(words);
    parts.flat_map(|part| part.iter().copied().chain([0])).collect()
}
