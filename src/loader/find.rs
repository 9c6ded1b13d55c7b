//! Where the task file is (spec section 1, hazard E4).

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    LoadRequest,
    read::{self, Reading},
    world::World,
};
use crate::{
    config::normalise,
    diagnostic::{Diagnostic, SourceId},
};

/// The names a task file can have, the preferred one first.
pub(super) const NAMES: [&str; 2] = ["devtask.toml", "devtask.json"];

/// Files of other tools that suggest that this is a project.
const NEIGHBOURS: [&str; 12] = [
    "package.json",
    "Cargo.toml",
    "Makefile",
    "justfile",
    "Taskfile.yml",
    "pyproject.toml",
    "go.mod",
    "turbo.json",
    "devenv.nix",
    "mise.toml",
    "build.ninja",
    "CMakeLists.txt",
];

/// What was found.
pub(super) enum Found {
    /// A task file of our own.
    Devtask(PathBuf),
    /// devenv's list.
    Devenv {
        /// Its text among the sources.
        source: SourceId,
        /// Its text.
        text: Arc<str>,
        /// Its file, if it was in one.
        file: Option<PathBuf>,
        /// The root of its tasks.
        root: PathBuf,
    },
}

/// The first source of tasks there is; `None` after a fault.
pub(super) fn find(request: &LoadRequest, reading: &mut Reading) -> Option<Found> {
    if let Some(file) = &request.file {
        return named(&normalise(&request.start_dir.join(file)), reading);
    }
    if reading.world.device(&request.start_dir).is_none()
        && let Err(error) = fs::metadata(&request.start_dir)
    {
        reading.diagnostics.push(read::unreadable(&request.start_dir, &error));
        return None;
    }
    let mut looked_in = Vec::new();
    for dir in ancestors(&request.start_dir, request.home.as_deref(), &reading.world) {
        match in_directory(&dir, &reading.world) {
            Ok(Some(file)) => return Some(Found::Devtask(file)),
            Ok(None) => looked_in.push(dir),
            Err(fault) => {
                reading.diagnostics.push(*fault);
                return None;
            }
        }
    }
    match from_variables(request, reading) {
        Variables::Found(found) => Some(found),
        Variables::Fault => None,
        Variables::Unset => {
            reading.files.extend(NAMES.map(|name| request.start_dir.join(name)));
            reading.diagnostics.push(nothing_found(&looked_in));
            None
        }
    }
}

/// The file `-f` names: JSON with an array is devenv's list.
fn named(file: &Path, reading: &mut Reading) -> Option<Found> {
    if file.extension() != Some(OsStr::new("json")) {
        return Some(Found::Devtask(file.to_owned()));
    }
    // A file of our own is read again when its project is loaded, from there with its faults.
    match reading.world.read(file) {
        Ok(bytes) if first_byte(&bytes) == Some(b'[') => {
            let root = file.parent().unwrap_or(file).to_owned();
            devenv_file(file, root, reading)
        }
        _ => Some(Found::Devtask(file.to_owned())),
    }
}

fn first_byte(bytes: &[u8]) -> Option<u8> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.iter().copied().find(|b| !b.is_ascii_whitespace())
}

fn devenv_file(file: &Path, root: PathBuf, reading: &mut Reading) -> Option<Found> {
    match reading.file(file) {
        Ok((source, text)) => Some(Found::Devenv { source, text, file: Some(file.to_owned()), root }),
        Err(fault) => {
            reading.diagnostics.push(*fault);
            None
        }
    }
}

/// The task file of a directory.
///
/// # Errors
/// If there are two.
pub(super) fn in_directory(dir: &Path, world: &World) -> Result<Option<PathBuf>, Box<Diagnostic>> {
    let present = |name: &&str| world.is_present(&dir.join(name));
    let found: Vec<PathBuf> = NAMES.iter().filter(|n| present(n)).map(|name| dir.join(name)).collect();
    match found.as_slice() {
        [] => Ok(None),
        [file] => Ok(Some(file.clone())),
        [toml, json, ..] => Err(Box::new(
            Diagnostic::error("two-task-files", format!("two task files in {}", dir.display()))
                .note(format!("{}", toml.display()))
                .note(format!("{}", json.display()))
                .hint("keep one of them, or name one with `-f`"),
        )),
    }
}

/// The directories that are looked in: upward from `start`, within its file system, and within `home`
/// where `start` lies beneath it.
pub(super) fn ancestors(start: &Path, home: Option<&Path>, world: &World) -> Vec<PathBuf> {
    let start = normalise(start);
    // Links may lead to either of them.
    let home = home.map(|home| world.canonical(home));
    let home = home.filter(|home| world.canonical(&start).starts_with(home));
    let device = world.device(&start);
    let mut list = Vec::new();
    for dir in start.ancestors() {
        if world.device(dir) != device {
            break;
        }
        list.push(dir.to_owned());
        if home.as_ref().is_some_and(|home| *home == world.canonical(dir)) {
            break;
        }
    }
    list
}

/// The directories in which a task file is looked for from `start`, the nearest first.
#[must_use]
pub fn upward(start: &Path, home: Option<&Path>) -> Vec<PathBuf> {
    ancestors(start, home, &World::default())
}

/// The root of the git repository `dir` lies in: where `.git` is, a directory or, in worktrees and
/// submodules, a file.
pub(super) fn git_root(dir: &Path, home: Option<&Path>, world: &World) -> Option<PathBuf> {
    ancestors(dir, home, world).into_iter().find(|dir| world.is_present(&dir.join(".git")))
}

enum Variables {
    Found(Found),
    Unset,
    Fault,
}

/// devenv sets its variables to nothing where it has no use for them: empty is unset.
fn from_variables(request: &LoadRequest, reading: &mut Reading) -> Variables {
    let root = request
        .devenv_root
        .as_deref()
        .filter(|root| !root.is_empty())
        .map_or_else(|| normalise(&request.start_dir), |root| normalise(&request.start_dir.join(root)));
    if let Some(tasks) = request.devenv_tasks.as_deref().filter(|tasks| !tasks.is_empty()) {
        let Some(text) = tasks.to_str() else {
            reading.diagnostics.push(Diagnostic::error("unreadable", "`$DEVENV_TASKS` is not UTF-8"));
            return Variables::Fault;
        };
        let (source, text) = reading.text("$DEVENV_TASKS".to_owned(), None, text);
        return Variables::Found(Found::Devenv { source, text, file: None, root });
    }
    let Some(file) = request.devenv_task_file.as_deref().filter(|file| !file.is_empty()) else {
        return Variables::Unset;
    };
    let file = normalise(&request.start_dir.join(file));
    match devenv_file(&file, root, reading) {
        Some(found) => Variables::Found(found),
        None => {
            if let Some(fault) = reading.diagnostics.last_mut() {
                fault.notes.push("`$DEVENV_TASK_FILE` names it".to_owned());
            }
            Variables::Fault
        }
    }
}

fn nothing_found(looked_in: &[PathBuf]) -> Diagnostic {
    let mut fault = Diagnostic::error("no-configuration", "no task file found");
    if let (Some(first), Some(last)) = (looked_in.first(), looked_in.last()) {
        let names = NAMES.join(" or ");
        fault = fault.note(if first == last {
            format!("looked for {names} in {}", first.display())
        } else {
            format!("looked for {names} in {} and upward to {}", first.display(), last.display())
        });
        let neighbours: Vec<&str> = NEIGHBOURS.into_iter().filter(|n| is_file(&first.join(n))).collect();
        if !neighbours.is_empty() {
            fault = fault.note(format!("there is {}", neighbours.join(", ")));
        }
    }
    fault.hint("`devtask init` proposes a devtask.toml; a short one is: tasks.hello.exec = \"echo hello\"")
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file())
}
