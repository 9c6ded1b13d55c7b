//! Commands that are and commands that must not be; places; the table.

use std::time::UNIX_EPOCH;

use devtask::{
    event::{Event, Finished, Stream, What},
    model::{Outcome, TaskName},
};

use super::{
    ANNOTATIONS, Github, Ground, OUTPUT,
    command::{Annotation, Level, Tokens, broken, data, property},
    place::found_in,
    summary::Summary,
};
use crate::render::lines::{Lines, Style};

fn style() -> Style {
    Style { color: false, quiet: false, explain: false, tail: 2, streamed: false }
}

fn event(what: What) -> Event {
    Event { v: 1, time: UNIX_EPOCH, what }
}

fn name(task: &str) -> TaskName {
    TaskName::new(task).unwrap()
}

#[test]
fn nothing_ends_a_command_or_a_property_too_early() {
    for (text, as_data, as_property) in [
        ("plain", "plain", "plain"),
        ("50% of\r\n", "50%25 of%0D%0A", "50%25 of%0D%0A"),
        ("%0A", "%250A", "%250A"),
        ("a:b, c::d", "a:b, c::d", "a%3Ab%2C c%3A%3Ad"),
    ] {
        assert_eq!(data(text), as_data, "{text:?}");
        assert_eq!(property(text), as_property, "{text:?}");
    }
    let mut annotation = Annotation::of(Level::Error, "a:b", "one\ntwo: 100%");
    annotation.place = Some(("a,b.c".to_owned(), Some(3), Some(5)));
    assert_eq!(annotation.to_string(), "::error file=a%2Cb.c,line=3,col=5,title=a%3Ab::one%0Atwo: 100%25");
    let long = Annotation::of(Level::Warning, "t", &"ü".repeat(5000)).to_string();
    assert!(long.starts_with("::warning title=t::ü") && long.chars().count() < 4096, "{}", long.len());
}

#[test]
fn what_looks_like_a_command_is_broken() {
    for (text, expected) in [
        ("a::b", "a::b"),
        ("::error::x", "\\::error::x"),
        (" \t::error::x", " \t\\::error::x"),
        ("\u{a0}::error::x", "\u{a0}\\::error::x"),
        (":\u{200b}:error::x", "\\::error::x"),
        ("\u{feff}::error::x", "\\::error::x"),
        ("say ##[add-mask]x", "say ##\\[add-mask]x"),
        ("#\u{ad}#\u{2060}[error]x", "##\\[error]x"),
        ("fine\n::group::x", "fine\n\\::group::x"),
        ("#[derive(Debug)] ## [x]", "#[derive(Debug)] ## [x]"),
    ] {
        assert_eq!(broken(text), expected, "{text:?}");
    }
}

#[test]
fn a_word_that_ends_the_stop_is_never_given_twice() {
    let (mut one, mut other) = (Tokens::new(), Tokens::new());
    let given = [one.next(), one.next(), other.next(), other.next()];
    let distinct: std::collections::BTreeSet<_> = given.iter().collect();
    assert_eq!(distinct.len(), 4, "{given:?}");
    assert!(given.iter().all(|token| token.len() == 40), "{given:?}");
}

#[test]
fn places_are_found() {
    let here = |path: &str| {
        let is_here = ["a.rs", "src/b.c", "dir/ü x.py", "C.java"].contains(&path);
        is_here.then(|| format!("top/{path}"))
    };
    type Expected<'a> = &'a [(&'a str, u64, Option<u64>, &'a str)];
    let cases: [(&[&str], Expected<'_>); 14] = [
        (&["src/b.c:3:14: error: expected ';'"], &[("src/b.c", 3, Some(14), "error: expected ';'")]),
        (&["  src/b.c:3: undefined reference"], &[("src/b.c", 3, None, "undefined reference")]),
        (&["src/b.c:3:14"], &[("src/b.c", 3, Some(14), "")]),
        (&["src/b.c:3:14: warning: unused", "src/b.c:4: note: here"], &[]),
        (&["gone.c:3:14: error: x", "12:30:45: x", "http://a.rs:80/", "a.rs: no", "a.rs:x:3: no"], &[]),
        (&["C.java:7: Fehler: 1:2"], &[("C.java", 7, None, "Fehler: 1:2")]),
        (
            &["error[E0425]: cannot find value `x`", "  --> a.rs:2:9", "   |", "2 |     x"],
            &[("a.rs", 2, Some(9), "error[E0425]: cannot find value `x`")],
        ),
        (&["warning: unused variable: `x`", " --> a.rs:2:9", " ::: src/b.c:1:1"], &[]),
        (
            &["\u{1b}[1m\u{1b}[31merror\u{1b}[0m: no", "\u{1b}[34m-->\u{1b}[0m a.rs:2:9"],
            &[("a.rs", 2, Some(9), "error: no")],
        ),
        (&["thread 't' panicked at a.rs:10:5:", "left"], &[("a.rs", 10, Some(5), "thread 't'")]),
        (
            &[
                "Traceback (most recent call last):",
                "  File \"a.rs\", line 1, in <module>",
                "    f()",
                "  File \"dir/ü x.py\", line 20, in f",
                "    int('x')",
                "  File \"/usr/lib/python3/int.py\", line 4, in int",
                "ValueError: no",
            ],
            &[("dir/ü x.py", 20, None, "ValueError: no")],
        ),
        (&["  File \"a.rs\", line 7"], &[("a.rs", 7, None, "")]),
        (
            &["a.rs:1: x", "a.rs:1: again", "a.rs:2: y", "a.rs:3: z", "a.rs:4: too many"],
            &[("a.rs", 1, None, "x"), ("a.rs", 2, None, "y"), ("a.rs", 3, None, "z")],
        ),
        (&["a.rs:99999999999999999999:1: x", "a.rs::", ":::", "-->", "File \"\", line "], &[]),
    ];
    for (lines, expected) in cases {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let found = found_in(&lines, 3, here);
        let found: Vec<_> =
            found.iter().map(|f| (f.path.as_str(), f.line.unwrap(), f.column, f.message.as_str())).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, line, col, text)| (format!("top/{path}"), *line, *col, *text))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(p, l, c, t)| (p.as_str(), *l, *c, *t)).collect();
        assert_eq!(found, expected, "{lines:?}");
    }
}

/// A run of tasks that each write so many lines of so many bytes and fail.
fn failures(tasks: usize, lines: usize, bytes: usize) -> Vec<String> {
    let mut github = Github::new(Ground::default());
    let mut plain = Lines::new(style());
    let mut all = Vec::new();
    for number in 0..tasks {
        let task = name(&format!("a:t{number}"));
        for _ in 0..lines {
            let line = "x".repeat(bytes);
            let what = What::Log { task: task.clone(), stream: Stream::Stdout, line };
            assert!(github.collect(&event(what)));
        }
        let mut finished = Finished::without_execution(task, Outcome::Failed);
        finished.exit_code = Some(3);
        finished.tail = vec!["x".repeat(bytes); lines.min(2)];
        let finished = event(What::TaskFinished(Box::new(finished)));
        let lines = plain.of(&finished);
        all.extend(github.dress(&finished, lines, &style()));
    }
    all
}

#[test]
fn no_more_is_annotated_than_github_takes() {
    let log = failures(ANNOTATIONS + 5, 1, 1);
    assert_eq!(log.iter().filter(|line| line.starts_with("::error ")).count(), ANNOTATIONS);
    assert!(log.contains(&"::error title=a%3At0::a:t0 failed: exit 3".to_owned()), "{log:#?}");
    let failed = log.iter().filter(|line| line.starts_with("Failed")).count();
    assert_eq!(failed, ANNOTATIONS + 5, "all are told");
}

#[test]
fn of_a_flood_the_end_is_shown_and_the_rest_counted() {
    let bytes = 1023;
    let log = failures(1, OUTPUT / 1024 + 7, bytes);
    assert_eq!(log[0], "::group::a:t0");
    assert_eq!(log[2], "… 7 lines not shown, see its log …");
    // The last two stand below the heading.
    assert_eq!(log.iter().filter(|line| line.len() == bytes).count(), OUTPUT / 1024 - 2);
}

#[test]
fn the_table_is_nothing_but_text_and_fits() {
    let run = |tasks: usize, there: u64, dry_run: bool| {
        let mut summary = Summary::default();
        summary.take(&event(What::RunStarted { run: "r".to_owned(), roots: Vec::new(), dry_run }));
        for number in 0..tasks {
            let task = name(&format!("a:t{number}"));
            let is_last = number + 1 == tasks;
            let status = if is_last { Outcome::Failed } else { Outcome::Cached };
            let mut finished = Finished::without_execution(task, status);
            finished.error = Some("a|b `c` <img> @you\nhttp://x.y".to_owned());
            finished.duration_ms = Some(1500.0);
            summary.take(&event(What::TaskFinished(Box::new(finished))));
        }
        let counts = [(Outcome::Failed, 1), (Outcome::Cached, tasks - 1)].into();
        let status = devtask::event::RunStatus::Failed;
        summary.take(&event(What::RunFinished { counts, status, duration_ms: 2500.0 }));
        summary.text(there)
    };
    let text = run(2, 0, false).unwrap();
    let expected = "### devtask: 1 Cached, 1 Failed in 2.50s\n\n| | Task | Time | Why |\n|---|---|---:|---|\n\
                    | **Failed** | a&#58;t1 | 1&#46;50s | a&#124;b &#96;c&#96; &#60;img&#62; &#64;you&#92;nhttp&#58;//x&#46;y |\n\
                    | Cached | a&#58;t0 | 1&#46;50s | fresh |\n\n";
    assert_eq!(text, expected);
    assert_eq!(run(2, 0, true), None, "a dry run has done nothing");
    assert_eq!(run(2, 1 << 20, false), None, "a step that has no room left");
    let long = run(20_000, 0, false).unwrap();
    assert!(long.len() <= 256 * 1024 && long.contains("**Failed**") && long.contains("\n… and "));
    let (near, there) = (run(2000, (1 << 20) - 2000, false).unwrap(), (1 << 20) - 2000);
    assert!(near.len() + there <= 1 << 20 && near.contains("other tasks"), "{near}");
}
