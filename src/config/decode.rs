//! From the spanned tree to typed values, with every fault kept and nothing given up early.

use std::{collections::BTreeSet, ops::Range};

use schemars::JsonSchema;

use super::value::{Data, Node};
use crate::diagnostic::{Diagnostic, Place, SourceId, did_you_mean};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Bytes from and to.
    pub span: Range<usize>,
}

/// A type that can be read from the tree, and described by the schema.
pub(super) trait Decode: Sized + JsonSchema {
    /// What is expected, with its article: `a string`.
    const EXPECTED: &'static str;
    /// Whether null is a value of this type, where null otherwise stands for an absent key.
    const TAKES_NULL: bool = false;

    /// The value, or `None` after its faults were noted.
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self>;
}

/// Where decoding notes what it finds.
pub(super) struct Decoder {
    source: SourceId,
    /// The files of others: null is an absent key, and unknown keys are only gathered.
    pub lenient: bool,
    /// The unknown keys gathered when lenient.
    pub unknown: BTreeSet<String>,
    /// Every fault so far.
    pub faults: Vec<Diagnostic>,
    /// What is being read, for messages.
    subjects: Vec<String>,
}

impl Decoder {
    /// A decoder of the text `source`.
    pub(super) fn new(source: SourceId, lenient: bool) -> Self {
        Self { source, lenient, unknown: BTreeSet::new(), faults: Vec::new(), subjects: Vec::new() }
    }

    /// The place of a span of this text.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        Place { source: self.source, span: span.clone() }
    }

    /// Decodes a value that messages call `subject`.
    pub(super) fn spanned<T: Decode>(&mut self, subject: String, node: &Node) -> Option<Spanned<T>> {
        if self.lenient && node.data == Data::Null && !T::TAKES_NULL {
            return None;
        }
        self.subjects.push(subject);
        let value = T::decode(node, self);
        self.subjects.pop();
        Some(Spanned { value: value?, span: node.span.clone() })
    }

    /// What is being read.
    pub(super) fn subject(&self) -> &str {
        self.subjects.last().map_or("the file", String::as_str)
    }

    /// Notes that `node` is no `T`.
    pub(super) fn wrong_type<T: Decode>(&mut self, node: &Node) -> Option<T> {
        self.wrong_kind(node, T::EXPECTED);
        None
    }

    /// Notes that `node` is not what was expected.
    pub(super) fn wrong_kind(&mut self, node: &Node, expected: &str) {
        let message = format!("{} must be {expected}, not {}", self.subject(), node.kind());
        let mut fault = Diagnostic::error("wrong-type", message)
            .at(Some(&self.place(&node.span)), format!("expected {expected}"));
        let is_word = matches!(node.data, Data::Integer(_) | Data::Large(_) | Data::Float(_) | Data::Bool(_));
        if expected == "a string" && is_word {
            fault = fault.hint("put it in quotes");
        } else if expected.starts_with("a list") && matches!(node.data, Data::String(_)) {
            fault = fault.hint("put it in square brackets");
        }
        self.faults.push(fault);
    }

    /// Notes that a value of the right type is not a legal one.
    pub(super) fn bad_value(&mut self, node: &Node, why: &str, hint: &str) {
        self.fault("bad-value", &node.span, format!("{} {why}", self.subject()), hint);
    }

    /// Notes a fault at a span.
    pub(super) fn fault(&mut self, code: &'static str, span: &Range<usize>, message: String, hint: &str) {
        let fault = Diagnostic::error(code, message).at(Some(&self.place(span)), "");
        self.faults.push(if hint.is_empty() { fault } else { fault.hint(hint) });
    }

    /// Notes a word that is none of `words`.
    pub(super) fn bad_word(&mut self, node: &Node, typed: &str, words: &[&'static str]) {
        let why = format!("cannot be `{typed}`");
        let list = words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
        let hint = did_you_mean(typed, words.iter().copied())
            .map_or_else(|| format!("one of {list}"), |word| format!("did you mean `{word}`?"));
        self.bad_value(node, &why, &hint);
    }
}

impl Decode for String {
    const EXPECTED: &'static str = "a string";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.data {
            Data::String(s) => Some(s.clone()),
            _ => decoder.wrong_type(node),
        }
    }
}

impl Decode for bool {
    const EXPECTED: &'static str = "a boolean";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match node.data {
            Data::Bool(b) => Some(b),
            _ => decoder.wrong_type(node),
        }
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl Decode for $number {
            const EXPECTED: &'static str = "a whole number";

            fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
                let number = match node.data {
                    Data::Integer(i) => <$number>::try_from(i).ok(),
                    Data::Large(u) => <$number>::try_from(u).ok(),
                    _ => return decoder.wrong_type(node),
                };
                if number.is_none() {
                    decoder.bad_value(node, "is out of range", &format!("0 to {} is possible", <$number>::MAX));
                }
                number
            }
        }
    )*};
}
whole_numbers!(u16, u32, u64);
