//! From the text of a pattern to its parts, with the place of everything that is wrong.

use std::ops::Range;

use super::segment::{Class, Token};

/// How deep braces may nest. Nobody writes three levels, and the parser recurses.
const MAX_DEPTH: usize = 16;

/// Something wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// A part of a pattern without braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    /// A path separator.
    Slash,
    /// Something that matches within one segment.
    Token(Token),
}

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A part without braces.
    Atom(Atom),
    /// `{a,b}`: one of several.
    Braces(Vec<Vec<Node>>),
}

/// A pattern that means exactly `text`: what is substituted into a pattern is a path, whatever its
/// characters mean elsewhere.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if "*?[]{},\\!".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Parses the pattern that starts at byte `from` of `text` (after a `!`, if there is one).
pub(super) fn parse(text: &str, from: usize) -> Result<Vec<Node>, Fault> {
    let chars = text[from..].char_indices().map(|(at, c)| (at + from, c)).collect();
    Parser { chars, next: 0, end: text.len() }.sequence(0)
}

struct Parser {
    /// The characters and where they stand in the text.
    chars: Vec<(usize, char)>,
    next: usize,
    /// Where the text ends.
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.next).map(|&(_, c)| c)
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek();
        self.next += usize::from(c.is_some());
        c
    }

    fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let there = self.peek().is_some_and(wanted);
        self.next += usize::from(there);
        there
    }

    /// Where the next character stands.
    fn place(&self) -> usize {
        self.chars.get(self.next).map_or(self.end, |&(at, _)| at)
    }

    /// Everything to the end, or to the `,` or `}` that ends an alternative of the braces around it.
    fn sequence(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut nodes = Vec::new();
        while let Some(c) = self.peek() {
            if depth > 0 && (c == ',' || c == '}') {
                break;
            }
            let start = self.place();
            self.next += 1;
            nodes.push(self.node(c, start, depth)?);
        }
        Ok(nodes)
    }

    fn node(&mut self, c: char, start: usize, depth: usize) -> Result<Node, Fault> {
        let token = match c {
            '/' => return Ok(Node::Atom(Atom::Slash)),
            '{' => return self.braces(start, depth + 1),
            '}' => {
                return Err(self.fault(
                    start,
                    "`}` without a `{` before it",
                    "write `[}]` for the character",
                ));
            }
            '\0' => return Err(self.fault(start, "no path contains a NUL character", "remove it")),
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => Token::Class(self.class(start)?),
            '\\' => Token::Char(self.escaped(start)?),
            c => Token::Char(c),
        };
        Ok(Node::Atom(Atom::Token(token)))
    }

    fn escaped(&mut self, start: usize) -> Result<char, Fault> {
        match self.take() {
            Some(c) if c != '/' && c != '\0' => Ok(c),
            _ => Err(self.fault(start, "`\\` with nothing to escape", "remove it")),
        }
    }

    fn braces(&mut self, start: usize, depth: usize) -> Result<Node, Fault> {
        if depth > MAX_DEPTH {
            return Err(self.fault(start, "braces are nested too deep", "write several patterns"));
        }
        let mut alternatives = Vec::new();
        loop {
            alternatives.push(self.sequence(depth)?);
            match self.take() {
                Some(',') => {}
                Some(_) => return Ok(Node::Braces(alternatives)),
                None => return Err(self.fault(start, "`{` without a `}`", "write `[{]` for the character")),
            }
        }
    }

    /// What follows a `[`. A `]` that stands first and a `-` that stands first or last mean themselves.
    fn class(&mut self, start: usize) -> Result<Class, Fault> {
        let negated = self.take_if(|c| c == '!' || c == '^');
        let mut ranges = Vec::new();
        while ranges.is_empty() || !self.take_if(|c| c == ']') {
            let low = self.member(start)?;
            let is_range =
                self.peek() == Some('-') && self.chars.get(self.next + 1).is_some_and(|&(_, c)| c != ']');
            let high = if is_range {
                self.next += 1;
                self.member(start)?
            } else {
                low
            };
            if low > high {
                let message = format!("the range `{low}-{high}` is empty");
                return Err(self.fault(start, message, "the smaller character goes first"));
            }
            ranges.push((low, high));
        }
        Ok(Class { negated, ranges })
    }

    fn member(&mut self, start: usize) -> Result<char, Fault> {
        match self.take() {
            Some('\\') => self.escaped(start),
            Some('/') => {
                Err(self.fault(start, "`[…]` matches within one name and cannot hold a `/`", "use `{…,…}`"))
            }
            Some(c) => Ok(c),
            None => Err(self.fault(start, "`[` without a `]`", "write `[[]` for the character")),
        }
    }

    /// A fault from `start` to what was read last.
    fn fault(&self, start: usize, message: impl Into<String>, hint: &'static str) -> Fault {
        Fault { span: start..self.place(), message: message.into(), hint }
    }
}
