//! What lies above the directory that a proposal is for, as far as its repository goes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use devtask::{propose::includes, scan::read_regular};

use super::{LARGEST, OURS};

/// The directories above, the nearest first, up to the top of the repository.
fn above(dir: &Path) -> impl Iterator<Item = &Path> {
    let is_top = |dir: &Path| dir.join(".git").symlink_metadata().is_ok();
    let last = dir.ancestors().find(|dir| is_top(dir));
    dir.ancestors().skip(1).take_while(move |dir| last.is_none_or(|last| dir.starts_with(last)))
}

fn text(path: &Path) -> Option<String> {
    String::from_utf8(read_regular(path, LARGEST).ok()?).ok()
}

/// The nearest task file above, if no task file there includes the directory.
pub(super) fn foreign_tree(dir: &Path) -> Option<PathBuf> {
    let mut nearest = None;
    for above in above(dir) {
        let inner = dir.strip_prefix(above).ok()?.to_str()?;
        for path in OURS.map(|name| above.join(name)) {
            if text(&path).is_some_and(|text| includes(&text, inner)) {
                return None;
            }
            if nearest.is_none() && fs::metadata(&path).is_ok_and(|found| found.is_file()) {
                nearest = Some(path);
            }
        }
    }
    nearest
}

/// The way up to the root of a workspace of cargo that has its lock file.
pub(super) fn cargo_workspace(dir: &Path) -> Option<String> {
    let is_root = |dir: &Path| {
        let manifest = text(&dir.join("Cargo.toml")).and_then(|text| text.parse::<toml::Table>().ok());
        manifest.is_some_and(|manifest| manifest.contains_key("workspace"))
            && dir.join("Cargo.lock").is_file()
    };
    let steps = above(dir).position(is_root)? + 1;
    Some(vec![".."; steps].join("/"))
}
