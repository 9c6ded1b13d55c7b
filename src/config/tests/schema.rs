use super::*;

/// Every object in a schema that describes properties.
fn visit(schema: &serde_json::Value, each: &mut impl FnMut(&str, &serde_json::Value)) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each(name, property);
    }
    match schema {
        serde_json::Value::Object(map) => map.values().for_each(|v| visit(v, each)),
        serde_json::Value::Array(list) => list.iter().for_each(|v| visit(v, each)),
        _ => {}
    }
}

#[test]
fn the_schema_describes_every_key() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let mut count = 0;
    visit(&schema, &mut |name, property| {
        count += 1;
        let description = property["description"].as_str().unwrap_or("");
        assert!(description.ends_with('.'), "{name}: {description:?}");
    });
    assert!(count > 70, "{count} keys");
    let task = &schema["$defs"]["FullTask"];
    assert_eq!(task["additionalProperties"], false);
    assert!(task["properties"]["execIfModified"].is_object() && task["properties"]["exec"].is_object());
}

/// Whether a value has the structure a schema asks for: types, keys, references, choices.
fn fits(value: &serde_json::Value, schema: &serde_json::Value, root: &serde_json::Value) -> bool {
    use serde_json::Value;
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(value, root.pointer(&reference[1..]).expect("a definition"), root);
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        return choices.iter().any(|choice| fits(value, choice, root));
    }
    let type_fits = match (schema["type"].as_str(), value) {
        (None, _) => schema.get("const").is_none_or(|c| c == value),
        (Some("object"), Value::Object(_)) | (Some("array"), Value::Array(_)) => true,
        (Some("string"), Value::String(_)) | (Some("boolean"), Value::Bool(_)) => true,
        (Some("integer"), Value::Number(n)) => n.is_i64(),
        (Some("number"), Value::Number(_)) | (Some("null"), Value::Null) => true,
        _ => false,
    };
    let items = value.as_array().into_iter().flatten().all(|v| fits(v, &schema["items"], root));
    let keys = value.as_object().into_iter().flatten().all(|(key, value)| {
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(property), _) => fits(value, property, root),
            (None, Value::Bool(false)) => false,
            (None, Value::Null) => true,
            (None, additional) => fits(value, additional, root),
        }
    });
    let required = schema["required"].as_array().into_iter().flatten();
    type_fits && items && keys && required.into_iter().all(|key| value.get(key.as_str().unwrap()).is_some())
}

#[test]
fn the_schema_accepts_what_the_decoder_accepts() {
    let schema = schema();
    let example: serde_json::Value = serde_json::from_str(&both_json()).unwrap();
    assert!(fits(&example, &schema, &schema));
    for bad in [
        json!({ "naem": "x" }),
        json!({ "tasks": { "a": { "exec": 1 } } }),
        json!({ "tasks": { "a": { "type": "x" } } }),
        json!({ "processes": { "a": { "outputs": [] } } }),
        json!({ "processes": { "a": { "ready": { "http": { "get": {} } } } } }),
    ] {
        assert!(!fits(&bad, &schema, &schema), "{bad}");
    }
}
