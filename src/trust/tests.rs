//! What is allowed, and what is not any more.

use super::*;
use crate::model::{TaskName, Written};

fn script(name: &str, text: &str) -> Task {
    let mut task = Task::empty(TaskName::new(name).unwrap(), "/".as_ref());
    task.action = Action::Script(Written::plain(text.to_owned()));
    task
}

fn tree(files: &[(&str, &str)], commands: &[(&str, &str)]) -> Trust {
    let mut trust = Trust::new("/p".as_ref(), "devtask.toml".as_ref(), 1000);
    for (name, text) in files {
        trust.add_file(name.as_ref(), text.as_bytes());
    }
    for (name, text) in commands {
        trust.add_task(&script(name, text));
    }
    trust
}

#[test]
fn whatever_was_loaded_counts_and_nothing_else() {
    let allowed = tree(&[("a", "1"), ("b", "2")], &[("x:t", "make")]);
    for (name, now, files) in [
        ("the same", tree(&[("a", "1"), ("b", "2")], &[("x:t", "make")]), vec![]),
        // The commands are for people.
        ("other words", tree(&[("a", "1"), ("b", "2")], &[("x:t", "rm")]), vec![]),
        ("changed", tree(&[("a", "1"), ("b", "3")], &[]), vec![("b", Change::Changed)]),
        ("added", tree(&[("a", "1"), ("b", "2"), ("c", "")], &[]), vec![("c", Change::Added)]),
        ("removed", tree(&[("b", "2")], &[]), vec![("a", Change::Removed)]),
        (
            "swapped",
            tree(&[("a", "2"), ("b", "1")], &[]),
            vec![("a", Change::Changed), ("b", Change::Changed)],
        ),
    ] {
        let changes = now.changes_since(&allowed);
        let found: Vec<_> =
            changes.files.iter().map(|(path, change)| (path.to_str().unwrap(), *change)).collect();
        assert_eq!(found, files, "{name}");
        assert_eq!(changes.is_empty(), files.is_empty(), "{name}");
    }
}

#[test]
fn variables_are_told_by_name_and_decide_nothing() {
    let with = |variables: &[(&str, &str)]| {
        let mut trust = tree(&[], &[]);
        variables.iter().for_each(|(name, value)| trust.add_variable("p", name, value.as_bytes()));
        trust
    };
    let allowed = with(&[("SAME", "s"), ("OTHER", "hush1"), ("GONE", "hush2")]);
    let changes =
        with(&[("SAME", "s"), ("SAME", "s"), ("OTHER", "hush3"), ("NEW", "")]).changes_since(&allowed);
    let found: Vec<_> = changes.variables.iter().map(|(name, change)| (name.as_str(), *change)).collect();
    let expected =
        [("GONE of p", Change::Removed), ("NEW of p", Change::Added), ("OTHER of p", Change::Changed)];
    assert_eq!(found, expected);
    assert!(changes.is_empty());
    assert!(!format!("{allowed:?} {changes:?}").contains("hush"));
}

#[test]
fn a_file_that_was_read_twice_and_was_not_the_same_is_neither() {
    let twice = |texts: &[&str]| tree(&texts.iter().map(|text| ("a", *text)).collect::<Vec<_>>(), &[]);
    let allowed = twice(&["good"]);
    assert!(twice(&["good", "good"]).changes_since(&allowed).is_empty());
    for texts in [["evil", "good"], ["good", "evil"]] {
        assert!(!twice(&texts).changes_since(&allowed).is_empty(), "{texts:?}");
    }
}

#[test]
fn a_tree_elsewhere_or_of_somebody_else_is_another() {
    let allowed = tree(&[], &[]);
    for (root, file, owner) in
        [("/q", "devtask.toml", 1000), ("/p", "other.toml", 1000), ("/p", "devtask.toml", 0)]
    {
        let now = Trust::new(root.as_ref(), file.as_ref(), owner);
        assert!(!now.changes_since(&allowed).is_empty(), "{root} {file} {owner}");
    }
    let id = |root: &str, file: &str| Trust::id(root.as_ref(), file.as_ref());
    assert_ne!(id("/p", "q"), id("/pq", ""));
    assert_eq!(id("/p", "q").len(), 64);
}

#[test]
fn commands_that_changed_are_told() {
    let allowed = tree(&[], &[("x:gone", "a"), ("x:new", "b"), ("x:same", "c")]);
    let mut now = tree(&[], &[("x:new", "evil"), ("x:same", "c"), ("x:two", "d")]);
    let mut task = script("x:py", "print()");
    task.interpreter.package = Written::plain("python3".to_owned());
    task.status = Some(Action::Script(Written::plain("test -e x\n".to_owned())));
    now.add_task(&task);
    now.add_task(&Task::empty(TaskName::new("x:none").unwrap(), "/".as_ref()));
    let told: Vec<_> =
        now.changes_since(&allowed).commands.into_iter().map(|c| (c.name, c.before, c.now)).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        told,
        [
            ("x:gone".to_owned(), some("a"), None),
            ("x:new".to_owned(), some("b"), some("evil")),
            ("x:py".to_owned(), None, some("[python3] print()\nstatus: [python3] test -e x")),
            ("x:two".to_owned(), None, some("d")),
        ]
    );
}

#[test]
fn a_path_of_any_bytes_survives_being_kept() {
    let mut trust = tree(&[], &[]);
    trust.add_file(OsStr::from_bytes(b"\xff"), b"1");
    let kept = postcard::to_stdvec(&trust).unwrap();
    assert_eq!(postcard::from_bytes::<Trust>(&kept).unwrap(), trust);
}
