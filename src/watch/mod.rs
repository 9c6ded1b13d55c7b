//! What may have changed, as the system tells it (spec section 5, hazards 1.2).
//!
//! A [`Source`] watches directories, each by itself, and says what may have changed in them. It decides
//! nothing, reads nothing and matches nothing: who takes a [`Change`] has to look.
mod backend;
mod change;
mod filesystem;
mod health;
mod keeper;
mod places;
mod poll;
mod source;
mod state;

pub use change::Change;
pub use health::{Health, Limit, Polled, Why};
pub use source::{Backend, Source, SourceError, SourceOptions, Watched};
