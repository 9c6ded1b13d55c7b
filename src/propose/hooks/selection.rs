//! Which files a hook of pre-commit is about: kinds of files and regular expressions, as patterns where that is sure.

use serde_json::Value;

use crate::pattern::escape;
use crate::propose::{paths, sources};

/// Kinds of files, and their endings.
const KINDS: &[(&str, &str)] = &[
    ("c", "*.{c,h}"),
    ("c++", "*.{cc,cpp,cxx,hh,hpp,hxx}"),
    ("css", "*.css"),
    ("dockerfile", "{Dockerfile,*.dockerfile}"),
    ("go", "*.go"),
    ("html", "*.{htm,html}"),
    ("java", "*.java"),
    ("javascript", "*.{cjs,js,mjs}"),
    ("json", "*.json"),
    ("jsx", "*.jsx"),
    ("kotlin", "*.{kt,kts}"),
    ("lua", "*.lua"),
    ("markdown", "*.{markdown,md}"),
    ("nix", "*.nix"),
    ("php", "*.php"),
    ("proto", "*.proto"),
    ("pyi", "*.pyi"),
    ("python", "*.{py,pyi}"),
    ("ruby", "*.rb"),
    ("rust", "*.rs"),
    ("scss", "*.scss"),
    ("shell", "*.{bash,sh}"),
    ("sql", "*.sql"),
    ("swift", "*.swift"),
    ("terraform", "*.{tf,tfvars}"),
    ("toml", "*.toml"),
    ("ts", "*.{cts,mts,ts}"),
    ("tsx", "*.tsx"),
    ("vue", "*.vue"),
    ("yaml", "*.{yaml,yml}"),
];

/// Patterns for the files of a hook, or what cannot be said as one.
pub(super) fn files(hook: &Value) -> Result<Vec<String>, String> {
    let text = |name: &str| hook.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let strings = |name: &str| sources::json_strings(hook.get(name));
    if let Some(other) = strings("exclude_types").first() {
        return Err(format!("exclude_types {other}"));
    }
    let all: Vec<String> = strings("types").into_iter().filter(|kind| !is_any(kind)).collect();
    let one_of = strings("types_or");
    let of_kind = match (all.as_slice(), one_of.is_empty() || one_of.iter().any(|kind| is_any(kind))) {
        ([], true) => Vec::new(),
        ([kind], true) => vec![pattern_of_kind(kind)?],
        ([], false) => one_of.iter().map(|kind| pattern_of_kind(kind)).collect::<Result<_, _>>()?,
        _ => return Err(format!("types {}", [all, one_of].concat().join(", "))),
    };
    let matched =
        text("files").map(|regex| pattern(regex).ok_or_else(|| format!("files {regex}"))).transpose()?;
    let mut files = match (of_kind.as_slice(), matched) {
        ([], None) => vec!["**".to_owned()],
        ([], Some(pattern)) => vec![pattern],
        (_, None) => of_kind,
        // Both have to hold: where the directory is said, the kind goes into it.
        (_, Some(pattern)) => match pattern.strip_suffix("/**") {
            Some(dir) => of_kind.iter().map(|kind| paths::join(dir, kind)).collect(),
            None => return Err(format!("files {} of some types", text("files").unwrap_or_default())),
        },
    };
    if let Some(regex) = text("exclude") {
        files.push(format!("!{}", pattern(regex).ok_or_else(|| format!("exclude {regex}"))?));
    }
    Ok(files)
}

/// What every file is that has a content one could look at.
fn is_any(kind: &str) -> bool {
    ["file", "text"].contains(&kind)
}

fn pattern_of_kind(kind: &str) -> Result<String, String> {
    let found = KINDS.iter().find(|(name, _)| *name == kind);
    found.map(|(_, files)| format!("**/{files}")).ok_or_else(|| format!("types {kind}"))
}

/// The pattern for what a plain regular expression finds in a path: a directory, an ending, or one file.
pub(in crate::propose) fn pattern(regex: &str) -> Option<String> {
    if let Some(rest) = regex.strip_prefix('^') {
        return match rest.strip_suffix('$') {
            Some(path) => literal(path).map(|path| escape(&path)),
            None => literal(rest.strip_suffix('/')?).map(|dir| format!("{}/**", escape(&dir))),
        };
    }
    let ending = regex.strip_prefix(r"\.")?.strip_suffix('$')?;
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
    if is_word(ending) {
        return Some(format!("**/*.{ending}"));
    }
    let inner = ending.strip_prefix('(')?.strip_suffix(')')?;
    let words: Vec<&str> = inner.strip_prefix("?:").unwrap_or(inner).split('|').collect();
    words.iter().all(|word| is_word(word)).then(|| format!("**/*.{{{}}}", words.join(",")))
}

/// What a regular expression says that means nothing but itself.
fn literal(regex: &str) -> Option<String> {
    let (mut plain, mut chars) = (String::new(), regex.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.push(chars.next().filter(char::is_ascii_punctuation)?),
            c if c.is_ascii_alphanumeric() || "_-/ ".contains(c) => plain.push(c),
            _ => return None,
        }
    }
    (!plain.is_empty()).then_some(plain)
}
