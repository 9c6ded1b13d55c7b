//! The children this process started through this room, whichever warden asked for them.
//!
//! A subreaper gets foreign children: orphans of its descendants. They have to be told from our own
//! before one of them is reaped or ended, and never may an exit status be taken that somebody waits
//! for. So what is ours is on one list for the whole process, and while a child is being started
//! (it exists, but nobody knows its number yet) nobody judges strangers.

use std::{
    collections::BTreeSet,
    process::Child,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, waitid};

use super::proc::{self, Proc};

static STARTING: RwLock<()> = RwLock::new(());
static OURS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Locks, whether or not another thread panicked meanwhile: the lists are valid at every step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To be held from before a child is started until [`register`] knows it.
pub(super) fn starting() -> RwLockReadGuard<'static, ()> {
    STARTING.read().unwrap_or_else(PoisonError::into_inner)
}

/// To be held while strangers are judged.
pub(super) fn nobody_starts() -> RwLockWriteGuard<'static, ()> {
    STARTING.write().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a child as ours.
pub(super) fn register(pid: Pid) {
    lock(&OURS).insert(pid.as_raw_nonzero().get());
}

/// Forgets a child that has been reaped.
pub(super) fn forget(pid: Pid) {
    lock(&OURS).remove(&pid.as_raw_nonzero().get());
}

fn is_ours(pid: Pid) -> bool {
    lock(&OURS).contains(&pid.as_raw_nonzero().get())
}

/// A child's number.
pub(super) fn pid_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// The adopted orphans that live; those that died are reaped, each by its number (hazard C14).
///
/// A child in our own process group is none: every task leads a group of its own, so such a child
/// was started by other code of this process, which waits for it itself.
pub(super) fn adopted() -> Vec<Proc> {
    let mut strangers = proc::children_of_main_thread();
    strangers.retain(|&pid| !is_ours(pid));
    if strangers.is_empty() {
        return Vec::new();
    }
    let _judging = nobody_starts();
    strangers.retain(|&pid| !is_ours(pid));
    let own_group = own_group();
    let (dead, alive): (Vec<Proc>, Vec<Proc>) =
        strangers.into_iter().filter_map(proc::look).filter(|p| p.group != own_group).partition(|p| p.zombie);
    for stranger in dead {
        let _ = waitid(WaitId::Pid(stranger.pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
    alive
}

/// 0: it is not known here.
fn own_group() -> i32 {
    proc::group_of(getpid()).map_or(0, |group| group.as_raw_nonzero().get())
}

/// Whether a process is an adopted orphan, as far as its record tells. To be asked with
/// [`nobody_starts`] held.
pub(super) fn looks_adopted(process: &Proc) -> bool {
    process.parent == getpid().as_raw_nonzero().get() && process.group != own_group() && !is_ours(process.pid)
}
