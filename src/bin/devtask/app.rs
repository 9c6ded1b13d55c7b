//! What every verb needs: where we are, what was loaded, how to open the tree.

mod load;
mod place;

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, IsTerminal as _, stderr, stdout},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use devtask::{
    Session,
    config::{Color, Settings, parse_toml},
    diagnostic::{Diagnostic, Source, Sources},
    loader::Kind,
    scan::{GRANULARITY, read_regular},
    session::{CacheLimits, SessionBuilder, SessionError, Wait},
};

pub(crate) use load::{Loading, Tree, build};
use place::memory_base;
pub(crate) use place::{
    global_ignore, home, is_nested_in, private_base, private_state_dir, runtime_bases, users_state,
};

use crate::{
    args::{Globals, Ui, When},
    exit::Exit,
    render::{
        diagnostic,
        github::{self, Github, Ground},
        text,
    },
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

    /// How much of earlier results is kept, and for how long.
    pub(crate) fn cache_limits(&self, project: &Settings) -> CacheLimits {
        let default = CacheLimits::default();
        let size = self.globals.cache_size.or_else(|| self.setting(project, |s| s.cache_size));
        let age = self.globals.cache_age.or_else(|| self.setting(project, |s| s.cache_age));
        CacheLimits { size: size.unwrap_or(default.size), age: age.unwrap_or(default.age) }
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
            .kept(self.cache_limits(&tree.loaded.settings))
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
