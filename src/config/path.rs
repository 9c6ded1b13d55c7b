//! Paths as text: no link is followed and no file is asked.

use std::path::{Component, Path, PathBuf};

/// The path without `.` and `..`, judged by its text alone.
#[must_use]
pub fn normalise(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if result.file_name().is_some() => {
                result.pop();
            }
            Component::ParentDir if result.has_root() => {}
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved_by_the_text() {
        for (path, expected) in [
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/../a", "/a"),
            ("a/../b", "b"),
            ("../a", "../a"),
            ("../../a", "../../a"),
        ] {
            assert_eq!(normalise(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
