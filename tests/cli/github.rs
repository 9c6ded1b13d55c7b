//! The log of a GitHub Actions job, as the runner reads it: what is folded, what is annotated, what must not be taken for a
//! command, and the page of the run.

use super::support::{Sandbox, steady};

/// What the runner makes of a log: its commands, and its lines with how deep in groups they stand. A word to end a stop is
/// hidden as the runner hides it.
#[derive(Debug, Default)]
struct Log {
    commands: Vec<String>,
    lines: Vec<(usize, String)>,
}

impl Log {
    fn read(text: &str) -> Self {
        let mut log = Self::default();
        let (mut depth, mut stopped) = (0_usize, None::<String>);
        for line in text.lines() {
            let trimmed = line.trim_start();
            let command = trimmed.strip_prefix("::").filter(|rest| rest.contains("::"));
            match (command, &stopped) {
                (Some(command), Some(token)) if command == format!("{token}::") => stopped = None,
                (Some(command), None) => match command.split_once("::").unwrap() {
                    ("stop-commands", token) => stopped = Some(token.to_owned()),
                    ("group", _) => {
                        log.lines.push((depth, line.to_owned()));
                        depth += 1;
                    }
                    ("endgroup", _) => depth -= 1,
                    _ => log.commands.push(command.to_owned()),
                },
                _ if line.contains("##[") => log.commands.push(line.to_owned()),
                _ => log.lines.push((depth, line.to_owned())),
            }
            assert!(depth < 2, "a group in a group:\n{text}");
        }
        assert_eq!((depth, stopped), (0, None), "something is not ended:\n{text}");
        log
    }

    /// The lines that are folded away, with the heading of their group.
    fn folded(&self) -> Vec<&str> {
        let is_folded = |(depth, line): &&(usize, String)| *depth > 0 || line.starts_with("::group::");
        self.lines.iter().filter(is_folded).map(|(_, line)| line.as_str()).collect()
    }

    fn plain(&self) -> String {
        let plain = self.lines.iter().filter(|(depth, line)| *depth == 0 && !line.starts_with("::group::"));
        plain.map(|(_, line)| steady(line) + "\n").collect()
    }
}

fn on_github(toml: &str) -> Sandbox {
    let mut tree = Sandbox::with(toml);
    tree.set_env("GITHUB_ACTIONS", "true");
    tree.set_env("CI", "true");
    tree
}

#[test]
fn what_tasks_write_is_folded_task_by_task() {
    // Each waits for the other, so that what they write comes by turns.
    let tree = on_github(
        r#"
        [tasks.one]
        exec = "echo 1a; touch p; until test -e q; do sleep 0.01; done; echo 1b >&2"
        execIfModified = ["devtask.toml"]
        [tasks.two]
        exec = "until test -e p; do sleep 0.01; done; echo 2a; touch q; echo 2b"
        execIfModified = ["devtask.toml"]
        [tasks.silent]
        exec = "true"
        execIfModified = ["devtask.toml"]
        [tasks.both]
        after = ["one", "two", "silent"]
        "#,
    );
    let log = Log::read(&tree.ok("run both").err);
    let folded = log.folded();
    let at = |line| folded.iter().position(|l| *l == line).unwrap();
    assert_eq!(folded.len(), 6, "{folded:?}");
    assert_eq!(folded[at("::group::tree:one") + 1..][..2], ["1a", "1b"]);
    assert_eq!(folded[at("::group::tree:two") + 1..][..2], ["2a", "2b"]);
    assert!(log.commands.is_empty(), "{:?}", log.commands);
    assert!(log.plain().contains("Succeeded         tree:silent (…)\n"), "{}", log.plain());
    assert!(log.plain().contains("3 Succeeded"), "{}", log.plain());

    let again = Log::read(&tree.ok("run both").err);
    assert!(again.folded().is_empty(), "{again:?}");
    // Another way of showing is still to be had, and this one elsewhere.
    assert!(!tree.ok("run both --force --ui plain").err.contains("::"));
    let forced = tree.devtask(["run", "one", "--force", "--ui", "github"]).without("GITHUB_ACTIONS").run();
    assert_eq!(Log::read(&forced.err).folded(), ["::group::tree:one", "1a", "1b"], "{forced}");
    let off = tree.devtask(["run", "one", "--force"]).env("GITHUB_ACTIONS", "false").run();
    assert!(!off.err.contains("::"), "{off}");
    assert_eq!(tree.ok("run both --force --quiet").err, "");
}

#[test]
fn a_failure_is_open_and_annotated_where_it_happened() {
    let mut tree = on_github("");
    tree.write(
        "sub/devtask.toml",
        r#"
        [tasks.cc]
        exec = "seq 30; echo 'src/a.c:3:14: error: no, no'; echo '/etc/passwd:1: not ours'; echo '../up.c:1: nor this'; exit 2"
        [tasks.py]
        exec = "printf 'File \"b.py\", line 4\\nValueError: 100%%\\n' >&2; exit 1"
        cwd = "src"
        [tasks.dead]
        exec = "exit 7"
        [tasks.after]
        exec = "true"
        after = ["dead"]
        "#,
    );
    tree.write("sub/src/a.c", "");
    tree.write("sub/src/b.py", "");
    tree.write("up.c", "");
    tree.set_env("GITHUB_WORKSPACE", tree.path(""));
    let output = tree.devtask(["run", "cc", "py", "after", "-C", "sub"]).run();
    assert_eq!(output.code, Some(1), "{output}");
    let mut log = Log::read(&output.err);
    log.commands.sort();
    assert_eq!(
        log.commands,
        [
            "error file=sub/src/a.c,line=3,col=14,title=sub%3Acc::error: no, no",
            "error file=sub/src/b.py,line=4,title=sub%3Apy::ValueError: 100%25",
            "error title=sub%3Adead::sub:dead failed: exit 7",
        ],
        "{output}"
    );
    // 33 lines: the last 25 stand below the heading, what came before is folded.
    let folded = log.folded();
    assert_eq!(folded[..2], ["::group::sub:cc", "1"], "{output}");
    assert_eq!(folded.len(), 9, "{output}");
    let plain = log.plain();
    assert!(plain.contains("\n  9\n") && plain.contains("\n  src/a.c:3:14: error: no, no\n"), "{plain}");
    assert!(plain.contains("── last 25 of 33 lines ──"), "{plain}");
}

#[test]
fn what_is_checked_in_a_checkout_is_annotated_where_it_came_from() {
    let mut tree = on_github("");
    tree.write(
        "sub/devtask.toml",
        "[checks.words]\nexec = '! grep -nH bad \"$@\"'\nfiles = ['**/*.txt']\npass_files = true\n",
    );
    tree.write("sub/deep/a.txt", "good\nbad\n");
    tree.set_env("GITHUB_WORKSPACE", tree.path(""));
    for line in ["init -q -b main", "add ."] {
        let mut git = std::process::Command::new("git");
        assert!(git.args(line.split(' ')).current_dir(tree.root()).status().unwrap().success());
    }
    // Not as in the index, so it is looked at elsewhere.
    tree.write("sub/deep/a.txt", "good\n");
    let output = tree.devtask(["check", "--staged", "-C", "sub"]).run();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.err.contains("looking at a checkout of it"), "{output}");
    let log = Log::read(&output.err);
    assert_eq!(log.commands, ["error file=sub/deep/a.txt,line=2,title=check%3Asub%3Awords::bad"], "{output}");
}

#[test]
fn nothing_a_task_writes_is_a_command() {
    let tree = on_github(
        r####"
        [tasks.good]
        exec = "cat evil; echo '{\"devtask\": {\"messages\": [\"::error::m\", \"##[add-mask]m\"]}, \"x\": \"##[error]o\"}' > $DEVENV_TASK_OUTPUT_FILE"
        [tasks.bad]
        exec = "cat evil >&2; exit 1"
        after = ["good"]
        "####,
    );
    let evil = "::error::x\n  ::set-env name=PATH::/tmp\n::stop-commands::mine\n::mine::\n::endgroup::\n\
                ##[error]x\nsay ##[add-mask]y\n::add-matcher::m.json\na\r::error::behind a return\n\
                \u{200b}::error::x\n#\u{200b}#[error]x\n";
    tree.write("evil", evil);
    let output = tree.expect(1, "run bad --outputs json");
    let log = Log::read(&output.err);
    assert_eq!(log.commands, ["error title=tree%3Abad::tree:bad failed: exit 1"], "{output}");
    let folded = log.folded();
    assert!(folded.contains(&"  ::set-env name=PATH::/tmp") && folded.contains(&"##\\[error]x"), "{output}");
    assert!(!output.out.contains("##["), "{output}");
    assert!(output.json()["tree:good"]["x"] == "##[error]o", "{output}");
}

#[test]
fn warnings_are_annotations() {
    let tree = on_github(
        r#"
        [tasks.own]
        exec = "date +%N >> in"
        execIfModified = ["in"]
        "#,
    );
    tree.write("in", "");
    let log = Log::read(&tree.ok("run own").err);
    assert_eq!(log.commands.len(), 1, "{log:?}");
    assert!(
        log.commands[0].starts_with("warning title=devtask::tree:own: in changed while it ran"),
        "{log:?}"
    );
    assert!(!log.plain().contains("Warning"), "{log:?}");
}

#[test]
fn faults_of_task_files_are_no_commands_either() {
    let tree = on_github("[tasks.a]\nexec = 3 # ##[error]x\n");
    let output = tree.expect(2, "run a");
    assert!(output.err.contains("##\\[error]x") && !output.err.contains("##["), "{output}");
}

#[test]
fn the_page_of_the_run_gets_a_table() {
    let mut tree = on_github(
        r#"
        [tasks.gen]
        exec = "true"
        execIfModified = ["devtask.toml"]
        [tasks.test]
        exec = "exit 3"
        after = ["gen"]
        [tasks.ship]
        exec = "true"
        after = ["test"]
        "#,
    );
    tree.set_env("GITHUB_STEP_SUMMARY", tree.path("summary.md"));
    tree.write("summary.md", "before\n");
    tree.expect(1, "run ship");
    tree.expect(1, "run ship");
    let text = steady(&tree.read("summary.md").replace("&#46;", ".").replace("&#58;", ":"));
    let tables: Vec<&str> = text.split("### ").collect();
    let [before, first, second] = tables[..] else { panic!("{text}") };
    assert_eq!(before, "before\n");
    assert!(first.starts_with("devtask: 1 Succeeded, 1 Failed, 1 Dependency failed in …\n"), "{text}");
    assert!(first.contains("| **Failed** | tree:test | … | exit 3 |\n"), "{text}");
    assert!(first.contains("| Dependency failed | tree:ship |  | because tree:test failed |\n"), "{text}");
    assert!(first.contains("| Succeeded | tree:gen | … | no earlier run is known |\n"), "{text}");
    assert!(second.contains("| Cached | tree:gen |  | fresh |\n"), "{text}");
    // What only looks leaves nothing, and a run whose page cannot be written is told of it, and no failure.
    let before = tree.read("summary.md");
    tree.ok("run ship --dry-run");
    assert_eq!(tree.read("summary.md"), before);
    let lost = tree.devtask(["run", "gen"]).env("GITHUB_STEP_SUMMARY", tree.path("no/where.md")).run();
    assert_eq!(lost.code, Some(0), "{lost}");
    assert!(Log::read(&lost.err).commands[0].starts_with("warning title=devtask::cannot write"), "{lost}");
}
