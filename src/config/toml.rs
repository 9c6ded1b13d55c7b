//! TOML text to the spanned tree. What stands before the first syntax fault is read all the same, so that
//! one slip of the pen does not hide every other fault.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{
    read::{Tree, syntax},
    value::{Data, Entry, Node},
};
use crate::diagnostic::{Diagnostic, Place, SourceId};

/// Reads TOML 1.1.
pub(super) fn read(source: SourceId, text: &str) -> Tree {
    let (table, errors) = DeTable::parse_recoverable(text);
    let reliable = errors.iter().filter_map(|e| e.span()).map(|s| s.start).min().unwrap_or(text.len());
    let mut numbers = Vec::new();
    let root = node(&Spanned::new(table.span(), DeValue::Table(table.into_inner())), &mut numbers);
    let mut faults: Vec<Diagnostic> = Vec::new();
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let fault = match error.message() {
            "duplicate key" if repeats_a_table(text, &span, &faults) => continue,
            "duplicate key" => duplicate(source, text, &root, &span),
            message => hinted(syntax(source, text, "syntax", message, span)),
        };
        if !faults.contains(&fault) {
            faults.push(fault);
        }
    }
    faults.extend(
        numbers
            .into_iter()
            .map(|span| syntax(source, text, "bad-value", "this number is out of range", span)),
    );
    Tree { root, faults, reliable, complete: errors.is_empty() }
}

/// The hint for what goes wrong most often where shell text is put into TOML.
fn hinted(fault: Diagnostic) -> Diagnostic {
    if fault.message.starts_with("invalid basic string") {
        fault.hint("text of several lines stands between `\"\"\"`")
    } else if fault.message.starts_with("missing escaped value") {
        fault.hint("`\\` begins an escape within `\"`; between `\'` text is taken as it is")
    } else {
        fault
    }
}

/// A key that stands there twice, with the place of the first one.
fn duplicate(source: SourceId, text: &str, root: &Node, span: &Range<usize>) -> Diagnostic {
    let key = unquoted(text, span);
    let place = |span: Range<usize>| Place { source, span };
    let first = match header(text, span) {
        Some(path) => first_header(text, &path, span.start).or_else(|| entry_at(root, &path)),
        None => last_before(root, &key, span.start),
    };
    Diagnostic::error("duplicate-key", format!("the key `{key}` stands here twice"))
        .at(Some(&place(span.clone())), "again here")
        .at(first.filter(|first| first.start < span.start).map(place).as_ref(), "first here")
        .hint("keep one of them")
}

/// Whether a double key is only double because its table is, which is reported already.
fn repeats_a_table(text: &str, span: &Range<usize>, faults: &[Diagnostic]) -> bool {
    let table = text[..span.start].rfind("\n[").map_or(0, |line| line + 1);
    is_header(text, span.start) == Some(false)
        && faults.iter().any(|fault| {
            let at = fault.labels.first().map_or(0, |label| label.place.span.start);
            fault.code == "duplicate-key" && at >= table && is_header(text, at) == Some(true)
        })
}

/// The line around a byte, and where it begins.
fn line(text: &str, at: usize) -> Option<(usize, &str)> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |i| i + 1);
    Some((start, text[start..].lines().next()?))
}

fn is_header(text: &str, at: usize) -> Option<bool> {
    line(text, at).map(|(_, line)| line.trim_start().starts_with('['))
}

/// The path of the table whose header `span` lies in, down to the key at `span`.
fn header(text: &str, span: &Range<usize>) -> Option<Vec<String>> {
    let (start, line) = line(text, span.start)?;
    let keys = header_keys(line)?;
    let length = keys.iter().position(|(_, key)| key.start + start >= span.start)? + 1;
    Some(keys.into_iter().take(length).map(|(key, _)| key).collect())
}

/// The keys in a header line, and where they stand in it.
fn header_keys(line: &str) -> Option<Vec<(String, Range<usize>)>> {
    line.trim_start().starts_with('[').then_some(())?;
    let (table, _) = DeTable::parse_recoverable(line);
    let (mut keys, mut table) = (Vec::new(), table.into_inner());
    while let Some((key, value)) = table.into_iter().next() {
        keys.push((key.get_ref().to_string(), key.span()));
        let DeValue::Table(inner) = value.into_inner() else { break };
        table = inner;
    }
    Some(keys)
}

/// The header of this very table before a byte. The tree knows only the last one.
fn first_header(text: &str, path: &[String], before: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for line in text.get(..before)?.split_inclusive('\n') {
        let keys = header_keys(line).unwrap_or_default();
        if keys.iter().map(|(key, _)| key).eq(path) {
            return keys.last().map(|(_, span)| start + span.start..start + span.end);
        }
        start += line.len();
    }
    None
}

fn entry_at(root: &Node, path: &[String]) -> Option<Range<usize>> {
    let (first, rest) = path.split_first()?;
    let Data::Table(entries) = &root.data else { return None };
    let entry = entries.iter().find(|entry| entry.key == *first)?;
    if rest.is_empty() { Some(entry.span.clone()) } else { entry_at(&entry.value, rest) }
}

/// The last such key before a byte: keys of one table stand together.
fn last_before(node: &Node, key: &str, before: usize) -> Option<Range<usize>> {
    let Data::Table(entries) = &node.data else { return None };
    entries
        .iter()
        .flat_map(|e| [(e.key == key).then(|| e.span.clone()), last_before(&e.value, key, before)])
        .flatten()
        .filter(|span| span.start < before)
        .max_by_key(|span| span.start)
}

fn unquoted(text: &str, span: &Range<usize>) -> String {
    text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']).to_owned()
}

/// Converts one value; the spans of numbers that no machine number holds go to `bad`.
fn node(value: &Spanned<DeValue<'_>>, bad: &mut Vec<Range<usize>>) -> Node {
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

fn entries(table: &DeTable<'_>, bad: &mut Vec<Range<usize>>) -> Vec<Entry> {
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
