//! `devtask shell`: the user's shell, or a command, in the environment of the tree.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, Permissions},
    io::{self, ErrorKind, IsTerminal as _, Write as _, stderr, stdin},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{OpenOptionsExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use devtask::shell::{Dialect, Entry, bash_entry, fish_entry, quoted, zsh_entry};
use tempfile::Builder;

use super::enter::{Entered, enter, tell_of};
use crate::{
    app::{App, complain, private_base},
    args::ShellArgs,
    exit::Exit,
    render::text::shown,
};

/// Says in which tree one is.
const WITHIN: &str = "DEVTASK_SHELL";

pub(crate) fn shell(app: &mut App, args: &ShellArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    if let (Some(root), true) = (env::var_os(WITHIN), args.command.is_empty()) {
        eprintln!("{:<17} in the devtask shell of {}", "Already", shown(&root.to_string_lossy()));
    }
    let mut entered = enter(app, &tree, "shell")?;
    tell_of(&entered.environment, &[]);
    entered.environment = entered.environment.with(WITHIN, tree.loaded.root.as_os_str().as_bytes());
    if entered.failed {
        eprintln!("warning: what failed exports nothing; the shell opens without it");
    }
    if app.globals.quiet {
        entered.messages.clear();
    }
    // The process becomes another, and the system takes memory back.
    std::mem::forget(tree);
    // What the run did to adopt its orphans is kept by the shell, which knows nothing of them.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(None);
    let path = env::var_os("PATH");
    match args.command.split_first() {
        Some((program, arguments)) => {
            say(&entered.messages);
            let mut command = with_variables(Command::new(program), &entered, path);
            Err(not_started(program, &command.args(arguments).exec()))
        }
        None => Err(open(&entered, path)),
    }
}

/// Becomes the user's shell.
fn open(entered: &Entered, path: Option<OsString>) -> Exit {
    let chosen = env::var_os("SHELL").filter(|shell| Path::new(shell).is_absolute());
    let (mut program, mut failure) = (OsString::from("sh"), None);
    for candidate in chosen.into_iter().chain(["bash".into(), "sh".into()]) {
        let error = become_shell(&candidate, entered, path.clone());
        program = candidate;
        let is_missing = error.kind() == ErrorKind::NotFound;
        failure = Some(error);
        if !is_missing {
            break;
        }
    }
    failure.map_or(Exit::Internal, |error| not_started(&program, &error))
}

/// Returns only if that cannot be.
fn become_shell(shell: &OsStr, entered: &Entered, path: Option<OsString>) -> io::Error {
    // Only a shell that somebody types into reads the user's files, which could undo what is exported.
    let is_typed_into = stdin().is_terminal() && stderr().is_terminal();
    let name = Path::new(shell).file_name().and_then(OsStr::to_str).unwrap_or_default();
    if is_typed_into && is_there(shell) {
        match prepared(shell, name, entered) {
            Ok(Some((mut command, left_over))) => {
                let error = command.exec();
                remove(&left_over);
                return error;
            }
            Ok(None) => {}
            // It opens all the same.
            Err(error) => eprintln!("warning: the user's own files may undo what is exported: {error}"),
        }
    }
    if is_there(shell) {
        say(&entered.messages);
    }
    with_variables(Command::new(shell), entered, path).exec()
}

fn is_there(shell: &OsStr) -> bool {
    let path = Path::new(shell);
    let mut dirs =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).into_iter().flatten();
    if path.is_absolute() { path.is_file() } else { dirs.any(|dir| dir.join(path).is_file()) }
}

/// A shell that reads the user's files first and what is exported then, and the private file that says so.
fn prepared(shell: &OsStr, name: &str, entered: &Entered) -> io::Result<Option<(Command, PathBuf)>> {
    let entry = Entry { environment: &entered.environment, messages: &entered.messages };
    // `PATH` is as it was until the user's files have been read: what comes before it would be there twice.
    let mut command = with_variables(Command::new(shell), entered, None);
    let made = match name {
        "bash" => {
            let file = private_file(|file| bash_entry(file, entry))?;
            command.arg("--rcfile").arg(&file);
            file
        }
        "fish" => {
            let file = private_file(|file| fish_entry(file, entry))?;
            command.arg("-C").arg(format!("source {}", quoted(Dialect::Fish, file.as_os_str().as_bytes())));
            file
        }
        "zsh" => {
            let own = env::var_os("ZDOTDIR").map(PathBuf::from);
            let dir = private_dir(|dir| zsh_entry(dir, own.as_deref(), entry))?;
            command.env("ZDOTDIR", &dir);
            dir
        }
        _ => return Ok(None),
    };
    Ok(Some((command, made)))
}

/// A file for us alone, with a text that knows where it is.
fn private_file(text: impl FnOnce(&Path) -> String) -> io::Result<PathBuf> {
    let mut file = Builder::new().prefix("devtask-shell-").tempfile_in(private_base())?;
    let text = text(file.path());
    file.write_all(text.as_bytes())?;
    Ok(file.into_temp_path().keep()?)
}

/// A directory for us alone, with files whose texts know where it is. It goes again if one cannot be written.
fn private_dir<const N: usize>(
    files: impl FnOnce(&Path) -> [(&'static str, String); N],
) -> io::Result<PathBuf> {
    let only_ours = Permissions::from_mode(0o700);
    let dir = Builder::new().prefix("devtask-shell-").permissions(only_ours).tempdir_in(private_base())?;
    for (name, text) in files(dir.path()) {
        write(&dir.path().join(name), &text)?;
    }
    Ok(dir.keep())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::File::options();
    options.write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn remove(left_over: &Path) {
    // What cannot be removed is private.
    let _ = if left_over.is_dir() { fs::remove_dir_all(left_over) } else { fs::remove_file(left_over) };
}

/// With everything that is exported: whoever reads exports takes none that no variable can hold.
fn with_variables(mut command: Command, entered: &Entered, path: Option<OsString>) -> Command {
    let environment = &entered.environment;
    for (name, value) in &environment.variables {
        command.env(name, OsStr::from_bytes(value));
    }
    if let Some(path) = path
        && let Some(longer) = environment.path(Some(path.as_bytes()))
    {
        command.env("PATH", OsString::from_vec(longer));
    }
    command
}

fn say(messages: &[String]) {
    messages.iter().for_each(|line| eprintln!("{line}"));
}

/// What a shell would say, and its exit code.
fn not_started(program: &OsStr, error: &io::Error) -> Exit {
    complain(&format!("cannot start {}: {error}", program.to_string_lossy()));
    Exit::Task(if error.kind() == ErrorKind::NotFound { 127 } else { 126 })
}
