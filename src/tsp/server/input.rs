//! What comes in, typed. Where it does not fit, the field is named: serde names only what is missing.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Up to how many fields of an object are tried, to find the one that is at fault.
const MOST_FIELDS: usize = 64;

/// Reads a value. Where nothing was given an object without fields does too, and the other way round.
///
/// # Errors
/// A sentence that names the field.
pub(super) fn decode<T: DeserializeOwned>(value: &Value, what: &str) -> Result<T, String> {
    let empty = Value::Object(Map::new());
    let value = if value.is_null() { &empty } else { value };
    match read(value) {
        Ok(read) => Ok(read),
        Err(_) if *value == empty && read::<T>(&Value::Null).is_ok() => read(&Value::Null),
        Err(error) => Err(format!("{what}{}: {error}", place::<T>(value, &error))),
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| error.to_string())
}

/// Where the error is: `.a.b`. Empty: in the value as a whole.
fn place<T: DeserializeOwned>(value: &Value, error: &str) -> String {
    let (mut pointer, mut place) = (String::new(), String::new());
    while let Some(key) = guilty::<T>(value, &pointer, error) {
        pointer.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1")));
        place.push_str(&format!(".{key}"));
    }
    place
}

/// The field of the object at `pointer` without which there is another error, or none.
fn guilty<T: DeserializeOwned>(value: &Value, pointer: &str, error: &str) -> Option<String> {
    let fields = value.pointer(pointer)?.as_object().filter(|fields| fields.len() <= MOST_FIELDS)?;
    let is_other = |change: &dyn Fn(&mut Map<String, Value>)| {
        let mut trial = value.clone();
        trial.pointer_mut(pointer).and_then(Value::as_object_mut).map(change);
        read::<T>(&trial).err().as_deref() != Some(error)
    };
    // What is missing is missing here if to add it changes the error: then it is no other field's fault.
    let missing = error.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    if missing.is_some_and(|name| is_other(&|fields| drop(fields.insert(name.to_owned(), Value::Null)))) {
        return None;
    }
    fields.keys().find(|key| is_other(&|fields| drop(fields.remove(*key)))).cloned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        first: u8,
        inner: Option<Inner>,
        #[serde(default)]
        last: Vec<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "a/b")]
        slash: u8,
        more: bool,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Lenient {
        x: u8,
    }

    #[test]
    fn nothing_is_an_input_of_many_types() {
        for nothing in [Value::Null, json!({})] {
            assert_eq!(decode::<()>(&nothing, "input"), Ok(()));
            assert_eq!(decode::<Lenient>(&nothing, "input"), Ok(Lenient { x: 0 }));
            assert_eq!(decode::<Option<u8>>(&nothing, "input"), Ok(None));
            assert!(decode::<Value>(&nothing, "input").is_ok());
        }
        assert_eq!(decode::<Lenient>(&json!({"x": 3}), "input"), Ok(Lenient { x: 3 }));
        assert_eq!(decode::<u8>(&json!(4), "input"), Ok(4));
        assert!(decode::<()>(&json!({"x": 3}), "input").is_err());
    }

    #[test]
    fn what_fits_is_read() {
        let value = json!({"first": 1, "inner": {"a/b": 2, "more": true}, "last": ["x"], "new": null});
        let inner = Some(Inner { slash: 2, more: true });
        let expected = Outer { first: 1, inner, last: vec!["x".to_owned()] };
        assert_eq!(decode::<Outer>(&value, "input"), Ok(expected));
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let cases = [
            (json!(null), "input: missing field `first`"),
            (json!({"last": []}), "input: missing field `first`"),
            (json!({"first": "a"}), "input.first: invalid type: string \"a\", expected u8"),
            (json!({"first": 300, "last": []}), "input.first: invalid value: integer `300`, expected u8"),
            (json!({"first": 1, "last": {}}), "input.last: invalid type: map, expected a sequence"),
            (json!({"first": 1, "inner": {"a/b": 1}}), "input.inner: missing field `more`"),
            (
                json!({"first": 1, "inner": {"a/b": null, "more": true}}),
                "input.inner.a/b: invalid type: null, expected u8",
            ),
            (
                json!({"first": 1, "inner": {"a/b": 1, "more": true, "new": 1}}),
                "input.inner.new: unknown field `new`, expected `a/b` or `more`",
            ),
            (json!(7), "input: invalid type: integer `7`, expected struct Outer"),
        ];
        for (value, expected) in cases {
            assert_eq!(decode::<Outer>(&value, "input").unwrap_err(), expected, "{value}");
        }
    }
}
