//! Scripts that need no shell: one simple command, started as the shell would start it (spec section 1.2).
//!
//! A shell that runs `cargo build --release` starts, reads one line, finds the program on `PATH`, forks, and waits. All
//! but the program is overhead, and for small tasks most of their time. So where it can be known what the shell would do
//! the program is started without it. What is not known for certain is left to the shell: this is about time only,
//! and a task must not be able to tell.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::Read as _,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Component, Path, PathBuf},
};

use super::environment::Environment;
use crate::process::find_program;

/// What bash and dash look up before they look for a program: builtins and reserved words, one list for both.
const NOT_PROGRAMS: &[&str] = &[
    ".",
    ":",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "chdir",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
];

/// Variables that change what a shell does, or that a shell does not hand on as they are.
const MEANT_FOR_SHELLS: &[&str] = &[
    "CDPATH",
    "DIRSTACK",
    "ENV",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "EXECIGNORE",
    "FUNCNAME",
    "GLOBIGNORE",
    "GROUPS",
    "HISTCMD",
    "IFS",
    "LINENO",
    "OPTARG",
    "OPTERR",
    "OPTIND",
    "POSIXLY_CORRECT",
    "POSIX_PEDANTIC",
    "PPID",
    "PS1",
    "PS2",
    "PS4",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SRANDOM",
    "UID",
];

/// A shell of which it is known what it hands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shell {
    /// Sets `_`, `SHLVL` and `PWD`.
    Bash,
    /// Sets `PWD`.
    Dash,
}

/// A program to be started in place of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Direct {
    pub(crate) program: PathBuf,
    /// The command as it is written: what the program is told it was called as, and its arguments.
    pub(crate) words: Vec<String>,
}

impl Direct {
    /// The program a script comes to in this environment and directory; none: it takes a shell to know. `env`
    /// becomes what the shell would hand on.
    pub(crate) fn of(script: &str, shell: Shell, env: &mut Environment<'_>, cwd: &Path) -> Option<Self> {
        let words = words(script)?;
        if !env.is_handed_on() {
            return None;
        }
        let of_env = |name: &str| env.get(name);
        let path = of_env("PATH").filter(|path| is_plain_path(path))?;
        // Shells differ in what they do with one that is none.
        if of_env("OLDPWD").is_some_and(|old| !Path::new(old).is_dir()) {
            return None;
        }
        let name = OsStr::new(words.first()?);
        let program = find_program(name, Some(path), cwd)?;
        // A script with `#!` is told the path it was found by, which is ours only if that is absolute.
        let is_relative = name.as_bytes().contains(&b'/') && !Path::new(name).is_absolute();
        if is_relative && !is_binary(&program) {
            return None;
        }
        let pwd = working_directory(of_env("PWD"), cwd)?;
        if shell == Shell::Bash {
            let level = level(of_env("SHLVL"))?;
            // A name with a slash is not looked for.
            let found = if name.as_bytes().contains(&b'/') { name } else { program.as_os_str() };
            env.insert("_", found);
            env.insert("SHLVL", level);
        }
        env.insert("PWD", pwd);
        Some(Self { program, words })
    }
}

impl Shell {
    /// The shell a program is, whatever it is called: `sh` is a link to another one.
    pub(crate) fn of(program: &Path) -> Option<Self> {
        let shell = match program.canonicalize().ok()?.file_name()?.as_bytes() {
            b"bash" => Self::Bash,
            b"dash" => Self::Dash,
            _ => return None,
        };
        is_binary(program).then_some(shell)
    }
}

/// The words of a script that is one simple command of plain words; none if it is anything else.
fn words(script: &str) -> Option<Vec<String>> {
    let line = script.trim_matches([' ', '\t', '\n']);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@%=".contains(c);
    let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    // A first word with `=` assigns; one with `%` names a job.
    let first = words.first()?;
    let is_command = !first.contains(['=', '%']) && NOT_PROGRAMS.binary_search(first).is_err();
    let are_plain = words.iter().all(|word| word.chars().all(is_plain));
    (is_command && are_plain).then(|| words.into_iter().map(str::to_owned).collect())
}

/// Whether a shell only hands this variable on. Functions come as variables whose names begin with `BASH_FUNC_`.
pub(crate) fn is_handed_on(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    let is_name = bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && bytes.first().is_some_and(|b| !b.is_ascii_digit());
    is_name
        && !bytes.starts_with(b"BASH")
        && name.to_str().is_none_or(|name| MEANT_FOR_SHELLS.binary_search(&name).is_err())
}

/// Whether a shell looks for programs in just these directories: some expand `~` in them.
fn is_plain_path(path: &OsStr) -> bool {
    !path.as_bytes().contains(&b'~') && std::env::split_paths(path).all(|dir| dir.is_absolute())
}

/// What the shell makes of `SHLVL`; none where it has a mind of its own.
fn level(outer: Option<&OsStr>) -> Option<String> {
    let Some(outer) = outer else { return Some("1".to_owned()) };
    let outer: u16 = outer.to_str().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    (outer < 999).then(|| (outer + 1).to_string())
}

/// What the shell makes of `PWD`: it is kept if it names the directory, else it is the directory without links.
fn working_directory(told: Option<&OsStr>, cwd: &Path) -> Option<OsString> {
    let here = fs::metadata(cwd).ok()?;
    let is_here = |told: &&OsStr| {
        let found = Path::new(told).is_absolute().then(|| fs::metadata(told).ok()).flatten();
        found.is_some_and(|found| (found.dev(), found.ino()) == (here.dev(), here.ino()))
    };
    let Some(told) = told.filter(is_here) else {
        return cwd.canonicalize().ok().map(PathBuf::into_os_string);
    };
    // What becomes of `..`, `.` and needless slashes depends on the shell.
    let has_parent = Path::new(told).components().any(|part| part == Component::ParentDir);
    let is_plain = Path::new(told).components().collect::<PathBuf>().as_os_str() == told;
    (is_plain && !has_parent).then(|| told.to_owned())
}

/// Whether the system itself runs this file. A text called `bash` may do anything before it becomes one.
fn is_binary(program: &Path) -> bool {
    let mut magic = [0; 4];
    let is_read = File::open(program).and_then(|mut file| file.read_exact(&mut magic)).is_ok();
    is_read && magic == *b"\x7fELF"
}

#[cfg(test)]
mod tests {
    use super::{super::environment::Surroundings, *};

    #[test]
    fn one_simple_command_of_plain_words_takes_no_shell() {
        let cases: [(&str, Option<&[&str]>); 36] = [
            ("ls", Some(&["ls"])),
            ("  ls\t-l  a/b.c \n\n", Some(&["ls", "-l", "a/b.c"])),
            ("./run --x=1 a:b,c +d e@f %g", Some(&["./run", "--x=1", "a:b,c", "+d", "e@f", "%g"])),
            ("cargo build --release", Some(&["cargo", "build", "--release"])),
            ("", None),
            ("\n \t", None),
            ("# only a comment", None),
            ("ls # all", None),
            ("ls\nls", None),
            ("ls; ls", None),
            ("ls &", None),
            ("ls && ls", None),
            ("ls | cat", None),
            ("ls > out", None),
            ("ls < in", None),
            ("(ls)", None),
            ("{ ls; }", None),
            ("! ls", None),
            ("ls $HOME", None),
            ("ls `x`", None),
            ("ls 'a b'", None),
            ("ls \"a\"", None),
            ("ls a\\ b", None),
            ("ls *", None),
            ("ls a?", None),
            ("ls [ab]", None),
            ("ls {a,b}", None),
            ("ls ~", None),
            ("A=1 ls", None),
            ("A=1", None),
            ("%1", None),
            ("echo hello", None),
            ("true", None),
            ("exec ls", None),
            ("time ls", None),
            ("ls ä", None),
        ];
        for (script, expected) in cases {
            let expected: Option<Vec<String>> =
                expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(words(script), expected, "{script:?}");
        }
        assert!(NOT_PROGRAMS.is_sorted() && MEANT_FOR_SHELLS.is_sorted(), "they are searched");
    }

    /// What `env` comes to with these variables beside `PATH`: those that are not as they were. It is the same
    /// whether they surround the task or are its own.
    fn changed(shell: Shell, set: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        let pairs: Vec<(OsString, OsString)> = [("PATH", "/usr/bin:/bin")]
            .iter()
            .chain(set)
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let (all, none) = (Surroundings::of(&pairs), Surroundings::of(&[]));
        let surrounded = Environment::of(&all);
        let mut own = Environment::of(&none);
        pairs.iter().for_each(|(name, value)| own.insert(name, value));
        let [surrounded, own] = [surrounded, own].map(|before| {
            let mut after = before.clone();
            Direct::of("env", shell, &mut after, Path::new("/"))?;
            let text = |text: &OsStr| text.to_str().unwrap().to_owned();
            let changed =
                after.own.iter().filter(|(name, value)| before.get(name) != Some(value.as_os_str()));
            Some(changed.map(|(name, value)| (text(name), text(value))).collect())
        });
        assert_eq!(surrounded, own);
        own
    }

    #[test]
    fn the_environment_becomes_what_the_shell_hands_on() {
        type Case =
            (&'static [(&'static str, &'static str)], Option<&'static [(&'static str, &'static str)]>);
        let cases: [Case; 17] = [
            (&[], Some(&[("PWD", "/"), ("SHLVL", "1")])),
            (&[("PWD", "/tmp"), ("SHLVL", "3")], Some(&[("PWD", "/"), ("SHLVL", "4")])),
            (&[("PWD", "/"), ("OLDPWD", "/")], Some(&[("SHLVL", "1")])),
            (&[("PWD", "/.")], None),
            (&[("PWD", "//")], None),
            (&[("OLDPWD", "/nowhere")], None),
            (&[("SHLVL", "999")], None),
            (&[("SHLVL", "-1")], None),
            (&[("SHLVL", "")], None),
            (&[("BASH_ENV", "/x")], None),
            (&[("BASH_FUNC_env%%", "() { :; }")], None),
            (&[("SHELLOPTS", "xtrace")], None),
            (&[("IFS", ":")], None),
            (&[("PS4", "")], None),
            (&[("a-b", "")], None),
            (&[("PATH", "~/bin:/usr/bin")], None),
            (&[("PATH", "bin:/usr/bin")], None),
        ];
        for (set, expected) in cases {
            let expected = expected.map(|all| {
                let mut all: Vec<(String, String)> =
                    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                let program =
                    find_program(OsStr::new("env"), Some(OsStr::new("/usr/bin:/bin")), Path::new("/"));
                all.push(("_".to_owned(), program.unwrap().to_str().unwrap().to_owned()));
                all
            });
            assert_eq!(changed(Shell::Bash, set), expected, "{set:?}");
        }
        let of_dash = changed(Shell::Dash, &[("SHLVL", "3"), ("_", "x")]).unwrap();
        assert_eq!(of_dash, [("PWD".to_owned(), "/".to_owned())]);
    }
}
