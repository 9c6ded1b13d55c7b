//! The program: arguments in, events out.
#[cfg(test)]
mod render;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == devtask::process::GUARDIAN_ARGUMENT) {
        return devtask::process::guardian_main(args);
    }
    ExitCode::SUCCESS
}
