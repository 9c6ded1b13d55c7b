//! A terminal with the program on it.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::{fs::OpenOptionsExt as _, net::UnixStream},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use super::{Invocation, Output, Running, Sandbox, eventually};

/// A terminal with a program on it.
pub(crate) struct Terminal {
    keys: File,
    path: String,
    seen: Arc<Mutex<Vec<u8>>>,
    /// How much of it somebody waited for.
    passed: usize,
    reader: JoinHandle<()>,
    /// As long as it is there the reader reads.
    reading: UnixStream,
    run: Running,
}

impl Terminal {
    /// Starts it on a terminal that can move its cursor.
    pub(crate) fn start(tree: &Sandbox, line: &str) -> Self {
        Self::of(tree.devtask(line.split_whitespace()).env("TERM", "xterm"))
    }

    /// A terminal for this.
    pub(crate) fn of(program: Invocation<'_>) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let end = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let run = program.start_on(&end);
        drop(end);
        let keys = File::from(master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (screen, text) = (keys.try_clone().unwrap(), Arc::clone(&seen));
        let (reading, stop) = UnixStream::pair().unwrap();
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            let is_wanted = || {
                let mut both = [PollFd::new(&screen, PollFlags::IN), PollFd::new(&stop, PollFlags::IN)];
                while poll(&mut both, None) == Err(Errno::INTR) {}
                both[1].revents().is_empty()
            };
            // An error is how a terminal says that nobody has it open any more.
            while is_wanted()
                && let Ok(n @ 1..) = (&screen).read(&mut buffer)
            {
                text.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self { keys, path, seen, passed: 0, reader, reading, run }
    }

    /// What was written on it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Waits until this is on it.
    pub(crate) fn wait_for(&self, text: &str) {
        eventually(&format!("`{text}` is seen"), || self.text().contains(text));
    }

    /// Waits until this is on it again, after what was waited for in this way before; what came meanwhile.
    pub(crate) fn next(&mut self, text: &str) -> String {
        let passed = self.passed;
        let end = || self.text().get(passed..)?.find(text).map(|at| passed + at + text.len());
        eventually(&format!("`{text}` is seen after `{}`", &self.text()[..passed]), || end().is_some());
        self.passed = end().unwrap();
        self.text()[passed..self.passed].to_owned()
    }

    /// Whether it hands over keys one by one and does not show them.
    pub(crate) fn gives_keys(&self) -> bool {
        let modes = tcgetattr(&self.keys).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ISIG), "Ctrl-C is a signal");
        let (lines, shows) = (modes.contains(LocalModes::ICANON), modes.contains(LocalModes::ECHO));
        assert_eq!(lines, shows);
        !lines
    }

    /// While somebody has it, it can be looked at although the program has ended.
    pub(crate) fn another_end(&self) -> File {
        let noctty = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
        OpenOptions::new().read(true).custom_flags(noctty).open(&self.path).unwrap()
    }

    /// The program on it.
    pub(crate) fn program(&self) -> &Running {
        &self.run
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Takes the terminal away, and waits for the end of the program.
    pub(crate) fn hang_up(self) -> Output {
        drop(self.reading);
        self.reader.join().unwrap();
        drop(self.keys);
        self.run.finish()
    }

    /// Waits for the end of the program.
    pub(crate) fn finish(self) -> (Output, String) {
        let output = self.run.finish();
        self.reader.join().unwrap();
        let text = String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned();
        (output, text)
    }
}
