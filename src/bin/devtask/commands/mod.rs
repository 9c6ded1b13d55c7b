//! One file a verb: parse, build a request, call the library.

mod affected;
mod allow;
mod attach;
mod cache;
mod check;
mod command;
mod completions;
mod doctor;
mod enter;
mod errand;
mod export;
mod graph;
mod guest;
mod hook;
mod hooks;
mod init;
mod list;
mod logs;
mod look;
mod man;
mod processes;
mod replay;
mod report;
mod run;
mod shell;
mod show;
mod test;
mod tsp;
mod up;
mod wait;
mod watch;
mod why;

use crate::{
    app::App,
    args::{Cli, ListArgs, TasksVerb, Verb},
    exit::Exit,
};

/// Does what was typed.
pub(crate) fn dispatch(cli: Cli) -> Exit {
    let verb = cli.verb;
    match verb {
        Some(Verb::Completions(args)) => return completions::script(&args),
        Some(Verb::Schema) => return schema(),
        Some(Verb::Man(args)) => return man::man(&args),
        _ => {}
    }
    let mut app = match App::new(cli.globals) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    app.may_start = match &verb {
        Some(Verb::Run(args) | Verb::Tasks { verb: TasksVerb::Run(args) }) => !args.dry_run,
        Some(Verb::Check(args) | Verb::Fix(args)) => !args.dry_run,
        Some(Verb::Watch(_) | Verb::Up(_) | Verb::Test(_) | Verb::Shell(_)) => true,
        _ => false,
    };
    let done = match verb {
        Some(Verb::Run(args) | Verb::Tasks { verb: TasksVerb::Run(args) }) => {
            match affected::narrow(&mut app, args) {
                Ok(Some(args)) => run::run(&mut app, &args),
                Ok(None) => Ok(Exit::Done),
                Err(exit) => Err(exit),
            }
        }
        Some(Verb::Watch(mut args)) => {
            if !args.globs.is_empty() {
                // Of a single command people want to see what it says.
                args.run.show_output.get_or_insert(true);
            }
            watch::watch(&mut app, &args)
        }
        Some(Verb::Up(args)) => up::up(&mut app, &args),
        Some(Verb::Down) => processes::down(&mut app),
        Some(Verb::Attach) => up::attach(&mut app),
        Some(Verb::Processes { verb }) => processes::processes(&mut app, &verb),
        Some(Verb::Test(args)) => test::test(&mut app, args.run),
        Some(Verb::Check(args)) => check::check(&mut app, &args),
        Some(Verb::Fix(args)) => check::fix(&mut app, &args),
        Some(Verb::Shell(args)) => shell::shell(&mut app, &args),
        Some(Verb::Export(args)) => export::export(&mut app, &args),
        Some(Verb::Allow(args)) => allow::allow(&mut app, &args),
        Some(Verb::Revoke(args)) => allow::revoke(&app, &args),
        Some(Verb::List(args) | Verb::Tasks { verb: TasksVerb::List(args) }) => {
            list::list(&mut app, &args, false)
        }
        Some(Verb::Show(args)) => show::show(&mut app, &args),
        Some(Verb::Why(args)) => why::why(&mut app, &args),
        Some(Verb::Graph(args)) => graph::graph(&mut app, &args),
        Some(Verb::Init(args)) => init::init(&app, &args),
        Some(Verb::Validate) => validate(&mut app),
        Some(Verb::Logs(args)) => logs::logs(&mut app, &args),
        Some(Verb::Clean(args)) => cache::clean(&mut app, &args),
        Some(Verb::Prune(args)) => cache::prune(&mut app, &args),
        Some(Verb::Report { verb }) => report::report(&mut app, &verb),
        Some(Verb::Replay(args)) => replay::replay(&mut app, &args),
        Some(Verb::Hooks { verb }) => hooks::hooks(&mut app, &verb),
        Some(Verb::Doctor(args)) => doctor::doctor(&app, &args),
        Some(Verb::Tsp { verb }) => tsp::tsp(&app, &verb),
        Some(Verb::Complete { of }) => completions::names(&mut app, of),
        None => list::list(&mut app, &ListArgs::default(), true),
        Some(Verb::Completions(_) | Verb::Schema | Verb::Man(_)) => Ok(Exit::Done),
    };
    done.unwrap_or_else(|exit| exit)
}

fn schema() -> Exit {
    out(&format!("{:#}\n", devtask::config::schema()))
}

fn validate(app: &mut App) -> Result<Exit, Exit> {
    let tree = app.load_anew()?;
    let tasks = tree.graph.ids().filter(|id| !tree.graph.is_builtin(*id)).count();
    eprintln!(
        "{} in {}: no faults",
        crate::render::text::count(tasks, "task", "tasks"),
        crate::render::text::count(tree.loaded.projects.len(), "project", "projects"),
    );
    Ok(Exit::Done)
}

/// Writes data to stdout. A reader that is gone (`| head`) has what it wanted.
pub(crate) fn out(text: &str) -> Exit {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to stdout: {error}");
            Exit::Internal
        }
        _ => Exit::Done,
    }
}
