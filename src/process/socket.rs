//! Stream sockets, closed on exec from their beginning where the system can do that.

use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{AddressFamily, SocketType},
};

#[cfg(target_os = "linux")]
pub(super) fn stream(family: AddressFamily) -> Result<OwnedFd, Errno> {
    use rustix::net::{SocketFlags, socket_with};
    socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn stream(family: AddressFamily) -> Result<OwnedFd, Errno> {
    use rustix::io::{FdFlags, fcntl_setfd};
    // A child that is started between the two calls would get it: nobody starts one now.
    let _nobody_starts = super::children::nobody_starts();
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    Ok(socket)
}
