//! What a line of output has to look like (`ready.log`, spec section 6).

use std::ops::Range;

use regex_automata::meta::Regex;
use regex_syntax::{Error, ParserBuilder};

/// A regular expression that is searched for in lines, in the syntax of the crate `regex`. It matches anywhere
/// in a line unless it is tied down by `^` or `$`; upper and lower case differ unless it begins with `(?i)`.
/// Lines are bytes and need not be UTF-8. The time a search takes grows with the line, never faster.
#[derive(Clone, Debug)]
pub struct LinePattern(Regex);

/// Why a text is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LinePatternFault {
    /// A few words without a full stop.
    pub message: String,
    /// Bytes from and to within the text; may be empty.
    pub span: Range<usize>,
}

impl LinePattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The first thing that is wrong with it, or that it is too large.
    pub fn new(text: &str) -> Result<Self, LinePatternFault> {
        let hir = ParserBuilder::new().utf8(false).build().parse(text).map_err(|e| fault(&e, text))?;
        let regex = Regex::builder().build_from_hir(&hir);
        let too_large = |_| LinePatternFault { message: "it is too large".to_owned(), span: 0..text.len() };
        regex.map(Self).map_err(too_large)
    }

    /// Whether it is found in a line, which is given without its line end.
    #[must_use]
    pub fn is_in(&self, line: &[u8]) -> bool {
        self.0.is_match(line)
    }
}

fn fault(error: &Error, text: &str) -> LinePatternFault {
    let (message, span) = match error {
        Error::Parse(error) => (error.kind().to_string(), Some(error.span())),
        Error::Translate(error) => (error.kind().to_string(), Some(error.span())),
        other => (other.to_string(), None),
    };
    LinePatternFault { message, span: span.map_or(0..text.len(), |s| s.start.offset..s.end.offset) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_searched_for_in_a_line() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("ready", b"server is ready now", true),
            ("Ready", b"server is ready now", false),
            ("(?i)Ready", b"server is ready now", true),
            ("^ready", b"server is ready", false),
            ("ready$", b"server is ready", true),
            (r"on port \d+", b"listening on port 8080", true),
            (r"\bup\b", b"setup", false),
            ("ready|listening", b"listening", true),
            ("r.ady", b"r\xffady", false),
            ("(?-u)r.ady", b"r\xffady", true),
            ("ready", b"\xff ready \xfe", true),
            ("\u{fc}$", "\u{dc}\u{fc}".as_bytes(), true),
            ("a", b"", false),
        ];
        for (pattern, line, expected) in cases {
            assert_eq!(LinePattern::new(pattern).unwrap().is_in(line), *expected, "{pattern} in {line:?}");
        }
    }

    #[test]
    fn what_is_no_expression_is_told_with_its_place() {
        for (pattern, message, span) in [
            ("a(b", "unclosed group", 1..2),
            ("ü*?**(", "unclosed group", 6..7),
            ("[z-a]", "invalid character class range, the start must be <= the end", 1..4),
            ("*", "repetition operator missing expression", 0..0),
            (r"\p{Nothing}", "Unicode property not found", 0..11),
            ("(a{1000}){1000}{1000}", "it is too large", 0..21),
        ] {
            let fault = LinePattern::new(pattern).unwrap_err();
            assert_eq!((fault.message.as_str(), fault.span), (message, span), "{pattern}");
        }
    }
}
