//! How paths are called in keys and records.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Component, Path},
};

/// The name of `path` in keys: relative to `root`, bytes, divided by `/`. A path beside the root is
/// `../…`, so that a tree moved together with its neighbours keeps its names; one that shares no directory
/// with the root but `/` is absolute. Both paths are absolute and free of `.` and `..`.
#[must_use]
pub fn relative_name(root: &Path, path: &Path) -> Vec<u8> {
    if let Some(beneath) = beneath(root, path) {
        return beneath.to_vec();
    }
    let shared = root.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    if shared <= 1 {
        return path.as_os_str().as_bytes().to_vec();
    }
    let ups = root.components().skip(shared).map(|_| b"..".as_slice());
    let downs = path.components().skip(shared).map(Component::as_os_str).map(OsStrExt::as_bytes);
    ups.chain(downs).collect::<Vec<_>>().join(&b'/')
}

/// The name of a directory in the stat cache: relative to `root` if it lies beneath it (empty for the
/// root itself), else absolute.
#[must_use]
pub fn directory_key<'a>(root: &Path, directory: &'a Path) -> &'a [u8] {
    beneath(root, directory).unwrap_or_else(|| directory.as_os_str().as_bytes())
}

/// The rest of a path beneath `root`. As both are absolute and free of `.` and `..` their bytes say it, and
/// need not be taken apart.
fn beneath<'a>(root: &Path, path: &'a Path) -> Option<&'a [u8]> {
    let (root, path) = (root.as_os_str().as_bytes(), path.as_os_str().as_bytes());
    match path.strip_prefix(root)? {
        rest if root.ends_with(b"/") => Some(rest),
        [b'/', rest @ ..] => Some(rest),
        [] => Some(b""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_the_root_where_they_can_be() {
        for (root, path, name, key) in [
            ("/a/b", "/a/b", "", ""),
            ("/a/b", "/a/b/c/d", "c/d", "c/d"),
            ("/a/b", "/a/bc", "../bc", "/a/bc"),
            ("/a/b", "/a", "..", "/a"),
            ("/a/b", "/x", "/x", "/x"),
            ("/", "/x/y", "x/y", "x/y"),
            ("/", "/", "", ""),
        ] {
            let (root, path) = (Path::new(root), Path::new(path));
            assert_eq!(relative_name(root, path), name.as_bytes(), "{root:?} {path:?}");
            assert_eq!(directory_key(root, path), key.as_bytes(), "{root:?} {path:?}");
        }
    }
}
