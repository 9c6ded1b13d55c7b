//! Shapes people look at.
