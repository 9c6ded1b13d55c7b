//! What was settled is the answer for as long as nothing it rests on has changed, and no longer.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use super::*;
use crate::{
    Session, Task, TaskDraft, TaskGraph,
    model::{Condition, Written},
};

/// A tree with two tasks, and how it is run.
struct Tree {
    dir: tempfile::TempDir,
    runtime: Runtime,
    request: Request,
    loaded: Digest,
    environment: Vec<(OsString, OsString)>,
    global_ignore: Option<PathBuf>,
    /// What the last task is.
    last: TaskDraft,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in ["in/a", "in/b"] {
            fs::create_dir_all(dir.path().join("in")).unwrap();
            fs::write(dir.path().join(file), "1").unwrap();
        }
        Self {
            dir,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            request: Request::run(["a:last"]),
            loaded: Digest(1),
            environment: std::env::vars_os().filter(|(name, _)| name == "PATH").collect(),
            global_ignore: None,
            last: Task::shell("a:last", "test ! -e broken")
                .exec_if_modified(["out"])
                .with(|task| task.track_env = vec!["TRACKED".to_owned()]),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn session(&self) -> Session {
        let first = Task::shell(
            "a:first",
            "cat in/* > out; cat deep/* >> out || true; echo '{\"n\":1}' > $DEVENV_TASK_OUTPUT_FILE",
        )
        .exec_if_modified(["in/*", "maybe", "deep/maybe"])
        .outputs(["out"])
        // Whether it executes is what shows whether a change was noticed.
        .with(|task| task.restore = false);
        let last = self.last.clone().after("a:first", Condition::Succeeded);
        let graph = TaskGraph::builder().task(first).task(last).build().unwrap();
        Session::builder(graph)
            .root(self.dir.path())
            .environment(self.environment.clone())
            .global_ignore(self.global_ignore.clone())
            .loaded(Some(self.loaded))
            // Stamps come from a clock that goes at least a hundred times a second.
            .granularity(Duration::from_millis(25))
            .open_blocking()
            .unwrap()
    }

    fn run(&self, request: Request) -> RunSummary {
        let session = self.session();
        let summary = match session.judge(request).unwrap().finish() {
            Ok(summary) => summary,
            Err(pending) => self.runtime.block_on(async { pending.go_on().finish().await }).unwrap(),
        };
        self.runtime.block_on(session.close()).unwrap();
        summary
    }

    /// Whether the answer is known as a whole.
    fn is_settled(&self) -> bool {
        let session = self.session();
        let plan = session.plan(&self.request).unwrap();
        let (run, _) = session.enter(self.request.clone(), &plan).unwrap();
        let settling = Settling::of(&session.shared, &run.request, &plan);
        settling.is_some_and(|mut settling| settling.follow(&session.shared).is_ok())
    }

    /// Runs until it is.
    fn settle(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.is_settled() {
            assert!(Instant::now() < end, "it never settles");
            assert!(!self.run(self.request.clone()).failed);
        }
    }

    fn file(&self) -> PathBuf {
        let mut files = fs::read_dir(self.path(".devtask/settled")).unwrap();
        files.next().unwrap().unwrap().path()
    }
}

/// Spoils the byte in the middle of a file.
fn spoil(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_settled_is_told_as_it_was() {
    let tree = Tree::new();
    tree.settle();
    let session = tree.session();
    let mut told: Vec<RunSummary> = [true, false]
        .map(|anew| {
            if anew {
                fs::remove_file(tree.file()).unwrap();
            }
            let summary = session.judge(tree.request.clone()).unwrap().finish().unwrap();
            RunSummary { run: String::new(), duration: Duration::ZERO, ..summary }
        })
        .to_vec();
    assert_eq!(told[0].outputs["a:first"]["n"], 1);
    assert_eq!(told[0].outcomes.len(), 2);
    assert_eq!(told.pop(), told.pop());
    drop(session);
    assert!(tree.is_settled());
}

#[test]
fn what_an_answer_rests_on_unsettles_it() {
    type Change = (&'static str, fn(&mut Tree), bool);
    let changes: [Change; 23] = [
        ("nothing", |_| {}, true),
        ("a file that is no input", |tree| tree.write("other", ""), true),
        ("another variable", |tree| tree.environment.push(("OTHER".into(), "1".into())), true),
        ("another number of jobs", |tree| tree.request.jobs = Some(7), true),
        ("an input", |tree| tree.write("in/a", "2"), false),
        ("an input, touched", |tree| tree.write("in/a", "1"), false),
        ("a new input", |tree| tree.write("in/c", ""), false),
        ("an input less", |tree| fs::remove_file(tree.path("in/b")).unwrap(), false),
        ("rules for what is ignored", |tree| tree.write(".gitignore", "b\n"), false),
        ("an output", |tree| tree.write("out", "2"), false),
        ("an output less", |tree| fs::remove_file(tree.path("out")).unwrap(), false),
        ("a tracked variable", |tree| tree.environment.push(("TRACKED".into(), "1".into())), false),
        ("another tree of tasks", |tree| tree.loaded = Digest(2), false),
        ("other tasks", |tree| tree.request.names = vec!["a:first".to_owned()], false),
        ("another mode", |tree| tree.request.mode = crate::plan::Mode::Single, false),
        ("arguments", |tree| tree.request.arguments = vec!["x".into()], false),
        ("an input of the request", |tree| drop(tree.request.inputs.insert("x".to_owned(), 1.into())), false),
        ("force", |tree| tree.request.force = true, false),
        ("refresh", |tree| tree.request.refresh = true, false),
        ("a dry run", |tree| tree.request.dry_run = true, false),
        ("the user's own rules", |tree| tree.global_ignore = Some(tree.path("rules")), false),
        ("a damaged file", |tree| spoil(&tree.file()), false),
        (
            "a failure that left no other trace",
            |tree| {
                tree.write("broken", "");
                let summary = tree.run(Request { force: true, ..tree.request.clone() });
                assert!(summary.failed);
                fs::remove_file(tree.path("broken")).unwrap();
            },
            false,
        ),
    ];
    for (name, change, stays) in changes {
        let mut tree = Tree::new();
        tree.settle();
        change(&mut tree);
        assert_eq!(tree.is_settled(), stays, "{name}");
    }
}

/// Where a route leads again as it did, the trails that are remembered may be of what was there in between.
#[test]
fn what_came_and_went_since_the_route_was_laid_is_noticed() {
    let tree = Tree::new();
    tree.settle();
    let before = fs::read(tree.file()).unwrap();
    tree.write("maybe", "1");
    tree.settle();
    fs::write(tree.file(), before).unwrap();
    fs::remove_file(tree.path("maybe")).unwrap();
    let outcomes = tree.run(tree.request.clone()).outcomes;
    assert_eq!(outcomes[0].1, Outcome::Succeeded, "{outcomes:?}");
}

#[test]
fn a_route_is_not_laid_anew_from_trails_of_what_came_and_went() {
    let tree = Tree::new();
    let [deep, away] = ["deep", "away"].map(|name| tree.path(name));
    tree.settle();
    let before = fs::read(tree.file()).unwrap();
    fs::create_dir(&deep).unwrap();
    tree.write("deep/maybe", "1");
    tree.settle();
    fs::write(tree.file(), &before).unwrap();
    fs::rename(&deep, &away).unwrap();
    let file = tree.file();
    let end = Instant::now() + Duration::from_secs(20);
    while fs::read(&file).is_ok_and(|now| now == before) {
        assert!(Instant::now() < end, "the route stays");
        assert!(!tree.run(tree.request.clone()).failed);
    }
    // Whatever was in it has the stamps that it had.
    fs::rename(&away, &deep).unwrap();
    let outcomes = tree.run(tree.request.clone()).outcomes;
    assert_eq!(outcomes[0].1, Outcome::Succeeded, "{outcomes:?}");
}

#[test]
fn a_store_that_is_too_new_settles_nothing() {
    let tree = Tree::new();
    tree.settle();
    let session = tree.session();
    let plan = session.plan(&tree.request).unwrap();
    let (run, _) = session.enter(tree.request.clone(), &plan).unwrap();
    let mut settling = Settling::of(&session.shared, &run.request, &plan).unwrap();
    assert!(settling.encode(&session.shared, &RunSummary::new(String::new())).is_ok());
    let now = i64::try_from(system_now_ns() / 1_000_000_000).unwrap();
    for written in [now + 1, now + 3600] {
        settling.store.identity.mtime.seconds = written;
        assert_eq!(
            settling.encode(&session.shared, &RunSummary::new(String::new())),
            Err(NoRoute::New),
            "{written}"
        );
    }
}

/// What a task that is a file holds, and what a task says that runs every time, is on no route; a warning has to be said
/// again.
#[test]
fn runs_that_rest_on_more_are_not_kept() {
    type Kind = (&'static str, fn(&Tree, &mut crate::model::Task), bool);
    let kinds: [Kind; 5] = [
        ("a script", |_, _| {}, true),
        (
            "a file",
            |tree, task| {
                let program = tree.path("program");
                fs::write(&program, "#!/bin/sh\n").unwrap();
                fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
                task.action = Action::Command(program);
            },
            false,
        ),
        ("one that always runs", |_, task| task.exec_if_modified.clear(), false),
        (
            "one that is asked",
            |_, task| {
                task.exec_if_modified.clear();
                task.status = Some(Action::Script("true".into()));
            },
            false,
        ),
        ("one with a warning", |_, task| task.exec_if_modified.push(Written::from("nothing/*")), false),
    ];
    for (name, change, settles) in kinds {
        let mut tree = Tree::new();
        let draft = tree.last.clone();
        tree.last = draft.with(|task| change(&tree, task));
        let runs = || {
            // Often enough for any that settles, and with enough time between.
            let age = Instant::now() + Duration::from_millis(60);
            while Instant::now() < age {
                tree.run(tree.request.clone());
            }
            tree.is_settled()
        };
        assert_eq!((0..5).any(|_| runs()), settles, "{name}");
    }
}

#[test]
fn a_few_requests_are_remembered() {
    let tree = Tree::new();
    tree.settle();
    let session = tree.session();
    let plan = session.plan(&tree.request).unwrap();
    let (run, _) = session.enter(tree.request.clone(), &plan).unwrap();
    let mut settling = Settling::of(&session.shared, &run.request, &plan).unwrap();
    for number in 0..2 * MOST {
        settling.path.set_file_name(number.to_string());
        settling.keep(&session.shared, &RunSummary::new(String::new()));
    }
    assert_eq!(fs::read_dir(tree.path(".devtask/settled")).unwrap().count(), MOST);
}

/// What a task writes is not what was seen before it ran.
#[test]
fn what_is_seen_on_the_route_counts_only_until_something_executes() {
    let tree = Tree::new();
    tree.settle();
    tree.write("in/a", "2");
    let outcomes = tree.run(tree.request.clone()).outcomes;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Succeeded), "{outcomes:?}");
}
