//! Random trees and random patterns, judged by a plain recursive matcher that knows nothing of states,
//! beginnings or shared walks.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use devtask::pattern::{PatternKind, PatternSet};
use fastrand::Rng;

use crate::support::Tree;

const NAMES: [&str; 8] = ["a", "b", "ab", ".h", "gen", "x.rs", "y.md", ".e.rs"];
const SEGMENTS: [&str; 14] =
    ["*", "**", "**", "*.rs", "?", "a", "b", "gen", ".h", ".*", "[ab]", "[!a]*", "{a,b}", "{gen,a/b}"];
const RULES: [&str; 7] = ["gen", "*.md", "b/", "!gen", "/a", "!*.md", "x.*"];

#[test]
fn the_walk_agrees_with_a_plain_matcher() {
    let mut rng = Rng::with_seed(7);
    for round in 0..150 {
        let tree = Tree::new(&[]);
        if rng.bool() {
            tree.add(".git/HEAD");
        }
        grow(&mut rng, &tree.root, 0);
        let lists: Vec<Vec<String>> = (0..6).map(|_| patterns(&mut rng)).collect();
        let kinds = [PatternKind::Inputs, PatternKind::Outputs];
        let sets: Vec<PatternSet> = lists
            .iter()
            .zip(kinds.iter().cycle())
            .map(|(list, &kind)| PatternSet::new(std::slice::from_ref(&tree.root), list, kind).unwrap())
            .collect();
        let found = tree.scanner(1).walk(&sets.iter().collect::<Vec<_>>());
        let entries = entries(&tree.root);
        let rules = rules(&tree.root, &entries);
        for ((list, set), found) in lists.iter().zip(&sets).zip(&found) {
            let oracle = Oracle { rules: &rules, alternatives: expand(list), kind: set.kind() };
            let expected: BTreeSet<&str> = entries
                .iter()
                .filter(|(name, dir)| oracle.matches(name, *dir))
                .map(|(name, _)| name.as_str())
                .collect();
            let names: Vec<String> = found.entries.iter().map(|e| tree.name(&e.path)).collect();
            let got: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            assert_eq!(got, expected, "round {round}, {list:?} {:?} of {entries:?}", set.kind());
            for (name, dir) in entries.iter().filter(|(_, dir)| !dir) {
                let by_name = Oracle { kind: PatternKind::Outputs, ..oracle.clone() };
                if set.kind() == PatternKind::Outputs {
                    assert_eq!(
                        set.matches(&tree.path(name)),
                        by_name.matches(name, *dir),
                        "{list:?} on {name}"
                    );
                }
            }
        }
    }
}

#[test]
fn many_threads_find_what_one_finds() {
    let mut rng = Rng::with_seed(11);
    let tree = Tree::new(&[".gitignore=gen"]);
    for n in 0..60 {
        let top = tree.path(&format!("d{n}"));
        fs::create_dir(&top).unwrap();
        (0..30).for_each(|f| fs::write(top.join(format!("{f}.rs")), "").unwrap());
        grow(&mut rng, &top, 1);
    }
    let sets = ["**", "d1*/**/*.rs !**/b", "d2", "d3/gen/*", "**/x.*"].map(|p| tree.inputs(p));
    let alone = tree.scanner(1).walk(&sets.each_ref());
    assert!(alone[0].entries.len() > 1_800);
    for threads in [2, 3, 8] {
        assert!(alone == tree.scanner(threads).walk(&sets.each_ref()), "{threads} threads");
    }
}

fn grow(rng: &mut Rng, directory: &Path, depth: usize) {
    if rng.u8(..3) == 0 {
        let rules: Vec<&str> = (0..rng.usize(1..3)).map(|_| RULES[rng.usize(..RULES.len())]).collect();
        fs::write(directory.join(".gitignore"), rules.join("\n")).unwrap();
    }
    for name in NAMES {
        match rng.u8(..4) {
            0 if depth < 3 => {
                fs::create_dir(directory.join(name)).unwrap();
                grow(rng, &directory.join(name), depth + 1);
            }
            1 => fs::write(directory.join(name), "").unwrap(),
            _ => {}
        }
    }
}

fn patterns(rng: &mut Rng) -> Vec<String> {
    let one = |rng: &mut Rng| {
        let segments: Vec<&str> =
            (0..rng.usize(1..5)).map(|_| SEGMENTS[rng.usize(..SEGMENTS.len())]).collect();
        format!("{}{}", if rng.u8(..4) == 0 { "!" } else { "" }, segments.join("/"))
    };
    (0..rng.usize(1..4)).map(|_| one(rng)).collect()
}

/// Every entry but those git keeps, relative to the root, and whether it is a directory.
fn entries(root: &Path) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    let mut open = vec![String::new()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(root.join(&directory)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if name != ".git" {
                let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
                let is_directory = entry.file_type().unwrap().is_dir();
                if is_directory {
                    open.push(path.clone());
                }
                all.push((path, is_directory));
            }
        }
    }
    all
}

/// Patterns without their braces, each as its segments and whether it is negated.
fn expand(list: &[String]) -> Vec<(bool, Vec<String>)> {
    let mut texts: Vec<String> = list.to_vec();
    while let Some(at) = texts.iter().position(|t| t.contains('{')) {
        let text = texts.swap_remove(at);
        let (head, rest) = text.split_once('{').unwrap();
        let (inner, tail) = rest.split_once('}').unwrap();
        texts.extend(inner.split(',').map(|one| format!("{head}{one}{tail}")));
    }
    let split = |text: &str| text.split('/').map(str::to_owned).collect();
    texts
        .iter()
        .map(|t| t.strip_prefix('!').map_or_else(|| (false, split(t)), |t| (true, split(t))))
        .collect()
}

/// The text of each directory's `.gitignore`.
fn rules(root: &Path, entries: &[(String, bool)]) -> HashMap<String, String> {
    let directories = entries.iter().filter(|(_, directory)| *directory).map(|(name, _)| name.clone());
    let text =
        |name: String| fs::read_to_string(root.join(&name).join(".gitignore")).ok().map(|text| (name, text));
    directories.chain([String::new()]).filter_map(text).collect()
}

#[derive(Clone)]
struct Oracle<'a> {
    rules: &'a HashMap<String, String>,
    alternatives: Vec<(bool, Vec<String>)>,
    kind: PatternKind,
}

impl Oracle<'_> {
    fn matches(&self, name: &str, directory: bool) -> bool {
        let removed = self.alternatives.iter().any(|(negated, s)| *negated && removes(s, name));
        !removed && self.alternatives.iter().any(|(negated, s)| !negated && self.takes(s, name, directory))
    }

    fn takes(&self, segments: &[String], name: &str, directory: bool) -> bool {
        let fixed: Vec<String> = segments.iter().take_while(|s| !is_wild(s)).cloned().collect();
        if fixed.len() == segments.len() {
            let fixed = fixed.join("/");
            return name == fixed || name.starts_with(&format!("{fixed}/"));
        }
        let path: Vec<&str> = name.split('/').collect();
        let everything = self.kind == PatternKind::Outputs;
        !directory
            && path.len() > fixed.len()
            && path[..fixed.len()] == fixed[..]
            && fits(&segments[fixed.len()..], &path[fixed.len()..], everything)
            && (everything || !self.ignored(name, false) || self.ignored(&fixed.join("/"), true))
    }

    /// Whether git ignores the entry or a directory above it.
    fn ignored(&self, name: &str, directory: bool) -> bool {
        let path: Vec<&str> = name.split('/').filter(|s| !s.is_empty()).collect();
        (1..=path.len()).any(|end| self.ignored_itself(&path[..end], end < path.len() || directory))
    }

    fn ignored_itself(&self, path: &[&str], directory: bool) -> bool {
        let name = path[path.len() - 1];
        for depth in (0..path.len()).rev() {
            let rules = self.rules.get(&path[..depth].join("/")).map_or("", String::as_str);
            for rule in rules.lines().rev() {
                let (negated, rule) = rule.strip_prefix('!').map_or((false, rule), |rule| (true, rule));
                let (only_directory, rule) =
                    rule.strip_suffix('/').map_or((false, rule), |rule| (true, rule));
                let here = !rule.starts_with('/') || depth + 1 == path.len();
                if here && (directory || !only_directory) && wild(rule.trim_start_matches('/'), name) {
                    return !negated;
                }
            }
        }
        false
    }
}

fn removes(segments: &[String], name: &str) -> bool {
    let path: Vec<&str> = name.split('/').collect();
    (1..=path.len()).any(|end| fits(segments, &path[..end], true))
}

fn is_wild(segment: &str) -> bool {
    segment.contains(['*', '?', '['])
}

fn fits(segments: &[String], path: &[&str], hidden: bool) -> bool {
    match (segments, path) {
        ([], []) => true,
        ([], _) | ([_, ..], []) => false,
        ([first, rest @ ..], [name, deeper @ ..]) if first == "**" => {
            let passes = hidden || !name.starts_with('.');
            passes && (rest.is_empty() && deeper.is_empty() || fits(segments, deeper, hidden))
                || !rest.is_empty() && fits(rest, path, hidden)
        }
        ([first, rest @ ..], [name, deeper @ ..]) => {
            let visible = hidden || !name.starts_with('.') || first.starts_with('.');
            visible && wild(first, name) && fits(rest, deeper, hidden)
        }
    }
}

fn wild(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    let after = |name: &str| name.chars().next().map(|c| name[c.len_utf8()..].to_owned());
    match first {
        '*' => wild(rest, name) || after(name).is_some_and(|name| wild(pattern, &name)),
        '?' => after(name).is_some_and(|name| wild(rest, &name)),
        '[' => {
            let (set, rest) = rest.split_once(']').unwrap();
            let (negated, set) = set.strip_prefix('!').map_or((false, set), |set| (true, set));
            name.chars()
                .next()
                .is_some_and(|c| set.contains(c) != negated && wild(rest, &name[c.len_utf8()..]))
        }
        _ => name.starts_with(first) && wild(rest, &name[first.len_utf8()..]),
    }
}
