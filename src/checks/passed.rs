//! The contents that have passed a check.

use std::{
    collections::HashSet,
    fs::{self, File},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::{
    model::{Digest, TaskName},
    store::{StateDir, StoreError, prune_private, read_private, write_private},
};

/// Beneath the state directory; a file a check.
const DIR: &str = "passed";
/// How many checks are remembered.
const MOST_FILES: usize = 256;
/// How many contents of one check; the oldest go first.
const MOST: usize = 1 << 18;
const MAGIC: &[u8; 16] = b"devtask passed 1";
const HEADER: usize = MAGIC.len() + 16;

/// What has passed one check, the newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    order: Vec<Digest>,
    known: HashSet<Digest>,
}

impl Passed {
    /// What is remembered in this state directory: nothing where that cannot be believed.
    #[must_use]
    pub fn read(state_dir: &Path, check: &TaskName) -> Self {
        let limit = (HEADER + 16 * MOST) as u64;
        read_private(&file(state_dir, check), limit)
            .and_then(|bytes| Self::decode(&bytes))
            .unwrap_or_default()
    }

    /// Whether this content has passed.
    #[must_use]
    pub fn has(&self, mark: Digest) -> bool {
        self.known.contains(&mark)
    }

    /// Remembers what passed and forgets what did not, on top of what is there by now. What this cannot write is checked
    /// once more the next time.
    ///
    /// # Errors
    /// Of the state directory.
    pub fn update(
        state_dir: &Path,
        check: &TaskName,
        passed: impl IntoIterator<Item = Digest>,
        failed: &HashSet<Digest>,
    ) -> Result<(), StoreError> {
        let passed: Vec<Digest> = passed.into_iter().collect();
        let path = file(state_dir, check);
        if passed.is_empty() && !path.exists() {
            return Ok(());
        }
        let dir = StateDir::create(state_dir)?.subdir(DIR)?;
        // Whoever else has something to say of it waits its turn.
        let _turn = turn(&dir.join("turn"))?;
        let before = Self::read(state_dir, check);
        let fresh: HashSet<Digest> = passed.iter().copied().collect();
        let mut now = before.clone();
        now.order.retain(|mark| !failed.contains(mark) && !fresh.contains(mark));
        now.order.extend(passed);
        let surplus = now.order.len().saturating_sub(MOST);
        now.order.drain(..surplus);
        now.known = now.order.iter().copied().collect();
        if now == before {
            return Ok(());
        }
        if let Err(error) = write_private(&path, &now.encode()) {
            if !failed.is_empty() {
                // What cannot be taken back must not be believed.
                fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
            }
            return Err(StoreError::io("write", &path, error));
        }
        prune_private(&dir, MOST_FILES);
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let marks: Vec<u8> = self.order.iter().flat_map(|mark| mark.0.to_le_bytes()).collect();
        [MAGIC.as_slice(), &xxh3_128(&marks).to_le_bytes(), &marks].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (sum, marks) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<16>()?;
        let (marks, rest) = marks.as_chunks::<16>();
        if !rest.is_empty() || xxh3_128(marks.as_flattened()) != u128::from_le_bytes(*sum) {
            return None;
        }
        let order: Vec<Digest> = marks.iter().map(|mark| Digest(u128::from_le_bytes(*mark))).collect();
        Some(Self { known: order.iter().copied().collect(), order })
    }
}

/// Held for as long as what is remembered is being changed.
fn turn(path: &Path) -> Result<File, StoreError> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let taken = options.open(path).and_then(|file| file.lock().map(|()| file));
    taken.map_err(|error| StoreError::io("lock", path, error))
}

fn file(state_dir: &Path, check: &TaskName) -> PathBuf {
    state_dir.join(DIR).join(format!("{:016x}", xxh3_64(check.as_str().as_bytes())))
}
