//! A text of JSON lines, damaged or not, becomes events.

use crate::event::{Event, VERSION, What};

/// What could be read of the log of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// The events that could be read, as they happened.
    pub events: Vec<Event>,
    /// How many lines could not.
    pub damaged: usize,
    /// How many lines are in words of another version.
    pub foreign: usize,
}

impl Log {
    /// Reads what can be read. A last line without its end is one that is being written, or was when the run was
    /// killed: it counts as missing, not as damaged.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut log = Self::default();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice::<Event>(line) {
                Ok(event) => {
                    log.foreign += usize::from(event.v != VERSION || event.what == What::Unknown);
                    log.events.push(event);
                }
                Err(_) => log.damaged += usize::from(line.ends_with(b"\n")),
            }
        }
        log
    }

    /// Whether the run has told its end.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.events.iter().any(|event| matches!(event.what, What::RunFinished { .. }))
    }

    /// Whether anything was executed, as far as the text of a log tells without being read as a whole.
    #[must_use]
    pub fn tells_of_execution(text: &[u8]) -> bool {
        const STARTED: &[u8] = br#""event":"task_started""#;
        let is_so = |line: &[u8]| line.windows(STARTED.len()).any(|part| part == STARTED);
        text.split(|byte| *byte == b'\n').any(is_so)
    }
}
