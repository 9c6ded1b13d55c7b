//! Every shape of process tree, ended in every way: nothing may survive (hazards C5, C6, C12).
//!
//! The one who runs the trees is a process of its own, this test binary executed again, since it
//! adopts orphans and may be killed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use devtask::process::{EndedBy, Keep, LineSink, LogTarget, SinkMode, Warden, WardenOptions};

use super::support::{launch, names, running, sleepers, token, until, until_async, until_or};

/// `T` is the token, `HOLD` waits until the test lets go; the number is that of sleepers.
const SHAPES: [(&str, &str, usize); 11] = [
    ("plain child", "sleep T & HOLD", 1),
    ("child ignores TERM, leader does not", "(trap '' TERM; exec sleep T) & HOLD", 1),
    ("own group", "set -m; sleep T & HOLD", 1),
    ("setsid daemon", "setsid sleep T & HOLD", 1),
    ("double fork and setsid", "(setsid sleep T &); HOLD", 1),
    ("leader gone", "sleep T & exit 0", 1),
    ("leader gone, quietly", "sleep T >/dev/null 2>&1 & exit 0", 1),
    ("daemon, leader gone", "setsid sleep T >/dev/null 2>&1 & exit 0", 1),
    ("daemon without environment", "env -i setsid sleep T & HOLD", 1),
    ("all ignore TERM", "trap '' TERM HUP; setsid bash -c 'sleep T & sleep T & wait' & sleep T & HOLD", 3),
    ("tree of sessions", "setsid bash -c 'setsid sleep T & set -m; sleep T & (sleep T &); wait' & HOLD", 3),
];

/// Beyond reach of the guardian, which is nobody's parent: neither marker nor descent is left.
const NAMELESS_ORPHAN: (&str, &str, usize) = ("nameless orphan", "(env -i setsid sleep T &); HOLD", 1);

/// What the runner does once everything runs.
const WAYS: [&str; 5] = ["normal", "terminate", "kill", "end everything", "end everything, no adoption"];

struct Scene {
    dir: tempfile::TempDir,
    token: String,
    sleepers: usize,
}

impl Scene {
    fn sessions(&self) -> PathBuf {
        self.dir.path().join("sessions")
    }

    /// Another process of this very test binary, in the role of a runner.
    fn runner((_, script, sleepers): (&str, &str, usize), way: &str) -> (Self, Child) {
        let scene = Self { dir: tempfile::tempdir().unwrap(), token: token(), sleepers };
        let go = scene.dir.path().join("go");
        let hold = format!("until [ -e {} ]; do sleep 0.01; done; exit 0", go.display());
        let script = script.replace('T', &scene.token).replace("HOLD", &hold);
        let script = script.replace(&format!("{}ERM", scene.token), "TERM");
        let exe = env::current_exe().unwrap();
        let mut child = Command::new("env");
        child.args(way.contains("deaf").then_some("--block-signal=CHLD")).arg(exe);
        let child = child
            .args(["shapes::in_the_role_of_a_runner", "--exact", "--nocapture", "--test-threads=1"])
            .env("RUNNER_DIR", scene.dir.path())
            .env("RUNNER_SCRIPT", script)
            .env("RUNNER_TOKEN", &scene.token)
            .env("RUNNER_SLEEPERS", sleepers.to_string())
            .env("RUNNER_WAY", way)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        (scene, child)
    }

    fn guardians(&self) -> Vec<String> {
        running(self.dir.path().to_str().unwrap()).into_iter().filter(|l| l.contains("__guardian")).collect()
    }

    fn wait_for_sleepers(&self) {
        until("the sleepers", || sleepers(&self.token) == self.sleepers);
    }
}

#[test]
fn nothing_survives_an_orderly_end() {
    for way in WAYS {
        for shape in SHAPES.iter().chain([&NAMELESS_ORPHAN]) {
            if way.contains("no adoption") && *shape == NAMELESS_ORPHAN {
                continue; // there is no trace of it
            }
            let (scene, mut runner) = Scene::runner(*shape, way);
            assert!(runner.wait().unwrap().success(), "{} / {way}", shape.0);
            assert_eq!(running(&scene.token), [""; 0], "{} / {way}", shape.0);
            assert_eq!(scene.guardians(), [""; 0], "{} / {way}", shape.0);
            assert!(names(&scene.sessions()).is_empty(), "{} / {way}", shape.0);
        }
    }
}

#[test]
fn nothing_survives_a_runner_that_dies_silently() {
    for way in ["hang", "hang, no adoption", "leave"] {
        for shape in SHAPES {
            let (scene, mut runner) = Scene::runner(shape, way);
            if way != "leave" {
                scene.wait_for_sleepers();
                runner.kill().unwrap();
            }
            runner.wait().unwrap();
            let left = || (running(&scene.token), scene.guardians());
            let what = || format!("the end of {} / {way}, of {:?}", shape.0, left());
            until_or(what, || running(&scene.token).is_empty());
            until("the guardian's end", || scene.guardians().is_empty());
            assert!(names(&scene.sessions()).is_empty(), "{} / {way}", shape.0);
        }
    }
}

#[tokio::test]
async fn the_next_session_ends_what_a_dead_one_left() {
    for shape in SHAPES.into_iter().filter(|shape| !shape.0.contains("without environment")) {
        let (scene, mut runner) = Scene::runner(shape, "hang, no guardian");
        scene.wait_for_sleepers();
        let sessions_dir = Some(scene.sessions());
        let next = Warden::new(WardenOptions { sessions_dir, ..WardenOptions::default() }).unwrap();
        assert_eq!(next.end_predecessors().await.unwrap(), 0, "a session that lives is none");
        assert_eq!(sleepers(&scene.token), scene.sleepers);

        runner.kill().unwrap(); // and not reaped: a zombie is dead as well
        until("the runner's death", || {
            fs::read_to_string(format!("/proc/{}/stat", runner.id())).unwrap().contains(") Z ")
        });
        assert_eq!(next.end_predecessors().await.unwrap(), 1, "{}", shape.0);
        assert_eq!(running(&scene.token), [""; 0], "{}", shape.0);
        assert!(names(&scene.sessions()).is_empty());
        assert_eq!(next.end_predecessors().await.unwrap(), 0);
        runner.wait().unwrap();
    }
}

#[test]
fn a_runner_that_cannot_hear_of_its_children_looks_after_them() {
    let (scene, mut runner) = Scene::runner(SHAPES[0], "normal, deaf");
    assert!(runner.wait().unwrap().success());
    assert_eq!(running(&scene.token), [""; 0]);
}

#[tokio::test]
async fn the_guardian_stands_apart_and_is_replaced_when_it_falls() {
    let dir = tempfile::tempdir().unwrap();
    let warden = Warden::new(WardenOptions {
        guardian: Some(env!("CARGO_BIN_EXE_devtask").into()),
        sessions_dir: Some(dir.path().into()),
        ..WardenOptions::default()
    })
    .unwrap();
    let guardian = || {
        let listed = Command::new("ps").args(["-A", "-ww", "-o", "stat=,pid=,sid=,args="]).output().unwrap();
        let lines = String::from_utf8(listed.stdout).unwrap();
        let place = dir.path().to_str().unwrap();
        let line = lines.lines().find(|l| l.contains(place) && l.contains("__guardian"))?.to_owned();
        let mut fields = line.split_whitespace().skip(1).map(|field| field.parse::<i32>().unwrap_or(0));
        Some((fields.next().unwrap(), fields.next().unwrap()))
    };
    let alone = || guardian().filter(|(pid, session)| pid == session).map(|(pid, _)| pid);
    warden.spawn(launch("exit 0")).unwrap().finish().await;
    until("a session of its own", || alone().is_some());
    let first = alone().unwrap();
    let signal = |signal: &str| {
        assert!(Command::new("kill").args([signal, &first.to_string()]).status().unwrap().success());
    };
    ["-TERM", "-INT", "-HUP"].into_iter().for_each(signal);
    warden.spawn(launch("exit 0")).unwrap().finish().await;
    assert_eq!(alone(), Some(first), "a polite signal does not move it");

    signal("-KILL");
    until("its death", || guardian().is_none());
    for _ in 0..2 {
        warden.spawn(launch("exit 0")).unwrap().finish().await;
    }
    until("its successor", || alone().is_some_and(|pid| pid != first));
    assert_eq!(warden.end_everything(Duration::ZERO).await, [0; 0]);
    assert_eq!(guardian(), None);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_flood_takes_no_memory() {
    let (_scene, mut runner) =
        Scene::runner(("flood", "head -c 268435456 /dev/zero | tr '\\0' x", 0), "flood");
    assert!(runner.wait().unwrap().success());
}

/// Not a test of its own: what the runner of the others does.
#[tokio::test]
async fn in_the_role_of_a_runner() {
    let Ok(way) = env::var("RUNNER_WAY") else { return };
    let dir = PathBuf::from(env::var_os("RUNNER_DIR").unwrap());
    let warden = Warden::new(WardenOptions {
        adopt_orphans: !way.contains("no adoption"),
        guardian: (!way.contains("no guardian")).then(|| env!("CARGO_BIN_EXE_devtask").into()),
        sessions_dir: Some(dir.join("sessions")),
        outer_session: None,
    })
    .unwrap();
    let script = env::var("RUNNER_SCRIPT").unwrap();
    if way == "flood" {
        return flood(&warden, &script, &dir).await;
    }
    let job = warden.spawn(launch(&script)).unwrap();
    let control = job.control();
    assert_eq!(names(&dir.join("sessions")).len(), 1);

    let (token, count) = (env::var("RUNNER_TOKEN").unwrap(), env::var("RUNNER_SLEEPERS").unwrap());
    until_async("the sleepers", || sleepers(&token) == count.parse::<usize>().unwrap()).await;
    let grace = Duration::from_millis(300);
    let ended_by = match way.as_str() {
        "normal" | "normal, deaf" => {
            fs::write(dir.join("go"), "").unwrap();
            None
        }
        "terminate" => {
            control.terminate(grace);
            Some(EndedBy::Terminated)
        }
        "kill" => {
            control.kill();
            Some(EndedBy::Killed)
        }
        #[expect(clippy::disallowed_methods, reason = "a runner that goes without clearing up")]
        "leave" => std::process::exit(0),
        _ if way.starts_with("hang") => std::future::pending().await,
        _ => {
            let (left, _) = tokio::join!(warden.end_everything(grace), job.finish());
            assert_eq!(left, [0; 0]);
            return nothing_is_left(&token);
        }
    };
    let ended = job.finish().await;
    // The leader may have been gone before it could be asked to go.
    assert!(ended.ended_by == ended_by || script.contains("exit 0") && ended.exit.is_success(), "{ended:?}");
    assert!(ended.leaky || ended_by.is_some(), "{ended:?}");
    assert_eq!(running(&token), [""; 0], "not even before the session ends");
    assert_eq!(warden.end_everything(grace).await, [0; 0]);
    nothing_is_left(&token);
}

fn nothing_is_left(token: &str) {
    assert_eq!(running(token), [""; 0]);
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let children = tasks.map(|t| fs::read_to_string(t.unwrap().path().join("children")).unwrap_or_default());
    assert_eq!(children.collect::<String>().trim(), "", "all are reaped, the guardian too");
}

async fn flood(warden: &Warden, script: &str, dir: &Path) {
    let before = resident();
    let log = LogTarget { path: dir.join("log"), keep: Keep::HeadAndTail(1024 * 1024) };
    let (to, _from) = tokio::sync::mpsc::channel(10);
    let lines = Some(LineSink { to, mode: SinkMode::Lossy });
    let mut launch = launch(script);
    (launch.log, launch.lines) = (Some(log), lines);
    let job = warden.spawn(launch).unwrap();
    let ended = job.finish().await;
    assert!(ended.exit.is_success());
    assert_eq!(ended.lines, 1);
    assert!(ended.tail.iter().all(|line| line.len() <= 64 * 1024));
    assert!(ended.tail.iter().map(Vec::len).sum::<usize>() <= 1024 * 1024);
    let log = fs::metadata(ended.log.unwrap()).unwrap().len();
    assert!((1024 * 1024..1024 * 1024 + 100).contains(&log), "{log}");
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "grew by {grown} bytes");
    assert_eq!(warden.end_everything(Duration::ZERO).await, [0; 0]);
}

/// The largest resident size this process ever had, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
