//! What the program does and what it guards against, as text: nothing here is code.
//!
//! Floor 10, empty of code; it imports nothing and nothing imports it. [`spec`] is the contract: what users
//! may rely on, in numbered sections. [`protocol`] is that of task servers, for who writes one. [`hazards`] lists what goes wrong in tools of this kind, each with an
//! id and what is done about it, and the few measured costs the code is shaped by. Comments in the code
//! refer to both by number: "spec section 4.1", "hazard C19", "limit L1". `tests/architecture.rs` sees to
//! it that every such number exists.

/// The contract: what the program does, section by section.
pub mod spec {
    #![doc = ""]
    #![doc = include_str!("spec.md")]
}

/// How devtask and task servers speak with each other.
pub mod protocol {
    #![doc = ""]
    #![doc = include_str!("protocol.md")]
}

/// What goes wrong in tools of this kind, and what is done about it.
pub mod hazards {
    #![doc = ""]
    #![doc = include_str!("hazards.md")]
}
