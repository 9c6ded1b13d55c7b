//! `pyproject.toml`: packages are installed, and what is set up to look at the sources becomes tasks.

mod installer;
mod needs;

use toml::{Table, Value};

use super::{
    draft::{Draft, Projects, key, project},
    package, paths, sources,
    tree::Tree,
};

use installer::Installer;
use needs::Needs;

const MANIFEST: &str = "pyproject.toml";
const TOOL: &str = "python";
/// What Python and its installers leave among the sources.
const MADE: &[&str] = &["**/__pycache__/**", "**/*.egg-info/**"];

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects) {
    for root in package::roots(tree, &[MANIFEST]) {
        let place = paths::join(&root, MANIFEST);
        let Some(own) = tree.toml(&place) else { continue };
        let installer = Installer::of(tree, &root, &own);
        let workspace = lookup(&own, "tool.uv.workspace");
        let mut globs = sources::toml_strings(workspace.and_then(|w| w.get("members")));
        let excluded = sources::toml_strings(workspace.and_then(|w| w.get("exclude")));
        globs.extend(excluded.into_iter().map(|glob| format!("!{glob}")));
        let members = package::members(tree, &place, &root, MANIFEST, &globs);
        add_package(
            tree,
            projects,
            &Package {
                dir: &root,
                root: &root,
                members: &members,
                manifest: &own,
                of_root: &own,
                installer: &installer,
            },
        );
        for dir in &members {
            let Some(manifest) = tree.toml(&paths::join(dir, MANIFEST)) else { continue };
            let package = Package {
                dir,
                root: &root,
                members: &members,
                manifest: &manifest,
                of_root: &own,
                installer: &installer,
            };
            add_package(tree, projects, &package);
        }
    }
}

struct Package<'a> {
    dir: &'a str,
    root: &'a str,
    members: &'a [String],
    manifest: &'a Table,
    of_root: &'a Table,
    installer: &'a Installer,
}

fn lookup<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    let mut names = path.split('.');
    let first = table.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

fn add_package(tree: &Tree<'_>, projects: &mut Projects, package: &Package<'_>) {
    let Package { dir, root, manifest, .. } = *package;
    let name =
        ["project.name", "tool.poetry.name"].into_iter().find_map(|path| lookup(manifest, path)?.as_str());
    let tools = tools(tree, dir, manifest, dir == root);
    let install = if dir == root { install(tree, package, &tools) } else { None };
    let mut drafts: Vec<Draft> = install.into_iter().collect();
    drafts.extend(tools.into_iter().map(|(tool, place)| task(tree, package, tool, &place)));
    let project = project(projects, dir, name);
    project.drafts.extend(drafts);
    project.makes(MADE.iter().copied());
}

/// The task that installs, at the root.
fn install(tree: &Tree<'_>, package: &Package<'_>, tools: &[(Tool, String)]) -> Option<Draft> {
    let Package { dir, root, members, manifest, installer, .. } = *package;
    let mut inputs = vec![MANIFEST.to_owned()];
    inputs.extend(members.iter().map(|dir| paths::literal(root, &paths::join(dir, MANIFEST))));
    inputs.extend(installer.files.iter().map(|file| (*file).to_owned()));
    let draft = Draft {
        key: key(dir, TOOL, "install"),
        tool: TOOL,
        wish: "install".to_owned(),
        origin: installer.origin(),
        inputs,
        locks: !installer.is_locked,
        ..Draft::default()
    };
    let programs: Vec<&str> = tools.iter().map(|(tool, _)| tool.program).collect();
    let needs = Needs::of(tree, dir, manifest, installer.lists(), &programs);
    installer.install(draft, &needs, !members.is_empty())
}

/// A tool: how its task is called, its program, and what is started.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Tool {
    name: &'static str,
    program: &'static str,
    command: &'static str,
}

const PYTEST: Tool = Tool { name: "test", program: "pytest", command: "pytest" };
const RUFF: Tool = Tool { name: "lint", program: "ruff", command: "ruff check" };
const MYPY: Tool = Tool { name: "typecheck", program: "mypy", command: "mypy ." };

/// The tools that are set up, and where that is said; of those of the root also the ones that are only declared.
fn tools(tree: &Tree<'_>, dir: &str, manifest: &Table, is_root: bool) -> Vec<(Tool, String)> {
    let in_manifest = |path: &str| lookup(manifest, path).map(|_| format!("{MANIFEST}, {path}"));
    let in_file = |names: &[&str]| tree.first_of(dir, names).map(str::to_owned);
    let in_section = |file: &'static str, section: &str| {
        let text = tree.text(&paths::join(dir, file))?;
        text.lines().any(|line| line.trim() == section).then(|| format!("{file}, {section}"))
    };
    let pytest = in_manifest("tool.pytest")
        .or_else(|| in_file(&["pytest.ini"]))
        .or_else(|| in_section("setup.cfg", "[tool:pytest]"))
        .or_else(|| in_section("tox.ini", "[pytest]"));
    let ruff = in_manifest("tool.ruff").or_else(|| in_file(&["ruff.toml"]));
    let mypy = in_manifest("tool.mypy")
        .or_else(|| in_file(&["mypy.ini"]))
        .or_else(|| in_section("setup.cfg", "[mypy]"));
    let declared = |tool: Tool| {
        (is_root && needs::is_declared(tree, dir, manifest, &[], tool.program)).then(|| MANIFEST.to_owned())
    };
    let found = [(PYTEST, pytest), (RUFF, ruff), (MYPY, mypy)].into_iter();
    found.filter_map(|(tool, place)| Some((tool, place.or_else(|| declared(tool))?))).collect()
}

fn task(tree: &Tree<'_>, package: &Package<'_>, tool: Tool, place: &str) -> Draft {
    let Package { dir, root, members, manifest, installer, .. } = *package;
    let (mut reads, mut inputs) = (vec![dir.to_owned()], Vec::new());
    if dir != root {
        // Members import one another without saying so in one form.
        reads.extend(members.iter().filter(|other| *other != dir).cloned());
        inputs.extend(sources::there(tree, dir, root, &[MANIFEST, "uv.lock"]));
    }
    let is_declared = needs::is_declared(tree, dir, manifest, installer.lists(), tool.program)
        || needs::is_declared(tree, root, package.of_root, installer.lists(), tool.program);
    let remark = (!is_declared).then(|| format!("Nothing here declares {}.", tool.program));
    Draft {
        key: key(dir, TOOL, tool.name),
        tool: TOOL,
        wish: tool.name.to_owned(),
        origin: place.to_owned(),
        remarks: remark.into_iter().collect(),
        is_guess: !is_declared,
        after: vec![key(root, TOOL, "install")],
        reads,
        inputs,
        exec: Some(installer.command(tool.program, tool.command, is_declared)),
        ..Draft::default()
    }
}

/// How a check starts ruff, where it is set up, and the directory it needs for that.
pub(super) fn ruff(tree: &Tree<'_>) -> Option<(String, Option<&'static str>, String)> {
    let manifest = tree.toml(MANIFEST)?;
    let installer = Installer::of(tree, "", &manifest);
    let (_, place) = tools(tree, "", &manifest, true).into_iter().find(|(tool, _)| *tool == RUFF)?;
    let is_declared = needs::is_declared(tree, "", &manifest, installer.lists(), RUFF.program);
    let (command, link) = installer.checking(RUFF.program, is_declared);
    Some((command, link, place))
}
