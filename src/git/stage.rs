//! What `fix` made, put into the index, and merged into the work tree.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::{
    GitError, Repository,
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
    /// for short-lived files.
    ///
    /// # Errors
    /// Git's, and of files; then the user's version is as it was.
    pub fn merge(&self, fixed: &Fixed, aside: &Path) -> Result<Merged, GitError> {
        let path = self.top().join(&fixed.path);
        let Ok((ours, identity)) = read_regular_identified(&path, LONGEST) else { return Ok(Merged::Left) };
        // A link in its place leads to a file that may be anybody's.
        if ours == fixed.now || path.is_symlink() {
            return Ok(if path.is_symlink() { Merged::Left } else { Merged::Clean });
        }
        let merged =
            if ours == fixed.base { Some(fixed.now.clone()) } else { self.merged(&ours, fixed, aside)? };
        let Some(merged) = merged else { return Ok(Merged::Conflict) };
        let written = || -> std::io::Result<bool> {
            let mode = fs::symlink_metadata(&path)?.permissions().mode();
            let beside = path.parent().unwrap_or(Path::new("."));
            let mut file = NamedTempFile::new_in(beside)?;
            file.write_all(&merged)?;
            file.as_file().set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
            // Who saved it in this very moment keeps what was saved.
            if identity_of(&path) != Some(identity) {
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
        let write = |content: &[u8]| -> std::io::Result<NamedTempFile> {
            let mut file = NamedTempFile::new_in(aside)?;
            file.write_all(content).map(|()| file)
        };
        let file = |content: &[u8]| write(content).map_err(GitError::file("write beneath", aside));
        let (ours, base, theirs) = (file(ours)?, file(&fixed.base)?, file(&fixed.now)?);
        let words = [
            Path::new("merge-file"),
            Path::new("-p"),
            Path::new("-q"),
            ours.path(),
            base.path(),
            theirs.path(),
        ];
        let output = self.caller.call(&words, Vec::new())?;
        Ok(output.status.success().then_some(output.stdout))
    }

    /// Puts what was fixed into the index; returns the files of which the index has become another meanwhile, and which
    /// are left alone.
    ///
    /// # Errors
    /// Git's; then the index is as it was.
    pub fn stage(&self, fixed: &[Fixed]) -> Result<Vec<PathBuf>, GitError> {
        let caller = self.with_index();
        let listed = caller.read(&["ls-files", "--stage", "-z"])?;
        let (mut input, mut left) = (Vec::new(), Vec::new());
        for fixed in fixed {
            let Some(mode) = mode_of(&listed, fixed) else {
                left.push(fixed.path.clone());
                continue;
            };
            let mut path = std::ffi::OsString::from("--path=");
            path.push(&fixed.path);
            let words = ["hash-object".as_ref(), "-w".as_ref(), "--stdin".as_ref(), path.as_os_str()];
            let object = text(caller.read_with(&words, fixed.now.clone())?);
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

    /// Puts files into the index as they are in the work tree. All are in it already.
    ///
    /// # Errors
    /// Git's; then the index is as it was.
    pub fn restage(&self, paths: &[PathBuf]) -> Result<(), GitError> {
        let input: Vec<u8> =
            paths.iter().flat_map(|path| [path.as_os_str().as_bytes(), b"\0"].concat()).collect();
        if input.is_empty() {
            return Ok(());
        }
        self.with_index().read_with(&["update-index", "-z", "--stdin"], input).map(drop)
    }
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
