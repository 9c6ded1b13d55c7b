//! The types of values a key can have, each with its decoder and its schema.

use std::{borrow::Cow, time::Duration};

use rustix::process::Signal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::{
    decode::{Decode, Decoder, Spanned},
    value::{Data, Node},
};

/// Gives a type the schema of an expression, without a definition of its own.
macro_rules! inline_schema {
    ([$($generics:tt)*] $type:ty, |$generator:ident| $schema:expr) => {
        impl<$($generics)*> JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}
pub(super) use inline_schema;

/// A list.
#[derive(Clone, Debug, Default)]
pub(super) struct List<T>(pub Vec<Spanned<T>>);

inline_schema!([T: JsonSchema] List<T>, |generator| generator.subschema_for::<Vec<T>>());

impl<T: Decode> Decode for List<T> {
    const EXPECTED: &'static str = "a list";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let Data::Array(items) = &node.data else { return decoder.wrong_type(node) };
        let subject = format!("an entry of {}", decoder.subject());
        Some(Self(items.iter().filter_map(|item| decoder.spanned(subject.clone(), item)).collect()))
    }
}

/// A table whose keys are names the user chose.
#[derive(Clone, Debug, Default)]
pub(super) struct Dict<T>(pub Vec<(Spanned<String>, Spanned<T>)>);

inline_schema!([T: JsonSchema] Dict<T>, |generator| {
    json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
});

impl<T: Decode> Decode for Dict<T> {
    const EXPECTED: &'static str = "a table";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let Data::Table(entries) = &node.data else { return decoder.wrong_type(node) };
        let read = entries.iter().filter_map(|entry| {
            let key = Spanned { value: entry.key.clone(), span: entry.span.clone() };
            Some((key, decoder.spanned(format!("`{}`", entry.key), &entry.value)?))
        });
        Some(Self(read.collect()))
    }
}

/// A table of anything JSON can hold.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonTable(pub Map<String, Value>);

inline_schema!([] JsonTable, |_generator| json_schema!({ "type": "object" }));

impl Decode for JsonTable {
    const EXPECTED: &'static str = "a table";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        if !matches!(node.data, Data::Table(_)) {
            return decoder.wrong_type(node);
        }
        let Some(Value::Object(map)) = node.to_json() else {
            decoder.bad_value(node, "holds a number JSON has no spelling of", "leave out `nan` and `inf`");
            return None;
        };
        Some(Self(map))
    }
}

/// A length of time: a number of seconds, or text such as `1m 30s`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seconds(pub Duration);

inline_schema!([] Seconds, |_generator| {
    json_schema!({ "anyOf": [{ "type": "number", "minimum": 0 }, { "type": "string" }] })
});

impl Decode for Seconds {
    const EXPECTED: &'static str = "a number of seconds or text such as \"30s\"";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let duration = match &node.data {
            Data::Integer(i) => u64::try_from(*i)
                .map(Duration::from_secs)
                .map_err(|_| "a length of time is not negative".to_owned()),
            Data::Large(u) => Ok(Duration::from_secs(*u)),
            Data::Float(f) => Duration::try_from_secs_f64(*f).map_err(|e| e.to_string()),
            Data::String(s) => humantime::parse_duration(s).map_err(|e| e.to_string()),
            _ => return decoder.wrong_type(node),
        };
        match duration {
            Ok(duration) => Some(Self(duration)),
            Err(why) => {
                let message = format!("{} is no length of time: {why}", decoder.subject());
                let hint = "write a number of seconds, or text such as \"30s\" or \"1m 30s\"";
                decoder.fault("bad-duration", &node.span, message, hint);
                None
            }
        }
    }
}

/// An amount of bytes: a number, or text such as `1GiB`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size(pub u64);

inline_schema!([] Size, |_generator| {
    json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] })
});

impl Decode for Size {
    const EXPECTED: &'static str = "a number of bytes or text such as \"1GiB\"";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let size = match &node.data {
            Data::Integer(i) => u64::try_from(*i).ok(),
            Data::Large(u) => Some(*u),
            Data::String(s) => parse_size(s),
            _ => return decoder.wrong_type(node),
        };
        if size.is_none() {
            let message = format!("{} is no amount of bytes", decoder.subject());
            decoder.fault("bad-value", &node.span, message, "write for example \"500MiB\" or \"1GiB\"");
        }
        size.map(Self)
    }
}

/// The bytes a text such as `500MiB`, `1.5 GB` or `4096` stands for; none if it is no such text. `K`, `M`, `G` and `T`
/// alone, or followed by `iB`, are powers of 1024, followed by `B` powers of 1000.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = text[digits.len()..].trim().to_ascii_lowercase();
    let power = |letter: &str| ["k", "m", "g", "t"].iter().position(|known| *known == letter);
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        unit => match unit.strip_suffix("ib").or_else(|| power(unit).map(|_| unit)) {
            Some(letter) => 1024_f64.powi(i32::try_from(power(letter)?).ok()? + 1),
            None => 1000_f64.powi(i32::try_from(power(unit.strip_suffix('b')?)?).ok()? + 1),
        },
    };
    let bytes = digits.trim().parse::<f64>().ok()? * factor;
    // More than any disk has is no limit.
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes as u64)
}

/// A signal, by number or by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignalNumber(pub i32);

inline_schema!([] SignalNumber, |_generator| {
    json_schema!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 31 }, { "type": "string" }] })
});

/// The signals a process can be asked to stop with.
const SIGNALS: [(&str, Signal); 8] = [
    ("TERM", Signal::TERM),
    ("INT", Signal::INT),
    ("HUP", Signal::HUP),
    ("QUIT", Signal::QUIT),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("WINCH", Signal::WINCH),
];

impl Decode for SignalNumber {
    const EXPECTED: &'static str = "a signal's number or name";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.data {
            Data::Integer(i) => {
                let number = i32::try_from(*i).ok().filter(|n| (1..=31).contains(n));
                if number.is_none() {
                    decoder.bad_value(node, "is no signal", "signals are numbered from 1 to 31");
                }
                number.map(Self)
            }
            Data::String(name) => {
                let upper = name.to_uppercase();
                let short = upper.strip_prefix("SIG").unwrap_or(&upper);
                let found = SIGNALS.iter().find(|(known, _)| *known == short);
                if found.is_none() {
                    decoder.bad_word(node, name, &SIGNALS.map(|(known, _)| known));
                }
                found.map(|(_, signal)| Self(signal.as_raw()))
            }
            _ => decoder.wrong_type(node),
        }
    }
}

/// Permission bits: a number, or octal digits as text.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileMode(pub u32);

inline_schema!([] FileMode, |_generator| {
    json_schema!({ "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": 0o7777 },
        { "type": "string", "pattern": "^(0o)?[0-7]{1,4}$" },
    ] })
});

impl Decode for FileMode {
    const EXPECTED: &'static str = "permission bits";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let bits = match &node.data {
            Data::Integer(i) => u32::try_from(*i).ok(),
            Data::String(s) => u32::from_str_radix(s.trim_start_matches("0o"), 8).ok(),
            _ => return decoder.wrong_type(node),
        };
        let bits = bits.filter(|bits| *bits <= 0o7777);
        if bits.is_none() {
            decoder.bad_value(node, "is no set of permission bits", "write 0o600, or \"600\" in JSON");
        }
        bits.map(Self)
    }
}

/// A count that may be without limit: null in JSON, `"unlimited"` in TOML, which has no null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit(pub Option<u32>);

inline_schema!([] Limit, |_generator| {
    json_schema!({ "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": u32::MAX },
        { "type": "null" },
        { "const": "unlimited" },
    ] })
});

impl Decode for Limit {
    const EXPECTED: &'static str = "a whole number or \"unlimited\"";
    const TAKES_NULL: bool = true;

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.data {
            Data::Null => Some(Self(None)),
            Data::String(s) if s == "unlimited" => Some(Self(None)),
            Data::Integer(_) => u32::decode(node, decoder).map(|n| Self(Some(n))),
            _ => decoder.wrong_type(node),
        }
    }
}

/// Text, or a list of texts: a program, and its arguments.
#[derive(Clone, Debug)]
pub(super) struct CommandLine(pub Vec<Spanned<String>>);

inline_schema!([] CommandLine, |_generator| {
    json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
});

impl Decode for CommandLine {
    const EXPECTED: &'static str = "a string or a list of strings";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let words = match &node.data {
            Data::String(word) => vec![Spanned { value: word.clone(), span: node.span.clone() }],
            Data::Array(_) => List::<String>::decode(node, decoder)?.0,
            _ => return decoder.wrong_type(node),
        };
        Some(Self(words))
    }
}

/// Defines a choice between words.
macro_rules! words {
    (
        $(#[doc = $about:literal])*
        $visibility:vis enum $name:ident { $( $(#[doc = $doc:literal])* $variant:ident = $word:literal, )* }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        $visibility enum $name { $( $(#[doc = $doc])* $variant, )* }

        $crate::config::types::inline_schema!([] $name, |_generator| {
            json_schema!({ "oneOf": [$({
                "const": $word,
                "description": $crate::config::table::prose(concat!($($doc),*)),
            }),*] })
        });

        impl $crate::config::decode::Decode for $name {
            const EXPECTED: &'static str = "a string";

            fn decode(
                node: &$crate::config::value::Node,
                decoder: &mut $crate::config::decode::Decoder,
            ) -> Option<Self> {
                let $crate::config::value::Data::String(text) = &node.data else {
                    return decoder.wrong_type(node);
                };
                match text.as_str() {
                    $( $word => Some(Self::$variant), )*
                    _ => {
                        decoder.bad_word(node, text, &[$($word),*]);
                        None
                    }
                }
            }
        }
    };
}
pub(super) use words;
