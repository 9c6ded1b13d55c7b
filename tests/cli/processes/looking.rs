//! What is said of processes where nothing runs.

use super::Sandbox;

fn tree() -> Sandbox {
    Sandbox::with(
        "
        name = 'app'
        [processes.db]
        exec = 'exec sleep 1000'
        ready.exec = 'true'
        description = 'The database'
        [processes.api]
        after = ['devenv:processes:db']
        exec = 'exec sleep 1000'
        ready.exec = 'true'
        ports.http.allocate = 0
        start.enable = false
        [tasks.always]
        after = ['devenv:processes:db']
        exec = 'true'
        [tasks.keyed]
        after = ['devenv:processes:api']
        exec = 'true'
        execIfModified = ['in']
        ",
    )
}

#[test]
fn a_list_names_them_and_what_waits_for_them() {
    let tree = tree();
    let list = tree.ok("list").out;
    assert_eq!(
        list,
        "\
app:always                           always runs
└── devenv:processes:db              process                                 The database
app:keyed                            stale
└── devenv:processes:api             process
    └── devenv:processes:db (above)
",
        "{list}"
    );
    assert_eq!(
        tree.ok("processes list").out,
        "\
NAME  STATE        FOR  PID  RESTARTS  PORTS
api   not started  -    -    -         -
db    not started  -    -    -         -
"
    );
    let none = Sandbox::with("[tasks.a]\nexec = 'true'\n");
    assert!(none.ok("processes list").err.contains("There are no processes"));
    assert_eq!(none.ok("processes list --json").out, "[]\n");
}

#[test]
fn why_and_show_know_processes() {
    let tree = tree();
    let why = tree.expect(2, "why devenv:processes:db");
    assert_eq!(why.err, "error: devenv:processes:db is a process: it is never fresh\n");
    let show = tree.ok("show devenv:processes:api").out;
    for line in [
        "type              process\n",
        "after             devenv:processes:db@ready\n",
        "before            app:keyed@ready\n",
        "process           ports.http.allocate = 0\n",
        "                  ready.exec = \"true\"\n",
        "                  restart.max = 5\n",
        "                  start.enable = false\n",
    ] {
        assert!(show.contains(line), "{line}{show}");
    }
    let json = tree.ok("show devenv:processes:api --json").json();
    assert_eq!(json["type"], "process");
    assert_eq!(json["process"]["ready"]["exec"], "true");
    assert_eq!(
        (&json["process"]["restart"]["on"], &json["process"]["start"]["enable"]),
        (&"on_failure".into(), &false.into())
    );
    assert!(tree.ok("show app:always --json").json()["process"].is_null());
}

#[test]
fn a_dry_run_says_which_would_start() {
    let tree = tree();
    let always = tree.ok("run always -n");
    assert!(always.err.contains("Always runs       devenv:processes:db\n"), "{always}");
    let keyed = tree.expect(5, "run keyed -n");
    assert!(keyed.err.contains("Would run         app:keyed   because no earlier run is known\n"), "{keyed}");
    for name in ["db", "api"] {
        assert!(keyed.err.contains(&format!("Always runs       devenv:processes:{name}\n")), "{keyed}");
    }
    tree.ok("run keyed");
    let fresh = tree.ok("run keyed -n");
    assert!(fresh.err.contains("Skipped           devenv:processes:api\n"), "{fresh}");
    assert!(fresh.err.contains("1 Cached, 2 Skipped (dry run)"), "{fresh}");
}
