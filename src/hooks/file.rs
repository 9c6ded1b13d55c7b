//! The hook that is a script, and the one that was there before.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    Event, HookError,
    place::Directory,
    script::{self, Whose},
};

/// Where git looks for a script, and what it finds.
pub(super) struct Script {
    event: Event,
    pub(super) path: PathBuf,
    pub(super) kept: PathBuf,
    text: Option<Vec<u8>>,
}

impl Script {
    pub(super) fn of(directory: &Directory, event: Event) -> Result<Self, HookError> {
        let (path, kept) = (directory.hook(event), directory.kept(event));
        let text = read(&path)?;
        Ok(Self { event, path, kept, text })
    }

    pub(super) fn whose(&self) -> Option<Whose> {
        self.text.as_deref().map(script::whose)
    }

    /// Refuses one of ours that somebody has changed.
    pub(super) fn check(&self) -> Result<(), HookError> {
        match self.whose() {
            Some(Whose::Changed) => Err(HookError::Changed { what: self.path.display().to_string() }),
            _ => Ok(()),
        }
    }

    /// The program ours calls, and the trees it is for; none if it is not ours, or another version has written it.
    pub(super) fn calls(&self) -> Option<(PathBuf, Vec<PathBuf>)> {
        let text = self.text.as_deref().filter(|text| script::whose(text) == Whose::Ours)?;
        script::read(self.event, text)
    }

    /// Puts ours there, and keeps what is; false if it is as it should be. If that fails, what was there is there again.
    pub(super) fn write(&self, program: &Path, trees: &[PathBuf]) -> Result<bool, HookError> {
        let (hook, wanted) = (&self.path, script::script(self.event, program, trees));
        let is_theirs = match self.whose() {
            Some(Whose::Ours) if self.text.as_ref() == Some(&wanted) && is_executable(hook) => {
                return Ok(false);
            }
            Some(Whose::Ours) | None => false,
            Some(Whose::Theirs | Whose::Changed) => true,
        };
        if let Some(dir) = hook.parent() {
            fs::create_dir_all(dir).map_err(HookError::file("create", dir))?;
        }
        if is_theirs {
            keep(hook, &self.kept)?;
        }
        replace(hook, &wanted).map_err(|error| {
            if is_theirs {
                // Of a link to the same file nothing is left, and a renamed one has its name again.
                let _ = fs::rename(&self.kept, hook);
                let _ = fs::remove_file(&self.kept);
            }
            HookError::file("write", hook)(error)
        })?;
        Ok(true)
    }

    /// Takes ours away. None: there was nothing of ours; else what is in its place again, if anything was kept.
    pub(super) fn remove(&self) -> Result<Option<Option<PathBuf>>, HookError> {
        let (hook, kept) = (&self.path, &self.kept);
        let has_kept = fs::symlink_metadata(kept).is_ok();
        match self.whose() {
            Some(Whose::Theirs | Whose::Changed) => Ok(None),
            // Somebody took ours away and left what it had kept.
            None if !has_kept => Ok(None),
            Some(Whose::Ours) | None if has_kept => {
                fs::rename(kept, hook).map_err(HookError::file("rename", kept))?;
                Ok(Some(Some(hook.clone())))
            }
            Some(Whose::Ours) | None => {
                fs::remove_file(hook).map_err(HookError::file("remove", hook))?;
                Ok(Some(None))
            }
        }
    }
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
    let write = || {
        let mut file = File::options().write(true).create_new(true).open(&aside)?;
        file.write_all(text)?;
        file.set_permissions(Permissions::from_mode(0o755))?;
        drop(file);
        fs::rename(&aside, hook)
    };
    write().inspect_err(|_| drop(fs::remove_file(&aside)))
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

pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}
