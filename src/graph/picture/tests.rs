use std::time::UNIX_EPOCH;

use serde_json::Value;

use super::*;
use crate::{
    event::{Event, Finished, What},
    graph::TaskGraph,
    model::{Condition, Outcome, Task, TaskName, TaskSet},
};

/// Everything a picture tells apart, with text that means something to XML.
fn odd() -> TaskGraph {
    let server = Task::shell("devenv:processes:web:db", "db").with(|task| {
        task.kind = crate::graph::tests::process(true);
        task.project = "web".into();
    });
    let build = Task::shell("web:build", "make").with(|task| {
        task.project = "web".into();
        task.description = Some("</title></script><!-- <b>\"'& \x1b[31m \u{202e}".into());
    });
    TaskGraph::builder()
        .task(server)
        .task(build.after("web:gen", Condition::Completed).after("devenv:processes:web:db", Condition::Ready))
        .task(Task::shell("web:gen", "gen"))
        .task(Task::shell("web:docs", "docs").after("web:gen", Condition::Started))
        .task(Task::group("web:all").after("web:build", Condition::Succeeded))
        .build()
        .unwrap()
}

fn all(graph: &TaskGraph) -> TaskSet {
    graph.ids().filter(|id| !graph.is_builtin(*id)).collect()
}

fn run() -> RunSeen {
    let name = |text: &str| TaskName::new(text).unwrap();
    let ended = |task: &str, status, ms| {
        let mut finished = Finished::without_execution(name(task), status);
        finished.duration_ms = ms;
        finished.error = (status == Outcome::Failed).then(|| "<script>\u{7}".to_owned());
        What::TaskFinished(Box::new(finished))
    };
    let whats = [ended("web:gen", Outcome::Failed, Some(1200.0)), ended("web:build", Outcome::Cached, None)];
    let events = whats.map(|what| Event { v: 1, time: UNIX_EPOCH, what });
    RunSeen::new("r<1>", &events, |reason| format!("{reason:?}"))
}

/// Fails unless tags are closed in the order they were opened, and no `&` stands alone.
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    let mut rest = xml;
    while let Some((text, after)) = rest.split_once('<') {
        assert!(!text.contains('>') || open.last() == Some(&"style"), "{text}");
        for entity in text.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            assert!(known.iter().any(|known| entity.starts_with(known)), "&{entity}");
        }
        let (tag, beyond) = after.split_once('>').unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = beyond;
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn an_image_is_well_formed_whatever_is_written_in_it() {
    let graph = odd();
    let scheduled = all(&graph);
    for run in [None, Some(run())] {
        let svg = svg(&graph, &scheduled, &scheduled, run.as_ref());
        assert_well_formed(&svg);
        assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"));
        assert!(!svg.chars().any(|c| c.is_control() && c != '\n'), "{svg}");
        assert!(svg.contains(
            "&lt;/title&gt;&lt;/script&gt;&lt;!-- &lt;b&gt;&quot;&#39;&amp; \\u{1b}[31m \\u{202e}"
        ));
    }
    assert_well_formed(&svg(&graph, &TaskSet::new(), &TaskSet::new(), None));
}

/// The group of a task, or of an edge.
fn group<'a>(svg: &'a str, mark: &str) -> &'a str {
    let at = svg.find(mark).unwrap_or_else(|| panic!("{mark} is not in {svg}"));
    let begin = svg[..at].rfind("<g ").unwrap();
    &svg[begin..begin + svg[begin..].find("</g>").unwrap()]
}

#[test]
fn tasks_and_edges_look_like_what_they_are() {
    let graph = odd();
    let scheduled = all(&graph);
    let plain = svg(&graph, &scheduled, &scheduled, None);
    for (mark, parts) in [
        ("<title>web:gen<", vec!["class=\"node\"", ">web:</tspan>gen</text>"]),
        ("<title>devenv:processes:web:db<", vec!["class=\"bar\"", ">devenv:processes:web:</tspan>db<"]),
        ("<title>web:all<", vec!["class=\"node group\""]),
        ("<title>web:gen@completed → web:build<", vec!["class=\"edge soft\""]),
        ("<title>web:gen@started → web:docs<", vec!["class=\"edge started\""]),
        ("<title>devenv:processes:web:db → web:build<", vec!["class=\"edge\""]),
        ("@completed: also after a failure", vec!["class=\"edge soft\""]),
        (">no command<", vec!["class=\"node group\""]),
    ] {
        let group = group(&plain, mark);
        parts.iter().for_each(|part| assert!(group.contains(part), "{mark}: {group}"));
    }
    assert!(!plain.contains("class=\"word\" x=\"36\" y=\"59\"") && !plain.contains("Failed<"), "{plain}");
    assert!(!plain.contains("asked for"), "where everything was asked for, nothing stands out");

    let roots = graph.id("web:all").into_iter().collect();
    let seen = svg(&graph, &scheduled, &roots, Some(&run()));
    for (mark, parts) in [
        ("<title>web:gen ·", vec!["node failed\"", ">Failed 1.20s</text>"]),
        ("<title>web:build ·", vec!["node cached\"", ">Cached</text>"]),
        ("<title>web:all ·", vec!["node absent root group\"", ">Not in the run</text>"]),
        (">3 Not in the run<", vec!["node absent\""]),
        (">asked for<", vec!["node root\""]),
    ] {
        let group = group(&seen, mark);
        parts.iter().for_each(|part| assert!(group.contains(part), "{mark}: {group}"));
    }
    assert!(seen.contains("<title>5 tasks, as run r&lt;1&gt; left them</title>"), "{seen}");
}

#[test]
fn long_names_lose_their_middle_and_text_fits_its_box() {
    let long = format!("web:{}:end", "x".repeat(200));
    let graph = TaskGraph::builder().task(Task::shell(&long, "true")).build().unwrap();
    let scheduled = all(&graph);
    let svg = svg(&graph, &scheduled, &scheduled, None);
    let task = group(&svg, "data-task");
    let shown = task.split("<text").nth(1).unwrap().split(['>', '<']).nth(1).unwrap();
    assert!(
        task.contains(&format!("<title>{long}<")) && shown.starts_with("web:x") && shown.ends_with("x:end")
    );
    let count = shown.chars().count();
    let width = task.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap();
    assert!(count == 48 && width >= count as f64 * 8.0 + 20.0, "{count} characters in {width}");
}

/// What lies between the first `begin` and the next `end`.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, after) = text.split_once(begin).unwrap();
    after.split_once(end).unwrap().0
}

#[test]
fn a_page_holds_everything_and_nothing_escapes_its_data() {
    let graph = odd();
    let scheduled = all(&graph);
    let page = page(&graph, &scheduled, &scheduled, Some(&run()));
    assert_eq!(page.matches("</script").count(), 2, "the data and the script, and nothing ends them early");
    assert!(page.contains("default-src 'none'"), "nothing is loaded");
    assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("://"), "nor asked for");
    assert!(!page.chars().any(|c| c.is_control() && c != '\n'));
    assert_well_formed(between(&page, "aria-label=\"The graph\">\n", "</main>"));
    let data = between(&page, "id=\"tasks\">", "</script>");
    let tasks: Vec<Value> = serde_json::from_str(data).unwrap();
    let of = |name: &str| tasks.iter().find(|task| task["name"] == name).unwrap();
    assert_eq!(of("web:gen")["notes"], serde_json::json!(["<script>\\u{7}"]));
    assert_eq!((&of("web:gen")["ending"], &of("web:gen")["took"]), (&"Failed".into(), &"1.20s".into()));
    assert_eq!(of("web:all")["ending"], "Not in the run");
    assert_eq!(of("web:build")["description"], "</title></script><!-- <b>\"'& \\u{1b}[31m \\u{202e}");
    for (at, task) in tasks.iter().enumerate() {
        let title = format!("data-task=\"{at}\"><title>{} ", task["name"].as_str().unwrap());
        assert!(page.contains(&title), "{title}");
    }
}
