//! Procfiles: what is to be up becomes processes.

use super::{
    draft::{Draft, Projects, key, project},
    paths,
    tree::Tree,
};

const NAME: &str = "Procfile";

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects, dirs: &[String]) {
    for dir in dirs {
        let Some(text) = tree.text(&paths::join(dir, NAME)) else { continue };
        let drafts = parse(text).into_iter().map(|(name, command)| draft(dir, &name, &command));
        project(projects, dir, None).drafts.extend(drafts.collect::<Vec<_>>());
    }
}

/// Names and commands.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    let one = |line: &str| {
        let (name, command) = line.split_once(':')?;
        let (name, command) = (name.trim(), command.trim());
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        (is_name && !command.is_empty()).then(|| (name.to_owned(), command.to_owned()))
    };
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter_map(one).collect()
}

fn draft(dir: &str, name: &str, command: &str) -> Draft {
    let off = match () {
        // It is run before a new version goes live.
        () if name == "release" => Some("it is for deployments"),
        () if is_ours(command) => Some("devtask would put something in the place of its `${…}`"),
        () => None,
    };
    // A Procfile is a list of what is to be up.
    let mut remarks = vec!["devtask up starts it.".to_owned()];
    if command.contains("$PORT") || command.contains("${PORT}") {
        remarks.push(
            "$PORT has to be set: ports.http.allocate = 5000 and env.PORT = \"${ports.http}\" do it"
                .to_owned(),
        );
    }
    Draft {
        key: key(dir, "procfile", name),
        tool: "proc",
        wish: name.to_owned(),
        is_process: name != "release",
        is_enabled: true,
        origin: format!("{NAME}, {name}"),
        remarks,
        exec: Some(command.to_owned()),
        off: off.map(str::to_owned),
        ..Draft::default()
    }
}

/// Whether a text has a reference that devtask substitutes. In a text that is not ours it means something else.
pub(super) fn is_ours(text: &str) -> bool {
    let ours = ["root", "project", "git", "ports", "config"];
    text.split("${").skip(1).any(|rest| {
        let first = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        ours.contains(&first)
    })
}
