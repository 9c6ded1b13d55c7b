//! Pictures of a part of a graph that need no other program: [`svg()`], and a page around it, [`page()`].
//!
//! Tasks stand right of what they wait for. With a [`RunSeen`] they have the colours of how they ended in
//! it. What comes from task files is escaped, control characters are spelled out.

mod layout;
mod page;
mod seen;
mod style;
mod svg;
mod text;

pub use page::page;
pub use seen::{Ending, RunSeen, Seen};
pub use style::{Colors, Shade};
pub use svg::svg;

#[cfg(test)]
mod tests;
