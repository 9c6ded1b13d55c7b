//! Task servers as programs: started, asked for their tasks, ended.
//!
//! Floor 7. A [`Host`] is a server that runs, with the connection to it; what it is told there is who holds it to say.
//! [`declarations`] are made of the tasks it tells, with every fault named. It must never know
//! what is kept of a list (the loader's business) or when a task runs (the session's).
//!
//! | file | story |
//! |---|---|
//! | `host` | a server from its start to its end |
//! | `list` | what it tells of its tasks, as declarations |
//! | `ask` | the lists of some servers, for who has no runtime |
//! | [`check`] | whether a server keeps to the protocol |

mod ask;
pub mod check;
mod host;
mod list;

pub use ask::{Surroundings, ask};
pub use host::{Host, Start, StartFault, Trouble};
pub use list::{declarations, names};
