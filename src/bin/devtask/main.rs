//! The program: arguments in, events out. It uses the library's public items only; parsing, rendering,
//! signals and exit codes are all that lives here. Each verb is one file in `commands`: parse, build a
//! request, call the library.

mod app;
mod args;
mod commands;
mod console;
mod exit;
mod render;
mod signals;
mod trust;

use std::{ffi::OsString, mem::ManuallyDrop, process::ExitCode};

use clap::{
    CommandFactory as _, FromArgMatches as _,
    error::{ContextKind, ContextValue, ErrorKind},
};
use devtask::diagnostic::did_you_mean;

use exit::Exit;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == devtask::process::GUARDIAN_ARGUMENT) {
        return devtask::process::guardian_main(arguments);
    }
    #[cfg(feature = "planted-faults")]
    std::env::var("DEVTASK_PLANTED_FAULT").into_iter().for_each(|fault| devtask::planted::plant(&fault));
    devtask::store::quiet_panics();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    exit::leave(commands::dispatch(cli))
}

/// What was typed. Clap's picture of all there is to type is big, and the system clears it away faster than we.
fn parse() -> Result<args::Cli, clap::Error> {
    let mut command = ManuallyDrop::new(args::Cli::command());
    let mut matches = command.try_get_matches_from_mut(typed(std::env::args_os()))?;
    args::Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// `-f` names the task file wherever it stands, but after `processes logs`, where everybody means to follow: clap
/// cannot have one letter for both.
fn typed(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    let is_logs = |pair: &[OsString]| pair[0] == "processes" && pair[1] == "logs";
    if let Some(at) = arguments.windows(2).position(is_logs) {
        let after = arguments.iter_mut().skip(at + 2).take_while(|argument| *argument != "--");
        after.filter(|argument| *argument == "-f").for_each(|argument| *argument = "--follow".into());
    }
    arguments
}

/// What clap takes for a misspelt verb is as often the name of a task, which has to stand behind `run`:
/// a verb of a later version must not take its place.
fn unknown_verb(error: &clap::Error) -> Option<Exit> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let command = args::Cli::command();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
    let hint = match did_you_mean(typed, verbs) {
        Some(near) => format!("did you mean `devtask {near}`?"),
        None => format!("a task is run by `devtask run {typed}`; `devtask --help` shows all verbs"),
    };
    Some(app::misused_with(&format!("there is no verb `{typed}`"), &hint))
}

/// Help and version are an answer; anything else clap says is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    if let Some(verb) = unknown_verb(error) {
        return exit::leave(verb);
    }
    let text = error.render().to_string();
    if text.chars().any(|c| c != '\n' && render::text::is_unsafe(c)) {
        text.lines().for_each(|line| eprintln!("{}", render::text::shown(line)));
        return exit::leave(Exit::Usage);
    }
    // Nobody is left to be told if even this cannot be written.
    let _ = error.print();
    exit::leave(if error.use_stderr() { Exit::Usage } else { Exit::Done })
}
