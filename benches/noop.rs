//! A run with nothing to do, beside `ninja` on the same files (where it is installed) and beside a bare
//! stat of them, interleaved in one run. `cargo bench --bench noop [-- TASKS FILES_PER_TASK]`

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Something that can be done again and again.
type Contender = Box<dyn Fn()>;

const ROUNDS: usize = 30;

fn main() {
    let numbers: Vec<usize> = env::args().filter_map(|a| a.parse().ok()).collect();
    match numbers.as_slice() {
        [tasks, files] => compare(*tasks, *files),
        _ => [(1, 1), (100, 10), (1000, 10)].into_iter().for_each(|(tasks, files)| compare(tasks, files)),
    }
}

/// One workspace, every contender in turn, the median of each.
fn compare(tasks: usize, files: usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let paths = workspace(dir.path(), tasks, files);
    let mut contenders: Vec<(&str, Contender)> = vec![
        ("bare stat", Box::new(move || paths.iter().for_each(|p| drop(fs::metadata(p))))),
        ("process start", command(dir.path(), env!("CARGO_BIN_EXE_devtask"), &["--version"])),
        (
            "devtask run",
            command(dir.path(), env!("CARGO_BIN_EXE_devtask"), &["run", "all", "-q", "--outputs", "none"]),
        ),
    ];
    if Command::new("ninja").arg("--version").stdout(Stdio::null()).status().is_ok() {
        contenders.push(("ninja", command(dir.path(), "ninja", &["--quiet"])));
    }
    // Twice: the first builds, the second settles files whose stamps were too new to be trusted.
    for (_, run) in contenders.iter().chain(&contenders) {
        run();
    }
    std::thread::sleep(Duration::from_secs(3)); // let the stamps age; nothing is measured yet
    contenders.iter().for_each(|(_, run)| run());
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (at, (_, run)) in contenders.iter().enumerate() {
            let start = Instant::now();
            run();
            times[at].push(start.elapsed());
        }
    }
    println!("\n{tasks} tasks, {} files, nothing to do, median of {ROUNDS}:", tasks * files);
    let medians: Vec<Duration> = times.iter_mut().map(|t| median(t)).collect();
    let base = medians.last().copied().unwrap_or_default();
    for ((name, _), time) in contenders.iter().zip(&medians) {
        let ratio = time.as_secs_f64() / base.as_secs_f64();
        println!("  {name:<14} {:>9.3} ms  {ratio:>6.3} × the last row", time.as_secs_f64() * 1000.0);
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn command(dir: &Path, program: &str, args: &[&str]) -> Contender {
    let (dir, program) = (dir.to_owned(), program.to_owned());
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    Box::new(move || {
        let mut command = Command::new(&program);
        command.args(&args).current_dir(&dir).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("it starts").success(), "{program} {args:?} failed");
    })
}

/// `tasks` packages of `files` files, as devtask and as ninja see them; one task gathers them.
fn workspace(dir: &Path, tasks: usize, files: usize) -> Vec<PathBuf> {
    let (mut toml, mut ninja, mut after, mut paths) = (String::new(), String::new(), Vec::new(), Vec::new());
    ninja.push_str("rule join\n  command = cat $in > $out\n");
    for task in 0..tasks {
        let package = dir.join(format!("p{task}/src"));
        fs::create_dir_all(&package).expect("a package");
        let mut inputs = String::new();
        for file in 0..files {
            let path = package.join(format!("f{file}.txt"));
            fs::write(&path, format!("file {file} of package {task}\n")).expect("a file");
            inputs.push_str(&format!(" p{task}/src/f{file}.txt"));
            paths.push(path);
        }
        toml.push_str(&format!(
            "[tasks.\"p{task}:build\"]\nexec = \"cat p{task}/src/*.txt > p{task}/out\"\n\
             execIfModified = [\"p{task}/src/*.txt\"]\n\n",
        ));
        ninja.push_str(&format!("build p{task}/nout: join{inputs}\n"));
        after.push(format!("\"p{task}:build\""));
    }
    toml.push_str(&format!("[tasks.\"all:all\"]\nafter = [{}]\n", after.join(", ")));
    fs::write(dir.join("devtask.toml"), toml).expect("the task file");
    fs::write(dir.join("build.ninja"), ninja).expect("the ninja file");
    paths
}
