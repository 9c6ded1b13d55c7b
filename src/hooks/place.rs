//! Where git looks for hooks.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::{CONFIGURED, Event, HookError, script};
use crate::git::Repository;

/// Whether hooks can stand in the configuration.
pub(super) fn can_configure(repository: &Repository) -> bool {
    repository.version().is_some_and(|version| version >= CONFIGURED)
}

/// The directory git looks into, and whether the configuration of this repository says so, or that of all of the user's.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    is_shared: bool,
}

impl Directory {
    pub(super) fn of(repository: &Repository) -> Result<Self, HookError> {
        let words = ["config", "--null", "--show-scope", "--type=path", "--get-all", "core.hooksPath"];
        let said = repository.read(&words)?;
        let parts: Vec<&[u8]> = said.split(|byte| *byte == 0).collect();
        // What holds for one call of git only, as what every call of ours is given, is no place to install anything.
        let lasting = parts.chunks_exact(2).rfind(|pair| pair[0] != b"command");
        Ok(match lasting {
            Some(pair) => Self {
                // Relative to where hooks are run.
                path: repository.top().join(OsStr::from_bytes(pair[1])),
                is_shared: !matches!(pair[0], b"local" | b"worktree"),
            },
            None => Self { path: repository.common_dir().join("hooks"), is_shared: false },
        })
    }

    pub(super) fn hook(&self, event: Event) -> PathBuf {
        self.path.join(event.name())
    }

    pub(super) fn kept(&self, event: Event) -> PathBuf {
        self.path.join(format!("{}{}", event.name(), script::KEPT))
    }

    /// Why it is not this repository's own, so that we may not write to it.
    pub(super) fn belongs(&self, repository: &Repository) -> Option<&'static str> {
        if self.is_shared {
            Some("other repositories have as well")
        } else {
            self.is_in_work_tree(repository).then_some("is a part of the project")
        }
    }

    /// Whether husky writes what git runs, which calls what people write one directory above.
    pub(super) fn is_huskys(&self) -> bool {
        self.path.file_name() == Some(OsStr::new("_"))
    }

    /// The file of a hook that people write.
    pub(super) fn written(&self, event: Event) -> PathBuf {
        let above = self.path.parent().filter(|_| self.is_huskys());
        above.unwrap_or(&self.path).join(event.name())
    }

    fn is_in_work_tree(&self, repository: &Repository) -> bool {
        let place = real(&self.path);
        let is_gits =
            [repository.git_dir(), repository.common_dir()].iter().any(|dir| place.starts_with(dir));
        place.starts_with(repository.top()) && !is_gits
    }
}

/// A path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let Some((above, canonical)) = there else { return path.to_owned() };
    path.strip_prefix(above).map_or_else(|_| path.to_owned(), |rest| canonical.join(rest))
}
