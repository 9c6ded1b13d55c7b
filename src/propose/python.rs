//! `pyproject.toml`: packages are installed, and what is set up to look at the sources becomes tasks.

use toml::{Table, Value};

use super::{
    draft::{Draft, Projects, key, project},
    package, paths, sources,
    tree::Tree,
};

const MANIFEST: &str = "pyproject.toml";
const TOOL: &str = "python";
/// What Python and its installers leave among the sources.
const MADE: &[&str] = &["**/__pycache__/**", "**/*.egg-info/**"];

/// How packages get here, and how their programs are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Installer {
    /// None: nothing is installed.
    pub(super) install: Option<&'static str>,
    pub(super) lock: Option<&'static str>,
    /// In front of the name of a program.
    pub(super) run: &'static str,
}

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
            &Package { dir: &root, root: &root, members: &members, manifest: &own, installer },
        );
        for dir in &members {
            let Some(manifest) = tree.toml(&paths::join(dir, MANIFEST)) else { continue };
            let package = Package { dir, root: &root, members: &members, manifest: &manifest, installer };
            add_package(tree, projects, &package);
        }
    }
}

struct Package<'a> {
    dir: &'a str,
    root: &'a str,
    members: &'a [String],
    manifest: &'a Table,
    installer: Installer,
}

fn lookup<'t>(table: &'t Table, path: &str) -> Option<&'t Value> {
    let mut names = path.split('.');
    let first = table.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

impl Installer {
    /// As the lock file says, else what the manifest is written for.
    pub(super) fn of(tree: &Tree<'_>, dir: &str, manifest: &Table) -> Self {
        let backend =
            lookup(manifest, "build-system.build-backend").and_then(Value::as_str).unwrap_or_default();
        let has = |name: &str| tree.has(&paths::join(dir, name));
        let is_poetry = lookup(manifest, "tool.poetry").is_some() || backend.starts_with("poetry");
        let is_uv = lookup(manifest, "tool.uv").is_some() || backend.starts_with("uv_build");
        let (uv, poetry) = (has("uv.lock"), has("poetry.lock"));
        if uv || is_uv && !poetry {
            let install = if uv { "uv sync --locked" } else { "uv sync" };
            return Self { install: Some(install), lock: uv.then_some("uv.lock"), run: "uv run " };
        }
        if poetry || is_poetry {
            let lock = poetry.then_some("poetry.lock");
            return Self { install: Some("poetry install --no-interaction"), lock, run: "poetry run " };
        }
        let is_package = manifest.contains_key("project") || manifest.contains_key("build-system");
        let install = match (is_package, has("requirements.txt")) {
            (true, true) => "python3 -m venv .venv\n.venv/bin/pip install -r requirements.txt -e .\n",
            (true, false) => "python3 -m venv .venv\n.venv/bin/pip install -e .\n",
            (false, true) => "python3 -m venv .venv\n.venv/bin/pip install -r requirements.txt\n",
            (false, false) => return Self { install: None, lock: None, run: "python3 -m " },
        };
        let lock = has("requirements.txt").then_some("requirements.txt");
        Self { install: Some(install), lock, run: ".venv/bin/python -m " }
    }
}

fn add_package(tree: &Tree<'_>, projects: &mut Projects, package: &Package<'_>) {
    let Package { dir, root, members, manifest, installer } = *package;
    let name =
        ["project.name", "tool.poetry.name"].into_iter().find_map(|path| lookup(manifest, path)?.as_str());
    let mut drafts = Vec::new();
    if let Some(install) = installer.install.filter(|_| dir == root) {
        let mut inputs = vec![MANIFEST.to_owned()];
        inputs.extend(members.iter().map(|dir| paths::literal(root, &paths::join(dir, MANIFEST))));
        inputs.extend(installer.lock.map(str::to_owned));
        drafts.push(Draft {
            key: key(dir, TOOL, "install"),
            tool: TOOL,
            wish: "install".to_owned(),
            origin: [MANIFEST].into_iter().chain(installer.lock).collect::<Vec<_>>().join(" and "),
            inputs,
            locks: installer.lock.is_none(),
            exec: Some(install.to_owned()),
            ..Draft::default()
        });
    }
    for (tool, place) in tools(tree, dir, root, manifest) {
        drafts.push(task(tree, package, tool, &place));
    }
    let project = project(projects, dir, name);
    project.drafts.extend(drafts);
    project.makes(MADE.iter().copied());
}

/// A tool: how its task is called, and what is started.
type Tool = (&'static str, &'static str);

const PYTEST: Tool = ("test", "pytest");
const RUFF: Tool = ("lint", "ruff check");
const MYPY: Tool = ("typecheck", "mypy .");

/// The tools that are set up, and where that is said.
fn tools(tree: &Tree<'_>, dir: &str, root: &str, manifest: &Table) -> Vec<(Tool, String)> {
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
    let found = [(PYTEST, pytest), (RUFF, ruff), (MYPY, mypy)];
    let mut found: Vec<(Tool, String)> =
        found.into_iter().filter_map(|(tool, place)| Some((tool, place?))).collect();
    // Nothing is said, but somebody needs it.
    let needs = |tool: Tool| {
        let word = tool.1.split(' ').next().unwrap_or_default();
        let asked = [
            "dependency-groups.dev",
            "project.optional-dependencies.dev",
            "project.optional-dependencies.test",
            "dependency-groups.test",
        ];
        let listed = asked.iter().any(|path| {
            let list = sources::toml_strings(lookup(manifest, path));
            list.iter().any(|need| need.split(|c: char| !c.is_ascii_alphanumeric()).next() == Some(word))
        });
        listed || lookup(manifest, &format!("tool.poetry.group.dev.dependencies.{word}")).is_some()
    };
    for tool in [PYTEST, RUFF, MYPY] {
        if dir == root && needs(tool) && !found.iter().any(|(known, _)| *known == tool) {
            found.push((tool, MANIFEST.to_owned()));
        }
    }
    found
}

fn task(tree: &Tree<'_>, package: &Package<'_>, (name, command): Tool, place: &str) -> Draft {
    let Package { dir, root, members, installer, .. } = *package;
    let (mut reads, mut inputs) = (vec![dir.to_owned()], Vec::new());
    if dir != root {
        // Members import one another without saying so in one form.
        reads.extend(members.iter().filter(|other| *other != dir).cloned());
        inputs.extend(sources::there(tree, dir, root, &[MANIFEST, "uv.lock"]));
    }
    Draft {
        key: key(dir, TOOL, name),
        tool: TOOL,
        wish: name.to_owned(),
        origin: place.to_owned(),
        after: vec![key(root, TOOL, "install")],
        reads,
        inputs,
        exec: Some(format!("{}{command}", installer.run)),
        ..Draft::default()
    }
}
