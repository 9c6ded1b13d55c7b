//! Repositories made on the spot, and what is said of them.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Change, Checkout, Entry, Fixed, GitError, Merged, Repository, Version};

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
        Checkout::open(&self.beside("checkout"), &self.repository(), || panic!("nobody else is here"))
            .unwrap()
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
    tree.checkout().bring_index(&repository, &BTreeSet::new()).unwrap();
    tree.write("a.txt", "a");
    tree.git(&["add", "a.txt"]);
    assert_eq!(paths(&repository.staged().unwrap()), ["a.txt"]);
    let checkout = tree.checkout();
    checkout.bring_index(&repository, &BTreeSet::new()).unwrap();
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
    let none = BTreeSet::new();
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
    let none = BTreeSet::new();
    let spoil: [(&str, &Spoil); 5] = [
        ("its index", &|dir| fs::write(dir.join(".git/index"), "x").unwrap()),
        ("its objects", &|dir| fs::remove_dir_all(dir.join(".git/objects")).unwrap()),
        ("its configuration", &|dir| fs::write(dir.join(".git/config"), "[").unwrap()),
        ("a lock", &|dir| fs::write(dir.join(".git/index.lock"), "").unwrap()),
        ("all of it", &|dir| {
            fs::remove_dir_all(dir).unwrap();
            fs::write(dir, "a file").unwrap();
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
    let links: BTreeSet<PathBuf> =
        ["node_modules", "web/node_modules", "missing", "sub"].map(PathBuf::from).into();
    for _ in 0..2 {
        checkout.bring_index(&repository, &links).unwrap();
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
    checkout.bring_index(&repository, &BTreeSet::new()).unwrap();
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
    checkout.bring_index(&repository, &BTreeSet::new()).unwrap();
    checkout.bring_commit(&repository, &head, &BTreeSet::new()).unwrap();
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
        checkout.bring_index(&repository, &BTreeSet::new()).unwrap();
        fs::write(checkout.dir().join("a.txt"), fixed).unwrap();
        let all: Vec<Fixed> = checkout.fixed().unwrap();
        assert_eq!((all.len(), all[0].path.as_path()), (1, Path::new("a.txt")), "{what}");
        assert_eq!(
            (all[0].base.as_slice(), all[0].now.as_slice()),
            (one.as_bytes(), fixed.as_bytes()),
            "{what}"
        );
        assert_eq!(repository.merge(&all[0], &checkout.dir().join(".git")).unwrap(), merged, "{what}");
        assert_eq!(repository.stage(&all).unwrap(), [] as [PathBuf; 0], "{what}");
        assert_eq!(tree.git(&["show", ":a.txt"]), fixed, "{what}");
        assert_eq!(fs::read_to_string(tree.root().join("a.txt")).ok().as_deref(), expected, "{what}");
    }
}

#[test]
fn what_was_staged_anew_meanwhile_is_left_alone() {
    let tree = Tree::new();
    let repository = tree.repository();
    let checkout = tree.checkout();
    checkout.bring_index(&repository, &BTreeSet::new()).unwrap();
    fs::write(checkout.dir().join("a.txt"), "fixed\n").unwrap();
    fs::write(checkout.dir().join("sub/b.txt"), "fixed\n").unwrap();
    let all = checkout.fixed().unwrap();
    tree.write("a.txt", "newer\n");
    tree.git(&["add", "a.txt"]);
    assert_eq!(repository.stage(&all).unwrap(), [PathBuf::from("a.txt")]);
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
    checkout.bring_index(&repository, &BTreeSet::new()).unwrap();
    fs::write(checkout.dir().join("a.txt"), "fixed\n").unwrap();
    let all = checkout.fixed().unwrap();
    let victim = tree.beside("victim");
    fs::write(&victim, "one\ntwo\nthree\nfour\nfive\n").unwrap();
    fs::remove_file(tree.root().join("a.txt")).unwrap();
    std::os::unix::fs::symlink(&victim, tree.root().join("a.txt")).unwrap();
    assert_eq!(repository.merge(&all[0], &checkout.dir().join(".git")).unwrap(), Merged::Left);
    assert_eq!(fs::read_to_string(victim).unwrap(), "one\ntwo\nthree\nfour\nfive\n");
}
