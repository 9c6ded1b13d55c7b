//! A tree in a temporary directory.

use std::{
    ffi::OsStr,
    fs,
    num::NonZero,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use devtask::{
    pattern::{PatternKind, PatternSet},
    scan::{Matched, ScanOptions, Scanner},
};
use tempfile::TempDir;

pub(crate) struct Tree {
    _keep: TempDir,
    pub(crate) root: PathBuf,
}

impl Tree {
    /// A tree with these files; a name that ends with `/` is a directory. What stands behind `=` is the
    /// content, with `,` for a line end.
    pub(crate) fn new(files: &[&str]) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = keep.path().canonicalize().unwrap().join("top/root");
        fs::create_dir_all(&root).unwrap();
        let tree = Self { _keep: keep, root };
        for file in files {
            tree.add(file);
        }
        tree
    }

    pub(crate) fn add(&self, file: &str) {
        let (name, content) = file.split_once('=').unwrap_or((file, ""));
        let path = self.root.join(name);
        if name.ends_with('/') {
            fs::create_dir_all(path).unwrap();
        } else {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content.replace(',', "\n")).unwrap();
        }
    }

    pub(crate) fn link(&self, target: &str, name: &str) {
        std::os::unix::fs::symlink(target, self.root.join(name)).unwrap();
    }

    pub(crate) fn fifo(&self, name: &str) {
        let made = std::process::Command::new("mkfifo").arg(self.path(name)).status().unwrap();
        assert!(made.success());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn scanner(&self, threads: usize) -> Scanner {
        Scanner::new(ScanOptions {
            root: self.root.clone(),
            state_dir: self.root.join(".devtask"),
            global_ignore: None,
            threads: NonZero::new(threads).unwrap(),
        })
    }

    /// Patterns divided by spaces, relative to the root.
    pub(crate) fn set(&self, patterns: &str, kind: PatternKind) -> PatternSet {
        let patterns: Vec<String> = patterns.split(' ').map(str::to_owned).collect();
        PatternSet::new(std::slice::from_ref(&self.root), &patterns, kind).unwrap()
    }

    pub(crate) fn inputs(&self, patterns: &str) -> PatternSet {
        self.set(patterns, PatternKind::Inputs)
    }

    pub(crate) fn walk(&self, patterns: &str) -> Matched {
        self.scanner(1).walk(&[&self.inputs(patterns)]).pop().unwrap()
    }

    /// What the patterns match, relative to the root, divided by spaces.
    pub(crate) fn found(&self, patterns: &str) -> String {
        self.names(&self.walk(patterns))
    }

    pub(crate) fn names(&self, matched: &Matched) -> String {
        let names: Vec<String> = matched.entries.iter().map(|entry| self.name(&entry.path)).collect();
        names.join(" ")
    }

    pub(crate) fn name(&self, path: &Path) -> String {
        let name = devtask::scan::relative_name(&self.root, path);
        if name.is_empty() { ".".to_owned() } else { OsStr::from_bytes(&name).to_string_lossy().into_owned() }
    }
}
