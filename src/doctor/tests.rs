//! Judging of figures, as tables; and what is found in places made for it.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    time::Duration,
};

use super::{
    Files, Finding, Patient, Verdict, examine,
    filesystem::judge_stamps,
    limits::{arguments, open_files, processes, queue, watchers, watches},
};
use crate::{
    graph::TaskGraph,
    model::{Task, Written},
    store::{Access, StateDir, Store},
};

const MIB: u64 = 1024 * 1024;

#[test]
fn figures_are_judged_by_what_is_needed() {
    use Verdict::{Note, Ok, Problem};
    let cases = [
        (open_files(Some(64)), Problem, "ulimit -n 4096"),
        (open_files(Some(256)), Note, "ulimit -n 4096"),
        (open_files(Some(1024)), Ok, ""),
        (open_files(None), Ok, ""),
        (processes(Some(10)), Problem, "ulimit -u 4096"),
        (processes(Some(1000)), Note, "ulimit -u 4096"),
        (processes(None), Ok, ""),
        (arguments(Some(8 * MIB), 4096), Ok, ""),
        (arguments(None, 4096), Ok, ""),
        (arguments(Some(MIB), 4096), Note, "ulimit -s 8192"),
        (arguments(Some(8 * MIB), 3 * MIB), Problem, "ulimit -s 8192, or a smaller environment"),
        (arguments(Some(0), 64 * 1024), Note, "ulimit -s 8192"),
        (watches(8192, None), Ok, ""),
        (watches(8192, Some(100)), Ok, ""),
        (watches(8192, Some(5000)), Note, "sudo sysctl fs.inotify.max_user_watches=16384"),
        (watches(8192, Some(9000)), Problem, "sudo sysctl fs.inotify.max_user_watches=32768"),
        (
            watches(8192, Some(u64::MAX)),
            Problem,
            "sudo sysctl fs.inotify.max_user_watches=18446744073709551615",
        ),
        (watchers(128), Ok, ""),
        (watchers(8), Note, "sudo sysctl fs.inotify.max_user_instances=128"),
        (queue(16_384), Ok, ""),
        (queue(100), Note, "sudo sysctl fs.inotify.max_queued_events=16384"),
        (judge_stamps(Some(Duration::from_millis(4)), Duration::from_secs(2)), Ok, ""),
        (
            judge_stamps(Some(Duration::from_millis(4)), Duration::from_millis(1)),
            Problem,
            "leave `--granularity` and DEVTASK_GRANULARITY out",
        ),
        (
            judge_stamps(None, Duration::from_secs(2)),
            Problem,
            "leave `--granularity` and DEVTASK_GRANULARITY out",
        ),
    ];
    for (finding, verdict, remedy) in cases {
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert_eq!(finding.remedy.as_deref().unwrap_or_default(), remedy, "{finding:?}");
        assert_eq!(finding.meaning.is_none(), verdict == Ok, "{finding:?}");
    }
}

fn seen(dir: &Path, files: Files<'_>, environment: &[(OsString, OsString)]) -> Vec<Finding> {
    let state_dir = dir.join(".devtask");
    let granularity = Duration::from_secs(2);
    examine(&Patient { dir, files, state_dir: Some(&state_dir), environment, granularity })
}

fn of<'a>(findings: &'a [Finding], about: &str) -> &'a Finding {
    let found: Vec<&Finding> = findings.iter().filter(|finding| finding.about == about).collect();
    assert_eq!(found.len(), 1, "{about}: {findings:#?}");
    found[0]
}

fn names(dir: &Path) -> Vec<OsString> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn where_there_is_no_state_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let found = seen(dir.path(), Files::None, &[]);
    assert!(of(&found, "state directory").found.starts_with("none yet"), "{found:#?}");
    for about in ["events", "time stamps", "renaming", "locks", "letter case", "sockets"] {
        assert_ne!(of(&found, about).verdict, Verdict::Problem, "{found:#?}");
    }
    assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
    assert!(!found.iter().any(|finding| finding.about == "store"), "{found:#?}");
}

#[test]
fn a_state_directory_others_get_into_is_a_problem_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::create(&dir.path().join(".devtask")).unwrap();
    let before = names(state.path());
    let sound = seen(dir.path(), Files::None, &[]);
    assert_eq!(of(&sound, "state directory").verdict, Verdict::Ok);
    assert_eq!(of(&sound, "store").found, "none yet");
    assert_eq!(of(&sound, "leftovers").verdict, Verdict::Ok);

    fs::set_permissions(state.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let open = seen(dir.path(), Files::None, &[]);
    let found = of(&open, "state directory");
    assert_eq!(found.verdict, Verdict::Problem, "{found:?}");
    assert!(found.found.ends_with("has mode 0777"), "{found:?}");
    assert_eq!(fs::metadata(state.path()).unwrap().permissions().mode() & 0o777, 0o777);
    let mut after = names(state.path());
    after.retain(|name| name != "lock");
    assert_eq!(after, before);

    let link = tempfile::tempdir().unwrap();
    symlink(state.path(), link.path().join(".devtask")).unwrap();
    let linked = seen(link.path(), Files::None, &[]);
    assert_eq!(of(&linked, "state directory").verdict, Verdict::Problem);
}

#[test]
fn a_damaged_store_and_what_a_dead_session_left_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::create(&dir.path().join(".devtask")).unwrap();
    Store::open(&state, Access::ReadWrite).unwrap().store.close().unwrap();
    fs::write(state.path().join("state.redb"), "damaged").unwrap();
    let sessions = state.subdir("sessions").unwrap();
    fs::write(sessions.join("0123456789abcdef0123456789abcdef"), "{\"pid\":1,\"start\":0,\"boot\":\"?\"}")
        .unwrap();
    fs::write(sessions.join("no session"), "").unwrap();
    let found = seen(dir.path(), Files::None, &[]);
    assert_eq!(of(&found, "store").verdict, Verdict::Problem, "{found:#?}");
    assert_eq!(fs::read(state.path().join("state.redb")).unwrap(), b"damaged");
    let left = of(&found, "leftovers");
    assert_eq!((left.verdict, left.found.as_str()), (Verdict::Note, "1 files of sessions that are dead"));
}

#[test]
fn interpreters_are_looked_up_where_tasks_would() {
    let dir = tempfile::tempdir().unwrap();
    let program = |name: &str| {
        let path = dir.path().join("bin").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("sh");
    program("ruby");
    let task = |name: &str, package: &str, path: Option<&str>| {
        Task::shell(name, "x").cwd(dir.path()).with(|task| {
            task.interpreter.package = Written::from(package);
            task.env.extend(path.map(|path| ("PATH".to_owned(), Written::from(path))));
        })
    };
    let tasks = [
        task("a:sh", "bash", None),
        task("a:ruby", "ruby", None),
        task("a:lost", "ruby", Some("/nowhere")),
        task("a:perl", "perl", None),
    ];
    let graph = tasks.into_iter().fold(TaskGraph::builder(), |graph, task| graph.task(task)).build().unwrap();
    let environment = [("PATH".into(), dir.path().join("bin").into_os_string())];
    let files = Files::Loaded { root: dir.path(), graph: &graph, warnings: 1 };
    let found = seen(dir.path(), files, &environment);
    let found: Vec<_> =
        found.iter().filter(|f| ["interpreter", "task files", "git"].contains(&f.about)).collect();
    let told: Vec<_> = found.iter().map(|f| (f.verdict, f.remedy.as_deref(), f.meaning.as_deref())).collect();
    assert_eq!(
        told,
        [
            (Verdict::Note, Some("install git"), found[0].meaning.as_deref()),
            (Verdict::Note, Some("install bash"), found[1].meaning.as_deref()),
            (Verdict::Problem, Some("install perl"), Some("these cannot run: a:perl")),
            (Verdict::Problem, Some("install ruby"), Some("these cannot run: a:lost")),
            (Verdict::Note, Some("devtask validate"), Some("something may not be as it was meant")),
        ],
        "{found:#?}"
    );
    assert!(OsStr::new(&found[1].found).len() > 8, "{found:#?}");
}
