//! What is remembered of checks, and what makes it void.

use std::{
    collections::HashSet,
    fs,
    num::NonZero,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Ground, Key, Look, Passed, Pending, key};
use crate::{
    graph::TaskGraph,
    model::{Action, Check, CheckRole, Declaration, Digest, EdgeRef, Outcome, Task, TaskName},
    plan::Assigned,
};

/// A change of a check and of what is upstream of it.
type Change = dyn Fn(&mut Task, &mut Task);

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn ground(&self) -> Ground {
        Ground {
            root: self.root(),
            state_dir: self.root().join(".devtask"),
            global_ignore: None,
            environment: vec![("RUST_LOG".into(), "x".into())],
            threads: NonZero::<usize>::MIN,
        }
    }

    fn check(&self) -> Task {
        let mut task = Task::empty(name("check:a:fmt"), &self.root());
        task.action = Action::Script("look".into());
        task.check = Some(Arc::new(Check {
            role: CheckRole::Check,
            files: Vec::new(),
            passes_files: true,
            inputs: vec!["config".into()],
            links: Vec::new(),
            has_fix: false,
        }));
        task
    }

    /// The key of a check after these tasks.
    fn key(&self, check: Task, upstream: Vec<Task>) -> Option<Key> {
        let edge = |task: &Task| EdgeRef { task: task.name.clone(), condition: None, place: None };
        let after = upstream.iter().map(edge).collect();
        let plain =
            |task, after| Declaration { task, place: None, after, before: Vec::new(), ports: Vec::new() };
        let mut all = vec![plain(check, after)];
        all.extend(upstream.into_iter().map(|task| plain(task, Vec::new())));
        let graph = TaskGraph::build(all).unwrap();
        let id = graph.id("check:a:fmt").unwrap();
        key(&graph, id, &self.ground())
    }
}

fn name(text: &str) -> TaskName {
    TaskName::new(text).unwrap()
}

fn generator(place: &Place) -> Task {
    let mut task = Task::empty(name("a:gen"), &place.root());
    task.action = Action::Script("make".into());
    task.exec_if_modified = vec!["schema/*".into()];
    task
}

#[test]
fn a_key_changes_with_all_a_verdict_rests_on() {
    let place = Place::new();
    place.write("config", "1");
    place.write("schema/s", "1");
    let plain = || place.key(place.check(), vec![generator(&place)]).unwrap().digest();
    let first = plain();
    assert_eq!(first, plain());
    let cases: [(&str, &Change); 7] = [
        ("exec", &|check, _| check.action = Action::Script("other".into())),
        ("interpreter", &|check, _| check.interpreter.package = "python3".into()),
        ("env", &|check, _| drop(check.env.insert("A".into(), "b".into()))),
        ("env of the file", &|check, _| drop(check.file_env.insert("A".into(), "b".into()))),
        ("tracked variables", &|check, _| check.track_env = vec!["RUST_*".into()]),
        ("cwd", &|check, _| check.cwd.push("sub")),
        ("what is upstream", &|_, upstream| upstream.action = Action::Script("other".into())),
    ];
    for (what, change) in cases {
        let (mut check, mut upstream) = (place.check(), generator(&place));
        change(&mut check, &mut upstream);
        assert_ne!(place.key(check, vec![upstream]).unwrap().digest(), first, "{what}");
    }
    for (file, content) in [("config", "2"), ("schema/s", "2"), ("schema/t", "1")] {
        let before = plain();
        place.write(file, content);
        assert_ne!(plain(), before, "{file}");
    }
}

#[test]
fn without_knowing_what_is_upstream_there_is_no_key() {
    let place = Place::new();
    let cases: [(&str, &Change); 3] = [
        ("it always runs", &|_, task| task.exec_if_modified.clear()),
        ("its status decides", &|_, task| {
            task.exec_if_modified.clear();
            task.status = Some(Action::Script("true".into()));
        }),
        ("it is a program", &|_, task| task.action = Action::Command("/bin/true".into())),
    ];
    for (why, change) in cases {
        let mut upstream = generator(&place);
        let mut check = place.check();
        change(&mut check, &mut upstream);
        assert_eq!(place.key(check, vec![upstream]), None, "{why}");
    }
    assert!(place.key(place.check(), vec![generator(&place)]).is_some());
}

#[test]
fn a_mark_is_of_a_file_with_its_name_content_and_mode() {
    let place = Place::new();
    let (a, b) = (place.write("a", "same"), place.write("b", "same"));
    let ground = place.ground();
    let mark = |key: u128, file: &PathBuf| Look::at(&ground, [file]).mark(&ground, Digest(key), file);
    let first = mark(1, &a).unwrap();
    assert_eq!(mark(1, &a), Some(first));
    assert_ne!(mark(2, &a), Some(first), "another check");
    assert_ne!(mark(1, &b), Some(first), "another name");
    fs::set_permissions(&a, fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(mark(1, &a), Some(first), "another mode");
    fs::set_permissions(&a, fs::Permissions::from_mode(0o644)).unwrap();
    place.write("a", "other");
    assert_ne!(mark(1, &a), Some(first), "another content");
    place.write("a", "same");
    assert_eq!(mark(1, &a), Some(first), "the same again");
    assert_eq!(mark(1, &place.root().join("missing")), None);
    assert_eq!(mark(1, &place.root()), None, "a directory");
}

#[test]
fn what_was_touched_between_two_looks_is_not_the_same() {
    let place = Place::new();
    let (kept, changed, back) = (place.write("k", "1"), place.write("c", "1"), place.write("b", "1"));
    let ground = place.ground();
    let files = [&kept, &changed, &back];
    let before = Look::at(&ground, files);
    place.write("c", "2");
    fs::remove_file(&back).unwrap();
    place.write("b", "1");
    let after = Look::at(&ground, files);
    assert_eq!(
        files.map(|file| before.is_same(&after, file)),
        [true, false, false],
        "there and back is touched"
    );
    assert_eq!(files.map(|file| before.differs(&after, file)), [false, true, false]);
}

#[test]
fn what_passed_is_remembered_and_what_failed_forgotten() {
    let place = Place::new();
    let state = place.root().join(".devtask");
    let check = name("check:a:fmt");
    let update = |passed: &[u128], failed: &[u128]| {
        let failed: HashSet<Digest> = failed.iter().copied().map(Digest).collect();
        Passed::update(&state, &check, passed.iter().copied().map(Digest), &failed).unwrap();
        let known = Passed::read(&state, &check);
        (1..6).filter(|mark| known.has(Digest(*mark))).collect::<Vec<u128>>()
    };
    assert_eq!(update(&[], &[1]), [0_u128; 0]);
    assert!(!state.exists(), "nothing to remember, nothing written");
    assert_eq!(update(&[1, 2], &[]), [1, 2]);
    assert_eq!(update(&[3], &[2]), [1, 3]);
    assert_eq!(update(&[1], &[]), [1, 3]);
    assert!(!Passed::read(&state, &name("check:a:other")).has(Digest(1)));
}

#[test]
fn what_cannot_be_believed_is_forgotten() {
    let place = Place::new();
    let state = place.root().join(".devtask");
    let check = name("check:a:fmt");
    Passed::update(&state, &check, [Digest(7), Digest(8)], &HashSet::new()).unwrap();
    let files = fs::read_dir(state.join("passed")).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|path| !path.ends_with("turn")).unwrap();
    let good = fs::read(&file).unwrap();
    let has = |path: &Path| {
        assert!(path.exists());
        Passed::read(&state, &check).has(Digest(7))
    };
    assert!(has(&file));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, &bad).unwrap();
        assert!(!has(&file), "a bit of byte {at} is another");
        fs::write(&file, &good[..at]).unwrap();
        assert!(!has(&file), "only {at} bytes are left");
    }
    fs::write(&file, &good).unwrap();
    assert!(has(&file));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(!has(&file), "others may read it, so it is not ours");
}

#[test]
fn what_a_check_rests_on_must_not_be_touched_while_it_runs() {
    let place = Place::new();
    let config = place.write("config", "1");
    let file = place.write("a", "a");
    let (ground, state) = (place.ground(), place.root().join(".devtask"));
    let plain =
        Declaration { task: place.check(), place: None, after: vec![], before: vec![], ports: vec![] };
    let graph = TaskGraph::build(vec![plain]).unwrap();
    let assigned = Assigned { task: graph.id("check:a:fmt").unwrap(), files: vec![file.clone()] };
    let look = || Look::at(&ground, [&file]);
    let pending = || Pending::of(&graph, &assigned, &ground, &look(), Some(&state));
    type Meanwhile<'a> = &'a dyn Fn();
    let there_and_back = || {
        fs::remove_file(&config).unwrap();
        place.write("config", "1");
    };
    let cases: [(&str, Meanwhile<'_>, Outcome, bool); 6] = [
        ("its configuration was touched", &there_and_back, Outcome::Succeeded, false),
        (
            "the file was touched",
            &|| drop((fs::remove_file(&file), place.write("a", "a"))),
            Outcome::Succeeded,
            false,
        ),
        ("it was ended", &|| {}, Outcome::Cancelled, false),
        ("it was not begun", &|| {}, Outcome::DependencyFailed, false),
        ("nothing", &|| {}, Outcome::Succeeded, true),
        ("it failed", &|| {}, Outcome::Failed, false),
    ];
    for (what, meanwhile, outcome, passes) in cases {
        let (before, left) = (look(), Pending::of(&graph, &assigned, &ground, &look(), None).unwrap());
        meanwhile();
        left.remember(&graph, &ground, outcome, (&before, &look()), &state).unwrap();
        assert_eq!(pending().is_none(), passes, "{what}");
    }
}
