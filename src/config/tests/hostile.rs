use super::*;
use crate::model::{Action, Written};

#[test]
fn hostile_texts_are_faults_and_never_panics() {
    let deep = 100_000;
    for text in [
        "[".repeat(deep),
        "{".repeat(deep),
        "{\"a\":".repeat(deep),
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("a = {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("[{}]", vec!["a"; 200_000].join(".")),
        format!("{} = 1", vec!["a"; 200_000].join(".")),
        "\0".to_owned(),
        "a = \"\0\"".to_owned(),
        "\u{feff}\u{feff}".to_owned(),
        "a = '''".to_owned(),
        "a = \"\\u".to_owned(),
        "\"\\ud800\"".to_owned(),
        "{\"a\": \"\\ud800\"}".to_owned(),
        "[[tasks]]\n[tasks.a]".to_owned(),
        "tasks.a.b.c.d = 1".to_owned(),
        "a.b = 1\na = 2\n[a]\n[a.b]".to_owned(),
    ] {
        let start: String = text.chars().take(20).collect();
        let file = parse_toml(SOURCE, &text);
        let (_, faults) = declared(&file, &scope());
        assert!(!faults.is_empty(), "{start}");
        assert!(!json(&text).1.is_empty(), "{start}");
        assert!(!devenv(&text).faults.is_empty(), "{start}");
        for label in faults.iter().flat_map(|f| &f.labels) {
            assert!(text.get(label.place.span.clone()).is_some(), "{start}: {label:?}");
        }
    }
}

#[test]
fn a_long_text_is_read() {
    let long = "x".repeat(10_000_000);
    let task = one(&format!("[tasks.a]\nexec = '{long}'")).task;
    assert_eq!(task.action, Action::Script(Written::plain(long.clone())));
    let (list, faults) = json(&format!(r#"{{"tasks": {{"a": {{"exec": "{long}"}}}}}}"#));
    assert_eq!((list.len(), faults.len()), (1, 0));
}

#[test]
fn bytes_at_random_never_panic() {
    let words = [
        "[", "]", "{", "}", "=", "\"", "'", "\n", ".", ",", "tasks", "a", "exec", "1", "\\", "ü", "#", ":",
        "null", "@",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..3_000 {
        let text: String = (0..random.usize(0..30)).map(|_| words[random.usize(0..words.len())]).collect();
        for (_, faults) in [toml(&text), json(&text)] {
            for label in faults.iter().flat_map(|f| &f.labels) {
                assert!(text.get(label.place.span.clone()).is_some(), "{text:?}: {label:?}");
            }
        }
        devenv(&text);
    }
}
