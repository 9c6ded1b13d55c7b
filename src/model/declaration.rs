//! A task together with its edges as they were written: what a graph is built from.

use super::{Condition, PortRef, Task, TaskName};
use crate::diagnostic::Place;

/// A task with its edges, as one file declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    /// The task.
    pub task: Task,
    /// Where its name stands.
    pub place: Option<Place>,
    /// Tasks it runs after.
    pub after: Vec<EdgeRef>,
    /// Tasks it runs before.
    pub before: Vec<EdgeRef>,
    /// The ports its texts refer to, and at one task of a file those of the file's own texts.
    pub ports: Vec<PortUse>,
}

/// A reference to a port, where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct PortUse {
    /// The reference.
    pub port: PortRef,
    /// The text it stands in.
    pub place: Option<Place>,
}

/// One entry of `after` or `before`, its local name made global, its suffix split off.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeRef {
    /// The task at the other end.
    pub task: TaskName,
    /// The state named by the suffix; `None`: the default of the upstream's kind.
    pub condition: Option<Condition>,
    /// Where it is written.
    pub place: Option<Place>,
}
