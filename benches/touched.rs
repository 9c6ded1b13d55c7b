//! Every file touched, none changed: all contents are looked at again and nothing runs. The floor reads
//! and hashes the same files. `cargo bench --bench touched [-- MOST_FILES | TASKS FILES_PER_TASK]`

mod support;

use std::process::ExitCode;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use support::{
    args::Args,
    floor, peak,
    program::Program,
    rounds::{self, Contender, Rounds},
    workspace::{Form, Workspace},
};

const SIZES: [(usize, usize); 2] = [(100, 10), (1000, 100)];

fn main() -> ExitCode {
    if let Some(code) = support::helper() {
        return code;
    }
    let args = Args::read();
    for (tasks, files) in args.sizes(&SIZES) {
        let workspace = Workspace::of("bench", tasks, files);
        workspace.for_devtask(Form::Flat);
        let (devtask, floor) = (Program::devtask(&workspace.root), floor::hash(&workspace));
        devtask.run();
        let before = workspace.ran("devtask");
        let rows = rounds::interleave(
            Rounds::usual(args.smoke),
            vec![
                Contender::new("bare read and hash", || floor.run()).prepare(|| touch(&workspace)),
                Contender::new("devtask", || devtask.run()).prepare(|| touch(&workspace)),
            ],
        );
        assert_eq!(before, workspace.ran("devtask"), "a touch is no change");
        let title = format!("every file touched, {tasks} tasks, {} files", workspace.all_files());
        rounds::print(&title, &rows, &["bare read and hash"]);
        println!("  peak memory: devtask {:.1} MB", peak::of(&devtask));
    }
    ExitCode::SUCCESS
}

fn touch(workspace: &Workspace) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let now = Timestamps { last_access: now, last_modification: now };
    for (dir, names) in workspace.directories() {
        for name in names {
            let path = workspace.root.join(&dir).join(name);
            utimensat(CWD, path, &now, AtFlags::empty()).expect("it can be touched");
        }
    }
}
