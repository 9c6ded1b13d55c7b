//! `devtask export`: the environment of the tree, for whoever enters it by itself: direnv, the hook of a prompt.
//! So it needs `devtask allow` (spec section 8), and what it prints is whole, or nothing at all.

use std::{
    collections::BTreeSet,
    env,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use devtask::shell::{Dialect, quoted};

use super::{
    enter::{enter, tell_of},
    out,
};
use crate::{
    app::{App, Tree},
    args::{ExportArgs, Reader},
    exit::Exit,
    trust::Judged,
};

pub(crate) fn export(app: &mut App, args: &ExportArgs) -> Result<Exit, Exit> {
    let is_quiet = app.globals.quiet;
    // Nobody asked for it: what goes well goes without saying.
    app.globals.quiet |= !app.globals.verbose;
    let tree = app.load_allowed()?;
    let entered = enter(app, &tree, "export")?;
    if entered.failed {
        return Err(Exit::Failed);
    }
    if entered.is_saved {
        note_state(app, &tree)?;
    }
    let dialect = match args.shell {
        Reader::Bash | Reader::Direnv => Dialect::Bash,
        Reader::Zsh => Dialect::Zsh,
        Reader::Fish => Dialect::Fish,
        Reader::Json => Dialect::Json,
    };
    let environment = &entered.environment;
    tell_of(environment, &environment.left_out(dialect));
    if !is_quiet {
        entered.messages.iter().for_each(|line| eprintln!("{line}"));
    }
    let path = env::var_os("PATH");
    let mut script = environment.script(dialect, path.as_deref().map(OsStrExt::as_bytes));
    if args.shell == Reader::Direnv {
        script.push_str(&watched(&tree));
    }
    std::mem::forget(tree);
    Ok(out(&script))
}

/// What is remembered of the tree was made since it was allowed.
fn note_state(app: &App, tree: &Tree) -> Result<(), Exit> {
    let (state_dir, judged) = (app.state_dir(tree), tree.judged.as_deref());
    let is_news = |judged: &&Judged| !judged.knows_state(&state_dir) && state_dir.is_dir();
    judged.filter(is_news).map_or(Ok(()), |judged| judged.note_state(&state_dir))
}

/// Has direnv read again when a file changes that says what is to be done.
fn watched(tree: &Tree) -> String {
    let sources = tree.loaded.sources.iter().filter_map(|source| source.path.clone());
    // Also those that are not there.
    let is_one = |path: &&PathBuf| !path.as_os_str().as_bytes().contains(&b'*');
    let files: BTreeSet<PathBuf> = sources.chain(tree.loaded.files.iter().filter(is_one).cloned()).collect();
    let line = |path: &Path| format!("watch_file {}\n", quoted(Dialect::Bash, path.as_os_str().as_bytes()));
    files.iter().map(|path| line(path)).collect()
}
