//! What comes through the socket from those who speak nonsense, say nothing, take nothing or are strangers.

use std::{
    env, fs,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{PermissionsExt as _, symlink},
        net::{UnixListener, UnixStream},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::json;
use tempfile::TempDir;

use super::{
    place,
    wire::{self, Answer, Ask, LONGEST, Told, Wanted},
    *,
};
use crate::{
    Event, LiveLines, Outcome, Request, Session, TaskGraph, TaskName,
    event::{Finished, What},
    loader::{LoadRequest, Loaded, load},
    model::Digest,
    plan::Standpoint,
    scan::GRANULARITY,
};

const BUILD: u64 = 7;

/// A tree being served.
struct Served {
    root: TempDir,
    session: Session,
    serving: Serving,
}

impl Served {
    fn new(toml: &str, adjust: impl FnOnce(&mut ServingOptions)) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("devtask.toml"), toml).unwrap();
        let (loaded, graph) = loaded(root.path());
        let environment = env::vars_os();
        let builder = Session::builder(graph).root(root.path()).environment(environment);
        let session = builder.standpoint(loaded.standpoint()).open_blocking().unwrap();
        let mut options = ServingOptions::new(BUILD, vec![root.path().to_owned()]);
        adjust(&mut options);
        let host = Arc::new(AsLoaded(Arc::new(Ground::new(session.clone(), loaded))));
        let serving = Serving::start(&session, host, options).unwrap();
        Self { root, session, serving }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect_addr(&place::find(&self.session.state_dir()).unwrap()).unwrap()
    }

    fn hello(&self) -> Hello {
        let dir = self.root.path().canonicalize().unwrap();
        let whence = Whence::Directory { dir: Raw::of(dir.as_os_str()), home: None };
        Hello { whence, granularity: GRANULARITY, pid: 1 }
    }

    /// As a guest that is served.
    async fn guest(&self) -> Guest {
        let (state_dir, hello) = (self.session.state_dir(), self.hello());
        blocking(move || call(BUILD, &state_dir, &hello)).await.expect("a guest is served").0
    }

    async fn end(mut self) {
        self.serving.close();
        self.serving.ended().await;
        self.session.close().await.unwrap();
    }
}

fn loaded(root: &Path) -> (Loaded, TaskGraph) {
    let mut loaded = load(&LoadRequest { start_dir: root.to_owned(), ..LoadRequest::default() }).unwrap();
    let graph = TaskGraph::build(std::mem::take(&mut loaded.declarations)).unwrap();
    (loaded, graph)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// What the owner says to these bytes before it hangs up.
async fn answer_to(mut stream: UnixStream, bytes: Vec<u8>) -> Vec<u8> {
    blocking(move || {
        // It may hang up before it has taken everything.
        let _ = stream.write_all(&bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    })
    .await
}

fn message<T: serde::Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::put(message, &mut bytes).unwrap();
    bytes
}

fn run(ask: Ask) -> Wanted {
    Wanted::Run(Box::new(ask))
}

/// Everything a guest is told until the end.
fn hear_all(guest: &mut Guest) -> (Vec<Event>, Result<Said, Gone>) {
    guest.patience(None).unwrap();
    let mut events = Vec::new();
    loop {
        match guest.hear() {
            Ok(Said::Event(event)) => events.push(event),
            end => return (events, end),
        }
    }
}

const ONE: &str = "[tasks.\"a:t\"]\nexec = 'true'\n";

#[tokio::test]
async fn nonsense_is_hung_up_on_and_harms_nobody() {
    let served = Served::new(ONE, |_| {});
    let greeting = wire::greeting(BUILD);
    let hello = message(&served.hello());
    let ask = message(&run(Ask::new(&Request::run(["a:t"]), "x".to_owned(), true)));
    let with = |parts: &[&[u8]]| [&greeting[..], &parts.concat()].concat();
    let mut other_version = greeting;
    other_version[16] ^= 1;
    let bad_inputs = {
        let empty = message(&String::from("{}"))[4..].to_vec();
        let at = ask.windows(empty.len()).position(|window| window == empty).unwrap();
        let mut bad = ask.clone();
        bad[at + 1] = b'[';
        bad
    };
    let too_long = u32::try_from(LONGEST + 1).unwrap().to_le_bytes();
    let attach = message(&Wanted::Attach(Attach {
        label: "x".to_owned(),
        everything: true,
        names: Vec::new(),
        mode: crate::plan::Mode::Before,
    }));
    let many_names = {
        let mut names = Ask::new(&Request::run(vec![""; 70_000]), String::new(), false);
        names.label = "many".to_owned();
        message(&run(names))
    };
    let cases: Vec<(&str, Vec<u8>, usize)> = vec![
        ("nothing", Vec::new(), 0),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 1),
        ("half a greeting", greeting[..9].to_vec(), 0),
        ("another version", [&other_version[..], &hello].concat(), 1),
        ("another build", [&wire::greeting(BUILD + 1)[..], &hello].concat(), 1),
        ("no message", with(&[]), 0),
        ("half a message", with(&[&hello[..hello.len() - 1]]), 0),
        ("a message too long", with(&[&too_long, &[0; 64]]), 0),
        ("an empty message", with(&[&[0; 4]]), 0),
        ("zeroes", with(&[&[0; 4096]]), 0),
        ("ones", with(&[&[0xff; 4096]]), 0),
        ("a hello with something behind it", with(&[&[hello[0] + 1], &hello[1..], &[0]]), 0),
        ("an ask for a hello", with(&[&ask]), 0),
        ("a hello and half an ask", with(&[&hello, &ask[..ask.len() / 2]]), 2),
        ("two hellos", with(&[&hello, &hello]), 2),
        ("inputs that are no object", with(&[&hello, &bad_inputs]), 2),
        ("too many names", with(&[&hello, &many_names]), 2),
        ("attaching to what is no watch", with(&[&hello, &attach]), 2),
    ];
    for (name, bytes, answers) in cases {
        let mut stream = served.connect();
        stream.write_all(&bytes).unwrap_or_default();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let said = answer_to(stream, Vec::new()).await;
        match answers {
            0 => assert!(said.is_empty(), "{name}: {said:?}"),
            1 => assert_eq!(said, greeting, "{name}"),
            _ => {
                let rest = said.strip_prefix(&greeting[..]).unwrap_or_else(|| panic!("{name}: {said:?}"));
                let (answer, used): (Answer, usize) = wire::take(rest).unwrap().unwrap();
                assert!(matches!(answer, Answer::Welcome(_)), "{name}");
                assert_eq!(used, rest.len(), "{name}");
            }
        }
    }
    let mut guest = served.guest().await;
    let (events, end) = blocking(move || {
        guest.ask(&Request::run(["a:t"]), "x".to_owned(), true).unwrap();
        hear_all(&mut guest)
    })
    .await;
    assert!(matches!(end, Ok(Said::Over(_))), "{end:?} after {events:?}");
    served.end().await;
}

#[tokio::test]
async fn every_flipped_byte_is_survived() {
    let served = Served::new(ONE, |_| {});
    let hello = served.hello();
    let ask = run(Ask::new(&Request::run(["a:t"]).dry(), "x".to_owned(), true));
    let whole = [&wire::greeting(BUILD)[..], &message(&hello), &message(&ask)].concat();
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let mut stream = served.connect();
            stream.write_all(&bytes).unwrap_or_default();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            answer_to(stream, Vec::new()).await;
        }
    }
    assert!(served.serving.guests().is_empty());
    drop(served.guest().await);
    served.end().await;
}

#[tokio::test]
async fn a_silent_guest_blocks_nobody() {
    let served = Served::new(ONE, |options| options.hello_within = Duration::from_secs(3600));
    let silent: Vec<UnixStream> = (0..3).map(|_| served.connect()).collect();
    let mut shy = served.connect();
    shy.write_all(&wire::greeting(BUILD)).unwrap();
    let welcomed = served.guest().await;
    // The end does not wait for who has not said what it wants.
    served.end().await;
    drop((silent, shy, welcomed));
}

#[tokio::test]
async fn who_takes_too_long_is_hung_up_on() {
    let served = Served::new(ONE, |options| options.hello_within = Duration::ZERO);
    assert_eq!(answer_to(served.connect(), Vec::new()).await, b"");
    served.end().await;
}

#[tokio::test]
async fn there_is_room_for_so_many_guests_and_no_more() {
    let served = Served::new(ONE, |options| options.most_guests = 1);
    let first = served.guest().await;
    // Who is attended to is told at once that it is another build.
    let other = || wire::greeting(BUILD + 1).to_vec();
    assert_eq!(answer_to(served.connect(), other()).await, b"");
    drop(first);
    while answer_to(served.connect(), other()).await.is_empty() {}
    served.end().await;
}

#[tokio::test]
async fn a_guest_that_takes_nothing_misses_lines_and_holds_nothing_up() {
    let toml = "[tasks.\"a:t\"]\nexec = 'yes 0123456789012345678901234567890123456789 | head -n 200000; touch done'\n";
    let served = Served::new(toml, |options| options.patience = Duration::ZERO);
    let mut guest = served.guest().await;
    let mut request = Request::run(["a:t"]);
    request.lines = LiveLines::All;
    request.environment = Some(Arc::new(env::vars_os().collect()));
    guest.ask(&request, "silent".to_owned(), true).unwrap();
    let done = served.root.path().join("done");
    while !done.exists() {
        tokio::task::yield_now().await;
    }
    // It is given up, too: nothing waits for it.
    served.end().await;
    let (events, _) = blocking(move || hear_all(&mut guest)).await;
    let lines = events.iter().filter(|event| matches!(event.what, What::Log { .. })).count();
    assert!(lines < 200_000, "{lines} lines");
}

#[tokio::test]
async fn a_guest_that_reads_gets_every_line() {
    let served = Served::new("[tasks.\"a:t\"]\nexec = 'seq 20000'\n", |_| {});
    let mut guest = served.guest().await;
    let mut request = Request::run(["a:t"]);
    request.lines = LiveLines::All;
    request.environment = Some(Arc::new(env::vars_os().collect()));
    let (events, end) = blocking(move || {
        guest.ask(&request, "x".to_owned(), false).unwrap();
        hear_all(&mut guest)
    })
    .await;
    assert!(matches!(end, Ok(Said::Over(_))));
    let lines: Vec<String> = events
        .into_iter()
        .filter_map(|event| match event.what {
            What::Log { line, .. } => Some(line),
            _ => None,
        })
        .collect();
    assert!(lines.iter().cloned().eq((1..=20_000).map(|n| n.to_string())), "{} lines", lines.len());
    served.end().await;
}

/// Not a test: what the next one starts as another user.
#[test]
fn stranger() {
    let Some(socket) = env::var_os("DEVTASK_TEST_SOCKET") else { return };
    let mut stream = UnixStream::connect(socket).unwrap();
    // Who is no stranger is told at once that it is another build.
    let _ = stream.write_all(&wire::greeting(BUILD + 1));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"");
    println!("hung up on");
}

#[tokio::test]
async fn a_stranger_is_hung_up_on() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("note: not root here, so nobody else can be played");
        return;
    }
    let served = Served::new(ONE, |_| {});
    let state_dir = served.session.state_dir();
    let socket = state_dir.join("socket");
    // A copy that anybody may execute, from where anybody may get to the socket.
    let program = served.root.path().join("stranger");
    assert!(Command::new("cp").arg(env::current_exe().unwrap()).arg(&program).status().unwrap().success());
    for path in [served.root.path(), &state_dir, &socket, &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut stranger = Command::new(&program);
    stranger.args(["--exact", "serve::tests::stranger", "--nocapture"]).env("DEVTASK_TEST_SOCKET", &socket);
    stranger.uid(65534).gid(65534).current_dir("/");
    let output = blocking(move || stranger.output().unwrap()).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("hung up on"), "{output:?}");
    served.end().await;
}

#[test]
fn only_what_the_user_alone_can_have_made_is_taken_for_a_socket() {
    let root = tempfile::tempdir().unwrap();
    let dir = |name: &str, mode: u32| {
        let path = root.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let (good, open, file, link) =
        (dir("good", 0o700), dir("open", 0o755), dir("file", 0o700), dir("link", 0o700));
    let listeners = [&good, &open].map(|dir| UnixListener::bind(dir.join("socket")).unwrap());
    fs::write(file.join("socket"), "").unwrap();
    symlink(good.join("socket"), link.join("socket")).unwrap();
    symlink(&good, root.path().join("alias")).unwrap();
    let found = |dir: &Path| place::find(dir).is_some();
    assert!(found(&good));
    for (dir, why) in [
        (open.clone(), "others may write to it"),
        (file, "no socket"),
        (link, "a link"),
        (root.path().join("alias"), "behind a link"),
        (root.path().join("missing"), "nothing"),
    ] {
        assert!(!found(&dir), "{why}");
    }
    for (at, (target, mode, is_found)) in
        [(&good, 0o600, true), (&good, 0o644, false), (&open, 0o600, false)].into_iter().enumerate()
    {
        let pointing = dir(&format!("pointing{at}"), 0o700);
        let pointer = pointing.join("socket.at");
        fs::write(&pointer, target.join("socket").as_os_str().as_encoded_bytes()).unwrap();
        fs::set_permissions(&pointer, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(found(&pointing), is_found, "{} with {mode:o}", target.display());
    }
    drop(listeners);
}

#[test]
fn an_event_comes_back_as_it_was() {
    let task = || TaskName::new("a:t").unwrap();
    let mut failed = Finished::without_execution(task(), Outcome::Failed);
    (failed.tail, failed.exit_code, failed.duration_ms) = (vec!["x\u{1b}".to_owned()], Some(1), Some(0.1));
    let plain = Finished::without_execution(task(), Outcome::Cached);
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567);
    for what in [
        What::TaskFinished(Box::new(failed)),
        What::TaskFinished(Box::new(plain)),
        What::Message { task: task(), text: "a\nb".to_owned() },
        What::LogGap { task: task(), lines: 3 },
    ] {
        let event = Event { v: crate::event::VERSION, time, what };
        let bytes = message(&Told::of(event.clone()));
        let (told, used): (Told, usize) = wire::take(&bytes).unwrap().unwrap();
        let back = match told {
            Told::Passed { time, task, outcome } => wire::passed(time, task, outcome),
            Told::Event { json, tail } => wire::event(&json, tail).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!((back, used), (event, bytes.len()));
    }
}

#[test]
fn a_request_comes_back_as_it_was() {
    let mut request = Request::run(["a", "b:c"]);
    request.inputs = json!({"k": [1, 2.5, null]}).as_object().unwrap().clone();
    request.arguments = vec!["x".into(), Raw::of(std::ffi::OsStr::new("y")).as_path().into()];
    (request.jobs, request.tail, request.timeout) = (Some(3), 0, Some(Duration::from_millis(1)));
    (request.force, request.dry_run, request.lines) = (true, true, LiveLines::Lossy);
    request.environment = Some(Arc::new(vec![("A".into(), "1".into())]));
    let bytes = message(&Ask::new(&request, "label".to_owned(), true));
    let (ask, _): (Ask, usize) = wire::take(&bytes).unwrap().unwrap();
    assert_eq!((ask.label.as_str(), ask.everything), ("label", true));
    assert_eq!(format!("{:?}", ask.into_request().unwrap()), format!("{request:?}"));
}

#[tokio::test]
async fn by_what_was_loaded_only_the_same_is_served() {
    let served = Served::new(ONE, |_| {});
    let (loaded, graph) = loaded(served.root.path());
    let right = loaded.digest(&graph).unwrap();
    for (digest, granularity, is_served) in [
        (right, GRANULARITY, true),
        (Digest(right.0 ^ 1), GRANULARITY, false),
        (right, Duration::from_millis(20), false),
    ] {
        let whence = Whence::Loaded { digest, standpoint: Standpoint::default() };
        let (state_dir, hello) = (served.session.state_dir(), Hello { whence, granularity, pid: 1 });
        assert_eq!(blocking(move || call(BUILD, &state_dir, &hello)).await.is_some(), is_served);
    }
    served.end().await;
}

#[tokio::test]
async fn who_keeps_processes_is_asked_whatever_the_files_say_and_for_nothing_else() {
    let served = Served::new(ONE, |_| {});
    std::fs::write(served.root.path().join("devtask.toml"), "[tasks").unwrap();
    let (state_dir, hello) = (served.session.state_dir(), served.hello());
    assert!(blocking(move || call(BUILD, &state_dir, &hello)).await.is_none(), "it is not what was loaded");
    let nobody = |what| Govern::new(String::new(), Vec::new(), what, Duration::ZERO);
    let cases = [
        (Wanted::Govern(nobody(Governed::Listed)), true),
        (Wanted::Govern(nobody(Governed::Stopped)), true),
        (Wanted::Govern(nobody(Governed::Started)), false),
        (run(Ask::new(&Request::run(["a:t"]), String::new(), false)), false),
    ];
    for (wanted, is_done) in cases {
        let whence = Whence::Keeper { dir: Raw::of(served.root.path().as_os_str()) };
        let hello = Hello { whence, granularity: Duration::ZERO, pid: 1 };
        let bytes = [&wire::greeting(BUILD)[..], &message(&hello), &message(&wanted)].concat();
        let answer = answer_to(served.connect(), bytes).await;
        let rest = &answer[wire::GREETING..];
        let (welcome, used) = wire::take::<Answer>(rest).unwrap().unwrap();
        assert!(matches!(welcome, Answer::Welcome(_)), "{wanted:?}");
        let told = wire::take::<Told>(&rest[used..]).unwrap();
        assert_eq!(matches!(told, Some((Told::Processes { .. }, _))), is_done, "{wanted:?}: {told:?}");
        assert!(is_done || told.is_none(), "{wanted:?}: {told:?}");
    }
    served.end().await;
}
