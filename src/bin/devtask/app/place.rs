//! Where things are: the state, what is the user's own, and where short-lived files go.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};
use xxhash_rust::xxh3::xxh3_64;

use super::{App, Tree};

impl App {
    /// Where the user wants the state.
    pub(crate) fn chosen_state_dir(&self) -> Option<PathBuf> {
        self.globals.state_dir.as_ref().map(|dir| self.start_dir.join(dir))
    }

    /// Where the state of a tree lives: where the user says, else in its root, else, for a root nobody may
    /// write to, among the user's own state, by the root's path (hazard D8).
    pub(crate) fn state_dir(&self, tree: &Tree) -> PathBuf {
        state_dir(&tree.loaded.root, self.chosen_state_dir().as_deref())
    }
}

/// Where the state of a tree lives; see [`App::state_dir`].
pub(super) fn state_dir(root: &Path, chosen: Option<&Path>) -> PathBuf {
    if let Some(chosen) = chosen {
        return chosen.to_owned();
    }
    let usual = root.join(devtask::store::STATE_DIR);
    let writable = |path: &Path| access(path, Access::WRITE_OK).is_ok();
    if writable(&usual) || (!usual.exists() && writable(root)) {
        return usual;
    }
    let name = format!("{:016x}", xxh3_64(root.as_os_str().as_bytes()));
    users_state().map_or(usual, |state| state.join(name))
}

/// Where the user's own state lies.
pub(crate) fn users_state() -> Option<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|d| d.is_absolute());
    Some(state.or_else(|| Some(home()?.join(".local/state")))?.join("devtask"))
}

/// Where the state of this name lives, apart from every tree: it is made private when it is first used.
pub(crate) fn private_state_dir(name: &str) -> PathBuf {
    let short_lived = || runtime_bases().into_iter().next().unwrap_or_default().join("devtask-state");
    users_state().unwrap_or_else(short_lived).join(name)
}

/// A path by the name its directory really has.
pub(super) fn in_its_place(path: &Path) -> PathBuf {
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).map(Path::canonicalize);
    match (directory, path.file_name()) {
        (Some(Ok(directory)), Some(name)) => directory.join(name),
        _ => path.to_owned(),
    }
}

pub(crate) fn home() -> Option<PathBuf> {
    env::home_dir().filter(|h| h.is_absolute())
}

/// Where private short-lived files go: the user's own runtime directory, else the temporary directory.
pub(crate) fn runtime_bases() -> Vec<PathBuf> {
    user_runtime_dir().into_iter().chain([env::temp_dir()]).collect()
}

/// Where a private file goes that holds values: to where it never rests on a disk, if there is such a place.
pub(crate) fn private_base() -> PathBuf {
    user_runtime_dir().or_else(memory_base).unwrap_or_else(env::temp_dir)
}

fn user_runtime_dir() -> Option<PathBuf> {
    env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|d| d.is_absolute() && d.is_dir())
}

/// Where the files of single tasks go if the user has no runtime directory (which lies in memory): shared memory, if
/// it has room for them. A container's often has not.
pub(super) fn memory_base() -> Option<PathBuf> {
    const ROOM: u64 = 256 * 1024 * 1024;
    let shared = Path::new("/dev/shm");
    let wanted = cfg!(target_os = "linux") && user_runtime_dir().is_none();
    let found = wanted.then(|| rustix::fs::statvfs(shared).ok()).flatten()?;
    (found.f_bavail.saturating_mul(found.f_frsize) >= ROOM).then(|| shared.to_owned())
}

/// git's `core.excludesFile` where it has its default place.
pub(crate) fn global_ignore() -> Option<PathBuf> {
    let config = env::var_os("XDG_CONFIG_HOME").filter(|d| !d.is_empty()).map(PathBuf::from);
    let file = config.or_else(|| Some(home()?.join(".config")))?.join("git/ignore");
    file.is_file().then_some(file)
}

/// Whether this process was started, through however many others, by a task of the run that holds
/// `state_dir`.
pub(crate) fn is_nested_in(state_dir: &Path) -> bool {
    let Ok(state_dir) = fs::canonicalize(state_dir) else { return false };
    let trees = env::var_os("DEVTASK_TREES").unwrap_or_default();
    let mut trees = trees.as_bytes().split(|b| *b == b'\n').map(OsStr::from_bytes);
    trees.any(|tree| fs::canonicalize(tree).is_ok_and(|tree| tree == state_dir))
}
