//! `devtask init`: proposes task files from what other tools have left, and writes them when asked to.

mod above;
mod walk;

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use devtask::{
    propose::{Content, Found, Proposal, propose},
    scan::read_regular,
};

use crate::{
    app::{App, internal, misused_with},
    args::InitArgs,
    commands::out,
    exit::Exit,
    render::text::{count, shown},
};

/// A larger manifest is none.
const LARGEST: u64 = 4 << 20;
/// The names of task files.
const OURS: [&str; 2] = ["devtask.toml", "devtask.json"];

pub(crate) fn init(app: &App, args: &InitArgs) -> Result<Exit, Exit> {
    if app.globals.file.is_some() {
        let hint = "leave out `-f`, or name the directory with `-C`";
        return Err(misused_with("`init` proposes the devtask.toml of a directory, and takes no file", hint));
    }
    let dir = &app.start_dir;
    let proposal = gather(dir);
    if proposal.files.is_empty() {
        // The root has one, and so has every member.
        refuse_existing(dir, [String::new()])?;
    }
    for note in &proposal.notes {
        warn(&note.path, &note.message);
    }
    let places =
        proposal.files.iter().map(|(path, _)| path.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned());
    refuse_existing(dir, places)?;
    if let Some(file) = above::foreign_tree(dir) {
        let file = shown(&file.display().to_string());
        eprintln!("{:<17} {file} does not include this directory: it would be a tree of its own", "Note");
    }
    if proposal.tasks == 0 {
        eprintln!("Nothing was recognised that could run as a task: the file has comments only");
    }
    if args.write { write(dir, &proposal.files) } else { Ok(print(&proposal.files)) }
}

fn warn(path: &str, message: &str) {
    eprintln!("warning: {}: {}", shown(path), shown(message));
}

/// A task file that is there was written by somebody.
fn refuse_existing(root: &Path, dirs: impl IntoIterator<Item = String>) -> Result<(), Exit> {
    let paths = dirs.into_iter().flat_map(|dir| OURS.map(|name| Path::new(&dir).join(name)));
    let there: Vec<String> = paths
        .filter(|path| root.join(path).symlink_metadata().is_ok())
        .map(|path| path.display().to_string())
        .collect();
    let Some(first) = there.first() else { return Ok(()) };
    let message = match there.len() {
        1 => format!("there is {first} already"),
        _ => format!("there are {} already", there.join(", ")),
    };
    let hint = if OURS.contains(&first.as_str()) {
        "`devtask list` shows its tasks; move it away to have another proposed"
    } else {
        "move it away, or propose for a directory beneath with `-C`"
    };
    Err(misused_with(&message, hint))
}

/// Reads what the proposal wants to know, until it wants no more.
fn gather(dir: &Path) -> Proposal {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let files = walk::files(dir, &mut |path, message| warn(path, message));
    let mut found = Found { name, files, cargo_above: above::cargo_workspace(dir) };
    loop {
        let proposal = propose(&found);
        if proposal.wants.is_empty() {
            return proposal;
        }
        for path in &proposal.wants {
            let content = read(&dir.join(path)).map_or_else(
                |error| {
                    warn(path, &error.to_string());
                    Content::Unreadable
                },
                Content::Text,
            );
            // It cannot be wanted a second time.
            found.files.insert(path.clone(), content);
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let bytes = read_regular(path, LARGEST)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line}: it is not UTF-8"))
    })
}

fn print(files: &[(String, String)]) -> Exit {
    let several = files.iter().any(|(path, _)| path != OURS[0]);
    let one = |(path, text): &(String, String)| {
        if several { format!("# ---- {} ----\n{text}", shown(path)) } else { text.clone() }
    };
    let text: Vec<String> = files.iter().map(one).collect();
    let exit = out(&text.join("\n"));
    if exit == Exit::Done {
        let what = count(files.len(), "file", "files");
        eprintln!("Nothing was written: `devtask init --write` writes {what}");
    }
    exit
}

/// Writes all of them or none.
fn write(root: &Path, files: &[(String, String)]) -> Result<Exit, Exit> {
    let mut written: Vec<PathBuf> = Vec::new();
    for (path, text) in files {
        if let Err(error) = write_one(root, path, text) {
            // Those that were not there a moment ago are ours.
            written.iter().for_each(|path| drop(fs::remove_file(path)));
            return Err(internal(&format!("cannot write {path}: {error}; nothing was written")));
        }
        written.push(root.join(path));
    }
    for (path, _) in files {
        eprintln!("{:<17} {}", "Written", shown(path));
    }
    eprintln!("Next: `devtask list` shows the tasks, `devtask run` runs those that are not fresh");
    Ok(Exit::Done)
}

/// At once, and never over another file.
fn write_one(root: &Path, path: &str, text: &str) -> io::Result<()> {
    let path = root.join(path);
    let dir = path.parent().unwrap_or(root);
    // Like any other file that is made: the user's mask decides.
    let mut file = tempfile::Builder::new()
        .prefix(".devtask-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.persist_noclobber(&path).map(drop).map_err(|error| error.error)
}
