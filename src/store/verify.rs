//! Looking the file through as a whole, for who wants to know whether it is sound.

use std::{fs, io, path::Path};

use super::{
    StateDir, StoreError,
    base::{FILE, Fault, verify_copy},
};

/// A bigger file is not copied, in bytes.
const MOST: u64 = 256 * 1024 * 1024;

/// What came of looking it through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// There is no file.
    Missing,
    /// It is whole.
    Sound {
        /// Its length.
        bytes: u64,
    },
    /// It is too big to be copied.
    TooBig {
        /// Its length.
        bytes: u64,
    },
    /// It is not what was written; the next writer sets it aside.
    Damaged(String),
}

/// Looks a copy of the file of `dir` through (redb's integrity check, which may write). The caller holds the
/// [`Lock`](super::Lock), and removes the copy.
///
/// # Errors
/// [`StoreError::Io`].
pub fn verify(dir: &StateDir, copy: &Path) -> Result<Verified, StoreError> {
    let path = dir.path().join(FILE);
    let bytes = match fs::symlink_metadata(&path) {
        Ok(found) if !found.is_file() => return Ok(Verified::Damaged("it is no regular file".to_owned())),
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Verified::Missing),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    if bytes > MOST {
        return Ok(Verified::TooBig { bytes });
    }
    if bytes == 0 {
        return Ok(Verified::Missing);
    }
    fs::copy(&path, copy).map_err(|error| StoreError::io("copy", &path, error))?;
    match verify_copy(copy) {
        Ok(()) => Ok(Verified::Sound { bytes }),
        Err(Fault::Io(source) | Fault::NotSynced(source)) => {
            Err(StoreError::Io { action: "read", path, source })
        }
        Err(fault) => Ok(Verified::Damaged(fault.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Access, Batch, Store, Table};

    #[test]
    fn a_damaged_file_is_told_from_a_sound_one_and_neither_is_touched() {
        let root = tempfile::tempdir().unwrap();
        let dir = StateDir::create(&root.path().join("state")).unwrap();
        let file = dir.path().join(FILE);
        let verified = || {
            let before = fs::read(&file).ok();
            let verified = verify(&dir, &root.path().join("copy")).unwrap();
            assert_eq!(fs::read(&file).ok(), before);
            verified
        };
        assert_eq!(verified(), Verified::Missing);

        let mut opened = Store::open(&dir, Access::ReadWrite).unwrap();
        let mut batch = Batch::new();
        for number in 0_u32..200 {
            batch.put(Table::Tasks, &number.to_be_bytes(), &"x".repeat(500)).unwrap();
        }
        opened.store.commit(&batch).unwrap();
        opened.store.close().unwrap();
        let sound = fs::read(&file).unwrap();
        assert_eq!(verified(), Verified::Sound { bytes: sound.len() as u64 });

        // In a page that is in use.
        let at = sound.windows(4).position(|bytes| bytes == b"xxxx").unwrap();
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        for bad in [damaged, b"not a database".to_vec(), sound[..sound.len() / 2].to_vec()] {
            fs::write(&file, &bad).unwrap();
            assert!(matches!(verified(), Verified::Damaged(_)), "{} bytes", bad.len());
        }
    }
}
