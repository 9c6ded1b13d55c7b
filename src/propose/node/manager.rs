//! npm, yarn, pnpm or bun: which one a package is installed with.

use serde_json::Value;

use crate::propose::{paths, tree::Tree};

/// A package manager, as it is called here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) program: &'static str,
    /// The lock file that is there.
    pub(crate) lock: Option<&'static str>,
    /// How packages are installed: as the lock file has them, if there is one.
    pub(crate) install: &'static str,
    /// Whether they come to lie in `node_modules`.
    pub(crate) fills_node_modules: bool,
}

/// Lock files, and whose they are.
const LOCKS: &[(&str, &str)] = &[
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
    ("package-lock.json", "npm"),
    ("npm-shrinkwrap.json", "npm"),
];

impl Manager {
    /// What `packageManager` names, else whose lock file is there.
    pub(crate) fn of(tree: &Tree<'_>, root: &str, package: &Value) -> Self {
        let named = package.get("packageManager").and_then(Value::as_str).unwrap_or_default();
        let (name, version) = named.split_once('@').unwrap_or((named, ""));
        let lock = |of: Option<&str>| {
            let ours = LOCKS.iter().filter(|(_, program)| of.is_none_or(|of| of == *program));
            let names: Vec<&'static str> = ours.map(|(name, _)| *name).collect();
            tree.first_of(root, &names)
        };
        let known = ["npm", "yarn", "pnpm", "bun"].into_iter().find(|known| *known == name);
        let by_lock = || lock(None).and_then(|found| LOCKS.iter().find(|(name, _)| *name == found));
        let by_file = || tree.first_of(root, &["pnpm-workspace.yaml"]).map(|_| "pnpm");
        let program =
            known.or_else(|| by_lock().map(|(_, program)| *program)).or_else(by_file).unwrap_or("npm");
        let lock = lock(Some(program));
        let is_old_yarn = tree.first_of(root, &[".yarnrc.yml"]).is_none()
            && matches!(version.get(..2), None | Some("" | "1."));
        let install = match (program, lock.is_some()) {
            ("npm", true) => "npm ci",
            ("yarn", true) if is_old_yarn => "yarn install --frozen-lockfile",
            ("yarn", true) => "yarn install --immutable",
            ("pnpm", true) => "pnpm install --frozen-lockfile",
            ("bun", true) => "bun install --frozen-lockfile",
            ("yarn", false) => "yarn install",
            ("pnpm", false) => "pnpm install",
            ("bun", false) => "bun install",
            _ => "npm install",
        };
        let linker = tree.text(&paths::join(root, ".yarnrc.yml")).and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("nodeLinker:").map(|linker| linker.trim().to_owned()))
        });
        // Newer yarns put nothing there if not told to.
        let fills_node_modules = program != "yarn"
            || is_old_yarn
            || linker.is_some_and(|linker| linker.contains("node-modules") || linker == "pnpm");
        Self { program, lock, install, fills_node_modules }
    }

    /// The lock file that is there, or that installing makes.
    pub(crate) fn usual_lock(&self) -> &'static str {
        match (self.lock, self.program) {
            (Some(lock), _) => lock,
            (None, "yarn") => "yarn.lock",
            (None, "pnpm") => "pnpm-lock.yaml",
            (None, "bun") => "bun.lock",
            (None, _) => "package-lock.json",
        }
    }
}
