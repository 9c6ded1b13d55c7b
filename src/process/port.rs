//! TCP ports: kept for a process until it starts, and who has one that is taken.
//!
//! What is kept is bound on 127.0.0.1 and listens, so that the system gives it to nobody else. A process
//! may want another address, so a port counts as taken as soon as anything listens on it.

use std::{
    fmt,
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{
    fs::OFlags,
    net::{AddressFamily, bind, sockopt},
};

use super::socket;

/// How many ports the system may choose that turn out to be taken on another address.
const CHOICES: usize = 32;

/// A TCP port kept for a process until it starts: bound and listening on 127.0.0.1, so nobody else gets
/// it. Given up when dropped.
///
/// Of the addresses of this machine 127.0.0.1, 0.0.0.0, ::1 and :: are looked at; on Linux all of them.
#[derive(Debug)]
pub struct HeldPort {
    /// It is there to be closed when it is dropped.
    _listener: TcpListener,
    number: u16,
}

impl HeldPort {
    /// Keeps `first`, or the next free one above it; with 0 the system chooses.
    ///
    /// # Errors
    /// If there is none up to 65535, or the system refuses one for another reason than its being in use
    /// (such as that it is below 1024): then no other is tried.
    pub fn from(first: u16) -> io::Result<Self> {
        if first == 0 { Self::any() } else { first_free(first, Self::hold) }
    }

    /// Keeps exactly this port.
    ///
    /// # Errors
    /// If that is not possible: with who holds it, if that can be told. 0 is no port.
    pub fn exactly(port: u16) -> Result<Self, PortTaken> {
        let held = match port {
            0 => Err(io::Error::new(io::ErrorKind::InvalidInput, "0 is not a port")),
            _ => Self::hold(port),
        };
        held.map_err(|error| PortTaken::explain(port, error))
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    fn hold(port: u16) -> io::Result<Self> {
        // Before it is ours, or we would meet ourselves.
        could_be_bound(Ipv4Addr::UNSPECIFIED, port)?;
        could_be_bound_by_v6(port)?;
        Self::bind(port)
    }

    /// One that the system chooses. It looks at the addresses of IPv4 only.
    fn any() -> io::Result<Self> {
        // Those that will not do are kept meanwhile, or the system could choose them again.
        let mut unfit = Vec::new();
        loop {
            let held = Self::bind(0)?;
            match could_be_bound_by_v6(held.number) {
                Err(error) if is_in_use(&error) && unfit.len() < CHOICES => unfit.push(held),
                result => return result.map(|()| held),
            }
        }
    }

    fn bind(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let number = listener.local_addr()?.port();
        Ok(Self { _listener: listener, number })
    }
}

/// Among the devtasks of one user a port has one tree: between the moment a port is let go of and the moment its
/// process takes it, no other tree is given it. Given up when dropped.
#[derive(Debug)]
pub struct PortClaim {
    /// Locked as long as it is open. None where that cannot be had.
    _file: Option<File>,
}

impl PortClaim {
    /// Claims a port, by a file in this directory, which is made if need be. None: somebody else has it. Where there can
    /// be no such file everything is had: it only keeps trees out of each other's way.
    #[must_use]
    pub fn take(directory: &Path, port: u16) -> Option<Self> {
        let open = || -> io::Result<File> {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600);
            let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
            options.custom_flags(no_follow).open(directory.join(port.to_string()))
        };
        let Ok(file) = open() else { return Some(Self { _file: None }) };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => None,
            Ok(()) | Err(TryLockError::Error(_)) => Some(Self { _file: Some(file) }),
        }
    }
}

/// The first port from `first` on that `hold` can get.
fn first_free<T>(first: u16, mut hold: impl FnMut(u16) -> io::Result<T>) -> io::Result<T> {
    for port in first..=u16::MAX {
        match hold(port) {
            Err(error) if is_in_use(&error) => {}
            result => return result,
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no port from {first} to {} is free", u16::MAX)))
}

fn is_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// Whether this address of the port could be listened on. It is bound for a moment, as std would do it,
/// but never listened on: nobody can connect.
fn could_be_bound(ip: impl Into<std::net::IpAddr>, port: u16) -> io::Result<()> {
    let address = SocketAddr::new(ip.into(), port);
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket::stream(family)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // Else it would meet what we hold of IPv4.
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(bind(&socket, &address)?)
}

fn could_be_bound_by_v6(port: u16) -> io::Result<()> {
    for ip in [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED] {
        match could_be_bound(ip, port) {
            Err(error) if is_in_use(&error) => return Err(error),
            // A machine without IPv6, and all the system could have to say against IPv6 alone.
            _ => {}
        }
    }
    Ok(())
}

/// Why a port could not be had.
#[derive(Debug)]
pub struct PortTaken {
    /// The port.
    pub port: u16,
    /// Who listens on it, as far as that can be told.
    pub by: Option<PortHolder>,
    /// What the system says.
    pub error: io::Error,
}

impl PortTaken {
    pub(super) fn explain(port: u16, error: io::Error) -> Self {
        let by = if is_in_use(&error) { port_holder(port) } else { None };
        Self { port, by, error }
    }
}

impl fmt::Display for PortTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, by, error } = self;
        match by {
            Some(by) => write!(f, "port {port} is in use by {by}"),
            None if is_in_use(error) => write!(f, "port {port} is in use"),
            None => write!(f, "port {port} cannot be used: {error}"),
        }
    }
}

impl std::error::Error for PortTaken {}

/// A process that listens on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    /// Its number.
    pub pid: u32,
    /// Its name, as the system has it: of a long one only the beginning.
    pub name: String,
}

impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (pid {})", self.name, self.pid)
    }
}

/// Who listens on a TCP port of this machine, as far as it can be told: on Linux by `/proc/net` and the
/// descriptors of processes we may look into, which are our own user's; elsewhere nobody. Of several
/// processes that share the socket it is the oldest.
#[must_use]
pub fn port_holder(port: u16) -> Option<PortHolder> {
    holder::find(port)
}

#[cfg(not(target_os = "linux"))]
mod holder {
    pub(super) fn find(_: u16) -> Option<super::PortHolder> {
        None
    }
}

#[cfg(target_os = "linux")]
mod holder {
    use std::fs;

    use super::{super::proc, PortHolder};

    /// The state of a socket that listens, as the kernel writes it.
    const LISTENS: &str = "0A";

    pub(super) fn find(port: u16) -> Option<PortHolder> {
        let mut links = Vec::new();
        for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
            let table = fs::read_to_string(table).unwrap_or_default();
            links.extend(listeners(&table, port).iter().map(|inode| format!("socket:[{inode}]")));
        }
        if links.is_empty() {
            return None;
        }
        let mut all = proc::all();
        // Workers inherit the socket of who opened it.
        all.sort_by_key(|p| (p.start, p.pid.as_raw_nonzero()));
        let pid = all.iter().map(|p| p.pid.as_raw_nonzero().get()).find(|&pid| has_one_of(&links, pid))?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        Some(PortHolder { pid: pid.unsigned_abs(), name: name.trim_end().to_owned() })
    }

    /// The inodes of the sockets that listen on a port, by a table of the kernel's.
    pub(super) fn listeners(table: &str, port: u16) -> Vec<&str> {
        table.lines().filter_map(|line| listener(line, port)).collect()
    }

    fn listener(line: &str, port: u16) -> Option<&str> {
        let mut fields = line.split_ascii_whitespace();
        let (_, local) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        let is_it = u16::from_str_radix(local, 16) == Ok(port) && state == LISTENS;
        // A socket that nobody has any more has none.
        (is_it && inode != "0").then_some(inode)
    }

    fn has_one_of(links: &[String], pid: i32) -> bool {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| links.iter().any(|link| target.as_os_str() == link.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
        result.err().map(|e| e.kind())
    }

    #[test]
    fn one_tree_has_a_port_until_it_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let claims = dir.path().join("claims");
        let first = PortClaim::take(&claims, 8080).unwrap();
        assert!(PortClaim::take(&claims, 8080).is_none());
        assert!(PortClaim::take(&claims, 8081).is_some());
        drop(first);
        assert!(PortClaim::take(&claims, 8080).is_some());
        // Where nothing can be claimed nobody is kept from anything.
        std::fs::write(dir.path().join("file"), "").unwrap();
        let nowhere = dir.path().join("file");
        let both = [PortClaim::take(&nowhere, 1), PortClaim::take(&nowhere, 1)];
        assert!(both.iter().all(Option::is_some));
    }

    #[test]
    fn the_next_free_port_is_looked_for_up_to_the_last_and_only_for_those_in_use() {
        use io::ErrorKind::{AddrInUse, PermissionDenied};
        let cases = [
            (8080, vec![], Ok(8080), 1),
            (8080, vec![(8080, AddrInUse), (8081, AddrInUse)], Ok(8082), 3),
            (80, vec![(80, PermissionDenied)], Err(PermissionDenied), 1),
            (80, vec![(80, AddrInUse), (81, PermissionDenied)], Err(PermissionDenied), 2),
            (65534, vec![(65534, AddrInUse)], Ok(65535), 2),
            (65534, vec![(65534, AddrInUse), (65535, AddrInUse)], Err(AddrInUse), 2),
        ];
        for (first, refused, expected, tried) in cases {
            let mut asked = 0;
            let found = first_free(first, |port| {
                asked += 1;
                let refusal = refused.iter().find(|(refused, _)| *refused == port);
                refusal.map_or(Ok(port), |(_, kind)| Err((*kind).into()))
            });
            assert_eq!((found.map_err(|e| e.kind()), asked), (expected, tried), "{first} {refused:?}");
        }
    }

    #[test]
    fn what_is_held_nobody_else_gets_until_it_is_dropped() {
        for first in [0, 20_000] {
            let held = HeldPort::from(first).unwrap();
            assert!(held.number() >= first.max(1));
            let again = HeldPort::exactly(held.number()).unwrap_err();
            assert_eq!((again.port, again.error.kind()), (held.number(), io::ErrorKind::AddrInUse));
            let next = HeldPort::from(held.number()).map(|next| next.number());
            assert!(next.as_ref().map_or(held.number() == u16::MAX, |n| *n > held.number()), "{next:?}");
        }
        // Anybody may take a port that is free, but hardly twenty in a row.
        let gets_it_back = || {
            let held = HeldPort::from(0).unwrap();
            let number = held.number();
            drop(held);
            HeldPort::exactly(number).is_ok()
        };
        assert!((0..20).any(|_| gets_it_back()));
    }

    #[test]
    fn a_port_that_has_a_listener_on_any_address_is_taken() {
        for address in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
            let ip: std::net::IpAddr = address.parse().unwrap();
            let listener = match TcpListener::bind((ip, 0)) {
                Ok(listener) => listener,
                // A machine without IPv6.
                Err(_) if ip.is_ipv6() => continue,
                Err(e) => panic!("{address}: {e}"),
            };
            let port = listener.local_addr().unwrap().port();
            let taken = HeldPort::exactly(port).expect_err(address);
            assert_eq!(taken.error.kind(), io::ErrorKind::AddrInUse, "{address}");
            assert_ne!(HeldPort::from(port).map(|held| held.number()).ok(), Some(port), "{address}");
            if cfg!(target_os = "linux") {
                let name = std::fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned();
                assert_eq!(taken.by, Some(PortHolder { pid: std::process::id(), name }), "{address}");
            }
        }
    }

    #[test]
    fn what_is_no_port_or_not_allowed_is_said_as_it_is() {
        assert_eq!(
            kind(HeldPort::exactly(0).map_err(|taken| taken.error)),
            Some(io::ErrorKind::InvalidInput)
        );
        let holder = PortHolder { pid: 123, name: "python3".into() };
        let cases = [
            (io::ErrorKind::AddrInUse, Some(holder), "port 8080 is in use by `python3` (pid 123)"),
            (io::ErrorKind::AddrInUse, None, "port 8080 is in use"),
            (io::ErrorKind::PermissionDenied, None, "port 8080 cannot be used: permission denied"),
        ];
        for (kind, by, expected) in cases {
            assert_eq!(PortTaken { port: 8080, by, error: kind.into() }.to_string(), expected);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn listeners_are_read_from_the_tables_of_the_kernel() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 20 4 30 10 -1
   2: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0
   3: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 444 1 0
   4: 00000000:1F92 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 0 1 0
   5: 00000000:1F93 00000000:0000 0A
nonsense";
        let cases: [(u16, &[&str]); 5] =
            [(8080, &["111", "333"]), (8081, &["444"]), (8082, &[]), (8083, &[]), (50000, &[])];
        for (port, expected) in cases {
            assert_eq!(holder::listeners(table, port), expected, "{port}");
        }
    }
}
