//! One file of many changed: what devtask adds to the no-op run and to the task itself, beside `ninja`.
//! `cargo bench --bench onechange [-- MOST_FILES | TASKS FILES_PER_TASK]`

mod support;

use std::{cell::Cell, process::ExitCode, thread};

use support::{
    args::Args,
    program::{Program, find},
    rounds::{self, Contender, Rounds, Row},
    workspace::{Form, Workspace},
};

const SIZES: [(usize, usize); 2] = [(100, 10), (1000, 100)];

fn main() -> ExitCode {
    if let Some(code) = support::helper() {
        return code;
    }
    let args = Args::read();
    args.sizes(&SIZES).into_iter().for_each(|(tasks, files)| measure(tasks, files, &args));
    ExitCode::SUCCESS
}

fn measure(tasks: usize, files: usize, args: &Args) {
    let workspace = Workspace::of("bench", tasks, files);
    workspace.for_devtask(Form::Flat);
    workspace.for_ninja(Form::Flat);
    let mut tools = vec![("devtask", Program::devtask(&workspace.root))];
    if let Some(ninja) = find("ninja") {
        tools.push(("ninja", Program::new(&workspace.root, [&ninja, "--quiet"])));
    }
    support::settle(&tools, args.smoke);
    // A content that was never there before, by whomever.
    let version = Cell::new(std::process::id() as usize % 1000 * 1000);
    let change = || {
        thread::sleep(support::TICK);
        version.set(version.get() + 1);
        workspace.change(tasks / 2, version.get());
    };
    for (name, program) in &tools {
        program.run();
        let before = workspace.ran(name);
        change();
        program.run();
        let ran = workspace.ran(name) - before;
        println!("{name}: one change ran {ran}");
        assert!(*name != "devtask" || ran == 1, "one change runs one task");
    }

    let alone = alone(&workspace);
    let mut contenders = vec![Contender::new("the task alone", || alone.run())];
    for (name, program) in &tools {
        // The run before sees to the changes of the others.
        contenders
            .push(Contender::new(format!("{name}, nothing"), || program.run()).prepare(|| program.run()));
        let one = Contender::new(format!("{name}, one change"), || program.run());
        contenders.push(one.prepare(|| {
            program.run();
            change();
        }));
    }
    let rows = rounds::interleave(Rounds::usual(args.smoke), contenders);
    let title = format!("one of {} files changed, {tasks} tasks", workspace.all_files());
    rounds::print(&title, &rows, &["the task alone"]);
    for (at, (name, _)) in tools.iter().enumerate() {
        let more = more(&rows[2 + 2 * at], &rows[1 + 2 * at], &rows[0]);
        println!("  {name}: {more:.3} ms more than a run with nothing to do and the task");
    }
}

/// What the task does, started without anything around it.
fn alone(workspace: &Workspace) -> Program {
    let package = workspace.root.join(support::workspace::package(workspace.tasks / 2));
    let sh = find("sh").unwrap_or_default();
    Program::new(&package, [&sh, "-c", &workspace.command("alone")])
}

/// The median of what a change costs beyond the no-op run and the task, in ms.
fn more(change: &Row, nothing: &Row, alone: &Row) -> f64 {
    let ms = |row: &Row, round: usize| row.times[round].as_secs_f64() * 1e3;
    let mut more: Vec<f64> = (0..change.times.len())
        .map(|round| ms(change, round) - ms(nothing, round) - ms(alone, round))
        .collect();
    more.sort_by(f64::total_cmp);
    more[more.len() / 2]
}
