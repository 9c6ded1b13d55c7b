//! Waiting for a tree that another devtask holds.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use devtask::{
    Session, SessionError,
    serve::{SocketMark, socket},
    session::Wait,
    store::Owner,
};

use crate::{
    app::{App, Tree, is_nested_in, misused, refuse},
    commands::run::Stage,
    console::Console,
    exit::Exit,
    render::text,
    signals::{Wish, stop_self},
};

/// Whether waiting for the tree makes sense. Nobody has to wait for an owner that serves.
pub(crate) fn may_wait(app: &App, tree: &Tree, owner: &Owner) -> Result<(), Exit> {
    let state_dir = app.state_dir(tree);
    if socket(&state_dir).is_some() {
        return Ok(());
    }
    if is_nested_in(&state_dir) {
        return Err(nested());
    }
    if app.globals.no_wait {
        return Err(refuse(&SessionError::Held(owner.clone())));
    }
    Ok(())
}

/// The end of a run that waits for itself.
pub(crate) fn nested() -> Exit {
    misused(
        "a task cannot wait for the run it is part of: `devtask` was called by a task of the run that holds this \
         tree, and cannot be served by it; put the edge into `after` instead",
    )
}

/// How long after it sent us away an owner is asked again: the reason may be over. One that is in the midst of a cycle
/// serves nobody who knows newer task files, until that is over.
const AGAIN: Duration = Duration::from_secs(1);

/// What was tried, and said, while the tree was not ours.
#[derive(Default)]
pub(crate) struct Attempts {
    /// The socket that was tried last, to no avail.
    asked: Option<(SocketMark, Instant)>,
    /// Whether it was said that we wait.
    is_told: Arc<AtomicBool>,
}

impl Attempts {
    /// This one was tried just now.
    pub(crate) fn tried(&mut self, socket: SocketMark) {
        self.asked = Some((socket, Instant::now()));
    }

    /// We were served.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self::default();
    }
}

/// What waiting for a tree came to.
pub(crate) enum Waited {
    /// It is ours.
    Free(Box<Session>),
    /// There is a socket that was not tried just now.
    Served(SocketMark),
}

/// Why waiting was given up.
enum Stopped {
    Served(SocketMark),
    Impatient(Owner),
}

/// Waits until the tree is free, or until there is a socket that was not tried just now, unless a signal says not to
/// wait.
pub(crate) async fn wait(
    stage: Stage<'_>,
    console: &mut Console,
    attempts: &Attempts,
) -> Result<Waited, Exit> {
    let state_dir = stage.state_dir();
    let builder = stage.builder();
    let is_patient = !stage.app.globals.no_wait && !is_nested_in(&state_dir);
    let (stopped, because) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
    let (stop, why) = (Arc::clone(&stopped), Arc::clone(&because));
    let (asked, is_told) = (attempts.asked, Arc::clone(&attempts.is_told));
    let should_stop = move |owner: &Owner| {
        if stop.load(Ordering::Relaxed) {
            return true;
        }
        let was_tried = |socket: &SocketMark| {
            asked.is_some_and(|(tried, then)| tried == *socket && (!is_patient || then.elapsed() < AGAIN))
        };
        let stopped = match socket(&state_dir).filter(|socket| !was_tried(socket)) {
            Some(socket) => Some(Stopped::Served(socket)),
            None => (!is_patient).then(|| Stopped::Impatient(owner.clone())),
        };
        if stopped.is_some() {
            *why.lock().unwrap_or_else(PoisonError::into_inner) = stopped;
            return true;
        }
        if !is_told.swap(true, Ordering::Relaxed) {
            eprintln!("Waiting for {}", text::owner(owner));
        }
        false
    };
    let wait = Wait::UntilStopped(Box::new(should_stop));
    let mut opening = pin!(builder.wait(wait).open());
    let mut signal = None;
    loop {
        tokio::select! {
            opened = &mut opening => {
                let because = because.lock().unwrap_or_else(PoisonError::into_inner).take();
                return match (opened, signal, because) {
                    (Ok(session), ..) => Ok(Waited::Free(Box::new(session))),
                    (Err(_), Some(signal), _) => Err(Exit::Signal(signal)),
                    (Err(_), None, Some(Stopped::Served(socket))) => Ok(Waited::Served(socket)),
                    (Err(_), None, Some(Stopped::Impatient(_))) if is_nested_in(&stage.state_dir()) => Err(nested()),
                    (Err(_), None, Some(Stopped::Impatient(owner))) => Err(refuse(&SessionError::Held(owner))),
                    (Err(error), None, None) => Err(refuse(&error)),
                };
            }
            wish = console.wish() => match wish {
                Wish::End(number) => {
                    signal = Some(number);
                    stopped.store(true, Ordering::Relaxed);
                }
                Wish::Stop => stop_self(),
                Wish::Report => {}
            },
        }
    }
}
