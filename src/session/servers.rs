//! The task servers of a session: started when their first task runs, kept for the next, begun anew when they are
//! gone or what they are made of has changed.

use std::{
    collections::HashMap,
    ffi::OsString,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{context::RunContext, shared::Shared};
use crate::{
    fingerprint::Content,
    loader::{forget_list, kept_list},
    model::{Action, Digest, TaskName, TaskServer},
    pattern::{PatternKind, PatternSet},
    process::{JobControl, LogTarget},
    scan::{Sight, Wanted, set_key},
    servers::{Host, Start, StartFault},
};

/// Longer paths fit into no address of a socket (104 bytes on macOS, 108 on Linux).
const LONGEST_PATH: usize = 100;

/// How often a server is believed that its list is another one.
const CHANGES_EVERY: Duration = Duration::from_millis(500);

/// The servers of a session, by their full names.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    places: Mutex<HashMap<String, Arc<Place>>>,
    started: AtomicU64,
    /// The session they are of; in a watch whose files are edited it is another one by and by.
    session: Mutex<Weak<Shared>>,
    /// A directory for sockets, where the usual one has too long a name.
    short: OnceLock<Option<crate::process::RuntimeDir>>,
}

/// Where a server of a name is, if it runs.
#[derive(Debug, Default)]
struct Place(tokio::sync::Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    up: Option<Arc<Up>>,
    /// The run in which it could not be started, and why: who comes next in that run need not wait for the same.
    failed: Option<(String, String)>,
}

/// A server that is up.
#[derive(Debug)]
pub(crate) struct Up {
    host: Host,
    server: Arc<TaskServer>,
    made: Digest,
    room: Option<Arc<Semaphore>>,
    users: watch::Sender<usize>,
    /// Why it was killed, or is left by those who can.
    left: OnceLock<String>,
}

/// A place at a server, for one task.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(super) up: Arc<Up>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.up.users.send_modify(|users| *users -= 1);
    }
}

impl Up {
    pub(super) const fn host(&self) -> &Host {
        &self.host
    }

    /// Whether it can be asked something.
    fn is_fit(&self) -> bool {
        self.host.is_well() && self.left.get().is_none()
    }

    /// What became of it.
    pub(super) async fn trouble(&self) -> (String, Vec<String>) {
        let StartFault { trouble, last } = self.host.trouble().await;
        (self.left.get().cloned().unwrap_or_else(|| trouble.to_string()), last)
    }

    /// It did not end a run when it was told to: whoever comes next gets another one. It is killed at once if nobody
    /// else uses it; else it ends when they have done so.
    pub(super) fn leave(self: &Arc<Self>, why: String) {
        let is_first = self.left.set(why).is_ok();
        if *self.users.borrow() <= 1 {
            self.host.control().kill();
        } else if is_first {
            tokio::spawn(Arc::clone(self).retire());
        }
    }

    /// Ends it once nobody uses it.
    async fn retire(self: Arc<Self>) {
        // The sender is in our hands.
        let _ = self.users.subscribe().wait_for(|users| *users == 0).await;
        self.host.end().await;
    }
}

impl Servers {
    fn place(&self, name: &str) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(name.to_owned()).or_default())
    }

    /// They are of this session now.
    pub(crate) fn attend(&self, session: &Arc<Shared>) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(session);
    }

    fn session(&self) -> Option<Arc<Shared>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    fn all(&self) -> Vec<(String, Arc<Place>)> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().map(|(name, place)| (name.clone(), Arc::clone(place))).collect()
    }

    /// Stops all of them, or lets them go on. Of one that is just being started nobody knows yet.
    pub(crate) fn pause_all(&self, pause: bool) {
        for (_, place) in self.all() {
            let Ok(standing) = place.0.try_lock() else { continue };
            let control = standing.up.as_ref().map(|up| up.host.control());
            match pause {
                true => control.into_iter().for_each(JobControl::pause),
                false => control.into_iter().for_each(JobControl::resume),
            }
        }
    }

    /// Ends all of them.
    pub(crate) async fn end(&self) {
        let mut ending = tokio::task::JoinSet::new();
        for (_, place) in self.all() {
            ending.spawn(async move {
                if let Some(up) = place.0.lock().await.up.take() {
                    up.host.end().await;
                }
            });
        }
        ending.join_all().await;
    }

    /// Ends those that no task needs any more.
    pub(crate) fn keep_only(&self, is_needed: impl Fn(&str) -> bool) {
        for (_, place) in self.all().into_iter().filter(|(name, _)| !is_needed(name)) {
            tokio::spawn(async move {
                let up = place.0.lock().await.up.take();
                if let Some(up) = up {
                    up.retire().await;
                }
            });
        }
    }

    /// A seat at a server, which is started if it does not run or is another by now.
    pub(super) async fn seat(
        &self,
        run: &Arc<RunContext>,
        server: &Arc<TaskServer>,
    ) -> Result<Seat, Unseated> {
        self.attend(&run.shared);
        loop {
            let seat = self.seat_now(run, server).await?;
            // Who had to wait for room may have waited for one that is gone by now.
            if seat._room.is_none() || seat.up.is_fit() {
                return Ok(seat);
            }
        }
    }

    async fn seat_now(&self, run: &Arc<RunContext>, server: &Arc<TaskServer>) -> Result<Seat, Unseated> {
        let place = self.place(&server.full_name());
        let up = {
            let mut standing = place.0.lock().await;
            standing.refresh(run, server).await;
            let up = match (&standing.up, &standing.failed) {
                (Some(up), _) => Arc::clone(up),
                (None, Some((id, why))) if *id == run.id => return Err(Unseated::Again(why.clone())),
                (None, _) => match self.start(run, server).await {
                    Ok(up) => {
                        standing.failed = None;
                        Arc::clone(standing.up.insert(Arc::new(up)))
                    }
                    Err(fault) => {
                        standing.failed = Some((run.id.clone(), fault.to_string()));
                        return Err(Unseated::Fault(fault));
                    }
                },
            };
            // Before anybody else could take it for one that nobody uses.
            up.users.send_modify(|users| *users += 1);
            up
        };
        let mut seat = Seat { up, _room: None };
        if let Some(room) = &seat.up.room {
            let room = Arc::clone(room);
            seat._room = match caller_at(run, server) {
                // It is never closed.
                None => room.acquire_owned().await.ok(),
                // Who waits for us may hold the last place.
                Some(caller) => Some(room.try_acquire_owned().map_err(|_| Unseated::NoRoom(caller))?),
            };
        }
        Ok(seat)
    }

    async fn start(&self, run: &Arc<RunContext>, server: &Arc<TaskServer>) -> Result<Up, StartFault> {
        let shared = &run.shared;
        let made = made_of(run, server).await;
        let runtime = run.runtime_path().map(|path| path.as_os_str().to_owned()).unwrap_or_default();
        let mut reserved: Vec<(OsString, OsString)> =
            vec![("DEVTASK_TREES".into(), shared.trees(&run.ambient))];
        let directories = shared.directories(&shared.ambient, runtime.as_ref());
        reserved.extend(directories.into_iter().filter_map(|(name, path)| Some((name.into(), path?))));
        let start = Start {
            server,
            root: &shared.root,
            ambient: Arc::new(crate::process::inherited(&shared.ambient)),
            reserved,
            socket: self.socket(run),
            log: Some(LogTarget::of_process(server_log(shared, server))),
            lines: None,
        };
        let host = Host::start(&shared.warden, start).await?;
        let most = host.listed().capabilities.max_concurrency;
        let most = most.map(|most| usize::try_from(most.max(1)).unwrap_or(usize::MAX));
        let room = most.map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))));
        let server = Arc::clone(server);
        let up = Up { host, server, made, room, users: watch::channel(0).0, left: OnceLock::new() };
        up.compare_list(run);
        up.hear_of_changes(&shared.servers);
        Ok(up)
    }

    /// A path for a socket that nobody else has.
    fn socket(&self, run: &RunContext) -> PathBuf {
        let name = format!("tsp-{}", self.started.fetch_add(1, Ordering::Relaxed));
        let usual = run.runtime_path().map(|dir| dir.join(&name)).unwrap_or_else(|_| PathBuf::from(&name));
        if usual.as_os_str().len() <= LONGEST_PATH {
            return usual;
        }
        let short = self.short.get_or_init(|| {
            let dir = crate::process::RuntimeDir::create(&[PathBuf::from("/tmp")]).ok()?;
            run.shared.warden.guard_directory(dir.path());
            Some(dir)
        });
        short.as_ref().map_or(usual, |dir| dir.path().join(name))
    }
}

/// Why there is no seat.
pub(super) enum Unseated {
    /// The server could not be started.
    Fault(StartFault),
    /// It could not be started before, in this very run.
    Again(String),
    /// It has no room while this task waits for what is to run there.
    NoRoom(TaskName),
}

/// The task of the same server that called this run.
fn caller_at(run: &RunContext, server: &TaskServer) -> Option<TaskName> {
    let caller = &run.request.caller.as_ref()?.task;
    let graph = &run.shared.graph;
    let action = &graph.task(graph.id(caller.as_str())?).action;
    matches!(action, Action::Served(its, _) if **its == *server).then(|| caller.clone())
}

impl Standing {
    /// Lets go of a server that is gone, or another than it should be.
    async fn refresh(&mut self, run: &Arc<RunContext>, server: &Arc<TaskServer>) {
        let Some(up) = &self.up else { return };
        if up.is_fit() && up.server == *server && made_of(run, server).await == up.made {
            return;
        }
        if let Some(up) = self.up.take() {
            tokio::spawn(up.retire());
        }
    }
}

impl Up {
    /// Whether it tells now what the graph rests on; if not, the next who loads the files asks it.
    fn compare_list(&self, run: &RunContext) {
        let kept = kept_list(&run.shared.state_dir, &self.server);
        if kept.is_some_and(|kept| kept != *self.host.listed()) {
            forget(&run.shared, &self.server);
            let name = &self.server.name;
            run.warn_of_all(&format!(
                "server `{name}` tells of other tasks than before; the next run goes by what it tells now"
            ));
        }
    }

    /// When it says that its list is another one, that is asked for when the files are loaded next: in a watch at once.
    fn hear_of_changes(&self, servers: &Arc<Servers>) {
        let mut changes = self.host.client().changes();
        if *changes.borrow() > 0 {
            // It said so right after it had told its list.
            changes.mark_changed();
        }
        let (servers, server) = (Arc::downgrade(servers), Arc::clone(&self.server));
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let Some(shared) = servers.upgrade().and_then(|servers| servers.session()) else { return };
                forget(&shared, &server);
                drop(shared);
                // One that says so all the time is not asked all the time.
                tokio::time::sleep(CHANGES_EVERY).await;
            }
        });
    }
}

/// Has whoever loads the files next ask it; in a watch at once.
pub(super) fn forget(shared: &Shared, server: &TaskServer) {
    let file = forget_list(&shared.state_dir, server);
    if let Some(watching) = shared.watching.get() {
        watching.suspect(file);
    }
}

/// Where a server's own output is kept.
pub(super) fn server_log(shared: &Shared, server: &TaskServer) -> PathBuf {
    shared.log_dir().join("servers").join(format!("{}.log", server.full_name()))
}

fn now_ns() -> i128 {
    crate::scan::system_now_ns()
}

/// What a server is made of, now.
async fn made_of(run: &Arc<RunContext>, server: &Arc<TaskServer>) -> Digest {
    if server.watch.is_empty() {
        return Content::default().digest();
    }
    let (run, server) = (Arc::clone(run), Arc::clone(server));
    let look = move || {
        let shared = &run.shared;
        let patterns: Vec<String> = server.watch.iter().map(|pattern| pattern.value.clone()).collect();
        let set = PatternSet::new(std::slice::from_ref(&shared.root), &patterns, PatternKind::Inputs).ok()?;
        let set = Arc::new(set);
        let words: Vec<&[u8]> = patterns.iter().map(String::as_bytes).collect();
        let key = set_key(&shared.root, [shared.root.as_path()], &words);
        let wanted = Wanted { key, patterns: &|| Arc::clone(&set) };
        let sights = shared.table.look(&shared.scanner, &[wanted], shared.threads);
        sights.first().filter(|sight| sight.problems().is_empty()).map(Sight::content)
    };
    let looked = tokio::task::spawn_blocking(look).await;
    // What could not be looked at is never the same.
    looked.ok().flatten().unwrap_or_else(|| crate::fingerprint::digest_of(&now_ns().to_le_bytes()))
}
