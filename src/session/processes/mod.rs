//! The processes of a session (spec section 6). A run is mortal, a process lives on: as long as a run uses it, or
//! somebody has asked for it to be kept.
//!
//! | file | story |
//! |---|---|
//! | `processes` | who is up, who uses it, and what becomes of it when nobody does |
//! | `prepared` | what is started for one, and how it is asked |
//! | `resident` | one process: what its supervisor wants is done, what happens to it is told the supervisor |
//! | `control` | all that from outside |
//! | `end` | all of them end |
//! | `news` | what is told of them while it happens |
//! | `ports` | the ports that were given to processes |

mod control;
mod end;
mod news;
mod ports;
mod prepared;
mod resident;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{mpsc, watch};

use super::results::HandedOn;
use crate::{
    event::ProcessStatus,
    model::{Digest, Stage, TaskName},
    process::Warden,
};
pub use control::ProcessControl;
use news::News;
pub(crate) use news::{Heard, Told};
pub(crate) use ports::Ports;
pub(crate) use prepared::{Prepared, Question};
use resident::{Order, Resident};

/// All processes of a session that were ever asked for.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    all: Mutex<BTreeMap<TaskName, Entry>>,
    news: News,
    pub(crate) ports: Ports,
    /// Whether a watch is about to begin with what it was asked for.
    watch_begins: AtomicBool,
}

/// What is known of one process.
#[derive(Debug)]
struct Entry {
    orders: mpsc::UnboundedSender<Order>,
    state: watch::Receiver<State>,
    /// How many orders that begin it were given.
    begun: u64,
    /// How many runs use it.
    users: usize,
    /// Whether it stays up without any.
    is_kept: bool,
    /// Whether it was ordered to end: nobody can use it before it is begun again.
    is_ending: bool,
    /// Whether somebody wanted it stopped. It stays so until somebody wants it up: runs, and cycles of a watch, that
    /// need it have it for as long as they take.
    is_unwanted: bool,
    /// Stands for what it was started with.
    print: Digest,
}

/// How a process stands.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// How many orders that begin it were taken in.
    pub(crate) begun: u64,
    /// How often it was started.
    pub(crate) spawned: u64,
    /// How often it had been when it was begun last.
    pub(crate) spawned_before: u64,
    /// How often it has become ready.
    pub(crate) readied: u64,
    /// How often it had when it was begun last.
    pub(crate) readied_before: u64,
    pub(crate) status: ProcessStatus,
    /// What it handed on when it became ready.
    pub(crate) handed: Arc<HandedOn>,
    /// Why it cannot be used, whatever it does.
    pub(crate) fault: Option<String>,
    /// The last lines it wrote before it ended.
    pub(crate) tail: Arc<Vec<Vec<u8>>>,
}

/// Whether a process stays up when no run uses it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It ends.
    No,
    /// It stays, unless somebody had stopped it.
    UnlessStopped,
    /// It stays.
    Yes,
}

/// What a run has to do to use a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it is up.
    Nothing,
    /// Have it started, for it is not up or is another now.
    Beginning,
}

/// A run's right to a process: it stays up as long as this is held.
#[derive(Debug)]
pub(crate) struct Use {
    processes: Arc<Processes>,
    name: TaskName,
    /// Which order that begins it was given for us; what is known before that was taken in does not count.
    begun: u64,
    /// How often it had become ready before.
    readied: u64,
    pub(crate) state: watch::Receiver<State>,
    is_released: bool,
}

impl Processes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<TaskName, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a watch is about to begin with what it was asked for, which may be processes.
    pub(crate) fn is_watch_beginning(&self) -> bool {
        self.watch_begins.load(Ordering::Acquire)
    }

    pub(crate) fn set_watch_beginning(&self, begins: bool) {
        self.watch_begins.store(begins, Ordering::Release);
    }

    /// What it takes to use a process that would be started with what `print` stands for. `renews`: one that is up
    /// with something else is begun anew, and in any case if `force`.
    pub(crate) fn need(&self, name: &TaskName, print: Digest, renews: bool, force: bool) -> Need {
        match self.all().get(name) {
            Some(entry) if !entry.needs(print, renews, force) => Need::Nothing,
            _ => Need::Beginning,
        }
    }

    /// Uses a process that is up. None: it is not any more.
    pub(crate) fn adopt(self: &Arc<Self>, name: &TaskName, keeping: Keeping) -> Option<Use> {
        let mut all = self.all();
        let entry = all.get_mut(name).filter(|entry| entry.is_up() && !entry.is_ending)?;
        Some(self.user(name, entry, keeping))
    }

    /// Has a process started, or begun anew if it is up, and uses it. Whether it did: somebody else may have been
    /// first, and then that is what is used.
    pub(crate) fn begin(
        self: &Arc<Self>,
        warden: &Warden,
        name: &TaskName,
        (prepared, print): (Prepared, Digest),
        (renews, force): (bool, bool),
        keeping: Keeping,
    ) -> (Use, bool) {
        let mut all = self.all();
        if let Some(entry) = all.get_mut(name).filter(|entry| !entry.needs(print, renews, force)) {
            return (self.user(name, entry, keeping), false);
        }
        let entry = all.entry(name.clone()).or_insert_with(|| {
            let (orders, state) = Resident::start(name.clone(), warden.clone(), self.news.clone());
            Entry {
                orders,
                state,
                begun: 0,
                users: 0,
                is_kept: false,
                is_ending: false,
                is_unwanted: false,
                print,
            }
        });
        entry.begun += 1;
        entry.print = print;
        entry.is_ending = false;
        entry.order(Order::Begin { number: entry.begun, prepared: Box::new(prepared) });
        (self.user(name, entry, keeping), true)
    }

    fn user(self: &Arc<Self>, name: &TaskName, entry: &mut Entry, keeping: Keeping) -> Use {
        entry.users += 1;
        entry.is_unwanted &= keeping != Keeping::Yes;
        entry.is_kept |= keeping != Keeping::No && !entry.is_unwanted;
        let state = entry.state.clone();
        let now = state.borrow();
        // One that is ready is so for whoever comes now; how often it was before does not count.
        let is_ready = now.status.stage == Stage::Ready && now.begun == entry.begun;
        let readied = now.readied - u64::from(is_ready);
        let begun = entry.begun;
        drop(now);
        Use { processes: Arc::clone(self), name: name.clone(), begun, readied, state, is_released: false }
    }

    /// What a process handed on when it became ready.
    pub(crate) fn handed(&self, name: &TaskName) -> Arc<HandedOn> {
        self.all().get(name).map(|entry| Arc::clone(&entry.state.borrow().handed)).unwrap_or_default()
    }

    /// How all processes stand that were ever asked for.
    pub(crate) fn statuses(&self) -> Vec<ProcessStatus> {
        self.all().values().map(|entry| entry.state.borrow().status.clone()).collect()
    }

    /// How a process stands.
    pub(crate) fn status(&self, name: &TaskName) -> Option<ProcessStatus> {
        self.all().get(name).map(|entry| entry.state.borrow().status.clone())
    }

    /// What becomes of a process, and how many orders that begin it were given; none if there was none.
    pub(crate) fn begun(&self, name: &TaskName) -> Option<(watch::Receiver<State>, u64)> {
        self.all().get(name).map(|entry| (entry.state.clone(), entry.begun))
    }

    /// Whether a process is up, or on its way.
    pub(crate) fn is_up(&self, name: &TaskName) -> bool {
        self.all().get(name).is_some_and(Entry::is_up)
    }

    /// Whether a process is ready, and kept.
    pub(crate) fn stays_ready(&self, name: &TaskName) -> bool {
        let is_ready = |entry: &Entry| entry.state.borrow().status.stage == Stage::Ready;
        let all = self.all();
        all.get(name).is_some_and(|entry| entry.is_kept && !entry.is_ending && is_ready(entry))
    }

    /// Whether a process stays as it is when what it rests on is another: it was stopped, or has done what it was for.
    pub(crate) fn is_let_be(&self, name: &TaskName) -> bool {
        self.all().get(name).is_some_and(|entry| {
            let status = &entry.state.borrow().status;
            entry.is_unwanted
                || match status.stage {
                    Stage::Stopped => true,
                    Stage::Exited => status.exit_code == Some(0),
                    _ => false,
                }
        })
    }

    /// Whether a process is begun anew when its files change: it was begun, and is not to be let be.
    pub(crate) fn may_begin_anew(&self, name: &TaskName) -> bool {
        let has_begun = self.status(name).is_some_and(|status| status.stage != Stage::NotStarted);
        has_begun && !self.is_let_be(name)
    }

    /// Ends a process whoever uses it; a restart that is under way, too. `kept` ones stay so only if they are begun
    /// again. What becomes of it, and how many orders that begin it were given before.
    pub(crate) fn stop(&self, name: &TaskName) -> Option<(watch::Receiver<State>, u64)> {
        let mut all = self.all();
        let entry = all.get_mut(name)?;
        (entry.is_kept, entry.is_unwanted) = (false, true);
        entry.end();
        Some((entry.state.clone(), entry.begun))
    }

    /// Begins a process anew as it is; one that is not up is started.
    pub(crate) fn restart(&self, name: &TaskName) {
        self.with(name, |entry| {
            entry.begun += 1;
            // Somebody wants it, and no run does.
            entry.is_kept |= entry.users == 0;
            (entry.is_ending, entry.is_unwanted) = (false, false);
            entry.order(Order::Again { number: entry.begun });
        });
    }

    /// SIGKILL, now.
    pub(crate) fn kill(&self, name: &TaskName) {
        self.with(name, |entry| {
            entry.is_ending = true;
            entry.order(Order::Kill);
        });
    }

    /// Has a process stand still, or go on; its time limits stand still, too.
    pub(crate) fn pause(&self, name: &TaskName, pause: bool) {
        self.with(name, |entry| entry.order(if pause { Order::Pause } else { Order::Resume }));
    }

    /// The same for all.
    pub(crate) fn pause_all(&self, pause: bool) {
        self.all().values().for_each(|entry| entry.order(if pause { Order::Pause } else { Order::Resume }));
    }

    fn with(&self, name: &TaskName, work: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.all().get_mut(name) {
            work(entry);
        }
    }

    /// All that are up.
    pub(crate) fn up(&self) -> Vec<TaskName> {
        self.all().iter().filter(|(_, entry)| entry.is_up()).map(|(name, _)| name.clone()).collect()
    }

    /// Keeps those up no more which are not among these, and ends them unless a run uses them.
    pub(crate) fn keep_only(&self, wanted: impl Fn(&TaskName) -> bool) {
        for (_, entry) in self.all().iter_mut().filter(|(name, _)| !wanted(name)) {
            if std::mem::take(&mut entry.is_kept) && entry.users == 0 {
                entry.end();
            }
        }
    }
}

impl Entry {
    fn order(&self, order: Order) {
        // A resident that is gone has nothing to be ended.
        let _ = self.orders.send(order);
    }

    fn end(&mut self) {
        self.is_ending = true;
        self.order(Order::Stop);
    }

    /// Whether it has to be begun to be what `print` stands for.
    fn needs(&self, print: Digest, renews: bool, force: bool) -> bool {
        !self.is_up() || self.is_ending || renews && (force || self.print != print)
    }

    /// Whether it lives or is about to. An order that was not taken in yet counts.
    fn is_up(&self) -> bool {
        let state = self.state.borrow();
        // One whose runtime is gone is not, either.
        !self.orders.is_closed() && (state.begun < self.begun || !state.status.stage.is_at_rest())
    }
}

/// What has come of a process that a run uses. One thing may follow another before anybody looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Came {
    /// It was started.
    pub(crate) has_begun: bool,
    /// It is ready, or was since we use it.
    pub(crate) is_ready: bool,
    /// It is at rest.
    pub(crate) is_over: bool,
}

impl Use {
    /// What has come of it so far.
    pub(crate) fn came(&mut self) -> Came {
        let state = self.state.borrow_and_update();
        if state.begun < self.begun {
            return Came::default();
        }
        let before = self.readied.max(if state.begun == self.begun { state.readied_before } else { 0 });
        Came {
            has_begun: state.spawned > state.spawned_before,
            is_ready: state.readied > before && state.fault.is_none(),
            is_over: state.status.stage.is_at_rest(),
        }
    }

    /// Waits until something may have come of it.
    pub(crate) async fn changed(&mut self) {
        // Its resident ends only with the session.
        if self.state.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Gives it back; whether it is to end, since nobody else wants it.
    pub(crate) fn release(&mut self) -> bool {
        if std::mem::replace(&mut self.is_released, true) {
            return false;
        }
        let mut all = self.processes.all();
        let Some(entry) = all.get_mut(&self.name) else { return false };
        entry.users -= 1;
        let ends = entry.users == 0 && !entry.is_kept;
        if ends {
            entry.end();
        }
        ends
    }

    /// Waits until it is at rest.
    pub(crate) async fn rest(&mut self) {
        let begun = self.begun;
        // Whoever begins it again in the meantime sees to it.
        let at_rest =
            |state: &State| state.begun > begun || state.begun == begun && state.status.stage.is_at_rest();
        let _ = self.state.wait_for(at_rest).await;
    }

    /// Kills it, unless others want it.
    pub(crate) fn kill(&self) {
        let all = self.processes.all();
        let entry = all.get(&self.name);
        if let Some(entry) =
            entry.filter(|entry| entry.users <= usize::from(!self.is_released) && !entry.is_kept)
        {
            entry.order(Order::Kill);
        }
    }

    pub(crate) fn pause(&self, pause: bool) {
        self.processes.pause(&self.name, pause);
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        self.release();
    }
}
