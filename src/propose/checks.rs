//! `[checks.<name>]`: tools that look at single files.

use super::{
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
            link: None,
        }
    }

    fn with_node_modules(self) -> Self {
        Self { link: Some("node_modules".to_owned()), ..self }
    }

    /// A local hook of pre-commit, which gets the names of all files.
    pub(super) fn of_hook(id: &str, entry: &str) -> Self {
        Self::new(id, &["**"], &format!("{entry} \"$@\""), None)
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
    if let Some(dir) = package::roots(tree, &["Cargo.toml"]).first() {
        let place = paths::join(dir, "Cargo.toml");
        let edition = tree.toml(&place).and_then(|manifest| {
            let edition = |table: &str| manifest.get(table)?.get("edition")?.as_str().map(str::to_owned);
            let inherited =
                manifest.get("workspace").and_then(|w| w.get("package")?.get("edition")?.as_str());
            edition("package").or_else(|| inherited.map(str::to_owned))
        });
        let edition = paths::word(edition.as_deref().unwrap_or("2015"));
        let exec = format!("rustfmt --check --edition {edition} \"$@\"");
        let fix = format!("rustfmt --edition {edition} \"$@\"");
        checks.push((Check::new("rustfmt", &["**/*.rs"], &exec, Some(&fix)), place));
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

/// The table as text.
pub(super) fn table(check: &Check, origin: &str) -> String {
    let mut text = format!(
        "{}\n[checks.{}]\nfiles = {}\npass_files = true\nexec = {}\n",
        quote::comment(&format!("from {origin}")),
        name::legal(&check.name),
        quote::list(&check.files),
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
