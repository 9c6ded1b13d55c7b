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
        fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use super::{
    GitError, Repository,
    call::Caller,
    repository::{inner, text},
    stage::Fixed,
};

/// A private checkout, held by us alone.
#[derive(Debug)]
pub struct Checkout {
    dir: PathBuf,
    caller: Caller,
    /// Its lock goes with it.
    _lock: File,
}

/// What the last one was made for, in `.git`: another form of it, another repository or another place means a new one.
const MADE_FOR: &str = "devtask-checkout";
/// The links it has, in `.git`, a path each, ended by NUL.
const LINKS: &str = "devtask-links";

impl Checkout {
    /// Opens the checkout in `dir`, which is made if it is not there; what is there and is none of this repository's is
    /// removed. `is_held` is called before somebody else's is waited for.
    ///
    /// # Errors
    /// Git's, and of files.
    pub fn open(dir: &Path, repository: &Repository, is_held: impl FnOnce()) -> Result<Self, GitError> {
        if let Some(parent) = dir.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
            made.map_err(GitError::file("make", parent))?;
        }
        let lock = lock(&dir.with_extension("lock"), is_held)?;
        let git_dir = dir.join(".git");
        let caller = repository.caller.at(dir).with([("GIT_DIR", git_dir.as_path()), ("GIT_WORK_TREE", dir)]);
        let checkout = Self { dir: dir.to_owned(), caller, _lock: lock };
        let made_for = checkout.made_for(repository)?;
        if fs::read(git_dir.join(MADE_FOR)).ok().as_deref() != Some(&made_for) {
            checkout.make(repository, &made_for)?;
        }
        Ok(checkout)
    }

    /// The top of its files: what is the top of the work tree in the repository.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes its files those of the index that is about to be committed. `links` are shown from the work tree: ignored
    /// directories, beneath the top.
    ///
    /// # Errors
    /// Git's, and of files.
    pub fn bring_index(&self, repository: &Repository, links: &BTreeSet<PathBuf>) -> Result<(), GitError> {
        self.twice(repository, || {
            let tree = self.tree_of_index(repository)?;
            self.bring(repository, &tree, repository.head().as_deref(), links)
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
        links: &BTreeSet<PathBuf>,
    ) -> Result<(), GitError> {
        self.twice(repository, || self.bring(repository, commit, Some(commit), links))
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
        links: &BTreeSet<PathBuf>,
    ) -> Result<(), GitError> {
        self.take_links_away(links)?;
        self.take_along(repository, links)?;
        let head = head.map_or_else(|| "ref: refs/heads/main\n".to_owned(), |head| format!("{head}\n"));
        self.write(".git/HEAD", head.as_bytes())?;
        // A killed one has left it; we alone are here.
        let _ = fs::remove_file(self.dir.join(".git/index.lock"));
        self.caller.read(&["read-tree", "--reset", "-u", tree])?;
        self.caller.read(&["clean", "-ffdq"])?;
        self.link(repository, links)
    }

    /// What was changed in it since it was brought up to date: regular files whose content is another, with what they were.
    ///
    /// # Errors
    /// Git's, and of files.
    pub fn fixed(&self) -> Result<Vec<Fixed>, GitError> {
        let within = Repository::around(&self.dir, &self.caller.environment)?;
        let Some(within) = within.filter(|found| found.git_dir() == self.dir.join(".git")) else {
            return Err(GitError::Unexpected { command: "rev-parse".to_owned() });
        };
        let mut fixed = Vec::new();
        for change in within.unstaged()? {
            let path = self.dir.join(&change.path);
            if change.now.is_none() || !path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
                continue;
            }
            let mut object = OsString::from(":0:");
            object.push(&change.path);
            let listed = self.caller.read(&[OsStr::new("rev-parse"), "--verify".as_ref(), &object])?;
            let base = self.caller.read(&[OsStr::new("cat-file"), "--filters".as_ref(), &object])?;
            let now = fs::read(&path).map_err(GitError::file("read", &path))?;
            let was = text(listed).ok_or_else(|| GitError::Unexpected { command: "rev-parse".to_owned() })?;
            fixed.push(Fixed { path: change.path, was, base, now });
        }
        Ok(fixed)
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
        let made = DirBuilder::new().mode(0o700).create(&self.dir);
        made.map_err(GitError::file("make", &self.dir))?;
        let format = repository.caller.read(&["rev-parse", "--show-object-format"])?;
        let format = text(format).unwrap_or_else(|| "sha1".to_owned());
        // It is told where; the other variables would tie it to that place twice.
        let init = repository.caller.at(&self.dir);
        init.read(&[
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

    /// Removes the links that are not wanted any more: git would take them for files of its own.
    fn take_links_away(&self, wanted: &BTreeSet<PathBuf>) -> Result<(), GitError> {
        let known = fs::read(self.dir.join(".git").join(LINKS)).unwrap_or_default();
        for link in known.split(|byte| *byte == 0).filter_map(inner).filter(|link| !wanted.contains(link)) {
            let path = self.dir.join(link);
            if path.is_symlink() {
                fs::remove_file(&path).map_err(GitError::file("remove", &path))?;
            }
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
            if !from.exists() || to.symlink_metadata().is_ok() {
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

/// Holds the checkout for us.
fn lock(path: &Path, is_held: impl FnOnce()) -> Result<File, GitError> {
    let open = File::options().write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = open.map_err(GitError::file("open", path))?;
    if file.try_lock().is_err() {
        is_held();
        file.lock().map_err(GitError::file("lock", path))?;
    }
    Ok(file)
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
