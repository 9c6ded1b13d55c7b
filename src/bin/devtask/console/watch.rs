//! Between a watch and its user: what is between a run and its user, and keys.

use std::{
    env,
    fs::File,
    io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom, stderr, stdin},
    path::{Path, PathBuf},
    sync::Arc,
};

use devtask::{
    TaskGraph,
    event::{Event, What},
    serve::{Order, Orders},
    session::WatchControl,
};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Conducted, Console, Ended, View,
    keys::{HELP, Key, Keyboard},
};
use crate::{
    exit::Exit,
    render::{
        screen::REFRESH,
        text::{output_line, shown},
        watch::LastLog,
    },
};

/// How much of a log's end is shown, in bytes.
const LOG: u64 = 256 * 1024;

/// What keys can do to a watch.
pub(crate) enum Hand {
    /// Everything: it is ours.
    Own(WatchControl),
    /// It is another's, and only what it has to do is ours to say.
    Attached(Orders),
}

impl Hand {
    fn rerun_failed(&self) {
        match self {
            Self::Own(control) => control.rerun_failed(),
            Self::Attached(orders) => orders.send(Order::RerunFailed),
        }
    }

    fn rerun_all(&self) {
        match self {
            Self::Own(control) => control.rerun_all(),
            Self::Attached(orders) => orders.send(Order::RerunAll),
        }
    }

    fn hold(&self, hold: bool) {
        match self {
            Self::Own(control) => control.hold(hold),
            Self::Attached(orders) => orders.send(Order::Hold(hold)),
        }
    }

    const fn is_attached(&self) -> bool {
        matches!(self, Self::Attached(_))
    }
}

/// What keys work with.
struct Hands {
    hand: Hand,
    /// Where the paths of logs begin.
    root: PathBuf,
    on_hold: bool,
}

/// Whether somebody sits at a terminal who can press keys.
pub(crate) fn has_keys() -> bool {
    stdin().is_terminal() && stderr().is_terminal() && env::var_os("CI").is_none()
}

impl Console {
    /// Shows the events of a watch until it is over, and does what signals and keys ask for. `tasks`: what they are
    /// now, if we know.
    pub(crate) async fn follow_watch<W: Conducted<Fault = Exit>>(
        &mut self,
        mut watch: W,
        hand: Hand,
        root: &Path,
        keys: bool,
        tasks: impl Fn() -> Option<Arc<TaskGraph>>,
    ) -> Result<Ended<W::Summary>, Exit> {
        let mut hands = Hands { hand, root: root.to_owned(), on_hold: false };
        // A terminal that cannot be used in this way is one without keys.
        self.keyboard = keys.then(Keyboard::new).and_then(Result::ok);
        let mut ticks = interval(REFRESH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = false;
        loop {
            self.lend_terminal();
            self.draw(&mut due);
            tokio::select! {
                event = watch.next_event(), if self.has_room() => match event {
                    Some(event) => {
                        if let What::Reloaded { .. } = event.what
                            && let Some(tasks) = tasks()
                        {
                            self.view.screen.declare(&tasks);
                        }
                        hands.keep_up(&event);
                        self.view.take(&event);
                    }
                    None => break,
                },
                () = self.view.printer.written(), if self.view.printer.is_busy() => {}
                wish = self.signals.next() => self.obey(wish, &watch).await,
                key = pressed(&mut self.keyboard) => self.press(key, &mut hands, &watch),
                _ = ticks.tick(), if self.view.screen.is_live() => due = true,
            }
        }
        self.keyboard = None;
        let summary = watch.finish().await?;
        Ok(Ended { summary, signal: self.ended_by })
    }

    /// Gives the terminal to a task that is to own it, before that begins, and takes it back.
    pub(super) fn lend_terminal(&mut self) {
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.be_lent(self.view.screen.is_lent());
        }
    }

    fn press(&mut self, key: Key, hands: &mut Hands, watch: &impl Conducted) {
        let is_busy = self.view.is_busy();
        match key {
            Key::RerunFailed if is_busy => {
                self.view.say("Busy", "a cycle is under way; R ends what runs and begins it anew");
            }
            Key::RerunAll if is_busy => {
                self.view.say("Restarting", "what runs");
                hands.hand.rerun_all();
            }
            Key::RerunFailed => hands.hand.rerun_failed(),
            Key::RerunAll => hands.hand.rerun_all(),
            Key::Log => self.view.show_log(&hands.root),
            Key::Follow if self.view.screen.toggle_follow() => {
                self.view.say("Following", "what tasks write is shown while they run");
            }
            Key::Follow => self.view.say("Following", "no more"),
            Key::Why => self.view.tell(|screen| Some(screen.watched()?).map(|(w, style)| w.why(style))),
            Key::Tasks => self.view.screen.report(),
            Key::Status => self.view.tell(|screen| Some(screen.watched()?).map(|(w, style)| w.status(style))),
            Key::Pause => {
                hands.on_hold = !hands.on_hold;
                hands.hand.hold(hands.on_hold);
                // Else a line that says `waiting` tells of it.
                match hands.on_hold {
                    true if is_busy => self.view.say("On hold", "after this cycle, until p is pressed again"),
                    false if is_busy => self.view.say("On hold", "no more"),
                    _ => {}
                }
            }
            Key::Clear => self.view.screen.wipe(),
            Key::Help => self.help(hands.hand.is_attached()),
            Key::Quit => self.quit(watch, is_busy),
        }
    }

    /// At first gracefully, at the second time now. A signal after it is the second time.
    fn quit(&mut self, watch: &impl Conducted, is_busy: bool) {
        self.times += 1;
        if self.times > 1 {
            return watch.kill();
        }
        if is_busy && !watch.ends_at_once() {
            self.view.say("Stopping", "(again: now)");
        }
        watch.interrupt();
    }

    fn help(&mut self, is_attached: bool) {
        for (key, what) in HELP {
            let what = if is_attached && key == "q" { "quit; the watch goes on" } else { what };
            self.view.say(key, what);
        }
    }
}

impl Hands {
    /// Others may hold the watch, too.
    const fn keep_up(&mut self, event: &Event) {
        if let What::Waiting { on_hold, .. } = &event.what {
            self.on_hold = *on_hold;
        }
    }
}

impl View {
    fn is_busy(&self) -> bool {
        self.screen.watched().is_some_and(|(watched, _)| watched.is_busy())
    }

    /// A line with a status word, in a watch.
    pub(crate) fn say(&mut self, word: &str, rest: &str) {
        self.tell(|screen| screen.watched().map(|(_, style)| vec![style.status(word, rest)]));
    }

    /// The same, unless nobody wants to read it.
    pub(crate) fn announce(&mut self, word: &str, rest: &str) {
        if self.screen.watched().is_some_and(|(_, style)| !style.quiet) {
            self.say(word, rest);
        }
    }

    fn tell(&mut self, lines: impl FnOnce(&crate::render::screen::Screen) -> Option<Vec<String>>) {
        for line in lines(&self.screen).unwrap_or_default() {
            self.screen.note(&line);
        }
    }

    /// Shows the log of the task that failed last, or its end.
    fn show_log(&mut self, root: &Path) {
        let last = self.screen.watched().and_then(|(watched, _)| watched.last_failure());
        let Some((task, log)) = last.map(|(task, log)| (task.to_string(), log.clone())) else {
            return self.say("Nothing", "stands as failed");
        };
        let log = match log {
            LastLog::At(log) => root.join(log),
            LastLog::Empty => return self.say("Failed", &format!("{task} wrote nothing")),
            LastLog::Unseen => {
                return self.say("Failed", &format!("{task}, before this looked on: devtask logs {task}"));
            }
        };
        let path = shown(&log.display().to_string());
        match end_of(&log) {
            Ok((text, is_all)) => {
                let part = if is_all { "" } else { " ── its end" };
                self.screen.note(&format!("── {task} ── {path}{part} ──"));
                let color = self.screen.watched().is_some_and(|(_, style)| style.color);
                text.lines().for_each(|line| self.screen.note(&output_line(line, color)));
            }
            Err(error) => self.say("Failed", &format!("{task}, and {path} cannot be read: {error}")),
        }
    }
}

/// The end of a file, from the beginning of a line, and whether that is all of it.
fn end_of(path: &Path) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let begin = file.metadata()?.len().saturating_sub(LOG);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(LOG).read_to_end(&mut bytes)?;
    let line = bytes.iter().position(|b| *b == b'\n').filter(|_| begin > 0).map_or(0, |at| at + 1);
    Ok((String::from_utf8_lossy(&bytes[line..]).into_owned(), begin == 0))
}

/// The next key; never, if there is no keyboard.
async fn pressed(keyboard: &mut Option<Keyboard>) -> Key {
    match keyboard {
        Some(keyboard) => keyboard.next().await,
        None => std::future::pending().await,
    }
}
