//! Paths as text, from the directory everything is proposed for: `""` is that directory, `/` stands between names.

use crate::pattern::escape;

/// A name in a directory.
pub(super) fn join(dir: &str, name: &str) -> String {
    match (dir, name) {
        ("", _) => name.to_owned(),
        (_, "") => dir.to_owned(),
        _ => format!("{dir}/{name}"),
    }
}

/// The directory of a path, and its last name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// What a path means that is written in a file of `dir`; none where it leads out of everything.
pub(super) fn resolve(dir: &str, written: &str) -> Option<String> {
    if written.starts_with('/') {
        return None;
    }
    let mut names: Vec<&str> = dir.split('/').filter(|name| !name.is_empty()).collect();
    for name in written.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// A directory and those above it, up to the root.
pub(super) fn upward(dir: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(dir), |dir| (!dir.is_empty()).then(|| split(dir).0))
}

/// What is left of `path` in `dir`, if it lies there or is that directory.
pub(super) fn beneath<'a>(path: &'a str, dir: &str) -> Option<&'a str> {
    match path.strip_prefix(dir)? {
        rest if dir.is_empty() => Some(rest),
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

/// How many names a directory has.
pub(super) fn depth(dir: &str) -> usize {
    dir.split('/').filter(|name| !name.is_empty()).count()
}

/// A path as seen from the directory `from`.
pub(super) fn relative(from: &str, path: &str) -> String {
    // The one root lies above both.
    let common = upward(from).find(|above| beneath(path, above).is_some()).unwrap_or_default();
    let ups = depth(from) - depth(common);
    let rest = beneath(path, common).unwrap_or_default();
    join(vec![".."; ups].join("/").as_str(), rest)
}

/// A pattern for exactly this path, seen from the directory `from`.
pub(super) fn literal(from: &str, path: &str) -> String {
    escape(&relative(from, path))
}

/// A word for the shell.
pub(super) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
