//! Which run is meant.

use std::path::Path;

use devtask::{
    diagnostic::did_you_mean,
    report::Log,
    session::{known_runs, run_log},
};

use crate::{app::complain_with, exit::Exit, render::text::count};

/// Which run is meant where none is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usual {
    /// The newest.
    Newest,
    /// The newest in which anything was executed; where there is none, the newest.
    Executed,
}

/// The id of the run that is meant.
///
/// # Errors
/// [`Exit::NothingMatched`], having said so.
pub(crate) fn chosen(state_dir: &Path, typed: Option<&str>, usual: Usual) -> Result<String, Exit> {
    let mut known = known_runs(state_dir);
    known.reverse();
    let Some(newest) = known.first() else {
        return Err(none("no run is known here", "`devtask run` leaves a log of what it did"));
    };
    let Some(typed) = typed else {
        let executed = |id: &&String| run_log(state_dir, id).is_ok_and(|log| Log::tells_of_execution(&log));
        let found = if usual == Usual::Executed { known.iter().find(executed) } else { None };
        return Ok(found.unwrap_or(newest).clone());
    };
    named(&known, typed).map_err(|(message, hint)| none(&message, &hint))
}

fn none(message: &str, hint: &str) -> Exit {
    complain_with(message, hint);
    Exit::NothingMatched
}

/// That of these, newest first, which is named; else what is wrong, and what helps.
fn named(known: &[String], typed: &str) -> Result<String, (String, String)> {
    let there_are =
        format!("`devtask report runs` shows the {} known here", count(known.len(), "run", "runs"));
    if let Some(back) = back(typed) {
        let found = back.checked_sub(1).and_then(|at| known.get(at)).cloned();
        return found.ok_or_else(|| (format!("there is no run `{typed}`"), there_are));
    }
    if let Some(exact) = known.iter().find(|id| *id == typed) {
        return Ok(exact.clone());
    }
    let begin: Vec<&String> = known.iter().filter(|id| !typed.is_empty() && id.starts_with(typed)).collect();
    match begin.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let near = did_you_mean(typed, known.iter().map(String::as_str));
            let hint = near.map_or(there_are, |near| format!("did you mean `{near}`?"));
            Err((format!("there is no run `{typed}`"), hint))
        }
        several => {
            let first: Vec<String> = several.iter().take(4).map(|id| format!("`{id}`")).collect();
            let more = if several.len() > first.len() {
                format!(" (+{})", several.len() - first.len())
            } else {
                String::new()
            };
            let hint = format!("write more of it: {}{more}", first.join(", "));
            Err((format!("`{typed}` is how {} runs begin", several.len()), hint))
        }
    }
}

/// How many runs back is meant, from 1; none if that is not how it was named.
fn back(typed: &str) -> Option<usize> {
    if typed == "last" {
        return Some(1);
    }
    typed.strip_prefix('-')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_named_in_several_ways() {
        let known = ["rmwc9", "rmwc2", "rmvaa", "rm"].map(str::to_owned);
        for (typed, expected) in [
            ("last", Ok("rmwc9")),
            ("-1", Ok("rmwc9")),
            ("-3", Ok("rmvaa")),
            ("rmv", Ok("rmvaa")),
            ("rm", Ok("rm")),
            ("rmwc2", Ok("rmwc2")),
            ("rmw", Err("write more of it: `rmwc9`, `rmwc2`")),
            ("r", Err("write more of it: `rmwc9`, `rmwc2`, `rmvaa`, `rm`")),
            ("rmwcc2", Err("did you mean `rmwc2`?")),
            ("zzzzzz", Err("`devtask report runs` shows the 4 runs known here")),
            ("", Err("`devtask report runs` shows the 4 runs known here")),
            ("-0", Err("`devtask report runs` shows the 4 runs known here")),
            ("-5", Err("`devtask report runs` shows the 4 runs known here")),
        ] {
            let found = named(&known, typed).map_err(|(_, hint)| hint);
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{typed}");
        }
    }
}
