//! What a command is for, as far as its name tells.

/// What kind of work is behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Makes files that others build on.
    Build,
    /// Runs tests, which may use what was built.
    Test,
    /// Looks at the sources and says what is wrong with them.
    Check,
    /// Goes on until it is ended.
    Endless,
    /// Does what a person decides about, for this reason.
    Effect(&'static str),
    /// Nobody can tell.
    Unknown,
}

// Each list is of words, with a space between them.
const ENDLESS: &str = "dev develop preview serve server start storybook watch live hot";
const TEST: &str = "test tests unit integration spec testing";
const CHECK: &str = "check checks ci clippy eslint lint lints linter mypy phpstan psalm ruff shellcheck stylelint tsc \
                     typecheck types typing validate verify vet";
const BUILD: &str =
    "build bundle codegen compile css doc docs gen generate generated proto protobuf transpile wasm";
/// Why a command that rewrites sources is left out; one that only says what it would rewrite is not.
const REWRITES: &str = "it rewrites sources";
/// Why a command is left out that others see the result of.
const ELSEWHERE: &str = "it has effects elsewhere";
/// Why a command is left out that removes things. Those that call it are not: many builds begin so.
const REMOVES: &str = "it removes things";
/// Words, and why what they do is a person's decision.
const EFFECTS: &[(&str, &str)] = &[
    (
        "deploy publish release push upload ship promote rollback submit undeploy provision apply destroy terraform \
         notify login",
        ELSEWHERE,
    ),
    ("clean distclean clear purge nuke reset drop delete remove rm prune eject", REMOVES),
    ("fix fixup format fmt prettier black isort autofix rewrite sort beautify", REWRITES),
    (
        "update upgrade bump version tag commit changelog pin accept bless",
        "it changes what is under version control",
    ),
    ("install uninstall setup bootstrap init configure link unlink hooks husky", "it changes the machine"),
    ("migrate migration migrations seed db database backup restore", "it changes data"),
    ("docker image container compose up down stop restart kill halt", "it starts or ends things outside"),
    ("run repl shell console debug open browse help list usage exec", "it is for a person at a terminal"),
    ("bench benches benchmark benchmarks fuzz profile coverage cov", "it takes its time"),
    ("e2e cypress playwright selenium", "it may need more than what is here"),
    ("staged precommit", "it is for a hook of git"),
];

/// The words of a name, in lower case: `build:css`, `build_css` and `buildCss` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous = ' ';
    for c in name.chars() {
        let begins = c.is_uppercase() && previous.is_lowercase();
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.iter_mut().last().into_iter().for_each(|word| word.extend(c.to_lowercase()));
        }
        previous = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What a name says.
pub(super) fn of(name: &str) -> Nature {
    let words = words(name);
    let has = |list: &str| list.split(' ').any(|word| words.iter().any(|own| own == word));
    // `format:check` looks, and does not rewrite.
    let only_looks = has("check lint verify diff dry") && !has("fix autofix rewrite");
    if has(ENDLESS) {
        return Nature::Endless;
    }
    let is_effect =
        |(list, reason): &&(&str, &'static str)| has(list) && !(only_looks && *reason == REWRITES);
    if let Some((_, reason)) = EFFECTS.iter().find(is_effect) {
        return Nature::Effect(reason);
    }
    match () {
        () if has(TEST) => Nature::Test,
        () if has(CHECK) || only_looks => Nature::Check,
        () if has(BUILD) || name == "all" => Nature::Build,
        () => Nature::Unknown,
    }
}

/// What a name says whose command is known.
pub(super) fn of_command(name: &str, command: &str) -> Nature {
    let mut words = command.split_whitespace();
    let mut others = words.clone();
    if others.any(|word| {
        ["publish", "push", "deploy", "gh-pages", "release-it", "semantic-release"].contains(&word)
    }) {
        return Nature::Effect(ELSEWHERE);
    }
    let goes_on = words.any(|w| ["--watch", "--watchAll", "nodemon", "--serve"].contains(&w));
    match of(name) {
        Nature::Effect(reason) => Nature::Effect(reason),
        _ if goes_on => Nature::Endless,
        nature => nature,
    }
}

/// What a name is a variant of, if that is here: `build` of `build:prod`. Both may write the same files.
pub(super) fn base(name: &str) -> Option<&str> {
    let end = name.find(|c: char| !c.is_alphanumeric())?;
    Some(&name[..end]).filter(|base| !base.is_empty())
}

/// Why something is left out that has no effects.
pub(super) const fn left_out(nature: Nature) -> &'static str {
    match nature {
        Nature::Unknown => "nobody can tell from outside what it does",
        _ => "it looks like a variant of another task",
    }
}

impl Nature {
    /// Why what calls this is left out, too.
    pub(super) fn effect_on_callers(self) -> Option<&'static str> {
        match self {
            Self::Effect(reason) if reason != REMOVES => Some(reason),
            _ => None,
        }
    }

    /// Whether it is part of a plain run.
    pub(super) fn is_work(self) -> bool {
        matches!(self, Self::Build | Self::Test | Self::Check)
    }
}
