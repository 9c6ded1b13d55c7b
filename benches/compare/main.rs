//! The same workspace built by devtask and by others, those of `benches/compare/install.sh` that are
//! installed: a run with nothing to do, one changed file, everything anew. The result is a table in
//! Markdown. `cargo bench --bench compare [-- MOST_FILES | TASKS FILES_PER_TASK]`
//!
//! Each has a copy of the tree to itself, and all take turns. Which tasks were run is counted by the tasks
//! themselves, each of which leaves a line.

#[path = "../support/mod.rs"]
mod support;
mod tools;

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use support::{
    AGED,
    args::Args,
    peak,
    rounds::{self, Contender, Rounds, Row},
    workspace::Workspace,
};
use tools::{TOOLS, Tool};

/// Ascending: a tool that needs too long for one is left out of the next.
const SIZES: [(usize, usize); 3] = [(100, 10), (1000, 10), (1000, 100)];

/// Longer than this no tool may need for building everything once.
const PATIENCE: Duration = Duration::from_secs(40);

/// Longer than this no tool may need for finding that there is nothing to do.
const PATIENCE_NOTHING: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    if let Some(code) = support::helper() {
        return code;
    }
    let args = Args::read();
    let mut tools: Vec<(&'static Tool, String)> =
        TOOLS.iter().filter_map(|tool| Some((tool, (tool.version)()?))).collect();
    for name in TOOLS.iter().map(|tool| tool.name).filter(|name| tools.iter().all(|(t, _)| t.name != *name)) {
        println!("not installed, left out: {name}");
    }
    if args.smoke {
        tools.truncate(2);
    }
    let sizes = args.sizes(&SIZES);
    for (at, (tasks, files)) in sizes.iter().copied().enumerate() {
        let sites: Vec<Site> =
            tools.drain(..).filter_map(|(tool, version)| Site::new(tool, version, tasks, files)).collect();
        let results = measure(&sites, args.smoke);
        println!("{}", table(&sites, &results));
        sites.iter().for_each(|site| site.tool.stop(&site.workspace));
        let growth = sizes.get(at + 1).map_or(1, |next| next.0.div_ceil(tasks));
        tools = sites
            .into_iter()
            .enumerate()
            .filter(|(at, _)| results.able(*at, growth))
            .map(|(_, site)| (site.tool, site.version))
            .collect();
    }
    ExitCode::SUCCESS
}

/// A tool with a tree to itself.
struct Site {
    tool: &'static Tool,
    version: String,
    workspace: Workspace,
}

impl Site {
    /// Built once already: a tool that cannot do that here is left out.
    fn new(tool: &'static Tool, version: String, tasks: usize, files: usize) -> Option<Self> {
        let workspace = Workspace::of(&format!("compare-{}", tool.name), tasks, files);
        tool.set_up(&workspace);
        let site = Self { tool, version, workspace };
        let built = tool.build(&site.workspace).succeeds() && site.ran() == tasks;
        if !built {
            println!("left out, for it did not run its {tasks} tasks once but {}: {}", site.ran(), tool.name);
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

/// A row for each site in each discipline.
struct Results {
    nothing: Vec<Row>,
    change: Vec<Row>,
    cold: Vec<Row>,
    /// How many tasks ran per turn: with nothing to do, after one change, anew.
    ran: Vec<[f64; 3]>,
    /// With nothing to do, in MB.
    peaks: Vec<f64>,
}

impl Results {
    /// Whether that tool can be asked to build as many times as much; the first always is.
    fn able(&self, at: usize, growth: usize) -> bool {
        let within = |rows: &[Row], patience: Duration| {
            rows[at].percentile(50).as_secs_f64() * (growth as f64) < patience.as_secs_f64()
        };
        at == 0 || within(&self.cold, PATIENCE) && within(&self.nothing, PATIENCE_NOTHING)
    }
}

fn measure(sites: &[Site], smoke: bool) -> Results {
    let count = || -> Vec<usize> { sites.iter().map(Site::ran).collect() };
    let few = if smoke { 1 } else { 3 };
    let cold_rounds = Rounds { least: few, most: few, budget: Duration::ZERO };
    let cold = rounds::interleave(
        cold_rounds,
        sites
            .iter()
            .map(|site| {
                Contender::new(site.tool.name, || site.build()).prepare(|| site.tool.forget(&site.workspace))
            })
            .collect(),
    );
    let ran_cold = count();
    // Everything is as it was left, and old enough to be trusted.
    if !smoke {
        thread::sleep(AGED);
    }
    sites.iter().for_each(Site::build);
    let start = Instant::now();
    sites.iter().for_each(Site::build);
    let rounds = Rounds {
        least: if smoke { 2 } else { 5 },
        budget: start.elapsed().max(Duration::from_secs(1)) * 5,
        ..Rounds::usual(smoke)
    };
    let before_nothing = count();
    let nothing = rounds::interleave(
        rounds,
        sites.iter().map(|site| Contender::new(site.tool.name, || site.build())).collect(),
    );
    let after_nothing = count();
    let change = rounds::interleave(
        rounds,
        sites
            .iter()
            .map(|site| {
                let mut version = std::process::id() as usize % 1000 * 1000;
                Contender::new(site.tool.name, || site.build()).prepare(move || {
                    version += 1;
                    site.workspace.change(0, version);
                })
            })
            .collect(),
    );
    let after_change = count();
    let each =
        |after: usize, before: usize, rows: &[Row]| (after - before) as f64 / rows[0].times.len() as f64;
    let ran = (0..sites.len())
        .map(|at| {
            [
                each(after_nothing[at], before_nothing[at], &nothing),
                each(after_change[at], after_nothing[at], &change),
                ran_cold[at] as f64,
            ]
        })
        .collect();
    let peaks = sites.iter().map(|site| peak::of(&site.tool.build(&site.workspace))).collect();
    Results { nothing, change, cold, ran, peaks }
}

/// The results in Markdown; times are medians, ratios to devtask are the medians of those within rounds.
fn table(sites: &[Site], results: &Results) -> String {
    let workspace = &sites[0].workspace;
    let mut text = format!(
        "\n{} tasks, {} files ({} rounds; anew: {}):\n\n\
         | | nothing to do | | one file changed | | everything | | peak memory | tasks run |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|---|\n",
        workspace.tasks,
        workspace.all_files(),
        results.nothing[0].times.len(),
        results.cold[0].times.len(),
    );
    for (at, site) in sites.iter().enumerate() {
        text.push_str(&format!("| {} {}", site.tool.name, site.version));
        for rows in [&results.nothing, &results.change, &results.cold] {
            text.push_str(&format!(
                " | {} | {} ×",
                time(rows[at].percentile(50)),
                short(rows[at].ratio(&rows[0]))
            ));
        }
        let [nothing, change, cold] = results.ran[at].map(short);
        text.push_str(&format!(" | {:.0} MB | {nothing}, {change}, {cold} |\n", results.peaks[at]));
    }
    text
}

fn time(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 1000.0 { format!("{} ms", short(ms)) } else { format!("{} s", short(ms / 1e3)) }
}

/// Two digits at least, and none that mean nothing.
fn short(number: f64) -> String {
    if number == number.round() || number >= 100.0 {
        format!("{number:.0}")
    } else if number >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}
