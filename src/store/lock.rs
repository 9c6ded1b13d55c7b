//! Who holds the tree (hazard D1).
//!
//! The lock is an advisory lock on a file of its own. It ends with the process, however that ends; what is
//! written in the file only tells people who holds it.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{StateDir, StoreError, read_private};

const FILE: &str = "lock";
/// More than any owner writes; what is longer is not ours.
const MOST_INFO: u64 = 16 * 1024;
/// How often the file may be replaced under our hands before that is an error.
const MOST_REPLACED: u32 = 100;
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// What the owner says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerInfo {
    /// Its process id, for people only: nothing is done to a process because of it (hazard C13).
    pub pid: u32,
    /// What it does: `devtask run app:build`.
    pub what: String,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
}

impl OwnerInfo {
    /// This process, doing `what` since `since_ms`.
    #[must_use]
    pub fn this_process(what: impl Into<String>, since_ms: u64) -> Self {
        Self { pid: std::process::id(), what: what.into(), since_ms }
    }
}

/// Who holds the lock, as far as can be told: between taking the lock and writing the file nothing can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// What it wrote.
    pub info: Option<OwnerInfo>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.info {
            Some(info) => write!(f, "`{}` (pid {})", info.what, info.pid),
            None => f.write_str("another devtask"),
        }
    }
}

/// What came of trying.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Acquired(Lock),
    /// It is someone else's.
    Held(Owner),
}

/// The tree is ours until this is dropped or the process ends. Children do not inherit it.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`StoreError::NoLocks`] where the file system has none, [`StoreError::Io`].
    pub fn try_acquire(dir: &StateDir, info: &OwnerInfo) -> Result<Attempt, StoreError> {
        let path = dir.path().join(FILE);
        for _ in 0..MOST_REPLACED {
            let file =
                StateDir::open_file(&path, true).map_err(|source| StoreError::io("open", &path, source))?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => {
                    return Self::announce(file, path, info).map(Attempt::Acquired);
                }
                // The directory was cleaned meanwhile: this lock excludes nobody.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Attempt::Held(Owner { info: read(&file) })),
                Err(TryLockError::Error(source)) => return Err(lock_fault(path, source)),
            }
        }
        Err(StoreError::io("lock", &path, io::Error::other("it is being replaced all the time")))
    }

    /// Takes the lock as soon as it is free, looking every 10 to 100 ms. Before every pause
    /// `should_stop` is asked, with the present owner; it may also tell the user who that is.
    /// `None`: it said stop.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn acquire_waiting(
        dir: &StateDir,
        info: &OwnerInfo,
        mut should_stop: impl FnMut(&Owner) -> bool,
    ) -> Result<Option<Self>, StoreError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match Self::try_acquire(dir, info)? {
                Attempt::Acquired(lock) => return Ok(Some(lock)),
                Attempt::Held(owner) if should_stop(&owner) => return Ok(None),
                Attempt::Held(_) => thread::sleep(pause),
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    /// Who says to hold the lock of this state directory; none if nobody says so.
    #[must_use]
    pub fn owner(state_dir: &Path) -> Option<Owner> {
        let text = read_private(&state_dir.join(FILE), MOST_INFO)?;
        Some(Owner { info: Some(serde_json::from_slice(&text).ok()?) })
    }

    fn announce(mut file: File, path: PathBuf, info: &OwnerInfo) -> Result<Self, StoreError> {
        let text = serde_json::to_vec(info).map_err(|e| StoreError::Encode(e.to_string()))?;
        let written =
            file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(&text));
        match written {
            // A full disk must not keep anyone from running: the lock holds without its label.
            Err(source) if source.kind() != io::ErrorKind::StorageFull => {
                Err(StoreError::io("write", &path, source))
            }
            _ => Ok(Self { file }),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Who comes next shall not be taken for us. The lock itself ends with the descriptor, so
        // nothing more can be done about an error here.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// Whether `path` still leads to this very file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn read(mut file: &File) -> Option<OwnerInfo> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(MOST_INFO).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn lock_fault(path: PathBuf, source: io::Error) -> StoreError {
    let none = [Errno::NOLCK, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS];
    if none.iter().any(|errno| Some(errno.raw_os_error()) == source.raw_os_error()) {
        StoreError::NoLocks { path, source: Arc::new(source) }
    } else {
        StoreError::io("lock", &path, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(root: &Path) -> StateDir {
        StateDir::create(&root.join(super::super::STATE_DIR)).unwrap()
    }

    fn acquired(dir: &StateDir, what: &str) -> Lock {
        match Lock::try_acquire(dir, &OwnerInfo::this_process(what, 1)).unwrap() {
            Attempt::Acquired(lock) => lock,
            Attempt::Held(owner) => panic!("held by {owner}"),
        }
    }

    fn holder(dir: &StateDir) -> Option<Owner> {
        match Lock::try_acquire(dir, &OwnerInfo::this_process("second", 2)).unwrap() {
            Attempt::Acquired(_) => None,
            Attempt::Held(owner) => Some(owner),
        }
    }

    #[test]
    fn the_second_learns_who_holds_it_and_gets_it_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        let first = acquired(&dir, "devtask run app:build");
        let owner = holder(&dir).unwrap();
        assert_eq!(owner.info, Some(OwnerInfo::this_process("devtask run app:build", 1)));
        assert_eq!(owner.to_string(), format!("`devtask run app:build` (pid {})", std::process::id()));
        drop(first);
        assert_eq!(holder(&dir), None);
        assert_eq!(fs::metadata(dir.path().join(FILE)).unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    fn who_lets_go_leaves_no_name() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        drop(acquired(&dir, "one"));
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"");
    }

    #[test]
    fn a_lock_file_that_was_removed_excludes_nobody() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        let _orphan = acquired(&dir, "orphan");
        fs::remove_file(dir.path().join(FILE)).unwrap();
        let _next = acquired(&dir, "next");
        assert_eq!(holder(&dir).and_then(|o| o.info).map(|i| i.what), Some("next".to_owned()));
    }

    #[test]
    fn garbage_in_the_file_is_no_obstacle() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        for text in [b"{\"pid\":".as_slice(), b"\xff\xfe", &[b' '; 40_000]] {
            fs::write(dir.path().join(FILE), text).unwrap();
            drop(acquired(&dir, "me"));
        }
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        let victim = root.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join(FILE)).unwrap();
        assert!(matches!(
            Lock::try_acquire(&dir, &OwnerInfo::this_process("me", 1)),
            Err(StoreError::Io { .. })
        ));
        assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
    }

    #[test]
    fn waiting_ends_when_told_to_or_when_the_lock_is_free() {
        let root = tempfile::tempdir().unwrap();
        let dir = dir(root.path());
        let me = OwnerInfo::this_process("waiter", 3);
        let mut first = Some(acquired(&dir, "first"));
        assert!(Lock::acquire_waiting(&dir, &me, |_| true).unwrap().is_none());
        let mut seen = Vec::new();
        let lock = Lock::acquire_waiting(&dir, &me, |owner| {
            seen.push(owner.to_string());
            drop(first.take());
            false
        });
        assert!(lock.unwrap().is_some());
        assert_eq!(seen, [format!("`first` (pid {})", std::process::id())]);
    }

    #[test]
    fn missing_locks_are_told_from_other_faults() {
        for (errno, none) in [(Errno::NOLCK, true), (Errno::OPNOTSUPP, true), (Errno::IO, false)] {
            let fault = lock_fault("lock".into(), errno.into());
            assert_eq!(matches!(fault, StoreError::NoLocks { .. }), none, "{errno}");
        }
    }
}
