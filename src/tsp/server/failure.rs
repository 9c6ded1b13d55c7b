//! Why a task fails.

use std::{any::Any, error::Error, fmt};

use crate::tsp::TaskError;

/// Why a task did not do what it should. Every error becomes one with `?`; its sources are the detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// None: it was cancelled.
    error: Option<TaskError>,
}

impl Failure {
    /// A failure, in one sentence.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { error: Some(TaskError { message: message.into(), detail: None }) }
    }

    /// What [`Run::check`](super::Run::check) returns where the run is not wanted any more.
    #[must_use]
    pub const fn cancelled() -> Self {
        Self { error: None }
    }

    /// Adds more of it, over as many lines as it takes.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        if let Some(error) = &mut self.error {
            error.detail = Some(detail.into());
        }
        self
    }

    /// Says in front of the message what was about to be done: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        if let Some(error) = &mut self.error {
            error.message = format!("{context}: {}", error.message);
        }
        self
    }

    /// Whether it is no fault, only that the run was cancelled.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        self.error.is_none()
    }

    pub(super) fn into_error(self) -> Option<TaskError> {
        self.error
    }

    /// Of what a thread panicked with.
    pub(super) fn panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::new(format!("it panicked: {}", text.unwrap_or("it does not say why")))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error.as_ref().map_or("cancelled", |error| &error.message))
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let (mut causes, mut source) = (Vec::new(), error.source());
        while let Some(cause) = source {
            causes.push(format!("because: {cause}"));
            source = cause.source();
        }
        let failure = Self::new(error.to_string());
        if causes.is_empty() { failure } else { failure.detail(causes.join("\n")) }
    }
}
