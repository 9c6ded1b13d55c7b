//! `Cargo.toml`: each package of a workspace is built and tested after those it depends on.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::{
    draft::{Draft, Projects, key, project},
    name::legal,
    package::{self, Graph, Needs},
    paths, sources,
    tree::Tree,
};

const TOOL: &str = "cargo";
const MANIFEST: &str = "Cargo.toml";

struct Workspace {
    root: String,
    manifests: BTreeMap<String, Table>,
    graph: Graph,
}

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects) {
    for root in package::roots(tree, &[MANIFEST]) {
        let Some(workspace) = Workspace::read(tree, root) else { continue };
        for (dir, manifest) in &workspace.manifests {
            let Some(package) = manifest.get("package") else { continue };
            let name = package.get("name").and_then(Value::as_str);
            let drafts = workspace.drafts(tree, dir);
            project(projects, dir, name).drafts.extend(drafts);
        }
        let fetch = workspace.fetch(tree);
        let root = project(projects, &workspace.root, None);
        root.drafts.splice(0..0, fetch);
        root.makes(["target/**"]);
    }
}

/// The editions of the packages of a workspace, by the names cargo has for them.
pub(super) fn editions(tree: &Tree<'_>, root: &str) -> BTreeSet<String> {
    let Some(workspace) = Workspace::read(tree, root.to_owned()) else { return BTreeSet::new() };
    let shared =
        workspace.manifests.get(root).and_then(|own| own.get("workspace")?.get("package")?.get("edition"));
    let packages = workspace.manifests.values().filter_map(|manifest| manifest.get("package"));
    let edition = |package: &Value| match package.get("edition") {
        Some(Value::Table(_)) => shared?.as_str().map(str::to_owned),
        own => Some(own.and_then(Value::as_str).unwrap_or("2015").to_owned()),
    };
    packages.filter_map(edition).collect()
}

impl Workspace {
    fn read(tree: &Tree<'_>, root: String) -> Option<Self> {
        let place = paths::join(&root, MANIFEST);
        let own = tree.toml(&place)?;
        let mut manifests = BTreeMap::new();
        if let Some(workspace) = own.get("workspace") {
            let mut globs = sources::toml_strings(workspace.get("members"));
            globs.extend(
                sources::toml_strings(workspace.get("exclude")).into_iter().map(|dir| format!("!{dir}")),
            );
            for dir in package::members(tree, &place, &root, MANIFEST, &globs) {
                let manifest = tree.toml(&paths::join(&dir, MANIFEST));
                manifest.into_iter().for_each(|manifest| {
                    manifests.insert(dir.clone(), manifest);
                });
            }
        }
        manifests.insert(root.clone(), own);
        let mut workspace = Self { root, manifests, graph: Graph::new() };
        let dirs = workspace.manifests.keys().cloned().collect::<Vec<_>>();
        workspace.graph = dirs.into_iter().map(|dir| (dir.clone(), workspace.needs(&dir))).collect();
        Some(workspace)
    }

    fn needs(&self, dir: &str) -> Needs {
        let mut needs = Needs::default();
        let Some(manifest) = self.manifests.get(dir) else { return needs };
        let of_targets = manifest.get("target").and_then(Value::as_table);
        let of_targets = of_targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
        for table in [manifest].into_iter().chain(of_targets) {
            for section in ["dependencies", "build-dependencies"] {
                needs.build.extend(self.paths(dir, table.get(section)));
            }
            needs.test.extend(self.paths(dir, table.get("dev-dependencies")));
        }
        needs
    }

    /// The directories of those dependencies that are members.
    fn paths(&self, dir: &str, section: Option<&Value>) -> Vec<String> {
        let section = section.and_then(Value::as_table);
        let path = |(name, value): (&String, &Value)| {
            let inherited =
                || self.manifests.get(&self.root)?.get("workspace")?.get("dependencies")?.get(name);
            let (from, value) = match value.get("workspace").and_then(Value::as_bool) {
                Some(true) => (self.root.as_str(), inherited()?),
                _ => (dir, value),
            };
            paths::resolve(from, value.get("path")?.as_str()?)
        };
        section
            .into_iter()
            .flatten()
            .filter_map(path)
            .filter(|dir| self.manifests.contains_key(dir))
            .collect()
    }

    /// What a package and those it rests on are made from.
    fn inputs(&self, tree: &Tree<'_>, dir: &str, needed: &[String]) -> Vec<String> {
        // Other members beneath this one are no part of it.
        let others = package::beneath(&self.graph, dir).filter(|other| !needed.contains(other));
        let mut inputs: Vec<String> =
            others.map(|other| format!("!{}/**", paths::literal(dir, other))).collect();
        // A library's is often ignored by git: named like this it counts anyway.
        if dir != self.root || tree.ignores(dir, "Cargo.lock") {
            inputs.push(paths::literal(dir, &paths::join(&self.root, "Cargo.lock")));
        }
        inputs.extend(sources::there(tree, dir, &self.root, &[".cargo/config.toml"]));
        if let Some(above) = self.above(tree) {
            inputs.extend(["Cargo.lock", MANIFEST].map(|name| paths::join(above, name)));
        }
        if dir != self.root {
            let names = [MANIFEST, "rust-toolchain", "rust-toolchain.toml"];
            inputs.extend(sources::there(tree, dir, &self.root, &names));
        }
        inputs
    }

    fn drafts(&self, tree: &Tree<'_>, dir: &str) -> Vec<Draft> {
        let draft = |name: &str, tests: bool| {
            let needed = package::closure(&self.graph, dir, tests);
            let first = if tests { key(dir, TOOL, "build") } else { key(&self.root, TOOL, "fetch") };
            // What is built before its own `build` need not be said again.
            let built = if tests { package::closure(&self.graph, dir, false) } else { Vec::new() };
            let more = needed.iter().filter(|dir| !built.contains(dir)).map(|dir| key(dir, TOOL, "build"));
            let after = [first].into_iter().chain(more).collect();
            Draft {
                key: key(dir, TOOL, name),
                tool: TOOL,
                wish: name.to_owned(),
                origin: MANIFEST.to_owned(),
                after,
                reads: package::read(&needed, dir),
                inputs: self.inputs(tree, dir, &needed),
                exec: Some(format!("cargo {name}")),
                ..Draft::default()
            }
        };
        if self.above(tree).is_some() {
            // What is built comes to lie above, out of our reach.
            return vec![draft("build", false), draft("test", true)];
        }
        let target = paths::relative(dir, &paths::join(&self.root, "target"));
        let mut build = draft("build", false);
        // What is built may lie elsewhere: the variables and settings of cargo say where.
        build.exec = Some(format!("cargo build && mkdir -p {}", paths::word(&target)));
        vec![build.marked(&target, &self.marker(dir)), draft("test", true)]
    }

    /// The root of the workspace it belongs to, where that lies above everything.
    fn above<'t>(&self, tree: &Tree<'t>) -> Option<&'t str> {
        let own = self.manifests.get(&self.root)?;
        tree.cargo_above().filter(|_| self.root.is_empty() && !own.contains_key("workspace"))
    }

    /// The members share one directory.
    fn marker(&self, dir: &str) -> String {
        let name = self.manifests.get(dir).and_then(|m| m.get("package")?.get("name")?.as_str());
        match name {
            Some(name) if self.manifests.len() > 1 => format!(".devtask-built-{}", legal(name)),
            _ => ".devtask-built".to_owned(),
        }
    }

    /// Without a lock file the first build would write it, and so change what it is made from.
    fn fetch(&self, tree: &Tree<'_>) -> Option<Draft> {
        if tree.has(&paths::join(&self.root, "Cargo.lock")) || self.above(tree).is_some() {
            return None;
        }
        let manifests = self.manifests.keys().map(|dir| paths::join(dir, MANIFEST));
        Some(Draft {
            key: key(&self.root, TOOL, "fetch"),
            tool: TOOL,
            wish: "fetch".to_owned(),
            origin: format!("{MANIFEST}, as there is no Cargo.lock"),
            inputs: manifests.map(|path| paths::literal(&self.root, &path)).collect(),
            locks: true,
            exec: Some("cargo fetch".to_owned()),
            ..Draft::default()
        })
    }
}
