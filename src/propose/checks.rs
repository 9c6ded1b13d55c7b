//! `[checks.<name>]`: tools that look at single files.

use super::{
    cargo,
    draft::{Projects, project},
    name, package, paths, python, quote,
    tree::Tree,
};

/// One table.
#[derive(Clone, Debug, Default)]
pub(super) struct Check {
    name: String,
    exec: String,
    files: Vec<String>,
    fix: Option<String>,
    /// Whether it is not given the names of the files.
    looks_around: bool,
    /// An ignored directory it cannot do without.
    link: Option<String>,
}

impl Check {
    fn new(name: &str, files: &[&str], exec: &str, fix: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            exec: exec.to_owned(),
            files: files.iter().map(|glob| (*glob).to_owned()).collect(),
            fix: fix.map(str::to_owned),
            looks_around: false,
            link: None,
        }
    }

    fn with_node_modules(self) -> Self {
        Self { link: Some("node_modules".to_owned()), ..self }
    }

    /// A hook of pre-commit that is a command of the project's own.
    pub(super) fn of_hook(id: &str, files: Vec<String>, entry: &str, is_given: bool) -> Self {
        let exec = if is_given { format!("{entry} \"$@\"") } else { entry.to_owned() };
        Self { files, looks_around: !is_given, ..Self::new(id, &[], &exec, None) }
    }
}

/// The checks for the tools that are set up.
pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects) {
    for (check, origin) in known(tree) {
        project(projects, "", None).tables.push(table(&check, &origin));
    }
}

/// Well-known tools, and what says that they are used.
fn known(tree: &Tree<'_>) -> Vec<(Check, String)> {
    let mut checks = Vec::new();
    let roots = package::roots(tree, &["Cargo.toml"]);
    // The workspace that a single package belongs to looks at it, too.
    for dir in roots.iter().filter(|dir| !dir.is_empty() || tree.cargo_above().is_none()) {
        let name = if roots.len() > 1 { format!("rustfmt-{dir}") } else { "rustfmt".to_owned() };
        let check = rustfmt(tree, dir, &name);
        checks.extend(check.map(|check| (check, paths::join(dir, "Cargo.toml"))));
    }
    if let Some(package) = tree.json("package.json") {
        let has = |name: &str| package.get("devDependencies").is_some_and(|needs| needs.get(name).is_some());
        let place = || "package.json, devDependencies".to_owned();
        let scripts = ["**/*.{js,jsx,ts,tsx}"];
        if has("prettier") {
            let files = ["**/*.{js,jsx,ts,tsx,css,json,md}"];
            let (exec, fix) = ("npx prettier --check \"$@\"", "npx prettier --write \"$@\"");
            let check = Check::new("prettier", &files, exec, Some(fix));
            checks.push((check.with_node_modules(), place()));
        }
        if has("eslint") {
            let (exec, fix) = ("npx eslint \"$@\"", "npx eslint --fix \"$@\"");
            let check = Check::new("eslint", &scripts, exec, Some(fix));
            checks.push((check.with_node_modules(), place()));
        }
    }
    if let Some((ruff, link, place)) = python::ruff(tree) {
        let (exec, fix) = (format!("{ruff} check \"$@\""), format!("{ruff} check --fix \"$@\""));
        let check = Check::new("ruff", &["**/*.py"], &exec, Some(&fix));
        checks.push((Check { link: link.map(str::to_owned), ..check }, place));
    }
    if let Some(dir) = package::roots(tree, &["go.work", "go.mod"]).first() {
        let (exec, fix) = ("test -z \"$(gofmt -l \"$@\" | tee /dev/stderr)\"", "gofmt -w \"$@\"");
        checks.push((Check::new("gofmt", &["**/*.go"], exec, Some(fix)), paths::join(dir, "go.mod")));
    }
    checks
}

/// A file does not say of which edition it is. Where there are several, cargo knows.
fn rustfmt(tree: &Tree<'_>, dir: &str, name: &str) -> Option<Check> {
    let editions: Vec<String> = cargo::editions(tree, dir).into_iter().collect();
    let files = [paths::join(&paths::literal("", dir), "**/*.rs")];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    match editions.as_slice() {
        [] => None,
        [edition] => {
            let edition = paths::word(edition);
            let exec = format!("rustfmt --check --edition {edition} \"$@\"");
            let fix = format!("rustfmt --edition {edition} \"$@\"");
            Some(Check::new(name, &files, &exec, Some(&fix)))
        }
        _ => {
            let manifest = paths::word(&paths::join(dir, "Cargo.toml"));
            let fix = format!("cargo fmt --all --manifest-path {manifest}");
            let exec = format!("{fix} --check");
            Some(Check { looks_around: true, ..Check::new(name, &files, &exec, Some(&fix)) })
        }
    }
}

/// The table as text.
pub(super) fn table(check: &Check, origin: &str) -> String {
    let mut text = format!(
        "{}\n[checks.{}]\nfiles = {}\n{}exec = {}\n",
        quote::comment(&format!("from {origin}")),
        name::legal(&check.name),
        quote::list(&check.files),
        if check.looks_around { "" } else { "pass_files = true\n" },
        quote::string(&check.exec),
    );
    if let Some(link) = &check.link {
        text.push_str(&format!("link = {}\n", quote::list(std::slice::from_ref(link))));
    }
    if let Some(fix) = &check.fix {
        text.push_str(&format!("fix = {}\n", quote::string(fix)));
    }
    text
}
