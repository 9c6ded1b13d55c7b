//! Between a run and its user: events to the screen and to `--events`, signals to the run.

mod keys;
mod own;
mod watch;

use std::{
    fs::File,
    io::{self, Write as _, stdout},
    path::Path,
    pin::pin,
    time::Duration,
};

use devtask::{
    Session,
    event::{Event, What},
    serve::{GuestInfo, Serving},
    session::{RunControl, RunSummary},
};

use keys::Keyboard;
use own::stand_still;
pub(crate) use own::{OwnRun, OwnWatch};
use rustix::process::Signal;
pub(crate) use watch::{Hand, has_keys};

use crate::{
    app::{App, internal, misused},
    exit::Exit,
    render::{
        printer::{Printer, Sink},
        screen::{REFRESH, Screen},
        text::{count, shown},
    },
    signals::{Signals, Wish, stop_self},
};

/// More text than this is not collected while a write is under way.
const ROOM: usize = 256 * 1024;
/// How long the terminal and the tasks may take to stand still.
const PATIENCE: Duration = Duration::from_millis(300);

/// What a run came to: its summary, and the signal that ended it.
pub(crate) struct Ended<S = RunSummary> {
    pub(crate) summary: S,
    pub(crate) signal: Option<i32>,
}

/// Where a run is to be seen.
pub(crate) struct View {
    screen: Screen,
    pub(crate) printer: Printer,
    /// Whether somebody else shows what tasks want to be said.
    pub(crate) holds_messages: bool,
}

impl View {
    pub(crate) fn new(screen: Screen, events: Option<Sink>) -> Self {
        Self { screen, printer: Printer::new(events), holds_messages: false }
    }

    pub(crate) fn warn(&mut self, notices: &[String]) {
        for notice in notices {
            self.screen.warn(notice);
        }
    }

    pub(crate) fn take(&mut self, event: &Event) {
        if !(self.holds_messages && matches!(event.what, What::Message { .. })) {
            self.screen.show(event);
        }
        if matches!(event.what, What::RunFinished { .. }) {
            self.add_summary();
        }
        if self.printer.writes_events() {
            let line = self.printer.events();
            // Events have a JSON form, and memory takes whatever is written.
            let _ = serde_json::to_writer(&mut *line, event).map_err(io::Error::from);
            let _ = line.write_all(b"\n");
        }
    }

    /// A job that cannot show its summary has run all the same.
    fn add_summary(&mut self) {
        let length = |path: &Path| path.metadata().map_or(0, |data| data.len());
        let Some((path, text)) = self.screen.summary(length) else { return };
        if let Err(error) = Printer::append(&path, &text) {
            self.screen.warn(&format!("cannot write the summary of the step to {}: {error}", path.display()));
        }
    }

    /// Gives the sink of events back, once everything is written.
    pub(crate) fn into_events(self) -> Option<Sink> {
        self.printer.into_events()
    }

    /// Whether it is the log of a GitHub Actions job.
    pub(crate) fn is_on_github(&self) -> bool {
        self.screen.is_on_github()
    }

    /// Begins anew with another screen.
    pub(crate) fn begin_again(&mut self, screen: Screen) {
        let frame = self.screen.clear();
        self.printer.err(&frame);
        self.screen = screen;
    }

    /// Whether there are lines that are not on the screen yet, or more than enough events to be written.
    pub(crate) fn waits_to_be_seen(&self) -> bool {
        self.screen.waiting() > 0 || self.printer.waiting() >= ROOM
    }

    /// Brings everything up to date from this thread. Signals mean what they mean to every program meanwhile.
    pub(crate) fn show_here(&mut self) {
        let frame = self.screen.clear();
        self.printer.err(&frame);
        self.printer.write_here();
    }
}

/// Everything between a run and its user.
pub(crate) struct Console {
    view: View,
    signals: Signals,
    /// The first signal that asked for the end, and how many have.
    ended_by: Option<i32>,
    times: u32,
    /// The signal to die by because one came after the run, whatever the run came to.
    closed_by: Option<i32>,
    /// How long what is left at the end has to end.
    grace: Duration,
    /// While a watch has it.
    keyboard: Option<Keyboard>,
}

impl Console {
    pub(crate) fn new(view: View, signals: Signals) -> Self {
        Self {
            view,
            signals,
            ended_by: None,
            times: 0,
            closed_by: None,
            grace: RunControl::GRACE,
            keyboard: None,
        }
    }

    /// The next wish of the user.
    pub(crate) async fn wish(&mut self) -> Wish {
        self.signals.next().await
    }

    /// What is to be seen.
    pub(crate) fn view(&mut self) -> &mut View {
        &mut self.view
    }

    /// The signal that asked for the end, if one did.
    pub(crate) const fn ended_by(&self) -> Option<i32> {
        self.ended_by
    }

    /// Shows the events of a run until it is over, and does what signals ask for.
    pub(crate) async fn follow<R: Conducted>(&mut self, mut run: R) -> Result<Ended<R::Summary>, R::Fault> {
        let mut ticks = tokio::time::interval(REFRESH);
        let mut due = false;
        loop {
            self.draw(&mut due);
            tokio::select! {
                event = run.next_event(), if self.has_room() => match event {
                    Some(event) => self.view.take(&event),
                    None => break,
                },
                () = self.view.printer.written(), if self.view.printer.is_busy() => {}
                wish = self.signals.next() => self.obey(wish, &run).await,
                _ = ticks.tick(), if self.view.screen.is_live() => due = true,
            }
        }
        let summary = run.finish().await?;
        Ok(Ended { summary, signal: self.ended_by })
    }

    /// Whether what was collected meanwhile leaves room for more. A reader that does not read slows down
    /// those whose lines it wants, and nobody else. Before a task gets the terminal everything is written.
    fn has_room(&self) -> bool {
        let waiting = self.view.printer.waiting() + self.view.screen.waiting();
        if self.view.screen.is_lent() { waiting == 0 && !self.view.printer.is_busy() } else { waiting < ROOM }
    }

    fn draw(&mut self, due: &mut bool) {
        if self.view.printer.is_busy() {
            return;
        }
        if self.view.screen.waiting() > 0 || std::mem::take(due) {
            let frame = self.view.screen.frame();
            self.view.printer.err(&frame);
        }
        self.view.printer.start();
    }

    /// To end: at first gracefully, at the second time now, at the third leave at once; the guardian clears up.
    async fn obey(&mut self, wish: Wish, run: &impl Conducted) {
        match wish {
            Wish::End(number) => {
                self.ended_by.get_or_insert(number);
                self.times += weight(number);
                match self.times {
                    1 => {
                        if !run.ends_at_once() {
                            self.view.screen.note("Stopping          (again: now)");
                        }
                        run.interrupt();
                    }
                    2 => run.kill(),
                    _ => self.leave(number).await,
                }
            }
            Wish::Stop => self.stop(run).await,
            Wish::Report => {
                self.view.screen.report();
                run.others().iter().for_each(|line| self.view.screen.note(line));
            }
        }
    }

    /// Stands still with everything that runs. The tasks first: nobody could stop them afterwards.
    async fn stop(&mut self, run: &impl Conducted) {
        run.pause().await;
        self.clear().await;
        self.keyboard.iter_mut().for_each(Keyboard::lend);
        stop_self();
        self.lend_terminal();
        run.resume();
    }

    /// Waits for guests whose requests are under way, unless a signal has said or says that all is to end.
    pub(crate) async fn see_off(&mut self, mut serving: Serving, session: &Session) {
        serving.close();
        if self.ended_by.is_some() {
            serving.dismiss();
        } else if let Some(line) = waiting_for(&serving.guests()) {
            self.view.screen.note(&line);
        }
        loop {
            let lines = self.view.screen.clear();
            self.view.printer.err(&lines);
            self.view.printer.start();
            tokio::select! {
                () = serving.ended() => return,
                () = self.view.printer.written(), if self.view.printer.is_busy() => {}
                wish = self.signals.next() => match wish {
                    // What is left is ended without more ado.
                    Wish::End(_) if self.closed_by.is_some() => {
                        self.grace = Duration::ZERO;
                        return;
                    }
                    Wish::End(number) => {
                        self.closed_by = Some(*self.ended_by.get_or_insert(number));
                        self.times += 1;
                        serving.dismiss();
                    }
                    Wish::Stop => {
                        stand_still(session, Some(&serving)).await;
                        self.clear().await;
                        stop_self();
                        serving.pause(false);
                    }
                    Wish::Report => served(&serving).iter().for_each(|line| self.view.screen.note(line)),
                },
            }
        }
    }

    /// Writes what there is, and takes the live region away.
    pub(crate) async fn clear(&mut self) {
        let frame = self.view.screen.clear();
        self.view.printer.err(&frame);
        // A terminal that takes nothing shall not keep us.
        let _ = tokio::time::timeout(PATIENCE, self.view.printer.flush()).await;
    }

    async fn leave(&mut self, signal: i32) {
        self.clear().await;
        self.keyboard = None;
        crate::exit::leave(Exit::Signal(signal));
    }

    /// Ends what is left, closes the store. What is left has its time to end, unless a signal says otherwise;
    /// [`finish`](Self::finish) tells of that signal.
    pub(crate) async fn close(&mut self, session: Session) -> Result<Vec<String>, String> {
        let frame = self.view.screen.clear();
        self.view.printer.err(&frame);
        self.view.printer.start();
        self.end_children(&session).await;
        let hurried = session.clone();
        let mut closing = pin!(session.close());
        loop {
            tokio::select! {
                closed = &mut closing => return closed,
                wish = self.signals.next() => if let Wish::End(number) = wish {
                    self.closed_by = Some(*self.ended_by.get_or_insert(number));
                    self.times += weight(number);
                    hurried.give_up_keeping();
                    if self.times > 2 {
                        self.leave(number).await;
                    }
                },
            }
        }
    }

    async fn end_children(&mut self, session: &Session) {
        // One future for the whole time: the grace must not begin anew with each signal.
        let mut ending = pin!(session.end_children(self.grace));
        loop {
            tokio::select! {
                () = &mut ending => return,
                wish = self.signals.next() => if let Wish::End(number) = wish {
                    self.closed_by = Some(*self.ended_by.get_or_insert(number));
                    self.times += weight(number);
                    if self.times > 2 {
                        self.leave(number).await;
                    }
                    ending.set(session.end_children(Duration::ZERO));
                },
            }
        }
    }

    /// Writes the rest. Nothing else is left to be done, so every signal ends it; one that came while the
    /// session was being closed does so once all is written.
    pub(crate) async fn finish(&mut self) -> Result<(), Exit> {
        let frame = self.view.screen.clear();
        self.view.printer.err(&frame);
        loop {
            tokio::select! {
                biased; // Signals that came while nobody listened count, too.
                wish = self.signals.next() => if let Wish::End(number) = wish {
                    return Err(Exit::Signal(number));
                },
                () = self.view.printer.flush() => break,
            }
        }
        match (self.closed_by, self.view.printer.take_fault()) {
            (Some(signal), _) => Err(Exit::Signal(signal)),
            (None, Some(fault)) => Err(internal(&format!("cannot write to stdout: {fault}"))),
            (None, None) => Ok(()),
        }
    }
}

/// How often to have asked for the end a signal counts.
fn weight(signal: i32) -> u32 {
    // Ctrl-\ means: leave at once.
    if signal == Signal::QUIT.as_raw() { 3 } else { 1 }
}

/// A run that a console can follow.
pub(crate) trait Conducted {
    /// What it came to.
    type Summary;
    /// Why there is no summary.
    type Fault;

    /// The next event; none once the run is over. Can be dropped and called again.
    async fn next_event(&mut self) -> Option<Event>;
    /// Ends it.
    fn interrupt(&self);
    /// Ends it now.
    fn kill(&self);
    /// Has everything that runs stand still before this process does.
    async fn pause(&self);
    /// Lets it go on.
    fn resume(&self);
    /// Whether nothing has to be waited for when it is to end.
    fn ends_at_once(&self) -> bool {
        false
    }
    /// What else there is to say of what is under way.
    fn others(&self) -> Vec<String> {
        Vec::new()
    }
    /// What it came to.
    async fn finish(self) -> Result<Self::Summary, Self::Fault>;
}

fn named(guest: &GuestInfo) -> String {
    format!("{} (pid {})", shown(&guest.label), guest.pid)
}

/// Says who is being served, one a line.
fn served(serving: &Serving) -> Vec<String> {
    serving.guests().iter().map(|guest| format!("{:<17} {}", "Serving", named(guest))).collect()
}

/// Says for whom we wait at the end.
fn waiting_for(guests: &[GuestInfo]) -> Option<String> {
    let names: Vec<String> = guests.iter().filter(|guest| !guest.is_attached).map(named).collect();
    let count = count(names.len(), "guest", "guests");
    (!names.is_empty()).then(|| format!("{:<17} for {count}: {}", "Waiting", names.join(", ")))
}

/// Where `--events` writes.
pub(crate) struct Events {
    pub(crate) to: Option<Sink>,
    is_stdout: bool,
}

impl Events {
    pub(crate) fn open(app: &App) -> Result<Self, Exit> {
        let Some(path) = &app.globals.events else { return Ok(Self { to: None, is_stdout: false }) };
        if path.as_path() == Path::new("-") {
            return Ok(Self { to: Some(Box::new(stdout())), is_stdout: true });
        }
        match File::create(path) {
            Ok(file) => Ok(Self { to: Some(Box::new(file)), is_stdout: false }),
            Err(error) => Err(misused(&format!("cannot write events to {}: {error}", path.display()))),
        }
    }

    /// To the same place, after what was written there.
    pub(crate) fn again(app: &App) -> Result<Self, Exit> {
        match app.globals.events.as_deref().filter(|path| *path != Path::new("-")) {
            None => Self::open(app),
            Some(path) => match File::options().append(true).open(path) {
                Ok(file) => Ok(Self { to: Some(Box::new(file)), is_stdout: false }),
                Err(error) => Err(misused(&format!("cannot write events to {}: {error}", path.display()))),
            },
        }
    }

    pub(crate) fn use_stdout(&self) -> bool {
        self.is_stdout
    }
}
