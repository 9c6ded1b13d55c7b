//! What the source does where events end: limits, overflows, directories without events.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

use devtask::watch::{Backend, Change, Source, SourceError, SourceOptions, Synced, Watched, Why};

use super::support::{Bench, PATIENCE};

const AT_ONCE: Duration = Duration::from_millis(1);

/// A bench, and what is received whenever it wakes.
fn waking(change: impl FnOnce(&mut SourceOptions)) -> (Bench, Receiver<()>) {
    let (wake, woken) = mpsc::channel();
    let wake = Mutex::new(wake);
    let bench = Bench::waking(change, move || {
        let _ = wake.lock().unwrap().send(());
    });
    while woken.try_recv().is_ok() {}
    (bench, woken)
}

fn next(bench: &Bench, woken: &Receiver<()>) -> String {
    woken.recv_timeout(PATIENCE).expect("it wakes");
    bench.text(&bench.source.take())
}

#[test]
fn beyond_the_limit_directories_are_polled() {
    let (bench, woken) = waking(|options| {
        options.most_watches = Some(2);
        options.poll_interval = AT_ONCE;
    });
    ["a", "b", "c"].iter().for_each(|name| bench.dir(name));
    let all = [".", "a", "b", "c"].map(|name| bench.path(name));
    let watched = bench.source.watch_all(&all);
    assert_eq!(watched, [Watched::Events, Watched::Events, Watched::Polled, Watched::Polled]);
    assert_eq!(next(&bench, &woken), "b/ c/");
    assert_eq!(next(&bench, &woken), "b/ c/");
    assert_eq!(bench.source.sync(PATIENCE), Synced::Polled);

    let health = bench.source.health();
    assert_eq!((health.watched, health.polled.len()), (2, 1));
    let polled = &health.polled[0];
    assert_eq!((polled.directories, &polled.example), (2, &bench.path("b")));
    let Why::WatchLimit(limit) = polled.why else { panic!("{:?}", polled.why) };
    let now: u64 =
        fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap().trim().parse().unwrap();
    assert_eq!((limit.now, limit.needed), (Some(now), 5), "four and our own");
    assert!(limit.raise_to >= now + 2, "{limit:?}");
    let command = format!("sudo sysctl fs.inotify.max_user_watches={}", limit.raise_to);
    assert!(polled.why.to_string().ends_with(&command), "{}", polled.why);

    // Where there is room again, asking again helps.
    bench.source.unwatch(&bench.path("a"));
    bench.source.unwatch(&bench.path("c"));
    assert_eq!(bench.source.watch(&bench.path("b")), Watched::Events);
    assert!(bench.source.health().polled.is_empty());
    bench.take();
    bench.file("b/f");
    assert_eq!(bench.told(), "b/f");
}

#[test]
fn a_polled_directory_is_lost_like_any_other() {
    let bench = Bench::with(|options| {
        options.most_watches = Some(1);
        options.poll_interval = PATIENCE;
    });
    bench.dir("a");
    bench.watch(".");
    assert_eq!(bench.source.watch(&bench.path("a")), Watched::Polled);
    fs::remove_dir(bench.path("a")).unwrap();
    // Polled no more, so that this can be known again.
    assert_eq!(bench.told(), "a -a");
}

#[test]
fn whoever_asks_is_told_of_all_polled_directories() {
    for backend in [Backend::Native, Backend::Debounced, Backend::Polling(PATIENCE)] {
        let bench = Bench::with(|options| {
            options.backend = backend;
            options.most_watches = Some(1);
            options.poll_interval = PATIENCE;
        });
        bench.dir("a");
        let is_polling = matches!(backend, Backend::Polling(_));
        bench.source.watch_all(&[".", "a"].map(|name| bench.path(name)));
        bench.source.take();
        for name in ["f", "g"] {
            bench.file(name);
            assert_eq!(bench.source.sync(PATIENCE), Synced::Polled);
            let expected = if is_polling { "./ a/".to_owned() } else { format!("{name} a/") };
            assert_eq!(bench.text(&bench.source.take()), expected, "{backend:?}");
        }
        bench.source.unwatch(&bench.path("a"));
        bench.source.unwatch(&bench.path("."));
        assert_eq!(bench.source.sync(PATIENCE), Synced::Known);
        bench.source.take();
    }
}

#[test]
fn what_nobody_tells_is_unknown() {
    let bench = Bench::debounced();
    bench.watch(".");
    fs::remove_dir(bench.root.parent().unwrap().join("cookies")).unwrap();
    assert_eq!(bench.source.sync(PATIENCE), Synced::Unknown);
}

#[test]
fn polling_reports_each_interval_what_nobody_has_heard() {
    let (bench, woken) = waking(|options| options.backend = Backend::Polling(AT_ONCE));
    bench.dir("a");
    assert_eq!(bench.source.watch(&bench.path("a")), Watched::Polled);
    for _ in 0..10 {
        assert_eq!(next(&bench, &woken), "a/");
    }
    assert_eq!(bench.source.health().polled[0].why, Why::Asked);
    assert_eq!(bench.source.watch(&bench.path("no")), Watched::Missing);
    bench.source.unwatch(&bench.path("a"));
    bench.source.take();
    bench.dir("b");
    assert_eq!(bench.source.watch(&bench.path("b")), Watched::Polled);
    while woken.try_recv().is_ok() {}
    while next(&bench, &woken) != "b/" {}
}

#[test]
fn without_a_first_event_everything_is_polled() {
    // Nobody can make a file there.
    let options = SourceOptions { backend: Backend::Native, ..SourceOptions::new("/proc/self") };
    let source = Source::new(options, || ()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(source.watch(directory.path()), Watched::Polled);
    assert_eq!(source.health().polled[0].why, Why::NoEvents);
    assert_eq!(source.take(), []);
}

#[test]
fn file_systems_without_events_are_polled() {
    let bench = Bench::new();
    bench.watch(".");
    assert_eq!(bench.source.watch(Path::new("/proc/self")), Watched::Polled);
    assert_eq!(bench.source.health().polled[0].why, Why::FileSystem("proc"));
}

#[test]
fn without_a_directory_for_cookies_there_is_no_source() {
    let error = Source::new(SourceOptions::new("/no such directory"), || ()).unwrap_err();
    let SourceError::CookieDir { path, .. } = &error else { panic!("{error:?}") };
    assert_eq!(path, Path::new("/no such directory"));
}

#[test]
fn it_wakes_once_for_each_take() {
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wakes);
    let bench = Bench::waking(
        |_| (),
        move || {
            counted.fetch_add(1, Ordering::SeqCst);
        },
    );
    bench.watch(".");
    bench.take();
    for round in 0..10 {
        let before = wakes.load(Ordering::SeqCst);
        (0..10).for_each(|n| bench.file(&format!("{n}")));
        assert_eq!(bench.source.sync(PATIENCE), Synced::Known);
        assert_eq!(wakes.load(Ordering::SeqCst), before + 1, "round {round}");
        assert_eq!(bench.source.take().len(), 10);
    }
}

/// What blocks the thread that reads events, until it is let go.
fn blocking() -> (impl Fn() + Send + Sync, Receiver<()>, Sender<()>) {
    let (asleep, is_asleep) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let both = Mutex::new((asleep, may_go));
    let wake = move || {
        let (asleep, may_go) = &*both.lock().unwrap();
        let _ = asleep.send(());
        let _ = may_go.recv();
    };
    (wake, is_asleep, go)
}

#[test]
fn after_an_overflow_everything_is_told_and_watched_anew() {
    let queue: usize =
        fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    if queue > 200_000 {
        eprintln!("skipped: a queue of {queue} events takes too long to fill");
        return;
    }
    let (wake, is_asleep, go) = blocking();
    // What wakes at the start must not block.
    let armed = Arc::new(AtomicUsize::new(0));
    let is_armed = Arc::clone(&armed);
    let bench = Bench::waking(
        |_| (),
        move || {
            if is_armed.swap(0, Ordering::SeqCst) == 1 {
                wake();
            }
        },
    );
    bench.dir("kept");
    bench.dir("again");
    bench.watch(". kept again");
    bench.take();

    armed.store(1, Ordering::SeqCst);
    bench.file("f");
    is_asleep.recv_timeout(PATIENCE).expect("it wakes");
    for _ in 0..queue / 4 + 1 {
        bench.rename("f", "g");
        bench.rename("g", "f");
    }
    // None of this is told by an event, and the inode may well be the same.
    fs::remove_dir(bench.path("again")).unwrap();
    bench.dir("again");
    bench.dir("new");
    go.send(()).unwrap();

    assert_eq!(bench.told(), "*");
    assert_eq!(bench.source.health().overflows, 1);
    assert_eq!(bench.source.health().watched, 3);
    bench.watch("new");
    bench.take();
    ["f", "kept/f", "again/f", "new/f"].iter().for_each(|name| bench.file(name));
    assert_eq!(bench.told(), "again/f f kept/f new/f");
}

/// Directories `d/…` that are watched, `d` and the root as well.
fn many(bench: &Bench, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|n| format!("d/{n}")).collect();
    names.iter().for_each(|name| bench.dir(name));
    bench.watch(". d");
    bench.watch(&names.join(" "));
    bench.take();
    names
}

#[test]
fn many_deleted_at_once_are_everything_with_a_debouncer() {
    let bench = Bench::debounced();
    let names = many(&bench, 100);
    fs::remove_dir_all(bench.path("d")).unwrap();
    assert_eq!(bench.told(), "*");
    assert_eq!(bench.source.health().watched, 1);
    names.iter().for_each(|name| bench.dir(name));
    bench.take();
    bench.watch("d");
    bench.watch(&names.join(" "));
    bench.take();
    names.iter().for_each(|name| bench.file(&format!("{name}/f")));
    assert_eq!(bench.take().len(), 100);
}

#[test]
fn many_unwatched_at_once_are_everything_with_a_debouncer() {
    let bench = Bench::debounced();
    let names = many(&bench, 100);
    names[1..].iter().for_each(|name| bench.source.unwatch(&bench.path(name)));
    assert_eq!(bench.told(), "*");
    assert_eq!(bench.source.health().watched, 3);
    names.iter().for_each(|name| bench.file(&format!("{name}/f")));
    assert_eq!(bench.take(), [Change::Entry(bench.path("d/0/f"))]);
}
