//! Several invocations in one tree at a time: one holds it, the others are its guests (spec section 4.6).

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::support::{Output, Running, Sandbox, events_of, eventually, gate::Gate, set};

const INT: i32 = 2;
const KILL: i32 = 9;
const USR1: i32 = 10;

/// A tree of tasks of which two stop at gates of their own.
struct Tree {
    sandbox: Sandbox,
    own: Gate,
    other: Gate,
}

impl Tree {
    fn new() -> Self {
        Self::in_sandbox(Sandbox::new())
    }

    fn in_sandbox(sandbox: Sandbox) -> Self {
        let (own, other) = (Gate::new(sandbox.home().join("own")), Gate::new(sandbox.home().join("other")));
        let (at_own, at_other) = (own.script(), other.script());
        sandbox.write(
            "devtask.toml",
            format!(
                r#"
                name = "a"
                include = ["sub"]
                [tasks.own]
                exec = '{at_own}; echo x >> count'
                execIfModified = ["in.txt"]
                [tasks.other]
                exec = '{at_other}; echo y >> others'
                execIfModified = ["in.txt"]
                [tasks.fails]
                exec = 'echo one; echo two >&2; exit 7'
                [tasks.says]
                exec = '''echo "said by $DEVTASK_TASK"; echo '{{"k":1}}' > "$DEVENV_TASK_OUTPUT_FILE"'''
                showOutput = true
                [tasks.talks]
                exec = 'true'
                interactive = true
                "#
            ),
        );
        sandbox.write("sub/devtask.toml", "name = 'b'\n[tasks.t]\nexec = 'touch here'\n");
        sandbox.write("in.txt", "1");
        Self { sandbox, own, other }
    }

    /// Starts `devtask run own`, which holds the tree, and waits until it is at its gate.
    fn held(&mut self) -> Owner {
        let run = self.sandbox.devtask(["run", "own"]).start_with_stderr("told");
        self.own.wait();
        Owner { run, told: self.sandbox.path("told") }
    }
}

/// Who holds the tree.
struct Owner {
    run: Running,
    told: PathBuf,
}

impl Owner {
    fn told(&self) -> String {
        fs::read_to_string(&self.told).unwrap()
    }

    /// Waits until it attends to a guest.
    fn attends_to(&self, guest: &Running) {
        let pid = format!("(pid {})", guest.pid());
        eventually("the guest is attended to", || {
            self.run.signal(USR1);
            self.told().lines().any(|line| line.starts_with("Serving") && line.ends_with(&pid))
        });
    }

    /// Lets it end.
    fn ends(self, tree: &mut Tree) -> Output {
        tree.own.open();
        self.run.finish()
    }
}

fn start_another(tree: &Sandbox, args: &[&str]) -> Running {
    let script =
        format!("shift; exec {} \"$@\" 2>{}", tree.another_build().display(), tree.path("waits").display());
    tree.devtask(args).start_under("sh", &["-c", &script, "sh"])
}

/// Waits until somebody whose stderr is in this file waits for the tree.
fn waits(tree: &Sandbox) {
    eventually("it says that it waits", || {
        tree.exists("waits") && tree.read("waits").contains("Waiting for `devtask run own`")
    });
}

#[test]
fn what_several_want_runs_once() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let guests = [&["run", "own"][..], &["run", "own", "--no-wait"], &["run", "a:own", "-v"]]
        .map(|args| tree.sandbox.devtask(args).start());
    guests.iter().for_each(|guest| owner.attends_to(guest));
    let output = owner.ends(&mut tree);
    assert_eq!(output.code, Some(0));
    for guest in guests {
        let output = guest.finish();
        assert_eq!(output.code, Some(0), "{output}");
        assert!(output.err.starts_with("Running tasks     a:own\n"), "{output}");
        assert!(output.err.contains("Cached            a:own"), "{output}");
    }
    assert_eq!(tree.sandbox.read("count"), "x\n");
    assert!(!tree.sandbox.exists(".devtask/socket"), "nothing is left of the socket");
}

#[test]
fn the_owner_waits_for_its_guests_and_has_its_own_exit_code() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let (other, fails) =
        (tree.sandbox.devtask(["run", "other"]).start(), tree.sandbox.devtask(["run", "fails"]).start());
    owner.attends_to(&other);
    owner.attends_to(&fails);
    tree.own.open();
    tree.other.wait();
    eventually("it says for whom it waits", || {
        owner.told().contains("Waiting           for ") && owner.told().contains("devtask run other (pid ")
    });
    tree.other.open();
    assert_eq!(other.finish().code, Some(0));
    let output = fails.finish();
    assert_eq!(output.code, Some(1), "{output}");
    let shown = "── a:fails ── exit 7 ── echo one; echo two >&2; exit 7 ── 2 lines ──\n";
    assert!(output.err.contains(shown), "{output}");
    assert!(output.err.contains("  one\n") && output.err.contains("  two\n"), "{output}");
    let told = owner.told.clone();
    assert_eq!(owner.run.finish().code, Some(0));
    let told = fs::read_to_string(told).unwrap();
    assert!(!told.contains("a:fails") && !told.contains("a:other"), "its screen is its own\n{told}");
}

/// Whether a process has a handler of its own for a signal, where the system tells.
fn hears(process: &Running, signal: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{}/status", process.pid())) else { return true };
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    caught.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[test]
fn ctrl_c_in_a_guest_ends_what_the_guest_wanted() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let (early, late) =
        (tree.sandbox.devtask(["run", "own"]).start(), tree.sandbox.devtask(["run", "other"]).start());
    owner.attends_to(&early);
    owner.attends_to(&late);
    early.signal(INT);
    assert_eq!(early.finish().signal, Some(INT));
    tree.own.open();
    tree.other.wait();
    // A guest that has been told of nothing yet dies of a signal as any program does.
    eventually("the guest hears signals", || hears(&late, INT));
    late.signal(INT);
    let output = late.finish();
    assert_eq!(output.signal, Some(INT), "{output}");
    assert!(output.err.contains("Stopping          (again: now)"), "{output}");
    assert!(output.err.contains("Cancelled         a:other"), "{output}");
    let told = owner.told.clone();
    assert_eq!(owner.run.finish().code, Some(0));
    let told = fs::read_to_string(told).unwrap();
    assert!(told.contains("Succeeded         a:own"), "{told}");
    assert!(!tree.sandbox.exists("others"));
}

#[test]
fn a_guest_that_is_killed_leaves_nothing() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let guest = tree.sandbox.devtask(["run", "other"]).start();
    owner.attends_to(&guest);
    tree.own.open();
    tree.other.wait();
    guest.signal(KILL);
    assert_eq!(guest.finish().signal, Some(KILL));
    // It would wait at the gate for ever.
    assert_eq!(owner.run.finish().code, Some(0));
    assert!(!tree.sandbox.exists("others"));
}

#[test]
fn a_guest_takes_over_from_an_owner_that_is_killed() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let guest = tree.sandbox.devtask(["run", "own"]).start();
    owner.attends_to(&guest);
    owner.run.signal(KILL);
    assert_eq!(owner.run.finish().signal, Some(KILL));
    tree.own.wait();
    tree.own.open();
    let output = guest.finish();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.err.contains("Succeeded         a:own"), "{output}");
    assert!(!output.err.contains("rror"), "nothing alarming\n{output}");
    assert_eq!(tree.sandbox.read("count"), "x\n", "what the owner began never got past its gate");
    assert!(!tree.sandbox.exists(".devtask/socket"));
    tree.sandbox.ok("run own");
    assert_eq!(tree.sandbox.executed(), set(""));
}

#[test]
fn a_guest_that_is_sent_away_takes_over() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let guest = tree.sandbox.devtask(["run", "other"]).start();
    owner.attends_to(&guest);
    tree.own.open();
    tree.other.wait();
    eventually("the owner waits", || {
        owner.told().contains("Waiting           for 1 guest: devtask run other")
    });
    owner.run.signal(INT);
    assert_eq!(owner.run.finish().signal, Some(INT));
    tree.other.wait();
    tree.other.open();
    let output = guest.finish();
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(output.err.matches("Running tasks     a:other").count(), 2, "from the beginning\n{output}");
    assert_eq!(tree.sandbox.read("others"), "y\n");
}

#[test]
fn who_looks_is_answered_by_the_owner() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let list = tree.sandbox.ok("list own fails");
    assert_eq!(list.err, "", "{list}");
    assert!(list.out.contains("a:own    running") && list.out.contains("a:fails  always runs"), "{list}");
    let why = tree.sandbox.ok("why own");
    assert!(why.out.starts_with("a:own would run") && why.out.contains("it runs just now"), "{why}");
    let dry = tree.sandbox.expect(5, "run other --dry-run");
    assert!(dry.err.contains("Would run         a:other   because no earlier run is known"), "{dry}");
    assert!(dry.err.contains("1 Would Run (dry run)"), "{dry}");
    assert_eq!(tree.sandbox.expect(4, "run nothing --dry-run").out, "");
    assert_eq!(owner.ends(&mut tree).code, Some(0));
}

#[test]
fn names_are_meant_from_where_the_guest_is() {
    let mut tree = Tree::new();
    let owner = tree.held();
    for args in [&["run"][..], &["run", "t"], &["run", "b"]] {
        let output = tree.sandbox.devtask(args).dir("sub").run();
        assert_eq!(output.code, Some(0), "{output}");
        assert!(output.err.starts_with("Running tasks     b:t\n"), "{output}");
    }
    assert_eq!(owner.ends(&mut tree).code, Some(0));
    assert!(tree.sandbox.exists("sub/here"));
}

#[test]
fn a_mistyped_name_is_told_at_once() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let output = tree.sandbox.expect(4, "run othre");
    assert!(output.err.contains("error: nothing is called `othre`"), "{output}");
    assert!(output.err.contains("did you mean `a:other`"), "{output}");
    let output = tree.sandbox.devtask(["run", "own"]).dir("sub").run();
    assert_eq!(output.code, Some(4), "local names are those of the guest's own project\n{output}");
    assert_eq!(owner.ends(&mut tree).code, Some(0));
}

#[test]
fn a_tree_within_the_tree_is_none_of_the_owners_business() {
    let mut tree = Tree::new();
    tree.sandbox.write("apart/devtask.toml", "[tasks.t]\nexec = 'touch ran'\n");
    let owner = tree.held();
    let output = tree.sandbox.devtask(["run", "t"]).dir("apart").run();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(tree.sandbox.exists("apart/ran") && tree.sandbox.exists("apart/.devtask"));
    assert_eq!(owner.ends(&mut tree).code, Some(0));
}

#[test]
fn output_and_events_come_as_if_the_guest_had_done_it() {
    let mut tree = Tree::new();
    // Two tasks that have nothing to do with each other may be told of in any order.
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let names = |events: &str| {
        sorted(events_of(events).iter().map(|e| e["event"].as_str().unwrap().to_owned()).collect())
    };
    let shown = |output: &Output| sorted(output.steady().lines().map(str::to_owned).collect());
    let args = ["run", "says", "own", "--events", "events"];
    let owner = tree.held();
    let guest = tree.sandbox.devtask(args).start();
    owner.attends_to(&guest);
    assert_eq!(owner.ends(&mut tree).code, Some(0));
    let guest = guest.finish();
    assert_eq!(guest.code, Some(0), "{guest}");
    let guests_events = tree.sandbox.read("events");
    let alone = tree.sandbox.devtask(args).run();
    assert_eq!(shown(&guest), shown(&alone));
    assert_eq!(guest.out, alone.out);
    assert_eq!(guest.json()["a:says"]["k"], 1);
    assert!(guest.err.contains("[a:says]  said by a:says"), "{guest}");
    assert_eq!(names(&guests_events), names(&tree.sandbox.read("events")));
}

#[test]
fn another_build_waits_for_the_tree() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let other = start_another(&tree.sandbox, &["run", "own"]);
    waits(&tree.sandbox);
    assert_eq!(owner.ends(&mut tree).code, Some(0));
    assert_eq!(other.finish().code, Some(0));
    assert!(tree.sandbox.read("waits").contains("Cached            a:own"));
}

#[test]
fn whoever_knows_newer_task_files_waits_for_the_tree() {
    let mut tree = Tree::new();
    let owner = tree.held();
    tree.sandbox.append("devtask.toml", "\n[tasks.new]\nexec = 'touch new'\n");
    let guest = tree.sandbox.devtask(["run", "new"]).start_with_stderr("waits");
    waits(&tree.sandbox);
    assert_eq!(owner.ends(&mut tree).code, Some(0));
    assert_eq!(guest.finish().code, Some(0));
    assert!(tree.sandbox.exists("new"));
}

#[test]
fn who_waited_runs_what_the_files_say_then() {
    let mut tree = Tree::new();
    let owner = tree.held();
    // One that waits for its turn, and one that is asked once more in between.
    let other = start_another(&tree.sandbox, &["run", "fails"]);
    waits(&tree.sandbox);
    let text = tree.sandbox.read("devtask.toml").replace("echo one; echo two >&2; exit 7", "touch mended");
    tree.sandbox.save("devtask.toml", text);
    assert_eq!(owner.ends(&mut tree).code, Some(0));
    assert_eq!(other.finish().code, Some(0));
    assert!(tree.sandbox.exists("mended"));
}

#[test]
fn who_wants_the_terminal_waits_for_the_tree() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let guest = tree.sandbox.devtask(["run", "talks"]).start_with_stderr("waits");
    waits(&tree.sandbox);
    assert_eq!(owner.ends(&mut tree).code, Some(0));
    assert_eq!(guest.finish().code, Some(0));
    let told = tree.sandbox.read("waits");
    assert!(told.contains("Succeeded         a:talks"), "{told}");
    assert_eq!(
        told.matches("a:talks wants the terminal, which nobody else can give it").count(),
        1,
        "{told}"
    );
}

#[test]
fn who_waits_for_what_another_executes_is_told_so() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let guest = tree.sandbox.devtask(["run", "own"]).start_with_stderr("said");
    let line = "Waiting           for a:own, which runs for somebody else just now\n";
    eventually("it is told", || tree.sandbox.exists("said") && tree.sandbox.read("said").contains(line));
    assert_eq!(owner.ends(&mut tree).code, Some(0));
    assert_eq!(guest.finish().code, Some(0));
    assert!(tree.sandbox.read("said").contains("Cached            a:own"));
}

#[test]
fn a_run_that_waits_for_the_tree_can_be_ended() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let other = start_another(&tree.sandbox, &["run", "own"]);
    waits(&tree.sandbox);
    other.signal(15);
    assert_eq!(other.finish().signal, Some(15));
    assert_eq!(owner.ends(&mut tree).code, Some(0));
}

#[test]
fn a_file_named_on_the_command_line_is_served_by_what_it_says() {
    let mut tree = Tree::new();
    let owner = tree.held();
    let file = tree.sandbox.path("devtask.toml").display().to_string();
    let state = tree.sandbox.path(".devtask").display().to_string();
    let guests = [&["run", "other", "-f", &file][..], &["run", "other", "--state-dir", &state]]
        .map(|args| tree.sandbox.devtask(args).start());
    guests.iter().for_each(|guest| owner.attends_to(guest));
    tree.sandbox.write("else.toml", "name = 'else'\n[tasks.t]\nexec = 'true'\n");
    let other = tree.sandbox.devtask(["run", "t", "-f", "else.toml", "--no-wait"]).run();
    assert_eq!(other.code, Some(6), "another file's tasks are not the owner's\n{other}");
    tree.own.open();
    tree.other.wait();
    tree.other.open();
    for guest in guests {
        let output = guest.finish();
        assert_eq!(output.code, Some(0), "{output}");
    }
    assert_eq!(owner.run.finish().code, Some(0));
    assert_eq!(tree.sandbox.read("others"), "y\n");
}

#[test]
fn a_dead_socket_is_in_nobodys_way() {
    let mut tree = Tree::new();
    let owner = tree.held();
    owner.run.signal(KILL);
    assert_eq!(owner.run.finish().signal, Some(KILL));
    assert!(tree.sandbox.exists(".devtask/socket"));
    assert_eq!(tree.sandbox.ok("list").err, "");
    let owner = tree.held();
    let guest = tree.sandbox.devtask(["run", "own"]).start();
    owner.attends_to(&guest);
    assert_eq!(owner.ends(&mut tree).code, Some(0));
    assert_eq!(guest.finish().code, Some(0));
    assert!(!tree.sandbox.exists(".devtask/socket"));
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

#[test]
fn only_the_user_gets_at_the_socket() {
    let mut tree = Tree::new();
    let owner = tree.held();
    assert_eq!(mode(&tree.sandbox.path(".devtask/socket")), 0o600);
    assert_eq!(mode(&tree.sandbox.path(".devtask")), 0o700);
    assert_eq!(owner.ends(&mut tree).code, Some(0));
}

#[test]
fn a_tree_whose_path_is_too_long_for_a_socket_has_it_elsewhere() {
    let mut tree = Tree::new();
    let state = tree.sandbox.path("s".repeat(120)).display().to_string();
    let run = tree.sandbox.devtask(["run", "own", "--state-dir", &state]).start_with_stderr("told");
    tree.own.wait();
    let owner = Owner { run, told: tree.sandbox.path("told") };
    let pointer = Path::new(&state).join("socket.at");
    let socket = PathBuf::from(fs::read_to_string(&pointer).unwrap());
    let modes = [&pointer, &socket, socket.parent().unwrap()].map(mode);
    assert_eq!(modes, [0o600, 0o600, 0o700]);
    let guest = tree.sandbox.devtask(["run", "own", "--state-dir", &state]).start();
    owner.attends_to(&guest);
    assert_eq!(owner.ends(&mut tree).code, Some(0));
    assert_eq!(guest.finish().code, Some(0));
    assert!(!pointer.exists() && !socket.parent().unwrap().exists(), "nothing is left");
}
