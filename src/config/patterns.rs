//! Patterns that cannot be read are faults of the file. What they match is not asked here.

use std::{ops::Range, path::PathBuf};

use super::{decode::Spanned, resolve::Resolver, types::List};
use crate::{
    model::Written,
    pattern::{PatternFault, PatternKind, PatternSet},
};

/// The patterns compiled, or `None` after their faults were noted. `list` is where they stand.
pub(super) fn check(
    patterns: &[Written<String>],
    list: Option<&Spanned<List<String>>>,
    bases: &[PathBuf],
    kind: PatternKind,
    resolver: &mut Resolver<'_>,
) -> Option<PatternSet> {
    let places = list.map(|list| list.value.0.as_slice()).unwrap_or_default();
    let values: Vec<String> = patterns.iter().map(|p| p.value.clone()).collect();
    let faults = match PatternSet::new(bases, &values, kind) {
        Ok(set) => return Some(set),
        Err(faults) => faults,
    };
    for PatternFault { index, span, message, hint } in faults {
        if let (Some(pattern), Some(place)) = (patterns.get(index), places.get(index)) {
            let span = within(place, as_written(pattern, span));
            let message = format!("`{}` is no pattern: {message}", place.value);
            resolver.fault("bad-glob", &span, message, &hint);
        }
    }
    None
}

/// Where a part of the value stands in what was written. After a substitution the two differ; but what
/// is wrong with the one is wrong with the other, since what is substituted means itself.
fn as_written(pattern: &Written<String>, span: Range<usize>) -> Option<Range<usize>> {
    if pattern.written == pattern.value {
        return Some(span);
    }
    let written = std::slice::from_ref(&pattern.written);
    // Which directory and what for changes nothing about the syntax.
    let faults = PatternSet::new(&[PathBuf::from("/")], written, PatternKind::Inputs).err()?;
    faults.into_iter().next().map(|fault| fault.span)
}

/// The place of a part of a string: the whole string where escapes or long quotes make it hard to tell,
/// which is when what stands in the file is longer than its value and a pair of quotes.
pub(super) fn within(text: &Spanned<String>, part: Option<Range<usize>>) -> Range<usize> {
    let is_plain = text.span.len() == text.value.len() + 2;
    match part.filter(|part| is_plain && !part.is_empty() && part.end <= text.value.len()) {
        Some(part) => text.span.start + 1 + part.start..text.span.start + 1 + part.end,
        None => text.span.clone(),
    }
}
