//! Quoting, names, natures, paths, YAML.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    model::TaskName,
    propose::{
        name::{Names, legal},
        nature::{self, Nature},
        paths, quote, yaml,
    },
};

/// Text as an enemy writes it.
fn nasty(random: &mut fastrand::Rng) -> String {
    let pieces = [
        "'",
        "''",
        "'''",
        "\"",
        "\"\"\"",
        "\\",
        "\\u0041",
        "\n",
        "\r",
        "\r\n",
        "\t",
        "#",
        "]",
        "[tasks.x]",
        "=",
        "a",
        " ",
        "\u{0}",
        "\u{7}",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}",
        "\u{202e}",
        "\u{2028}",
        "\u{feff}",
        "é",
        "𝄞",
        "${root}",
    ];
    (0..random.usize(0..12)).map(|_| pieces[random.usize(0..pieces.len())]).collect()
}

#[test]
fn a_string_is_what_it_was_and_a_comment_says_nothing() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..20_000 {
        let texts: Vec<String> = (0..random.usize(1..4)).map(|_| nasty(&mut random)).collect();
        let file = format!(
            "{}\none = {}\n{}\nlist = {}\n",
            quote::comment(&texts[0]),
            quote::string(&texts[0]),
            quote::comment(&texts.concat()),
            quote::list(&texts)
        );
        let read: toml::Table = file.parse().unwrap_or_else(|e| panic!("{e}\n{file:?}"));
        assert_eq!(read["one"].as_str(), Some(&*texts[0]), "{file:?}");
        let list: Vec<&str> = read["list"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        assert_eq!(list, texts, "{file:?}");
        assert_eq!(read.len(), 2, "{file:?}");
        let is_odd =
            |c: char| c.is_control() && c != '\n' && c != '\t' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!file.contains(is_odd), "{file:?}");
    }
}

#[test]
fn names_become_legal_and_different() {
    for (text, expected) in [
        ("build", "build"),
        ("build:css", "build-css"),
        ("@acme/ui", "acme-ui"),
        ("a  b__c.", "a-b__c"),
        ("--x", "x"),
        ("ß", "unnamed"),
        ("", "unnamed"),
        ("::", "unnamed"),
    ] {
        assert_eq!(legal(text), expected, "{text}");
    }
    let mut random = fastrand::Rng::with_seed(8);
    let (mut names, mut seen) = (Names::default(), BTreeSet::new());
    for _ in 0..2000 {
        let name = legal(&nasty(&mut random));
        assert!(TaskName::check_characters(&name).is_ok() && !name.contains(':'), "{name}");
        assert!(seen.insert(names.take(&[name.clone(), format!("npm-{name}")])), "{name}");
    }
    let mut names = Names::default();
    let taken: Vec<String> = (0..4).map(|_| names.take(&["a".to_owned(), "npm-a".to_owned()])).collect();
    assert_eq!(taken, ["a", "npm-a", "npm-a-2", "npm-a-3"]);
}

#[test]
fn names_tell_what_is_behind_them() {
    use Nature::{Build, Check, Endless, Test, Unknown};
    for (name, nature) in [
        ("build", Build),
        ("buildCss", Build),
        ("gen-proto", Build),
        ("test", Test),
        ("test:unit", Test),
        ("lint", Check),
        ("format:check", Check),
        ("fmt-check", Check),
        ("type-check", Check),
        ("dev", Endless),
        ("start:prod", Endless),
        ("test:watch", Endless),
        ("frobnicate", Unknown),
        ("rebuildable", Unknown),
    ] {
        assert_eq!(nature::of(name), nature, "{name}");
    }
    for name in [
        "deploy",
        "build:release",
        "lint:fix",
        "check-fix",
        "fmt",
        "db:seed",
        "clean",
        "docker-build",
        "test-update",
    ] {
        assert!(matches!(nature::of(name), Nature::Effect(_)), "{name}");
    }
    assert_eq!(nature::of_command("build", "tsc --watch"), Endless);
    assert_eq!(nature::of_command("test", "jest"), Test);
}

#[test]
fn paths_are_written_from_where_they_are_read() {
    for (from, path, expected) in [
        ("", "", ""),
        ("", "a/b", "a/b"),
        ("a", "a", ""),
        ("a", "", ".."),
        ("a/b", "a/c/d", "../c/d"),
        ("a/b", "ab", "../../ab"),
        ("a", "a/b", "b"),
    ] {
        assert_eq!(paths::relative(from, path), expected, "{path} from {from}");
        assert_eq!(paths::resolve(from, expected).as_deref(), Some(path), "{path} from {from}");
    }
    for (dir, written, expected) in [
        ("a", "./../b/", Some("b")),
        ("a", "../..", None),
        ("", "..", None),
        ("", "/etc", None),
        ("a", "b//c", Some("a/b/c")),
    ] {
        assert_eq!(paths::resolve(dir, written).as_deref(), expected, "{written}");
    }
    assert_eq!(paths::literal("", "a[b]/{c}"), "a\\[b\\]/\\{c\\}");
    assert_eq!(paths::word("it's"), r"'it'\''s'");
}

#[test]
fn yaml_becomes_values() {
    for (text, expected) in [
        ("", json!(null)),
        ("a: 1\nb: [x, 'true', true, ~]\n", json!({"a": "1", "b": ["x", "true", true, null]})),
        ("- &x {k: v}\n- *x\n", json!([{"k": "v"}, {"k": "v"}])),
        (
            "base: &b {k: v, l: w}\nown:\n  <<: *b\n  l: x\n",
            json!({"base": {"k": "v", "l": "w"}, "own": {"k": "v", "l": "x"}}),
        ),
        ("a: |\n  one\n  two\n", json!({"a": "one\ntwo\n"})),
        ("--- 1\n--- 2\n", json!("1")),
    ] {
        assert_eq!(yaml::parse(text), Ok(expected), "{text}");
    }
    for text in ["a: [", "a: b: c", "*x", "\"", "&a [*a]"] {
        let fault = yaml::parse(text).unwrap_err();
        assert!(fault.starts_with("line "), "{text}: {fault}");
    }
}

#[test]
fn yaml_stays_within_bounds() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        bomb.push_str(&format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")));
    }
    assert!(yaml::parse(&bomb).unwrap_err().ends_with("too many values"));
    assert!(yaml::parse(&"- ".repeat(65)).unwrap_err().ends_with("nested too deeply"));
    for deep in ["[", "- ", "{a: ", "? "] {
        assert!(yaml::parse(&deep.repeat(50_000)).is_err(), "{deep}");
    }
    // Anchors around anchors are no way around it.
    let nested: String = (0..60).map(|n| format!("&n{n} [")).collect();
    let text = format!("{nested}{}{}", vec!["x"; 90_000].join(", "), "]".repeat(60));
    assert!(yaml::parse(&text).is_err());
}

#[test]
fn no_yaml_is_too_odd() {
    let mut random = fastrand::Rng::with_seed(9);
    let pieces = [
        "- ", "a", ": ", "\n", "  ", "[", "]", "{", "}", "&a ", "*a", "!!x ", "|", ">", "'", "\"", "#",
        "---\n", "? ", "<<", ",", "\t", "%",
    ];
    for _ in 0..20_000 {
        let text: String = (0..random.usize(0..20)).map(|_| pieces[random.usize(0..pieces.len())]).collect();
        let _ = yaml::parse(&text);
    }
}
