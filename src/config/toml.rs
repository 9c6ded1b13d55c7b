//! TOML text to the spanned tree. What stands before the first syntax fault is read all the same, so that
//! one slip of the pen does not hide every other fault.

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{
    read::{Tree, syntax},
    value::{Data, Entry, Node},
};
use crate::diagnostic::{Diagnostic, SourceId};

/// Reads TOML 1.1.
pub(super) fn read(source: SourceId, text: &str) -> Tree {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<Diagnostic> = errors
        .iter()
        .map(|e| {
            let code = if e.message() == "duplicate key" { "duplicate-key" } else { "syntax" };
            syntax(source, text, code, e.message(), e.span().unwrap_or(0..0))
        })
        .collect();
    let reliable = errors.iter().filter_map(|e| e.span()).map(|s| s.start).min().unwrap_or(text.len());
    let mut numbers = Vec::new();
    let root = node(&Spanned::new(table.span(), DeValue::Table(table.into_inner())), &mut numbers);
    faults.extend(
        numbers
            .into_iter()
            .map(|span| syntax(source, text, "bad-value", "this number is out of range", span)),
    );
    Tree { root, faults, reliable, complete: errors.is_empty() }
}

/// Converts one value; the spans of numbers that no machine number holds go to `bad`.
fn node(value: &Spanned<DeValue<'_>>, bad: &mut Vec<std::ops::Range<usize>>) -> Node {
    let span = value.span();
    let data = match value.get_ref() {
        DeValue::String(s) => Data::String(s.clone().into_owned()),
        DeValue::Boolean(b) => Data::Bool(*b),
        DeValue::Datetime(d) => Data::Date(d.to_string()),
        DeValue::Integer(i) => integer(i).map_or_else(
            || {
                bad.push(span.clone());
                Data::Integer(0)
            },
            Data::Integer,
        ),
        DeValue::Float(f) => Data::Float(f.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Array(items) => Data::Array(items.iter().map(|v| node(v, bad)).collect()),
        DeValue::Table(table) => Data::Table(entries(table, bad)),
    };
    Node { span, data }
}

fn entries(table: &DeTable<'_>, bad: &mut Vec<std::ops::Range<usize>>) -> Vec<Entry> {
    let mut list: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            span: key.span(),
            value: node(value, bad),
        })
        .collect();
    list.sort_by_key(|e| e.span.start);
    list
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
