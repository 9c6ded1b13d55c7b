//! Many invocations at once around processes: with somebody who has them up, and with nobody yet. Whatever they want,
//! each needed task executes once, nobody waits for ever, and in the end nothing is up.

use super::support::{Output, Running, Sandbox, eventually};

/// By this variable everybody is known whom a test has started.
const MARK: &str = "DEVTASK_STORY_OF";

/// A tree that is taken down in the end, also of a test that fails.
struct Kept {
    tree: Sandbox,
}

impl Kept {
    /// A database that needs a table, and two that need the database.
    fn new() -> Self {
        let mut tree = Sandbox::with(
            r#"
                name = "app"
                [tasks.table]
                exec = "echo x >> table.count; echo table > table"
                execIfModified = ["in"]
                outputs = ["table"]
                [processes.db]
                after = ["app:table"]
                exec = "echo x >> db.count; echo up > db.up; exec sleep 600"
                ready.exec = "test -e db.up"
                shutdown.grace = 60
                [processes.beside]
                exec = "exec sleep 600"
                [tasks.one]
                after = ["devenv:processes:db"]
                exec = "echo x >> one.count"
                execIfModified = ["in"]
                [tasks.two]
                after = ["devenv:processes:db", "app:table"]
                exec = "echo x >> two.count"
                execIfModified = ["in"]
                "#,
        );
        let root = tree.root().to_owned();
        tree.set_env(MARK, root);
        Self { tree }
    }

    /// Everybody who was started here and lives, also in the background.
    fn everybody(&self) -> Vec<i32> {
        let mark = format!("{MARK}={}", self.tree.root().display());
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect()
    }

    /// Takes it down, after which nobody is left and nobody comes back.
    fn down(&self) {
        self.tree.ok("down");
        eventually("everybody is gone", || self.everybody().is_empty());
        assert!(!self.tree.exists(".devtask/socket"));
    }

    fn count(&self, task: &str) -> usize {
        let file = format!("{task}.count");
        if self.tree.exists(&file) { self.tree.read(&file).lines().count() } else { 0 }
    }

    fn start(&self, line: &str, number: usize) -> Running {
        self.tree.devtask(line.split(' ')).start_with_stderr(format!("err{number}"))
    }

    /// These at once; what becomes of each.
    fn at_once(&self, lines: &[&str]) -> Vec<(String, Output)> {
        let all: Vec<Running> = lines.iter().enumerate().map(|(at, line)| self.start(line, at)).collect();
        let ended = all.into_iter().enumerate().zip(lines).map(|((at, run), line)| {
            let output = run.finish();
            ((*line).to_owned(), Output { err: self.tree.read(format!("err{at}")), ..output })
        });
        ended.collect()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        while let left @ [_, ..] = self.everybody().as_slice() {
            for pid in left.iter().filter_map(|pid| rustix::process::Pid::from_raw(*pid)) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

/// Nobody has failed, and nobody met a fault of devtask.
fn all_well(ended: &[(String, Output)]) {
    for (line, output) in ended {
        assert_eq!(output.code, Some(0), "devtask {line}\n{output}");
        assert!(!output.err.contains("panicked"), "devtask {line}\n{output}");
    }
}

const MANY: [&str; 20] = [
    "run one",
    "processes list",
    "run two",
    "processes wait db",
    "processes restart beside",
    "run one two",
    "processes status db",
    "processes start db",
    "up -d",
    "processes list --json",
    "processes stop beside",
    "run table",
    "processes start beside",
    "run two",
    "processes wait db",
    "up -d",
    "processes status beside --json",
    "run one",
    "processes start db",
    "processes list",
];

#[test]
fn twenty_at_once_around_one_who_has_them_up() {
    let kept = Kept::new();
    kept.tree.write("in", "");
    kept.tree.ok("up -d");
    // Whoever looks on ends when there is nothing to be seen any more.
    let attached = [kept.start("attach", 100), kept.start("up", 101)];
    for looks in ["err100", "err101"] {
        eventually("it is shown how they stand", || kept.tree.read(looks).contains("db"));
    }
    let ended = kept.at_once(&MANY);
    // One that is stopped or begun anew while somebody waits for it does not get ready for them.
    let (disturbed, rest): (Vec<_>, Vec<_>) =
        ended.into_iter().partition(|(line, _)| line.ends_with("beside") || line.starts_with("up"));
    all_well(&rest);
    for (line, output) in &disturbed {
        assert!(matches!(output.code, Some(0 | 1)), "devtask {line}\n{output}");
    }
    for task in ["table", "one", "two", "db"] {
        assert_eq!(kept.count(task), 1, "{task}");
    }
    kept.tree.ok("down");
    for run in attached {
        let output = run.finish();
        assert!(output.code.is_some(), "{output}");
    }
}

#[test]
fn twenty_at_once_with_nobody_who_has_them_up_yet() {
    let kept = Kept::new();
    kept.tree.write("in", "");
    let lines = MANY.map(|line| match line {
        // Without anybody who has them up there may be nothing to be waited for or begun anew.
        "processes wait db" => "run one",
        "processes restart beside" | "processes stop beside" => "processes list",
        line => line,
    });
    all_well(&kept.at_once(&lines));
    for task in ["table", "one", "two"] {
        assert_eq!(kept.count(task), 1, "{task}");
    }
    // `up` came to have them, whoever was first; what is up stays so.
    let status = kept.tree.ok("processes wait db");
    assert!(status.out.contains("ready"), "{status}");
    kept.down();
}

#[test]
fn many_who_put_it_into_the_background_at_once_and_one_who_takes_it_down() {
    let kept = Kept::new();
    kept.tree.write("in", "");
    all_well(&kept.at_once(&["up -d"; 6]));
    assert_eq!((kept.count("table"), kept.count("db")), (1, 1));
    // Meanwhile the end begins: whoever comes too late for it starts anew.
    let ended = kept.at_once(&["up -d", "down", "up -d", "down", "up -d", "down"]);
    for (line, output) in ended {
        assert!(matches!(output.code, Some(0 | 1)), "devtask {line}\n{output}");
    }
    kept.tree.ok("up -d");
    kept.down();
    assert_eq!(kept.count("table"), 1);
}
