//! Processes on behalf of a guest: who holds the tree has them.

use std::{sync::Arc, time::Duration};

use super::{
    attend::{Gone, Line, Telling},
    ground::{Ground, Host},
    owner::Course,
    wire::{Govern, Governed, Told},
};
use crate::{
    model::{PROCESSES, TaskName},
    plan::{Standpoint, processes_to_start, select_processes},
    session::{ProcessControl, Request, SessionError},
};
use tokio::sync::watch;

/// What becomes of what a guest wants done with processes. It is told in the end how they stand.
pub(super) async fn govern(
    guest: &mut Line,
    ground: &Ground,
    host: &dyn Host,
    govern: Govern,
    standpoint: Standpoint,
    mut course: watch::Receiver<Course>,
) -> Result<(), Gone> {
    let control = ground.session().processes();
    let names = match names(ground, &standpoint, &govern) {
        Ok(names) => names,
        Err(error) => return guest.mouth.say_last(&Told::Refused(error.into())).await,
    };
    let mut well = true;
    if govern.what == Governed::Started {
        well = start(guest, ground, &govern, &names, standpoint, &mut course).await?;
    }
    let done = async {
        match govern.what {
            Governed::Listed => true,
            Governed::Stopped => {
                control.stop(&names).await;
                true
            }
            Governed::Restarted => {
                control.restart(&names);
                control.ready(&names, govern.within).await.is_ok()
            }
            Governed::Started | Governed::Ready => control.ready(&names, govern.within).await.is_ok(),
            Governed::Down => {
                if let Some((watch, _)) = host.watch().filter(|_| host.is_up()) {
                    watch.interrupt();
                }
                control.end().await;
                true
            }
        }
    };
    // Who hangs up is told nothing any more; what was ordered is done all the same.
    let done = tokio::select! {
        done = done => done,
        gone = guest.ear.hear::<()>() => {
            drop(gone);
            return Err(Gone);
        }
    };
    well &= done;
    tell(guest, &control, &names, well).await
}

/// The processes that are meant.
fn names(ground: &Ground, standpoint: &Standpoint, govern: &Govern) -> Result<Vec<TaskName>, SessionError> {
    let graph = ground.session().graph();
    let project = standpoint.project.as_deref();
    let ids = match (govern.names.is_empty(), govern.what) {
        (false, Governed::Listed | Governed::Stopped) if govern.names.iter().all(|name| is_full(name)) => {
            // Also one that the files do not declare any more, and one that they declare only since.
            return Ok(govern.names.iter().filter_map(|name| TaskName::new(name).ok()).collect());
        }
        (false, _) => select_processes(graph, project, &govern.names).map_err(SessionError::Unknown)?,
        (true, Governed::Listed | Governed::Stopped) => {
            return Ok(ground.session().processes().list().into_iter().map(|status| status.task).collect());
        }
        (true, Governed::Started) => processes_to_start(graph, standpoint.default_project.as_deref()),
        (true, Governed::Ready | Governed::Restarted) => {
            let up = ground.session().processes();
            let is_meant = |id: &crate::model::TaskId| !up.status(graph.name(*id)).stage.is_at_rest();
            let started = processes_to_start(graph, standpoint.default_project.as_deref());
            let waited = govern.what == Governed::Ready;
            graph
                .ids()
                .filter(|id| graph.task(*id).is_process())
                .filter(|id| is_meant(id) || waited && started.contains(id))
                .collect()
        }
        (true, _) => graph.ids().filter(|id| graph.task(*id).is_process()).collect(),
    };
    let mut names: Vec<TaskName> = ids.into_iter().map(|id| graph.name(id).clone()).collect();
    names.sort();
    Ok(names)
}

fn is_full(name: &str) -> bool {
    name.strip_prefix(PROCESSES).is_some_and(|rest| rest.starts_with(':') && !rest.contains('*'))
}

/// Runs what the processes need, and leaves them up; whether nothing failed.
async fn start(
    guest: &mut Line,
    ground: &Ground,
    govern: &Govern,
    names: &[TaskName],
    standpoint: Standpoint,
    course: &mut watch::Receiver<Course>,
) -> Result<bool, Gone> {
    let control = ground.session().processes();
    // For what is up and stays so nothing is to be run.
    let is_due = |name: &&TaskName| govern.strict_ports || !control.stays_ready(name);
    let due: Vec<String> = names.iter().filter(is_due).map(ToString::to_string).collect();
    if due.is_empty() {
        return Ok(true);
    }
    let mut request = Request::run(due).keeping_processes();
    request.strict_ports = govern.strict_ports;
    request.environment = Some(Arc::new(govern.environment()));
    if let Err(refusal) = ground.complete(&mut request, standpoint) {
        guest.mouth.say_last(&Told::Refused(refusal)).await?;
        return Err(Gone);
    }
    // It outlives its caller.
    request.caller = None;
    let run = match ground.session().start(request) {
        Ok(run) => run,
        Err(SessionError::Left) => return Err(Gone),
        Err(error) => {
            guest.mouth.say_last(&Told::Refused(error.into())).await?;
            return Err(Gone);
        }
    };
    let summary = Telling::new(guest, false).tell(run, course).await?;
    Ok(!summary.failed)
}

async fn tell(
    guest: &mut Line,
    control: &ProcessControl,
    names: &[TaskName],
    is_well: bool,
) -> Result<(), Gone> {
    let statuses: Vec<_> = names.iter().map(|name| control.status(name)).collect();
    // What is known of a process has a JSON form.
    let json = serde_json::to_vec(&statuses).unwrap_or_default();
    tokio::time::timeout(Duration::from_secs(10), guest.mouth.say_last(&Told::Processes { json, is_well }))
        .await
        .unwrap_or(Err(Gone))
}
