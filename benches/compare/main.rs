//! The same workspace built by devtask and by others, those of `benches/compare/install.sh` that are
//! installed: a run with nothing to do, one changed file, everything. The result is a table in Markdown.
//! `cargo bench --bench compare [-- MOST_FILES | TASKS FILES_PER_TASK]`
//! With `--outputs`: how what was made before comes back, see `outputs.rs`.
//!
//! Each has a copy of the tree to itself, and all take turns. Which tasks were run is counted by the tasks
//! themselves, each of which leaves a line.

mod dist;
mod outputs;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod tools;

use std::{
    cell::{Cell, RefCell},
    process::ExitCode,
    thread,
    time::Duration,
};

use support::{
    AGED,
    args::Args,
    peak,
    rounds::{self, Contender, Rounds, Row},
    workspace::Workspace,
};
use tools::{TOOLS, Tool};

/// Ascending: a tool that would need too long for one is left out of it and of the next.
const SIZES: [(usize, usize); 3] = [(100, 10), (1000, 10), (1000, 100)];

/// Longer than this no tool may need for building everything once.
const PATIENCE: Duration = Duration::from_secs(40);

/// Longer than this no tool may need for finding that there is nothing to do.
const PATIENCE_NOTHING: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    if let Some(code) = support::helper() {
        return code;
    }
    let args = Args::read();
    let (mut tools, absent): (Vec<&'static Tool>, Vec<_>) =
        TOOLS.iter().partition(|tool| (tool.version)().is_some());
    absent.iter().for_each(|tool| println!("not installed, left out: {}", tool.name));
    if args.smoke {
        tools.truncate(2);
    }
    let wants_outputs = std::env::args().any(|arg| arg == "--outputs");
    if args.smoke || wants_outputs {
        // Who is not here has been named above.
        outputs::compare(args.smoke, args.only.map(|(packages, _)| packages));
    }
    if wants_outputs {
        return ExitCode::SUCCESS;
    }
    let sizes = args.sizes(&SIZES);
    for (at, (tasks, files)) in sizes.iter().copied().enumerate() {
        let sites: Vec<Site> = tools.iter().filter_map(|tool| Site::new(tool, tasks, files)).collect();
        let results = measure(&sites, args.smoke);
        println!("{}", table::markdown(&sites[0].workspace, &results));
        sites.iter().for_each(|site| site.tool.stop(&site.workspace));
        let next = sizes.get(at + 1).copied().unwrap_or((tasks, files));
        let growth = (next.0.div_ceil(tasks), (next.0 * next.1).div_ceil(tasks * files));
        tools = results.iter().filter(|result| result.may_grow(growth)).map(|result| result.tool).collect();
    }
    ExitCode::SUCCESS
}

/// A tool with a tree to itself.
struct Site {
    tool: &'static Tool,
    workspace: Workspace,
}

impl Site {
    /// Built once already: a tool that cannot do that here is left out.
    fn new(tool: &'static Tool, tasks: usize, files: usize) -> Option<Self> {
        let workspace = Workspace::of(&format!("compare-{}", tool.name), tasks, files);
        tool.set_up(&workspace);
        let site = Self { tool, workspace };
        let built = tool.build(&site.workspace).succeeds() && site.ran() == tasks;
        if !built {
            println!("left out, for it ran {} of {tasks} tasks: {}", site.ran(), tool.name);
        }
        built.then_some(site)
    }

    fn build(&self) {
        self.tool.build(&self.workspace).run();
    }

    fn ran(&self) -> usize {
        self.workspace.ran(self.tool.name)
    }
}

/// One discipline: the times, and how many tasks ran in each turn.
struct Discipline {
    row: Row,
    ran: f64,
}

/// What one tool needed.
struct Result {
    tool: &'static Tool,
    nothing: Discipline,
    change: Discipline,
    everything: Discipline,
    /// With nothing to do, in MB.
    peak: f64,
}

impl Result {
    /// Whether it can be asked for so many times as many tasks and files; devtask always can.
    fn may_grow(&self, (tasks, files): (usize, usize)) -> bool {
        let within = |row: &Row, growth: usize, patience: Duration| {
            row.percentile(50).as_secs_f64() * (growth as f64) < patience.as_secs_f64()
        };
        let quick = within(&self.everything.row, tasks, PATIENCE)
            && within(&self.nothing.row, files, PATIENCE_NOTHING);
        quick || self.tool.name == TOOLS[0].name
    }
}

fn measure(sites: &[Site], smoke: bool) -> Vec<Result> {
    let few = Rounds { least: 1, most: if smoke { 1 } else { 3 }, budget: Duration::from_secs(10) };
    let everything = discipline(sites, few, |site| {
        site.tool.forget(&site.workspace);
        0
    });
    // Looks once more at what was too young to be trusted, and once again at what it keeps.
    for _ in 0..2 {
        if !smoke {
            thread::sleep(AGED);
        }
        sites.iter().for_each(Site::build);
    }
    let rounds = Rounds { least: if smoke { 2 } else { 5 }, ..Rounds::usual(smoke) };
    let nothing = discipline(sites, rounds, Site::ran);
    let mut version = std::process::id() as usize % 1000 * 1000;
    let change = discipline(sites, rounds, |site| {
        let tick = if site.tool.whole_seconds { Duration::from_secs(1) } else { support::TICK };
        thread::sleep(tick);
        version += 1;
        site.workspace.change(0, version);
        site.ran()
    });
    let peak = |site: &Site| peak::of(&site.tool.build(&site.workspace));
    let rows = nothing.into_iter().zip(change).zip(everything);
    sites
        .iter()
        .zip(rows)
        .map(|(site, ((nothing, change), everything))| Result {
            tool: site.tool,
            nothing,
            change,
            everything,
            peak: peak(site),
        })
        .collect()
}

/// Lets all build in turns. What is prepared before each says how many tasks had run until then.
fn discipline(sites: &[Site], rounds: Rounds, prepare: impl FnMut(&Site) -> usize) -> Vec<Discipline> {
    let prepare = RefCell::new(prepare);
    let before: Vec<Cell<usize>> = sites.iter().map(|_| Cell::new(0)).collect();
    let ran: Vec<Cell<usize>> = sites.iter().map(|_| Cell::new(0)).collect();
    let contenders = sites.iter().enumerate().map(|(at, site)| {
        let (prepare, before, ran) = (&prepare, &before[at], &ran[at]);
        Contender::new(site.tool.name, || site.build())
            .prepare(move || before.set(prepare.borrow_mut()(site)))
            .finish(move || ran.set(ran.get() + site.ran() - before.get()))
    });
    let rows = rounds::interleave(rounds, contenders.collect());
    let all = rows.into_iter().zip(&ran);
    all.map(|(row, ran)| Discipline { ran: ran.get() as f64 / row.times.len() as f64, row }).collect()
}
