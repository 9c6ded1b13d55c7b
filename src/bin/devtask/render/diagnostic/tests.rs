use std::{collections::BTreeMap, path::Path};

use devtask::{
    config::{Scope, parse_json, parse_toml},
    diagnostic::Place,
};

use super::*;

fn sources(name: &str, text: &str) -> Sources {
    let mut sources = Sources::default();
    sources.add(Source { name: name.to_owned(), path: None, text: text.into() });
    sources
}

/// What is wrong with a TOML file, as it is shown.
fn toml(text: &str) -> String {
    let file = parse_toml(SourceId(0), text);
    let root = Path::new("/r");
    let scope = Scope { project: "app", is_root: true, dir: root, root, git_root: None };
    let mut faults = file.faults.clone();
    faults.extend(file.declare(&scope, &BTreeMap::new()).faults);
    render(&faults, &sources("devtask.toml", text), false)
}

fn at(text: &str, span: Range<usize>, label: &str) -> String {
    let place = Place { source: SourceId(0), span };
    let fault = Diagnostic::error("code", "message").at(Some(&place), label);
    render(&[fault], &sources("f", text), false)
}

#[test]
fn faults_have_title_place_excerpt_and_one_hint() {
    let shown = toml("[tasks.build]\nexce = 'x'\nretries = 'a'\nafter = ['a@succeded']\n");
    let expected = "\
error[unknown-key]: unknown key `exce` in a task
 --> devtask.toml:2:1
  |
2 | exce = 'x'
  | ^^^^ unknown key
  |
  = help: did you mean `exec`?

error[wrong-type]: `retries` must be a whole number, not a string
 --> devtask.toml:3:11
  |
3 | retries = 'a'
  |           ^^^ expected a whole number

error[bad-suffix]: `@succeded` is no state to wait for
 --> devtask.toml:4:10
  |
4 | after = ['a@succeded']
  |          ^^^^^^^^^^^^
  |
  = help: did you mean `@succeeded`?
";
    assert_eq!(shown, expected);
}

#[test]
fn two_places_are_both_shown() {
    let shown = toml("[tasks.a]\nexec='x'\nstatus = 'x'\n\n\n\n\n\nexecIfModified = ['a']\n");
    let expected = "\
error[status-with-exec-if-modified]: `a` has both `status` and `execIfModified`
 --> devtask.toml:3:10
  |
3 | status = 'x'
  |          ^^^ this decides whether it runs
...
9 | execIfModified = ['a']
  |                  ----- and so does this
  |
  = help: keep one of them
";
    assert_eq!(shown, expected);
}

#[test]
fn syntax_faults_are_shown_where_they_are() {
    assert_eq!(
        toml("[tasks.a\nexec='x'"),
        "\
error[syntax]: unclosed table, expected `]`
 --> devtask.toml:1:9
  |
1 | [tasks.a
  |         ^
"
    );
    let text = "{\"tasks\": {},}";
    assert_eq!(
        render(&parse_json(SourceId(0), text).faults, &sources("devtask.json", text), false),
        "\
error[syntax]: trailing comma
 --> devtask.json:1:14
  |
1 | {\"tasks\": {},}
  |              ^
  |
  = help: JSON has double quotes, no comments and no comma before a closing bracket
"
    );
}

#[test]
fn places_in_two_files_are_both_shown() {
    let mut sources = sources("a.toml", "name = 'x'");
    let text: &str = "\n\nname = 'x'";
    let second = sources.add(Source { name: "b.toml".to_owned(), path: None, text: text.into() });
    let fault = Diagnostic::error("duplicate-project", "two")
        .at(Some(&Place { source: SourceId(0), span: 7..10 }), "this one")
        .at(Some(&Place { source: second, span: 9..12 }), "and this one");
    let expected = "\
error[duplicate-project]: two
 --> a.toml:1:8
  |
1 | name = 'x'
  |        ^^^ this one
  |
 ::: b.toml:3:8
  |
3 | name = 'x'
  |        --- and this one
";
    assert_eq!(render(&[fault], &sources, false), expected);
}

#[test]
fn a_fault_without_a_place_still_has_its_notes() {
    let fault = Diagnostic::warning("code", "message").note("first").note("second").hint("hint");
    let expected = "\
warning[code]: message
 |
 = note: first
 = note: second
 = help: hint
";
    assert_eq!(render(&[fault], &Sources::default(), false), expected);
    assert_eq!(render(&[], &Sources::default(), false), "");
}

#[test]
fn nothing_reaches_the_terminal_that_it_would_obey() {
    let evil = "\u{1b}[31m\u{9b}31m\u{7}\u{202e}\u{200f}\r\0";
    let place = Place { source: SourceId(0), span: 0..1 };
    let fault = Diagnostic::error("code", evil).at(Some(&place), evil).note(evil).hint(evil);
    let shown = render(&[fault], &sources(evil, evil), false);
    let obeyed = |c: &char| (c.is_control() && *c != '\n') || is_bidirectional(*c);
    assert_eq!(shown.chars().find(obeyed), None, "{shown:?}");
    assert!(shown.contains("\\u{1b}[31m\\u{9b}31m"), "{shown}");
}

#[test]
fn a_long_line_is_shown_around_its_fault() {
    let text = format!("ok\n{}X{}\n", "ä".repeat(300), "b".repeat(10_000_000));
    let shown = at(&text, 603..604, "here");
    assert!(shown.contains(" --> f:2:301\n"), "the column is that of the file: {shown}");
    assert!(shown.contains("äX") && shown.contains("^ here"), "{shown}");
    assert!(shown.len() < 1000, "{} bytes", shown.len());
}

#[test]
fn a_long_name_is_cut() {
    let shown = toml(&format!("{} = 1", "a".repeat(10_000_000)));
    assert!(
        shown.starts_with("error[unknown-key]: unknown key `aaa") && shown.len() < 3000,
        "{} bytes",
        shown.len()
    );
}

#[test]
fn any_span_can_be_shown() {
    for (text, span, place) in [
        ("", 0..0, "f:1:1"),
        ("a", 1..1, "f:1:2"),
        ("a\n", 2..2, "f:2:1"),
        ("a", 5..9, "f:1:2"),
        ("ü", 1..2, "f:1:1"),
        ("a\r\nb", 3..4, "f:2:1"),
        ("ab\ncd\nef", 1..8, "f:1:2"),
        ("a\tb\u{85}c", 2..3, "f:1:3"),
    ] {
        let shown = at(text, span.clone(), "here");
        assert!(shown.contains(&format!(" --> {place}\n")), "{text:?} {span:?}: {shown}");
    }
}

#[test]
fn colour_is_added_only_when_asked_for() {
    let fault = Diagnostic::error("code", "message");
    assert!(render(std::slice::from_ref(&fault), &Sources::default(), true).contains("\u{1b}["));
    assert!(!render(&[fault], &Sources::default(), false).contains('\u{1b}'));
}
