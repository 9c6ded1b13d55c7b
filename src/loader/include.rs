//! Which directories an `include` means (spec section 1.1).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc,
};

use globset::{GlobBuilder, GlobMatcher};
use ignore::WalkBuilder;

use super::{find, read, world::World};
use crate::{
    config::{Text, normalise},
    diagnostic::Diagnostic,
};

/// The task files an entry of `include` names, in order of their paths, and what is wrong with it.
/// `dir` is the directory of the file that includes. Globs pass over what git ignores and what a dot
/// hides, unless a segment of them begins with a dot.
pub(super) fn files(entry: &Text, dir: &Path, world: &World) -> (Vec<PathBuf>, Vec<Diagnostic>) {
    if !entry.text.contains(['*', '?', '[', '{']) {
        return literal(entry, &normalise(&dir.join(&entry.text)), world);
    }
    let (base, glob) = split(&entry.text);
    let matcher = match compiled(&glob) {
        Ok(matcher) => matcher,
        Err(error) => {
            let message = format!("`{}` is no pattern: {}", entry.text, error.kind());
            let fault = Diagnostic::error("bad-glob", message).at(Some(&entry.place), "");
            return (Vec::new(), vec![fault.hint("write `[[]` for a plain `[`, `[{]` for a plain `{`")]);
        }
    };
    let base = normalise(&dir.join(base));
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    let (directories, endless) = directories(&base, &glob, &matcher);
    if endless.is_empty() {
        world.note_directories(&base, &glob, &directories);
    }
    for file in endless {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        faults.push(read::unreadable(&file, &error).at(Some(&entry.place), "looked at for this"));
    }
    for dir in directories {
        match find::in_directory(&dir, world) {
            Ok(file) => found.extend(file),
            Err(fault) => faults.push(fault.at(Some(&entry.place), "included here")),
        }
    }
    if found.is_empty() && faults.is_empty() {
        faults.push(nothing_matched(entry, &base));
    }
    (found, faults)
}

fn literal(entry: &Text, dir: &Path, world: &World) -> (Vec<PathBuf>, Vec<Diagnostic>) {
    let fault = match find::in_directory(dir, world) {
        Ok(Some(file)) => return (vec![file], Vec::new()),
        Err(fault) => fault.at(Some(&entry.place), "included here"),
        Ok(None) => {
            let message = format!("there is no task file in {}", dir.display());
            let hint = match fs::metadata(dir) {
                Ok(m) if m.is_dir() => format!("add {} there", find::NAMES.join(" or ")),
                Ok(_) => "name the directory, not the file".to_owned(),
                Err(_) => "there is no such directory".to_owned(),
            };
            Diagnostic::error("include", message).at(Some(&entry.place), "included here").hint(hint)
        }
    };
    (Vec::new(), vec![fault])
}

fn nothing_matched(entry: &Text, base: &Path) -> Diagnostic {
    let message = format!("`{}` matches no directory with a task file", entry.text);
    Diagnostic::warning("include", message)
        .at(Some(&entry.place), "")
        .note(format!("looked in {}", base.display()))
        .hint("a glob of `include` names directories")
}

/// The fixed beginning of a glob, and the rest.
fn split(glob: &str) -> (&str, String) {
    let special = glob.find(['*', '?', '[', '{']).unwrap_or(glob.len());
    let cut = glob[..special].rfind('/').map_or(0, |slash| slash + 1);
    (&glob[..cut], glob[cut..].trim_end_matches('/').to_owned())
}

fn compiled(glob: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(GlobBuilder::new(glob).literal_separator(true).build()?.compile_matcher())
}

/// The directories a glob beneath `base` means; none where that cannot be told.
pub(super) fn directories_of(base: &Path, glob: &str) -> Option<Vec<PathBuf>> {
    let (found, endless) = directories(base, glob, &compiled(glob).ok()?);
    endless.is_empty().then_some(found)
}

/// The directories a glob matches, and the files of rules that must not be read: the walker would wait for
/// the writer of a FIFO, and read a device without an end.
fn directories(base: &Path, glob: &str, matcher: &GlobMatcher) -> (Vec<PathBuf>, Vec<PathBuf>) {
    if let Some(file) = base.ancestors().find_map(endless_rules) {
        return (Vec::new(), vec![file]);
    }
    let (send, endless) = mpsc::channel();
    let enters = move |entry: &ignore::DirEntry| {
        let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
        let file = is_dir.then(|| endless_rules(entry.path())).flatten();
        // The receiver lives until the walk is over.
        file.is_none_or(|file| send.send(file).is_err())
    };
    let depth = (!glob.contains("**")).then(|| glob.split('/').count());
    let dotted = glob.split('/').any(|segment| segment.starts_with('.'));
    let mut found: Vec<PathBuf> = WalkBuilder::new(base)
        .max_depth(depth)
        .hidden(!dotted)
        .filter_entry(enters)
        .build()
        // What cannot be looked into has no task file to include; a literal entry would say so.
        .filter_map(Result::ok)
        .map(ignore::DirEntry::into_path)
        .filter(|path| {
            let relative = path.strip_prefix(base).unwrap_or(path);
            !relative.as_os_str().is_empty() && matcher.is_match(relative)
        })
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    (found, endless.try_iter().collect())
}

/// A file of rules in `dir` that is a FIFO or a device. A link to `/dev/null` is a usual way to have none.
fn endless_rules(dir: &Path) -> Option<PathBuf> {
    let endless = |path: &PathBuf| {
        let special = fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
        special && fs::canonicalize(path).ok().as_deref() != Some(Path::new("/dev/null"))
    };
    [".gitignore", ".ignore", ".git/info/exclude"].map(|name| dir.join(name)).into_iter().find(endless)
}
