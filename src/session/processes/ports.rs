//! The ports that were given to processes: kept until the process starts, and the same for as long as the session lasts.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{
    model::TaskName,
    process::{HeldPort, PortClaim},
};

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
    /// As long as the session has it.
    _claim: PortClaim,
}

impl Ports {
    /// The port of this name, given now if it was not before: `first`, or the next one that is free. `strict`: `first` or
    /// none. In `claims` trees tell each other what they have.
    ///
    /// # Errors
    /// Why there is none, and who has it.
    pub(crate) fn get(
        &self,
        (process, name): (&TaskName, &str),
        first: u16,
        strict: bool,
        claims: &Path,
    ) -> Result<u16, String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (process.clone(), name.to_owned());
        // One that is to have another from now on gets another.
        if let Some(given) = all.get(&key).filter(|given| given.first == first) {
            let fits = !strict || first == 0 || given.number == first;
            match &given.held {
                _ if fits => return Ok(given.number),
                // It may be had by now.
                Some(_) => {}
                None => {
                    let given = given.number;
                    return Err(format!(
                        "port {first} was taken when {process} was started: it has port {given}"
                    ));
                }
            }
        }
        let (held, claim) = if strict { this(first, claims) } else { free_from(first, claims) }?;
        let number = held.number();
        all.insert(key, Given { number, first, held: Some(held), _claim: claim });
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

/// Exactly this port.
fn this(port: u16, claims: &Path) -> Result<(HeldPort, PortClaim), String> {
    let held = HeldPort::exactly(port).map_err(|taken| taken.to_string())?;
    let claim = PortClaim::take(claims, port);
    claim.map(|claim| (held, claim)).ok_or_else(|| format!("port {port} is kept by another devtask"))
}

/// The first one from this on that nobody has; any, if this is 0.
fn free_from(first: u16, claims: &Path) -> Result<(HeldPort, PortClaim), String> {
    let mut from = first;
    // Those that others have are kept meanwhile, or the system could choose them again.
    let mut unfit = Vec::new();
    loop {
        let held =
            HeldPort::from(from).map_err(|error| format!("there is no port from {first} on: {error}"))?;
        match PortClaim::take(claims, held.number()) {
            Some(claim) => return Ok((held, claim)),
            None if first == 0 => unfit.push(held),
            None => {
                from = held
                    .number()
                    .checked_add(1)
                    .ok_or_else(|| format!("there is no port from {first} on"))?;
            }
        }
    }
}
