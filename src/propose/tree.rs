//! What was found, as readers of manifests look at it.

use std::{cell::RefCell, collections::BTreeSet, fmt::Display};

use super::{Content, Found, Note, paths};

/// Why a file's name matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// It may be read.
    Read,
    /// It matters that it is there.
    Know,
}

/// Files that are read.
const READ: &[&str] = &[
    ".gitignore",
    ".pre-commit-config.yaml",
    ".yarnrc.yml",
    "Cargo.toml",
    "GNUmakefile",
    "Justfile",
    "Makefile",
    "Procfile",
    "Taskfile.yaml",
    "Taskfile.yml",
    "composer.json",
    "go.mod",
    "go.work",
    "justfile",
    ".justfile",
    "makefile",
    "package.json",
    "pnpm-workspace.yaml",
    "pyproject.toml",
    "dev-requirements.txt",
    "devtask.json",
    "devtask.toml",
    "pytest.ini",
    "requirements-dev.txt",
    "requirements-test.txt",
    "requirements.txt",
    "setup.cfg",
    "taskfile.yml",
    "tox.ini",
    "tsconfig.json",
];

/// Files that matter by being there: locks, and what says how tools are to work.
const KNOW: &[&str] = &[
    ".babelrc",
    ".eslintignore",
    ".eslintrc",
    ".eslintrc.cjs",
    ".eslintrc.js",
    ".eslintrc.json",
    ".eslintrc.yml",
    ".flake8",
    ".golangci.yml",
    ".npmrc",
    ".nvmrc",
    ".php-cs-fixer.dist.php",
    ".php-cs-fixer.php",
    ".prettierignore",
    ".prettierrc",
    ".prettierrc.json",
    ".python-version",
    ".stylelintrc.json",
    ".swcrc",
    "Cargo.lock",
    "bun.lock",
    "bun.lockb",
    "clippy.toml",
    "composer.lock",
    "config.toml",
    "go.sum",
    "mypy.ini",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "pnpm-lock.yaml",
    "poetry.lock",
    "ruff.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "setup.py",
    "uv.lock",
    "yarn.lock",
];

/// Whether a file of this name matters for a proposal, and why. A hidden directory is never entered, but `.cargo`.
#[must_use]
pub fn interest(name: &str) -> Option<Interest> {
    // What tools of JavaScript are set up with at the root counts in every member.
    let is_set_up = || name.contains(".config.") || name.starts_with("tsconfig") && name.ends_with(".json");
    match () {
        () if READ.contains(&name) || name.starts_with("vite.config.") => Some(Interest::Read),
        () if KNOW.contains(&name) || is_set_up() => Some(Interest::Know),
        () => None,
    }
}

/// What was found, what was asked for, and what is to be told.
pub(super) struct Tree<'a> {
    found: &'a Found,
    wants: RefCell<BTreeSet<String>>,
    notes: RefCell<BTreeSet<Note>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(found: &'a Found) -> Self {
        Self { found, wants: RefCell::default(), notes: RefCell::default() }
    }

    pub(super) fn into_parts(self) -> (Vec<Note>, BTreeSet<String>) {
        (self.notes.into_inner().into_iter().collect(), self.wants.into_inner())
    }

    /// The text of a file that is there and known; that of one that is there is wanted from now on.
    pub(super) fn text(&self, path: &str) -> Option<&'a str> {
        match self.found.files.get(path)? {
            Content::Text(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Content::Unread => {
                self.wants.borrow_mut().insert(path.to_owned());
                None
            }
            Content::Unreadable => None,
        }
    }

    /// Where a workspace of cargo begins that all this belongs to.
    pub(super) fn cargo_above(&self) -> Option<&'a str> {
        self.found.cargo_above.as_deref()
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.found.files.contains_key(path)
    }

    /// The first of these names that is there in `dir`.
    pub(super) fn first_of<'n>(&self, dir: &str, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.has(&paths::join(dir, name)))
    }

    /// The names of files right in `dir`.
    pub(super) fn names_in(&self, dir: &str) -> impl Iterator<Item = &'a str> {
        let all = self.found.files.keys().map(|path| paths::split(path));
        let dir = dir.to_owned();
        all.filter(move |(parent, _)| *parent == dir).map(|(_, name)| name)
    }

    /// The directories with a file of this name, in order.
    pub(super) fn dirs_with(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let name = name.to_owned();
        let all = self.found.files.keys().map(|path| paths::split(path));
        all.filter(move |(_, last)| *last == name).map(|(dir, _)| dir)
    }

    /// Tells of something that cannot be understood.
    pub(super) fn note(&self, path: &str, message: impl Display) {
        self.notes.borrow_mut().insert(Note { path: path.to_owned(), message: message.to_string() });
    }

    /// Reads a file as TOML; what is wrong with it is noted.
    pub(super) fn toml(&self, path: &str) -> Option<toml::Table> {
        let text = self.text(path)?;
        let read = text.parse::<toml::Table>();
        read.map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
            self.note(path, format!("line {line}: {}", error.message()));
        })
        .ok()
    }

    /// Reads a file as JSON; what is wrong with it is noted.
    pub(super) fn json(&self, path: &str) -> Option<serde_json::Value> {
        let text = self.text(path)?;
        serde_json::from_str(text).map_err(|error| self.note(path, error)).ok()
    }

    /// Reads a file as YAML; what is wrong with it is noted.
    pub(super) fn yaml(&self, path: &str) -> Option<serde_json::Value> {
        let text = self.text(path)?;
        super::yaml::parse(text).map_err(|error| self.note(path, error)).ok()
    }

    /// Whether git ignores the directory `name` in `dir`, as far as a plain line of a `.gitignore` says so.
    pub(super) fn ignores(&self, dir: &str, name: &str) -> bool {
        paths::upward(dir).any(|above| {
            let text = self.text(&paths::join(above, ".gitignore")).unwrap_or_default();
            let own = paths::join(paths::beneath(dir, above).unwrap_or_default(), name);
            let mut lines = text.lines().map(str::trim);
            lines.any(|line| {
                let bare = line.trim_end_matches('*').trim_end_matches('/');
                let bare = bare.strip_prefix("**/").unwrap_or(bare);
                bare == name || bare.strip_prefix('/').unwrap_or(bare) == own
            })
        })
    }
}
