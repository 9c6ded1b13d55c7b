//! `devtask man`: the manual, made from what can be typed, and from what there is to say besides.

mod text;

use std::{
    env, fs,
    io::{self, IsTerminal as _, Write as _, stdout},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process,
};

use clap::{Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};
use tempfile::Builder;

use crate::{
    app::internal,
    args::{Cli, ManArgs},
    commands::out,
    exit::Exit,
};

pub(crate) fn man(args: &ManArgs) -> Exit {
    let done = match &args.dir {
        Some(dir) => fs::create_dir_all(dir).and_then(|()| write_all(&command(), None, dir)),
        None => page(&command(), None).map(|page| {
            if !(stdout().is_terminal() && is_shown(&page)) {
                out(&page);
            }
        }),
    };
    done.map_or_else(|error| internal(&format!("cannot write the manual: {error}")), |()| Exit::Done)
}

/// Without what says only how to get help.
fn command() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// Shows a page as the system shows pages. Whether there is anything that does.
fn is_shown(page: &str) -> bool {
    let shown =
        Builder::new().prefix("devtask-").suffix(".1").tempfile_in(env::temp_dir()).and_then(|mut file| {
            file.write_all(page.as_bytes())?;
            process::Command::new("man").arg(file.path()).status()
        });
    // Who ends it by a key has seen what they wanted.
    shown.is_ok_and(|status| status.success() || status.signal().is_some())
}

/// Writes the page of a verb, and those of all that is beneath it.
fn write_all(command: &Command, above: Option<&Command>, dir: &Path) -> io::Result<()> {
    for verb in verbs(command) {
        write_all(verb, Some(command), dir)?;
    }
    fs::write(dir.join(format!("{}.1", name(command))), page(command, above)?)
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// What the page is called.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of a verb, or of all of it where nothing is above.
fn page(command: &Command, above: Option<&Command>) -> io::Result<String> {
    let is_main = above.is_none();
    // What every verb takes stands in one place.
    let own = match is_main {
        true => command.clone(),
        false => command.clone().mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg }),
    };
    let man = Man::new(own.clone()).source(concat!("devtask ", env!("CARGO_PKG_VERSION"))).manual("devtask");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if !is_main {
        elsewhere("Options that every verb takes are in").to_writer(&mut page)?;
    }
    if verbs(command).next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(notes) = command.get_after_help() {
        self::notes(&notes.to_string()).to_writer(&mut page)?;
    }
    section("EXIT STATUS", text::EXIT_STATUS).to_writer(&mut page)?;
    environment(&own).to_writer(&mut page)?;
    if !is_main {
        elsewhere("What else counts is in").to_writer(&mut page)?;
    }
    section("FILES", text::FILES).to_writer(&mut page)?;
    if is_main {
        section("EXAMPLES", text::EXAMPLES).to_writer(&mut page)?;
    }
    see_also(command, above).to_writer(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// The one line that `--help` has, too.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim().trim_start_matches("Usage:").trim();
    let called = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let rest = usage.strip_prefix(called).unwrap_or_default();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).text([bold(called), roman(rest)]);
    roff
}

/// What stands behind the options in `--help`.
fn notes(text: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["NOTES"]);
    for paragraph in text.split("\n\n") {
        roff.control("PP", []).text([roman(paragraph)]);
    }
    roff
}

/// Everything that has a name, and what is to be said of it.
fn section(heading: &str, entries: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    entries.iter().for_each(|(name, what)| entry(&mut roff, name, [roman(*what)]));
    roff
}

fn entry<const N: usize>(roff: &mut Roff, name: &str, what: [Inline; N]) {
    roff.control("TP", []).text([bold(name)]).text(what);
}

fn elsewhere(what: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("PP", []).text([roman(format!("{what} ")), bold("devtask"), roman("(1).")]);
    roff
}

/// The variables that stand for options, and those that say something else.
fn environment(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
        if let (Some(variable), Some(long)) = (option.get_env(), option.get_long()) {
            let what = [roman("as "), bold(format!("--{long}"))];
            entry(&mut roff, &variable.to_string_lossy(), what);
        }
    }
    let others = text::ENVIRONMENT.iter().filter(|(pages, ..)| pages.contains(&name(command)));
    others.for_each(|(_, name, what)| entry(&mut roff, name, [roman(*what)]));
    roff
}

fn see_also(command: &Command, above: Option<&Command>) -> Roff {
    let mut pages: Vec<Inline> = Vec::new();
    for page in above.into_iter().chain(verbs(command)).map(name) {
        if !pages.is_empty() {
            pages.push(roman(", "));
        }
        pages.extend([italic(page), roman("(1)")]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text(pages);
    roff
}
