//! Small pieces of text: escaping, durations, times.

use std::{error::Error, time::Duration};

use devtask::store::{Owner, now_ms};
use unicode_width::UnicodeWidthChar as _;

/// Text from elsewhere, safe for a terminal: control characters are spelled out (hazard E8). So is the bracket of `##[`, which
/// begins a command wherever it stands in the log of a GitHub Actions job.
pub(crate) fn shown(text: &str) -> String {
    let has_mark = has_mark(text);
    if !has_mark && !text.chars().any(is_unsafe) {
        return text.to_owned();
    }
    let spelled = |c: char| match c {
        '[' if has_mark => c.escape_unicode().to_string(),
        c if is_unsafe(c) => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(spelled).collect()
}

fn has_mark(text: &str) -> bool {
    let seen = || text.chars().filter(|c| !is_ignorable(*c)).collect::<String>();
    text.contains('[') && text.contains('#') && seen().contains("##[")
}

/// Characters that comparing for people passes over (Unicode's `Default_Ignorable_Code_Point`).
pub(crate) const fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// At most this many characters of a text.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Control characters, and those that turn the direction of writing around.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A line of a task's output for a terminal or a plain reader: colour stays where it is wanted, every
/// other control sequence goes (hazard C9); tabs stay.
pub(crate) fn output_line(line: &str, color: bool) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let (sequence, after) = split_sequence(rest);
        if color && sequence.starts_with("\x1b[") && sequence.ends_with('m') {
            kept.push_str(sequence);
        }
        rest = after;
    }
    kept.push_str(rest);
    if color && kept.contains('\x1b') {
        kept.push_str("\x1b[0m");
    }
    kept
}

/// The control character or escape sequence a text begins with, and the rest (ECMA-48).
fn split_sequence(text: &str) -> (&str, &str) {
    let mut chars = text.char_indices().skip(1);
    let end = match (text.starts_with('\x1b'), chars.next()) {
        // CSI: parameters, then one final byte.
        (true, Some((_, '['))) => {
            chars.find(|(_, c)| ('\x40'..='\x7e').contains(c)).map(|(at, c)| at + c.len_utf8())
        }
        // OSC and the other strings: up to BEL or ST.
        (true, Some((_, ']' | 'P' | '^' | '_' | 'X'))) => {
            let bell = text.find('\x07').map(|at| at + 1);
            let terminator = text.find("\x1b\\").map(|at| at + 2);
            bell.into_iter().chain(terminator).min()
        }
        // Intermediate bytes, then one final byte: `tput sgr0` begins by choosing a set of characters (`ESC ( B`).
        (true, Some((_, ' '..='/'))) => {
            chars.find(|(_, c)| !(' '..='/').contains(c)).map(|(at, c)| at + c.len_utf8())
        }
        (true, Some((at, c))) => Some(at + c.len_utf8()),
        _ => text.chars().next().map(char::len_utf8),
    };
    text.split_at(end.unwrap_or(text.len()))
}

/// The beginning of a text, as much as fits into that many columns; what was cut off is an ellipsis.
pub(crate) fn fitted(text: &str, columns: usize) -> String {
    let width = |c: char| c.width().unwrap_or(0);
    let mut fitted = String::new();
    let (mut used, mut cut) = (0, 0);
    for c in text.chars().map(|c| if c == '\t' { ' ' } else { c }) {
        used += width(c);
        if used > columns {
            fitted.truncate(cut);
            return if columns == 0 { fitted } else { fitted + "…" };
        }
        fitted.push(c);
        if used < columns {
            cut = fitted.len();
        }
    }
    fitted
}

/// An error with everything that caused it.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |e: &&dyn Error| (*e).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// devenv's form: two decimals in the largest unit that fits.
pub(crate) fn duration(ms: f64) -> String {
    // What a damaged log says may be anything.
    let duration = Duration::try_from_secs_f64(ms.max(0.0) / 1000.0).unwrap_or(Duration::MAX);
    format!("{duration:.2?}")
}

/// A duration that was kept in whole milliseconds, no more exact than that.
pub(crate) fn millis(ms: u64) -> String {
    if ms < 1000 { format!("{ms}ms") } else { format!("{}.{:02}s", ms / 1000, ms % 1000 / 10) }
}

/// An amount of bytes, in the unit people would take.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, size)| bytes >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", bytes as f64 / *size as f64),
        None => format!("{bytes} B"),
    }
}

/// How long ago, in its one or two largest units.
pub(crate) fn ago(now_ms: u64, at_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(at_ms) / 1000;
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}min ago", seconds / 60),
        3600..86_400 => format!("{}h {}min ago", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h ago", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Who is at work in a tree, and since when.
pub(crate) fn owner(owner: &Owner) -> String {
    let since = owner.info.as_ref().map(|info| format!(", started {}", ago(now_ms(), info.since_ms)));
    shown(&format!("{owner}{}", since.unwrap_or_default()))
}

/// `1 file`, `2 files`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_write_on_the_terminal() {
        assert_eq!(shown("a/b c-ü"), "a/b c-ü");
        assert_eq!(shown("a\x1b[31m\n\u{202e}"), "a\\u{1b}[31m\\n\\u{202e}");
        assert_eq!(shown("#[a] ##x [b]"), "#[a] ##x [b]");
        assert_eq!(shown("##[error]x"), "##\\u{5b}error]x");
        assert_eq!(shown("#\u{200b}#[error]x"), "#\u{200b}#\\u{5b}error]x");
    }

    #[test]
    fn output_keeps_colour_and_nothing_else() {
        for (line, plain, colored) in [
            ("a\tb", "a\tb", "a\tb"),
            ("\x1b[1;31mred\x1b[0m", "red", "\x1b[1;31mred\x1b[0m\x1b[0m"),
            ("\x1b]52;c;c2VjcmV0\x07x", "x", "x"),
            ("\x1b]0;title\x1b\\x", "x", "x"),
            ("\x1b[2Jx\x1b[10;10H", "x", "x"),
            ("\x1b(B\x1b[mx\x1b)0y\x1b#8z\x1b(", "xyz", "\x1b[mxyz\x1b[0m"),
            ("50%\r100%", "50%100%", "50%100%"),
            ("\x1b", "", ""),
            ("\x1b[", "", ""),
            ("\u{9b}31mx", "31mx", "31mx"),
        ] {
            assert_eq!(output_line(line, false), plain, "{line:?}");
            assert_eq!(output_line(line, true), colored, "{line:?}");
        }
    }

    #[test]
    fn long_rows_are_cut() {
        for (text, columns, expected) in [
            ("abc", 4, "abc"),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("a\tb", 3, "a b"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(fitted(text, columns), expected, "{text:?} in {columns}");
        }
    }

    #[test]
    fn times_are_short() {
        for (ms, text) in [(0.5, "500.00µs"), (812.4, "812.40ms"), (3410.0, "3.41s"), (90_000.0, "90.00s")] {
            assert_eq!(duration(ms), text);
        }
        for (seconds, text) in
            [(5, "5s ago"), (125, "2min ago"), (3700, "1h 1min ago"), (90_000, "1d 1h ago")]
        {
            assert_eq!(ago(1_000_000_000, 1_000_000_000 - seconds * 1000), text);
        }
    }
}
