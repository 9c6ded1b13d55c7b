//! Starting a job, listening to it, and telling it what is ordered meanwhile.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{
    execute::{Execution, Failure, GRACE, Halt, Orders},
    request::LiveLines,
};
use crate::{
    event::What,
    process::{Ended, JobControl, Launch, LineSink, Piece, SinkMode},
    schedule::Observation,
};

/// Lines that may wait between a job and the reader of its lines.
const LINES: usize = 256;

impl Execution {
    /// Starts a job and listens to it and to what is ordered meanwhile.
    pub(super) async fn conduct(&mut self, mut launch: Launch, is_command: bool) -> Result<Ended, Failure> {
        let lines = if is_command { self.forward_lines(&mut launch) } else { None };
        self.run.shared.end_predecessors().await?;
        let is_first = is_command && !self.executed;
        let started = || What::TaskStarted { task: self.task().name.clone() };
        if is_first && self.task().interactive {
            // Nobody may draw on the terminal once it is the task's.
            self.run.emitter.emit_and_wait(started()).await;
        }
        if is_first {
            self.run.emitter.flush();
        }
        let job = self.run.shared.warden.spawn(launch).map_err(|e| Failure::not_started(e.to_string()))?;
        if is_first {
            if !self.task().interactive {
                self.run.emitter.emit(started());
            }
            self.executed = true;
            // The driver outlives what it drives.
            let _ = self.heard.send(Observation::Began(self.id));
        }
        let control = job.control();
        let finish = job.finish();
        tokio::pin!(finish);
        let mut last = Orders::default();
        let ended = loop {
            let now = *self.orders.borrow_and_update();
            obey(&control, last, now);
            last = now;
            tokio::select! {
                ended = &mut finish => break ended,
                changed = self.orders.changed() => if changed.is_err() {
                    break finish.await;
                },
            }
        };
        if let Some(fault) = &ended.log_fault {
            self.run.warn(self.id, &format!("its log is not complete: {fault}"));
        }
        if let Some(lines) = lines {
            // It ends with the channel, which ended with the job.
            let _ = lines.await;
        }
        Ok(ended)
    }

    /// Passes the job's lines on as events, if anyone wants them.
    fn forward_lines(&self, launch: &mut Launch) -> Option<tokio::task::JoinHandle<()>> {
        let (sink, lines) = self.line_sink()?;
        launch.lines = Some(sink);
        Some(lines)
    }

    /// Where the task's lines go that become events, if anyone wants them; and what ends when all have.
    pub(super) fn line_sink(&self) -> Option<(LineSink, tokio::task::JoinHandle<()>)> {
        let mode = match self.run.lines_of(self.id) {
            LiveLines::Off => return None,
            LiveLines::All => SinkMode::Lossless,
            LiveLines::Lossy => SinkMode::Lossy,
        };
        let (to, mut from) = mpsc::channel::<Piece>(LINES);
        let (run, task) = (Arc::clone(&self.run), self.task().name.clone());
        let lines = tokio::spawn(async move {
            while let Some(piece) = from.recv().await {
                let task = task.clone();
                let what = match piece {
                    Piece::Line { stream, bytes } => {
                        What::Log { task, stream, line: String::from_utf8_lossy(&bytes).into_owned() }
                    }
                    Piece::Gap { lines } => What::LogGap { task, lines },
                };
                run.emitter.emit_line(what).await;
            }
        });
        Some((LineSink { to, mode }, lines))
    }
}

fn obey(control: &JobControl, last: Orders, now: Orders) {
    match (last.paused, now.paused) {
        (false, true) => control.pause(),
        (true, false) => control.resume(),
        _ => {}
    }
    if now.halt > last.halt {
        match now.halt {
            Halt::Kill => control.kill(),
            _ => control.terminate(GRACE),
        }
    }
}
