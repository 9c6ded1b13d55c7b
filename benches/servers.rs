//! What a run through a task server costs beyond the work: a thousand runs, one after another, of a task that does next
//! to nothing, beside the same work done in this process. `cargo bench --bench servers`

mod support;

use std::{
    hint::black_box,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use devtask::{
    Request, Session, Task, TaskGraph,
    event::What,
    model::TaskServer,
    tsp::server::{Failure, Run, Server, Task as ServedTask},
};
use support::args::Args;

/// The work: a hash of some text.
fn work(text: &str) -> u64 {
    text.bytes().fold(14_695_981_039_346_656_037, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211)
    })
}

const TEXT: &str = "the work that is to be done, whoever does it";
/// What this program is called with to be the server.
const SERVER: &str = "serve";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(SERVER) {
        return serve(arguments.next().as_deref().map(Path::new));
    }
    let args = Args::read();
    let runs = if args.smoke { 20 } else { 1000 };
    let alone = median((0..runs).map(|_| timed()).collect());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (served, all) = runtime.block_on(through_a_server(runs));
    assert_eq!(served.len(), runs, "each task runs once");
    let served = median(served);
    println!("{runs} runs, median: in this process {alone:?}, through a server {served:?}");
    println!("overhead of a run: {:?} (at most 1 ms wanted)", served.saturating_sub(alone));
    println!("with judging, recording and telling: {:?} a run", all / u32::try_from(runs).unwrap());
    ExitCode::SUCCESS
}

fn serve(socket: Option<&Path>) -> ExitCode {
    let Some(socket) = socket else { return ExitCode::FAILURE };
    let stream = std::os::unix::net::UnixListener::bind(socket).and_then(|listener| listener.accept());
    let task = |name: usize| {
        ServedTask::new(format!("b:t{name}"), |_: &Run, (): ()| Ok::<_, Failure>(work(black_box(TEXT))))
    };
    let server = (0..1000).fold(Server::new("bench"), |server, name| server.task(task(name)));
    match stream.and_then(|(stream, _)| server.serve(stream)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// How long each run took, from the moment it was asked for until it was answered; and all of it.
async fn through_a_server(runs: usize) -> (Vec<Duration>, Duration) {
    let root = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let server = Arc::new(TaskServer::new("bench", [program.to_str().unwrap(), SERVER]));
    let tasks = (0..runs).map(|name| Task::served(&format!("b:t{name}"), Arc::clone(&server)));
    let graph = tasks.fold(TaskGraph::builder(), |graph, task| graph.task(task)).build().unwrap();
    let session = Session::builder(graph).root(root.path()).jobs(1).environment(std::env::vars_os());
    let session = session.open().await.unwrap();
    let begin = Instant::now();
    let mut run = session.start(Request::run(["b"])).unwrap();
    let mut times = Vec::new();
    while let Some(event) = run.next_event().await {
        if let What::TaskFinished(finished) = event.what {
            assert_eq!(finished.exit_code, Some(0), "{finished:?}");
            times.push(Duration::from_secs_f64(finished.duration_ms.unwrap() / 1000.0));
        }
    }
    run.finish().await.unwrap();
    let all = begin.elapsed();
    session.close().await.unwrap();
    (times, all)
}

/// How long the work takes here.
fn timed() -> Duration {
    let begin = Instant::now();
    black_box(work(black_box(TEXT)));
    begin.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
