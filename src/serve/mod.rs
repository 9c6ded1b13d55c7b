//! The session socket: who holds a tree serves everybody else in it (spec section 4.6).
//!
//! Floor 10. The process that holds the tree, its *owner*, listens on a socket in the state directory. Every other
//! invocation in the tree is a *guest*: it sends what it was asked to do, the owner runs it in its own session, and
//! what happens comes back as events. Where that cannot be, because nobody listens, or another version does, or the
//! task files were edited meanwhile, a guest waits until the tree is free and does the work itself. So being a guest is
//! a faster way to the same result, and never one to another.
//!
//! | file | story |
//! |---|---|
//! | `wire` | what both sides say, and how that becomes bytes; pure |
//! | `place` | where the socket is, and who may have put it there |
//! | `ground` | what requests are served from; which of them can be |
//! | `owner` | the side that holds the tree: async, one task a guest |
//! | `attend` | one guest, from its hello to the end of its run, or for as long as it looks on |
//! | `govern` | processes on behalf of a guest |
//! | `guest` | the other side: synchronous, without a runtime, since it has to be quick |
//!
//! Everything that comes through the socket is checked as if it came from a stranger, although only the same user can
//! reach it: sizes, counts, what is text. A guest can have tasks of the tree run, and nothing else.

mod attend;
mod govern;
mod ground;
mod guest;
mod owner;
mod place;
#[doc(hidden)]
pub mod wire;

pub use ground::{Admission, AsLoaded, AsWatched, Ground, Host};
pub use guest::{Gone, Guest, Orders, Said, SocketMark, call, call_keeper, call_nearby, socket};
pub use owner::{GuestInfo, Serving, ServingOptions};
pub use wire::{Attach, Govern, Governed, Hello, Order, Raw, Refusal, WatchInfo, Welcome, Whence};

#[cfg(test)]
mod tests;
