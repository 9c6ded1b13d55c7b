//! The tasks of servers: their lists are kept until what the servers are made of changes, and asked for only by who
//! may start programs of the tree (hazard E3).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    Faults, Loaded,
    world::{Of, World, digest_of},
};
use crate::{
    config::normalise,
    diagnostic::{Diagnostic, Place},
    model::{Declaration, Digest, EdgeRef, Task, TaskServer},
    pattern::{PatternKind, PatternSet},
    servers::{StartFault, Surroundings, ask, declarations},
    store::{StateDir, prune_private, read_private, write_private},
    tsp::InitializeResult,
};

/// Where lists are kept, beneath the state directory.
const DIR: &str = "servers";
/// How many there are at most: of servers that are declared no more they are left over.
const MOST: usize = 256;
/// A longer file is not ours.
const LIMIT: u64 = 64 << 20;
/// What an unknown task may be called all the same: it is built in.
const BUILT_IN: &str = "devenv:";

/// What may be done to learn the tasks of servers.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Where the state of the tree lives.
    pub state_dir: PathBuf,
    /// What they are started within; none: they are not started, and what was told last counts.
    pub within: Option<Surroundings>,
    /// Whether they are asked though their lists are known.
    pub anew: bool,
    /// Is told which servers are asked, before they are.
    pub tell: Option<fn(&[&TaskServer])>,
}

/// A list that is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Stands for the declaration of the server.
    declared: Digest,
    /// Stands for what it is made of.
    made: Digest,
    /// What it told, as JSON.
    listed: String,
}

/// A server whose list is wanted.
struct Wanted {
    server: Arc<TaskServer>,
    place: Place,
    declared: Digest,
    /// What it is made of, and what stands for that.
    files: Vec<Arc<Path>>,
    made: Digest,
    file: PathBuf,
    known: Option<Kept>,
    listed: Option<InitializeResult>,
}

/// Where the list of a server is kept.
fn list_file(state_dir: &Path, server: &TaskServer) -> PathBuf {
    state_dir.join(DIR).join(format!("{:016x}", xxh3_64(server.full_name().as_bytes())))
}

/// Forgets the list of a server: whoever loads its file next asks for it. Returns where it was kept.
pub fn forget_list(state_dir: &Path, server: &TaskServer) -> PathBuf {
    let file = list_file(state_dir, server);
    // What is not there is forgotten.
    let _ = fs::remove_file(&file);
    file
}

/// What is kept of the list of a server, declared as it is.
#[must_use]
pub fn kept_list(state_dir: &Path, server: &TaskServer) -> Option<InitializeResult> {
    let kept = Kept::read(&list_file(state_dir, server)).filter(|kept| kept.declared == declared(server))?;
    serde_json::from_str(&kept.listed).ok()
}

/// Stands for the declaration of a server.
fn declared(server: &TaskServer) -> Digest {
    Digest(xxh3_128(&postcard::to_stdvec(server).unwrap_or_default()))
}

impl Kept {
    fn read(file: &Path) -> Option<Self> {
        postcard::from_bytes(&read_private(file, LIMIT)?).ok()
    }
}

impl Wanted {
    fn new(server: TaskServer, place: Place, root: &Path, asking: &Asking, loaded: &mut Loaded) -> Self {
        let world = World::over(&loaded.observed);
        let patterns = server.watch.iter().map(|pattern| pattern.value.clone()).collect();
        let of = Of { root: root.to_owned(), state_dir: asking.state_dir.clone(), patterns };
        loaded.files.extend(beginnings(&of));
        let files = world.files_of(of);
        loaded.files.extend(files.entries.iter().map(|file| file.path.to_path_buf()));
        loaded.observed = world.observed();
        let declared = declared(&server);
        let file = list_file(&asking.state_dir, &server);
        let known = Kept::read(&file);
        let made = digest_of(&files);
        let files = files.entries.into_iter().map(|file| file.path).collect();
        Self { server: Arc::new(server), place, declared, files, made, file, known, listed: None }
    }

    /// Whether what is known of it is what it would tell now.
    fn is_current(&self) -> bool {
        let is_so = |known: &Kept| known.declared == self.declared && known.made == self.made;
        self.known.as_ref().is_some_and(is_so)
    }

    /// Whether it was not asked just now.
    const fn was_recalled(&self) -> bool {
        self.known.is_some()
    }

    fn recall(&mut self) {
        let text = self.known.as_ref().map(|known| known.listed.as_str());
        self.listed = text.and_then(|text| serde_json::from_str(text).ok());
    }

    /// That it cannot be kept is no fault: it is asked again.
    fn keep(&self, state_dir: &Path) {
        let Some(listed) = self.listed.as_ref().and_then(|listed| serde_json::to_string(listed).ok()) else {
            return;
        };
        let kept = Kept { declared: self.declared, made: self.made, listed };
        let made = StateDir::create(state_dir).and_then(|dir| dir.subdir(DIR));
        if let (Ok(dir), Ok(bytes)) = (made, postcard::to_stdvec(&kept)) {
            let _ = write_private(&self.file, &bytes);
            prune_private(&dir, MOST);
        }
    }

    /// The fault of a task whose negations leave out something that its server is made of: a change of that has to
    /// make it run again.
    fn left_out_by(&self, task: &Task) -> Option<Diagnostic> {
        let values: Vec<String> = task.exec_if_modified.iter().map(|pattern| pattern.value.clone()).collect();
        if !task.can_be_fresh() || !values.iter().any(|value| value.starts_with('!')) {
            return None;
        }
        let set = PatternSet::new(&task.pattern_bases, &values, PatternKind::Inputs).ok()?;
        let file = self.files.iter().find(|file| !set.matches(file))?;
        let message = format!(
            "the list of server `{}` has a fault: negations of {} leave out {}, which the server is made of",
            self.server.name,
            task.name,
            file.display()
        );
        let fault = Diagnostic::error("server-list", message).at(Some(&self.place), "this server");
        Some(fault.hint("narrow the negations of the task"))
    }

    /// Nobody could tell when results of it are out of date.
    fn unwatched(&self, declared: &[Declaration]) -> Option<Diagnostic> {
        let can_be_fresh = declared.iter().any(|declaration| declaration.task.can_be_fresh());
        if !self.server.watch.is_empty() || !can_be_fresh {
            return None;
        }
        let message = format!("nothing says what server `{}` is made of", self.server.name);
        let warning = Diagnostic::warning("server-unwatched", message).at(Some(&self.place), "");
        Some(warning.hint("name its files in `watch`: else its tasks stay fresh when they change"))
    }

    fn unasked(&self) -> Diagnostic {
        let name = &self.server.name;
        let message = match self.listed {
            Some(_) => format!("server `{name}` has changed since it told its tasks"),
            None => format!("the tasks of server `{name}` are not known yet"),
        };
        Diagnostic::warning("server-not-asked", message)
            .at(Some(&self.place), "")
            .hint("`devtask run` asks it, as does `--refresh-task-cache`")
    }

    /// That it could not be asked is a fault only where nothing is known of it: else its tasks fail, if they run.
    fn fault(&self, fault: &StartFault) -> Diagnostic {
        let (name, trouble) = (&self.server.name, &fault.trouble);
        let told = match self.listed {
            None => Diagnostic::error("server-failed", format!("server `{name}` {trouble}")),
            Some(_) => {
                let message = format!("server `{name}` {trouble}; its tasks are those it told before");
                Diagnostic::warning("server-failed", message)
            }
        };
        let told = told.at(Some(&self.place), "");
        let told = fault.last.iter().fold(told, |told, line| told.note(format!("it wrote: {line}")));
        match trouble.hint() {
            Some(hint) => told.hint(hint),
            None => told,
        }
    }
}

/// The directories in which something could come that it is made of.
fn beginnings(of: &Of) -> Vec<PathBuf> {
    let set = PatternSet::new(std::slice::from_ref(&of.root), &of.patterns, PatternKind::Inputs);
    set.iter().flat_map(PatternSet::globs).map(|glob| glob.prefix().join("*")).collect()
}

impl Loaded {
    /// The files that the servers are made of which are still to be added, as far as that is known: what their `watch`
    /// means, and what of their command lines is a file beneath the root.
    #[must_use]
    pub fn server_files(&self, state_dir: &Path) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        for (server, _) in &self.servers {
            let patterns = server.watch.iter().map(|pattern| pattern.value.clone()).collect();
            let of = Of { root: self.root.clone(), state_dir: state_dir.to_owned(), patterns };
            files.extend(of.files().entries.iter().map(|file| file.path.to_path_buf()));
            let words = server.command.iter().map(|word| normalise(&server.dir.join(&word.value)));
            files.extend(words.filter(|path| path.starts_with(&self.root) && path.is_file()));
        }
        files
    }

    /// Adds the tasks of the servers that the files declare. Where these may not be started, their tasks are those they
    /// told last, with a warning if they might tell others now; references to tasks that nobody knows are left out
    /// then.
    ///
    /// # Errors
    /// What is wrong with a server or its list.
    pub fn with_server_tasks(mut self, asking: &Asking) -> Result<Self, Box<Faults>> {
        if self.servers.is_empty() {
            return Ok(self);
        }
        let (root, mut faults) = (self.root.clone(), Vec::new());
        let servers = std::mem::take(&mut self.servers);
        let wanted =
            servers.into_iter().map(|(server, place)| Wanted::new(server, place, &root, asking, &mut self));
        let mut wanted: Vec<Wanted> = wanted.collect();
        faults.extend(fetch(&mut wanted, &root, asking));
        let mut complete = true;
        for one in &wanted {
            self.files.push(one.file.clone());
            if let Some(listed) = &one.listed {
                let (declared, mut more) = declarations(&one.server, &one.place, listed, &root);
                more.extend(declared.iter().filter_map(|declaration| one.left_out_by(&declaration.task)));
                self.warnings.extend(one.unwatched(&declared));
                self.declarations.extend(declared);
                // Who mends a list wants it to be asked for.
                if more.is_empty() && !one.was_recalled() {
                    one.keep(&asking.state_dir);
                }
                faults.extend(more);
            }
            if asking.within.is_none() && !one.is_current() {
                complete &= one.listed.is_some();
                self.warnings.push(one.unasked());
            }
        }
        self.rest_on_lists(&wanted);
        let (faults, warnings): (Vec<_>, Vec<_>) = faults.into_iter().partition(Diagnostic::is_error);
        self.warnings.extend(warnings);
        self.has_kept_lists = wanted.iter().any(|one| one.listed.is_some() && one.was_recalled());
        if !faults.is_empty() {
            let Self { sources, declarations, files, warnings, .. } = self;
            let diagnostics = faults.into_iter().chain(warnings).collect();
            return Err(Box::new(Faults { diagnostics, sources, declarations, complete: false, files }));
        }
        if !complete {
            self.leave_out_unknown();
        }
        Ok(self)
    }

    /// What is kept of this tree holds only with the lists as they are.
    fn rest_on_lists(&mut self, wanted: &[Wanted]) {
        let world = World::over(&self.observed);
        for one in wanted {
            let read = world.read(&one.file).ok();
            let kept = read.and_then(|bytes| postcard::from_bytes::<Kept>(&bytes).ok());
            // Somebody else may have asked it meanwhile, and been told something else.
            let told = |kept: &Kept| serde_json::from_str(&kept.listed).ok() == one.listed;
            if !kept.as_ref().is_some_and(|kept| kept.declared == one.declared && told(kept)) {
                world.is_not_to_be_kept();
            }
        }
        self.observed = world.observed();
    }

    fn leave_out_unknown(&mut self) {
        let known: BTreeSet<_> = self.declarations.iter().map(|one| one.task.name.clone()).collect();
        let is_known =
            |edge: &EdgeRef| known.contains(&edge.task) || edge.task.as_str().starts_with(BUILT_IN);
        for Declaration { after, before, .. } in &mut self.declarations {
            after.retain(is_known);
            before.retain(is_known);
        }
    }
}

/// Finds out their lists: from what is kept, else from themselves; what went wrong.
fn fetch(wanted: &mut [Wanted], root: &Path, asking: &Asking) -> Vec<Diagnostic> {
    let is_to_be_asked = |one: &Wanted| asking.within.is_some() && (asking.anew || !one.is_current());
    wanted.iter_mut().filter(|one| !is_to_be_asked(one)).for_each(Wanted::recall);
    let Some(surroundings) = &asking.within else { return Vec::new() };
    let mut asked: Vec<&mut Wanted> = wanted.iter_mut().filter(|one| one.listed.is_none()).collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let servers: Vec<Arc<TaskServer>> = asked.iter().map(|one| Arc::clone(&one.server)).collect();
    if let Some(tell) = asking.tell {
        tell(&servers.iter().map(Arc::as_ref).collect::<Vec<_>>());
    }
    let answers = ask(&servers.iter().map(Arc::as_ref).collect::<Vec<_>>(), root, surroundings);
    let mut faults = Vec::new();
    for (one, answer) in asked.iter_mut().zip(answers) {
        match answer {
            Ok(listed) => {
                one.listed = Some(listed);
                one.known = None;
            }
            Err(fault) => {
                one.recall();
                faults.push(one.fault(&fault));
            }
        }
    }
    faults
}
