//! Where the socket is: in the state directory, or, where the path of that is too long for the address of a socket, in
//! a private directory of its own, with a file in the state directory that says where.
//!
//! Only the user can have made any of it: directories are the user's and open to nobody else, what is a link is not
//! followed (hazards E5 and E7). What a killed owner left is in nobody's way: nobody answers there, and the next owner
//! puts its own in the place, under the lock.

use std::{
    ffi::OsString,
    fs::{self, Metadata, Permissions},
    io,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
        net::{SocketAddr, UnixListener},
    },
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use crate::{
    process::RuntimeDir,
    store::{read_private, write_private},
};

const SOCKET: &str = "socket";
/// Says where the socket is, if it is not here.
const POINTER: &str = "socket.at";
/// No path is longer.
const LONGEST: u64 = 4096;

/// A socket of ours. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    made: Vec<PathBuf>,
    /// The directory it is in, if that is its own.
    elsewhere: Option<RuntimeDir>,
}

impl Place {
    /// Listens in this state directory, or in a directory of its own in one of `bases`. Whoever does so holds the lock.
    pub(crate) fn listen(state_dir: &Path, bases: &[PathBuf]) -> io::Result<(UnixListener, Self)> {
        let (here, pointer) = (state_dir.join(SOCKET), state_dir.join(POINTER));
        remove(&here)?;
        remove(&pointer)?;
        let mut place = Self { made: vec![here.clone()], elsewhere: None };
        // Not every file system has sockets.
        if let Ok(listener) = bind(&here) {
            return Ok((listener, place));
        }
        let dir = RuntimeDir::create(bases)?;
        let there = dir.path().join(SOCKET);
        place.made.extend([pointer.clone(), there.clone()]);
        place.elsewhere = Some(dir);
        let listener = bind(&there)?;
        write_private(&pointer, there.as_os_str().as_bytes())?;
        Ok((listener, place))
    }

    /// The directory it is in, if that is its own.
    pub(crate) fn elsewhere(&self) -> Option<&Path> {
        self.elsewhere.as_ref().map(RuntimeDir::path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for path in &self.made {
            // What stays is in nobody's way.
            let _ = remove(path);
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The address of the socket that an owner of this state directory made, if there is one that only the user can have
/// made. It may be a dead one.
pub(crate) fn find(state_dir: &Path) -> Option<SocketAddr> {
    if !is_private(state_dir) {
        return None;
    }
    let here = state_dir.join(SOCKET);
    if is_socket(&here) {
        return SocketAddr::from_pathname(here).ok();
    }
    let there = PathBuf::from(OsString::from_vec(read_private(&state_dir.join(POINTER), LONGEST)?));
    let found = is_private(there.parent()?) && is_socket(&there);
    SocketAddr::from_pathname(there).ok().filter(|_| found)
}

/// Whether this is a directory of the user's that nobody else can get into.
fn is_private(dir: &Path) -> bool {
    ours(dir).is_some_and(|found| found.is_dir() && found.mode() & 0o077 == 0)
}

fn is_socket(path: &Path) -> bool {
    ours(path).is_some_and(|found| found.file_type().is_socket())
}

fn ours(path: &Path) -> Option<Metadata> {
    fs::symlink_metadata(path).ok().filter(|found| found.uid() == geteuid().as_raw())
}
