//! Where a report goes: to stdout, or to a file that is not there yet, or is a report, too.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Read as _, stdout},
    path::{Path, PathBuf},
};

use devtask::report::is_ours;

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
        let Self::File { path, name } = self else { return Ok(()) };
        match may_be_replaced(path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(misused_with(
                &format!("{name} is there, and is no report of devtask's: it is not written over"),
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
        let Self::File { path, name } = self else {
            return match out(text) {
                Exit::Done => Ok(()),
                exit => Err(exit),
            };
        };
        // It may have come to be there since.
        self.check()?;
        fs::write(path, text).map_err(|error| internal(&format!("cannot write {name}: {error}")))?;
        if !quiet {
            eprintln!("{:<17} {}", "Wrote", shown(name));
        }
        Ok(())
    }
}

/// Whether nothing is lost if a file is written: there is none, it is empty or one of ours, or it is no file at all,
/// but a device or a pipe.
fn may_be_replaced(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => Ok(true),
        Ok(_) => {
            let mut head = Vec::new();
            File::open(path)?.take(1024).read_to_end(&mut head)?;
            Ok(head.is_empty() || is_ours(&head))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}
