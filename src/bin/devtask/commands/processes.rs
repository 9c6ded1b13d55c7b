//! `devtask processes …` and `devtask down`: seeing to processes that somebody else keeps up.

use std::{
    env,
    io::{IsTerminal as _, Write as _, stdout},
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
        ProcessesVerb::Wait(args) => see_to(app, args, Governed::Ready, "wait for"),
    }
}

/// The processes these names mean, fully named.
pub(crate) fn selected(tree: &Tree, names: &[String]) -> Result<Vec<TaskName>, Exit> {
    select(tree, names).map_err(|error| refuse(&error))
}

fn select(tree: &Tree, names: &[String]) -> Result<Vec<TaskName>, SessionError> {
    let project = tree.loaded.current_project.as_deref();
    let ids = match names.is_empty() {
        true => processes_to_start(&tree.graph, tree.loaded.standpoint().default_project.as_deref()),
        false => select_processes(&tree.graph, project, names).map_err(SessionError::Unknown)?,
    };
    Ok(ids.into_iter().map(|id| tree.graph.name(id).clone()).collect())
}

/// What whoever holds the tree says of its processes.
pub(crate) struct Answer {
    pub(crate) statuses: Vec<ProcessStatus>,
    pub(crate) is_well: bool,
}

/// What is wanted of whoever keeps processes up.
pub(crate) fn govern(names: Vec<String>, what: Governed, within: Duration) -> Govern {
    let environment: Vec<_> = env::vars_os().collect();
    Govern::new("devtask processes".to_owned(), names, what, within).with_environment(&environment)
}

/// Has something done by whoever holds the tree; none if it is nobody who answers. `show` is told what happens
/// meanwhile.
pub(crate) fn ask_visited(
    visit: Visit,
    govern: Govern,
    show: &mut dyn FnMut(&Event),
) -> Result<Option<Answer>, Exit> {
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

/// Where processes are to be seen to: whoever keeps them up, whatever the task files say by now, and what these say, if
/// they can be read.
pub(crate) struct Reached {
    tree: Option<Tree>,
    owner: Option<Visit>,
    pub(crate) root: PathBuf,
    state_dir: PathBuf,
}

impl Reached {
    /// What is wrong with the task files is said only if nobody keeps anything up.
    pub(crate) fn of(app: &mut App) -> Result<Self, Exit> {
        let tree = app.load_quietly().ok();
        let (tree, owner, state_dir) = match (Visit::of_keeper(app, tree.as_ref())?, tree) {
            (Some((owner, state_dir)), tree) => (tree, Some(owner), state_dir),
            (None, tree) => {
                let tree = tree.map_or_else(|| app.load(), Ok)?;
                let state_dir = app.state_dir(&tree);
                (Some(tree), None, state_dir)
            }
        };
        let settings = tree.as_ref().map(|tree| &tree.loaded.settings);
        app.choose_colors(settings.or(owner.as_ref().map(|owner| &owner.welcome.settings)));
        let root = tree.as_ref().map(|tree| tree.loaded.root.clone());
        let theirs = || owner.as_ref().map(|owner| owner.welcome.root.as_path().to_owned());
        let root = root.or_else(theirs).unwrap_or_default();
        Ok(Self { tree, owner, root, state_dir })
    }

    /// The processes these names mean, as whoever keeps them is to be asked for them; none: all.
    fn names(&self, typed: &[String]) -> Result<Vec<String>, Exit> {
        let is_kept = self.owner.is_some();
        match &self.tree {
            _ if typed.is_empty() => Ok(Vec::new()),
            Some(tree) => match select(tree, typed) {
                Ok(names) => Ok(names.iter().map(ToString::to_string).collect()),
                // What is up may have another name than the files give it by now.
                Err(_) if is_kept => Ok(typed.to_vec()),
                Err(error) => Err(refuse(&error)),
            },
            None => Ok(typed.to_vec()),
        }
    }

    /// Has something done by whoever keeps processes up; none if that is nobody.
    fn ask(&mut self, what: Governed, within: Duration, names: Vec<String>) -> Result<Option<Answer>, Exit> {
        match self.owner.take() {
            Some(visit) => ask_visited(visit, govern(names, what, within), &mut |_| {}),
            None => Ok(None),
        }
    }

    /// How processes stand, whoever keeps them, if anybody does; without names all.
    pub(crate) fn statuses(&mut self, typed: &[String]) -> Result<Vec<ProcessStatus>, Exit> {
        let names = self.names(typed)?;
        let answer = self.ask(Governed::Listed, Duration::ZERO, names.clone())?;
        let mut statuses = answer.map(|answer| answer.statuses).unwrap_or_default();
        let declared = match (&self.tree, typed.is_empty()) {
            (Some(tree), true) => all(tree),
            (Some(_), false) => names.iter().filter_map(|name| TaskName::new(name).ok()).collect(),
            (None, _) => Vec::new(),
        };
        let is_known = |name: &TaskName| statuses.iter().any(|status| status.task == *name);
        let others: Vec<TaskName> = declared.into_iter().filter(|name| !is_known(name)).collect();
        statuses.extend(others.into_iter().map(ProcessStatus::not_started));
        statuses.sort_by(|a, b| a.task.cmp(&b.task));
        Ok(statuses)
    }
}

fn all(tree: &Tree) -> Vec<TaskName> {
    let tasks = tree.graph.ids().map(|id| tree.graph.task(id)).filter(|task| task.is_process());
    tasks.map(|task| task.name.clone()).collect()
}

fn list(app: &mut App, args: &ListProcessesArgs) -> Result<Exit, Exit> {
    let statuses = Reached::of(app)?.statuses(&[])?;
    if statuses.is_empty() && !args.json {
        eprintln!("There are no processes; `[processes.<name>]` in a task file declares one.");
        return Ok(Exit::Done);
    }
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
    let statuses = Reached::of(app)?.statuses(std::slice::from_ref(&args.name))?;
    Ok(out(&match (args.json, statuses.as_slice()) {
        (true, [one]) => json(one)?,
        (true, all) => json(&all)?,
        (false, all) => all.iter().map(details).collect::<Vec<_>>().join("\n"),
    }))
}

fn start(app: &mut App, args: &WaitArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = selected(&tree, &args.names)?;
    up::in_background(app, &tree, &names, &up::Detached::within(args.timeout))
}

fn stop(app: &mut App, args: &ProcessNames) -> Result<Exit, Exit> {
    let mut reached = Reached::of(app)?;
    let names = reached.names(&args.names)?;
    match reached.ask(Governed::Stopped, Duration::ZERO, names)? {
        Some(answer) => Ok(out(&table(&answer.statuses))),
        None => Ok(nobody()),
    }
}

/// Nothing is up: what was to be ended is.
fn nobody() -> Exit {
    eprintln!("No process is up here.");
    Exit::Done
}

fn see_to(app: &mut App, args: &WaitArgs, what: Governed, verb: &str) -> Result<Exit, Exit> {
    let mut reached = Reached::of(app)?;
    let names = reached.names(&args.names)?;
    match reached.ask(what, args.timeout, names)? {
        Some(answer) => Ok(conclude(app, &reached.root, &answer)),
        None => {
            complain_with(
                &format!("no process is up here to {verb}"),
                "`devtask up -d` starts processes in the background",
            );
            Ok(Exit::Failed)
        }
    }
}

/// Says how processes stand, and what keeps those back that are not as they should be.
pub(crate) fn conclude(app: &App, root: &Path, answer: &Answer) -> Exit {
    out(&table(&answer.statuses));
    if answer.is_well {
        return Exit::Done;
    }
    for status in answer.statuses.iter().filter(|status| !status.is_well()) {
        let name = short_name(status.task.as_str());
        let why = why(status).map(|why| format!(", {why}")).unwrap_or_default();
        complain(&format!("{name} is not ready: {}{why}", status.stage.as_str()));
        // Of one that somebody stopped its log says nothing.
        let Some(log) = status.log.as_ref().filter(|_| status.stage != Stage::Stopped) else { continue };
        for line in last_lines(&root.join(log), TAIL) {
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
    let mut reached = Reached::of(app)?;
    let ends = reached
        .owner
        .as_ref()
        .and_then(|owner| owner.welcome.watch.as_ref())
        .is_some_and(|watch| watch.is_up);
    let answer = reached.ask(Governed::Down, Duration::ZERO, Vec::new())?;
    let Some(answer) = answer else { return Ok(nobody()) };
    // Whoever starts something next finds the tree free.
    let begin = Instant::now();
    while ends && socket(&reached.state_dir).is_some() && begin.elapsed() < GONE {
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut ended = answer.statuses.iter().filter(|status| status.stage == Stage::Stopped).peekable();
    if ended.peek().is_none() {
        return Ok(nobody());
    }
    if !app.globals.quiet {
        ended.for_each(|status| eprintln!("{:<17} {}", "Stopped", short_name(status.task.as_str())));
    }
    Ok(Exit::Done)
}

/// Has whoever keeps processes up start these, too; whether there is somebody.
pub(crate) async fn start_there(
    app: &mut App,
    names: Vec<String>,
    console: &mut Console,
) -> Result<bool, Exit> {
    let tree = app.load()?;
    let Some(visit) = Visit::of_loaded(app, &tree) else { return Ok(false) };
    let (tell, mut told) = tokio::sync::oneshot::channel();
    // What becomes of them is seen by looking on.
    std::thread::spawn(move || {
        let wanted = govern(names, Governed::Started, Duration::ZERO);
        let _ = tell.send(ask_visited(visit, wanted, &mut |_| {}));
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
    let mut reached = Reached::of(app)?;
    let statuses = reached.statuses(&args.names)?;
    let mut logs = Vec::new();
    for name in statuses.iter().map(|status| &status.task) {
        let path = devtask::session::process_log(&reached.state_dir, name);
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
        if stdout().is_terminal() {
            // What processes write is not to write on the terminal as it likes.
            text = on_terminal(&text, app.color_out);
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

/// Text as a terminal may see it: of sequences those that colour.
fn on_terminal(text: &[u8], color: bool) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let lines = text.split_inclusive('\n').map(|line| match line.strip_suffix('\n') {
        Some(line) => output_line(line, color) + "\n",
        None => output_line(line, color),
    });
    lines.collect::<String>().into_bytes()
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
