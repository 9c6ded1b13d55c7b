//! Small files of ours that may be lost at any time.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

/// What a private file of ours holds. None if it cannot be read, or is anything but a regular file of mode 0600
/// that belongs to the user and is no longer than `limit`: what others could have written is not believed.
#[must_use]
pub fn read_private(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok()?;
    let is_ours = meta.is_file()
        && meta.mode() & 0o7777 == 0o600
        && meta.uid() == rustix::process::geteuid().as_raw()
        && meta.len() <= limit;
    let mut content = vec![0; usize::try_from(meta.len()).ok().filter(|_| is_ours)?];
    file.read_exact(&mut content).ok()?;
    Some(content)
}

/// Puts a private file in its place, as a whole. It need not survive a power cut: who reads it must check it.
///
/// # Errors
/// The system's; what was there before is there still.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    // What a killed process left, or somebody put there, is not written through.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(content)?;
    fs::rename(&aside, path)
}

/// Removes the oldest files of a directory of ours, all but `most`. Nothing needs any of them.
pub fn prune_private(dir: &Path, most: usize) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let written = |entry: &fs::DirEntry| entry.metadata().and_then(|meta| meta.modified()).ok();
    let mut files: Vec<_> = entries.map(|entry| (written(&entry), entry.path())).collect();
    files.sort();
    for (_, path) in files.iter().take(files.len().saturating_sub(most)) {
        // What cannot be removed now is tried again with the next one.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_what_nobody_else_can_have_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        assert_eq!(read_private(&file, 9), None);
        write_private(&file, b"first").unwrap();
        write_private(&file, b"second").unwrap();
        assert_eq!(read_private(&file, 9).as_deref(), Some(&b"second"[..]));
        assert_eq!(read_private(&file, 5), None, "too long");
        symlink(&file, &link).unwrap();
        assert_eq!(read_private(&link, 9), None, "a link");
        for mode in [0o644, 0o660, 0o4600] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_private(&file, 9), None, "{mode:o}");
        }
        assert_eq!(read_private(dir.path(), u64::MAX), None, "a directory");
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, victim) = (dir.path().join("file"), dir.path().join("victim"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, file.with_extension("new")).unwrap();
        write_private(&file, b"content").unwrap();
        assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
        assert_eq!(read_private(&file, 9).as_deref(), Some(&b"content"[..]));
    }
}
