//! Where lines go: stderr as they are, or above a live region of what is running.

use std::{
    io::{Write as _, stderr},
    time::{Duration, Instant},
};

use devtask::event::{Event, What};
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
    /// Whether lines of output are shown, and not only used for the live region.
    shows_output: bool,
}

impl Screen {
    pub(crate) fn new(lines: Lines, live: bool, shows_output: bool) -> Self {
        Self { lines, live: live.then(Live::new), shows_output }
    }

    /// Shows an event.
    pub(crate) fn show(&mut self, event: &Event) {
        if let Some(live) = &mut self.live {
            live.follow(event);
        }
        if matches!(event.what, What::Log { .. } | What::LogGap { .. }) && !self.shows_output {
            return;
        }
        let lines = self.lines.of(event);
        self.print(&lines);
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
            live.draw();
        }
    }

    /// One line that is no event.
    pub(crate) fn note(&self, line: &str) {
        self.print(&[line.to_owned()]);
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
    running: Vec<Running>,
}

struct Running {
    task: String,
    since: Instant,
    last_line: String,
}

impl Live {
    fn new() -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let row = || bars.add(ProgressBar::new_spinner().with_style(style()));
        Self { rows: (1..ROWS).map(|_| row()).collect(), more: row(), bars: bars.clone(), running: Vec::new() }
    }

    fn follow(&mut self, event: &Event) {
        match &event.what {
            What::TaskStarted { task } => self.running.push(Running {
                task: task.to_string(),
                since: Instant::now(),
                last_line: String::new(),
            }),
            What::TaskFinished(finished) => self.running.retain(|r| r.task != finished.task.as_str()),
            What::Log { task, line, .. } if !line.trim().is_empty() => {
                if let Some(running) = self.running.iter_mut().find(|r| r.task == task.as_str()) {
                    running.last_line = output_line(line, false);
                }
            }
            _ => {}
        }
    }

    fn draw(&self) {
        for (at, row) in self.rows.iter().enumerate() {
            let text = self.running.get(at).map(|running| {
                let ms = running.since.elapsed().as_secs_f64() * 1000.0;
                format!("{:<17} {} ({})  {}", "Running", running.task, duration(ms), running.last_line)
            });
            row.set_message(text.unwrap_or_default());
            row.tick();
        }
        let hidden = self.running.len().saturating_sub(self.rows.len());
        self.more.set_message(if hidden > 0 { format!("… and {hidden} more") } else { String::new() });
        self.more.tick();
    }
}

fn style() -> ProgressStyle {
    // The template is a constant; a default spinner is no worse.
    ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}
