//! `devtask completions SHELL`: clap's script, taught to complete names of tasks and processes.

use std::collections::BTreeSet;

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};

use devtask::model::{Check, CheckRole, TaskId};

use crate::{
    app::{App, Tree},
    args::{Cli, CompletionsArgs, Named},
    commands::out,
    exit::Exit,
    render::process::short_name,
};

/// In bash a colon separates words while completing, so that `app:bu` arrives as three of them and a
/// candidate must not repeat what stands before the last colon. `@VALUED@` stands for the options that take
/// a value, each behind its verb: nothing is named after these.
const BASH: &str = r#"
_devtask_names() {
    local line="${COMP_LINE:0:COMP_POINT}" typed word verb= of= skip= drop
    local -a where=() others=()
    typed="${line##*[[:space:]]}"
    for word in "${COMP_WORDS[@]:1}"; do
        if [[ -n $skip ]]; then where+=("$skip" "$word"); skip=; continue; fi
        case "$verb $word" in
            "processes logs -f") ;;
            *" -C"|*" -f"|*" --file") skip=$word ;;
            " "run|" "watch|" "list|" "graph) verb=$word of=tasks ;;
            " "show|" "why|" "logs) verb=$word of=known ;;
            " "check|" "fix) verb=$word of=checks ;;
            " "up) verb=up of=processes ;;
            " "processes) verb=processes ;;
            "processes "status|"processes "logs|"processes "start|"processes "stop|"processes "restart|"processes "wait)
                verb="processes $word" of=processes ;;
        esac
    done
    case "$verb ${COMP_WORDS[COMP_CWORD-1]}" in
        "processes logs -f") ;;
        @VALUED@) of= ;;
    esac
    if [[ -n $of && -n $line && $typed != -* && $typed != "${verb##* }" ]]; then
        COMPREPLY=($(compgen -W "$(devtask "${where[@]}" __complete "$of" 2>/dev/null)" -- "$typed"))
        if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
            drop="${typed%"${typed##*:}"}"
            COMPREPLY=("${COMPREPLY[@]#"$drop"}")
        fi
        return 0
    fi
    _devtask "$@"
    # Options are many: they come where one is begun, or where there is nothing else.
    if [[ $typed != -* ]]; then
        for word in "${COMPREPLY[@]}"; do [[ $word == -* ]] || others+=("$word"); done
        [[ ${#others[@]} -eq 0 ]] || COMPREPLY=("${others[@]}")
    fi
}
complete -F _devtask_names -o bashdefault -o default devtask
"#;

const ZSH: &str = r#"
_devtask_names() {
    local -a names
    names=(${(f)"$(devtask __complete 2>/dev/null)"})
    compadd -a names
}
_devtask_known_names() {
    local -a names
    names=(${(f)"$(devtask __complete known 2>/dev/null)"})
    compadd -a names
}
_devtask_process_names() {
    local -a names
    names=(${(f)"$(devtask __complete processes 2>/dev/null)"})
    compadd -a names
}
_devtask_check_names() {
    local -a names
    names=(${(f)"$(devtask __complete checks 2>/dev/null)"})
    compadd -a names
    _files
}
"#;

const FISH: &str = r#"
complete -c devtask -n "not __fish_seen_subcommand_from processes; and __fish_seen_subcommand_from run watch list graph" -f -a "(devtask __complete 2>/dev/null)"
complete -c devtask -n "not __fish_seen_subcommand_from processes; and __fish_seen_subcommand_from show why logs" -f -a "(devtask __complete known 2>/dev/null)"
complete -c devtask -n "__fish_seen_subcommand_from check fix" -a "(devtask __complete checks 2>/dev/null)"
complete -c devtask -n "__fish_seen_subcommand_from up" -f -a "(devtask __complete processes 2>/dev/null)"
complete -c devtask -n "__fish_seen_subcommand_from processes; and __fish_seen_subcommand_from status logs start stop restart wait" -f -a "(devtask __complete processes 2>/dev/null)"
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
    fn without_hidden(verb: &Command) -> Command {
        if !verb.get_subcommands().any(Command::is_hide_set) {
            return verb.clone();
        }
        let verbs = verb.get_subcommands().filter(|verb| !verb.is_hide_set()).map(without_hidden);
        // A name has to live as long as the program, which ends when the script is written.
        let name: &'static str = verb.get_name().to_owned().leak();
        Command::new(name)
            .about(verb.get_about().cloned().unwrap_or_default())
            .subcommand_required(verb.is_subcommand_required_set())
            .args(verb.get_arguments().cloned())
            .subcommands(verbs)
    }
    without_hidden(command).version(env!("CARGO_PKG_VERSION"))
}

/// Every option that takes a value, behind its verb, as a pattern of `case`. One letter may take one in one verb only.
fn valued(command: &Command) -> String {
    let mut patterns = of_options(command, "*");
    for verb in command.get_subcommands() {
        patterns.extend(of_options(verb, verb.get_name()));
        for inner in verb.get_subcommands() {
            patterns.extend(of_options(inner, &format!("{} {}", verb.get_name(), inner.get_name())));
        }
    }
    patterns.into_iter().collect::<Vec<_>>().join("|")
}

/// The same of one verb.
fn of_options(command: &Command, verb: &str) -> BTreeSet<String> {
    // A switch that an environment variable may set is an option with a value that nobody types.
    let is_typed = |a: &clap::Arg| a.get_num_args().is_none_or(|number| number.takes_values());
    let takes_value = |a: &&clap::Arg| a.get_action().takes_values() && is_typed(a);
    let is_ours = |a: &&clap::Arg| !a.is_positional() && (verb == "*" || !a.is_global_set());
    let options = command.get_arguments().filter(is_ours).filter(takes_value);
    let spellings = options.flat_map(|option| {
        let short = option.get_short().map(|c| format!("-{c}"));
        let long = option.get_long().map(|name| format!("--{name}"));
        short.into_iter().chain(long)
    });
    spellings
        .map(|option| if verb == "*" { format!("*\" {option}\"") } else { format!("\"{verb} {option}\"") })
        .collect()
}

/// Where clap offers files for a name, names are offered instead.
fn zsh(script: &str) -> String {
    let names = |line: &str| {
        let positional = line.trim_start();
        let is_name = |of: &str| {
            ["'*::names -- ", "':name -- ", "'::name -- "]
                .iter()
                .any(|place| positional.strip_prefix(place).is_some_and(|help| help.starts_with(of)))
        };
        let function = match () {
            () if is_name("Process") => ":_devtask_process_names'",
            () if is_name("The task") => ":_devtask_known_names'",
            () if is_name("Checks by name") => ":_devtask_check_names'",
            () => ":_devtask_names'",
        };
        if is_name("") { line.replace(":_default'", function) } else { line.to_owned() }
    };
    let lines: Vec<String> = script.lines().map(names).collect();
    let (head, rest) = lines.split_at(lines.len().min(1));
    format!("{}\n{ZSH}\n{}\n", head.join("\n"), rest.join("\n"))
}

fn is_fix(tree: &Tree, id: TaskId) -> bool {
    tree.graph.task(id).check.as_ref().is_some_and(|check| check.role == CheckRole::Fix)
}

/// The names a shell offers: full names, and local ones of the working directory's project; of processes those that people
/// use. Faults of the task files are no business of a completion.
pub(crate) fn names(app: &mut App, of: Named) -> Result<Exit, Exit> {
    let tree = app.load_quietly()?;
    let project = tree.loaded.current_project.as_deref();
    let mut text = String::new();
    for id in tree.graph.ids() {
        let name = match of {
            Named::Tasks if tree.graph.task(id).check.is_some() => continue,
            Named::Checks if tree.graph.task(id).check.is_none() => continue,
            Named::Checks | Named::Known if is_fix(&tree, id) => continue,
            Named::Checks => Check::called(tree.graph.name(id)),
            Named::Tasks | Named::Known => tree.graph.name(id).as_str(),
            Named::Processes if !tree.graph.task(id).is_process() => continue,
            Named::Processes => short_name(tree.graph.name(id).as_str()),
        };
        let local = project.and_then(|p| name.strip_prefix(p)?.strip_prefix(':'));
        for name in local.into_iter().chain([name]) {
            text.push_str(name);
            text.push('\n');
        }
    }
    Ok(out(&text))
}
