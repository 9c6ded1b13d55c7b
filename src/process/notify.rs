//! What a process says of itself on `$NOTIFY_SOCKET` (spec section 6): the protocol of sd_notify(3).
//!
//! A message is a datagram of lines `NAME=value`. Lines that are unknown here or malformed are passed over,
//! for a process may speak to a service manager that can do more. Nothing a process sends is an error.

use std::{
    collections::VecDeque,
    fs::{self, Permissions},
    io,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{net::UnixDatagram, time::sleep};

/// The longest path of a socket in bytes; the address also holds a NUL.
const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
/// The longest message that is read whole, in bytes; a service manager reads half of it.
const LONGEST_MESSAGE: usize = 8 * 1024;
/// The longest status text that is kept, in bytes.
const LONGEST_STATUS: usize = 4 * 1024;
/// How long nothing is received after that failed.
const AFTER_FAULT: Duration = Duration::from_millis(500);

/// What a process says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `READY=1`: it has come up, or has reloaded.
    Ready,
    /// `STATUS=…`: how it is, in its own words. Up to 4 KiB; may hold control characters.
    Status(String),
    /// `STOPPING=1`: it is about to end.
    Stopping,
    /// `RELOADING=1`: it is busy until it says [`Notice::Ready`] again.
    Reloading,
    /// `WATCHDOG=1`: it is alive.
    Feeds,
    /// `WATCHDOG=trigger`: it wants to be treated as if it had been silent for too long.
    Trips,
    /// `EXTEND_TIMEOUT_USEC=…`: what it is about takes so much longer, counted from now. The process says
    /// how long, so it may be more than a clock can add.
    Extends(Duration),
}

/// The notify socket of one process. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
    buffer: Box<[u8]>,
    /// Received and not yet told.
    said: VecDeque<Notice>,
}

impl NotifySocket {
    /// Binds a socket in this private directory, with a name that no other socket of this program has or had:
    /// what the children of an earlier process still say must not be taken for the words of a later one. Within
    /// a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// `InvalidInput` if the directory is not absolute, or so deep that the path is too long for a socket;
    /// otherwise what the system says.
    pub fn bind(dir: &Path) -> io::Result<Self> {
        if !dir.is_absolute() {
            return Err(invalid(format!("{} is not absolute: no place for a notify socket", dir.display())));
        }
        loop {
            match Self::bind_to(fresh_name(dir)?) {
                // Left over from another program; the names go up, so there is an end.
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
                bound => return bound,
            }
        }
    }

    fn bind_to(path: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::bind(&path)?;
        let buffer = vec![0; LONGEST_MESSAGE + 1].into_boxed_slice();
        let bound = Self { socket, path, buffer, said: VecDeque::new() };
        fs::set_permissions(&bound.path, Permissions::from_mode(0o600))?;
        Ok(bound)
    }

    /// Where it is: for `$NOTIFY_SOCKET`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next thing the process says. Can be dropped and called again, and loses nothing by that. Has to be
    /// awaited all the time: a process may wait until its message has been read.
    pub async fn next(&mut self) -> Notice {
        loop {
            if let Some(notice) = self.said.pop_front() {
                return notice;
            }
            // Without room for ancillary data, the system closes descriptors that come along. With `BARRIER=1`
            // the process waits for just that.
            match self.socket.recv(&mut self.buffer).await {
                Ok(length) => {
                    let whole = length <= LONGEST_MESSAGE;
                    self.said.extend(notices(&self.buffer[..length.min(LONGEST_MESSAGE)], whole));
                }
                // Such as a lack of memory. It may pass, and must not keep a processor busy.
                Err(_) => sleep(AFTER_FAULT).await,
            }
        }
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // If it stays, it goes with its directory.
        let _ = fs::remove_file(&self.path);
    }
}

fn fresh_name(dir: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let path = dir.join(format!("notify-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let length = path.as_os_str().as_bytes().len();
    if length > LONGEST_PATH {
        let path = path.display();
        let message = format!(
            "the path of the notify socket is too long: {path} has {length} bytes, a socket's can have {LONGEST_PATH}"
        );
        return Err(invalid(message));
    }
    Ok(path)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// What a message says, in its order. Of one that is not whole, the last line is not whole either.
fn notices(message: &[u8], whole: bool) -> Vec<Notice> {
    let message = message.strip_suffix(b"\0").unwrap_or(message);
    let mut lines: Vec<&[u8]> = message.split(|byte| matches!(byte, b'\n' | b'\r')).collect();
    // A number that lost digits is another number; a status loses only what is too much anyway.
    if !whole && lines.last().is_some_and(|line| line.len() <= "STATUS=".len() + LONGEST_STATUS) {
        lines.pop();
    }
    lines.into_iter().filter_map(notice).collect()
}

fn notice(line: &[u8]) -> Option<Notice> {
    match line {
        b"READY=1" => Some(Notice::Ready),
        b"STOPPING=1" => Some(Notice::Stopping),
        b"RELOADING=1" => Some(Notice::Reloading),
        b"WATCHDOG=1" => Some(Notice::Feeds),
        b"WATCHDOG=trigger" => Some(Notice::Trips),
        _ => match line.strip_prefix(b"STATUS=") {
            Some(text) => status(text).map(Notice::Status),
            None => microseconds(line.strip_prefix(b"EXTEND_TIMEOUT_USEC=")?).map(Notice::Extends),
        },
    }
}

/// The beginning of a text, unless it is not UTF-8.
fn status(text: &[u8]) -> Option<String> {
    let kept = &text[..text.len().min(LONGEST_STATUS)];
    let kept = match str::from_utf8(kept) {
        Ok(kept) => kept,
        // The cut went through a character.
        Err(e) if kept.len() < text.len() && e.error_len().is_none() => {
            str::from_utf8(&kept[..e.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    Some(kept.to_owned())
}

fn microseconds(value: &[u8]) -> Option<Duration> {
    // The parser alone would also take a sign.
    let is_number = value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok()?.parse().ok().filter(|_| is_number).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{IoSlice, Read as _},
        mem::MaybeUninit,
        os::{fd::AsFd as _, unix::net::UnixDatagram},
    };

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};

    use super::*;

    #[test]
    fn every_line_says_something_or_nothing() {
        let status = |text: &str| Notice::Status(text.to_owned());
        let cases: [(&[u8], Vec<Notice>); 29] = [
            (b"READY=1", vec![Notice::Ready]),
            (b"STOPPING=1\n", vec![Notice::Stopping]),
            (b"RELOADING=1\nMONOTONIC_USEC=7", vec![Notice::Reloading]),
            (b"WATCHDOG=1", vec![Notice::Feeds]),
            (b"WATCHDOG=trigger", vec![Notice::Trips]),
            (b"EXTEND_TIMEOUT_USEC=1500000", vec![Notice::Extends(Duration::from_millis(1500))]),
            (
                b"EXTEND_TIMEOUT_USEC=18446744073709551615",
                vec![Notice::Extends(Duration::from_micros(u64::MAX))],
            ),
            (b"STATUS=", vec![status("")]),
            (b"STATUS=1 = \xc3\xbcber \x1b[1m", vec![status("1 = \u{fc}ber \u{1b}[1m")]),
            (b"MAINPID=1\nSTATUS=up\nREADY=1\nERRNO=2", vec![status("up"), Notice::Ready]),
            (b"READY=1\r\nSTATUS=a\r\n\r\n", vec![Notice::Ready, status("a")]),
            (b"STATUS=a\nSTATUS=b", vec![status("a"), status("b")]),
            (b"READY=1\0", vec![Notice::Ready]),
            (b"", vec![]),
            (b"\n=\n==\n\0\0", vec![]),
            (b"READY", vec![]),
            (b"READY=0", vec![]),
            (b"READY=10", vec![]),
            (b"ready=1", vec![]),
            (b" READY=1", vec![]),
            (b"STOPPING=0", vec![]),
            (b"WATCHDOG=0", vec![]),
            (b"EXTEND_TIMEOUT_USEC=", vec![]),
            (b"EXTEND_TIMEOUT_USEC=+1", vec![]),
            (b"EXTEND_TIMEOUT_USEC=-1", vec![]),
            (b"EXTEND_TIMEOUT_USEC=18446744073709551616", vec![]),
            (b"STATUS=\xff\nREADY=1\n\xfe=1", vec![Notice::Ready]),
            (b"STATUS=cut \xc3", vec![]),
            (b"BARRIER=1\nFDSTORE=1\nNOTIFYACCESS=all", vec![]),
        ];
        for (message, expected) in cases {
            assert_eq!(notices(message, true), expected, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn a_long_status_loses_its_end() {
        let cases = [
            ("x".repeat(LONGEST_STATUS), LONGEST_STATUS),
            ("x".repeat(LONGEST_STATUS + 1), LONGEST_STATUS),
            ("\u{fc}".repeat(LONGEST_STATUS), LONGEST_STATUS),
            (format!("x{}", "\u{fc}".repeat(LONGEST_STATUS)), LONGEST_STATUS - 1),
        ];
        for (text, expected) in cases {
            let message = format!("STATUS={text}\nREADY=1");
            let kept = Notice::Status(text[..expected].to_owned());
            assert_eq!(notices(message.as_bytes(), true), [kept, Notice::Ready]);
        }
    }

    #[test]
    fn the_last_line_of_a_message_that_was_cut_counts_only_if_enough_of_it_is_there() {
        let long = format!("STATUS={}", "x".repeat(LONGEST_STATUS + 1));
        let kept = Notice::Status("x".repeat(LONGEST_STATUS));
        let cases = [
            ("READY=1\nEXTEND_TIMEOUT_USEC=12", vec![Notice::Ready]),
            ("READY=1\nSTATUS=half of a wor", vec![Notice::Ready]),
            (&long, vec![kept]),
        ];
        for (message, expected) in cases {
            assert_eq!(notices(message.as_bytes(), false), expected, "{message:.40}");
        }
    }

    fn place() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[tokio::test]
    async fn what_is_sent_is_told_in_its_order() {
        let dir = place();
        let mut socket = NotifySocket::bind(dir.path()).unwrap();
        let process = UnixDatagram::unbound().unwrap();
        for message in ["STATUS=begins\nX=1", "", "nonsense", "READY=1\nWATCHDOG=1"] {
            process.send_to(message.as_bytes(), socket.path()).unwrap();
        }
        assert_eq!(socket.next().await, Notice::Status("begins".to_owned()));
        assert_eq!(socket.next().await, Notice::Ready);
        // What came with it is kept for the next call, also if one is given up between.
        drop(socket.next());
        assert_eq!(socket.next().await, Notice::Feeds);
        tokio::select! {
            biased;
            notice = socket.next() => panic!("{notice:?} out of nothing"),
            () = std::future::ready(()) => {}
        }
        process.send_to(b"STOPPING=1", socket.path()).unwrap();
        assert_eq!(socket.next().await, Notice::Stopping);
    }

    #[tokio::test]
    async fn a_message_that_is_too_long_is_known_to_be_cut() {
        let dir = place();
        let mut socket = NotifySocket::bind(dir.path()).unwrap();
        let process = UnixDatagram::unbound().unwrap();
        let number = "EXTEND_TIMEOUT_USEC=1234567";
        for length in [LONGEST_MESSAGE, LONGEST_MESSAGE + 1, LONGEST_MESSAGE + 2] {
            let filler = "x".repeat(length - number.len() - 1);
            // A system that does not carry as much has nothing to cut (macOS: 2 KiB, if not told otherwise).
            let sent = process.send_to(format!("{filler}\n{number}").as_bytes(), socket.path());
            assert!(sent.is_ok() || !cfg!(target_os = "linux"), "{sent:?}");
        }
        process.send_to(b"READY=1", socket.path()).unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(socket.next().await, Notice::Extends(Duration::from_micros(1_234_567)));
        }
        assert_eq!(socket.next().await, Notice::Ready);
    }

    #[tokio::test]
    async fn descriptors_that_come_along_are_closed() {
        let dir = place();
        let mut socket = NotifySocket::bind(dir.path()).unwrap();
        let (mut ours, theirs) = std::io::pipe().unwrap();
        let process = UnixDatagram::unbound().unwrap();
        {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            let descriptors = [theirs.as_fd()];
            assert!(rights.push(SendAncillaryMessage::ScmRights(&descriptors)));
            let to = SocketAddrUnix::new(socket.path()).unwrap();
            let said = [IoSlice::new(b"BARRIER=1")];
            sendmsg_addr(&process, &to, &said, &mut rights, SendFlags::empty()).unwrap();
        }
        drop(theirs);
        process.send_to(b"READY=1", socket.path()).unwrap();
        assert_eq!(socket.next().await, Notice::Ready);
        // With an end still open, nothing could be read and nothing would be the end.
        rustix::io::ioctl_fionbio(&ours, true).unwrap();
        assert_eq!(ours.read(&mut [0; 8]).unwrap(), 0);
    }

    #[tokio::test]
    async fn the_file_is_private_has_a_name_of_its_own_and_goes_with_the_socket() {
        let dir = place();
        let (one, two) = (NotifySocket::bind(dir.path()).unwrap(), NotifySocket::bind(dir.path()).unwrap());
        let first = one.path().to_owned();
        assert_ne!(first, two.path());
        assert_eq!(fs::metadata(&first).unwrap().permissions().mode() & 0o777, 0o600);
        drop(one);
        let later = NotifySocket::bind(dir.path()).unwrap();
        assert_ne!(first, later.path());
        drop((two, later));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_place_that_cannot_be_is_named() {
        let dir = place();
        let deep = dir.path().join("d".repeat(60)).join("d".repeat(60));
        fs::create_dir_all(&deep).unwrap();
        let (none, relative) = (dir.path().join("none"), PathBuf::from("here"));
        let cases = [
            (&deep, io::ErrorKind::InvalidInput, "too long"),
            (&relative, io::ErrorKind::InvalidInput, "not absolute"),
            (&none, io::ErrorKind::NotFound, ""),
        ];
        for (dir, kind, words) in cases {
            let fault = NotifySocket::bind(dir).unwrap_err();
            assert_eq!(fault.kind(), kind, "{fault}");
            assert!(fault.to_string().contains(words), "{fault}");
        }
    }

    #[tokio::test]
    async fn the_longest_path_is_one_that_a_socket_can_have() {
        let dir = place();
        let longest = |name: usize| dir.path().join("d".repeat(name)).join("notify-1");
        let room = LONGEST_PATH + 1 - longest(1).as_os_str().len();
        for (more, fits) in [(0, true), (1, false)] {
            let path = longest(room + more);
            fs::create_dir(path.parent().unwrap()).unwrap();
            assert_eq!(UnixDatagram::bind(&path).is_ok(), fits, "{}", path.display());
        }
    }
}
