//! Stopping jobs: timeout, request, the terminal, pipes that stay open.

use std::time::Duration;

use devtask::process::{EndedBy, Exit, Launch, Timeout};

use super::support::{LONG, launch, run, running, sleepers, start, tail, token, until_async, warden};

const TERM: i32 = 15;
const KILL: i32 = 9;

fn signal(number: i32) -> Exit {
    Exit { code: None, signal: Some(number) }
}

#[tokio::test]
async fn the_exit_is_told_as_it_was() {
    for (script, exit) in [
        ("exit 0", Exit { code: Some(0), signal: None }),
        ("exit 7", Exit { code: Some(7), signal: None }),
        ("kill -ALRM $$", signal(14)),
        ("kill -KILL $$", signal(KILL)),
    ] {
        let ended = run(script).await;
        assert_eq!(ended.exit, exit, "{script}");
        assert!(!ended.leaky && !ended.wanted_terminal && ended.ended_by.is_none(), "{ended:?}");
    }
}

#[tokio::test]
async fn a_job_is_stopped_gently_and_then_not() {
    let stubborn = "trap '' TERM; echo up; while :; do sleep 0.01; done";
    let tidy = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done";
    // Not SIGINT: a shell leaves that to its foreground child if it can.
    let hung_up = "trap 'exit 4' HUP; echo up; while :; do sleep 0.01; done";
    let code = |code| Exit { code: Some(code), signal: None };
    let cases = [
        ("terminate", tidy, LONG, code(3), EndedBy::Terminated),
        ("terminate", stubborn, Duration::from_millis(50), signal(KILL), EndedBy::Terminated),
        ("hang up", hung_up, LONG, code(4), EndedBy::Terminated),
        ("kill", tidy, LONG, signal(KILL), EndedBy::Killed),
        ("terminate, kill", stubborn, LONG, signal(KILL), EndedBy::Killed),
        ("pause, terminate", tidy, LONG, code(3), EndedBy::Terminated),
        ("pause, kill", tidy, LONG, signal(KILL), EndedBy::Killed),
    ];
    for (orders, script, grace, exit, ended_by) in cases {
        let (to, mut lines) = tokio::sync::mpsc::channel(10);
        let mode = devtask::process::SinkMode::Lossless;
        let lines_to = Some(devtask::process::LineSink { to, mode });
        let job = warden().spawn(Launch { lines: lines_to, ..launch(script) }).unwrap();
        let control = job.control();
        let steer = async {
            lines.recv().await.unwrap(); // it is up
            for order in orders.split(", ") {
                match order {
                    "terminate" => control.terminate(grace),
                    "hang up" => control.terminate_with(1, grace),
                    "kill" => control.kill(),
                    _ => control.pause(),
                }
            }
        };
        let (ended, ()) = tokio::join!(job.finish(), steer);
        assert_eq!((ended.exit, ended.ended_by), (exit, Some(ended_by)), "{orders}: {script}");
    }
}

#[tokio::test]
async fn time_that_is_up_ends_the_whole_job() {
    let token = token();
    let gentle = format!("sleep {token} & sleep {token}; true");
    let stubborn = format!("trap '' TERM; {gentle}");
    for (script, grace, exit) in
        [(&gentle, LONG, signal(TERM)), (&stubborn, Duration::from_millis(50), signal(KILL))]
    {
        let timeout = Some(Timeout { after: Duration::from_millis(100), grace });
        let job = warden().spawn(Launch { timeout, ..launch(script) }).unwrap();
        let ended = job.finish().await;
        assert_eq!((ended.exit, ended.ended_by), (exit, Some(EndedBy::Timeout)), "{script}");
        assert_eq!(running(&token), [""; 0], "{script}");
    }
}

#[tokio::test]
async fn a_paused_job_stands_still_and_so_does_its_time() {
    let timeout = Some(Timeout { after: Duration::from_secs(5), grace: LONG });
    let token = token();
    let job = warden().spawn(Launch { timeout, ..launch(&format!("sleep {token}; true")) }).unwrap();
    let control = job.control();
    let steer = async {
        until_async("its start", || sleepers(&token) == 1).await;
        control.pause();
        until_async("its stop", || running(&format!("sleep {token}")).iter().all(|l| l.starts_with('T')))
            .await;
        tokio::time::sleep(Duration::from_millis(5500)).await; // more than its time
        assert_eq!(sleepers(&token), 1, "its time went on");
        control.resume();
    };
    let (ended, ()) = tokio::join!(job.finish(), steer);
    assert_eq!(ended.ended_by, Some(EndedBy::Timeout));
    assert_eq!(running(&token), [""; 0]);
}

#[tokio::test]
async fn a_pipe_held_in_the_background_does_not_hold_the_job() {
    let token = token();
    let cases = [
        format!("echo begin; sleep {token} & exit 0"),
        format!("echo begin; (sleep 0.1; echo late; exec sleep {token}) & exit 0"),
        format!("echo begin; (while :; do echo {token}; sleep 0.01; done) & exit 0"),
        format!("echo begin; (trap '' TERM; while :; do echo {token}; sleep 0.01; done) & exit 0"),
    ];
    for (number, script) in cases.iter().enumerate() {
        let ended = run(script).await;
        assert!(ended.exit.is_success() && ended.leaky && ended.ended_by.is_none(), "{ended:?}");
        assert_eq!(tail(&ended)[0], "begin");
        assert_eq!(tail(&ended).contains(&"late".to_owned()), number == 1, "{script}");
        assert_eq!(running(&token), [""; 0], "{script}");
    }
}

#[tokio::test]
async fn what_wants_the_terminal_is_ended_and_said_so() {
    for script in ["kill -TTIN $$; exit 0", "trap '' TERM; kill -TTOU $$; kill -TTOU $$; exit 0"] {
        let ended = run(script).await;
        assert!(ended.wanted_terminal && ended.ended_by.is_none(), "{script}: {ended:?}");
    }
    let ended = run("(sleep 0.05; kill -CONT $$) & kill -STOP $$; wait; exit 0").await;
    assert!(ended.exit.is_success() && !ended.wanted_terminal, "another stop is not ours to end: {ended:?}");
}

#[tokio::test]
async fn a_job_that_is_dropped_is_killed() {
    let token = token();
    let job = start(&format!("sleep {token} & sleep {token}; true"));
    until_async("its start", || sleepers(&token) == 2).await;
    drop(job);
    until_async("its end", || running(&token).is_empty()).await;
}

#[tokio::test]
async fn after_the_end_nothing_is_started() {
    let warden = warden();
    assert_eq!(warden.end_everything(LONG).await, [0; 0]);
    let refused = warden.spawn(launch("exit 0")).unwrap_err();
    assert!(matches!(refused, devtask::process::SpawnError::Ending), "{refused}");
}
