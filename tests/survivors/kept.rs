//! Processes that are kept up (spec section 6): every shape of a stubborn tree, every one who can have it up, every way
//! that can end. Each time nothing is left of it: no process, no socket, no private directory, no terminal in disorder.

use std::{
    fs::{self, File},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{
    processes::{MANAGER, TOKEN, carrying, carrying_as, end_all, state, token},
    support::{Running, Sandbox, eventually, terminal::Terminal},
};

/// What a process leaves running. `UP` says that it is all in place; `STAY` waits for the file `go`, and ends as any
/// shell does when it is asked to.
struct Shape {
    name: &'static str,
    script: &'static str,
}

const STAY: &str = "while [ ! -e go ]; do sleep 0.02; done";

const SHAPES: [Shape; 10] = [
    Shape { name: "plain child", script: "sleep 600 & UP; STAY" },
    Shape {
        name: "child ignores TERM, leader exits",
        script: "(trap '' TERM HUP INT; UP; while :; do sleep 600; done) & STAY",
    },
    Shape { name: "set -m", script: "set -m; sleep 600 & UP; STAY" },
    Shape { name: "setsid daemon", script: "setsid sh -c 'UP; sleep 600; :' & STAY" },
    Shape {
        name: "double fork and setsid",
        script: "(setsid sh -c 'trap \"\" TERM HUP; UP; sleep 600; :' > /dev/null 2>&1 &) & STAY",
    },
    Shape { name: "leader gone", script: "sleep 600 & UP" },
    Shape {
        name: "daemon, leader gone",
        script: "(setsid sh -c 'trap \"\" TERM HUP; UP; sleep 600; :' > /dev/null 2>&1 &); \
                 while [ ! -e up ]; do sleep 0.02; done",
    },
    Shape {
        name: "forks while it is being stopped",
        script: "trap 'for n in 1 2 3 4 5 6 7 8; do setsid sleep 600 & sleep 600 & done; exit 0' TERM; UP; STAY",
    },
    Shape {
        name: "closes its pipes",
        script: "exec > /dev/null 2>&1; setsid sleep 600 & UP; trap '' TERM; (STAY) & STAY",
    },
    Shape {
        name: "crash loop",
        script: "sleep 600 & echo x >> starts; [ $(wc -l < starts) -lt 2 ] || { UP; }; exit 3",
    },
];

const HUP: i32 = 1;
const INT: i32 = 2;
const KILL: i32 = 9;
const TERM: i32 = 15;

/// Who has the processes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    /// `devtask up`.
    Up,
    /// The same on a terminal.
    UpOnTerminal,
    /// `devtask up -d`.
    Background,
    /// `devtask run` of a task after them.
    Run,
}

/// How that is brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// This signal.
    Signal(i32),
    /// SIGINT, and again as soon as the first was heard.
    Twice,
    /// `devtask down`.
    Down,
    /// `devtask processes stop`, and then the manager's end.
    Stop,
}

const WAYS: [(Manager, Way); 23] = {
    use Manager::{Background, Run, Up, UpOnTerminal};
    use Way::{Down, Signal, Stop, Twice};
    [
        (Up, Signal(INT)),
        (Background, Signal(TERM)),
        (Run, Signal(INT)),
        (Up, Down),
        (UpOnTerminal, Signal(INT)),
        (Background, Stop),
        (Up, Signal(KILL)),
        (Run, Twice),
        (Background, Down),
        (UpOnTerminal, Signal(HUP)),
        (Up, Twice),
        (Run, Signal(KILL)),
        (Background, Signal(HUP)),
        (Up, Stop),
        (Run, Signal(TERM)),
        (Background, Signal(KILL)),
        (UpOnTerminal, Signal(TERM)),
        (Up, Signal(HUP)),
        (Background, Twice),
        (Run, Signal(HUP)),
        (UpOnTerminal, Twice),
        (Up, Signal(TERM)),
        (Background, Signal(INT)),
    ]
};

/// Where a search for a port begins: not where others search at the same time, for between the search and the opening
/// of the socket somebody else may take it.
fn first_port() -> usize {
    static STORIES: AtomicUsize = AtomicUsize::new(0);
    let process = usize::try_from(std::process::id()).unwrap() * 997;
    20_100 + (process + STORIES.fetch_add(1, Ordering::Relaxed) * 10) % 12_000
}

/// How often each shape is stopped: in each way once, unless told otherwise.
fn stops() -> usize {
    std::env::var("DEVTASK_TEST_STOPS").ok().and_then(|n| n.parse().ok()).unwrap_or(WAYS.len())
}

/// A tree whose processes carry the token, and whoever has them up another one. Nothing of that outlives this.
struct Ground {
    tree: Sandbox,
}

impl Ground {
    fn new(shape: &Shape) -> Self {
        let mut tree = Sandbox::new();
        let token = token(&tree);
        tree.set_env(MANAGER, &token);
        let script = shape.script.replace("STAY", STAY).replace("UP", "echo > up");
        tree.write(
            "devtask.toml",
            format!(
                r#"
                name = "app"
                [env]
                {TOKEN} = "{token}"
                [processes.shape]
                exec = '''echo $PPID > manager; echo $NOTIFY_SOCKET > notify; readlink /proc/$$/fd/3 /proc/$$/fd/4 > sockets; {script}'''
                listen = [
                    {{ name = "net", kind = "tcp", address = "127.0.0.1:${{ports.net}}" }},
                    {{ name = "file", kind = "unix_stream", path = "service.sock" }},
                ]
                ports.net.allocate = {}
                shutdown.grace = 0.3
                restart.max = "unlimited"
                watchdog.usec = 3_600_000_000
                [processes.beside]
                exec = "echo > beside; {STAY}"
                [tasks.user]
                after = ["devenv:processes:shape@started", "devenv:processes:beside@started"]
                exec = "while [ ! -e up ]; do sleep 0.02; done; echo > used; {STAY}"
                "#,
                first_port(),
            ),
        );
        Self { tree }
    }

    /// What has the word of a file of the tree as its name.
    fn said(&self, file: &str) -> Vec<String> {
        self.tree.read(file).lines().map(str::to_owned).collect()
    }

    fn manager(&self) -> i32 {
        self.said("manager").last().unwrap().parse().unwrap()
    }

    fn processes(&self) -> Vec<String> {
        carrying(&token(&self.tree))
    }

    /// Everything, whoever has it up and the guardian, too.
    fn everything(&self) -> Vec<String> {
        carrying_as(MANAGER, &token(&self.tree))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        end_all(&token(&self.tree));
    }
}

/// Who has been started.
enum Started {
    Child(Running),
    Terminal(Terminal, File),
    /// It is nobody's child.
    Apart,
}

fn start(ground: &Ground, manager: Manager) -> Started {
    let tree = &ground.tree;
    let started = match manager {
        Manager::Up => Started::Child(tree.devtask(["up"]).start_with_stderr("err")),
        Manager::Run => Started::Child(tree.devtask(["run", "user"]).start_with_stderr("err")),
        Manager::UpOnTerminal => {
            let terminal = Terminal::start(tree, "up");
            let end = terminal.another_end();
            Started::Terminal(terminal, end)
        }
        Manager::Background => {
            // Whether all became ready is not what this is about.
            tree.devtask(["up", "-d"]).run();
            Started::Apart
        }
    };
    eventually("everything is up", || {
        tree.exists("up") && tree.exists("beside") && (manager != Manager::Run || tree.exists("used"))
    });
    started
}

/// Whether a signal still waits to be delivered.
fn is_pending(pid: i32, signal: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("ShdPnd:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal - 1)) != 0
}

fn signal(pid: i32, number: i32) {
    use rustix::process::{Pid, Signal, kill_process};
    // After the first of two it may be over.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::from_named_raw(number).unwrap());
}

/// Brings it to its end, and comes back when the manager is gone.
fn end(ground: &Ground, started: Started, way: Way) {
    let (tree, pid) = (&ground.tree, ground.manager());
    match way {
        Way::Signal(number) => signal(pid, number),
        Way::Twice => {
            signal(pid, INT);
            // Two that come at once are one, so the first has to have arrived.
            eventually("the first signal is taken", || !is_pending(pid, INT));
            signal(pid, INT);
        }
        Way::Stop => {
            tree.ok("processes stop");
            assert_eq!(ground.processes(), [""; 0], "stopped, while somebody is still there");
            tree.ok("down");
        }
        Way::Down => drop(tree.ok("down")),
    }
    let number = match way {
        Way::Signal(number) => Some(number),
        Way::Twice => Some(INT),
        Way::Down | Way::Stop => None,
    };
    let gone = || matches!(state(pid), None | Some('Z' | 'X'));
    match started {
        Started::Child(run) => {
            let output = run.finish();
            assert_eq!(output.signal, number, "{output}\n{}", tree.read("err"));
        }
        Started::Terminal(terminal, end) => {
            eventually("the program on the terminal has ended", gone);
            assert!(!terminal.gives_keys(), "the terminal is as it was");
            drop(end);
            let (output, text) = terminal.finish();
            assert_eq!(output.signal, number, "{output}\n{text}");
        }
        Started::Apart => eventually("what was in the background has ended", gone),
    }
}

fn story(shape: &Shape, manager: Manager, way: Way) {
    let ground = Ground::new(shape);
    let started = start(&ground, manager);
    let tree = &ground.tree;
    let (notify, sockets) = (ground.said("notify").pop().unwrap(), ground.said("sockets"));
    assert!(notify.contains("notify-"), "{notify}");
    assert!(sockets.len() >= 2 && sockets.iter().all(|socket| socket.starts_with("socket:[")), "{sockets:?}");
    assert!(opened(&sockets), "{sockets:?} are found where they would be missed");
    assert!(tree.exists("service.sock"));
    let private = fs::canonicalize(&notify).unwrap().parent().unwrap().to_owned();
    end(&ground, started, way);
    let what = format!("{} {manager:?} {way:?}", shape.name);
    if way == Way::Signal(KILL) {
        eventually(&format!("{what}: all are gone: {:?}", ground.everything()), || {
            ground.everything().is_empty()
        });
        // What a killed one could not tidy up, the next one does.
        assert!(tree.devtask(["up", "-d"]).run().code.is_some());
        tree.ok("down");
    }
    assert_eq!(ground.processes(), [""; 0], "{what}");
    assert!(!opened(&sockets), "{what}: {sockets:?}");
    assert!(!tree.exists("service.sock"), "{what}");
    assert!(!private.exists(), "{what}: {} and in it {notify}", private.display());
    assert!(!tree.exists(".devtask/socket"), "{what}");
    // The guardian sees the end of its manager, and goes.
    eventually(&format!("{what}: nobody is left: {:?}", ground.everything()), || {
        ground.everything().is_empty()
    });
}

/// Whether one of these sockets is still open, whoever has it.
fn opened(sockets: &[String]) -> bool {
    let tables = ["/proc/net/tcp", "/proc/net/unix"].map(|table| fs::read_to_string(table).unwrap());
    let numbers: Vec<&str> = tables.iter().flat_map(|table| table.split_whitespace()).collect();
    let inode = |socket: &String| socket["socket:[".len()..].trim_end_matches(']').to_owned();
    sockets.iter().map(inode).any(|inode| numbers.contains(&inode.as_str()))
}

/// The stops of one shape, two at once: they mostly wait. All shapes together go through all ways.
fn stop_and_stop(at: usize) {
    let all: Vec<usize> = (0..stops()).collect();
    thread::scope(|scope| {
        for half in all.chunks(all.len().div_ceil(2).max(1)) {
            scope.spawn(move || {
                for round in half {
                    let (manager, way) = WAYS[(round * SHAPES.len() + at) % WAYS.len()];
                    story(&SHAPES[at], manager, way);
                }
            });
        }
    });
}

macro_rules! shapes {
    ($($name:ident = $at:literal;)*) => {$(
        #[test]
        fn $name() {
            stop_and_stop($at);
        }
    )*};
}

shapes! {
    a_plain_child = 0;
    a_child_that_ignores_sigterm = 1;
    a_job_with_a_group_of_its_own = 2;
    a_daemon_in_a_session_of_its_own = 3;
    a_daemon_that_forked_twice = 4;
    a_child_whose_leader_is_gone = 5;
    a_daemon_whose_leader_is_gone = 6;
    one_that_forks_while_it_is_being_stopped = 7;
    one_that_closes_its_pipes = 8;
    one_that_crashes_again_and_again = 9;
}
