//! The rooms of the library one by one, each beside the least its work can cost, measured in the same run:
//! scanning, matching, hashing, scheduling, storing.
//! `cargo bench --bench parts [-- MOST_FILES | TASKS FILES_PER_TASK]`

mod support;

use std::{
    fs,
    hint::black_box,
    io::Write as _,
    num::NonZero,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use devtask::{
    Condition, Mode, Outcome, Task, TaskGraph,
    pattern::{PatternKind, PatternSet},
    plan::Plan,
    scan::{FileTable, NoMemory, ScanOptions, Scanner, TableOptions},
    schedule::{Effect, Observation, Options, Scheduler, Verdict},
    store::{Access, Batch, RecordState, StateDir, Store, Table, TaskRecord},
};
use petgraph::{algo::toposort, graph::DiGraph};
use support::{
    args::Args,
    floor,
    rounds::{self, Contender, Rounds},
    workspace::{Workspace, package, source},
};
use xxhash_rust::xxh3::xxh3_128;

const SIZES: [(usize, usize); 2] = [(1000, 10), (1000, 100)];

fn main() -> ExitCode {
    if let Some(code) = support::helper() {
        return code;
    }
    let args = Args::read();
    let rounds = Rounds { budget: std::time::Duration::from_secs(3), ..Rounds::usual(args.smoke) };
    for (tasks, files) in args.sizes(&SIZES) {
        let workspace = Workspace::of("bench", tasks, files);
        files_of(&workspace, rounds);
        matching(&workspace, rounds);
    }
    memory(rounds);
    for tasks in args.sizes(&[(1000, 0), (10_000, 0)]).into_iter().map(|(tasks, _)| tasks) {
        scheduling(tasks, rounds);
        storing(tasks, rounds);
    }
    ExitCode::SUCCESS
}

/// A pattern set for each package.
fn sets(workspace: &Workspace) -> Vec<PatternSet> {
    let set = |task| {
        let base = workspace.root.join(package(task));
        PatternSet::new(&[base], &["src/**/*.rs".to_owned()], PatternKind::Inputs).expect("a pattern")
    };
    (0..workspace.tasks).map(set).collect()
}

/// Looking at the tree and hashing what is in it, as on the first run.
fn files_of(workspace: &Workspace, rounds: Rounds) {
    let two = NonZero::new(2).expect("two is not nothing");
    let root = &workspace.root;
    let scanner = || {
        Scanner::new(ScanOptions {
            root: root.clone(),
            state_dir: root.join(".devtask"),
            global_ignore: None,
            threads: two,
        })
    };
    let sets = sets(workspace);
    let sets: Vec<&PatternSet> = sets.iter().collect();
    let list = floor::list(workspace);
    let matched = scanner().walk(&sets);
    let entries: usize = matched.iter().map(|m| m.entries.len()).sum();
    assert_eq!(entries, workspace.all_files(), "every file is matched");
    let table = || FileTable::new(root, Box::new(NoMemory), TableOptions::default());
    let rows = rounds::interleave(
        rounds,
        vec![
            Contender::new("bare stat", || floor::stat_all(root, &list)),
            Contender::new("bare list and stat", || floor::list_all(root, &list)),
            Contender::new("scan: walk", || drop(black_box(scanner().walk(&sets)))),
            Contender::new("bare read and hash", || floor::hash_all(root, &list)),
            Contender::new("scan: digest all", || drop(black_box(table().digest_all(&matched, two)))),
        ],
    );
    let title = format!("files: {} in {} packages, 2 threads", workspace.all_files(), workspace.tasks);
    rounds::print(&title, &rows, &["bare list and stat", "bare read and hash"]);
}

/// Whether a path belongs to a task, each path asked of the set of its own package.
fn matching(workspace: &Workspace, rounds: Rounds) {
    let sets = sets(workspace);
    let paths = |task: usize| {
        let package = workspace.root.join(package(task));
        (0..workspace.files).map(move |file| package.join(source(file)))
    };
    let paths: Vec<(usize, PathBuf)> =
        (0..workspace.tasks).flat_map(|task| paths(task).map(move |path| (task, path))).collect();
    let prefixes: Vec<Vec<u8>> = (0..workspace.tasks)
        .map(|task| workspace.root.join(package(task)).join("src/").into_os_string().into_encoded_bytes())
        .collect();
    let bare = |(task, path): &(usize, PathBuf)| {
        let path = path.as_os_str().as_encoded_bytes();
        path.starts_with(&prefixes[*task]) && path.ends_with(b".rs")
    };
    let all = |matches: &dyn Fn(&(usize, PathBuf)) -> bool| {
        assert_eq!(paths.iter().filter(|path| matches(black_box(path))).count(), paths.len());
    };
    let rows = rounds::interleave(
        rounds,
        vec![
            Contender::new("beginning and end compared", || all(&bare)),
            Contender::new("pattern", || all(&|(task, path)| sets[*task].matches(path))),
        ],
    );
    rounds::print(&format!("matching {} paths", paths.len()), &rows, &["beginning and end compared"]);
}

/// The hash itself, on what is in memory.
fn memory(rounds: Rounds) {
    let buffer = vec![0x5a_u8; 32 << 20];
    let pieces = |size: usize| {
        let buffer = &buffer;
        Contender::new(format!("xxh3_128, 32 MiB in pieces of {size}"), move || {
            for piece in buffer.chunks(size) {
                let _ = black_box(xxh3_128(piece));
            }
        })
    };
    let copy = Contender::new("copied, 32 MiB", || drop(black_box(buffer.to_vec())));
    let rows = rounds::interleave(rounds, vec![copy, pieces(4 << 10), pieces(64 << 10), pieces(1 << 20)]);
    rounds::print("hashing in memory", &rows, &["copied, 32 MiB"]);
}

/// From a graph to the end of a run in which nothing does anything.
fn scheduling(tasks: usize, rounds: Rounds) {
    let name = |task: usize| format!("pkg:t{task}");
    let mut builder = TaskGraph::builder();
    let mut bare = DiGraph::<(), ()>::new();
    for task in 0..tasks {
        let node = bare.add_node(());
        let draft = Task::shell(&name(task), "true");
        builder = builder.task(if task == 0 {
            draft
        } else {
            bare.add_edge((task as u32 / 10).into(), node, ());
            draft.after(&name(task / 10), Condition::Succeeded)
        });
    }
    let graph = Arc::new(builder.build().expect("a sound graph"));
    let run = |verdict: Verdict| {
        let plan = Plan::new(&graph, graph.ids(), Mode::Before);
        let options =
            Options { jobs: 2, fail_fast: false, keeps: false, wanted: None, durations: Vec::new() };
        let mut scheduler = Scheduler::new(Arc::clone(&graph), plan, &options);
        while let Some(effect) = scheduler.next_effect() {
            match effect {
                Effect::Check(id) => scheduler.observe(Observation::Judged(id, verdict)),
                Effect::Start(id) => {
                    scheduler.observe(Observation::Began(id));
                    scheduler.observe(Observation::Ended(id, Outcome::Succeeded));
                }
                Effect::Stop(_) => {}
            }
        }
        assert!(scheduler.is_done(), "everything is settled");
    };
    let rows = rounds::interleave(
        rounds,
        vec![
            Contender::new("toposort", || drop(black_box(toposort(&bare, None)))),
            Contender::new("schedule: all fresh", || run(Verdict::Fresh)),
            Contender::new("schedule: all stale", || run(Verdict::Stale)),
        ],
    );
    rounds::print(&format!("scheduling {tasks} tasks, a tree of tens"), &rows, &["toposort"]);
}

/// Making the records of a run durable, and reading them again.
fn storing(tasks: usize, rounds: Rounds) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let state = StateDir::create(&dir.path().join("state")).expect("a state directory");
    let record = TaskRecord {
        state: RecordState::Failed,
        success: None,
        run: "r0".to_owned(),
        at_ms: 1,
        typical_ms: Some(5),
        streak: None,
    };
    let mut batch = Batch::new();
    for task in 0..tasks {
        batch.put(Table::Tasks, package(task).as_bytes(), &record).expect("it can be encoded");
    }
    let flat = vec![0x5a_u8; tasks * 64];
    let store = |access| Store::open(&state, access).expect("the store opens").store;
    let commit = || {
        let mut store = store(Access::ReadWrite);
        store.commit(&batch).expect("it commits");
        store.close().expect("it closes");
    };
    commit();
    write_flat(dir.path(), &flat);
    let entries = || {
        let snapshot = store(Access::ReadOnly).snapshot().expect("it can be read");
        assert_eq!(snapshot.entries::<TaskRecord>(Table::Tasks).expect("it can be read").len(), tasks);
    };
    let rows = rounds::interleave(
        rounds,
        vec![
            Contender::new("flat file written", || write_flat(dir.path(), &flat)),
            Contender::new("store: open, commit, close", commit),
            Contender::new("flat file read", || drop(black_box(fs::read(dir.path().join("flat"))))),
            Contender::new("store: open, read all", entries),
        ],
    );
    rounds::print(&format!("storing {tasks} records"), &rows, &["flat file written", "flat file read"]);
}

/// Written beside, made durable, put in place.
fn write_flat(dir: &Path, bytes: &[u8]) {
    let (new, place) = (dir.join("flat.new"), dir.join("flat"));
    let mut file = fs::File::create(&new).expect("a file");
    file.write_all(bytes).expect("it is written");
    file.sync_data().expect("it is durable");
    fs::rename(new, place).expect("it is in place");
}
