use std::{fs, os::unix::ffi::OsStrExt, path::Path};

use devtask::{
    model::FileKind,
    pattern::PatternKind,
    scan::{ScanOptions, Scanner, relative_name},
};

use crate::support::Tree;

#[test]
fn patterns_find_what_the_specification_says() {
    let tree = Tree::new(&[
        "src/a.rs",
        "src/b/c.rs",
        "src/b/.hidden.rs",
        "src/.dir/d.rs",
        "src/b/n.md",
        ".env",
        "README.md",
        ".devtask/state",
        ".git/HEAD",
        "sub/.git/HEAD",
        "sub/x.rs",
        "empty/",
        "../beside/y.rs",
    ]);
    let cases = [
        ("src/**/*.rs", "src/a.rs src/b/c.rs"),
        ("src", "src src/.dir src/.dir/d.rs src/a.rs src/b src/b/.hidden.rs src/b/c.rs src/b/n.md"),
        ("src/b/", "src/b src/b/.hidden.rs src/b/c.rs src/b/n.md"),
        ("src/a.rs", "src/a.rs"),
        ("*", "README.md"),
        (".*", ".env"),
        ("**/.*/*.rs", "src/.dir/d.rs"),
        ("**", "README.md src/a.rs src/b/c.rs src/b/n.md sub/x.rs"),
        ("** !src/b", "README.md src/a.rs sub/x.rs"),
        ("src !**/*.rs", "src src/.dir src/b src/b/n.md"),
        ("!src/b/** src", "src src/.dir src/.dir/d.rs src/a.rs src/b"),
        ("src/b/c.rs !src/b", ""),
        ("src/b/c.rs src/**", "src/a.rs src/b/c.rs src/b/n.md"),
        ("empty", "empty"),
        ("empty/**", ""),
        ("missing src/a.rs/deeper", ""),
        ("sub", "sub sub/x.rs"),
        (".git/*", ".git/HEAD"),
        (".git", ".git .git/HEAD"),
        (".devtask .devtask/state .devtask/**", ""),
        ("../beside/*", "../beside/y.rs"),
        ("../**", "../beside/y.rs README.md src/a.rs src/b/c.rs src/b/n.md sub/x.rs"),
        ("{src,sub}/*.rs", "src/a.rs sub/x.rs"),
        ("src/{a,b/c}.rs", "src/a.rs src/b/c.rs"),
    ];
    for (patterns, expected) in cases {
        assert_eq!(tree.found(patterns), expected, "{patterns}");
    }
    assert!(!tree.found(".").contains(".devtask"));
}

#[test]
fn wildcards_pass_over_what_git_ignores() {
    let tree = Tree::new(&[
        ".git/info/exclude=*.excluded",
        ".gitignore=*.log,/dist,build/,!keep.log",
        "a.log",
        "keep.log",
        "x.excluded",
        "src/a.rs",
        "src/a.log",
        "src/dist/in.js",
        "dist/out.js",
        "dist/keep.log",
        "build/b.js",
        "src/build",
        "src/.gitignore=!a.log,*.rs",
        "src/deep/.gitignore=!*.rs",
        "src/deep/d.rs",
    ]);
    let cases = [
        ("**", "keep.log src/a.log src/build src/deep/d.rs src/dist/in.js"),
        ("dist/**", "dist/keep.log dist/out.js"),
        ("dist/*.js", "dist/out.js"),
        ("dist", "dist dist/keep.log dist/out.js"),
        ("a.log", "a.log"),
        ("*.log", "keep.log"),
        ("src/*", "src/a.log src/build"),
        ("** dist/*", "dist/keep.log dist/out.js keep.log src/a.log src/build src/deep/d.rs src/dist/in.js"),
    ];
    for (patterns, expected) in cases {
        assert_eq!(tree.found(patterns), expected, "{patterns}");
    }
    let outputs = tree.set("**/*.js *.log", PatternKind::Outputs);
    let found = tree.scanner(1).walk(&[&outputs]).pop().unwrap();
    assert_eq!(tree.names(&found), "a.log build/b.js dist/out.js keep.log src/dist/in.js");
}

#[test]
fn rules_come_from_the_top_of_the_repository() {
    let tree = Tree::new(&[
        "../.git/HEAD",
        "../.gitignore=*.log,/root/gen",
        "a.log",
        "a.txt",
        "gen/g.txt",
        "p/q/a.log",
    ]);
    assert_eq!(tree.found("**"), "a.txt");
    assert_eq!(tree.found("p/q/*"), "");
    assert_eq!(tree.found("gen/*"), "gen/g.txt");
}

#[test]
fn a_repository_within_another_starts_afresh() {
    let tree = Tree::new(&[
        ".git/HEAD",
        ".gitignore=*.log",
        "a.log",
        "sub/.git/HEAD",
        "sub/.gitignore=*.txt",
        "sub/a.log",
        "sub/a.txt",
        "out/.gitignore=*",
        "out/nested/.git/HEAD",
        "out/nested/x",
    ]);
    assert_eq!(tree.found("**/a.*"), "sub/a.log");
    assert_eq!(tree.found("sub/*"), "sub/a.log");
    assert_eq!(tree.found("**/x"), "");
}

#[test]
fn a_linked_work_tree_shares_the_exclude_file() {
    let tree = Tree::new(&[
        "../main/.git/info/exclude=*.log",
        "../main/.git/worktrees/w/commondir=../..",
        ".git=gitdir: ../main/.git/worktrees/w",
        "a.log",
        "a.txt",
    ]);
    assert_eq!(tree.found("*"), "a.txt");
}

#[test]
fn outside_a_repository_the_rules_count_from_the_root() {
    let tree = Tree::new(&[
        "../.gitignore=*.txt",
        ".gitignore=*.log",
        "a.log",
        "a.txt",
        "b/a.log",
        "b/.gitignore=!a.log",
    ]);
    assert_eq!(tree.found("**"), "a.txt b/a.log");
    assert_eq!(tree.found("b/*"), "b/a.log");
}

#[test]
fn the_global_ignore_file_is_the_weakest() {
    let tree = Tree::new(&[".gitignore=!keep.swp", "a.swp", "keep.swp", "../global=*.swp"]);
    let options = ScanOptions {
        root: tree.root.clone(),
        state_dir: tree.path(".devtask"),
        global_ignore: Some(tree.path("../global")),
        threads: std::num::NonZero::<usize>::MIN,
    };
    let found = Scanner::new(options).walk(&[&tree.inputs("*")]).pop().unwrap();
    assert_eq!(tree.names(&found), "keep.swp");
}

#[test]
fn rules_that_change_between_walks_are_read_again() {
    let tree = Tree::new(&[".gitignore=*.log", "a.log", "a.txt"]);
    let (scanner, set) = (tree.scanner(1), tree.inputs("*"));
    assert_eq!(tree.names(&scanner.walk(&[&set])[0]), "a.txt");
    tree.add(".gitignore=*.txt");
    assert_eq!(tree.names(&scanner.walk(&[&set])[0]), "a.log");
    fs::remove_file(tree.path(".gitignore")).unwrap();
    assert_eq!(tree.names(&scanner.walk(&[&set])[0]), "a.log a.txt");
}

#[test]
fn links_are_followed_and_loops_end() {
    let tree = Tree::new(&["real/f=text", "outside/", "../else/g"]);
    for (target, name) in [
        ("real/f", "to_file"),
        ("real", "to_dir"),
        ("..", "real/up"),
        ("../real", "real/self"),
        ("nowhere", "broken"),
        ("ring2", "ring1"),
        ("ring1", "ring2"),
        ("../../else", "outside/else"),
        ("f/x", "real/through_file"),
    ] {
        tree.link(target, name);
    }
    assert_eq!(tree.found("real/*"), "real/f real/through_file");
    assert_eq!(tree.found("outside/**"), "outside/else/g");
    // Once around: where a link leads back, only the link itself counts.
    assert_eq!(
        tree.found("to_dir/**"),
        "to_dir/f to_dir/self to_dir/through_file to_dir/up/broken to_dir/up/outside/else/g to_dir/up/real/f \
         to_dir/up/real/self to_dir/up/real/through_file to_dir/up/real/up to_dir/up/ring1 to_dir/up/ring2 \
         to_dir/up/to_dir to_dir/up/to_file"
    );
    // A loop is entered as often as a pattern of fixed depth can still tell its turns apart.
    assert_eq!(
        tree.found("real/*/*/*/f"),
        "real/self/self/self real/self/self/up real/self/up/real/f real/self/up/to_dir real/up/real/self/f \
         real/up/to_dir"
    );
    let matched = tree.walk("to_file broken ring1 to_dir/f outside/else");
    let kinds: Vec<FileKind> = matched.entries.iter().map(|e| e.kind).collect();
    let file = FileKind::File { executable: false };
    assert_eq!(
        kinds,
        [FileKind::BrokenLink, FileKind::Directory, file, FileKind::BrokenLink, file, file],
        "{}",
        tree.names(&matched)
    );
    assert_eq!(matched.problems, []);
}

#[test]
fn packages_that_link_to_each_other_are_followed_once() {
    let tree = Tree::new(&[]);
    for package in 0..12 {
        tree.add(&format!("p{package:02}/file"));
        (0..12)
            .for_each(|other| tree.link(&format!("../p{other:02}"), &format!("p{package:02}/to{other:02}")));
    }
    let found = tree.walk("p*/**");
    let files = found.entries.iter().filter(|e| e.kind != FileKind::Directory).count();
    // Each of the twelve, and once more through a link.
    assert_eq!((files, found.problems.len()), (24, 0));
    assert_eq!(found.entries.len(), 24 + 2 * 12 * 12 - 12);
    let before = devtask::scan::FileTable::new(
        &tree.root,
        Box::new(devtask::scan::NoMemory),
        devtask::scan::TableOptions::default(),
    )
    .digest(&found);
    fs::remove_file(tree.path("p07/to03")).unwrap();
    let now = tree.walk("p*/**");
    let differs = devtask::scan::same_identities(&before, &now, None).unwrap();
    assert!(differs.ends_with("p07/to03") || differs.ends_with("to07/to03"), "{differs:?}");
    assert!(tree.scanner(4).walk(&[&tree.inputs("p*/**")])[0] == now);
}

#[test]
fn special_files_are_told_apart_and_never_opened() {
    let tree = Tree::new(&["a/x"]);
    tree.fifo("a/fifo");
    let _socket = std::os::unix::net::UnixListener::bind(tree.path("a/socket")).unwrap();
    let kinds: Vec<FileKind> = tree.walk("a/*").entries.iter().map(|e| e.kind).collect();
    assert_eq!(kinds, [FileKind::Special, FileKind::Special, FileKind::File { executable: false }]);
}

#[test]
fn names_need_not_be_utf8() {
    let tree = Tree::new(&["a/x"]);
    let name = std::ffi::OsStr::from_bytes(b"\xff\nx.rs");
    if fs::write(tree.path("a").join(name), "").is_err() {
        eprintln!("skipped: this file system refuses such names");
        return;
    }
    let found = tree.walk("a/*.rs");
    assert_eq!(found.entries[0].path.file_name(), Some(name));
}

#[test]
fn what_cannot_be_looked_at_is_a_problem() {
    let tree = Tree::new(&["a/x"]);
    tree.link("ring", "ring");
    let long = "n".repeat(300);
    let deep = vec!["d".repeat(200); 30].join("/");
    for (pattern, path, error) in [
        ("ring/x", "ring/x", "Too many levels of symbolic links"),
        (&*long, &*long, "File name too long"),
        (&*deep, &*deep, "File name too long"),
    ] {
        let found = tree.walk(&format!("a/* {pattern}"));
        assert_eq!(tree.names(&found), "a/x");
        assert_eq!(found.problems.len(), 1, "{pattern}");
        assert_eq!(found.problems[0].path, tree.path(path));
        assert!(found.problems[0].error.starts_with(error), "{}", found.problems[0].error);
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_a_problem() {
    let tree = Tree::new(&["a/x", "a/locked/y"]);
    let locked = tree.path("a/locked");
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if fs::read_dir(&locked).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let found = tree.walk("a/**");
    assert_eq!((tree.names(&found).as_str(), found.problems.len()), ("a/x", 1));
    assert_eq!(found.problems[0].path, locked);
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn patterns_that_match_nothing_are_told() {
    let tree = Tree::new(&["a/x", "b/"]);
    for (patterns, expected) in [
        ("a/* a/*.rs missing b", vec![1, 2]),
        ("a/{y,x}", vec![]),
        ("!a/* a/x", vec![1]),
        ("b/** b", vec![0]),
    ] {
        assert_eq!(tree.walk(patterns).unmatched, expected, "{patterns}");
    }
}

#[test]
fn sets_do_not_disturb_each_other() {
    let tree = Tree::new(&["a/x.rs", "a/b/y.rs", "a/gen/z.rs", ".gitignore=gen"]);
    let sets = ["** !a/b", "a/b", "a/gen/*", "a", "**/x.*", "missing"].map(|p| tree.inputs(p));
    let together = tree.scanner(1).walk(&sets.each_ref());
    for (set, together) in sets.iter().zip(&together) {
        assert_eq!(*together, tree.scanner(1).walk(&[set])[0]);
    }
    assert_eq!(tree.names(&together[0]), "a/x.rs");
    assert!(together[0].entries[0].path.as_ptr_eq(&together[3], "a/x.rs"));
}

trait Shared {
    fn as_ptr_eq(&self, matched: &devtask::scan::Matched, name: &str) -> bool;
}

impl Shared for std::sync::Arc<Path> {
    /// Whether another set holds the very same path and not a copy.
    fn as_ptr_eq(&self, matched: &devtask::scan::Matched, name: &str) -> bool {
        matched.entries.iter().any(|e| e.path.ends_with(name) && std::sync::Arc::ptr_eq(&e.path, self))
    }
}

#[test]
fn entries_are_in_the_order_of_their_bytes() {
    let tree = Tree::new(&["a/b", "a.b", "a-b", "a/c/d", "a/c.d"]);
    assert_eq!(tree.found("**"), "a-b a.b a/b a/c.d a/c/d");
}

#[test]
fn names_in_keys() {
    for (path, name) in [
        ("/h/u/p/a/b", "a/b"),
        ("/h/u/p", ""),
        ("/h/u/q/x", "../q/x"),
        ("/h/x", "../../x"),
        ("/h/u", ".."),
        ("/etc/hosts", "/etc/hosts"),
    ] {
        assert_eq!(relative_name(Path::new("/h/u/p"), Path::new(path)), name.as_bytes(), "{path}");
    }
}
