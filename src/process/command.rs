//! What is to be executed.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{self, Stdio},
    sync::Arc,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{Access, access},
};

use super::{
    ActivationSocket,
    activation::{self, Prepared},
};

/// A program with everything it gets to see. Nothing is added but the session's marker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// The program's absolute path; see [`find_program`].
    pub program: PathBuf,
    /// The name it is called by; none: its path, as also if it has sockets.
    pub name: Option<OsString>,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Its environment; of several values for one name the last counts.
    pub env: Vec<(OsString, OsString)>,
    /// More of its environment, which many commands may share: what `env` does not have. `LISTEN_FDS` and
    /// its like are left out: the sockets they speak of are not passed on.
    pub ambient: Arc<BTreeMap<OsString, OsString>>,
    /// Its working directory, absolute.
    pub cwd: PathBuf,
    /// Whether it talks to the terminal itself: it gets our stdin, stdout and stderr, stays in our
    /// process group so that the terminal lets it read, and nothing it writes is captured.
    pub foreground: bool,
    /// Sockets it finds as descriptors 3, 4 and so on, with `LISTEN_FDS`, `LISTEN_FDNAMES` and `LISTEN_PID`
    /// as `sd_listen_fds(3)` wants them. It is started by way of `/bin/sh` then, which may add variables of
    /// its own (`PWD`, `SHLVL`), may leave out those whose names no shell can use, and takes an executable
    /// that the system does not know for a script.
    pub sockets: Vec<ActivationSocket>,
    /// What it finds as descriptor 3, where it has no sockets there.
    pub third: Option<Third>,
}

/// What a program finds as descriptor 3, open beyond the start of it. Clones are the same descriptor, and no other
/// is equal.
#[derive(Clone, Debug)]
pub struct Third(Arc<OwnedFd>);

impl Third {
    /// Hands this on.
    #[must_use]
    pub fn new(descriptor: OwnedFd) -> Self {
        Self(Arc::new(descriptor))
    }
}

impl AsFd for Third {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PartialEq for Third {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Third {}

impl Command {
    /// For `std`. Without sockets in a form it can start without copying this process: absolute program,
    /// group, directory and environment are all within its fast path (`pre_exec`, which descriptors need, is
    /// not).
    pub(super) fn prepare(&self) -> io::Result<Prepared> {
        if !self.sockets.is_empty() {
            return Prepared::with_sockets(self);
        }
        if let Some(third) = &self.third {
            return Prepared::with_third(self.plain(), third);
        }
        Ok(Prepared::plain(self.plain()))
    }

    fn plain(&self) -> process::Command {
        let mut command = process::Command::new(&self.program);
        command.arg0(self.name.as_deref().unwrap_or(self.program.as_os_str())).args(&self.args);
        self.surround(&mut command);
        command
    }

    /// Environment, directory, group and pipes.
    pub(super) fn surround(&self, command: &mut process::Command) {
        let own = self.env.iter().map(|(name, value)| (name, value));
        command.env_clear().envs(&*self.ambient);
        for name in activation::VARIABLES {
            // Those of the sockets we may have got ourselves, which nobody else has.
            command.env_remove(name);
        }
        command.envs(own).current_dir(&self.cwd);
        if !self.foreground {
            command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        }
    }
}

/// Finds a program as a shell does: a name with a slash is a path relative to `cwd`, any other is
/// looked for in the directories of `path_var` (an empty or relative one is relative to `cwd`;
/// without the variable: `/bin` and `/usr/bin`). Only an executable regular file counts.
#[must_use]
pub fn find_program(name: &OsStr, path_var: Option<&OsStr>, cwd: &Path) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.as_bytes().contains(&b'/') {
        return Some(cwd.join(name)).filter(|path| is_program(path));
    }
    let directories = path_var.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let in_directory = |mut dir: PathBuf| {
        dir.push(name);
        if dir.is_absolute() { dir } else { cwd.join(dir) }
    };
    std::env::split_paths(directories).map(in_directory).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    // Most directories do not have it, and this is the shorter question.
    access(path, Access::EXEC_OK).is_ok() && path.is_file()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn put(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_is_found_as_a_shell_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        put(&root.join("a/tool"), 0o644);
        put(&root.join("b/tool"), 0o755);
        put(&root.join("here"), 0o755);
        fs::create_dir(root.join("a/folder")).unwrap();
        let both = format!("{0}/a:{0}/b", root.display());
        let cases: [(&str, Option<&str>, Option<&str>); 10] = [
            ("tool", Some(&both), Some("b/tool")),
            ("tool", Some("a:b"), Some("b/tool")),
            ("tool", Some("a"), None),
            ("folder", Some("a"), None),
            ("here", Some("a:"), Some("here")),
            ("here", Some("a:b"), None),
            ("./here", Some("a"), Some("here")),
            ("b/tool", None, Some("b/tool")),
            ("nowhere", Some(&both), None),
            ("", Some(":"), None),
        ];
        for (name, path, expected) in cases {
            let found = find_program(OsStr::new(name), path.map(OsStr::new), root);
            let found = found.map(|found| found.canonicalize().unwrap());
            assert_eq!(found, expected.map(|e| root.canonicalize().unwrap().join(e)), "{name} in {path:?}");
        }
        assert!(find_program(OsStr::new("sh"), None, root).is_some());
    }
}
