//! A repository that wanders from state to state, and devtask called in it.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fmt, fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use fastrand::Rng;

use super::support::{DEVTASK, eventually};

/// How a check comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Succeed,
    Fail,
    /// Ctrl-C while the check is at work.
    Interrupt,
    /// SIGKILL then.
    Kill,
    /// SIGKILL at any moment, and once more in peace.
    KillAnywhere,
}

/// How devtask ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) err: String,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {:?}\n{}", self.code, self.err)
    }
}

/// All that is the user's: files with modes and targets of links, the index, HEAD, the stash and all other refs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) files: BTreeMap<PathBuf, (u32, Vec<u8>)>,
    pub(crate) index: Vec<u8>,
    pub(crate) staged: Vec<u8>,
    pub(crate) refs: Vec<u8>,
}

impl Snapshot {
    /// What is another, in words.
    pub(crate) fn differences(&self, before: &Self) -> String {
        let mut told = String::new();
        let names: std::collections::BTreeSet<&PathBuf> =
            self.files.keys().chain(before.files.keys()).collect();
        for name in names {
            if self.files.get(name) != before.files.get(name) {
                told += &format!("file {name:?}\n");
            }
        }
        for (what, now, was) in [("staged", &self.staged, &before.staged), ("refs", &self.refs, &before.refs)]
        {
            if now != was {
                told += &format!(
                    "{what}: {}\nwas {}\n",
                    String::from_utf8_lossy(now),
                    String::from_utf8_lossy(was)
                );
            }
        }
        if self.index != before.index {
            told += "the bytes of the index\n";
        }
        told
    }
}

/// The repository, and a directory beside it for what checks tell.
pub(crate) struct Tree {
    dir: tempfile::TempDir,
    serial: u64,
}

/// The names files have. Some are awkward on purpose.
const NAMES: [&str; 12] = [
    "a.txt",
    "b.txt",
    "sub/a.txt",
    "sub/deep/c.txt",
    "with space.txt",
    "-dash.txt",
    "new\nline.txt",
    "\u{fc}.txt",
    "data.bin",
    "crlf.txt",
    "run.sh",
    "sub/\"quoted\".txt",
];

/// The checks of every tree: one is given files, one looks around. Both tell what they saw; the way on, or out, is what
/// `$PLAN` says.
const DECLARED: &str = r#"
name = "t"
[checks.given]
exec = '''
for file in "$@"; do
    mkdir -p "$SEEN/given/$(dirname -- "$file")"
    cp -- "$file" "$SEEN/given/$file"
done
. "$PLAN"
'''
files = ["**"]
pass_files = true
fix = '''
for file in "$@"; do
    LC_ALL=C sed 's/b[a]d/good/' < "$file" > "$SEEN/fixed"
    if ! cmp -s "$SEEN/fixed" "$file"; then cat "$SEEN/fixed" > "$file"; fi
done
. "$PLAN"
'''
trackEnv = ["SEEN"]
[checks.around]
exec = '''
mkdir -p "$SEEN/around"
tar -cf - --exclude=./.git --exclude=./.devtask --exclude=./devtask.toml . | tar -C "$SEEN/around" -xf -
'''
files = ["**/*.txt"]
trackEnv = ["SEEN"]
"#;

impl Tree {
    pub(crate) fn new(seed: u64) -> Self {
        let dir = tempfile::TempDir::with_prefix(format!("devtask-git-{seed}-")).unwrap();
        let mut dir = dir;
        dir.disable_cleanup(env::var_os("DEVTASK_GIT_KEEP").is_some());
        let tree = Self { dir, serial: 0 };
        fs::create_dir_all(tree.root()).unwrap();
        fs::create_dir_all(tree.beside("home")).unwrap();
        tree.git(["init", "-q", "--initial-branch=main", "."]);
        fs::write(tree.root().join("devtask.toml"), DECLARED).unwrap();
        fs::write(tree.root().join(".gitignore"), ".devtask\nignored\n").unwrap();
        if seed.is_multiple_of(3) {
            // How files are written is part of what is committed.
            fs::write(tree.root().join(".gitattributes"), "crlf.txt text eol=crlf\n*.bin binary\n").unwrap();
            tree.git(["add", ".gitattributes"]);
        }
        if !seed.is_multiple_of(8) {
            tree.git(["add", "."]);
            tree.commit();
        }
        tree
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("tree")
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// Where the check of this step tells what it saw.
    pub(crate) fn seen(&self) -> PathBuf {
        self.beside(&format!("seen-{}", self.serial))
    }

    fn clean(&self, command: &mut Command) {
        command.current_dir(self.root()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.beside("home"));
        command.envs([("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C"), ("TMPDIR", "/tmp")]);
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "n").env(format!("GIT_{who}_EMAIL"), "e@x");
        }
    }

    /// Calls git, whatever comes of it: an act that makes no sense in a state is none.
    pub(crate) fn git<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Vec<u8> {
        let mut command = Command::new("git");
        command.args(args);
        self.clean(&mut command);
        command.output().unwrap().stdout
    }

    fn commit(&self) {
        self.git(["commit", "-q", "--no-verify", "-m", "x"]);
    }

    /// A few acts of a user.
    pub(crate) fn wander(&mut self, rng: &mut Rng) {
        for _ in 0..rng.usize(1..8) {
            self.act(rng);
        }
        self.serial += 1;
    }

    fn act(&self, rng: &mut Rng) {
        let name = NAMES[rng.usize(..NAMES.len())];
        let other = NAMES[rng.usize(..NAMES.len())];
        let path = self.root().join(name);
        match rng.u8(..22) {
            0..=5 => self.write(&path, &content(name, rng)),
            6 | 7 => self.edit(&path, rng),
            8..=11 => drop(self.git(["add", "--", name])),
            12 => drop(self.git(["add", "-A"])),
            13 => drop(self.git(["add", "-N", "--", name])),
            14 => drop(self.git(["mv", "-f", "--", name, other])),
            15 => drop(self.git(["rm", "-q", "--cached", "--", name])),
            16 => drop(fs::remove_file(&path)),
            17 => self.chmod(&path, rng),
            18 => {
                let _ = fs::remove_file(&path);
                // A link to nowhere, or to a file beside it.
                let _ = symlink(["nowhere", "b.txt"][rng.usize(..2)], &path);
            }
            19 => {
                self.commit();
            }
            20 => match rng.u8(..3) {
                0 => drop(self.git(["stash", "-q"])),
                1 => drop(self.git(["stash", "pop", "-q"])),
                _ => self.submodule(),
            },
            _ => self.merge(rng),
        }
    }

    fn write(&self, path: &Path, content: &[u8]) {
        let _ = fs::create_dir_all(path.parent().unwrap());
        if path.is_symlink() {
            let _ = fs::remove_file(path);
        }
        fs::write(path, content).unwrap();
    }

    /// A line more at the beginning or the end, or another one in the middle.
    fn edit(&self, path: &Path, rng: &mut Rng) {
        let Ok(was) = fs::read(path) else { return };
        let now = match rng.u8(..3) {
            0 => [b"first\n", was.as_slice()].concat(),
            1 => [was.as_slice(), b"last\n"].concat(),
            _ => was.iter().map(|byte| if *byte == b'm' { b'M' } else { *byte }).collect(),
        };
        if !path.is_symlink() {
            fs::write(path, now).unwrap();
        }
    }

    fn chmod(&self, path: &Path, rng: &mut Rng) {
        if path.is_file() && !path.is_symlink() {
            let mode = if rng.bool() { 0o755 } else { 0o644 };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    fn submodule(&self) {
        let inner = self.root().join("module");
        if inner.exists() {
            return;
        }
        fs::create_dir_all(&inner).unwrap();
        let words =
            "git init -q --initial-branch=main . && echo x > bad.txt && git add . && git commit -qm x";
        let mut command = Command::new("sh");
        command.args(["-c", words]);
        self.clean(&mut command);
        command.current_dir(&inner).status().unwrap();
        self.git(["add", "module"]);
    }

    /// Another branch comes in, and the merge is left in the middle.
    fn merge(&self, rng: &mut Rng) {
        let name = NAMES[rng.usize(..2)];
        self.git(["add", "-A"]);
        self.commit();
        self.git(["checkout", "-q", "-B", "side"]);
        self.write(&self.root().join(name), &content(name, rng));
        self.git(["add", "-A"]);
        self.commit();
        self.git(["checkout", "-q", "main"]);
        if rng.bool() {
            self.write(&self.root().join(name), &content(name, rng));
            self.git(["add", "-A"]);
            self.commit();
        }
        self.git(["merge", "-q", "--no-commit", "--no-ff", "side"]);
        match rng.u8(..4) {
            0 => {}
            1 => drop(self.git(["add", "-A"])),
            2 => drop(self.git(["merge", "--abort"])),
            _ => {
                self.git(["add", "-A"]);
                self.commit();
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut files = BTreeMap::new();
        let mut todo = vec![self.root()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let relative = path.strip_prefix(self.root()).unwrap().to_owned();
                if relative.starts_with(".git") && relative.as_os_str() != ".gitignore"
                    || relative.starts_with(".devtask")
                {
                    continue;
                }
                let meta = path.symlink_metadata().unwrap();
                if meta.is_dir() {
                    todo.push(path);
                } else if meta.is_symlink() {
                    let target = fs::read_link(&path).unwrap();
                    files.insert(relative, (0, target.as_os_str().as_bytes().to_vec()));
                } else {
                    files.insert(relative, (meta.permissions().mode(), fs::read(&path).unwrap()));
                }
            }
        }
        let mut refs = self.git(["for-each-ref"]);
        refs.extend(fs::read(self.root().join(".git/HEAD")).unwrap());
        for name in ["logs/refs/stash", "MERGE_HEAD", "config"] {
            refs.extend(fs::read(self.root().join(".git").join(name)).unwrap_or_default());
        }
        let index = fs::read(self.root().join(".git/index")).unwrap_or_default();
        Snapshot { files, index, staged: self.git(["ls-files", "--stage", "-z"]), refs }
    }

    fn devtask(&self, words: &[&str], plan: &str) -> Command {
        fs::write(self.beside("plan"), plan).unwrap();
        fs::create_dir_all(self.seen()).unwrap();
        let mut command = Command::new(DEVTASK);
        command.args(words);
        self.clean(&mut command);
        command.env("SEEN", self.seen()).env("PLAN", self.beside("plan"));
        command.stdout(Stdio::null()).stderr(fs::File::create(self.beside("err")).unwrap());
        command
    }

    fn ended(&self, status: std::process::ExitStatus) -> Ended {
        Ended { code: status.code(), err: fs::read_to_string(self.beside("err")).unwrap() }
    }

    pub(crate) fn check(&self, how: How, rng: &mut Rng) -> Ended {
        let words = ["check", "--staged"];
        let here = self.beside("here");
        let _ = fs::remove_file(&here);
        let waits = format!("touch '{}'; sleep 600", here.display());
        let plan = match how {
            How::Fail => "exit 3",
            How::Interrupt | How::Kill => waits.as_str(),
            How::Succeed | How::KillAnywhere => ":",
        };
        let mut child = self.devtask(&words, plan).spawn().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        // It may have ended by itself.
        let end = |signal| rustix::process::kill_process(pid, signal).unwrap_or_default();
        match how {
            How::Succeed | How::Fail => {}
            How::Interrupt | How::Kill => {
                // Where nothing is staged no check comes to that.
                eventually("the check is at work, or there is none", || {
                    here.exists() || child.try_wait().unwrap().is_some()
                });
                if child.try_wait().unwrap().is_none() {
                    end(if how == How::Kill {
                        rustix::process::Signal::KILL
                    } else {
                        rustix::process::Signal::INT
                    });
                }
            }
            How::KillAnywhere => {
                std::thread::sleep(Duration::from_micros(rng.u64(..60_000)));
                end(rustix::process::Signal::KILL);
                child.wait().unwrap();
                child = self.devtask(&words, ":").spawn().unwrap();
            }
        }
        let status = child.wait().unwrap();
        self.ended(status)
    }

    pub(crate) fn fix(&self, fails: bool) -> Ended {
        let status = self.devtask(&["fix", "--staged"], if fails { "exit 3" } else { ":" }).status().unwrap();
        self.ended(status)
    }
}

/// Lines of text of which one may be bad, or bytes.
fn content(name: &str, rng: &mut Rng) -> Vec<u8> {
    if name == "data.bin" {
        return (0..rng.usize(..200)).map(|_| rng.u8(..)).collect();
    }
    let end = if name == "crlf.txt" { "\r\n" } else { "\n" };
    let words = ["one", "two", "middle", "bad", "three", "four"];
    let lines = (0..rng.usize(..12)).map(|_| words[rng.usize(..words.len())]);
    lines.flat_map(|line| [line, end]).collect::<String>().into_bytes()
}
