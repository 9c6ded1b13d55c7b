//! Everything has to run: tasks that do next to nothing beside two threads that start the same commands,
//! and packages that are built for the first time, both beside `ninja`.
//! `cargo bench --bench cold [-- TASKS FILES_PER_TASK]`

mod support;

use std::{
    fmt::Write as _, fs, iter::repeat_n, path::PathBuf, process::ExitCode, sync::Mutex, thread,
    time::Duration,
};

use support::{
    args::Args,
    peak,
    program::{Program, find},
    rounds::{self, Contender, Rounds},
    workspace::{Form, Workspace},
};

const TRIVIAL: usize = 500;

fn main() -> ExitCode {
    if let Some(code) = support::helper() {
        return code;
    }
    let args = Args::read();
    let rounds = if args.smoke {
        Rounds::usual(true)
    } else {
        Rounds { least: 3, most: 15, budget: Duration::from_secs(15) }
    };
    trivial(if args.smoke { 5 } else { TRIVIAL }, rounds);
    for (tasks, files) in args.sizes(&[(500, 100)]) {
        packages(&Workspace::of("bench", tasks, files), rounds);
    }
    ExitCode::SUCCESS
}

/// Tasks that always run and do nothing.
fn trivial(tasks: usize, rounds: Rounds) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-trivial-{tasks}"));
    drop(fs::remove_dir_all(&dir));
    fs::create_dir_all(&dir).expect("a directory");
    let (mut toml, mut ninja) = (String::new(), String::from("rule run\n  command = true\n"));
    for task in 0..tasks {
        let _ = write!(toml, "[tasks.\"t:t{task}\"]\nexec = \"true\"\npackage = \"sh\"\n\n");
        let _ = writeln!(ninja, "build t{task}: run");
    }
    fs::write(dir.join("devtask.toml"), toml).expect("the task file");
    fs::write(dir.join("build.ninja"), ninja).expect("the ninja file");
    let (sh, bare) = (find("sh").unwrap_or_default(), find("true").unwrap_or_default());
    let shell = Program::new(&dir, [&sh, "-ec", "true"]);
    let bare = Program::new(&dir, [bare]);
    let devtask = |jobs: &str| {
        let line = [support::DEVTASK].into_iter().chain(support::RUN).chain(["--jobs", jobs]);
        Program::new(&dir, line)
    };
    let (two, eight) = (devtask("2"), devtask("8"));
    let ninja = find("ninja").map(|ninja| Program::new(&dir, [&ninja, "--quiet", "-j2"]));
    let mut contenders = vec![
        Contender::new("2 threads, /bin/true", || threads(repeat_n(&bare, tasks))),
        Contender::new("2 threads, sh", || threads(repeat_n(&shell, tasks))),
        Contender::new("devtask -j2", || two.run()),
        Contender::new("devtask -j8", || eight.run()),
    ];
    if let Some(ninja) = &ninja {
        contenders.push(Contender::new("ninja -j2", || ninja.run()));
    }
    let rows = rounds::interleave(rounds, contenders);
    rounds::print(&format!("{tasks} tasks `true`"), &rows, &["2 threads, sh", "ninja -j2"]);
    for row in &rows {
        println!("  {:<22} {:>7.0} tasks/s", row.name, tasks as f64 / row.percentile(50).as_secs_f64());
    }
    println!("  peak memory: devtask -j2 {:.1} MB", peak::of(&two));
}

/// Packages that nobody has built yet; each task writes its output.
fn packages(workspace: &Workspace, rounds: Rounds) {
    workspace.for_devtask(Form::Flat);
    workspace.for_ninja(Form::Flat);
    let devtask = Program::devtask(&workspace.root);
    let ninja = find("ninja").map(|ninja| Program::new(&workspace.root, [&ninja, "--quiet"]));
    let sh = find("sh").unwrap_or_default();
    let scripts: Vec<Program> = (0..workspace.tasks)
        .map(|task| workspace.root.join(support::workspace::package(task)))
        .map(|package| Program::new(&package, [&sh, "-ec", &workspace.command("bare")]))
        .collect();
    let mut contenders = vec![
        Contender::new("2 threads, the same scripts", || threads(scripts.iter()))
            .prepare(|| workspace.forget("bare", &[])),
        Contender::new("devtask", || devtask.run()).prepare(|| workspace.forget("devtask", &[".devtask"])),
    ];
    if let Some(ninja) = &ninja {
        let forget = || workspace.forget("ninja", &[".ninja_log", ".ninja_deps"]);
        contenders.push(Contender::new("ninja", || ninja.run()).prepare(forget));
    }
    let rows = rounds::interleave(rounds, contenders);
    assert_eq!(workspace.ran("devtask"), workspace.tasks, "every task runs once");
    let title = format!("{} packages of {} files for the first time", workspace.tasks, workspace.files);
    rounds::print(&title, &rows, &["2 threads, the same scripts", "ninja"]);
    workspace.forget("devtask", &[".devtask"]);
    println!("  peak memory: devtask {:.1} MB", peak::of(&devtask));
}

/// Two threads that start all of these between them.
fn threads<'a>(programs: impl Iterator<Item = &'a Program> + Send) {
    let programs = Mutex::new(programs);
    let next = || programs.lock().expect("nobody panics with it").next();
    let work = || {
        while let Some(program) = next() {
            program.run();
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
}
