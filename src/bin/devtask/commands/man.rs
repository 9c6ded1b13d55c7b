//! `devtask man`: the manual, made from what can be typed.

use std::fs;

use clap::{Command, CommandFactory as _};
use clap_mangen::{Man, generate_to};

use crate::{
    app::internal,
    args::{Cli, ManArgs},
    commands::out,
    exit::Exit,
};

pub(crate) fn man(args: &ManArgs) -> Exit {
    match &args.dir {
        Some(dir) => {
            let written = fs::create_dir_all(dir).and_then(|()| generate_to(command(), dir));
            written
                .map_or_else(|error| internal(&format!("cannot write the manual: {error}")), |()| Exit::Done)
        }
        None => {
            let mut page = Vec::new();
            // Memory takes whatever is written.
            let _ = Man::new(command()).render(&mut page);
            out(&String::from_utf8_lossy(&page))
        }
    }
}

/// Without what says only how to get help.
fn command() -> Command {
    Cli::command().disable_help_subcommand(true)
}
