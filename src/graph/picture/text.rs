//! Text from elsewhere, made fit for a picture.

use std::{fmt::Write as _, time::Duration};

/// Spells out control characters, and those that turn the direction of writing around; XML has no other way
/// to say most of them.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => clean.push(' '),
            c if is_unsafe(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    clean
}

fn is_unsafe(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Text for XML and HTML, in elements and in quoted attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in clean(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// JSON for a `script` element, which ends at the first `</script`, and begins another kind of text at `<!--`.
pub(super) fn script_json(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// At most this many characters; what is left out of the middle is an ellipsis.
pub(super) fn cut(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let begin: String = text.chars().take((most - 1) / 2).collect();
    let end: String = text.chars().skip(count - most / 2).collect();
    format!("{begin}…{end}")
}

/// Two decimals in the largest unit that fits.
pub(super) fn took(ms: f64) -> String {
    let whole = if ms.is_finite() { ms.clamp(0.0, 1e15) } else { 0.0 };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{:.2?}", Duration::from_secs_f64(whole / 1000.0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_xml_is_escaped() {
        for (text, expected) in [
            ("a:b", "a:b"),
            ("<a href=\"x\">&'", "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"),
            ("a\x1b[31m\u{0}", "a\\u{1b}[31m\\u{0}"),
            ("a\nb\tc", "a b c"),
            ("\u{202e}\u{ffff}ü", "\\u{202e}\\u{ffff}ü"),
        ] {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
    }

    #[test]
    fn no_json_ends_its_script() {
        let value = serde_json::json!({ "a": "</script><!--\u{2028}\"" });
        let json = script_json(&value);
        assert_eq!(json, r#"{"a":"\u003c/script>\u003c!--\u2028\""}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }

    #[test]
    fn long_text_loses_its_middle() {
        for (text, most, expected) in [("abcdef", 6, "abcdef"), ("abcdef", 5, "ab…ef"), ("äöüß", 3, "ä…ß")]
        {
            assert_eq!(cut(text, most), expected);
        }
    }

    #[test]
    fn durations_are_short_whatever_they_are() {
        for (ms, expected) in [(812.4, "812.40ms"), (3410.0, "3.41s"), (-1.0, "0.00ns"), (f64::NAN, "0.00ns")]
        {
            assert_eq!(took(ms), expected);
        }
        assert!(took(f64::MAX).ends_with('s'));
    }
}
