//! How a program gets its sockets: as descriptors from 3 on, with the variables of `sd_listen_fds(3)`.
//!
//! Its own number is known to nobody before it exists, so a shell is started in its place, which writes
//! `LISTEN_PID` and becomes the program: number and process group stay the same.

use std::{
    io,
    os::fd::{AsRawFd as _, RawFd},
    process,
};

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::fcntl_dupfd_cloexec,
};

use super::{Command, listen};

/// What becomes of the program. That it is given as arguments spares us quoting.
const BECOME_IT: &str = r#"LISTEN_PID=$$; export LISTEN_PID; exec "$@""#;
/// The shell that every system has.
pub(super) const SHELL: &str = "/bin/sh";
/// What belongs to the sockets of one process, and to none of its children.
pub(super) const VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
/// The number of the first socket, `SD_LISTEN_FDS_START`.
const FIRST: RawFd = 3;

/// A command for `std`, ready to be started.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) command: process::Command,
    /// Numbers that must not be free while it is started.
    _occupied: Vec<OwnedFd>,
}

impl Prepared {
    /// A command without sockets, as it is.
    pub(super) const fn plain(command: process::Command) -> Self {
        Self { command, _occupied: Vec::new() }
    }

    /// The shell that becomes `wanted`, with its sockets.
    pub(super) fn with_sockets(wanted: &Command) -> io::Result<Self> {
        let sockets = &wanted.sockets;
        let mut command = process::Command::new(SHELL);
        command.args(["-c", BECOME_IT, "sh"]).arg(&wanted.program).args(&wanted.args);
        wanted.surround(&mut command);
        command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", listen::names(sockets));
        let sockets: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
        Self::with(command, &sockets)
    }

    /// A command with a descriptor of its own.
    pub(super) fn with_third(command: process::Command, third: impl AsFd) -> io::Result<Self> {
        Self::with(command, &[third.as_fd()])
    }

    /// With these as descriptors from 3 on.
    fn with(mut command: process::Command, descriptors: &[BorrowedFd<'_>]) -> io::Result<Self> {
        let end = FIRST + RawFd::try_from(descriptors.len()).map_err(io::Error::other)?;
        let occupied = occupy(descriptors[0], end)?;
        let duplicate = |(child_fd, descriptor)| -> io::Result<FdMapping> {
            // Closed on exec, so the program has each once.
            Ok(FdMapping { parent_fd: fcntl_dupfd_cloexec(descriptor, end)?, child_fd })
        };
        let mappings = (FIRST..).zip(descriptors).map(duplicate).collect::<io::Result<_>>()?;
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        Ok(Self { command, _occupied: occupied })
    }
}

/// Takes every number below `end` that is free. In the new process a pipe of std's tells whether the program
/// could be executed; were its number one of these, a socket would take its place, and a failure be lost.
fn occupy(descriptor: BorrowedFd<'_>, end: RawFd) -> io::Result<Vec<OwnedFd>> {
    let mut occupied = Vec::new();
    loop {
        let next = fcntl_dupfd_cloexec(descriptor, FIRST)?;
        if next.as_raw_fd() >= end {
            return Ok(occupied);
        }
        occupied.push(next);
    }
}
