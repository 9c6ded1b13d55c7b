//! Logs, written by hand, and what they come to.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

use super::*;

/// A log, line by line: a time in milliseconds and what happened.
#[derive(Default)]
struct Told(String);

impl Told {
    /// Of a run of tasks called by one letter, each with the places of those upstream of it.
    fn run(tasks: &[(&str, &[u32])]) -> Self {
        let names: Vec<String> = tasks.iter().map(|(name, _)| full(name)).collect();
        let after: Vec<&[u32]> = tasks.iter().map(|(_, after)| *after).collect();
        let roots = serde_json::to_string(&names.last()).unwrap();
        let plan = serde_json::json!({"tasks": names, "after": after}).to_string();
        Self::default()
            .line(0, &format!(r#""event":"run_started","run":"r1","roots":[{roots}]"#))
            .line(0, &format!(r#""event":"plan",{}"#, &plan[1..plan.len() - 1]))
    }

    fn line(mut self, ms: u64, rest: &str) -> Self {
        let time =
            humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(ms));
        writeln!(self.0, r#"{{"v":1,"time":"{time}",{rest}}}"#).unwrap();
        self
    }

    fn starts(self, ms: u64, task: &str) -> Self {
        self.line(ms, &format!(r#""event":"task_started","task":"{}""#, full(task)))
    }

    fn ends(self, ms: u64, task: &str, more: &str) -> Self {
        self.line(ms, &format!(r#""event":"task_finished","task":"{}",{more}"#, full(task)))
    }

    /// Executes from here to there and succeeds.
    fn runs(self, task: &str, from: u64, to: u64) -> Self {
        let more = format!(r#""status":"succeeded","exit_code":0,"duration_ms":{}.0"#, to - from);
        self.starts(from, task).ends(to, task, &more)
    }

    fn over(self, ms: u64) -> Self {
        self.line(
            ms,
            &format!(r#""event":"run_finished","counts":{{}},"status":"succeeded","duration_ms":{ms}.0"#),
        )
    }

    fn report(&self) -> Report {
        Report::of("r1", &Log::parse(self.0.as_bytes()))
    }
}

fn full(task: &str) -> String {
    if task.contains(':') { task.to_owned() } else { format!("x:{task}") }
}

fn say(reason: &Reason) -> String {
    format!("{reason:?}")
}

fn row<'a>(report: &'a Report, task: &str) -> &'a Row {
    report.rows.iter().find(|row| row.name.as_str() == full(task)).unwrap()
}

fn path(report: &Report) -> Vec<&str> {
    report.path.iter().map(|place| &report.rows[*place].name.as_str()[2..]).collect()
}

#[test]
fn bars_stand_side_by_side_and_the_longest_chain_is_found() {
    // Two slots: c waits for one from 10 (b is upstream of it) to 30.
    let report = Told::run(&[("a", &[]), ("b", &[]), ("c", &[1]), ("d", &[0, 2])])
        .runs("b", 0, 10)
        .runs("e", 10, 30)
        .runs("a", 0, 40)
        .runs("c", 30, 45)
        .runs("d", 45, 50)
        .over(52)
        .report();
    let lanes: Vec<usize> = ["a", "b", "c", "d", "e"].map(|t| row(&report, t).bar.unwrap().lane).into();
    assert_eq!(lanes, [1, 0, 0, 0, 0]);
    assert_eq!((report.slots, report.process_lanes), (2, 0));
    assert_eq!((report.wall_ms, report.work_ms), (52.0, 90.0));
    assert_eq!((path(&report), report.path_ms), (vec!["a", "d"], 45.0));
    assert!(row(&report, "a").is_critical && !row(&report, "c").is_critical);
    let waited = ["a", "b", "c", "d"].map(|t| row(&report, t).waited_ms.unwrap());
    assert_eq!(waited, [0.0, 0.0, 20.0, 0.0]);
    // c would have begun at 10; a is what all wait for then, and the end took 2.
    assert_eq!(report.unlimited_ms, Some(47.0));
    assert_eq!((report.status, report.remarks.as_slice()), (Some(RunStatus::Succeeded), &[][..]));
}

#[test]
fn a_slot_is_waited_for_from_when_it_is_decided_that_a_task_runs() {
    let decided = r#""event":"decision","task":"x:a","action":"run","reasons":[{"kind":"never_ran"}]"#;
    let told = Told::run(&[("a", &[]), ("b", &[])]).line(15, decided).runs("b", 12, 20);
    let report = told.runs("a", 20, 30).over(31).report();
    assert_eq!(row(&report, "a").waited_ms, Some(5.0));
    assert_eq!((row(&report, "b").waited_ms, report.unlimited_ms), (Some(0.0), Some(26.0)));
    assert_eq!(row(&report, "a").reasons, [Reason::NeverRan]);
}

#[test]
fn chains_go_through_what_was_not_executed_and_not_through_what_was_not_waited_for() {
    let cached = r#""status":"cached""#;
    let report = Told::run(&[("a", &[]), ("b", &[0]), ("c", &[1])])
        .runs("a", 0, 10)
        .ends(10, "b", cached)
        .runs("c", 10, 15)
        .over(15)
        .report();
    assert_eq!((path(&report), report.path_ms), (vec!["a", "c"], 15.0));
    // c began while b ran: it waited for b to have begun, and so for a.
    let report = Told::run(&[("a", &[]), ("b", &[0]), ("c", &[1])])
        .runs("a", 0, 10)
        .starts(10, "b")
        .runs("c", 12, 20)
        .ends(30, "b", r#""status":"succeeded","duration_ms":20.0"#)
        .over(30)
        .report();
    assert_eq!((path(&report), report.path_ms), (vec!["a", "b"], 30.0));
    assert_eq!(row(&report, "c").waited_ms, Some(2.0));
    // The end that was measured counts, not when it was told.
    let late = Told::run(&[("a", &[])])
        .starts(0, "a")
        .ends(9, "a", r#""status":"failed","duration_ms":7.5"#)
        .over(9);
    assert_eq!(row(&late.report(), "a").bar.unwrap().end_ms, 7.5);
}

#[test]
fn processes_have_lanes_of_their_own_and_are_no_work() {
    let db = "devenv:processes:db";
    let ready = format!(r#""event":"process_state","task":"{db}","stage":"ready""#);
    let report = Told::run(&[(db, &[]), ("a", &[0])])
        .starts(0, db)
        .line(20, &ready)
        .runs("a", 25, 35)
        .ends(40, db, r#""status":"succeeded","duration_ms":40.0"#)
        .over(40)
        .report();
    assert_eq!((report.slots, report.process_lanes), (1, 1));
    assert_eq!((path(&report), report.path_ms, report.work_ms), (vec!["a"], 10.0, 10.0));
    assert_eq!((row(&report, "a").waited_ms, report.unlimited_ms), (Some(5.0), Some(35.0)));
    assert_eq!(row(&report, db).ready_ms, Some(20.0));
    assert_eq!((report.executed(), report.tasks().count()), (1, 1));
}

#[test]
fn what_came_back_is_told_from_what_was_fresh() {
    let from = r#"{"at_ms":5,"duration_ms":1500,"run":"r0"}"#;
    let fresh =
        format!(r#""event":"decision","task":"x:a","action":"cached","reasons":[],"last_success":{from}"#);
    let report = Told::run(&[("a", &[]), ("b", &[]), ("c", &[])])
        .line(0, &fresh)
        .ends(1, "a", r#""status":"cached""#)
        .ends(2, "b", &format!(r#""status":"cached","restored":{from}"#))
        .ends(2, "c", r#""status":"failed","duration_ms":30.0"#)
        .over(3)
        .report();
    assert_eq!(row(&report, "a").fate, Fate::Ended(Outcome::Cached));
    assert_eq!(row(&report, "b").fate, Fate::Restored);
    assert_eq!(row(&report, "b").last.as_ref().unwrap().run, "r0");
    assert_eq!((report.saved_ms, report.executed()), (3000.0, 0));
    assert!(row(&report, "c").is_elsewhere && row(&report, "c").bar.is_none());
}

#[test]
fn what_is_missing_is_said_and_the_rest_is_told() {
    let whole = Told::run(&[("a", &[]), ("b", &[0]), ("c", &[1])]).runs("a", 0, 10).starts(10, "b");
    let report = whole.report();
    assert_eq!(report.remarks, [Remark::NoEnd]);
    assert_eq!([row(&report, "b").fate, row(&report, "c").fate], [Fate::Cut, Fate::Unreached]);
    assert_eq!((row(&report, "b").bar.unwrap().end_ms, report.wall_ms, report.status), (10.0, 10.0, None));

    let later = whole.line(70, r#""event":"something_new""#);
    assert_eq!(row(&later.report(), "b").bar.unwrap().end_ms, 70.0);
    assert_eq!(later.report().remarks, [Remark::NoEnd, Remark::Foreign(1)]);

    let text = format!("nonsense\n{}\u{0}\n{{\"v\":1,\"tim", later.0.replacen("\"v\":1", "\"v\":7", 1));
    let log = Log::parse(text.as_bytes());
    assert_eq!((log.damaged, log.foreign, log.is_whole()), (2, 2, false));

    let report = Told::default().runs("a", 5, 10).over(10).report();
    assert_eq!((report.remarks.as_slice(), report.rows.len()), (&[Remark::NoPlan][..], 1));
    assert_eq!((path(&report), row(&report, "a").waited_ms), (vec!["a"], None));

    let old = Told(Told::run(&[("a", &[])]).0.replace(r#""after":[[]],"#, "")).runs("a", 0, 5).over(5);
    assert_eq!(old.report().remarks, [Remark::NoEdges]);
}

#[test]
fn what_was_begun_anew_has_one_bar() {
    let report = Told::run(&[("a", &[])]).starts(0, "a").runs("a", 20, 30).over(30).report();
    let bar = row(&report, "a").bar.unwrap();
    assert_eq!((bar.begin_ms, bar.end_ms, bar.lane, report.slots), (20.0, 30.0, 0, 1));
}

/// No log makes a report panic or a chain run in circles.
#[test]
fn damaged_logs_come_to_something() {
    let odd = Told::run(&[("a", &[1, 0, 9]), ("b", &[1]), ("c", &[0, 0])])
        .starts(20, "a")
        .starts(30, "a")
        .ends(10, "a", r#""status":"succeeded","duration_ms":-5.0"#)
        .ends(10, "b", r#""status":"succeeded","duration_ms":1e300"#)
        .starts(5, "c")
        .ends(6, "c", r#""status":"failed","duration_ms":1e300"#)
        .over(2);
    let nothing = Told::default();
    let ages = Told::run(&[("a", &[])])
        .runs("a", 0, 10_u64.pow(13))
        .line(7, r#""event":"run_finished","counts":{},"status":"failed","duration_ms":1e300"#);
    for told in [odd, nothing, ages] {
        let report = told.report();
        let text = page(&report, &say);
        assert!(text.starts_with(page::MARK) && text.ends_with("</html>\n"));
        assert!(!text.contains("NaN") && !text.contains("inf%"), "{text}");
        let _: Value = serde_json::from_str(&trace(&report, &say)).unwrap();
        assert!(junit(&report, &|_| None).ends_with("</testsuites>\n"));
        assert!(report.rows.iter().filter_map(|row| row.bar).all(|bar| bar.end_ms >= bar.begin_ms));
    }
}

/// A run in which everything was written to get out of where it stands.
fn hostile() -> Report {
    let evil = r#"</script><script>alert(1)</script><!--\u001b[31m\u2028\"'&"#;
    Told::run(&[("a", &[]), ("b", &[0]), ("c", &[1]), ("d", &[])])
        .line(0, &format!(r#""event":"decision","task":"x:a","action":"run","reasons":[{{"kind":"env","name":"{evil}"}}]"#))
        .line(0, r#""event":"decision","task":"x:c","action":"run","reasons":[{"kind":"forced"}]"#)
        .starts(1, "a")
        .ends(9, "a", &format!(r#""status":"failed","exit_code":3,"duration_ms":8.0,"error":"{evil}","command":"{evil}""#))
        .ends(9, "b", r#""status":"dependency_failed","because":["x:a"]"#)
        .ends(9, "c", r#""status":"cancelled""#)
        .ends(9, "d", r#""status":"skipped""#)
        .over(10)
        .report()
}

#[test]
fn a_page_is_one_file_in_which_nothing_from_elsewhere_is_code() {
    let text = page(&hostile(), &|reason| match reason {
        Reason::Env { name } => name.clone(),
        other => say(other),
    });
    assert_eq!(text.matches("<script").count(), 1);
    assert_eq!(text.matches("</script").count(), 1);
    assert_eq!(text.matches("&lt;/script&gt;&lt;script&gt;alert(1)").count(), 3, "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains(" style=") && !text.contains(" onclick"));
    assert!(!text.contains("Forced"), "c was not executed");
    for outside in ["http:", "https:", "url(", "@import", "src="] {
        assert!(!text.contains(outside), "{outside}");
    }
    // What the policy lets run is what is there.
    let between = |open: &str, close: &str| {
        let rest = &text[text.find(open).unwrap() + open.len()..];
        rest[..rest.find(close).unwrap()].to_owned()
    };
    for (open, close) in [("<script>", "</script>"), ("<style>", "</style>")] {
        let sum = ring::digest::digest(&ring::digest::SHA256, between(open, close).as_bytes());
        assert!(text.contains(&format!("'sha256-{}'", data_encoding::BASE64.encode(sum.as_ref()))), "{open}");
    }
    for word in ["exit 3", "x:a failed", "Cancelled", "href=\"#t0\"", "id=\"t3\""] {
        assert!(text.contains(word), "{word}");
    }
}

#[test]
fn a_trace_has_a_bar_a_task_and_arrows_between_them() {
    let report = Told::run(&[("a", &[]), ("b", &[0]), ("c", &[0])])
        .runs("a", 2, 10)
        .runs("b", 12, 20)
        .starts(12, "c")
        .report();
    let trace: Value = serde_json::from_str(&trace(&report, &say)).unwrap();
    let mut kinds: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for event in trace["traceEvents"].as_array().unwrap() {
        kinds.entry(event["ph"].as_str().unwrap()).or_default().push(event);
    }
    let bars: Vec<_> = kinds["X"]
        .iter()
        .map(|e| {
            (
                e["name"].as_str().unwrap(),
                e["ts"].as_f64().unwrap(),
                e["dur"].as_f64().unwrap(),
                e["tid"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(bars, [("x:a", 2000.0, 8000.0, 1), ("x:b", 12000.0, 8000.0, 1), ("x:c", 12000.0, 8000.0, 2)]);
    assert_eq!(kinds["X"][2]["args"]["status"], "Unfinished");
    assert_eq!((kinds["s"].len(), kinds["f"].len()), (2, 2));
    assert_eq!(
        (kinds["s"][1]["id"].clone(), kinds["s"][1]["tid"].clone(), kinds["f"][1]["tid"].clone()),
        (1.into(), 1.into(), 2.into())
    );
    let inside = |e: &Value| e["ts"].as_f64().unwrap();
    assert!(kinds["s"].iter().all(|e| (2000.0..10_000.0).contains(&inside(e))));
    let tracks: Vec<&str> = kinds["M"]
        .iter()
        .filter(|e| e["name"] == "thread_name")
        .map(|e| e["args"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(tracks, ["slot 1", "slot 2"]);
}

#[test]
fn junit_says_what_readers_understand() {
    let xml = junit(&hostile(), &|task| Some(format!("end of {task}\n]]> \u{1b}<b>\n")));
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuites name=\"devtask run r1\" tests=\"3\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"0.010\" timestamp=\"1970-01-01T00:00:00.000Z\">
  <testsuite name=\"x\" tests=\"3\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"0.008\" timestamp=\"1970-01-01T00:00:00.000Z\">
    <testcase classname=\"x\" name=\"a\" time=\"0.008\">
      <failure message=\"exit 3: &lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;!--[31m\u{2028}&quot;&#39;&amp;\" type=\"exit\">end of x:a
]]&gt; &lt;b&gt;</failure>
    </testcase>
    <testcase classname=\"x\" name=\"b\" time=\"0.000\">
      <skipped message=\"x:a failed\"></skipped>
    </testcase>
    <testcase classname=\"x\" name=\"c\" time=\"0.000\">
      <error message=\"it was ended, or not begun, because the run was ended\" type=\"cancelled\"></error>
    </testcase>
  </testsuite>
</testsuites>
";
    assert_eq!(xml, expected);
    let whole = Told::run(&[("devenv:processes:db", &[]), ("p:a", &[]), ("q:b:c", &[])])
        .starts(0, "devenv:processes:db")
        .ends(5, "devenv:processes:db", r#""status":"cancelled","duration_ms":5.0"#)
        .ends(5, "p:a", r#""status":"cached""#)
        .ends(5, "q:b:c", r#""status":"cached","restored":{"at_ms":5,"duration_ms":9,"run":"r0"}"#);
    let xml = junit(&whole.report(), &|_| None);
    let cases: Vec<&str> = xml
        .lines()
        .map(str::trim)
        .filter(|l| l.starts_with("<testcase") || l.starts_with("<system-out"))
        .collect();
    assert_eq!(
        cases,
        [
            "<testcase classname=\"p\" name=\"a\" time=\"0.000\">",
            "<system-out>fresh, not executed</system-out>",
            "<testcase classname=\"q\" name=\"b:c\" time=\"0.000\">",
            "<system-out>brought back, not executed (run r0)</system-out>",
        ]
    );
    assert!(xml.contains("<!-- The log has no end"), "{xml}");
}

#[test]
fn reports_know_each_other() {
    let report = hostile();
    for text in [page(&report, &say), trace(&report, &say), junit(&report, &|_| None)] {
        assert!(is_ours(text.as_bytes()), "{}", &text[..60]);
    }
    for other in [
        "",
        "<!doctype html>\n<p>",
        "{\"otherData\":{}}",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"pytest",
    ] {
        assert!(!is_ours(other.as_bytes()), "{other}");
    }
}
