//! How a task ended (spec section 2).

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a task of a run ended. A failed task is an outcome, never an error of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran and exited with 0.
    Succeeded,
    /// It was fresh, or its `status` said there is nothing to do.
    Cached,
    /// It has no command.
    Skipped,
    /// It ran and failed, or could not be started.
    Failed,
    /// It never ran because something upstream failed.
    DependencyFailed,
    /// It was ended, or never begun, because the run was ended.
    Cancelled,
}

impl Outcome {
    /// Every outcome, in the order a summary lists them.
    pub const ALL: [Self; 6] =
        [Self::Cached, Self::Skipped, Self::Succeeded, Self::Failed, Self::DependencyFailed, Self::Cancelled];

    /// Whether the outcome satisfies `@succeeded` (spec section 2).
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Succeeded | Self::Cached | Self::Skipped)
    }

    /// The status word a person reads; devenv's words.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Cached => "Cached",
            Self::Skipped => "Skipped",
            Self::Failed => "Failed",
            Self::DependencyFailed => "Dependency failed",
            Self::Cancelled => "Cancelled",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}
