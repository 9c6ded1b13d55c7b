//! Panics of the database, caught: a damaged page can make redb panic on open, read, commit and drop
//! (hazard D10), and damage must never cost more than a rerun.

use std::{
    any::Any,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    /// Whether a panic on this thread is about to be caught here.
    static SHIELDED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics that the store catches from being printed. They are damage reports, not crashes.
///
/// For programs, once, early: it wraps the hook of the process, and leaves every other panic to the hook
/// that was set before. Without it the store works the same, but a damaged file makes noise on stderr.
pub fn quiet_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !SHIELDED.try_with(Cell::get).unwrap_or(false) {
                before(info);
            }
        }));
    });
}

/// Runs `work`; a panic becomes its message.
///
/// The caller must not use anything `work` could have left half done, which is why a panic always means
/// that the database handle is given up.
pub(super) fn shield<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = SHIELDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    SHIELDED.set(before);
    result.map_err(|payload| message(payload.as_ref()))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("the database panicked").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_the_shield_is_lifted() {
        quiet_panics();
        assert_eq!(shield(|| 1), Ok(1));
        assert_eq!(shield(|| -> u8 { panic!("static") }), Err("static".to_owned()));
        assert_eq!(shield(|| -> u8 { panic!("page {}", 7) }), Err("page 7".to_owned()));
        assert_eq!(shield(|| shield(|| -> u8 { panic!("inner") })), Ok(Err("inner".to_owned())));
        assert!(!SHIELDED.get());
    }
}
