//! `go.mod` and `go.work`: each module is built, vetted and tested after those it requires.

use std::collections::BTreeMap;

use super::{
    draft::{Draft, Projects, key, project},
    package::{self, Graph, Needs},
    paths, sources,
    tree::Tree,
};

const TOOL: &str = "go";

/// What a `go.mod` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) path: String,
    pub(super) requires: Vec<String>,
}

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects) {
    for root in package::roots(tree, &["go.work", "go.mod"]) {
        let modules = modules(tree, &root);
        let graph = graph(&modules);
        for (dir, module) in &modules {
            let name = module.path.rsplit('/').find(|part| !is_version(part));
            let drafts = drafts(tree, &root, dir, module, &graph);
            project(projects, dir, name).drafts.extend(drafts);
        }
    }
}

/// The modules of a workspace, or the one module there is.
fn modules(tree: &Tree<'_>, root: &str) -> BTreeMap<String, Module> {
    let mut dirs = vec![root.to_owned()];
    if let Some(work) = tree.text(&paths::join(root, "go.work")) {
        dirs = directives(work, "use").into_iter().filter_map(|dir| paths::resolve(root, &dir)).collect();
    }
    let read = |dir: String| {
        let text = tree.text(&paths::join(&dir, "go.mod"))?;
        Some((dir, parse(text)))
    };
    dirs.into_iter().filter_map(read).collect()
}

fn graph(modules: &BTreeMap<String, Module>) -> Graph {
    let by_path: BTreeMap<&str, &String> = modules.iter().map(|(dir, m)| (m.path.as_str(), dir)).collect();
    let needs = |module: &Module| Needs {
        build: module
            .requires
            .iter()
            .filter_map(|path| by_path.get(path.as_str()))
            .map(|d| (*d).clone())
            .collect(),
        ..Needs::default()
    };
    modules.iter().map(|(dir, module)| (dir.clone(), needs(module))).collect()
}

pub(super) fn parse(text: &str) -> Module {
    Module {
        path: directives(text, "module").into_iter().next().unwrap_or_default(),
        requires: directives(text, "require"),
    }
}

/// The first words behind a directive, alone on its line or in parentheses.
pub(super) fn directives(text: &str, directive: &str) -> Vec<String> {
    let (mut found, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let rest = line.strip_prefix(directive).filter(|rest| rest.starts_with([' ', '\t', '(']));
        let said = match rest.map(str::trim) {
            Some("(") => {
                inside = true;
                continue;
            }
            _ if line == ")" => {
                inside = false;
                continue;
            }
            Some(rest) => rest,
            None if inside => line,
            None => continue,
        };
        found.extend(said.split_whitespace().next().map(|word| word.trim_matches(['"', '`']).to_owned()));
    }
    found
}

fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
}

fn drafts(tree: &Tree<'_>, root: &str, dir: &str, module: &Module, graph: &Graph) -> Vec<Draft> {
    let needed = package::closure(graph, dir, false);
    let others = package::beneath(graph, dir).filter(|other| !needed.contains(other));
    let mut inputs: Vec<String> = others.map(|other| format!("!{}/**", paths::literal(dir, other))).collect();
    if dir != root {
        inputs.extend(sources::there(tree, dir, root, &["go.work", "go.work.sum", ".golangci.yml"]));
    }
    let reads = package::read(&needed, dir);
    let draft = |name: &str, exec: &str, after: Vec<String>| Draft {
        key: key(dir, TOOL, name),
        tool: TOOL,
        wish: name.to_owned(),
        origin: "go.mod".to_owned(),
        after,
        reads: reads.clone(),
        inputs: inputs.clone(),
        exec: Some(exec.to_owned()),
        ..Draft::default()
    };
    let mut drafts = Vec::new();
    if !module.requires.is_empty() && tree.has(&paths::join(dir, "go.sum")) {
        let inputs = ["go.mod", "go.sum"].map(str::to_owned).to_vec();
        let download = draft("download", "go mod download", Vec::new());
        drafts.push(Draft { reads: Vec::new(), inputs, ..download });
    }
    let mut first = vec![key(dir, TOOL, "download")];
    first.extend(needed.iter().map(|dir| key(dir, TOOL, "build")));
    // With one program among the packages, go would leave it in the working directory.
    drafts.push(draft("build", "go build -o /dev/null ./...", first));
    let built = || vec![key(dir, TOOL, "build")];
    drafts.push(draft("vet", "go vet ./...", built()));
    drafts.push(draft("test", "go test ./...", built()));
    drafts
}
