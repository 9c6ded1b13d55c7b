//! Which run somebody means: `last`, an id, the beginning of one.

use devtask::session::known_runs;

use crate::{
    app::{App, Tree, complain_with, misused_with},
    exit::Exit,
};

/// The id of the run that is called `wanted`.
///
/// # Errors
/// Having said so: if there is none, or several.
pub(crate) fn pick_run(app: &App, tree: &Tree, wanted: &str) -> Result<String, Exit> {
    let runs = known_runs(&app.state_dir(tree));
    let Some(newest) = runs.last() else {
        complain_with("no run is known here", "`devtask run` makes one");
        return Err(Exit::NothingMatched);
    };
    if wanted == "last" || runs.iter().any(|id| id == wanted) {
        return Ok(if wanted == "last" { newest } else { wanted }.to_owned());
    }
    let begun: Vec<&String> = runs.iter().filter(|id| !wanted.is_empty() && id.starts_with(wanted)).collect();
    match begun.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            complain_with(
                &format!("no run is called `{wanted}`"),
                &format!("the last one is {newest}; `last` means it, too"),
            );
            Err(Exit::NothingMatched)
        }
        [first, .., last] => Err(misused_with(
            &format!("`{wanted}` means {} runs", begun.len()),
            &format!("the first is {first}, the last {last}"),
        )),
    }
}
