//! What `fix` made, put into the index, and merged into the work tree.

use std::{
    ffi::OsString,
    fs::{self, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, fchown},
    },
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::{
    Checkout, GitError, Repository,
    repository::{inner, text},
};
use crate::scan::{identity_of, read_regular_identified};

/// A file that was fixed in the private checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// Beneath the top of the work tree.
    pub path: PathBuf,
    /// The object that was in the index.
    pub was: String,
    /// What that is as a file.
    pub base: Vec<u8>,
    /// What it has become.
    pub now: Vec<u8>,
}

/// What became of the user's own version of a fixed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It has what was fixed.
    Clean,
    /// It is as it was: what was fixed and what the user wrote touch each other.
    Conflict,
    /// It is as it was: it is not there, no regular file, or was being changed.
    Left,
}

/// More than this is no text that somebody writes.
const LONGEST: u64 = 256 << 20;

impl Repository {
    /// Merges what was fixed into the user's own version of the file, if that goes without a conflict. `aside` is a directory
    /// for short-lived files, best on the same file system.
    ///
    /// # Errors
    /// Git's, and of files; then the user's version is as it was.
    pub fn merge(&self, fixed: &Fixed, aside: &Path) -> Result<Merged, GitError> {
        let path = self.top().join(&fixed.path);
        // A link on the way leads to a file that may be anybody's.
        if leads_elsewhere(self.top(), &fixed.path) {
            return Ok(Merged::Left);
        }
        let Ok((ours, identity)) = read_regular_identified(&path, LONGEST) else { return Ok(Merged::Left) };
        if ours == fixed.now {
            return Ok(Merged::Clean);
        }
        let merged =
            if ours == fixed.base { Some(fixed.now.clone()) } else { self.merged(&ours, fixed, aside)? };
        let Some(merged) = merged else { return Ok(Merged::Conflict) };
        let written = || -> io::Result<bool> {
            let file = ready(&path, aside, &merged)?;
            // Who saved it in this very moment keeps what was saved.
            if identity_of(&path) != Some(identity) || leads_elsewhere(self.top(), &fixed.path) {
                return Ok(false);
            }
            file.persist(&path)?;
            Ok(true)
        };
        match written() {
            Ok(true) => Ok(Merged::Clean),
            Ok(false) => Ok(Merged::Left),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Merged::Left),
            Err(error) => Err(GitError::file("write", &path)(error)),
        }
    }

    /// The three versions as one, if they do not touch each other.
    fn merged(&self, ours: &[u8], fixed: &Fixed, aside: &Path) -> Result<Option<Vec<u8>>, GitError> {
        let write = |content: &[u8]| -> io::Result<NamedTempFile> {
            let mut file = NamedTempFile::new_in(aside)?;
            file.write_all(content).map(|()| file)
        };
        let file = |content: &[u8]| write(content).map_err(GitError::file("write beneath", aside));
        let (ours, base, theirs) = (file(ours)?, file(&fixed.base)?, file(&fixed.now)?);
        let words = ["merge-file", "-p", "-q"].map(Path::new);
        let files = [ours.path(), base.path(), theirs.path()];
        let output = self.caller.call(&[words, files].concat(), Vec::new())?;
        Ok(output.status.success().then_some(output.stdout))
    }

    /// Whether somebody else holds the index, so that nothing can be staged now.
    #[must_use]
    pub fn is_index_held(&self) -> bool {
        let mut name = self.index().as_os_str().to_owned();
        name.push(".lock");
        Path::new(&name).symlink_metadata().is_ok()
    }

    /// Puts what was fixed in a checkout of this repository into the index; returns the files of which the index has become
    /// another meanwhile, and which are left alone.
    ///
    /// # Errors
    /// Git's; then the index is as it was.
    pub fn stage(&self, fixed: &[Fixed], checkout: &Checkout) -> Result<Vec<PathBuf>, GitError> {
        let caller = self.with_index();
        // The checkout was written by the rules of what is staged; so what is in it has to be read by them.
        let objects = self.common_dir().join("objects");
        let reader = checkout.caller().with([("GIT_OBJECT_DIRECTORY", objects)]);
        let listed = caller.read(&["ls-files", "--stage", "-z"])?;
        let (mut input, mut left) = (Vec::new(), Vec::new());
        for fixed in fixed {
            let Some(mode) = mode_of(&listed, fixed) else {
                left.push(fixed.path.clone());
                continue;
            };
            let mut path = OsString::from("--path=");
            path.push(&fixed.path);
            let words = ["hash-object".as_ref(), "-w".as_ref(), "--stdin".as_ref(), path.as_os_str()];
            let object = text(reader.read_with(&words, fixed.now.clone())?);
            let object = object.ok_or_else(|| GitError::Unexpected { command: "hash-object".to_owned() })?;
            input.extend(format!("{mode} {object} 0\t").into_bytes());
            input.extend(fixed.path.as_os_str().as_bytes());
            input.push(0);
        }
        if !input.is_empty() {
            caller.read_with(&["update-index", "-z", "--index-info"], input)?;
        }
        Ok(left)
    }

    /// Puts files into the index as they are in the work tree. All are in it already; what is not there any more is taken out.
    ///
    /// # Errors
    /// Git's; then the index is as it was.
    pub fn restage(&self, paths: &[PathBuf]) -> Result<(), GitError> {
        let input: Vec<u8> =
            paths.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\0"].concat()).collect();
        if input.is_empty() {
            return Ok(());
        }
        self.with_index().read_with(&["update-index", "--remove", "-z", "--stdin"], input).map(drop)
    }
}

/// A file with this content and the mode and owner of another, to take its place. It is made `aside`: who is killed now leaves
/// nothing among the user's files; where that is another file system, beside it.
fn ready(path: &Path, aside: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let there = fs::symlink_metadata(path)?;
    let is_same_system = fs::metadata(aside).is_ok_and(|aside| aside.dev() == there.dev());
    let mut file =
        NamedTempFile::new_in(if is_same_system { aside } else { path.parent().unwrap_or(aside) })?;
    file.write_all(content)?;
    // Only root can give it to somebody else, and only root has to.
    let _ = fchown(file.as_file(), Some(there.uid()), Some(there.gid()));
    file.as_file().set_permissions(Permissions::from_mode(there.mode() & 0o7777))?;
    Ok(file)
}

/// Whether something on the way to a file beneath a directory, or the file itself, is a link.
pub(super) fn leads_elsewhere(top: &Path, beneath: &Path) -> bool {
    let mut way = top.to_owned();
    beneath.components().any(|part| {
        way.push(part);
        way.is_symlink()
    })
}

/// The mode of a file in the index, if it is there as it was: `<mode> <object> <stage> TAB <path>`.
fn mode_of<'a>(listed: &'a [u8], fixed: &Fixed) -> Option<&'a str> {
    let line = listed.split(|byte| *byte == 0).find(|line| {
        line.iter().position(|byte| *byte == b'\t').and_then(|at| inner(&line[at + 1..])).as_ref()
            == Some(&fixed.path)
    })?;
    let head = std::str::from_utf8(line.split(|byte| *byte == b'\t').next()?).ok()?;
    let mut words = head.split(' ');
    let (mode, object, stage) = (words.next()?, words.next()?, words.next()?);
    (object == fixed.was && stage == "0").then_some(mode)
}
