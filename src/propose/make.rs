//! Makefiles: the targets people name, and what other targets make.

use std::collections::BTreeSet;

use super::{
    draft::{Draft, Projects, project, taken},
    nature::{self, Nature},
    paths,
    runner::{Entry, File},
    tree::Tree,
};
use crate::pattern::escape;

/// In the order make looks for them.
const NAMES: &[&str] = &["GNUmakefile", "makefile", "Makefile"];

/// What a Makefile says in plain words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Makefile {
    pub(super) entries: Vec<Entry>,
    /// Patterns for files that rules make.
    pub(super) made: Vec<String>,
}

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects, dirs: &[String]) {
    for dir in dirs {
        let Some(name) = tree.first_of(dir, NAMES) else { continue };
        let Some(text) = tree.text(&paths::join(dir, name)) else { continue };
        let Makefile { entries, made } = parse(text);
        let file = File { dir, name, tool: "make", entries };
        let taken = taken(projects, dir);
        let drafts: Vec<Draft> = file.drafts(&taken, |name, _| format!("make {}", paths::word(name)));
        let project = project(projects, dir, None);
        project.drafts.extend(drafts);
        project.makes(made);
    }
}

/// A rule: its targets, what they need, and whether it has commands.
struct Rule {
    targets: Vec<String>,
    needs: Vec<String>,
    has_body: bool,
    description: Option<String>,
}

/// Reads targets as far as they are written in plain words; variables and functions are make's own business.
pub(super) fn parse(text: &str) -> Makefile {
    let rules = rules(text);
    let phony: BTreeSet<&String> =
        rules.iter().filter(|r| r.targets == [".PHONY"]).flat_map(|r| &r.needs).collect();
    let is_named = |name: &str| {
        let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_:".contains(c));
        is_word && !name.starts_with(['.', '-', '_'])
    };
    let (mut entries, mut made) = (Vec::<Entry>::new(), BTreeSet::new());
    let mut files: BTreeSet<&String> = BTreeSet::new();
    for rule in rules.iter().filter(|rule| !rule.targets.iter().any(|t| t.starts_with('.'))) {
        for target in &rule.targets {
            // A file, as far as one can tell: many forget to say what is none.
            let is_known = phony.contains(target) || nature::of(target) != Nature::Unknown;
            let is_file =
                !is_known && (!phony.is_empty() || rule.needs.iter().any(|need| need.contains('.')));
            if is_file || !is_named(target) {
                made.extend(pattern(target).filter(|_| rule.has_body || is_file));
                if is_file && rule.has_body && !target.contains('%') {
                    files.insert(target);
                }
                continue;
            }
            let known = entries.iter_mut().find(|entry| entry.name == *target);
            let needs = rule.needs.iter().cloned();
            match known {
                Some(entry) => {
                    entry.has_body |= rule.has_body;
                    entry.needs.extend(needs);
                }
                None => entries.push(Entry {
                    name: target.clone(),
                    description: rule.description.clone(),
                    needs: needs.collect(),
                    has_body: rule.has_body,
                    ..Entry::default()
                }),
            }
        }
    }
    let names: BTreeSet<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    for entry in &mut entries {
        if nature::of(&entry.name) == Nature::Build {
            let made = entry.needs.iter().filter(|need| files.contains(need));
            entry.outputs = made.filter_map(|need| pattern(need)).collect();
        }
        // What is needed beside them is made by make, and is a reason to call it.
        entry.has_body |= entry.needs.iter().any(|need| !names.contains(need));
        entry.needs.retain(|need| names.contains(need));
    }
    Makefile { entries, made: made.into_iter().collect() }
}

/// The pattern for the file a target stands for.
fn pattern(target: &str) -> Option<String> {
    let is_ours = !target.contains(['$', '(', ')', '/', '*', '?', '['])
        || target.contains('/') && !target.contains('$');
    let inner = target.trim_start_matches("./");
    match () {
        () if !is_ours || inner.starts_with('/') || inner.contains("..") || inner.is_empty() => None,
        () if inner.contains('%') => {
            let glob = escape(inner).replace('%', "*");
            Some(if inner.contains('/') { glob } else { format!("**/{glob}") })
        }
        () => Some(escape(inner)),
    }
}

fn rules(text: &str) -> Vec<Rule> {
    let joined = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut rules: Vec<Rule> = Vec::new();
    let mut is_in_define = false;
    for line in joined.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if is_in_define || first == "define" {
            is_in_define = first != "endef";
            continue;
        }
        if line.starts_with('\t') {
            rules.last_mut().into_iter().for_each(|rule| rule.has_body |= !line.trim().is_empty());
            continue;
        }
        rules.extend(rule(line));
    }
    rules
}

fn rule(line: &str) -> Option<Rule> {
    let (line, said) = line.split_once('#').map_or((line, ""), |(line, said)| (line, said));
    let (targets, rest) = line.split_once(':')?;
    // An assignment has its `=` before or right behind the colon.
    if targets.contains(['=', '"', '\'']) || rest.starts_with(['=', ':']) && rest.contains('=') {
        return None;
    }
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (needs, command) = rest.split_once(';').map_or((rest, ""), |(needs, command)| (needs, command));
    if needs.contains('=') {
        return None;
    }
    let words =
        |text: &str| text.split_whitespace().filter(|w| *w != "|").map(str::to_owned).collect::<Vec<_>>();
    let targets = words(targets.trim_end_matches('&'));
    let is_known = !targets.is_empty()
        && !["ifeq", "ifneq", "ifdef", "include", "export"].contains(&targets[0].as_str());
    // `## text` behind a target is how Makefiles describe it.
    let description = said.strip_prefix('#').map(|said| said.trim_start_matches('#').trim().to_owned());
    is_known.then(|| Rule {
        targets,
        needs: words(needs),
        has_body: !command.trim().is_empty(),
        description: description.filter(|said| !said.is_empty()),
    })
}
