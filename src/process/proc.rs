//! Processes as `/proc` shows them. Elsewhere than on Linux there is nothing to see.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, getpid, kill_process, test_kill_process_group};

/// As many looks as find a family of some generations: on a busy machine a few of them take all the time there is.
const ENOUGH_LOOKS: u32 = 20;

/// Longer than a fork waits for anything.
const MOMENT: Duration = Duration::from_millis(500);

/// One process at the time of a look. Equal is who is the same process, told apart from a later one of the same number
/// by its start time (hazard C13), whatever has become of it since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proc {
    pub(super) pid: Pid,
    /// Parent's number; 0: none.
    pub(super) parent: i32,
    /// Its process group.
    pub(super) group: i32,
    /// Clock ticks after boot.
    pub(super) start: u64,
    /// Dead, and not yet reaped.
    pub(super) zombie: bool,
    /// Stopped by a signal.
    pub(super) stopped: bool,
    /// Waits, and no signal but SIGKILL wakes it.
    pub(super) unwakeable: bool,
}

impl PartialEq for Proc {
    fn eq(&self, other: &Self) -> bool {
        (self.pid, self.start) == (other.pid, other.start)
    }
}

impl Proc {
    /// Whether this very process still lives.
    pub(super) fn lives(&self) -> bool {
        self.now().is_some()
    }

    /// This very process as it is now, if it still lives.
    fn now(&self) -> Option<Self> {
        look(self.pid).filter(|now| now == self && !now.zombie)
    }

    /// Whether it starts nothing more: it is stopped, or dead. `at_last`: or waits for what it started by vfork to begin
    /// its program, which that does not do any more.
    fn stands(&self, at_last: bool) -> bool {
        self.now().is_none_or(|now| now.stopped || at_last && now.unwakeable)
    }

    /// Sends a signal to this very process and to no other that got its number since. Whether it
    /// arrives is for the next look to tell.
    pub(super) fn signal(&self, signal: Signal) {
        #[cfg(target_os = "linux")]
        if let Ok(pidfd) = rustix::process::pidfd_open(self.pid, rustix::process::PidfdFlags::empty()) {
            if self.lives() {
                let _ = rustix::process::pidfd_send_signal(pidfd, signal);
            }
            return;
        }
        let _ = kill_process(self.pid, signal);
    }
}

/// The process group of a process; none if nobody can tell: that of one that has ended, or a group from outside the
/// PID namespace, which a container's first process may be in, and whoever was put into the container by others.
pub(super) fn group_of(pid: Pid) -> Option<Pid> {
    // Not by `getpgid`: rustix takes it for granted that there is one.
    match cfg!(target_os = "linux") {
        true => Pid::from_raw(look(pid)?.group),
        false => rustix::process::getpgid(Some(pid)).ok(),
    }
}

/// Whether a process group still has a member that lives. A zombie that nobody reaps does not count.
pub(super) fn group_lives(group: Pid) -> bool {
    if test_kill_process_group(group)
        .is_err_and(|e| e == rustix::io::Errno::SRCH || !cfg!(target_os = "linux"))
    {
        return false;
    }
    let group = group.as_raw_nonzero().get();
    !cfg!(target_os = "linux") || all().iter().any(|p| p.group == group && !p.zombie)
}

/// This process and its ancestors, which no sweep may touch.
pub(super) fn own_line() -> Vec<Pid> {
    let mut line = vec![getpid()];
    let parent = |pid| look(pid).and_then(|p| Pid::from_raw(p.parent));
    let mut next = parent(getpid());
    while let Some(pid) = next.filter(|pid| !line.contains(pid)) {
        line.push(pid);
        next = parent(pid);
    }
    line
}

/// All that `is_seed` says yes to and all that descends from it, without the dead and our own line.
pub(super) fn family(is_seed: impl Fn(&Proc) -> bool) -> Vec<Proc> {
    let spared = own_line();
    let (mut found, mut others): (Vec<Proc>, Vec<Proc>) =
        all().into_iter().filter(|p| !spared.contains(&p.pid)).partition(is_seed);
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|p| p.pid.as_raw_nonzero().get()) {
        found.extend(others.extract_if(.., |p| p.parent == parent));
        next += 1;
    }
    found.retain(|p| !p.zombie);
    found
}

/// The same, brought to a stand by SIGSTOP, to be killed next. A look takes its time, and what is killed between two
/// looks leaves children nobody knows of. What stands still starts nothing more, and its children stay its own until
/// they are found, too. The signal alone is not enough: a fork that is under way when it arrives is still made (since
/// Linux 4.19), so the last look is one that began with all of them seen to stand.
pub(super) fn at_a_stand(is_seed: impl Fn(&Proc) -> bool, patience: Duration) -> Vec<Proc> {
    let begin = Instant::now();
    let mut caught: Vec<Proc> = Vec::new();
    for looks in 0.. {
        let at_last = begin.elapsed() > MOMENT;
        let all_stand = caught.iter().all(|process| process.stands(at_last));
        let mut new = family(|p| caught.contains(p) || is_seed(p));
        new.retain(|p| !caught.contains(p));
        if new.is_empty() && all_stand {
            break;
        }
        new.iter().for_each(|process| process.signal(Signal::STOP));
        caught.extend(&new);
        // Who cannot be stopped, another user's for one, is not waited for, nor one that starts others faster than we
        // find them: killing has to do.
        if looks >= ENOUGH_LOOKS && begin.elapsed() > patience {
            break;
        }
        if new.is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
    }
    caught
}

#[cfg(target_os = "linux")]
pub(super) use linux::{all, boot_id, children_of_main_thread, look, session_chain};
#[cfg(not(target_os = "linux"))]
pub(super) use nothing::{all, boot_id, children_of_main_thread, look, session_chain};

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, str::FromStr};

    use rustix::process::{Pid, getpid};

    use super::{super::SESSION_VARIABLE, Proc};

    /// The process of that number, if there is one.
    pub(in super::super) fn look(pid: Pid) -> Option<Proc> {
        let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        // The second field is the program's name in parentheses and may hold anything, so count from its end.
        let rest = &stat[stat.iter().rposition(|&b| b == b')')? + 1..];
        let mut fields = std::str::from_utf8(rest).ok()?.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let start = fields.nth(16)?.parse().ok()?;
        let is = |states: &[&str]| states.contains(&state);
        let (zombie, stopped, unwakeable) = (is(&["Z", "X"]), is(&["T", "t"]), is(&["D"]));
        Some(Proc { pid, parent, group, start, zombie, stopped, unwakeable })
    }

    /// Every process there is.
    pub(in super::super) fn all() -> Vec<Proc> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|e| number(e.file_name().to_str()?)).filter_map(look).collect()
    }

    /// The children of our main thread: that is where the kernel hands orphans to.
    pub(in super::super) fn children_of_main_thread() -> Vec<Pid> {
        let me = getpid().as_raw_nonzero();
        match fs::read_to_string(format!("/proc/self/task/{me}/children")) {
            Ok(list) => list.split_ascii_whitespace().filter_map(number).collect(),
            // A kernel without this file.
            Err(_) => all().iter().filter(|p| p.parent == me.get()).map(|p| p.pid).collect(),
        }
    }

    /// What the process was started with as [`SESSION_VARIABLE`]; none also for a zombie and for
    /// what we may not look into.
    pub(in super::super) fn session_chain(pid: Pid) -> Option<Vec<u8>> {
        let environ = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
        let value =
            |var: &[u8]| Some(var.strip_prefix(SESSION_VARIABLE.as_bytes())?.strip_prefix(b"=")?.to_vec());
        environ.split(|&b| b == 0).find_map(value)
    }

    /// What tells this boot from every other: start times count from it.
    pub(in super::super) fn boot_id() -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    }

    fn number(text: &str) -> Option<Pid> {
        Pid::from_raw(i32::from_str(text).ok()?)
    }
}

#[cfg(not(target_os = "linux"))]
mod nothing {
    use rustix::process::Pid;

    use super::Proc;

    pub(in super::super) fn look(_: Pid) -> Option<Proc> {
        None
    }

    pub(in super::super) fn all() -> Vec<Proc> {
        Vec::new()
    }

    pub(in super::super) fn children_of_main_thread() -> Vec<Pid> {
        Vec::new()
    }

    pub(in super::super) fn session_chain(_: Pid) -> Option<Vec<u8>> {
        None
    }

    pub(in super::super) fn boot_id() -> String {
        String::new()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_group_need_not_be_known() {
        for pid in [Pid::INIT, getpid()] {
            let group = group_of(pid).map_or(0, |group| group.as_raw_nonzero().get());
            assert_eq!(group, look(pid).unwrap().group);
        }
        assert_eq!(group_of(Pid::from_raw(i32::MAX).unwrap()), None);
    }

    #[test]
    fn we_find_ourselves_and_our_ancestors() {
        let me = look(getpid()).unwrap();
        let line = own_line();
        assert!(!me.zombie && me.start > 0);
        assert_eq!(line[0], getpid());
        assert_eq!(line.get(1).copied(), rustix::process::getppid());
        assert!(all().contains(&me));
        assert!(family(|p| p.pid == getpid()).iter().all(|p| p.pid != getpid()), "never ourselves");
    }
}
