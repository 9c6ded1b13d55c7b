//! Reading files, and what is kept of it: texts, faults, the list of files.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Faults, world::World};
use crate::{
    diagnostic::{Diagnostic, Place, Source, SourceId, Sources},
    model::Declaration,
};

/// What has been read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// Paths beneath it are shown without it.
    pub base: PathBuf,
    /// The texts.
    pub sources: Sources,
    /// Faults and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The files.
    pub files: Vec<PathBuf>,
    /// Whom everything is asked.
    pub world: World,
}

impl Reading {
    /// Reads a file as text. A byte order mark at its beginning is skipped. `None` after a fault.
    ///
    /// # Errors
    /// The fault, for the caller to place or to drop.
    pub(super) fn file(&mut self, path: &Path) -> Result<(SourceId, Arc<str>), Box<Diagnostic>> {
        let bytes = self.world.read(path);
        self.decoded(path, bytes)
    }

    /// [`file`](Self::file) for one that may hold secrets.
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub(super) fn secret_file(&mut self, path: &Path) -> Result<(SourceId, Arc<str>), Box<Diagnostic>> {
        let bytes = self.world.read_secret(path);
        self.decoded(path, bytes)
    }

    fn decoded(
        &mut self,
        path: &Path,
        bytes: io::Result<Vec<u8>>,
    ) -> Result<(SourceId, Arc<str>), Box<Diagnostic>> {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_owned());
        }
        let bytes = bytes.map_err(|e| Box::new(unreadable(path, &e)))?;
        let text = String::from_utf8(bytes).map_err(|e| Box::new(self.not_utf8(path, &e)))?;
        Ok(self.text(self.shown(path), Some(path.to_owned()), &text))
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: String, path: Option<PathBuf>, text: &str) -> (SourceId, Arc<str>) {
        let text: Arc<str> = text.strip_prefix('\u{feff}').unwrap_or(text).into();
        (self.sources.add(Source { name, path, text: text.clone() }), text)
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.base).unwrap_or(path).display().to_string()
    }

    /// The text up to the first bad byte is kept, so that the place can be shown.
    fn not_utf8(&mut self, path: &Path, error: &std::string::FromUtf8Error) -> Diagnostic {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let name = self.shown(path);
        let source = self.sources.add(Source { name, path: Some(path.to_owned()), text: text.into() });
        let span = good..good + char::REPLACEMENT_CHARACTER.len_utf8();
        Diagnostic::error("unreadable", format!("`{}` is not UTF-8", path.display()))
            .at(Some(&Place { source, span }), "not UTF-8 from here")
            .hint("save it as UTF-8")
    }

    /// Ends with faults.
    pub(super) fn into_faults(self, declarations: Vec<Declaration>, complete: bool) -> Box<Faults> {
        let Self { sources, mut diagnostics, files, .. } = self;
        diagnostics.sort_by_key(place);
        Box::new(Faults { diagnostics, sources, declarations, complete, files })
    }
}

/// Faults are shown in the order of the texts; those without a place come first.
fn place(fault: &Diagnostic) -> Option<(SourceId, usize)> {
    fault.labels.first().map(|label| (label.place.source, label.place.span.start))
}

/// A file that cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    // The number of the error means nothing to people.
    let text = error.to_string();
    let why = text.split(" (os error").next().unwrap_or(&text);
    let fault = Diagnostic::error("unreadable", format!("`{}` cannot be read: {why}", path.display()));
    match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => fault.hint("it is a link that leads nowhere"),
        io::ErrorKind::NotFound => fault.hint("check the path"),
        io::ErrorKind::IsADirectory => fault.hint("a file is expected here"),
        io::ErrorKind::PermissionDenied => fault.hint("check its permissions"),
        _ => fault,
    }
}
