//! Installing, taking away, and how things stand.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use super::{
    Call, Event, HookError,
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
}

/// How a hook stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How it is installed, if it is.
    pub manner: Option<Manner>,
    /// Why it does not run though it is there.
    pub trouble: Option<String>,
    /// What else git runs then: names of the configuration, and paths.
    pub others: Vec<String>,
}

/// Installs a hook, or brings it up to date.
///
/// # Errors
/// [`HookError`]; then everything is as it was.
pub fn install(repository: &Repository, event: Event, call: &Call) -> Result<Done, HookError> {
    check_is_unchanged(repository, event)?;
    if can_configure(repository) {
        let done = configure(repository, event, call)?;
        // An older git may have needed a script: both would run.
        remove_script(repository, event)?;
        Ok(done)
    } else {
        let done = write_script(repository, event, call)?;
        remove_config(repository, event)?;
        Ok(done)
    }
}

/// Takes a hook away, and puts back what was there before.
///
/// # Errors
/// [`HookError`]; then everything is as it was.
pub fn uninstall(repository: &Repository, event: Event) -> Result<Done, HookError> {
    check_is_unchanged(repository, event)?;
    let (config, script) = (remove_config(repository, event)?, remove_script(repository, event)?);
    Ok(match (config, script) {
        (_, done @ Done::Removed { .. }) => done,
        (done, _) => done,
    })
}

/// Whether what there is of ours is as we wrote it, wherever it is.
fn check_is_unchanged(repository: &Repository, event: Event) -> Result<(), HookError> {
    let key = format!("hook.{}.command", name(event));
    check_config(local(repository, &key).as_deref(), &key)?;
    let hook = Directory::of(repository)?.hook(event);
    match read(&hook)?.as_deref().map(script::whose) {
        Some(Whose::Changed) => Err(changed(&hook)),
        _ => Ok(()),
    }
}

/// How a hook stands. Changes nothing.
///
/// # Errors
/// git's, and of files.
pub fn status(repository: &Repository, event: Event) -> Result<Standing, HookError> {
    let directory = Directory::of(repository)?;
    let (hook, kept) = (directory.hook(event), directory.kept(event));
    let mut standing = Standing::default();
    let text = read(&hook)?;
    match text.as_deref().map(script::whose) {
        Some(Whose::Ours) => {
            standing.manner = Some(Manner::Script(hook.clone()));
            if !is_executable(&hook) {
                standing.trouble =
                    Some(format!("{} is not executable, so git does not run it", hook.display()));
            }
            standing.others.extend(is_executable(&kept).then(|| kept.display().to_string()));
        }
        Some(Whose::Changed) => standing.trouble = Some(changed(&hook).to_string()),
        Some(Whose::Theirs) if is_executable(&hook) => standing.others.push(hook.display().to_string()),
        Some(Whose::Theirs) | None => {}
    }
    if can_configure(repository) {
        of_config(repository, event, &mut standing)?;
    }
    Ok(standing)
}

/// What the configuration says of an event, and whether ours is in force.
fn of_config(repository: &Repository, event: Event, standing: &mut Standing) -> Result<(), HookError> {
    let own = name(event);
    let listed = listed(repository, r"^hook\..*\.event$")?;
    for (key, _) in listed.iter().filter(|(_, value)| value == event.name()) {
        let named = key.strip_prefix("hook.").and_then(|key| key.strip_suffix(".event")).unwrap_or(key);
        if named != own {
            standing.others.push(named.to_owned());
        } else if local(repository, &format!("hook.{own}.command")).is_some() {
            standing.manner = Some(Manner::Config(own.clone()));
        }
    }
    if let Some(Manner::Config(_)) = standing.manner {
        let off = |name: &str| {
            let key = format!("hook.{name}.enabled");
            let said = repository.ask(&["config", "--type=bool", "--get", &key]);
            said.filter(|said| said == "false").map(|_| format!("git does not run it: {key} is false"))
        };
        standing.trouble = off(&own).or_else(|| off(event.name())).or(standing.trouble.take());
    }
    Ok(())
}

/// Its name in the configuration; that of an event is not allowed there.
fn name(event: Event) -> String {
    format!("devtask-{}", event.name())
}

fn configure(repository: &Repository, event: Event, call: &Call) -> Result<Done, HookError> {
    let own = name(event);
    let manner = Manner::Config(own.clone());
    let (command_key, event_key) = (format!("hook.{own}.command"), format!("hook.{own}.event"));
    let wanted = script::config(event, call);
    let found = local(repository, &command_key);
    let is_off = local(repository, &format!("hook.{own}.enabled")).is_some();
    let is_for_event = local(repository, &event_key).is_some_and(|value| value == event.name());
    if found.as_ref() == Some(&wanted) && is_for_event && !is_off {
        return Ok(Done::WasThere(manner));
    }
    // In this order: git refuses to work where an event has no command.
    set(repository, &command_key, &wanted)?;
    set(repository, &event_key, OsStr::new(event.name()))?;
    if is_off {
        repository.read(&["config", "--local", "--unset-all", &format!("hook.{own}.enabled")])?;
    }
    Ok(Done::Installed(manner))
}

fn remove_config(repository: &Repository, event: Event) -> Result<Done, HookError> {
    let section = format!("hook.{}", name(event));
    let keys = listed(repository, &format!(r"^{}\.", section.replace('.', r"\.")))?;
    let key = format!("{section}.command");
    let found = local(repository, &key);
    // Named elsewhere it is not for us to take away.
    if found.is_none() && local(repository, &format!("{section}.event")).is_none() || keys.is_empty() {
        return Ok(Done::WasNotThere);
    }
    repository.read(&["config", "--local", "--remove-section", &section])?;
    Ok(Done::Removed { restored: None })
}

fn check_config(found: Option<&OsStr>, key: &str) -> Result<(), HookError> {
    match found.map(script::whose_config) {
        Some(Whose::Changed | Whose::Theirs) => Err(HookError::Changed { what: format!("`{key}`") }),
        Some(Whose::Ours) | None => Ok(()),
    }
}

fn set(repository: &Repository, key: &str, value: &OsStr) -> Result<(), HookError> {
    let words = [OsStr::new("config"), "--local".as_ref(), "--replace-all".as_ref(), key.as_ref(), value];
    Ok(repository.read(&words).map(|_| ())?)
}

/// The last value of a key in the repository's own configuration.
fn local(repository: &Repository, key: &str) -> Option<OsString> {
    let said = repository.read(&["config", "--local", "--null", "--get", key]).ok()?;
    Some(OsString::from_vec(said.strip_suffix(b"\0").unwrap_or(&said).to_vec()))
}

/// All keys that match, with their values.
fn listed(repository: &Repository, pattern: &str) -> Result<Vec<(String, OsString)>, HookError> {
    // It fails where nothing matches.
    let Ok(said) = repository.read(&["config", "--null", "--get-regexp", pattern]) else {
        return Ok(Vec::new());
    };
    let one = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'\n')?;
        let key = String::from_utf8_lossy(&entry[..at]).into_owned();
        Some((key, OsStr::from_bytes(&entry[at + 1..]).to_owned()))
    };
    Ok(said.split(|byte| *byte == 0).filter_map(one).collect())
}

fn write_script(repository: &Repository, event: Event, call: &Call) -> Result<Done, HookError> {
    let directory = Directory::of(repository)?;
    directory.check_is_own(repository, event, call)?;
    let (hook, kept) = (directory.hook(event), directory.kept(event));
    let manner = Manner::Script(hook.clone());
    let wanted = script::script(event, call);
    let found = read(&hook)?;
    let is_ours = match found.as_deref().map(script::whose) {
        Some(Whose::Ours) if found.as_ref() == Some(&wanted) && is_executable(&hook) => {
            return Ok(Done::WasThere(manner));
        }
        Some(Whose::Ours) | None => true,
        Some(Whose::Theirs | Whose::Changed) => false,
    };
    fs::create_dir_all(&directory.path).map_err(HookError::file("create", &directory.path))?;
    if !is_ours {
        keep(&hook, &kept)?;
    }
    replace(&hook, &wanted).map_err(HookError::file("write", &hook))?;
    Ok(Done::Installed(manner))
}

/// Gives a hook a second name. It keeps the first until ours takes its place, so that there is one at any time.
fn keep(hook: &Path, kept: &Path) -> Result<(), HookError> {
    let identity = |path: &Path| fs::symlink_metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    match fs::hard_link(hook, kept) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Left by an install that was killed just here.
            match identity(hook) == identity(kept) {
                true => Ok(()),
                false => Err(HookError::KeptTwice(kept.to_owned())),
            }
        }
        // Not every file system has links; nobody else writes here at the same time.
        Err(_) if identity(kept).is_none() => fs::rename(hook, kept).map_err(HookError::file("rename", hook)),
        Err(_) => Err(HookError::KeptTwice(kept.to_owned())),
    }
}

/// Puts a script in its place, as a whole.
fn replace(hook: &Path, text: &[u8]) -> io::Result<()> {
    let aside = hook.with_extension("devtask-new");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).open(&aside)?;
    file.write_all(text)?;
    file.set_permissions(Permissions::from_mode(0o755))?;
    drop(file);
    fs::rename(&aside, hook)
}

fn remove_script(repository: &Repository, event: Event) -> Result<Done, HookError> {
    let directory = Directory::of(repository)?;
    let (hook, kept) = (directory.hook(event), directory.kept(event));
    let has_kept = fs::symlink_metadata(&kept).is_ok();
    match read(&hook)?.as_deref().map(script::whose) {
        Some(Whose::Theirs | Whose::Changed) => Ok(Done::WasNotThere),
        // Somebody took ours away and left what it had kept.
        None if !has_kept => Ok(Done::WasNotThere),
        Some(Whose::Ours) | None if has_kept => {
            fs::rename(&kept, &hook).map_err(HookError::file("rename", &kept))?;
            Ok(Done::Removed { restored: Some(hook) })
        }
        Some(Whose::Ours) | None => {
            fs::remove_file(&hook).map_err(HookError::file("remove", &hook))?;
            Ok(Done::Removed { restored: None })
        }
    }
}

fn changed(hook: &Path) -> HookError {
    HookError::Changed { what: hook.display().to_string() }
}

/// The text of a hook. A directory or what else cannot be a script of ours has none of it; a link that leads nowhere is
/// somebody's all the same.
fn read(hook: &Path) -> Result<Option<Vec<u8>>, HookError> {
    match fs::symlink_metadata(hook) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HookError::file("read", hook)(error)),
        Ok(meta) if meta.is_file() => fs::read(hook).map(Some).map_err(HookError::file("read", hook)),
        Ok(_) => Ok(Some(Vec::new())),
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}
