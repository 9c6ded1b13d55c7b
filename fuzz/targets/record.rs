//! Values of the store. Bytes that were not stored give nothing; bytes that would have been give a value that
//! is stored as the same bytes again, or in fewer.

use devtask::{
    fingerprint::{FileRow, Manifest},
    model::DirRecord,
    store::{Table, TaskRecord, decode_body, decode_stored},
};
use serde::{Serialize, de::DeserializeOwned};

const KEY: &[u8] = b"web:build";

/// The first byte chooses the kind of value, the rest is its stored form without version and checksum.
pub(crate) fn check(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else { return };
    match kind {
        b't' => one::<TaskRecord>(Table::Tasks, body),
        b'm' => one::<(Manifest, Vec<FileRow>)>(Table::Manifests, body),
        b'd' => one::<DirRecord>(Table::Dirs, body),
        _ => assert!(decode_stored::<TaskRecord>(Table::Tasks, KEY, data).is_none(), "a checksum by chance"),
    }
}

fn one<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(table: Table, body: &[u8]) {
    let Some(value) = decode_body::<T>(table, KEY, body) else { return };
    let again = postcard::to_stdvec(&value).expect("what was read can be written");
    // A number may have been written in more bytes than it needs.
    assert!(again.len() <= body.len(), "{} bytes became {}", body.len(), again.len());
    assert_eq!(decode_body::<T>(table, KEY, &again), Some(value));
}
