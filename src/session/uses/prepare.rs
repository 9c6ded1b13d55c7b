//! What is started for a process, and how it is asked whether it is ready: from its declaration, with ports.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    model::{Action, LinePattern, ListenKind, Probe, ProbeKind, ProcessSpec, TaskId, TaskKind, Written},
    process::{Command, HttpQuestion, ListenOn, LogTarget, Scheme},
    session::{
        context::RunContext,
        execute::{Failure, Start},
        launch::Launcher,
        processes::{Prepared, Question},
    },
    store::StateDir,
};

/// How often a process is asked whether its port accepts connections, if nobody said how to tell that it is ready.
const PORT_PERIOD: Duration = Duration::from_millis(100);
/// And how often afterwards.
const PORT_LIVENESS: Duration = Duration::from_secs(10);
/// How long one such question may take.
const PORT_TIMEOUT: Duration = Duration::from_secs(1);
/// Failures in a row that make it unhealthy then.
const PORT_FAILURES: u32 = 3;

/// Everything it takes to start a process.
pub(super) fn prepare(run: &RunContext, id: TaskId, start: &Start) -> Result<Prepared, Failure> {
    let (shared, task) = (&run.shared, run.shared.graph.task(id));
    let TaskKind::Process(spec) = &task.kind else {
        return Err(format!("{} is no process", task.name).into());
    };
    let files = run.task_files()?;
    // Nobody else is to read what processes write.
    if let Ok(Some(dir)) = StateDir::open(&shared.state_dir) {
        let _ = dir.subdir("processes");
    }
    if !shared.processes.is_up(&task.name) {
        shared.processes.ports.take_back(&task.name);
    }
    let mut ports = BTreeMap::new();
    for port in spec.ports.keys() {
        ports.insert(port.clone(), run.own_port(id, port)?);
    }
    let launcher = Launcher::new(run, id, start)?;
    let asks = match spec.ready.as_ref().map(|probe| &probe.kind) {
        Some(ProbeKind::Exec(script)) => Some(launcher.with_ports(&Action::Script(script.clone()))),
        _ => None,
    };
    let (mut command, mut by_shell, asking) = launcher.commands(&files, asks.as_ref())?;
    if let Some(watchdog) = &spec.watchdog {
        let micros = watchdog.interval.as_micros().to_string();
        for command in by_shell.iter_mut().chain([&mut command]) {
            command.env.push(("WATCHDOG_USEC".into(), micros.clone().into()));
        }
    }
    let (probe, question) = question(spec, &launcher, asking, &ports)?;
    let log = shared.process_log(&task.name);
    Ok(Prepared {
        spec: (**spec).clone(),
        probe,
        question,
        command,
        by_shell,
        listen: listen(spec, &launcher),
        log_name: shared.display(&log),
        log: LogTarget::of_process(log),
        held: shared.processes.ports.release(&task.name),
        ports,
        files,
    })
}

/// How to tell that it is ready, and what is asked for that: `asking`, if that is a command.
fn question(
    spec: &ProcessSpec,
    launcher: &Launcher<'_>,
    asking: Option<Command>,
    ports: &BTreeMap<String, u16>,
) -> Result<(Option<Probe>, Question), Failure> {
    let port = |port: &Written<String>| {
        let port = launcher.text_with_ports(&port.value);
        port.parse::<u16>().map_err(|_| Failure::from(format!("`{port}` is no port to ask")))
    };
    let text = |text: &String| launcher.text_with_ports(text).into_owned();
    let Some(probe) = &spec.ready else {
        let places: Vec<_> = ports.values().map(|port| ("127.0.0.1".to_owned(), *port)).collect();
        return Ok(match places.first() {
            // A socket that was opened for it accepts connections from the first moment on.
            None => (None, Question::Told),
            Some((host, port)) => (Some(of_port(host, *port)), Question::Tcp(places)),
        });
    };
    let question = match &probe.kind {
        ProbeKind::Exec(_) => asking.map_or(Question::Told, |command| Question::Exec(Box::new(command))),
        ProbeKind::Http { host, port: number, path, scheme } => Question::Http(HttpQuestion {
            host: text(host),
            port: port(number)?,
            path: text(path),
            scheme: Scheme::named(scheme).ok_or_else(|| format!("`{scheme}` is no scheme to ask by"))?,
        }),
        ProbeKind::Tcp { host, port: number } => Question::Tcp(vec![(text(host), port(number)?)]),
        ProbeKind::Log(pattern) => {
            let pattern = LinePattern::new(&text(pattern));
            Question::Line(pattern.map_err(|fault| format!("`ready.log` is no pattern: {}", fault.message))?)
        }
        ProbeKind::Notify => Question::Told,
    };
    Ok((Some(probe.clone()), question))
}

/// What is opened for it before it starts (socket activation).
fn listen(spec: &ProcessSpec, launcher: &Launcher<'_>) -> Vec<(String, ListenOn)> {
    let on = |kind: &ListenKind| match kind {
        ListenKind::Tcp { address } => ListenOn::Tcp(launcher.text_with_ports(&address.value).into_owned()),
        ListenKind::UnixStream { path, mode } => {
            let path = launcher.path_with_ports(path);
            ListenOn::Unix { path: launcher.task().cwd.join(path), mode: *mode }
        }
    };
    spec.listen.iter().map(|listen| (listen.name.clone(), on(&listen.kind))).collect()
}

/// How a process is asked that has ports and says nothing else.
fn of_port(host: &str, port: u16) -> Probe {
    Probe {
        kind: ProbeKind::Tcp { host: host.to_owned(), port: Written::plain(port.to_string()) },
        initial_delay: Duration::ZERO,
        until_ready: PORT_PERIOD,
        period: PORT_LIVENESS,
        probe_timeout: PORT_TIMEOUT,
        timeout: None,
        success_threshold: 1,
        failure_threshold: PORT_FAILURES,
    }
}
