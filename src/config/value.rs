//! The tree both TOML and JSON are read into: values with the bytes they stand at.

use std::ops::Range;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Bytes from and to.
    pub span: Range<usize>,
    /// What it is.
    pub data: Data,
}

/// A value, without its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    /// JSON's null; TOML has none.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number above those of [`Integer`](Self::Integer); TOML has none.
    Large(u64),
    /// A number with a fraction or an exponent.
    Float(f64),
    /// Text.
    String(String),
    /// TOML's date or time, as written.
    Date(String),
    /// A list.
    Array(Vec<Node>),
    /// A table, in the order the format gives.
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub span: Range<usize>,
    /// The value.
    pub value: Node,
}

impl Node {
    /// An empty table, for a text nothing could be read from.
    pub(super) fn empty() -> Self {
        Self { span: 0..0, data: Data::Table(Vec::new()) }
    }

    /// What people call this kind of value, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Integer(_) => "a whole number",
            Data::Large(_) | Data::Float(_) => "a number",
            Data::String(_) => "a string",
            Data::Date(_) => "a date",
            Data::Array(_) => "a list",
            Data::Table(_) => "a table",
        }
    }

    /// Whether it is null, or holds nothing but such: a default that a program wrote out.
    pub(super) fn says_nothing(&self) -> bool {
        match &self.data {
            Data::Null => true,
            Data::Array(items) => items.iter().all(Self::says_nothing),
            Data::Table(entries) => entries.iter().all(|e| e.value.says_nothing()),
            _ => false,
        }
    }

    /// The same value as plain JSON. `None` for a number JSON has no spelling of.
    pub(super) fn to_json(&self) -> Option<serde_json::Value> {
        use serde_json::Value;
        Some(match &self.data {
            Data::Null => Value::Null,
            Data::Bool(b) => Value::Bool(*b),
            Data::Integer(i) => Value::from(*i),
            Data::Large(u) => Value::from(*u),
            Data::Float(f) => Value::Number(serde_json::Number::from_f64(*f)?),
            Data::String(s) | Data::Date(s) => Value::String(s.clone()),
            Data::Array(items) => Value::Array(items.iter().map(Self::to_json).collect::<Option<_>>()?),
            Data::Table(entries) => Value::Object(
                entries.iter().map(|e| Some((e.key.clone(), e.value.to_json()?))).collect::<Option<_>>()?,
            ),
        })
    }
}
