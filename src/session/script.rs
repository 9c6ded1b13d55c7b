//! From a task's text to a command line (spec section 1.2: `exec`, `package`, `binary`, `exports`).

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::{model::Interpreter, process::find_program, shell};

/// The interpreter that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) program: PathBuf,
    pub(crate) dialect: Dialect,
}

/// As much as matters of an interpreter's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Takes `-e`, has indirect expansion and `BASH_ENV`.
    Bash,
    /// Takes `-e`.
    Posix,
    /// Takes the script file and its arguments.
    Other,
}

/// No such interpreter; says where it was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no interpreter `{name}`{place}")]
pub(crate) struct Missing {
    name: String,
    place: String,
}

impl Found {
    /// Looks the interpreter up: a path as it is, a name on the task's own `PATH`. The default `bash` falls
    /// back to `sh` where there is no bash.
    pub(crate) fn look_up(
        interpreter: &Interpreter,
        path: Option<&OsStr>,
        cwd: &Path,
    ) -> Result<Self, Missing> {
        let package = interpreter.package.value.as_str();
        let binary = interpreter.binary.as_deref();
        let found = if package.contains('/') {
            in_package(&cwd.join(package), binary)
        } else {
            find_program(OsStr::new(binary.unwrap_or(package)), path, cwd)
        };
        let fallback = || {
            let is_default = *interpreter == Interpreter::default();
            if is_default { find_program(OsStr::new("sh"), path, cwd) } else { None }
        };
        let program = found.or_else(fallback).ok_or_else(|| Missing {
            name: binary.unwrap_or(package).to_owned(),
            place: match path {
                _ if package.contains('/') => String::new(),
                Some(path) => format!(" on PATH: {}", path.to_string_lossy()),
                None => ": PATH is not set".to_owned(),
            },
        })?;
        let dialect = Dialect::of(&program);
        Ok(Self { program, dialect })
    }

    /// The arguments that run a script file.
    pub(crate) fn arguments(&self, script: &Path, arguments: &[OsString]) -> Vec<OsString> {
        let strict = (self.dialect != Dialect::Other).then(|| OsString::from("-e"));
        strict.into_iter().chain([script.into()]).chain(arguments.iter().cloned()).collect()
    }
}

impl Dialect {
    fn of(program: &Path) -> Self {
        match program.file_name().map(OsStr::as_bytes) {
            Some(b"bash") => Self::Bash,
            Some(b"sh" | b"dash" | b"ksh" | b"zsh") => Self::Posix,
            _ => Self::Other,
        }
    }
}

/// A program, or the one in a package's `bin`.
fn in_package(path: &Path, binary: Option<&str>) -> Option<PathBuf> {
    if path.is_dir() {
        let name = binary.map(OsString::from).or_else(|| path.file_name().map(OsStr::to_owned))?;
        return Some(path.join("bin").join(name)).filter(|p| p.is_file());
    }
    path.is_file().then(|| path.to_owned())
}

/// What makes a bash script hand on variables (`exports`): text read before it, and text put after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportHook {
    /// The content of the file `BASH_ENV` names. Line numbers of the script stay what they are.
    pub(crate) before: String,
    /// Appended to the script, for one that has a trap on EXIT of its own.
    pub(crate) after: String,
}

impl ExportHook {
    /// The hook that writes the values `names` have at the end into `file`, as `name NUL value NUL`.
    /// `inherited` is the surrounding `BASH_ENV`, which is honoured and put back.
    pub(crate) fn new(names: &[String], file: &Path, inherited: Option<&OsStr>) -> Self {
        let mut before = match inherited {
            Some(path) => format!("export BASH_ENV={0}\n[ ! -r {0} ] || . {0}\n", quoted(path)),
            None => "unset BASH_ENV\n".to_owned(),
        };
        let names: Vec<String> = names.iter().map(|n| quoted(OsStr::new(n))).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            before,
            "__devtask_export() {{\n  local __devtask_name\n  for __devtask_name in {}; do\n    \
             if [ -n \"${{!__devtask_name+set}}\" ]; then\n      \
             printf '%s\\0%s\\0' \"$__devtask_name\" \"${{!__devtask_name}}\"\n    fi\n  done > {}\n}}\n\
             trap __devtask_export EXIT\n",
            names.join(" "),
            quoted(file.as_os_str()),
        );
        let after = "\n__devtask_status=$?\n__devtask_export\nexit \"$__devtask_status\"\n".to_owned();
        Self { before, after }
    }
}

fn quoted(text: &OsStr) -> String {
    shell::quoted(shell::Dialect::Bash, text.as_bytes())
}
