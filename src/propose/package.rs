//! Packages of one language: which belong to a workspace, and what they rest on.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;

use super::{paths, tree::Tree};

/// A package and the packages beside it that it needs, by their directories.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// To be built.
    pub(super) build: BTreeSet<String>,
    /// To be tested, beyond that.
    pub(super) test: BTreeSet<String>,
}

/// By the directories of the packages.
pub(super) type Graph = BTreeMap<String, Needs>;

/// Everything a package rests on when it is built, or tested. Not itself, even where it is in a circle.
pub(super) fn closure(graph: &Graph, dir: &str, tests: bool) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let own = graph.get(dir);
    let mut todo: Vec<&String> = own.iter().flat_map(|needs| &needs.build).collect();
    todo.extend(own.iter().filter(|_| tests).flat_map(|needs| &needs.test));
    while let Some(next) = todo.pop() {
        if next != dir && graph.contains_key(next) && seen.insert(next.clone()) {
            todo.extend(graph.get(next).iter().flat_map(|needs| &needs.build));
        }
    }
    seen.into_iter().collect()
}

/// The packages that lie beneath one.
pub(super) fn beneath<'a>(graph: &'a Graph, dir: &'a str) -> impl Iterator<Item = &'a String> {
    graph.keys().filter(move |other| *other != dir && paths::beneath(other, dir).is_some())
}

/// What is read for a package that rests on these: its directory, and of these the ones that lie elsewhere.
pub(super) fn read(needed: &[String], dir: &str) -> Vec<String> {
    let elsewhere = needed.iter().filter(|other| paths::beneath(other, dir).is_none());
    [dir.to_owned()].into_iter().chain(elsewhere.cloned()).collect()
}

/// Directories in which nobody looks for projects: their manifests are somebody's test data, or somebody else's.
const ASIDE: &[&str] = &[
    "build",
    "dist",
    "example",
    "examples",
    "fixture",
    "fixtures",
    "node_modules",
    "out",
    "sample",
    "samples",
    "target",
    "template",
    "templates",
    "test",
    "testdata",
    "tests",
    "third_party",
    "vendor",
    "venv",
];
/// How deep projects are looked for that no workspace names.
const DEEPEST: usize = 2;

/// The directories in which a language has its own root: where everything is proposed for, else beneath that.
pub(super) fn roots(tree: &Tree<'_>, manifests: &[&str]) -> Vec<String> {
    if tree.first_of("", manifests).is_some() {
        return vec![String::new()];
    }
    let found: BTreeSet<&str> = manifests.iter().flat_map(|name| tree.dirs_with(name)).collect();
    let mut roots: Vec<String> = Vec::new();
    for dir in found.into_iter().filter(|dir| paths::depth(dir) <= DEEPEST) {
        let is_aside = dir.split('/').any(|name| ASIDE.contains(&name));
        if !is_aside && !roots.iter().any(|root| paths::beneath(dir, root).is_some()) {
            roots.push(dir.to_owned());
        }
    }
    roots
}

/// The directories beneath `root` that have this manifest and are meant by `globs`, of which some may begin with `!`.
pub(super) fn members(
    tree: &Tree<'_>,
    place: &str,
    root: &str,
    manifest: &str,
    globs: &[String],
) -> Vec<String> {
    let compile = |glob: &str| {
        let bare = glob.trim_start_matches("./").trim_end_matches('/');
        let built = GlobBuilder::new(bare).literal_separator(true).build();
        built.map(|glob| glob.compile_matcher()).map_err(|e| tree.note(place, e)).ok()
    };
    let (not, yes): (Vec<&String>, Vec<&String>) = globs.iter().partition(|glob| glob.starts_with('!'));
    let yes: Vec<_> = yes.into_iter().filter_map(|glob| compile(glob)).collect();
    let not: Vec<_> = not.into_iter().filter_map(|glob| compile(&glob[1..])).collect();
    let dirs = tree.dirs_with(manifest).filter(|dir| *dir != root);
    dirs.filter(|dir| {
        let Some(inner) = paths::beneath(dir, root) else { return false };
        let is_foreign = inner.split('/').any(|name| name == "node_modules");
        !is_foreign && yes.iter().any(|g| g.is_match(inner)) && !not.iter().any(|g| g.is_match(inner))
    })
    .map(str::to_owned)
    .collect()
}
