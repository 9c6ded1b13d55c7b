//! The file of a unix socket: bound, and removed when nobody listens at it any more.

use std::{
    fs::{self, Metadata, Permissions},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fd::OwnedFd,
    io::{Errno, ioctl_fionbio},
    net::{AddressFamily, SocketAddrUnix, bind, connect},
};

use super::{ListenFault, socket};

/// The file of a socket of ours. Removed when dropped, unless another has come into its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    /// Binds a socket there, with this mode. It does not listen yet: until then nobody can connect, so the
    /// mode is right in time.
    pub(super) fn bind(path: &Path, mode: u32) -> Result<(OwnedFd, Self), ListenFault> {
        let other = |source: io::Error| ListenFault::Other { on: path.display().to_string(), source };
        make_room(path)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(other)?;
        }
        let socket = socket::stream(AddressFamily::UNIX).map_err(|e| other(e.into()))?;
        // Not beside it and then renamed: programs ask the system for the path of their socket, which stays
        // the one it was bound to.
        let address = SocketAddrUnix::new(path).map_err(|e| other(e.into()))?;
        bind(&socket, &address).map_err(|e| match e {
            Errno::ADDRINUSE => ListenFault::Live { path: path.to_owned() },
            e => other(e.into()),
        })?;
        let file = Self::of(path).map_err(other)?;
        fs::set_permissions(path, Permissions::from_mode(mode & 0o7777)).map_err(other)?;
        Ok((socket, file))
    }

    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        if !found.file_type().is_socket() {
            return Err(io::Error::other("something else took its place"));
        }
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    fn is_still(&self, found: &Metadata) -> bool {
        found.file_type().is_socket() && (found.dev(), found.ino()) == (self.device, self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| self.is_still(&found)) {
            // One that stays is taken for a dead one's, and replaced.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes what a process left that died, and nothing else.
fn make_room(path: &Path) -> Result<(), ListenFault> {
    let other = |source: io::Error| ListenFault::Other { on: path.display().to_string(), source };
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(other(e)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(ListenFault::NoSocket { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match try_to_connect(path) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::CONNREFUSED) => match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(other(e)),
            _ => Ok(()),
        },
        // One that is too busy to accept, or of another kind, is in somebody's hands, too.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => {
            Err(ListenFault::Live { path: path.to_owned() })
        }
        Err(e) => Err(other(e.into())),
    }
}

/// Connects, without waiting for room.
fn try_to_connect(path: &Path) -> Result<(), Errno> {
    let address = SocketAddrUnix::new(path)?;
    let socket = socket::stream(AddressFamily::UNIX)?;
    ioctl_fionbio(&socket, true)?;
    connect(&socket, &address)
}
