//! Linux: inotify itself.
//!
//! An event can be read as soon as the call that caused it has returned. So whoever wants to know reads what
//! there is, and need not wait for anybody: the thread is only there to wake when nobody asks.
//!
//! Its numbers of watches are not used again until two thousand million have been, and what it has to say
//! about one that was given up is about nothing. The state is locked from before anything is read, or watched,
//! until that is entered, so the numbers in the state are always right.

use std::{
    ffi::OsStr,
    fs::{self, File},
    mem::MaybeUninit,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::Arc,
    thread,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fd::OwnedFd,
    fs::inotify::{CreateFlags, Event, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch},
    io::{Errno, ioctl_fionread, write},
};

use super::{
    health::{Limit, Why},
    keeper::is_missing,
    places::{How, Id},
    state::{Sharing, State},
};

/// Close-write, for a mapped file that is written gives no other event (hazard A5); modify, for some files, logs,
/// are written for long and not closed; nothing for reads. That a directory was deleted or unmounted
/// is told, unasked, as the end of its watch.
const MASK: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::EXCL_UNLINK);

/// What is read at once, in bytes: some hundreds of events.
const BUFFER: usize = 16 * 1024;

/// The least an event takes.
const SMALLEST: u64 = 16;

/// One instance of inotify, with a thread that wakes. It ends when this is dropped.
pub(super) struct Inotify {
    queue: Arc<Queue>,
}

struct Queue {
    events: OwnedFd,
    /// Readable once the thread is to end.
    end: OwnedFd,
}

impl Inotify {
    /// A file is made in this directory to see whether that is told, and told at once.
    pub(super) fn new(shared: &Sharing, cookie_dir: &Path) -> Result<Self, Why> {
        let events = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(why)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC).map_err(why)?;
        let queue = Arc::new(Queue { events, end });
        queue.test(cookie_dir)?;
        let (thread_queue, shared) = (Arc::clone(&queue), Arc::clone(shared));
        let thread = thread::Builder::new().name("devtask watch".to_owned());
        let run = move || thread_queue.run(&shared);
        thread.spawn(run).map_err(|error| Why::Refused(error.to_string()))?;
        Ok(Self { queue })
    }

    /// Watches the directory that is at this path now. Else says why it has to be polled; without a reason
    /// there is none.
    pub(super) fn watch(&self, state: &mut State, path: &Path) -> Result<(), Option<Why>> {
        let number = add_watch(&self.queue.events, path, MASK);
        let now = Id::Watch(number.map_err(|errno| (!is_missing(&errno.into())).then(|| why(errno)))?);
        let before = state.places.watched(path);
        if before != Some(now) {
            if before.is_some() {
                state.lose(path); // what was watched below it is elsewhere as well
            }
            state.enter(path, How::Events(now));
            self.queue.tidy(state);
        }
        Ok(())
    }

    /// Reads everything that was told until now.
    pub(super) fn read(&self, state: &mut State) {
        self.queue.read(state);
    }

    /// Gives up what no name leads to any more.
    pub(super) fn tidy(&self, state: &mut State) {
        self.queue.tidy(state);
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        let _ = write(&self.queue.end, &1_u64.to_ne_bytes());
    }
}

impl Queue {
    fn test(&self, directory: &Path) -> Result<(), Why> {
        let number = add_watch(&self.events, directory, MASK).map_err(why)?;
        let path = directory.join("cookie");
        let made = File::create(&path).map(drop); // and closed
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let told = Reader::new(&self.events, &mut buffer).next().map(|event| event.wd() == number);
        let _ = fs::remove_file(path); // one that stays is in nobody's way
        let _ = remove_watch(&self.events, number);
        if made.is_ok() && told == Ok(true) { Ok(()) } else { Err(Why::NoEvents) }
    }

    fn run(&self, shared: &Sharing) {
        loop {
            let mut ready = [PollFd::new(&self.events, PollFlags::IN), PollFd::new(&self.end, PollFlags::IN)];
            // After a failure, which a signal may be, there is nothing to read and it is tried again.
            let _ = poll(&mut ready, None);
            if !ready[1].revents().is_empty() {
                return;
            }
            self.read(&mut shared.state());
            shared.wake();
        }
    }

    fn read(&self, state: &mut State) {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.events, &mut buffer);
        // Not for as long as there are any: somebody may go on causing more.
        let most = ioctl_fionread(&self.events).unwrap_or(u64::MAX) / SMALLEST;
        let mut count = 0;
        while count < most || !reader.is_buffer_empty() {
            match reader.next() {
                Ok(event) => hear(state, &event),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    state.overflow();
                    break;
                }
            }
            count += 1;
        }
        self.tidy(state);
    }

    fn tidy(&self, state: &mut State) {
        for number in state.idle() {
            // One whose directory has gone is given up already.
            let _ = remove_watch(&self.events, number);
        }
    }
}

fn hear(state: &mut State, event: &Event<'_>) {
    let kind = event.events();
    if kind.contains(ReadFlags::QUEUE_OVERFLOW) {
        return state.overflow();
    }
    let directory = Id::Watch(event.wd());
    let is_other = ReadFlags::CREATE | ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::MOVED_TO;
    match event.file_name().map(|name| OsStr::from_bytes(name.to_bytes())) {
        Some(name) if kind.intersects(is_other) => state.replaced(directory, name),
        Some(name) => state.entry(directory, name),
        None if kind.intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF) => state.lost(directory),
        None => state.itself(directory),
    }
}

/// Why there are no events, or none of a directory.
fn why(errno: Errno) -> Why {
    match errno {
        Errno::NOSPC => Why::WatchLimit(Limit::default()),
        Errno::MFILE | Errno::NFILE => Why::InstanceLimit(Limit::default()),
        _ => Why::Refused(std::io::Error::from(errno).to_string()),
    }
}
