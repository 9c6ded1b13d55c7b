//! What concerns a whole process, or needs one of another kind: each of these tests starts this very program
//! anew, for the test of the same name in `inside`.

use std::{
    fmt::Write,
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Output},
};

/// The child has to have run its test, or to say why not.
fn passes(output: &Output) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn this(test: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let test = format!("apart::inside::{test}");
    [&program, &test, "--exact", "--ignored", "--nocapture", "--test-threads=1"].map(str::to_owned).into()
}

fn run(line: &[String]) -> Output {
    Command::new(&line[0]).args(&line[1..]).output().unwrap()
}

#[test]
fn an_idle_source_never_wakes() {
    passes(&run(&this("an_idle_source_never_wakes")));
}

#[test]
fn its_threads_end_with_it() {
    passes(&run(&this("its_threads_end_with_it")));
}

/// In namespaces of its own, where anybody may lower limits and mount, once this has been done.
fn in_namespaces(first: &str, test: &str) {
    let script = format!("{first} && exec \"$@\"");
    let wrap = |line: &[String]| {
        let shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"];
        Command::new(shell[0]).args(&shell[1..]).args(line).output()
    };
    match wrap(&["true".to_owned()]) {
        Ok(output) if output.status.success() => passes(&wrap(&this(test)).unwrap()),
        other => eprintln!("skipped: no namespaces of one's own: {other:?}"),
    }
}

#[test]
fn no_watch_stays_in_the_kernel_for_nothing() {
    passes(&run(&this("no_watch_stays_in_the_kernel_for_nothing")));
}

#[test]
fn the_limit_of_the_system_is_met() {
    in_namespaces("echo 4 > /proc/sys/user/max_inotify_watches", "the_limit_of_the_system_is_met");
}

#[test]
fn without_an_instance_everything_is_polled() {
    let none = "echo 0 > /proc/sys/user/max_inotify_instances";
    in_namespaces(none, "without_an_instance_everything_is_polled");
}

#[test]
fn an_unmounted_directory_is_lost() {
    let can_mount = "mount -t tmpfs none /mnt && umount /mnt";
    in_namespaces(can_mount, "an_unmounted_directory_is_lost");
}

#[test]
fn an_unreadable_directory_is_polled() {
    let line = this("an_unreadable_directory_is_polled");
    if !rustix::process::geteuid().is_root() {
        return passes(&run(&line));
    }
    // Root may read everything; a copy of this program where others can reach it.
    let directory = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir()
        .unwrap();
    let copy = directory.path().join("test");
    fs::copy(&line[0], &copy).unwrap();
    passes(&Command::new(copy).args(&line[1..]).uid(65534).gid(65534).current_dir("/").output().unwrap());
}

/// What the threads of this process are doing that belong to the source: name, system call, and how often
/// each has gone to sleep or been put to it.
fn threads() -> String {
    let mut text = String::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        // One that has just ended cannot be read.
        let read = |name: &str| fs::read_to_string(task.join(name)).unwrap_or_default();
        let name = read("comm");
        if name.starts_with("notify") || name.starts_with("devtask") {
            let status = read("status");
            let switches = status.lines().filter(|line| line.contains("ctxt_switches"));
            let switches: Vec<&str> = switches.collect();
            writeln!(text, "{} {} {switches:?}", name.trim(), read("syscall").trim()).unwrap();
        }
    }
    text
}

/// Whether all of them sleep in `poll` or `ppoll` and will not wake by themselves: the time is -1 or none.
fn sleep_for_ever(threads: &str) -> bool {
    let has_no_end = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.iter().position(|word| word.starts_with("0x")).is_some_and(|first| {
            words.get(first + 2).is_some_and(|time| *time == "0x0" || time.ends_with("ffffffff"))
        })
    };
    threads.lines().all(has_no_end)
}

mod inside {
    use std::{
        fs::{self, File},
        os::unix::fs::PermissionsExt,
        sync::{Mutex, mpsc},
    };

    use devtask::watch::{Backend, Change, Watched, Why};

    use super::{
        super::{
            storms::many,
            support::{Bench, PATIENCE},
        },
        Command, Path, sleep_for_ever, threads,
    };

    #[test]
    #[ignore = "run by the test of the same name"]
    fn an_idle_source_never_wakes() {
        let (wake, woken) = mpsc::channel();
        let wake = Mutex::new(wake);
        let bench = Bench::waking(|_| (), move || wake.lock().unwrap().send(()).unwrap_or_default());
        for n in 0..10 {
            bench.dir(&format!("{n}"));
            bench.file(&format!("{n}/f"));
            bench.watch(&format!("{n}"));
        }
        bench.watch(".");
        bench.take();
        while woken.try_recv().is_ok() {}
        // The last event of all: one, and no cookie after it.
        bench.dir("last");
        woken.recv_timeout(PATIENCE).unwrap();
        assert_eq!(bench.source.take(), [Change::Entry(bench.path("last"))]);
        while !sleep_for_ever(&threads()) {
            std::thread::yield_now();
        }
        let before = threads();
        assert_eq!(before.lines().count(), 1, "one thread, no timer: {before}");
        for n in 0..1000 {
            fs::read(bench.path(&format!("{}/f", n % 10))).unwrap();
            fs::read_dir(bench.path(&format!("{}", n % 10))).unwrap().count();
            fs::write(bench.outside.join("f"), "").unwrap();
        }
        assert_eq!(threads(), before);
        assert_eq!(bench.source.take(), []);
    }

    #[test]
    #[ignore = "run by the test of the same name"]
    fn its_threads_end_with_it() {
        for backend in [Backend::Native, Backend::Debounced, Backend::Polling(PATIENCE)] {
            let bench = Bench::with(|options| options.backend = backend);
            assert_ne!(bench.source.watch(&bench.root), Watched::Missing);
            while threads().is_empty() {
                std::thread::yield_now(); // it has no name until it runs
            }
            drop(bench);
            while !threads().is_empty() {
                std::thread::yield_now();
            }
        }
        // Nor does the timer outlive what it is for.
        let bench = Bench::with(|options| options.backend = Backend::Polling(PATIENCE));
        bench.source.watch(&bench.root);
        bench.source.unwatch(&bench.root);
        while !threads().is_empty() {
            std::thread::yield_now();
        }
    }

    /// How many watches this process has, as the kernel counts them.
    fn watches() -> usize {
        let all = fs::read_dir("/proc/self/fdinfo").unwrap();
        let texts = all.filter_map(|info| fs::read_to_string(info.ok()?.path()).ok());
        texts.map(|text| text.lines().filter(|line| line.starts_with("inotify ")).count()).sum()
    }

    #[test]
    #[ignore = "run by the test of the same name"]
    fn no_watch_stays_in_the_kernel_for_nothing() {
        let (bench, all) = many();
        assert_eq!(watches(), all.len() + 1, "the root as well");
        bench.source.unwatch(&all[all.len() - 1]);
        assert_eq!(watches(), all.len());
        fs::rename(bench.path("t/0"), bench.outside.join("0")).unwrap();
        bench.take();
        assert_eq!(watches(), all.len() - 101);
        fs::rename(bench.path("t"), bench.outside.join("t")).unwrap();
        bench.take();
        assert_eq!(watches(), 1);
    }

    #[test]
    #[ignore = "run by the test of the same name"]
    fn the_limit_of_the_system_is_met() {
        let bench = Bench::with(|options| options.poll_interval = PATIENCE);
        let names = ["a", "b", "c", "d", "e"];
        names.iter().for_each(|name| bench.dir(name));
        let watched = bench.source.watch_all(&names.map(|name| bench.path(name)));
        let expected = [Watched::Events; 4].into_iter().chain([Watched::Polled]);
        assert_eq!(watched, expected.collect::<Vec<_>>(), "the one of the self-test is given up");
        let health = bench.source.health();
        assert_eq!((health.watched, health.polled[0].directories), (4, 1));
        assert!(matches!(health.polled[0].why, Why::WatchLimit(_)), "{health:?}");
        assert_eq!(health.polled[0].example, bench.path("e"));
        // What is given up can be had by another.
        bench.source.unwatch(&bench.path("a"));
        assert_eq!(bench.source.watch(&bench.path("e")), Watched::Events);
        fs::rename(bench.path("b"), bench.path("moved")).unwrap();
        fs::remove_dir(bench.path("c")).unwrap();
        bench.watch("moved a");
    }

    #[test]
    #[ignore = "run by the test of the same name"]
    fn without_an_instance_everything_is_polled() {
        let bench = Bench::new();
        assert_eq!(bench.source.watch(&bench.root), Watched::Polled);
        let why = bench.source.health().polled[0].why.to_string();
        assert!(why.contains("sudo sysctl fs.inotify.max_user_instances="), "{why}");
    }

    #[test]
    #[ignore = "run by the test of the same name"]
    fn an_unmounted_directory_is_lost() {
        let bench = Bench::new();
        bench.dir("m");
        let call = |program: &str, args: &[&str]| {
            let status = Command::new(program).args(args).arg(bench.path("m")).status().unwrap();
            assert!(status.success(), "{program}");
        };
        call("mount", &["-t", "tmpfs", "none"]);
        bench.dir("m/d");
        bench.watch(". m m/d");
        bench.take();
        call("umount", &[]);
        let told = bench.told();
        assert!(told.contains("-m -m/d"), "{told}");
        assert_eq!(bench.source.watch(&bench.path("m/d")), Watched::Missing);
        bench.watch("m");
        bench.file("m/f");
        assert_eq!(bench.told(), "m/f");
    }

    #[test]
    #[ignore = "run by the test of the same name"]
    fn an_unreadable_directory_is_polled() {
        let bench = Bench::with(|options| options.poll_interval = PATIENCE);
        bench.dir("a/b");
        bench.watch(".");
        let mode = |mode| fs::set_permissions(bench.path("a"), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o000);
        assert!(File::open(bench.path("a")).is_err());
        assert_eq!(bench.source.watch(&bench.path("a")), Watched::Polled);
        assert_eq!(bench.source.watch(&bench.path("a/b")), Watched::Polled, "it may well be there");
        for polled in bench.source.health().polled {
            assert!(polled.why.to_string().contains("Permission denied"), "{}", polled.why);
        }
        mode(0o700);
        assert_eq!(bench.source.watch(&bench.path("a")), Watched::Events);
        assert_eq!(bench.source.watch(Path::new(&bench.path("a/b"))), Watched::Events);
        bench.take();
        bench.file("a/b/f");
        assert_eq!(bench.told(), "a/b/f");
    }
}
