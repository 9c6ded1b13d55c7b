//! Text from elsewhere in HTML and XML, and numbers as people read them.

use std::fmt::Write as _;

/// A text for HTML, also within the quotes of an attribute. Control characters, and those that turn the direction of
/// writing around, are spelled out.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match mark(c) {
            Some(mark) => escaped.push_str(mark),
            None if is_unsafe(c) => escaped.extend(c.escape_default()),
            None => escaped.push(c),
        }
    }
    escaped
}

/// A text for XML 1.0, also within the quotes of an attribute. Characters that XML cannot have are left out.
pub(super) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().filter(|c| is_xml(*c)) {
        match (mark(c), c) {
            (Some(mark), _) => escaped.push_str(mark),
            // A parser would make blanks of these in an attribute.
            (None, '\n' | '\r' | '\t') => drop(write!(escaped, "&#{};", u32::from(c))),
            (None, c) => escaped.push(c),
        }
    }
    escaped
}

const fn mark(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `Char` of XML 1.0, without the control characters that it only advises against.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{7e}' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
        && !matches!(c, '\u{fdd0}'..='\u{fdef}')
}

/// A duration as people read it.
pub(super) fn duration(ms: f64) -> String {
    let whole = |value: f64| value.clamp(0.0, 1e15).floor();
    match ms {
        ..=0.0 => "0ms".to_owned(),
        ..10.0 => format!("{ms:.1}ms"),
        ..1000.0 => format!("{ms:.0}ms"),
        ..60_000.0 => format!("{:.2}s", ms / 1000.0),
        ..3_600_000.0 => format!("{}min {:02}s", whole(ms / 60_000.0), whole(ms / 1000.0) % 60.0),
        _ => format!("{}h {:02}min", whole(ms / 3_600_000.0), whole(ms / 60_000.0) % 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_a_text() {
        for (text, in_html, in_xml) in [
            ("a-b:c ü日", "a-b:c ü日", "a-b:c ü日"),
            (
                "<b a='x' c=\"y\">&amp;",
                "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;amp;",
                "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;amp;",
            ),
            ("</script><!--", "&lt;/script&gt;&lt;!--", "&lt;/script&gt;&lt;!--"),
            ("a\u{1b}[31m\u{0}\u{202e}b", "a\\u{1b}[31m\\u{0}\\u{202e}b", "a[31m\u{202e}b"),
            ("a\nb\tc\r", "a\\nb\\tc\\r", "a&#10;b&#9;c&#13;"),
            ("\u{fffe}\u{ffff}\u{7f}\u{9b}\u{fdd0}x", "\u{fffe}\u{ffff}\\u{7f}\\u{9b}\u{fdd0}x", "x"),
            ("]]>\u{1f600}", "]]&gt;\u{1f600}", "]]&gt;\u{1f600}"),
        ] {
            assert_eq!(html(text), in_html, "{text:?}");
            assert_eq!(xml(text), in_xml, "{text:?}");
        }
    }

    #[test]
    fn durations_are_short() {
        for (ms, text) in [
            (-1.0, "0ms"),
            (0.25, "0.2ms"),
            (812.4, "812ms"),
            (3410.0, "3.41s"),
            (125_400.0, "2min 05s"),
            (3_780_000.0, "1h 03min"),
            (f64::MAX, "1000000000000000h 40min"),
        ] {
            assert_eq!(duration(ms), text);
        }
    }
}
