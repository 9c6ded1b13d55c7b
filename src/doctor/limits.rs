//! What the system allows. Judging is apart from asking, and pure.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::{Finding, Patient};
use crate::{
    process::{argument_room, stack_limit},
    store::STATE_DIR,
};

/// With fewer open files a run of a few tasks may fail: each takes two pipes, a log and its own files.
const FEW_FILES: u64 = 128;
/// With fewer a big tree is walked with less held open than pays.
const ENOUGH_FILES: u64 = 1024;
/// With fewer processes tasks fail to start others.
const FEW_PROCESSES: u64 = 64;
const ENOUGH_PROCESSES: u64 = 1024;
/// What environment and arguments may have together has to leave room for the outputs of tasks (hazard C15).
const ENOUGH_ARGUMENTS: u64 = 1024 * 1024;
/// What the kernel has kept since it has had inotify.
const USUAL_QUEUE: u64 = 16_384;
/// A tree with more directories is not counted to its end.
const MOST_DIRECTORIES: u64 = 500_000;

pub(super) fn examine(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings =
        vec![open_files(getrlimit(Resource::Nofile).current), processes(getrlimit(Resource::Nproc).current)];
    if cfg!(target_os = "linux") {
        let environment =
            patient.environment.iter().map(|(name, value)| (name.len() + value.len() + 10) as u64);
        findings.push(arguments(stack_limit(), environment.sum()));
        let needed = patient.root().map(directories);
        findings.extend(sysctl("max_user_watches").map(|now| watches(now, needed)));
        findings.extend(sysctl("max_user_instances").map(watchers));
        findings.extend(sysctl("max_queued_events").map(queue));
    }
    findings
}

fn sysctl(name: &str) -> Option<u64> {
    std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).ok()?.trim().parse().ok()
}

/// How many directories of the tree can be watched at most: those git would look into. A run or a watch needs those only in
/// which a pattern can match.
fn directories(root: &Path) -> u64 {
    let is_ours = |name: &std::ffi::OsStr| name == ".git" || name == STATE_DIR;
    let walk = ignore::WalkBuilder::new(root)
        .hidden(false)
        .require_git(false)
        .filter_entry(move |entry| !is_ours(entry.file_name()))
        .build();
    let is_directory = |entry: &ignore::DirEntry| entry.file_type().is_some_and(|kind| kind.is_dir());
    let found =
        walk.flatten().filter(is_directory).take(usize::try_from(MOST_DIRECTORIES).unwrap_or(usize::MAX));
    found.count() as u64
}

fn number(limit: Option<u64>) -> String {
    limit.map_or("unlimited".to_owned(), |limit| limit.to_string())
}

pub(super) fn open_files(now: Option<u64>) -> Finding {
    const ABOUT: &str = "open files";
    let few = "a run with several tasks at once may fail to start them";
    let finding = match now {
        Some(now) if now < FEW_FILES => Finding::problem(ABOUT, now.to_string(), few),
        Some(now) if now < ENOUGH_FILES => {
            Finding::note(ABOUT, now.to_string(), "big trees and many jobs may need more")
        }
        _ => return Finding::ok(ABOUT, number(now)),
    };
    finding.mended_by("ulimit -n 4096")
}

pub(super) fn processes(now: Option<u64>) -> Finding {
    const ABOUT: &str = "processes";
    let finding = match now {
        Some(now) if now < FEW_PROCESSES => {
            Finding::problem(ABOUT, now.to_string(), "tasks will fail to start programs")
        }
        Some(now) if now < ENOUGH_PROCESSES => Finding::note(
            ABOUT,
            now.to_string(),
            "all programs of the user count, and many jobs may need more",
        ),
        _ => return Finding::ok(ABOUT, number(now)),
    };
    finding.mended_by("ulimit -u 4096")
}

pub(super) fn arguments(stack: Option<u64>, environment: u64) -> Finding {
    const ABOUT: &str = "arguments";
    let room = argument_room(stack);
    let found = format!("{} KiB, of which the environment takes {}", room / 1024, environment.div_ceil(1024));
    if environment > room / 2 {
        let meaning = "programs may not start; outputs of tasks are handed on in a file only";
        return Finding::problem(ABOUT, found, meaning).mended_by("ulimit -s 8192, or a smaller environment");
    }
    match room < ENOUGH_ARGUMENTS {
        true => {
            let meaning =
                "outputs of tasks that are larger are handed on in a file only, not in DEVENV_TASKS_OUTPUTS";
            Finding::note(ABOUT, found, meaning).mended_by("ulimit -s 8192")
        }
        false => Finding::ok(ABOUT, found),
    }
}

pub(super) fn watches(now: u64, needed: Option<u64>) -> Finding {
    const ABOUT: &str = "watched directories";
    let Some(needed) = needed else { return Finding::ok(ABOUT, format!("{now} allowed")) };
    let more = if needed >= MOST_DIRECTORIES { "more than " } else { "" };
    let found = format!("{now} allowed, the tree has {more}{needed}");
    let finding = if needed > now {
        Finding::problem(
            ABOUT,
            found,
            "what cannot be watched is polled: `devtask watch` sees changes late there",
        )
    } else if needed > now / 2 {
        Finding::note(ABOUT, found, "all programs of the user share them, so there may be too few")
    } else {
        return Finding::ok(ABOUT, found);
    };
    let raised = needed.saturating_mul(2).checked_next_power_of_two().unwrap_or(needed);
    finding.mended_by(format!("sudo sysctl fs.inotify.max_user_watches={raised}"))
}

pub(super) fn watchers(now: u64) -> Finding {
    const ABOUT: &str = "watchers";
    let found = format!("{now} allowed");
    match now < 64 {
        true => Finding::note(
            ABOUT,
            found,
            "all programs of the user share them; without one everything is polled",
        )
        .mended_by("sudo sysctl fs.inotify.max_user_instances=128"),
        false => Finding::ok(ABOUT, found),
    }
}

pub(super) fn queue(now: u64) -> Finding {
    const ABOUT: &str = "event queue";
    let found = format!("{now} events");
    match now < USUAL_QUEUE {
        true => Finding::note(
            ABOUT,
            found,
            "after a burst, as of a checkout, everything may have to be looked at",
        )
        .mended_by(format!("sudo sysctl fs.inotify.max_queued_events={USUAL_QUEUE}")),
        false => Finding::ok(ABOUT, found),
    }
}
