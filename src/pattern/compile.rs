//! A pattern without braces, and the states in which a path can be while it is matched.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use super::{
    PatternKind,
    parse::Atom,
    segment::{Segment, Token},
};

/// How many segments may follow the fixed beginning: the states, one more, are bits of a word.
pub(super) const MAX_SEGMENTS: usize = 63;

/// Where in a glob the path read so far may be: bit *n* stands before segment *n*, the bit after the last
/// segment means that the path matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct States(u64);

impl States {
    /// Whether nothing from here on can match.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// One alternative of one pattern, looked up from one base directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    written: usize,
    negated: bool,
    /// Whether names with a leading dot match like others.
    hidden: bool,
    /// Whether what git ignores matches like anything else.
    ignored: bool,
    prefix: PathBuf,
    rest: Vec<Segment>,
}

/// Why a pattern cannot be compiled, apart from its syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// `..` after a wildcard: which directory it leaves is not known.
    ParentAfterWildcard,
    /// More segments than there are states.
    TooManySegments,
}

impl Glob {
    /// Compiles one alternative. `base` is absolute and only used if the pattern is relative.
    pub(super) fn new(
        base: &Path,
        atoms: &[Atom],
        written: usize,
        negated: bool,
        kind: PatternKind,
    ) -> Result<Self, Unusable> {
        let everything = negated || kind == PatternKind::Outputs;
        let prefix = if atoms.first() == Some(&Atom::Slash) { PathBuf::from("/") } else { normal(base) };
        let mut glob =
            Self { written, negated, hidden: everything, ignored: everything, prefix, rest: Vec::new() };
        for part in atoms.split(|atom| *atom == Atom::Slash) {
            glob.push(part)?;
        }
        glob.finish(atoms.last() == Some(&Atom::Slash))?;
        Ok(glob)
    }

    fn push(&mut self, part: &[Atom]) -> Result<(), Unusable> {
        let tokens: Vec<Token> = part.iter().filter_map(Atom::token).cloned().collect();
        match Segment::new(&tokens) {
            Segment::Literal(name) if name.is_empty() || name == b"." => {}
            Segment::Literal(name) if name == b".." => {
                if !self.rest.is_empty() {
                    return Err(Unusable::ParentAfterWildcard);
                }
                self.prefix.pop();
            }
            Segment::Literal(name) if self.rest.is_empty() => self.prefix.push(OsStr::from_bytes(&name)),
            Segment::AnyDepth if self.rest.last() == Some(&Segment::AnyDepth) => {}
            segment => self.rest.push(segment),
        }
        Ok(())
    }

    /// A `**` or a slash at the end means everything beneath; a file needs a name of its own, so one more
    /// segment follows.
    fn finish(&mut self, slash: bool) -> Result<(), Unusable> {
        if slash && !self.rest.is_empty() && self.rest.last() != Some(&Segment::AnyDepth) {
            self.rest.push(Segment::AnyDepth);
        }
        if self.rest.last() == Some(&Segment::AnyDepth) {
            self.rest.push(Segment::Wild(vec![Token::Star]));
        }
        if self.rest.len() > MAX_SEGMENTS { Err(Unusable::TooManySegments) } else { Ok(()) }
    }

    /// Which of the written patterns this is an alternative of.
    #[must_use]
    pub const fn written(&self) -> usize {
        self.written
    }

    /// Whether it removes what it matches.
    #[must_use]
    pub const fn is_negated(&self) -> bool {
        self.negated
    }

    /// Whether it has no wildcards: the file [`prefix`](Self::prefix), or that directory and everything
    /// beneath it.
    #[must_use]
    pub const fn is_literal(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether it also matches what git ignores, wherever it begins.
    #[must_use]
    pub const fn matches_ignored(&self) -> bool {
        self.ignored || self.is_literal()
    }

    /// Its fixed beginning: the absolute path before the first segment with a wildcard, free of `.` and `..`.
    #[must_use]
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The states of [`prefix`](Self::prefix) itself.
    #[must_use]
    pub fn start(&self) -> States {
        States(self.with_skips(1))
    }

    /// The states after one more path segment.
    ///
    /// A `.git` beneath the fixed beginning never matches, nor does anything in it (spec section 4.4).
    #[must_use]
    pub fn step(&self, states: States, name: &[u8]) -> States {
        if name == b".git" && !self.negated {
            return States(0);
        }
        let beneath = self.is_literal() || self.negated;
        let mut next = if beneath { states.0 & self.accepting() } else { 0 };
        for (at, segment) in self.rest.iter().enumerate().filter(|(at, _)| states.0 & (1 << at) != 0) {
            if segment.matches(name, self.hidden) {
                next |= 1 << (at + usize::from(*segment != Segment::AnyDepth));
            }
        }
        States(self.with_skips(next))
    }

    /// Whether a path in these states matches. Of a glob that only means files; a literal and a negated
    /// pattern also match a directory and then everything beneath it.
    #[must_use]
    pub const fn accepts(&self, states: States) -> bool {
        states.0 & self.accepting() != 0
    }

    /// Whether anything beneath a directory in these states can match.
    #[must_use]
    pub const fn goes_on(&self, states: States) -> bool {
        !self.beneath(states).is_empty()
    }

    /// The part of a directory's states that counts for what lies beneath it: that a glob has matched the
    /// directory itself means nothing there. Equal parts mean equal matches.
    #[must_use]
    pub const fn beneath(&self, states: States) -> States {
        if self.is_literal() || self.negated { states } else { States(states.0 & !self.accepting()) }
    }

    /// Whether everything beneath a directory in these states matches, as far as names decide.
    #[must_use]
    pub fn takes_all_beneath(&self, states: States) -> bool {
        let any_file = [Segment::AnyDepth, Segment::Wild(vec![Token::Star])];
        let tail =
            self.hidden && self.rest.ends_with(&any_file) && states.0 & (1 << (self.rest.len() - 2)) != 0;
        tail || self.negated && self.accepts(states)
    }

    const fn accepting(&self) -> u64 {
        1 << self.rest.len()
    }

    /// `**` may stand for nothing: who is before it is also behind it.
    fn with_skips(&self, mut states: u64) -> u64 {
        for (at, segment) in self.rest.iter().enumerate() {
            if *segment == Segment::AnyDepth && states & (1 << at) != 0 {
                states |= 1 << (at + 1);
            }
        }
        states
    }
}

impl Atom {
    const fn token(&self) -> Option<&Token> {
        match self {
            Self::Slash => None,
            Self::Token(token) => Some(token),
        }
    }
}

/// `path` without `.` and `..`, taken by their names: a link before `..` is not followed.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
