//! What is known of a file without opening it, and what was learnt when it was opened.
//!
//! Both have a packed form of fixed-width numbers: a run that finds everything fresh reads one of these for
//! every file of the tree, and does little else.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Digest, bytes};
use crate::planted::{self, Fault};

/// The stat identity of a file: while it stays equal, and the stamps are safely in the past, the
/// content is taken to be unchanged (spec section 4.2). Compared by equality only, never by order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatIdentity {
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification time.
    pub mtime: Stamp,
    /// Status change time.
    pub ctime: Stamp,
    /// `st_mode`: file type and permission bits.
    pub mode: u32,
}

/// A time of a file, as the system has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Whole seconds since the epoch.
    pub seconds: i64,
    /// Nanoseconds beyond these: less than a thousand million.
    pub nanos: u32,
}

impl Stamp {
    /// Nanoseconds since the epoch.
    #[must_use]
    pub fn ns(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanos)
    }
}

/// What a matched path is, as far as freshness cares (spec sections 4.1 and 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file, or a link to one.
    File {
        /// Whether the owner may execute it.
        executable: bool,
    },
    /// A directory: its presence counts, its stamps do not.
    Directory,
    /// A link that leads nowhere; its text is its content.
    BrokenLink,
    /// A FIFO, socket or device: never opened, only its presence and kind count.
    Special,
}

/// What was learnt of a file when it was hashed: one row of the stat cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The identity it had.
    pub identity: StatIdentity,
    /// The digest of its content.
    pub digest: Digest,
    /// Whether its stamps were too close to the moment of hashing to be trusted: such a file is
    /// hashed again at the next look (the racy-timestamp rule of git's index, spec section 4.2).
    pub racy: bool,
}

/// The stat cache of one directory, sorted by name: one packed record a directory, so that reading the
/// cache of a tree costs a look-up a directory and next to nothing a file (limit L4).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirRecord {
    /// Of each file: length of the name (2 bytes), name, identity, digest (16 bytes), racy (1 byte).
    #[serde(with = "bytes")]
    packed: Vec<u8>,
}

impl StatIdentity {
    /// How many bytes the packed form has.
    pub const PACKED: usize = 44;

    /// Whether it is that of a directory: what POSIX says of the type in `st_mode`, with the numbers all systems have.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// The packed form.
    #[must_use]
    pub fn pack(&self) -> [u8; Self::PACKED] {
        let mut packed = [0; Self::PACKED];
        packed[..8].copy_from_slice(&self.inode.to_le_bytes());
        packed[8..16].copy_from_slice(&self.size.to_le_bytes());
        packed[16..28].copy_from_slice(&pack_stamp(self.mtime));
        packed[28..40].copy_from_slice(&pack_stamp(self.ctime));
        packed[40..].copy_from_slice(&self.mode.to_le_bytes());
        packed
    }

    /// What was packed.
    #[must_use]
    pub fn unpack(packed: &[u8; Self::PACKED]) -> Self {
        let mut rest = packed.as_slice();
        Self {
            inode: u64::from_le_bytes(take(&mut rest)),
            size: u64::from_le_bytes(take(&mut rest)),
            mtime: unpack_stamp(&mut rest),
            ctime: unpack_stamp(&mut rest),
            mode: u32::from_le_bytes(take(&mut rest)),
        }
    }
}

fn pack_stamp(stamp: Stamp) -> [u8; 12] {
    let mut packed = [0; 12];
    packed[..8].copy_from_slice(&stamp.seconds.to_le_bytes());
    packed[8..].copy_from_slice(&stamp.nanos.to_le_bytes());
    packed
}

fn unpack_stamp(rest: &mut &[u8]) -> Stamp {
    Stamp { seconds: i64::from_le_bytes(take(rest)), nanos: u32::from_le_bytes(take(rest)) }
}

/// The next bytes; zeros behind the end.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let Some((first, after)) = rest.split_first_chunk::<N>() else { return [0; N] };
    *rest = after;
    *first
}

impl Serialize for StatIdentity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.pack())
    }
}

impl<'de> Deserialize<'de> for StatIdentity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = bytes::deserialize(deserializer)?;
        let packed: Result<&[u8; Self::PACKED], _> = bytes.as_slice().try_into();
        packed.map(Self::unpack).map_err(|_| de::Error::custom("no identity has this length"))
    }
}

impl Learnt {
    /// Whether the content of a file that has this identity now is the one that was hashed.
    #[must_use]
    pub fn vouches_for(&self, identity: &StatIdentity) -> bool {
        let StatIdentity { inode, ctime, .. } = self.identity;
        let blind = StatIdentity { inode, ctime, ..*identity };
        let identity = if planted::is(Fault::StatCacheBlind) { &blind } else { identity };
        !self.racy && self.identity == *identity
    }
}

impl DirRecord {
    /// The record of these files, which are sorted by name. A name no file can have (64 KiB and longer) is
    /// left out.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a [u8], &'a Learnt)>) -> Self {
        let mut packed = Vec::new();
        for (name, learnt) in files {
            let Ok(length) = u16::try_from(name.len()) else { continue };
            packed.extend_from_slice(&length.to_le_bytes());
            packed.extend_from_slice(name);
            packed.extend_from_slice(&learnt.identity.pack());
            packed.extend_from_slice(&learnt.digest.0.to_le_bytes());
            packed.push(u8::from(learnt.racy));
        }
        Self { packed }
    }

    /// The files of this directory that were ever hashed.
    #[must_use]
    pub fn files(&self) -> Files<'_> {
        Files { rest: &self.packed }
    }

    /// Whether it knows nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }
}

/// The files of a [`DirRecord`], in the order of their names.
#[derive(Clone, Debug)]
pub struct Files<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Files<'a> {
    type Item = (&'a [u8], Learnt);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, after) = self.rest.split_first_chunk::<2>()?;
        let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (identity, after) = after.split_first_chunk()?;
        let (digest, after) = after.split_first_chunk()?;
        let (&racy, after) = after.split_first()?;
        self.rest = after;
        let identity = StatIdentity::unpack(identity);
        let digest = Digest(u128::from_le_bytes(*digest));
        Some((name, Learnt { identity, digest, racy: racy != 0 }))
    }
}

impl fmt::Debug for DirRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(seconds: i64, nanos: u32, racy: bool) -> Learnt {
        let (mtime, ctime) = (Stamp { seconds, nanos }, Stamp { seconds: -seconds, nanos: 1 });
        let identity = StatIdentity { inode: u64::MAX - 1, size: 7, mtime, ctime, mode: 0o100_644 };
        Learnt { identity, digest: Digest(u128::MAX / 3), racy }
    }

    #[test]
    fn what_was_packed_comes_back() {
        let files = [
            (&b""[..], learnt(0, 0, false)),
            (b"a\xff\n", learnt(i64::MAX, 999_999_999, true)),
            (b"b", learnt(1_700_000_000, 123_456_789, false)),
        ];
        let record = DirRecord::new(files.iter().map(|(name, learnt)| (*name, learnt)));
        assert_eq!(record.files().collect::<Vec<_>>(), files);
        let stored = postcard::to_allocvec(&(&record, files[0].1.identity)).unwrap();
        let back: (DirRecord, StatIdentity) = postcard::from_bytes(&stored).unwrap();
        assert_eq!(back, (record, files[0].1.identity));
    }

    #[test]
    fn stamps_before_the_epoch_count_from_the_second_before() {
        assert_eq!(Stamp { seconds: -1, nanos: 999_999_999 }.ns(), -1);
    }

    #[test]
    fn a_record_that_is_cut_off_ends_early() {
        let record = DirRecord::new([(&b"a"[..], &learnt(1, 2, false)), (b"b", &learnt(3, 4, true))]);
        for cut in 0..record.packed.len() {
            let files = DirRecord { packed: record.packed[..cut].to_vec() };
            assert_eq!(files.files().count(), usize::from(cut >= record.packed.len() / 2));
        }
    }
}
