//! Files of `KEY=VALUE` lines. Nothing is expanded: values are what they say.

use std::{collections::BTreeMap, ops::Range};

use crate::diagnostic::{Diagnostic, Place, SourceId};

/// Reads a dotenv file: blank lines, `#` comments, an optional `export`, and values bare, in single
/// quotes (taken as they are) or in double quotes (`\n`, `\r`, `\t`, `\"`, `\\` and `\$` mean what they
/// mean elsewhere). A quoted value may span lines; in a bare one a `#` after a blank begins a comment.
/// Lines at fault are left out.
#[must_use]
pub fn parse_dotenv(source: SourceId, text: &str) -> (BTreeMap<String, String>, Vec<Diagnostic>) {
    let mut reader = Reader { source, text, at: 0, faults: Vec::new() };
    let mut variables = BTreeMap::new();
    while reader.at < text.len() {
        if let Some((key, value)) = reader.line() {
            variables.insert(key, value);
        }
    }
    (variables, reader.faults)
}

struct Reader<'a> {
    source: SourceId,
    text: &'a str,
    /// The byte that comes next; always a character boundary.
    at: usize,
    faults: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    /// What is left of the line.
    fn rest(&self) -> &'a str {
        let rest = &self.text[self.at..];
        rest.split('\n').next().unwrap_or(rest)
    }

    fn next_line(&mut self) {
        self.at = (self.at + self.rest().len() + 1).min(self.text.len());
    }

    fn line(&mut self) -> Option<(String, String)> {
        let line = self.rest();
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            self.next_line();
            return None;
        }
        let start = self.at + (line.len() - line.trim_start().len());
        let Some((before, _)) = line.split_once('=') else {
            self.next_line();
            return self.fault(start..start + content.len(), "this line is no `KEY=VALUE`");
        };
        let key = self.key(before, start);
        self.at += before.len() + 1;
        let value = self.value();
        self.next_line();
        Some((key?, value?))
    }

    fn key(&mut self, before: &str, start: usize) -> Option<String> {
        let key = before.trim();
        let key = key.strip_prefix("export").filter(|k| k.starts_with([' ', '\t'])).unwrap_or(key).trim();
        let legal = !key.is_empty()
            && !key.starts_with(|c: char| c.is_ascii_digit())
            && key.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if !legal {
            let length = before.trim().len().max(1);
            return self.fault(start..start + length, "this is no name of a variable");
        }
        Some(key.to_owned())
    }

    /// The value; afterwards only what ends its line is left.
    fn value(&mut self) -> Option<String> {
        let line = self.rest();
        self.at += line.len() - line.trim_start().len();
        match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => self.bare(),
        }
    }

    fn bare(&mut self) -> Option<String> {
        let line = self.rest();
        let end = line
            .char_indices()
            .find(|(i, c)| *c == '#' && (*i == 0 || line[..*i].ends_with([' ', '\t'])))
            .map_or(line.len(), |(i, _)| i);
        let value = line[..end].trim();
        if value.contains('\0') {
            return self.fault(self.at..self.at + end, "a NUL character cannot be in a variable");
        }
        Some(value.to_owned())
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let start = self.at;
        let mut value = String::new();
        let mut characters = self.text[start + 1..].char_indices();
        while let Some((i, c)) = characters.next() {
            match c {
                '\\' if quote == '"' => escape(characters.next().map(|(_, c)| c), &mut value),
                '\0' => {
                    return self.fault(start..start + i + 1, "a NUL character cannot be in a variable");
                }
                c if c == quote => {
                    self.at = start + 1 + i + 1;
                    return self.after_quote(value);
                }
                c => value.push(c),
            }
        }
        let length = self.rest().trim_end().len();
        self.fault(start..start + length, "this quote is not closed")
    }

    fn after_quote(&mut self, value: String) -> Option<String> {
        let rest = self.rest().trim();
        if rest.is_empty() || rest.starts_with('#') {
            return Some(value);
        }
        let start = self.at;
        self.fault(start..start + self.rest().trim_end().len(), "nothing may follow the closing quote")
    }

    fn fault<T>(&mut self, span: Range<usize>, message: &str) -> Option<T> {
        let place = Place { source: self.source, span };
        self.faults.push(
            Diagnostic::error("dotenv", message)
                .at(Some(&place), "")
                .hint("a line is `KEY=VALUE`, its value in quotes where it has blanks at the ends or `#`"),
        );
        None
    }
}

/// An escape that means nothing keeps its backslash.
fn escape(escaped: Option<char>, value: &mut String) {
    match escaped {
        Some('n') => value.push('\n'),
        Some('r') => value.push('\r'),
        Some('t') => value.push('\t'),
        Some(c @ ('"' | '\\' | '$' | '`')) => value.push(c),
        Some('\n') => {}
        Some(other) => value.extend(['\\', other]),
        None => value.push('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_say() {
        for (text, expected) in [
            ("A=1", "1"),
            ("  A = 1  \r\n", "1"),
            ("export A=1", "1"),
            ("A=", ""),
            ("A=a b # c", "a b"),
            ("A=a#b", "a#b"),
            ("A=#", ""),
            ("A='a # $b\\n' # c", "a # $b\\n"),
            (r#"A="a\n\t\"\\\$\q""#, "a\n\t\"\\$\\q"),
            ("A=\"a\nb\"\n", "a\nb"),
            ("# c\n\nA=1", "1"),
            ("A=1\nA=2", "2"),
            ("A=ü=", "ü="),
            ("A=${B}", "${B}"),
            ("A=\u{a0}x", "x"),
        ] {
            let (variables, faults) = parse_dotenv(SourceId(0), text);
            assert_eq!(faults, [], "{text}");
            assert_eq!(variables.get("A").map(String::as_str), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_line_at_fault_is_left_out_and_shown() {
        for (text, place) in [
            ("X", "X"),
            ("1A=2", "1A"),
            ("=2", "="),
            ("A B=2", "A B"),
            ("A='x", "'x"),
            ("A=\"x\\", "\"x\\"),
            ("A='x'y", "y"),
            ("A=\0", "\0"),
        ] {
            let (variables, faults) = parse_dotenv(SourceId(0), &format!("{text}\nZ=1"));
            assert_eq!(faults.len(), 1, "{text}");
            assert_eq!(&format!("{text}\n")[faults[0].labels[0].place.span.clone()], place, "{text}");
            assert!(!variables.contains_key("A"), "{text}");
        }
    }
}
