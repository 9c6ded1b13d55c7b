//! A source, and a directory for it to watch.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use devtask::watch::{Backend, Change, Source, SourceOptions, Synced, Watched};
use tempfile::TempDir;

/// So long nothing takes; only a test that fails waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    _keep: TempDir,
    /// The directory to play in. Its parent is never watched.
    pub(crate) root: PathBuf,
    /// Another directory beside it.
    pub(crate) outside: PathBuf,
    pub(crate) source: Source,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn debounced() -> Self {
        Self::with(|options| options.backend = Backend::Debounced)
    }

    pub(crate) fn with(change: impl FnOnce(&mut SourceOptions)) -> Self {
        Self::waking(change, || ())
    }

    pub(crate) fn waking(
        change: impl FnOnce(&mut SourceOptions),
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let top = keep.path().canonicalize().unwrap();
        for name in ["root", "outside", "cookies"] {
            fs::create_dir(top.join(name)).unwrap();
        }
        let mut options = SourceOptions::new(top.join("cookies"));
        options.backend = Backend::Native;
        options.self_test = PATIENCE;
        change(&mut options);
        let source = Source::new(options, wake).unwrap();
        Self { _keep: keep, root: top.join("root"), outside: top.join("outside"), source }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        if name == "." { self.root.clone() } else { self.root.join(name) }
    }

    pub(crate) fn dir(&self, name: &str) {
        fs::create_dir_all(self.path(name)).unwrap();
    }

    pub(crate) fn file(&self, name: &str) {
        fs::write(self.path(name), name).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Names divided by spaces; all have to be watched by events.
    pub(crate) fn watch(&self, names: &str) {
        for name in names.split(' ') {
            assert_eq!(self.source.watch(&self.path(name)), Watched::Events, "{name}");
        }
    }

    /// Waits for all that has been done so far, and takes it.
    pub(crate) fn take(&self) -> Vec<Change> {
        assert_eq!(self.source.sync(PATIENCE), Synced::Known);
        self.source.take()
    }

    /// Likewise, as text: `name` for an entry, `name/` for a directory, `-name` for a lost one, `*`.
    pub(crate) fn told(&self) -> String {
        self.text(&self.take())
    }

    pub(crate) fn text(&self, changes: &[Change]) -> String {
        let told: Vec<String> = changes.iter().map(|change| self.say(change)).collect();
        told.join(" ")
    }

    fn say(&self, change: &Change) -> String {
        match change {
            Change::Entry(path) => self.name(path),
            Change::Directory(path) => format!("{}/", self.name(path)),
            Change::Lost(path) => format!("-{}", self.name(path)),
            Change::Everything => "*".to_owned(),
        }
    }

    fn name(&self, path: &Path) -> String {
        match path.strip_prefix(&self.root) {
            Ok(name) if name.as_os_str().is_empty() => ".".to_owned(),
            Ok(name) => name.to_str().unwrap().to_owned(),
            Err(_) => path.to_str().unwrap().to_owned(),
        }
    }
}
