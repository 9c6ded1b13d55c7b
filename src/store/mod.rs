//! What is remembered between runs: one redb file in the state directory, held by one process at a time.
//!
//! Floor 6, synchronous. The room keeps four promises (spec section 4.6, hazards D1 to D10):
//!
//! * an acknowledged [`Batch`] survives kill -9 and power loss, and is there as a whole or not at all;
//! * a read gives what was stored or nothing, never anything else: every value carries a checksum that also
//!   covers its key, so a damaged page costs a rerun and no more;
//! * a file that cannot be used (damaged, foreign, of another version) is set aside under another name and
//!   replaced by an empty one. The caller gets one [`Notice`], not an error;
//! * a file of which a sync failed is removed at once: what the system shows of it may be on no disk. Whoever saves is
//!   told, also by [`Store::close`].
//!
//! Who holds the tree is decided by the [`Lock`], a file of its own: the lock redb takes on its file excludes
//! even readers and says nothing about its owner. A caller takes the lock first and opens the store for writing
//! then; verbs that only look open it read-only, without the lock, and close it soon.
//!
//! redb may panic on damaged pages. Such panics are caught here, and the handle is never used again.
//!
//! Beside the base lie private files that may be lost at any time (`private`): what they say is checked by who reads them.
//!
//! The room knows bytes, tables and records. It must never know what a record means for a task, when one is
//! fresh, or anything of async: the session puts it on threads of its own.

mod aside;
mod base;
mod batch;
mod dir;
mod disk;
mod epoch;
mod error;
mod journal;
mod lock;
mod private;
mod reader;
mod record;
mod shield;
mod state;
mod value;
mod verify;
mod writer;

#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod tests;

pub use aside::SetAside;
pub use base::{discard, is_in_place, mark};
pub use batch::{Batch, Table};
pub use dir::{STATE_DIR, StateDir};
pub use error::StoreError;
pub use journal::Journal;
pub use lock::{Attempt, Lock, Owner, OwnerInfo};
pub use private::{prune_private, read_private, write_private};
pub use reader::{Notice, Reader, Snapshot};
pub use record::{Called, Kept, KeptLog, RecordState, Streak, Success, TaskRecord, now_ms};
pub use shield::quiet_panics;
pub use state::{Access, Opened, Store};
#[doc(hidden)]
pub use value::{decode_body, decode_stored};
pub use verify::{Verified, verify};
pub use writer::GroupWriter;
