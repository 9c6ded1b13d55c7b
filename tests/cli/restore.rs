//! What tasks left comes back: there and back again, lost and changed, kept and pruned (spec section 4.5).

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use serde_json::Value;

use super::support::{Output, Sandbox, eventually, gate::Gate, set};

/// A chain of tasks, each with files, output and exports, and one that makes nothing.
fn chain() -> Sandbox {
    let tree = Sandbox::with(
        r#"
        name = "app"
        [tasks.gen]
        exec = '''
        rm -rf gen; mkdir -p gen/deep
        for word in $(cat words.txt); do echo "$word" > "gen/deep/$word"; done
        ln -s deep gen/link; chmod 750 gen/deep/one
        echo "made $(cat words.txt)"; echo "careful" >&2
        echo "{\"count\": $(wc -w < words.txt), \"devenv\": {\"messages\": [\"$(cat words.txt)\"]}}" > "$DEVENV_TASK_OUTPUT_FILE"
        LIST=$(cat words.txt)
        '''
        execIfModified = ["words.txt"]
        outputs = ["gen/**"]
        exports = ["LIST"]
        [tasks.use]
        after = ["gen"]
        exec = 'echo "$LIST of $(ls gen/deep | wc -l)" > used.txt'
        outputs = ["used.txt"]
        [tasks.first]
        after = ["gen"]
        exec = 'cut -c1 words.txt > first.txt'
        execIfModified = ["gen/deep/one"]
        outputs = ["first.txt"]
        [tasks.lint]
        exec = "grep -q one words.txt"
        execIfModified = ["words.txt"]
        outputs = []
        [tasks.look]
        exec = "grep -q one words.txt"
        execIfModified = ["words.txt"]
        "#,
    );
    tree.write("words.txt", "one two");
    tree
}

fn runs(tree: &Sandbox, line: &str, executed: &str) -> Output {
    let output = tree.ok(line);
    assert_eq!(tree.executed(), set(executed), "{output}");
    output
}

fn finished(tree: &Sandbox, task: &str) -> Value {
    let events = tree.last_events();
    let found = events.iter().find(|event| event["event"] == "task_finished" && event["task"] == task);
    found.unwrap_or_else(|| panic!("{task} did not end")).clone()
}

#[test]
fn a_whole_chain_comes_back_with_all_that_it_left() {
    let tree = chain();
    let first = runs(&tree, "run", "app:gen app:use app:first app:lint app:look");
    tree.write("words.txt", "one three four");
    runs(&tree, "run", "app:gen app:use app:first app:lint app:look");
    assert_eq!(tree.read("used.txt"), "one three four of 3\n");
    assert!(!tree.exists("gen/deep/two"));

    tree.write("words.txt", "one two");
    // What has no `outputs` may have made anything.
    let back = runs(&tree, "run", "app:look");
    assert_eq!(tree.read("used.txt"), "one two of 2\n");
    assert_eq!(tree.read("gen/deep/two"), "two\n");
    assert!(!tree.exists("gen/deep/three"), "what the other result left is gone");
    assert_eq!(fs::read_link(tree.path("gen/link")).unwrap().to_str(), Some("deep"));
    assert_eq!(fs::metadata(tree.path("gen/deep/one")).unwrap().permissions().mode() & 0o777, 0o750);
    assert_eq!(back.out, first.out, "what it handed on");
    assert!(back.err.contains("one two\n"), "its message: {back}");
    let log = tree.ok("logs gen");
    assert!(log.out.contains("made one two\n") && log.out.contains("careful\n"), "{log}");
    let end = finished(&tree, "app:gen");
    assert_eq!((&end["status"], end["restored"]["run"].is_string()), (&"cached".into(), true), "{end}");
    runs(&tree, "run", "");
    assert!(finished(&tree, "app:gen")["restored"].is_null(), "now it is in place");
}

#[test]
fn every_decision_is_explained() {
    let tree = chain();
    tree.ok("run");
    tree.write("words.txt", "one three");
    tree.ok("run");
    tree.write("words.txt", "one two");
    let dry = tree.expect(5, "run -n gen use first");
    assert!(dry.err.contains("Would restore     app:gen   because words.txt content changed"), "{dry}");
    assert!(dry.err.contains("Would restore     app:use   because"), "{dry}");
    assert!(dry.err.contains("3 Would Restore (dry run)"), "{dry}");
    assert_eq!(tree.read("used.txt"), "one three of 2\n", "nothing was touched");
    let why = tree.ok("why gen");
    assert!(why.out.starts_with("app:gen would be restored: 1 reason\n"), "{why}");
    assert!(why.out.contains("comes back: it had the same key; saves "), "{why}");
    let json = tree.ok("why gen --json").json();
    assert_eq!((&json["action"], json["restores"]["run"].is_string()), (&"would_restore".into(), true));
    let list = tree.ok("list");
    assert!(list.out.contains("restorable"), "{list}");

    let run = tree.ok("run gen use --explain");
    assert!(run.err.contains("Restores          app:gen\n"), "{run}");
    assert!(run.err.contains("because words.txt content changed"), "{run}");
    assert!(run.err.contains("Cached            app:gen (restored, "), "{run}");
    let last = tree.ok("why --last gen");
    assert!(last.out.contains("app:gen was not fresh in run "), "{last}");
    assert!(last.out.contains("left came back, "), "{last}");
}

#[test]
fn who_asks_for_an_execution_gets_one() {
    let tree = chain();
    tree.ok("run gen");
    tree.remove("gen");
    runs(&tree, "run gen --force", "app:gen");
    tree.remove("gen");
    runs(&tree, "run gen --refresh-task-cache", "app:gen");
    tree.remove("gen");
    runs(&tree, "run gen", "");
}

#[test]
fn after_a_failure_or_a_kill_it_executes() {
    for kill in [false, true] {
        let tree = Sandbox::new();
        let mut gate = Gate::new(tree.home().join("gate"));
        tree.write(
            "devtask.toml",
            format!(
                "[tasks.\"a:t\"]\nexec = '''\ncat in.txt > out.txt\ngrep -q good in.txt || {{ {}; exit 1; }}\n'''\nexecIfModified = [\"in.txt\"]\noutputs = [\"out.txt\"]\n",
                gate.script()
            ),
        );
        for text in ["good 1", "good 2"] {
            tree.write("in.txt", text);
            runs(&tree, "run a:t", "a:t");
        }
        tree.write("in.txt", "good 1");
        runs(&tree, "run a:t", "");
        tree.write("in.txt", "bad");
        let running = tree.devtask(["run", "a:t"]).start();
        gate.wait();
        match kill {
            true => running.signal(9),
            false => gate.open(),
        }
        running.finish();
        for text in ["good 1", "good 2"] {
            tree.write("in.txt", text);
            let why = tree.ok("why a:t");
            assert!(why.out.contains("would run"), "kill: {kill}, {text}: {why}");
            runs(&tree, "run a:t", "a:t");
        }
        tree.write("in.txt", "good 1");
        runs(&tree, "run a:t", "");
        assert_eq!(tree.read("out.txt"), "good 1");
    }
}

#[test]
fn what_somebody_else_put_there_stays() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "mkdir -p public; cp in.txt public/page-$(cat in.txt)"
        execIfModified = ["in.txt"]
        outputs = ["public/**"]
        "#,
    );
    tree.write("public/drawn.svg", "by hand");
    tree.write("in.txt", "1");
    tree.ok("run a:t");
    tree.write("in.txt", "2");
    tree.ok("run a:t");
    tree.write("public/late.svg", "by hand, too");
    tree.write("in.txt", "1");
    runs(&tree, "run a:t", "");
    assert_eq!(tree.read("public/drawn.svg"), "by hand");
    assert_eq!(tree.read("public/late.svg"), "by hand, too");
    // Whether what one result has and another does not goes: the task left both there itself.
    assert!(tree.exists("public/page-1"));

    // Another picture: no result with the old one comes back over it.
    tree.write("public/drawn.svg", "drawn anew");
    let dry = tree.expect(5, "run a:t -n");
    assert!(
        dry.err.contains("Would run         a:t   because output public/drawn.svg content changed"),
        "{dry}"
    );
    runs(&tree, "run a:t", "a:t");
    assert_eq!(tree.read("public/drawn.svg"), "drawn anew");
    // Nor is it forgotten whose it is, whatever becomes of the task.
    tree.replace("devtask.toml", "cp in.txt", "false; cp in.txt");
    tree.expect(1, "run a:t");
    let clean = tree.ok("clean a:t");
    assert!(clean.out.contains("public/drawn.svg   because the task has not made it"), "{clean}");
    assert_eq!(tree.read("public/drawn.svg"), "drawn anew");
    assert!(!tree.exists("public/page-1"));
}

#[test]
fn what_a_task_left_alone_after_a_failure_is_still_its_own() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = """
        mkdir -p out
        [ -e out/slow ] || echo slow > out/slow
        grep -q good in.txt && cp in.txt out/quick
        """
        execIfModified = ["in.txt"]
        outputs = ["out/**"]
        "#,
    );
    tree.write("in.txt", "good");
    tree.ok("run a:t");
    tree.write("in.txt", "bad");
    tree.expect(1, "run a:t");
    tree.write("in.txt", "good again");
    runs(&tree, "run a:t", "a:t");
    let clean = tree.ok("clean a:t -n");
    assert!(clean.out.contains("Would remove      out/slow\n"), "it has made that: {clean}");
    // But not this time: whether it would in an empty place nobody has seen yet.
    tree.remove("out");
    runs(&tree, "run a:t", "a:t");
    tree.remove("out");
    runs(&tree, "run a:t", "");
    assert_eq!((tree.read("out/slow").as_str(), tree.read("out/quick").as_str()), ("slow\n", "good again"));
}

#[test]
fn what_another_key_left_does_not_come_back_with_this_one() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:cc"]
        exec = "mkdir -p out; for f in src/*; do cp $f out/${f##*/}.o; done"
        execIfModified = ["src/*"]
        outputs = ["out/**"]
        "#,
    );
    tree.write("src/x", "x");
    tree.write("src/y", "y");
    tree.ok("run a:cc");
    tree.remove("src/y");
    tree.ok("run a:cc");
    tree.remove("out");
    runs(&tree, "run a:cc", "a:cc");
    assert!(tree.exists("out/x.o") && !tree.exists("out/y.o"));
    tree.write("src/y", "y");
    runs(&tree, "run a:cc", "");
    assert!(tree.exists("out/x.o") && tree.exists("out/y.o"));
}

#[test]
fn a_file_that_another_task_declares_more_exactly_is_that_tasks() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"p:a\"]\nexec = 'mkdir -p out; {}; cp ina out/a'\nexecIfModified = ['ina']\noutputs = ['out/**']\n\
             [tasks.\"p:b\"]\nexec = 'mkdir -p out/b; cp inb out/b/f'\nexecIfModified = ['inb']\noutputs = ['out/b/**']\n",
            gate.script()
        ),
    );
    tree.write("ina", "1");
    tree.write("inb", "1");
    let both = tree.devtask(["run", "-j2", "p:a", "p:b"]).start();
    gate.wait();
    eventually("the other task is done", || tree.exists("out/b/f"));
    gate.open();
    assert_eq!(both.finish().code, Some(0));
    tree.write("inb", "2");
    tree.ok("run p:b");
    assert_eq!(tree.read("out/b/f"), "2");
    let again = tree.devtask(["run", "p:a"]).start();
    // What is not its own has changed: it executes.
    gate.wait();
    gate.open();
    again.finish();
    runs(&tree, "run p:a p:b", "");
    assert_eq!(tree.read("out/b/f"), "2");
}

#[test]
fn who_rewrites_what_it_reads_is_not_put_back_over_it() {
    let tree = Sandbox::new();
    let mut gate = Gate::new(tree.home().join("gate"));
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"a:fmt\"]\nexec = '{}; tr A a < src/a > new; cmp -s new src/a || cp new src/a; rm new'\n\
             execIfModified = ['src/*']\noutputs = ['src/*']\n",
            gate.script()
        ),
    );
    tree.write("src/a", "A");
    tree.write("src/b", "first");
    let running = tree.devtask(["run", "a:fmt"]).start();
    gate.wait();
    tree.write("src/b", "saved meanwhile");
    gate.open();
    running.finish();
    tree.write("src/a", "A");
    tree.write("src/b", "first");
    let running = tree.devtask(["run", "a:fmt"]).start();
    gate.wait();
    gate.open();
    running.finish();
    assert_eq!((tree.read("src/a").as_str(), tree.read("src/b").as_str()), ("a", "first"));
}

#[test]
fn what_is_not_all_of_it_is_not_restored() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "mkdir -p deps; cp in.txt deps/all; touch deps/marker"
        execIfModified = ["in.txt"]
        outputs = ["deps/marker"]
        restore = false
        "#,
    );
    for text in ["1", "2", "1"] {
        tree.write("in.txt", text);
        runs(&tree, "run a:t", "a:t");
        assert_eq!(tree.read("deps/all"), text);
    }
    tree.remove("deps");
    runs(&tree, "run a:t", "a:t");
    runs(&tree, "run a:t", "");
}

#[test]
fn what_was_damaged_or_lost_is_made_again() {
    let tree = chain();
    tree.ok("run gen");
    let outputs = tree.path(".devtask/outputs");
    let contents = || {
        let layers = fs::read_dir(&outputs).unwrap().map(|entry| entry.unwrap().path());
        let two = layers.filter(|path| path.is_dir() && path.file_name().unwrap().len() == 2);
        two.flat_map(|dir| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path())).collect::<Vec<_>>()
    };
    for content in contents() {
        fs::write(content, "damaged").unwrap();
    }
    tree.remove("gen");
    let output = runs(&tree, "run gen", "app:gen");
    assert!(output.err.contains("cannot come back, so it executes: what was kept of gen/"), "{output}");
    tree.remove("gen");
    runs(&tree, "run gen", "");
    fs::remove_dir_all(&outputs).unwrap();
    tree.remove("gen");
    runs(&tree, "run gen", "app:gen");
    tree.remove("gen");
    runs(&tree, "run gen", "");
    assert_eq!(tree.read("gen/deep/two"), "two\n");
}

#[test]
fn what_leads_out_of_the_tree_is_neither_kept_nor_followed() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "mkdir -p out; cp in.txt out/file; ln -sf /etc/hostname out/link"
        execIfModified = ["in.txt"]
        outputs = ["out/**"]
        "#,
    );
    tree.write("in.txt", "1");
    let output = tree.ok("run a:t");
    assert!(
        output.err.contains("a:t: what it left is not kept: out/link is a link that leads out of the tree"),
        "{output}"
    );
    tree.remove("out");
    runs(&tree, "run a:t", "a:t");

    tree.replace("devtask.toml", "; ln -sf /etc/hostname out/link", "");
    tree.remove("out");
    runs(&tree, "run a:t", "a:t");
    let elsewhere = tree.home().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    tree.remove("out");
    symlink(&elsewhere, tree.path("out")).unwrap();
    let output = runs(&tree, "run a:t", "a:t");
    assert!(output.err.contains("out is a link, and nothing is written through one"), "{output}");
}

#[test]
fn clean_removes_what_was_made_and_forgets_it() {
    let tree = chain();
    tree.ok("run");
    tree.write("gen/mine.txt", "by hand");
    let dry = tree.ok("clean gen lint -n");
    assert!(dry.out.contains("Would remove      gen/deep/one\n"), "{dry}");
    assert!(dry.out.contains("Left              gen/mine.txt   because the task has not made it\n"), "{dry}");
    assert!(tree.exists("gen/deep/one"));
    runs(&tree, "run gen lint", "");
    let clean = tree.ok("clean gen lint");
    assert!(clean.out.ends_with("removed; 2 tasks forgotten\n"), "{clean}");
    assert!(!tree.exists("gen/deep") && tree.exists("gen/mine.txt") && tree.exists("used.txt"), "{clean}");
    let why = tree.ok("why gen");
    assert!(why.out.contains("would run"), "{why}");
    runs(&tree, "run gen lint", "app:gen app:lint");
    tree.expect(2, "clean");
    let unknown = tree.expect(4, "clean nope");
    assert!(unknown.err.contains("nothing is called `nope`"), "{unknown}");
    tree.ok("clean --all");
    assert!(!tree.exists("used.txt") && !tree.exists("first.txt"));
    assert!(tree.exists("words.txt"));
}

#[test]
fn clean_removes_nothing_that_nobody_has_seen_made() {
    let tree = chain();
    tree.write("gen/committed", "by hand");
    let clean = tree.ok("clean --all");
    assert!(clean.out.contains("gen/committed   because the task has not made it"), "{clean}");
    assert_eq!(tree.read("gen/committed"), "by hand");
}

#[test]
fn clean_spares_what_a_task_reads_itself() {
    let tree = Sandbox::with(
        "[tasks.\"a:fmt\"]\nexec = 'tr a b < src/x > new; cp new src/x; rm new'\nexecIfModified = [\"src/*\"]\noutputs = [\"src/*\"]\n",
    );
    tree.write("src/x", "a");
    tree.ok("run a:fmt");
    let clean = tree.ok("clean a:fmt");
    assert!(clean.out.contains("src/x   because the task reads it itself"), "{clean}");
    assert_eq!(tree.read("src/x"), "b");
}

#[test]
fn prune_keeps_to_its_limits_and_so_does_a_run() {
    let tree = Sandbox::with(
        r#"
        [settings]
        cache_size = "1MiB"
        [tasks."a:t"]
        exec = "head -c 400000 /dev/zero | tr '\\0' \"$(cat in.txt)\" > out.txt"
        execIfModified = ["in.txt"]
        outputs = ["out.txt"]
        "#,
    );
    let make = |text: &str| {
        tree.write("in.txt", text);
        tree.ok("run a:t");
        tree.executed() == set("a:t")
    };
    assert_eq!(["1", "2", "1", "3"].map(make), [true, true, false, true]);
    // Of three there is room for two: that which was used last stays beside the newest.
    assert_eq!(["1", "3", "2"].map(make), [false, false, true]);

    let dry = tree.ok("prune -n --cache-size 0");
    assert!(dry.out.starts_with("2 results would be removed, 781.2 KiB; 0 results kept, 0 B\n"), "{dry}");
    let some = tree.ok("prune --cache-size 500KB");
    assert!(some.out.starts_with("1 result removed, 390.6 KiB; 1 result kept, 390.6 KiB\n"), "{some}");
    tree.remove("out.txt");
    runs(&tree, "run a:t", "");
    let all = tree.ok("prune --cache-size 0");
    assert!(all.out.contains("0 results kept, 0 B"), "{all}");
    runs(&tree, "run a:t", "");
    tree.remove("out.txt");
    runs(&tree, "run a:t", "a:t");
    let refused = tree.expect(2, "prune --cache-size lots");
    assert!(refused.err.contains("write for example 500MiB or 1GiB"), "{refused}");
}

#[test]
fn a_link_beneath_a_declared_directory_stays_a_link() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "rm -rf out; mkdir -p out/lib; cp in.txt out/lib/page; ln -s lib out/lib64"
        execIfModified = ["in.txt"]
        outputs = ["out"]
        "#,
    );
    for (text, executed) in [("1", "a:t"), ("2", "a:t"), ("1", ""), ("2", "")] {
        tree.write("in.txt", text);
        runs(&tree, "run a:t", executed);
        assert_eq!(fs::read_link(tree.path("out/lib64")).unwrap().to_str(), Some("lib"));
        assert_eq!(tree.read("out/lib64/page"), text);
    }
    tree.remove("out");
    runs(&tree, "run a:t", "");
    assert_eq!(tree.read("out/lib64/page"), "2");
}

#[test]
fn a_link_to_what_is_no_output_comes_back_only_with_what_it_led_to() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:make"]
        exec = "mkdir -p store; cp in.txt store/object; ln -sfn store/object out"
        execIfModified = ["in.txt"]
        outputs = ["out"]
        "#,
    );
    for text in ["1", "2", "1"] {
        tree.write("in.txt", text);
        runs(&tree, "run a:make", "a:make");
        assert_eq!(tree.read("out"), text);
    }
    tree.remove("out");
    runs(&tree, "run a:make", "");
}

#[test]
fn links_come_and_go_with_their_results() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = "rm -rf out; mkdir -p out/real; cp in.txt out/real/x; ln -s real out/$(cat in.txt)"
        execIfModified = ["in.txt"]
        outputs = ["out/**"]
        "#,
    );
    for (text, executed) in [("one", "a:t"), ("two", "a:t"), ("one", ""), ("two", "")] {
        tree.write("in.txt", text);
        runs(&tree, "run a:t", executed);
        let other = if text == "one" { "two" } else { "one" };
        assert_eq!(fs::read_link(tree.path("out").join(text)).unwrap().to_str(), Some("real"));
        assert!(fs::symlink_metadata(tree.path("out").join(other)).is_err(), "{text}");
        assert_eq!(tree.read("out/real/x"), text);
    }
}

#[test]
fn a_task_that_called_another_comes_back() {
    let tree = Sandbox::with(
        r#"
        [tasks."a:t"]
        exec = '''
        echo t >> trace
        if grep -q call in.txt; then "$DEVTASK" run a:other; fi
        cat in.txt > out.txt; [ ! -e other.txt ] || cat other.txt >> out.txt
        '''
        execIfModified = ["in.txt"]
        outputs = ["out.txt"]
        [tasks."a:other"]
        exec = "echo other >> trace; cat deep.txt > other.txt"
        execIfModified = ["deep.txt"]
        outputs = ["other.txt"]
        "#,
    );
    tree.write("deep.txt", "1\n");
    let run = |text: &str, executed: &str| {
        tree.write("in.txt", format!("{text}\n"));
        tree.write("trace", "");
        let output = tree.devtask(["run", "a:t"]).env("DEVTASK", env!("CARGO_BIN_EXE_devtask")).run();
        assert_eq!(output.code, Some(0), "{output}");
        let trace: Vec<String> = tree.read("trace").lines().map(str::to_owned).collect();
        assert_eq!(trace.join(" "), executed, "{output}");
    };
    run("call", "t other");
    run("call again", "t");
    run("call", "");
    assert_eq!(tree.read("out.txt"), "call\n1\n");
    tree.write("deep.txt", "2\n");
    run("call", "other t");
    tree.write("deep.txt", "1\n");
    run("call", "");
    assert_eq!((tree.read("out.txt").as_str(), tree.read("other.txt").as_str()), ("call\n1\n", "1\n"));
}
