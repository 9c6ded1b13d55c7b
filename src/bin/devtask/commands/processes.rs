//! `devtask processes …` and `devtask down`: seeing to processes that somebody else keeps up.

use std::{
    env,
    io::{Write as _, stdout},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use devtask::{
    SessionError,
    event::{Event, ProcessStatus},
    model::{Stage, TaskName},
    plan::{processes_to_start, select_processes},
    process::LogFollower,
    serve::{Govern, Governed, Said, socket},
};

use super::{
    guest::{Visit, refused},
    out, up,
};
use crate::{
    app::{App, Tree, complain, complain_with, internal, refuse},
    args::{ListProcessesArgs, ProcessLogsArgs, ProcessNames, ProcessStatusArgs, ProcessesVerb, WaitArgs},
    console::Console,
    exit::Exit,
    render::{
        process::{details, short_name, table, why},
        text::{output_line, shown},
    },
    signals::{Wish, stop_self},
};

/// How often it is looked whether a log has more.
const GLANCE: Duration = Duration::from_millis(100);
/// How many last lines of a process that failed are shown.
const TAIL: u64 = 25;
/// How long an owner that was told to end may take to be gone.
const GONE: Duration = Duration::from_secs(10);

pub(crate) fn processes(app: &mut App, verb: &ProcessesVerb) -> Result<Exit, Exit> {
    match verb {
        ProcessesVerb::List(args) => list(app, args),
        ProcessesVerb::Status(args) => status(app, args),
        ProcessesVerb::Logs(args) => logs(app, args),
        ProcessesVerb::Start(args) => start(app, args),
        ProcessesVerb::Stop(args) => stop(app, args),
        ProcessesVerb::Restart(args) => see_to(app, &args.wait, Governed::Restarted, "restart"),
        ProcessesVerb::Wait(args) => see_to(app, args, Governed::Ready, "wait"),
    }
}

/// The processes these names mean, fully named.
pub(crate) fn selected(tree: &Tree, names: &[String]) -> Result<Vec<TaskName>, Exit> {
    let project = tree.loaded.current_project.as_deref();
    let ids = match names.is_empty() {
        true => processes_to_start(&tree.graph, tree.loaded.standpoint().default_project.as_deref()),
        false => select_processes(&tree.graph, project, names)
            .map_err(|faults| refuse(&SessionError::Unknown(faults)))?,
    };
    Ok(ids.into_iter().map(|id| tree.graph.name(id).clone()).collect())
}

/// What whoever holds the tree says of its processes.
pub(crate) struct Answer {
    pub(crate) statuses: Vec<ProcessStatus>,
    pub(crate) is_well: bool,
}

/// Has something done by whoever holds the tree; none if that is nobody, or nobody who answers. `show` is told what
/// happens meanwhile.
pub(crate) fn ask(
    app: &App,
    tree: &Tree,
    (what, within): (Governed, Duration),
    names: &[TaskName],
    mut show: impl FnMut(&Event),
) -> Result<Option<Answer>, Exit> {
    match Visit::of_loaded(app, tree) {
        Some(visit) => ask_visited(visit, (what, within), names, &mut show),
        None => Ok(None),
    }
}

fn ask_visited(
    visit: Visit,
    (what, within): (Governed, Duration),
    names: &[TaskName],
    show: &mut dyn FnMut(&Event),
) -> Result<Option<Answer>, Exit> {
    let names = names.iter().map(ToString::to_string).collect();
    let environment: Vec<_> = env::vars_os().collect();
    let govern =
        Govern::new("devtask processes".to_owned(), names, what, within).with_environment(&environment);
    let mut guest = visit.guest;
    if guest.govern(govern).and_then(|()| guest.patience(None)).is_err() {
        return Ok(None);
    }
    loop {
        match guest.hear() {
            Ok(Said::Event(event)) => show(&event),
            Ok(Said::Processes(statuses, is_well)) => return Ok(Some(Answer { statuses, is_well })),
            Ok(Said::Refused(refusal)) => return refused(refusal).map(|()| None),
            Ok(Said::Nothing) => {}
            Ok(Said::Over(_) | Said::WatchOver) | Err(_) => return Ok(None),
        }
    }
}

/// How all processes stand, whoever keeps them, if anybody does.
fn statuses(app: &App, tree: &Tree, names: &[TaskName]) -> Result<Vec<ProcessStatus>, Exit> {
    let answer = ask(app, tree, (Governed::Listed, Duration::ZERO), names, |_| {})?;
    let unknown = || names.iter().map(|name| ProcessStatus::not_started(name.clone())).collect();
    Ok(answer.map_or_else(unknown, |answer| answer.statuses))
}

fn all(tree: &Tree) -> Vec<TaskName> {
    let tasks = tree.graph.ids().map(|id| tree.graph.task(id)).filter(|task| task.is_process());
    let mut names: Vec<TaskName> = tasks.map(|task| task.name.clone()).collect();
    names.sort();
    names
}

fn list(app: &mut App, args: &ListProcessesArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = all(&tree);
    if names.is_empty() && !args.json {
        eprintln!("There are no processes; `[processes.<name>]` in a task file declares one.");
        return Ok(Exit::Done);
    }
    let statuses = if names.is_empty() { Vec::new() } else { statuses(app, &tree, &names)? };
    Ok(out(&match args.json {
        true => json(&statuses)?,
        false => table(&statuses),
    }))
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, Exit> {
    let text = serde_json::to_string_pretty(value).map_err(|error| internal(&error.to_string()))?;
    Ok(text + "\n")
}

fn status(app: &mut App, args: &ProcessStatusArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = selected(&tree, std::slice::from_ref(&args.name))?;
    let statuses = statuses(app, &tree, &names)?;
    Ok(out(&match (args.json, statuses.as_slice()) {
        (true, [one]) => json(one)?,
        (true, all) => json(&all)?,
        (false, all) => all.iter().map(details).collect::<Vec<_>>().join("\n"),
    }))
}

fn start(app: &mut App, args: &WaitArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = selected(&tree, &args.names)?;
    up::in_background(app, &tree, &names, args.timeout, &[])
}

fn stop(app: &mut App, args: &ProcessNames) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = if args.names.is_empty() { all(&tree) } else { selected(&tree, &args.names)? };
    match ask(app, &tree, (Governed::Stopped, Duration::ZERO), &names, |_| {})? {
        Some(answer) => Ok(conclude(app, &tree, &answer)),
        None => Ok(nobody()),
    }
}

/// Nothing is up: what was to be ended is.
fn nobody() -> Exit {
    eprintln!("{:<17} is up here", "Nothing");
    Exit::Done
}

fn see_to(app: &mut App, args: &WaitArgs, what: Governed, verb: &str) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = match args.names.is_empty() {
        true => Vec::new(),
        false => selected(&tree, &args.names)?,
    };
    match ask(app, &tree, (what, args.timeout), &names, |_| {})? {
        Some(answer) => Ok(conclude(app, &tree, &answer)),
        None => {
            complain_with(
                &format!("nothing is up here to {verb} for").replace("restart for", "restart"),
                "`devtask up -d` starts processes in the background",
            );
            Ok(Exit::Failed)
        }
    }
}

/// Says how processes stand, and what keeps those back that are not as they should be.
pub(crate) fn conclude(app: &App, tree: &Tree, answer: &Answer) -> Exit {
    out(&table(&answer.statuses));
    if answer.is_well {
        return Exit::Done;
    }
    let is_behind = |status: &&ProcessStatus| {
        status.stage != Stage::Ready && !(status.stage == Stage::Exited && status.exit_code == Some(0))
    };
    for status in answer.statuses.iter().filter(is_behind) {
        let name = short_name(status.task.as_str());
        let why = why(status).map(|why| format!(", {why}")).unwrap_or_default();
        complain(&format!("{name} is not ready: {}{why}", status.stage.as_str()));
        let Some(log) = &status.log else { continue };
        let path = tree.loaded.root.join(log);
        for line in last_lines(&path, TAIL) {
            eprintln!("  {}", output_line(&line, app.color_err));
        }
        eprintln!("  full log: {}", shown(log));
    }
    Exit::Failed
}

/// The last lines of a log; none if it cannot be read.
pub(crate) fn last_lines(path: &Path, lines: u64) -> Vec<String> {
    let mut text = Vec::new();
    if let Ok(mut log) = LogFollower::from_last(path, lines) {
        while let Ok(more) = log.more() {
            if more.is_empty() {
                break;
            }
            text.extend(more);
        }
    }
    String::from_utf8_lossy(&text).lines().map(ToOwned::to_owned).collect()
}

pub(crate) fn down(app: &mut App) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = all(&tree);
    let watch = Visit::of_loaded(app, &tree).and_then(|visit| visit.welcome.watch);
    let ends = watch.is_some_and(|watch| watch.is_up);
    let answer = ask(app, &tree, (Governed::Down, Duration::ZERO), &names, |_| {})?;
    let Some(answer) = answer else { return Ok(nobody()) };
    // Whoever starts something next finds the tree free.
    let (state_dir, begin) = (app.state_dir(&tree), Instant::now());
    while ends && socket(&state_dir).is_some() && begin.elapsed() < GONE {
        std::thread::sleep(Duration::from_millis(10));
    }
    for status in answer.statuses.iter().filter(|status| status.stage == Stage::Stopped) {
        eprintln!("{:<17} {}", "Stopped", short_name(status.task.as_str()));
    }
    Ok(Exit::Done)
}

/// Has whoever keeps processes up start these, too; whether there is somebody.
pub(crate) async fn start_there(
    app: &mut App,
    names: &[String],
    console: &mut Console,
) -> Result<bool, Exit> {
    let tree = app.load()?;
    let names: Vec<TaskName> = names.iter().filter_map(|name| TaskName::new(name).ok()).collect();
    let Some(visit) = Visit::of_loaded(app, &tree) else { return Ok(false) };
    let (tell, mut told) = tokio::sync::oneshot::channel();
    // What becomes of them is seen by looking on.
    std::thread::spawn(move || {
        let _ = tell.send(ask_visited(visit, (Governed::Started, Duration::ZERO), &names, &mut |_| {}));
    });
    loop {
        tokio::select! {
            answer = &mut told => return Ok(answer.unwrap_or(Ok(None))?.is_some()),
            wish = console.wish() => match wish {
                Wish::End(number) => return Err(Exit::Signal(number)),
                Wish::Stop => stop_self(),
                Wish::Report => {}
            },
        }
    }
}

fn logs(app: &mut App, args: &ProcessLogsArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = if args.names.is_empty() { all(&tree) } else { selected(&tree, &args.names)? };
    let state_dir = app.state_dir(&tree);
    let mut logs = Vec::new();
    for name in &names {
        let path = devtask::session::process_log(&state_dir, name);
        let lines = u64::try_from(args.lines).unwrap_or(u64::MAX);
        match LogFollower::from_last(&path, lines) {
            Ok(log) => logs.push(Shown { name: name.clone(), path, log, rest: Vec::new() }),
            Err(error) => complain(&format!("cannot read {}: {error}", shown(&path.display().to_string()))),
        }
    }
    if !args.follow && logs.iter().all(|log| !log.path.exists()) {
        complain("none of these has a log: they have not run, or wrote nothing");
        return Err(Exit::NothingMatched);
    }
    let prefixed = logs.len() > 1;
    loop {
        let mut text = Vec::new();
        for log in &mut logs {
            log.take(prefixed, !args.follow, &mut text);
        }
        if !text.is_empty() {
            let mut stdout = stdout().lock();
            // A reader that is gone has what it wanted.
            if stdout.write_all(&text).and_then(|()| stdout.flush()).is_err() {
                return Ok(Exit::Done);
            }
        } else if !args.follow {
            return Ok(Exit::Done);
        } else {
            std::thread::sleep(GLANCE);
        }
    }
}

/// A log that is shown.
struct Shown {
    name: TaskName,
    path: PathBuf,
    log: LogFollower,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Shown {
    /// What there is more of it, with the name before each line if there are others.
    fn take(&mut self, prefixed: bool, is_all: bool, text: &mut Vec<u8>) {
        let more = self.log.more().unwrap_or_default();
        if !prefixed {
            text.extend(more);
            return;
        }
        let is_end = more.is_empty();
        self.rest.extend(more);
        let mut line = |line: &[u8]| {
            text.extend(format!("[{}]  ", short_name(self.name.as_str())).into_bytes());
            text.extend(line);
            text.push(b'\n');
        };
        let complete = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..complete).collect();
        lines.split_inclusive(|byte| *byte == b'\n').for_each(|l| line(l.strip_suffix(b"\n").unwrap_or(l)));
        if is_end && is_all && !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            line(&rest);
        }
    }
}
