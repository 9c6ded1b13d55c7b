//! `composer.json`: packages are installed, and scripts become tasks.

use serde_json::Value;

use super::{
    draft::{Draft, Projects, key, project},
    nature::{self, Nature},
    package, paths, sources,
    tree::Tree,
};
use crate::pattern::escape;

const TOOL: &str = "composer";
const MANIFEST: &str = "composer.json";

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects) {
    for dir in package::roots(tree, &[MANIFEST]) {
        let Some(package) = tree.json(&paths::join(&dir, MANIFEST)) else { continue };
        let name = package.get("name").and_then(Value::as_str).and_then(|name| name.rsplit('/').next());
        let vendor = package.get("config").and_then(|config| config.get("vendor-dir")?.as_str());
        let vendor = vendor.and_then(|dir| paths::resolve("", dir)).filter(|dir| !dir.contains("${"));
        let vendor = vendor.as_deref().filter(|dir| !dir.is_empty()).unwrap_or("vendor");
        let mut drafts = vec![install(tree, &dir, vendor)];
        let scripts = package.get("scripts").and_then(Value::as_object);
        let is_event = |name: &str| name.starts_with("pre-") || name.starts_with("post-");
        let scripts = scripts.into_iter().flatten().filter(|(name, _)| !is_event(name));
        drafts.extend(scripts.map(|(name, script)| draft(tree, &dir, name, script)));
        let project = project(projects, &dir, name);
        project.drafts.extend(drafts);
        project.makes([format!("{}/**", escape(vendor))]);
    }
}

fn install(tree: &Tree<'_>, dir: &str, vendor: &str) -> Draft {
    let lock = tree.first_of(dir, &["composer.lock"]);
    Draft {
        key: key(dir, TOOL, "install"),
        tool: TOOL,
        wish: "install".to_owned(),
        origin: [MANIFEST].into_iter().chain(lock).collect::<Vec<_>>().join(" and "),
        inputs: [MANIFEST].into_iter().chain(lock).map(str::to_owned).collect(),
        // Every installation makes it, and says where it went to.
        is_marked: true,
        outputs: vec![escape(&paths::join(vendor, "autoload.php"))],
        locks: lock.is_none(),
        exec: Some("composer install --no-interaction".to_owned()),
        ..Draft::default()
    }
}

fn draft(tree: &Tree<'_>, dir: &str, name: &str, script: &Value) -> Draft {
    let command = sources::json_strings(Some(script)).join("\n");
    let nature = nature::of_command(name, &command);
    let hidden = [".php-cs-fixer.dist.php", ".php-cs-fixer.php"];
    let mut draft = Draft {
        key: key(dir, TOOL, name),
        tool: TOOL,
        wish: name.to_owned(),
        is_process: nature == Nature::Endless,
        origin: format!("{MANIFEST}, scripts.{name}"),
        after: vec![key(dir, TOOL, "install")],
        exec: Some(format!("composer run-script {}", paths::word(name))),
        off: match nature {
            _ if name.starts_with('-') => Some("its name looks like an option".to_owned()),
            Nature::Effect(reason) => Some(reason.to_owned()),
            Nature::Unknown => Some(nature::left_out(nature).to_owned()),
            _ => None,
        },
        ..Draft::default()
    };
    if nature.is_work() {
        draft.reads.push(dir.to_owned());
        draft.inputs.extend(sources::there(tree, dir, dir, &hidden));
        // Git may ignore the lock file: named like this it counts anyway.
        if tree.ignores(dir, "composer.lock") {
            draft.inputs.push("composer.lock".to_owned());
        }
    }
    draft
}
