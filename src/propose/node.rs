//! `package.json`: packages are installed once, and scripts become tasks of their packages.

pub(super) mod calls;
mod manager;
pub(super) mod members;
mod scripts;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    draft::{Draft, Projects, key, project},
    package::{self, Graph, Needs},
    paths, sources,
    tree::Tree,
};

use manager::Manager;

pub(super) const MANIFEST: &str = "package.json";

/// Packages that share what is installed.
pub(super) struct Workspace<'t> {
    pub(super) tree: &'t Tree<'t>,
    pub(super) root: String,
    pub(super) manager: Manager,
    pub(super) packages: BTreeMap<String, Value>,
    pub(super) graph: Graph,
    /// Packages of which others see only what their `build` makes.
    pub(super) hides_sources: BTreeSet<String>,
    /// Which packages are members, as patterns from the root.
    globs: Vec<String>,
}

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects) {
    for root in package::roots(tree, &[MANIFEST]) {
        let Some(workspace) = Workspace::read(tree, root) else { continue };
        let root = project(projects, &workspace.root, None);
        root.drafts.extend(workspace.install());
        for (dir, package) in &workspace.packages {
            let name = package.get("name").and_then(Value::as_str);
            // A scope says whose it is, not what it is.
            let name = name.and_then(|name| name.rsplit('/').next());
            let drafts = scripts::drafts(&workspace, dir, package);
            let project = project(projects, dir, name);
            project.drafts.extend(drafts);
            project.makes(scripts::made(&workspace, dir, package));
        }
    }
}

const DEPENDENCIES: &[&str] =
    &["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// The names in a table of dependencies, with their versions.
fn dependencies<'p>(package: &'p Value, table: &str) -> impl Iterator<Item = (&'p String, &'p Value)> {
    package.get(table).and_then(Value::as_object).into_iter().flatten()
}

impl<'t> Workspace<'t> {
    fn read(tree: &'t Tree<'t>, root: String) -> Option<Self> {
        let place = paths::join(&root, MANIFEST);
        let own = tree.json(&place)?;
        let pnpm = tree.yaml(&paths::join(&root, "pnpm-workspace.yaml"));
        let listed = own.get("workspaces").map(|w| w.get("packages").unwrap_or(w));
        let listed = pnpm.as_ref().and_then(|pnpm| pnpm.get("packages")).or(listed);
        let globs = sources::json_strings(listed);
        let manager = Manager::of(tree, &root, &own);
        let mut packages = BTreeMap::new();
        for dir in package::members(tree, &place, &root, MANIFEST, &globs) {
            let package = tree.json(&paths::join(&dir, MANIFEST));
            package.into_iter().for_each(|package| {
                packages.insert(dir.clone(), package);
            });
        }
        packages.insert(root.clone(), own);
        let graph = graph(&packages);
        let mut workspace =
            Self { tree, root, manager, packages, graph, globs, hides_sources: BTreeSet::new() };
        let packages = workspace.packages.iter();
        let hiding = packages.filter(|(dir, package)| scripts::hides_sources(&workspace, dir, package));
        workspace.hides_sources = hiding.map(|(dir, _)| dir.clone()).collect();
        Some(workspace)
    }

    /// What has to be installed, if anything has.
    fn install(&self) -> Option<Draft> {
        let needs =
            |package: &Value| DEPENDENCIES.iter().any(|table| dependencies(package, table).next().is_some());
        let lock = self.manager.lock;
        if lock.is_none() && self.packages.len() == 1 && !self.packages.values().any(needs) {
            return None;
        }
        let mut inputs = vec![MANIFEST.to_owned()];
        // With a pattern, a new package is seen, too.
        for glob in self.globs.iter().filter(|_| self.packages.len() > 1) {
            let bare = glob.trim_start_matches("./").trim_end_matches('/');
            inputs.push(format!("{bare}/{MANIFEST}"));
        }
        inputs.retain(|pattern| pattern.starts_with('!') || self.matches(pattern));
        inputs.extend(lock.map(str::to_owned));
        inputs.extend(sources::there(
            self.tree,
            &self.root,
            &self.root,
            &[".npmrc", ".yarnrc.yml", "pnpm-workspace.yaml"],
        ));
        let origin = [MANIFEST].into_iter().chain(lock).collect::<Vec<_>>().join(" and ");
        let install = Draft {
            key: self.install_key(),
            tool: self.manager.program,
            wish: "install".to_owned(),
            origin,
            inputs,
            locks: lock.is_none(),
            exec: Some(self.manager.install.to_owned()),
            ..Draft::default()
        };
        if !self.manager.fills_node_modules {
            return Some(install);
        }
        // Where nothing is needed, nothing is made.
        let exec = format!("{} && mkdir -p node_modules", self.manager.install);
        Some(Draft { exec: Some(exec), ..install }.marked("node_modules", ".devtask-installed"))
    }

    /// Whether a pattern of manifests means one that is there.
    fn matches(&self, pattern: &str) -> bool {
        let Some(dirs) = pattern.strip_suffix(MANIFEST) else { return true };
        dirs.is_empty() || {
            let globs = [dirs.trim_end_matches('/').to_owned()];
            !package::members(self.tree, MANIFEST, &self.root, MANIFEST, &globs).is_empty()
        }
    }

    pub(super) fn install_key(&self) -> String {
        key(&self.root, "node", "install")
    }
}

/// Which packages need which, by the names they give themselves.
fn graph(packages: &BTreeMap<String, Value>) -> Graph {
    let name = |package: &Value| package.get("name").and_then(Value::as_str).map(str::to_owned);
    let by_name: BTreeMap<String, &String> =
        packages.iter().filter_map(|(dir, package)| Some((name(package)?, dir))).collect();
    let needs = |package: &Value| {
        let names = DEPENDENCIES.iter().flat_map(|table| dependencies(package, table));
        let build = names.filter_map(|(name, _)| by_name.get(name)).map(|dir| (*dir).clone()).collect();
        Needs { build, ..Needs::default() }
    };
    packages.iter().map(|(dir, package)| (dir.clone(), needs(package))).collect()
}
