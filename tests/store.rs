//! The store through its public door: what comes back, what survives kill -9, who holds the tree.

use std::{
    env,
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use devtask::{
    model::Digest,
    store::{
        Access, Attempt, Batch, GroupWriter, Lock, Notice, Opened, OwnerInfo, RecordState, STATE_DIR,
        StateDir, Store, StoreError, Success, Table, TaskRecord,
    },
};

fn place() -> (tempfile::TempDir, StateDir) {
    let root = tempfile::tempdir().unwrap();
    let dir = StateDir::create(&root.path().join(STATE_DIR)).unwrap();
    (root, dir)
}

fn clean(dir: &StateDir) -> Store {
    let Opened { store, notice } = Store::open(dir, Access::ReadWrite).unwrap();
    assert_eq!(notice, None);
    store
}

fn record(at_ms: u64) -> TaskRecord {
    TaskRecord {
        streak: None,
        state: RecordState::ChangedWhileRunning("src/lib.rs".into()),
        success: Some(Success {
            run: "r1".into(),
            at_ms,
            key: Digest(u128::MAX - 7),
            output: Some("{\"a\":1}".into()),
            exports: vec![("PATH".into(), vec![0, 255, b'x']), ("EMPTY".into(), Vec::new())],
            messages: vec!["hello".into()],
            outputs: None,
            called: Vec::new(),
            duration_ms: 3410,
        }),
        run: "r8k2".into(),
        at_ms,
        typical_ms: Some(3400),
    }
}

#[test]
fn what_is_committed_comes_back_in_another_process_of_either_kind() {
    let (_root, dir) = place();
    let mut store = clean(&dir);
    let mut batch = Batch::new();
    batch.put(Table::Tasks, b"app:build", &record(1)).unwrap();
    batch.put(Table::Tasks, b"app:gone", &record(2)).unwrap();
    batch.put(Table::Manifests, b"app:build", &"manifest").unwrap();
    batch.put(Table::Dirs, b"not utf-8 \xff\0", &vec![1_u64, 2]).unwrap();
    store.commit(&batch).unwrap();
    let mut batch = Batch::new();
    batch.delete(Table::Tasks, b"app:gone");
    batch.delete(Table::Tasks, b"app:never");
    batch.put(Table::Manifests, b"app:build", &"first").unwrap();
    batch.put(Table::Manifests, b"app:build", &"second").unwrap();
    store.commit(&batch).unwrap();
    assert_eq!(store.close().unwrap(), []);

    for access in [Access::ReadOnly, Access::ReadWrite] {
        let store = Store::open(&dir, access).unwrap().store;
        let snapshot = store.snapshot().unwrap();
        assert_eq!(snapshot.get(Table::Tasks, b"app:build").unwrap(), Some(record(1)));
        assert_eq!(snapshot.get::<TaskRecord>(Table::Tasks, b"app:gone").unwrap(), None);
        assert_eq!(snapshot.get(Table::Manifests, b"app:build").unwrap(), Some("second".to_owned()));
        assert_eq!(snapshot.keys(Table::Dirs).unwrap(), [b"not utf-8 \xff\0"]);
        assert_eq!(
            snapshot.entries(Table::Tasks).unwrap(),
            [(b"app:build".to_vec(), record(1))],
            "{access:?}"
        );
        assert_eq!(store.reader().take_notices(), []);
    }
}

#[test]
fn a_store_that_is_not_there_is_empty_and_looking_does_not_make_it() {
    let (_root, dir) = place();
    let mut store = Store::open(&dir, Access::ReadOnly).unwrap().store;
    assert_eq!(store.reader().get::<TaskRecord>(Table::Tasks, b"a:b").unwrap(), None);
    assert!(store.snapshot().unwrap().keys(Table::Dirs).unwrap().is_empty());
    let mut batch = Batch::new();
    batch.put(Table::Tasks, b"a:b", &1_u8).unwrap();
    assert!(matches!(store.commit(&batch), Err(StoreError::ReadOnly)));
    store.close().unwrap();
    assert!(!dir.path().join("state.redb").exists());
}

#[test]
fn a_snapshot_does_not_see_what_comes_after_it() {
    let (_root, dir) = place();
    let mut store = clean(&dir);
    let put = |value: u64| {
        let mut batch = Batch::new();
        batch.put(Table::Tasks, b"a:b", &value).unwrap();
        batch
    };
    store.commit(&put(1)).unwrap();
    let snapshot = store.snapshot().unwrap();
    store.commit(&put(2)).unwrap();
    assert_eq!(snapshot.get(Table::Tasks, b"a:b").unwrap(), Some(1_u64));
    assert_eq!(store.reader().get(Table::Tasks, b"a:b").unwrap(), Some(2_u64));
    let reader = store.reader();
    store.close().unwrap();
    let late = snapshot.get::<u64>(Table::Tasks, b"a:b");
    assert!(matches!(late, Ok(Some(1)) | Err(StoreError::Closed)), "what it saw, or nothing: {late:?}");
    assert!(matches!(reader.get::<u64>(Table::Tasks, b"a:b"), Err(StoreError::Closed)));
}

#[test]
fn only_one_writes_and_readers_keep_it_out() {
    let (_root, dir) = place();
    let mut writer = clean(&dir);
    let mut batch = Batch::new();
    batch.put(Table::Tasks, b"a:b", &1_u64).unwrap();
    writer.commit(&batch).unwrap();
    for access in [Access::ReadOnly, Access::ReadWrite] {
        assert!(matches!(Store::open(&dir, access), Err(StoreError::AlreadyOpen(_))), "{access:?}");
    }
    writer.close().unwrap();
    let reader = Store::open(&dir, Access::ReadOnly).unwrap().store;
    let other = Store::open(&dir, Access::ReadOnly).unwrap().store;
    assert!(matches!(Store::open_waiting(&dir, Duration::ZERO), Err(StoreError::AlreadyOpen(_))));
    drop((reader, other));
    assert_eq!(Store::open_waiting(&dir, Duration::ZERO).unwrap().notice, None);
}

#[test]
fn records_of_tasks_that_nobody_knows_are_forgotten_when_they_are_old() {
    let (_root, dir) = place();
    let mut store = clean(&dir);
    let mut batch = Batch::new();
    for (key, at_ms) in [("known:old", 10), ("gone:old", 10), ("gone:new", 100), ("known:new", 100)] {
        batch.put(Table::Tasks, key.as_bytes(), &record(at_ms)).unwrap();
        batch.put(Table::Manifests, key.as_bytes(), &()).unwrap();
    }
    store.commit(&batch).unwrap();
    let forget = store.snapshot().unwrap().forget_unseen(|key| key.starts_with(b"known"), 100).unwrap();
    store.commit(&forget).unwrap();
    let snapshot = store.snapshot().unwrap();
    for table in [Table::Tasks, Table::Manifests] {
        assert_eq!(snapshot.keys(table).unwrap(), [b"gone:new".as_slice(), b"known:new", b"known:old"]);
    }
}

#[test]
fn the_group_writer_closes_the_store_when_it_is_dropped() {
    let (_root, dir) = place();
    let writer = GroupWriter::start(clean(&dir)).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Tasks, b"a:b", &1_u64).unwrap();
    let (done, written) = mpsc::channel();
    writer.submit_then(batch, move |result| done.send(result).unwrap());
    drop(writer);
    written.recv().unwrap().unwrap();
    let store = Store::open(&dir, Access::ReadOnly).expect("closed cleanly").store;
    assert_eq!(store.reader().get(Table::Tasks, b"a:b").unwrap(), Some(1_u64));
}

// --- other processes -----------------------------------------------------------------------------

const ROLE: &str = "DEVTASK_TEST_ROLE";
const DIR: &str = "DEVTASK_TEST_DIR";

/// What a child process says ends with one of these words and, perhaps, a number.
const SAYS: [&str; 3] = ["acknowledged", "compacted", "locked"];

/// This test program again, in another role.
struct Other {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(role: &str, dir: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "role_of_a_child", "--nocapture"])
            .envs([(ROLE, role.as_ref()), (DIR, dir.as_os_str())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for the next thing it says.
    fn says(&mut self) -> String {
        for line in &mut self.lines {
            let line = line.unwrap();
            if let Some(at) = SAYS.iter().find_map(|word| line.find(word)) {
                return line[at..].to_owned();
            }
        }
        panic!("it ended without a word");
    }

    /// kill -9.
    fn kill(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No test of its own: what the children of the tests below do.
#[test]
fn role_of_a_child() {
    let (Ok(role), Ok(dir)) = (env::var(ROLE), env::var(DIR)) else { return };
    let dir = StateDir::open(&PathBuf::from(dir)).unwrap().unwrap();
    match role.as_str() {
        "commit" => commit_for_ever(&dir),
        "hold" => hold(&dir),
        "run" => run(&dir),
        other => panic!("unknown role {other}"),
    }
}

fn pair(n: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Tasks, &n.to_be_bytes(), &n).unwrap();
    batch.put(Table::Dirs, &n.to_be_bytes(), &vec![n; 300]).unwrap();
    if let Some(old) = n.checked_sub(40) {
        batch.delete(Table::Dirs, &old.to_be_bytes());
    }
    batch
}

fn commit_for_ever(dir: &StateDir) {
    let mut store = clean(dir);
    let first = store.snapshot().unwrap().keys(Table::Tasks).unwrap().len() as u64;
    for n in first.. {
        store.commit(&pair(n)).unwrap();
        println!("acknowledged {n}");
    }
}

fn hold(dir: &StateDir) {
    let info = OwnerInfo::this_process("devtask run app:build", 7);
    let Attempt::Acquired(_lock) = Lock::try_acquire(dir, &info).unwrap() else { panic!("it is held") };
    println!("locked");
    // Until the other side lets go.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn of_run(run: &str) -> TaskRecord {
    TaskRecord { state: RecordState::Fresh, run: run.into(), ..record(1) }
}

/// A run of four tasks, of which three have been run before, at the moment when it is killed.
fn run(dir: &StateDir) {
    let mut store = clean(dir);
    let mut batch = Batch::new();
    for name in ["a:running", "a:done", "a:waiting"] {
        batch.put(Table::Tasks, name.as_bytes(), &of_run("r1")).unwrap();
    }
    store.commit(&batch).unwrap();
    let names = ["a:running", "a:done", "a:waiting", "a:new"].map(str::to_owned);
    let journal = store.begin_run("r2".to_owned(), names.into()).unwrap().expect("this system has a boot id");
    for name in ["a:running", "a:done", "a:new"] {
        journal.begin(name).unwrap();
    }
    assert!(journal.begin("a:unknown").is_err());
    let mut batch = Batch::new();
    batch.put(Table::Tasks, b"a:done", &of_run("r2")).unwrap();
    store.commit(&batch).unwrap();
    println!("acknowledged 1");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn after_kill_9_the_journal_tells_exactly_what_had_begun() {
    let (_root, dir) = place();
    let mut other = Other::start("run", dir.path());
    other.says();
    drop(other.kill());
    let looking = Store::open(&dir, Access::ReadOnly);
    assert!(matches!(looking, Err(StoreError::NeedsRepair(_))), "nobody reads before it is written down");
    for round in 0..2 {
        let store = clean(&dir);
        let found = |name: &str| -> TaskRecord {
            store.snapshot().unwrap().get(Table::Tasks, name.as_bytes()).unwrap().unwrap()
        };
        assert_eq!((found("a:done"), found("a:waiting")), (of_run("r2"), of_run("r1")), "{round}");
        for name in ["a:running", "a:new"] {
            let TaskRecord { state, success, run, .. } = found(name);
            assert_eq!((state, success, run.as_str()), (RecordState::Begun, None, "r2"), "{name} {round}");
        }
        assert_eq!(found("a:running").typical_ms, Some(3400));
        store.close().unwrap();
        assert!(Store::open(&dir, Access::ReadOnly).is_ok());
    }
}

/// What is there is a beginning of what was written, whole, and at least what was acknowledged.
fn check_pairs(dir: &StateDir, acknowledged: u64) {
    let Opened { store, notice } = Store::open(dir, Access::ReadWrite).unwrap();
    assert_eq!(notice, None);
    let snapshot = store.snapshot().unwrap();
    let tasks: Vec<(Vec<u8>, u64)> = snapshot.entries(Table::Tasks).unwrap();
    let there = tasks.len() as u64;
    assert!(there > acknowledged, "{acknowledged} was acknowledged, {there} are there");
    assert!(tasks.iter().zip(0_u64..).all(|((key, value), n)| key == &n.to_be_bytes() && *value == n));
    let dirs: Vec<(Vec<u8>, Vec<u64>)> = snapshot.entries(Table::Dirs).unwrap();
    let kept: Vec<u64> = (there.saturating_sub(40)..there).collect();
    assert_eq!(
        dirs.into_iter().map(|(_, v)| v).collect::<Vec<_>>(),
        kept.iter().map(|n| vec![*n; 300]).collect::<Vec<_>>()
    );
    drop(snapshot);
    assert_eq!(store.close().unwrap(), [] as [Notice; 0]);
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let (_root, dir) = place();
    for round in 0..12 {
        let mut other = Other::start("commit", dir.path());
        let mut last = other.says();
        (0..round * 3).for_each(|_| last = other.says());
        let mut other = other.kill();
        // What it said before it died counts too.
        while let Some(Ok(line)) = other.lines.next() {
            if line.starts_with("acknowledged") {
                last = line;
            }
        }
        let number = last.rsplit(' ').next().unwrap().parse().unwrap();
        let unclean = Store::open(&dir, Access::ReadOnly);
        assert!(matches!(unclean, Err(StoreError::NeedsRepair(_))), "a reader cannot repair");
        check_pairs(&dir, number);
    }
}

#[test]
fn the_lock_of_a_killed_owner_is_free_and_names_it() {
    let (_root, dir) = place();
    let mut other = Other::start("hold", dir.path());
    assert_eq!(other.says(), "locked");
    let me = OwnerInfo::this_process("second", 8);
    let Attempt::Held(owner) = Lock::try_acquire(&dir, &me).unwrap() else { panic!("two hold it") };
    let owner = owner.info.expect("it has written who it is");
    assert_eq!((owner.pid, owner.what.as_str()), (other.child.id(), "devtask run app:build"));
    drop(other.kill());
    assert!(matches!(Lock::try_acquire(&dir, &me), Ok(Attempt::Acquired(_))), "a dead one holds it");
}

#[test]
fn a_waiter_gets_the_lock_when_the_owner_ends() {
    let (_root, dir) = place();
    let mut other = Other::start("hold", dir.path());
    assert_eq!(other.says(), "locked");
    let pid = other.child.id();
    let mut seen = None;
    let lock = Lock::acquire_waiting(&dir, &OwnerInfo::this_process("second", 8), |owner| {
        seen = owner.info.clone().or(seen.take());
        // End of file on its stdin makes it end by itself.
        drop(other.child.stdin.take());
        false
    });
    assert!(lock.unwrap().is_some(), "nobody said stop");
    assert_eq!(seen.map(|owner| owner.pid), Some(pid));
}
