//! git's hooks, with real repositories: what was there goes on, what is checked is what is committed or pushed, and
//! taken away again nothing is left.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use super::support::{Output, Sandbox};

/// A check that has something against the word `bad`.
const CHECKS: &str = "[checks.words]\nexec = '! grep bad \"$@\"'\nfiles = ['**/*.txt']\npass_files = true\n";

/// A repository with that check at its top.
fn repository() -> Sandbox {
    let tree = Sandbox::with(CHECKS);
    git(&tree, "", "init -q -b main");
    git(&tree, "", "add devtask.toml");
    git(&tree, "", "commit -qm first");
    tree
}

fn git_command(tree: &Sandbox, dir: impl AsRef<Path>) -> Command {
    let mut command = Command::new("git");
    command.current_dir(tree.path(dir)).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("HOME", tree.home()).env("LC_ALL", "C").env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("TMPDIR", tree.home());
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "somebody")
            .env(format!("GIT_{who}_EMAIL"), "who@example.invalid");
    }
    command
}

/// What git came to, and what it and its hooks said.
fn try_git(tree: &Sandbox, dir: impl AsRef<Path>, line: &str) -> (bool, String) {
    let output = git_command(tree, dir).args(line.split_whitespace()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn git(tree: &Sandbox, dir: impl AsRef<Path>, line: &str) -> String {
    let (is_done, said) = try_git(tree, dir, line);
    assert!(is_done, "git {line}\n{said}");
    said.trim_end().to_owned()
}

/// Stages a file with this text and commits it.
fn commit(tree: &Sandbox, file: &str, text: &str) -> (bool, String) {
    let path = Path::new(file);
    let (dir, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
    tree.write(file, text);
    git(tree, dir, &format!("add {name}"));
    try_git(tree, dir, "commit -qm more")
}

/// Everything in a directory: names, modes, contents, targets of links.
fn picture(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let one = |entry: fs::DirEntry| {
        let (path, meta) = (entry.path(), entry.path().symlink_metadata().unwrap());
        let content = match meta.is_symlink() {
            true => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            false => fs::read(&path).unwrap_or_default(),
        };
        (path, (meta.mode(), content))
    };
    fs::read_dir(dir).into_iter().flatten().map(|entry| one(entry.unwrap())).collect()
}

#[test]
fn what_is_committed_is_checked_until_it_is_taken_away() {
    let tree = repository();
    let before = picture(&tree.path(".git/hooks"));
    let none =
        "pre-commit        not installed\npre-merge-commit  not installed\npre-push          not installed\n";
    assert_eq!(tree.expect(1, "hooks status").out, none);
    let installed = tree.ok("hooks install");
    assert!(installed.err.starts_with("Installed         pre-commit  as "), "{installed}");
    assert!(tree.ok("hooks status").out.starts_with("pre-commit        installed as "));
    let after = picture(&tree.path(".git/hooks"));
    assert!(tree.ok("hooks install").err.starts_with("Unchanged         pre-commit  as "));
    assert!(tree.ok("doctor").out.contains("\nok       git hooks            pre-commit\n"));
    assert_eq!(picture(&tree.path(".git/hooks")), after, "once is enough");

    let (is_done, said) = commit(&tree, "a.txt", "good\n");
    assert!(is_done, "{said}");
    let (is_done, said) = commit(&tree, "b.txt", "bad\n");
    assert!(!is_done && said.contains("exit 1"), "{said}");
    // What is in the index counts, not what is in the work tree.
    tree.write("b.txt", "good\n");
    assert!(!try_git(&tree, "", "commit -qm more").0);
    assert!(try_git(&tree, "", "commit -qm more --no-verify").0);

    let removed = tree.ok("hooks uninstall");
    assert!(removed.err.starts_with("Removed           pre-commit"), "{removed}");
    assert_eq!(picture(&tree.path(".git/hooks")), before);
    assert!(commit(&tree, "c.txt", "bad\n").0);
    assert!(tree.ok("hooks uninstall").err.contains("none was installed for this tree"));
    assert!(tree.ok("hooks uninstall pre-push").err.contains("it was not installed for this tree"));
}

#[test]
fn a_hook_that_was_there_runs_first_and_is_put_back_as_it_was() {
    let tree = repository();
    let theirs = "#!/bin/sh\necho \"theirs $# in $(pwd)\" >> \"$HOME/ran\"\ntest ! -e \"$HOME/no\"\n";
    tree.program(".git/hooks/pre-commit", theirs);
    tree.chmod(".git/hooks/pre-commit", 0o710);
    let before = picture(&tree.path(".git/hooks"));
    tree.ok("hooks install");
    let status = tree.ok("hooks status");
    assert!(status.out.contains("also runs: ") && status.out.contains("pre-commit.devtask-kept"), "{status}");

    assert!(commit(&tree, "a.txt", "good\n").0);
    let ran = || fs::read_to_string(tree.home().join("ran")).unwrap_or_default();
    assert_eq!(ran(), format!("theirs 0 in {}\n", tree.root().display()));
    assert!(!commit(&tree, "b.txt", "bad\n").0);
    fs::write(tree.home().join("no"), "").unwrap();
    tree.write("b.txt", "good\n");
    git(&tree, "", "add b.txt");
    let (is_done, said) = try_git(&tree, "", "commit -qm more");
    assert!(!is_done && !said.contains("words"), "theirs has failed, so ours is not asked: {said}");
    fs::remove_file(tree.home().join("no")).unwrap();

    // One that git does not run is kept, and not run either.
    let removed = tree.ok("hooks uninstall");
    assert!(removed.err.contains("is what it was before"), "{removed}");
    assert_eq!(picture(&tree.path(".git/hooks")), before);
    tree.chmod(".git/hooks/pre-commit", 0o644);
    let before = picture(&tree.path(".git/hooks"));
    tree.ok("hooks install");
    fs::remove_file(tree.home().join("ran")).unwrap();
    assert!(try_git(&tree, "", "commit -qm more").0);
    assert_eq!(ran(), "");
    tree.ok("hooks uninstall");
    assert_eq!(picture(&tree.path(".git/hooks")), before);

    // A link is a link again.
    tree.remove(".git/hooks/pre-commit");
    symlink("../../devtask.toml", tree.path(".git/hooks/pre-commit")).unwrap();
    let before = picture(&tree.path(".git/hooks"));
    tree.ok("hooks install");
    tree.ok("hooks uninstall");
    assert_eq!(picture(&tree.path(".git/hooks")), before);
}

#[test]
fn what_is_not_ours_is_not_touched() {
    let tree = repository();
    tree.program(".git/hooks/pre-commit", "#!/bin/sh\n");
    tree.write(".git/hooks/pre-commit.devtask-kept", "somebody's\n");
    let before = picture(&tree.path(".git/hooks"));
    let refused = tree.expect(2, "hooks install");
    assert!(refused.err.contains("pre-commit.devtask-kept is in the way"), "{refused}");
    assert!(tree.ok("hooks uninstall").err.contains("none was installed for this tree"));
    assert_eq!(picture(&tree.path(".git/hooks")), before);

    tree.remove(".git/hooks/pre-commit.devtask-kept");
    tree.ok("hooks install");
    tree.append(".git/hooks/pre-commit", "echo mine\n");
    let before = picture(&tree.path(".git/hooks"));
    for verb in ["install", "uninstall"] {
        let refused = tree.expect(2, &format!("hooks {verb}"));
        assert!(refused.err.contains("was changed since devtask wrote it"), "{refused}");
    }
    let status = tree.expect(1, "hooks status");
    let doctor = tree.ok("doctor");
    assert!(doctor.out.contains("\nnote     git hooks ") && doctor.out.contains("hooks status"), "{doctor}");
    assert!(status.out.contains("not installed: ") && status.out.contains("was changed since"), "{status}");
    assert_eq!(picture(&tree.path(".git/hooks")), before);
}

#[test]
fn a_hook_that_cannot_find_devtask_says_so_and_fails() {
    let tree = repository();
    let copy = tree.another_build();
    assert_eq!(tree.devtask(["hooks", "install"]).start_as(&copy).finish().code, Some(0));
    assert!(tree.read(".git/hooks/pre-commit").contains(copy.to_str().unwrap()));
    fs::remove_file(&copy).unwrap();
    let (is_done, said) = commit(&tree, "a.txt", "good\n");
    assert!(!is_done && said.contains("git commit --no-verify"), "{said}");

    // The one on PATH will do.
    let bin = tree.home().join("bin");
    tree.program(bin.join("devtask"), "#!/bin/sh\necho \"$@\" > \"$HOME/called\"\n");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let done = git_command(&tree, "").env("PATH", path).args(["commit", "-qm", "more"]).status().unwrap();
    assert!(done.success());
    assert_eq!(fs::read_to_string(tree.home().join("called")).unwrap(), "hooks run pre-commit\n");

    // Installed again it is where it is now.
    assert!(tree.ok("hooks install").err.starts_with("Installed"));
    assert!(commit(&tree, "b.txt", "good\n").0);
    assert!(!commit(&tree, "c.txt", "bad\n").0);
}

#[test]
fn it_works_from_wherever_it_is_installed() {
    // The root of the tasks is not that of git, and has a name with a quote.
    let tree = Sandbox::new();
    git(&tree, "", "init -q -b main");
    tree.write("it's/devtask.toml", CHECKS);
    tree.write("it's/deep/er/x", "");
    git(&tree, "", "add .");
    git(&tree, "", "commit -qm first");
    let installed = tree.devtask(["hooks", "install"]).dir("it's/deep/er").run();
    assert_eq!(installed.code, Some(0), "{installed}");
    assert!(commit(&tree, "out.txt", "bad, but outside\n").0);
    assert!(commit(&tree, "it's/deep/in.txt", "good\n").0);
    let (is_done, said) = commit(&tree, "it's/deep/in.txt", "bad\n");
    assert!(!is_done, "{said}");
    git(&tree, "", "reset -q --hard");

    // All work trees have the same hooks.
    git(&tree, "", "worktree add -q ../other");
    let (is_done, said) = commit(&tree, "../other/it's/in.txt", "bad\n");
    assert!(!is_done && said.contains("exit 1"), "{said}");
    let status = tree.devtask(["hooks", "status"]).dir("../other/it's").run();
    assert_eq!(status.code, Some(0), "{status}");
    let elsewhere = tree.devtask(["hooks", "status"]).dir("../other").run();
    assert!(elsewhere.code == Some(1) && elsewhere.out.contains("another tree: it's\n"), "{elsewhere}");
    assert_eq!(tree.devtask(["hooks", "uninstall"]).dir("../other/it's").run().code, Some(0));
    let status = tree.devtask(["hooks", "status"]).dir("it's").run();
    assert_eq!(status.code, Some(1), "{status}");

    // Without tasks of its own a repository has nothing to be checked.
    let none = tree.expect(2, "hooks install");
    assert!(none.err.contains("no task file found"), "{none}");
}

#[test]
fn a_submodule_has_hooks_of_its_own() {
    let tree = repository();
    let inner = tree.home().join("inner");
    fs::create_dir(&inner).unwrap();
    git(&tree, &inner, "init -q -b main");
    fs::write(inner.join("devtask.toml"), CHECKS).unwrap();
    git(&tree, &inner, "add .");
    git(&tree, &inner, "commit -qm first");
    git(&tree, "", &format!("-c protocol.file.allow=always submodule --quiet add {} sub", inner.display()));
    let installed = tree.devtask(["hooks", "install"]).dir("sub").run();
    assert_eq!(installed.code, Some(0), "{installed}");
    assert!(installed.err.contains("/.git/modules/sub/hooks/pre-commit"), "{installed}");
    tree.expect(1, "hooks status");
    assert!(!commit(&tree, "sub/a.txt", "bad\n").0);
    assert!(commit(&tree, "a.txt", "bad\n").0);
}

#[test]
fn where_there_is_no_work_tree_it_says_so() {
    let tree = Sandbox::with(CHECKS);
    let none = tree.expect(2, "hooks install");
    assert!(none.err.contains("is not in a git repository") && none.err.contains("git init"), "{none}");
    git(&tree, "", "init -q --bare bare");
    let bare = tree.devtask(["hooks", "install"]).dir("bare").run();
    assert!(bare.code == Some(2) && bare.err.contains("has no work tree"), "{bare}");
}

#[test]
fn a_directory_of_hooks_that_others_share_is_left_alone() {
    let tree = repository();
    tree.write(".husky/pre-commit", "npm test\n");
    git(&tree, "", "config core.hooksPath .husky");
    let refused = tree.expect(2, "hooks install");
    assert!(refused.err.contains("which is a part of the project"), "{refused}");
    assert!(refused.err.contains(".husky/pre-commit: devtask hooks run pre-commit || exit 1"), "{refused}");
    assert_eq!(tree.read(".husky/pre-commit"), "npm test\n");
    git(&tree, "", "config --unset core.hooksPath");

    let shared = tree.home().join("hooks");
    git(&tree, "", &format!("config --global core.hooksPath {}", shared.display()));
    let refused = tree.expect(2, "hooks install");
    assert!(refused.err.contains("which other repositories have as well"), "{refused}");
    assert!(!shared.exists());

    // One of this repository alone is used.
    git(&tree, "", &format!("config core.hooksPath {}", tree.path(".git/mine").display()));
    tree.ok("hooks install");
    assert!(tree.exists(".git/mine/pre-commit") && !tree.exists(".git/hooks/pre-commit"));
    assert!(!commit(&tree, "a.txt", "bad\n").0);
    tree.ok("hooks uninstall");
    assert!(commit(&tree, "b.txt", "bad\n").0);
}

#[test]
fn variables_of_a_surrounding_hook_do_not_lead_astray() {
    let tree = repository();
    git(&tree, "", "init -q ../other");
    let before = picture(&tree.path("../other/.git/hooks"));
    let other = tree.path("../other");
    let install = tree.devtask(["hooks", "install"]).env("GIT_DIR", other.join(".git"));
    let install = install.env("GIT_WORK_TREE", &other).env("GIT_INDEX_FILE", other.join(".git/index"));
    let output = install.env("GIT_CONFIG_PARAMETERS", "'core.hooksPath=/nowhere'").run();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(tree.exists(".git/hooks/pre-commit"));
    assert_eq!(picture(&other.join(".git/hooks")), before);
}

/// A git that says it is another, before the usual one on `PATH`.
fn newer_git(tree: &mut Sandbox) {
    let path = std::env::var("PATH").unwrap();
    let real = path.split(':').map(|dir| Path::new(dir).join("git")).find(|git| git.exists()).unwrap();
    let bin = tree.home().join("newer");
    let script = format!(
        "#!/bin/sh\nfor last; do :; done\nif [ \"$last\" = version ]; then echo git version 2.54.0; exit; fi\n\
         exec {} \"$@\"\n",
        real.display()
    );
    tree.program(bin.join("git"), &script);
    tree.set_env("PATH", format!("{}:{path}", bin.display()));
}

/// Runs what stands in the configuration as git does, which passes arguments on.
fn run_configured(tree: &Sandbox, event: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let command = git(tree, "", &format!("config --get hook.devtask-{event}.command"));
    let script = if arguments.is_empty() { command.clone() } else { format!("{command} \"$@\"") };
    tree.write("../said", input);
    let like_git = git_command(tree, "");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, &command]).args(arguments).current_dir(tree.root()).env_clear();
    shell.envs(like_git.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(fs::File::open(tree.path("../said")).unwrap());
    let output = shell.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn a_git_that_knows_hooks_in_its_configuration_gets_them_there() {
    let mut tree = repository();
    // A script of an older git's time goes.
    tree.program(".git/hooks/pre-commit", "#!/bin/sh\n");
    let (hooks, config) = (picture(&tree.path(".git/hooks")), tree.read(".git/config"));
    tree.ok("hooks install");
    newer_git(&mut tree);
    let installed = tree.ok("hooks install");
    assert!(
        installed.err.contains("as hook.devtask-pre-commit of the repository's configuration"),
        "{installed}"
    );
    assert_eq!(picture(&tree.path(".git/hooks")), hooks);
    let with = tree.read(".git/config");
    assert!(
        with.contains("[hook \"devtask-pre-commit\"]") && with.contains("\tevent = pre-commit\n"),
        "{with}"
    );
    assert!(tree.ok("hooks install").err.starts_with("Unchanged"));
    assert_eq!(tree.read(".git/config"), with);

    tree.write("a.txt", "bad\n");
    git(&tree, "", "add a.txt");
    assert!(!run_configured(&tree, "pre-commit", &[], "").0);
    tree.write("a.txt", "good\n");
    git(&tree, "", "add a.txt");
    let (is_done, said) = run_configured(&tree, "pre-commit", &[], "");
    assert!(is_done, "{said}");

    git(&tree, "", "config hook.other.command true");
    git(&tree, "", "config hook.other.event pre-commit");
    let status = tree.ok("hooks status");
    assert!(
        status.out.contains("also runs: other\n") && status.out.contains("hooks/pre-commit\n"),
        "{status}"
    );
    git(&tree, "", "config hook.devtask-pre-commit.enabled false");
    let status = tree.expect(1, "hooks status");
    assert!(status.out.contains("hook.devtask-pre-commit.enabled is false"), "{status}");
    tree.ok("hooks install");
    tree.ok("hooks status");
    git(&tree, "", "config --remove-section hook.other");

    git(&tree, "", "config hook.devtask-pre-commit.command true");
    for verb in ["install", "uninstall"] {
        let refused = tree.expect(2, &format!("hooks {verb}"));
        assert!(refused.err.contains("`hook.devtask-pre-commit.command` was changed"), "{refused}");
    }
    tree.write(".git/config", with);
    tree.ok("hooks uninstall");
    assert_eq!(tree.read(".git/config"), config);
    tree.expect(1, "hooks status");
}

#[test]
fn what_is_pushed_is_checked() {
    let tree = repository();
    git(&tree, "", "init -q --bare -b main ../there");
    git(&tree, "", "remote add origin ../there");
    let theirs = "#!/bin/sh\nprintf '%s\\n' \"$@\" >> \"$HOME/heard\"\ncat >> \"$HOME/heard\"\n";
    tree.program(".git/hooks/pre-push", theirs);
    tree.ok("hooks install pre-push");
    tree.expect(1, "hooks status pre-commit pre-push");
    tree.ok("hooks status pre-push");

    // Nothing is there yet, so all is new.
    assert!(commit(&tree, "a.txt", "bad\n").0);
    let (is_done, said) = try_git(&tree, "", "push -q origin main");
    assert!(!is_done && said.contains("exit 1"), "{said}");
    let heard = fs::read_to_string(tree.home().join("heard")).unwrap();
    let head = git(&tree, "", "rev-parse HEAD");
    let zeros = "0".repeat(40);
    assert_eq!(heard, format!("origin\n../there\nrefs/heads/main {head} refs/heads/main {zeros}\n"));
    assert!(commit(&tree, "a.txt", "good\n").0);
    git(&tree, "", "push -q origin main");

    // What was there before is not looked at again, and of a new branch what it has brought.
    let counted = |said: &str| said.contains("1 file changed from ");
    let of_nothing = |said: &str| said.contains(" changed from nothing to ");
    assert!(of_nothing(&said), "{said}");
    assert!(commit(&tree, "b.txt", "good\n").0);
    let (is_done, said) = try_git(&tree, "", "push origin main");
    assert!(is_done && counted(&said), "{said}");
    let head = git(&tree, "", "rev-parse --short=10 HEAD");
    assert!(said.contains(&format!(" to {head} with ")), "{said}");
    git(&tree, "", "checkout -q -b topic");
    assert!(commit(&tree, "c.txt", "bad\n").0);
    assert!(!try_git(&tree, "", "push -q origin topic").0);
    assert!(commit(&tree, "c.txt", "good\n").0);
    let (is_done, said) = try_git(&tree, "", "push origin topic");
    assert!(is_done && counted(&said), "{said}");

    // One of several is bad.
    git(&tree, "", "tag -am t old HEAD");
    git(&tree, "", "checkout -q -b other");
    assert!(commit(&tree, "d.txt", "bad\n").0);
    assert!(!try_git(&tree, "", "push -q origin old topic other").0);
    git(&tree, "", "push -q origin old");
    // What is deleted brings nothing.
    git(&tree, "", "push -q origin :topic");

    tree.ok("hooks uninstall pre-push");
    git(&tree, "", "push -q origin other");
    assert_eq!(tree.read(".git/hooks/pre-push"), theirs);
}

#[test]
fn a_configured_push_hook_is_given_what_git_says() {
    let mut tree = repository();
    newer_git(&mut tree);
    tree.ok("hooks install pre-push pre-commit");
    tree.ok("hooks status pre-push pre-commit");
    let first = git(&tree, "", "rev-parse HEAD");
    assert!(commit(&tree, "a.txt", "bad\n").0);
    let head = git(&tree, "", "rev-parse HEAD");
    let said = format!("refs/heads/main {head} refs/heads/main {first}\n");
    let (is_done, words) = run_configured(&tree, "pre-push", &["origin", "url"], &said);
    assert!(!is_done && words.contains("exit 1"), "{words}");
    let (is_done, words) = run_configured(&tree, "pre-push", &["origin", "url"], "");
    assert!(is_done, "{words}");
    let (is_done, words) = run_configured(&tree, "pre-push", &["origin", "url"], "what is this\n");
    assert!(!is_done && words.contains("not what git says"), "{words}");
    tree.ok("hooks uninstall pre-push");
    tree.ok("hooks status pre-commit");
    tree.expect(1, "hooks status pre-push");
}

/// Two trees of tasks in one repository.
fn two_trees() -> Sandbox {
    let tree = Sandbox::new();
    git(&tree, "", "init -q -b main");
    tree.write("tools/web/devtask.toml", CHECKS);
    tree.write("svc/devtask.toml", CHECKS);
    git(&tree, "", "add .");
    git(&tree, "", "commit -qm first");
    tree
}

fn hooks_in(tree: &Sandbox, dir: &str, line: &str) -> Output {
    tree.devtask(["hooks"].into_iter().chain(line.split_whitespace())).dir(dir).run()
}

#[test]
fn several_trees_of_one_repository_each_have_theirs() {
    let tree = two_trees();
    let theirs = "#!/bin/sh\nexit 0\n";
    tree.program(".git/hooks/pre-commit", theirs);
    let before = picture(&tree.path(".git/hooks"));
    for dir in ["tools/web", "svc"] {
        assert_eq!(hooks_in(&tree, dir, "install").code, Some(0));
    }
    for (dir, other) in [("tools/web", "svc"), ("svc", "tools/web")] {
        assert!(!commit(&tree, &format!("{dir}/a.txt"), "bad\n").0, "{dir} is checked");
        git(&tree, "", "reset -q --hard");
        let status = hooks_in(&tree, dir, "status");
        let named = status.out.contains(&format!("installed for another tree: {other}\n"));
        assert!(status.code == Some(0) && named, "{status}");
        assert!(hooks_in(&tree, dir, "install").err.starts_with("Unchanged"));
    }
    assert!(commit(&tree, "svc/b.txt", "good\n").0);

    // Each takes away its own, and the last brings back what was there.
    assert_eq!(hooks_in(&tree, "tools/web", "uninstall").code, Some(0));
    assert_eq!(hooks_in(&tree, "tools/web", "status").code, Some(1));
    assert!(hooks_in(&tree, "tools/web", "uninstall").err.contains("none was installed"));
    assert!(commit(&tree, "tools/web/c.txt", "bad\n").0);
    assert!(!commit(&tree, "svc/c.txt", "bad\n").0);
    git(&tree, "", "reset -q --hard");
    assert_eq!(hooks_in(&tree, "svc", "status").code, Some(0));
    assert_eq!(hooks_in(&tree, "svc", "uninstall").code, Some(0));
    assert_eq!(picture(&tree.path(".git/hooks")), before);

    // Those of a tree that is gone can be taken away from elsewhere.
    for dir in ["tools/web", "svc"] {
        assert_eq!(hooks_in(&tree, dir, "install").code, Some(0));
    }
    git(&tree, "", "rm -rq tools");
    let status = hooks_in(&tree, "svc", "status");
    assert!(status.out.contains("another tree: tools/web\n"), "{status}");
    assert_eq!(hooks_in(&tree, "svc", "uninstall --all").code, Some(0));
    assert_eq!(picture(&tree.path(".git/hooks")), before);
}

#[test]
fn several_trees_have_entries_of_their_own_in_the_configuration() {
    let mut tree = two_trees();
    let config = tree.read(".git/config");
    assert_eq!(hooks_in(&tree, "tools/web", "install").code, Some(0));
    // What an older git needed as a script moves for all trees.
    newer_git(&mut tree);
    assert_eq!(hooks_in(&tree, "svc", "install").code, Some(0));
    assert!(!tree.exists(".git/hooks/pre-commit"));
    let entries = tree.read(".git/config").matches("[hook \"devtask-pre-commit-").count();
    assert_eq!(entries, 2);
    for (dir, other) in [("tools/web", "svc"), ("svc", "tools/web")] {
        let status = hooks_in(&tree, dir, "status");
        let named = status.out.contains(&format!("installed for another tree: {other}\n"));
        assert!(status.code == Some(0) && named && !status.out.contains("also runs"), "{status}");
    }
    assert_eq!(hooks_in(&tree, "svc", "uninstall").code, Some(0));
    assert_eq!(hooks_in(&tree, "svc", "status").code, Some(1));
    assert_eq!(hooks_in(&tree, "tools/web", "status").code, Some(0));
    assert_eq!(hooks_in(&tree, "tools/web", "uninstall").code, Some(0));
    assert_eq!(tree.read(".git/config"), config);

    // A file that cannot be read is no missing key.
    tree.append(".git/config", "[hook \"x\n");
    let broken = hooks_in(&tree, "svc", "status");
    assert!(broken.code != Some(0) && broken.code != Some(1), "{broken}");
}

#[test]
fn what_has_nothing_to_be_checked_is_committed() {
    let tree = two_trees();
    git(&tree, "", "checkout -q -b none");
    git(&tree, "", "rm -rq tools");
    git(&tree, "", "commit -qm none");
    git(&tree, "", "checkout -q main");
    for event in ["pre-commit", "pre-push"] {
        assert_eq!(hooks_in(&tree, "tools/web", &format!("install {event}")).code, Some(0));
    }
    git(&tree, "", "init -q --bare -b main ../there");
    // A branch without the directory, one without the task file, and one with a file further up.
    git(&tree, "", "checkout -q none");
    let (is_done, said) = commit(&tree, "a.txt", "bad\n");
    assert!(is_done && said.contains("there is no directory"), "{said}");
    let (is_done, said) = try_git(&tree, "", "push ../there HEAD:refs/heads/none");
    assert!(is_done && said.contains("so nothing is checked"), "{said}");
    assert!(commit(&tree, "devtask.toml", CHECKS).0);
    let (is_done, said) = commit(&tree, "tools/web/b.txt", "bad\n");
    assert!(is_done && said.contains("there is no task file in tools/web, so nothing is checked"), "{said}");

    // One with a task file and no check: that is said when it is installed, too.
    git(&tree, "", "checkout -q main");
    let (is_done, said) = commit(&tree, "tools/web/devtask.toml", "[tasks.a]\nexec = 'true'\n");
    assert!(is_done && said.contains("there are no checks in tools/web"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let again = hooks_in(&tree, "tools/web", "install");
    assert!(again.code == Some(0) && again.err.contains("there are no checks yet"), "{again}");

    // Every other fault is one.
    let (is_done, said) = commit(&tree, "tools/web/devtask.toml", "broken = ");
    let last = said.trim_end().lines().last().unwrap();
    assert!(
        !is_done && last.contains("the pre-commit hook") && last.contains("git commit --no-verify"),
        "{said}"
    );
    assert_eq!(hooks_in(&tree, "tools/web", "status").code, Some(0), "whatever its files are like");
    assert_eq!(hooks_in(&tree, "tools/web", "uninstall").code, Some(0));
    assert!(try_git(&tree, "", "commit -qm broken").0);
}

#[test]
fn a_merge_has_a_hook_of_its_own() {
    let tree = repository();
    tree.ok("hooks install pre-merge-commit");
    git(&tree, "", "checkout -q -b side");
    assert!(commit(&tree, "a.txt", "bad\n").0);
    git(&tree, "", "checkout -q main");
    assert!(commit(&tree, "b.txt", "good\n").0);
    let (is_done, said) = try_git(&tree, "", "merge --no-edit side");
    assert!(!is_done && said.contains("git merge --no-verify"), "{said}");
    git(&tree, "", "merge --abort");
    let status = tree.ok("hooks status");
    assert!(
        status.out.contains("pre-commit        not installed\npre-merge-commit  installed as "),
        "{status}"
    );
    tree.ok("hooks uninstall");
    git(&tree, "", "merge --no-edit side");
}

#[test]
fn what_husky_calls_is_named_and_recognised() {
    let tree = repository();
    tree.program(".husky/_/pre-commit", "#!/bin/sh\nsh -e \"$(dirname \"$0\")/../pre-commit\"\n");
    tree.write(".husky/pre-commit", "true\n");
    git(&tree, "", "config core.hooksPath .husky/_");
    let refused = tree.expect(2, "hooks install");
    let line = "devtask hooks run pre-commit || exit 1";
    assert!(refused.err.contains(&format!(".husky/pre-commit: {line}\n")), "{refused}");
    tree.expect(1, "hooks status");
    tree.append(".husky/pre-commit", format!("{line}\n"));
    let status = tree.ok("hooks status");
    assert!(status.out.starts_with("pre-commit        installed by hand in "), "{status}");
    assert!(tree.ok("hooks install").err.starts_with("Unchanged         pre-commit  by hand in "));
    let left = tree.ok("hooks uninstall");
    assert!(left.err.contains(".husky/pre-commit is yours to remove"), "{left}");
    let path = std::env::var("PATH").unwrap();
    let bin = tree.home().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_devtask"), bin.join("devtask")).unwrap();
    tree.write("a.txt", "bad\n");
    git(&tree, "", "add a.txt");
    let mut command = git_command(&tree, "");
    command.env("PATH", format!("{}:{path}", bin.display())).args(["commit", "-qm", "more"]);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("exit 1"));
}

#[test]
fn an_install_that_fails_leaves_everything_as_it_was() {
    let tree = repository();
    tree.program(".git/hooks/pre-commit", "#!/bin/sh\n");
    // What is to be renamed into its place cannot be written.
    tree.write(".git/hooks/pre-commit.devtask-new/x", "");
    let before = picture(&tree.path(".git/hooks"));
    let failed = tree.expect(3, "hooks install");
    assert!(failed.err.contains("cannot write "), "{failed}");
    assert_eq!(picture(&tree.path(".git/hooks")), before);
}

#[test]
fn what_only_hooks_call_is_offered_to_nobody() {
    let tree = Sandbox::new();
    let help = tree.ok("hooks --help").out;
    assert!(help.contains("  status ") && !help.contains("  run "), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let script = tree.ok(&format!("completions {shell}")).out;
        assert!(!script.contains("What a hook calls") && !script.contains("devtask__hooks__run"), "{shell}");
        assert!(!script.contains("devtask__subcmd__hooks__subcmd__run"), "{shell}");
    }
    let pages = tree.home().join("pages");
    tree.ok(&format!("man --dir {}", pages.display()));
    assert!(!pages.join("devtask-hooks-run.1").exists() && pages.join("devtask-hooks.1").exists());
}

/// What pre-commit wants of a manifest: a list of maps, each with these keys, and no key twice.
#[test]
fn pre_commit_finds_its_manifest() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".pre-commit-hooks.yaml");
    let text = fs::read_to_string(path).unwrap();
    let mut hooks: Vec<BTreeMap<&str, &str>> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with("- ") {
            hooks.push(BTreeMap::new());
        }
        let (key, value) = line[2..].split_once(": ").unwrap();
        let is_new = hooks.last_mut().unwrap().insert(key, value).is_none();
        assert!(
            (line.starts_with("- ") || line.starts_with("  ")) && !key.starts_with(' ') && is_new,
            "{line}"
        );
    }
    let of = |key: &str| hooks.iter().map(|hook| hook[key]).collect::<Vec<_>>();
    assert_eq!(of("id"), ["devtask-check", "devtask-check-system"]);
    assert_eq!(of("language"), ["rust", "system"]);
    for hook in &hooks {
        assert_eq!(hook["entry"], "devtask check --files");
        assert_eq!((hook["pass_filenames"], hook["require_serial"]), ("true", "true"));
        assert!(!hook["name"].is_empty());
    }
    // What it is called with is known.
    let tree = Sandbox::with(CHECKS);
    tree.write("a.txt", "good\n");
    tree.write("b.txt", "bad\n");
    let checked = |line: &str| -> Output { tree.devtask(line.split_whitespace()).run() };
    assert_eq!(checked("check --files a.txt").code, Some(0));
    assert_eq!(checked("check --files a.txt b.txt").code, Some(1));
}
