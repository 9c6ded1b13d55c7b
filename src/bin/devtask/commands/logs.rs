//! `devtask logs`: what a task wrote when it last executed.

use std::{
    fs::{self, File},
    io::{self, Write as _, stdout},
    path::{Path, PathBuf},
};

use devtask::session::log_file_name;

use crate::{
    app::{App, Tree, complain},
    args::LogsArgs,
    commands::{out, show::one},
    exit::Exit,
};

pub(crate) fn logs(app: &mut App, args: &LogsArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let dir = app.state_dir(&tree).join("log");
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
fn newest(dir: &Path, task: &str, run: Option<&str>) -> Option<PathBuf> {
    let name = log_file_name(task);
    let mut runs: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    runs.sort();
    let wanted = |path: &&PathBuf| run.is_none_or(|run| path.file_name().is_some_and(|n| n == run));
    runs.iter().rev().filter(wanted).map(|run| run.join(&name)).find(|path| path.is_file())
}

fn overview(tree: &Tree, dir: &Path, run: Option<&str>) -> String {
    let mut text = String::new();
    for id in tree.graph.topological() {
        let name = tree.graph.name(*id);
        if let Some(path) = newest(dir, name.as_str(), run) {
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
            complain(&format!("cannot show {}: {error}", path.display()));
            Exit::Internal
        }
        _ => Exit::Done,
    }
}
