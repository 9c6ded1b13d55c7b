//! `devtask test`: what hooks into `devenv:enterTest`, with the processes it needs.

use devtask::graph::{ENTER_SHELL, ENTER_TEST};

use super::run;
use crate::{
    app::{App, complain_with, misused, misused_with},
    args::{Mode, RunArgs},
    exit::Exit,
};

pub(crate) fn test(app: &mut App, mut args: RunArgs) -> Result<Exit, Exit> {
    if !args.names.is_empty() {
        return Err(misused_with(
            "`devtask test` runs what hooks into devenv:enterTest, and takes no names",
            &format!("devtask run {}", args.names.join(" ")),
        ));
    }
    if args.affected.is_some() {
        return Err(misused("`--affected` is for `run`, `check`, `list` and `graph`"));
    }
    let tree = app.load()?;
    let graph = &tree.graph;
    // It comes after the entry of the shell whoever hooks into it.
    let is_hook = |id| graph.name(id).as_str() != ENTER_SHELL;
    let is_hooked = graph.id(ENTER_TEST).is_some_and(|id| graph.upstream(id).any(|edge| is_hook(edge.task)));
    if !is_hooked {
        complain_with(
            "nothing hooks into devenv:enterTest",
            "write `before = [\"devenv:enterTest\"]` into a task",
        );
        return Err(Exit::NothingMatched);
    }
    drop(tree);
    args.names = vec![ENTER_TEST.to_owned()];
    args.mode = Mode::All;
    run::run(app, &args)
}
