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

use devtask::{
    git::Repository,
    plan::{assign, choose},
};

use crate::{
    app::{App, Tree, complain_with, internal, misused, misused_with},
    args::check::CheckArgs,
    commands::affected,
    exit::Exit,
};
use files::{AsIn, Wanted, told_apart};
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
    if verb == Verb::Fix && matches!(wanted, Wanted::Between(..)) {
        return Err(misused("`--from-ref` is for `check`: what is in a commit cannot be mended any more"));
    }
    let memory = app.state_dir(&tree);
    // What a hook was about may have been in an index of its own (`git commit -a`), which is gone when it is over.
    let is_usual =
        repository.as_ref().is_none_or(|repository| !repository.is_in_hook() || repository.has_usual_index());
    let again = if args.set.staged && is_usual { " --staged" } else { "" };
    let logs = String::new();
    let work = Work { app, tree: &tree, args, verb, names: &names, logs, memory: memory.clone(), again };
    let chosen = work.choose()?;
    let (candidates, version) = wanted.find(&tree, &chosen.tasks, &work.ground(), repository.as_ref())?;
    let assigned = assign(&tree.graph, &chosen.tasks, &candidates);
    let called = wanted.called(candidates.len());
    if verb == Verb::Fix
        && version == AsIn::Index
        && repository.as_ref().is_some_and(Repository::is_index_held)
    {
        return Err(misused_with(
            "the index is locked: another git is at work in it",
            "try again when it is done",
        ));
    }
    let place = Place::find(&work, &assigned, &version, repository)?;
    match &place {
        Place::Aside(aside) => {
            let (app, tree, logs) = (&aside.app, &aside.tree, aside.logs(&tree));
            let work = Work { app, tree, args, verb, names: &names, logs, memory, again };
            let chosen = work.choose()?;
            let moved = aside.moved(&candidates);
            if moved.len() < candidates.len() {
                return Err(internal("some of the files have no place in the checkout"));
            }
            let assigned = assign(&tree.graph, &chosen.tasks, &moved);
            chosen.tell(&work);
            work.done(&chosen, &assigned, &called, |done| mend::aside(&work, aside, &assigned, done))
        }
        Place::Here(repository) => {
            chosen.tell(&work);
            let staged = repository.as_ref().filter(|_| version == AsIn::Index);
            let done = work
                .done(&chosen, &assigned, &called, |done| mend::in_place(&work, staged, &assigned, done))?;
            place::still_holds(&work, &assigned, &version, repository.as_ref(), done)
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
