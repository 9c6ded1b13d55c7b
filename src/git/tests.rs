//! Repositories made on the spot, and what is said of them.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Beside, Change, Checkout, Entry, Fixed, GitError, Merged, Repository, Version};

/// What somebody does to a directory.
type Spoil = dyn Fn(&Path);

struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    /// A repository with a commit.
    fn new() -> Self {
        let tree = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(tree.root()).unwrap();
        tree.git(&["init", "-q", "--initial-branch=main", "."]);
        tree.write("a.txt", "one\ntwo\nthree\nfour\nfive\n");
        tree.write("sub/b.txt", "b\n");
        tree.git(&["add", "."]);
        tree.git(&["commit", "-qm", "first"]);
        tree
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("tree")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let path = std::env::var_os("PATH").unwrap();
        let mut all: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), path),
            ("HOME".into(), self.dir.path().into()),
            ("GIT_CONFIG_NOSYSTEM".into(), "1".into()),
        ];
        for who in ["AUTHOR", "COMMITTER"] {
            all.push((format!("GIT_{who}_NAME").into(), "n".into()));
            all.push((format!("GIT_{who}_EMAIL").into(), "e@x".into()));
        }
        all
    }

    fn git_in(&self, dir: &Path, words: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(words).current_dir(dir).env_clear().envs(self.environment()).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn git(&self, words: &[&str]) -> String {
        self.git_in(&self.root(), words)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root().join(name)).unwrap()
    }

    fn repository(&self) -> Repository {
        Repository::around(&self.root(), &self.environment()).unwrap().unwrap()
    }

    /// What surrounds a hook.
    fn around(&self, dir: &Path, more: &[(&str, &OsStr)]) -> Result<Option<Repository>, GitError> {
        let mut environment = self.environment();
        environment.extend(more.iter().map(|(name, value)| ((*name).into(), (*value).to_owned())));
        Repository::around(dir, &environment)
    }

    fn checkout(&self) -> Checkout {
        // A child of another test that is just being started may have it open for a moment.
        Checkout::open(&self.beside("checkout"), &self.repository(), || true).unwrap()
    }
}

fn paths(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| change.path.display().to_string()).collect()
}

#[test]
fn versions_of_git() {
    let cases = [
        ("git version 2.47.3", Some(Version(2, 47))),
        ("git version 2.39.5 (Apple Git-154)\n", Some(Version(2, 39))),
        ("git version 2.54.0-rc1", Some(Version(2, 54))),
        ("git version 3.0", Some(Version(3, 0))),
        ("jj 0.1", None),
        ("", None),
    ];
    for (said, expected) in cases {
        assert_eq!(Version::parse(said), expected, "{said}");
    }
    assert!(Version(2, 54) > Version(2, 6));
}

#[test]
fn what_is_staged_unstaged_untracked() {
    let tree = Tree::new();
    tree.write("a.txt", "other\n");
    tree.git(&["add", "a.txt"]);
    tree.write("a.txt", "another\n");
    tree.write("new.txt", "n");
    tree.write("meant.txt", "m");
    tree.git(&["add", "-N", "meant.txt"]);
    fs::remove_file(tree.root().join("sub/b.txt")).unwrap();
    let repository = tree.repository();
    let index = fs::read(repository.index()).unwrap();
    let staged = repository.staged().unwrap();
    assert_eq!(
        staged,
        [Change { path: "a.txt".into(), now: Some(Entry::File) }],
        "what is only meant is not staged"
    );
    assert_eq!(paths(&repository.unstaged().unwrap()), ["a.txt", "meant.txt", "sub/b.txt"]);
    assert_eq!(repository.untracked().unwrap(), [PathBuf::from("new.txt")]);
    let since = repository.since(&repository.head().unwrap()).unwrap();
    assert_eq!(paths(&since), ["a.txt", "meant.txt", "new.txt", "sub/b.txt"]);
    assert_eq!(since.last().unwrap().now, None, "it was deleted");
    assert_eq!(fs::read(repository.index()).unwrap(), index, "asking writes nothing");
}

#[test]
fn what_was_only_touched_is_not_changed() {
    let tree = Tree::new();
    let file = fs::File::options().append(true).open(tree.root().join("a.txt")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let repository = tree.repository();
    assert_eq!(repository.unstaged().unwrap(), []);
    assert_eq!(repository.since(&repository.head().unwrap()).unwrap(), []);
    fs::set_permissions(tree.root().join("a.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(paths(&repository.unstaged().unwrap()), ["a.txt"], "its mode is another");
}

#[test]
fn before_the_first_commit_everything_added_is_staged() {
    let tree = Tree { dir: tempfile::tempdir().unwrap() };
    fs::create_dir(tree.root()).unwrap();
    tree.git(&["init", "-q", "--initial-branch=main", "."]);
    let repository = tree.repository();
    assert_eq!((repository.head(), repository.staged().unwrap()), (None, vec![]));
    tree.checkout().bring_index(&repository, &Beside::default()).unwrap();
    tree.write("a.txt", "a");
    tree.git(&["add", "a.txt"]);
    assert_eq!(paths(&repository.staged().unwrap()), ["a.txt"]);
    let checkout = tree.checkout();
    checkout.bring_index(&repository, &Beside::default()).unwrap();
    assert_eq!(fs::read_to_string(checkout.dir().join("a.txt")).unwrap(), "a");
}

#[test]
fn the_work_tree_around_counts_whatever_a_hook_says() {
    let (one, other) = (Tree::new(), Tree::new());
    let git_dir = |tree: &Tree| tree.root().join(".git").into_os_string();
    let found = one.around(&one.root().join("sub"), &[("GIT_DIR", &git_dir(&other))]).unwrap().unwrap();
    assert_eq!((found.top(), found.git_dir()), (one.root().as_path(), one.root().join(".git").as_path()));
    let lent = one.root().join(".git/next-index-1.lock");
    fs::copy(one.root().join(".git/index"), &lent).unwrap();
    // An index of this repository, of another one, and one that is not there.
    let cases: [(OsString, OsString, bool); 4] = [
        (git_dir(&one), lent.clone().into(), true),
        (".git".into(), ".git/next-index-1.lock".into(), true),
        (git_dir(&other), other.root().join(".git/index").into(), false),
        (git_dir(&one), one.root().join(".git/none").into(), false),
    ];
    for (git_dir, index, counts) in cases {
        let named: [(&str, &OsStr); 2] = [("GIT_DIR", &git_dir), ("GIT_INDEX_FILE", &index)];
        let found = one.around(&one.root(), &named).unwrap().unwrap();
        assert_eq!(found.is_in_hook(), counts, "{index:?}");
        assert_eq!(found.index(), if counts { lent.clone() } else { one.root().join(".git/index") });
    }
    assert!(one.around(one.dir.path(), &[]).unwrap().is_none(), "no repository around");
    let work_tree = one.root();
    let named: [(&str, &OsStr); 2] = [("GIT_DIR", &git_dir(&one)), ("GIT_WORK_TREE", work_tree.as_os_str())];
    let found = one.around(&one.root(), &named).unwrap().unwrap();
    assert_eq!(found.top(), one.root());
    let bare = one.beside("bare");
    one.git_in(one.dir.path(), &["init", "-q", "--bare", "bare"]);
    assert!(matches!(one.around(&bare, &[]), Err(GitError::Bare(_))));
}

#[test]
fn a_checkout_is_what_is_in_the_index_and_stays_as_it_is() {
    let tree = Tree::new();
    tree.write(".gitignore", "target\n");
    tree.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(tree.root().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    tree.git(&["add", "."]);
    tree.write("a.txt", "not staged\n");
    tree.write("new.txt", "not added\n");
    let repository = tree.repository();
    let index = fs::read(repository.index()).unwrap();
    let objects = || tree.git(&["count-objects", "-v"]);
    let had = objects();
    let none = Beside::default();
    let checkout = tree.checkout();
    checkout.bring_index(&repository, &none).unwrap();
    let there = |name: &str| fs::read_to_string(checkout.dir().join(name)).ok();
    assert_eq!(there("a.txt").as_deref(), Some("one\ntwo\nthree\nfour\nfive\n"));
    assert_eq!((there("new.txt"), there("sub/b.txt").as_deref()), (None, Some("b\n")));
    assert_eq!(fs::metadata(checkout.dir().join("run.sh")).unwrap().mode() & 0o111, 0o111);
    let stamps = |name: &str| {
        let meta = fs::metadata(checkout.dir().join(name)).unwrap();
        (meta.ino(), meta.mtime(), meta.mtime_nsec())
    };
    let before = stamps("a.txt");
    // What checks do in it is undone; what git ignores there stays for the next time.
    fs::write(checkout.dir().join("sub/b.txt"), "spoiled").unwrap();
    fs::write(checkout.dir().join("left.txt"), "left").unwrap();
    fs::create_dir(checkout.dir().join("target")).unwrap();
    fs::write(checkout.dir().join("target/built"), "built").unwrap();
    tree.write("c.txt", "c\n");
    tree.git(&["add", "c.txt"]);
    let index_then = fs::read(repository.index()).unwrap();
    assert_ne!(index_then, index);
    checkout.bring_index(&repository, &none).unwrap();
    assert_eq!((there("sub/b.txt").as_deref(), there("left.txt")), (Some("b\n"), None));
    assert_eq!((there("target/built").as_deref(), there("c.txt").as_deref()), (Some("built"), Some("c\n")));
    assert_eq!(stamps("a.txt"), before, "what is the same is not written again");
    assert_eq!(fs::read(repository.index()).unwrap(), index_then, "the user's index is only read");
    let head = repository.head().unwrap();
    checkout.bring_commit(&repository, &head, &none).unwrap();
    assert_eq!((there("c.txt"), there("a.txt").is_some()), (None, true));
    // Git in there is one of its own.
    assert_eq!(tree.git_in(checkout.dir(), &["rev-parse", "HEAD"]).trim(), head);
    assert_eq!(tree.git_in(checkout.dir(), &["status", "--porcelain"]), "");
    assert_eq!(
        tree.git_in(checkout.dir(), &["rev-parse", "--show-toplevel"]).trim(),
        checkout.dir().to_str().unwrap()
    );
    tree.git_in(checkout.dir(), &["stash", "list"]);
    tree.git(&["add", "c.txt"]);
    let added = objects();
    checkout.bring_index(&repository, &none).unwrap();
    assert_eq!(objects(), added, "no object is written to the user's repository");
    assert_ne!(had, added, "c.txt is one of the user's");
}

#[test]
fn a_checkout_survives_whatever_is_left_of_it() {
    let tree = Tree::new();
    let repository = tree.repository();
    let none = Beside::default();
    let spoil: [(&str, &Spoil); 5] = [
        ("its index", &|dir| fs::write(dir.join(".git/index"), "x").unwrap()),
        ("its objects", &|dir| fs::remove_dir_all(dir.join(".git/objects")).unwrap()),
        ("its configuration", &|dir| fs::write(dir.join(".git/config"), "[").unwrap()),
        ("a lock", &|dir| fs::write(dir.join(".git/index.lock"), "").unwrap()),
        ("all of it", &|dir| {
            fs::remove_dir_all(dir).unwrap();
            fs::create_dir(dir).unwrap();
            fs::write(dir.join("left"), "of it").unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        tree.checkout().bring_index(&repository, &none).unwrap();
        spoil(&tree.beside("checkout"));
        let checkout = tree.checkout();
        checkout.bring_index(&repository, &none).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(fs::read_to_string(checkout.dir().join("sub/b.txt")).unwrap(), "b\n", "{what}");
    }
}

#[test]
fn ignored_directories_are_shown_in_a_checkout() {
    let tree = Tree::new();
    tree.write(".gitignore", "node_modules/\n");
    tree.write("node_modules/x/index.js", "x");
    tree.write("web/node_modules/y/index.js", "y");
    tree.git(&["add", ".gitignore"]);
    tree.git(&["commit", "-qm", "ignores"]);
    let repository = tree.repository();
    let checkout = tree.checkout();
    let links: std::collections::BTreeSet<PathBuf> =
        ["node_modules", "web/node_modules", "missing", "sub"].map(PathBuf::from).into();
    for _ in 0..2 {
        checkout.bring_index(&repository, &Beside { links: links.clone(), ..Beside::default() }).unwrap();
        let linked = |name: &str| fs::read_link(checkout.dir().join(name)).ok();
        assert_eq!(linked("node_modules"), Some(tree.root().join("node_modules")));
        assert_eq!(linked("web/node_modules"), Some(tree.root().join("web/node_modules")));
        assert_eq!(
            (linked("missing"), linked("sub")),
            (None, None),
            "what is not there, and what is in the index"
        );
        assert_eq!(tree.git_in(checkout.dir(), &["status", "--porcelain"]), "", "git does not see them");
    }
    checkout.bring_index(&repository, &Beside::default()).unwrap();
    assert!(fs::symlink_metadata(checkout.dir().join("node_modules")).is_err());
    assert_eq!(tree.read("node_modules/x/index.js"), "x", "nothing is removed through a link");
}

#[test]
fn nothing_of_the_repository_is_started() {
    let tree = Tree::new();
    let marker = tree.beside("marker");
    let script = format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\n", marker.display());
    let program = tree.beside("program");
    fs::write(&program, &script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let hooks = tree.root().join(".git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in
        ["post-index-change", "post-checkout", "pre-commit", "reference-transaction", "fsmonitor-watchman"]
    {
        fs::copy(&program, hooks.join(hook)).unwrap();
    }
    let program = program.to_str().unwrap();
    for (key, value) in [("core.fsmonitor", program), ("core.pager", program), ("diff.external", program)] {
        tree.git(&["config", key, value]);
    }
    let _ = fs::remove_file(&marker);
    tree.write("a.txt", "x");
    let repository = tree.repository();
    let head = repository.head().unwrap();
    repository.unstaged().unwrap();
    repository.staged().unwrap();
    repository.since(&head).unwrap();
    repository.untracked().unwrap();
    let checkout = tree.checkout();
    checkout.bring_index(&repository, &Beside::default()).unwrap();
    checkout.bring_commit(&repository, &head, &Beside::default()).unwrap();
    checkout.fixed().unwrap();
    assert!(!marker.exists(), "{}", fs::read_to_string(marker).unwrap());
}

#[test]
fn what_was_fixed_goes_into_the_index_and_is_merged() {
    let one = "one\ntwo\nthree\nfour\nfive\n";
    let fixed = "one\ntwo\nthree\nfour\nFIVE\n";
    let cases: [(&str, Option<&str>, Merged, Option<&str>); 6] = [
        ("not touched", Some(one), Merged::Clean, Some(fixed)),
        ("fixed by hand", Some(fixed), Merged::Clean, Some(fixed)),
        (
            "changed elsewhere",
            Some("zero\none\ntwo\nthree\nfour\nfive\n"),
            Merged::Clean,
            Some("zero\none\ntwo\nthree\nfour\nFIVE\n"),
        ),
        (
            "changed there",
            Some("one\ntwo\nthree\nfour\n5\n"),
            Merged::Conflict,
            Some("one\ntwo\nthree\nfour\n5\n"),
        ),
        ("removed", None, Merged::Left, None),
        ("bytes", Some("\0\u{1}"), Merged::Conflict, Some("\0\u{1}")),
    ];
    for (what, ours, merged, expected) in cases {
        let tree = Tree::new();
        fs::remove_file(tree.root().join("a.txt")).unwrap();
        ours.into_iter().for_each(|ours| tree.write("a.txt", ours));
        let repository = tree.repository();
        let checkout = tree.checkout();
        checkout.bring_index(&repository, &Beside::default()).unwrap();
        fs::write(checkout.dir().join("a.txt"), fixed).unwrap();
        let (all, _): (Vec<Fixed>, _) = checkout.fixed().unwrap();
        assert_eq!((all.len(), all[0].path.as_path()), (1, Path::new("a.txt")), "{what}");
        assert_eq!(
            (all[0].base.as_slice(), all[0].now.as_slice()),
            (one.as_bytes(), fixed.as_bytes()),
            "{what}"
        );
        assert_eq!(repository.merge(&all[0], &checkout.dir().join(".git")).unwrap(), merged, "{what}");
        assert_eq!(repository.stage(&all, &checkout).unwrap(), [] as [PathBuf; 0], "{what}");
        assert_eq!(tree.git(&["show", ":a.txt"]), fixed, "{what}");
        assert_eq!(fs::read_to_string(tree.root().join("a.txt")).ok().as_deref(), expected, "{what}");
    }
}

#[test]
fn what_was_staged_anew_meanwhile_is_left_alone() {
    let tree = Tree::new();
    let repository = tree.repository();
    let checkout = tree.checkout();
    checkout.bring_index(&repository, &Beside::default()).unwrap();
    fs::write(checkout.dir().join("a.txt"), "fixed\n").unwrap();
    fs::write(checkout.dir().join("sub/b.txt"), "fixed\n").unwrap();
    let (all, _) = checkout.fixed().unwrap();
    tree.write("a.txt", "newer\n");
    tree.git(&["add", "a.txt"]);
    assert_eq!(repository.stage(&all, &checkout).unwrap(), [PathBuf::from("a.txt")]);
    assert_eq!(
        (tree.git(&["show", ":a.txt"]), tree.git(&["show", ":sub/b.txt"])),
        ("newer\n".into(), "fixed\n".into())
    );
}

#[test]
fn a_link_in_the_work_tree_is_not_written_through() {
    let tree = Tree::new();
    let repository = tree.repository();
    let checkout = tree.checkout();
    checkout.bring_index(&repository, &Beside::default()).unwrap();
    fs::write(checkout.dir().join("a.txt"), "fixed\n").unwrap();
    let (all, _) = checkout.fixed().unwrap();
    let victim = tree.beside("victim");
    fs::write(&victim, "one\ntwo\nthree\nfour\nfive\n").unwrap();
    fs::remove_file(tree.root().join("a.txt")).unwrap();
    std::os::unix::fs::symlink(&victim, tree.root().join("a.txt")).unwrap();
    assert_eq!(repository.merge(&all[0], &checkout.dir().join(".git")).unwrap(), Merged::Left);
    assert_eq!(fs::read_to_string(victim).unwrap(), "one\ntwo\nthree\nfour\nfive\n");
}

#[test]
fn files_that_are_carried_along_are_those_of_now() {
    let tree = Tree::new();
    tree.write(".gitignore", ".env\n");
    tree.git(&["add", ".gitignore"]);
    let repository = tree.repository();
    let copies = [".env", "sub/own.toml", "a.txt"].map(PathBuf::from).into();
    let beside = Beside { copies, ..Beside::default() };
    let bring = |with: &Beside| {
        let checkout = tree.checkout();
        checkout.bring_index(&repository, with).unwrap();
        let read = |name: &str| fs::read_to_string(checkout.dir().join(name)).ok();
        [read(".env"), read("sub/own.toml"), read("a.txt")]
    };
    let index = Some("one\ntwo\nthree\nfour\nfive\n".to_owned());
    assert_eq!(bring(&beside), [None, None, index.clone()]);
    tree.write(".env", "1");
    tree.write("sub/own.toml", "1");
    tree.write("a.txt", "not staged");
    assert_eq!(bring(&beside), [Some("1".into()), Some("1".into()), index.clone()], "the index comes first");
    tree.write(".env", "2");
    fs::remove_file(tree.root().join("sub/own.toml")).unwrap();
    assert_eq!(bring(&beside), [Some("2".into()), None, index.clone()]);
    assert_eq!(bring(&Beside::default()), [None, None, index]);
}

#[test]
fn what_is_not_ours_is_not_replaced() {
    let tree = Tree::new();
    let dir = tree.beside("checkout");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("precious"), "x").unwrap();
    let opened = Checkout::open(&dir, &tree.repository(), || true);
    assert!(matches!(opened, Err(GitError::Foreign(found)) if found == dir));
    assert_eq!(fs::read_to_string(dir.join("precious")).unwrap(), "x");
}

#[test]
fn a_checkout_that_is_held_is_waited_for_or_not() {
    let tree = Tree::new();
    let held = tree.checkout();
    let refused = Checkout::open(held.dir(), &tree.repository(), || false);
    assert!(matches!(refused, Err(GitError::Held(_))));
    drop(held);
    tree.checkout();
}

#[test]
fn a_repository_that_is_only_named_is_only_read() {
    let tree = Tree::new();
    let named = tree.beside("named.git");
    fs::rename(tree.root().join(".git"), &named).unwrap();
    let work_tree = tree.root();
    let ties: [(&str, &OsStr); 2] =
        [("GIT_DIR", named.as_os_str()), ("GIT_WORK_TREE", work_tree.as_os_str())];
    let before = fs::read(named.join("config")).unwrap();
    let repository = tree.around(&tree.root(), &ties).unwrap().unwrap();
    tree.write("a.txt", "x\n");
    let checkout = Checkout::open(&tree.beside("checkout"), &repository, || true).unwrap();
    checkout.bring_index(&repository, &Beside::default()).unwrap();
    assert_eq!(fs::read_to_string(checkout.dir().join("sub/b.txt")).unwrap(), "b\n");
    assert_eq!(fs::read(named.join("config")).unwrap(), before);
}

#[test]
fn of_two_repositories_over_one_work_tree_the_one_that_is_named_counts() {
    let tree = Tree::new();
    let other = tree.beside("other.git");
    let root = tree.root();
    tree.git(&["clone", "-q", "--bare", ".", other.to_str().unwrap()]);
    let ties: [(&str, &OsStr); 2] = [("GIT_DIR", other.as_os_str()), ("GIT_WORK_TREE", root.as_os_str())];
    assert_eq!(tree.around(&root, &ties).unwrap().unwrap().git_dir(), other);
    let elsewhere: [(&str, &OsStr); 2] = [("GIT_DIR", other.as_os_str()), ("GIT_WORK_TREE", "/".as_ref())];
    assert_eq!(tree.around(&root, &elsewhere).unwrap().unwrap().git_dir(), root.join(".git"));
}

#[test]
fn an_index_that_lies_elsewhere_is_that_of_the_hook() {
    let (tree, other) = (Tree::new(), Tree::new());
    let lent = tree.beside("index");
    fs::copy(tree.root().join(".git/index"), &lent).unwrap();
    let of = |index: &Path| {
        let found = tree.around(&tree.root(), &[("GIT_INDEX_FILE", index.as_os_str())]).unwrap().unwrap();
        found.index().to_owned()
    };
    assert_eq!(of(&lent), lent);
    assert_eq!(of(&other.root().join(".git/index")), tree.root().join(".git/index"), "another repository's");
}

#[test]
fn what_git_was_told_not_to_look_at_is_looked_at() {
    for bit in ["--assume-unchanged", "--skip-worktree"] {
        let tree = Tree::new();
        tree.git(&["update-index", bit, "a.txt", "sub/b.txt"]);
        tree.write("a.txt", "other\n");
        let repository = tree.repository();
        assert_eq!(paths(&repository.unstaged().unwrap()), ["a.txt"], "{bit}");
        assert_eq!(paths(&repository.since(&repository.head().unwrap()).unwrap()), ["a.txt"], "{bit}");
    }
}

#[test]
fn nobody_waits_for_a_fifo() {
    let tree = Tree::new();
    fs::remove_file(tree.root().join("a.txt")).unwrap();
    assert!(Command::new("mkfifo").arg(tree.root().join("a.txt")).status().unwrap().success());
    assert_eq!(paths(&tree.repository().unstaged().unwrap()), ["a.txt"]);
}

#[test]
fn a_git_of_the_directory_is_not_started() {
    let tree = Tree::new();
    let path = std::env::var_os("PATH").unwrap();
    fs::write(tree.root().join("git"), "#!/bin/sh\ntouch started\n").unwrap();
    fs::set_permissions(tree.root().join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    for odd in [".:", ":", "./:"] {
        let mut odd = OsString::from(odd);
        odd.push(&path);
        let mut environment = tree.environment();
        environment.retain(|(name, _)| name != "PATH");
        environment.push(("PATH".into(), odd));
        Repository::around(&tree.root(), &environment).unwrap().unwrap().unstaged().unwrap();
    }
    assert!(!tree.root().join("started").exists());
}

#[test]
fn nothing_is_written_through_a_link_on_the_way() {
    let tree = Tree::new();
    let victim = tree.beside("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("b.txt"), "b\n").unwrap();
    let repository = tree.repository();
    let checkout = tree.checkout();
    checkout.bring_index(&repository, &Beside::default()).unwrap();
    fs::write(checkout.dir().join("sub/b.txt"), "fixed\n").unwrap();
    let (all, _) = checkout.fixed().unwrap();
    fs::remove_dir_all(tree.root().join("sub")).unwrap();
    std::os::unix::fs::symlink(&victim, tree.root().join("sub")).unwrap();
    assert_eq!(repository.merge(&all[0], &checkout.dir().join(".git")).unwrap(), Merged::Left);
    assert_eq!(fs::read_to_string(victim.join("b.txt")).unwrap(), "b\n");
    // The same the other way round: what is checked out has a link where the work tree has a directory.
    fs::remove_file(tree.root().join("sub")).unwrap();
    tree.git(&["rm", "-q", "--cached", "-r", "sub"]);
    std::os::unix::fs::symlink(&victim, tree.root().join("sub")).unwrap();
    tree.git(&["add", "sub"]);
    fs::remove_file(tree.root().join("sub")).unwrap();
    tree.write("sub/.env", "secret");
    tree.write("sub/target/x", "x");
    let copies = [PathBuf::from("sub/.env")].into();
    let links = [PathBuf::from("sub/target")].into();
    checkout.bring_index(&repository, &Beside { links, copies }).unwrap();
    let left: Vec<_> = fs::read_dir(&victim).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["b.txt"]);
}

#[test]
fn what_is_fixed_is_stored_by_the_rules_it_was_checked_out_by() {
    let tree = Tree::new();
    tree.write(".gitattributes", "*.txt filter=turn\n");
    for (key, value) in [("filter.turn.clean", "tr a-z n-za-m"), ("filter.turn.smudge", "tr a-z n-za-m")] {
        tree.git(&["config", key, value]);
    }
    tree.write("a.txt", "secret\n");
    tree.git(&["add", "."]);
    // The rules in the work tree are others by now.
    tree.write(".gitattributes", "");
    let repository = tree.repository();
    let checkout = tree.checkout();
    checkout.bring_index(&repository, &Beside::default()).unwrap();
    assert_eq!(fs::read_to_string(checkout.dir().join("a.txt")).unwrap(), "secret\n");
    fs::write(checkout.dir().join("a.txt"), "secrets\n").unwrap();
    repository.stage(&checkout.fixed().unwrap().0, &checkout).unwrap();
    assert_eq!(tree.git(&["show", ":a.txt"]), "frpergf\n", "never in clear");
}

#[test]
fn what_is_no_content_is_told_apart() {
    let tree = Tree::new();
    tree.write("c.txt", "c\n");
    tree.git(&["add", "c.txt"]);
    let checkout = tree.checkout();
    checkout.bring_index(&tree.repository(), &Beside::default()).unwrap();
    fs::write(checkout.dir().join("a.txt"), "fixed\n").unwrap();
    fs::write(checkout.dir().join("made.txt"), "x").unwrap();
    fs::remove_file(checkout.dir().join("sub/b.txt")).unwrap();
    fs::set_permissions(checkout.dir().join("c.txt"), fs::Permissions::from_mode(0o755)).unwrap();
    let (fixed, others) = checkout.fixed().unwrap();
    assert_eq!(fixed.iter().map(|fixed| fixed.path.to_str().unwrap()).collect::<Vec<_>>(), ["a.txt"]);
    assert_eq!(others, ["made.txt", "c.txt", "sub/b.txt"].map(PathBuf::from));
}

#[test]
fn what_counts_in_one_work_tree_only_counts_in_its_checkout() {
    let tree = Tree::new();
    tree.git(&["config", "extensions.worktreeConfig", "true"]);
    for (key, value) in [("filter.turn.clean", "tr a-z n-za-m"), ("filter.turn.smudge", "tr a-z n-za-m")] {
        tree.git(&["config", "--worktree", key, value]);
    }
    tree.write(".gitattributes", "*.txt filter=turn\n");
    tree.write("a.txt", "secret\n");
    tree.git(&["add", "."]);
    assert_eq!(tree.git(&["show", ":a.txt"]), "frperg\n");
    let checkout = tree.checkout();
    checkout.bring_index(&tree.repository(), &Beside::default()).unwrap();
    assert_eq!(fs::read_to_string(checkout.dir().join("a.txt")).unwrap(), "secret\n");
}

#[test]
fn a_repository_whose_path_git_cannot_say_is_refused() {
    let tree = Tree::new();
    let odd = tree.beside("a\nb");
    fs::rename(tree.root(), &odd).unwrap();
    assert!(matches!(tree.around(&odd, &[]), Err(GitError::Newline(_))));
}

#[test]
fn what_was_carried_along_was_not_made_there() {
    let tree = Tree::new();
    tree.write("own.toml", "x");
    let beside = Beside { copies: [PathBuf::from("own.toml")].into(), ..Beside::default() };
    let checkout = tree.checkout();
    checkout.bring_index(&tree.repository(), &beside).unwrap();
    fs::write(checkout.dir().join("made.txt"), "x").unwrap();
    assert_eq!(checkout.fixed().unwrap(), (vec![], vec![PathBuf::from("made.txt")]));
}
