//! From the end of a save to the start of the task it concerns, with `devtask watch` and, where both are installed,
//! `inotifywait` with `ninja`; what a watch holds in memory; how often it wakes up while nothing happens; what a
//! `devtask run` beside it takes.
//! `cargo bench --bench watch [-- MOST_FILES | TASKS FILES_PER_TASK]`

mod support;

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use support::{
    DEVTASK,
    args::Args,
    program::find,
    rounds::Row,
    workspace::{Workspace, package, source},
};

const SIZES: [(usize, usize); 6] = [(10, 10), (10, 100), (10, 1000), (1000, 10), (10, 10_000), (1000, 100)];
const EDITS: usize = 50;
/// How long nothing happens while wake-ups are counted.
const IDLE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    if let Some(code) = support::helper() {
        return code;
    }
    let args = Args::read();
    args.sizes(&SIZES).into_iter().for_each(|(tasks, files)| measure(tasks, files, &args));
    ExitCode::SUCCESS
}

/// Where tasks say that they have begun, and that they are done.
struct Bell {
    fifo: File,
    path: PathBuf,
}

impl Bell {
    fn new(path: PathBuf) -> Self {
        drop(fs::remove_file(&path));
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()), "a FIFO");
        // For both directions, so that nobody waits for anybody to open it.
        let fifo = OpenOptions::new().read(true).write(true).open(&path).expect("a FIFO");
        Self { fifo, path }
    }

    fn wait(&mut self) {
        self.fifo.read_exact(&mut [0; 2]).expect("a line");
    }

    fn command(&self, tool: &str) -> String {
        let path = self.path.display();
        format!("echo b > {path}; cat src/*/*.rs > out/{tool}; echo e > {path}")
    }
}

/// Ends when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            // Until it is waited for its number is its own; what it started goes with its group.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::TERM);
        }
        drop(self.0.wait());
    }
}

fn start(line: &[&str], dir: &Path, out: Stdio) -> Running {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).current_dir(dir).process_group(0);
    command.stdin(Stdio::null()).stdout(out).stderr(Stdio::null());
    Running(command.spawn().expect("it starts"))
}

fn measure(tasks: usize, files: usize, args: &Args) {
    let workspace = Workspace::of("bench", tasks, files);
    let edits = if args.smoke { 3 } else { EDITS };
    println!("{tasks} tasks, {} files", workspace.all_files());
    let mut rows = vec![devtask(&workspace, edits, args.smoke)];
    if let (Some(ninja), Some(inotifywait)) = (find("ninja"), find("inotifywait")) {
        rows.push(with_ninja(&workspace, edits, &ninja, &inotifywait));
    }
    for row in &rows {
        let ms = |hundredths| row.percentile(hundredths).as_secs_f64() * 1000.0;
        println!("  {:<24} save to start  p50 {:6.2} ms  p90 {:6.2} ms", row.name, ms(50), ms(90));
    }
}

fn devtask(workspace: &Workspace, edits: usize, smoke: bool) -> Row {
    workspace.forget("devtask", &[".devtask"]);
    let mut bell = Bell::new(workspace.root.with_extension("bell-devtask"));
    let mut text = String::new();
    for task in 0..workspace.tasks {
        let _ = write!(
            text,
            "[tasks.\"{0}:build\"]\ncwd = \"{0}\"\nexec = \"{1}\"\npackage = \"sh\"\nexecIfModified = [\"src/**/*.rs\"]\n\n",
            package(task),
            bell.command("devtask"),
        );
    }
    workspace.write("devtask.toml", &text);
    let events = workspace.root.with_extension("events");
    drop(fs::remove_file(&events));
    let line = [DEVTASK, "watch", "--no-initial", "--quiet", "--events", events.to_str().expect("UTF-8")];
    let begun = Instant::now();
    let watch = start(&line, &workspace.root, Stdio::null());
    wait_for(&events, 1);
    println!("  {:<24} {:.0} ms until it waits", "devtask watch", begun.elapsed().as_secs_f64() * 1000.0);
    let mut waits = 1;
    let row = time(workspace, "devtask watch", edits, &mut bell, || {
        waits += 1;
        wait_for(&events, waits);
    });
    let before = wake_ups(watch.0.id());
    thread::sleep(if smoke { Duration::from_millis(100) } else { IDLE });
    let woken = wake_ups(watch.0.id()) - before;
    println!(
        "  {:<24} {woken} wake-ups while idle, {} MB in memory",
        "devtask watch",
        resident(watch.0.id())
    );
    let name = format!("{}:build", package(0));
    let guest = many(workspace, edits, &["run", "-q", &name]);
    let (guest, start) = (guest.percentile(50), many(workspace, edits, &["--version"]).percentile(50));
    println!(
        "  {:<24} {:.2} ms for one task with nothing to do, as a guest; {:.2} ms of that beyond the start of a process",
        "devtask run",
        guest.as_secs_f64() * 1000.0,
        guest.saturating_sub(start).as_secs_f64() * 1000.0
    );
    row
}

/// Runs the program so often, and once before.
fn many(workspace: &Workspace, times: usize, words: &[&str]) -> Row {
    let once = || {
        let begun = Instant::now();
        let mut command = Command::new(DEVTASK);
        command.args(words).current_dir(&workspace.root).stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.status();
        assert!(status.is_ok_and(|status| status.success()), "devtask {words:?}");
        begun.elapsed()
    };
    once();
    Row { name: words.join(" "), times: (0..times).map(|_| once()).collect() }
}

fn with_ninja(workspace: &Workspace, edits: usize, ninja: &str, inotifywait: &str) -> Row {
    workspace.forget("ninja", &[".ninja_log", ".ninja_deps"]);
    let mut bell = Bell::new(workspace.root.with_extension("bell-ninja"));
    let mut text = format!("rule build\n  command = cd $package && {}\n", bell.command("ninja"));
    for task in 0..workspace.tasks {
        let _ = write!(text, "build {0}/out/ninja: build", package(task));
        for file in 0..workspace.files {
            let _ = write!(text, " {}/{}", package(task), source(file));
        }
        let _ = writeln!(text, "\n  package = {}", package(task));
    }
    workspace.write("build.ninja", &text);
    let first = Command::new(ninja).arg("--quiet").current_dir(&workspace.root).spawn();
    (0..2 * workspace.tasks).for_each(|_| bell.wait());
    drop(first.map(|mut first| first.wait()));
    let ready = workspace.root.with_extension("inotifywait");
    let script = format!(
        "'{inotifywait}' -m -r -e close_write,moved_to --format x pkg_*/src 2> '{}' | while read -r _; do '{ninja}' --quiet; done",
        ready.display(),
    );
    let _loop = start(&["sh", "-c", &script], &workspace.root, Stdio::null());
    while !fs::read_to_string(&ready).unwrap_or_default().contains("Watches established") {
        thread::sleep(Duration::from_millis(5));
    }
    time(workspace, "inotifywait, ninja", edits, &mut bell, || thread::sleep(Duration::from_millis(300)))
}

/// Saves one file after the other, and waits for the task of each.
fn time(workspace: &Workspace, name: &str, edits: usize, bell: &mut Bell, mut rest: impl FnMut()) -> Row {
    let version = std::process::id() as usize % 1000 * 1000;
    let mut times = Vec::new();
    for edit in 0..edits {
        thread::sleep(support::TICK);
        workspace.change(edit * 7 % workspace.tasks, version + edit);
        let saved = Instant::now();
        bell.wait();
        times.push(saved.elapsed());
        bell.wait();
        rest();
    }
    Row { name: name.to_owned(), times }
}

/// Waits until a watch has said so often that it waits.
fn wait_for(events: &Path, times: usize) {
    while fs::read_to_string(events).unwrap_or_default().matches("\"event\":\"waiting\"").count() < times {
        thread::sleep(Duration::from_millis(2));
    }
}

/// How often the threads of a process have gone to sleep so far.
fn wake_ups(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |status: String| {
        status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok())
    };
    tasks.filter_map(|task| of(fs::read_to_string(task.path().join("status")).ok()?)).sum()
}

/// How many MB of memory a process holds.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let held = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    held.unwrap_or(0u64) / 1024
}
