//! From drafts to task files: names, edges without circles, text.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Found,
    draft::{Draft, Project, Projects},
    edges::{Named, edges},
    existing::Existing,
    name::{Names, legal},
    paths,
    quote::{comment, list, string},
    sources::Made,
    tree::Tree,
};

/// The files, the root's first, and how many tasks and processes are in them.
pub(super) fn compose(
    tree: &Tree<'_>,
    found: &Found,
    made: &Made,
    existing: &Existing,
    mut projects: Projects,
) -> (Vec<(String, String)>, usize) {
    projects.retain(|dir, project| dir.is_empty() || !project.drafts.is_empty());
    let names = project_names(found, existing, &projects);
    let named = task_names(&mut projects, existing, &names);
    after_locks(&mut projects);
    let edges = edges(&mut projects, &named);
    let members: Vec<&String> = projects.keys().filter(|dir| !dir.is_empty()).collect();
    let includes = includes(&members);
    let is_new = |dir: &String| existing.get(dir).is_none();
    let new = projects.iter().filter(|(dir, _)| is_new(dir));
    existing.tell(tree, &members.iter().copied().filter(|dir| is_new(dir)).collect::<Vec<_>>());
    let tasks = new.clone().flat_map(|(_, p)| &p.drafts).filter(|draft| draft.off.is_none()).count();
    let text = |(dir, project): (&String, &Project)| {
        let mut file = String::new();
        if dir.is_empty() {
            file.push_str(&header(&projects));
        }
        file.push_str(&format!("name = {}\n", string(&names[dir])));
        if dir.is_empty() && !includes.is_empty() {
            file.push_str(&format!("include = {}\n", list(&includes)));
        }
        if projects.values().all(|project| project.drafts.is_empty()) {
            file.push_str(EMPTY);
        }
        // What is commented out is read last.
        let (off, on): (Vec<&Draft>, Vec<&Draft>) =
            project.drafts.iter().partition(|draft| draft.off.is_some());
        for draft in on.into_iter().chain(off) {
            file.push('\n');
            file.push_str(&block(draft, &named, edges.get(&draft.key), &inputs(made, dir, draft)));
        }
        project.tables.iter().for_each(|table| file.push_str(&format!("\n{table}")));
        if !project.remarks.is_empty() {
            file.push('\n');
        }
        project.remarks.iter().for_each(|line| file.push_str(&format!("{}\n", remark(line))));
        (paths::join(dir, "devtask.toml"), file)
    };
    (new.map(text).collect(), tasks)
}

/// A remark keeps its indentation.
fn remark(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    comment(line).replacen("# ", &format!("# {}", " ".repeat(indent.min(8))), 1)
}

/// What projects are called: as their manifests or their directories are, or by their whole paths.
fn project_names(found: &Found, existing: &Existing, projects: &Projects) -> BTreeMap<String, String> {
    let mut names = Names::default();
    // Tasks of devenv's own names would be taken for its events.
    names.take(&["devenv".to_owned()]);
    let own = |dir: &String| if dir.is_empty() { found.name.clone() } else { paths::split(dir).1.to_owned() };
    // Nobody changes a name that is given.
    let given = projects.keys().filter_map(|dir| {
        let file = existing.get(dir)?;
        Some((dir.clone(), file.name.clone().unwrap_or_else(|| own(dir))))
    });
    let mut all: BTreeMap<String, String> = given.collect();
    all.values().for_each(|name| drop(names.take(std::slice::from_ref(name))));
    for (dir, project) in projects.iter().filter(|(dir, _)| existing.get(dir).is_none()) {
        let own = own(dir);
        let wish = project.wish.as_deref().filter(|wish| legal(wish) != "unnamed").unwrap_or(&own);
        let name = names.take(&[legal(wish), legal(&paths::join(dir, ""))]);
        all.insert(dir.clone(), name);
    }
    all
}

/// Names for what is no comment. What yields becomes one where its name is taken.
fn task_names(
    projects: &mut Projects,
    existing: &Existing,
    names: &BTreeMap<String, String>,
) -> BTreeMap<String, Named> {
    let mut named = BTreeMap::new();
    for (dir, project) in projects {
        if let Some(file) = existing.get(dir) {
            // Of its tasks only those can be named that it has.
            for draft in project.drafts.iter().filter(|draft| !draft.is_process) {
                let named_as = |local| Named { project: names[dir].clone(), local, is_process: false };
                named.extend(file.task(&draft.wish).map(|local| (draft.key.clone(), named_as(local))));
            }
            continue;
        }
        let (mut tasks, mut processes) = (Names::default(), Names::default());
        let mut first: BTreeMap<(String, bool), (String, String)> = BTreeMap::new();
        give_way(&mut project.drafts);
        for draft in project.drafts.iter_mut().filter(|draft| draft.off.is_none()) {
            let wish = (legal(&draft.wish), draft.is_process);
            if let Some((local, origin)) = first.get(&wish).filter(|_| draft.yields) {
                draft.off = Some(format!("{local} is here already, from {origin}"));
                // Whoever comes after it comes after that one.
                let project = names[dir].clone();
                named.insert(
                    draft.key.clone(),
                    Named { project, local: local.clone(), is_process: draft.is_process },
                );
                continue;
            }
            let taken = if draft.is_process { &mut processes } else { &mut tasks };
            let local = taken.take(&[wish.0.clone(), legal(&format!("{}-{}", draft.tool, wish.0))]);
            first.entry(wish).or_insert_with(|| (local.clone(), draft.origin.clone()));
            let project = names[dir].clone();
            named.insert(draft.key.clone(), Named { project, local, is_process: draft.is_process });
        }
    }
    named
}

/// A guess is left out where somebody wrote down how it is done.
fn give_way(drafts: &mut [Draft]) {
    let is_written = |draft: &&Draft| draft.off.is_none() && !draft.is_process && draft.yields;
    let written: BTreeMap<String, String> =
        drafts.iter().filter(is_written).map(|draft| (legal(&draft.wish), draft.origin.clone())).collect();
    for draft in drafts.iter_mut().filter(|draft| draft.is_guess && draft.off.is_none()) {
        let better = written.get(&legal(&draft.wish));
        draft.off = better.map(|origin| format!("{origin} does it, and what this needs is declared nowhere"));
    }
}

/// What reads a whole directory begins once the lock files are there that are written beneath it: they would change
/// while it runs.
fn after_locks(projects: &mut Projects) {
    let locks: Vec<(String, String)> = projects
        .iter()
        .flat_map(|(dir, project)| {
            project.drafts.iter().filter(|d| d.locks).map(|d| (dir.clone(), d.key.clone()))
        })
        .collect();
    for draft in projects.values_mut().flat_map(|project| &mut project.drafts) {
        let is_read = |dir: &str| draft.reads.iter().any(|read| paths::beneath(dir, read).is_some());
        let more: Vec<String> =
            locks.iter().filter(|(dir, _)| is_read(dir)).map(|(_, key)| key.clone()).collect();
        draft.after.extend(more);
    }
}

/// The members, those that lie side by side as one pattern: of the directories it means only those with a task file
/// are included.
fn includes(members: &[&String]) -> Vec<String> {
    let mut by_parent: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for dir in members {
        let (parent, name) = paths::split(dir);
        by_parent.entry(parent).or_default().push(name);
    }
    let mut includes = Vec::new();
    for (parent, names) in by_parent {
        let parent_glob = globset::escape(parent);
        match names.as_slice() {
            // Everything beside the root's own file would be meant.
            [_, _, ..] if !parent.is_empty() => includes.push(format!("{parent_glob}/*")),
            names => includes.extend(names.iter().map(|name| globset::escape(&paths::join(parent, name)))),
        }
    }
    includes
}

/// What is said once, at the root.
fn header(projects: &Projects) -> String {
    let mut text = "# Proposed by devtask init from what is here. Change it as you like.\n".to_owned();
    let on = projects.values().flat_map(|project| &project.drafts).filter(|draft| draft.off.is_none());
    if on.into_iter().any(|draft| !draft.reads.is_empty()) {
        text.push_str("# \"**\" is every file that git does not ignore: name fewer where a task reads fewer, and leave out\n");
        text.push_str("# what a task makes itself, as in \"!dist/**\".\n");
    }
    if projects.values().flat_map(|project| &project.drafts).any(|draft| draft.is_marked) {
        text.push_str("# A .devtask-… file is empty, and made by its task where much else is made (node_modules, target, .venv): when\n");
        text.push_str(
            "# that directory was removed, it is gone too, and a missing output makes a task run.\n",
        );
    }
    let drafts = projects.values().flat_map(|project| &project.drafts);
    if drafts.into_iter().any(|draft| draft.off.is_none() && !draft.outputs.is_empty() && !draft.is_marked) {
        text.push_str("# What \"outputs\" name is kept, and comes back instead of running the task again: name all that a task\n");
        text.push_str("# makes, or add \"restore = false\".\n");
    }
    text
}

/// The patterns of what a task reads: those that say what, before those that say what not.
fn inputs(made: &Made, dir: &str, draft: &Draft) -> Vec<String> {
    let read = draft.reads.iter().flat_map(|read| made.all_but(dir, read));
    let (not, yes): (Vec<String>, Vec<String>) =
        read.chain(draft.inputs.iter().cloned()).partition(|pattern| pattern.starts_with('!'));
    let mut seen = BTreeSet::new();
    yes.into_iter().chain(not).filter(|pattern| seen.insert(pattern.clone())).collect()
}

/// What a file may look like of which nothing could be guessed.
const EMPTY: &str = r#"
# Nothing was recognised here. A task is:
# [tasks.build]
# execIfModified = ["src/**"]
# exec = "make"
"#;

/// A table, as a comment if it is off.
fn block(
    draft: &Draft,
    named: &BTreeMap<String, Named>,
    after: Option<&Vec<String>>,
    inputs: &[String],
) -> String {
    let own = named.get(&draft.key).filter(|_| draft.off.is_none());
    let local = own.map_or_else(|| legal(&draft.wish), |named| named.local.clone());
    let table = if draft.is_process { "processes" } else { "tasks" };
    let mut lines = String::new();
    lines.push_str(&format!("[{table}.{local}]\n"));
    if let Some(description) = &draft.description {
        lines.push_str(&format!("description = {}\n", string(description)));
    }
    let mut put = |name: &str, texts: &[String]| {
        if !texts.is_empty() {
            lines.push_str(&format!("{name} = {}\n", list(texts)));
        }
    };
    if draft.off.is_none() {
        put("after", after.map_or(&[], Vec::as_slice));
        put("execIfModified", inputs);
        put("outputs", &draft.outputs);
        if draft.is_marked {
            lines.push_str("restore = false\n");
        }
    }
    if draft.is_process && !draft.is_enabled {
        lines.push_str("start.enable = false\n");
    }
    if let Some(exec) = &draft.exec {
        lines.push_str(&format!("exec = {}\n", string(exec)));
    }
    let Some(reason) = &draft.off else {
        let mut text = comment(&format!("from {}", draft.origin)) + "\n";
        draft.remarks.iter().for_each(|line| text.push_str(&(comment(line) + "\n")));
        return text + &lines;
    };
    let mut text = comment(&format!("from {}; left out: {reason}", draft.origin)) + "\n";
    lines.lines().for_each(|line| text.push_str(&format!("# {line}\n")));
    text
}
