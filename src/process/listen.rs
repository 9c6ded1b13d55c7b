//! Sockets that are opened for a process before it starts: socket activation, as `sd_listen_fds(3)` has it.
//!
//! The process finds them as descriptors 3, 4 and so on, blocking, with `LISTEN_FDS`, `LISTEN_FDNAMES` and
//! `LISTEN_PID` beside them. Who opened them keeps them, so that while a process is started anew those who
//! connect wait instead of being refused.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs as _},
    path::PathBuf,
    sync::Arc,
};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    net::listen,
};
use thiserror::Error;

use super::{PortTaken, unix_socket::SocketFile};

/// Connections that may wait until they are accepted; the system may allow less.
const BACKLOG: i32 = 1024;
/// The longest name of a socket, in bytes; so long as `sd_listen_fds_with_names(3)` takes it.
const LONGEST_NAME: usize = 255;

/// What a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenOn {
    /// A TCP address, `host:port`: the host a name or an address, one of IPv6 in brackets. With port 0 the
    /// system chooses.
    Tcp(String),
    /// A unix stream socket.
    Unix {
        /// Its path, absolute. Directories it lacks are created.
        path: PathBuf,
        /// Its permission bits; none: 0600, so only its user can connect.
        mode: Option<u32>,
    },
}

/// A listening socket, with the name it has in `$LISTEN_FDNAMES`. Clones are the same socket, and no other
/// is equal. When the last is dropped it is closed, and the file of a unix socket is removed if it is still
/// this one's.
#[derive(Clone, Debug)]
pub struct ActivationSocket(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    name: String,
    port: Option<u16>,
    /// Removed before the socket is closed: a file that nobody listens at would look like a dead one's.
    _file: Option<SocketFile>,
    socket: OwnedFd,
}

impl ActivationSocket {
    /// Opens a socket that listens. The name of a host may have to be asked for, which can take a while.
    ///
    /// A unix socket where nobody listens any more is replaced. Permissions are set before it listens, so
    /// at no time anybody can connect who shall not.
    ///
    /// # Errors
    /// [`ListenFault`] says what to mend.
    pub fn open(name: &str, on: &ListenOn) -> Result<Self, ListenFault> {
        let fault = match name {
            "" => Some("is empty"),
            _ if name.len() > LONGEST_NAME => Some("is longer than 255 bytes"),
            _ if name.contains(':') => Some("has a `:`, which separates the names"),
            _ if name.contains(char::is_control) => Some("has a control character"),
            _ => None,
        };
        if let Some(what) = fault {
            return Err(ListenFault::Name { name: name.to_owned(), what });
        }
        let (socket, port, file) = match on {
            ListenOn::Tcp(address) => {
                let (socket, port) = open_tcp(address)?;
                (socket, Some(port), None)
            }
            ListenOn::Unix { path, mode } => {
                let (socket, file) = SocketFile::bind(path, mode.unwrap_or(0o600))?;
                (socket, None, Some(file))
            }
        };
        listen(&socket, BACKLOG).map_err(|e| ListenFault::on(on, e.into()))?;
        Ok(Self(Arc::new(Opened { name: name.to_owned(), port, _file: file, socket })))
    }

    /// Its port, if it is a TCP socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.port
    }

    /// Its name in `$LISTEN_FDNAMES`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl AsFd for ActivationSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.socket.as_fd()
    }
}

impl PartialEq for ActivationSocket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ActivationSocket {}

/// Why a socket could not be opened.
#[derive(Debug, Error)]
pub enum ListenFault {
    /// Its name cannot be one in a list of names.
    #[error("the socket name {name:?} {what}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The address is no `host:port`, or the host is not known.
    #[error("{address:?} is no address to listen on: {source}")]
    Address {
        /// The address as given.
        address: String,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The port cannot be had.
    #[error("cannot listen on {address}: {taken}")]
    Port {
        /// The address as given.
        address: String,
        /// Who has it, or what else the system says.
        taken: PortTaken,
    },
    /// Somebody listens at that path already.
    #[error("cannot listen on {}: something listens there already", path.display())]
    Live {
        /// The path.
        path: PathBuf,
    },
    /// There is something else than a socket at that path, which is left alone.
    #[error("cannot listen on {}: it exists and is no socket", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// Anything else the system says.
    #[error("cannot listen on {on}: {source}")]
    Other {
        /// What it was to listen on.
        on: String,
        /// What the system says.
        source: io::Error,
    },
}

impl ListenFault {
    fn on(on: &ListenOn, source: io::Error) -> Self {
        let on = match on {
            ListenOn::Tcp(address) => address.clone(),
            ListenOn::Unix { path, .. } => path.display().to_string(),
        };
        Self::Other { on, source }
    }
}

fn open_tcp(address: &str) -> Result<(OwnedFd, u16), ListenFault> {
    let no_address = |source| ListenFault::Address { address: address.to_owned(), source };
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(no_address)?.collect();
    let bound = TcpListener::bind(&*addresses).and_then(|listener| Ok((listener.local_addr()?, listener)));
    match bound {
        Ok((at, listener)) => Ok((listener.into(), at.port())),
        Err(error) => {
            let port = addresses.first().map_or(0, SocketAddr::port);
            let taken = PortTaken::explain(port, error);
            Err(ListenFault::Port { address: address.to_owned(), taken })
        }
    }
}

/// The value of `$LISTEN_FDNAMES`. No name has what separates them: [`ActivationSocket::open`] sees to it.
pub(super) fn names(sockets: &[ActivationSocket]) -> String {
    sockets.iter().map(ActivationSocket::name).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{Read as _, Write as _},
        net::TcpStream,
        os::unix::{
            fs::{FileTypeExt as _, PermissionsExt as _, symlink},
            net::{UnixListener, UnixStream},
        },
        path::Path,
    };

    use super::*;

    fn at(path: &Path) -> ListenOn {
        ListenOn::Unix { path: path.to_owned(), mode: None }
    }

    fn fault(path: &Path) -> String {
        ActivationSocket::open("a", &at(path)).unwrap_err().to_string()
    }

    #[test]
    fn a_name_can_be_one_of_a_list() {
        let cases = [
            ("web", None),
            ("web socket.1-ä", None),
            ("", Some("is empty")),
            ("a:b", Some("has a `:`")),
            ("a\nb", Some("has a control character")),
            ("a\u{7f}", Some("has a control character")),
            (&"x".repeat(255), None),
            (&"x".repeat(256), Some("is longer than 255 bytes")),
        ];
        for (name, expected) in cases {
            let opened = ActivationSocket::open(name, &ListenOn::Tcp("127.0.0.1:0".into()));
            match expected {
                None => assert_eq!(opened.unwrap().name(), name),
                Some(what) => {
                    let said = opened.unwrap_err().to_string();
                    assert!(said.contains(what), "{name}: {said}");
                }
            }
        }
    }

    #[test]
    fn a_tcp_socket_listens_where_it_was_told_to() {
        for address in ["127.0.0.1:0", "localhost:0", "[::1]:0"] {
            let socket = match ActivationSocket::open("web", &ListenOn::Tcp(address.into())) {
                Ok(socket) => socket,
                // A machine without IPv6.
                Err(ListenFault::Port { .. }) if address.starts_with('[') => continue,
                Err(fault) => panic!("{fault}"),
            };
            let port = socket.port().unwrap();
            let listener = TcpListener::from(socket.as_fd().try_clone_to_owned().unwrap());
            let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut theirs, _) = listener.accept().unwrap();
            ours.write_all(b"heard").unwrap();
            drop(ours);
            let mut heard = String::new();
            theirs.read_to_string(&mut heard).unwrap();
            assert_eq!((heard.as_str(), listener.local_addr().unwrap().port()), ("heard", port));
        }
    }

    #[test]
    fn what_cannot_be_listened_on_over_tcp_is_said() {
        let held = ActivationSocket::open("first", &ListenOn::Tcp("127.0.0.1:0".into())).unwrap();
        let taken = format!("127.0.0.1:{}", held.port().unwrap());
        let by = if cfg!(target_os = "linux") { " by `" } else { "" };
        let in_use = format!("cannot listen on {taken}: port {} is in use{by}", held.port().unwrap());
        let cases = [
            (taken.as_str(), in_use.as_str()),
            ("127.0.0.1", "\"127.0.0.1\" is no address to listen on"),
            ("127.0.0.1:http", "is no address to listen on"),
            ("127.0.0.1:65536", "is no address to listen on"),
            ("::1:", "is no address to listen on"),
        ];
        for (address, expected) in cases {
            let said = ActivationSocket::open("a", &ListenOn::Tcp(address.into())).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}\nlacks {expected}");
        }
    }

    #[test]
    fn the_file_of_a_unix_socket_has_its_mode_and_goes_with_the_last_clone() {
        let dir = tempfile::tempdir().unwrap();
        for (number, mode) in
            [None, Some(0o600), Some(0o660), Some(0o777), Some(0o000)].into_iter().enumerate()
        {
            let path = dir.path().join(format!("deep/er/{number}"));
            let on = ListenOn::Unix { path: path.clone(), mode };
            let socket = ActivationSocket::open("a", &on).unwrap();
            let found = fs::metadata(&path).unwrap();
            assert!(found.file_type().is_socket());
            assert_eq!(found.permissions().mode() & 0o7777, mode.unwrap_or(0o600));
            assert_eq!((socket.port(), socket.clone() == socket), (None, true));
            drop(socket.clone());
            assert!(path.exists(), "it is still listened at");
            drop(socket);
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_dead_socket_is_replaced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        drop(UnixListener::bind(path("dead")).unwrap());
        let replaced = ActivationSocket::open("a", &at(&path("dead"))).unwrap();
        UnixStream::connect(path("dead")).unwrap();

        fs::write(path("file"), "kept").unwrap();
        fs::create_dir(path("folder")).unwrap();
        symlink(path("nowhere"), path("link")).unwrap();
        for name in ["file", "folder", "link"] {
            assert!(fault(&path(name)).ends_with("it exists and is no socket"), "{name}");
            assert!(path(name).symlink_metadata().is_ok(), "{name}");
        }
        assert!(fault(&path("file/in")).starts_with("cannot listen on"));
        assert!(fault(&path(&"x".repeat(200))).starts_with("cannot listen on"), "too long for an address");

        assert!(fault(&path("dead")).ends_with("something listens there already"));
        drop(replaced);
    }

    #[test]
    fn one_that_has_no_time_to_accept_is_alive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("busy");
        let listener = UnixListener::bind(&path).unwrap();
        listen(&listener, 0).unwrap();
        // Waiting for room would be waiting for ever.
        let waiting = UnixStream::connect(&path).unwrap();
        if cfg!(target_os = "linux") {
            assert!(fault(&path).ends_with("something listens there already"));
        }
        drop(waiting);
    }

    #[test]
    fn a_file_that_is_another_socket_by_now_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let first = ActivationSocket::open("a", &at(&path)).unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        let second = ActivationSocket::open("a", &at(&path)).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
        assert!(!path.exists());
    }
}
