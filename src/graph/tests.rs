use std::{collections::BTreeMap, path::Path, time::Duration};

use super::*;
use crate::{
    diagnostic::SourceId,
    model::{
        EdgeRef, Listen, ListenKind, Port, Probe, ProbeKind, ProcessSpec, Restart, RestartOn, Shutdown,
        TaskKind,
    },
};

/// A process that never restarts, with or without a probe.
pub(crate) fn process(probe: bool) -> TaskKind {
    let second = Duration::from_secs(1);
    TaskKind::Process(Box::new(ProcessSpec {
        autostart: true,
        ready: probe.then_some(Probe {
            kind: ProbeKind::Notify,
            initial_delay: second,
            until_ready: Duration::from_secs(10),
            period: second,
            probe_timeout: second,
            timeout: None,
            success_threshold: 1,
            failure_threshold: 1,
        }),
        restart: Restart { on: RestartOn::Never, max: None, window: None },
        shutdown: Shutdown { signal: 15, grace: second },
        listen: Vec::new(),
        watchdog: None,
        ports: BTreeMap::new(),
    }))
}

/// `b:name` with edges such as `b:other@ready`. A name that ends in `!` is a process without a probe,
/// one that ends in `?` a process with one.
fn declare(number: usize, name: &str, after: &[&str], before: &[&str]) -> Declaration {
    let plain = name.trim_end_matches(['!', '?']);
    let mut task = Task::empty(TaskName::new(plain).unwrap(), Path::new("/"));
    if plain != name {
        task.kind = process(name.ends_with('?'));
    }
    let place = |at: usize| Some(Place { source: SourceId(number), span: at..at + 1 });
    let edge = |(at, text): (usize, &&str)| {
        let (name, suffix) = text.split_once('@').map_or((*text, None), |(n, s)| (n, Some(s)));
        EdgeRef {
            task: TaskName::new(name).unwrap(),
            condition: suffix.map(|s| Condition::from_suffix(s).unwrap()),
            place: place(at + 1),
        }
    };
    Declaration {
        task,
        place: place(0),
        after: after.iter().enumerate().map(edge).collect(),
        before: before.iter().enumerate().map(|(at, text)| edge((at + after.len(), text))).collect(),
        ports: Vec::new(),
    }
}

type Line<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

fn build(lines: &[Line<'_>]) -> Result<TaskGraph, Vec<Diagnostic>> {
    TaskGraph::build(
        lines
            .iter()
            .enumerate()
            .map(|(at, (name, after, before))| declare(at, name, after, before))
            .collect(),
    )
}

/// `code: message [places] hint`, a place as `declaration.entry`.
fn told(fault: &Diagnostic) -> String {
    let places: Vec<String> =
        fault.labels.iter().map(|l| format!("{}.{}", l.place.source.0, l.place.span.start)).collect();
    format!(
        "{}: {} [{}] {}",
        fault.code,
        fault.message,
        places.join(" "),
        fault.hint.as_deref().unwrap_or_default()
    )
}

#[test]
fn each_fault_is_told_with_its_places_and_a_hint() {
    let cases: &[(&[Line], &[&str])] = &[
        (
            &[("a:x", &[], &[]), ("a:x", &[], &[])],
            &["duplicate-task: task `a:x` is declared twice [1.0 0.0] rename one of the two, or remove it"],
        ),
        (
            &[("app:build", &[], &[]), ("app:test", &["app:biuld"], &[])],
            &["unknown-task: there is no task `app:biuld` [1.1] did you mean `app:build`?"],
        ),
        (
            &[("a:aa", &[], &["a:ac"]), ("a:ab", &[], &[])],
            &["unknown-task: there is no task `a:ac` [0.1] did you mean `a:aa` or `a:ab`?"],
        ),
        (
            &[("a:x", &["somewhere:else"], &[])],
            &["unknown-task: there is no task `somewhere:else` [0.1] `devtask list` shows all tasks"],
        ),
        (
            &[("a:p?", &[], &[]), ("a:x", &["a:p@succeeded"], &[])],
            &["succeeded-on-process: `a:p` is a process and never succeeds [1.1] \
               use `a:p@ready`, or `a:p@completed` to wait for its end"],
        ),
        (
            &[("a:p?", &[], &["a:x@succeeded"]), ("a:x", &[], &[])],
            &["succeeded-on-process: `a:p` is a process and never succeeds [0.1] \
               use `a:p@ready`, or `a:p@completed` to wait for its end"],
        ),
        (
            &[("a:p!", &[], &[]), ("a:x", &["a:p"], &[])],
            &["never-ready: nothing tells when process `a:p` is ready [1.1] \
               declare it in `[processes.<name>]`, with a `ready` probe, or write `a:p@started`"],
        ),
        (
            &[("a:p!", &[], &[]), ("a:x", &["a:p@ready"], &[])],
            &["never-ready: nothing tells when process `a:p` is ready [1.1] \
               declare it in `[processes.<name>]`, with a `ready` probe, or write `a:p@started`"],
        ),
        (
            &[("a:x", &["a:x"], &[])],
            &["cycle: tasks wait for each other: a:x -> a:x [0.1] remove one of these edges"],
        ),
        (
            &[
                ("a:x", &["a:y"], &[]),
                ("a:y", &["a:z@completed"], &[]),
                ("a:z", &[], &["a:nobody", "a:x"]),
                ("a:nobody", &["a:z"], &["a:z"]),
            ],
            &["cycle: tasks wait for each other: a:z -> a:nobody -> a:z [3.2 3.1] remove one of these edges"],
        ),
        (
            &[("a:x", &["a:y", "b:gone"], &[]), ("a:y", &["a:x"], &[]), ("a:x", &[], &[])],
            &[
                "duplicate-task: task `a:x` is declared twice [2.0 0.0] rename one of the two, or remove it",
                "unknown-task: there is no task `b:gone` [0.2] `devtask list` shows all tasks",
                "cycle: tasks wait for each other: a:x -> a:y -> a:x [0.1 1.1] remove one of these edges",
            ],
        ),
    ];
    for (lines, expected) in cases {
        let faults: Vec<String> = build(lines).unwrap_err().iter().map(told).collect();
        assert_eq!(faults, *expected, "{lines:?}");
    }
}

#[test]
fn knots_are_told_shortest_first() {
    let faults = build(&[
        ("a:1", &["a:2"], &[]),
        ("a:2", &["a:3"], &[]),
        ("a:3", &["a:1"], &[]),
        ("b:1", &["b:2", "a:1"], &[]),
        ("b:2", &["b:1"], &[]),
        ("c:1", &["c:1"], &[]),
    ])
    .unwrap_err();
    let messages: Vec<&str> = faults.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "tasks wait for each other: c:1 -> c:1",
            "tasks wait for each other: b:1 -> b:2 -> b:1",
            "tasks wait for each other: a:1 -> a:2 -> a:3 -> a:1",
        ]
    );
}

#[test]
fn any_way_to_tell_readiness_will_do() {
    let listen = |kind| vec![Listen { name: "main".into(), kind }];
    let unix = listen(ListenKind::UnixStream { path: "/s".into(), mode: None });
    let tcp = listen(ListenKind::Tcp { address: "127.0.0.1:80".into() });
    let port = BTreeMap::from([("http".into(), Port { allocate: 80 })]);
    let cases = [
        ("nothing", vec![], BTreeMap::new(), false),
        ("a TCP socket", tcp, BTreeMap::new(), true),
        ("a unix socket", unix, BTreeMap::new(), false),
        ("a port", vec![], port, true),
    ];
    for (what, listen, ports, sound) in cases {
        let mut server = declare(0, "a:p!", &[], &[]);
        if let TaskKind::Process(process) = &mut server.task.kind {
            (process.listen, process.ports) = (listen, ports);
        }
        let graph = TaskGraph::build(vec![server, declare(1, "a:x", &["a:p"], &[])]);
        assert_eq!(graph.is_ok(), sound, "{what}");
    }
}

#[test]
fn edges_have_the_conditions_that_were_declared() {
    let cases: &[(&str, &[Line], &[&str])] = &[
        ("the default of a one-shot", &[("a:u", &[], &[]), ("a:d", &["a:u"], &[])], &["succeeded"]),
        ("the default of a process", &[("a:u?", &[], &[]), ("a:d", &["a:u"], &[])], &["ready"]),
        ("the default, before", &[("a:u?", &[], &["a:d"]), ("a:d", &[], &[])], &["ready"]),
        ("a suffix", &[("a:u!", &[], &[]), ("a:d", &["a:u@started"], &[])], &["started"]),
        ("a suffix, before", &[("a:u", &[], &["a:d@completed"]), ("a:d", &[], &[])], &["completed"]),
        ("both ends, the same", &[("a:u", &[], &["a:d"]), ("a:d", &["a:u"], &[])], &["succeeded"]),
        (
            "both ends, both hold",
            &[("a:u", &[], &["a:d@started"]), ("a:d", &["a:u@completed"], &[])],
            &["started", "completed"],
        ),
        (
            "both in one list, whatever the order",
            &[("a:u", &[], &[]), ("a:d", &["a:u@completed", "a:u"], &[])],
            &["succeeded", "completed"],
        ),
    ];
    for (what, lines, expected) in cases {
        let graph = build(lines).unwrap();
        let (up, down) = (graph.id("a:u").unwrap(), graph.id("a:d").unwrap());
        let upstream: Vec<Edge> = graph.upstream(down).collect();
        assert_eq!(upstream.len(), 1, "{what}: one edge");
        assert_eq!(upstream[0].task, up, "{what}");
        let conditions: Vec<&str> = upstream[0].conditions.iter().map(Condition::as_str).collect();
        assert_eq!(conditions, *expected, "{what}");
        let downstream: Vec<Edge> = graph.downstream(up).collect();
        assert_eq!(downstream, [Edge { task: down, conditions: upstream[0].conditions }], "{what}");
    }
}

#[test]
fn the_strictest_of_two_declarations_decides_what_travels() {
    use Condition::{Completed, Ready, Started, Succeeded};
    let cases: &[(&[Condition], bool, bool)] = &[
        // conditions, soft, hands on results
        (&[Completed], true, true),
        (&[Completed, Completed], true, true),
        (&[Completed, Succeeded], false, true),
        (&[Started, Completed], false, true),
        (&[Started], false, false),
        (&[Ready], false, true),
    ];
    for (all, soft, hands_on) in cases {
        let conditions: Conditions = all.iter().copied().collect();
        assert_eq!((conditions.is_soft(), conditions.hands_on()), (*soft, *hands_on), "{all:?}");
    }
}

#[test]
fn events_are_always_there() {
    let graph = build(&[("a:setup", &[], &[ENTER_SHELL]), ("a:check", &["devenv:enterTest"], &[])]).unwrap();
    let (shell, test) = (graph.id(ENTER_SHELL).unwrap(), graph.id(ENTER_TEST).unwrap());
    assert!(graph.is_builtin(shell) && graph.is_builtin(test) && !graph.task(shell).has_command());
    assert!(!graph.is_builtin(graph.id("a:setup").unwrap()));
    assert_eq!(names(&graph), ["a:setup", ENTER_SHELL, ENTER_TEST, "a:check"]);
    assert_eq!((graph.place(shell), graph.len(), graph.is_empty()), (None, 4, false));

    let declared = build(&[(ENTER_SHELL, &[], &[]), ("a:x", &[ENTER_SHELL], &[ENTER_TEST])]).unwrap();
    let shell = declared.id(ENTER_SHELL).unwrap();
    assert!(!declared.is_builtin(shell) && declared.place(shell).is_some());
    assert_eq!(names(&declared), [ENTER_SHELL, "a:x", ENTER_TEST]);
}

fn names(graph: &TaskGraph) -> Vec<&str> {
    graph.topological().iter().map(|id| graph.name(*id).as_str()).collect()
}

#[test]
fn the_order_is_topological_with_ties_by_name() {
    let graph = build(&[
        ("b:last", &["z:first", "b:mid"], &[]),
        ("b:mid", &[], &[]),
        ("z:first", &[], &["a:after"]),
        ("a:after", &[], &[]),
    ])
    .unwrap();
    assert_eq!(names(&graph), ["b:mid", ENTER_SHELL, ENTER_TEST, "z:first", "a:after", "b:last"]);
}

#[test]
fn a_builder_reports_names_and_edges_together() {
    let faults = TaskGraph::builder()
        .task(Task::shell("no colon", "true").after("b::c", Condition::Started))
        .task(Task::shell("a:x", "true").after("a:nowhere", Condition::Started))
        .build()
        .unwrap_err();
    let told: Vec<String> = faults.0.iter().map(told).collect();
    assert_eq!(
        told,
        [
            "bad-name: `b::c` is no task name: a task name must not contain two colons in a row [] write `b:c`",
            "bad-name: `no colon` is no task name: ` ` is not allowed in a task name [] write `no-colon`",
            "unknown-task: there is no task `a:nowhere` [] `devtask list` shows all tasks",
        ]
    );
}

/// Tasks of which each needs the one before, and the first the last if it is to be a ring.
fn chain(length: usize, ring: bool) -> Result<TaskGraph, Vec<Diagnostic>> {
    let name = |at: usize| format!("n:{at}");
    let declaration = |at: usize| match at {
        0 if ring => declare(0, &name(0), &[&name(length - 1)], &[]),
        0 => declare(0, &name(0), &[], &[]),
        at => declare(at, &name(at), &[&name(at - 1)], &[]),
    };
    TaskGraph::build((0..length).map(declaration).collect())
}

#[test]
fn a_long_chain_is_sound() {
    assert_eq!(chain(100_000, false).unwrap().len(), 100_002);
}

#[test]
fn a_long_ring_is_told_in_short() {
    let faults = chain(50_000, true).unwrap_err();
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].message.contains(" -> … 49989 more … -> ") && faults[0].message.len() < 300,
        "{}",
        faults[0].message
    );
    assert_eq!(faults[0].labels.len(), 12);
}

#[test]
fn many_knots_are_each_told() {
    let pair = |at: usize| {
        let (a, b) = (format!("n:{at}a"), format!("n:{at}b"));
        [declare(2 * at, &a, &[&b], &[]), declare(2 * at + 1, &b, &[&a], &[])]
    };
    assert_eq!(TaskGraph::build((0..10_000).flat_map(pair).collect()).unwrap_err().len(), 10_000);
}

#[test]
fn bad_patterns_of_a_graph_made_in_code_are_faults() {
    let draft = Task::shell("a:b", "true").exec_if_modified(["ok", "[a"]).outputs(["x}"]);
    let faults = TaskGraph::builder().task(draft).build().unwrap_err();
    let messages: Vec<&str> = faults.0.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(
        messages,
        ["`[a` is no pattern: `[` without a `]`", "`x}` is no pattern: `}` without a `{` before it"]
    );
}
