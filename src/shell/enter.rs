//! What an interactive shell reads when it begins: the user's own files first, then what was exported, so that these
//! cannot undo it, then messages. Each text removes itself: it holds values.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use super::{
    Dialect, Environment,
    words::{in_path, quoted},
};

/// What a shell is to find when it has begun.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// What is set.
    pub environment: &'a Environment,
    /// The lines that are said then, to stderr.
    pub messages: &'a [String],
}

impl Entry<'_> {
    /// The lines that set and say everything.
    fn lines(self, dialect: Dialect) -> String {
        let Environment { before_path, in_path: wanted, .. } = self.environment;
        let set = self.environment.script(dialect, None);
        // Where all of it was in `PATH` before, the user's files may have taken it out.
        let path = if before_path.is_empty() { in_path(dialect, wanted) } else { String::new() };
        let say = |text: &String| {
            let text = quoted(dialect, text.as_bytes());
            format!("printf '%s\\n' {text} >&2\n")
        };
        let said: String = self.messages.iter().map(say).collect();
        format!("{set}{path}{said}")
    }
}

fn path_word(dialect: Dialect, path: &Path) -> String {
    quoted(dialect, path.as_os_str().as_bytes())
}

/// For `bash --rcfile`, from this file.
#[must_use]
pub fn bash_entry(file: &Path, entry: Entry<'_>) -> String {
    let remove = format!("command rm -f -- {}\n", path_word(Dialect::Bash, file));
    let user = "if [ -r ~/.bashrc ]; then . ~/.bashrc; fi\n";
    format!("{remove}{user}{}", entry.lines(Dialect::Bash))
}

/// For `fish -C 'source …'`, from this file. fish has read the user's files by then.
#[must_use]
pub fn fish_entry(file: &Path, entry: Entry<'_>) -> String {
    let remove = format!("command rm -f -- {}\n", path_word(Dialect::Fish, file));
    format!("{remove}{}", entry.lines(Dialect::Fish))
}

/// `.zshenv` and `.zshrc` of this directory, which is to be `ZDOTDIR`; `own` is what that was.
#[must_use]
pub fn zsh_entry(dir: &Path, own: Option<&Path>, entry: Entry<'_>) -> [(&'static str, String); 2] {
    let (dir, zsh) = (path_word(Dialect::Zsh, dir), Dialect::Zsh);
    let restore = match own {
        Some(own) => format!("export ZDOTDIR={}\n", path_word(zsh, own)),
        None => "unset ZDOTDIR\n".to_owned(),
    };
    let read = |name: &str| {
        format!("if [[ -r ${{ZDOTDIR:-$HOME}}/{name} ]]; then . ${{ZDOTDIR:-$HOME}}/{name}; fi\n")
    };
    // The user's `.zshenv` may say where the others are.
    let env = format!(
        "{restore}{}if [[ -n ${{ZDOTDIR+x}} ]]; then _devtask_zdotdir=$ZDOTDIR; fi\nexport ZDOTDIR={dir}\n",
        read(".zshenv")
    );
    let back = "if [[ -n ${_devtask_zdotdir+x} ]]; then export ZDOTDIR=$_devtask_zdotdir; unset _devtask_zdotdir; \
                else unset ZDOTDIR; fi\n";
    // The system's file may have put the history there.
    let history = format!(
        "if [[ ${{HISTFILE-}} == {dir}/* ]]; then HISTFILE=${{ZDOTDIR:-$HOME}}/${{HISTFILE##*/}}; fi\n"
    );
    let remove = format!("command rm -rf -- {dir}\n");
    let rc = format!("{back}{history}{remove}{}{}", read(".zshrc"), entry.lines(zsh));
    [(".zshenv", env), (".zshrc", rc)]
}
