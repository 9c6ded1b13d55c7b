//! Task files that are edited while a watch goes on (spec section 5), and tasks that call others than before: the
//! watch goes on over another graph, or another part of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use super::{Reload, turns::Turns};
use crate::{
    event::What,
    graph::TaskGraph,
    model::{Action, Outcome, TaskId, TaskName},
    plan::Plan,
    scan::Attendant as _,
    session::{
        Reloaded, Request, Session, SessionError,
        judge::CommandFile,
        shared::Shared,
        watching::{Looked, Seen, Stood, Watching},
    },
    watch::Change,
};

/// A file with a fault may be half of one that is being saved: it is loaded once more after this long.
const AGAIN: Duration = Duration::from_millis(200);
/// So many new directories are watched for the task files they may get.
const MOST_NEW: usize = 100;
/// How long somebody else's run is waited for at a time.
const SOON: Duration = Duration::from_millis(50);

/// What is known of the task files.
#[derive(Default)]
pub(super) struct Files {
    reload: Option<Box<dyn Reload>>,
    /// What they say now, to go on with as soon as nobody needs what they said before.
    put_off: Option<Reloaded>,
    /// The names that were asked for, whatever the files say.
    wanted: Vec<String>,
    /// They may say something else.
    is_suspect: bool,
    /// The tasks that are files themselves, which are part of their keys (spec section 4.1).
    programs: Vec<(TaskId, PathBuf)>,
    /// Directories that came since.
    new: VecDeque<PathBuf>,
    /// When they had a fault for the first time, and what was told of it.
    failed: Option<(Instant, Option<String>)>,
}

impl Files {
    pub(super) fn new(reload: Option<Box<dyn Reload>>, wanted: Vec<String>) -> Self {
        Self { reload, wanted, ..Self::default() }
    }

    /// Whether they say something else than what is gone on with.
    pub(super) fn are_others(&self) -> bool {
        let is_other = |reload: &dyn Reload| !reload.is_current();
        self.put_off.is_some() || self.is_suspect && self.reload.as_deref().is_some_and(is_other)
    }
}

/// What is to be watched.
struct Planned {
    names: Vec<String>,
    plan: Plan,
    warning: Option<String>,
}

impl Turns {
    /// Watches the directories of the task files, and of tasks that are files themselves.
    pub(super) fn watch_files(&mut self) {
        for directory in self.files.reload.iter().flat_map(|reload| reload.places()) {
            self.watching().watch_also(&directory);
        }
        let Shared { graph, ambient, .. } = &*self.session.shared;
        let keyed = self.plan.order().iter().filter(|id| graph.task(**id).is_keyed());
        let programs = keyed.filter_map(|id| Some((*id, CommandFile::place(ambient, graph.task(*id))?)));
        self.files.programs = programs.collect();
        for directory in self.files.programs.iter().filter_map(|(_, path)| path.parent()) {
            self.watching().watch_also(directory);
        }
    }

    /// Changes beside those of what patterns say.
    pub(super) fn suspect(&mut self, changes: &[Change]) {
        for (id, path) in &self.files.programs {
            if changes.iter().any(|change| change.may_be_of(path)) {
                self.owed.insert(*id);
            }
            if changes.iter().any(|change| matches!(change, Change::Entry(entry) if entry == path)) {
                self.paths.insert(path.clone());
            }
        }
        if self.files.reload.is_none() || changes.is_empty() {
            return;
        }
        self.files.is_suspect = true;
        for change in changes {
            // A new directory may get a task file of its own. One that has none after many others came does not.
            if let Change::Entry(path) = change
                && path.is_dir()
                && !self.files.new.contains(path)
            {
                self.watching().watch_also(path);
                self.files.new.push_back(path.clone());
                if self.files.new.len() > MOST_NEW {
                    let oldest = self.files.new.pop_front();
                    oldest.iter().for_each(|directory| self.watching().watch_no_more(directory));
                }
            }
        }
    }

    /// Whether the files have to be looked at, and nothing that runs rests on what they said.
    pub(super) fn may_reload(&mut self) -> bool {
        let is_still = self.session.shared.commons.nobody_drives();
        if self.files.is_suspect && !is_still {
            self.look_in(SOON);
        }
        self.files.is_suspect && is_still
    }

    /// Loads anew what has changed; the tasks that are others then.
    pub(super) async fn load_files(&mut self) {
        let Some(mut reload) = self.files.reload.take() else { return };
        self.files.is_suspect = false;
        let load = move || {
            let loaded = (!reload.is_current()).then(|| reload.reload());
            (reload, loaded)
        };
        let Ok((reload, loaded)) = tokio::task::spawn_blocking(load).await else {
            let text = "internal failure: edits of task files are not seen any more".to_owned();
            return self.audience.emit(What::ReloadFailed { text });
        };
        self.files.reload = Some(reload);
        if let Some(Err(text)) = loaded {
            // What was loaded before these had faults is still to be gone on with.
            self.files.is_suspect |= self.files.put_off.is_some();
            return self.note_failure(text);
        }
        match loaded.and_then(Result::ok).or(self.files.put_off.take()) {
            None => {
                // They say again what they said before they had faults.
                if let Some((_, Some(_))) = self.files.failed.take() {
                    self.audience.emit(What::Reloaded { tasks: Vec::new() });
                }
            }
            Some(reloaded) => {
                self.files.failed = None;
                if let Err(text) = self.go_on_with(reloaded).await {
                    self.audience.emit(What::ReloadFailed { text });
                }
            }
        }
        self.watch_files();
    }

    fn note_failure(&mut self, text: String) {
        let now = Instant::now();
        match &mut self.files.failed {
            None => {
                self.files.failed = Some((now, None));
                self.files.is_suspect = true;
                self.look_in(AGAIN);
            }
            Some((_, told)) if told.as_ref() == Some(&text) => {}
            Some((_, told)) => {
                *told = Some(text.clone());
                self.audience.emit(What::ReloadFailed { text });
            }
        }
    }

    /// Goes on with another graph; what is wrong with that, if the tasks that are watched are not in it.
    async fn go_on_with(&mut self, reloaded: Reloaded) -> Result<(), String> {
        let session = self.session.renewed(reloaded.clone());
        let Planned { names, plan, warning } =
            self.plan_in(&session).map_err(|error| format!("error: {error}"))?;
        if !self.session.shared.commons.leave_for_good() {
            self.files.put_off = Some(reloaded);
            self.files.is_suspect = true;
            self.look_in(SOON);
            return Ok(());
        }
        self.request.names = names;
        for message in reloaded.warnings.into_iter().chain(warning) {
            self.audience.emit(What::Warning { task: None, message });
        }
        let (old, new) = (Arc::clone(&self.session.shared.graph), Arc::clone(&session.shared.graph));
        self.move_to(session, plan).await;
        let others: BTreeSet<TaskId> =
            self.plan.order().iter().copied().filter(|id| !is_same(&old, &new, *id)).collect();
        self.owed.extend(others.iter().copied());
        self.audience.emit(What::Reloaded { tasks: self.names(others.into_iter()) });
        Ok(())
    }

    /// What is to be watched now: of the names asked for those that still mean something. A watch of names of which
    /// none does has nothing to go on with.
    fn plan_in(&self, session: &Session) -> Result<Planned, SessionError> {
        let mut request = Request { names: self.files.wanted.clone(), ..self.request.clone() };
        match session.watched_plan(&request) {
            Err(SessionError::Unknown(faults)) => {
                request.names.retain(|name| faults.iter().all(|fault| fault.typed != name.trim()));
                let error = SessionError::Unknown(faults);
                if request.names.is_empty() {
                    return Err(error);
                }
                let plan = session.watched_plan(&request)?;
                let warning = Some(format!("{error} any more; the rest is watched"));
                Ok(Planned { names: request.names, plan, warning })
            }
            plan => plan.map(|plan| Planned { names: request.names, plan, warning: None }),
        }
    }

    /// Tasks call others than when the watch began: these are watched, too.
    pub(super) async fn follow_calls(&mut self) {
        let Ok(plan) = self.session.watched_plan(&self.request) else { return };
        self.calls_are_suspect = false;
        if plan.scheduled() == self.plan.scheduled() {
            self.plan = plan;
        } else if self.session.shared.commons.leave_for_good() {
            let session = self.session.renewed(self.session.as_loaded());
            self.move_to(session, plan).await;
        } else {
            self.calls_are_suspect = true;
            self.look_in(SOON);
        }
    }

    /// Goes on in another session, over what is known of the same tasks.
    async fn move_to(&mut self, session: Session, plan: Plan) {
        let (old, new) = (Arc::clone(&self.session.shared), Arc::clone(&session.shared));
        let source = Arc::clone(self.watching().source());
        let watching = Watching::new(&new, &plan, source, Arc::clone(&self.woken));
        watching.watch_also_as(self.watching());
        for (id, stood) in &*self.watching().standings() {
            let there = new.graph.id(old.graph.name(*id).as_str());
            if let Some(there) = there.filter(|there| is_same(&old.graph, &new.graph, *there)) {
                watching.stand(there, translated(stood, &old.graph, &new.graph));
            }
        }
        // Of a session that was made just now nobody else knows.
        let _ = new.watching.set(watching);
        let names = |ids: &mut dyn Iterator<Item = TaskId>| -> Vec<TaskId> {
            ids.filter_map(|id| new.graph.id(old.graph.name(id).as_str())).collect()
        };
        self.changed = names(&mut self.changed.iter().copied()).into_iter().collect();
        let stuck: BTreeMap<TaskId, _> = std::mem::take(&mut self.stuck)
            .into_iter()
            .filter_map(|(id, paths)| Some((new.graph.id(old.graph.name(id).as_str())?, paths)))
            // Whoever edits it may have mended it.
            .filter(|(id, _)| is_same(&old.graph, &new.graph, *id))
            .collect();
        self.stuck = stuck;
        self.chain.end();
        // In terms of the old one; nobody is in that any more who could add to it.
        let before = self.watching().take_seen();
        self.note_others(&before);
        self.paths.extend(before.paths);
        self.suspect(&before.other);
        let owed: Vec<TaskId> = names(&mut self.owed.iter());
        self.owed = owed.into_iter().collect();
        self.use_session(session.clone());
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = session;
        self.plan = plan;
        // What the files know no more ends; the others stay up, and are begun anew if they are others now.
        let is_process =
            |name: &TaskName| new.graph.id(name.as_str()).is_some_and(|id| new.graph.task(id).is_process());
        new.processes.keep_only(is_process);
        let is_server = |name: &str| {
            let mut actions = new.graph.ids().map(|id| &new.graph.task(id).action);
            actions.any(|action| matches!(action, Action::Served(server, _) if server.full_name() == name))
        };
        new.servers.keep_only(is_server);
        new.servers.attend(&new);
        let (before, now) = (Arc::clone(&old), Arc::clone(&new));
        let look = move || {
            let (Some(before), Some(watching)) = (before.watching.get(), now.watching.get()) else {
                return Seen::default();
            };
            drop(watching.catch_up(&now));
            watching.take_over(before);
            watching.take_seen()
        };
        // A panic there is one of every look afterwards, too.
        let seen = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        // Everything was read just now: what changed is what is another than when it was looked at last.
        let has_changed = |id: &TaskId| {
            let watching = self.watching();
            watching.has_changed(&self.session.shared, &watching.now(), *id)
        };
        let is_wanted = |id: &TaskId| {
            let given_up = |stood: Stood| stood.outcome == Some(Outcome::Cancelled);
            !self.stuck.contains_key(id) && !self.watching().standing(*id).is_some_and(given_up)
        };
        let changed = self.plan.order().iter().copied().filter(is_wanted);
        let changed: Vec<TaskId> = changed.filter(has_changed).collect();
        self.changed.extend(changed);
        self.note_others(&seen);
        self.paths.extend(seen.paths);
        self.suspect(&seen.other);
        if self.files.is_suspect {
            self.look_in(SOON);
        }
        self.watch_files();
    }
}

/// Whether a task of the new graph is what it was in the old one, as are the edges into it.
fn is_same(old: &TaskGraph, new: &TaskGraph, id: TaskId) -> bool {
    let Some(was) = old.id(new.name(id).as_str()) else { return false };
    let edges = |graph: &TaskGraph, id: TaskId| {
        let edge =
            |edge: crate::graph::Edge| (graph.name(edge.task).clone(), format!("{:?}", edge.conditions));
        graph.upstream(id).map(edge).collect::<BTreeSet<_>>()
    };
    old.task(was) == new.task(id) && edges(old, was) == edges(new, id)
}

fn translated(stood: &Stood, old: &TaskGraph, new: &TaskGraph) -> Stood {
    let there = |(id, digest): &(TaskId, _)| Some((new.id(old.name(*id).as_str())?, *digest));
    let looked =
        Looked { upstream: stood.looked.upstream.iter().filter_map(there).collect(), ..stood.looked.clone() };
    Stood { looked, ..stood.clone() }
}

impl Watching {
    /// Takes the place of another one over the same source.
    fn take_over(&self, before: &Self) {
        let mine: BTreeSet<_> = self.now().attended().map(Path::to_owned).collect();
        let others: Vec<_> = before.now().attended().map(Path::to_owned).collect();
        others
            .iter()
            .filter(|directory| !mine.contains(*directory))
            .for_each(|directory| self.leave(directory));
    }
}
