//! `devtask logs`: what a task wrote when it last executed.

use std::{
    fs::File,
    io::{self, Write as _, stdout},
    path::{Path, PathBuf},
};

use devtask::session::{logged_runs, task_log};

use crate::{
    app::{App, Tree, complain, internal},
    args::LogsArgs,
    commands::{out, show::one},
    exit::Exit,
};

pub(crate) fn logs(app: &mut App, args: &LogsArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let dir = app.state_dir(&tree);
    let Some(name) = &args.name else {
        return Ok(out(&overview(&tree, &dir, args.run.as_deref())));
    };
    let task = tree.graph.name(one(&tree, name)?);
    let Some(path) = newest(&dir, task.as_str(), args.run.as_deref()) else {
        complain(&format!("{task} has no log: it has not run, or wrote nothing"));
        return Err(Exit::NothingMatched);
    };
    if args.path {
        return Ok(out(&format!("{}\n", path.display())));
    }
    Ok(print(&path))
}

/// The log of a task in one run, or in the newest that has one.
fn newest(state_dir: &Path, task: &str, run: Option<&str>) -> Option<PathBuf> {
    let runs = logged_runs(state_dir).into_iter().rev().filter(|id| run.is_none_or(|run| run == id));
    runs.map(|id| task_log(state_dir, &id, task)).find(|path| path.is_file())
}

fn overview(tree: &Tree, state_dir: &Path, run: Option<&str>) -> String {
    let mut text = String::new();
    for id in tree.graph.topological() {
        let name = tree.graph.name(*id);
        if let Some(path) = newest(state_dir, name.as_str(), run) {
            text.push_str(&format!("{name}  {}\n", path.display()));
        }
    }
    text
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
