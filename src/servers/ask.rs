//! The lists of some servers, for who has no runtime: each is started, asked, and ended.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{Host, Start, StartFault, Trouble};
use crate::{
    model::TaskServer,
    process::{RuntimeDir, SESSION_VARIABLE, Warden, WardenOptions, inherited},
    tsp::InitializeResult,
};

/// What is left of a server that would not end gets this long.
const GRACE: Duration = Duration::from_secs(1);
/// How many are started at once.
const AT_ONCE: usize = 4;
/// With the name of a socket in it a longer path fits into no address (104 bytes on macOS, 108 on Linux).
const LONGEST_DIRECTORY: usize = 90;

/// What servers are started within.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The environment they inherit.
    pub environment: Vec<(OsString, OsString)>,
    /// The program that ends them should this one be killed; see [`WardenOptions::guardian`].
    pub guardian: Option<PathBuf>,
    /// Whether this process adopts their orphans meanwhile; see [`WardenOptions::adopt_orphans`]. Not where a session does.
    pub adopt_orphans: bool,
    /// Where short-lived private directories may be made, best first.
    pub runtime_bases: Vec<PathBuf>,
    /// Variables that nothing can override.
    pub reserved: Vec<(OsString, OsString)>,
}

/// Asks servers for their tasks, all at once. On a thread of its own: it may be called from anywhere.
#[must_use]
pub fn ask(
    servers: &[&TaskServer],
    root: &Path,
    surroundings: &Surroundings,
) -> Vec<Result<InitializeResult, StartFault>> {
    let all_failed = |why: String| {
        let fault = StartFault { trouble: Trouble::NotStarted(why), last: Vec::new() };
        servers.iter().map(|_| Err(fault.clone())).collect()
    };
    let asked = apart(surroundings, async |workshop: Workshop<'_>| {
        let Workshop { warden, private, ambient } = &workshop;
        let starts = servers.iter().enumerate().map(|(at, server)| Start {
            server,
            root,
            ambient: Arc::clone(ambient),
            reserved: surroundings.reserved.clone(),
            socket: private.join(format!("s{at}")),
            log: None,
            lines: None,
        });
        // Those that wait have not begun: their time runs from their own start.
        let room = Semaphore::new(AT_ONCE);
        all(starts.map(|start| one(warden, start, &room)).collect()).await
    });
    match asked {
        Some(Ok(answers)) => answers,
        Some(Err(error)) => all_failed(error.to_string()),
        None => all_failed("internal failure".to_owned()),
    }
}

/// What servers are started with, apart from every session.
pub(super) struct Workshop<'a> {
    pub(super) warden: &'a Warden,
    /// A directory that is ours alone, for sockets.
    pub(super) private: &'a Path,
    pub(super) ambient: Arc<BTreeMap<OsString, OsString>>,
}

/// Does something with servers on a thread of its own, with a runtime of its own: it may be called from anywhere.
/// Whatever was started is ended afterwards. None: it panicked.
pub(super) fn apart<T: Send>(
    surroundings: &Surroundings,
    what: impl AsyncFnOnce(Workshop<'_>) -> T + Send,
) -> Option<io::Result<T>> {
    thread::scope(|scope| scope.spawn(|| within_runtime(surroundings, what)).join()).ok()
}

fn within_runtime<T>(
    surroundings: &Surroundings,
    what: impl AsyncFnOnce(Workshop<'_>) -> T,
) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outer = surroundings.environment.iter().find(|(name, _)| name == SESSION_VARIABLE);
    let warden = Warden::new(WardenOptions {
        guardian: surroundings.guardian.clone(),
        outer_session: outer.map(|(_, value)| value.clone()),
        adopt_orphans: surroundings.adopt_orphans,
        sessions_dir: None,
    })?;
    let private = RuntimeDir::create(&surroundings.runtime_bases)?;
    let private = if private.path().as_os_str().len() > LONGEST_DIRECTORY {
        RuntimeDir::create(&[PathBuf::from("/tmp")])?
    } else {
        private
    };
    warden.guard_directory(private.path());
    let ambient = Arc::new(inherited(&surroundings.environment));
    Ok(runtime.block_on(async {
        let done = what(Workshop { warden: &warden, private: private.path(), ambient }).await;
        warden.end_everything(GRACE).await;
        done
    }))
}

async fn one(warden: &Warden, start: Start<'_>, room: &Semaphore) -> Result<InitializeResult, StartFault> {
    // It is never closed.
    let _place = room.acquire().await.ok();
    let host = Host::start(warden, start).await?;
    host.end().await;
    Ok(host.listed().clone())
}

/// Waits for all of them at once.
async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in waiting.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(result) = future.as_mut().poll(context) {
                *done = Some(result);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
