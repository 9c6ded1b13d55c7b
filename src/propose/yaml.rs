//! YAML as a tree of values. Aliases are filled in, within bounds: a small text can mean gigabytes.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

/// More values than these are nobody's configuration.
const MOST_VALUES: usize = 100_000;
/// Deeper trees neither.
const DEEPEST: usize = 64;

/// A list or a map that is not yet closed.
enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Builder {
    /// With the anchor of each.
    open: Vec<(Open, usize)>,
    anchors: HashMap<usize, (Value, usize)>,
    values: usize,
    done: Option<Value>,
}

/// Reads the first document.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| format!("line {}: {}", e.marker().line(), e.info()))?;
        if event == Event::DocumentEnd {
            break;
        }
        builder.take(event).map_err(|fault| format!("line {}: {fault}", span.start.line()))?;
    }
    Ok(builder.done.unwrap_or(Value::Null))
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, style, anchor, _) => self.put(scalar(&text, style), anchor, 1),
            Event::Alias(anchor) => {
                let (value, size) =
                    self.anchors.get(&anchor).cloned().ok_or("an alias within its own anchor")?;
                self.put(value, 0, size)
            }
            Event::SequenceStart(anchor, _) => self.open(Open::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.open(Open::Map(Map::new(), None), anchor),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => Ok(()),
        }
    }

    fn open(&mut self, what: Open, anchor: usize) -> Result<(), &'static str> {
        if self.open.len() >= DEEPEST {
            return Err("nested too deeply");
        }
        self.open.push((what, anchor));
        Ok(())
    }

    fn close(&mut self) -> Result<(), &'static str> {
        match self.open.pop() {
            Some((Open::List(list), anchor)) => self.put(Value::Array(list), anchor, 1),
            Some((Open::Map(map, _), anchor)) => self.put(Value::Object(map), anchor, 1),
            None => Ok(()),
        }
    }

    /// Puts a value where one is due. `size` is how many values it adds.
    fn put(&mut self, value: Value, anchor: usize, size: usize) -> Result<(), &'static str> {
        self.values = self.values.saturating_add(size);
        if self.values > MOST_VALUES {
            return Err("too many values");
        }
        if anchor != 0 {
            let size = count(&value);
            self.values = self.values.saturating_add(size);
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.open.last_mut() {
            None => self.done = Some(value),
            Some((Open::List(list), _)) => list.push(value),
            Some((Open::Map(map, key), _)) => match key.take() {
                None => *key = Some(as_key(&value)),
                Some(key) => merge(map, key, value),
            },
        }
        Ok(())
    }
}

/// `<<` takes over what is not said in the map itself.
fn merge(map: &mut Map<String, Value>, key: String, value: Value) {
    match value {
        Value::Object(other) if key == "<<" => {
            other.into_iter().for_each(|(key, value)| {
                map.entry(key).or_insert(value);
            });
        }
        value => {
            map.insert(key, value);
        }
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(count).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

fn as_key(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match text {
        _ if style != ScalarStyle::Plain => Value::from(text),
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => Value::from(text),
    }
}
