//! File systems whose events cannot be relied on.

use std::path::Path;

/// Numbers of `statfs`, and what people call these file systems. Over a network only what this machine
/// does itself is told; the others tell nothing or not all.
#[cfg(target_os = "linux")]
const WITHOUT_EVENTS: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"), // virtiofs has the same number
    (0x5346_4846, "WSL's drvfs"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0xaad7_aaea, "PanFS"),
    (0x786f_4256, "VirtualBox's shared folder"),
    (0xbacb_acbc, "VMware's shared folder"),
    (0x7c7c_6673, "Parallels' shared folder"),
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
];

/// What the file system of this directory is called, if its events cannot be relied on. What is not known
/// is trusted: the self-test of the source has the last word.
#[must_use]
#[cfg(target_os = "linux")]
pub fn without_events(directory: &Path) -> Option<&'static str> {
    named(rustix::fs::statfs(directory).ok()?.f_type as u32)
}

#[cfg(target_os = "linux")]
fn named(magic: u32) -> Option<&'static str> {
    WITHOUT_EVENTS.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// `MNT_LOCAL` of `sys/mount.h`.
#[cfg(target_os = "macos")]
const LOCAL: u32 = 0x1000;

/// What the file system of this directory is called, if its events cannot be relied on.
#[must_use]
#[cfg(target_os = "macos")]
pub fn without_events(directory: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(directory).ok()?;
    (found.f_flags & LOCAL == 0).then_some("a file system of the network")
}

/// Nothing is known of others.
#[must_use]
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub fn without_events(_directory: &Path) -> Option<&'static str> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn known_ones_are_named_and_others_trusted() {
        assert_eq!(named(0x6969), Some("NFS"));
        assert_eq!(named(0xef53), None, "ext4");
        assert_eq!(without_events(Path::new("/proc")), Some("proc"));
        assert_eq!(without_events(&std::env::temp_dir()), None);
        assert_eq!(without_events(Path::new("/no such directory")), None);
    }
}
