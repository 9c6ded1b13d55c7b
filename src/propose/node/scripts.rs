//! The scripts of a package: which of them are tasks, and what they read and make.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{MANIFEST, Workspace, calls::Scripts, members};
use crate::propose::{
    draft::{Draft, key},
    nature::{self, Nature},
    package, paths, sources,
};

/// Directories that tools are known to fill.
const MADE: &[&str] = &["build", "cjs", "dist", "es", "esm", "out", "umd"];

pub(super) fn drafts(workspace: &Workspace<'_>, dir: &str, package: &Value) -> Vec<Draft> {
    let scripts = Scripts::of(package);
    let parts = scripts.parts();
    // What others build on comes first.
    let mut names: Vec<&str> = scripts.names().collect();
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
            (Nature::Unknown, _) => Some(nature::left_out(nature).to_owned()),
            _ if nature.is_work() && self.scripts.is_variant(name) => {
                Some(nature::left_out(nature).to_owned())
            }
            _ => None,
        };
        let of_members = if draft.off.is_none() && nature.is_work() { self.of_members(name) } else { None };
        if let Some(after) = of_members {
            draft.off = after.is_empty().then(|| "the tasks of the members do that".to_owned());
            draft.exec = draft.exec.filter(|_| draft.off.is_some());
            draft.after = after;
        } else if self.scripts.is_list(name) && draft.off.is_none() && nature.is_work() {
            draft.after = self.scripts.calls(name).iter().map(|name| self.key(name)).collect();
            draft.exec = None;
        } else if nature.is_work() {
            self.describe(&mut draft, name, nature);
        }
        draft
    }

    /// Of a script of the root that does nothing but run scripts of all members: their tasks.
    fn of_members(&self, name: &str) -> Option<Vec<String>> {
        if self.dir != self.workspace.root || self.workspace.packages.len() < 2 {
            return None;
        }
        let called = members::called(self.scripts.text(name))?;
        let others = self.workspace.packages.iter().filter(|(dir, _)| *dir != self.dir);
        let mut keys = Vec::new();
        for (dir, package) in others {
            let scripts = Scripts::of(package);
            let there = called.iter().filter(|name| scripts.has(name) && scripts.nature(name).is_work());
            keys.extend(there.map(|name| key(dir, "node", name)));
        }
        Some(keys)
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
            if !self.workspace.hides_sources.contains(other) {
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
    made.extend(packed(package));
    let scripts = package.get("scripts").and_then(Value::as_object);
    for text in scripts.into_iter().flat_map(|scripts| scripts.values()).filter_map(Value::as_str) {
        let words = text.split(|c: char| c.is_whitespace() || "\"'=;,()>".contains(c));
        let firsts = words.map(|word| word.trim_start_matches("./").split('/').next().unwrap_or_default());
        made.extend(firsts.filter(|first| ["dist", "out"].contains(first)).map(str::to_owned));
        let hints =
            [("vite build", "dist"), ("coverage", "coverage"), ("nyc ", "coverage"), ("c8 ", "coverage")];
        made.extend(hints.iter().filter(|(hint, _)| text.contains(hint)).map(|(_, dir)| (*dir).to_owned()));
    }
    // What TypeScript remembers of a build lies beside its settings.
    let texts = scripts.into_iter().flat_map(|scripts| scripts.values()).filter_map(Value::as_str);
    let remembers = texts.into_iter().any(|text| text.contains("tsc -b") || text.contains("tsc --build"));
    let remembered = remembers.then(|| "**/*.tsbuildinfo".to_owned());
    made.into_iter().map(|dir| format!("{dir}/**")).chain(remembered).collect()
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

fn first_dir(path: &str) -> Option<&str> {
    path.split_once('/').map(|(first, _)| first)
}

/// The directory among [`MADE`] that a path lies in.
fn made_dir(path: &str) -> Option<&str> {
    first_dir(path).filter(|first| MADE.contains(first))
}

/// Whether others import nothing but what its `build` makes, which their edge to it tells of.
pub(super) fn hides_sources(workspace: &Workspace<'_>, dir: &str, package: &Value) -> bool {
    let outputs = outputs(workspace, dir, package);
    let is_made = |path: &str| first_dir(path).is_some_and(|first| outputs.contains(&format!("{first}/**")));
    let handed_on = handed_on(package);
    handed_on.iter().any(|path| is_made(path))
        && handed_on.iter().all(|path| *path == MANIFEST || is_made(path))
}

fn strings<'v>(value: &'v Value, depth: usize, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Object(map) if depth < 8 => map.values().for_each(|value| strings(value, depth + 1, found)),
        Value::Array(list) if depth < 8 => list.iter().for_each(|value| strings(value, depth + 1, found)),
        _ => {}
    }
}

/// What `build` makes, where that is sure: a declared output that is not made is a failure.
fn outputs(workspace: &Workspace<'_>, dir: &str, package: &Value) -> Vec<String> {
    let scripts = Scripts::of(package);
    let is_built =
        scripts.has("build") && !scripts.is_list("build") && scripts.nature("build") == Nature::Build;
    if !is_built || dir == workspace.root && workspace.packages.len() > 1 {
        return Vec::new();
    }
    let mut made: BTreeSet<String> = BTreeSet::new();
    let is_ignored = |first: &str| first != "node_modules" && workspace.tree.ignores(dir, first);
    let firsts = handed_on(package).into_iter().filter_map(first_dir);
    made.extend(firsts.filter(|first| MADE.contains(first) || is_ignored(first)).map(str::to_owned));
    made.extend(packed(package));
    made.extend(written(workspace, dir, scripts.text("build")));
    // Two that fill one directory would each find what the other made.
    let parts = scripts.parts();
    let others: Vec<String> = scripts
        .names()
        .filter(|name| *name != "build" && scripts.nature(name) == Nature::Build && !scripts.is_list(name))
        .filter(|name| !scripts.is_variant(name) && !parts.contains_key(*name))
        .flat_map(|name| written(workspace, dir, scripts.text(name)))
        .collect();
    let made = made.into_iter().filter(|dir| !others.contains(dir));
    made.map(|dir| format!("{dir}/**")).collect()
}

/// The directories that are published and could only have been made.
fn packed(package: &Value) -> Vec<String> {
    let files = sources::json_strings(package.get("files"));
    let firsts = files.iter().filter_map(|path| path.trim_start_matches("./").split('/').next());
    firsts.filter(|first| MADE.contains(first)).map(str::to_owned).collect()
}

/// The directories that a command is seen to write to.
fn written(workspace: &Workspace<'_>, dir: &str, command: &str) -> Vec<String> {
    let mut written = Vec::new();
    for part in command.split(['&', ';', '|']) {
        let words: Vec<&str> = part
            .split(|c: char| c.is_whitespace() || "\"'=,()>".contains(c))
            .filter(|w| !w.is_empty())
            .collect();
        let is_about = |name: &str| words.contains(&name);
        if is_about("rm") || is_about("rimraf") || is_about("del-cli") {
            continue;
        }
        let firsts =
            words.iter().map(|word| word.trim_start_matches("./").split('/').next().unwrap_or_default());
        written.extend(firsts.filter(|first| ["dist", "out"].contains(first)).map(str::to_owned));
        if is_about("tsc") && !part.contains("noEmit") {
            written.extend(out_dir(workspace, dir));
        }
        if part.contains("vite build") && !part.contains("outDir") && vite_is_plain(workspace, dir) {
            written.push("dist".to_owned());
        }
    }
    written
}

/// Whether Vite is not told to put what it makes elsewhere.
fn vite_is_plain(workspace: &Workspace<'_>, dir: &str) -> bool {
    let mut settings = workspace.tree.names_in(dir).filter(|name| name.starts_with("vite.config."));
    settings.all(|name| {
        let text = workspace.tree.text(&paths::join(dir, name));
        text.is_some_and(|text| !text.contains("outDir") && !text.contains("root"))
    })
}
