//! Tables: one definition gives the struct, its decoder, the list of its keys and its part of the schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{
    decode::{Decode, Decoder},
    tables,
    value::{Data, Entry, Node},
};
use crate::diagnostic::{Diagnostic, did_you_mean};

/// The keys of a table. Made by [`table!`], or two of them joined by [`Both`].
pub(super) trait Fields: Default {
    /// What messages call such a table.
    const CALLED: &'static str;
    /// What it is, for the schema.
    const ABOUT: &'static str;

    /// All its keys.
    fn keys() -> Vec<&'static str>;
    /// The keys that must be there.
    fn required() -> Vec<&'static str>;
    /// Reads one entry; false if the key is none of these.
    fn set(&mut self, entry: &Entry, decoder: &mut Decoder) -> bool;
    /// Adds the description of every key.
    fn describe(generator: &mut SchemaGenerator, properties: &mut Map<String, Value>);
}

/// A table with the keys of two.
#[derive(Clone, Debug, Default)]
pub(super) struct Both<A, B>(pub A, pub B);

impl<A: Fields, B: Fields> Fields for Both<A, B> {
    const CALLED: &'static str = B::CALLED;
    const ABOUT: &'static str = B::ABOUT;

    fn keys() -> Vec<&'static str> {
        [A::keys(), B::keys()].concat()
    }

    fn required() -> Vec<&'static str> {
        [A::required(), B::required()].concat()
    }

    fn set(&mut self, entry: &Entry, decoder: &mut Decoder) -> bool {
        self.0.set(entry, decoder) || self.1.set(entry, decoder)
    }

    fn describe(generator: &mut SchemaGenerator, properties: &mut Map<String, Value>) {
        A::describe(generator, properties);
        B::describe(generator, properties);
    }
}

impl<A: Fields, B: Fields + JsonSchema> JsonSchema for Both<A, B> {
    fn schema_name() -> Cow<'static, str> {
        format!("Full{}", B::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        table_schema::<Self>(generator)
    }
}

impl<A: Fields, B: Fields + JsonSchema> Decode for Both<A, B> {
    const EXPECTED: &'static str = "a table";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        decode_table(node, decoder)
    }
}

/// Reads a table: unknown and missing keys are faults, and what could be read is kept.
pub(super) fn decode_table<T: Fields>(node: &Node, decoder: &mut Decoder) -> Option<T> {
    let Data::Table(entries) = &node.data else {
        decoder.wrong_kind(node, "a table");
        return None;
    };
    let mut table = T::default();
    for entry in entries {
        if !table.set(entry, decoder) {
            unknown_key::<T>(entry, decoder);
        }
    }
    for key in T::required() {
        if !entries.iter().any(|e| e.key == key) {
            let message = format!("{} needs the key `{key}`", T::CALLED);
            decoder.fault("missing-key", &node.span, message, &format!("add `{key}`"));
        }
    }
    Some(table)
}

fn unknown_key<T: Fields>(entry: &Entry, decoder: &mut Decoder) {
    if decoder.lenient {
        if !entry.value.says_nothing() {
            decoder.unknown.insert(entry.key.clone());
        }
        return;
    }
    let keys = T::keys();
    let message = format!("unknown key `{}` in {}", entry.key, T::CALLED);
    let fault =
        Diagnostic::error("unknown-key", message).at(Some(&decoder.place(&entry.span)), "unknown key");
    // What another tool calls it is no slip of the finger.
    let near = tables::synonym(&entry.key)
        .filter(|key| keys.contains(key))
        .or_else(|| did_you_mean(&entry.key, keys.iter().copied()));
    let hint = match (near, tables::owner(&entry.key)) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some(owner)) => format!("`{}` belongs to {owner}", entry.key),
        (None, None) if T::CALLED == tables::TaskServers::CALLED => {
            "the table of tasks is called `tasks`".to_owned()
        }
        (None, None) => {
            format!(
                "{} has {}",
                T::CALLED,
                keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
            )
        }
    };
    decoder.faults.push(fault.hint(hint));
}

/// The schema of a table.
pub(super) fn table_schema<T: Fields>(generator: &mut SchemaGenerator) -> Schema {
    let mut properties = Map::new();
    T::describe(generator, &mut properties);
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    schema.insert("description".into(), json!(prose(T::ABOUT)));
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("additionalProperties".into(), json!(false));
    if !T::required().is_empty() {
        schema.insert("required".into(), json!(T::required()));
    }
    schema.into()
}

/// The schema of one key.
pub(super) fn described<T: JsonSchema>(generator: &mut SchemaGenerator, doc: &str) -> Value {
    let mut schema = generator.subschema_for::<T>();
    schema.insert("description".into(), json!(prose(doc)));
    schema.to_value()
}

/// A doc comment as one paragraph.
pub(super) fn prose(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Defines a table: `"key" => field: Type;`, each under a doc comment, `, required` where it must be there.
macro_rules! table {
    (
        $(#[doc = $about:literal])*
        struct $name:ident called $called:literal {
            $( $(#[doc = $doc:literal])* $key:literal => $field:ident: $type:ty $(, $required:ident)?; )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default)]
        pub(super) struct $name {
            $( $(#[doc = $doc])* pub(super) $field: Option<$crate::config::decode::Spanned<$type>>, )*
        }

        impl $crate::config::table::Fields for $name {
            const CALLED: &'static str = $called;
            const ABOUT: &'static str = concat!($($about),*);

            fn keys() -> Vec<&'static str> {
                vec![$($key),*]
            }

            fn required() -> Vec<&'static str> {
                vec![$( $( { let $required = $key; $required }, )? )*]
            }

            fn set(
                &mut self,
                entry: &$crate::config::value::Entry,
                decoder: &mut $crate::config::decode::Decoder,
            ) -> bool {
                match entry.key.as_str() {
                    $( $key => self.$field = decoder.spanned(concat!("`", $key, "`").to_owned(), &entry.value), )*
                    _ => return false,
                }
                true
            }

            fn describe(
                generator: &mut schemars::SchemaGenerator,
                properties: &mut serde_json::Map<String, serde_json::Value>,
            ) {
                $(
                    let schema =
                        $crate::config::table::described::<$type>(generator, concat!($($doc),*));
                    properties.insert($key.to_owned(), schema);
                )*
            }
        }

        impl $crate::config::decode::Decode for $name {
            const EXPECTED: &'static str = "a table";

            fn decode(
                node: &$crate::config::value::Node,
                decoder: &mut $crate::config::decode::Decoder,
            ) -> Option<Self> {
                $crate::config::table::decode_table(node, decoder)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::config::table::table_schema::<Self>(generator)
            }
        }
    };
}
pub(super) use table;
