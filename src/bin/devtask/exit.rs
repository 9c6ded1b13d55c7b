//! Exit codes (documented in the README), and dying by the signal that ended us.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done,
    /// A task failed.
    Failed,
    /// Wrong usage or a fault of the configuration.
    Usage,
    /// devtask itself failed.
    Internal,
    /// Nothing matched.
    NothingMatched,
    /// A dry run would run something.
    WouldRun,
    /// Another devtask holds the tree.
    Held,
    /// Something automatic was wanted of a tree that is not allowed.
    NotAllowed,
    /// The code of the first failing task (`--exit-code task`).
    Task(i32),
    /// Ended by this signal.
    Signal(i32),
}

/// The code for the system; for a signal the process ends by that signal, so that a calling shell sees it.
pub(crate) fn leave(exit: Exit) -> ExitCode {
    let code = match exit {
        Exit::Done => 0,
        Exit::Failed => 1,
        Exit::Usage => 2,
        Exit::Internal => 3,
        Exit::NothingMatched => 4,
        Exit::WouldRun => 5,
        Exit::Held => 6,
        Exit::NotAllowed => 77,
        Exit::Task(code) => u8::try_from(code).unwrap_or(1),
        Exit::Signal(signal) => {
            // Ends the process here; if the system does not let us, the code says the same.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            u8::try_from(128 + signal).unwrap_or(1)
        }
    };
    ExitCode::from(code)
}
