//! The stored form of a value: a version byte, postcard bytes, a checksum.
//!
//! redb verifies no checksums on ordinary reads, so values carry their own. It covers the table and the key
//! too: a flipped bit in a key or in a page number must not hand out another task's record.

use serde::{Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{StoreError, Table};

/// The version of the frame around the postcard bytes. The records inside are covered by the schema number.
const FRAME: u8 = 1;
const CHECKSUM: usize = size_of::<u64>();

/// The stored form of `value` under `key` of `table`.
pub(super) fn encode<T: Serialize + ?Sized>(
    table: Table,
    key: &[u8],
    value: &T,
) -> Result<Vec<u8>, StoreError> {
    let bytes = postcard::to_extend(value, vec![FRAME]);
    bytes.map(|framed| seal(table, key, framed)).map_err(|e| StoreError::Encode(e.to_string()))
}

/// Adds the checksum.
fn seal(table: Table, key: &[u8], mut framed: Vec<u8>) -> Vec<u8> {
    let sum = checksum(table, key, &framed);
    framed.extend_from_slice(&sum.to_le_bytes());
    framed
}

/// What the store gives for these postcard bytes, had it stored them under `key`: the way of damage that no
/// checksum finds. For fuzzing.
#[doc(hidden)]
#[must_use]
pub fn decode_body<T: DeserializeOwned>(table: Table, key: &[u8], body: &[u8]) -> Option<T> {
    decode(table, key, &seal(table, key, [&[FRAME], body].concat()))
}

/// What the store gives for these bytes, as they stand in the file. For fuzzing.
#[doc(hidden)]
#[must_use]
pub fn decode_stored<T: DeserializeOwned>(table: Table, key: &[u8], stored: &[u8]) -> Option<T> {
    decode(table, key, stored)
}

/// The value, unless the bytes are not exactly what was stored under this key of this table.
pub(super) fn decode<T: DeserializeOwned>(table: Table, key: &[u8], stored: &[u8]) -> Option<T> {
    let (framed, sum) = stored.split_last_chunk::<CHECKSUM>()?;
    if u64::from_le_bytes(*sum) != checksum(table, key, framed) {
        return None;
    }
    let (&FRAME, body) = framed.split_first()? else { return None };
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

fn checksum(table: Table, key: &[u8], framed: &[u8]) -> u64 {
    xxh3_64_with_seed(framed, xxh3_64_with_seed(key, table as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Value = (String, Option<u64>);

    fn value() -> Value {
        ("text".to_owned(), Some(7))
    }

    #[test]
    fn what_was_stored_comes_back_only_under_its_own_key_and_table() {
        let stored = encode(Table::Tasks, b"a:b", &value()).unwrap();
        assert_eq!(decode(Table::Tasks, b"a:b", &stored), Some(value()));
        assert_eq!(decode::<Value>(Table::Tasks, b"a:c", &stored), None);
        assert_eq!(decode::<Value>(Table::Manifests, b"a:b", &stored), None);
    }

    #[test]
    fn any_flipped_bit_and_any_missing_or_additional_byte_makes_it_absent() {
        let stored = encode(Table::Tasks, b"a:b", &value()).unwrap();
        for bit in 0..stored.len() * 8 {
            let mut bad = stored.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode::<Value>(Table::Tasks, b"a:b", &bad), None, "bit {bit}");
        }
        for len in 0..stored.len() {
            assert_eq!(decode::<Value>(Table::Tasks, b"a:b", &stored[..len]), None, "{len} bytes");
        }
        let longer = [stored.as_slice(), &[0]].concat();
        assert_eq!(decode::<Value>(Table::Tasks, b"a:b", &longer), None);
    }

    #[test]
    fn a_value_of_another_type_is_absent() {
        let stored = encode(Table::Tasks, b"k", &(1_u8, 2_u8)).unwrap();
        assert_eq!(decode::<u8>(Table::Tasks, b"k", &stored), None, "bytes left over");
        assert_eq!(decode::<(u8, u8, u8)>(Table::Tasks, b"k", &stored), None, "bytes missing");
    }
}
