//! Where the tools are declared that look at the sources: what has to be installed beyond the package itself.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::lookup;
use crate::propose::{paths, sources, tree::Tree};

/// What has to be installed for some tools.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Of `project.optional-dependencies`.
    pub(super) extras: BTreeSet<String>,
    /// Of `dependency-groups`.
    pub(super) groups: BTreeSet<String>,
    /// Tools that no file declares.
    pub(super) undeclared: Vec<&'static str>,
}

/// Where one is declared.
enum Place {
    Extra(String),
    Group(String),
    /// Where it is installed without being asked for.
    Anyway,
}

impl Needs {
    /// What these tools need. `lists` are the files that pip reads, in the directory of the manifest.
    pub(super) fn of(
        tree: &Tree<'_>,
        dir: &str,
        manifest: &Table,
        lists: &[&str],
        tools: &[&'static str],
    ) -> Self {
        let mut needs = Self::default();
        for tool in tools {
            match place(tree, dir, manifest, lists, tool) {
                Some(Place::Extra(name)) => needs.extras.extend([name]),
                Some(Place::Group(name)) => needs.groups.extend([name]),
                Some(Place::Anyway) => {}
                None => needs.undeclared.push(tool),
            }
        }
        needs
    }
}

/// Whether a manifest or a list of pip declares a tool.
pub(super) fn is_declared(tree: &Tree<'_>, dir: &str, manifest: &Table, lists: &[&str], tool: &str) -> bool {
    place(tree, dir, manifest, lists, tool).is_some()
}

fn place(tree: &Tree<'_>, dir: &str, manifest: &Table, lists: &[&str], tool: &str) -> Option<Place> {
    let is_it = |need: &str| name(need) == tool;
    let has = |value: Option<&Value>| sources::toml_strings(value).iter().any(|need| is_it(need));
    let is_key = |path: &str| lookup(manifest, path).is_some_and(|table| table.get(tool).is_some());
    let text = |list: &str| tree.text(&paths::join(dir, list)).unwrap_or_default();
    let groups = lookup(manifest, "tool.poetry.group").and_then(Value::as_table);
    let mut groups = groups.into_iter().flat_map(Table::values);
    let anyway = has(lookup(manifest, "project.dependencies"))
        || has(lookup(manifest, "tool.uv.dev-dependencies"))
        || is_key("tool.poetry.dependencies")
        || is_key("tool.poetry.dev-dependencies")
        || groups.any(|group| group.get("dependencies").is_some_and(|table| table.get(tool).is_some()))
        || lists.iter().any(|list| text(list).lines().any(|line| is_it(line.trim())));
    if anyway {
        return Some(Place::Anyway);
    }
    // Where several have it, the one for everything is as good as each.
    let named = |path: &str| {
        let table = lookup(manifest, path).and_then(Value::as_table)?;
        let mut names: Vec<&String> =
            table.iter().filter(|(_, list)| has(Some(list))).map(|(name, _)| name).collect();
        names.sort_by_key(|name| (*name != "dev", *name));
        names.first().map(|name| (*name).clone())
    };
    let group = named("dependency-groups").map(Place::Group);
    group.or_else(|| named("project.optional-dependencies").map(Place::Extra))
}

/// The name in a requirement, which goes on with a version or an extra.
fn name(need: &str) -> &str {
    let end = need.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
    &need[..end.unwrap_or(need.len())]
}
