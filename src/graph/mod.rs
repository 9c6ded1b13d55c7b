//! The task graph.
