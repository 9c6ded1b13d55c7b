//! Where the private files of a session's tasks are: they are gone with the session.

use std::{fs, io, os::unix::fs::DirBuilderExt as _, path::PathBuf, sync::OnceLock};

use super::shared::Shared;
use crate::process::{RuntimeDir, TaskFiles};

/// The directories for private files, made when the first task needs them. `DEVENV_RUNTIME` is the same for all tasks and
/// processes of a session: a socket that a process makes there is found by the tasks that use it.
#[derive(Debug, Default)]
pub(crate) struct Private {
    runtime: OnceLock<Result<RuntimeDir, String>>,
    /// Where the tasks' private files are, if not there.
    files: OnceLock<Option<RuntimeDir>>,
}

impl Private {
    /// The directory for whatever tasks want to put there.
    pub(crate) fn runtime(&self, shared: &Shared) -> Result<&RuntimeDir, String> {
        let made = self.runtime.get_or_init(|| {
            // `DEVENV_STATE` is there for whoever wants to keep something; without it they make it or fail.
            let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(shared.state_dir.join("state"));
            make(shared, &shared.runtime_bases)
                .map_err(|e| format!("cannot make a directory for private files: {e}"))
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// The private files of one task.
    pub(crate) fn task_files(&self, shared: &Shared) -> Result<TaskFiles, String> {
        let runtime = self.runtime(shared)?;
        let files = self.files.get_or_init(|| make(shared, &shared.file_bases).ok());
        TaskFiles::create(files.as_ref().unwrap_or(runtime))
            .map_err(|e| format!("cannot make its private files: {e}"))
    }
}

fn make(shared: &Shared, bases: &[PathBuf]) -> io::Result<RuntimeDir> {
    let dir = RuntimeDir::create(bases)?;
    shared.warden.guard_directory(dir.path());
    Ok(dir)
}
