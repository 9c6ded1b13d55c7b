//! What is known of a file without opening it, and what was learnt when it was opened.
//!
//! Both have a packed form of fixed-width numbers: a run that finds everything fresh reads one of these for
//! every file of the tree, and does little else.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Digest, bytes};
use crate::planted::{self, Fault};

const NS: i128 = 1_000_000_000;

/// The stat identity of a file: while it stays equal, and the stamps are safely in the past, the
/// content is taken to be unchanged (spec section 4.2). Compared by equality only, never by order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StatIdentity {
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch (negative before it).
    pub mtime_ns: i128,
    /// Status change time, nanoseconds since the epoch.
    pub ctime_ns: i128,
    /// `st_mode`: file type and permission bits.
    pub mode: u32,
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

    /// The packed form.
    #[must_use]
    pub fn pack(&self) -> [u8; Self::PACKED] {
        let mut packed = [0; Self::PACKED];
        packed[..8].copy_from_slice(&self.inode.to_le_bytes());
        packed[8..16].copy_from_slice(&self.size.to_le_bytes());
        packed[16..28].copy_from_slice(&pack_stamp(self.mtime_ns));
        packed[28..40].copy_from_slice(&pack_stamp(self.ctime_ns));
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
            mtime_ns: unpack_stamp(&mut rest),
            ctime_ns: unpack_stamp(&mut rest),
            mode: u32::from_le_bytes(take(&mut rest)),
        }
    }
}

/// Seconds and nanoseconds, as the system has them: any stamp it can give fits.
fn pack_stamp(ns: i128) -> [u8; 12] {
    let mut packed = [0; 12];
    let seconds = i64::try_from(ns.div_euclid(NS)).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX });
    packed[..8].copy_from_slice(&seconds.to_le_bytes());
    // Less than a thousand million.
    packed[8..].copy_from_slice(&(ns.rem_euclid(NS) as u32).to_le_bytes());
    packed
}

fn unpack_stamp(rest: &mut &[u8]) -> i128 {
    let seconds = i64::from_le_bytes(take(rest));
    i128::from(seconds) * NS + i128::from(u32::from_le_bytes(take(rest)))
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
        let StatIdentity { inode, ctime_ns, .. } = self.identity;
        let blind = StatIdentity { inode, ctime_ns, ..*identity };
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
    pub fn files(&self) -> impl Iterator<Item = (&[u8], Learnt)> {
        let mut rest = self.packed.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            let (identity, after) = after.split_first_chunk()?;
            let (digest, after) = after.split_first_chunk()?;
            let (&racy, after) = after.split_first()?;
            rest = after;
            let identity = StatIdentity::unpack(identity);
            let digest = Digest(u128::from_le_bytes(*digest));
            Some((name, Learnt { identity, digest, racy: racy != 0 }))
        })
    }

    /// Whether it knows nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.packed.is_empty()
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

    fn learnt(mtime_ns: i128, ctime_ns: i128, racy: bool) -> Learnt {
        let identity = StatIdentity { inode: u64::MAX - 1, size: 7, mtime_ns, ctime_ns, mode: 0o100_644 };
        Learnt { identity, digest: Digest(u128::MAX / 3), racy }
    }

    #[test]
    fn what_was_packed_comes_back() {
        let far = i128::from(i64::MAX) * NS + NS - 1;
        let files = [
            (&b""[..], learnt(0, -1, false)),
            (b"a\xff\n", learnt(far, i128::from(i64::MIN) * NS, true)),
            (b"b", learnt(1_700_000_000_123_456_789, -NS - 1, false)),
        ];
        let record = DirRecord::new(files.iter().map(|(name, learnt)| (*name, learnt)));
        assert_eq!(record.files().collect::<Vec<_>>(), files);
        let stored = postcard::to_allocvec(&(&record, files[0].1.identity)).unwrap();
        let back: (DirRecord, StatIdentity) = postcard::from_bytes(&stored).unwrap();
        assert_eq!(back, (record, files[0].1.identity));
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
