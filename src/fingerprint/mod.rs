//! Keys and explanations.
