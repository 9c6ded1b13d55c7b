//! What goes when the cache grows too large or too old (spec section 4.5).

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{keeper::Keeper, shared::Shared};
use crate::{
    cache::Swept,
    model::{Digest, KeptKind},
    store::{self, Batch, Kept, Snapshot, StoreError, Streak, Table, TaskRecord, now_ms},
};

/// How much of earlier results is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Bytes of contents.
    pub size: u64,
    /// Since a result was last made or put back.
    pub age: Duration,
}

impl Default for CacheLimits {
    /// 1 GiB, and 30 days.
    fn default() -> Self {
        Self { size: 1 << 30, age: Duration::from_secs(30 * 24 * 60 * 60) }
    }
}

/// What pruning came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Results that went.
    pub results: usize,
    /// Results that are left.
    pub left: usize,
    /// The contents.
    pub swept: Swept,
}

/// The note of how large the cache is, beside the contents.
const NOTE: &str = "size";
/// How long old results may stay because nobody looked.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// One result, as far as it matters here.
#[derive(Clone, Debug)]
struct Row {
    key: Vec<u8>,
    contents: Vec<(Digest, u64)>,
    /// When it was last made or put back.
    used_ms: u64,
    /// Whether it can still come back.
    is_alive: bool,
    /// Whether it is what its task left last.
    is_current: bool,
}

/// Which results go: those that cannot come back any more, the old ones, and, beyond the limit, those that were not
/// used for longest. What a task left last does not grow old, and goes last. If it `spares`, and there is too much, then a
/// little of the room is left free of what is not that.
fn evicted(mut rows: Vec<Row>, limits: CacheLimits, spares: bool, now_ms: u64) -> (Vec<Row>, Vec<Row>) {
    let sum = |contents: &HashSet<&(Digest, u64)>| {
        contents.iter().fold(0, |all: u64, one| all.saturating_add(one.1))
    };
    let alive = rows.iter().filter(|row| row.is_alive).flat_map(|row| &row.contents);
    let is_much = sum(&alive.collect()) > limits.size;
    let room = if spares && is_much { limits.size - limits.size / 8 } else { limits.size };
    let age_ms = u64::try_from(limits.age.as_millis()).unwrap_or(u64::MAX);
    rows.sort_by_key(|row| (Reverse(row.is_current), Reverse(row.used_ms)));
    let (mut total, mut seen) = (0, HashSet::new());
    rows.into_iter().partition(|row| {
        if !row.is_alive || !row.is_current && now_ms.saturating_sub(row.used_ms) > age_ms {
            return true;
        }
        let new: HashSet<&(Digest, u64)> =
            row.contents.iter().filter(|(digest, _)| !seen.contains(digest)).collect();
        let (size, new): (u64, Vec<Digest>) = (sum(&new), new.into_iter().map(|one| one.0).collect());
        if size.saturating_add(total) > if row.is_current { limits.size } else { room } {
            return true;
        }
        total += size;
        seen.extend(new);
        false
    })
}

/// Notes that the cache has grown: whether it is too large now, or nobody has pruned it for a day.
pub(super) fn note_growth(keeper: &Keeper, added: u64) -> bool {
    let path = keeper.dir().join(NOTE);
    let (size, pruned_ms) =
        store::read_private(&path, 16).and_then(|note| parse(&note)).unwrap_or((u64::MAX, 0));
    let size = size.saturating_add(added);
    note(keeper, size, pruned_ms);
    size > keeper.limits.size || now_ms().saturating_sub(pruned_ms) > DAY_MS
}

fn parse(note: &[u8]) -> Option<(u64, u64)> {
    let (size, pruned_ms) = note.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*size), u64::from_le_bytes(pruned_ms.try_into().ok()?)))
}

fn note(keeper: &Keeper, size: u64, pruned_ms: u64) {
    let text = [size.to_le_bytes(), pruned_ms.to_le_bytes()].concat();
    // Without a note it is counted again.
    let _ = store::write_private(&keeper.dir().join(NOTE), &text);
}

/// Removes what is beyond the limits, if it is time to; and then a little more, or the next run had to do so again.
pub(super) fn prune_if_due(shared: &Shared) {
    let keeper = &*shared.keeper;
    keeper.finish();
    let _turn = keeper.turn();
    if keeper.is_due() {
        // If it cannot be done now it is tried again.
        let _ = in_turn(shared, keeper.limits, true, false);
    }
}

/// Removes what is beyond the limits; with `only_look` nothing, and it is only told.
///
/// # Errors
/// Why it was not done.
pub(super) fn prune(shared: &Shared, limits: CacheLimits, only_look: bool) -> Result<Pruned, String> {
    let keeper = &*shared.keeper;
    keeper.finish();
    let _turn = keeper.turn();
    in_turn(shared, limits, false, only_look)
}

fn in_turn(shared: &Shared, limits: CacheLimits, spares: bool, only_look: bool) -> Result<Pruned, String> {
    let keeper = &*shared.keeper;
    let Some(cache) = keeper.cache() else { return Ok(Pruned::default()) };
    let Some(snapshot) = keeper.memory().snapshot() else { return Ok(Pruned::default()) };
    let rows = rows(shared, &snapshot).map_err(|error| error.to_string())?;
    drop(snapshot);
    let (gone, left) = evicted(rows, limits, spares, now_ms());
    if !only_look && !gone.is_empty() {
        let mut batch = Batch::new();
        for row in &gone {
            batch.delete(Table::Kept, &row.key);
            batch.delete(Table::Uses, &row.key);
        }
        // First nothing refers to them, then they go.
        keeper.memory().save_waiting(batch)?;
    }
    let contents = left.iter().flat_map(|row| row.contents.iter().map(|(digest, _)| *digest)).collect();
    let swept = cache.sweep(&contents, only_look).map_err(|error| error.to_string())?;
    if !only_look {
        note(keeper, swept.left, now_ms());
        keeper.clear_due();
    }
    Ok(Pruned { results: gone.len(), left: left.len(), swept })
}

fn rows(shared: &Shared, snapshot: &Snapshot) -> Result<Vec<Row>, StoreError> {
    let records = snapshot.entries::<TaskRecord>(Table::Tasks)?;
    let current = |record: TaskRecord| (record.streak, record.success.map(|success| success.key));
    let mut records: HashMap<Vec<u8>, (Option<Streak>, Option<Digest>)> =
        records.into_iter().map(|(name, record)| (name, current(record))).collect();
    // What is newest may not be in the store yet.
    for id in shared.graph.ids() {
        let name = shared.graph.name(id).as_str().as_bytes().to_vec();
        records.extend(shared.commons.record(id).map(|record| (name, current(record))));
    }
    let uses: HashMap<Vec<u8>, u64> = snapshot.entries(Table::Uses)?.into_iter().collect();
    let row = |(key, kept): (Vec<u8>, Kept)| {
        let (streak, success) = records.get(Kept::task_of(&key)).copied().unwrap_or_default();
        let is_alive = streak == Some(kept.streak);
        let files = kept.files.iter().filter_map(|file| match file.what {
            KeptKind::File { digest, size, .. } => Some((digest, size)),
            KeptKind::Directory { .. } | KeptKind::Link(_) => None,
        });
        let log = kept.log.iter().map(|log| (log.digest, log.size));
        Row {
            contents: files.chain(log).collect(),
            used_ms: uses.get(&key).copied().unwrap_or_default(),
            is_alive,
            is_current: is_alive && success == Some(kept.success.key),
            key,
        }
    };
    Ok(snapshot.entries::<Kept>(Table::Kept)?.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, contents: &[(u128, u64)], used_ms: u64) -> Row {
        let contents = contents.iter().map(|(digest, size)| (Digest(*digest), *size)).collect();
        Row { key: key.into(), contents, used_ms, is_alive: true, is_current: false }
    }

    #[test]
    fn the_dead_the_old_and_the_least_used_go() {
        let dead = Row { is_alive: false, ..row("dead", &[(1, 10)], 1000) };
        let current = Row { is_current: true, ..row("current", &[(2, 60)], 1) };
        let rows = [
            dead,
            current,
            row("new", &[(3, 30)], 1000),
            row("shares", &[(3, 30), (3, 30)], 900),
            row("older", &[(4, 20)], 800),
            row("small", &[(5, 5)], 700),
            row("old", &[(6, 0)], 400),
        ];
        let limits = |size| CacheLimits { size, age: Duration::from_millis(500) };
        let gone = |size, now_ms| {
            let (mut gone, left) = evicted(rows.to_vec(), limits(size), false, now_ms);
            assert_eq!(gone.len() + left.len(), rows.len());
            gone.sort_by(|a, b| a.key.cmp(&b.key));
            gone.iter()
                .map(|row| String::from_utf8_lossy(&row.key).into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(gone(u64::MAX, 800), "dead");
        assert_eq!(gone(u64::MAX, 1000), "dead old");
        assert_eq!(gone(95, 900), "dead older");
        assert_eq!(gone(70, 900), "dead new older shares");
        assert_eq!(gone(59, 900), "current dead");
        assert_eq!(gone(0, 900), "current dead new older shares small");
        let left = |size| {
            let (_, left) = evicted(rows.to_vec(), limits(size), true, 800);
            left.iter()
                .map(|row| String::from_utf8_lossy(&row.key).into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        // Of 115 bytes in all.
        assert_eq!(left(115), "current new shares older small old");
        assert_eq!(left(114), "current new shares small old", "there is room again");
        assert_eq!(left(60), "current", "but what is in use stays");
    }
}
