//! Which tasks of a run have begun, told without an fsync each (hazards, section 0, point 2).
//!
//! One durable transaction, before the first of them starts, names all tasks of a run that rest on a key: the
//! [`Progress`]. Beside the base lies the journal, a file with one byte a name; a start is one byte written into it,
//! which no kill of this process takes back. Results are appended to it for the same reason: they are committed a
//! little later, many together. A byte says no more than that a task began once: who begins again after a result
//! appends that, too, and commits it, since after a power cut the result may be all that is left. Whoever opens the base and finds the progress of a run that did not
//! come to its end takes as begun what the journal says has begun. What the journal may not be asked about, since the
//! system was started anew meanwhile (a power cut may have taken back what it said), or what it does not say for
//! certain, counts as begun, too.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{Batch, StateDir, batch::Change, epoch::Epoch};

/// The journal's name in the state directory.
pub(super) const JOURNAL: &str = "journal";

/// Where the progress lies in its table: there is one at most.
pub(super) const PROGRESS: &[u8] = b"run";

/// What the journal says of a task before it begins, and then. Neither is what a lost page reads as.
const WAITS: u8 = b'.';
const BEGUN: u8 = b'B';

/// The tasks of a run that may begin, in the base for as long as the run is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The run: a record of it was written after its task had begun, and says more than the journal.
    pub(super) run: String,
    /// For how long the journal is worth asking.
    epoch: Epoch,
    pub(super) names: Vec<String>,
}

/// The journal of a run under way, and of those that joined it.
#[derive(Debug)]
pub struct Journal {
    file: fs::File,
    run: String,
    /// Where each name has its byte.
    places: HashMap<String, u64>,
    /// The places of those that have begun.
    begun: Mutex<HashSet<u64>>,
    /// Where the next result goes.
    end: Mutex<u64>,
}

/// What a journal says.
#[derive(Debug)]
pub(super) struct Told {
    /// Of each name, whether it has begun.
    pub(super) begun: Vec<bool>,
    /// What came of those that ended.
    pub(super) results: Batch,
}

impl Journal {
    /// A journal in which none of these tasks has begun; none where it could not be told later whether the system was
    /// started anew meanwhile.
    pub(super) fn create(
        dir: &Path,
        run: String,
        names: Vec<String>,
    ) -> io::Result<Option<(Self, Progress)>> {
        let Some(epoch) = Epoch::now(dir) else { return Ok(None) };
        let mut file = StateDir::open_file(&dir.join(JOURNAL), true)?;
        file.set_len(0)?;
        let progress = Progress { run: run.clone(), epoch, names };
        let head = progress.head();
        let places =
            (head.len() as u64..).zip(&progress.names).map(|(at, name)| (name.clone(), at)).collect();
        let begin = [head, vec![WAITS; progress.names.len()]].concat();
        file.write_all(&begin)?;
        let end = Mutex::new(begin.len() as u64);
        Ok(Some((Self { file, run, places, begun: Mutex::default(), end }, progress)))
    }

    /// The run it was made for: its records say more than the journal.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Notes that a task begins.
    ///
    /// # Errors
    /// If it cannot be noted, the journal does not know the task, or it began before. That it begins has to be
    /// [noted](Self::note) and committed then.
    pub fn begin(&self, name: &str) -> io::Result<()> {
        let place = self.places.get(name).ok_or(io::ErrorKind::NotFound)?;
        if !self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(*place) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.file.write_all_at(&[BEGUN], *place)
    }

    /// Notes the record of a task that is still to be committed: its result, or that it begins again. The last
    /// one counts.
    ///
    /// # Errors
    /// If it cannot be noted: a kill before the commit loses it.
    pub fn note(&self, result: &Batch) -> io::Result<()> {
        let body = postcard::to_stdvec(&result.changes).map_err(io::Error::other)?;
        let frame = [&(body.len() as u64).to_le_bytes(), &xxh3_64(&body).to_le_bytes()[..], &body].concat();
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(&frame, *end)?;
        *end += frame.len() as u64;
        Ok(())
    }
}

impl Progress {
    /// What its journal begins with.
    fn head(&self) -> Vec<u8> {
        format!("devtask journal 1 {}\n", self.run).into_bytes()
    }

    /// What the journal of `dir` says. None: it cannot be believed.
    pub(super) fn told(&self, dir: &Path) -> Option<Told> {
        if Epoch::now(dir).as_ref() != Some(&self.epoch) {
            return None;
        }
        let path = dir.join(JOURNAL);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        let found = is_file.then(|| fs::read(&path).ok()).flatten()?;
        let (marks, frames) =
            found.strip_prefix(self.head().as_slice())?.split_at_checked(self.names.len())?;
        let said = marks.iter().map(|mark| match *mark {
            WAITS => Some(false),
            BEGUN => Some(true),
            _ => None,
        });
        Some(Told { begun: said.collect::<Option<_>>()?, results: results(frames) })
    }
}

/// The results in a journal, up to one that is not whole: its task has begun, and no more is known.
fn results(mut frames: &[u8]) -> Batch {
    let mut results = Batch::new();
    while let Some((changes, rest)) = first_result(frames) {
        results.changes.extend(changes);
        frames = rest;
    }
    results
}

fn first_result(frames: &[u8]) -> Option<(Vec<Change>, &[u8])> {
    let (len, rest) = frames.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    let (body, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
    let is_whole = xxh3_64(body) == u64::from_le_bytes(*sum);
    Some((is_whole.then(|| postcard::from_bytes(body).ok())??, rest))
}

#[cfg(test)]
impl Progress {
    /// The same, but of another boot or mount.
    #[cfg(target_os = "linux")]
    pub(super) fn elsewhere(mut self, boot: bool) -> Self {
        self.epoch = self.epoch.elsewhere(boot);
        self
    }
}
