//! `devtask check` and `devtask fix`: tasks that are about files somebody names.
//!
//! The promise: the work tree, the index and the stash are the user's. What is checked is looked at in place where it is
//! the same there, else in a private checkout; only `fix` writes, and only what it says.
//!
//! | file | story |
//! |---|---|
//! | `files` | which files are meant, and in which version |
//! | `place` | where they are looked at |
//! | `work` | what is left to be done, and what follows from what became of it |
//! | `rounds` | running that |
//! | `mend` | what becomes of what was fixed |

mod files;
mod mend;
mod place;
mod rounds;
mod work;

use devtask::plan::{assign, choose};

use crate::{
    app::{App, Tree, complain_with},
    args::check::CheckArgs,
    commands::affected,
    exit::Exit,
};
use files::{Wanted, told_apart};
use place::Place;
use work::Work;

/// What is done with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Check,
    Fix,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Fix => "fix",
        }
    }
}

pub(crate) fn check(app: &mut App, args: &CheckArgs) -> Result<Exit, Exit> {
    go(app, args, Verb::Check)
}

pub(crate) fn fix(app: &mut App, args: &CheckArgs) -> Result<Exit, Exit> {
    go(app, args, Verb::Fix)
}

fn go(app: &mut App, args: &CheckArgs, verb: Verb) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let repository = affected::repository(&tree)?;
    let is_check = |name: &str| choose(&tree.graph, tree.loaded.current_project.as_deref(), &[name]).is_ok();
    let (names, files) = told_apart(app, &args.names, is_check, args.set.files)?;
    known(&tree, &names)?;
    let wanted = Wanted::of(app, &args.set, files, repository.as_ref())?;
    // What is committed is checked by all, wherever that is said.
    let of_project = !matches!(wanted, Wanted::Staged);
    let work = Work { app, tree: &tree, args, verb, names: &names, of_project, logs: String::new() };
    let chosen = work.choose()?;
    let (candidates, version) = wanted.find(&tree, &chosen.tasks, &work.ground(), repository.as_ref())?;
    let assigned = assign(&tree.graph, &chosen.tasks, &candidates);
    let (called, memory) = (wanted.called(candidates.len()), app.state_dir(&tree));
    let place = Place::find(&work, &assigned, &version, repository)?;
    match &place {
        Place::Aside(aside) => {
            let (app, tree, logs) = (&aside.app, &aside.tree, aside.logs(&tree));
            let work = Work { app, tree, args, verb, names: &names, of_project, logs };
            let chosen = work.choose()?;
            let assigned = assign(&tree.graph, &chosen.tasks, &aside.moved(&candidates));
            chosen.tell(&work);
            work.done(&assigned, &called, &memory, |done| mend::aside(&work, aside, done))
        }
        Place::Here(repository) => {
            chosen.tell(&work);
            let staged = repository.as_ref().filter(|_| version == files::Version::Index);
            work.done(&assigned, &called, &memory, |done| mend::in_place(&work, staged, &candidates, done))
        }
    }
}

/// Refuses names of nothing, all at once.
fn known(tree: &Tree, names: &[String]) -> Result<(), Exit> {
    let Err(faults) = choose(&tree.graph, tree.loaded.current_project.as_deref(), names) else {
        return Ok(());
    };
    for fault in faults {
        let message = format!("`{}` is the name of no check and of no file", fault.typed);
        let near: Vec<String> = fault.suggestions.iter().map(|near| format!("`{near}`")).collect();
        let hint = match near.as_slice() {
            [] => "`devtask list` shows checks, too".to_owned(),
            near => format!("did you mean {}?", near.join(" or ")),
        };
        complain_with(&message, &hint);
    }
    Err(Exit::NothingMatched)
}
