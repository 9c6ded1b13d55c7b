//! What becomes of what `devtask fix` has made.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use devtask::{
    git::{Merged, Repository},
    plan::Assigned,
};

use super::{
    place::Aside,
    work::{Done, Work},
};
use crate::{
    app::{complain, complain_with},
    commands::affected::failed,
    exit::Exit,
    render::text::shown,
};

/// The name git has for a file: that of its directory without links.
fn real(file: &Path) -> PathBuf {
    match (file.parent().map(Path::canonicalize), file.file_name()) {
        (Some(Ok(dir)), Some(name)) => dir.join(name),
        _ => file.to_owned(),
    }
}

/// In the work tree it is there already; what was staged is staged again.
pub(super) fn in_place(
    work: &Work<'_>,
    staged: Option<&Repository>,
    assigned: &[Assigned],
    done: &Done,
) -> Result<(), Exit> {
    let root = &work.tree.loaded.root;
    let files = assigned.iter().flat_map(|assigned| &assigned.files);
    let fixed: BTreeSet<&PathBuf> = files.filter(|file| done.before.differs(&done.after, file)).collect();
    for file in &fixed {
        work.say("Fixed", &shown(&file.strip_prefix(root).unwrap_or(file).display().to_string()));
    }
    let Some(repository) = staged.filter(|_| !fixed.is_empty()) else { return Ok(()) };
    if done.exit != Exit::Done {
        complain("not everything could be fixed: what was is in the work tree, and the index is as it was");
        return Ok(());
    }
    let real = fixed.iter().map(|file| real(file));
    let paths = real.filter_map(|file| Some(file.strip_prefix(repository.top()).ok()?.to_owned()));
    repository.restage(&paths.collect::<Vec<_>>()).map_err(|error| failed(&error))
}

/// From the checkout it goes into the index, and into the work tree where it does not touch what the user wrote: what
/// the fixes are about, and nothing else that changed there.
pub(super) fn aside(work: &Work<'_>, aside: &Aside, assigned: &[Assigned], done: &Done) -> Result<(), Exit> {
    if done.exit != Exit::Done {
        complain("not everything could be fixed: index and work tree are as they were");
        return Ok(());
    }
    let files = assigned.iter().flat_map(|assigned| &assigned.files);
    let about: BTreeSet<PathBuf> = files.map(|file| real(file)).collect();
    let (mut fixed, others) = aside.checkout.fixed().map_err(|error| failed(&error))?;
    for path in others {
        let name = shown(&path.display().to_string());
        work.say(
            "Note",
            &format!("{name} was made, removed or given another mode by a fix: that stays in the checkout"),
        );
    }
    fixed.retain(|fixed| about.contains(&aside.checkout.dir().join(&fixed.path)));
    let within = aside.checkout.dir().join(".git");
    for fixed in &fixed {
        let name = shown(&fixed.path.display().to_string());
        match aside.repository.merge(fixed, &within).map_err(|error| failed(&error))? {
            Merged::Clean => work.say("Fixed", &name),
            Merged::Conflict => work.say(
                "Fixed",
                &format!("{name} in the index only: in the work tree you changed the same lines, and it is as it was"),
            ),
            Merged::Left => {
                work.say("Fixed", &format!("{name} in the index only: in the work tree it is not there as a file"));
            }
        }
    }
    let left = aside.repository.stage(&fixed, &aside.checkout).map_err(|error| failed(&error))?;
    for path in left {
        let message = format!(
            "{} was staged anew meanwhile: its entry is as you made it",
            shown(&path.display().to_string())
        );
        complain_with(&message, "run `devtask fix --staged` again");
    }
    Ok(())
}
