//! JSON text to the spanned tree: plain JSON only, without comments, trailing commas or double keys.

use std::collections::HashMap;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{Object, Value},
    common::Ranged,
};

use super::{
    read::{Tree, syntax},
    value::{Data, Entry, Node},
};
use crate::diagnostic::{Diagnostic, Place, SourceId};

const OUT_OF_RANGE: &str = "this number is out of range";

/// Reads JSON.
pub(super) fn read(source: SourceId, text: &str) -> Tree {
    // serde_json first: its faults read better, and its depth limit bounds the recursion below.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let at = offset(text, error.line(), error.column());
        let message = without_position(&error);
        if message == "number out of range" {
            return broken(syntax(source, text, "bad-value", OUT_OF_RANGE, at..at + 1));
        }
        let fault = syntax(source, text, "syntax", &message, at..at + 1);
        return broken(
            fault.hint("JSON has double quotes, no comments and no comma before a closing bracket"),
        );
    }
    match jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &strict()) {
        Ok(parsed) => {
            let mut reader = Reader { source, faults: Vec::new() };
            let root = parsed.value.as_ref().map_or_else(Node::empty, |v| reader.node(v));
            Tree { root, faults: reader.faults, reliable: text.len(), complete: true }
        }
        Err(error) => {
            let range = error.range();
            broken(syntax(source, text, "syntax", &error.kind().to_string(), range.start..range.end))
        }
    }
}

fn broken(fault: Diagnostic) -> Tree {
    Tree { root: Node::empty(), faults: vec![fault], reliable: 0, complete: false }
}

fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// The byte a line (from 1) and a column (bytes, from 1) mean.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (start + column.saturating_sub(1)).min(text.len())
}

/// The message alone: the place is shown anyway.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}

struct Reader {
    source: SourceId,
    faults: Vec<Diagnostic>,
}

impl Reader {
    fn node(&mut self, value: &Value<'_>) -> Node {
        let range = value.range();
        let data = match value {
            Value::NullKeyword(_) => Data::Null,
            Value::BooleanLit(b) => Data::Bool(b.value),
            Value::StringLit(s) => Data::String(s.value.clone().into_owned()),
            Value::NumberLit(n) => number(n.value).unwrap_or_else(|| {
                let place = Place { source: self.source, span: range.start..range.end };
                let fault = Diagnostic::error("bad-value", OUT_OF_RANGE);
                self.faults.push(fault.at(Some(&place), ""));
                Data::Integer(0)
            }),
            Value::Array(a) => Data::Array(a.elements.iter().map(|v| self.node(v)).collect()),
            Value::Object(o) => Data::Table(self.entries(o)),
        };
        Node { span: range.start..range.end, data }
    }

    fn entries(&mut self, object: &Object<'_>) -> Vec<Entry> {
        let mut seen: HashMap<String, Place> = HashMap::new();
        let mut list = Vec::with_capacity(object.properties.len());
        for property in &object.properties {
            let range = property.name.range();
            let key = property.name.as_str().to_owned();
            let place = Place { source: self.source, span: range.start..range.end };
            let value = self.node(&property.value);
            if let Some(first) = seen.get(&key) {
                self.faults.push(
                    Diagnostic::error("duplicate-key", format!("the key `{key}` stands here twice"))
                        .at(Some(&place), "again here")
                        .at(Some(first), "first here")
                        .hint("keep one of them"),
                );
                continue;
            }
            seen.insert(key.clone(), place);
            list.push(Entry { key, span: range.start..range.end, value });
        }
        list
    }
}

/// A whole number is kept to its last digit, for it may be part of a key. `None` for one no machine number holds.
fn number(text: &str) -> Option<Data> {
    if text.contains(['.', 'e', 'E']) {
        return text.parse().ok().filter(|f: &f64| f.is_finite()).map(Data::Float);
    }
    text.parse().map(Data::Integer).or_else(|_| text.parse().map(Data::Large)).ok()
}
