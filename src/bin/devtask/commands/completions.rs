//! `devtask completions SHELL`: clap's script, taught to complete task names.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::{
    app::App,
    args::{Cli, CompletionsArgs},
    commands::out,
    exit::Exit,
};

/// In bash a colon separates words while completing, so that `app:bu` arrives as three of them and a
/// candidate must not repeat what stands before the last colon. `@VALUED@` stands for the options that take
/// a value, behind which no task is named.
const BASH: &str = r#"
_devtask_names() {
    local line="${COMP_LINE:0:COMP_POINT}" typed word verb= skip= drop
    local -a where=()
    typed="${line##*[[:space:]]}"
    for word in "${COMP_WORDS[@]:1}"; do
        if [[ -n $skip ]]; then where+=("$skip" "$word"); skip=; continue; fi
        case $word in
            -C|-f|--file) skip=$word ;;
            run|list|show|why|graph|logs) [[ -n $verb ]] || verb=$word ;;
        esac
    done
    case ${COMP_WORDS[COMP_CWORD-1]} in
        @VALUED@) verb= ;;
    esac
    if [[ -n $verb && -n $line && $typed != -* && $typed != "$verb" ]]; then
        COMPREPLY=($(compgen -W "$(devtask "${where[@]}" __complete 2>/dev/null)" -- "$typed"))
        if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
            drop="${typed%"${typed##*:}"}"
            COMPREPLY=("${COMPREPLY[@]#"$drop"}")
        fi
        return 0
    fi
    _devtask "$@"
}
complete -F _devtask_names -o bashdefault -o default devtask
"#;

const ZSH: &str = r#"
_devtask_names() {
    local -a names
    names=(${(f)"$(devtask __complete 2>/dev/null)"})
    compadd -a names
}
"#;

const FISH: &str = r#"
complete -c devtask -n "__fish_seen_subcommand_from run list show why graph logs" -f -a "(devtask __complete 2>/dev/null)"
"#;

pub(crate) fn script(args: &CompletionsArgs) -> Exit {
    let mut script = Vec::new();
    let mut command = visible(&Cli::command());
    generate(args.shell, &mut command, "devtask", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    out(&match args.shell {
        Shell::Bash => script + &BASH.replace("@VALUED@", &valued(&command)),
        Shell::Zsh => zsh(&script),
        Shell::Fish => script + FISH,
        _ => script,
    })
}

/// The command without its hidden verbs: those are for scripts and habits, not for offering.
fn visible(command: &Command) -> Command {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    Command::new("devtask")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().cloned())
        .subcommands(verbs.cloned())
}

/// Every option that takes a value, as a pattern of `case`.
fn valued(command: &Command) -> String {
    let arguments = command.get_subcommands().chain([command]).flat_map(Command::get_arguments);
    let options = arguments.filter(|a| !a.is_positional() && a.get_action().takes_values());
    let spellings = options.flat_map(|option| {
        let short = option.get_short().map(|c| format!("-{c}"));
        let long = option.get_long().map(|name| format!("--{name}"));
        short.into_iter().chain(long)
    });
    spellings.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join("|")
}

/// Where clap offers files for a task's name, names are offered instead.
fn zsh(script: &str) -> String {
    let names = |line: &str| {
        let positional = line.trim_start();
        let is_name = ["'*::names --", "':name --", "'::name --"].iter().any(|p| positional.starts_with(p));
        if is_name { line.replace(":_default'", ":_devtask_names'") } else { line.to_owned() }
    };
    let lines: Vec<String> = script.lines().map(names).collect();
    let (head, rest) = lines.split_at(lines.len().min(1));
    format!("{}\n{ZSH}\n{}\n", head.join("\n"), rest.join("\n"))
}

/// The names a shell offers: full names, and local ones of the working directory's project. Faults of the
/// task files are no business of a completion.
pub(crate) fn names(app: &mut App) -> Result<Exit, Exit> {
    let tree = app.load_quietly()?;
    let project = tree.loaded.current_project.as_deref();
    let mut text = String::new();
    for id in tree.graph.ids() {
        let name = tree.graph.name(id).as_str();
        let local = project.and_then(|p| name.strip_prefix(p)?.strip_prefix(':'));
        for name in local.into_iter().chain([name]) {
            text.push_str(name);
            text.push('\n');
        }
    }
    Ok(out(&text))
}
