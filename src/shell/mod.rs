//! What a run hands on, in the words of a shell (spec section 7).
//!
//! Floor 3, pure. A value goes through a shell byte for byte, whatever is in it, and nothing in it is ever taken for
//! anything else: text that is not plain is written in the shell's escapes, so that a terminal that shows it is told
//! nothing either (hazard E8). `PATH` is only ever added to (hazard C20): what a task exports was true when it ran, and
//! may rest on disk since then.
//!
//! | file | story |
//! |---|---|
//! | `words` | values and paths, quoted |
//! | `enter` | what an interactive shell reads when it begins |

mod enter;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub use enter::{Entry, bash_entry, fish_entry, zsh_entry};
pub use words::{Dialect, posix, posix_word, quoted};

/// Variables by their names.
pub type Variables = BTreeMap<String, Vec<u8>>;

/// What decides where programs are found.
const PATH: &str = "PATH";

/// Names that change how every program starts, or how every script is read: allowed, and told (hazard C20).
const FAR_REACHING: &[&str] = &["BASH_ENV", "ENV", "IFS", "PROMPT_COMMAND", "PS4", "SHELLOPTS"];
/// The same by how they begin.
const FAR_REACHING_PREFIXES: &[&str] = &["LD_", "DYLD_", "GIT_"];

/// Names a shell keeps for itself: to set one fails, ends the script, or does something else than it says.
const KEPT_BY_BASH: &str = "
    BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_CMDS BASH_COMMAND BASH_LINENO BASH_SOURCE
    BASH_SUBSHELL BASH_VERSINFO DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD LINENO
    OPTIND PPID RANDOM SECONDS SHELLOPTS SHLVL SRANDOM UID _
";
const KEPT_BY_ZSH: &str = "
    ARGC EGID ERRNO EUID FUNCNEST GID HISTCMD HISTSIZE KEYBOARD_HACK KEYTIMEOUT LINENO LISTMAX MAILCHECK
    OPTIND PPID RANDOM SAVEHIST SECONDS SHLVL TRY_BLOCK_ERROR TRY_BLOCK_INTERRUPT TTYIDLE UID USERNAME
    WATCH ZSH_EVAL_CONTEXT ZSH_SUBSHELL _ aliases argv builtins cdpath commands dirstack dis_aliases
    dis_builtins dis_functions dis_functions_source dis_galiases dis_patchars dis_reswords dis_saliases
    fignore fpath funcfiletrace funcsourcetrace funcstack functions functions_source functrace galiases
    history historywords jobdirs jobstates jobtexts keymaps mailpath manpath module_path modules
    nameddirs options parameters patchars path pipestatus psvar reswords saliases signals status termcap
    terminfo userdirs usergroups watch widgets zsh_eval_context zsh_scheduled_events
";
const KEPT_BY_FISH: &str = "
    FISH_VERSION PWD SHLVL _ argv fish_function_path fish_kill_signal fish_killring fish_pid history
    hostname pipestatus status status_generation umask version
";

/// What is set, and what is said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// The variables.
    pub variables: Variables,
    /// What is put before `PATH`, its parts in order.
    pub before_path: Vec<Vec<u8>>,
    /// The parts that `PATH` is to have at least.
    pub in_path: Vec<Vec<u8>>,
    /// Names that are left out because nobody but devtask sets them.
    pub reserved: Vec<String>,
}

impl Environment {
    /// What of these variables is set where `PATH` has been `path`.
    #[must_use]
    pub fn new(mut variables: Variables, path: Option<&[u8]>) -> Self {
        let is_reserved = |name: &String| name.starts_with("DEVTASK_");
        let reserved: Vec<String> = variables.keys().filter(|name| is_reserved(name)).cloned().collect();
        variables.retain(|name, _| !is_reserved(name));
        let in_path: Vec<Vec<u8>> = variables.remove(PATH).map(|value| parts(&value)).unwrap_or_default();
        let before_path = leading(&in_path, &path.map(parts).unwrap_or_default()).to_vec();
        Self { variables, before_path, in_path, reserved }
    }

    /// Adds what nothing else can override.
    #[must_use]
    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What `PATH` becomes, if anything is to be put before it.
    #[must_use]
    pub fn path(&self, path: Option<&[u8]>) -> Option<Vec<u8>> {
        if self.before_path.is_empty() {
            return None;
        }
        let all: Vec<&[u8]> =
            self.before_path.iter().map(Vec::as_slice).chain(path.filter(|p| !p.is_empty())).collect();
        Some(all.join(&b':'))
    }

    /// The names among these that reach far.
    #[must_use]
    pub fn far_reaching(&self) -> Vec<&str> {
        let reaches = |name: &&str| {
            FAR_REACHING.contains(name) || FAR_REACHING_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        };
        self.variables.keys().map(String::as_str).filter(reaches).collect()
    }

    /// The names that cannot be set in this shell.
    #[must_use]
    pub fn left_out(&self, dialect: Dialect) -> Vec<&str> {
        let names = self.variables.iter().map(|(name, value)| (name.as_str(), value));
        names.filter(|(name, value)| !can_be_set(name, value, dialect)).map(|(name, _)| name).collect()
    }

    /// The text that sets everything in this shell, where `PATH` has been `path`.
    #[must_use]
    pub fn script(&self, dialect: Dialect, path: Option<&[u8]>) -> String {
        let names = self.left_out(dialect).into_iter().collect::<BTreeSet<_>>();
        let set = self.variables.iter().filter(|(name, _)| !names.contains(name.as_str()));
        if dialect == Dialect::Json {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let path = self.path(path).map(|path| (PATH.to_owned(), text(&path)));
            let all = set.map(|(name, value)| (name.clone(), text(value))).chain(path);
            let object: serde_json::Map<String, serde_json::Value> =
                all.map(|(name, value)| (name, value.into())).collect();
            return format!("{}\n", serde_json::Value::Object(object));
        }
        let mut script: String = set.map(|(name, value)| words::assignment(dialect, name, value)).collect();
        script.push_str(&words::before_path(dialect, &self.before_path));
        script
    }
}

fn can_be_set(name: &str, value: &[u8], dialect: Dialect) -> bool {
    let kept = match dialect {
        Dialect::Bash => KEPT_BY_BASH,
        Dialect::Zsh => KEPT_BY_ZSH,
        Dialect::Fish => KEPT_BY_FISH,
        // JSON has no bytes that are no text.
        Dialect::Json => return std::str::from_utf8(value).is_ok(),
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name =
        name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty();
    is_name && !kept.split_ascii_whitespace().any(|known| known == name)
}

/// The parts of a search path.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|byte| *byte == b':').map(<[u8]>::to_vec).collect()
}

/// What stands in `wanted` before the longest tail of it that `present` has in the same order: of a `PATH` that was
/// exported, what was put before another one, however that has grown since.
fn leading<'a>(wanted: &'a [Vec<u8>], present: &[Vec<u8>]) -> &'a [Vec<u8>] {
    let mut rest = present;
    let mut begin = wanted.len();
    while let Some(part) = begin.checked_sub(1).map(|at| &wanted[at]) {
        let Some(at) = rest.iter().rposition(|known| known == part) else { break };
        (rest, begin) = (&rest[..at], begin - 1);
    }
    &wanted[..begin]
}

#[cfg(test)]
mod tests;
