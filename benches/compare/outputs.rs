//! Outputs come back: what it costs to have again what was made before, and whether it is what it was.
//! `cargo bench --bench compare -- --outputs [PACKAGES 0]`
//!
//! Each tool has a tree to itself, a git repository with two branches, and all take turns. What a tool did is not
//! asked of the tool: tasks leave a line when they execute, and what lies in the outputs is compared with what should.

use std::{cell::RefCell, fmt::Write as _, thread, time::Duration};

use crate::{
    dist::{Branch, FILES, Found, OWN, Site, keepers},
    support::{
        AGED,
        rounds::{self, Contender, Rounds, Row},
    },
    table::{short, time},
};

/// How many packages there are unless told otherwise.
const PACKAGES: usize = 20;

/// Measures and prints a table.
pub(crate) fn compare(smoke: bool, packages: Option<usize>) {
    let packages = packages.unwrap_or(if smoke { 3 } else { PACKAGES });
    let mut tools = keepers();
    if smoke {
        tools.truncate(1);
    }
    let sites: Vec<Site> = tools.into_iter().map(|tool| Site::new(tool, packages)).filter(is_able).collect();
    let rounds = if smoke {
        Rounds { least: 2, most: 2, budget: Duration::ZERO }
    } else {
        Rounds { least: 7, most: 15, budget: Duration::from_secs(40) }
    };
    let everything = Case::new("all made anew", &sites, rounds, |site| {
        site.tool.forget_in(&site.root, packages);
        site.remove_outputs();
    });
    // Both branches are known to all from now on, and what they keep is old enough to be trusted.
    for branch in [Branch::Other, Branch::Main] {
        sites.iter().for_each(|site| {
            site.switch(branch);
            site.build().run();
        });
    }
    cleaned(&sites);
    for _ in 0..2 {
        if !smoke {
            thread::sleep(AGED);
        }
        sites.iter().for_each(|site| site.build().run());
    }
    let nothing = Case::new("everything in place", &sites, rounds, |_| ());
    let removed = Case::new("outputs removed", &sites, rounds, Site::remove_outputs);
    let switched = switched(&sites, rounds);
    cleaned(&sites);
    let one = Case::new("one output missing", &sites, rounds, Site::remove_one);
    let tampered = Case::new("one output changed by hand", &sites, rounds, |site| {
        // First made good again, if it was not noticed before.
        site.remove_outputs();
        site.build().run();
        site.tamper();
    });
    let cases = [everything, nothing, removed, switched, one, tampered];
    println!("{}", markdown(&sites, &cases));
    sites.iter().for_each(|site| site.tool.stop_in(&site.root));
}

/// On the first branch, without what somebody left of the other.
fn cleaned(sites: &[Site]) {
    for site in sites {
        site.switch(Branch::Main);
        site.remove_outputs();
        site.build().run();
    }
}

/// Whether the tool can build this at all; it has, then.
fn is_able(site: &Site) -> bool {
    let able = site.build().succeeds() && site.found(Branch::Main) == Found::default();
    if !able {
        println!(
            "left out, for it could not make the outputs: {} ({:?})",
            site.tool.name,
            site.found(Branch::Main)
        );
    }
    able
}

/// One thing that is done again and again, with what each tool made of it.
struct Case {
    name: &'static str,
    rows: Vec<Row>,
    did: Vec<Did>,
}

/// What a tool did, all turns together.
#[derive(Clone, Debug, Default)]
struct Did {
    /// Tasks that executed.
    executed: usize,
    /// What was not as it should be, at worst.
    found: Found,
}

impl Case {
    fn new(name: &'static str, sites: &[Site], rounds: Rounds, prepare: impl Fn(&Site)) -> Self {
        Self::on(name, sites, rounds, |site| {
            prepare(site);
            Branch::Main
        })
    }

    /// What is prepared says on which branch the tree is then.
    fn on(name: &'static str, sites: &[Site], rounds: Rounds, prepare: impl Fn(&Site) -> Branch) -> Self {
        let did: Vec<RefCell<Did>> = sites.iter().map(|_| RefCell::default()).collect();
        let before: Vec<RefCell<(usize, Branch)>> =
            sites.iter().map(|_| RefCell::new((0, Branch::Main))).collect();
        let contenders = sites.iter().enumerate().map(|(at, site)| {
            let (did, before, prepare) = (&did[at], &before[at], &prepare);
            Contender::new(site.tool.name, || site.build().run())
                .prepare(move || {
                    let branch = prepare(site);
                    before.replace((site.ran(), branch));
                })
                .finish(move || {
                    let ((ran, branch), mut did) = (*before.borrow(), did.borrow_mut());
                    // A tool may have been told to forget, and its tasks' lines with it.
                    did.executed += site.ran() - ran;
                    did.found = worse(&did.found, &site.found(branch));
                })
        });
        let rows = rounds::interleave(rounds, contenders.collect());
        Self { name, rows, did: did.into_iter().map(RefCell::into_inner).collect() }
    }
}

/// To and fro between two branches which every tool has built before.
fn switched(sites: &[Site], rounds: Rounds) -> Case {
    let on: RefCell<Vec<(&str, Branch)>> = RefCell::default();
    Case::on("branch switched", sites, rounds, |site| {
        let mut on = on.borrow_mut();
        let at = on.iter().position(|(name, _)| *name == site.tool.name).unwrap_or_else(|| {
            on.push((site.tool.name, Branch::Main));
            on.len() - 1
        });
        on[at].1 = if on[at].1 == Branch::Main { Branch::Other } else { Branch::Main };
        site.switch(on[at].1);
        on[at].1
    })
}

fn worse(one: &Found, other: &Found) -> Found {
    Found {
        wrong: one.wrong.max(other.wrong),
        stale: one.stale.max(other.stale),
        links: one.links.max(other.links),
        bits: one.bits.max(other.bits),
    }
}

/// A table for each case. Times are medians; ratios, to the first, are the medians of those within rounds.
fn markdown(sites: &[Site], cases: &[Case]) -> String {
    let packages = sites.first().map_or(0, |site| site.packages);
    let mut text = format!(
        "\n{packages} packages of {FILES} files, as many made; {OWN} of each only on one of two branches:\n\n| |"
    );
    for site in sites {
        let _ = write!(text, " {} {} | |", site.tool.label, (site.tool.version)().unwrap_or_default());
    }
    text.push_str("\n|---|");
    sites.iter().for_each(|_| text.push_str("--:|---|"));
    for case in cases {
        let _ = write!(text, "\n| {} |", case.name);
        for (row, did) in case.rows.iter().zip(&case.did) {
            let executed = short(did.executed as f64 / row.times.len() as f64);
            let _ = write!(
                text,
                " {} ({} ×) | {executed} executed{} |",
                time(row.percentile(50)),
                short(row.ratio(&case.rows[0])),
                faults(&did.found)
            );
        }
    }
    text.push('\n');
    text
}

/// What was not as it should be.
fn faults(found: &Found) -> String {
    let parts = [
        (found.wrong, "wrong or missing"),
        (found.stale, "stale"),
        (found.links, "links gone"),
        (found.bits, "bits gone"),
    ];
    let there = parts.iter().filter(|(count, _)| *count > 0);
    there.map(|(count, what)| format!(", {count} {what}")).collect()
}
