//! `devtask test`: what hooks into `devenv:enterTest`, with the processes it needs.

use devtask::graph::ENTER_TEST;

use super::run;
use crate::{
    app::{App, complain_with, misused_with},
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
    let tree = app.load()?;
    let hooks = tree.graph.id(ENTER_TEST).and_then(|id| tree.graph.upstream(id).next());
    if hooks.is_none() {
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
