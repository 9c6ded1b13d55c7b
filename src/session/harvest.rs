//! Reading what a task left: its output JSON, its exports (spec section 3, the file protocol).

use std::collections::HashMap;

use data_encoding::BASE64;
use serde_json::Value;

use super::results::HandedOn;

/// What is wrong with what a task left. The task fails with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HarvestFault {
    #[error("its output is not JSON: {0}")]
    Output(String),
    #[error("record {number} of its exports file {what}")]
    Export { number: usize, what: String },
}

/// What a task hands on, from the bytes of its files. `listed` is the file of the `exports` hook.
pub(crate) fn harvest(
    output: Option<&[u8]>,
    exports: Option<&[u8]>,
    listed: Option<&[u8]>,
) -> Result<HandedOn, HarvestFault> {
    let output = parse_output(output.unwrap_or_default())?;
    let devenv = output.as_ref().and_then(|o| o.get("devenv"));
    let mut all = devenv.and_then(|d| d.get("env")).map(strings_of).unwrap_or_default();
    all.extend(parse_listed(listed.unwrap_or_default()));
    all.extend(parse_exports(exports.unwrap_or_default())?);
    let messages = devenv.and_then(|d| d.get("messages")).and_then(Value::as_array);
    let messages = messages.into_iter().flatten().filter_map(|m| m.as_str().map(str::to_owned)).collect();
    Ok(HandedOn { exports: last_of_each(all), messages, output })
}

/// Names and values.
type Exports = Vec<(String, Vec<u8>)>;

/// The exports and the messages that [`harvest`] takes from a task's files, or why the task fails. For fuzzing.
#[doc(hidden)]
pub fn harvested(output: &[u8], exports: &[u8], listed: &[u8]) -> Result<(Exports, Vec<String>), String> {
    let handed = harvest(Some(output), Some(exports), Some(listed)).map_err(|e| e.to_string())?;
    Ok((handed.exports, handed.messages))
}

/// The exports of a file.
fn parse_exports(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, HarvestFault> {
    let fields: Vec<&[u8]> = match bytes.trim_ascii_end() {
        [] => return Ok(Vec::new()),
        bytes => bytes.strip_suffix(b"\0").unwrap_or(bytes).split(|b| *b == 0).collect(),
    };
    let record = |(at, pair): (usize, &[&[u8]])| {
        let number = at + 1;
        parse_pair(pair).map_err(|what| HarvestFault::Export { number, what })
    };
    fields.chunks(2).enumerate().map(record).collect()
}

fn parse_pair(pair: &[&[u8]]) -> Result<(String, Vec<u8>), String> {
    let (name, encoded) = match pair {
        [name, encoded] => (name.trim_ascii(), encoded),
        _ => return Err("has a name and no value".to_owned()),
    };
    let name = match std::str::from_utf8(name) {
        Ok(name) if !name.is_empty() && !name.contains('=') => name.to_owned(),
        _ => return Err(format!("has no legal name: `{}`", String::from_utf8_lossy(name).escape_debug())),
    };
    // Many `base64` programs break their lines.
    let compact: Vec<u8> = encoded.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let value = BASE64.decode(&compact).map_err(|e| format!("(`{name}`) is not base64: {e}"))?;
    if value.contains(&0) {
        return Err(format!("(`{name}`) has a value with a NUL byte, which no variable can hold"));
    }
    Ok((name, value))
}

/// What the `exports` hook wrote: plain values, complete pairs only.
fn parse_listed(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let fields: Vec<&[u8]> = bytes.split(|b| *b == 0).collect();
    let pairs = fields.chunks_exact(2);
    pairs.map(|pair| (String::from_utf8_lossy(pair[0]).into_owned(), pair[1].to_vec())).collect()
}

fn parse_output(bytes: &[u8]) -> Result<Option<Value>, HarvestFault> {
    if bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_slice(bytes).map_err(|e| HarvestFault::Output(e.to_string()))?;
    Ok(Some(value))
}

fn strings_of(env: &Value) -> Vec<(String, Vec<u8>)> {
    let entries = env.as_object().into_iter().flatten();
    let legal = |(name, value): (&String, &Value)| {
        let value = value.as_str()?;
        let fits = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        fits.then(|| (name.clone(), value.as_bytes().to_vec()))
    };
    entries.filter_map(legal).collect()
}

/// A later value of a name replaces an earlier one; the order of first mention stays.
pub(crate) fn last_of_each(all: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    for (name, value) in all {
        match at.get(&name) {
            Some(&known) => kept[known].1 = value,
            None => {
                at.insert(name.clone(), kept.len());
                kept.push((name, value));
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exports_are_pairs_of_name_and_base64() {
        type Case = (&'static [u8], Result<Vec<(&'static str, &'static str)>, &'static str>);
        let cases: Vec<Case> = vec![
            (b"", Ok(vec![])),
            (b"\n", Ok(vec![])),
            (b"A\0YQ==\0", Ok(vec![("A", "a")])),
            (b"A\0YQ==\0B\0\0", Ok(vec![("A", "a"), ("B", "")])),
            (b"A\0YQ==", Ok(vec![("A", "a")])),
            (b"A\0YWFh\nYWFh\0\n", Ok(vec![("A", "aaaaaa")])),
            (b"A\0YQ==\0B", Err("record 2 of its exports file has a name and no value")),
            (b"A=B\0YQ==\0", Err("record 1 of its exports file has no legal name: `A=B`")),
            (b"\0YQ==\0", Err("record 1 of its exports file has no legal name: ``")),
            (
                b"A\0AA==\0",
                Err(
                    "record 1 of its exports file (`A`) has a value with a NUL byte, which no variable can hold",
                ),
            ),
            (b"A\0%%%%\0", Err("record 1 of its exports file (`A`) is not base64: invalid symbol at 0")),
        ];
        for (bytes, expected) in cases {
            let found = parse_exports(bytes).map_err(|e| e.to_string());
            let expected = expected
                .map(|list| list.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect())
                .map_err(str::to_owned);
            assert_eq!(found, expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn output_json_carries_exports_and_messages_and_files_win() {
        let output =
            json!({"n": 1, "devenv": {"env": {"A": "json", "B": "b", "C": 3}, "messages": ["hi", 4]}});
        let handed =
            harvest(Some(output.to_string().as_bytes()), Some(b"A\0YQ==\0"), Some(b"D\0d\0")).unwrap();
        let exports: Vec<(&str, &[u8])> = handed.exports.iter().map(|(n, v)| (n.as_str(), &v[..])).collect();
        assert_eq!(exports, [("A", &b"a"[..]), ("B", b"b"), ("D", b"d")]);
        assert_eq!(handed.messages, ["hi"]);
        assert_eq!(handed.output, Some(output));
    }

    #[test]
    fn output_that_is_not_json_is_a_fault_with_its_place() {
        assert_eq!(harvest(Some(b" \n"), None, None).unwrap(), HandedOn::default());
        let fault = harvest(Some(b"{\n  \"a\": }"), None, None).unwrap_err();
        assert_eq!(fault.to_string(), "its output is not JSON: expected value at line 2 column 8");
    }
}
