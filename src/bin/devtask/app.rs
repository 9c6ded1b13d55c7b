//! What every verb needs: where we are, what was loaded, how to open the tree.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, IsTerminal as _, stderr, stdout},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use devtask::{
    Session, TaskGraph,
    config::{Color, Settings, parse_toml},
    diagnostic::{Diagnostic, Source, Sources},
    loader::{Asking, Faults, Keeper, Kind, LoadRequest, Loaded, Resolved, load},
    model::{Digest, TaskServer},
    scan::{GRANULARITY, read_regular},
    servers::Surroundings,
    session::{SessionBuilder, SessionError, Wait},
};

use rustix::fs::{Access, access};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::{
    args::{Globals, Ui, When},
    exit::Exit,
    render::{
        diagnostic,
        github::{self, Github, Ground},
        text,
    },
    trust::Judged,
};

/// One invocation.
pub(crate) struct App {
    pub(crate) globals: Globals,
    pub(crate) start_dir: PathBuf,
    /// Settings of the user's file, beneath those of the project.
    user: Settings,
    pub(crate) color_out: bool,
    pub(crate) color_err: bool,
    /// What else there is to do where there is no task file.
    pub(crate) without_file: Option<&'static str>,
    /// Whether programs of the tree may be started.
    pub(crate) may_start: bool,
    /// Whether only what the user has allowed counts: nothing that was kept does, and programs of the tree are started
    /// only if it is allowed.
    pub(crate) judges: bool,
    /// Where it is a checkout of ours: its top, and that of the repository it stands for.
    pub(crate) checkout: Option<(PathBuf, PathBuf)>,
}

/// The projects of the tree, and their graph.
pub(crate) struct Tree {
    pub(crate) loaded: Loaded,
    pub(crate) graph: Arc<TaskGraph>,
    /// Stands for them if they were kept and not loaded anew, or were judged: what is judged is not kept.
    kept: Option<Digest>,
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
    /// Looks at the surroundings.
    pub(crate) fn new(globals: Globals) -> Result<Self, Exit> {
        let here =
            env::current_dir().map_err(|e| misused(&format!("cannot tell the working directory: {e}")))?;
        let start_dir = match &globals.directory {
            Some(dir) => here.join(dir),
            None => here,
        };
        if !start_dir.is_dir() {
            return Err(misused(&format!(
                "there is no directory {}",
                text::shown(&start_dir.display().to_string())
            )));
        }
        // One name for one place: a tree reached through a link has the same keys (spec section 4.1).
        let start_dir = start_dir.canonicalize().unwrap_or(start_dir);
        let user = Settings::default();
        let mut app = Self {
            user,
            start_dir,
            color_out: false,
            color_err: false,
            without_file: None,
            may_start: false,
            judges: false,
            checkout: None,
            globals,
        };
        app.user = app.user_settings()?;
        app.choose_colors(None);
        Ok(app)
    }

    /// `$XDG_CONFIG_HOME/devtask/config.toml`, else the same in `~/.config`: a file with `[settings]`.
    fn user_settings(&self) -> Result<Settings, Exit> {
        let config = env::var_os("XDG_CONFIG_HOME").filter(|d| !d.is_empty()).map(PathBuf::from);
        let Some(config) = config.or_else(|| Some(home()?.join(".config"))) else {
            return Ok(Settings::default());
        };
        let path = config.join("devtask/config.toml");
        let content = match read_text(&path) {
            Ok(content) => content,
            Err(error) if is_missing(&error) => return Ok(Settings::default()),
            Err(error) => return Err(misused(&format!("cannot read {}: {error}", path.display()))),
        };
        let mut sources = Sources::default();
        let name = path.display().to_string();
        let source = sources.add(Source { name, path: Some(path), text: content.as_str().into() });
        let file = parse_toml(source, &content);
        if file.faults.is_empty() {
            return Ok(file.settings().0);
        }
        eprint!("{}", diagnostic::render(&file.faults, &sources, false));
        Err(Exit::Usage)
    }

    /// Colour as the flag or environment says, else as the project or the user's file does, else where a
    /// terminal is.
    pub(crate) fn choose_colors(&mut self, project: Option<&Settings>) {
        let setting = project.and_then(|s| s.color).or(self.user.color);
        let when = self.globals.color.or(setting.map(Into::into)).unwrap_or(When::Auto);
        let set = |name: &str| env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0");
        let decide = |terminal: bool| match when {
            When::Always => true,
            When::Never => false,
            When::Auto if set("NO_COLOR") => false,
            When::Auto if set("CLICOLOR_FORCE") || set("FORCE_COLOR") => true,
            When::Auto if env::var_os("CLICOLOR").is_some_and(|v| v == "0") => false,
            When::Auto => terminal && env::var_os("TERM").is_none_or(|t| t != "dumb"),
        };
        self.color_out = decide(stdout().is_terminal());
        self.color_err = decide(stderr().is_terminal());
    }

    /// A live region only on a terminal that can move its cursor, and never in CI.
    pub(crate) fn is_live(&self, project: &Settings) -> bool {
        let able = stderr().is_terminal()
            && env::var_os("CI").is_none()
            && env::var_os("TERM").is_none_or(|t| t != "dumb");
        match self.ui(project) {
            Ui::Inline => stderr().is_terminal(),
            Ui::Auto => able,
            Ui::Plain | Ui::Github | Ui::None => false,
        }
    }

    /// How progress is to be shown.
    pub(crate) fn ui(&self, project: &Settings) -> Ui {
        let setting = project.ui.or(self.user.ui).map(Into::into);
        match self.globals.ui.or(setting).unwrap_or(Ui::Auto) {
            Ui::Auto if env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") => Ui::Github,
            ui => ui,
        }
    }

    /// What turns lines into the log of a GitHub Actions job, if that is what we write.
    pub(crate) fn github(&self, project: &Settings, root: &Path) -> Option<Github> {
        let path = |name| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        (self.ui(project) == Ui::Github).then(|| {
            let (workspace, summary) = (path("GITHUB_WORKSPACE"), path("GITHUB_STEP_SUMMARY"));
            let (root, checkout) = (root.to_owned(), self.checkout.clone());
            Github::new(Ground { root, workspace, summary, checkout })
        })
    }

    /// Faults as they are to be written here.
    pub(crate) fn rendered(&self, faults: &[Diagnostic], sources: &Sources) -> String {
        let text = diagnostic::render(faults, sources, self.color_err);
        if self.ui(&Settings::default()) == Ui::Github { github::broken(&text) } else { text }
    }

    /// A setting of the project, else of the user.
    pub(crate) fn setting<T>(&self, project: &Settings, field: impl Fn(&Settings) -> Option<T>) -> Option<T> {
        field(project).or_else(|| field(&self.user))
    }

    /// How coarse stamps of files are at worst.
    pub(crate) fn granularity(&self) -> Duration {
        self.globals.granularity.unwrap_or(GRANULARITY)
    }

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

    /// Where the user wants the state.
    pub(crate) fn chosen_state_dir(&self) -> Option<PathBuf> {
        self.globals.state_dir.as_ref().map(|dir| self.start_dir.join(dir))
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

    /// The environment of tasks: ours. Where nothing counts that is remembered, that goes for runs that tasks ask for.
    pub(crate) fn environment(&self) -> Vec<(OsString, OsString)> {
        let refreshes = self.judges && self.globals.refresh_task_cache;
        let own = refreshes.then(|| ("DEVTASK_REFRESH_TASK_CACHE".into(), "1".into()));
        let is_replaced = |name: &OsStr| refreshes && name == "DEVTASK_REFRESH_TASK_CACHE";
        env::vars_os().filter(|(name, _)| !is_replaced(name)).chain(own).collect()
    }

    /// How a session over this tree is opened.
    pub(crate) fn session(&self, tree: &Tree, label: &str) -> SessionBuilder {
        Session::builder(Arc::clone(&tree.graph))
            .root(&tree.loaded.root)
            .state_dir(Some(self.state_dir(tree)))
            .environment(self.environment())
            .standpoint(tree.loaded.standpoint())
            .guardian(env::current_exe().ok())
            .adopt_orphans(true)
            .runtime_bases(runtime_bases())
            .file_bases(memory_base().into_iter().collect())
            .global_ignore(global_ignore())
            .keep_devenv_dirs(tree.loaded.kind == Kind::Devenv)
            .label(label)
            .loaded(tree.kept)
            .granularity(self.granularity())
            .wait(Wait::No)
    }
}

impl From<Color> for When {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

impl From<devtask::config::Ui> for Ui {
    fn from(ui: devtask::config::Ui) -> Self {
        match ui {
            devtask::config::Ui::Auto => Self::Auto,
            devtask::config::Ui::Inline => Self::Inline,
            devtask::config::Ui::Plain => Self::Plain,
            devtask::config::Ui::None => Self::None,
        }
    }
}

impl App {
    /// Where the state of a tree lives: where the user says, else in its root, else, for a root nobody may
    /// write to, among the user's own state, by the root's path (hazard D8).
    pub(crate) fn state_dir(&self, tree: &Tree) -> PathBuf {
        state_dir(&tree.loaded.root, self.chosen_state_dir().as_deref())
    }
}

/// Where the state of a tree lives; see [`App::state_dir`].
fn state_dir(root: &Path, chosen: Option<&Path>) -> PathBuf {
    if let Some(chosen) = chosen {
        return chosen.to_owned();
    }
    let usual = root.join(devtask::store::STATE_DIR);
    let writable = |path: &Path| access(path, Access::WRITE_OK).is_ok();
    if writable(&usual) || (!usual.exists() && writable(root)) {
        return usual;
    }
    let name = format!("{:016x}", xxh3_64(root.as_os_str().as_bytes()));
    users_state().map_or(usual, |state| state.join(name))
}

/// Where the user's own state lies.
pub(crate) fn users_state() -> Option<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|d| d.is_absolute());
    Some(state.or_else(|| Some(home()?.join(".local/state")))?.join("devtask"))
}

/// Where the state of this name lives, apart from every tree: it is made private when it is first used.
pub(crate) fn private_state_dir(name: &str) -> PathBuf {
    let short_lived = || runtime_bases().into_iter().next().unwrap_or_default().join("devtask-state");
    users_state().unwrap_or_else(short_lived).join(name)
}

/// Says what is wrong, in the form every fault without a place has.
pub(crate) fn complain(message: &str) {
    eprintln!("error: {}", text::shown(message));
}

/// [`complain`], with what to do about it.
pub(crate) fn complain_with(message: &str, hint: &str) {
    complain(message);
    eprintln!("  help: {}", text::shown(hint));
}

/// The end after wrong usage, having said what was wrong.
pub(crate) fn misused(message: &str) -> Exit {
    complain(message);
    Exit::Usage
}

/// [`misused`], with what to do about it.
pub(crate) fn misused_with(message: &str, hint: &str) -> Exit {
    complain_with(message, hint);
    Exit::Usage
}

/// The end after a failure of devtask itself, having said what failed.
pub(crate) fn internal(message: &str) -> Exit {
    complain(message);
    Exit::Internal
}

/// What the exit code of a session's error is, having said it.
pub(crate) fn refuse(error: &SessionError) -> Exit {
    match error {
        SessionError::Unknown(faults) => {
            for fault in faults {
                if fault.is_check {
                    eprintln!("error: {} is a check, which has to be given files", fault.typed);
                    eprintln!("  help: devtask check {}", fault.typed.trim_start_matches("check:"));
                    continue;
                }
                match &fault.no_process {
                    Some(task) => eprintln!("error: {task} is a task, and no process"),
                    None => eprintln!("error: nothing is called `{}`", text::shown(&fault.typed)),
                }
                match fault.suggestions.as_slice() {
                    [] if fault.no_process.is_some() => {
                        eprintln!("  help: it is run by `devtask run`, or with what needs it");
                    }
                    [] if fault.is_of_processes => {
                        eprintln!("  help: `devtask processes list` shows all processes");
                    }
                    [] => eprintln!("  help: `devtask list` shows all tasks"),
                    near => {
                        let near: Vec<String> = near.iter().map(|n| format!("`{n}`")).collect();
                        eprintln!("  help: did you mean {}?", near.join(" or "));
                    }
                }
            }
            Exit::NothingMatched
        }
        SessionError::Held(owner) => {
            complain(&format!("this tree is held by {}", text::owner(owner)));
            Exit::Held
        }
        SessionError::NestedCycle(_) => misused(&error.to_string()),
        // Also those that later versions of the library may add.
        _ => internal(&text::chain(error)),
    }
}

/// The user's file: text of a sane size.
fn read_text(path: &Path) -> io::Result<String> {
    let bytes = read_regular(path, 1 << 20)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A path by the name its directory really has.
fn in_its_place(path: &Path) -> PathBuf {
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).map(Path::canonicalize);
    match (directory, path.file_name()) {
        (Some(Ok(directory)), Some(name)) => directory.join(name),
        _ => path.to_owned(),
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

pub(crate) fn home() -> Option<PathBuf> {
    env::home_dir().filter(|h| h.is_absolute())
}

/// Where private short-lived files go: the user's own runtime directory, else the temporary directory.
pub(crate) fn runtime_bases() -> Vec<PathBuf> {
    user_runtime_dir().into_iter().chain([env::temp_dir()]).collect()
}

/// Where a private file goes that holds values: to where it never rests on a disk, if there is such a place.
pub(crate) fn private_base() -> PathBuf {
    user_runtime_dir().or_else(memory_base).unwrap_or_else(env::temp_dir)
}

fn user_runtime_dir() -> Option<PathBuf> {
    env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|d| d.is_absolute() && d.is_dir())
}

/// Where the files of single tasks go if the user has no runtime directory (which lies in memory): shared memory, if
/// it has room for them. A container's often has not.
fn memory_base() -> Option<PathBuf> {
    const ROOM: u64 = 256 * 1024 * 1024;
    let shared = Path::new("/dev/shm");
    let wanted = cfg!(target_os = "linux") && user_runtime_dir().is_none();
    let found = wanted.then(|| rustix::fs::statvfs(shared).ok()).flatten()?;
    (found.f_bavail.saturating_mul(found.f_frsize) >= ROOM).then(|| shared.to_owned())
}

/// git's `core.excludesFile` where it has its default place.
pub(crate) fn global_ignore() -> Option<PathBuf> {
    let config = env::var_os("XDG_CONFIG_HOME").filter(|d| !d.is_empty()).map(PathBuf::from);
    let file = config.or_else(|| Some(home()?.join(".config")))?.join("git/ignore");
    file.is_file().then_some(file)
}

/// Whether this process was started, through however many others, by a task of the run that holds
/// `state_dir`.
pub(crate) fn is_nested_in(state_dir: &Path) -> bool {
    let Ok(state_dir) = fs::canonicalize(state_dir) else { return false };
    let trees = env::var_os("DEVTASK_TREES").unwrap_or_default();
    let mut trees = trees.as_bytes().split(|b| *b == b'\n').map(OsStr::from_bytes);
    trees.any(|tree| fs::canonicalize(tree).is_ok_and(|tree| tree == state_dir))
}
