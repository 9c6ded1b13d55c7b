//! One guest, from its hello to the end of its run. Whatever it does or fails to do is its own affair: nobody waits
//! for a guest that is silent, and what it wanted ends with it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep_until, timeout},
};

use super::{
    govern::govern,
    ground::{Admission, Ground},
    owner::{Course, GuestInfo, Office, closing, farewell},
    wire::{
        self, Answer, Attach, GREETING, Govern, Governed, Hello, Order, Refusal, Summary, Told, Wanted,
        Whence,
    },
};
use crate::{
    event::{Decided, Event, What},
    model::TaskName,
    plan::Standpoint,
    session::{AttachError, Request, Run, RunControl, RunSummary, SessionError, WatchControl},
};

/// More than this is not collected for a guest that does not take it.
const ROOM: usize = 64 << 10;
/// How much is read at once.
const PIECE: usize = 16 << 10;

/// The guest is gone, or speaks nonsense: nobody is left to be told.
#[derive(Debug)]
pub(super) struct Gone;

/// Attends to a guest.
pub(crate) async fn attend(stream: UnixStream, office: Arc<Office>) {
    let (read, write) = stream.into_split();
    let mut guest = Line { ear: Ear::new(read), mouth: Mouth::new(write, office.options.patience) };
    let mut course = office.course.subscribe();
    let heard = tokio::select! {
        heard = timeout(office.options.hello_within, receive(&mut guest, &office)) => heard,
        () = closing(&mut course) => return,
    };
    let Ok(Ok(Visitor { pid, ground, standpoint, wanted, is_keeper })) = heard else { return };
    let enter =
        |label: &String, is_attached| office.enter(GuestInfo { label: label.clone(), pid, is_attached });
    // Whoever fails here has nobody left to tell.
    match wanted {
        // What the files say by now may be something else.
        Wanted::Run(_) | Wanted::Attach(_) | Wanted::Govern(Govern { what: Governed::Started, .. })
            if is_keeper => {}
        Wanted::Run(ask) => {
            let _ticket = enter(&ask.label, false);
            let everything = ask.everything;
            let Some(mut request) = ask.into_request() else { return };
            let _ = match ground.complete(&mut request, standpoint) {
                Ok(()) => serve(&mut guest, &ground, request, everything, course).await,
                Err(refusal) => guest.mouth.say_last(&Told::Refused(refusal)).await,
            };
        }
        Wanted::Govern(what) => {
            let _ticket = enter(&what.label, false);
            let _ = govern(&mut guest, &ground, &*office.host, what, standpoint, course).await;
        }
        Wanted::Attach(attach) => {
            let _ticket = enter(&attach.label, true);
            let Some((watch, _)) = office.host.watch() else { return };
            tokio::select! {
                _ = look_on(&mut guest, &ground, watch, &attach, &standpoint) => {}
                () = farewell(&mut course) => {}
            }
        }
    }
}

/// A guest, what it wants, and from what it is served.
struct Visitor {
    pid: u32,
    ground: Arc<Ground>,
    standpoint: Standpoint,
    wanted: Wanted,
    /// Whether it sees to processes, whatever the files say.
    is_keeper: bool,
}

async fn receive(guest: &mut Line, office: &Arc<Office>) -> Result<Visitor, Gone> {
    let greeting = wire::greeting(office.options.build);
    guest.mouth.waiting.extend(greeting);
    if guest.ear.greeting().await? != greeting {
        guest.mouth.flush().await?;
        return Err(Gone);
    }
    let hello: Hello = guest.ear.hear().await?;
    let is_keeper = matches!(hello.whence, Whence::Keeper { .. });
    let (asking, asked) = (Arc::clone(office), hello.clone());
    let admit = move || {
        let ground = match is_keeper {
            true => asking.host.kept()?,
            false => match asking.host.admit() {
                Admission::Served(ground) => ground,
                Admission::Wait => return None,
            },
        };
        ground.standpoint(&asked).map(|standpoint| (ground, standpoint))
    };
    let Some((ground, standpoint)) = spawn_blocking(admit).await.ok().flatten() else {
        guest.mouth.say_last(&Answer::No).await?;
        return Err(Gone);
    };
    let watch = office.host.watch().map(|(_, label)| label);
    guest.mouth.say_last(&Answer::Welcome(ground.welcome(watch, office.host.is_up()))).await?;
    let wanted = guest.ear.hear().await?;
    Ok(Visitor { pid: hello.pid, ground, standpoint, wanted, is_keeper })
}

/// Tells a guest what a watch tells, until that is over or the guest has gone.
async fn look_on(
    guest: &mut Line,
    ground: &Ground,
    watch: &WatchControl,
    attach: &Attach,
    standpoint: &Standpoint,
) -> Result<(), Gone> {
    let (named, others) = match ground.tasks_of(attach, standpoint) {
        Ok(wanted) => wanted,
        Err(error) => return guest.mouth.say_last(&Told::Refused(error.into())).await,
    };
    let mut attachment = match watch.attach(named.iter().cloned().chain(others).collect()).await {
        Ok(attachment) => attachment,
        Err(AttachError::Unwatched { mut missing, watched }) => {
            // What belongs to one that is missing goes without saying.
            if missing.iter().any(|task| named.contains(task)) {
                missing.retain(|task| named.contains(task));
            }
            return guest.mouth.say_last(&Told::Refused(Refusal::Unwatched(missing, watched))).await;
        }
        Err(AttachError::Over) => return guest.mouth.say_last(&Told::WatchOver).await,
    };
    let Line { ear, mouth } = guest;
    loop {
        let is_full = mouth.waiting.len() >= ROOM;
        tokio::select! {
            biased;
            order = ear.hear() => match order? {
                // The watch is not the guest's to end.
                Order::Interrupt | Order::Kill => return Ok(()),
                Order::RerunFailed => watch.rerun_failed(),
                Order::RerunAll => watch.rerun_all(),
                Order::Hold(hold) => watch.hold(hold),
            },
            event = attachment.next_event(), if !is_full => match event {
                Some(event) if attach.everything || is_shown(&event.what) => mouth.say(&Told::of(event))?,
                Some(_) => {}
                None => break,
            },
            written = mouth.write(), if !mouth.waiting.is_empty() => written?,
        }
    }
    // One that was let go of because it did not read may come again.
    if attachment.is_over() { mouth.say_last(&Told::WatchOver).await } else { Err(Gone) }
}

/// Has a request run, and tells what becomes of it.
async fn serve(
    guest: &mut Line,
    ground: &Ground,
    request: Request,
    everything: bool,
    mut course: watch::Receiver<Course>,
) -> Result<(), Gone> {
    let run = match ground.session().start(request) {
        Ok(run) => run,
        // Whoever is told nothing asks again, and is served from what goes on.
        Err(SessionError::Left) => return Err(Gone),
        Err(error) => return guest.mouth.say_last(&Told::Refused(error.into())).await,
    };
    let mut telling = Telling::new(guest, everything);
    let summary = telling.tell(run, &mut course).await?;
    telling.conclude(&summary).await
}

/// Tells a guest of its run.
pub(super) struct Telling<'a> {
    guest: &'a mut Line,
    /// Whether it wants to be told what it does not show, too.
    everything: bool,
    /// It has taken nothing for long: lines of tasks are left out.
    is_slow: bool,
    /// How many were left out since it was last told so.
    left_out: BTreeMap<TaskName, u64>,
}

impl<'a> Telling<'a> {
    pub(super) const fn new(guest: &'a mut Line, everything: bool) -> Self {
        Self { guest, everything, is_slow: false, left_out: BTreeMap::new() }
    }

    /// Tells everything until the run is over. If the guest vanishes or is sent away the run is ended, and its end
    /// waited for; nothing came of it then.
    pub(super) async fn tell(
        &mut self,
        mut run: Run,
        course: &mut watch::Receiver<Course>,
    ) -> Result<RunSummary, Gone> {
        let control = run.control();
        let mut is_paused = false;
        let served = loop {
            let now = *course.borrow_and_update();
            if now.is_dismissing {
                break Err(Gone);
            }
            if now.is_paused != is_paused {
                is_paused = now.is_paused;
                if is_paused { control.pause() } else { control.resume() }
            }
            let Line { ear, mouth } = &mut *self.guest;
            let (is_full, stalled_at) = (mouth.waiting.len() >= ROOM, mouth.stalled_at());
            let done = tokio::select! {
                biased;
                order = ear.hear() => order.map(|order| obey(&control, order)),
                _ = course.changed() => Ok(()),
                event = run.next_event(), if !is_full || self.is_slow => match event {
                    Some(event) => self.event(event),
                    None => break Ok(()),
                },
                written = mouth.write(), if !mouth.waiting.is_empty() => written.map(|()| self.is_slow = false),
                () = sleep_until(stalled_at), if is_full && !self.is_slow => {
                    self.is_slow = true;
                    Ok(())
                }
            };
            if done.is_err() {
                break done;
            }
        };
        if served.is_err() {
            control.interrupt();
        }
        let summary = run.finish().await.map_err(|_| Gone);
        served.and(summary)
    }

    fn event(&mut self, event: Event) -> Result<(), Gone> {
        let mouth = &mut self.guest.mouth;
        if let What::Log { task, .. } = &event.what
            && self.is_slow
            && mouth.waiting.len() >= ROOM
        {
            *self.left_out.entry(task.clone()).or_default() += 1;
            return Ok(());
        }
        for (task, lines) in std::mem::take(&mut self.left_out) {
            mouth.say(&Told::of(Event { what: What::LogGap { task, lines }, ..event }))?;
        }
        if self.everything || is_shown(&event.what) { mouth.say(&Told::of(event)) } else { Ok(()) }
    }

    async fn conclude(&mut self, summary: &RunSummary) -> Result<(), Gone> {
        let mouth = &mut self.guest.mouth;
        for (task, output) in &summary.outputs {
            mouth.say(&Told::Output { task: task.clone(), json: output.to_string().into_bytes() })?;
        }
        for (name, value) in &summary.exports {
            mouth.say(&Told::Export { name: name.clone(), value: value.clone() })?;
        }
        mouth.say_last(&Told::Over(Box::new(Summary::of(summary)))).await
    }
}

/// Whether a screen shows anything of it.
const fn is_shown(what: &What) -> bool {
    match what {
        What::Plan { .. } => false,
        What::Decision { action, .. } => !matches!(action, Decided::Cached | Decided::Skip),
        _ => true,
    }
}

fn obey(control: &RunControl, order: Order) {
    match order {
        Order::Interrupt => control.interrupt(),
        Order::Kill => control.kill(),
        // A run is no watch.
        Order::RerunFailed | Order::RerunAll | Order::Hold(_) => {}
    }
}

/// The connection to a guest.
pub(super) struct Line {
    pub(super) ear: Ear,
    pub(super) mouth: Mouth,
}

/// What comes from a guest.
pub(super) struct Ear {
    from: OwnedReadHalf,
    received: Vec<u8>,
}

impl Ear {
    const fn new(from: OwnedReadHalf) -> Self {
        Self { from, received: Vec::new() }
    }

    async fn read(&mut self) -> Result<(), Gone> {
        self.received.reserve(PIECE);
        match self.from.read_buf(&mut self.received).await {
            Ok(0) | Err(_) => Err(Gone),
            Ok(_) => Ok(()),
        }
    }

    async fn greeting(&mut self) -> Result<[u8; GREETING], Gone> {
        loop {
            if let Some(greeting) = self.received.first_chunk().copied() {
                self.received.drain(..GREETING);
                return Ok(greeting);
            }
            self.read().await?;
        }
    }

    /// The next message. Can be dropped and called again.
    pub(super) async fn hear<T: DeserializeOwned>(&mut self) -> Result<T, Gone> {
        loop {
            if let Some((message, used)) = wire::take(&self.received).map_err(|_| Gone)? {
                self.received.drain(..used);
                return Ok(message);
            }
            self.read().await?;
        }
    }
}

/// What goes to a guest.
pub(super) struct Mouth {
    to: OwnedWriteHalf,
    waiting: Vec<u8>,
    /// When it last took something.
    took: Instant,
    patience: Duration,
}

impl Mouth {
    fn new(to: OwnedWriteHalf, patience: Duration) -> Self {
        Self { to, waiting: Vec::new(), took: Instant::now(), patience }
    }

    /// What has no form that can be sent ends it all: the guest does it by itself then.
    fn say<T: Serialize>(&mut self, message: &T) -> Result<(), Gone> {
        if self.waiting.is_empty() {
            self.took = Instant::now();
        }
        wire::put(message, &mut self.waiting).map_err(|_| Gone)
    }

    /// When it is to be taken for one that does not read.
    fn stalled_at(&self) -> Instant {
        self.took + self.patience
    }

    /// Writes some of what waits. Can be dropped and called again.
    async fn write(&mut self) -> Result<(), Gone> {
        let written = self.to.write(&self.waiting).await.map_err(|_| Gone)?;
        self.waiting.drain(..written);
        self.took = Instant::now();
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        while !self.waiting.is_empty() {
            timeout(self.patience, self.write()).await.map_err(|_| Gone)??;
        }
        Ok(())
    }

    pub(super) async fn say_last<T: Serialize>(&mut self, message: &T) -> Result<(), Gone> {
        self.say(message)?;
        self.flush().await
    }
}
