//! `devtask logs`: what a task wrote when it last executed.

use std::{
    fs::File,
    io::{self, Write as _, stdout},
    path::{Path, PathBuf},
};

use devtask::{
    Session,
    model::TaskName,
    session::{logged_runs, process_log, task_log},
};

use crate::{
    app::{App, Tree, complain, complain_with, internal},
    args::LogsArgs,
    commands::{
        look, out,
        report::chosen::{Usual, chosen},
        show::one,
    },
    exit::Exit,
};

pub(crate) fn logs(app: &mut App, args: &LogsArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let logs = Logs::new(app, &tree, args.run.as_deref())?;
    let Some(name) = &args.name else { return Ok(out(&logs.overview(&tree))) };
    let id = one(&tree, name)?;
    let task = tree.graph.name(id);
    if tree.graph.task(id).is_process() {
        return process(app, &tree, task, args);
    }
    let Some(path) = logs.of(task) else {
        match logs.newest(task, None).filter(|_| args.run.is_none()) {
            Some((run, _)) => complain_with(
                &format!("{task} wrote nothing when it last ran"),
                &format!("`devtask logs {task} --run {run}` shows what it wrote before"),
            ),
            None => complain(&format!("{task} has no log: it has not run, or wrote nothing")),
        }
        return Err(Exit::NothingMatched);
    };
    if args.path {
        return Ok(out(&format!("{}\n", path.display())));
    }
    Ok(print(&path))
}

/// That of a process, which goes on from start to start.
fn process(app: &App, tree: &Tree, task: &TaskName, args: &LogsArgs) -> Result<Exit, Exit> {
    let path = process_log(&app.state_dir(tree), task);
    if !path.is_file() {
        complain(&format!("{task} has no log: it has not run, or wrote nothing"));
        return Err(Exit::NothingMatched);
    }
    if args.path {
        return Ok(out(&format!("{}\n", path.display())));
    }
    Ok(print(&path))
}

/// Where logs are looked for.
struct Logs {
    state_dir: PathBuf,
    /// Those of this run; none: of the last execution of each task.
    run: Option<String>,
    /// What knows the last executions, unless another devtask is at work: then the newest logs have to do.
    session: Option<Session>,
}

impl Logs {
    fn new(app: &App, tree: &Tree, run: Option<&str>) -> Result<Self, Exit> {
        let state_dir = app.state_dir(tree);
        let session = if run.is_none() { look::open(app, tree, "devtask logs")? } else { None };
        // Logs of tasks outlive those of runs.
        let has_logs = |run: &str| logged_runs(&state_dir).iter().any(|id| id == run);
        let named = |run: &str| match has_logs(run) {
            true => Ok(run.to_owned()),
            false => chosen(&state_dir, Some(run), Usual::Newest),
        };
        let run = run.map(named).transpose()?;
        Ok(Self { state_dir, run, session })
    }

    fn of(&self, task: &TaskName) -> Option<PathBuf> {
        let last = self.session.as_ref().and_then(|session| session.record(task)).map(|record| record.run);
        self.newest(task, self.run.as_deref().or(last.as_deref())).map(|(_, path)| path)
    }

    /// The log of a task in one run, or in the newest that has one.
    fn newest(&self, task: &TaskName, run: Option<&str>) -> Option<(String, PathBuf)> {
        let mut runs = logged_runs(&self.state_dir);
        runs.retain(|id| run.is_none_or(|run| run == id));
        let logs = runs.into_iter().rev().map(|id| {
            let path = task_log(&self.state_dir, &id, task.as_str());
            (id, path)
        });
        logs.into_iter().find(|(_, path)| path.is_file())
    }

    fn overview(&self, tree: &Tree) -> String {
        let names = tree.graph.topological().iter().map(|id| tree.graph.name(*id));
        let line = |name| Some(format!("{name}  {}\n", self.of(name)?.display()));
        names.filter_map(line).collect()
    }
}

/// Bytes as they are: a log is data.
fn print(path: &Path) -> Exit {
    let copied = File::open(path).and_then(|mut log| {
        let mut stdout = stdout().lock();
        io::copy(&mut log, &mut stdout)?;
        stdout.flush()
    });
    match copied {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            internal(&format!("cannot show {}: {error}", path.display()))
        }
        _ => Exit::Done,
    }
}
