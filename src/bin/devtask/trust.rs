//! What the user has allowed: where that is kept, and whether a tree that was loaded is it (spec section 8).
//!
//! It is kept among the user's own state and nowhere else: nothing in a tree has a say in it (hazard E2).

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, DirBuilder, Metadata},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use devtask::{
    loader::{Kind, Loaded},
    scan::read_regular,
    store::{read_private, write_private},
    trust::{Change, Changes, CommandChange, Trust},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use crate::{
    app::{complain, complain_with, internal, users_state},
    exit::Exit,
    render::text::{count, cut, shown},
};

/// The form of a record; another one is not understood.
const VERSION: u32 = 2;
/// A longer record is not ours.
const LIMIT: u64 = 64 << 20;
/// A file of a server that is longer is not digested, and counts as unreadable.
const LONGEST: u64 = 64 << 20;
/// How many commands are told, and lines of each, and how many variables.
const TOLD: usize = 20;
/// How much of a line is told.
const TOLD_OF_ONE: usize = 400;

/// Where the token lies, beneath the state directory.
const TOKEN: &str = "token";

/// Random bytes.
type Token = [u8; 16];

/// What is kept of a tree that is allowed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    trust: Trust,
    /// What lies in the state directory whose results were made since the tree was allowed, and nobody can guess: what
    /// lay there before somebody else may have put there. Inodes are used again, so they tell nothing.
    state: Option<Token>,
}

/// A tree that was loaded, and what the user has allowed.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    now: Trust,
    id: String,
    allowed: Option<Record>,
    /// Why nothing automatic may be done with it, whatever was allowed (hazard E4).
    unsafe_because: Vec<String>,
}

impl Judged {
    /// Judges what was loaded: the very texts, and not the files again.
    pub(crate) fn of(loaded: &Loaded, start_dir: &Path, state_dir: &Path) -> Self {
        let root = fs::canonicalize(&loaded.root).unwrap_or_else(|_| loaded.root.clone());
        let first = loaded.sources.iter().next();
        let file = first.map_or_else(OsString::new, |source| match &source.path {
            Some(path) => real(path).into(),
            None => source.name.clone().into(),
        });
        let owner = fs::metadata(&root).map_or(u32::MAX, |found| found.uid());
        let mut now = Trust::new(&root, &file, owner);
        let mut paths = BTreeSet::new();
        for source in loaded.sources.iter() {
            match &source.path {
                Some(path) => {
                    now.add_file(real(path).as_os_str(), source.text.as_bytes());
                    paths.insert(path.clone());
                }
                None => now.add_file(source.name.as_ref(), source.text.as_bytes()),
            }
        }
        if loaded.kind == Kind::Devenv && !start_dir.starts_with(&root) {
            // There its tasks run (spec section 1), with whatever lies there.
            now.add_file("the working directory".as_ref(), start_dir.as_os_str().as_bytes());
        }
        for path in loaded.server_files(state_dir) {
            let content = read_regular(&path, LONGEST).unwrap_or_else(|error| error.to_string().into_bytes());
            now.add_file(real(&path).as_os_str(), &content);
            paths.insert(path);
        }
        add_variables(&mut now, loaded);
        loaded.declarations.iter().for_each(|declaration| now.add_task(&declaration.task));
        loaded.servers.iter().for_each(|(server, _)| now.add_server(server));
        let unsafe_because = doubts(&root, &paths, state_dir);
        let id = Trust::id(&root, &file);
        Self { allowed: recall(&id), now, id, unsafe_because }
    }

    /// Whether something automatic may be done.
    pub(crate) fn is_allowed(&self) -> bool {
        self.unsafe_because.is_empty() && self.changes().is_some_and(|changes| changes.is_empty())
    }

    fn changes(&self) -> Option<Changes> {
        self.allowed.as_ref().map(|record| self.now.changes_since(&record.trust))
    }

    /// Says why nothing automatic may be done, if that is so.
    pub(crate) fn admit(&self) -> Result<(), Exit> {
        self.admit_safe()?;
        let root = shown(&self.now.root().display().to_string());
        match self.changes() {
            None => {
                complain(&format!("{root} is not allowed yet: nothing of it was executed"));
                eprintln!("  help: look at {}, then `devtask allow`", self.list_files());
                Err(Exit::NotAllowed)
            }
            Some(changes) if changes.is_empty() => Ok(()),
            Some(changes) => {
                complain(&format!("{root} is not as it was allowed: nothing of it was executed"));
                tell(&changes);
                eprintln!("  help: `devtask allow` if that is what you want");
                Err(Exit::NotAllowed)
            }
        }
    }

    fn admit_safe(&self) -> Result<(), Exit> {
        if self.unsafe_because.is_empty() {
            return Ok(());
        }
        for why in &self.unsafe_because {
            complain(why);
        }
        eprintln!("  help: mend that by `chown` or `chmod`: until then nothing automatic is done here");
        Err(Exit::NotAllowed)
    }

    fn list_files(&self) -> String {
        let files: Vec<String> =
            self.now.files().take(4).map(|file| shown(&self.short(file).display().to_string())).collect();
        let more = self.now.files().count().saturating_sub(files.len());
        if more == 0 { files.join(", ") } else { format!("{} and {more} more", files.join(", ")) }
    }

    fn short<'a>(&self, file: &'a Path) -> &'a Path {
        file.strip_prefix(self.now.root()).unwrap_or(file)
    }

    /// Allows it, and says what that is.
    pub(crate) fn allow(&self) -> Result<(), Exit> {
        self.admit_safe()?;
        let (changes, root) = (self.changes(), shown(&self.now.root().display().to_string()));
        if changes.as_ref().is_some_and(Changes::is_empty) {
            eprintln!("{:<17} {root}, as it was already", "Allowed");
            return Ok(());
        }
        // What is remembered of a task that was of no account so far is no better known than before.
        self.keep(None)?;
        eprintln!("{:<17} {root}", "Allowed");
        match &changes {
            Some(changes) => tell(changes),
            None => self.now.files().for_each(|file| {
                eprintln!("  file      {}", shown(&self.short(file).display().to_string()));
            }),
        }
        let files = count(self.now.files().count(), "file", "files");
        eprintln!("  {files} with {}", count(self.now.commands(), "task", "tasks"));
        Ok(())
    }

    /// Whether results in this state directory were made since the tree was allowed.
    pub(crate) fn knows_state(&self, state_dir: &Path) -> bool {
        let known = self.allowed.as_ref().and_then(|record| record.state);
        known.is_some_and(|token| read_private(&state_dir.join(TOKEN), 16).as_deref() == Some(&token))
    }

    /// From now on they were.
    pub(crate) fn note_state(&self, state_dir: &Path) -> Result<(), Exit> {
        let mut token = Token::default();
        let made =
            SystemRandom::new().fill(&mut token).map_err(|_| io::Error::other("there is no randomness"));
        match made.and_then(|()| write_private(&state_dir.join(TOKEN), &token)) {
            Ok(()) => self.keep(Some(token)),
            // Then nothing there is ever believed, which costs time only.
            Err(error) => {
                eprintln!("warning: nothing is remembered for `devtask export`: {error}");
                Ok(())
            }
        }
    }

    fn keep(&self, state: Option<Token>) -> Result<(), Exit> {
        let record = Record { version: VERSION, trust: self.now.clone(), state };
        let written = directory(true).and_then(|dir| {
            let dir = dir.ok_or(io::ErrorKind::NotFound)?;
            write_private(&dir.join(&self.id), &postcard::to_stdvec(&record).map_err(io::Error::other)?)
        });
        written.map_err(|error| internal(&format!("cannot keep what is allowed: {error}")))
    }
}

/// What is set: for everybody who enters, for the tasks of a file, and for single ones.
fn add_variables(trust: &mut Trust, loaded: &Loaded) {
    let root = loaded.projects.first().map_or("", |project| project.name.as_str());
    for (name, value) in &loaded.env {
        trust.add_variable(root, name, value.as_bytes());
    }
    for task in loaded.declarations.iter().map(|declaration| &declaration.task) {
        for (name, value) in &task.file_env {
            trust.add_variable(&task.project, name, value.value.as_bytes());
        }
        for (name, value) in &task.env {
            trust.add_variable(task.name.as_str(), name, value.value.as_bytes());
        }
    }
    for (server, _) in &loaded.servers {
        for (name, value) in &server.env {
            trust.add_variable(&format!("server {}", server.full_name()), name, value.value.as_bytes());
        }
    }
}

/// A path without links, as far as it leads anywhere.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Tells what is not as it was.
fn tell(changes: &Changes) {
    if changes.is_another {
        eprintln!("  another   root, task file or owner");
    }
    for (path, change) in &changes.files {
        eprintln!("  {:<9} {}", word(*change), shown(&path.display().to_string()));
    }
    for (name, change) in changes.variables.iter().take(TOLD) {
        eprintln!("  variable  {}: {}", shown(name), word(*change));
    }
    if changes.variables.len() > TOLD {
        eprintln!("  and {} more", count(changes.variables.len() - TOLD, "variable", "variables"));
    }
    for change in changes.commands.iter().take(TOLD) {
        eprintln!("  command   {}", shown(&change.name));
        let (before, now) = differing(change);
        for (mark, lines) in [('-', before), ('+', now)] {
            for line in lines.iter().take(TOLD) {
                eprintln!("    {mark} {}", shown(&cut(line, TOLD_OF_ONE)));
            }
            if lines.len() > TOLD {
                eprintln!("    {mark} … and {}", count(lines.len() - TOLD, "more line", "more lines"));
            }
        }
    }
    if changes.commands.len() > TOLD {
        eprintln!("  and {} more", count(changes.commands.len() - TOLD, "command", "commands"));
    }
    if changes.commands.is_empty() && changes.variables.is_empty() && !changes.files.is_empty() {
        eprintln!(
            "  the commands of tasks and their variables are what they were; what is around them is not"
        );
    }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "new",
        Change::Changed => "changed",
        Change::Removed => "gone",
    }
}

/// The lines that were and are now, between those that both begin and end with.
fn differing(change: &CommandChange) -> (Vec<&str>, Vec<&str>) {
    fn lines(text: Option<&String>) -> Vec<&str> {
        text.map(|text| text.lines().collect()).unwrap_or_default()
    }
    let (mut before, mut now) = (lines(change.before.as_ref()), lines(change.now.as_ref()));
    let same = before.iter().zip(&now).take_while(|(a, b)| a == b).count();
    before.drain(..same);
    now.drain(..same);
    let same = before.iter().rev().zip(now.iter().rev()).take_while(|(a, b)| a == b).count();
    before.truncate(before.len() - same);
    now.truncate(now.len() - same);
    (before, now)
}

/// Why nothing automatic may be done with these files: somebody else could have written them (hazard E4).
fn doubts(root: &Path, files: &BTreeSet<PathBuf>, state_dir: &Path) -> Vec<String> {
    let mut places = BTreeSet::from([root.to_owned(), state_dir.to_owned()]);
    for file in files {
        // A link and what it leads to, each in its directory.
        for path in [file.clone(), real(file)] {
            places.extend(path.parent().map(Path::to_owned));
            places.insert(path);
        }
    }
    places.iter().filter_map(|place| doubt(place)).collect()
}

fn doubt(place: &Path) -> Option<String> {
    let found: Metadata = fs::metadata(place).ok()?;
    let name = shown(&place.display().to_string());
    if found.uid() != geteuid().as_raw() && found.uid() != 0 {
        return Some(format!("{name} belongs to another user ({})", found.uid()));
    }
    // In a sticky directory nobody removes what is not theirs.
    let is_open = found.mode() & 0o002 != 0 && !(found.is_dir() && found.mode() & 0o1000 != 0);
    is_open.then(|| format!("{name} can be written by everybody"))
}

/// Where records are, if that is a directory that only the user can have made.
fn directory(make: bool) -> io::Result<Option<PathBuf>> {
    let Some(dir) = users_state().map(|state| state.join("allowed")) else { return Ok(None) };
    if make {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
    }
    let Ok(found) = fs::symlink_metadata(&dir) else { return Ok(None) };
    let is_ours = found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0;
    if is_ours {
        return Ok(Some(dir));
    }
    Err(io::Error::other(format!("{} is not a directory that is yours alone", dir.display())))
}

fn recall(id: &str) -> Option<Record> {
    read(&directory(false).ok()??.join(id))
}

fn read(path: &Path) -> Option<Record> {
    let record: Record = postcard::from_bytes(&read_private(path, LIMIT)?).ok()?;
    (record.version == VERSION).then_some(record)
}

/// Every tree that is allowed, and its record.
pub(crate) fn all() -> Vec<(PathBuf, PathBuf)> {
    let dir = directory(false).ok().flatten();
    let entries = dir.and_then(|dir| fs::read_dir(dir).ok()).into_iter().flatten().flatten();
    let found =
        entries.filter_map(|entry| Some((read(&entry.path())?.trust.root().to_owned(), entry.path())));
    let mut all: Vec<_> = found.collect();
    all.sort();
    all
}

/// Takes back what was allowed of these.
pub(crate) fn forget(records: &[(PathBuf, PathBuf)]) -> Result<(), Exit> {
    for (root, record) in records {
        if let Err(error) = fs::remove_file(record) {
            complain_with(&format!("cannot forget it: {error}"), &format!("remove {}", record.display()));
            return Err(Exit::Internal);
        }
        eprintln!("{:<17} {}", "Revoked", shown(&root.display().to_string()));
    }
    Ok(())
}
