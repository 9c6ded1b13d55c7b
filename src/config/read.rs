//! What reading a text gives, whatever its format.

use std::ops::Range;

use super::value::Node;
use crate::diagnostic::{Diagnostic, Place, SourceId};

/// A text as a tree.
pub(super) struct Tree {
    /// The outermost value.
    pub root: Node,
    /// Syntax faults.
    pub faults: Vec<Diagnostic>,
    /// The byte up to which the tree can be trusted: the first syntax fault.
    pub reliable: usize,
    /// Whether the whole text was understood.
    pub complete: bool,
}

/// A fault of the syntax. The span is brought into the text: parsers point behind its end at times.
pub(super) fn syntax(
    source: SourceId,
    text: &str,
    code: &'static str,
    message: &str,
    span: Range<usize>,
) -> Diagnostic {
    let start = floor(text, span.start);
    let end = floor(text, span.end).max(start);
    let place = Place { source, span: start..end };
    Diagnostic::error(code, message.trim_end_matches('.').replace('\n', ", ")).at(Some(&place), "")
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}
