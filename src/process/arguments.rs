//! How much the system takes on a command line (hazard C15).

use rustix::process::{Resource, getrlimit};

/// The limit for the stack, in bytes; none: there is none.
#[must_use]
pub fn stack_limit() -> Option<u64> {
    getrlimit(Resource::Stack).current
}

/// How many bytes arguments and environment of a program may take together: a quarter of its stack, but no less than 128
/// KiB and no more than 6 MiB. Each string counts with its end, and with a pointer.
#[must_use]
pub fn argument_room(stack: Option<u64>) -> u64 {
    const LEAST: u64 = 128 << 10;
    const MOST: u64 = 6 << 20;
    stack.map_or(MOST, |stack| (stack / 4).clamp(LEAST, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_a_quarter_of_the_stack_within_bounds() {
        let cases = [
            (Some(8 << 20), 2 << 20),
            (Some(64 << 10), 128 << 10),
            (Some(1 << 40), 6 << 20),
            (None, 6 << 20),
        ];
        for (stack, room) in cases {
            assert_eq!(argument_room(stack), room, "{stack:?}");
        }
    }
}
