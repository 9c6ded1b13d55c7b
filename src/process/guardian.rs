//! The guardian: a tiny process that ends everything should its runner die without a word (hazard C12).
//!
//! It is the same program, started with a hidden argument. Between the two there is a pipe whose
//! other end only the runner holds. Through it the runner tells which groups run, one line each
//! (`+N START`, where START tells the leader from a later process of its number; `-N`), which orphans carry no mark (`*N START`), which private directories there are (`@PATH`),
//! and at a clean end `bye`. The end of the pipe without it means: the runner is dead.
//! The guardian sits in a session of its own, so no terminal signal reaches it, and carries no marker.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write as _},
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, Signal, getppid, kill_process_group, setpgid, setsid},
};

use super::{children, files::RuntimeDir, leader::Leader, marker::Marker, proc};

/// The first argument with which a program has to call [`guardian_main`].
pub const GUARDIAN_ARGUMENT: &str = "__guardian";

const BYE: &str = "bye";
/// How long a dismissed guardian is waited for, and how long killed processes are looked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long what is told may gather: far less than it takes to fill a pipe.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// The runner's side. Dropped without being dismissed, it closes the pipe, and the guardian does
/// its work. It stays unreaped then: whoever drops it so is about to die.
#[derive(Debug)]
pub(super) struct Guardian {
    /// Its pipe is closed on exec, as is all that std opens, so no other child keeps it open.
    child: Child,
}

impl Guardian {
    /// Starts it. To be called with [`children::starting`] held.
    pub(super) fn start(exe: &Path, marker: &Marker, session_file: Option<&Path>) -> io::Result<Self> {
        let mut command = Command::new(exe);
        command.arg(GUARDIAN_ARGUMENT).arg(marker).args(session_file).env_clear().current_dir("/");
        // Out of the terminal's foreground group from its very beginning.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        if let Some(pid) = children::pid_of(&child) {
            children::register(pid);
        }
        Ok(Self { child })
    }

    /// A group runs now, the one of this leader. An error means that the guardian is gone.
    pub(super) fn watch(&mut self, leader: Pid) -> io::Result<()> {
        let number = leader.as_raw_nonzero();
        self.tell(match proc::look(leader) {
            Some(leader) => format!("+{number} {}\n", leader.start),
            None => format!("+{number}\n"),
        })
    }

    /// A group is gone.
    pub(super) fn unwatch(&mut self, group: Pid) -> io::Result<()> {
        self.tell(format!("-{}\n", group.as_raw_nonzero()))
    }

    /// An orphan lives that nothing but its number tells from other processes.
    pub(super) fn watch_orphan(&mut self, orphan: &proc::Proc) -> io::Result<()> {
        self.tell(format!("*{} {}\n", orphan.pid.as_raw_nonzero(), orphan.start))
    }

    /// A private directory has to go, too: what is in it must not outlive the session.
    pub(super) fn watch_directory(&mut self, path: &Path) -> io::Result<()> {
        let name = path.as_os_str().as_bytes();
        if name.contains(&b'\n') {
            return Ok(());
        }
        self.tell([b"@", name, b"\n"].concat())
    }

    fn tell(&mut self, line: impl AsRef<[u8]>) -> io::Result<()> {
        self.child.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write_all(line.as_ref())
    }

    /// Lets it go, all being well, and waits until it is gone: it must not seem left behind.
    pub(super) async fn dismiss(mut self) {
        // If it does not hear this it is gone already.
        let _ = self.tell(BYE);
        drop(self.child.stdin.take());
        if let Ok(mut process) = Leader::of(self.child)
            && tokio::time::timeout(PATIENCE, process.gone()).await.is_ok()
        {
            process.reap();
        }
    }
}

/// The guardian's whole life. A program that names itself as [`super::WardenOptions::guardian`] calls
/// this, before it does anything else, with the arguments that follow [`GUARDIAN_ARGUMENT`].
pub fn guardian_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let Some(marker) = args.next().as_deref().and_then(|name: &OsStr| Marker::named(name)) else {
        return ExitCode::FAILURE;
    };
    let session_file = args.next().map(PathBuf::from);
    stand_apart();
    let Some(doomed) = listen(io::BufReader::new(Unhurried::new(io::stdin()))) else {
        return ExitCode::SUCCESS;
    };
    let all_ended = end_everything(&marker, &doomed);
    doomed.directories.iter().for_each(|path| RuntimeDir::remove(path));
    if !all_ended {
        return ExitCode::FAILURE; // the session file stays, for the next session
    }
    if let Some(file) = session_file {
        let _ = fs::remove_file(file);
    }
    ExitCode::SUCCESS
}

/// Own session, no polite signal.
fn stand_apart() {
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
        // Without the handler it is merely less steadfast.
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    // The leader of a group cannot begin a session, so first back into the runner's group. Should that be dead already,
    // there is nothing to stand apart from.
    if let Some(group) = getppid().and_then(proc::group_of)
        && setpgid(None, Some(group)).is_ok()
    {
        let _ = setsid();
    }
}

/// A pipe whose bytes are left to gather for a moment: nothing is to be done before it ends, and that is heard at
/// once. Else a guardian of many small tasks would take its share of their time.
struct Unhurried<P> {
    pipe: P,
    has_read: bool,
}

impl<P: AsFd> Unhurried<P> {
    const fn new(pipe: P) -> Self {
        Self { pipe, has_read: false }
    }
}

impl<P: AsFd + io::Read> io::Read for Unhurried<P> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.has_read {
            // Of no events but the end, which cannot be left out.
            let mut end = [PollFd::new(&self.pipe, PollFlags::empty())];
            // Whatever it comes to, reading is right.
            let _ = poll(&mut end, Some(&MOMENT));
        }
        self.has_read = true;
        self.pipe.read(into)
    }
}

/// What is to be ended beside what carries the marker.
#[derive(Debug, Default, PartialEq, Eq)]
struct Doomed {
    /// The numbers of their leaders, with their start times where these are known.
    groups: BTreeMap<i32, Option<u64>>,
    /// Numbers and start times.
    orphans: BTreeSet<(i32, u64)>,
    /// Private directories.
    directories: Vec<PathBuf>,
}

/// What runs when the pipe ends; none if the runner said good-bye.
fn listen(pipe: impl io::BufRead) -> Option<Doomed> {
    let Doomed { mut groups, mut orphans, mut directories } = Doomed::default();
    // A line that cannot be read is the end of the pipe, too.
    for line in pipe.split(b'\n').map_while(Result::ok) {
        if let Some(path) = line.strip_prefix(b"@") {
            directories.push(OsStr::from_bytes(path).into());
            continue;
        }
        let line = String::from_utf8_lossy(&line);
        match (line.split_at_checked(1), &*line) {
            (_, BYE) => return None,
            (Some(("+", group)), _) => {
                let (number, start) = group.split_once(' ').unwrap_or((group, ""));
                groups.extend(number.parse::<i32>().map(|number| (number, start.parse().ok())));
            }
            (Some(("-", group)), _) => {
                groups.remove(&group.parse().unwrap_or_default());
            }
            (Some(("*", orphan)), _) => {
                let numbers = orphan.split_once(' ').map(|(pid, start)| (pid.parse(), start.parse()));
                if let Some((Ok(pid), Ok(start))) = numbers {
                    orphans.insert((pid, start));
                }
            }
            _ => {}
        }
    }
    Some(Doomed { groups, orphans, directories })
}

/// Kills the groups, what carries the marker, and what descends from either; false if some remain.
fn end_everything(marker: &Marker, Doomed { groups, orphans, .. }: &Doomed) -> bool {
    // Nobody keeps the number of a leader that is dead any more, so it may be another's by now. As long as a member of
    // the group lives it is nobody else's.
    let is_still_it = |number: Pid, start: Option<u64>| {
        let now = proc::look(number);
        start.is_none() || now.is_none_or(|leader| Some(leader.start) == start)
    };
    let groups = groups.iter().filter_map(|(number, start)| Some((Pid::from_raw(*number)?, *start)));
    let mut groups: Vec<Pid> =
        groups.filter(|(number, start)| is_still_it(*number, *start)).map(|g| g.0).collect();
    if cfg!(target_os = "linux") {
        // Of a group that nobody is in any more nothing keeps the number from being another's at the next look.
        let all = proc::all();
        let has_member =
            |group: &Pid| all.iter().any(|p| p.group == group.as_raw_nonzero().get() && !p.zombie);
        groups.retain(has_member);
    }
    let is_marked = |p: &proc::Proc| {
        orphans.contains(&(p.pid.as_raw_nonzero().get(), p.start))
            || proc::session_chain(p.pid).is_some_and(|chain| marker.is_in(&chain))
    };
    let is_member = |p: &proc::Proc| groups.iter().any(|group| group.as_raw_nonzero().get() == p.group);
    // Who descends from whom can be seen only as long as the parents live.
    // On a machine that is busy with other things one look can take a good part of a second.
    let mut family = proc::at_a_stand(|p| is_member(p) || is_marked(p), PATIENCE / 2);
    if !cfg!(target_os = "linux") {
        // Nothing can be seen here, so the groups are all there is.
        for group in &groups {
            let _ = kill_process_group(*group, Signal::KILL);
        }
    }
    let begin = Instant::now();
    let mut empty = 0;
    while empty < 2 && begin.elapsed() < PATIENCE {
        for process in &family {
            process.signal(Signal::KILL);
        }
        thread::sleep(Duration::from_millis(2));
        // Not by their groups any more: once all members are dead these numbers are free.
        family.retain(proc::Proc::lives);
        let marked = proc::family(is_marked);
        family.extend(marked.iter().filter(|p| !family.contains(p)).copied().collect::<Vec<_>>());
        empty = if family.is_empty() { empty + 1 } else { 0 };
    }
    empty == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_runner_that_died_are_known() {
        let cases: [(&str, Option<&[i32]>); 7] = [
            ("", Some(&[])),
            ("+5 77\n+6\n", Some(&[5, 6])),
            ("+5\n+6\n-5\n", Some(&[6])),
            ("+5\n-5\n-5\n-7\n", Some(&[])),
            ("+5\nbye\n", None),
            ("+5\nbye", None),
            ("nonsense\n\n+x\n+5\n", Some(&[5])),
        ];
        for (heard, expected) in cases {
            let groups = listen(heard.as_bytes()).map(|doomed| doomed.groups.into_keys().collect::<Vec<_>>());
            assert_eq!(groups.as_deref(), expected, "{heard:?}");
        }
        let orphans = listen("*5 77\n+6\n*x 1\n*7\n*8 9".as_bytes()).unwrap().orphans;
        assert_eq!(orphans, BTreeSet::from([(5, 77), (8, 9)]));
    }
    #[cfg(target_os = "linux")]
    #[test]
    fn a_group_that_only_has_the_number_of_one_that_ended_is_spared() {
        let mut child = Command::new("sleep")
            .arg("100")
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = children::pid_of(&child).unwrap();
        let start = proc::look(pid).unwrap().start;
        let marker = Marker::random().unwrap();
        let doomed = |start| Doomed {
            groups: BTreeMap::from([(pid.as_raw_nonzero().get(), Some(start))]),
            ..Doomed::default()
        };
        assert!(end_everything(&marker, &doomed(start + 1)));
        assert!(child.try_wait().unwrap().is_none(), "it is another's");
        // Until it is waited for, its number is its own.
        assert!(end_everything(&marker, &doomed(start)));
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
    }
}
