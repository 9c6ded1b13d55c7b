//! A run with nothing to do: the whole process, beside an empty one, beside a bare stat of the same files
//! and beside `ninja` on the same graph (where it is installed).
//! `cargo bench --bench noop [-- MOST_FILES | TASKS FILES_PER_TASK]`

mod support;

use std::{path::Path, process::ExitCode};

use support::{
    args::Args,
    empty, floor, peak,
    program::{Program, find},
    rounds::{self, Contender, Rounds},
    workspace::{Form, Workspace},
};

const SIZES: [(usize, usize); 5] = [(1, 1), (100, 10), (1000, 10), (100, 1000), (1000, 100)];

fn main() -> ExitCode {
    if let Some(code) = support::helper() {
        return code;
    }
    let args = Args::read();
    for (tasks, files) in args.sizes(&SIZES) {
        let workspace = Workspace::of("bench", tasks, files);
        measure(&workspace, Form::Flat, &args);
        // Other ways to write the same, where that makes a difference.
        if (tasks, files) == (1000, 10) || args.smoke {
            measure(&workspace, Form::Layered, &args);
            measure(&workspace, Form::Projects, &args);
        }
    }
    ExitCode::SUCCESS
}

fn measure(workspace: &Workspace, form: Form, args: &Args) {
    workspace.for_devtask(form);
    workspace.for_ninja(form);
    let mut programs =
        vec![("process (/bin/true)", Program::new(Path::new("/"), [find("true").unwrap_or_default()]))];
    if let Some(empty) = empty::program() {
        programs.insert(0, ("process (static)", Program::new(Path::new("/"), [empty.to_string_lossy()])));
    }
    programs.push(("devtask --version", Program::new(&workspace.root, [support::DEVTASK, "--version"])));
    programs.push(("bare stat", floor::stat(workspace)));
    programs.push(("devtask", Program::devtask(&workspace.root)));
    if let Some(ninja) = find("ninja") {
        programs.push(("ninja", Program::new(&workspace.root, [&ninja, "--quiet"])));
    }
    support::settle(&programs, args.smoke);
    let before = (workspace.ran("devtask"), workspace.ran("ninja"));
    let contenders = programs.iter().map(|(name, program)| Contender::new(*name, || program.run())).collect();
    let rows = rounds::interleave(Rounds::usual(args.smoke), contenders);
    assert_eq!(before, (workspace.ran("devtask"), workspace.ran("ninja")), "there was something to do");
    let (tasks, files) = (workspace.tasks, workspace.all_files());
    let title = format!("nothing to do, {tasks} tasks, {files} files, {form:?}");
    rounds::print(&title, &rows, &["bare stat", "ninja"]);
    let peaks: Vec<String> = programs
        .iter()
        .rev()
        .map_while(|(name, program)| {
            matches!(*name, "devtask" | "ninja" | "bare stat")
                .then(|| format!("{name} {:.1} MB", peak::of(program)))
        })
        .collect();
    println!("  peak memory: {}", peaks.join(", "));
}
