//! Copies of contents, made ready beside the tree: several at a time, for most of what it takes is the system's work.

use std::{
    fs::File,
    io,
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustix::fs::{Mode, RawMode};

use super::{
    Cache, CacheError,
    blobs::{Aside, Copied},
    error,
};
use crate::model::{Digest, KeptFile, KeptKind};

/// Fewer files than this are copied before another thread has begun.
const FEW: usize = 64;
/// More threads get into each other's way: one file system takes them all.
const MOST_THREADS: usize = 4;

impl Cache {
    /// Copies of the contents of these files, in their order, each with the mode its file is to have.
    pub(super) fn stage(
        &self,
        files: &[&KeptFile],
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Aside<'_>>, CacheError> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(at) else { return Ok(done) };
                match self.stage_one(file, go_on) {
                    Ok(aside) => done.push((at, aside)),
                    Err(error) => {
                        // Nobody need go on.
                        next.store(files.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
        let helpers = if files.len() > FEW { threads - 1 } else { 0 };
        let mut done = thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for helper in helpers {
                // A panic of a helper is a bug and goes on as one.
                let more = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                done = done.and_then(|done| Ok(done.into_iter().chain(more?).collect()));
            }
            done
        })?;
        done.sort_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, aside)| aside).collect())
    }

    fn stage_one(&self, file: &KeptFile, go_on: &dyn Fn() -> bool) -> Result<Aside<'_>, CacheError> {
        let KeptKind::File { digest, size, mode } = file.what else {
            return Err(error::refused(&file.path, "has no content"));
        };
        if !go_on() {
            return Err(CacheError::Stopped);
        }
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::Interrupted => CacheError::Stopped,
            _ => error::io("restore", &file.path, source),
        };
        let copy = self.copy_out(digest, size, mode, go_on).map_err(failed)?;
        let (aside, copy) = copy.map_err(|how| error::lost(&file.path, how))?;
        if !self.blobs.makes(mode) {
            let set = rustix::fs::fchmod(&copy, Mode::from_raw_mode(mode as RawMode));
            set.map_err(|errno| failed(errno.into()))?;
        }
        Ok(aside)
    }

    /// A copy of a content, if it is what it was; else what is the matter with it.
    pub(super) fn copy_out(
        &self,
        digest: Digest,
        size: u64,
        mode: u32,
        go_on: &dyn Fn() -> bool,
    ) -> io::Result<Result<(Aside<'_>, File), &'static str>> {
        let mut blob = match self.blobs.get(digest)? {
            Ok(blob) => blob,
            Err(how) => return Ok(Err(how)),
        };
        match self.blobs.copy_aside(&mut blob, size, mode, go_on)? {
            None => Err(io::ErrorKind::Interrupted.into()),
            Some((aside, file, copied)) if copied == (Copied { digest, size }) => Ok(Ok((aside, file))),
            _ => {
                self.blobs.discard(digest);
                Ok(Err("damaged"))
            }
        }
    }
}
