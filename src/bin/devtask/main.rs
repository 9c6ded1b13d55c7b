//! The program: arguments in, events out. It uses the library's public items only; parsing, rendering,
//! signals and exit codes are all that lives here. Each verb is one file in `commands`: parse, build a
//! request, call the library.

mod app;
mod args;
mod commands;
mod exit;
mod render;
mod signals;

use std::process::ExitCode;

use clap::Parser as _;

use exit::Exit;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == devtask::process::GUARDIAN_ARGUMENT) {
        return devtask::process::guardian_main(arguments);
    }
    devtask::store::quiet_panics();
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    exit::leave(commands::dispatch(cli))
}

/// Help and version are an answer; anything else clap says is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told if even this cannot be written.
    let _ = error.print();
    exit::leave(if error.use_stderr() { Exit::Usage } else { Exit::Done })
}
