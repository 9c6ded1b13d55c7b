//! Tasks that write far more than anybody can read: how fast it is taken, and that memory and logs stay
//! within their bounds and exit codes right. What is out of bounds makes the bench fail. The floor is the
//! same script with somebody at the other end of the pipe who reads and throws away.
//! `cargo bench --bench flood`

mod support;

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    thread,
    time::Instant,
};

use support::{
    args::Args,
    peak,
    program::{Program, find},
};

/// What the log of a task may have at most (spec section 3), with the line that says what is left out.
const LOG: u64 = (64 << 20) + 256;

/// What devtask may hold, in MB.
const MEMORY: f64 = 200.0;

/// Tasks that write at once.
const MANY: usize = 20;

fn main() -> ExitCode {
    if let Some(code) = support::helper() {
        return code;
    }
    let args = Args::read();
    let (bytes, line, lines) =
        if args.smoke { (80 << 20, 70 << 20, 1000) } else { (5_u64 << 30, 1 << 30, 500_000) };
    let plain = "yes 'a line of some output, as tasks write it by the million' | head -c";
    let floods = [
        Flood {
            name: format!("{} MiB of lines from one task", bytes >> 20),
            exec: format!("echo first; {plain} {bytes}; echo; echo last; exit 7"),
            tasks: 1,
            code: 7,
            bytes,
            flags: &[],
        },
        Flood {
            name: format!("one line of {} MiB", line >> 20),
            exec: format!("echo first; head -c {line} /dev/zero | tr '\\\\0' x; echo; echo last; exit 7"),
            tasks: 1,
            code: 7,
            bytes: line,
            flags: &[],
        },
        Flood {
            name: format!("{lines} lines from each of {MANY} tasks at once, all shown"),
            exec: format!("echo first; yes 'a line of output' | head -n {lines}; echo last"),
            tasks: MANY,
            code: 0,
            bytes: lines * MANY as u64 * 17,
            flags: &["--show-output"],
        },
    ];
    let violated = floods.iter().filter(|flood| !flood.measure()).count();
    if violated == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Some tasks that write a lot.
struct Flood {
    name: String,
    exec: String,
    tasks: usize,
    /// What devtask has to exit with.
    code: i32,
    /// How much they write together.
    bytes: u64,
    flags: &'static [&'static str],
}

impl Flood {
    /// How long the scripts take if somebody only reads what they write, in seconds.
    fn bare(&self, dir: &Path) -> f64 {
        let script = self.exec.replace(r"\\", r"\");
        let script = script.as_str();
        let read_away = || {
            let mut command =
                Program::new(dir, [find("sh").unwrap_or_default().as_str(), "-c", script]).command();
            let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
            let mut output = child.stdout.take().expect("it is piped");
            let mut buffer = vec![0; 64 << 10];
            while output.read(&mut buffer).expect("it can be read") > 0 {}
            child.wait().expect("it ends");
        };
        let start = Instant::now();
        thread::scope(|scope| (0..self.tasks).for_each(|_| drop(scope.spawn(read_away))));
        start.elapsed().as_secs_f64()
    }

    fn measure(&self) -> bool {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-flood");
        drop(fs::remove_dir_all(&dir));
        fs::create_dir_all(&dir).expect("a directory");
        let mut toml = String::new();
        for task in 0..self.tasks {
            let _ = write!(toml, "[tasks.\"flood:t{task}\"]\npackage = \"sh\"\nexec = \"{}\"\n\n", self.exec);
        }
        fs::write(dir.join("devtask.toml"), toml).expect("the task file");
        let jobs = self.tasks.to_string();
        let line = [support::DEVTASK, "run", "--outputs", "none", "--exit-code", "task", "--jobs", &jobs];
        let program = Program::new(&dir, line.into_iter().chain(self.flags.iter().copied()));
        let bare = self.bare(&dir);
        let start = Instant::now();
        let (peak, code) = peak::and_code(&program);
        let seconds = start.elapsed().as_secs_f64();
        println!("\n{}", self.name);
        let rate = |seconds: f64| self.bytes as f64 / 1e6 / seconds;
        println!("  {:<12} {bare:>7.2} s {:>7.0} MB/s", "read away", rate(bare));
        println!(
            "  {:<12} {seconds:>7.2} s {:>7.0} MB/s, peak memory {peak:.1} MB",
            "devtask",
            rate(seconds)
        );
        let logs = logs(&dir);
        let longest = logs.iter().map(|log| log.metadata().map_or(0, |m| m.len())).max().unwrap_or(0);
        println!("  exit code {code}, longest log {longest} bytes");
        let checks = [
            (code == self.code, "the exit code is the task's"),
            (peak < MEMORY, "memory stays within bounds"),
            (logs.len() == self.tasks, "each task has a log"),
            (longest <= LOG, "logs stay within bounds"),
            (logs.iter().all(|log| whole(log)), "each log has the first line and the last"),
        ];
        for (_, what) in checks.iter().filter(|(holds, _)| !holds) {
            println!("  VIOLATED: {what}");
        }
        drop(fs::remove_dir_all(&dir));
        checks.iter().all(|(holds, _)| *holds)
    }
}

/// The logs of the tasks.
fn logs(dir: &Path) -> Vec<PathBuf> {
    let runs = fs::read_dir(dir.join(".devtask/log")).expect("there are logs").flatten();
    let files = runs.flat_map(|run| fs::read_dir(run.path()).expect("a directory").flatten());
    files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "log")).collect()
}

/// Whether it begins and ends with what the task wrote first and last.
fn whole(log: &Path) -> bool {
    let mut file = fs::File::open(log).expect("it can be read");
    let (mut first, mut last) = ([0; 6], [0; 5]);
    let mut read = || -> std::io::Result<()> {
        file.read_exact(&mut first)?;
        file.seek(SeekFrom::End(-5))?;
        file.read_exact(&mut last)
    };
    read().is_ok() && first == *b"first\n" && last == *b"last\n"
}
