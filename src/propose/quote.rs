//! Text of strangers in TOML: a string stays a string, and a comment stays a comment.

/// Longer comments are cut.
const LONGEST: usize = 300;

/// A string. One of several lines is written as such where it can stand as it is.
pub(super) fn string(text: &str) -> String {
    let is_plain = |c: char| c == '\n' || c == '\t' || !is_odd(c);
    let body = text.strip_suffix('\n').unwrap_or(text);
    if body.contains('\n') && text.chars().all(is_plain) && !text.contains("''") {
        return format!("'''\n{text}'''");
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_odd(c) => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of strings, over several lines where one would be too long.
pub(super) fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| string(text)).collect();
    let line = format!("[{}]", quoted.join(", "));
    if line.chars().count() <= 88 {
        return line;
    }
    let lines: String = quoted.iter().map(|text| format!("  {text},\n")).collect();
    format!("[\n{lines}]")
}

/// A comment of one line, whatever is in the text.
pub(super) fn comment(text: &str) -> String {
    let mut line = String::from("# ");
    for c in text.trim().chars().take(LONGEST) {
        match c {
            '\n' | '\t' | '\r' => line.push(' '),
            c if is_odd(c) => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    if text.trim().chars().count() > LONGEST {
        line.push('…');
    }
    line
}

/// What must not stand in a file as it is: control characters, and what turns the direction of writing around.
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
