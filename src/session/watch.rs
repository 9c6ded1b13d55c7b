//! A watch: runs its tasks once, and then keeps their results true while files change (spec section 5).
//!
//! ```text
//!             something may have changed            quiet for a while           something has: a cycle
//!  waiting ──────────────────────────────▶ burst ─────────────────────▶ looking ───────────────────────▶ running
//!     ▲                                      ▲                            │ nothing                         │
//!     │                                      └────────────────────────────┼──────── it is over: look ◀──────┘
//!     └───────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Events only say when to look. What changed is found by looking ([`Watching`](super::watching::Watching)); what has
//! to run is decided as in any run ([`Cycle`](super::cycle::Cycle)). A change while a cycle runs is found when that is
//! over, or at once where its tasks are to be begun anew.
//!
//! | file | story |
//! |---|---|
//! | `watch` | what who watches has to do with |
//! | `turns` | the one loop: bursts and cycles |
//! | `orders` | what it is told to do, and what it tells of itself |
//! | `processes` | processes outlive cycles: what is told of them, and when they end |
//! | `audience` | who reads what is told: others can attach |
//! | `loops`, `chain` | tasks that cause themselves, and when that is enough |
//! | `reload` | task files that are edited meanwhile |

mod audience;
mod chain;
mod loops;
mod orders;
mod processes;
mod reload;
mod turns;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    Reloaded, Request, Session, SessionError, emit::Emitter, followed::Followed, runlog::RunLog,
    watching::Watching,
};
use crate::{
    event::Event,
    model::TaskName,
    plan::{Mode, Plan},
    store::StateDir,
    watch::{Backend, Source, SourceError, SourceOptions},
};
use audience::Reply;
pub use audience::{AttachError, Attachment};
use turns::Turns;

/// How a tree is watched.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WatchOptions {
    /// How long nothing may happen before somebody looks; default: 5 ms.
    pub quiet: Duration,
    /// How long something may go on happening before somebody looks all the same, even if that is less than `quiet`;
    /// default: 500 ms.
    pub longest: Duration,
    /// What becomes of a running task whose files change.
    pub on_busy: OnBusy,
    /// Whether everything is run once before waiting for changes; default: yes.
    pub initial: bool,
    /// Whether tasks are run again when files change; default: yes. If not, only processes are begun anew whose own
    /// `watch` says so.
    pub follows: bool,
    /// Whether what hooks into `devenv:enterShell` is run before everything else; default: no.
    pub enters: bool,
    /// Whether it ends when all processes it was started for have ended by themselves; default: no.
    pub until_exit: bool,
    /// Where events come from.
    pub backend: Backend,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            quiet: Duration::from_millis(5),
            longest: Duration::from_millis(500),
            on_busy: OnBusy::default(),
            initial: true,
            follows: true,
            enters: false,
            until_exit: false,
            backend: Backend::default(),
        }
    }
}

/// What becomes of a running task whose files change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBusy {
    /// It runs to its end, and then again.
    #[default]
    Queue,
    /// It is ended, and begins anew.
    Restart,
}

/// Where the graph of a watch comes from, asked when its files change.
pub trait Reload: Send + Sync + 'static {
    /// Directories in which a change may make it another.
    fn places(&self) -> Vec<PathBuf>;

    /// Whether what is loaded is still what the files say. Quick: it is asked whenever something changes there.
    fn is_current(&self) -> bool;

    /// Loads anew.
    ///
    /// # Errors
    /// What is wrong, ready to be shown. What was loaded before stays; the places may be others.
    fn reload(&mut self) -> Result<Reloaded, String>;
}

/// A watch under way. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    followed: Followed<WatchSummary>,
    control: WatchControl,
    session: Arc<Mutex<Session>>,
}

/// The session of a watch, whichever it is just now.
#[derive(Clone, Debug)]
pub struct WatchedSession(Arc<Mutex<Session>>);

impl WatchedSession {
    /// As it is now.
    #[must_use]
    pub fn get(&self) -> Session {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a watch came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchSummary {
    /// How many cycles there were, the first run included.
    pub cycles: u64,
    /// Whether a task stands as failed.
    pub failed: bool,
    /// Whether a part of the library itself broke down.
    pub internal_failure: bool,
    /// Why results could not be saved, if they could not.
    pub not_saved: Option<String>,
}

/// Orders for a watch, from wherever it is held.
#[derive(Clone, Debug)]
pub struct WatchControl(mpsc::UnboundedSender<Order>);

/// What a watch is told from outside.
#[derive(Debug)]
enum Order {
    RerunFailed,
    RerunAll,
    Hold(bool),
    End,
    Kill,
    Pause,
    Resume,
    Attach { wanted: Vec<TaskName>, reply: Reply },
}

impl WatchControl {
    /// Tries again what failed. While a cycle is under way this does nothing.
    pub fn rerun_failed(&self) {
        self.send(Order::RerunFailed);
    }

    /// Runs everything again, fresh or not. While a cycle is under way what executes is ended and begins anew.
    pub fn rerun_all(&self) {
        self.send(Order::RerunAll);
    }

    /// Starts no cycle until told otherwise; what changes meanwhile is looked at then.
    pub fn hold(&self, hold: bool) {
        self.send(Order::Hold(hold));
    }

    /// Ends the watch: what runs gets SIGTERM, and SIGKILL after a while.
    pub fn interrupt(&self) {
        self.send(Order::End);
    }

    /// Ends the watch: what runs gets SIGKILL now.
    pub fn kill(&self) {
        self.send(Order::Kill);
    }

    /// Stops the process groups of what runs; its time limits stand still.
    pub fn pause(&self) {
        self.send(Order::Pause);
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.send(Order::Resume);
    }

    /// Reads what the watch tells from now on, beside whoever started it: at first how things stand. All of these
    /// tasks must be among those whose results it keeps true.
    ///
    /// # Errors
    /// [`AttachError`].
    pub async fn attach(&self, wanted: Vec<TaskName>) -> Result<Attachment, AttachError> {
        let (reply, answer) = oneshot::channel();
        self.send(Order::Attach { wanted, reply });
        answer.await.unwrap_or(Err(AttachError::Over))
    }

    fn send(&self, order: Order) {
        // A watch that is over has nothing to do.
        let _ = self.0.send(order);
    }
}

impl Session {
    /// Watches what these tasks rest on, and keeps their results true. Must be called within a tokio runtime. A
    /// session watches once at a time.
    ///
    /// # Errors
    /// Those of [`start`](Self::start); [`SessionError::Watched`] if this session watches already;
    /// [`SessionError::ReadOnly`] if it may not write; [`SessionError::Store`] and [`SessionError::System`] if nothing
    /// can be watched.
    pub async fn watch(&self, request: Request, options: WatchOptions) -> Result<Watch, SessionError> {
        self.watch_reloading(request, options, None).await
    }

    /// The same for a graph that may be loaded anew; the session is another then ([`Watch::session`]).
    ///
    /// # Errors
    /// Those of [`watch`](Self::watch).
    pub async fn watch_reloading(
        &self,
        request: Request,
        options: WatchOptions,
        reload: Option<Box<dyn Reload>>,
    ) -> Result<Watch, SessionError> {
        if self.shared.read_only {
            return Err(SessionError::ReadOnly);
        }
        let plan = self.watched_plan(&request)?;
        let woken = Arc::new(Notify::new());
        let source = self.source(options.backend, &woken).await?;
        let watching = Watching::new(&self.shared, &plan, Arc::new(source), Arc::clone(&woken));
        // Of two who begin at once only one gets it, and is the one who watches.
        self.shared.watching.set(watching).map_err(|_| SessionError::Watched)?;
        let (emitter, events) = Emitter::new(RunLog::none());
        let (control, orders) = mpsc::unbounded_channel();
        let session = Arc::new(Mutex::new(self.clone()));
        let turns = Turns::new(Arc::clone(&session), request, options, plan, emitter, woken, reload);
        let driver = tokio::spawn(turns.go(orders));
        Ok(Watch { followed: Followed::new(events, driver), control: WatchControl(control), session })
    }

    async fn source(&self, backend: Backend, woken: &Arc<Notify>) -> Result<Source, SessionError> {
        let system = |what| move |error| SessionError::System { what, error };
        let dir = StateDir::open(&self.shared.state_dir)?;
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let dir = dir.ok_or_else(gone).map_err(system("watch without a state directory"))?;
        let options = SourceOptions { backend, ..SourceOptions::new(dir.subdir("watch")?) };
        let woken = Arc::clone(woken);
        let made =
            tokio::task::spawn_blocking(move || Source::new(options, move || woken.notify_one())).await;
        let made = made.map_err(|error| SessionError::Internal(error.to_string()))?;
        made.map_err(|SourceError::CookieDir { source, .. }| SessionError::System {
            what: "watch its own directory",
            error: source,
        })
    }

    /// Everything a watch keeps true: what was asked for, and what that called when it last ran.
    pub(super) fn watched_plan(&self, request: &Request) -> Result<Plan, SessionError> {
        Ok(self.follow(self.plan(request)?, request.mode).plan)
    }

    /// Everything the tasks of a watch rest on: they and all that is upstream of them.
    pub(super) fn upstream_of(&self, plan: &Plan) -> Plan {
        Plan::new(&self.shared.graph, plan.scheduled().iter(), Mode::Before)
    }
}

impl Watch {
    /// The next event: those of every cycle, and those of the watch itself; none once it is over. As
    /// [`Run::next_event`](super::Run::next_event).
    pub async fn next_event(&mut self) -> Option<Event> {
        self.followed.next_event().await
    }

    /// The session as it is now: another than the watch was started in once task files were edited. Who starts runs
    /// beside the watch starts them here.
    #[must_use]
    pub fn session(&self) -> WatchedSession {
        WatchedSession(Arc::clone(&self.session))
    }

    /// A handle to give orders with.
    #[must_use]
    pub fn control(&self) -> WatchControl {
        self.control.clone()
    }

    /// Waits for the end; events nobody has read are thrown away. A watch ends when it is told to.
    ///
    /// # Errors
    /// [`SessionError::Internal`] if the library itself failed.
    pub async fn finish(mut self) -> Result<WatchSummary, SessionError> {
        self.followed.finish().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.followed.is_under_way() {
            self.control.interrupt();
        }
    }
}
