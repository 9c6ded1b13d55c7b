//! Pictures of the graph: what they show, of which run, and where they go.

use super::support::Sandbox;

fn tree() -> Sandbox {
    Sandbox::with(
        r#"
        name = "app"
        [tasks.gen]
        exec = "cat in > out"
        execIfModified = ["in"]
        outputs = ["out"]
        description = "<b>bold</b> & \"quoted\""
        [tasks.build]
        exec = "exit 3"
        after = ["gen"]
        [tasks.ship]
        exec = "true"
        after = ["build"]
        [tasks.report]
        after = ["build@completed"]
        [tasks.alone]
        exec = "true"
        [processes.db]
        exec = "sleep 100"
        "#,
    )
}

/// A tree with two runs: in the first everything executes, in the second `gen` is fresh. With their ids.
fn tree_with_runs() -> (Sandbox, Vec<String>) {
    let tree = tree();
    tree.write("in", "1");
    tree.expect(1, "run ship report");
    tree.expect(1, "run ship");
    let mut runs: Vec<String> = std::fs::read_dir(tree.path(".devtask/runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().replace(".jsonl", ""))
        .collect();
    runs.sort();
    assert_eq!(runs.len(), 2);
    (tree, runs)
}

/// The group that begins with these classes and holds this title.
fn has(svg: &str, classes: &str, title: &str) -> bool {
    let groups = svg.split("<g class=\"").skip(1);
    groups.filter(|group| group.starts_with(&format!("{classes}\""))).any(|group| group.contains(title))
}

#[test]
fn an_image_shows_tasks_and_edges() {
    let tree = tree();
    let svg = tree.ok("graph --format svg").out;
    for (classes, title) in [
        ("node", "<title>app:gen · &lt;b&gt;bold&lt;/b&gt; &amp; &quot;quoted&quot;</title>"),
        ("node group", "<title>app:report</title>"),
        ("node", "<title>devenv:processes:db</title>"),
        ("edge", "<title>app:gen → app:build</title>"),
        ("edge soft", "<title>app:build@completed → app:report</title>"),
    ] {
        assert!(has(&svg, classes, title), "{classes} {title}: {svg}");
    }
    assert!(!svg.contains("<b>") && !svg.contains("Not in the run"), "{svg}");
    let part = tree.ok("graph build --format svg").out;
    assert!(has(&part, "node root", "<title>app:build</title>") && !part.contains("app:ship"), "{part}");
}

#[test]
fn a_picture_shows_how_a_run_went() {
    let (tree, runs) = tree_with_runs();
    let svg = tree.ok("graph --format svg --run").out;
    for (classes, title) in [
        ("node cached", "<title>app:gen · Cached · "),
        ("node failed", "<title>app:build · Failed "),
        ("node blocked", "<title>app:ship · Dependency failed<"),
        ("node absent group", "<title>app:report · Not in the run<"),
        ("node absent", "<title>app:alone · Not in the run<"),
    ] {
        assert!(has(&svg, classes, title), "{classes} {title}: {svg}");
    }
    assert!(svg.contains(&format!("as run {} left them", runs[1])), "{svg}");
    let first = tree.ok(&format!("graph --format svg --run={}", runs[0])).out;
    assert!(has(&first, "node succeeded", "<title>app:gen · Succeeded "), "{first}");
    assert!(has(&first, "node skipped group", "<title>app:report · Skipped"), "{first}");
}

#[test]
fn what_came_back_is_told_apart() {
    let tree = tree();
    for content in ["0", "1", "2", "1"] {
        tree.write("in", content);
        tree.ok("run gen");
    }
    assert_eq!(tree.read("out"), "1");
    let svg = tree.ok("graph gen --format svg --run").out;
    assert!(has(&svg, "node restored", "<title>app:gen · Restored"), "{svg}");
    assert!(tree.ok("graph gen --format html --run").out.contains(" had left it, which saved "));
}

#[test]
fn a_page_says_why() {
    let (tree, runs) = tree_with_runs();
    let page = tree.ok(&format!("graph --format html --run={}", runs[0])).out;
    let (_, data) = page.split_once("id=\"tasks\">").unwrap();
    let tasks: serde_json::Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    let of = |name: &str| tasks.as_array().unwrap().iter().find(|task| task["name"] == name).unwrap().clone();
    assert_eq!(of("app:gen")["notes"], serde_json::json!(["no earlier run is known"]));
    assert_eq!(of("app:gen")["description"], "<b>bold</b> & \"quoted\"");
    assert_eq!(of("app:build")["notes"][0], "exit 3");
    assert_eq!(of("app:ship")["notes"], serde_json::json!(["because app:build failed"]));
    assert!(!page.contains("<b>"), "{page}");
}

#[test]
fn the_other_forms_show_a_run_too() {
    let (tree, runs) = tree_with_runs();
    let text = tree.ok("graph ship --run").out;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines[2]), ("app:ship  Dependency failed", "    └── app:gen  Cached"), "{text}");
    assert!(lines[1].starts_with("└── app:build  Failed "), "{text}");
    let dot = tree.ok("graph ship --format dot --run").out;
    assert!(dot.contains("\"app:gen\" [style=\"filled\" fillcolor=\"#"), "{dot}");
    assert!(dot.contains("label=\"app:gen\\nCached\"]"), "{dot}");
    let mermaid = tree.ok("graph ship --format mermaid --run").out;
    let node = mermaid.lines().find(|line| line.contains("app:gen<br>Cached\"]:::")).unwrap();
    let class = node.split(":::").nth(1).unwrap();
    assert!(mermaid.contains(&format!("  classDef {class} fill:#")), "{mermaid}");
    let json = tree.ok("graph ship --format json --run").json();
    let tasks = json["tasks"].as_array().unwrap();
    let build = tasks.iter().find(|task| task["name"] == "app:build").unwrap();
    assert_eq!((&json["run"], &build["ending"]), (&runs[1].as_str().into(), &"Failed".into()));
    assert!(build["durationMs"].as_f64().unwrap() > 0.0, "{build}");
}

#[test]
fn a_run_is_named_by_the_beginning_of_its_id() {
    let tree = tree();
    let none = tree.expect(4, "graph --run");
    assert!(none.err.starts_with("error: no run is known here\n  help: "), "{none}");
    let runs = ["raa11", "raa12", "rab1", "rab11"];
    for run in runs {
        let line = format!(
            "{{\"v\":1,\"time\":\"2020-01-01T00:00:00Z\",\"event\":\"run_started\",\"run\":\"{run}\",\"roots\":[]}}\n"
        );
        tree.write(format!(".devtask/runs/{run}.jsonl"), line);
    }
    for (wanted, meant) in [("last", "rab11"), ("raa11", "raa11"), ("rab1", "rab1"), ("rab11", "rab11")] {
        let json = tree.ok(&format!("graph --format json --run={wanted}")).json();
        assert_eq!(json["run"], meant, "{wanted}");
    }
    let json = tree.ok("graph --format json --run").json();
    assert_eq!(json["run"], "rab11");
    let several = tree.expect(4, "graph --run=raa");
    assert!(several.err.starts_with("error: `raa` is how 2 runs begin\n"), "{several}");
    for unknown in ["nope", "rab111", "../runs/raa11", ""] {
        let refused = tree.expect(4, &format!("graph --run={unknown}"));
        assert!(
            refused.err.starts_with(&format!("error: there is no run `{unknown}`\n  help: ")),
            "{refused}"
        );
    }
}

#[test]
fn a_picture_goes_to_a_file() {
    let tree = tree();
    let expected = tree.ok("graph --format svg").out;
    let written = tree.ok("graph --format svg -o graph.svg");
    assert_eq!((written.out.as_str(), written.err.as_str()), ("", "Wrote             graph.svg\n"));
    assert_eq!(tree.read("graph.svg"), expected);
    assert_eq!(tree.ok("graph --format svg -o -").out, expected);
    tree.ok("graph --format svg -o graph.svg");
    tree.ok("graph --format html -o graph.html");
    tree.ok("graph --format html -o graph.html");
    for (format, file) in
        [("svg", "devtask.toml"), ("html", "devtask.toml"), ("svg", "graph.html"), ("tree", "graph.svg")]
    {
        let before = tree.read(file);
        let refused = tree.expect(2, &format!("graph --format {format} -o {file}"));
        assert!(refused.err.contains("it is not written over"), "{refused}");
        assert_eq!(tree.read(file), before);
    }
    let nowhere = tree.expect(2, "graph --format svg -o not/there.svg");
    assert!(nowhere.err.starts_with("error: cannot write not/there.svg: "), "{nowhere}");
}
