//! The keeper of a session's children: starts them, knows them, and ends them all.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Child,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::Pid;

use super::{
    Job, Launch, SESSION_VARIABLE, SpawnError,
    children::{self, lock},
    guardian::Guardian,
    leader::Leader,
    marker::Marker,
    predecessors,
    proc::{self, Proc},
    sweep::{self, Rest},
};

/// How seldom orphans are looked for while jobs run.
const REAP_EVERY: Duration = Duration::from_secs(1);

/// What a [`Warden`] may do. By default it touches nothing but its children.
#[derive(Clone, Debug, Default)]
pub struct WardenOptions {
    /// Whether this process adopts the orphans of its descendants (Linux: child subreaper), so that
    /// daemons which left their group and cleared their environment are found as well. It concerns
    /// the whole process: only a program should ask for it, for one warden, and it may then start
    /// children in groups of their own only through wardens.
    pub adopt_orphans: bool,
    /// The program to be the guardian, if there shall be one: this very program, as a rule.
    pub guardian: Option<PathBuf>,
    /// Where session files lie, if predecessors and successors shall know of each other.
    pub sessions_dir: Option<PathBuf>,
    /// The value of [`SESSION_VARIABLE`] this process was itself started with.
    pub outer_session: Option<OsString>,
}

/// One session's children. Clones are the same warden.
///
/// Everything it starts carries [`SESSION_VARIABLE`]. Dropped without [`Warden::end_everything`] it
/// leaves the rest to the guardian.
#[derive(Clone, Debug)]
pub struct Warden(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: WardenOptions,
    marker: Marker,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    guardian: Option<Guardian>,
    session_file: Option<PathBuf>,
    running: BTreeMap<u64, Running>,
    /// Orphans the guardian knows of: number and start time.
    orphans: BTreeSet<(i32, u64)>,
    /// Private directories that must not outlive the session.
    private: Vec<PathBuf>,
    /// Killed first processes that nobody waits for; unreaped, they keep their groups' numbers.
    abandoned: Vec<(u64, Child)>,
    /// Jobs ever started; each gets the next number.
    started: u64,
    ending: bool,
    reaped: Option<Instant>,
}

/// A job between its start and its very end.
#[derive(Clone, Copy, Debug)]
struct Running {
    leader: Pid,
    /// Whether it leads a group; a foreground job stays in ours.
    grouped: bool,
    /// Whether it has been stopped until it is let go on.
    paused: bool,
}

impl Warden {
    /// A new warden. Nothing is written or started before the first child.
    ///
    /// # Errors
    /// If there is no randomness for a marker, or orphans cannot be adopted.
    pub fn new(options: WardenOptions) -> io::Result<Self> {
        let marker = Marker::random()?;
        #[cfg(target_os = "linux")]
        if options.adopt_orphans {
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        }
        Ok(Self(Arc::new(Inner { options, marker, state: Mutex::default() })))
    }

    /// Kills what dead sessions of the same directory left running, and says how many there were.
    /// To be called before anything is started, by who holds the tree's lock; without a session file
    /// it costs one look into a directory.
    ///
    /// # Errors
    /// If the directory cannot be read, or something cannot be ended.
    pub async fn end_predecessors(&self) -> io::Result<usize> {
        match &self.0.options.sessions_dir {
            Some(sessions) => predecessors::end_all(sessions, &self.0.marker).await,
            None => Ok(0),
        }
    }

    /// Starts a program; within a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// [`SpawnError`] says what to mend.
    pub fn spawn(&self, mut launch: Launch) -> Result<Job, SpawnError> {
        SpawnError::foresee(&launch.command)?;
        let starting = children::starting();
        let mut state = lock(&self.0.state);
        state.reap_abandoned();
        let id = self.prepare(&mut state)?;
        let chain = self.0.marker.chain(self.0.options.outer_session.as_deref(), id);
        launch.command.env.push((SESSION_VARIABLE.into(), chain));
        let grouped = !launch.command.foreground;
        let started = launch.command.prepare().and_then(|mut it| Leader::start(&mut it.command, grouped));
        let leader = started.map_err(|source| SpawnError::explain(&launch.command, source))?;
        state.run(id, Running { leader: leader.pid(), grouped, paused: false });
        drop((state, starting));
        let program = launch.command.program.clone();
        Job::new(id, self.clone(), leader, launch).map_err(|source| SpawnError::Other { program, source })
    }

    /// What has to be in place before a child is: the session file, the guardian.
    fn prepare(&self, state: &mut State) -> Result<u64, SpawnError> {
        let Inner { options, marker, .. } = &*self.0;
        if state.ending {
            return Err(SpawnError::Ending);
        }
        if let (Some(sessions), None) = (&options.sessions_dir, &state.session_file) {
            match predecessors::write(sessions, marker) {
                Ok(file) => state.session_file = Some(file),
                // A disk without room for it keeps nobody from working: the guardian needs no file.
                Err(_) if options.guardian.is_some() => {}
                Err(source) => {
                    return Err(SpawnError::Safeguard { what: "write the session file", source });
                }
            }
        }
        if let (Some(exe), None) = (&options.guardian, &state.guardian) {
            let guardian = Guardian::start(exe, marker, state.session_file.as_deref());
            state.guard(
                guardian.map_err(|source| SpawnError::Safeguard { what: "start the guardian", source })?,
            );
        }
        state.started += 1;
        Ok(state.started)
    }

    /// Ends every child and everything that descends from one, whoever conducts it: SIGTERM, up to
    /// `grace`, SIGKILL, until nothing is found twice in a row. Nothing can be started from now on.
    /// Then the guardian is let go. Returns the numbers of what could not be ended within 5 s more.
    pub async fn end_everything(&self, grace: Duration) -> Vec<u32> {
        lock(&self.0.state).ending = true;
        let mut left = Rest::default();
        if self.may_have_left_something() {
            left = sweep::end(grace, || self.everything()).await;
        }
        if left.is_empty() {
            self.dismiss().await;
        }
        left.numbers()
    }

    /// Whether it takes more than a glance to know that all is over.
    fn may_have_left_something(&self) -> bool {
        let (started, running) = {
            let state = lock(&self.0.state);
            (state.started, state.running.len())
        };
        let adopts = cfg!(target_os = "linux") && self.0.options.adopt_orphans;
        // As a subreaper we inherit whatever is left of finished jobs.
        started > 0 && (running > 0 || !adopts || children::adopted().iter().any(|p| self.is_stray(p)))
    }

    async fn dismiss(&self) {
        let (guardian, file) = {
            let mut state = lock(&self.0.state);
            (state.guardian.take(), state.session_file.take())
        };
        if let Some(guardian) = guardian {
            guardian.dismiss().await;
        }
        if let Some(file) = file {
            // If it stays, the next session looks for nobody and removes it.
            let _ = fs::remove_file(file);
        }
    }

    /// Everything that lives and descends from this session.
    fn everything(&self) -> Rest {
        let running: Vec<Running> = {
            let mut state = lock(&self.0.state);
            state.reap_abandoned();
            state.running.values().copied().collect()
        };
        let mut groups: Vec<Pid> = running.iter().filter(|r| r.grouped).map(|r| r.leader).collect();
        if self.0.options.adopt_orphans {
            children::adopted(); // reaps the dead
        }
        if !cfg!(target_os = "linux") {
            groups.retain(|&group| proc::group_lives(group));
            return Rest { groups, strays: Vec::new() };
        }
        let _judging = children::nobody_starts();
        let in_group = |p: &Proc, group: &Pid| p.group == group.as_raw_nonzero().get();
        let all = proc::family(|p| {
            groups.iter().any(|group| in_group(p, group))
                || running.iter().any(|r| r.leader == p.pid)
                || self.is_ours(p)
        });
        groups.retain(|group| all.iter().any(|p| in_group(p, group)));
        let strays = all.into_iter().filter(|p| !groups.iter().any(|group| in_group(p, group)));
        Rest { strays: strays.collect(), groups }
    }

    fn is_ours(&self, process: &Proc) -> bool {
        match proc::session_chain(process.pid) {
            Some(chain) => self.0.marker.is_in(&chain),
            None => self.0.options.adopt_orphans && children::looks_adopted(process),
        }
    }

    /// Whether an adopted orphan is this session's: it says so, or it says nothing.
    fn is_stray(&self, adopted: &Proc) -> bool {
        proc::session_chain(adopted.pid).is_none_or(|chain| self.0.marker.is_in(&chain))
    }

    /// What still lives of a job whose first process has been reaped.
    pub(super) fn rest_of(&self, id: u64) -> Rest {
        let mut strays = if self.0.options.adopt_orphans { self.orphans_of(id) } else { Vec::new() };
        let running = lock(&self.0.state).running.get(&id).copied();
        let group = running.filter(|r| r.grouped).map(|r| r.leader).filter(|&group| proc::group_lives(group));
        strays.retain(|p| group.is_none_or(|group| p.group != group.as_raw_nonzero().get()));
        Rest { groups: group.into_iter().collect(), strays }
    }

    /// The orphans of a job and their descendants. One that cleared its environment can be any
    /// job's, and is the last running one's.
    fn orphans_of(&self, id: u64) -> Vec<Proc> {
        let alone = lock(&self.0.state).running.len() <= 1;
        let mut orphans = self.adopted();
        orphans.retain(|p| match proc::session_chain(p.pid) {
            Some(chain) => self.0.marker.job_is_in(&chain, id),
            None => alone,
        });
        if orphans.is_empty() { orphans } else { proc::family(|p| orphans.iter().any(|o| o.pid == p.pid)) }
    }

    /// Whether every job that can be paused is (a foreground job is the terminal's to stop).
    #[must_use]
    pub fn is_still(&self) -> bool {
        lock(&self.0.state).running.values().all(|running| running.paused || !running.grouped)
    }

    /// Has the guardian remove a private directory, should this process die without a word. To be called before
    /// the first child that uses it is started.
    pub fn guard_directory(&self, path: &Path) {
        let mut state = lock(&self.0.state);
        state.private.push(path.to_owned());
        if let Some(guardian) = &mut state.guardian
            && guardian.watch_directory(path).is_err()
        {
            state.guardian = None;
        }
    }

    /// A job has been stopped, or let go on.
    pub(super) fn set_paused(&self, id: u64, paused: bool) {
        if let Some(running) = lock(&self.0.state).running.get_mut(&id) {
            running.paused = paused;
        }
    }

    /// A job is over, all of it.
    pub(super) fn finished(&self, id: u64) {
        lock(&self.0.state).finish(id);
    }

    /// Nobody listens to a job any more, whether or not it is over. If its first process has not
    /// been reaped, it has been killed with its group.
    pub(super) fn abandon(&self, id: u64, leader: Option<Child>) {
        if let Some(leader) = leader {
            lock(&self.0.state).abandoned.push((id, leader));
        } else if lock(&self.0.state).running.contains_key(&id) {
            self.rest_of(id).kill();
            self.finished(id);
        }
    }

    /// Reaps dead orphans, if that has not been done for a while: a long-running job may leave many.
    pub(super) fn reap_orphans_now_and_then(&self) {
        if !self.0.options.adopt_orphans {
            return;
        }
        let due = {
            let reaped = &mut lock(&self.0.state).reaped;
            let due = reaped.is_none_or(|at| at.elapsed() > REAP_EVERY);
            due.then(|| *reaped = Some(Instant::now())).is_some()
        };
        if due {
            self.adopted();
        }
    }

    /// How often a job shall look for orphans, if ever.
    pub(super) fn looks_for_orphans_every(&self) -> Option<Duration> {
        self.0.options.adopt_orphans.then_some(REAP_EVERY)
    }

    /// The adopted orphans. Those without a mark are made known to the guardian: should we die, nothing else
    /// would tell that they were ours.
    fn adopted(&self) -> Vec<Proc> {
        let adopted = children::adopted();
        if !adopted.is_empty() {
            let mut state = lock(&self.0.state);
            for orphan in adopted.iter().filter(|p| proc::session_chain(p.pid).is_none()) {
                state.guard_orphan(orphan);
            }
        }
        adopted
    }
}

impl State {
    /// Takes on a guardian and tells it what runs already.
    fn guard(&mut self, mut guardian: Guardian) {
        let mut groups = self.running.values().filter(|r| r.grouped);
        let told = groups.try_for_each(|r| guardian.watch(r.leader));
        let mut directories = self.private.iter();
        let told = told.and_then(|()| directories.try_for_each(|path| guardian.watch_directory(path)));
        self.guardian = told.is_ok().then_some(guardian);
    }

    fn guard_orphan(&mut self, orphan: &Proc) {
        let is_known = !self.orphans.insert((orphan.pid.as_raw_nonzero().get(), orphan.start));
        let Some(guardian) = self.guardian.as_mut().filter(|_| !is_known) else { return };
        if guardian.watch_orphan(orphan).is_err() {
            self.guardian = None;
        }
    }

    fn run(&mut self, id: u64, running: Running) {
        self.running.insert(id, running);
        let guardian = self.guardian.as_mut().filter(|_| running.grouped);
        if guardian.is_some_and(|g| g.watch(running.leader).is_err()) {
            self.guardian = None; // it is gone; the next start brings a new one
        }
    }

    fn reap_abandoned(&mut self) {
        let dead = self.abandoned.extract_if(.., |(_, child)| !matches!(child.try_wait(), Ok(None)));
        for (id, child) in dead.collect::<Vec<_>>() {
            children::pid_of(&child).into_iter().for_each(children::forget);
            self.finish(id);
        }
    }

    fn finish(&mut self, id: u64) {
        let Some(running) = self.running.remove(&id) else { return };
        let guardian = self.guardian.as_mut().filter(|_| running.grouped);
        if guardian.is_some_and(|g| g.unwatch(running.leader).is_err()) {
            self.guardian = None;
        }
    }
}
