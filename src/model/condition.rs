//! Dependency states (spec section 2).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state an upstream task must reach before an edge is satisfied (spec section 2).
///
/// Written as a suffix of a reference: `after = ["db:migrate@completed"]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The upstream has begun executing (or was found to need no execution).
    Started,
    /// A process passed its readiness probe; for a one-shot task the same as [`Succeeded`](Self::Succeeded).
    Ready,
    /// The upstream exited with 0, or was skipped.
    Succeeded,
    /// The upstream finished, whatever its exit. The only condition a failure does not travel through.
    Completed,
}

impl Condition {
    /// Every condition, in the order the specification lists them.
    pub const ALL: [Self; 4] = [Self::Started, Self::Ready, Self::Succeeded, Self::Completed];

    /// The suffix without its `@`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Succeeded => "succeeded",
            Self::Completed => "completed",
        }
    }

    /// The condition a suffix (without its `@`) names.
    #[must_use]
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == suffix)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
