//! What is started for a task: its command line, its environment, its private files (spec section 3).

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    direct::Direct,
    environment::{self, Environment, Layers, ONE_VARIABLE},
    execute::{Execution, Failure},
    script::{Dialect, ExportHook, Found},
};
use crate::{
    model::Action,
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

impl Execution {
    /// The command line, environment and log of the task's command, or of its status.
    pub(super) fn launch(
        &self,
        files: &TaskFiles,
        action: &Action,
        log: &str,
        way: Way,
    ) -> Result<Launch, Failure> {
        let mut env = self.environment(files)?;
        let mut command = self.command_line(files, action, way, &mut env)?;
        command.ambient = self.run.surroundings().variables.clone();
        command.env = env.own.into_iter().collect();
        command.cwd.clone_from(&self.task().cwd);
        command.foreground = self.task().interactive;
        let log = LogTarget::of_task(self.run.log_file(self.id, log));
        Ok(Launch { command, log: Some(log), ..Launch::default() })
    }

    fn command_line(
        &self,
        files: &TaskFiles,
        action: &Action,
        way: Way,
        env: &mut Environment<'_>,
    ) -> Result<Command, Failure> {
        let task = self.task();
        let arguments = self.run.arguments_of(self.id);
        let path = env.get("PATH").map(OsStr::to_owned);
        let text = match action {
            Action::Script(text) => &text.value,
            Action::Command(program) => {
                let found = find_program(program.as_os_str(), path.as_deref(), &task.cwd);
                let program = found.ok_or_else(|| format!("there is no program {}", program.display()))?;
                return Ok(Command { program, args: arguments.to_vec(), ..Command::default() });
            }
            Action::None => return Err("it has no command".to_owned().into()),
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
        let script = write(files, "script", text.as_bytes())?;
        let args = found.arguments(&script, arguments);
        Ok(Command { program: found.program, args, ..Command::default() })
    }

    /// The program itself, where it takes no shell to start it.
    fn direct(&self, found: &Found, text: &str, env: &mut Environment<'_>) -> Option<Command> {
        let task = self.task();
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
        let hook = ExportHook::new(&self.task().exports, &files.path_of(LISTED), inherited.as_deref());
        env.insert("BASH_ENV", write(files, "exports-hook", hook.before.as_bytes())?);
        Ok(text + &hook.after)
    }

    fn environment(&self, files: &TaskFiles) -> Result<Environment<'_>, Failure> {
        let task = self.task();
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
        let input = self.run.input_of(self.id).map(|input| Value::Object(input).to_string());
        Ok(environment::assemble(&Layers {
            surroundings: self.run.surroundings(),
            task,
            input,
            exports: &self.start.exports,
            reserved: &reserved,
        }))
    }
}

fn write(files: &TaskFiles, name: &'static str, content: &[u8]) -> Result<PathBuf, Failure> {
    files.write(name, content).map_err(|e| format!("cannot write a file for it: {e}").into())
}

fn terminated(path: &Path) -> impl Iterator<Item = u8> + use<> {
    let mut bytes = path.as_os_str().as_bytes().to_vec();
    bytes.push(0);
    bytes.into_iter()
}
