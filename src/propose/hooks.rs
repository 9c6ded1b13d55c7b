//! `.pre-commit-config.yaml`: a command of the project's own becomes a check. The others are remarks, for devtask does
//! not know the programs of others' repositories.

pub(super) mod selection;

use serde_json::Value;

use super::{
    checks::{self, Check},
    draft::{Projects, project},
    paths, procfile, sources,
    tree::Tree,
};

const NAME: &str = ".pre-commit-config.yaml";

/// A hook: its id, the repository it is from, and its command if it has one here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) id: String,
    pub(super) repo: String,
    pub(super) entry: Option<String>,
    /// Everything that is said of it.
    pub(super) own: Value,
}

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects) {
    let Some(config) = tree.yaml(NAME) else { return };
    let hooks = hooks(&config);
    if hooks.is_empty() {
        return;
    }
    let root = project(projects, "", None);
    let mut remarks = Vec::new();
    for hook in hooks {
        match check(&hook) {
            Ok(check) => root.tables.push(checks::table(&check, &format!("{NAME}, {}", hook.id))),
            Err(remark) => remarks.push(format!("  {}{remark}", hook.id)),
        }
    }
    if !remarks.is_empty() {
        root.remarks.push(format!("{NAME} has these hooks, which are not part of this file:"));
        root.remarks.extend(remarks);
    }
}

/// The check that does what a hook does, or what is to be said of it instead.
pub(super) fn check(hook: &Hook) -> Result<Check, String> {
    let Hook { id, repo, entry, own } = hook;
    if repo != "local" {
        return Err(format!(" ({repo})"));
    }
    let entry = entry.as_deref().map(str::trim).filter(|entry| !entry.is_empty());
    let entry = entry.ok_or_else(|| " (no command)".to_owned())?;
    let language = own.get("language").and_then(Value::as_str).unwrap_or("system");
    let stages = sources::json_strings(own.get("stages"));
    let on_commit = ["pre-commit", "commit", "pre-push", "push"];
    let program = match language {
        "pygrep" => return Err(format!(": no line may match {entry}")),
        "fail" => return Err(format!(": {entry}")),
        "system" | "unsupported" => entry.to_owned(),
        // It is a file of the repository.
        "script" | "unsupported_script" if !entry.contains('/') => format!("./{entry}"),
        "script" | "unsupported_script" => entry.to_owned(),
        _ => return Err(format!(" (pre-commit installs it: language {language}): {entry}")),
    };
    if !stages.is_empty() && !stages.iter().any(|stage| on_commit.contains(&stage.as_str())) {
        return Err(format!(" (stages {}): {entry}", stages.join(", ")));
    }
    if procfile::is_ours(entry) {
        return Err(format!(" (devtask would put something in the place of its `${{…}}`): {entry}"));
    }
    let files = selection::files(own).map_err(|what| format!(" ({what}): {entry}"))?;
    let args: String =
        sources::json_strings(own.get("args")).iter().map(|arg| format!(" {}", paths::word(arg))).collect();
    let is_given = own.get("pass_filenames").and_then(Value::as_bool).unwrap_or(true);
    Ok(Check::of_hook(id, files, &format!("{program}{args}"), is_given))
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
            hooks.push(Hook { id, repo: from.clone(), entry: text(&hook, "entry"), own: hook });
        }
    }
    hooks
}
