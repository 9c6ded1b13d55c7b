//! `devtask up` and `devtask attach`: keeping processes up, here or in the background, and looking on.

use std::{
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use devtask::{
    event::{Event, What},
    model::{Outcome, TaskName},
    serve::{Govern, Governed},
};

use super::{
    guest::Visit,
    processes::{Answer, Reached, ask_visited, conclude, govern, last_lines, selected},
    watch,
};
use crate::{
    app::{App, Tree, complain, complain_with, internal},
    args::{Up, UpArgs, WatchArgs},
    exit::Exit,
    render::{
        lines::{Lines, Style},
        process::short_name,
        text::{output_line, shown},
    },
};

/// How often it is looked whether what was put into the background answers.
const GLANCE: Duration = Duration::from_millis(10);
/// How long one waits before one tries again to hold the tree.
const PAUSE: Duration = Duration::from_millis(100);
/// How long what is up may take to go by task files that were edited.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many lines of a process are shown that were written before one looked on.
const RECALLED: u64 = 10;

pub(crate) fn up(app: &mut App, args: &UpArgs) -> Result<Exit, Exit> {
    let tree = app.load()?;
    let names = selected(&tree, &args.names)?;
    if names.is_empty() {
        complain_with(
            "there is no process to start",
            "`[processes.<name>]` in a task file declares one; with `start.enable = false` it has to be named",
        );
        return Err(Exit::NothingMatched);
    }
    if args.detach {
        return in_background(app, &tree, &names, &Detached::by(args));
    }
    if args.background {
        // Nothing that happens to the terminal it was started from is to reach it.
        let _ = rustix::process::setsid();
    }
    let mut watch = args.watch();
    watch.run.names = names.iter().map(ToString::to_string).collect();
    // What processes say is what one looks on for.
    watch.run.show_output = Some(!args.background);
    watch::watch(app, &watch)
}

/// How processes are to be up in the background.
pub(crate) struct Detached {
    /// How long it may take until they are ready.
    within: Duration,
    strict_ports: bool,
    /// What is handed on to what goes into the background.
    flags: Vec<OsString>,
}

impl Detached {
    pub(crate) fn within(within: Duration) -> Self {
        Self { within, strict_ports: false, flags: Vec::new() }
    }

    fn by(args: &UpArgs) -> Self {
        let mut flags = vec![format!("--mode={}", devtask::plan::Mode::from(args.mode))];
        flags.extend(args.follow.then(|| "--watch".to_owned()));
        flags.extend(args.strict_ports.then(|| "--strict-ports".to_owned()));
        flags.extend(args.jobs.map(|jobs| format!("--jobs={jobs}")));
        flags.extend(args.poll.map(|poll| format!("--poll={}", poll.as_secs_f64())));
        let flags = flags.into_iter().map(OsString::from).collect();
        Self { within: args.timeout, strict_ports: args.strict_ports, flags }
    }
}

/// Has these processes up in the background, and returns once they are ready or cannot be.
pub(crate) fn in_background(
    app: &App,
    tree: &Tree,
    names: &[TaskName],
    detached: &Detached,
) -> Result<Exit, Exit> {
    // Of another build's nothing can be had, however long one waits.
    drop(Visit::of_keeper(app, Some(tree))?);
    let begin = Instant::now();
    let mut child = None;
    let style =
        Style { color: app.color_err, quiet: app.globals.quiet, explain: false, tail: 25, streamed: false };
    let mut lines = Lines::new(style);
    loop {
        let visit = Visit::of_loaded(app, tree);
        let owner = visit.as_ref().and_then(|visit| visit.welcome.watch.as_ref()).map(|watch| watch.pid);
        if let (Some(visit), Some(owner)) = (visit, owner) {
            // One who came too late would have them up again once they are taken down.
            if let Some(late) = child.take_if(|background: &mut Background| background.child.id() != owner) {
                late.end();
            }
            let left = detached.within.saturating_sub(begin.elapsed());
            let wanted = names.iter().map(ToString::to_string).collect();
            let answer = match &mut child {
                // It is starting them.
                Some(background) => {
                    background.follow(visit, govern(wanted, Governed::Ready, left), app.globals.quiet)?
                }
                None => {
                    let mut wanted = govern(wanted, Governed::Started, left);
                    wanted.strict_ports = detached.strict_ports;
                    let mut show = |event: &Event| {
                        if is_of_interest(&event.what) {
                            lines.of(event).iter().for_each(|line| eprintln!("{line}"));
                        }
                    };
                    ask_visited(visit, wanted, &mut show)?
                }
            };
            if let Some(answer) = answer {
                return Ok(conclude(app, &tree.loaded.root, &answer));
            }
        }
        match &mut child {
            None => child = Some(Background::start(app, tree, names, &detached.flags)?),
            Some(background) => match background.ended() {
                // Somebody else was first, and is asked now; unless that was no more than a moment.
                Some(Exit::Held) if !app.globals.no_wait => {
                    child = None;
                    if begin.elapsed() > PATIENCE && Visit::of_keeper(app, Some(tree))?.is_some_and(is_up) {
                        complain_with(
                            "what is up here cannot go by the task files as they are now",
                            "`.devtask/processes/up.log` says why; `devtask down` ends it",
                        );
                        return Ok(Exit::Held);
                    }
                    std::thread::sleep(PAUSE);
                }
                Some(exit) => return Ok(exit),
                None => {}
            },
        }
        if begin.elapsed() > detached.within {
            complain("what was put into the background did not answer in time, and was ended");
            if let Some(late) = child {
                late.end();
            }
            return Ok(Exit::Failed);
        }
        std::thread::sleep(GLANCE);
    }
}

fn is_up((owner, _): (Visit, std::path::PathBuf)) -> bool {
    owner.welcome.watch.is_some_and(|watch| watch.is_up)
}

/// What is told while processes are brought up. What has succeeded has begun, no more, and how that stands is said in
/// the end.
fn is_of_interest(what: &What) -> bool {
    match what {
        What::RunFinished { .. } => false,
        What::TaskFinished(finished) => !matches!(finished.status, Outcome::Cached | Outcome::Skipped),
        _ => true,
    }
}

/// A devtask in the background.
struct Background {
    child: Child,
    /// What it says.
    said: File,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Background {
    fn start(app: &App, tree: &Tree, names: &[TaskName], flags: &[OsString]) -> Result<Self, Exit> {
        let fail = |error: std::io::Error| internal(&format!("cannot go into the background: {error}"));
        let state_dir = app.state_dir(tree);
        devtask::store::StateDir::create(&state_dir)
            .and_then(|dir| dir.subdir("processes"))
            .map_err(|error| internal(&error.to_string()))?;
        let place = state_dir.join("processes").join("up.log");
        // Under a name of its own at first: others may do the same at this moment.
        let own = place.with_extension(format!("{}.log", std::process::id()));
        let mut options = OpenOptions::new();
        let log = options.append(true).create(true).mode(0o600).open(&own).map_err(fail)?;
        let said = File::open(&own).map_err(fail)?;
        fs::rename(&own, &place).map_err(fail)?;
        let mut command = Command::new(env::current_exe().map_err(fail)?);
        command.arg("-C").arg(&app.start_dir);
        if let Some(file) = &app.globals.file {
            command.arg("--file").arg(file);
        }
        command.arg("--state-dir").arg(&state_dir);
        if let Some(granularity) = app.globals.granularity {
            command.arg(format!("--granularity={}s", granularity.as_secs_f64()));
        }
        // Who waits is who asks: what goes on by itself must not have processes up at some later time.
        command.arg("--no-wait");
        command.args(["up", "--background", "--ui=plain", "--color=never"]).args(flags);
        command.args(names.iter().map(TaskName::as_str));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(fail)?;
        Ok(Self { child, said, rest: Vec::new() })
    }

    /// Ends it, for it is not needed.
    fn end(mut self) {
        use rustix::process::{Pid, Signal, kill_process};
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }

    /// Waits for an answer, and shows what it says meanwhile.
    fn follow(&mut self, visit: Visit, wanted: Govern, is_quiet: bool) -> Result<Option<Answer>, Exit> {
        let asking = std::thread::spawn(move || ask_visited(visit, wanted, &mut |_| {}));
        while !asking.is_finished() {
            std::thread::sleep(GLANCE);
            if !is_quiet {
                self.show();
            }
        }
        // A panic was told of where it happened.
        asking.join().unwrap_or(Err(Exit::Internal))
    }

    /// Shows what it has said since.
    fn show(&mut self) {
        let mut said = Vec::new();
        // What cannot be read is in the file.
        let _ = self.said.read_to_end(&mut said);
        self.rest.extend(said);
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.rest.drain(..whole).collect();
        String::from_utf8_lossy(&whole).lines().for_each(|line| eprintln!("{}", shown(line)));
    }

    /// What its end means to us, if it has ended.
    fn ended(&mut self) -> Option<Exit> {
        let status = self.child.try_wait().ok().flatten()?;
        let exit = match status.code() {
            Some(2) => Exit::Usage,
            Some(4) => Exit::NothingMatched,
            Some(6) => Exit::Held,
            // It has ended before anybody could ask: everything it had to keep up has.
            Some(0) => Exit::Done,
            Some(1) => Exit::Failed,
            _ => Exit::Internal,
        };
        // Whose the tree is then is asked next.
        if !matches!(exit, Exit::Held) {
            self.show();
        }
        Some(exit)
    }
}

/// `devtask attach`.
pub(crate) fn attach(app: &mut App) -> Result<Exit, Exit> {
    let mut watch = WatchArgs::usual();
    watch.run.show_output = Some(true);
    watch.up = Some(Up { follow: false, background: false });
    app.load()?;
    if !app.globals.quiet {
        recall(app)?;
    }
    watch::look_on(app, &watch)
}

/// Shows what processes that are up wrote last: what they write from now on comes below.
fn recall(app: &mut App) -> Result<(), Exit> {
    let mut reached = Reached::of(app)?;
    let statuses = reached.statuses(&[])?;
    for status in statuses.iter().filter(|status| !status.stage.is_at_rest()) {
        let Some(log) = &status.log else { continue };
        for line in last_lines(&reached.root.join(log), RECALLED) {
            let name = short_name(status.task.as_str());
            eprintln!("[{name}]  {}", output_line(&line, app.color_err));
        }
    }
    Ok(())
}
