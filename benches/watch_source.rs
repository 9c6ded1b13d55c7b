//! The source of events: how soon a change can be taken, what it costs to watch thousands of directories, and
//! what to lose them.
//! `cargo bench --bench watch_source [-- MOST_DIRECTORIES]`

mod support;

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use devtask::watch::{Backend, Change, Source, SourceOptions, Synced, Watched};
use support::args::Args;
use tempfile::TempDir;

const SIZES: [usize; 4] = [1_000, 10_000, 50_000, 100_000];
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let args = Args::read();
    let rounds = if args.smoke { 10 } else { 2000 };
    println!("ms                                        p50        p90");
    for backend in [Backend::Native, Backend::Debounced] {
        // The debouncer takes 50 ms each time.
        latency(backend, if backend == Backend::Native { rounds } else { rounds.min(100) });
    }
    if args.smoke {
        return directories(20);
    }
    SIZES.into_iter().filter(|size| *size <= args.most).for_each(directories);
}

/// A source, and the moments at which it wakes.
fn source(place: &TempDir, backend: Backend) -> (Source, Receiver<Instant>) {
    let cookies = place.path().join("cookies");
    fs::create_dir_all(&cookies).expect("a new directory");
    let (wake, woken) = mpsc::channel();
    let wake = Mutex::new(wake);
    let options = SourceOptions { backend, ..SourceOptions::new(cookies) };
    let source = Source::new(options, move || {
        let wake = wake.lock().expect("nobody panics");
        wake.send(Instant::now()).unwrap_or_default();
    });
    (source.expect("a source"), woken)
}

fn print(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |hundredths: usize| times[(times.len() - 1) * hundredths / 100].as_secs_f64() * 1e3;
    println!("{name:<36} {:>10.4} {:>10.4}", at(50), at(90));
}

/// From `close` of a written file to the moment its change can be taken; and `sync`.
fn latency(backend: Backend, rounds: usize) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let (source, woken) = source(&place, backend);
    let root = place.path().join("root");
    fs::create_dir(&root).expect("a new directory");
    assert_eq!(source.watch(&root), Watched::Events);
    let path = root.join("f");
    let (mut closed, mut synced) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut file = OpenOptions::new().create(true).append(true).open(&path).expect("a file");
        file.write_all(b"x").expect("room on the disk");
        assert_eq!(source.sync(PATIENCE), Synced::Known);
        source.take();
        while woken.try_recv().is_ok() {}
        let start = Instant::now();
        drop(file);
        let at = woken.recv_timeout(PATIENCE).expect("it wakes");
        assert_eq!(source.take(), [Change::Entry(path.clone())]);
        closed.push(at.saturating_duration_since(start));
        let start = Instant::now();
        assert_eq!(source.sync(PATIENCE), Synced::Known);
        synced.push(start.elapsed());
    }
    print(&format!("{backend:?}: close to wake"), closed);
    print(&format!("{backend:?}: sync"), synced);
}

/// What this process holds, in MB.
fn memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse().ok()).map_or(f64::NAN, |kb: f64| kb / 1e3)
}

fn make(root: &Path, count: usize) -> Vec<PathBuf> {
    let mut all = vec![root.to_owned()];
    for n in 0..count {
        let package = root.join(format!("package-{}", n / 100));
        if n % 100 == 0 {
            fs::create_dir_all(&package).expect("a new directory");
            all.push(package.clone());
        }
        all.push(package.join(format!("directory-{}", n % 100)));
        fs::create_dir(&all[all.len() - 1]).expect("a new directory");
    }
    all
}

fn directories(count: usize) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let root = place.path().join("root");
    let all = make(&root, count);
    let time = |name: &str, run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        println!("  {name:<34} {:>10.1} ms", start.elapsed().as_secs_f64() * 1e3);
    };
    println!("\n{} directories", all.len());
    {
        let (source, _woken) = source(&place, Backend::Native);
        time("watch, one by one", &mut || {
            all.iter().for_each(|path| assert_eq!(source.watch(path), Watched::Events));
        });
    }
    let (source, woken) = source(&place, Backend::Native);
    let before = memory();
    time("watch_all", &mut || {
        assert!(source.watch_all(&all).iter().all(|watched| *watched == Watched::Events));
    });
    let after = memory();
    println!("  {:<34} {:>10.1} MB", "memory", after - before);
    time("watch_all again", &mut || drop(source.watch_all(&all)));
    time("unwatch a tenth, take", &mut || {
        all[all.len() / 10 * 9..].iter().for_each(|path| source.unwatch(path));
        source.take();
    });
    source.watch_all(&all);
    source.take();
    // Somebody takes meanwhile, as a caller would.
    time("rm -r", &mut || {
        std::thread::scope(|scope| {
            let removing = scope.spawn(|| fs::remove_dir_all(&root).expect("it can be removed"));
            while !removing.is_finished() {
                if woken.recv_timeout(Duration::from_millis(5)).is_ok() {
                    source.take();
                }
            }
        });
    });
    time("sync and take", &mut || {
        assert_eq!(source.sync(PATIENCE), Synced::Known);
        source.take();
    });
    time("sync and take again", &mut || {
        let synced = source.sync(PATIENCE);
        println!("    {synced:?}, {} changes", source.take().len());
    });
    let health = source.health();
    println!("    {} watched, {} overflows", health.watched, health.overflows);
}
