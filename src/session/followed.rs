//! What goes on by itself, as whoever started it sees it: events to read, and an end to wait for.

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::JoinHandle,
};

use super::{SessionError, emit::Parcel};
use crate::event::Event;

/// Something that goes on by itself, and comes to this.
#[derive(Debug)]
pub(super) struct Followed<T> {
    events: mpsc::UnboundedReceiver<Parcel>,
    /// None once it was waited for.
    driver: Option<JoinHandle<T>>,
    /// The place of the event that was read last: who comes for the next one is done with it.
    reading: Option<OwnedSemaphorePermit>,
}

impl<T> Followed<T> {
    pub(super) fn new(events: mpsc::UnboundedReceiver<Parcel>, driver: JoinHandle<T>) -> Self {
        Self { events, driver: Some(driver), reading: None }
    }

    /// The next event with its place, for whoever passes it on.
    pub(super) async fn next_parcel(&mut self) -> Option<Parcel> {
        self.events.recv().await
    }

    /// The next event; none once it is over.
    pub(super) async fn next_event(&mut self) -> Option<Event> {
        self.reading = None;
        let (event, place) = self.next_parcel().await?;
        self.reading = place;
        Some(event)
    }

    /// Whether nobody has waited for the end.
    pub(super) const fn is_under_way(&self) -> bool {
        self.driver.is_some()
    }

    /// Waits for the end; events nobody has read are thrown away.
    pub(super) async fn finish(&mut self) -> Result<T, SessionError> {
        while self.next_event().await.is_some() {}
        match self.driver.take() {
            Some(driver) => driver.await.map_err(|error| SessionError::Internal(error.to_string())),
            None => Err(SessionError::Internal("it was waited for already".to_owned())),
        }
    }
}
