//! A plain matcher: patterns are written out, and each is compared with a path in a table of all beginnings of
//! both.

/// What a pattern asks of one character, or of several.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Slash,
    Is(char),
    Any,
    Many,
    /// Negated, and ranges.
    Class(bool, Vec<(char, char)>),
}

/// One alternative of one pattern.
struct One {
    negated: bool,
    /// The names before the first wildcard, from the root on.
    fixed: Vec<Vec<u8>>,
    /// What follows: a name's pieces each; none at all stands for `**`.
    rest: Vec<Option<Vec<Piece>>>,
    hidden: bool,
}

/// A list of patterns.
pub(super) struct List(Vec<One>);

impl List {
    pub(super) fn new(patterns: &[String], outputs: bool) -> Self {
        let mut all = Vec::new();
        for pattern in patterns {
            let negated = pattern.starts_with('!');
            let text: Vec<char> = pattern.chars().skip(usize::from(negated)).collect();
            all.extend(written_out(&text).iter().map(|pieces| One::new(pieces, negated, outputs || negated)));
        }
        Self(all)
    }

    pub(super) fn matches(&self, names: &[&[u8]]) -> bool {
        let any = |negated| self.0.iter().any(|one| one.negated == negated && one.matches(names));
        any(false) && !any(true)
    }
}

/// Every alternative of a pattern that is known to have no faults.
fn written_out(text: &[char]) -> Vec<Vec<Piece>> {
    let mut all: Vec<Vec<Piece>> = vec![Vec::new()];
    let mut at = 0;
    while at < text.len() {
        let (heads, next) = match text[at] {
            '{' => braces(text, at),
            '[' => {
                let (class, next) = class(text, at);
                (vec![vec![class]], next)
            }
            '\\' => (vec![vec![Piece::Is(text[at + 1])]], at + 2),
            '*' => (vec![vec![Piece::Many]], at + 1),
            '?' => (vec![vec![Piece::Any]], at + 1),
            '/' => (vec![vec![Piece::Slash]], at + 1),
            c => (vec![vec![Piece::Is(c)]], at + 1),
        };
        all = all.iter().flat_map(|one| heads.iter().map(|head| [&one[..], head].concat())).collect();
        at = next;
    }
    all
}

/// The alternatives of the braces at `at`, and what comes behind them.
fn braces(text: &[char], at: usize) -> (Vec<Vec<Piece>>, usize) {
    let (mut all, mut depth, mut begun, mut next) = (Vec::new(), 0, at + 1, at);
    loop {
        match text[next] {
            '\\' => next += 1,
            '[' => next = class(text, next).1 - 1,
            '{' => depth += 1,
            ',' if depth == 1 => {
                all.extend(written_out(&text[begun..next]));
                begun = next + 1;
            }
            '}' => {
                depth -= 1;
                if depth == 0 {
                    all.extend(written_out(&text[begun..next]));
                    return (all, next + 1);
                }
            }
            _ => {}
        }
        next += 1;
    }
}

fn class(text: &[char], at: usize) -> (Piece, usize) {
    let negated = matches!(text[at + 1], '!' | '^');
    let mut next = at + 1 + usize::from(negated);
    let mut ranges = Vec::new();
    let member = |next: &mut usize| {
        *next += if text[*next] == '\\' { 2 } else { 1 };
        text[*next - 1]
    };
    while ranges.is_empty() || text[next] != ']' {
        let low = member(&mut next);
        let is_range = text[next] == '-' && text[next + 1] != ']';
        next += usize::from(is_range);
        ranges.push((low, if is_range { member(&mut next) } else { low }));
    }
    (Piece::Class(negated, ranges), next + 1)
}

impl One {
    fn new(pieces: &[Piece], negated: bool, hidden: bool) -> Self {
        let start = if pieces.first() == Some(&Piece::Slash) { "/" } else { super::BASE };
        let fixed = start.split('/').filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec());
        let mut one = Self { negated, fixed: fixed.collect(), rest: Vec::new(), hidden };
        for name in pieces.split(|piece| *piece == Piece::Slash) {
            one.push(name);
        }
        let any_depth = |rest: &[Option<Vec<Piece>>]| matches!(rest.last(), Some(None));
        if pieces.last() == Some(&Piece::Slash) && !one.rest.is_empty() && !any_depth(&one.rest) {
            one.rest.push(None);
        }
        if any_depth(&one.rest) {
            one.rest.push(Some(vec![Piece::Many]));
        }
        one
    }

    fn push(&mut self, name: &[Piece]) {
        let is = |piece: &Piece| if let Piece::Is(c) = piece { Some(*c) } else { None };
        match name.iter().map(is).collect::<Option<String>>().as_deref() {
            Some("" | ".") => {}
            Some("..") => drop(self.fixed.pop()),
            Some(text) if self.rest.is_empty() => self.fixed.push(text.as_bytes().to_vec()),
            _ if name == [Piece::Many, Piece::Many] => self.rest.push(None),
            _ => self.rest.push(Some(name.to_vec())),
        }
    }

    fn matches(&self, names: &[&[u8]]) -> bool {
        let begins = names.len() >= self.fixed.len() && self.fixed.iter().zip(names).all(|(a, b)| a == b);
        if !begins {
            return false;
        }
        let beneath = &names[self.fixed.len()..];
        if self.negated || self.rest.is_empty() {
            // The thing itself, or a directory with everything in it.
            let matched = (0..=beneath.len()).any(|end| self.covers(&beneath[..end]));
            return matched && (self.negated || !beneath.contains(&&b".git"[..]));
        }
        !beneath.contains(&&b".git"[..]) && self.covers(beneath)
    }

    /// Whether the rest stands for exactly these names.
    fn covers(&self, names: &[&[u8]]) -> bool {
        let mut table = vec![vec![false; names.len() + 1]; self.rest.len() + 1];
        table[0][0] = true;
        for (at, segment) in self.rest.iter().enumerate() {
            for end in 0..=names.len() {
                table[at + 1][end] = match segment {
                    None => {
                        let across =
                            |from: usize| names[from..end].iter().all(|name| self.is_visible(name, None));
                        (0..=end).any(|from| table[at][from] && across(from))
                    }
                    Some(pieces) => {
                        let fits = |name| self.is_visible(name, pieces.first()) && fits(pieces, name);
                        end > 0 && table[at][end - 1] && fits(names[end - 1])
                    }
                };
            }
        }
        table[self.rest.len()][names.len()]
    }

    fn is_visible(&self, name: &[u8], first: Option<&Piece>) -> bool {
        self.hidden || name.first() != Some(&b'.') || first == Some(&Piece::Is('.'))
    }
}

/// Whether the pieces stand for exactly this name.
fn fits(pieces: &[Piece], name: &[u8]) -> bool {
    let units = units(name);
    let mut table = vec![vec![false; units.len() + 1]; pieces.len() + 1];
    table[0][0] = true;
    for (at, piece) in pieces.iter().enumerate() {
        for end in 0..=units.len() {
            table[at + 1][end] = match piece {
                Piece::Many => (0..=end).any(|from| table[at][from]),
                other => end > 0 && table[at][end - 1] && takes(other, units[end - 1]),
            };
        }
    }
    table[pieces.len()][units.len()]
}

fn takes(piece: &Piece, unit: Option<char>) -> bool {
    match piece {
        Piece::Is(c) => unit == Some(*c),
        Piece::Any => true,
        Piece::Class(negated, ranges) => {
            ranges.iter().any(|(low, high)| unit.is_some_and(|c| (*low..=*high).contains(&c))) != *negated
        }
        Piece::Slash | Piece::Many => false,
    }
}

/// The characters; each byte that is part of none stands for itself.
fn units(name: &[u8]) -> Vec<Option<char>> {
    let mut units = Vec::new();
    for chunk in name.utf8_chunks() {
        units.extend(chunk.valid().chars().map(Some));
        units.extend(chunk.invalid().iter().map(|_| None));
    }
    units
}
