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
    if let Ok(beneath) = path.strip_prefix(root) {
        return beneath.as_os_str().as_bytes().to_vec();
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
    directory.strip_prefix(root).unwrap_or(directory).as_os_str().as_bytes()
}
