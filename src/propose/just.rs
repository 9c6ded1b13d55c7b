//! justfiles: recipes and what they depend on.

use super::{
    draft::{Draft, Projects, project, taken},
    paths,
    runner::{Entry, File},
    tree::Tree,
};

const NAMES: &[&str] = &["justfile", "Justfile", ".justfile"];

pub(super) fn add(tree: &Tree<'_>, projects: &mut Projects, dirs: &[String]) {
    for dir in dirs {
        let Some(name) = tree.first_of(dir, NAMES) else { continue };
        let Some(text) = tree.text(&paths::join(dir, name)) else { continue };
        let file = File { dir, name, tool: "just", entries: parse(text) };
        // What a recipe needs has been run before: just need not run it again.
        let command = |recipe: &str, needs_are_done: bool| {
            let needs = file.entries.iter().any(|e| e.name == recipe && !e.needs.is_empty());
            let option = if needs && needs_are_done { "--no-deps " } else { "" };
            format!("just {option}{}", paths::word(recipe))
        };
        let taken = taken(projects, dir);
        let drafts: Vec<Draft> = file.drafts(&taken, command);
        project(projects, dir, None).drafts.extend(drafts);
    }
}

/// Reads the recipes.
pub(super) fn parse(text: &str) -> Vec<Entry> {
    let (mut entries, mut comment, mut attributes) = (Vec::<Entry>::new(), None, String::new());
    let joined = text.replace("\\\n", " ");
    for line in joined.lines() {
        let trimmed = line.trim();
        if line.starts_with([' ', '\t']) {
            let body = entries.last_mut().filter(|_| !trimmed.is_empty());
            body.into_iter().for_each(|entry| entry.has_body = true);
        } else if let Some(said) = trimmed.strip_prefix('#') {
            comment = Some(said.trim().to_owned()).filter(|said| !said.is_empty() && !said.starts_with('!'));
        } else if trimmed.starts_with('[') {
            attributes.push_str(trimmed);
        } else {
            if let Some(mut entry) = recipe(trimmed, &attributes) {
                entry.description = comment.take();
                entries.push(entry);
            }
            (comment, attributes) = (None, String::new());
        }
    }
    entries
}

fn recipe(line: &str, attributes: &str) -> Option<Entry> {
    let colon = end_of_head(line)?;
    let (head, tail) = (&line[..colon], &line[colon + 1..]);
    let mut words = head.split_whitespace();
    let name = words.next()?.trim_start_matches('@');
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !is_name || tail.starts_with('=') || ["alias", "export", "set", "import", "mod"].contains(&name) {
        return None;
    }
    let wants = words.any(|parameter| !parameter.contains('=') && !parameter.starts_with('*'));
    let is_private = name.starts_with('_') || attributes.contains("private");
    let off = match () {
        () if wants => Some("it needs arguments"),
        () if attributes.contains("confirm") => Some("it asks before it does anything"),
        // Another recipe that needs it runs it.
        () if is_private => Some("it is private"),
        () => None,
    };
    Some(Entry {
        name: name.to_owned(),
        needs: needs(tail),
        is_hidden: is_private,
        off: off.map(str::to_owned),
        ..Entry::default()
    })
}

/// The colon behind a recipe's name and parameters, whose defaults may have one in quotes.
fn end_of_head(line: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '"' | '\'' | '`') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ':') => return Some(at),
            _ => {}
        }
    }
    None
}

/// The names behind the colon; `(name arguments)` is one that has arguments.
fn needs(tail: &str) -> Vec<String> {
    let tail = tail.split('#').next().unwrap_or_default();
    let (mut needs, mut depth) = (Vec::new(), 0_usize);
    for word in tail.split_whitespace() {
        // Those behind `&&` come afterwards.
        if word == "&&" {
            break;
        }
        let was = depth;
        depth = (depth + word.matches('(').count()).saturating_sub(word.matches(')').count());
        if was == 0 {
            needs.push(word.trim_matches(['(', ')']).to_owned());
        }
    }
    needs
}
