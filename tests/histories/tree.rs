//! The tree as the oracle sees it, and the edits people and programs make to it.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// The files worlds are about. `far` is watched by few, `src/a.txt` is a directory now and then.
pub(crate) const DIRS: [&str; 9] =
    ["src", "src/d", "src/e", "src/d/deep", "src/new/x/y", "src/a.txt", "lib", "lib/d", "far"];
pub(crate) const NAMES: [&str; 5] = ["a.txt", "b.txt", "c.md", ".h.txt", "z.tmp"];
/// Files beside the tree that links lead to. The last is not there at first.
pub(crate) const OUTSIDE: [&str; 3] = ["a.txt", "b.txt", "m.txt"];

/// Every path a task may read; its place in the list is part of what the task makes of it.
pub(crate) fn universe() -> Vec<String> {
    let files = DIRS.iter().flat_map(|dir| NAMES.iter().map(move |name| format!("{dir}/{name}")));
    files.chain(["src/d", "src/e", "lib/d"].map(str::to_owned)).collect()
}

/// What stands at a path, links followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File {
        executable: bool,
        content: String,
    },
    Directory,
    /// A link that leads nowhere: its text.
    Broken(String),
}

/// What stands at a path, with its stat identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    identity: (u64, u64, i64, i64, i64, i64),
}

impl Node {
    /// What a file holds: one number.
    pub(crate) fn number(&self) -> u32 {
        match &self.kind {
            Kind::File { content, .. } => content.trim().parse().unwrap_or(0),
            _ => 0,
        }
    }
}

/// Every path of the tree but those of git and of devtask.
pub(crate) type Walk = BTreeMap<String, Node>;

/// Looks at everything.
pub(crate) fn walk(root: &Path) -> Walk {
    let mut found = Walk::new();
    let mut open = vec![String::new()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(root.join(&dir)) else { continue };
        for entry in entries.map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if name == ".git" || name == ".devtask" {
                continue;
            }
            let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
            // It may vanish meanwhile: what a killed run left running is still being ended.
            let Ok(node) = look(&entry.path()) else { continue };
            if node.kind == Kind::Directory {
                open.push(path.clone());
            }
            found.insert(path, node);
        }
    }
    found
}

fn look(path: &Path) -> io::Result<Node> {
    let status = match fs::metadata(path) {
        Ok(status) => status,
        Err(_) => fs::symlink_metadata(path)?,
    };
    let kind = if status.is_dir() {
        Kind::Directory
    } else if status.is_file() {
        let executable = status.mode() & 0o100 != 0;
        Kind::File { executable, content: fs::read_to_string(path)? }
    } else {
        Kind::Broken(fs::read_link(path)?.to_string_lossy().into_owned())
    };
    let (mtime, ctime) = ((status.mtime(), status.mtime_nsec()), (status.ctime(), status.ctime_nsec()));
    Ok(Node { kind, identity: (status.ino(), status.size(), mtime.0, mtime.1, ctime.0, ctime.1) })
}

/// Paths that are not as they were, and of each whether there was ever anything but a directory.
pub(crate) type Touched = BTreeMap<String, bool>;

/// The paths that are not as they were: contents may be the same again, identities are not. Directories
/// count by presence, as they do in devtask.
pub(crate) fn touched(before: &Walk, after: &Walk) -> Touched {
    let differs = |path: &String| match (before.get(path), after.get(path)) {
        (Some(a), Some(b)) => a.kind != b.kind || a.kind != Kind::Directory && a.identity != b.identity,
        _ => true,
    };
    let is_more = |path: &String| {
        let nodes = [before.get(path), after.get(path)];
        nodes.iter().flatten().any(|node| node.kind != Kind::Directory)
    };
    let paths = before.keys().chain(after.keys()).filter(|path| differs(path));
    paths.map(|path| (path.clone(), is_more(path))).collect()
}

/// One thing done to the tree. Whatever cannot be done where the tree is as it is, is not done.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// In place, as `echo 5 > file` does.
    Write(String, u32),
    /// The same bytes once more.
    Rewrite(String),
    /// New time stamps only; old ones if `true`.
    Touch(String, bool),
    /// New content of the same size, and the old modification time put back.
    WriteKeepingTime(String, u32),
    /// As editors save: a temporary file, renamed over the old one; with the old time put back if `true`.
    Save(String, u32, bool),
    Chmod(String),
    Rename(String, String),
    Delete(String),
    /// A directory in its place, with a file in it.
    ToDirectory(String, u32),
    /// A link in its place, to a file beside the tree.
    ToLink(String, &'static str),
    /// A link to the directory beside the tree, of which a tree has at most one.
    ToDirectoryLink(String),
    Swap(String, String),
    /// A file in directories that are made for it.
    Deep(u32),
    /// A file beside the tree, which links lead to; none removes it.
    Outside(&'static str, Option<u32>),
    /// Whether git ignores `*.tmp`.
    Ignore(bool),
    /// `git checkout` of the other branch, by force.
    Checkout(bool),
    /// The content the file had when the step began (of edits during a run: the run), written in place.
    PutBack(String),
}

/// Where edits happen.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) outside: PathBuf,
    pub(crate) home: PathBuf,
}

impl Place {
    /// Does it, as far as it can be done. `then` is the tree as it was when the step began.
    pub(crate) fn apply(&self, op: &Op, then: &Walk) {
        // A path that is in the way, or not there, makes the edit a different one or none at all.
        let _ = self.try_apply(op, then);
    }

    fn try_apply(&self, op: &Op, then: &Walk) -> io::Result<()> {
        let at = |path: &str| self.root.join(path);
        match op {
            Op::Write(path, value) => write(&at(path), *value),
            Op::Rewrite(path) => fs::read(at(path)).and_then(|bytes| fs::write(at(path), bytes)),
            Op::Touch(path, old) => {
                let ago = Duration::from_secs(if *old { 90_000 } else { 0 });
                set_time(&at(path), SystemTime::now() - ago)
            }
            Op::WriteKeepingTime(path, value) => keeping_time(&at(path), || {
                fs::metadata(at(path))?;
                write(&at(path), *value)
            }),
            Op::Save(path, value, keep) => {
                let save = || {
                    let (name, dir) = (at(path), at(path));
                    let temporary =
                        dir.with_file_name(format!(".{}~", name.file_name().unwrap().to_string_lossy()));
                    write(&temporary, *value)?;
                    fs::rename(&temporary, name).inspect_err(|_| drop(fs::remove_file(&temporary)))
                };
                if *keep { keeping_time(&at(path), save) } else { save() }
            }
            Op::Chmod(path) => {
                let mode = fs::metadata(at(path))?.mode() ^ 0o111;
                fs::set_permissions(at(path), fs::Permissions::from_mode(mode & 0o777 | 0o600))
            }
            Op::Rename(from, to) => {
                fs::create_dir_all(at(to).parent().unwrap())?;
                fs::rename(at(from), at(to))
            }
            Op::Delete(path) => remove(&at(path)),
            Op::ToDirectory(path, value) => {
                remove_if_there(&at(path));
                write(&at(path).join("b.txt"), *value)
            }
            Op::ToLink(path, target) => {
                remove_if_there(&at(path));
                symlink(self.outside.join(target), at(path))
            }
            Op::ToDirectoryLink(path) => {
                if ["src/d", "src/e", "lib/d", "far/d"].iter().any(|dir| at(dir).is_symlink()) {
                    return Ok(());
                }
                remove_if_there(&at(path));
                symlink(&self.outside, at(path))
            }
            Op::Swap(a, b) => {
                let aside = self.root.with_file_name("aside");
                fs::symlink_metadata(at(b))?;
                fs::rename(at(a), &aside)?;
                // One may lie in the other; then everything goes back.
                match fs::rename(at(b), at(a)) {
                    Ok(()) => fs::rename(aside, at(b)),
                    Err(_) => fs::rename(aside, at(a)),
                }
            }
            Op::Deep(value) => write(&at("src/new/x/y/a.txt"), *value),
            Op::Outside(name, Some(value)) => write(&self.outside.join(name), *value),
            Op::Outside(name, None) => remove(&self.outside.join(name)),
            Op::Ignore(yes) => fs::write(at(".gitignore"), if *yes { "*.tmp\n" } else { "*.other\n" }),
            Op::Checkout(other) => {
                self.git(&["checkout", "-q", "-f", if *other { "other" } else { "main" }]);
                Ok(())
            }
            Op::PutBack(path) => match then.get(path).map(|node| &node.kind) {
                Some(Kind::File { content, .. }) if at(path).is_file() => fs::write(at(path), content),
                _ => Ok(()),
            },
        }
    }

    /// A repository with two branches, and the first of them checked out.
    pub(crate) fn make_repository(&self, other: &[Op]) {
        let commit = || {
            self.git(&["add", "-f", "src", "lib", "far"]);
            self.git(&[
                "-c",
                "user.name=n",
                "-c",
                "user.email=e",
                "commit",
                "-q",
                "--allow-empty",
                "-m",
                "m",
            ]);
        };
        self.git(&["init", "-q", "--template=", "-b", "main"]);
        commit();
        self.git(&["checkout", "-q", "-b", "other"]);
        other.iter().for_each(|op| self.apply(op, &Walk::new()));
        commit();
        self.git(&["checkout", "-q", "-f", "main"]);
    }

    fn git(&self, args: &[&str]) {
        let mut git = std::process::Command::new("git");
        git.args(args).current_dir(&self.root).env_clear().env("HOME", &self.home);
        git.env("PATH", std::env::var_os("PATH").unwrap()).env("GIT_CONFIG_NOSYSTEM", "1");
        git.output().unwrap();
    }
}

fn write(path: &Path, value: u32) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap())?;
    fs::write(path, format!("{value}\n"))
}

fn set_time(path: &Path, time: SystemTime) -> io::Result<()> {
    fs::File::options().append(true).open(path)?.set_modified(time)
}

fn keeping_time(path: &Path, edit: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let time = fs::metadata(path)?.modified()?;
    edit()?;
    set_time(path, time)
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn remove_if_there(path: &Path) {
    // What is not there need not go.
    let _ = remove(path);
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(path, value) => write!(f, "write {value} to {path}"),
            Self::Rewrite(path) => write!(f, "write the same to {path}"),
            Self::Touch(path, old) => {
                write!(f, "touch {path}{}", if *old { " with an old time" } else { "" })
            }
            Self::WriteKeepingTime(path, value) => {
                write!(f, "write {value} to {path} and put its time back")
            }
            Self::Save(path, value, keep) => {
                let time = if *keep { " and put its time back" } else { "" };
                write!(f, "save {value} to {path} by a rename{time}")
            }
            Self::Chmod(path) => write!(f, "chmod +x or -x {path}"),
            Self::Rename(from, to) => write!(f, "mv {from} {to}"),
            Self::Delete(path) => write!(f, "rm -r {path}"),
            Self::ToDirectory(path, value) => write!(f, "make {path} a directory with {value} in b.txt"),
            Self::ToLink(path, target) => write!(f, "make {path} a link to outside/{target}"),
            Self::ToDirectoryLink(path) => write!(f, "make {path} a link to outside"),
            Self::Swap(a, b) => write!(f, "swap {a} and {b}"),
            Self::Deep(value) => write!(f, "write {value} to src/new/x/y/a.txt, with its directories"),
            Self::Outside(name, Some(value)) => write!(f, "write {value} to outside/{name}"),
            Self::Outside(name, None) => write!(f, "rm outside/{name}"),
            Self::Ignore(yes) => write!(f, "git ignores *.{}", if *yes { "tmp" } else { "other" }),
            Self::Checkout(other) => write!(f, "git checkout -f {}", if *other { "other" } else { "main" }),
            Self::PutBack(path) => write!(f, "write to {path} what was in it before"),
        }
    }
}
