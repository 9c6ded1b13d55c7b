//! What the tree looks like now: one walk for all patterns, and digests without reading twice
//! (spec sections 4.2 and 4.4).
//!
//! [`Scanner::walk`] finds the files of any number of pattern sets in one traversal, each directory listed
//! at most once. [`FileTable::digest`] turns what was found into digests, reading only what the stat cache
//! cannot vouch for. [`FileTable::look`] does both, and neither where the [`Trail`] of an earlier walk still
//! holds. [`same_identities`] tells whether anything moved between two looks.
//!
//! From the cheapest way to the dearest:
//!
//! | file | story |
//! |---|---|
//! | `route` | all trails of a run that found nothing new, as one: what a no-op run follows |
//! | `trail`, `recheck`, `untouched` | what one walk rested on; going there again; the look after a task has run |
//! | `survey` | which of these ways a set is looked at by |
//! | `walk`, `visit`, `item`, `beginnings` | one traversal for all patterns |
//! | `live` | all of that kept true while files change, for who watches them |
//! | `git` | what git ignores |
//! | `table`, `hash`, `compare` | digests, the stat cache and its rule for racy stamps; reading; whether anything moved |
//! | `system`, `place`, `regular`, `name`, `share`, `quick` | what all of them need |
//!
//! Floor 6, synchronous. It must never know what a task is, where the cache is kept or why somebody asks:
//! it gets patterns and a [`Memory`], and gives facts.

mod beginnings;
mod compare;
mod git;
mod hash;
mod item;
mod live;
mod name;
mod place;
mod quick;
mod recheck;
mod regular;
mod route;
mod share;
mod survey;
mod system;
mod table;
mod trail;
mod untouched;
mod visit;
mod walk;

pub use compare::same_identities;
pub use git::index_lock;
pub use live::{Attendant, Change, Live, Moment, Refreshed};
pub use name::{directory_key, relative_name};
pub use regular::{identity_of, identity_of_target, keeps_stamps, read_regular, read_regular_identified};
pub use route::{Contents, NoRoute, Route};
pub use survey::{Sight, Wanted, set_key};
pub use table::{
    Clock, FileEntry, FileSet, FileTable, GRANULARITY, Memory, NoMemory, TableOptions, is_settled,
    system_now_ns,
};
pub use trail::{Fact, Trail};
pub use walk::{Entry, Matched, Problem, ScanOptions, Scanner};
