//! Every shape of a stubborn process tree (hazards C5 to C7) through every way a run can end.

use std::thread;

use super::{
    processes::{TOKEN, carrying, none_survives, token},
    support::{Output, Running, Sandbox, eventually},
};

/// What a task leaves running. `UP` is said once it is all in place.
struct Shape {
    name: &'static str,
    script: &'static str,
    /// Its first process is gone while the rest lives: another task keeps the run going meanwhile.
    leader_gone: bool,
    /// It carries no mark and has no parent of ours.
    unmarked: bool,
}

/// The first process waits for the file `go`, and ends as any shell does when it is asked to.
const STAY: &str = "while [ ! -e go ]; do sleep 0.02; done";

const SHAPES: [Shape; 10] = [
    Shape { name: "plain child", script: "sleep 600 & echo > up; STAY", leader_gone: false, unmarked: false },
    Shape {
        name: "child ignores TERM, leader exits",
        script: "(trap '' TERM HUP INT; echo > up; while :; do sleep 600; done) & STAY",
        leader_gone: false,
        unmarked: false,
    },
    Shape {
        name: "set -m",
        script: "set -m; sleep 600 & echo > up; STAY",
        leader_gone: false,
        unmarked: false,
    },
    Shape {
        name: "setsid daemon",
        script: "setsid sh -c 'echo > up; sleep 600; :' & STAY",
        leader_gone: false,
        unmarked: false,
    },
    Shape {
        name: "double fork and setsid",
        script: "(setsid sh -c 'trap \"\" TERM HUP; echo > up; sleep 600; :' > /dev/null 2>&1 &) & STAY",
        leader_gone: false,
        unmarked: false,
    },
    Shape {
        name: "env -i and setsid",
        script: "env -i TOKEN=$TOKEN PATH=\"$PATH\" setsid sh -c 'echo > up; sleep 600; :' & STAY",
        leader_gone: false,
        unmarked: false,
    },
    Shape { name: "leader gone", script: "sleep 600 & echo > up", leader_gone: true, unmarked: false },
    Shape {
        name: "env -i daemon, leader gone",
        script: "(env -i TOKEN=$TOKEN PATH=\"$PATH\" setsid sh -c 'echo > up; sleep 600; :' > /dev/null 2>&1 &); \
                 while [ ! -e up ]; do sleep 0.02; done",
        leader_gone: true,
        unmarked: true,
    },
    Shape {
        name: "env -i daemon that starts one after the other",
        script: "env -i TOKEN=$TOKEN PATH=\"$PATH\" setsid sh -c \
                 'echo > up; for n in $(seq 100); do sleep 600 & done; wait' & STAY",
        leader_gone: false,
        unmarked: false,
    },
    Shape {
        // What has much memory takes long to fork: what it forks appears after the signal that was to stop it.
        name: "env -i daemon that takes its time to start others",
        script: "env -i TOKEN=$TOKEN PATH=\"$PATH\" setsid perl -e '$heap = \"x\" x 300_000_000; \
                 open(my $up, \">\", \"up\"); close($up); \
                 for (1 .. 100) { fork() or exec(\"sleep\", \"600\") } sleep(600)' & STAY",
        leader_gone: false,
        unmarked: false,
    },
];

const INT: i32 = 2;
const HUP: i32 = 1;
const KILL: i32 = 9;
const TERM: i32 = 15;

/// How a run is brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// This signal.
    Signal(i32),
    /// SIGINT, and again as soon as the first was heard.
    Twice,
    Normally,
}

const WAYS: [Way; 6] =
    [Way::Signal(INT), Way::Signal(TERM), Way::Signal(HUP), Way::Twice, Way::Signal(KILL), Way::Normally];

fn tree(shape: &Shape) -> Sandbox {
    let tree = Sandbox::new();
    let script = shape.script.replace("STAY", STAY).replace("TOKEN", TOKEN);
    tree.write(
        "devtask.toml",
        format!(
            r#"
            name = "app"
            [env]
            {TOKEN} = "{}"
            [tasks.before]
            exec = "true"
            execIfModified = ["in"]
            [tasks.shape]
            after = ["before"]
            execIfModified = ["in"]
            exec = '''{script}'''
            [tasks.hold]
            after = ["before"]
            execIfModified = ["in"]
            exec = "echo > held; {STAY}"
            "#,
            token(&tree),
        ),
    );
    tree.write("in", "");
    tree
}

/// Starts the run and comes back when everything of it is in place.
fn start(tree: &Sandbox, shape: &Shape) -> Running {
    let roots: &[&str] = if shape.leader_gone { &["shape", "hold"] } else { &["shape"] };
    let run = tree.devtask(["run", "-j", "2"].iter().chain(roots)).start_with_stderr("err");
    if shape.unmarked {
        // Nothing but devtask's having seen it tells whose it is.
        eventually("its end is told", || tree.read("err").contains("Succeeded         app:shape"));
    }
    eventually("everything is up", || tree.exists("up") && (!shape.leader_gone || tree.exists("held")));
    assert!(!carrying(&token(tree)).is_empty(), "{}: nothing to be ended", shape.name);
    run
}

fn end(tree: &Sandbox, way: Way, run: Running) -> Output {
    match way {
        Way::Signal(number) => run.signal(number),
        Way::Twice => {
            run.signal(INT);
            // Two that come at once are one, so the first has to have arrived.
            let pid = run.pid();
            eventually("the first signal is taken", || !is_pending(pid, INT));
            run.signal(INT);
        }
        Way::Normally => tree.write("go", ""),
    }
    let output = run.finish();
    Output { err: tree.read("err"), ..output }
}

/// Whether a signal still waits to be delivered.
fn is_pending(pid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("ShdPnd:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal - 1)) != 0
}

fn story(shape: &Shape, way: Way) {
    let tree = tree(shape);
    let output = end(&tree, way, start(&tree, shape));
    let what = format!("{} {way:?}\n{output}", shape.name);
    match way {
        Way::Signal(KILL) => none_survives(&token(&tree)),
        _ => assert_eq!(carrying(&token(&tree)), [""; 0], "{what}"),
    }
    let number = match way {
        Way::Signal(number) => Some(number),
        Way::Twice => Some(INT),
        Way::Normally => None,
    };
    assert_eq!(output.signal, number, "{what}");
    let expected = if way == Way::Normally {
        assert_eq!(output.code, Some(0), "{what}");
        assert!(output.err.contains("it left processes running"), "{what}");
        0
    } else {
        let summary = if shape.leader_gone { "Cancelled     " } else { "1 Succeeded, 1 Cancelled     " };
        assert!(way == Way::Signal(KILL) || output.err.contains(summary), "{what}");
        5
    };
    // What had finished stays recorded; what was interrupted executes next time.
    let roots = if shape.leader_gone { "run -n shape hold" } else { "run -n shape" };
    let next = tree.expect(expected, roots);
    assert!(next.err.contains("Cached            app:before\n"), "{what}\nthen {next}");
}

/// All ways at once: they mostly wait.
fn every_way(at: usize) {
    thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || story(&SHAPES[at], way));
        }
    });
}

macro_rules! shapes {
    ($($name:ident = $at:literal;)*) => {$(
        #[test]
        fn $name() {
            every_way($at);
        }
    )*};
}

shapes! {
    a_plain_child = 0;
    a_child_that_ignores_sigterm = 1;
    a_job_with_a_group_of_its_own = 2;
    a_daemon_in_a_session_of_its_own = 3;
    a_daemon_that_forked_twice = 4;
    a_daemon_without_our_mark = 5;
    a_child_whose_leader_is_gone = 6;
    a_daemon_without_our_mark_whose_leader_is_gone = 7;
    a_daemon_without_our_mark_that_starts_others = 8;
    a_daemon_without_our_mark_that_is_slow_to_start_others = 9;
}
