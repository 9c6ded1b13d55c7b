//! The state directory.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, Metadata, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Component, Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{StoreError, journal::JOURNAL};

/// The usual name of the state directory, below the root.
pub const STATE_DIR: &str = ".devtask";

const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;
const GITIGNORE: &str = ".gitignore";
/// The `.gitignore` until it is whole.
const GITIGNORE_ASIDE: &str = ".gitignore.new";
const IGNORE_ALL: &str = "*\n";

/// What is in the directory besides the files of the base, whose names begin with [`super::base::FILE`].
const OURS: [&str; 17] = [
    GITIGNORE,
    GITIGNORE_ASIDE,
    JOURNAL,
    "checkout",
    "checkout.lock",
    "loaded",
    "lock",
    "log",
    "outputs",
    "passed",
    "runs",
    "sessions",
    "settled",
    "socket",
    "socket.at",
    "socket.new",
    "state",
];

/// A state directory that exists, is a real directory and belongs to the user (hazards D7, E4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Makes the directory `path` (`<root>/.devtask`, or as the user said) with mode 0700 and a `.gitignore`
    /// of its own that ignores everything, or takes the one that is there and tightens its mode.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a symbolic link, something that is no directory, another user's directory,
    /// and a directory full of other things (a home directory named by mistake); [`StoreError::Io`].
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        if let Some(dir) = Self::open(path)? {
            dir.check_is_ours()?;
        }
        make_private(path, true)?;
        let dir = Self { path: path.to_owned() };
        dir.write_gitignore()?;
        Ok(dir)
    }

    /// The directory `path` if it exists; makes and changes nothing. For verbs that only look.
    ///
    /// # Errors
    /// [`StoreError::Refused`] as for [`create`](Self::create), except that its contents are not judged;
    /// [`StoreError::Io`].
    pub fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        match look(path)? {
            None => Ok(None),
            Some(_) => Ok(Some(Self { path: path.to_owned() })),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes `name` (one name, or several below each other: `log/r8k2`) below it, each with mode 0700.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a name that leads elsewhere and for what `create` refuses;
    /// [`StoreError::Io`].
    pub fn subdir(&self, name: impl AsRef<Path>) -> Result<PathBuf, StoreError> {
        let mut path = self.path.clone();
        for part in name.as_ref().components() {
            path.push(part);
            if !matches!(part, Component::Normal(_)) {
                return Err(refused(&path, "does not lie in the state directory"));
            }
            make_private(&path, false)?;
        }
        Ok(path)
    }

    /// Opens a file of the directory for reading and writing, with mode 0600, following no link.
    pub(super) fn open_file(path: &Path, create: bool) -> io::Result<fs::File> {
        // NONBLOCK: a FIFO in its place must not hang us. It means nothing for a regular file.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).mode(PRIVATE_FILE);
        // The bits are those of the system's own `int`; the crate only types them unsigned.
        let file = options.custom_flags(flags.cast_signed()).open(path)?;
        if file.metadata()?.mode() & 0o7777 != PRIVATE_FILE {
            file.set_permissions(Permissions::from_mode(PRIVATE_FILE))?;
        }
        Ok(file)
    }

    /// A directory with other people's things in it must not get our mode and our `.gitignore`. One that a
    /// first run left unfinished, for want of room or because it was killed, has nothing but ours in it.
    fn check_is_ours(&self) -> Result<(), StoreError> {
        if fs::symlink_metadata(self.path.join(super::base::FILE)).is_ok() {
            return Ok(());
        }
        let read = || -> io::Result<bool> {
            let names: Vec<_> =
                fs::read_dir(&self.path)?.map(|e| e.map(|e| e.file_name())).collect::<Result<_, _>>()?;
            Ok(match self.gitignore()? {
                Some(text) if !text.is_empty() => text.trim_end() == IGNORE_ALL.trim_end(),
                _ => names.iter().all(|name| is_our_name(name)),
            })
        };
        match read() {
            Ok(true) => Ok(()),
            Ok(false) => Err(refused(&self.path, "exists and is no state directory")),
            Err(source) => Err(StoreError::io("read", &self.path, source)),
        }
    }

    /// The beginning of the `.gitignore`, if it is there. What is no regular file is not ours.
    fn gitignore(&self) -> io::Result<Option<String>> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let path = self.path.join(GITIGNORE);
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.ok().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file())),
        };
        let Some(file) = file else { return Ok(Some("?".to_owned())) };
        let mut text = Vec::new();
        file.take(16).read_to_end(&mut text)?;
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// It is there whole or not at all. One that somebody has changed stays as it is.
    fn write_gitignore(&self) -> Result<(), StoreError> {
        let path = self.path.join(GITIGNORE);
        let has_text = |meta: &Metadata| !meta.is_file() || meta.len() > 0;
        let written = match fs::symlink_metadata(&path) {
            Ok(found) if has_text(&found) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.replace_gitignore(&path),
        };
        written.map_err(|source| StoreError::io("write", &path, source))
    }

    fn replace_gitignore(&self, path: &Path) -> io::Result<()> {
        let aside = self.path.join(GITIGNORE_ASIDE);
        let write = || {
            let mut file = Self::open_file(&aside, true)?;
            file.set_len(0)?;
            file.write_all(IGNORE_ALL.as_bytes())?;
            fs::rename(&aside, path)
        };
        match write() {
            // Another run that begins just now was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
            written => written,
        }
    }
}

fn is_our_name(name: &OsStr) -> bool {
    let base = super::base::FILE.as_bytes();
    OURS.iter().any(|ours| name == *ours) || name.as_bytes().starts_with(base)
}

/// A directory of ours with mode 0700, made if it is missing.
fn make_private(path: &Path, parents: bool) -> Result<(), StoreError> {
    // As a rule there is nothing to be done.
    if look(path)?.is_some_and(|found| found.mode() & 0o7777 == PRIVATE_DIR) {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(parents).mode(PRIVATE_DIR).create(path);
    match made {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(StoreError::io("create", path, source));
        }
        _ => {}
    }
    let Some(found) = look(path)? else {
        return Err(StoreError::io("create", path, io::ErrorKind::NotFound.into()));
    };
    if found.mode() & 0o7777 != PRIVATE_DIR {
        let tightened = fs::set_permissions(path, Permissions::from_mode(PRIVATE_DIR));
        tightened.map_err(|source| StoreError::io("change the mode of", path, source))?;
    }
    Ok(())
}

/// What is at `path`: nothing, or a directory of ours.
fn look(path: &Path) -> Result<Option<Metadata>, StoreError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::io("read", path, source)),
    };
    if found.is_symlink() {
        return Err(refused(path, "is a symbolic link"));
    }
    if !found.is_dir() {
        return Err(refused(path, "is no directory"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused(path, "belongs to another user"));
    }
    Ok(Some(found))
}

fn refused(path: &Path, why: &'static str) -> StoreError {
    StoreError::Refused { path: path.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn it_is_private_and_ignored() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(STATE_DIR);
        assert_eq!(StateDir::open(&path).unwrap(), None);
        assert!(!path.exists(), "looking makes nothing");
        let dir = StateDir::create(&path).unwrap();
        let sub = dir.subdir("log/r8k2").unwrap();
        assert_eq!([mode(&path), mode(&sub), mode(&path.join("log"))], [0o700; 3]);
        assert_eq!(mode(&path.join(".gitignore")), 0o600);
        assert_eq!(fs::read_to_string(path.join(".gitignore")).unwrap(), "*\n");
        assert_eq!(StateDir::open(&path).unwrap(), Some(dir));
    }

    #[test]
    fn a_mode_that_is_too_wide_is_tightened() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(STATE_DIR);
        StateDir::create(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        StateDir::create(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn links_files_and_other_peoples_directories_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let (full, link, file) =
            (root.path().join("full"), root.path().join("link"), root.path().join("file"));
        fs::create_dir(&full).unwrap();
        fs::set_permissions(&full, Permissions::from_mode(0o755)).unwrap();
        fs::write(full.join("letter.txt"), "dear").unwrap();
        symlink(&full, &link).unwrap();
        fs::write(&file, "").unwrap();
        for (path, why) in [
            (&link, "is a symbolic link"),
            (&file, "is no directory"),
            (&full, "exists and is no state directory"),
        ] {
            let error = StateDir::create(path).unwrap_err();
            assert_eq!(error.to_string(), format!("{} {why}", path.display()));
        }
        assert_eq!(mode(&full), 0o755, "refused means untouched");
        assert!(!full.join(".gitignore").exists());
    }

    #[test]
    fn what_a_first_run_left_unfinished_is_ours() {
        for (files, ours) in [
            (&[(".gitignore", "")][..], true),
            (&[(".gitignore.new", "")], true),
            (&[(".gitignore.new", "*"), ("lock", ""), ("state.redb.new", "")], true),
            (&[("lock", "")], true),
            (&[(".gitignore", "*\n"), ("letter.txt", "")], true),
            (&[(".gitignore", "target\n"), ("state.redb", "")], true),
            (&[(".gitignore", ""), ("letter.txt", "")], false),
            (&[(".gitignore", "target\n")], false),
            (&[("log", ""), ("letter.txt", "")], false),
        ] {
            let root = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(root.path().join(name), text).unwrap();
            }
            assert_eq!(StateDir::create(root.path()).is_ok(), ours, "{files:?}");
            let text = fs::read_to_string(root.path().join(GITIGNORE)).unwrap_or_default();
            let changed = files.iter().any(|(_, text)| *text == "target\n");
            assert_eq!(text == IGNORE_ALL, ours && !changed, "{files:?}");
            assert!(!ours || changed || !root.path().join(GITIGNORE_ASIDE).exists(), "{files:?}");
        }
    }

    #[test]
    fn subdirectories_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        let dir = StateDir::create(&root.path().join(STATE_DIR)).unwrap();
        symlink(root.path(), dir.path().join("link")).unwrap();
        for name in ["..", "a/../../b", "/tmp", "link", "link/x"] {
            assert!(matches!(dir.subdir(name), Err(StoreError::Refused { .. })), "{name}");
        }
    }
}
