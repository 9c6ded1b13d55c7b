use std::time::UNIX_EPOCH;

use super::*;

const MANNER: Manner = Manner { keys: true, beats: true, command: false, up: false, only_before: true };

fn style() -> Style {
    Style { color: false, quiet: false, explain: false, tail: 25, streamed: false }
}

fn name(name: &str) -> TaskName {
    TaskName::new(name).unwrap()
}

fn names(all: &[&str]) -> Vec<TaskName> {
    all.iter().map(|one| name(one)).collect()
}

fn tell(watched: &mut Watched, what: What) -> Vec<String> {
    let lines = watched.of(&Event { v: 1, time: UNIX_EPOCH, what }, &style()).expect("it is told by us");
    // What time it is depends on where we are.
    lines.into_iter().map(|line| line.replace(&time_of_day(UNIX_EPOCH), "HH:MM:SS")).collect()
}

fn started(tasks: &[&str], before: usize, files: usize, directories: usize) -> What {
    What::WatchStarted { tasks: names(tasks), before, files, directories }
}

fn waiting(failed: &[&str], stuck: &[&str], on_hold: bool) -> What {
    What::Waiting { failed: names(failed), stuck: names(stuck), on_hold }
}

fn run_started() -> What {
    What::RunStarted { run: "r".to_owned(), roots: Vec::new(), dry_run: false }
}

fn finished(task: &str, status: Outcome) -> What {
    What::TaskFinished(Box::new(Finished::without_execution(name(task), status)))
}

#[test]
fn the_first_line_says_what_is_watched_for_whom() {
    for (what, only_before, expected) in [
        (started(&["a:t"], 2, 214, 3), true, "214 files in 3 directories for a:t (and 2 before it)"),
        (started(&["a:t", "a:u"], 1, 1, 1), true, "1 file in 1 directory for a:t, a:u (and 1 before them)"),
        (started(&["a:t"], 1, 1, 0), false, "1 file for a:t (and 1 with it)"),
        (started(&["a:t", "a:u", "a:v", "a:w"], 0, 2, 0), true, "2 files for a:t, a:u, a:v (+1)"),
    ] {
        let mut watched = Watched::new(Manner { only_before, ..MANNER });
        assert_eq!(tell(&mut watched, what), [format!("Watching          {expected}")]);
    }
    for (command, expected) in [
        (true, "no file matches the patterns of `-g` yet"),
        (false, "no file is watched: tasks say by `execIfModified` what they rest on"),
    ] {
        let told = tell(&mut Watched::new(Manner { command, ..MANNER }), started(&["a:t"], 0, 0, 0));
        assert_eq!(told, ["Watching          0 files for a:t", &format!("Warning           {expected}")]);
    }
}

#[test]
fn what_changed_is_named_in_part_and_cannot_write_on_the_terminal() {
    let changed = |paths: &[&str], more, tasks: &[&str]| What::FilesChanged {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        more,
        tasks: names(tasks),
    };
    for (what, expected) in [
        (changed(&["x"], 0, &["a:t"]), "x  →  a:t"),
        (changed(&["x", "y"], 0, &["a:t", "a:u", "a:v", "a:w"]), "x (+1)  →  a:t, a:u, a:v (+1)"),
        (changed(&["x", "y"], 7, &["a:t"]), "x (+8)  →  a:t"),
        (changed(&["\x1b[2J"], 0, &["a:t"]), "\\u{1b}[2J  →  a:t"),
    ] {
        let told = tell(&mut Watched::new(MANNER), what);
        assert_eq!(told, [format!("HH:MM:SS changed  {expected}")]);
    }
}

#[test]
fn waiting_says_how_everything_stands_and_which_keys_help() {
    for (what, keys, expected) in [
        (waiting(&[], &[], false), true, "all up to date — ? keys"),
        (waiting(&[], &[], false), false, "all up to date"),
        (waiting(&["a:t"], &[], false), true, "1 failed — r rerun failed, Enter log, ? keys"),
        (waiting(&["a:t", "a:u"], &[], false), false, "2 failed"),
        (waiting(&[], &["a:t"], false), true, "1 stuck (a:t) — r rerun failed, ? keys"),
        (
            waiting(&["a:t"], &["a:u"], true),
            true,
            "1 failed, 1 stuck (a:u), on hold — p go on, r rerun failed, Enter log, ? keys",
        ),
    ] {
        let mut watched = Watched::new(Manner { keys, ..MANNER });
        tell(&mut watched, started(&["a:t"], 0, 1, 1));
        tell(&mut watched, run_started());
        assert_eq!(watched.of(&event(finished("a:t", Outcome::Succeeded)), &style()), None);
        assert_eq!(tell(&mut watched, what), [format!("HH:MM:SS waiting  {expected}")]);
    }
}

fn event(what: What) -> Event {
    Event { v: 1, time: UNIX_EPOCH, what }
}

#[test]
fn what_nobody_has_looked_at_is_not_called_up_to_date() {
    let mut watched = Watched::new(Manner { keys: false, ..MANNER });
    tell(&mut watched, started(&["a:t"], 1, 1, 1));
    let calm = || waiting(&[], &[], false);
    assert_eq!(tell(&mut watched, calm()), ["HH:MM:SS waiting  for a change"]);
    tell(&mut watched, run_started());
    tell(&mut watched, finished("a:t", Outcome::Cached));
    assert_eq!(tell(&mut watched, calm()), ["HH:MM:SS waiting  nothing failed"]);
    tell(&mut watched, finished("a:u", Outcome::Cached));
    assert_eq!(tell(&mut watched, calm()), ["HH:MM:SS waiting  all up to date"]);
}

#[test]
fn the_first_run_is_told_as_a_run_and_later_cycles_by_what_they_change() {
    let over = || What::RunFinished {
        counts: BTreeMap::new(),
        status: devtask::event::RunStatus::Succeeded,
        duration_ms: 1.0,
    };
    let begun = || What::TaskStarted { task: name("a:t") };
    let mut watched = Watched::new(MANNER);
    tell(&mut watched, run_started());
    for what in [begun(), finished("a:t", Outcome::Cached), over()] {
        assert_eq!(watched.of(&event(what), &style()), None);
    }
    tell(&mut watched, waiting(&[], &[], false));
    tell(&mut watched, run_started());
    for what in [begun(), finished("a:t", Outcome::Cached), over()] {
        assert_eq!(watched.of(&event(what), &style()), Some(Vec::new()));
    }
    for outcome in [Outcome::Failed, Outcome::DependencyFailed, Outcome::Cancelled] {
        assert_eq!(watched.of(&event(finished("a:t", outcome)), &style()), None, "{outcome}");
        // That it is well again is worth a line, once.
        assert_eq!(watched.of(&event(finished("a:t", Outcome::Cached)), &style()), None, "{outcome}");
        let again = watched.of(&event(finished("a:t", Outcome::Cached)), &style());
        assert_eq!(again, Some(Vec::new()), "{outcome}");
    }
}

#[test]
fn a_loop_is_told_with_its_remedy() {
    let found = || What::LoopFound { task: name("a:t"), paths: vec!["gen/x".to_owned()] };
    for (command, remedy) in [
        (
            false,
            "declare what the task writes in `outputs`, or leave it out of `execIfModified` with `!` and its path",
        ),
        (true, "leave the file out with -g '!gen/x'"),
    ] {
        let told = tell(&mut Watched::new(Manner { command, ..MANNER }), found());
        let expected = format!(
            "Warning           a:t runs again and again, for gen/x changes each time it does; it waits for another \
             change: {remedy}"
        );
        assert_eq!(told, [expected]);
    }
}

#[test]
fn bad_sight_is_told_once_and_remembered_until_it_is_over() {
    let mut watched = Watched::new(Manner { keys: false, ..MANNER });
    tell(&mut watched, run_started());
    let health = |degraded: Option<&str>| What::WatchHealth { degraded: degraded.map(str::to_owned) };
    let told = tell(&mut watched, health(Some("2 directories are polled: why")));
    assert_eq!(told, ["Warning           changes are seen late: 2 directories are polled: why"]);
    let calm = || waiting(&[], &[], false);
    assert_eq!(tell(&mut watched, calm()), ["HH:MM:SS waiting  all up to date, changes are seen late"]);
    let told = tell(&mut watched, health(None));
    assert_eq!(told, ["Watching          changes are seen at once again"]);
    assert_eq!(tell(&mut watched, calm()), ["HH:MM:SS waiting  all up to date"]);
}

#[test]
fn who_asks_is_told_what_ran_why_and_how_it_stands() {
    let mut watched = Watched::new(MANNER);
    tell(&mut watched, started(&["a:t"], 1, 3, 2));
    assert_eq!(watched.why(&style()), ["Nothing           was executed in the last cycle"]);
    let asked = ["Watching          3 files in 2 directories, 0 cycles: nothing has run yet"];
    assert_eq!(watched.status(&style()), asked);
    tell(&mut watched, run_started());
    for (task, reason, outcome) in [
        ("a:t", Reason::NeverRan, Outcome::Failed),
        ("a:u", Reason::Forced, Outcome::Succeeded),
        ("a:v", Reason::LastRunFailed, Outcome::Failed),
    ] {
        let reasons = vec![reason];
        let decided = What::Decision {
            task: name(task),
            action: Decided::Run,
            reasons,
            compared: None,
            restores: None,
            last_success: None,
        };
        watched.of(&event(decided), &style());
        watched.of(&event(finished(task, outcome)), &style());
    }
    let why = watched.why(&style()).join("\n");
    let expected = "\
        Stale             a:t\n                  because no earlier run is known\n\
        Stale             a:u\n                  because asked for\n\
        Stale             a:v\n                  because the last run failed";
    assert_eq!(why, expected);
    assert_eq!(watched.last_failure(), Some((&name("a:v"), &LastLog::Empty)));
    watched.of(&event(finished("a:v", Outcome::Succeeded)), &style());
    assert_eq!(watched.last_failure(), Some((&name("a:t"), &LastLog::Empty)));
    tell(&mut watched, waiting(&["a:t"], &["a:u"], true));
    let expected = "\
        Watching          3 files in 2 directories, 1 cycle: 2 Succeeded, 1 Failed\n\
        Failed            a:t\n\
        Stuck             a:u   because it caused itself\n\
        On hold           nothing is started for a change";
    assert_eq!(watched.status(&style()).join("\n"), expected);
}

#[test]
fn who_begins_to_read_late_knows_how_things_stand() {
    let outcomes = || [(name("a:t"), Outcome::Failed), (name("a:u"), Outcome::Cached)].into_iter().collect();
    for (is_busy, expected) in [(true, &["Running           a cycle is under way"][..]), (false, &[])] {
        let mut watched = Watched::new(MANNER);
        tell(&mut watched, started(&["a:t"], 1, 3, 0));
        let lines = tell(&mut watched, What::Standings { outcomes: outcomes(), cycles: 4, is_busy });
        assert_eq!(lines, expected);
        assert_eq!(watched.is_busy(), is_busy);
        assert_eq!(watched.last_failure(), Some((&name("a:t"), &LastLog::Unseen)));
        assert_eq!(
            watched.status(&style()),
            ["Watching          3 files, 4 cycles: 1 Cached, 1 Failed", "Failed            a:t"]
        );
        let well_again = Event { v: 1, time: UNIX_EPOCH, what: finished("a:t", Outcome::Cached) };
        assert_eq!(watched.of(&well_again, &style()), None, "that is news, and told as in a run");
        assert_eq!(watched.last_failure(), None);
        assert_eq!(
            tell(&mut watched, waiting(&[], &[], false)),
            ["HH:MM:SS waiting  all up to date — ? keys"]
        );
        assert!(!watched.is_busy());
    }
}
