//! The scripts of a package: which of them are tasks, and what they read and make.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{MANIFEST, Workspace};
use crate::propose::{
    draft::{Draft, key},
    nature::{self, Nature},
    package, paths, sources,
};

/// What npm runs by itself, or for those who publish.
const LIFECYCLE: &[&str] = &[
    "dependencies",
    "install",
    "postinstall",
    "postpack",
    "postprepare",
    "postpublish",
    "postuninstall",
    "postversion",
    "preinstall",
    "prepack",
    "prepare",
    "preprepare",
    "prepublish",
    "prepublishOnly",
    "preuninstall",
    "preversion",
    "publish",
    "uninstall",
];
/// Directories that tools are known to fill.
const MADE: &[&str] = &["build", "cjs", "dist", "es", "esm", "out", "umd"];

/// The scripts of one package.
pub(crate) struct Scripts<'p>(BTreeMap<&'p str, &'p str>);

/// What a script does that calls others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) names: Vec<String>,
    /// Whether it does nothing else.
    pub(crate) only: bool,
}

impl<'p> Scripts<'p> {
    pub(crate) fn of(package: &'p Value) -> Self {
        let scripts = package.get("scripts").and_then(Value::as_object);
        let scripts =
            scripts.into_iter().flatten().filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)));
        let mut scripts: BTreeMap<&str, &str> = scripts.collect();
        let all: BTreeSet<&str> = scripts.keys().copied().collect();
        scripts.retain(|name, text| {
            let around = name.strip_prefix("pre").or_else(|| name.strip_prefix("post"));
            let is_around = around.is_some_and(|name| all.contains(name));
            let is_empty = text.trim().is_empty() || text.contains("no test specified");
            !is_around && !is_empty && !LIFECYCLE.contains(name) && !name.is_empty()
        });
        Self(scripts)
    }

    /// Whether a script is there that counts.
    #[cfg(test)]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Which other scripts one calls.
    pub(crate) fn calls(&self, name: &str) -> Calls {
        let text = self.0.get(name).copied().unwrap_or_default();
        let (mut names, mut only) = (Vec::new(), true);
        for part in text.split("&&") {
            let words: Vec<&str> =
                part.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
            let (called, is_all) = self.called(&words);
            only &= !called.is_empty() && is_all;
            names.extend(called.into_iter().filter(|called| called != name));
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        Calls { only: only && !names.is_empty(), names }
    }

    /// The scripts that one command calls, and whether that is all it does.
    fn called(&self, words: &[&str]) -> (Vec<String>, bool) {
        match words {
            ["npm", "test" | "t", rest @ ..] => (self.meant("test"), rest.is_empty()),
            ["npm" | "pnpm" | "yarn" | "bun", "run" | "run-script", name, rest @ ..]
            | ["yarn" | "pnpm", name, rest @ ..] => (self.meant(name), rest.is_empty()),
            ["run-s" | "run-p" | "npm-run-all" | "npm-run-all2", rest @ ..] => {
                let is_plain =
                    |word: &&str| ["-s", "-p", "-l"].contains(word) || !self.meant(word).is_empty();
                (rest.iter().flat_map(|word| self.meant(word)).collect(), rest.iter().all(is_plain))
            }
            _ => (Vec::new(), false),
        }
    }

    /// `build:*` means all of these.
    fn meant(&self, word: &str) -> Vec<String> {
        let begin = word.strip_suffix("**").or_else(|| word.strip_suffix('*'));
        let is_meant = |name: &&&str| begin.map_or(**name == word, |begin| name.starts_with(begin));
        self.0.keys().filter(is_meant).map(|name| (*name).to_owned()).collect()
    }

    fn nature(&self, name: &str) -> Nature {
        nature::of_command(name, self.0.get(name).copied().unwrap_or_default())
    }

    /// The scripts that another one of a plain run runs itself, and which one.
    fn parts(&self) -> BTreeMap<String, String> {
        let mut parts = BTreeMap::new();
        for name in self.0.keys().filter(|name| self.nature(name).is_work() && !self.is_list(name)) {
            for part in self.calls(name).names {
                parts.entry(part).or_insert_with(|| (*name).to_owned());
            }
        }
        parts
    }

    /// Of scripts that another calls one by one: those that make something before it.
    fn earlier(&self, name: &str) -> Vec<String> {
        let mut earlier = Vec::new();
        for list in self.0.iter().filter(|(list, _)| self.is_list(list)) {
            let (calls, is_parallel) = (self.calls(list.0).names, list.1.contains("-p "));
            let before = calls.iter().take_while(|called| *called != name);
            let builds = before.filter(|called| self.nature(called) == Nature::Build);
            if calls.iter().any(|called| called == name) && !is_parallel {
                earlier.extend(builds.cloned());
            }
        }
        earlier
    }

    /// Whether a script only calls others, which are all part of a plain run.
    fn is_list(&self, name: &str) -> bool {
        let calls = self.calls(name);
        calls.only && calls.names.iter().all(|called| self.nature(called).is_work())
    }
}

pub(super) fn drafts(workspace: &Workspace<'_>, dir: &str, package: &Value) -> Vec<Draft> {
    let scripts = Scripts::of(package);
    let parts = scripts.parts();
    // What others build on comes first.
    let mut names: Vec<&str> = scripts.0.keys().copied().collect();
    names.sort_by_key(|name| (*name != "build", scripts.nature(name) != Nature::Build, *name));
    let maker = Maker { workspace, dir, package, scripts: &scripts };
    names.into_iter().map(|name| maker.draft(name, parts.get(name))).collect()
}

struct Maker<'a> {
    workspace: &'a Workspace<'a>,
    dir: &'a str,
    package: &'a Value,
    scripts: &'a Scripts<'a>,
}

impl Maker<'_> {
    fn key(&self, name: &str) -> String {
        key(self.dir, "node", name)
    }

    fn draft(&self, name: &str, part_of: Option<&String>) -> Draft {
        let nature = self.scripts.nature(name);
        let program = self.workspace.manager.program;
        let mut draft = Draft {
            key: self.key(name),
            tool: program,
            wish: name.to_owned(),
            origin: format!("{MANIFEST}, scripts.{name}"),
            exec: Some(format!("{program} run {}", paths::word(name))),
            after: vec![self.workspace.install_key()],
            is_process: nature == Nature::Endless,
            ..Draft::default()
        };
        draft.off = match (nature, part_of) {
            _ if name.starts_with('-') => Some("its name looks like an option".to_owned()),
            (_, Some(whole)) => Some(format!("`{whole}` runs it")),
            (Nature::Effect(reason), _) => Some(reason.to_owned()),
            (Nature::Unknown, _) => Some("nobody can tell from outside what it does".to_owned()),
            _ => None,
        };
        if self.scripts.is_list(name) && draft.off.is_none() && nature.is_work() {
            draft.after = self.scripts.calls(name).names.iter().map(|name| self.key(name)).collect();
            draft.exec = None;
        } else if nature.is_work() {
            self.describe(&mut draft, name, nature);
        }
        draft
    }

    /// What a task reads, makes, and comes after.
    fn describe(&self, draft: &mut Draft, name: &str, nature: Nature) {
        let needed = package::closure(&self.workspace.graph, self.dir, false);
        draft.after.extend(needed.iter().map(|dir| key(dir, "node", "build")));
        draft.after.extend(self.scripts.earlier(name).iter().map(|name| self.key(name)));
        if nature == Nature::Test {
            draft.after.push(self.key("build"));
        }
        draft.reads.push(self.dir.to_owned());
        for other in &needed {
            let Some(package) = self.workspace.packages.get(other) else { continue };
            if !hides_sources(self.workspace, other, package) {
                draft.reads.push(other.clone());
            }
        }
        draft.inputs.extend(self.around());
        if name == "build" {
            draft.outputs = outputs(self.workspace, self.dir, self.package);
        }
    }

    /// What counts without lying in the directory, or is hidden in it.
    fn around(&self) -> Vec<String> {
        let (tree, root) = (self.workspace.tree, &self.workspace.root);
        let is_hidden_setup = |name: &&str| name.starts_with('.') && !NOT_READ.contains(name);
        let hidden: Vec<&str> = tree.names_in(self.dir).filter(is_hidden_setup).collect();
        let mut around = sources::there(tree, self.dir, self.dir, &hidden);
        if self.dir != *root {
            let counts = |name: &&str| {
                is_hidden_setup(name) || name.starts_with("tsconfig") || name.contains(".config.")
            };
            let names: Vec<&str> = tree.names_in(root).filter(counts).collect();
            around.extend(sources::there(tree, self.dir, root, &names));
            // It may be there only once something was installed.
            let lock = paths::join(root, self.workspace.manager.usual_lock());
            around.push(paths::literal(self.dir, &lock));
        }
        around
    }
}

/// Hidden files that say nothing to scripts.
const NOT_READ: &[&str] = &[".gitignore", ".pre-commit-config.yaml", ".npmrc", ".justfile", ".golangci.yml"];

/// Patterns for what a package is known to make: what it hands on lies there, or a script names it.
pub(super) fn made(workspace: &Workspace<'_>, dir: &str, package: &Value) -> BTreeSet<String> {
    let handed_on = handed_on(package);
    let mut made: BTreeSet<String> = handed_on.into_iter().filter_map(made_dir).map(str::to_owned).collect();
    made.insert("node_modules".to_owned());
    made.extend(out_dir(workspace, dir));
    let scripts = package.get("scripts").and_then(Value::as_object);
    for text in scripts.into_iter().flat_map(|scripts| scripts.values()).filter_map(Value::as_str) {
        let words = text.split(|c: char| c.is_whitespace() || "\"'=;,()>".contains(c));
        let firsts = words.map(|word| word.trim_start_matches("./").split('/').next().unwrap_or_default());
        made.extend(firsts.filter(|first| ["dist", "out"].contains(first)).map(str::to_owned));
        let hints =
            [("vite build", "dist"), ("coverage", "coverage"), ("nyc ", "coverage"), ("c8 ", "coverage")];
        made.extend(hints.iter().filter(|(hint, _)| text.contains(hint)).map(|(_, dir)| (*dir).to_owned()));
    }
    made.into_iter().map(|dir| format!("{dir}/**")).collect()
}

/// Where TypeScript puts what it makes.
fn out_dir(workspace: &Workspace<'_>, dir: &str) -> Option<String> {
    let text = workspace.tree.text(&paths::join(dir, "tsconfig.json"))?;
    // It may have comments, which JSON has not.
    let behind = text.split_once("\"outDir\"")?.1.trim_start().strip_prefix(':')?.trim_start();
    let written = behind.strip_prefix('"')?.split('"').next()?;
    let first = paths::resolve("", written)?;
    let first = first.split('/').next()?.to_owned();
    let is_plain = first.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    (is_plain && !first.is_empty() && first != "src").then_some(first)
}

/// The paths of what others import.
fn handed_on(package: &Value) -> Vec<&str> {
    let fields = ["main", "module", "types", "typings", "exports", "bin", "browser"];
    let mut paths = Vec::new();
    fields.iter().filter_map(|field| package.get(field)).for_each(|value| strings(value, 0, &mut paths));
    paths.into_iter().map(|path| path.trim_start_matches("./")).collect()
}

/// The directory among [`MADE`] that a path lies in.
fn made_dir(path: &str) -> Option<&str> {
    path.split_once('/').map(|(first, _)| first).filter(|first| MADE.contains(first))
}

/// Whether others import nothing but what its `build` makes, which their edge to it tells of.
fn hides_sources(workspace: &Workspace<'_>, dir: &str, package: &Value) -> bool {
    let is_known = |path: &&str| *path == MANIFEST || made_dir(path).is_some();
    !outputs(workspace, dir, package).is_empty() && handed_on(package).iter().all(is_known)
}

fn strings<'v>(value: &'v Value, depth: usize, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Object(map) if depth < 8 => map.values().for_each(|value| strings(value, depth + 1, found)),
        Value::Array(list) if depth < 8 => list.iter().for_each(|value| strings(value, depth + 1, found)),
        _ => {}
    }
}

/// What `build` makes for others, where that is sure: what they import lies there.
fn outputs(workspace: &Workspace<'_>, dir: &str, package: &Value) -> Vec<String> {
    let scripts = Scripts::of(package);
    let is_built = scripts.0.contains_key("build")
        && !scripts.is_list("build")
        && scripts.nature("build") == Nature::Build;
    if !is_built || dir == workspace.root && workspace.packages.len() > 1 {
        return Vec::new();
    }
    let made: BTreeSet<&str> = handed_on(package).into_iter().filter_map(made_dir).collect();
    made.into_iter().map(|dir| format!("{dir}/**")).collect()
}
