//! `devtask watch` where another one holds the tree: it shows what that tells.

use std::{
    cell::Cell,
    collections::{BTreeSet, HashSet},
};

use devtask::{
    config::Settings,
    event::{Event, What},
    model::{Outcome, TaskName},
    serve::{Attach, Gone, Orders, Refusal, Said, WatchInfo},
    session::WatchOptions,
};
use tokio::sync::mpsc;

use super::{
    errand::Errand,
    guest::{Visit, listening, refused},
    watch::manner,
};
use crate::{
    app::{App, misused_with},
    args::{OnBusy, WatchArgs},
    console::{Conducted, Console, Hand},
    exit::Exit,
    render::{lines::few, screen::Screen, text::shown, watch::Watched},
    signals::{Wish, stop_self},
};

/// How many tasks an error names.
const NAMED: usize = 5;

/// A watch that holds the tree.
pub(crate) struct Other {
    visit: Visit,
    watch: WatchInfo,
}

/// What became of being attached.
pub(crate) enum Left {
    /// We are to end, too.
    End(Exit),
    /// Nobody watches any more, or not for us. Whether we had been told anything.
    Alone(bool),
}

impl Other {
    /// The watch that a visit leads to; none if that is a run.
    pub(crate) fn of(visit: Visit) -> Option<Self> {
        let watch = visit.welcome.watch.clone()?;
        Some(Self { visit, watch })
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.visit.welcome.settings
    }

    pub(crate) fn screen(&self, app: &App, args: &WatchArgs, errand: Errand<'_>) -> Screen {
        let shown: HashSet<_> = self.visit.welcome.shown.iter().cloned().collect();
        let root = self.visit.welcome.root.as_path();
        let screen = errand.screen(app, self.settings(), root, shown, HashSet::new());
        screen.watching(Watched::new(manner(app, self.settings(), args)), args.clear)
    }

    /// Shows what it tells, until it ends or we are to.
    pub(crate) async fn follow(
        self,
        app: &App,
        args: &WatchArgs,
        errand: Errand<'_>,
        console: &mut Console,
    ) -> Result<Left, Exit> {
        let keys = manner(app, self.settings(), args).keys;
        let whom = format!("`{}` (pid {})", shown(&self.watch.label), self.watch.pid);
        let root = self.visit.welcome.root.as_path().to_owned();
        let attach = Attach {
            label: errand.label(),
            everything: app.globals.events.is_some(),
            // What is up is there whoever asked for it.
            names: if args.up.is_some() { Vec::new() } else { args.run.names.clone() },
            mode: args.run.mode.into(),
        };
        let Ok(mut attached) = Attached::new(self.visit, attach) else { return Ok(Left::Alone(false)) };
        if let Some(signal) = attached.begin(console).await {
            return Err(Exit::Signal(signal));
        }
        if attached.first.is_some() {
            console.view().announce("Attached", &format!("to {whom}, which goes on when this ends"));
            let unheeded = unheeded(app, args);
            if !unheeded.is_empty() {
                let line = format!("of no account here, for that watch has its own: {}", unheeded.join(", "));
                console.view().announce("Warning", &line);
            }
        }
        let hand = Hand::Attached(attached.orders.clone());
        let ended = console.follow_watch(attached, hand, &root, keys, || None).await?;
        let exit = match (ended.signal, ended.summary) {
            (Some(signal), _) => Exit::Signal(signal),
            (None, Parting::Quit { failed: true }) => Exit::Failed,
            (None, Parting::Quit { failed: false }) => Exit::Done,
            (None, Parting::Over) => {
                console.view().announce("Ended", &format!("{whom}, and this with it"));
                Exit::Done
            }
            (None, Parting::Refused(refusal)) => {
                console.clear().await;
                return match refusal {
                    Refusal::Unwatched(missing, watched) => Err(unwatched(&missing, &watched, &whom)),
                    refusal => refused(refusal).map(|()| Left::Alone(false)),
                };
            }
            (None, Parting::Gone { told }) => return Ok(Left::Alone(told)),
        };
        console.finish().await?;
        Ok(Left::End(exit))
    }
}

/// Says that tasks are not watched, and what to do about it.
fn unwatched(missing: &[TaskName], watched: &[TaskName], whom: &str) -> Exit {
    let are = if missing.len() == 1 { "is" } else { "are" };
    let message = format!(
        "{} {are} not watched: {whom} holds this tree and watches {}",
        few(missing, ", ", NAMED, 0),
        few(watched, ", ", NAMED, 0)
    );
    let all: Vec<&str> = watched.iter().chain(missing).map(TaskName::as_str).collect();
    let hint = if all.len() > 2 * NAMED {
        "end that one, and start one watch for all of them".to_owned()
    } else {
        format!("end that one, and start one watch for all of them: devtask watch {}", all.join(" "))
    };
    misused_with(&message, &hint)
}

/// What was typed that only a watch of our own could heed.
fn unheeded(app: &App, args: &WatchArgs) -> Vec<&'static str> {
    let run = &args.run;
    let typed = [
        ("-j", run.jobs.is_some()),
        ("--fail-fast", run.fail_fast.is_some()),
        ("--force", run.force),
        ("--timeout", run.timeout.is_some()),
        ("--retries", run.retries.is_some()),
        ("--input", !run.inputs.is_empty() || run.input_json.is_some()),
        ("--tail", run.tail.is_some()),
        ("-- ARGS", !run.arguments.is_empty()),
        ("--refresh-task-cache", app.globals.refresh_task_cache),
        ("--on-busy", args.on_busy != OnBusy::Queue),
        ("--poll", args.poll.is_some()),
        ("--watcher", args.watcher.is_some()),
        ("--no-initial", args.no_initial),
        ("--debounce", args.debounce != WatchOptions::default().quiet),
    ];
    typed.into_iter().filter_map(|(flag, is_typed)| is_typed.then_some(flag)).collect()
}

/// What a watch tells that is not ours.
struct Attached {
    said: mpsc::Receiver<Result<Said, Gone>>,
    orders: Orders,
    /// What was said first, if that was an event.
    first: Option<Event>,
    told: bool,
    /// What stands as failed, as far as it was told.
    failed: BTreeSet<TaskName>,
    parting: Option<Parting>,
    has_quit: Cell<bool>,
}

/// How we parted.
enum Parting {
    /// We left. Whether a task stood as failed.
    Quit {
        failed: bool,
    },
    /// It ended as it was told to.
    Over,
    Refused(Refusal),
    Gone {
        told: bool,
    },
}

impl Attached {
    fn new(visit: Visit, attach: Attach) -> Result<Self, Gone> {
        let Visit { mut guest, .. } = visit;
        guest.attach(attach)?;
        let orders = guest.orders()?;
        Ok(Self {
            said: listening(guest)?,
            orders,
            first: None,
            told: false,
            failed: BTreeSet::new(),
            parting: None,
            has_quit: Cell::new(false),
        })
    }

    /// Waits for what is said first; the signal that ended that.
    async fn begin(&mut self, console: &mut Console) -> Option<i32> {
        loop {
            tokio::select! {
                said = self.said.recv() => {
                    self.first = self.take(said);
                    return None;
                }
                wish = console.wish() => match wish {
                    Wish::End(number) => return Some(number),
                    Wish::Stop => stop_self(),
                    Wish::Report => {}
                },
            }
        }
    }

    fn take(&mut self, said: Option<Result<Said, Gone>>) -> Option<Event> {
        self.parting = Some(match said {
            Some(Ok(Said::Event(event))) => {
                self.note(&event);
                return Some(event);
            }
            Some(Ok(Said::Refused(refusal))) => Parting::Refused(refusal),
            Some(Ok(Said::WatchOver)) => Parting::Over,
            _ => Parting::Gone { told: self.told },
        });
        None
    }

    fn note(&mut self, event: &Event) {
        self.told = true;
        match &event.what {
            What::Standings { outcomes, .. } => {
                let failed = outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Failed);
                self.failed = failed.map(|(task, _)| task.clone()).collect();
            }
            What::Waiting { failed, .. } => self.failed = failed.iter().cloned().collect(),
            What::TaskFinished(finished) if finished.status == Outcome::Failed => {
                self.failed.insert(finished.task.clone());
            }
            What::TaskFinished(finished) => drop(self.failed.remove(&finished.task)),
            _ => {}
        }
    }
}

impl Conducted for Attached {
    type Summary = Parting;
    type Fault = Exit;

    async fn next_event(&mut self) -> Option<Event> {
        if self.first.is_some() {
            return self.first.take();
        }
        if self.parting.is_some() {
            return None;
        }
        let said = self.said.recv().await;
        self.take(said)
    }

    /// Only we end.
    fn interrupt(&self) {
        self.has_quit.set(true);
        self.orders.leave();
    }

    fn kill(&self) {
        self.interrupt();
    }

    /// What runs is not ours.
    async fn pause(&self) {}

    fn resume(&self) {}

    fn ends_at_once(&self) -> bool {
        true
    }

    async fn finish(self) -> Result<Parting, Exit> {
        let gone = Parting::Gone { told: self.told };
        Ok(match self.parting {
            // What was said before that counts.
            Some(Parting::Gone { .. }) | None if self.has_quit.get() => {
                Parting::Quit { failed: !self.failed.is_empty() }
            }
            parting => parting.unwrap_or(gone),
        })
    }
}
