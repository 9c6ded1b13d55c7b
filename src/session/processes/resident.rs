//! One process. Its [`Supervisor`] says what is to be done; here it is done, and what happens is told the supervisor.

mod asking;
mod clock;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    time::sleep_until,
};

use asking::Probing;
use clock::Clock;

use super::{State, news::News, prepared::Prepared};
use crate::{
    event::{ProcessStatus, What},
    model::{Stage, TaskName},
    process::{
        ActivationSocket, Command, Ended, JobControl, Launch, LineSink, ListenOn, Notice, NotifySocket,
        Piece, SinkMode, Warden,
    },
    schedule::supervise::{Accused, Deed, Happening, Supervisor},
    session::results::HandedOn,
    store::now_ms,
};

/// Lines that may wait between a process and us. We never wait for anybody, so they do not for long.
const LINES: usize = 256;
/// How much longer than any grace its first signal gives a process: its supervisor says when that is over.
const NO_HURRY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How many last lines of one that ended are kept.
const TAIL: usize = 200;

/// What a resident is told from outside.
#[derive(Debug)]
pub(super) enum Order {
    /// Start it with this; if it is up, end it first.
    Begin {
        number: u64,
        prepared: Box<Prepared>,
    },
    /// The same with what it had.
    Again {
        number: u64,
    },
    Stop,
    Kill,
    Pause,
    Resume,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A process, whether or not it runs just now.
pub(super) struct Resident {
    warden: Warden,
    news: News,
    orders: mpsc::UnboundedReceiver<Order>,
    state: watch::Sender<State>,
    /// What is to be known of it.
    now: State,
    /// Whether that is more than its stage.
    is_changed: bool,
    supervisor: Supervisor,
    /// With what it runs.
    prepared: Option<Prepared>,
    /// With what it is to be begun anew.
    next: Option<Prepared>,
    clock: Clock,
    job: Option<Running>,
    probe: Option<Probing>,
    notify: Option<NotifySocket>,
    /// What was opened for it, as long as it is up.
    sockets: Vec<(String, ListenOn, ActivationSocket)>,
}

/// Its job.
struct Running {
    control: JobControl,
    pid: u32,
    finish: Work<Ended>,
    lines: mpsc::Receiver<Piece>,
}

/// What happened.
enum Happened {
    Order(Option<Order>),
    Ended(Box<Ended>),
    Line(Option<Piece>),
    Answer(Result<(), String>),
    Notice(Notice),
    Time,
}

impl Resident {
    /// Takes up a process nobody has begun yet.
    pub(super) fn start(
        task: TaskName,
        warden: Warden,
        news: News,
    ) -> (mpsc::UnboundedSender<Order>, watch::Receiver<State>) {
        let (to, orders) = mpsc::unbounded_channel();
        let now = State::of(task);
        let (state, shown) = watch::channel(now.clone());
        let resident = Self {
            warden,
            news,
            orders,
            state,
            now,
            is_changed: false,
            supervisor: Supervisor::idle(),
            prepared: None,
            next: None,
            clock: Clock::new(),
            job: None,
            probe: None,
            notify: None,
            sockets: Vec::new(),
        };
        tokio::spawn(resident.live());
        (to, shown)
    }

    async fn live(mut self) {
        loop {
            match self.next().await {
                Happened::Order(Some(order)) => self.obey(order),
                // The session is gone; what runs is its warden's to end.
                Happened::Order(None) => return,
                Happened::Ended(ended) => self.ended(*ended),
                Happened::Line(Some(piece)) => self.line(piece),
                Happened::Line(None) => {}
                Happened::Answer(answer) => self.answered(answer),
                Happened::Notice(notice) => self.noticed(notice),
                Happened::Time => self.tell(Happening::Tick),
            }
            self.publish();
        }
    }

    async fn next(&mut self) -> Happened {
        let due = self.supervisor.due().and_then(|at| self.clock.instant(at));
        let (ended, line) = match &mut self.job {
            Some(job) => (Some(&mut job.finish), Some(&mut job.lines)),
            None => (None, None),
        };
        tokio::select! {
            biased;
            order = self.orders.recv() => Happened::Order(order),
            // Also of one that writes without a pause.
            () = until(due) => Happened::Time,
            notice = noticed(self.notify.as_mut()) => Happened::Notice(notice),
            // What it has written comes before its end.
            line = received(line) => Happened::Line(line),
            ended = done(ended) => Happened::Ended(Box::new(ended)),
            answer = done(self.probe.as_mut().map(|probe| &mut probe.answer)) => Happened::Answer(answer),
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Begin { number, prepared } => {
                let what = if self.is_at_rest() { Happening::Start } else { Happening::Renew };
                self.next = Some(*prepared);
                self.begin(number, what);
            }
            Order::Again { number } => {
                let what = if self.is_at_rest() { Happening::Start } else { Happening::Renew };
                match self.prepared.is_some() || self.next.is_some() {
                    true => self.begin(number, what),
                    false => self.touch().begun = number,
                }
            }
            Order::Stop => {
                // Who stands still does not end.
                self.obey(Order::Resume);
                self.tell(Happening::Stop);
            }
            Order::Kill => {
                self.obey(Order::Stop);
                self.control(JobControl::kill);
            }
            Order::Pause if self.clock.pause() => self.control(JobControl::pause),
            Order::Resume if self.clock.resume() => self.control(JobControl::resume),
            Order::Pause | Order::Resume => {}
        }
    }

    fn control(&self, order: impl FnOnce(&JobControl)) {
        if let Some(job) = &self.job {
            order(&job.control);
        }
    }

    fn is_at_rest(&self) -> bool {
        self.supervisor.stage().is_at_rest()
    }

    fn begin(&mut self, number: u64, what: Happening) {
        let now = self.touch();
        now.begun = number;
        (now.spawned_before, now.readied_before) = (now.spawned, now.readied);
        now.fault = None;
        (now.status.exit_code, now.status.signal) = (None, None);
        (now.status.says, now.status.trouble) = (None, None);
        // What is being ended is wanted again.
        let is_stopping = self.supervisor.stage() == Stage::Stopping;
        self.tell(if is_stopping { Happening::Start } else { what });
    }

    /// What is known of it, to be changed; that is told in the end.
    fn touch(&mut self) -> &mut State {
        self.is_changed = true;
        &mut self.now
    }

    /// From here on it is what it was prepared to be last.
    fn take_next(&mut self) {
        if let Some(next) = self.next.take() {
            self.supervisor.change(&next.spec, next.probe.clone());
            self.notify = None;
            let status = &mut self.touch().status;
            (status.ports, status.log) = (next.ports.clone(), Some(next.log_name.clone()));
            self.prepared = Some(next);
        }
    }

    /// Tells the supervisor, and does what it wants then.
    fn tell(&mut self, what: Happening) {
        let was = self.supervisor.stage();
        let deeds = self.supervisor.tell(what, self.clock.now());
        let is_ready = self.supervisor.stage() == Stage::Ready && was != Stage::Ready;
        let begins_to_end = was != Stage::Stopping && self.supervisor.stage() == Stage::Stopping;
        for deed in deeds {
            self.carry_out(deed);
        }
        if begins_to_end {
            self.accuse();
        }
        if is_ready {
            self.ready(was);
        }
    }

    /// Notes for what it is being ended, if nobody wanted that.
    fn accuse(&mut self) {
        let Some(accused) = self.supervisor.accused() else { return };
        let probed = self.now.status.trouble.take().map(|trouble| format!(": {trouble}")).unwrap_or_default();
        self.trouble(Some(match accused {
            Accused::NotReady => format!("it was not ready in time{probed}"),
            Accused::Unwell => format!("its probe failed too often{probed}"),
            Accused::Unfed => "it did not feed its watchdog".to_owned(),
            Accused::ByItself => "it said itself that it is not well".to_owned(),
        }));
    }

    fn carry_out(&mut self, deed: Deed) {
        match deed {
            Deed::Spawn => {
                self.take_next();
                let happened = match self.spawn() {
                    Ok(()) => {
                        self.touch().spawned += 1;
                        Happening::Spawned
                    }
                    Err(why) => {
                        self.trouble(Some(why));
                        Happening::NotSpawned
                    }
                };
                self.tell(happened);
            }
            Deed::Probe => match self.ask() {
                Ok(probing) => self.probe = Some(probing),
                Err(why) => self.answered(Err(why)),
            },
            Deed::EndProbe => {
                // Of one that is being ended something else is to be said.
                if self.probe.is_some() && self.supervisor.stage() != Stage::Stopping {
                    self.trouble(Some("its probe did not answer in time".to_owned()));
                }
                self.end_probe();
            }
            Deed::Signal(signal) => self.control(|job| job.terminate_with(signal, NO_HURRY)),
            Deed::Kill => self.control(JobControl::kill),
        }
    }

    fn spawn(&mut self) -> Result<(), String> {
        self.trouble(None);
        let prepared = self.prepared.as_mut().ok_or_else(|| "nothing is known of it".to_owned())?;
        prepared.begin_anew()?;
        if prepared.hears_notices() && self.notify.is_none() {
            let bound = NotifySocket::bind(prepared.private_dir());
            self.notify = Some(bound.map_err(|error| format!("cannot make its notify socket: {error}"))?);
        }
        self.open_sockets()?;
        let prepared = self.prepared.as_ref().ok_or_else(|| "nothing is known of it".to_owned())?;
        let (to, lines) = mpsc::channel(LINES);
        let launch = |command: &Command| {
            let mut command = command.clone();
            command.sockets = self.sockets.iter().map(|(.., socket)| socket.clone()).collect();
            if let Some(socket) = &self.notify {
                command.env.push(("NOTIFY_SOCKET".into(), socket.path().into()));
            }
            let lines = LineSink { to: to.clone(), mode: SinkMode::Lossless };
            let log = Some(prepared.log.clone());
            self.warden.spawn(Launch { command, log, lines: Some(lines), timeout: None })
        };
        let job = match (launch(&prepared.command), &prepared.by_shell) {
            (Err(_), Some(by_shell)) => launch(by_shell),
            (job, _) => job,
        };
        drop(to);
        let job = job.map_err(|error| error.to_string())?;
        self.job =
            Some(Running { control: job.control(), pid: job.pid(), finish: Box::pin(job.finish()), lines });
        if self.clock.is_paused() {
            self.control(JobControl::pause);
        }
        Ok(())
    }

    /// Opens the sockets it is to have; those that it had before stay open, so that nobody who connects is turned away.
    fn open_sockets(&mut self) -> Result<(), String> {
        let wanted = self.prepared.as_ref().map(|prepared| prepared.listen.clone()).unwrap_or_default();
        let mut kept = std::mem::take(&mut self.sockets);
        kept.retain(|(name, on, _)| wanted.iter().any(|(other, place)| other == name && place == on));
        for (name, on) in wanted {
            let known = kept.iter().position(|(other, ..)| *other == name);
            let socket = match known {
                Some(at) => kept.swap_remove(at).2,
                None => ActivationSocket::open(&name, &on).map_err(|fault| fault.to_string())?,
            };
            self.sockets.push((name, on, socket));
        }
        Ok(())
    }

    fn ask(&self) -> Result<Probing, String> {
        let prepared = self.prepared.as_ref().ok_or_else(|| "nothing is known of it".to_owned())?;
        Probing::begin(&prepared.question, &self.warden)
    }

    fn end_probe(&mut self) {
        if let Some(probe) = self.probe.take() {
            probe.end();
        }
    }

    fn answered(&mut self, answer: Result<(), String>) {
        self.probe = None;
        let well = answer.is_ok();
        self.trouble(answer.err());
        self.tell(Happening::Probed(well));
    }

    fn noticed(&mut self, notice: Notice) {
        match notice {
            Notice::Ready => self.tell(Happening::SaysReady),
            Notice::Stopping => self.tell(Happening::SaysStopping),
            Notice::Feeds => self.tell(Happening::Feeds),
            Notice::Trips => self.tell(Happening::Trips),
            Notice::Extends(time) => self.tell(Happening::Extends(time)),
            Notice::Status(text) => self.touch().status.says = Some(text),
            Notice::Reloading => self.touch().status.says = Some("reloading".to_owned()),
        }
    }

    fn line(&mut self, piece: Piece) {
        let task = || self.now.status.task.clone();
        match piece {
            Piece::Line { stream, bytes } => {
                let matches = self.prepared.as_ref().is_some_and(|prepared| prepared.is_awaited(&bytes));
                if self.news.wants_lines() {
                    let line = String::from_utf8_lossy(&bytes).into_owned();
                    self.news.line(What::Log { task: task(), stream, line });
                }
                if matches {
                    self.tell(Happening::Probed(true));
                }
            }
            Piece::Gap { lines } => self.news.line(What::LogGap { task: task(), lines }),
        }
    }

    fn ended(&mut self, ended: Ended) {
        // What it wrote last is there by now.
        while let Some(piece) = self.job.as_mut().and_then(|job| job.lines.try_recv().ok()) {
            self.line(piece);
        }
        self.job = None;
        let skip = ended.tail.len().saturating_sub(TAIL);
        let is_accused = self.supervisor.accused().is_some();
        let now = self.touch();
        (now.status.exit_code, now.status.signal) = (ended.exit.code, ended.exit.signal);
        // What its probe came to before says nothing beside that.
        now.status.trouble.take_if(|_| !is_accused);
        now.tail = Arc::new(ended.tail.into_iter().skip(skip).collect());
        if let Some(fault) = ended.log_fault {
            let task = Some(self.now.status.task.clone());
            self.news.tell(What::Warning { task, message: format!("its log is not complete: {fault}") });
        }
        self.end_probe();
        self.tell(Happening::Ended { well: ended.exit.is_success() });
    }

    /// It has become ready. What it has handed on until now counts.
    fn ready(&mut self, was: Stage) {
        let handed = match &self.prepared {
            Some(prepared) if was == Stage::Starting => prepared.handed(),
            _ => Ok(None),
        };
        let now = self.touch();
        now.readied += 1;
        now.status.trouble = None;
        match handed {
            Ok(Some(handed)) => now.handed = Arc::new(handed),
            Ok(None) => {}
            Err(fault) => {
                now.fault = Some(fault.clone());
                self.trouble(Some(fault));
                self.tell(Happening::Stop);
            }
        }
    }

    fn trouble(&mut self, trouble: Option<String>) {
        if self.now.status.trouble != trouble {
            self.touch().status.trouble = trouble;
        }
    }

    /// Makes known how it stands, if that is news: all of it at once.
    fn publish(&mut self) {
        let stage = self.supervisor.stage();
        if stage.is_at_rest() {
            self.sockets.clear();
        }
        let pid = self.job.as_ref().map(|job| job.pid);
        let restarts = u32::try_from(self.supervisor.restarts()).unwrap_or(u32::MAX);
        let status = &mut self.now.status;
        if stage != status.stage {
            status.since_ms = now_ms();
        }
        let is_news = (status.stage, status.pid, status.restarts) != (stage, pid, restarts);
        (status.stage, status.pid, status.restarts) = (stage, pid, restarts);
        if !is_news && !std::mem::take(&mut self.is_changed) {
            return;
        }
        self.is_changed = false;
        // Whoever sees where it stands has been told.
        if self.state.borrow().status != self.now.status {
            self.news.tell(What::ProcessState(Box::new(self.now.status.clone())));
        }
        self.state.send_replace(self.now.clone());
    }
}

impl State {
    /// Waits until it is at rest, having taken in the orders that begin it, of which there were so many. Whoever has begun
    /// it again since sees to it.
    pub(super) async fn rest_after((mut state, begun): (watch::Receiver<Self>, u64)) {
        let at_rest =
            |state: &Self| state.begun > begun || state.begun == begun && state.status.stage.is_at_rest();
        // One that is gone is at rest.
        let _ = state.wait_for(at_rest).await;
    }

    /// Of a process nobody has begun.
    pub(super) fn of(task: TaskName) -> Self {
        let status = ProcessStatus { since_ms: now_ms(), ..ProcessStatus::not_started(task) };
        Self {
            begun: 0,
            spawned: 0,
            spawned_before: 0,
            readied: 0,
            readied_before: 0,
            status,
            handed: Arc::new(HandedOn::default()),
            fault: None,
            tail: Arc::default(),
        }
    }
}

async fn done<T>(work: Option<&mut Work<T>>) -> T {
    match work {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

async fn received(lines: Option<&mut mpsc::Receiver<Piece>>) -> Option<Piece> {
    match lines {
        // Its end is told otherwise.
        Some(lines) => match lines.recv().await {
            Some(piece) => Some(piece),
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn noticed(socket: Option<&mut NotifySocket>) -> Notice {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
