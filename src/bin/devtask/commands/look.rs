//! Looking without touching: decisions of a dry run over a read-only session.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use devtask::{
    Request, Session, SessionError,
    event::{Decided, Event, LastSuccess, What},
    model::{Compared, Reason, TaskName},
    plan::Mode,
    store::StoreError,
};

use crate::{
    app::{App, Tree, complain, refuse},
    commands::guest::Visit,
    exit::Exit,
};

/// What would be done with a task, and why.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) action: Decided,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) compared: Option<Compared>,
    pub(crate) last_success: Option<LastSuccess>,
    /// The earlier success that would come back.
    pub(crate) restores: Option<LastSuccess>,
}

impl Decision {
    /// One word for lists.
    pub(crate) fn freshness(&self) -> &'static str {
        match (self.action, self.reasons.as_slice()) {
            (Decided::Cached, _) => "fresh",
            (Decided::Skip, _) => "no command",
            (Decided::WouldRestore, _) => "restorable",
            (_, [Reason::AlwaysRuns]) => "always runs",
            (_, [Reason::Executing]) => "running",
            (_, [Reason::StatusDecides]) => "asks its status",
            _ => "stale",
        }
    }
}

/// Decisions by task, and warnings on the way.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub(crate) decisions: BTreeMap<TaskName, Decision>,
    pub(crate) warnings: Vec<String>,
    /// The tasks that those asked about called when they last succeeded.
    pub(crate) called: BTreeSet<TaskName>,
}

/// Why the state cannot be read now.
pub(crate) const BUSY: &str = "another devtask is at work in this tree";

/// The end of a verb that can do nothing without the state, having said so.
pub(crate) fn busy() -> Exit {
    complain(&format!("{BUSY}; try again when it is done"));
    Exit::Held
}

/// Opens the tree for looking. `None`: another devtask is at work in it, so that its state cannot be read
/// now.
pub(crate) fn open(app: &App, tree: &Tree, label: &str) -> Result<Option<Session>, Exit> {
    match app.session(tree, label).read_only(true).open_blocking() {
        Ok(session) => Ok(Some(session)),
        Err(
            SessionError::Held(_)
            | SessionError::Store(StoreError::AlreadyOpen(_) | StoreError::NeedsRepair(_)),
        ) => Ok(None),
        Err(error) => Err(refuse(&error)),
    }
}

/// Judges these tasks and what is upstream of them. `None` as for [`open`].
pub(crate) fn look(app: &App, tree: &Tree, names: &[String]) -> Result<Option<Look>, Exit> {
    let mut request = Request::run(names.to_vec()).mode(Mode::Before).dry();
    request.refresh = app.globals.refresh_task_cache;
    let Some(session) = open(app, tree, "devtask")? else {
        // Who is at work can look, too.
        let events = Visit::of_loaded(app, tree).and_then(|visit| visit.look(request, "devtask".to_owned()));
        return Ok(events.map(|events| collect(events, Vec::new())));
    };
    let mut judging = session.judge(request).map_err(|error| refuse(&error))?;
    let mut look = collect(iter::from_fn(|| judging.next_event()), session.notices().to_vec());
    let records = names.iter().filter_map(|name| session.record(&TaskName::new(name).ok()?));
    let called = records.filter_map(|record| record.success).flat_map(|success| success.called);
    look.called = called.map(|called| called.task).collect();
    // Nothing was written, so closing has nothing to tell.
    let _ = session.close_blocking();
    Ok(Some(look))
}

fn collect(events: impl IntoIterator<Item = Event>, warnings: Vec<String>) -> Look {
    let mut look = Look { warnings, ..Look::default() };
    for event in events {
        match event.what {
            What::Decision { task, action, reasons, compared, last_success, restores } => {
                let decision = Decision { action, reasons, compared, last_success, restores };
                look.decisions.insert(task, decision);
            }
            What::Warning { task, message } => {
                look.warnings.push(task.map_or(message.clone(), |task| format!("{task}: {message}")));
            }
            _ => {}
        }
    }
    look
}
