use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{PatternFault, PatternKind, PatternSet};

fn set(patterns: &[&str], kind: PatternKind) -> PatternSet {
    let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
    PatternSet::new(&[PathBuf::from("/r/app")], &patterns, kind).unwrap()
}

fn inputs(patterns: &[&str]) -> PatternSet {
    set(patterns, PatternKind::Inputs)
}

fn faults(patterns: &[&str]) -> Vec<PatternFault> {
    let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
    PatternSet::new(&[PathBuf::from("/r")], &patterns, PatternKind::Inputs).unwrap_err()
}

/// Patterns divided by spaces; a path; whether it matches as an input.
const MATCHES: &[(&str, &str, bool)] = &[
    // literals: the file, or the directory and everything beneath
    ("src", "/r/app/src", true),
    ("src", "/r/app/src/.hidden/x", true),
    ("src", "/r/app/src2", false),
    ("src", "/r/src", false),
    ("src/", "/r/app/src/a", true),
    ("./src", "/r/app/src/a", true),
    ("src/./a", "/r/app/src/a", true),
    ("src//a", "/r/app/src/a", true),
    (".", "/r/app/x/y", true),
    (".env", "/r/app/.env", true),
    ("../lib", "/r/lib/a", true),
    ("a/../b", "/r/app/b", true),
    ("../../../../x", "/x", true),
    ("/etc/hosts", "/etc/hosts", true),
    ("src", "/r/app/src/.git/index", false),
    (".git/HEAD", "/r/app/.git/HEAD", true),
    // wildcards stay within a segment
    ("*.rs", "/r/app/a.rs", true),
    ("*.rs", "/r/app/b/a.rs", false),
    ("*", "/r/app/a", true),
    ("*", "/r/app/a/b", false),
    ("?.rs", "/r/app/a.rs", true),
    ("?.rs", "/r/app/é.rs", true),
    ("?.rs", "/r/app/ab.rs", false),
    ("a*b*c", "/r/app/axbxbxc", true),
    ("a*b*c", "/r/app/axbxbx", false),
    ("a**c", "/r/app/abc", true),
    ("a**c", "/r/app/a/c", false),
    ("*/*.rs", "/r/app/b/a.rs", true),
    ("*/x/*", "/r/app/b/x/y", true),
    ("/r/*/a", "/r/app/a", true),
    ("../*/a", "/r/app/a", true),
    // any depth
    ("**", "/r/app/a", true),
    ("**", "/r/app/a/b/c", true),
    ("**", "/r/app", false),
    ("a/**", "/r/app/a", false),
    ("a/**", "/r/app/a/b", true),
    ("a/**/b", "/r/app/a/b", true),
    ("a/**/b", "/r/app/a/x/y/b", true),
    ("a/**/b", "/r/app/a/x/b/y", false),
    ("a/**/b", "/r/app/ab", false),
    ("a/**/**/b", "/r/app/a/b", true),
    ("**/a/**/b", "/r/app/x/a/y/a/b", true),
    ("**/*.rs", "/r/app/a.rs", true),
    ("*/", "/r/app/a/b/c", true),
    ("*/", "/r/app/a", false),
    // hidden names
    ("*", "/r/app/.env", false),
    ("?env", "/r/app/.env", false),
    ("[.]env", "/r/app/.env", false),
    (".*", "/r/app/.env", true),
    (".[e]nv", "/r/app/.env", true),
    ("\\.e*", "/r/app/.env", true),
    ("{.,x}*", "/r/app/.env", true),
    ("**", "/r/app/.config/x", false),
    ("**/.*/x", "/r/app/a/.config/x", true),
    ("**/.*/x", "/r/app/.b/.config/x", false),
    (".config/**", "/r/app/.config/x", true),
    (".config/**", "/r/app/.config/.x", false),
    ("**/.env", "/r/app/a/.env", true),
    ("**/.git/*", "/r/app/a/.git/HEAD", false),
    (".git/*", "/r/app/.git/HEAD", true),
    // classes
    ("[ab]", "/r/app/b", true),
    ("[ab]", "/r/app/c", false),
    ("[!ab]", "/r/app/c", true),
    ("[!ab]", "/r/app/a", false),
    ("[^ab]", "/r/app/c", true),
    ("[a-c]x", "/r/app/bx", true),
    ("[a-c]x", "/r/app/dx", false),
    ("[]]", "/r/app/]", true),
    ("[-a]", "/r/app/-", true),
    ("[a-]", "/r/app/-", true),
    ("[\\]]", "/r/app/]", true),
    ("[ä-ö]", "/r/app/é", true),
    // braces, with slashes in them
    ("{a,b}", "/r/app/b/deep", true),
    ("*.{rs,toml}", "/r/app/x.toml", true),
    ("*.{rs,toml}", "/r/app/x.md", false),
    ("{a,b/c}/*.rs", "/r/app/b/c/x.rs", true),
    ("{a,b/c}/*.rs", "/r/app/b/x.rs", false),
    ("{a,b/{c,d}}/*", "/r/app/b/d/x", true),
    ("x{,.min}.js", "/r/app/x.js", true),
    ("x{,.min}.js", "/r/app/x.min.js", true),
    ("{a}", "/r/app/a", true),
    ("{src,/etc}/*", "/etc/x", true),
    ("{/etc,/usr}/*", "/etc/x", true),
    // escapes
    ("\\*", "/r/app/*", true),
    ("\\*", "/r/app/a", false),
    ("\\{a,b\\}", "/r/app/{a,b}", true),
    ("\\!a", "/r/app/!a", true),
    ("a\\\\b", "/r/app/a\\b", true),
    ("a,b", "/r/app/a,b", true),
    // negation, wherever it stands
    ("** !a", "/r/app/a", false),
    ("!a **", "/r/app/a", false),
    ("** !a", "/r/app/a/b/c", false),
    ("** !*.md", "/r/app/x.md", false),
    ("** !*.md", "/r/app/a/x.md", true),
    ("** !**/gen", "/r/app/a/gen/b/c", false),
    ("** !**/gen/*.rs", "/r/app/a/gen/b/c.rs", true),
    ("src !src/**/*.x", "/r/app/src/.h/a.x", false),
    ("src !src/*", "/r/app/src/.h/a.y", false),
    ("src !src/**", "/r/app/src", true),
    ("src !src", "/r/app/src", false),
    ("src !**/.git", "/r/app/src/.git/x", false),
    ("!a", "/r/app/b", false),
    ("** !../app/a", "/r/app/a", false),
    ("** !/r", "/r/app/a", false),
];

#[test]
fn paths_match_as_the_table_says() {
    for &(patterns, path, expected) in MATCHES {
        let patterns: Vec<&str> = patterns.split(' ').collect();
        assert_eq!(inputs(&patterns).matches(Path::new(path)), expected, "{patterns:?} on {path}");
    }
}

#[test]
fn outputs_match_hidden_names() {
    let set = set(&["**/*.js", "!.cache"], PatternKind::Outputs);
    for (path, expected) in [
        ("/r/app/.next/a.js", true),
        ("/r/app/.a.js", true),
        ("/r/app/.cache/a.js", false),
        ("/r/app/.git/a.js", false),
    ] {
        assert_eq!(set.matches(Path::new(path)), expected, "{path}");
    }
}

#[test]
fn names_that_are_not_utf8_match_by_bytes() {
    let cases: [(&str, &[u8], bool); 8] = [
        ("*", b"/r/app/\xff", true),
        ("?", b"/r/app/\xff", true),
        ("?", b"/r/app/\xff\xfe", false),
        ("??", b"/r/app/\xff\xfe", true),
        ("*??", "/r/app/€".as_bytes(), false),
        ("a*.rs", b"/r/app/a\xc3.rs", true),
        ("[!a]", b"/r/app/\xff", true),
        ("[a-z]", b"/r/app/\xff", false),
    ];
    for (pattern, path, expected) in cases {
        let path = Path::new(OsStr::from_bytes(path));
        assert_eq!(inputs(&[pattern]).matches(path), expected, "{pattern} on {path:?}");
    }
}

#[test]
fn a_relative_pattern_is_looked_up_from_every_base() {
    let bases = [PathBuf::from("/a/../b"), PathBuf::from("/c")];
    let set = PatternSet::new(&bases, &["*.x".into(), "!d.x".into()], PatternKind::Inputs).unwrap();
    for (path, expected) in [("/b/1.x", true), ("/c/1.x", true), ("/a/1.x", false), ("/c/d.x", false)] {
        assert_eq!(set.matches(Path::new(path)), expected, "{path}");
    }
    assert_eq!(set.globs().iter().map(|g| g.written()).collect::<Vec<_>>(), [0, 0, 1, 1]);
}

#[test]
fn the_fixed_beginning_is_what_stands_before_the_first_wildcard() {
    let cases = [
        ("src/a/*.rs", "/r/app/src/a", false),
        ("src/a", "/r/app/src/a", true),
        ("**", "/r/app", false),
        ("../x/{a}/?", "/r/x/a", false),
        ("/", "/", true),
        ("\\*/b", "/r/app/*/b", true),
    ];
    for (pattern, prefix, literal) in cases {
        let set = inputs(&[pattern]);
        let glob = &set.globs()[0];
        assert_eq!((glob.prefix(), glob.is_literal()), (Path::new(prefix), literal), "{pattern}");
    }
}

#[test]
fn a_directory_is_reached_only_if_something_beneath_can_match() {
    let cases = [
        ("src/*.rs", "/r/app/src", true),
        ("src/*.rs", "/r", true),
        ("src/*.rs", "/r/app/src/a", false),
        ("src/*.rs", "/r/app/lib", false),
        ("src/**/x", "/r/app/src/a/b", true),
        ("src/**/x", "/r/app/src/.a", false),
        ("src", "/r/app/src/.a", true),
        ("** !gen", "/r/app/gen/x", false),
        ("**", "/r/app/.git", false),
    ];
    for (patterns, directory, expected) in cases {
        let patterns: Vec<&str> = patterns.split(' ').collect();
        assert_eq!(inputs(&patterns).reaches(Path::new(directory)), expected, "{patterns:?} on {directory}");
    }
}

#[test]
fn faults_name_the_place() {
    let cases = [
        ("", 0..0, "the pattern is empty"),
        ("!", 0..1, "the pattern is empty"),
        ("{,a}", 0..4, "the pattern is empty"),
        ("a/[bc", 2..5, "`[` without a `]`"),
        ("é/[b/c]", 3..6, "`[…]` matches within one name and cannot hold a `/`"),
        ("![z-a]", 1..5, "the range `z-a` is empty"),
        ("x{a,{b}", 1..7, "`{` without a `}`"),
        ("a}b", 1..2, "`}` without a `{` before it"),
        ("a\\", 1..2, "`\\` with nothing to escape"),
        ("a\\/b", 1..3, "`\\` with nothing to escape"),
        ("a\0", 1..2, "no path contains a NUL character"),
        ("*/../a", 0..6, "`..` after a wildcard has no fixed meaning"),
    ];
    for (pattern, span, message) in cases {
        let found = faults(&["ok", pattern]);
        assert_eq!(found.len(), 1, "{pattern}");
        assert_eq!((found[0].index, &found[0].span, &*found[0].message), (1, &span, message), "{pattern}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    assert_eq!(faults(&["[", "ok", "}", "{"]).iter().map(|f| f.index).collect::<Vec<_>>(), [0, 2, 3]);
}

#[test]
fn limits_are_faults() {
    let braces = "{a,b}".repeat(14);
    let deep = "{".repeat(17);
    let long = "*/".repeat(63);
    for (pattern, message) in [
        (braces, "the braces stand for more than 10000 patterns"),
        (deep, "braces are nested too deep"),
        (long, "more than 63 segments follow the first wildcard"),
    ] {
        assert_eq!(faults(&[&pattern])[0].message, message);
    }
    let longest = format!("{}x", "*/".repeat(62));
    let path = format!("/r/app{}/x", "/a".repeat(62));
    assert!(inputs(&[&longest]).matches(Path::new(&path)));
}

#[test]
fn a_name_that_almost_fits_is_refused_quickly() {
    let pattern = format!("{}b", "a*".repeat(40));
    assert!(!inputs(&[&pattern]).matches(Path::new(&format!("/r/app/{}", "a".repeat(5000)))));
}

#[test]
fn a_negation_takes_whole_directories() {
    let cases =
        [("!gen", true), ("!gen/**", true), ("!**", true), ("!gen/*", false), ("!gen/**/*.rs", false)];
    for (pattern, expected) in cases {
        let set = inputs(&[pattern]);
        let glob = &set.globs()[0];
        let mut states = glob.start();
        if glob.prefix() == Path::new("/r/app") {
            states = glob.step(states, b"gen");
        }
        assert_eq!(glob.takes_all_beneath(states), expected, "{pattern}");
    }
}
