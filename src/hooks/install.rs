//! Installing, taking away, and how things stand.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Call, Event, HookError,
    entries::{self, Entries},
    file::{Script, is_executable},
    place::{Directory, can_configure},
    script::{self, Whose},
};
use crate::git::Repository;

/// How a hook is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    /// In the repository's configuration, under this name.
    Config(String),
    /// As this script.
    Script(PathBuf),
    /// By a line that somebody wrote into this script.
    Hand(PathBuf),
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was installed.
    Installed(Manner),
    /// It was there as it should be.
    WasThere(Manner),
    /// It was taken away; what had been kept is in its place again, if there was anything.
    Removed {
        /// What is in its place again.
        restored: Option<PathBuf>,
    },
    /// There was nothing of ours.
    WasNotThere,
    /// It is not ours to take away: somebody wrote its line into this script.
    ByHand(PathBuf),
}

/// How a hook stands for a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How it is installed, if it is.
    pub manner: Option<Manner>,
    /// Why it does not run though it is there.
    pub trouble: Option<String>,
    /// What else git runs then: names of the configuration, and paths.
    pub others: Vec<String>,
    /// Other trees of the repository it is installed for, relative to the top of the work tree.
    pub trees: Vec<PathBuf>,
}

/// Installs a hook for a tree, or brings it up to date. The other trees of the repository keep theirs.
///
/// # Errors
/// [`HookError`]; then what git runs is what it was, or already ours: the same again goes on where this ended.
pub fn install(repository: &Repository, event: Event, call: &Call) -> Result<Done, HookError> {
    let (directory, entries) = (Directory::of(repository)?, Entries::of(repository)?);
    let script = Script::of(&directory, event)?;
    check_is_unchanged(&entries, &script, event, &call.directory)?;
    if let Some(file) = by_hand(repository, &directory, event, &call.directory)? {
        return Ok(Done::WasThere(Manner::Hand(file)));
    }
    let scripted = script.calls().map(|(_, trees)| trees).unwrap_or_default();
    let call_of = |tree: &PathBuf| Call { program: call.program.clone(), directory: tree.clone() };
    if can_configure(repository) {
        let is_new = entries.add(repository, event, call)?;
        // An older git may have needed a script: both would run.
        for tree in scripted.iter().filter(|tree| **tree != call.directory) {
            entries.add(repository, event, &call_of(tree))?;
        }
        script.remove()?;
        let manner = Manner::Config(entries::name(event, &call.directory));
        return Ok(if is_new { Done::Installed(manner) } else { Done::WasThere(manner) });
    }
    if let Some(why) = directory.belongs(repository) {
        let line = script::line(event, &call.directory);
        let file = directory.written(event);
        return Err(HookError::NotOurs { dir: directory.path, why, file, line });
    }
    let configured = entries.trees(event);
    let mut trees: Vec<PathBuf> = scripted.iter().chain(&configured).cloned().collect();
    trees.push(call.directory.clone());
    trees.sort();
    trees.dedup();
    let is_new = script.write(&call.program, &trees)?;
    for tree in &trees {
        entries.remove(repository, event, tree)?;
    }
    let manner = Manner::Script(script.path);
    Ok(if is_new { Done::Installed(manner) } else { Done::WasThere(manner) })
}

/// Takes the hook of a tree away; with the last one, puts back what was there before.
///
/// # Errors
/// [`HookError`]; then it is there still, or all that is left of it is.
pub fn uninstall(repository: &Repository, event: Event, tree: &Path) -> Result<Done, HookError> {
    let (directory, entries) = (Directory::of(repository)?, Entries::of(repository)?);
    let script = Script::of(&directory, event)?;
    check_is_unchanged(&entries, &script, event, tree)?;
    let was_configured = entries.remove(repository, event, tree)?;
    let was_script = match script.calls() {
        Some((_, trees)) if !trees.iter().any(|other| other == tree) => None,
        Some((program, mut trees)) if trees.len() > 1 => {
            trees.retain(|other| other != tree);
            script.write(&program, &trees)?;
            Some(None)
        }
        // What another version has written goes as a whole.
        _ => script.remove()?,
    };
    Ok(match was_script {
        Some(restored) => Done::Removed { restored },
        None if was_configured => Done::Removed { restored: None },
        None => by_hand(repository, &directory, event, tree)?.map_or(Done::WasNotThere, Done::ByHand),
    })
}

/// How a hook stands for a tree. Changes nothing.
///
/// # Errors
/// git's, and of files.
pub fn status(repository: &Repository, event: Event, tree: &Path) -> Result<Standing, HookError> {
    let (directory, entries) = (Directory::of(repository)?, Entries::of(repository)?);
    let script = Script::of(&directory, event)?;
    let mut standing = Standing::default();
    of_script(&script, tree, &mut standing);
    if let Some(file) = by_hand(repository, &directory, event, tree)? {
        standing.others.retain(|other| *other != file.display().to_string());
        if !directory.is_huskys() && !is_executable(&file) {
            standing.trouble = Some(not_executable(&file));
        }
        standing.manner = Some(Manner::Hand(file));
    }
    if can_configure(repository) {
        of_config(&entries, event, tree, &mut standing);
    }
    standing.trees.sort();
    standing.trees.dedup();
    standing.trees.retain(|other| other != tree);
    Ok(standing)
}

/// Whether what there is of ours is as we wrote it, wherever it is.
fn check_is_unchanged(
    entries: &Entries,
    script: &Script,
    event: Event,
    tree: &Path,
) -> Result<(), HookError> {
    entries.check(event, tree)?;
    script.check()
}

/// The script of the project's, or of more than this repository, that has a line for this tree.
fn by_hand(
    repository: &Repository,
    directory: &Directory,
    event: Event,
    tree: &Path,
) -> Result<Option<PathBuf>, HookError> {
    let file = directory.written(event);
    if directory.belongs(repository).is_none() || !file.is_file() {
        return Ok(None);
    }
    let text = fs::read(&file).map_err(HookError::file("read", &file))?;
    Ok(script::has_line(event, tree, &text).then_some(file))
}

fn of_script(script: &Script, tree: &Path, standing: &mut Standing) {
    let hook = &script.path;
    match script.whose() {
        Some(Whose::Ours) => {
            let trees = script.calls().map(|(_, trees)| trees);
            let is_known = trees.is_some();
            standing.trees = trees.unwrap_or_else(|| vec![tree.to_owned()]);
            if standing.trees.iter().any(|known| known == tree) {
                standing.manner = Some(Manner::Script(hook.clone()));
            }
            if !is_executable(hook) {
                standing.trouble = Some(not_executable(hook));
            } else if !is_known {
                let again = "`devtask hooks install` brings it up to date";
                standing.trouble = Some(format!("another version of devtask wrote it: {again}"));
            }
            standing.others.extend(is_executable(&script.kept).then(|| script.kept.display().to_string()));
        }
        Some(Whose::Changed) => standing.trouble = script.check().err().map(|error| error.to_string()),
        Some(Whose::Theirs) if is_executable(hook) => standing.others.push(hook.display().to_string()),
        Some(Whose::Theirs) | None => {}
    }
}

fn not_executable(hook: &Path) -> String {
    format!("{} is not executable, so git does not run it", hook.display())
}

/// What the configuration says of an event, and whether ours is in force.
fn of_config(entries: &Entries, event: Event, tree: &Path, standing: &mut Standing) {
    let trees = entries.trees(event);
    let ours: Vec<String> = trees.iter().map(|tree| entries::name(event, tree)).collect();
    let own = entries::name(event, tree);
    let named = entries.named(event);
    let others = named.iter().filter(|name| **name != own && !ours.iter().any(|ours| ours == **name));
    standing.others.extend(others.map(|name| (*name).to_owned()));
    standing.trees.extend(trees.into_iter().filter(|tree| entries.has(event, tree)));
    if entries.has(event, tree) {
        standing.manner = Some(Manner::Config(own));
        let off = entries.off(event, tree).map(|key| format!("git does not run it: {key} is false"));
        standing.trouble = off.or(standing.trouble.take());
    }
}
