//! The ports that were given to processes: kept until the process starts, and the same for as long as the session lasts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{model::TaskName, process::HeldPort};

/// By process and name.
#[derive(Debug, Default)]
pub(crate) struct Ports(Mutex<BTreeMap<(TaskName, String), Given>>);

#[derive(Debug)]
struct Given {
    number: u16,
    /// The one that was wanted.
    first: u16,
    /// Until its process starts.
    held: Option<HeldPort>,
}

impl Ports {
    /// The port of this name, given now if it was not before: `first`, or the next one that is free. `strict`: `first` or
    /// none.
    ///
    /// # Errors
    /// Why there is none, and who has it.
    pub(crate) fn get(
        &self,
        process: &TaskName,
        name: &str,
        first: u16,
        strict: bool,
    ) -> Result<u16, String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (process.clone(), name.to_owned());
        // One that is to have another from now on gets another.
        if let Some(given) = all.get(&key).filter(|given| given.first == first) {
            return Ok(given.number);
        }
        let held = match strict {
            true => HeldPort::exactly(first).map_err(|taken| taken.to_string())?,
            false => {
                HeldPort::from(first).map_err(|error| format!("there is no port from {first} on: {error}"))?
            }
        };
        let number = held.number();
        all.insert(key, Given { number, first, held: Some(held) });
        Ok(number)
    }

    /// Lets go of the ports of a process, for it to take.
    pub(crate) fn release(&self, process: &TaskName) -> Vec<HeldPort> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.iter_mut().filter(|((other, _), _)| other == process);
        own.filter_map(|(_, given)| given.held.take()).collect()
    }

    /// Keeps the ports of a process once more that is to be started from rest, as long as they are free: somebody else may
    /// have them by now.
    pub(crate) fn take_back(&self, process: &TaskName) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(other, _), given| {
            if other != process || given.held.is_some() {
                return true;
            }
            given.held = HeldPort::exactly(given.number).ok();
            given.held.is_some()
        });
    }
}
