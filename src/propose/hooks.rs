//! `.pre-commit-config.yaml`: each hook is a remark, for devtask does not know the programs of others' repositories.

use serde_json::Value;

use super::{
    checks::{self, Check},
    draft::{Projects, project},
    tree::Tree,
};

const NAME: &str = ".pre-commit-config.yaml";

/// A hook: its id, the repository it is from, and its command if it has one here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) id: String,
    pub(super) repo: String,
    pub(super) entry: Option<String>,
}

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects) {
    let Some(config) = tree.yaml(NAME) else { return };
    let hooks = hooks(&config);
    if hooks.is_empty() {
        return;
    }
    let root = project(projects, "", None);
    root.remarks.push(format!("{NAME} has these hooks, which are not part of this file:"));
    for Hook { id, repo, entry } in hooks {
        match entry {
            Some(entry) if repo == "local" => {
                let origin = format!("{NAME}, {id}");
                root.tables.push(checks::table(&Check::of_hook(&id, &entry), &origin));
            }
            Some(entry) => root.remarks.push(format!("  {id}: {entry}")),
            None => root.remarks.push(format!("  {id} ({repo})")),
        }
    }
}

/// The hooks of all repositories, in the order of the file.
pub(super) fn hooks(config: &Value) -> Vec<Hook> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let list =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut hooks = Vec::new();
    for repo in list(config, "repos") {
        let from = text(&repo, "repo").unwrap_or_default();
        for hook in list(&repo, "hooks") {
            let Some(id) = text(&hook, "id") else { continue };
            hooks.push(Hook { id, repo: from.clone(), entry: text(&hook, "entry") });
        }
    }
    hooks
}
