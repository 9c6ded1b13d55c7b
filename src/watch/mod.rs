//! What may have changed, as the system tells it (spec section 5).
//!
//! A [`Source`] watches directories, each by itself, and says what may have changed in them. It decides
//! nothing, reads nothing and matches nothing: who takes a [`Change`] has to look.
//!
//! # What events can tell, and what not
//!
//! An event says that something happened to a name in a directory, or to the directory itself. It does not say
//! what is there now: by the time it is read the next change may have been made. So a [`Change`] is a place to
//! look at, and ten events about one name are one change.
//!
//! Watches are on directories, not on paths. Therefore
//!
//! * **watch first, then list.** What is made before the watch is in the list, what is made after it gives an
//!   event; some of it is found by both ways, nothing by none. Of a tree that appears (`mkdir -p a/b/c`, an
//!   archive unpacked, a directory moved in) only the top is told: the caller watches it, lists it, and goes on
//!   with each directory in the list.
//! * **a directory that is moved takes its watch along**, and would go on reporting under the old path. Then it
//!   is [`Change::Lost`], and all that was watched below it.
//! * **a move of what lies above all watched directories is told by nobody.** Whoever wants to know watches the
//!   parents too.
//! * **a directory with several names** (symbolic links on the way) is reported under each that is watched. A
//!   link whose target is a file, or not there, is only reported itself: watch where the target lies.
//!
//! Nothing is told of what was written through another hard link outside, on another machine, or into a
//! mapped file that is still open.
//!
//! # When events end
//!
//! The kernel drops them when its queue is full, and refuses watches beyond its limits; some file systems have
//! none. The source never hides that: what it cannot watch it reports as a whole every few seconds
//! ([`Watched::Polled`], [`Health`] says why), and what it cannot tell is [`Change::Everything`].
//!
//! # Two backends
//!
//! On Linux it is inotify itself. An event can be read as soon as the call that caused it has returned, so
//! [`Source::sync`] and [`Source::take`] read what there is and wait for nothing. notify is not used for that:
//! it goes through all its watches for each one it drops, and reads no events meanwhile.
//!
//! notify with its debouncer is the backend of macOS, and of Linux for who chooses it. It says less than it
//! knows: so a directory that loses one of several names, more than a handful of directories deleted or given
//! up at once, or one replaced while it is being watched, is [`Change::Everything`]. Its events come in the order
//! of what caused them; a file made in our own directory gives the last event of all, and whoever has seen it has
//! seen the others.
//!
//! | file | story |
//! |---|---|
//! | `source` | what can be asked |
//! | `keeper` | having directories watched, and knowing what became of it |
//! | `state`, `places`, `change` | what a report means: no I/O |
//! | `inotify`, `debounced` | the backends |
//! | `poll`, `filesystem`, `health` | where there are no events |
//!
//! Floor 6, with threads but not async: one that waits for events, one more while something is polled. A source
//! that has nothing to report does not wake, unless it is the debouncer's.

mod change;
mod debounced;
mod filesystem;
mod health;
#[cfg(target_os = "linux")]
mod inotify;
#[cfg(not(target_os = "linux"))]
#[path = "no_inotify.rs"]
mod inotify;
mod keeper;
mod places;
mod poll;
mod source;
mod state;

pub use change::Change;
pub use filesystem::without_events;
pub use health::{Health, Limit, Polled, Why};
pub use source::{Backend, Source, SourceError, SourceOptions, Synced, Watched};
