//! `devtask check`, `devtask fix` and `--affected`, as people use them.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use super::support::{Output, Sandbox, eventually, set, tasks_in};

/// A check that tells which files it was given, and fails for those that have `BAD` in them.
const FMT: &str = r#"
name = "app"
[checks.fmt]
exec = '''
printf '%s\n' "$@" >> given
! grep -H BAD -- "$@"
'''
files = ["**/*.txt"]
pass_files = true
fix = 'sed -i.old "s/BAD/GOOD/" "$@" && rm -f *.old sub/*.old'
execIfModified = ["config"]
"#;

impl Sandbox {
    /// Calls git.
    pub(crate) fn git(&self, line: &str) -> String {
        self.git_in("", line)
    }

    /// Calls git in a directory of the tree.
    pub(crate) fn git_in(&self, dir: &str, line: &str) -> String {
        let output = self.git_command(dir, line).output().unwrap();
        assert!(output.status.success(), "git {line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn git_command(&self, dir: &str, line: &str) -> Command {
        let mut command = Command::new("git");
        command.args(line.split_whitespace()).current_dir(self.path(dir)).stdin(Stdio::null()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.home());
        command.envs([("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")]);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "n").env(format!("GIT_{who}_EMAIL"), "e@x");
        }
        command
    }

    /// Makes it a repository with everything committed.
    pub(crate) fn repository(&self) {
        self.git("init -q --initial-branch=main .");
        self.git("add -A");
        self.git("commit -q -m first");
    }
}

fn tree() -> Sandbox {
    let tree = Sandbox::with(FMT);
    tree.write("a.txt", "a\n");
    tree.write("sub/b.txt", "b\n");
    tree.write("other.md", "m\n");
    tree.write(".gitignore", "given\n.devtask\n");
    tree
}

/// The files checks were given since this was asked last, in the order of their names.
fn given(tree: &Sandbox) -> String {
    let text = if tree.exists("given") { tree.read("given") } else { String::new() };
    tree.remove_if_there("given");
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words.join(" ")
}

#[test]
fn what_has_passed_is_not_looked_at_again() {
    let tree = tree();
    tree.ok("check");
    assert_eq!(given(&tree), "a.txt sub/b.txt");
    let again = tree.ok("check");
    assert_eq!(given(&tree), "");
    assert!(again.err.contains("Cached            check:app:fmt (2 files)"), "{again}");
    tree.write("a.txt", "other\n");
    tree.ok("check");
    assert_eq!(given(&tree), "a.txt", "only what changed");
    tree.write("a.txt", "a\n");
    tree.ok("check");
    assert_eq!(given(&tree), "", "that has passed before");
    tree.ok("check --force");
    assert_eq!(given(&tree), "a.txt sub/b.txt");
    tree.write("config", "1");
    tree.ok("check");
    assert_eq!(given(&tree), "a.txt sub/b.txt", "what it rests on changed");
    tree.replace("devtask.toml", "! grep -H", "! grep -n -H");
    tree.ok("check");
    assert_eq!(given(&tree), "a.txt sub/b.txt", "it is another check");
    tree.write("new.txt", "n\n");
    tree.remove("a.txt");
    tree.ok("check");
    assert_eq!(given(&tree), "new.txt");
}

#[test]
fn what_failed_is_looked_at_until_it_passes() {
    let tree = tree();
    tree.write("a.txt", "BAD\n");
    for _ in 0..2 {
        let failed = tree.expect(1, "check");
        assert!(failed.err.contains("a.txt:BAD"), "{failed}");
        assert!(failed.err.contains("rerun: devtask check app:fmt"), "{failed}");
        assert!(failed.err.contains("Try               devtask fix app:fmt"), "{failed}");
        assert_eq!(given(&tree), "a.txt sub/b.txt");
    }
    let fixed = tree.ok("fix");
    assert!(fixed.err.contains("Fixed             a.txt\n"), "{fixed}");
    assert_eq!(tree.read("a.txt"), "GOOD\n");
    tree.ok("check");
    let nothing = tree.ok("fix");
    assert!(nothing.err.contains("Cached"), "what passes needs no fix\n{nothing}");
}

#[test]
fn a_fix_tells_of_what_it_changed_and_of_nothing_else() {
    let tree = tree();
    tree.repository();
    tree.ok("check");
    tree.write("a.txt", "BAD\n");
    tree.write("sub/b.txt", "b, staged\n");
    tree.ok("check sub/b.txt");
    tree.git("add -A");
    let fixed = tree.ok("fix --staged");
    let told: Vec<&str> = fixed.err.lines().filter(|line| line.starts_with("Fixed")).collect();
    assert_eq!(told, ["Fixed             a.txt"], "{fixed}");
    assert_eq!(tree.git("show :a.txt"), "GOOD\n");
}

#[test]
fn a_check_that_passed_once_and_then_failed_is_not_believed() {
    let mut tree = tree();
    tree.set_env("OUTSIDE", "1");
    tree.replace("devtask.toml", "! grep", "[ \"$OUTSIDE\" = 1 ]; ! grep");
    tree.ok("check");
    tree.set_env("OUTSIDE", "2");
    tree.expect(1, "check --force");
    tree.set_env("OUTSIDE", "1");
    given(&tree);
    tree.ok("check");
    assert_eq!(given(&tree), "a.txt sub/b.txt", "its last word was no");
}

#[test]
fn a_check_that_writes_fails() {
    let tree = tree();
    tree.replace("devtask.toml", "! grep", "echo more >> a.txt; ! grep");
    let failed = tree.expect(1, "check");
    assert!(failed.err.contains("error: a.txt changed while being checked"), "{failed}");
    given(&tree);
    tree.expect(1, "check");
    assert_eq!(given(&tree), "a.txt", "what was there at the end has not been looked at");
}

#[test]
fn files_and_checks_by_name() {
    let tree = tree();
    tree.append("devtask.toml", "[checks.lint]\nexec = 'printf \"lint %s\\n\" \"$@\" >> given'\npass_files = true\nfiles = ['*.md', '*.txt']\n");
    let cases = [
        ("check a.txt", "a.txt a.txt lint"),
        ("check fmt", "a.txt sub/b.txt"),
        ("check app:lint", "a.txt lint lint other.md"),
        ("check check:app:lint other.md", "lint other.md"),
        ("check sub", "sub/b.txt"),
        ("check ./sub/b.txt fmt", "sub/b.txt"),
        ("check --files a.txt sub/b.txt", "a.txt a.txt lint sub/b.txt"),
        ("check lint fmt -- sub/b.txt", "sub/b.txt"),
    ];
    for (line, expected) in cases {
        tree.remove_if_there(".devtask");
        let output = tree.ok(line);
        assert_eq!(given(&tree), expected, "{line}\n{output}");
    }
    let from = tree.devtask(["check", "--files0-from", "names"]);
    tree.write("names", b"a.txt\0sub/b.txt\0");
    tree.remove(".devtask");
    assert_eq!(from.run().code, Some(0));
    assert_eq!(given(&tree), "a.txt a.txt lint sub/b.txt");
    let unknown = tree.expect(4, "check fnt missing.txt");
    assert!(unknown.err.contains("`fnt` is the name of no check and of no file"), "{unknown}");
    assert!(unknown.err.contains("did you mean `app:fmt`?"), "{unknown}");
    assert!(unknown.err.contains("`missing.txt` is the name"), "all at once\n{unknown}");
    let missing = tree.expect(2, "check --files nothing.txt");
    assert!(missing.err.contains("there is no file nothing.txt"), "{missing}");
    tree.expect(2, "check --staged --all-files");
    let two = tree.expect(2, "check --all-files a.txt");
    assert!(two.err.contains("choose one of them"), "{two}");
}

#[test]
fn what_is_skipped_by_name() {
    let mut tree = tree();
    tree.set_env("SKIP", "other, fmt");
    let skipped = tree.ok("check");
    assert!(skipped.err.contains("Skipped           app:fmt (SKIP)"), "{skipped}");
    assert_eq!(given(&tree), "");
}

#[test]
fn a_dry_run_says_what_would_be_looked_at() {
    let tree = tree();
    let dry = tree.expect(5, "check -n");
    assert!(dry.err.contains("Files             check:app:fmt: a.txt, sub/b.txt"), "{dry}");
    assert!(!tree.exists("given") && !tree.exists(".devtask"));
    tree.ok("check");
    tree.ok("check -n");
    tree.expect(5, "fix -n --force");
}

#[test]
fn a_check_that_looks_around_is_fresh_as_a_task_is() {
    let tree = Sandbox::with(
        "name = 'app'\n[checks.whole]\nexec = 'echo x >> count'\nfiles = ['**/*.txt']\nexecIfModified = ['Lock']\n",
    );
    tree.write("a.txt", "a");
    tree.write("b.md", "b");
    tree.write(".gitignore", "count\n.devtask\n");
    tree.repository();
    let count = || tree.read("count").lines().count();
    tree.ok("check");
    tree.ok("check");
    assert_eq!(count(), 1);
    let no = tree.ok("check b.md");
    assert!(no.err.contains("no check is about 1 file"), "{no}");
    tree.write("Lock", "1");
    tree.ok("check");
    assert_eq!(count(), 2);
    let why = tree.ok("why check:app:whole");
    assert!(why.out.contains("is fresh"), "{why}");
    tree.git("add -A");
    tree.git("rm -q a.txt");
    tree.ok("check --staged");
    assert_eq!(count(), 3, "what was deleted is a change");
}

#[test]
fn what_a_check_needs_runs_first_and_hands_on() {
    let tree = Sandbox::with(
        r#"
        name = "app"
        [tasks.install]
        exec = 'echo x >> installs; TOOL=there'
        exports = ["TOOL"]
        execIfModified = ["lock"]
        [checks.fmt]
        exec = 'echo "$TOOL $*" >> given'
        files = ["*.txt"]
        pass_files = true
        after = ["install"]
        "#,
    );
    tree.write("lock", "1");
    tree.write("a.txt", "a");
    tree.ok("check");
    assert_eq!((given(&tree).as_str(), tree.read("installs").as_str()), ("a.txt there", "x\n"));
    tree.ok("check");
    assert_eq!(given(&tree), "");
    tree.write("a.txt", "b");
    tree.ok("check");
    assert_eq!((given(&tree).as_str(), tree.read("installs").as_str()), ("a.txt there", "x\n"));
    tree.write("lock", "2");
    tree.ok("check");
    assert_eq!(given(&tree), "a.txt there", "what is installed may be another");
    tree.replace("devtask.toml", "echo x >> installs", "exit 3");
    tree.write("a.txt", "c");
    let failed = tree.expect(1, "check");
    assert!(failed.err.contains("Dependency failed check:app:fmt"), "{failed}");
}

#[test]
fn checks_are_no_part_of_other_runs() {
    let tree = tree();
    tree.append(
        "devtask.toml",
        "[tasks.build]\nexec = 'true'\n[checks.after]\nexec = 'echo after >> given'\nafter = ['build']\n",
    );
    tree.ok("run");
    tree.ok("run build --mode all");
    tree.expect(4, "run check");
    assert_eq!(given(&tree), "");
    let refused = tree.expect(4, "run check:app:fmt");
    assert!(refused.err.contains("help: devtask check app:fmt"), "{refused}");
    tree.ok("run check:app:after");
    assert_eq!(given(&tree), "after", "what needs no files is a task like any other");
    let list = tree.ok("list --json").json();
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["app:build", "check:app:after", "check:app:fmt"]);
    assert_eq!(list[2]["check"]["passFiles"], true);
    assert!(tree.ok("list").out.contains("checks files"));
    let why = tree.ok("why check:app:fmt");
    assert!(why.out.contains("`devtask check -n app:fmt` says which are left"), "{why}");
    assert_eq!(tree.ok("__complete checks").out, "fmt\napp:fmt\nafter\napp:after\n");
}

#[test]
fn help_says_how_it_ends_and_what_leaves_checks_out() {
    let tree = Sandbox::new();
    for verb in ["check", "fix"] {
        // Lines are broken where the terminal ends.
        let help = tree.ok(&format!("{verb} --help")).out.split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in [
            "SKIP=",
            "failed, 2 wrong usage",
            "4 there is no such check",
            "5 something would run",
            "it is to go into",
        ] {
            assert!(help.contains(wanted), "{verb}: {wanted}\n{help}");
        }
    }
    assert!(tree.ok("fix --help").out.contains("Checks without a `fix` are passed over"));
}

#[test]
fn faults_of_usage() {
    let tree = Sandbox::with("[tasks.a]\nexec = 'true'\n");
    let none = tree.expect(4, "check");
    assert!(none.err.contains("error: there are no checks here"), "{none}");
    let tree = self::tree();
    let outside = tree.expect(2, "check --staged");
    assert!(outside.err.contains("is not in a git repository"), "{outside}");
    tree.repository();
    let commit = tree.expect(2, "check --from-ref nowhere");
    assert!(commit.err.contains("there is no commit `nowhere`"), "{commit}");
    tree.expect(2, "check --to-ref HEAD");
    let base = tree.expect(2, "check --affected=nowhere");
    assert!(base.err.contains("there is no commit `nowhere`"), "{base}");
    // What GitHub says the branch goes into counts, and nothing else in its place.
    let of_request = tree.devtask(["check", "--affected"]).env("GITHUB_BASE_REF", "release").run();
    let said = "`origin/release`, which the branch is to go into, is not known here";
    assert!(of_request.code == Some(2) && of_request.err.contains(said), "{of_request}");
    assert!(of_request.err.contains("fetch-depth: 0"), "{of_request}");
    tree.git("update-ref refs/remotes/origin/release HEAD");
    let of_request = tree.devtask(["check", "--affected"]).env("GITHUB_BASE_REF", "release").run();
    assert!(of_request.code != Some(2), "{of_request}");
    tree.git("checkout -q -b side");
    tree.write("a.txt", "side\n");
    tree.git("commit -q -a -m side");
    tree.git("checkout -q main");
    tree.write("a.txt", "main\n");
    tree.git("commit -q -a -m main");
    assert!(!tree.git_command("", "merge -q side").output().unwrap().status.success());
    let unmerged = tree.expect(2, "check --staged");
    assert!(unmerged.err.contains("error: a.txt is unmerged"), "{unmerged}");
}

#[test]
fn files_that_do_not_fit_into_one_command_line_are_given_in_portions() {
    let tree = Sandbox::with(
        "[checks.many]\nexec = 'echo \"$#\" >> given'\nfiles = ['**/*.txt']\npass_files = true\n",
    );
    let long = "long-".repeat(30);
    for n in 0..1500 {
        tree.write(format!("files/{long}{n:04}.txt"), "x");
    }
    // The system's limit for a command line is a quarter of that for the stack.
    let running =
        tree.devtask(["check", "-q"]).start_under("sh", &["-c", "ulimit -s 1024; exec \"$@\"", "sh"]);
    let output = running.finish();
    assert_eq!(output.code, Some(0), "{output}");
    let portions: Vec<usize> = given(&tree).split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert!(portions.len() > 1, "{portions:?}");
    assert_eq!(portions.iter().sum::<usize>(), 1500);
}

#[test]
fn what_was_not_given_before_the_end_has_not_passed() {
    let tree = Sandbox::with(
        "[settings]\nfail_fast = true\n[checks.many]\nexec = 'echo \"$#\" >> given'\nfiles = ['files/*.txt']\npass_files = true\n\
         [checks.no]\nexec = 'exit 3'\nfiles = ['files/*.txt']\npass_files = true\nafter = ['wait']\n\
         [tasks.wait]\nexec = 'until [ -s given ]; do sleep 0.01; done'\n",
    );
    let long = "long-".repeat(30);
    for n in 0..1500 {
        tree.write(format!("files/{long}{n:04}.txt"), "x");
    }
    let small = |words: &[&str]| {
        tree.devtask(words.iter().copied())
            .start_under("sh", &["-c", "ulimit -s 1024; exec \"$@\"", "sh"])
            .finish()
    };
    assert_eq!(small(&["check", "-q", "-j4"]).code, Some(1));
    let first: usize = given(&tree).parse().unwrap();
    assert!(first < 1500, "only the first portion");
    tree.ok("check many");
    let rest: usize = given(&tree).split_whitespace().map(|n| n.parse::<usize>().unwrap()).sum();
    assert_eq!(rest, 1500, "what was known of a part of it is not much");
}

#[test]
fn fixes_go_on_after_one_that_fails() {
    let tree = tree();
    tree.repository();
    tree.replace(
        "devtask.toml",
        "[checks.fmt]",
        "[checks.first]\nexec = 'true'\nfix = 'exit 3'\nfiles = ['*.txt']\npass_files = true\n[checks.fmt]",
    );
    tree.git("add -A");
    tree.write("a.txt", "BAD\n");
    tree.git("add -A");
    let failed = tree.expect(1, "fix --staged");
    assert!(failed.err.contains("not everything could be fixed"), "{failed}");
    assert_eq!((tree.read("a.txt").as_str(), tree.git("show :a.txt").as_str()), ("GOOD\n", "BAD\n"));
}

#[test]
fn what_has_no_fix_is_told() {
    let tree = tree();
    tree.append("devtask.toml", "[checks.lint]\nexec = 'true'\nfiles = ['*.txt']\n");
    let none = tree.ok("fix lint");
    assert!(none.err.contains("Skipped           none of these checks has a `fix`"), "{none}");
    assert!(!none.err.contains("no fix is about"), "{none}");
    tree.repository();
    let refused = tree.expect(2, "fix --from-ref HEAD");
    assert!(refused.err.contains("`--from-ref` is for `check`"), "{refused}");
}

#[test]
fn a_configuration_that_is_not_added_is_no_part_of_a_commit() {
    let tree = tree();
    tree.repository();
    tree.write("a.txt", "x\n");
    tree.git("add a.txt");
    let here = tree.ok("check --staged");
    assert!(!here.err.contains("checkout"), "{here}");
    tree.write("config", "1");
    let aside = tree.ok("check --staged --force");
    assert!(aside.err.contains("config is not as in the index"), "{aside}");
}

#[test]
fn a_tree_has_the_same_name_in_a_checkout() {
    let tree = tree();
    tree.replace("devtask.toml", "name = \"app\"\n", "[tasks.gen]\nexec = 'true'\n");
    tree.replace("devtask.toml", "pass_files = true", "pass_files = true\nafter = ['tree:gen']");
    tree.repository();
    tree.write("a.txt", "x\n");
    tree.git("add a.txt");
    tree.write("a.txt", "y\n");
    let aside = tree.ok("check --staged tree:fmt");
    assert!(aside.err.contains("looking at a checkout") && aside.err.contains("check:tree:fmt"), "{aside}");
}

#[test]
fn a_project_behind_a_link_has_its_files() {
    let tree = Sandbox::with("name = 'app'\ninclude = ['proj']\n");
    tree.write(
        "real/devtask.toml",
        "[checks.fmt]\nexec = '! grep -H BAD -- \"$@\"'\nfiles = ['*.txt']\npass_files = true\n",
    );
    tree.write("real/a.txt", "a\n");
    tree.write(".gitignore", ".devtask\n");
    std::os::unix::fs::symlink("real", tree.path("proj")).unwrap();
    tree.repository();
    tree.write("real/a.txt", "BAD\n");
    tree.git("add -A");
    tree.expect(1, "check --staged");
    tree.write("real/a.txt", "mended\n");
    let aside = tree.expect(1, "check --staged");
    assert!(aside.err.contains("looking at a checkout"), "{aside}");
    tree.replace("real/devtask.toml", "pass_files = true", "pass_files = true\nfix = 'echo GOOD > a.txt'");
    tree.git("add real/devtask.toml");
    tree.ok("fix --staged");
    assert_eq!(tree.git("show :real/a.txt"), "GOOD\n");
    tree.write("real/a.txt", "BAD\n");
    tree.git("add -A");
    tree.ok("fix --staged");
    assert_eq!(
        (tree.git("show :real/a.txt").as_str(), tree.read("real/a.txt").as_str()),
        ("GOOD\n", "GOOD\n")
    );
}

#[test]
fn nothing_is_mended_while_the_index_is_locked() {
    let tree = tree();
    tree.repository();
    tree.write("a.txt", "BAD\n");
    tree.git("add a.txt");
    tree.write(".git/index.lock", "");
    let locked = tree.expect(2, "fix --staged");
    assert!(locked.err.contains("the index is locked"), "{locked}");
    assert_eq!(tree.read("a.txt"), "BAD\n");
    tree.ok("fix");
    assert_eq!(tree.read("a.txt"), "GOOD\n");
}

#[test]
fn what_git_was_told_not_to_see_is_seen() {
    let tree = tree();
    tree.repository();
    tree.write("a.txt", "BAD\n");
    tree.git("add a.txt");
    tree.git("update-index --skip-worktree a.txt");
    tree.write("a.txt", "fine\n");
    let failed = tree.expect(1, "check --staged");
    assert!(failed.err.contains("a.txt is not as in the index"), "{failed}");
}

#[test]
fn what_changes_while_it_is_looked_at_in_place_was_not_looked_at() {
    let tree = tree();
    tree.replace("devtask.toml", "! grep", "cp ../home/later config; ! grep");
    tree.write("config", "1");
    tree.write("../home/later", "2");
    tree.repository();
    tree.write("a.txt", "x\n");
    tree.git("add a.txt");
    let changed = tree.expect(1, "check --staged");
    assert!(changed.err.contains("config changed meanwhile"), "{changed}");
}

#[test]
fn a_repository_that_is_only_named_is_checked_and_left_alone() {
    let mut tree = tree();
    tree.repository();
    let named = tree.home().join("named.git");
    fs::rename(tree.path(".git"), &named).unwrap();
    let config = fs::read(named.join("config")).unwrap();
    tree.set_env("GIT_DIR", &named);
    let root = tree.root().to_owned();
    tree.set_env("GIT_WORK_TREE", root);
    tree.write("a.txt", "BAD\n");
    let git = |words: &[&str]| {
        let mut command = tree.git_command("", "");
        command.args(words).env("GIT_DIR", &named).env("GIT_WORK_TREE", tree.root());
        assert!(command.output().unwrap().status.success());
    };
    git(&["add", "a.txt"]);
    tree.write("a.txt", "x\n");
    let failed = tree.expect(1, "check --staged");
    assert!(failed.err.contains("a.txt:BAD"), "{failed}");
    assert_eq!(fs::read(named.join("config")).unwrap(), config);
    assert!(!tree.exists(".git"));
}

#[test]
fn only_what_a_fix_is_about_goes_into_the_index() {
    let tree = tree();
    tree.write("made.md", "old\n");
    tree.append("devtask.toml", "[tasks.gen]\nexec = 'echo new > made.md'\n");
    tree.replace("devtask.toml", "pass_files = true", "pass_files = true\nafter = ['gen']");
    tree.repository();
    tree.write("a.txt", "one\ntwo\nthree\nBAD\n");
    tree.git("add a.txt");
    tree.write("a.txt", "zero\none\ntwo\nthree\nBAD\n");
    let fixed = tree.ok("fix --staged");
    assert!(fixed.err.contains("looking at a checkout"), "{fixed}");
    assert_eq!((tree.git("show :made.md").as_str(), tree.read("made.md").as_str()), ("old\n", "old\n"));
    assert_eq!(tree.git("show :a.txt"), "one\ntwo\nthree\nGOOD\n");
    assert_eq!(tree.read("a.txt"), "zero\none\ntwo\nthree\nGOOD\n");
}

#[test]
fn fixes_of_the_same_file_take_turns() {
    let fix = |name: &str| {
        format!(
            "[checks.{name}]\nexec = 'grep -q {name} \"$@\"'\nfiles = ['*.txt']\npass_files = true\n\
             fix = 'for f; do text=$(cat \"$f\"); sleep 0.01; echo \"$text {name}\" > \"$f\"; done'\n"
        )
    };
    let names = ["one", "two", "three", "four"];
    let tree = Sandbox::with(&names.map(fix).concat());
    tree.write("a.txt", "start");
    tree.ok("fix -j4");
    assert_eq!(
        tree.read("a.txt"),
        "start one two three four\n",
        "none was lost, in the order they are declared"
    );
    tree.ok("check");
}

#[test]
fn a_watch_that_holds_the_tree_looks_at_files_for_others() {
    let tree = tree();
    tree.append("devtask.toml", "[tasks.build]\nexec = 'echo built >> builds'\nexecIfModified = ['in']\n");
    tree.write("in", "1");
    let watch = tree.devtask(["watch", "build"]).start();
    eventually("it watches", || tree.exists("builds") && tree.exists(".devtask/socket"));
    let checked = tree.ok("check");
    assert_eq!(given(&tree), "a.txt sub/b.txt", "{checked}");
    tree.ok("check");
    assert_eq!(given(&tree), "");
    tree.write("a.txt", "BAD\n");
    tree.expect(1, "check");
    assert_eq!(given(&tree), "a.txt");
    watch.signal(2);
    watch.finish();
}

#[test]
fn a_project_of_its_own_has_its_own_checks() {
    let tree = tree();
    tree.replace("devtask.toml", "name = \"app\"", "name = \"app\"\ninclude = [\"web\"]");
    tree.write("web/devtask.toml", "[checks.fmt]\nexec = 'printf \"web %s\\n\" \"$@\" >> ../given'\nfiles = ['*.txt']\npass_files = true\n");
    tree.write("web/w.txt", "w");
    tree.repository();
    let inside = tree.devtask(["check"]).dir("web").run();
    assert_eq!(
        (inside.code, given(&tree).as_str()),
        (Some(0), "w.txt web web/w.txt"),
        "all checks, on its files\n{inside}"
    );
    tree.ok("check -j1 --force");
    assert_eq!(given(&tree), "a.txt sub/b.txt w.txt web web/w.txt", "at the root, all");
    tree.write("a.txt", "changed");
    tree.write("web/w.txt", "changed");
    tree.git("add -A");
    let staged = tree.devtask(["check", "--staged", "-j1"]).dir("web").run();
    assert_eq!((staged.code, given(&tree).as_str()), (Some(0), "a.txt w.txt web web/w.txt"), "{staged}");
    let named = tree.devtask(["check", "fmt", "--force"]).dir("web").run();
    assert_eq!((named.code, given(&tree).as_str()), (Some(0), "w.txt web"), "{named}");
}

/// Commits with a hook that looks at what is staged.
fn commit(tree: &Sandbox, line: &str) -> Output {
    let hook = format!("#!/bin/sh\nexec '{}' check --staged\n", super::support::DEVTASK);
    tree.program(".git/hooks/pre-commit", &hook);
    let output = tree.git_command("", line).output().unwrap();
    Output {
        code: output.status.code(),
        signal: None,
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn a_hook_looks_at_what_is_about_to_be_committed() {
    let tree = tree();
    // A git that a check calls is about the work tree it is called in, and not about the commit in progress.
    tree.replace("devtask.toml", "! grep", "env | grep ^GIT_ | grep -v -e AUTHOR -e COMMITTER -e NOSYSTEM -e EDITOR -e EXEC_PATH >> leaked || true; ! grep");
    tree.repository();
    tree.write("a.txt", "BAD\n");
    tree.git("add a.txt");
    tree.write("a.txt", "mended, but not staged\n");
    let refused = commit(&tree, "commit -q -m x");
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.err.contains("a.txt:BAD"), "{refused}");
    assert!(refused.err.contains("full log: .devtask/checkout/tree/.devtask/log/"), "{refused}");
    assert_eq!(tree.read("a.txt"), "mended, but not staged\n");
    // All of it: what `-a` would stage is in an index of its own, which is gone afterwards.
    tree.write("sub/b.txt", "BAD\n");
    let refused = commit(&tree, "commit -q -a -m x");
    assert!(refused.err.contains("Try               devtask fix app:fmt"), "{refused}");
    assert!(refused.err.contains("rerun: devtask check app:fmt"), "{refused}");
    tree.write("sub/b.txt", "b\n");
    let all = commit(&tree, "commit -q -a -m x");
    assert_eq!(all.code, Some(0), "{all}");
    // A part of it: what else is staged is not looked at.
    tree.write("a.txt", "BAD\n");
    tree.git("add a.txt");
    tree.write("sub/b.txt", "b2\n");
    let part = commit(&tree, "commit -q -m x sub/b.txt");
    assert_eq!(part.code, Some(0), "{part}");
    let refused = commit(&tree, "commit -q -m x");
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(!tree.exists("leaked") || tree.read("leaked").is_empty(), "{}", tree.read("leaked"));
}

#[test]
fn in_a_hook_the_default_is_what_is_staged() {
    let tree = tree();
    tree.repository();
    let hook = format!("#!/bin/sh\nexec '{}' check\n", super::support::DEVTASK);
    tree.program(".git/hooks/pre-commit", &hook);
    tree.write("a.txt", "a2\n");
    tree.write("sub/b.txt", "BAD\n");
    tree.git("add a.txt");
    let output = tree.git_command("", "commit -q -m x").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_checkout_has_what_checks_need() {
    let tree = tree();
    tree.replace("devtask.toml", "! grep", "cat modules/tool; cat .env; ! grep");
    tree.replace("devtask.toml", "pass_files = true", "pass_files = true\nlink = ['modules']");
    tree.replace("devtask.toml", "name = \"app\"", "name = \"app\"\ndotenv = ['.env']");
    tree.write(".env", "A=b\n");
    tree.write("modules/tool", "tool\n");
    tree.append(".gitignore", "modules/\n.env\n");
    tree.git("init -q --initial-branch=main .");
    // The task file itself is not added: who tries devtask out has not committed it.
    tree.git("add a.txt .gitignore");
    tree.write("a.txt", "BAD\n");
    let ok = tree.ok("check --staged");
    assert!(ok.err.contains("a.txt is not as in the index: looking at a checkout of it"), "{ok}");
    assert_eq!(tree.read("a.txt"), "BAD\n");
    assert!(Path::new(&tree.path(".devtask/checkout/tree/modules")).is_symlink());
    tree.write("modules/tool", "another\n");
    tree.git("add a.txt");
    tree.write("a.txt", "c\n");
    tree.expect(1, "check --staged");
    let fixed = tree.ok("fix --staged");
    assert!(fixed.err.contains("Fixed             a.txt in the index only"), "{fixed}");
    assert_eq!((tree.git("show :a.txt").as_str(), tree.read("a.txt").as_str()), ("GOOD\n", "c\n"));
}

#[test]
fn the_rules_of_a_commit_are_those_it_brings() {
    let tree = tree();
    tree.repository();
    tree.write("a.txt", "x\n");
    tree.git("add a.txt");
    // A check that is being written is not part of the commit yet.
    tree.replace("devtask.toml", "! grep", "exit 9; ! grep");
    let staged = tree.ok("check --staged");
    assert!(staged.err.contains("devtask.toml is not as in the index"), "{staged}");
    tree.git("add devtask.toml");
    tree.expect(1, "check --staged");
}

#[test]
fn what_a_branch_changed() {
    let tree = tree();
    tree.append(
        "devtask.toml",
        "[tasks.build]\nexec = 'true'\nexecIfModified = ['*.txt']\n[tasks.test]\nexec = 'true'\nafter = ['build']\n\
         execIfModified = ['tests/*']\n[tasks.docs]\nexec = 'true'\nexecIfModified = ['*.md']\n",
    );
    tree.repository();
    let names = |line: &str| -> std::collections::BTreeSet<String> {
        let list = tree.ok(line).json();
        list.as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("list --json --affected"), set(""));
    let nothing = tree.ok("run --affected");
    assert!(nothing.err.contains("Nothing of it is affected"), "{nothing}");
    let nothing = tree.ok("list --affected");
    assert_eq!(
        (nothing.out.as_str(), nothing.err.as_str()),
        ("", "Nothing of it is affected\n"),
        "{nothing}"
    );
    tree.git("checkout -q -b side");
    tree.write("a.txt", "side\n");
    tree.git("commit -q -a -m side");
    let all = set("app:build app:test check:app:fmt");
    assert_eq!(names("list --json --affected=main"), all);
    assert_eq!(names("list --json --affected"), all, "main is the usual base");
    tree.git("checkout -q main");
    tree.write("other.md", "not committed\n");
    assert_eq!(names("list --json --affected"), set("app:docs"));
    tree.git("commit -q -a -m main");
    tree.git("checkout -q side");
    assert_eq!(names("list --json --affected"), all, "what main did since is not the branch's");
    tree.ok("run --affected");
    assert_eq!(tree.executed(), set("app:build app:test"));
    tree.ok("run docs --affected");
    assert_eq!(tree.executed(), set("app:build app:test"), "docs is not affected, so nothing ran");
    let graph = tree.ok("graph --affected --format json").json();
    assert_eq!(graph["tasks"].as_array().map(Vec::len), Some(3), "{graph}");
    // By content: there and back is no change.
    tree.write("a.txt", "a\n");
    assert_eq!(names("list --json --affected"), set(""));
    tree.write("a.txt", "side\n");
    tree.ok("check --affected");
    assert_eq!(given(&tree), "a.txt");
    tree.expect(2, "watch --affected");
    tree.expect(2, "test --affected");
}

#[test]
fn files_as_they_are_in_a_commit() {
    let tree = tree();
    tree.repository();
    tree.write("a.txt", "BAD\n");
    tree.git("commit -q -a -m bad");
    tree.write("a.txt", "mended\n");
    let failed = tree.expect(1, "check --from-ref HEAD~1");
    assert!(failed.err.contains("a.txt is not as in the commit"), "{failed}");
    tree.git("commit -q -a -m mended");
    tree.ok("check --from-ref HEAD~1");
    tree.expect(1, "check --from-ref HEAD~2 --to-ref HEAD~1");
    assert_eq!(tree.read("a.txt"), "mended\n");
    assert_eq!(tree.git("status --porcelain"), "");
}

#[test]
fn events_of_checks() {
    let tree = tree();
    tree.expect(0, "check --events events.jsonl");
    let events = super::support::events_of(&tree.read("events.jsonl"));
    assert_eq!(tasks_in(&events, "task_started"), set("check:app:fmt"));
}

#[test]
fn a_state_directory_elsewhere() {
    let tree = tree();
    tree.repository();
    tree.write("a.txt", "BAD\n");
    tree.git("add a.txt");
    tree.write("a.txt", "x\n");
    let elsewhere = tree.home().join("state");
    let words = ["check".into(), "--staged".into(), "--state-dir".into(), elsewhere.clone().into_os_string()];
    let output = tree.devtask(words).run();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(!tree.exists(".devtask"));
    assert!(fs::metadata(elsewhere.join("checkout/tree/.git")).unwrap().is_dir());
}
