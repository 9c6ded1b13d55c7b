//! What is started for a task: its command line, its environment, its private files (spec section 3).

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{
    context::RunContext,
    direct::Direct,
    environment::{self, Environment, Layers, ONE_VARIABLE, Variables},
    execute::{Execution, Failure, Start},
    script::{Dialect, ExportHook, Found},
};
use crate::{
    model::{
        Action, ListenKind, PortRef, ProbeKind, Task, TaskId, TaskKind, Written, input_with_ports, port_refs,
        with_ports,
    },
    process::{Command, Launch, LogTarget, TaskFiles, find_program},
};

/// The file the `exports` hook writes.
pub(super) const LISTED: &str = "listed";

/// How a script is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Without its interpreter where that can make no difference.
    Shortest,
    /// By its interpreter.
    ByShell,
}

/// What is started for a task in a run.
pub(super) struct Launcher<'a> {
    run: &'a RunContext,
    id: TaskId,
    start: &'a Start,
    /// The task, with the ports it refers to.
    task: Cow<'a, Task>,
    /// Where they are.
    ports: BTreeMap<PortRef, u16>,
}

impl Execution {
    /// The command line, environment and log of the task's command, or of its status.
    pub(super) fn launch(
        &self,
        files: &TaskFiles,
        action: &Action,
        log: &str,
        way: Way,
    ) -> Result<Launch, Failure> {
        let launcher = Launcher::new(&self.run, self.id, &self.start)?;
        let command = launcher.command(files, &launcher.with_ports(action), way)?;
        let log = LogTarget::of_task(self.run.log_file(self.id, log));
        Ok(Launch { command, log: Some(log), ..Launch::default() })
    }
}

impl<'a> Launcher<'a> {
    /// For this task.
    pub(super) fn new(run: &'a RunContext, id: TaskId, start: &'a Start) -> Result<Self, Failure> {
        let task = Cow::Borrowed(run.shared.graph.task(id));
        let mut launcher = Self { run, id, start, task, ports: BTreeMap::new() };
        launcher.give_ports()?;
        Ok(launcher)
    }

    /// The task, with the ports it refers to.
    pub(super) fn task(&self) -> &Task {
        &self.task
    }

    /// A command of the task with all it gets to see.
    pub(super) fn command(&self, files: &TaskFiles, action: &Action, way: Way) -> Result<Command, Failure> {
        let env = self.environment(files)?;
        self.command_in(files, "script", action, way, env)
    }

    /// The command of a process, and how it is started if that way there is one but it does not lead to it; and another one
    /// that sees the same.
    pub(super) fn commands(
        &self,
        files: &TaskFiles,
        probe: Option<&Action>,
    ) -> Result<(Command, Option<Command>, Option<Command>), Failure> {
        let (env, action) = (self.environment(files)?, self.with_ports(&self.task.action));
        let shortest = self.command_in(files, "script", &action, Way::Shortest, env.clone())?;
        let by_shell = match shortest.name {
            Some(_) => Some(self.command_in(files, "script", &action, Way::ByShell, env.clone())?),
            None => None,
        };
        let probe = probe.map(|probe| self.command_in(files, "probe", probe, Way::Shortest, env));
        Ok((shortest, by_shell, probe.transpose()?))
    }

    fn command_in(
        &self,
        files: &TaskFiles,
        name: &'static str,
        action: &Action,
        way: Way,
        mut env: Environment<'_>,
    ) -> Result<Command, Failure> {
        let mut command = self.command_line((files, name), action, way, &mut env)?;
        command.ambient = self.run.surroundings().variables.clone();
        command.env = env.own.into_iter().collect();
        command.cwd.clone_from(&self.task.cwd);
        command.foreground = self.task.interactive;
        Ok(command)
    }

    fn command_line(
        &self,
        (files, name): (&TaskFiles, &'static str),
        action: &Action,
        way: Way,
        env: &mut Environment<'_>,
    ) -> Result<Command, Failure> {
        let task = &self.task;
        let arguments = self.run.arguments_of(self.id);
        let path = env.get("PATH").map(OsStr::to_owned);
        let text = match action {
            Action::Script(text) => &text.value,
            Action::Command(program) => {
                let found = find_program(program.as_os_str(), path.as_deref(), &task.cwd);
                let program = found.ok_or_else(|| format!("there is no program {}", program.display()))?;
                return Ok(Command { program, args: arguments.to_vec(), ..Command::default() });
            }
            Action::None | Action::Served(..) => return Err("it has no command".to_owned().into()),
        };
        let found =
            Found::look_up(&task.interpreter, path.as_deref(), &task.cwd).map_err(|e| e.to_string())?;
        if way == Way::Shortest
            && let Some(direct) = self.direct(&found, text, env)
        {
            return Ok(direct);
        }
        let hooked;
        let text = if task.exports.is_empty() {
            text
        } else {
            hooked = self.hook(files, &found, text.clone(), env)?;
            &hooked
        };
        let script = write(files, name, text.as_bytes())?;
        let args = found.arguments(&script, arguments);
        Ok(Command { program: found.program, args, ..Command::default() })
    }

    /// The program itself, where it takes no shell to start it.
    fn direct(&self, found: &Found, text: &str, env: &mut Environment<'_>) -> Option<Command> {
        let task = &self.task;
        // On a terminal a shell has its part in what becomes of Ctrl-C.
        if task.interactive || !task.exports.is_empty() {
            return None;
        }
        let shell = self.run.shell(&found.program)?;
        let Direct { program, mut words } = Direct::of(text, shell, env, &task.cwd)?;
        let name = words.remove(0);
        let args = words.into_iter().map(OsString::from).collect();
        Some(Command { program, name: Some(name.into()), args, ..Command::default() })
    }

    fn hook(
        &self,
        files: &TaskFiles,
        found: &Found,
        text: String,
        env: &mut Environment<'_>,
    ) -> Result<String, Failure> {
        if found.dialect != Dialect::Bash {
            let program = found.program.display();
            return Err(format!("`exports` needs bash, and its interpreter is {program}").into());
        }
        let inherited = env.get("BASH_ENV").map(OsStr::to_owned);
        let hook = ExportHook::new(&self.task.exports, &files.path_of(LISTED), inherited.as_deref());
        env.insert("BASH_ENV", write(files, "exports-hook", hook.before.as_bytes())?);
        Ok(text + &hook.after)
    }

    /// Finds out the ports the task refers to, and puts them into its texts.
    fn give_ports(&mut self) -> Result<(), Failure> {
        let task = self.run.shared.graph.task(self.id);
        // In the lists of devenv such a text is the shell's.
        if self.run.shared.keeps_devenv_dirs {
            return Ok(());
        }
        let texts = texts_of(task);
        let refs: BTreeSet<PortRef> =
            texts.iter().flat_map(|text| port_refs(text)).map(|(_, port)| port).collect();
        if refs.is_empty() {
            return Ok(());
        }
        for port in refs {
            // One that nobody knows was told when it was loaded, or is the shell's.
            if let Some(number) = self.run.port(self.id, &port) {
                self.ports.insert(port, number?);
            }
        }
        let mut task = task.clone();
        task.action = self.with_ports(&task.action);
        for value in task.env.values_mut().chain(task.file_env.values_mut()) {
            value.value = self.text_with_ports(&value.value).into_owned();
        }
        self.task = Cow::Owned(task);
        Ok(())
    }

    /// Text with the ports it refers to.
    pub(super) fn text_with_ports<'t>(&self, text: &'t str) -> Cow<'t, str> {
        with_ports(text, |port| self.ports.get(port).copied())
    }

    /// The same for a path, which need not be text.
    pub(super) fn path_with_ports(&self, path: &Path) -> PathBuf {
        path.to_str().map_or_else(|| path.to_owned(), |text| PathBuf::from(&*self.text_with_ports(text)))
    }

    /// The same for a command.
    pub(super) fn with_ports(&self, action: &Action) -> Action {
        match action {
            Action::Script(Written { written, value }) => Action::Script(Written {
                written: written.clone(),
                value: self.text_with_ports(value).into_owned(),
            }),
            other => other.clone(),
        }
    }

    /// The input the task gets.
    pub(super) fn input(&self) -> Option<Map<String, Value>> {
        let mut port = |port: &PortRef| self.ports.get(port).copied();
        self.run.input_of(self.id).map(|input| input_with_ports(&input, &mut port))
    }

    /// What the task has beyond the surrounding environment.
    pub(super) fn variables(&self, files: &TaskFiles) -> Result<Variables, Failure> {
        self.environment(files).map(|environment| environment.own)
    }

    fn environment(&self, files: &TaskFiles) -> Result<Environment<'_>, Failure> {
        let task = &self.task;
        let shared = &self.run.shared;
        let outputs = Value::Object(self.start.outputs.clone()).to_string();
        let outputs_file = write(files, "upstream", outputs.as_bytes())?;
        let changed: Vec<u8> = self.start.changed.iter().flat_map(|p| terminated(p)).collect();
        let changed_file = write(files, "changed", &changed)?;
        let outputs_fit = "DEVENV_TASKS_OUTPUTS=".len() + outputs.len() < ONE_VARIABLE;
        if !outputs_fit {
            self.run.warn(self.id, "DEVENV_TASKS_OUTPUTS is left out: it is larger than one variable can be; read $DEVENV_TASKS_OUTPUTS_FILE");
        }
        let mut reserved: Vec<(&'static str, Option<OsString>)> = vec![
            ("DEVENV_TASKS_OUTPUTS", outputs_fit.then(|| outputs.into())),
            ("DEVENV_TASKS_OUTPUTS_FILE", Some(outputs_file.into())),
            ("DEVENV_TASK_OUTPUT_FILE", Some(files.path_of(TaskFiles::OUTPUT).into())),
            ("DEVENV_TASK_EXPORTS_FILE", Some(files.path_of(TaskFiles::EXPORTS).into())),
            ("DEVTASK_TASK", Some(task.name.as_str().into())),
            ("DEVTASK_RUN", Some(self.run.id.clone().into())),
            ("DEVTASK_CHANGED_FILES", Some(changed_file.into())),
            ("DEVTASK_TREES", Some(shared.trees(&self.run.ambient))),
        ];
        reserved.extend(shared.directories(&self.run.ambient, self.run.runtime_path()?));
        let input = self.input().map(|input| Value::Object(input).to_string());
        Ok(environment::assemble(&Layers {
            surroundings: self.run.surroundings(),
            task,
            input,
            exports: &self.start.exports,
            reserved: &reserved,
        }))
    }
}

/// The texts of a task that may refer to ports.
fn texts_of(task: &Task) -> Vec<Cow<'_, str>> {
    let script = |action: &'_ Action| match action {
        Action::Script(text) => Some(text.value.clone()),
        Action::None | Action::Command(_) | Action::Served(..) => None,
    };
    let values = task.env.values().chain(task.file_env.values()).map(|value| Cow::Borrowed(&*value.value));
    let scripts = [Some(&task.action), task.status.as_ref()].into_iter().flatten().filter_map(script);
    let input = task.input.as_ref().map(|input| Value::Object(input.value.clone()).to_string());
    let mut texts: Vec<Cow<'_, str>> = values.chain(scripts.chain(input).map(Cow::Owned)).collect();
    if let TaskKind::Process(spec) = &task.kind {
        match spec.ready.as_ref().map(|probe| &probe.kind) {
            Some(ProbeKind::Exec(text)) => texts.push(Cow::Borrowed(&text.value)),
            Some(ProbeKind::Http { host, port, path, .. }) => {
                texts.extend([host, &port.value, path].map(|text| Cow::Borrowed(text.as_str())));
            }
            Some(ProbeKind::Tcp { host, port }) => {
                texts.extend([host, &port.value].map(|text| Cow::Borrowed(text.as_str())));
            }
            Some(ProbeKind::Log(pattern)) => texts.push(Cow::Borrowed(pattern)),
            Some(ProbeKind::Notify) | None => {}
        }
        texts.extend(spec.listen.iter().map(|listen| match &listen.kind {
            ListenKind::Tcp { address } => Cow::Borrowed(&*address.value),
            ListenKind::UnixStream { path, .. } => path.to_string_lossy(),
        }));
    }
    texts
}

fn write(files: &TaskFiles, name: &'static str, content: &[u8]) -> Result<PathBuf, Failure> {
    files.write(name, content).map_err(|e| format!("cannot write a file for it: {e}").into())
}

fn terminated(path: &Path) -> impl Iterator<Item = u8> + use<> {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    bytes.push(0);
    bytes.into_iter()
}
