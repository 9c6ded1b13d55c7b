//! What runs leave behind: pages, traces, JUnit, lists, and the same screen again.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::Value;

use super::support::{Output, Sandbox, events_of, eventually, gate::Gate, tasks_in};

/// One that is fresh, one that says much, one that fails, one that cannot run then.
fn project() -> Sandbox {
    let tree = Sandbox::with(
        r#"
        name = "a"
        [tasks.gen]
        exec = "echo made > out.txt"
        execIfModified = ["in.txt"]
        [tasks.says]
        exec = "echo first; echo second; sleep 0.05"
        showOutput = true
        after = ["gen"]
        [tasks.fails]
        exec = '''i=0; while [ $i -lt 30 ]; do i=$((i+1)); printf '\033[31mline %s\033[0m <&>\n' $i; done; exit 3'''
        after = ["says"]
        [tasks.never]
        exec = "true"
        after = ["fails"]
        "#,
    );
    tree.write("in.txt", "1");
    tree
}

/// Everything beneath a directory: when it was written, how long it is.
fn picture(dir: &Path) -> Vec<(PathBuf, SystemTime, u64)> {
    let mut seen = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        seen.push((path, meta.modified().unwrap(), meta.len()));
    }
    seen.sort();
    seen
}

fn newest_log(tree: &Sandbox) -> PathBuf {
    let runs = fs::read_dir(tree.path(".devtask/runs")).unwrap();
    runs.map(|entry| entry.unwrap().path()).max().unwrap()
}

/// Elements of XML that is not nested in itself: good enough for what we write.
fn attributes(xml: &str, element: &str) -> Vec<String> {
    let open = format!("<{element} ");
    xml.lines().filter_map(|line| Some(line.trim().strip_prefix(&open)?.to_owned())).collect()
}

#[test]
fn a_run_log_replayed_is_the_same_screen() {
    let tree = project();
    let same = |run: &str, replay: &str| {
        let (ran, again) = (tree.expect(1, run), tree.ok(replay));
        assert_eq!(again.err, ran.err, "{run} and {replay}");
        assert_eq!(again.out, "");
        ran
    };
    // The first executes what is fresh afterwards.
    let ran = same("run a", "replay");
    assert!(ran.err.contains("[a:says]  second") && ran.err.contains("last 25 of 30 lines"), "{ran}");
    assert!(ran.err.contains("  line 30 <&>\n") && !ran.err.contains("  line 5 <&>\n"), "{ran}");
    let ran = same("run a --tail 2", "replay last --tail 2");
    assert!(ran.err.contains("Cached            a:gen") && ran.err.contains("last 2 of 30"), "{ran}");
    same("-q run a", "-q replay -1");
    same("run a --explain", "replay --explain");
    same("-v run a", "-v replay");
    same("run a --show-output", "replay --show-output");
    // An earlier one is still what it was.
    let first = tree.ok("replay -6").err;
    assert!(first.contains("Succeeded         a:gen") && !first.contains("Cached"), "{first}");
}

#[test]
fn events_of_a_run_are_copied_as_they_are() {
    let tree = project();
    tree.expect(1, "run a");
    let log = fs::read_to_string(newest_log(&tree)).unwrap();
    assert_eq!(tree.ok("-q replay --events -").out, log);
    let plan = events_of(&log).into_iter().find(|event| event["event"] == "plan").unwrap();
    assert_eq!(plan["tasks"], serde_json::json!(["a:gen", "a:says", "a:fails", "a:never"]));
    assert_eq!(plan["after"], serde_json::json!([[], [0], [1], [2]]));
}

/// What is told of a run that found everything fresh says the same, however it was found.
#[test]
fn edges_are_told_of_runs_that_were_settled_before() {
    let tree = Sandbox::with(
        "[tasks.\"a:x\"]\nexec = 'true'\nexecIfModified = ['in.txt']\n\
         [tasks.\"a:y\"]\nexec = 'true'\nexecIfModified = ['in.txt']\nafter = ['a:x']\n",
    );
    tree.write("in.txt", "1");
    // How coarse stamps may be decides how soon an answer is kept.
    let mut plans: Vec<Value> = Vec::new();
    for _ in 0..4 {
        tree.ok("--granularity 0 run a:y");
        plans.extend(tree.last_events().into_iter().filter(|event| event["event"] == "plan"));
    }
    assert!(tree.exists(".devtask/settled"), "nothing was settled");
    assert!(plans.iter().all(|plan| plan["after"] == serde_json::json!([[], [0]])), "{plans:?}");
    assert_eq!(plans.len(), 4);
}

#[test]
fn runs_are_listed_and_named() {
    let tree = project();
    for verb in ["report timings", "report trace", "report junit", "replay"] {
        let none = tree.expect(4, verb);
        assert!(none.err.contains("no run is known here"), "{none}");
    }
    assert_eq!(tree.ok("report runs").err, "No run is known here.\n");
    assert_eq!(tree.ok("report runs --json").json(), serde_json::json!([]));
    tree.expect(1, "run a");
    tree.ok("run a:gen");
    let all = tree.ok("report runs --json").json();
    let told = |at: usize, key: &str| all[at][key].clone();
    assert_eq!([told(0, "outcome"), told(1, "outcome")], ["succeeded", "failed"]);
    assert_eq!(
        [told(0, "cached"), told(0, "executed"), told(1, "executed"), told(1, "dependencyFailed")],
        [1, 0, 3, 1]
    );
    assert_eq!(told(0, "roots"), serde_json::json!(["a:gen"]));
    let table = tree.ok("report runs -n 1").out;
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert_eq!(
        (rows[1][0], rows[1][3], rows[1].last()),
        (told(0, "run").as_str().unwrap(), "succeeded", Some(&"a:gen"))
    );

    let id = told(1, "run").as_str().unwrap().to_owned();
    // Without a name: the newest that executed something, but for what is about how a run ended.
    assert!(tree.ok("report timings").out.contains(&id));
    assert!(tree.ok("report trace").out.contains(&id));
    assert!(tree.ok(&format!("report junit {id}")).out.contains(&id));
    assert!(!tree.ok("report junit").out.contains(&format!("devtask run {id}")));
    let typo = tree.expect(4, &format!("replay {id}x"));
    assert!(typo.err.contains(&format!("did you mean `{id}`?")), "{typo}");
    let other = tree.expect(4, "report timings ../../x");
    assert!(other.err.contains("there is no run `../../x`"), "{other}");
    let many = tree.expect(4, "report timings r");
    assert!(many.err.contains("`r` is how 2 runs begin"), "{many}");
}

#[test]
fn a_run_can_be_read_while_it_is_under_way_and_nothing_is_written() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    let toml = format!(
        "[tasks.\"a:waits\"]\nexec = '{}'\n[tasks.\"a:next\"]\nexec = 'true'\nafter = ['a:waits']\n",
        gate.script()
    );
    tree.write("devtask.toml", toml);
    let run = tree.devtask(["run"]).start();
    gate.wait();
    // The task may be quicker than what tells of it.
    eventually("its start is told", || !tasks_in(&tree.last_events(), "task_started").is_empty());
    let before = picture(&tree.path(".devtask"));
    let page = tree.ok("report timings").out;
    let json: Value = tree.ok("report trace").json();
    let xml = tree.ok("report junit").out;
    let again = tree.ok("-v replay");
    let runs = tree.ok("report runs --json").json();
    assert_eq!(picture(&tree.path(".devtask")), before);
    assert!(
        page.contains("No end known") && page.contains("Unfinished") && page.contains("Not reached"),
        "{page}"
    );
    assert!(json["otherData"]["remarks"].as_str().unwrap().contains("has no end"), "{json}");
    assert!(xml.contains("type=\"unfinished\"") && xml.contains("the log ends before it"), "{xml}");
    assert!(again.err.contains("Running           a:waits\nwarning: The log has no end"), "{again}");
    assert_eq!((&runs[0]["outcome"], &runs[0]["executed"]), (&"unfinished".into(), &1.into()));
    gate.open();
    assert_eq!(run.finish().code, Some(0));
    assert_eq!(tree.ok("report runs --json").json()[0]["outcome"], "succeeded");
}

#[test]
fn junit_has_what_a_failure_wrote() {
    let tree = project();
    tree.expect(1, "run a");
    let xml = tree.ok("report junit").out;
    let cases = attributes(&xml, "testcase");
    let named: Vec<&str> = cases.iter().map(|case| case.split(" time").next().unwrap()).collect();
    assert_eq!(
        named,
        [
            "classname=\"a\" name=\"gen\"",
            "classname=\"a\" name=\"says\"",
            "classname=\"a\" name=\"fails\"",
            "classname=\"a\" name=\"never\"",
        ]
    );
    assert!(xml.contains("<failure message=\"exit 3\" type=\"exit\">line 1 &lt;&amp;&gt;\nline 2 "), "{xml}");
    assert!(xml.contains("<skipped message=\"a:fails failed\">") && !xml.contains('\u{1b}'), "{xml}");
    let suite = attributes(&xml, "testsuite");
    assert!(
        suite[0].starts_with("name=\"a\" tests=\"4\" failures=\"1\" errors=\"0\" skipped=\"1\""),
        "{xml}"
    );
}

#[test]
fn what_is_no_report_is_not_written_over() {
    let tree = project();
    tree.expect(1, "run a");
    tree.write("notes.html", "<!doctype html>\n<p>mine");
    tree.write("empty.html", "");
    let refused = tree.expect(2, "report timings -o notes.html");
    assert!(refused.err.contains("notes.html is there, and was not written by this"), "{refused}");
    assert_eq!(tree.read("notes.html"), "<!doctype html>\n<p>mine");
    tree.expect(2, "report timings -o .devtask");
    tree.expect(2, "run a:gen --timings=notes.html");
    assert!(tree.last_events().iter().any(|event| event["status"] == "failed"), "it ran before it refused");
    for (verb, file) in
        [("timings", "empty.html"), ("trace", "new.json"), ("junit", "new.json"), ("timings", "new.json")]
    {
        let written = tree.ok(&format!("report {verb} -o {file}"));
        assert_eq!(written.err, format!("Wrote             {file}\n"));
        assert_eq!(written.out, "");
        assert_eq!(tree.read(file), tree.ok(&format!("report {verb} -o -")).out, "{verb}");
    }
    tree.expect(2, "report timings -o missing/page.html");
    // Nothing is lost in a pipe.
    assert_eq!(tree.expect(0, "report junit -o /dev/null").out, "");
}

/// A page on the screen is of no use to anybody.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_reports_are_files() {
    use super::support::terminal::Terminal;

    let tree = project();
    tree.expect(1, "run a");
    for (verb, name) in
        [("timings", "devtask-timings.html"), ("trace", "devtask-trace.json"), ("junit", "devtask-junit.xml")]
    {
        let terminal = Terminal::start(&tree, &format!("report {verb}"));
        terminal.wait_for(&format!("Wrote             {name}"));
        terminal.finish();
        assert_eq!(tree.read(name), tree.ok(&format!("report {verb}")).out);
    }
}

#[test]
fn a_run_leaves_a_page_however_it_ended_and_whoever_did_it() {
    let tree = project();
    let failed = tree.expect(1, "run a --timings");
    assert!(failed.err.ends_with("Wrote             devtask-timings.html\n"), "{failed}");
    let page = tree.read("devtask-timings.html");
    assert!(page.contains(">Failed</span>") && page.contains("<b>Failed</b> · exit 3"), "{page}");
    let fresh = tree.ok("run a:gen --timings=sub.html");
    assert!(fresh.err.ends_with("Wrote             sub.html\n"), "{fresh}");
    assert!(tree.read("sub.html").contains("Nothing was executed in this run."));
    for line in ["run a --timings -n", "watch a --timings"] {
        assert!(tree.expect(2, line).err.contains("--timings"), "{line}");
    }

    // Another devtask holds the tree, and executes it for us.
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.append("devtask.toml", format!("[tasks.holds]\nexec = '{}'\n", gate.script()));
    let owner = tree.devtask(["run", "a:holds"]).start();
    gate.wait();
    let served: Output = tree.devtask(["run", "a:says", "--mode", "single", "--timings=other.html"]).run();
    assert_eq!(served.code, Some(0), "{served}");
    let page = tree.read("other.html");
    assert!(page.contains("<code>a:says</code>") && !page.contains("a:holds"), "{served}");
    gate.open();
    assert_eq!(owner.finish().code, Some(0));
}

#[test]
fn a_page_in_place_of_what_cannot_be_written_is_told_of() {
    let tree = project();
    let output = tree.expect(2, "run a:gen --timings=missing/page.html");
    assert!(output.err.contains("cannot write missing/page.html"), "{output}");
    assert!(!tree.exists(".devtask"), "it is known before anything runs");
    tree.expect(2, "run a:gen --timings=-");
    // What cannot be written afterwards shows in the exit code of what went well.
    let full = tree.expect(3, "run a:gen --timings=/dev/full");
    assert!(full.err.contains("cannot write /dev/full"), "{full}");
    tree.expect(1, "run a --timings=/dev/full");
}

/// However big a run is, its log stays small, and its page holds all of it.
#[test]
fn a_thousand_tasks_leave_a_small_log() {
    const LAYERS: usize = 10;
    const WIDE: usize = 100;
    let tree = Sandbox::new();
    let mut toml = String::new();
    for layer in 0..LAYERS {
        for at in 0..WIDE {
            let above = |n: usize| format!("'package-{:02}:layer-{}'", (at + n) % WIDE, layer - 1);
            let after = if layer == 0 { String::new() } else { [above(0), above(1), above(2)].join(", ") };
            toml.push_str(&format!(
                "[tasks.\"package-{at:02}:layer-{layer}\"]\nexec = 'test -n package-{at:02}'\nafter = [{after}]\n\
                 execIfModified = ['in.txt']\n"
            ));
        }
    }
    tree.write("devtask.toml", toml);
    tree.write("in.txt", "1");
    tree.ok("-q run -j 4");
    let mut log = String::new();
    fs::File::open(newest_log(&tree)).unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(tasks_in(&events_of(&log), "task_started").len(), LAYERS * WIDE);
    assert!(log.len() < 1_000_000, "{} bytes", log.len());
    let page = tree.ok("report timings").out;
    assert_eq!(page.matches("<tr id=\"t").count(), LAYERS * WIDE);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(!page.contains("class=\"remark\""));
}
