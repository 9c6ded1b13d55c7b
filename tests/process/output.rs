//! What is kept and passed on of what a job writes.

use std::fs;

use devtask::{
    event::Stream,
    process::{Keep, Launch, LineSink, LogFollower, LogTarget, Piece, SinkMode},
};
use tokio::sync::mpsc;

use super::support::{launch, names, run, tail, warden};

fn sink(room: usize, mode: SinkMode) -> (Option<LineSink>, mpsc::Receiver<Piece>) {
    let (to, from) = mpsc::channel(room);
    (Some(LineSink { to, mode }), from)
}

#[tokio::test]
async fn bytes_stay_bytes_and_lines_are_counted() {
    let cases: [(&str, &[&[u8]], u64); 5] = [
        ("true", &[], 0),
        ("printf 'a\\nb'", &[b"a", b"b"], 2),
        ("printf 'a\\n\\n'", &[b"a", b""], 2),
        ("printf '\\377\\000\\n'", &[b"\xff\0"], 1),
        ("echo out; echo err >&2", &[b"out", b"err"], 2),
    ];
    for (script, expected, lines) in cases {
        let mut ended = run(script).await;
        ended.tail.sort_by_key(|line| line == b"err"); // two pipes: their order is not certain
        assert_eq!(ended.tail, expected, "{script}");
        assert_eq!((ended.lines, ended.log), (lines, None), "{script}");
    }
}

#[tokio::test]
async fn the_log_has_everything_up_to_its_cap() {
    let dir = tempfile::tempdir().unwrap();
    let all = |from: u32, to: u32| (from..=to).map(|n| format!("{n:07}\n")).collect::<String>();
    let cases = [
        (20_000, 1_000_000, all(1, 20_000)),
        (20_000, 160_000, all(1, 20_000)),
        (20_000, 1_600, format!("{}\n… 158400 bytes left out …\n{}", all(1, 100), all(19_901, 20_000))),
    ];
    for (at, (lines, cap, expected)) in cases.into_iter().enumerate() {
        let path = dir.path().join(format!("{at}.log"));
        let log = Some(LogTarget { path: path.clone(), keep: Keep::HeadAndTail(cap) });
        let job = warden().spawn(Launch { log, ..launch(&format!("seq -f %07.0f {lines}")) }).unwrap();
        let ended = job.finish().await;
        assert_eq!(ended.log, Some(path.clone()));
        assert_eq!(ended.lines, 20_000);
        assert!(fs::read_to_string(path).unwrap() == expected, "cap {cap}");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_written_disturbs_nothing() {
    let mut targets = vec!["/proc/nowhere/log"];
    if cfg!(target_os = "linux") {
        targets.push("/dev/full/log");
    }
    for target in targets {
        for keep in [Keep::HeadAndTail(1000), Keep::Latest { size: 1000, files: 2 }] {
            let log = Some(LogTarget { path: target.into(), keep });
            let ended = warden().spawn(Launch { log, ..launch("seq 100000") }).unwrap().finish().await;
            assert!(ended.exit.is_success() && ended.log.is_none() && ended.log_fault.is_some(), "{ended:?}");
            assert_eq!(ended.lines, 100_000);
        }
    }
}

#[tokio::test]
async fn the_log_of_a_process_goes_on_from_start_to_start_and_is_rotated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let keep = Keep::Latest { size: 3000, files: 4 };
    let mut follower = LogFollower::from_start(&path);
    let mut read = Vec::new();
    for (from, to) in [(1, 500), (501, 1000), (1001, 1875)] {
        let log = Some(LogTarget { path: path.clone(), keep });
        let job = warden().spawn(Launch { log, ..launch(&format!("seq -f %07.0f {from} {to}")) }).unwrap();
        let ended = job.finish().await;
        assert_eq!((ended.log, ended.log_fault.is_none()), (Some(path.clone()), true));
        while let Some(more) = follower.more().ok().filter(|more| !more.is_empty()) {
            read.extend(more);
        }
    }
    let all = |from: u32, to: u32| (from..=to).map(|n| format!("{n:07}\n")).collect::<String>();
    assert!(String::from_utf8(read).unwrap() == all(1, 1875));
    assert_eq!(names(dir.path()).len(), 4);
    let files =
        ["log.3", "log.2", "log.1", "log"].map(|name| fs::read_to_string(dir.path().join(name)).unwrap());
    assert!(files.iter().all(|file| file.len() == 3000), "each is full, the newest too");
    assert_eq!(files.concat(), all(376, 1875));
}

#[tokio::test]
async fn a_lossless_reader_gets_every_line_however_slow_it_is() {
    let (lines, mut from) = sink(1, SinkMode::Lossless);
    let job = warden().spawn(Launch { lines, ..launch("seq 3000; printf end; echo error >&2") }).unwrap();
    let read = async {
        let mut seen = Vec::new();
        while let Some(Piece::Line { stream, bytes }) = from.recv().await {
            if stream == Stream::Stdout {
                seen.push(String::from_utf8(bytes).unwrap());
            }
            tokio::task::yield_now().await;
        }
        seen
    };
    let (ended, seen) = tokio::join!(job.finish(), read);
    let expected = (1..=3000).map(|n| n.to_string()).chain(["end".to_owned()]);
    assert_eq!(seen, expected.collect::<Vec<_>>());
    assert_eq!((ended.lines, ended.leaky), (3002, false));
}

#[tokio::test]
async fn a_lossless_reader_may_come_long_after_the_end() {
    let (lines, mut from) = sink(1, SinkMode::Lossless);
    let job = warden().spawn(Launch { lines, ..launch("seq 100000") }).unwrap();
    let finish = tokio::spawn(job.finish());
    // Longer than any grace the pipes get.
    tokio::time::sleep(std::time::Duration::from_millis(2600)).await;
    let mut seen = 0;
    while from.recv().await.is_some() {
        seen += 1;
    }
    assert_eq!(seen, 100_000);
    let ended = finish.await.unwrap();
    assert!(ended.exit.is_success() && ended.lines == 100_000, "{:?}", ended.exit);
}

#[tokio::test]
async fn a_reader_that_never_reads_does_not_keep_a_job_from_being_killed() {
    let (lines, _from) = sink(1, SinkMode::Lossless);
    let job = warden().spawn(Launch { lines, ..launch("yes") }).unwrap();
    let control = job.control();
    control.kill();
    control.kill();
    let finish = tokio::spawn(job.finish());
    while !finish.is_finished() {
        control.kill();
        tokio::task::yield_now().await;
    }
    assert_eq!(finish.await.unwrap().exit.signal, Some(9));
}

#[tokio::test]
async fn a_lossy_reader_never_holds_a_job_and_learns_what_it_missed() {
    let (lines, mut from) = sink(10, SinkMode::Lossy);
    let job = warden().spawn(Launch { lines, ..launch("seq 100000") }).unwrap();
    let ended = job.finish().await;
    assert_eq!(ended.lines, 100_000);
    assert_eq!(tail(&ended).last().map(String::as_str), Some("100000"));
    let mut seen = 0;
    while let Some(Piece::Line { .. }) = from.recv().await {
        seen += 1;
    }
    assert_eq!(seen, 10);
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_obstacle() {
    for mode in [SinkMode::Lossless, SinkMode::Lossy] {
        let (lines, from) = sink(1, mode);
        drop(from);
        let ended = warden().spawn(Launch { lines, ..launch("seq 100000") }).unwrap().finish().await;
        assert_eq!(ended.lines, 100_000);
    }
}
