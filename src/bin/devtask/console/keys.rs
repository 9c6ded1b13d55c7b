//! Keys, one at a time, while a watch has the terminal.
//!
//! The terminal hands over each key as it is pressed and does not show it; Ctrl-C and its like are signals as ever.
//! It is read through a handle of our own: whoever shares ours must not find it without blocking. Reading begins
//! when the system says that there is something, so no thread waits, and an idle watch does not wake up.
//!
//! Everybody else finds the terminal as it was: a task that owns it, the shell while we are stopped or in the
//! background, and whoever comes after us, whichever way we end. Only SIGKILL and SIGSTOP leave it as it is.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{self, Read as _, stdin},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::Path,
};

use rustix::{
    fs::OFlags,
    process::getpgrp,
    termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr, ttyname,
    },
};
use tokio::io::{Interest, unix::AsyncFd};

/// The keys of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    RerunFailed,
    RerunAll,
    Log,
    Follow,
    Why,
    Tasks,
    Status,
    Pause,
    Clear,
    Help,
    Quit,
}

/// What each of them is, for people.
pub(crate) const HELP: [(&str, &str); 11] = [
    ("r", "rerun what failed"),
    ("R", "rerun everything"),
    ("Enter", "the log of the task that failed last"),
    ("f", "show what tasks write while they run, or stop showing it"),
    ("w", "why the tasks of the last cycle ran"),
    ("t", "the tasks that are running"),
    ("s", "the status of everything"),
    ("p", "pause: start nothing when files change; again: go on"),
    ("c", "clear the terminal"),
    ("?", "the keys"),
    ("q", "quit"),
];

impl Key {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            b'r' => Self::RerunFailed,
            b'R' => Self::RerunAll,
            b'\r' | b'\n' => Self::Log,
            b'f' => Self::Follow,
            b'w' => Self::Why,
            b't' => Self::Tasks,
            b's' => Self::Status,
            b'p' => Self::Pause,
            b'c' => Self::Clear,
            b'?' => Self::Help,
            b'q' => Self::Quit,
            _ => return None,
        })
    }
}

/// The keys among what a terminal sent together. What begins with an escape (arrows, function keys, Alt) is none.
fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != 0x1b {
            found.extend(Key::of(*first));
            continue;
        }
        let end = match after {
            [b'[', parameters @ ..] => {
                parameters.iter().position(|b| (0x40..=0x7e).contains(b)).map_or(after.len(), |at| at + 2)
            }
            [b'O', ..] => 2,
            _ => 1,
        };
        rest = &after[end.min(after.len())..];
    }
    found
}

/// The terminal while its keys are ours.
pub(crate) struct Keyboard {
    terminal: AsyncFd<File>,
    /// How it was before.
    usual: Termios,
    /// Whether its keys are to be ours.
    is_wanted: bool,
    waiting: Vec<Key>,
}

impl Keyboard {
    /// Takes the keys of the terminal at stdin, if there is one. Must be called within a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        // In some containers it has no name; then it is the one we belong to, if any.
        let path = ttyname(stdin(), Vec::new()).unwrap_or_else(|_| c"/dev/tty".into());
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let mut options = OpenOptions::new();
        // The bits are those of the system's own `int`; the crate only types them unsigned.
        options.read(true).custom_flags(flags.bits().cast_signed());
        let terminal = options.open(Path::new(OsStr::from_bytes(path.to_bytes())))?;
        let usual = tcgetattr(&terminal)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types that change their descriptor; a file keeps its own"
        )]
        let terminal = AsyncFd::with_interest(terminal, Interest::READABLE)?;
        let mut keyboard = Self { terminal, usual, is_wanted: false, waiting: Vec::new() };
        keyboard.take();
        Ok(keyboard)
    }

    /// From now on its keys are ours.
    pub(crate) fn take(&mut self) {
        self.is_wanted = true;
        self.set(true);
    }

    /// Somebody else needs the terminal, as it was.
    pub(crate) fn lend(&mut self) {
        if std::mem::replace(&mut self.is_wanted, false) {
            self.set(false);
        }
    }

    /// Lends it, or takes it back.
    pub(crate) fn be_lent(&mut self, lent: bool) {
        match lent {
            true => self.lend(),
            false if !self.is_wanted => self.take(),
            false => {}
        }
    }

    /// Changes how the terminal works, unless it is another's just now: that would stop us.
    fn set(&self, ours: bool) {
        let mut mode = self.usual.clone();
        if ours {
            mode.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            mode.special_codes[SpecialCodeIndex::VMIN] = 1;
            mode.special_codes[SpecialCodeIndex::VTIME] = 0;
        }
        if self.is_in_front() == Ok(true) {
            // A terminal that is gone needs no mode.
            let _ = tcsetattr(self.terminal.get_ref(), OptionalActions::Now, &mode);
        }
    }

    /// Whether the terminal is ours to use, and not that of the shell or of another job of it.
    fn is_in_front(&self) -> rustix::io::Result<bool> {
        tcgetpgrp(self.terminal.get_ref()).map(|group| group == getpgrp())
    }

    /// The next key. Never, once the terminal is gone. Can be dropped and called again.
    pub(crate) async fn next(&mut self) -> Key {
        while self.is_wanted {
            if !self.waiting.is_empty() {
                return self.waiting.remove(0);
            }
            let Ok(mut ready) = self.terminal.readable().await else { break };
            match self.is_in_front() {
                Ok(true) => {}
                // Reading would stop us, and what is typed is not for us.
                Ok(false) => {
                    ready.clear_ready();
                    continue;
                }
                // It was hung up, and will be ready for ever.
                Err(_) => break,
            }
            let mut bytes = [0; 256];
            match ready.try_io(|terminal| terminal.get_ref().read(&mut bytes)) {
                Ok(Ok(n @ 1..)) => self.waiting = keys(&bytes[..n]),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_would_block) => {}
                Ok(_) => break,
            }
            // The shell may have set it up anew while we were in the background.
            self.set(true);
        }
        std::future::pending().await
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.lend();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_single_and_sequences_are_none() {
        use Key::{Help, Log, Quit, RerunAll, RerunFailed};
        for (bytes, expected) in [
            (&b"r"[..], &[RerunFailed][..]),
            (b"rR\r\n?q", &[RerunFailed, RerunAll, Log, Log, Help, Quit]),
            (b"x y", &[]),
            // Arrow up, F3 in two spellings, Alt-q, a mouse.
            (b"\x1b[A", &[]),
            (b"\x1bOR", &[]),
            (b"\x1b[13;2R", &[]),
            (b"\x1bq", &[]),
            (b"\x1b[<0;1;1Mr", &[RerunFailed]),
            (b"\x1b[1;5Cq\x1bORr", &[Quit, RerunFailed]),
            (b"\x1b", &[]),
            (b"\x1b[12", &[]),
            (b"\x1bO", &[]),
            ("ü\u{20ac}q".as_bytes(), &[Quit]),
        ] {
            assert_eq!(keys(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn every_key_is_explained() {
        for (name, _) in HELP {
            let byte = if name == "Enter" { b'\r' } else { name.as_bytes()[0] };
            assert!(Key::of(byte).is_some(), "{name}");
        }
        let all = (0..=u8::MAX).filter(|byte| Key::of(*byte).is_some()).count();
        assert_eq!(all, HELP.len() + 1, "Enter is one of two bytes");
    }
}
