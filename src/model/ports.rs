//! `${ports.<name>}` and `${ports.<process>.<name>}` in texts (spec sections 1.2 and 6). Ports are allocated when
//! something is started, so such references stay in texts until then.

use std::{borrow::Cow, fmt, fmt::Write as _, iter, ops::Range};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A reference to a port of a process.
///
/// Whose port it is, [`TaskGraph::port`](crate::graph::TaskGraph::port) tells: a process is looked for first in
/// the project of the text, then in the root project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PortRef {
    /// The process as it is written: its local name, or with a colon `<project>:<name>` or the name of its task.
    /// `None`: the process whose text it is.
    pub process: Option<String>,
    /// The name of the port.
    pub name: String,
}

impl PortRef {
    /// What stands between `${` and `}`, if it refers to a port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.strip_prefix("ports.")?;
        let (process, name) = match parts.split_once('.') {
            Some((process, name)) => (Some(process), name),
            None => (None, parts),
        };
        let is_legal = is_port_name(name) && process.is_none_or(|p| p.split(':').all(is_port_name));
        is_legal.then(|| Self { process: process.map(str::to_owned), name: name.to_owned() })
    }

    /// The reference that is all of a text.
    #[must_use]
    pub fn whole(text: &str) -> Option<Self> {
        Self::parse(text.strip_prefix("${")?.strip_suffix('}')?)
    }
}

/// As it is written in a text.
impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some(process) => write!(f, "${{ports.{process}.{}}}", self.name),
            None => write!(f, "${{ports.{}}}", self.name),
        }
    }
}

/// Whether a port can be called so: ASCII letters, digits, `-` and `_`.
#[must_use]
pub fn is_port_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// The references to ports in a text, each with the bytes it takes.
pub fn port_refs(text: &str) -> impl Iterator<Item = (Range<usize>, PortRef)> + '_ {
    let mut from = 0;
    iter::from_fn(move || {
        loop {
            let start = from + text[from..].find("${")?;
            let end = start + text[start..].find('}')?;
            from = end + 1;
            if let Some(port) = PortRef::parse(&text[start + 2..end]) {
                return Some((start..end + 1, port));
            }
        }
    })
}

/// The text with the numbers `value` gives for its references. Those it gives none for stay as they are.
///
/// Only for texts of our own files: in devenv's lists nothing is substituted.
pub fn with_ports(text: &str, mut value: impl FnMut(&PortRef) -> Option<u16>) -> Cow<'_, str> {
    let (mut result, mut copied) = (String::new(), 0);
    for (range, port) in port_refs(text) {
        if let Some(number) = value(&port) {
            result.push_str(&text[copied..range.start]);
            // Writing to a String cannot fail.
            let _ = write!(result, "{number}");
            copied = range.end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    result.push_str(&text[copied..]);
    Cow::Owned(result)
}

/// The same for every string in a task's input. Keys stay as they are.
pub fn input_with_ports(
    input: &Map<String, Value>,
    value: &mut dyn FnMut(&PortRef) -> Option<u16>,
) -> Map<String, Value> {
    input.iter().map(|(key, json)| (key.clone(), json_with_ports(json, value))).collect()
}

fn json_with_ports(json: &Value, value: &mut dyn FnMut(&PortRef) -> Option<u16>) -> Value {
    match json {
        Value::String(text) => Value::String(with_ports(text, value).into_owned()),
        Value::Array(items) => items.iter().map(|item| json_with_ports(item, value)).collect(),
        Value::Object(map) => Value::Object(input_with_ports(map, value)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `name`, or `process/name`.
    fn told(port: &PortRef) -> String {
        port.process.iter().map(|process| format!("{process}/")).collect::<String>() + &port.name
    }

    #[test]
    fn references_are_found_where_they_are_written() {
        for (text, expected) in [
            ("", ""),
            ("${ports.http}", "http"),
            ("a ${ports.http}-${ports.api.main_1-x} $ports", "http api/main_1-x"),
            (
                "${ports.web:api.http}${ports.devenv:processes:web:api.http}",
                "web:api/http devenv:processes:web:api/http",
            ),
            ("${HOME} ${ports} ${ports.} ${ports.a.} ${ports..a} ${portsa}", ""),
            ("${ports.a.b.c} ${ports.a b} ${ports.a:b} ${ports.:a.b} ${ports.ü}", ""),
            ("${ports.a", ""),
            // What lies in another reference is part of that one's name, as everywhere else.
            ("${${ports.a}} ${x:-${ports.b}}", ""),
            ("}}${ports.a}}", "a"),
            ("ü${ports.a}ü", "a"),
        ] {
            let found: Vec<String> = port_refs(text).map(|(_, port)| told(&port)).collect();
            assert_eq!(found.join(" "), expected, "{text}");
            for (range, port) in port_refs(text) {
                assert_eq!(text[range], port.to_string(), "{text}");
            }
        }
    }

    #[test]
    fn numbers_take_the_place_of_what_is_known() {
        for (text, expected) in [
            ("serve", "serve"),
            ("ü ${ports.http} ${ports.api.http}ü", "ü 80 ${ports.api.http}ü"),
            ("${ports.gone}", "${ports.gone}"),
            ("${ports.gone} ${ports.http}${ports.http} ${root}", "${ports.gone} 8080 ${root}"),
        ] {
            let value = |port: &PortRef| (port.process.is_none() && port.name == "http").then_some(80);
            let result = with_ports(text, value);
            assert_eq!(result, expected);
            let is_same = matches!(result, Cow::Borrowed(_));
            assert_eq!(is_same, text == expected, "{text}: what stays the same is not copied");
        }
    }

    #[test]
    fn the_strings_of_an_input_are_substituted_at_any_depth() {
        let input = json!({ "${ports.a}": ["${ports.a}", { "b": "x${ports.a}", "c": 1 }], "d": null });
        let result = input_with_ports(input.as_object().unwrap(), &mut |_| Some(7));
        assert_eq!(Value::Object(result), json!({ "${ports.a}": ["7", { "b": "x7", "c": 1 }], "d": null }));
    }

    #[test]
    fn only_a_whole_reference_is_one() {
        for (text, whole) in
            [("${ports.a}", true), ("${ports.a.b}", true), ("x${ports.a}", false), ("a", false)]
        {
            assert_eq!(PortRef::whole(text).is_some(), whole, "{text}");
        }
    }
}
