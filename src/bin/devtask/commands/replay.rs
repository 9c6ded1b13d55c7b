//! `devtask replay`: the events of a run, shown as `devtask run` has shown them.
//!
//! What is not in the log of a run is not shown: notices of devtask's own that belong to no run, and messages of tasks that
//! must not rest on disk (spec section 8). Lines of tasks come from their logs, as a whole at their end, and it is not known
//! which stream they were written to.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    path::PathBuf,
};

use devtask::{
    Request,
    event::{Event, Finished, Stream, What},
    model::{Outcome, TaskName},
    report::{Log, Remark, Report},
    session::run_log,
};

use super::report::{
    chosen::{Usual, chosen},
    kept,
};
use crate::{
    app::{App, Tree, internal},
    args::{ReplayArgs, Ui},
    console::{Events, View},
    exit::Exit,
    render::{
        lines::{Lines, Style},
        screen::{Screen, Shown, Shows},
    },
};

pub(crate) fn replay(app: &mut App, args: &ReplayArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let state_dir = app.state_dir(&tree);
    let run = chosen(&state_dir, args.run.as_deref(), Usual::Newest)?;
    let text = run_log(&state_dir, &run)
        .map_err(|error| internal(&format!("cannot read the log of run {run}: {error}")))?;
    if let Some(mut sink) = Events::open(app)?.to {
        match sink.write_all(&text).and_then(|()| sink.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(internal(&format!("cannot write events: {error}")));
            }
            // A reader that is gone has what it wanted.
            _ => {}
        }
    }
    let style = style(app, args, &tree);
    let shown = match style.quiet {
        true => HashSet::new(),
        false => always_shown(&tree),
    };
    let mut stage =
        Stage { view: View::new(screen(style, shown.clone()), None), style, shown, state_dir, run };
    let log = Log::parse(&text);
    let report = Report::of(&stage.run, &log);
    log.events.into_iter().for_each(|event| stage.show(event));
    let missing = |remark: &&Remark| !matches!(remark, Remark::NoEdges | Remark::NoPlan);
    let remarks: Vec<String> = report.remarks.iter().filter(missing).map(|remark| remark.text()).collect();
    stage.view.warn(&remarks);
    stage.view.show_here();
    Ok(Exit::Done)
}

/// What is shown, as a run would be asked for it.
fn style(app: &App, args: &ReplayArgs, tree: &Tree) -> Style {
    let settings = &tree.loaded.settings;
    let quiet = app.globals.quiet || app.ui(settings) == Ui::None;
    let asked = args.show_output.or_else(|| app.setting(settings, |s| s.show_output)).unwrap_or(false);
    let tail = args.tail.or_else(|| app.setting(settings, |s| s.tail));
    Style {
        color: app.color_err,
        quiet,
        explain: args.explain,
        tail: tail.map_or(Request::TAIL, |lines| usize::try_from(lines).unwrap_or(usize::MAX)),
        streamed: (asked || app.globals.verbose) && !app.globals.quiet,
    }
}

/// The tasks whose lines are always shown, as they are declared now.
fn always_shown(tree: &Tree) -> HashSet<TaskName> {
    let tasks = tree.graph.ids().map(|id| tree.graph.task(id));
    tasks.filter(|task| task.show_output).map(|task| task.name.clone()).collect()
}

fn screen(style: Style, shown: HashSet<TaskName>) -> Screen {
    let lines_of = if style.streamed { Shown::All } else { Shown::These(shown) };
    Screen::new(Lines::new(style), false, Shows { lines_of, interactive: HashSet::new() })
}

/// Where a run is shown again.
struct Stage {
    view: View,
    style: Style,
    shown: HashSet<TaskName>,
    state_dir: PathBuf,
    run: String,
}

impl Stage {
    fn show(&mut self, mut event: Event) {
        if let What::TaskFinished(finished) = &mut event.what
            && finished.duration_ms.is_some()
        {
            self.show_lines(finished, event.time);
            self.complete(finished);
        }
        self.view.take(&event);
        if self.view.waits_to_be_seen() {
            self.view.show_here();
        }
    }

    /// What a task wrote, if that was shown while it ran.
    fn show_lines(&mut self, finished: &Finished, time: std::time::SystemTime) {
        let task = &finished.task;
        if !(self.style.streamed || self.shown.contains(task)) {
            return;
        }
        let view = &mut self.view;
        kept::each_line(&self.state_dir, &self.run, task, |line| {
            let what = What::Log { task: task.clone(), stream: Stream::Stdout, line };
            view.take(&Event { v: devtask::event::VERSION, time, what });
            if view.waits_to_be_seen() {
                view.show_here();
            }
        });
    }

    /// The last lines of a failure are not in the log of the run.
    fn complete(&self, finished: &mut Finished) {
        if finished.status == Outcome::Failed {
            let most = usize::try_from(finished.lines).unwrap_or(usize::MAX).min(self.style.tail);
            finished.tail = kept::last_lines(&self.state_dir, &self.run, &finished.task, most);
        }
    }
}
