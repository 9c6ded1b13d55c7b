//! The private checkout: what is in the index, or in a commit, as files of our own.
//!
//! It is a small repository beside the user's: it borrows the objects, and has its own index, its own HEAD and no
//! branches. So the user's repository is only read, and a git that is called in there can do no harm to it.
//! What is the same as the last time is not written again, so that stamps stay and freshness works there, too.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::OFlags;

use super::{
    Entry, GitError, Repository,
    call::Caller,
    repository::{inner, text, without_repository},
    stage::{Fixed, leads_elsewhere},
};

/// A private checkout, held by us alone.
#[derive(Debug)]
pub struct Checkout {
    dir: PathBuf,
    /// In it, tied to nothing.
    plain: Caller,
    /// Tied to it.
    caller: Caller,
}

/// What the last one was made for, in `.git`: another form of it, another repository or another place means a new one.
const MADE_FOR: &str = "devtask-checkout";
/// What the lock of a checkout says that we have made.
const OURS: &[u8] = b"devtask checkout\n";

/// What is shown in a checkout beside what is checked out, from the work tree, if it is there: paths beneath its top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Ignored directories, as links.
    pub links: BTreeSet<PathBuf>,
    /// Files that are copied where what is checked out has none.
    pub copies: BTreeSet<PathBuf>,
}

/// The links it has, in `.git`, a path each, ended by NUL.
const LINKS: &str = "devtask-links";
/// The copies it has, in the same form.
const COPIES: &str = "devtask-copies";

impl Checkout {
    /// Opens the checkout in `dir`, which is made if it is not there; one that was made for something else is made anew.
    /// `waits` is asked before somebody else's is waited for, and may refuse.
    ///
    /// # Errors
    /// [`GitError::Held`]; [`GitError::Foreign`] for a directory that is none of ours; git's, and of files.
    pub fn open(dir: &Path, repository: &Repository, waits: impl FnOnce() -> bool) -> Result<Self, GitError> {
        if let Some(parent) = dir.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(GitError::file("make", parent))?;
        }
        // Whatever git is started holds it, too: one that outlives us still writes.
        let lock = lock(&lock_of(dir), waits)?.ok_or_else(|| GitError::Held(dir.to_owned()))?;
        let git_dir = dir.join(".git");
        let plain = Caller {
            environment: without_repository(&repository.caller.environment),
            dir: dir.to_owned(),
            holds: Some(Arc::new(lock)),
        };
        let caller = plain.with([("GIT_DIR", git_dir.as_path()), ("GIT_WORK_TREE", dir)]);
        let checkout = Self { dir: dir.to_owned(), plain, caller };
        let made_for = checkout.made_for(repository)?;
        if fs::read(git_dir.join(MADE_FOR)).ok().as_deref() != Some(&made_for) {
            checkout.make(repository, &made_for)?;
        }
        Ok(checkout)
    }

    /// Calls of its git.
    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The top of its files: what is the top of the work tree in the repository.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes its files those of the index that is about to be committed, and shows what lies `beside` it.
    ///
    /// # Errors
    /// Git's, and of files.
    pub fn bring_index(&self, repository: &Repository, beside: &Beside) -> Result<(), GitError> {
        self.twice(repository, || {
            let tree = self.tree_of_index(repository)?;
            self.bring(repository, &tree, repository.head().as_deref(), beside)
        })
    }

    /// Makes its files those of a commit; the rest as [`bring_index`](Self::bring_index).
    ///
    /// # Errors
    /// Git's, and of files.
    pub fn bring_commit(
        &self,
        repository: &Repository,
        commit: &str,
        beside: &Beside,
    ) -> Result<(), GitError> {
        self.twice(repository, || self.bring(repository, commit, Some(commit), beside))
    }

    /// What a kill or a full disk has left of it may be of no use: then it is made anew.
    fn twice(
        &self,
        repository: &Repository,
        bring: impl Fn() -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        let Err(error) = bring() else { return Ok(()) };
        if matches!(error, GitError::NotStarted(_)) {
            return Err(error);
        }
        self.make(repository, &self.made_for(repository)?)?;
        bring()
    }

    /// The tree the index would be committed as.
    fn tree_of_index(&self, repository: &Repository) -> Result<String, GitError> {
        // Git may write into an index while it reads it, so it is given a copy.
        let copy = self.dir.join(".git/devtask-index");
        match fs::copy(repository.index(), &copy) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => drop(fs::remove_file(&copy)),
            Err(error) => return Err(GitError::file("read", repository.index())(error)),
        }
        let objects = self.dir.join(".git/objects");
        // What it writes is ours; what it reads, our alternates lead to.
        let caller = repository
            .caller
            .with([("GIT_INDEX_FILE", copy.as_path()), ("GIT_OBJECT_DIRECTORY", objects.as_path())]);
        let words = ["write-tree"];
        text(caller.read(&words)?).ok_or_else(|| GitError::Unexpected { command: words[0].to_owned() })
    }

    fn bring(
        &self,
        repository: &Repository,
        tree: &str,
        head: Option<&str>,
        beside: &Beside,
    ) -> Result<(), GitError> {
        self.take_away(beside)?;
        self.take_along(repository, &beside.links)?;
        let head = head.map_or_else(|| "ref: refs/heads/main\n".to_owned(), |head| format!("{head}\n"));
        self.write(".git/HEAD", head.as_bytes())?;
        // A killed one has left it; we alone are here.
        let _ = fs::remove_file(self.dir.join(".git/index.lock"));
        self.caller.read(&["read-tree", "--reset", "-u", tree])?;
        self.caller.read(&["clean", "-ffdq"])?;
        self.prune();
        self.link(repository, &beside.links)?;
        self.copy(repository, &beside.copies)
    }

    /// Drops the trees of earlier times once there are many: nothing refers to them.
    fn prune(&self) {
        const MANY: usize = 8;
        // As git estimates it: objects are spread evenly over 256 directories.
        let some = fs::read_dir(self.dir.join(".git/objects/17")).map_or(0, |entries| entries.count());
        if some > MANY {
            // What is left is dropped the next time.
            let _ = self.caller.read(&["prune", "--expire=now"]);
        }
    }

    /// What was changed in it since it was brought up to date: regular files whose content is another, with what they were;
    /// and all else, which is not carried over: what was made or removed, links, modes.
    ///
    /// # Errors
    /// Git's, and of files.
    pub fn fixed(&self) -> Result<(Vec<Fixed>, Vec<PathBuf>), GitError> {
        let within = Repository::around(&self.dir, &self.caller.environment)?;
        let Some(within) = within.filter(|found| found.git_dir() == self.dir.join(".git")) else {
            return Err(GitError::Unexpected { command: "rev-parse".to_owned() });
        };
        let carried = self.listed(COPIES);
        let mut others = within.untracked()?;
        others.retain(|path| !carried.contains(path));
        let mut fixed = Vec::new();
        for change in within.unstaged()? {
            let path = self.dir.join(&change.path);
            if change.now != Some(Entry::File) || !path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
                others.push(change.path);
                continue;
            }
            let mut object = OsString::from(":0:");
            object.push(&change.path);
            let listed = self.caller.read(&[OsStr::new("rev-parse"), "--verify".as_ref(), &object])?;
            let base = self.caller.read(&[OsStr::new("cat-file"), "--filters".as_ref(), &object])?;
            let now = fs::read(&path).map_err(GitError::file("read", &path))?;
            let was = text(listed).ok_or_else(|| GitError::Unexpected { command: "rev-parse".to_owned() })?;
            if now == base {
                others.push(change.path);
            } else {
                fixed.push(Fixed { path: change.path, was, base, now });
            }
        }
        Ok((fixed, others))
    }

    /// Whether we have made what is in its place: its lock says so.
    fn is_ours(&self) -> Result<bool, GitError> {
        let path = lock_of(&self.dir);
        fs::read(&path).map(|said| said == OURS).map_err(GitError::file("read", &path))
    }

    fn say_ours(&self) -> Result<(), GitError> {
        let path = lock_of(&self.dir);
        let file = self.plain.holds.as_deref();
        file.map_or(Ok(()), |file| file.write_all_at(OURS, 0)).map_err(GitError::file("write", &path))
    }

    /// What it is made for, as bytes.
    fn made_for(&self, repository: &Repository) -> Result<Vec<u8>, GitError> {
        let format = repository.caller.read(&["rev-parse", "--show-object-format"])?;
        let mut bytes = b"devtask checkout 1\n".to_vec();
        bytes.extend(format);
        for path in [repository.common_dir(), &self.dir] {
            bytes.extend(path.as_os_str().as_bytes());
            bytes.push(b'\n');
        }
        Ok(bytes)
    }

    fn make(&self, repository: &Repository, made_for: &[u8]) -> Result<(), GitError> {
        if self.dir.symlink_metadata().is_ok() && !self.is_ours()? {
            return Err(GitError::Foreign(self.dir.clone()));
        }
        let removed = match self.dir.symlink_metadata() {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&self.dir),
            _ => fs::remove_file(&self.dir),
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(GitError::file("remove", &self.dir)(error));
            }
            _ => {}
        }
        // Said before it is there: a kill in between leaves nothing that nobody knows.
        self.say_ours()?;
        let made = DirBuilder::new().mode(0o700).create(&self.dir);
        made.map_err(GitError::file("make", &self.dir))?;
        let format = repository.caller.read(&["rev-parse", "--show-object-format"])?;
        let format = text(format).unwrap_or_else(|| "sha1".to_owned());
        self.plain.read(&[
            "init",
            "-q",
            "--template=",
            "--initial-branch=main",
            &format!("--object-format={format}"),
            ".",
        ])?;
        let borrowed = repository.common_dir().join("objects");
        let mut line = borrowed.as_os_str().as_bytes().to_vec();
        line.push(b'\n');
        self.write(".git/objects/info/alternates", &line)?;
        self.configure(repository)?;
        self.write(&format!(".git/{MADE_FOR}"), made_for)
    }

    /// It writes files as the repository does (filters, ends of lines), but shares none of its ties.
    fn configure(&self, repository: &Repository) -> Result<(), GitError> {
        let path = self.dir.join(".git/config");
        let own = fs::read(&path).map_err(GitError::file("read", &path))?;
        let mut config = b"[include]\n\tpath = ".to_vec();
        config.extend(quoted(&repository.common_dir().join("config")));
        config.push(b'\n');
        // What counts in this work tree only (`git config --worktree`).
        config.extend(b"\tpath = ");
        config.extend(quoted(&repository.git_dir().join("config.worktree")));
        config.push(b'\n');
        config.extend(own);
        config.extend(b"[core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n\tuntrackedCache = false\n");
        config.extend(b"\tsparseCheckout = false\n\tworktree = ");
        config.extend(quoted(&self.dir));
        config.extend(b"\n[lfs]\n\tstorage = ");
        config.extend(quoted(&repository.common_dir().join("lfs")));
        config.push(b'\n');
        self.write(".git/config", &config)
    }

    /// What is ignored, and how files are written, is said outside of the tree as well.
    fn take_along(&self, repository: &Repository, links: &BTreeSet<PathBuf>) -> Result<(), GitError> {
        let info = |name: &str| fs::read(repository.common_dir().join("info").join(name)).unwrap_or_default();
        let mut exclude = info("exclude");
        if !exclude.ends_with(b"\n") {
            exclude.push(b'\n');
        }
        for link in links {
            exclude.push(b'/');
            // What is a sign in there is taken as it is.
            for byte in link.as_os_str().as_bytes() {
                if b"\\*?[ ".contains(byte) {
                    exclude.push(b'\\');
                }
                exclude.push(*byte);
            }
            exclude.push(b'\n');
        }
        self.write(".git/info/exclude", &exclude)?;
        self.write(".git/info/attributes", &info("attributes"))
    }

    /// Removes the links that are not wanted any more, which git would take for files of its own, and all copies, which
    /// may be of what is not any more.
    fn take_away(&self, wanted: &Beside) -> Result<(), GitError> {
        let links = self.listed(LINKS).into_iter().filter(|link| !wanted.links.contains(link));
        let links = links.map(|link| self.dir.join(link)).filter(|link| link.is_symlink());
        let copies = self.listed(COPIES).into_iter().map(|copy| self.dir.join(copy));
        for path in links.chain(copies.filter(|copy| copy.is_file() || copy.is_symlink())) {
            fs::remove_file(&path).map_err(GitError::file("remove", &path))?;
        }
        Ok(())
    }

    /// The paths of a list of ours, each ended by NUL.
    fn listed(&self, name: &str) -> Vec<PathBuf> {
        let list = fs::read(self.dir.join(".git").join(name)).unwrap_or_default();
        list.split(|byte| *byte == 0).filter_map(inner).collect()
    }

    /// Copies files of the work tree to where nothing is.
    fn copy(&self, repository: &Repository, copies: &BTreeSet<PathBuf>) -> Result<(), GitError> {
        let mut list = Vec::new();
        let wanted = copies.iter().map(|copy| (copy, repository.top().join(copy), self.dir.join(copy)));
        let wanted: Vec<_> = wanted
            .filter(|(copy, from, to)| {
                from.is_file() && to.symlink_metadata().is_err() && !leads_elsewhere(&self.dir, copy)
            })
            .collect();
        wanted.iter().for_each(|(copy, ..)| list.extend([copy.as_os_str().as_bytes(), b"\0"].concat()));
        // Known before they are there: a kill in between leaves nothing that stays for ever.
        self.write(&format!(".git/{COPIES}"), &list)?;
        for (_, from, to) in wanted {
            let copy = || {
                to.parent().map_or(Ok(()), fs::create_dir_all)?;
                fs::copy(&from, &to).map(drop)
            };
            copy().map_err(GitError::file("copy", &from))?;
        }
        Ok(())
    }

    /// Shows ignored directories of the work tree where they are there, and nothing is in their place.
    fn link(&self, repository: &Repository, links: &BTreeSet<PathBuf>) -> Result<(), GitError> {
        let mut list = Vec::new();
        for link in links {
            let (from, to) = (repository.top().join(link), self.dir.join(link));
            list.extend(link.as_os_str().as_bytes());
            list.push(0);
            if to.is_symlink() && fs::read_link(&to).is_ok_and(|target| target == from) {
                continue;
            }
            if !from.exists() || to.symlink_metadata().is_ok() || leads_elsewhere(&self.dir, link) {
                continue;
            }
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).map_err(GitError::file("make", parent))?;
            }
            symlink(&from, &to).map_err(GitError::file("make", &to))?;
        }
        self.write(&format!(".git/{LINKS}"), &list)
    }

    /// Writes a file of ours, unless it is so already.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), GitError> {
        let path = self.dir.join(name);
        if fs::read(&path).is_ok_and(|there| there == content) {
            return Ok(());
        }
        let write = || -> io::Result<()> {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            let aside = path.with_extension("devtask-new");
            fs::write(&aside, content)?;
            fs::rename(&aside, &path)
        };
        write().map_err(GitError::file("write", &path))
    }
}

/// Beside it.
fn lock_of(dir: &Path) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Holds the checkout for us.
fn lock(path: &Path, waits: impl FnOnce() -> bool) -> Result<Option<File>, GitError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = File::options();
    let open = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path);
    let file = open.map_err(GitError::file("open", path))?;
    if file.try_lock().is_err() {
        if !waits() {
            return Ok(None);
        }
        file.lock().map_err(GitError::file("lock", path))?;
    }
    Ok(Some(file))
}

/// A value of git's configuration.
fn quoted(path: &Path) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\n' => quoted.extend(b"\\n"),
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            _ => quoted.push(*byte),
        }
    }
    quoted.push(b'"');
    quoted
}
