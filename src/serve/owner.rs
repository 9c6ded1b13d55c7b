//! The side that holds the tree: it listens, and attends to each guest in a task of its own.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::geteuid;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::{attend, ground::Host, place::Place};
use crate::session::Session;

/// How a tree is served.
#[derive(Clone, Debug)]
pub struct ServingOptions {
    /// Tells this very program from every other: a number that changes when the program does.
    pub build: u64,
    /// Where a private directory may be made for the socket, best first, if it cannot be in the state directory.
    pub bases: Vec<PathBuf>,
    /// How many guests there may be at once; who comes beyond that waits for the tree.
    pub most_guests: usize,
    /// How long a guest may take to say what it wants.
    pub hello_within: Duration,
    /// How long a guest may take nothing of what it is told; then lines of tasks are left out.
    pub patience: Duration,
}

impl ServingOptions {
    /// The usual ones.
    #[must_use]
    pub const fn new(build: u64, bases: Vec<PathBuf>) -> Self {
        Self {
            build,
            bases,
            most_guests: 256,
            hello_within: Duration::from_secs(5),
            patience: Duration::from_secs(10),
        }
    }
}

/// A guest whose request is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestInfo {
    /// What it was started as; text from elsewhere.
    pub label: String,
    /// Its process id, for people only.
    pub pid: u32,
    /// Whether it only looks on, so that nobody waits for it.
    pub is_attached: bool,
}

/// How long those who only look on hold up the end of their owner at most, if they take nothing.
const FAREWELL: Duration = Duration::from_millis(300);

/// What is to become of guests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Course {
    /// Nobody new is taken.
    pub(crate) is_closing: bool,
    /// Requests are ended.
    pub(crate) is_dismissing: bool,
    /// What runs for them stands still.
    pub(crate) is_paused: bool,
}

/// Waits until nobody new is taken.
pub(crate) async fn closing(course: &mut watch::Receiver<Course>) {
    // Its sender lives as long as anybody who waits.
    let _ = course.wait_for(|course| course.is_closing).await;
}

/// Waits until those who only look on have had their time to be told that it is over.
pub(crate) async fn farewell(course: &mut watch::Receiver<Course>) {
    closing(course).await;
    tokio::time::sleep(FAREWELL).await;
}

/// What attending to guests has to do with.
pub(crate) struct Office {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) options: ServingOptions,
    pub(crate) course: watch::Sender<Course>,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    next: u64,
    guests: BTreeMap<u64, GuestInfo>,
}

/// A request that counts as under way until this is dropped.
pub(crate) struct Ticket {
    office: Arc<Office>,
    number: u64,
}

impl Office {
    /// Counts a request.
    pub(crate) fn enter(self: &Arc<Self>, guest: GuestInfo) -> Ticket {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let number = under_way.next;
        under_way.next += 1;
        under_way.guests.insert(number, guest);
        Ticket { office: Arc::clone(self), number }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut under_way = self.office.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.guests.remove(&self.number);
    }
}

/// A tree being served. Dropping it ends all requests of guests.
pub struct Serving {
    office: Arc<Office>,
    listening: Option<JoinHandle<()>>,
}

impl Serving {
    /// Serves the tree of a session. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If there is no place for a socket, or if others may hold the tree at the same time.
    pub fn start(session: &Session, host: Arc<dyn Host>, options: ServingOptions) -> io::Result<Self> {
        if !session.is_exclusive() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the tree is not locked"));
        }
        let (listener, place) = Place::listen(&session.state_dir(), &options.bases)?;
        if let Some(dir) = place.elsewhere() {
            session.guard_directory(dir);
        }
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let office =
            Arc::new(Office { host, options, course: watch::Sender::default(), under_way: Mutex::default() });
        let listening = tokio::spawn(listen(listener, place, Arc::clone(&office)));
        Ok(Self { office, listening: Some(listening) })
    }

    /// Takes nobody any more. Requests under way go on.
    pub fn close(&self) {
        self.office.course.send_modify(|course| course.is_closing = true);
    }

    /// Ends the requests under way; the guests do without us.
    pub fn dismiss(&self) {
        self.office.course.send_modify(|course| (course.is_closing, course.is_dismissing) = (true, true));
    }

    /// Has everything that runs for guests stand still, or go on.
    pub fn pause(&self, pause: bool) {
        self.office.course.send_modify(|course| course.is_paused = pause);
    }

    /// The guests whose requests are under way.
    #[must_use]
    pub fn guests(&self) -> Vec<GuestInfo> {
        let under_way = self.office.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.guests.values().cloned().collect()
    }

    /// Waits, once it is [closed](Self::close), until nothing is under way and the socket is gone. Can be dropped
    /// and called again.
    pub async fn ended(&mut self) {
        if let Some(listening) = &mut self.listening {
            // If our own code panicked there, nothing is under way either.
            let _ = listening.await;
            self.listening = None;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.dismiss();
    }
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("guests", &self.guests()).finish_non_exhaustive()
    }
}

/// How long to wait after the system refused us a guest, as it does when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(50);

async fn listen(listener: UnixListener, place: Place, office: Arc<Office>) {
    let mut guests = JoinSet::new();
    let mut course = office.course.subscribe();
    loop {
        tokio::select! {
            biased;
            () = closing(&mut course) => break,
            Some(_) = guests.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((guest, _)) if is_ours(&guest) && guests.len() < office.options.most_guests => {
                    guests.spawn(attend::attend(guest, Arc::clone(&office)));
                }
                // A stranger, or one too many.
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
    drop((listener, place));
    while guests.join_next().await.is_some() {}
}

/// Whether the same user is at the other end (hazard E5).
fn is_ours(guest: &UnixStream) -> bool {
    guest.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw())
}
