//! Where lines go: stderr as they are, or above a live region of what is running.

use std::{
    collections::HashSet,
    io::{Write as _, stderr},
    time::{Duration, Instant},
};

use devtask::{
    event::{Event, What},
    model::TaskName,
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    lines::Lines,
    text::{duration, output_line},
};

/// How many running tasks the live region shows.
const ROWS: usize = 8;
/// How often the live region is drawn.
pub(crate) const REFRESH: Duration = Duration::from_millis(100);

/// A reader of events that shows them.
pub(crate) struct Screen {
    lines: Lines,
    live: Option<Live>,
    running: Vec<Running>,
    /// The tasks whose lines are shown, and not only used for the live region.
    shown: HashSet<TaskName>,
}

impl Screen {
    pub(crate) fn new(lines: Lines, live: bool, shown: HashSet<TaskName>) -> Self {
        Self { lines, live: live.then(Live::new), shown, running: Vec::new() }
    }

    /// Shows an event.
    pub(crate) fn show(&mut self, event: &Event) {
        self.follow(event);
        if let What::Log { task, .. } | What::LogGap { task, .. } = &event.what
            && !self.shown.contains(task)
        {
            return;
        }
        let lines = self.lines.of(event);
        self.print(&lines);
    }

    fn follow(&mut self, event: &Event) {
        match &event.what {
            What::TaskStarted { task } => self.running.push(Running {
                task: task.clone(),
                since: Instant::now(),
                last_line: String::new(),
            }),
            What::TaskFinished(finished) => self.running.retain(|r| r.task != finished.task),
            What::Log { task, line, .. } if !line.trim().is_empty() => {
                if let Some(running) = self.running.iter_mut().find(|r| r.task == *task) {
                    running.last_line = output_line(line, false);
                }
            }
            _ => {}
        }
    }

    fn print(&self, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        match &self.live {
            // A terminal that is gone ends the program by its signal.
            Some(live) => drop(live.bars.println(lines.join("\n"))),
            None => {
                let mut text = lines.join("\n");
                text.push('\n');
                let _ = stderr().lock().write_all(text.as_bytes());
            }
        }
    }

    /// Whether [`tick`](Self::tick) does anything.
    pub(crate) const fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Draws the live region.
    pub(crate) fn tick(&self) {
        if let Some(live) = &self.live {
            live.draw(&self.running);
        }
    }

    /// One line that is no event.
    pub(crate) fn note(&self, line: &str) {
        self.print(&[line.to_owned()]);
    }

    /// Says what is running (SIGUSR1).
    pub(crate) fn report(&self) {
        let lines: Vec<String> = self.running.iter().map(Running::line).collect();
        self.print(if lines.is_empty() { &[] } else { &lines });
    }

    /// Removes the live region.
    pub(crate) fn finish(&mut self) {
        if let Some(live) = self.live.take() {
            // The same as in `print`.
            let _ = live.bars.clear();
        }
    }
}

/// The live region: a row a running task, the longest running first.
struct Live {
    bars: MultiProgress,
    rows: Vec<ProgressBar>,
    more: ProgressBar,
}

struct Running {
    task: TaskName,
    since: Instant,
    last_line: String,
}

impl Running {
    fn line(&self) -> String {
        let ms = self.since.elapsed().as_secs_f64() * 1000.0;
        format!("{:<17} {} ({})  {}", "Running", self.task, duration(ms), self.last_line)
    }
}

impl Live {
    fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let row = || bars.add(ProgressBar::new_spinner().with_style(style()));
        Self { rows: (1..ROWS).map(|_| row()).collect(), more: row(), bars: bars.clone() }
    }

    fn draw(&self, running: &[Running]) {
        for (at, row) in self.rows.iter().enumerate() {
            row.set_message(running.get(at).map(Running::line).unwrap_or_default());
            row.tick();
        }
        let hidden = running.len().saturating_sub(self.rows.len());
        self.more.set_message(if hidden > 0 { format!("… and {hidden} more") } else { String::new() });
        self.more.tick();
    }
}

fn style() -> ProgressStyle {
    // The template is a constant; a default spinner is no worse.
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
