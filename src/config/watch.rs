//! `watch` of a process (spec section 6) becomes patterns such as tasks have in `execIfModified`.
//!
//! Nothing here can know what is a directory and what is a file. So a path without wildcards becomes a glob that
//! matches either: `src` becomes `sr{c/**,[c]}`, the files beneath `src`, or the file `src`. As a literal it would
//! also mean the hidden and ignored files beneath it (spec section 4.4), which what is started writes itself.

use std::iter;

use super::{decode::Spanned, patterns, resolve::Resolver, table::table, types::List};
use crate::{
    model::{Task, Written},
    pattern::{PatternKind, PatternSet, escape},
};

table! {
    /// Files whose change restarts it. A path without wildcards is a file, or a directory with the files beneath
    /// it, as far as these are neither hidden nor ignored by git. A path whose last name begins with a dot
    /// (`.env`) is meant with all that is beneath it, ignored or not. A path with wildcards or braces means what
    /// it means in `execIfModified`: `{notes.local}` is that file even if git ignores it.
    struct Watch called "`watch`" {
        /// Files, directories and globs, relative to `cwd`.
        "paths" => paths: List<String>;
        /// Extensions that count, with or without the dot. Default: all.
        "extensions" => extensions: List<String>;
        /// What does not count, like lines of a .gitignore: a name or glob without a slash wherever it is, one
        /// with a slash relative to `cwd`.
        "ignore" => ignore: List<String>;
    }
}

/// The entries of a list as patterns, each with its place.
type Entries<'a> = Vec<(Written<String>, &'a Spanned<String>)>;

impl Watch {
    /// The patterns of what restarts a task: what was written, and the pattern that it means as its value.
    pub(super) fn patterns(&self, task: &Task, resolver: &mut Resolver<'_>) -> Vec<Written<String>> {
        let (paths, ignore) =
            (entries(&self.paths, true, task, resolver), entries(&self.ignore, false, task, resolver));
        let extensions = self.extensions(resolver);
        self.check(resolver);
        let (Some(paths), Some(ignore)) = (paths, ignore) else { return Vec::new() };
        let mut made: Entries<'_> = Vec::new();
        for (Written { written, value }, place) in &paths {
            let value = watched(value, &extensions);
            made.push((Written { written: written.clone(), value }, place));
        }
        for (Written { written, value }, place) in ignore.iter().filter(|_| !paths.is_empty()) {
            let values = ignored(value, paths.iter().map(|(path, _)| path.value.as_str()));
            made.extend(values.map(|value| (Written { written: format!("!{written}"), value }, *place)));
        }
        check_made(&made, task, resolver);
        made.into_iter().map(|(pattern, _)| pattern).collect()
    }

    /// The extensions without their dots, to be put into a pattern.
    fn extensions(&self, resolver: &mut Resolver<'_>) -> Vec<String> {
        let mut result = Vec::new();
        for extension in self.extensions.iter().flat_map(|list| &list.value.0) {
            let bare = extension.value.strip_prefix('.').unwrap_or(&extension.value);
            if bare.is_empty() || bare.contains(['/', '\0']) {
                let message = format!("`{}` is no extension", extension.value);
                resolver.fault("bad-value", &extension.span, message, "write it as `rs`");
            }
            result.push(escape(bare));
        }
        result
    }

    /// The rules between its fields, in our own files.
    fn check(&self, resolver: &mut Resolver<'_>) {
        let full = |list: &Option<Spanned<List<String>>>| {
            list.as_ref().filter(|list| !list.value.0.is_empty()).map(|list| list.span.clone())
        };
        let rest = full(&self.extensions).or_else(|| full(&self.ignore));
        if let Some(span) = rest.filter(|_| full(&self.paths).is_none() && resolver.is_ours()) {
            let hint = "add `paths = [\".\"]` for everything in its directory";
            resolver.fault("missing-key", &span, "`watch` says nothing without `paths`", hint);
        }
        for glob in self.ignore.iter().flat_map(|list| &list.value.0).filter(|g| g.value.starts_with('!')) {
            let hint = "what `ignore` leaves out cannot be put back: narrow the other patterns";
            resolver.fault("bad-value", &glob.span, "`ignore` has no negations", hint);
        }
    }
}

/// The entries of a list with their substitutions made; none after their faults were noted. The paths of devenv's
/// lists are paths whatever their characters.
fn entries<'a>(
    list: &'a Option<Spanned<List<String>>>,
    paths: bool,
    task: &Task,
    resolver: &mut Resolver<'_>,
) -> Option<Entries<'a>> {
    let mut written = resolver.patterns(list.as_ref());
    if paths && !resolver.is_ours() {
        written.iter_mut().for_each(|path| path.value = escape(&path.value));
    }
    patterns::check(&written, list.as_ref(), &task.pattern_bases, PatternKind::Inputs, resolver)?;
    Some(written.into_iter().zip(list.iter().flat_map(|list| &list.value.0)).collect())
}

/// What was made of sound texts may still be too much.
fn check_made(made: &Entries<'_>, task: &Task, resolver: &mut Resolver<'_>) {
    let values: Vec<String> = made.iter().map(|(pattern, _)| pattern.value.clone()).collect();
    let faults = PatternSet::new(&task.pattern_bases, &values, PatternKind::Inputs).err();
    for fault in faults.into_iter().flatten() {
        if let Some((_, place)) = made.get(fault.index) {
            let message = format!("`{}` cannot be watched: {}", place.value, fault.message);
            resolver.fault("bad-glob", &place.span, message, &fault.hint);
        }
    }
}

/// The pattern of an entry of `paths`. Extensions are escaped.
fn watched(path: &str, extensions: &[String]) -> String {
    let bare = path.trim_end_matches('/');
    let beneath = match extensions {
        [] => "/**".to_owned(),
        [one] => format!("/**/*.{one}"),
        several => format!("/**/*.{{{}}}", several.join(",")),
    };
    let fits = |name: &str| extensions.iter().any(|e| name.ends_with(&format!(".{e}")));
    if is_glob(path) {
        return if extensions.is_empty() || path.starts_with('!') || fits(path) {
            path.to_owned()
        } else if bare.len() < path.len() {
            format!("{bare}{beneath}")
        } else {
            let files: String = extensions.iter().map(|e| format!(".{e},")).collect();
            format!("{bare}{{{files}{beneath}}}")
        };
    }
    let name = bare.rsplit('/').next().unwrap_or(bare);
    let is_directory = bare.len() < path.len() || name == "." || name == "..";
    if is_directory || !extensions.is_empty() && !fits(name) {
        format!("{bare}{beneath}")
    } else if name.starts_with('.') {
        bare.to_owned()
    } else {
        file_or_beneath(bare, &beneath)
    }
}

/// A literal path as a glob for the file of that name, or what is beneath the directory: a class of one character
/// makes it one that passes over directories.
fn file_or_beneath(path: &str, beneath: &str) -> String {
    let Some((mut at, last)) = path.char_indices().next_back() else { return path.to_owned() };
    let escapes = path[..at].len() - path[..at].trim_end_matches('\\').len();
    at -= escapes % 2;
    let class = if last.is_alphanumeric() || last == '_' { last.to_string() } else { format!("\\{last}") };
    let plain = if last == ',' { "\\," } else { &path[at..] };
    format!("{}{{{plain}{beneath},[{class}]}}", &path[..at])
}

/// Whether a path has characters that mean more than themselves.
fn is_glob(path: &str) -> bool {
    let mut escaped = false;
    path.starts_with('!')
        || path.chars().any(|c| {
            let is_special = !escaped && "*?[{".contains(c);
            escaped = !escaped && c == '\\';
            is_special
        })
}

/// The patterns of an entry of `ignore`. One without a slash counts wherever it is: beneath the directory the
/// process runs in, and beneath every path that may lie outside of that. A name above these is none of its business.
fn ignored<'a>(
    glob: &'a str,
    paths: impl Iterator<Item = &'a str> + 'a,
) -> impl Iterator<Item = String> + 'a {
    let bare = glob.trim_end_matches('/');
    let everywhere = !bare.contains('/') && !bare.is_empty();
    let whole = if everywhere {
        format!("!**/{bare}")
    } else {
        format!("!{}", if bare.is_empty() { "/" } else { bare })
    };
    let outside = paths.filter(move |path| everywhere && path.starts_with(['/', '.']));
    let outside = outside.map(move |path| format!("!{}/**/{bare}", path.trim_end_matches('/')));
    iter::once(whole).chain(outside)
}
