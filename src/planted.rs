//! Faults planted on purpose, for the test that has to find them (`tests/histories`): a proof that finds
//! nothing is worth something only if it is known what it would have found.
//!
//! Without the cargo feature `planted-faults` nothing of it is left in the program. The feature is for test
//! builds only: with it, the program reads from `DEVTASK_PLANTED_FAULT` which fault it is to have.

/// A fault, each at the place where something is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The old record is not cleared before a task starts (hazard 0, point 2).
    RecordKept,
    /// Nobody looks whether an input changed while the task ran (hazard 0, point 3).
    NoSecondLook,
    /// The stat cache believes size and modification time (hazard A2).
    StatCacheBlind,
    /// The executable bit does not count (hazard A6).
    ModeUnkeyed,
    /// The names of files do not count (hazard A7).
    NamesUnkeyed,
    /// What upstream tasks hand on is not part of the key (hazard A15).
    UpstreamUnkeyed,
    /// Declared outputs are not looked at again (hazard A16).
    OutputsUnchecked,
    /// A success without an output leaves the earlier one in place (hazard C4).
    OldOutputKept,
    /// Modification times are part of the key (hazard A4).
    TimesKeyed,
    /// The trail of a walk is followed whatever the stamps of its directories are (hazard A7).
    TrailsBlind,
    /// Nothing on a route is found to have changed (hazard A1).
    RouteBlind,
    /// What is settled is believed whatever became of the records since (hazard 0, point 2).
    SettledBlind,
    /// Results come back whatever became of the task since (spec section 4.5).
    StreakForgotten,
    /// What other results left stays beside what comes back.
    ExtrasLeft,
    /// A watch does not run again what was edited while it ran (hazard C1).
    DisturbedForgotten,
    /// A cycle of a watch is about the tasks whose files changed, and not about those downstream of them.
    DownstreamForgotten,
    /// A watch takes no note of what others give up, or execute, beside it.
    OthersUnheard,
    /// Whoever asks a watch is answered by what it knew before the last writes (hazard B9).
    AnswersEarly,
}

impl Fault {
    /// Every fault with its name.
    pub const ALL: [(&str, Self); 14] = [
        ("record-kept", Self::RecordKept),
        ("no-second-look", Self::NoSecondLook),
        ("stat-cache-blind", Self::StatCacheBlind),
        ("mode-unkeyed", Self::ModeUnkeyed),
        ("names-unkeyed", Self::NamesUnkeyed),
        ("upstream-unkeyed", Self::UpstreamUnkeyed),
        ("outputs-unchecked", Self::OutputsUnchecked),
        ("old-output-kept", Self::OldOutputKept),
        ("times-keyed", Self::TimesKeyed),
        ("trails-blind", Self::TrailsBlind),
        ("route-blind", Self::RouteBlind),
        ("settled-blind", Self::SettledBlind),
        ("streak-forgotten", Self::StreakForgotten),
        ("extras-left", Self::ExtrasLeft),
    ];

    /// Those of a watch, which only one of them can show.
    pub const OF_A_WATCH: [(&str, Self); 4] = [
        ("disturbed-forgotten", Self::DisturbedForgotten),
        ("downstream-forgotten", Self::DownstreamForgotten),
        ("others-unheard", Self::OthersUnheard),
        ("answers-early", Self::AnswersEarly),
    ];
}

#[cfg(feature = "planted-faults")]
static PLANTED: std::sync::OnceLock<Fault> = std::sync::OnceLock::new();

/// Plants a fault in this process, for good.
///
/// # Panics
/// If there is no fault of that name: a test would look for nothing.
#[cfg(feature = "planted-faults")]
pub fn plant(name: &str) {
    let found = Fault::ALL.iter().chain(&Fault::OF_A_WATCH).find(|(known, _)| *known == name);
    let (_, fault) = found.unwrap_or_else(|| panic!("there is no fault `{name}` to plant"));
    PLANTED.get_or_init(|| *fault);
}

/// Whether this fault is planted.
#[cfg(feature = "planted-faults")]
pub(crate) fn is(fault: Fault) -> bool {
    PLANTED.get() == Some(&fault)
}

/// Whether this fault is planted: never.
#[cfg(not(feature = "planted-faults"))]
pub(crate) const fn is(_fault: Fault) -> bool {
    false
}
