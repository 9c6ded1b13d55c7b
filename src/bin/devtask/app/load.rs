//! Loading the tree: from the files, or as it was kept, and only if it is allowed where that counts.

use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use devtask::{
    TaskGraph,
    config::Settings,
    diagnostic::{Diagnostic, Sources},
    loader::{Asking, Faults, Keeper, LoadRequest, Loaded, Resolved, load},
    model::{Digest, TaskServer},
    servers::Surroundings,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    App,
    place::{home, in_its_place, runtime_bases, state_dir},
};
use crate::{
    exit::Exit,
    render::{diagnostic, text},
    trust::Judged,
};

/// The projects of the tree, and their graph.
pub(crate) struct Tree {
    pub(crate) loaded: Loaded,
    pub(crate) graph: Arc<TaskGraph>,
    /// Stands for them if they were kept and not loaded anew, or were judged: what is judged is not kept.
    pub(super) kept: Option<Digest>,
    /// Whether it is allowed, if that was asked.
    pub(crate) judged: Option<Box<Judged>>,
}

/// Why there is no tree.
pub(crate) struct Broken {
    /// What is wrong in the files, and with the graph as far as it can be known.
    faults: Vec<Diagnostic>,
    sources: Sources,
    /// As far as they are known.
    settings: Option<Settings>,
    /// Whether lists of servers were taken as they were kept.
    rests_on_lists: bool,
}

/// A start may take its time.
fn tell_of_asking(servers: &[&TaskServer]) {
    let servers: Vec<String> = servers.iter().map(|server| text::shown(&server.name)).collect();
    let whose = if servers.len() == 1 { "its" } else { "their" };
    eprintln!("{:<17} {} for {whose} tasks", "Asking", servers.join(", "));
}

/// What is to be loaded, and what may be done for it.
#[derive(Clone, Debug)]
pub(crate) struct Loading {
    request: LoadRequest,
    /// Where the user wants the state.
    state_dir: Option<PathBuf>,
    /// Whether programs of the tree may be started (hazard E3).
    may_start: bool,
    /// Whether servers are asked though their lists are known.
    anew: bool,
    /// Whether there is no session in this process, which would adopt orphans.
    is_alone: bool,
    /// Whether it is told that servers are asked.
    tells: bool,
    /// Whether it is asked if the tree is allowed.
    judges: bool,
}

impl Loading {
    fn asking(&self, loaded: &Loaded) -> Asking {
        let state_dir = state_dir(&loaded.root, self.state_dir.as_deref());
        let reserved = [
            ("DEVENV_ROOT", loaded.root.clone()),
            ("DEVENV_DOTFILE", state_dir.clone()),
            ("DEVENV_STATE", state_dir.join("state")),
        ];
        let within = self.may_start.then(|| Surroundings {
            environment: env::vars_os().collect(),
            guardian: env::current_exe().ok(),
            adopt_orphans: self.is_alone,
            runtime_bases: runtime_bases(),
            reserved: reserved.map(|(name, path)| (name.into(), path.into())).into(),
        });
        let tell = self.tells.then_some(tell_of_asking as fn(&[&TaskServer]));
        Asking { state_dir, within, anew: self.anew, tell }
    }

    /// The same where a session of this process goes on.
    pub(crate) fn within_a_session(self) -> Self {
        Self { is_alone: false, tells: false, ..self }
    }
}

impl Broken {
    /// How many faults there are; none if the fault is that there is no file.
    pub(crate) fn faults(&self) -> Option<usize> {
        let is_no_file = self.faults.iter().any(|fault| fault.code == "no-configuration");
        (!is_no_file).then(|| self.faults.iter().filter(|fault| fault.is_error()).count())
    }

    pub(crate) fn rendered(&self, color: bool) -> String {
        diagnostic::render(&self.faults, &self.sources, color)
    }
}

impl Tree {
    /// Loads the task files, asks their servers if that may be done, and builds their graph. A fault that may come of
    /// a list that was kept is no fault before the server was asked again.
    pub(crate) fn read(what: &Loading) -> Result<Self, Box<Broken>> {
        let read = Self::read_once(what);
        match read {
            Err(broken) if broken.rests_on_lists && what.may_start && !what.anew => {
                Self::read_once(&Loading { anew: true, ..what.clone() })
            }
            read => read,
        }
    }

    fn read_once(what: &Loading) -> Result<Self, Box<Broken>> {
        let mut judged = None;
        let with_servers = |loaded: Loaded| {
            let mut asking = what.asking(&loaded);
            if what.judges {
                let found = Judged::of(&loaded, &what.request.start_dir, &asking.state_dir);
                asking.within = asking.within.filter(|_| found.is_allowed());
                judged = Some(Box::new(found));
            }
            loaded.with_server_tasks(&asking)
        };
        let mut loaded = load(&what.request).and_then(with_servers).map_err(|faults| {
            let Faults { diagnostics: mut faults, sources, complete, declarations, .. } = *faults;
            if complete && let Err(more) = TaskGraph::build(declarations) {
                faults.extend(more);
            }
            Box::new(Broken { faults, sources, settings: None, rests_on_lists: false })
        })?;
        let rests_on_lists = loaded.has_kept_lists;
        match TaskGraph::build(std::mem::take(&mut loaded.declarations)) {
            Ok(graph) => {
                let kept = judged.as_ref().and_then(|_| stands_for(&loaded, &graph));
                Ok(Self { loaded, graph: Arc::new(graph), kept, judged })
            }
            Err(faults) => {
                let faults = faults.into_iter().chain(loaded.warnings).collect();
                let settings = Some(loaded.settings);
                Err(Box::new(Broken { faults, sources: loaded.sources, settings, rests_on_lists }))
            }
        }
    }

    /// Tasks that stand in no file, of a tree whose files are of no account.
    pub(crate) fn without_file(root: &Path, graph: TaskGraph) -> Self {
        Self { loaded: Loaded::without_file(root), graph: Arc::new(graph), kept: None, judged: None }
    }
}

/// Stands for a tree that was loaded by this very program.
fn stands_for(loaded: &Loaded, graph: &TaskGraph) -> Option<Digest> {
    let parts = (loaded.digest(graph)?.0, build()?);
    Some(Digest(xxh3_128(format!("{parts:?}").as_bytes())))
}

impl App {
    pub(crate) fn load_request(&self) -> LoadRequest {
        LoadRequest {
            start_dir: self.start_dir.clone(),
            file: self.globals.file.as_deref().map(|file| in_its_place(&self.start_dir.join(file))),
            home: home(),
            devenv_tasks: env::var_os("DEVENV_TASKS"),
            devenv_task_file: env::var_os("DEVENV_TASK_FILE"),
            devenv_root: env::var_os("DEVENV_ROOT").map(|root| in_its_place(Path::new(&root)).into()),
        }
    }

    /// What is to be loaded, and what may be done for it.
    pub(crate) fn loading(&self) -> Loading {
        let anew = self.globals.refresh_task_cache;
        Loading {
            request: self.load_request(),
            state_dir: self.chosen_state_dir(),
            may_start: self.may_start || anew,
            anew,
            is_alone: true,
            tells: !self.globals.quiet,
            judges: self.judges,
        }
    }

    /// What the last invocation loaded, if nothing of that can have changed.
    fn recall(&self) -> Option<Tree> {
        if self.globals.refresh_task_cache {
            return None;
        }
        let state_dir = self.chosen_state_dir();
        let Resolved { loaded, graph, digest } =
            keeper()?.find(&self.load_request(), state_dir.as_deref())?;
        Some(Tree { loaded, graph: Arc::new(graph), kept: Some(digest), judged: None })
    }

    /// Keeps what was loaded for the next invocation, in a state directory that is ours.
    pub(crate) fn keep(&self, tree: &Tree, state_dir: &Path) {
        if let (None, Some(keeper)) = (tree.kept, keeper()) {
            keeper.keep(&self.load_request(), &tree.loaded, &tree.graph, state_dir);
        }
    }

    /// Loads without a word about faults.
    pub(crate) fn load_quietly(&mut self) -> Result<Tree, Exit> {
        if let Some(tree) = self.recall() {
            return Ok(tree);
        }
        Tree::read(&self.loading()).map_err(|_| Exit::Usage)
    }

    /// The projects of the tree and their graph.
    pub(crate) fn load(&mut self) -> Result<Tree, Exit> {
        match self.recall() {
            Some(tree) => {
                self.choose_colors(Some(&tree.loaded.settings));
                Ok(tree)
            }
            None => self.load_anew(),
        }
    }

    /// Loads the task files and builds their graph; every fault is shown at once.
    pub(crate) fn load_anew(&mut self) -> Result<Tree, Exit> {
        let tree = Tree::read(&self.loading()).map_err(|broken| self.show(*broken))?;
        self.choose_colors(Some(&tree.loaded.settings));
        eprint!("{}", self.rendered(&tree.loaded.warnings, &tree.loaded.sources));
        Ok(tree)
    }

    /// The same once more, as the files have changed since. What was allowed has to be still.
    pub(crate) fn load_again(&self) -> Result<Tree, Exit> {
        let tree = Tree::read(&self.loading()).map_err(|broken| {
            eprint!("{}", self.rendered(&broken.faults, &broken.sources));
            Exit::Usage
        })?;
        tree.judged.as_deref().map_or(Ok(()), Judged::admit)?;
        Ok(tree)
    }

    /// The tree, if it is allowed: whatever is done automatically begins here, and nothing of the tree is executed
    /// before.
    pub(crate) fn load_allowed(&mut self) -> Result<Tree, Exit> {
        let judged = |tree: &Tree| tree.judged.as_deref().map_or(Err(Exit::NotAllowed), Judged::admit);
        (self.judges, self.may_start) = (true, true);
        let mut tree = Tree::read(&self.loading()).map_err(|broken| self.show(*broken))?;
        judged(&tree)?;
        let state_dir = self.state_dir(&tree);
        if !self.globals.refresh_task_cache
            && !tree.judged.as_ref().is_some_and(|judged| judged.knows_state(&state_dir))
        {
            // Whatever is remembered from before somebody else may have put there: nothing of it counts.
            self.globals.refresh_task_cache = true;
            tree = Tree::read(&self.loading()).map_err(|broken| self.show(*broken))?;
            judged(&tree)?;
        }
        self.choose_colors(Some(&tree.loaded.settings));
        eprint!("{}", self.rendered(&tree.loaded.warnings, &tree.loaded.sources));
        Ok(tree)
    }

    /// The tree, and whether it is allowed: nothing of it is executed.
    pub(crate) fn load_to_judge(&mut self) -> Result<Box<Judged>, Exit> {
        (self.judges, self.may_start, self.globals.refresh_task_cache) = (true, false, false);
        let tree = Tree::read(&self.loading()).map_err(|broken| self.show(*broken))?;
        self.choose_colors(Some(&tree.loaded.settings));
        tree.judged.ok_or(Exit::NotAllowed)
    }

    fn show(&mut self, mut broken: Broken) -> Exit {
        self.choose_colors(broken.settings.as_ref());
        for fault in broken.faults.iter_mut().filter(|fault| fault.code == "no-configuration") {
            let hints = fault.hint.take().into_iter().chain(self.without_file.map(str::to_owned));
            fault.hint = Some(hints.collect::<Vec<_>>().join("; or "));
        }
        eprint!("{}", self.rendered(&broken.faults, &broken.sources));
        Exit::Usage
    }
}

/// What keeps loaded trees, for this very program: what another one kept may mean something else.
fn keeper() -> Option<Keeper> {
    build().map(Keeper::new)
}

/// Tells this very program from every other.
pub(crate) fn build() -> Option<u64> {
    let program = env::current_exe().and_then(fs::metadata).ok()?;
    let (size, inode) = (program.len(), program.ino());
    let stamps = [program.mtime(), program.mtime_nsec(), program.ctime(), program.ctime_nsec()];
    Some(xxh3_64(format!("{size} {inode} {stamps:?}").as_bytes()))
}
