//! Where a report goes: to stdout, or to a file that is not there yet, or is a report, too.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Read as _, Write as _, stdout},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use devtask::report::is_ours;
use rustix::fs::OFlags;

use crate::{
    app::{App, internal, misused_with},
    commands::out,
    exit::Exit,
    render::text::shown,
};

/// Where a report goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Stdout,
    File {
        path: PathBuf,
        /// As it was typed.
        name: String,
    },
}

impl Place {
    /// Where the user says; else stdout, but for a terminal, where a file of this name is of more use.
    pub(crate) fn of(app: &App, output: Option<&Path>, usual: &str) -> Self {
        match output {
            Some(path) if path == Path::new("-") => Self::Stdout,
            Some(path) => Self::file(app, path),
            None if stdout().is_terminal() => Self::file(app, Path::new(usual)),
            None => Self::Stdout,
        }
    }

    /// This file.
    pub(crate) fn file(app: &App, path: &Path) -> Self {
        Self::File { path: app.start_dir.join(path), name: path.display().to_string() }
    }

    /// Refuses to write over what is no report.
    ///
    /// # Errors
    /// [`Exit::Usage`], having said so.
    pub(crate) fn check(&self) -> Result<(), Exit> {
        self.check_for(is_ours)
    }

    fn check_for(&self, is_ours: impl Fn(&[u8]) -> bool) -> Result<(), Exit> {
        let Self::File { path, name } = self else { return Ok(()) };
        match may_be_replaced(path, is_ours) {
            Ok(true) => Ok(()),
            Ok(false) => Err(misused_with(
                &format!("{name} is there, and was not written by this: it is not written over"),
                "remove it, or name another file",
            )),
            Err(error) => Err(misused_with(&format!("cannot write {name}: {error}"), "name another file")),
        }
    }

    /// Writes it, and says where unless that is to be kept quiet.
    ///
    /// # Errors
    /// What the end of the program is then, having said what is wrong.
    pub(crate) fn write(&self, text: &str, quiet: bool) -> Result<(), Exit> {
        self.write_over(text, quiet, is_ours)
    }

    /// Writes it over what begins like it, and says where unless that is to be kept quiet.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) fn write_like(&self, text: &str, quiet: bool) -> Result<(), Exit> {
        self.write_over(text, quiet, |head| head.starts_with(beginning(text).as_bytes()))
    }

    fn write_over(&self, text: &str, quiet: bool, is_ours: impl Fn(&[u8]) -> bool) -> Result<(), Exit> {
        let Self::File { path, name } = self else {
            return match out(text) {
                Exit::Done => Ok(()),
                exit => Err(exit),
            };
        };
        // It may have come to be there since.
        self.check_for(is_ours)?;
        put(path, text).map_err(|error| internal(&format!("cannot write {name}: {error}")))?;
        if !quiet {
            eprintln!("{:<17} {}", "Wrote", shown(name));
        }
        Ok(())
    }
}

/// Whether nothing is lost if a file is written: there is none, it is empty or one of ours, or it is no file at all,
/// but a device or a pipe.
fn may_be_replaced(path: &Path, is_ours: impl Fn(&[u8]) -> bool) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => Ok(true),
        Ok(_) => {
            let mut head = Vec::new();
            File::open(path)?.take(1024).read_to_end(&mut head)?;
            Ok(head.is_empty() || is_ours(&head))
        }
        // There is to be a place for it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(true), |parent| fs::metadata(parent).map(|_| true))
        }
        Err(error) => Err(error),
    }
}

/// Writes a file. The reader of a pipe is not waited for: there may be none.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let mut file = options.open(path)?;
    // From here on it is waited for, as long as it reads.
    rustix::fs::fcntl_setfl(&file, OFlags::empty())?;
    file.write_all(text.as_bytes())
}

/// What tells a text of one kind from another: its first line, as far as that is not about what it shows.
fn beginning(text: &str) -> &str {
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= 48).last().unwrap_or_default();
    let line = text[..end].split_inclusive('\n').next().unwrap_or_default();
    // A brace alone begins anything.
    if line.len() < 8 { &text[..end] } else { line }
}
